"""Operators that speak of the gradient tape, which the IR does not know: what they do in a program that runs eagerly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bridge.ir.registry import Operator

__all__ = ["on_the_tape"]


def _backward(ops: Any, what: Any, gradients: Any, retain: bool | None, create: bool) -> tuple[()]:
    from bridge.autograd import backward

    backward(what, gradients, retain, create)
    return ()


def _grad(
    ops: Any,
    outputs: Sequence[Any],
    inputs: Sequence[Any],
    gradients: Any,
    retain: bool | None,
    create: bool,
    unused: bool,
) -> list[Any]:
    from bridge.autograd import grad

    return list(grad(outputs, inputs, gradients, retain, create, allow_unused=unused))


_KERNELS: dict[str, Callable[..., Any]] = {
    "aten::backward": _backward,
    "aten::backward.TensorList": _backward,
    "aten::grad": _grad,
    "aten::requires_grad_": lambda ops, x, requires: x.requires_grad_(requires),
    "aten::is_leaf": lambda ops, x: x.is_leaf,
}


def on_the_tape(operator: Operator) -> Callable[..., Any] | None:
    """The composite kernel of an operator that is about gradients, or that makes a tensor which may require one."""
    if operator.name == "aten::tensor":
        return _leaf(operator)
    return _KERNELS.get(operator.full_name)


def _leaf(operator: Operator) -> Callable[..., Any]:
    kernel: Any = operator.kernel

    def run(ops: Any, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
        from bridge.tensor import Tensor

        return Tensor._wrap(kernel(data, dtype, device)).requires_grad_(requires_grad)

    return run
