"""``autograd.Function``: operations whose gradient the user writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.autograd.grad_mode import no_grad, state
from bridge.autograd.node import Node, edge_of, named
from bridge.tensor import Tensor

__all__ = ["Function", "FunctionNode", "once_differentiable"]


class FunctionNode(Node):
    """The node of one call, and the ``ctx`` that ``forward`` and ``backward`` get."""

    def __init__(self, function: type[Function], args: Sequence[Any]) -> None:
        tensors = [a for a in args if isinstance(a, Tensor)]
        super().__init__([edge_of(t) for t in tensors])
        self.function = function
        self.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        self._saved: list[tuple[Any, int, int | None]] = []
        self._dirty: tuple[Tensor, ...] = ()
        self._nondifferentiable: tuple[Tensor, ...] = ()
        self._freed = False
        self.materialize = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for ``backward``, where they are ``ctx.saved_tensors``."""
        self._saved = [(t, t._share_counter()[0] if t is not None else 0, None) for t in tensors]

    save_for_forward = save_for_backward

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Tell that ``forward`` changed these arguments in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Tell that these results never require grad."""
        self._nondifferentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether gradients that nobody gave arrive as zeros (the default) or as None."""
        self.materialize = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What :meth:`save_for_backward` was given. Raises RuntimeError when freed, or changed in place since."""
        from bridge.autograd.node import _FREED, _modified

        if self._freed:
            raise RuntimeError(_FREED)
        found = []
        for t, version, number in self._saved:
            if t is not None and t._version != version:
                raise RuntimeError(_modified(t, version, None))
            if number is not None:  # a result: it is kept without its history, which would be a cycle
                t = Tensor._wrap(t._array)
                t._grad_fn, t._output_nr, t._requires_grad = self, number, True
            found.append(t)
        return tuple(found)

    def bind(self, results: Sequence[Any]) -> None:
        """Tell the saved tensors that are results from the others."""
        for i, (t, version, _) in enumerate(self._saved):
            for number, r in enumerate(results):
                if t is r and t is not None:
                    plain = Tensor._wrap(t._array)
                    plain._counter = t._share_counter()
                    self._saved[i] = plain, version, number

    def apply(self, grads: list[Any]) -> Sequence[Any]:
        if self.materialize:
            grads = [Tensor._wrap(np.zeros(s, d)) if g is None else g
                     for g, (s, d) in zip(grads, self.outputs, strict=False)]  # fmt: skip
        found = self.function.backward(self, *grads)
        if not isinstance(found, list | tuple):
            found = (found,)
        wanted = len(self.needs_input_grad)
        if len(found) < wanted or any(g is not None for g in found[wanted:]):
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {wanted}, got {len(found)})"
            )
        return [g for g, is_tensor in zip(found, self._tensor_flags, strict=False) if is_tensor]

    def release(self) -> None:
        if self._saved:
            self._freed = True
            self._saved = []

    _tensor_flags: Sequence[bool]


class Function:
    """Base of operations with a gradient of their own: static methods ``forward(ctx, …)`` (or ``forward(…)`` and
    ``setup_context(ctx, inputs, output)``) and ``backward(ctx, *grads)``; called by :meth:`apply`."""

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so "
                           "you should invoke them on the class itself.")  # fmt: skip

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward`` and put the call on the tape."""
        node: Any = named(f"{cls.__name__}Backward", FunctionNode)(cls, args)
        node._tensor_flags = [isinstance(a, Tensor) for a in args]
        separate = cls.setup_context is not Function.setup_context
        with no_grad():
            result = cls.forward(*args, **kwargs) if separate else cls.forward(node, *args, **kwargs)
            if separate:
                cls.setup_context(node, args, result)
        results = list(result) if isinstance(result, tuple) else [result]
        if state.enabled and any(node.needs_input_grad):
            results = [_attach(node, r, i, args) for i, r in enumerate(results)]
            node.bind(results)
        return tuple(results) if isinstance(result, tuple) else results[0]


def _attach(node: FunctionNode, result: Any, number: int, args: Sequence[Any]) -> Any:
    if not isinstance(result, Tensor):
        node.outputs.append(((), np.dtype(np.float32)))
        return result
    node.outputs.append((result._array.shape, result._array.dtype))
    if result._array.dtype.kind not in "fcV" or any(result is t for t in node._nondifferentiable):
        return result
    if any(result is a for a in args) and not any(result is d for d in node._dirty):
        result = result.view_as(result)  # an argument handed back as it was becomes another tensor
    result._grad_fn, result._output_nr, result._requires_grad = node, number, True
    return result


def once_differentiable(function: Any) -> Any:
    """Decorates a ``backward`` that is not to be differentiated itself."""
    return no_grad()(function)
