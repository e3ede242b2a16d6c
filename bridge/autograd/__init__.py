"""The gradient tape: operations on tensors that require grad are recorded, and replayed backwards for derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bridge.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)

if TYPE_CHECKING:
    from bridge.tensor import Tensor

__all__ = [
    "Function", "Variable", "backward", "enable_grad", "function", "grad", "gradcheck", "gradgradcheck", "inference_mode",
    "is_grad_enabled", "is_inference_mode_enabled", "no_grad", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _roots(outputs: Sequence[Tensor], grads: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Where to start, and with which gradients. Raises RuntimeError as torch does."""
    import numpy as np

    from bridge.autograd.node import edge_of
    from bridge.tensor import Tensor

    roots, starts = [], []
    for i, (output, grad) in enumerate(zip(outputs, grads, strict=True)):
        edge = edge_of(output) if output.requires_grad else None
        if edge is None:
            if grad is None and output.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
        if grad is None:
            if output.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if output._array.dtype.kind == "c":
                raise RuntimeError(
                    "grad can be implicitly created only for real scalar outputs but got " + repr(output.dtype)
                )
            grad = Tensor._wrap(np.ones_like(output._array))
        elif grad.shape != output.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {grad.shape} and output[{i}] has a shape of "
                f"{output.shape}."
            )
        roots.append(edge)
        starts.append(grad)
    return roots, starts


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add the derivatives of ``tensors`` to the ``grad`` of the leaves (of ``inputs`` only, when given).

    ``grad_tensors`` are the gradients to start from, by default one for one-element tensors. Raises RuntimeError when
    there is nothing to differentiate, or when values needed were changed in place or freed.
    """
    from bridge.autograd.engine import execute
    from bridge.autograd.node import edge_of

    outputs = _as_tuple(tensors)
    grads = _as_tuple(grad_tensors) if grad_tensors is not None else (None,) * len(outputs)
    wanted = None
    if inputs is not None:
        wanted = []
        for t in _as_tuple(inputs):
            edge = edge_of(t)
            if edge is None:
                raise RuntimeError("One of the differentiated Tensors does not require grad")
            if not t.is_leaf:
                t.retain_grad()
            wanted.append(edge)
        if not wanted:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    roots, starts = _roots(outputs, grads)
    execute(roots, starts, create_graph if retain_graph is None else retain_graph, create_graph, wanted, True)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The derivatives of ``outputs`` with respect to ``inputs``, a tuple; ``grad`` of no tensor changes.

    An input that no output depends on gives None with ``allow_unused`` (zeros with ``materialize_grads``), else a
    RuntimeError.
    """
    import numpy as np

    from bridge.autograd.engine import execute
    from bridge.autograd.node import edge_of
    from bridge.tensor import Tensor

    sources, wanted = _as_tuple(inputs), []
    results = _as_tuple(outputs)
    for t in sources:
        edge = edge_of(t)
        if edge is None:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
        wanted.append(edge)
    grads = _as_tuple(grad_outputs) if grad_outputs is not None else (None,) * len(results)
    roots, starts = _roots(results, grads)
    found = execute(roots, starts, create_graph if retain_graph is None else retain_graph, create_graph, wanted, False)
    if any(g is None for g in found):
        if materialize_grads:
            found = [
                Tensor._wrap(np.zeros_like(t._array)) if g is None else g for t, g in zip(sources, found, strict=True)
            ]
        elif not allow_unused:
            index = next(i for i, g in enumerate(found) if g is None)
            raise RuntimeError(
                f"The differentiated Tensor at index {index} appears to not have been used in the graph. Set "
                "allow_unused=True if this is the desired behavior."
            )
    return tuple(found)


backward.__operator__, grad.__operator__ = "aten::backward", "aten::grad"  # type: ignore[attr-defined]


class set_detect_anomaly:
    """Accepted for compatibility; errors of the backward pass name their operator in any case."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None


def __getattr__(name: str) -> Any:
    import importlib

    if name == "profiler":
        return importlib.import_module("bridge.autograd.profiler")
    if name in ("Function", "once_differentiable"):
        return getattr(importlib.import_module("bridge.autograd.function"), name)
    if name in ("gradcheck", "gradgradcheck"):
        return getattr(importlib.import_module("bridge.autograd.checks"), name)
    if name == "Variable":
        return importlib.import_module("bridge.autograd.variable").Variable
    raise AttributeError(f"module 'bridge.autograd' has no attribute '{name}'")
