"""Tracing and scripting together, and both with Python: values, gradients, state, names."""

import copy
from typing import Any

import pytest

import bridge as torch
from bridge import nn


class Gate(nn.Module):
    def forward(self, x):  # type: ignore[no-untyped-def]
        if x.sum() > 0:
            return x
        else:
            return -x


class Cell(nn.Module):
    def __init__(self, gate: nn.Module) -> None:
        super().__init__()
        self.gate = gate
        self.linear = nn.Linear(4, 4)

    def forward(self, x, h):  # type: ignore[no-untyped-def]
        new_h = torch.tanh(self.gate(self.linear(x)) + h)
        return new_h, new_h


class Loop(nn.Module):
    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, xs):  # type: ignore[no-untyped-def]
        h, y = torch.zeros(3, 4), torch.zeros(3, 4)
        for i in range(xs.size(0)):
            y, h = self.cell(xs[i], h)
        return y, h


class Wrap(nn.Module):
    def __init__(self, loop: nn.Module) -> None:
        super().__init__()
        self.loop = loop

    def forward(self, xs):  # type: ignore[no-untyped-def]
        y, h = self.loop(xs)  # noqa: RUF059
        return torch.relu(y)


def made() -> tuple[Any, Any]:
    """The same model in Python, and as a trace of a script of a trace of a script."""
    torch.manual_seed(3)
    cell = Cell(Gate())
    example = torch.rand(3, 4), torch.rand(3, 4)
    mixed = copy.copy(cell)
    mixed._modules = dict(cell._modules)
    mixed.gate = torch.jit.script(Gate())
    traced = torch.jit.trace(Wrap(torch.jit.script(Loop(torch.jit.trace(mixed, example)))), torch.rand(2, 3, 4))
    return Wrap(Loop(cell)), traced


@pytest.mark.parametrize("steps", [0, 1, 7])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_mixed_model_computes_what_python_does(steps: int, sign: float) -> None:
    python, mixed = made()
    xs = torch.randn(steps, 3, 4) * sign
    assert torch.allclose(mixed(xs), python(xs), atol=1e-6)


def test_gradients_come_through() -> None:
    python, mixed = made()
    xs = torch.randn(3, 3, 4)
    python(xs).sum().backward()
    expected = [p.grad.clone() for p in python.parameters()]
    python.zero_grad()
    out = mixed(xs)
    assert out.requires_grad
    assert type(out.grad_fn).__name__ == "ReluBackward0"
    out.sum().backward()
    for p, e in zip(mixed.parameters(), expected, strict=True):
        assert torch.allclose(p.grad, e, atol=1e-6)


def test_parameters_are_shared_with_the_original() -> None:
    cell = nn.Linear(4, 4)
    traced = torch.jit.trace(cell, torch.rand(2, 4))
    assert traced.weight is cell.weight
    x = torch.rand(2, 4)
    with torch.no_grad():
        cell.weight.zero_()
    assert torch.equal(traced(x), cell(x))
    alone = copy.deepcopy(traced)
    with torch.no_grad():
        cell.bias.add_(1)
    assert not torch.equal(alone(x), cell(x))


def test_python_module_holds_a_program() -> None:
    gate = torch.jit.script(Gate())
    model = Cell(gate)
    x, h = torch.rand(3, 4), torch.rand(3, 4)
    assert torch.allclose(model(x, h)[0], Cell.forward(model, x, h)[0])
    assert "RecursiveScriptModule(original_name=Gate)" in repr(model)
    assert [n for n, _ in model.named_modules()] == ["", "gate", "linear"]


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1))
        self.calls = 0

    def forward(self, x):  # type: ignore[no-untyped-def]
        self.count += 1
        self.calls += 1
        return x + self.count


@pytest.mark.filterwarnings("ignore::bridge.runtime.executor.InterpreterWarning")
def test_state_that_a_program_changes_is_seen() -> None:
    m = torch.jit.script(Counter())
    x = torch.zeros(1)
    assert [float(m(x)), float(m(x))] == [1.0, 2.0]
    assert (m.calls, float(m.count)) == (2, 2.0)
    m.calls = 10
    m(x)
    assert m.calls == 11


def test_two_traces_of_one_module_have_their_own_methods() -> None:
    linear = nn.Linear(4, 4)
    a = torch.jit.trace(linear, torch.rand(2, 4))
    b = torch.jit.trace(linear, torch.rand(3, 2, 4))
    assert a._c.type is not b._c.type
    assert "Float(2, 4," in str(a.graph)
    assert "Float(3, 2, 4," in str(b.graph)


def test_equal_modules_share_their_class() -> None:
    a, b = torch.jit.script(nn.Linear(4, 4)), torch.jit.script(nn.Linear(4, 4))
    assert a._c.type is b._c.type
    assert torch.jit.script(nn.Linear(4, 3))._c.type is not a._c.type


class Weight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(4))

    def forward(self, x):  # type: ignore[no-untyped-def]
        return self.w


def test_a_parameter_may_be_the_result() -> None:  # torch fails with an internal assertion
    traced = torch.jit.trace(Weight(), torch.rand(2))
    assert traced.code == "def forward(self,\n    x: Tensor) -> Tensor:\n  return self.w\n"
    assert torch.equal(traced(torch.rand(3)), torch.ones(4))
