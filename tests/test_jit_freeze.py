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
    assert (scripted.calls, scripted.seen.item()) == (0, 2)  # tensors that stay are the module's own, as in torch


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


class Shared(nn.Module):
    """Attributes that share memory, lists with tensors in them, a submodule."""

    def __init__(self) -> None:
        super().__init__()
        self.values = [torch.tensor([1, 2, 3])]
        self.pair = (torch.tensor([1, 2]), "hi")
        self.table = {"x": torch.tensor([1, 2])}
        self.base = torch.tensor([1.0, 2.0])
        self.view = self.base.view(2, 1)
        self.block = Block()
        self.unused = 7

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        self.values[0][1] += 10
        self.pair[0][0] += 5
        self.table["x"][0] += 7
        return self.values[0].sum(), self.pair[0].sum(), self.table["x"].sum(), self.view + x

    @torch.jit.export
    def write(self) -> None:
        self.base[0] = 9.0


def test_what_is_written_through_lists_and_views_stays() -> None:
    scripted = torch.jit.script(Shared()).eval()
    frozen = torch.jit.freeze(scripted, ["write"])
    x = torch.zeros(1)
    sums = [[v.sum().item() for v in frozen(x)] for _ in range(2)]
    assert sums == [[16, 8, 10, 3], [26, 13, 17, 3]]
    frozen.write()
    assert frozen(x)[3].flatten().tolist() == [9, 2]
    assert not hasattr(frozen, "unused")
    assert not hasattr(frozen, "block")


def test_names_inside_submodules_are_preserved() -> None:
    frozen = torch.jit.freeze(torch.jit.script(Shared()).eval(), ["block.shift", "block.counted"])
    assert frozen.block.shift == 4
    assert not hasattr(frozen.block, "scale")
    assert [frozen.block.counted(torch.ones(1)).item() for _ in range(2)] == [2, 4]
    whole = torch.jit.freeze(torch.jit.script(Shared()).eval(), ["block"])
    assert torch.equal(whole.block(torch.ones(2)), torch.jit.script(Shared()).eval().block(torch.ones(2)))
    with pytest.raises(RuntimeError, match=r"Unknown name: block\.nothing"):
        torch.jit.freeze(torch.jit.script(Shared()).eval(), ["block.nothing"])


@torch.jit.interface
class Step(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pass


class Add(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


class Double(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


class Swaps(nn.Module):
    one: Step
    two: Step

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = Add(), Double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.one = self.two
        return self.one.forward(x)


class ReturnsItself(nn.Module):
    def forward(self, x: torch.Tensor):
        return self


class Overlaps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = torch.tensor([1.0, 2.0])
        self.both = [self.a, torch.ones(2)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = self.both[0] + 0
        self.a[0] += 1
        return before + self.a


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (Swaps, "Freezing does not support SetAttr on an interface type. SetAttr is attempted on 'one'"),
        (ReturnsItself, "attempted to freeze a module that return itself"),
        (Overlaps, "module contains attributes values that overlaps"),
    ],
)
def test_modules_that_cannot_be_frozen(module: type[nn.Module], text: str) -> None:
    scripted = torch.jit.script(module()).eval()
    with pytest.raises(RuntimeError, match=text):
        torch.jit.freeze(scripted)


LAYERS = [
    (lambda: nn.Conv1d(4, 6, 2, groups=2), nn.BatchNorm1d, (2, 4, 5), True),
    (lambda: nn.Conv2d(4, 6, 2, bias=False), nn.BatchNorm2d, (2, 4, 5, 5), True),
    (lambda: nn.ConvTranspose1d(4, 6, 2), nn.BatchNorm1d, (2, 4, 5), True),
    (lambda: nn.ConvTranspose2d(4, 6, 2, groups=2), nn.BatchNorm2d, (2, 4, 5, 5), False),
    (lambda: nn.Conv3d(4, 6, 2), nn.BatchNorm3d, (2, 4, 5, 5, 3), True),
    (lambda: nn.Linear(4, 6), nn.BatchNorm1d, (3, 4), True),
    (lambda: nn.Linear(4, 6), nn.BatchNorm1d, (3, 6, 4), False),
]


@pytest.mark.parametrize(("layer", "norm", "shape", "folds"), LAYERS)
def test_batch_norms_go_into_the_layer_before(layer: Any, norm: Any, shape: tuple[int, ...], folds: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(layer(), norm(6))
    nn.init.uniform_(model[1].weight)
    nn.init.uniform_(model[1].bias)
    x = torch.randn(shape)
    model(x)
    traced = torch.jit.trace(model.eval(), (x,))
    frozen = torch.jit.freeze(traced)
    assert ("batch_norm" not in frozen.code) == folds
    assert torch.allclose(frozen(x), model(x), atol=1e-5)
    assert "batch_norm" in torch.jit.freeze(traced, optimize_numerics=False).code


class Same(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[bool, torch.Tensor]:
        y = x.detach()
        return x is y, x.detach() * 2


def test_a_detached_tensor_is_another() -> None:
    frozen = torch.jit.freeze(torch.jit.script(Same()).eval())
    x = torch.ones(2)
    assert frozen.code.count("detach") == 1
    assert frozen(x)[0] is False
