"""In-place operations on the tape: what is allowed, and how the history of a tensor and of its views is rewritten.

A differentiable view knows its base and the operators that made it. Writing to a view gives the BASE a new history
(:class:`CopySlices`: the gradient of the written part goes through the operation, the rest passes by); the histories of
all views are made anew from the base when they are next asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.autograd.node import Node, edge_of, named

if TYPE_CHECKING:
    from bridge._dispatch import Plan
    from bridge.tensor import Tensor

__all__ = ["CopySlices", "check_inplace", "history_of_view", "rebase"]

#: One step from a tensor to a view of it: operator, arguments, the argument that is replaced, index in a list result.
Step = tuple[Any, Sequence[Any], Any, "int | None"]


def check_inplace(t: Tensor, recorded: bool) -> None:
    """Whether the tape allows writing to a tensor (grad mode is on); ``recorded``: the write will have a gradient.

    Raises RuntimeError as torch does.
    """
    if t._view_of is not None and t._view_mode == "no_grad":
        if recorded or t._requires_grad:
            raise RuntimeError(
                "A view was created in no_grad mode and is being modified inplace with grad mode enabled. Given that this "
                "use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view "
                "and the inplace either both inside the no_grad block (if you don't want the inplace to be tracked) or both "
                "outside (if you want the inplace to be tracked)."
            )
        return
    if not t.requires_grad:
        return
    if t._view_of is not None:
        base = t._base
        assert base is not None
        if t._view_of[3] is not None:
            node = t.grad_fn
            name = node.name().removesuffix("Backward0") if node is not None else "a function"
            raise RuntimeError(
                f"Output {t._view_of[3]} of {name} is a view and is being modified inplace. This view is the output of a "
                "function that returns multiple views. Such functions do not allow the output views to be modified inplace. "
                "You should replace the inplace operation by an out-of-place one."
            )
        if base.is_leaf and base.requires_grad:
            raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    if t.is_leaf:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")


def steps_to(t: Tensor) -> list[Step]:
    """The operators that lead from a view's base to the view."""
    steps: list[Step] = []
    while t._view_of is not None:
        source, operator, args, index = t._view_of
        steps.append((operator, args, source, index))
        t = source
    steps.reverse()
    return steps


def replay(steps: Sequence[Step], base: Tensor) -> Tensor:
    """The same view of another tensor."""
    from bridge._dispatch import call

    t = base
    for operator, args, source, index in steps:
        found = call(operator, [t if a is source else a for a in args])
        t = found if index is None else found[index]
    return t


def _buffer(like: np.ndarray[Any, Any]) -> Tensor:
    from bridge.tensor import Tensor

    return Tensor._wrap(np.zeros_like(like))


def rebase(t: Tensor, node: Any, plan: Plan) -> None:
    """Make ``node`` the history of a tensor that was just written to."""
    node.save_results([t])
    if t._view_of is None:
        t._grad_fn, t._output_nr, t._requires_grad = node, 0, True
        return
    base = t._base
    assert base is not None
    position = 0
    for index, kind in plan.tensors:
        if index == plan.written[0]:
            break
        position += len(node._args[index]) if kind == 2 else 1
    edges = [edge_of(base) if base.requires_grad else None]
    edges += [e for i, e in enumerate(node.edges) if i != position]
    copy = CopySlices(edges, base._array, steps_to(t), node, position)
    base._grad_fn, base._output_nr, base._requires_grad = copy, 0, True
    t._requires_grad = True
    t._graph_version = -1


def history_of_view(t: Tensor) -> Node | None:
    """The ``grad_fn`` of a view whose base was written to since the view was made."""
    base = t._base
    assert base is not None
    assert t._counter is not None
    if not base.requires_grad:
        return t._grad_fn
    node: Node = named("AsStridedBackward0", ViewNode)([edge_of(base)], base._array, steps_to(t))
    node.outputs = [(t._array.shape, t._array.dtype)]
    t._grad_fn, t._output_nr, t._requires_grad = node, 0, True
    t._graph_version = t._counter[0]
    return node


class ViewNode(Node):
    """Gradient of a view: zeros of the base's shape with the gradient in the view's place."""

    def __init__(self, edges: Sequence[Any], like: np.ndarray[Any, Any], steps: list[Step]) -> None:
        super().__init__(edges)
        self.like, self.steps = like, steps

    def apply(self, grads: list[Any]) -> Sequence[Any]:
        whole = _buffer(self.like)
        replay(self.steps, whole).copy_(grads[0])
        return [whole]


class CopySlices(Node):
    """Gradient of a base of which a part was written: that part goes through the operation's node."""

    def __init__(
        self, edges: Sequence[Any], like: np.ndarray[Any, Any], steps: list[Step], inner: Any, position: int
    ) -> None:
        super().__init__(edges)
        self.like, self.steps, self.inner, self.position = like, steps, inner, position
        self.outputs = [(like.shape, like.dtype)]

    def apply(self, grads: list[Any]) -> Sequence[Any]:
        from bridge.autograd.engine import conform

        whole = _buffer(self.like)
        whole.copy_(grads[0])
        part = replay(self.steps, whole)
        found = list(self.inner.apply([part.clone()]))
        own = found.pop(self.position)
        if self.edges[0] is None:
            return [None, *found]
        if own is None:
            part.zero_()
        else:
            part.copy_(conform(own, (part._array.shape, part._array.dtype), self, 0))
        return [whole, *found]

    def release(self) -> None:
        self.inner.release()


def is_stale(t: Tensor) -> bool:
    """Whether a view's history must be made anew: its base got one after the view was made."""
    base = t._base
    return (
        t._view_of is not None
        and base is not None
        and base._requires_grad
        and base._grad_fn is not None
        and t._counter is not None
        and t._graph_version != t._counter[0]
        and t._view_mode is None
    )
