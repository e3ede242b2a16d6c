"""Running the tape backwards.

Nodes run when all gradients that flow into them have arrived, later operations first (by sequence number), as in
torch's engine. Before a gradient goes on it is brought to the shape (summing what was broadcast) and the element
type of the value it belongs to.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.autograd.grad_mode import state
from bridge.autograd.node import AccumulateGrad, Metadata, Node

if TYPE_CHECKING:
    from bridge.tensor import Tensor

__all__ = ["execute"]


def _dependencies(roots: Sequence[tuple[Node, int]]) -> dict[Node, int]:
    """How many gradients each reachable node waits for."""
    waiting: dict[Node, int] = {}
    seen: set[Node] = set()
    stack = [n for n, _ in roots]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for edge in node.edges:
            if edge is not None:
                waiting[edge[0]] = waiting.get(edge[0], 0) + 1
                stack.append(edge[0])
    return waiting


def _needed(roots: Sequence[tuple[Node, int]], targets: set[Node]) -> set[Node]:
    """The nodes from which a target can be reached (and the targets)."""
    needed: dict[Node, bool] = {}
    stack: list[tuple[Node, bool]] = [(n, False) for n, _ in roots]
    while stack:
        node, done = stack.pop()
        if done:
            needed[node] = node in targets or any(e is not None and needed.get(e[0], False) for e in node.edges)
            continue
        if node in needed:
            continue
        needed[node] = False
        stack.append((node, True))
        stack.extend((e[0], False) for e in node.edges if e is not None and e[0] not in needed)
    return {n for n, yes in needed.items() if yes}


class _Run:
    """One backward pass."""

    def __init__(self, keep_graph: bool, captures: dict[tuple[Node, int], list[int]], accumulate: bool) -> None:
        self.keep_graph, self.captures, self.accumulate = keep_graph, captures, accumulate
        self.buffers: dict[Node, list[Any]] = {}
        self.ready: list[tuple[int, int, Node]] = []
        self.waiting: dict[Node, int] = {}
        self.needed: set[Node] | None = None
        self.captured: dict[int, Any] = {}

    def add(self, node: Node, number: int, grad: Any) -> None:
        """Add a gradient to what has arrived for a result."""
        buffer = self.buffers.get(node)
        if buffer is None:
            buffer = self.buffers[node] = [None] * max(1, len(node.outputs))
        if grad is not None:
            before = buffer[number]
            buffer[number] = grad if before is None else before + grad

    def push(self, node: Node) -> None:
        heapq.heappush(self.ready, (-node.sequence, id(node), node))

    def loop(self) -> None:
        while self.ready:
            node = heapq.heappop(self.ready)[2]
            grads = self.buffers.pop(node, [None] * max(1, len(node.outputs)))
            for edge, grad in zip(node.edges, self.evaluate(node, grads), strict=False):
                if edge is None:
                    continue
                following, number = edge
                if self.needed is None or following in self.needed:
                    self.add(following, number, grad)
                self.waiting[following] -= 1
                if self.waiting[following] == 0 and (self.needed is None or following in self.needed):
                    self.push(following)

    def evaluate(self, node: Node, grads: list[Any]) -> Sequence[Any]:
        """Run hooks and the node; returns its checked gradients."""
        grads = _run_tensor_hooks(node, grads)
        for number, grad in enumerate(grads):
            for target in self.captures.get((node, number), ()):
                self.captured[target] = grad
        if self.needed is not None and (node not in self.needed or not self._goes_on(node)):
            return [None] * len(node.edges)
        if isinstance(node, AccumulateGrad) and not self.accumulate:
            return ()
        if all(g is None for g in grads):
            return [None] * len(node.edges)
        if node.pre_hooks:
            for hook in list(node.pre_hooks.values()):
                changed = hook(tuple(grads))
                if changed is not None:
                    grads = list(changed)
        if self.needed is not None:
            node.asked = [e is not None and e[0] in self.needed for e in node.edges]
        found = node.apply(grads)
        if not self.keep_graph:
            node.release()
        checked = _validate(node, found)
        if node.post_hooks:
            for hook in list(node.post_hooks.values()):
                changed = hook(tuple(checked), tuple(grads))
                if changed is not None:
                    checked = list(changed) if isinstance(changed, list | tuple) else [changed]
        return checked

    def _goes_on(self, node: Node) -> bool:
        needed = self.needed
        return needed is None or any(e is not None and e[0] in needed for e in node.edges)


def _run_tensor_hooks(node: Node, grads: list[Any]) -> list[Any]:
    if node.tensor_hooks:
        for number, hooks in node.tensor_hooks.items():
            for hook in list(hooks.values()):
                if grads[number] is None:
                    continue
                changed = hook(grads[number])
                if changed is not None:
                    grads[number] = changed
    if node.retain:
        for number, keep in node.retain.items():
            if grads[number] is not None:
                keep(grads[number])
    return grads


def _validate(node: Node, grads: Sequence[Any]) -> list[Any]:
    if len(grads) < len(node.edges):
        raise RuntimeError(
            f"Function {node.name()} returned an incorrect number of gradients (expected {len(node.edges)}, "
            f"got {len(grads)})"
        )
    checked: list[Any] = []
    for index, (edge, grad) in enumerate(zip(node.edges, grads, strict=False)):
        if edge is None or grad is None:
            checked.append(None)
            continue
        checked.append(conform(grad, edge[0].outputs[edge[1]], node, index))
    return checked


def conform(grad: Tensor, metadata: Metadata, node: Node, index: int) -> Tensor:
    """A gradient in the shape and element type of its value. Raises RuntimeError when the shape cannot be."""
    shape, dtype = metadata
    array = grad._array
    if array.shape != shape:
        lead = array.ndim - len(shape)
        if lead < 0 or any(a != b and b != 1 for a, b in zip(array.shape[lead:], shape, strict=True)):
            raise RuntimeError(
                f"Function {node.name()} returned an invalid gradient at index {index} - got {list(array.shape)} but "
                f"expected shape compatible with {list(shape)}"
            )
        dims = [*range(lead), *(i + lead for i, n in enumerate(shape) if n == 1 and array.shape[i + lead] != 1)]
        if state.enabled and grad._requires_grad:
            grad = grad.sum(dims, True).view(shape) if dims else grad.view(shape)
        else:
            grad = type(grad)._wrap(np.asarray(array.sum(axis=tuple(dims), keepdims=True)).reshape(shape))
    if grad._array.dtype != dtype:
        from bridge.ir.dtypes import by_numpy

        if grad._array.dtype.kind == "c" and dtype.kind != "c":
            grad = grad.real
        if grad._array.dtype != dtype:
            grad = grad.to(by_numpy(dtype))
    return grad


def execute(
    roots: Sequence[tuple[Node, int]],
    grads: Sequence[Any],
    keep_graph: bool,
    create_graph: bool,
    inputs: Sequence[tuple[Node, int]] | None,
    accumulate: bool,
) -> list[Any]:
    """Run backward from ``roots`` with their gradients.

    With ``inputs``, only what leads to them runs; with ``accumulate`` false their gradients are returned (None where
    none arrived) instead of being added to ``grad``. ``create_graph`` records the pass itself.
    """
    captures: dict[tuple[Node, int], list[int]] = {}
    if inputs is not None and not accumulate:
        for i, edge in enumerate(inputs):
            captures.setdefault(edge, []).append(i)
    run = _Run(keep_graph, captures, accumulate)
    run.waiting = _dependencies(roots)
    if inputs is not None:
        run.needed = _needed(roots, {n for n, _ in inputs})
    before = state.enabled
    state.enabled = create_graph
    try:
        for (node, number), grad in zip(roots, grads, strict=True):
            run.add(node, number, grad)
        for node in dict.fromkeys(n for n, _ in roots):
            if run.waiting.get(node, 0) == 0:
                run.push(node)
        run.loop()
    finally:
        state.enabled = before
    return [run.captured.get(i) for i in range(len(inputs))] if inputs is not None else []
