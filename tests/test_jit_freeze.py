"""``jit.freeze``: weights and attributes become constants; what methods change stays."""

from typing import Any

import pytest

import bridge as torch
from bridge import nn

pytestmark = pytest.mark.filterwarnings("ignore::bridge.runtime.executor.InterpreterWarning")


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([2.0, 3.0]))
        self.shift = 4
        self.inner = nn.Sequential(nn.Dropout(), nn.ReLU())
        self.calls = 0
        self.register_buffer("seen", torch.zeros(1))
        self.extra = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.extra is not None:
            x = x + 100
        return self.inner(x) * self.scale + self.shift

    @torch.jit.export
    def counted(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.seen.add_(1)
        return x * self.calls + self.seen


CODE = """def forward(self,
    x: Tensor) -> Tensor:
  input = torch.relu(x)
  _0 = torch.add(torch.mul(input, CONSTANTS.c0), 4)
  return _0
"""


def test_forward_has_constants() -> None:
    frozen = torch.jit.freeze(torch.jit.script(Block()).eval())
    assert frozen.code == CODE
    assert frozen(torch.tensor([-1.0, 2.0])).tolist() == [4, 10]
    for name in ("scale", "inner", "counted", "shift"):
        assert not hasattr(frozen, name)
    assert list(frozen.parameters()) == []


def test_what_methods_change_is_kept() -> None:
    scripted = torch.jit.script(Block()).eval()
    frozen = torch.jit.freeze(scripted, ["counted"])
    x = torch.ones(1)
    assert [frozen.counted(x).item() for _ in range(2)] == [2, 4]
    assert (frozen.calls, frozen.seen.item()) == (2, 2)
    assert (scripted.calls, scripted.seen.item()) == (0, 0)


def test_preserved_attributes_can_be_set() -> None:
    frozen = torch.jit.freeze(torch.jit.script(Block()).eval(), ["shift"])
    frozen.shift = 0
    assert frozen(torch.ones(2)).tolist() == [2, 3]


def test_frozen_modules_are_saved_and_exported(tmp_path: Any) -> None:
    frozen = torch.jit.optimize_for_inference(torch.jit.script(Block()))
    torch.jit.save(frozen, str(tmp_path / "m.pt"))
    x = torch.tensor([-1.0, 2.0])
    assert torch.jit.load(str(tmp_path / "m.pt"))(x).tolist() == [4, 10]
    program = torch.onnx.export(frozen, (x,))
    assert program is not None


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.table = {"a": 1}
        self.pair = (2, 0.5)
        self.weights = [torch.ones(2), torch.zeros(2)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = x
        for w in self.weights:
            total = total + w
        return self.norm(total) * self.table["a"] + self.pair[1]


def test_containers_and_running_statistics_are_constants() -> None:
    scripted = torch.jit.script(Normed()).eval()
    frozen = torch.jit.freeze(scripted)
    assert "self" not in frozen.code.partition("\n")[2]
    x = torch.randn(3, 2)
    assert torch.equal(frozen(x), scripted(x))


def test_what_cannot_be_frozen() -> None:
    with pytest.raises(RuntimeError, match="Freezing expects a ScriptModule as input"):
        torch.jit.freeze(Block())
    with pytest.raises(RuntimeError, match="only implemented for modules in eval mode"):
        torch.jit.freeze(torch.jit.script(Block()))
    with pytest.raises(RuntimeError, match="Unknown name: nothing"):
        torch.jit.freeze(torch.jit.script(Block()).eval(), ["nothing"])


def test_operators_that_a_module_uses() -> None:
    assert torch.jit.export_opnames(torch.jit.script(nn.Linear(1, 1))) == ["aten::linear"]
    names = torch.jit.export_opnames(torch.jit.script(Block()))
    assert {"aten::add.Tensor", "aten::relu", "aten::add_.Scalar"} <= set(names)
