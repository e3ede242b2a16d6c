"""Gradients checked against differences: ``gradcheck`` and ``gradgradcheck``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.autograd import grad as _grad
from bridge.autograd.grad_mode import no_grad
from bridge.tensor import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """The tape's gradient and the measured one differ."""


def _outputs(function: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    found = function(*inputs)
    values = found if isinstance(found, list | tuple) else (found,)
    return [v for v in values if isinstance(v, Tensor) and v._array.dtype.kind in "fc"]


def _numerical(function: Callable[..., Any], inputs: Sequence[Any], which: int, output: int, eps: float) -> Any:
    """The Jacobian, (elements of the input) x (elements of the output), by central differences."""
    target = inputs[which]._array
    rows = []
    with no_grad():
        for index in np.ndindex(target.shape):
            before = target[index].copy()
            steps = [eps] if target.dtype.kind == "f" else [eps, 1j * eps]
            row: Any = 0
            for step in steps:
                target[index] = before + step
                high = _outputs(function, inputs)[output]._array.copy()
                target[index] = before - step
                low = _outputs(function, inputs)[output]._array.copy()
                row = row + (high - low).reshape(-1) / (2 * eps) * (1 if step == eps else 1j)
            target[index] = before
            rows.append(row)
    return np.array(rows).reshape(target.size, -1)


def _analytical(output: Tensor, source: Tensor) -> Any:
    columns = []
    for index in np.ndindex(output._array.shape):
        start = np.zeros_like(output._array)
        start[index] = 1
        (g,) = _grad(output, source, Tensor._wrap(start), retain_graph=True, allow_unused=True)
        columns.append(np.zeros(source._array.size) if g is None else g._array.reshape(-1))
    return np.array(columns).reshape(-1, source._array.size).T


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    **unused: Any,
) -> bool:
    """Whether the tape's gradients of ``func`` equal central differences, for all inputs that require grad.

    Inputs should be float64. Raises GradcheckError where they differ, unless ``raise_exception`` is false.
    """
    values = tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,)
    checked = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True."
        )
    outputs = _outputs(func, values)
    for o, output in enumerate(outputs):
        for i in checked:
            numeric = _numerical(func, values, i, o, eps)
            exact = _analytical(output, values[i]) if output.requires_grad else np.zeros_like(numeric)
            if not np.allclose(exact, numeric, rtol=rtol, atol=atol, equal_nan=True):
                if not raise_exception:
                    return False
                raise GradcheckError(
                    f"Jacobian mismatch for output {o} with respect to input {i},\nnumerical:{numeric}\nanalytical:{exact}\n"
                )
    return True


def gradgradcheck(
    func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *, raise_exception: bool = True, **tolerances: Any
) -> bool:
    """As :func:`gradcheck`, for the gradients of the gradients."""
    values = tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,)
    checked = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
    if grad_outputs is None:
        random = np.random.default_rng(0)
        starts = [Tensor._wrap(random.standard_normal(o._array.shape)) for o in _outputs(func, values)]
        for s in starts:
            s.requires_grad_(True)
    else:
        starts = list(grad_outputs) if isinstance(grad_outputs, list | tuple) else [grad_outputs]

    def gradients(*all_values: Any) -> tuple[Any, ...]:
        given = all_values[: len(values)]
        outputs = _outputs(func, given)
        kept = [(o, s) for o, s in zip(outputs, all_values[len(values) :], strict=True) if o.requires_grad]
        found = _grad([o for o, _ in kept], [given[i] for i in checked], [s for _, s in kept], create_graph=True,
                      allow_unused=True)  # fmt: skip
        return tuple(g for g in found if g is not None)

    def safely(*all_values: Any) -> tuple[Any, ...]:
        from bridge.autograd.grad_mode import enable_grad

        with enable_grad():  # differences are taken without recording, but what they measure needs the tape
            return gradients(*all_values)

    return gradcheck(safely, (*values, *starts), raise_exception=raise_exception, **tolerances)
