"""Nothing is frozen silently: every value that leaves the tensors is told at its line, also where torch says nothing."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import bridge as torch
from bridge.jit.trace_warnings import FrozenWarning, TracerWarning


def told(f: Callable[..., Any], *inputs: Any) -> list[tuple[type[Warning], int, str]]:
    """Category, line within ``f`` and first words of each warning of a trace."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.jit.trace(f, inputs, check_trace=False)
    first = f.__code__.co_firstlineno
    assert all(w.filename == __file__ for w in caught)
    return [(w.category, w.lineno - first, str(w.message)) for w in caught]


def in_range(x: Any, y: Any) -> Any:
    for _ in range(x.size(0)):
        y = y + 1
    return y


def as_index(x: Any, y: Any) -> Any:
    return x * [1, 2, 3, 4][x.size(0)]


def equality(x: Any, y: Any) -> Any:
    if torch.equal(x, y):
        return x
    return y


def closeness(x: Any, y: Any) -> Any:
    return x if torch.allclose(x, y) else y


def behind_the_back(x: Any, y: Any) -> Any:
    return x.data + y


def strides(x: Any, y: Any) -> Any:
    return x * x.stride(0)


@torch.jit.script
def repeated(x, n: int):  # type: ignore[no-untyped-def]
    for _ in range(n):
        x = x + x
    return x


def number_of_a_program(x: Any, y: Any) -> Any:
    return repeated(x, x.size(0))


@pytest.mark.parametrize(
    ("f", "line"),
    [
        (in_range, 1),
        (as_index, 1),
        (equality, 1),
        (closeness, 1),
        (behind_the_back, 1),
        (strides, 1),
        (number_of_a_program, 1),
    ],
    ids=lambda f: getattr(f, "__name__", ""),
)
def test_where_torch_is_silent(f: Callable[..., Any], line: int) -> None:
    found = told(f, torch.rand(3, 4), torch.rand(3, 4))
    assert [(category, at) for category, at, _ in found] == [(FrozenWarning, line)]
    assert "might not generalize" in found[0][2]
    assert issubclass(FrozenWarning, TracerWarning)


def sizes_stay(x: Any, y: Any) -> Any:
    n, m = x.shape
    return x.view(x.size(0) * m, 1).expand(n * m, 2), torch.zeros(n, m) + y, x[: n - 1], x.numel() * y


def test_sizes_are_recorded_not_frozen() -> None:
    assert told(sizes_stay, torch.rand(3, 4), torch.rand(3, 4)) == []
    traced = torch.jit.trace(sizes_stay, (torch.rand(3, 4), torch.rand(3, 4)))
    x, y = torch.rand(5, 2), torch.rand(5, 2)
    for a, b in zip(traced(x, y), sizes_stay(x, y), strict=True):
        assert torch.equal(a, b)


class Checked(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        if x.size(1) != 4:  # the user's own check is a decision
            raise ValueError(x)
        return torch.nn.functional.relu(x)


def test_decisions_of_modules_are_told_at_their_line() -> None:
    with pytest.warns(TracerWarning, match="Converting a tensor to a Python boolean") as caught:
        torch.jit.trace(Checked(), torch.rand(3, 4), check_trace=False)
    assert [w.lineno for w in caught] == [Checked.forward.__code__.co_firstlineno + 1]


class Held(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        return self.linear(x).tanh()


def test_library_code_may_decide() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.jit.trace(Held(), torch.rand(3, 4))


def test_results_of_a_failed_trace_leave_no_tracer() -> None:
    def broken(x: Any) -> Any:
        raise KeyError("x")

    with pytest.raises(KeyError):
        torch.jit.trace(broken, torch.rand(2))
    assert not torch.jit.is_tracing()
    assert torch.jit.trace(lambda x: x + 1, torch.rand(2)).graph is not None
