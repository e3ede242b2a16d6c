"""Checking a trace: run it beside the original, trace again, and compare results, graphs and constants.

Follows ``_check_trace`` of torch/jit/_trace.py (2.13).
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from bridge.autograd.grad_mode import no_grad
from bridge.ir.graph import Graph
from bridge.ir.passes.canonicalize import canonicalize
from bridge.ir.passes.inline import inline
from bridge.ir.printer import print_node
from bridge.ir.types import unshaped
from bridge.jit.frames import level_outside
from bridge.jit.running import interpreted
from bridge.jit.trace_warnings import TracerWarning
from bridge.tensor import Tensor

__all__ = ["TracingCheckError", "check", "clone_inputs"]

#: Absolute tolerance per dtype when results are compared (torch.testing's).
_ATOL = {"float16": 1e-5, "bfloat16": 1e-5, "float32": 1e-5, "float64": 1e-7, "complex64": 1e-5, "complex128": 1e-7}
_RTOL = {
    "float16": 1e-3,
    "bfloat16": 1.6e-2,
    "float32": 1.3e-6,
    "float64": 1e-7,
    "complex64": 1.3e-6,
    "complex128": 1e-7,
}


class TracingCheckError(Exception):
    """A trace does not compute what the original computes, or comes out differently each time."""

    def __init__(
        self, graph_diff_error: str | None, tensor_compare_error: str | None, extra_msg: str | None = None
    ) -> None:
        self.message = "Tracing failed sanity checks!\n"
        if extra_msg is not None:
            self.message += extra_msg + "\n"
        if graph_diff_error is not None:
            self.message += "ERROR: Graphs differed across invocations!\n" + _indent(graph_diff_error) + "\n"
        if tensor_compare_error is not None:
            self.message += (
                "ERROR: Tensor-valued Constant nodes differed in value across invocations. This often indicates that the "
                "tracer has encountered untraceable code.\n" + _indent(tensor_compare_error) + "\n"
            )
        super().__init__(self.message)


def _indent(text: str) -> str:
    return "\n".join("\t" + line for line in text.splitlines())


def clone_inputs(held: Any) -> Any:
    """A copy of nested inputs; tensors keep whether they require grad."""
    if isinstance(held, Tensor):
        return held.detach().clone().requires_grad_(held.requires_grad)
    if isinstance(held, dict):
        return {k: clone_inputs(v) for k, v in held.items()}
    if isinstance(held, tuple) and hasattr(held, "_fields"):
        return type(held)(*map(clone_inputs, held))
    if isinstance(held, list | tuple):
        return type(held)(map(clone_inputs, held))
    return held


def check(
    examples: Iterable[Any],
    func: Callable[..., Any],
    traced: Any,
    trace_again: Callable[[Any], Any],
    tolerance: float,
    by_name: bool,
) -> None:
    """Compare a traced function or method with the original on each of the examples.

    Warns (TracerWarning) of results that differ; raises TracingCheckError when a run fails or the graphs differ.
    """
    with no_grad():
        for inputs in examples:
            _check_one(
                (inputs,) if isinstance(inputs, Tensor) else inputs, func, traced, trace_again, tolerance, by_name
            )


def _check_one(
    inputs: Any,
    func: Callable[..., Any],
    traced: Any,
    trace_again: Callable[[Any], Any],
    tolerance: float,
    by_name: bool,
) -> None:
    again = trace_again(clone_inputs(inputs))

    def run(what: Callable[..., Any], name: str) -> list[Tensor]:
        try:
            if isinstance(inputs, dict) and by_name:
                out = what(**inputs)
            else:
                out = what(*clone_inputs(inputs))
        except Exception as e:
            message = (
                f"encountered an exception while running the {name} with test inputs.\nException:\n{_indent(str(e))}"
            )
            raise TracingCheckError(*_diagnose(traced.graph, again.graph), extra_msg=message) from e
        return [o for o in (out if isinstance(out, tuple) else (out,)) if isinstance(o, Tensor)]

    results = run(interpreted(traced), "trace")
    warned: list[bool] = []
    if _compare(results, run(func, "Python function"), "Python function", traced, tolerance, warned):
        _compare(results, run(interpreted(again), "repeated trace"), "repeated trace", traced, tolerance, warned)
    found = _diagnose(traced.graph, again.graph)
    if any(f is not None for f in found):
        raise TracingCheckError(*found)


def _compare(
    results: list[Tensor], reference: list[Tensor], what: str, traced: Any, tolerance: float, warned: list[bool]
) -> bool:
    same = True
    for i, (a, b) in enumerate(zip(results, reference, strict=False)):
        atol = max(_ATOL.get(a.dtype.name, 0.0), _ATOL.get(b.dtype.name, 0.0))
        wide = np.complex128 if a.dtype.is_complex or b.dtype.is_complex else np.float64
        difference = not_close(a._array.astype(wide), b._array.astype(wide), tolerance, atol)
        if difference is None:
            continue
        same = False
        if not warned:
            warned.append(True)
            _warn_of_chance(traced.graph)
        warnings.warn(
            f"Output nr {i + 1}. of the traced function does not match the corresponding output of the {what}. "
            f"Detailed error:\n{difference}",
            category=TracerWarning,
            stacklevel=level_outside(),
        )
    return same


def _warn_of_chance(graph: Graph) -> None:
    """Say which nodes draw random numbers."""
    from bridge.ir.passes.effects import is_nondeterministic

    nodes = [n for n in graph.nodes if is_nondeterministic(n)]
    if not nodes:
        return
    text = "Trace had nondeterministic nodes. Did you forget call .eval() on your model? Nodes:\n"
    text += "\n".join([_indent(print_node(n)) for n in nodes][:20])
    text += (
        "\nThis may cause errors in trace checking. To disable trace checking, pass check_trace=False to "
        "torch.jit.trace()"
    )
    warnings.warn(text, category=TracerWarning, stacklevel=level_outside())


def not_close(actual: Any, expected: Any, rtol: float, atol: float) -> str | None:
    """Why two arrays are not close, in the words of torch.testing.assert_close; None when they are."""
    if actual.shape != expected.shape:
        return f"The values for attribute 'shape' do not match: {_size(actual)} != {_size(expected)}."
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        difference = np.abs(actual ^ expected if actual.dtype == bool else actual - expected)
        close = (difference <= atol + rtol * np.abs(expected)) | (actual == expected)
        close |= np.isnan(actual) & np.isnan(expected)
        if close.all():
            return None
        relative = difference / np.abs(expected)
    exact = rtol == atol == 0
    kind = "equal" if exact else "close"
    up_to_atol, up_to_rtol = ("", "") if exact else (f" (up to {atol} allowed)", f" (up to {rtol} allowed)")
    if actual.ndim == 0:
        return (
            f"Scalars are not {kind}!\n\nExpected {expected.item()} but got {actual.item()}.\n"
            f"Absolute difference: {difference.item()}{up_to_atol}\nRelative difference: {relative.item()}{up_to_rtol}"
        )
    difference[close] = 0
    relative[close] = 0
    wrong, total = int((~close).sum()), close.size
    where_abs = np.unravel_index(int(np.argmax(difference)), difference.shape)
    where_rel = np.unravel_index(int(np.argmax(relative)), relative.shape)
    return (
        f"Tensor-likes are not {kind}!\n\nMismatched elements: {wrong} / {total} ({wrong / total:.1%})\n"
        f"Greatest absolute difference: {difference[where_abs].item()} at index {_index(where_abs)}{up_to_atol}\n"
        f"Greatest relative difference: {relative[where_rel].item()} at index {_index(where_rel)}{up_to_rtol}"
    )


def _index(where: Any) -> tuple[int, ...]:
    return tuple(int(i) for i in where)


def _size(a: Any) -> str:
    return f"torch.Size([{', '.join(map(str, a.shape))}])"


# -- graphs ---------------------------------------------------------------------------------------------------------


def _canonical(graph: Graph) -> Graph:
    """A copy without calls and shapes, numbered from zero."""
    g = canonicalize(graph)
    inline(g)
    for v in [*g.inputs, *(o for n in g.all_nodes() for o in n.outputs)]:
        v.type = unshaped(v.type)
    return g


def _text(graph: Graph) -> str:
    return re.sub(r"___torch_mangle_[0-9]+\.", "", str(graph))


def _diagnose(first: Graph, second: Graph) -> tuple[str | None, str | None]:
    a, b = _canonical(first), _canonical(second)
    return _graph_difference(a, b), _constant_difference(a, b)


def _graph_difference(a: Graph, b: Graph) -> str | None:
    text_a, text_b = _text(a), _text(b)
    if text_a == text_b:
        return None
    found = "Graph diff:\n" + _indent(_ndiff(text_a, text_b)) + "\n"
    for n, m in zip(a.nodes, b.nodes, strict=False):
        if print_node(n) != print_node(m):
            found += "First diverging operator:\n"
            found += "Node diff:\n" + _indent(_ndiff(print_node(n) + "\n", print_node(m) + "\n")) + "\n"
            for what, node in (("Trace", n), ("Check", m)):
                if node.range is not None:
                    found += f"{what} source location:\n" + _indent(node.range.highlight()) + "\n"
            break
    return found


def _ndiff(a: str, b: str) -> str:
    return "".join(difflib.ndiff(a.splitlines(True), b.splitlines(True)))


def _constant_difference(a: Graph, b: Graph) -> str | None:
    for n, m in zip(a.nodes, b.nodes, strict=False):
        if n.kind != m.kind:
            return None
        if n.kind != "prim::Constant":
            continue
        x, y = n.attributes.get("value"), m.attributes.get("value")
        if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
            continue
        name = x.dtype.name
        why = not_close(x, y, _RTOL.get(name, 0.0), _ATOL.get(name, 0.0))
        if why is not None:
            found = "Node:\n" + _indent(print_node(n)) + "\n"
            if n.range is not None:
                found += "Source Location:\n" + _indent(n.range.highlight()) + "\n"
            return found + "Comparison exception: " + _indent(why)
    return None
