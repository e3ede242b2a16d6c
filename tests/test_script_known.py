"""What is known while a program is compiled or exported: classes of submodules, steps of loops, lists of numbers."""

import numpy as np
import pytest

import bridge as torch
from bridge import nn, runtime


@torch.jit.script
def listed(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([x.sum(), x[0], x.max()]), torch.tensor([x[:1], x[1:2]])


@torch.jit.script
def rows_as_numbers(x: torch.Tensor) -> torch.Tensor:
    return torch.tensor([x[0], x[1]])


def test_tensors_in_a_list_of_numbers_have_one_element() -> None:
    session = runtime.open_session(torch.onnx.export(listed, (torch.ones(2),)).model_proto.SerializeToString())
    for x in (torch.tensor([1.0, 2.5]), torch.tensor([-1.0, 2.0, 7.0])):
        expected = [[x.sum().item(), x[0].item(), x.max().item()], x[:2].tolist()]
        assert [t.tolist() for t in listed(x)] == [a.tolist() for a in session.run(None, {"x": x.numpy()})] == expected
    with pytest.raises(RuntimeError, match="only one element tensors can be converted to Python scalars"):
        rows_as_numbers(torch.ones(2, 2))


class Mixed(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: torch.Tensor, scaled: bool = False) -> torch.Tensor:
        for layer in self.layers:
            if isinstance(layer, nn.Identity):
                x = x + 1
            elif isinstance(layer, (nn.ReLU, nn.Tanh)):
                x = -layer(x)
            else:
                x = layer(x)
        if scaled or isinstance(self.layers[0], nn.Linear):
            return x * 2
        return x


def test_isinstance_of_modules_is_decided_by_their_python_classes() -> None:
    x = torch.randn(3, 2)
    for m in (Mixed(nn.Linear(2, 2), nn.Identity(), nn.ReLU()), Mixed(nn.Tanh(), nn.Identity())):
        s = torch.jit.script(m)
        assert "isinstance" not in s.code
        for scaled in (False, True):
            assert torch.allclose(s(x, scaled), m(x, scaled))


def checked(x: torch.Tensor, shape: list[str], raises: bool = True) -> bool:
    target, sizes = shape, x.shape
    if shape[0] == "*":
        target = shape[1:]
        sizes = x.shape[-len(target) :]
    for i in range(len(sizes)):
        wanted: str = target[i]
        if not wanted.isnumeric():
            continue
        if sizes[i] != int(wanted):
            if raises:
                raise ValueError(f"dimension {i} has {sizes[i]} elements")
            return False
    return True


def scaled_after_a_check(x: torch.Tensor, factor: float) -> torch.Tensor:
    checked(x, ["*", "2", "W"])
    by = torch.tensor(factor)
    while by.dim() != x.dim():
        by = by[..., None]
    return x * by


def test_loops_whose_steps_are_known_are_written_out() -> None:
    program = torch.onnx.export(torch.jit.script(scaled_after_a_check), (torch.ones(3, 2, 5), 2.0))
    assert str(program.report).count("loop unrolled") == 2
    session = runtime.open_session(program.model_proto.SerializeToString())
    for shape, factor in (((3, 2, 5), 2.0), ((1, 2, 1), -1.5), ((4, 2, 0), 3.0)):
        x = torch.randn(*shape)
        found, error = session.run(None, {"x": x.numpy(), "factor": np.array(factor)})
        assert found.tolist() == scaled_after_a_check(x, factor).tolist()
        assert not error.size
    found, error = session.run(None, {"x": torch.ones(3, 4, 5).numpy(), "factor": np.array(2.0)})
    assert error.size
