"""The gradient tape itself; single operators are in test_operators, torch's texts and values in test_eager."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import bridge
from bridge.autograd import Function, gradcheck, gradgradcheck
from bridge.tensor import Tensor


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return bridge.tensor(np.random.default_rng(seed).uniform(0.5, 2.0, shape), requires_grad=True)


FUNCTIONS = {
    "polynomial": lambda x, y: x**3 * y - x / y,
    "matrix": lambda x, y: (x @ y.t()).tanh(),
    "broadcast": lambda x, y: (x * y.sum(0)).exp().mean(),
    "slices": lambda x, y: x[:, 1:] * y[0, :-1] + x[..., None, 0],
    "in place": lambda x, y: (x * 1).mul_(y).add_(x),
    "written slice": lambda x, y: _written(x, y),
    "gathered": lambda x, y: x[[0, 0, 1]] * y[:, [0]].repeat(2, 1)[:3],
    "stacked": lambda x, y: bridge.stack([x, y]).cumsum(0).transpose(0, 2),
    "several": lambda x, y: (x.sin(), (x * y).log()),
    "complex product": lambda x, y: bridge.view_as_real(
        bridge.complex(x, y) * bridge.polar(y, x) / bridge.complex(y, x)
    ),
    "complex functions": lambda x, y: bridge.view_as_real(
        bridge.complex(x, y).exp().sqrt() + bridge.complex(y, x).sgn() * 1j
    ),
    "complex parts": lambda x, y: (
        bridge.complex(x, y).abs() + bridge.complex(x, y).angle(),
        bridge.complex(x, y).conj().imag,
    ),
    "complex matrix": lambda x, y: (bridge.complex(x, y) @ bridge.complex(y, x).t()).norm(),
    "transform": lambda x, y: bridge.fft.rfft2(x * y, s=(3, 4), norm="ortho").abs(),
    "whole transform": lambda x, y: bridge.view_as_real(
        bridge.fft.fft(bridge.complex(x, y), dim=0) * bridge.fft.ifft(x, n=3)[0]
    ),
    "real transform": lambda x, y: (
        bridge.fft.irfft(bridge.complex(x, y), n=5) + bridge.fft.hfft(bridge.complex(x, y), n=5)
    ),
    "half transform": lambda x, y: (
        bridge.fft.ihfft(x, n=4).abs() + bridge.fft.irfftn(bridge.complex(x, y), s=(4, 4))[:2, :3]
    ),
}


def _written(x: Any, y: Any) -> Any:
    out = bridge.zeros(2, 3, dtype=bridge.float64)
    out[0] = x[1] * 2
    out[:, 1] *= y[:, 0]
    out.t()[2].add_(y[:, 2])
    return out


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradcheck(name: str) -> None:
    x, y = leaf(2, 3), leaf(2, 3, seed=1)
    assert gradcheck(FUNCTIONS[name], (x, y))


@pytest.mark.parametrize("name", ["polynomial", "matrix", "broadcast", "slices", "gathered", "written slice"])
def test_gradgradcheck(name: str) -> None:
    x, y = leaf(2, 3), leaf(2, 3, seed=1)
    assert gradgradcheck(FUNCTIONS[name], (x, y))


def test_gradcheck_finds_a_wrong_gradient() -> None:
    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            return g * 3

    assert not gradcheck(Wrong.apply, leaf(2), raise_exception=False)
    with pytest.raises(RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0"):
        gradcheck(Wrong.apply, leaf(2))


def test_long_chains() -> None:
    """Neither the pass nor taking the graph apart recurses."""
    x = leaf(1)
    y = x
    for _ in range(20_000):
        y = y + 0.0
    y.backward()
    assert x.grad is not None
    assert x.grad.item() == 1.0
    del y


def test_graph_is_freed_without_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        x = leaf(3)
        y = (x.exp() * x).tanh()
        node = weakref.ref(y.grad_fn)
        y.sum().backward()
        del y
        assert node() is None
    finally:
        gc.enable()


def test_grad_mode_is_per_thread() -> None:
    seen: list[bool] = []
    with bridge.no_grad():
        thread = threading.Thread(target=lambda: seen.append(bridge.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_no_grad_decorates_generators() -> None:
    @bridge.no_grad()
    def numbers() -> Any:
        for _ in range(2):
            yield bridge.is_grad_enabled()

    run = numbers()
    assert next(run) is False
    assert bridge.is_grad_enabled()
    assert next(run) is False


def test_lazy_history() -> None:
    """A result that came from elsewhere gets its history when somebody asks for it."""
    x = leaf(2)
    asked: list[int] = []

    def replay() -> Any:
        asked.append(1)
        return (x * 3).tanh()

    y = Tensor._wrap(np.tanh(x.detach().numpy() * 3))
    y._requires_grad, y._lazy_grad = True, replay
    assert y.requires_grad
    assert not y.is_leaf
    assert not asked
    assert "grad_fn=<TanhBackward0>" in repr(y)
    y.sum().backward()
    assert len(asked) == 1
    expected = 3 * (1 - np.tanh(x.detach().numpy() * 3) ** 2)
    np.testing.assert_allclose(x.grad.numpy(), expected)  # type: ignore[union-attr]


def test_nodes() -> None:
    x = leaf(2)
    y = (x * 2).exp()
    node = y.grad_fn
    assert node is not None
    assert node.name() == type(node).__name__ == "ExpBackward0"
    ((following, number),) = node.next_functions
    assert (following.name(), number) == ("MulBackward0", 0)  # type: ignore[union-attr]
    assert following.next_functions[0][0].variable is x  # type: ignore[union-attr]
    assert following.next_functions[1] == (None, 0)  # type: ignore[union-attr]
    calls: list[Any] = []
    node.register_hook(lambda inputs, outputs: calls.append((len(inputs), len(outputs))))
    following.register_prehook(lambda grads: (grads[0] * 10,))  # type: ignore[union-attr]
    y.sum().backward()
    assert calls == [(1, 1)]
    np.testing.assert_allclose(x.grad.numpy(), 20 * np.exp(2 * x.detach().numpy()))  # type: ignore[union-attr]


def test_post_accumulate_hook() -> None:
    x = leaf(1)
    seen: list[float] = []
    x.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.item()))  # type: ignore[union-attr]
    (x * 2).backward()
    (x * 2).backward()
    assert seen == [2.0, 4.0]


def test_function_with_several_results_and_in_place() -> None:
    class Split(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Any:
            ctx.mark_non_differentiable(positive := x > 1)
            return x * 2, positive

        @staticmethod
        def backward(ctx: Any, g: Tensor, _: Any) -> Any:
            return g * 2

    x = leaf(3)
    y, positive = Split.apply(x)
    assert y.requires_grad
    assert not positive.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]  # type: ignore[union-attr]
