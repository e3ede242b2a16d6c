"""Calls of ONNX operators: ``ops.onnx.Conv(x, w, strides=[1, 1])``, ``ops.com.microsoft.Gelu(x)``, ``ops.domain("odd-name").X(y)``."""

from __future__ import annotations

import keyword
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.errors import UnsupportedError
from bridge.ir.foreign import RawAttribute, StoredAttribute
from bridge.ir.graph import Node
from bridge.ir.hints import hint_text

if TYPE_CHECKING:
    from bridge.exporters.python.source_printer import SourcePrinter
    from bridge.exporters.python.tagged import TaggedText

__all__ = ["float32_text", "is_onnx_call", "write_onnx_call"]


def is_onnx_call(n: Node) -> bool:
    """Whether a node is an ONNX operator: its graph says which version of the domain it means."""
    domain = n.kind.partition("::")[0]
    return domain not in ("aten", "prim") and ("" if domain == "onnx" else domain) in n.graph.opsets


def write_onnx_call(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    """Append the call. Raises UnsupportedError, with the node's name, for what has no form in Python."""
    if n.blocks:
        raise _no_form(n, "its graphs have no form in Python")
    domain, _, name = n.kind.partition("::")
    out.add(_operator(p, domain, name)).raw("(")
    inputs = list(n.inputs)
    while inputs and inputs[-1].type is T.NONE:
        inputs.pop()  # trailing omitted inputs mean nothing
    delimiter = ""
    for v in inputs:
        out.raw(delimiter).join(p.use(v))
        delimiter = ", "
    for attribute, value in n.attributes.items():
        if attribute == "outputs":
            raise _no_form(n, "the attribute 'outputs' has the name of what says how many results there are")
        text = _attribute(p, n, attribute, value)
        plain = attribute.isidentifier() and attribute.isascii() and not keyword.iskeyword(attribute)
        out.raw(delimiter).add(f"{attribute}={text}" if plain else f"**{{{p.constant(attribute, T.STR)}: {text}}}")
        delimiter = ", "
    if len(n.outputs) != 1:
        out.raw(delimiter).raw(f"outputs={len(n.outputs)}")
    out.raw(")")


def _attribute(p: SourcePrinter, n: Node, name: str, value: Any) -> str:
    if isinstance(value, StoredAttribute):
        return f"stored.{value.name}"
    if isinstance(value, RawAttribute) and value.value is not None:
        return _attribute(p, n, name, value.value)
    if isinstance(value, RawAttribute):
        text = hint_text(value.type) if value.type is not None else None
        if text is not None:
            return p.constant(text, T.STR)
    elif isinstance(value, np.ndarray | str):
        return p.constant(value, None)
    elif isinstance(value, float):
        return float32_text(p, value)
    elif isinstance(value, int):
        return str(int(value))
    elif isinstance(value, list):
        return f"[{', '.join(_attribute(p, n, name, v) for v in value)}]"
    raise _no_form(n, f"attribute '{name}' has no form in Python")


def _no_form(n: Node, why: str) -> UnsupportedError:
    name = n.export_name or (n.outputs[0].debug_name if n.outputs else n.kind)
    return UnsupportedError(f"node '{name}' ({n.kind}): {why}", n.range)


def _operator(p: SourcePrinter, domain: str, name: str) -> str:
    parts = domain.split(".")
    usual = all(q.isidentifier() and q.isascii() and not keyword.iskeyword(q) and q[0].islower() for q in parts)
    head = f"ops.{domain}" if usual else f"ops.domain({p.constant(domain, T.STR)})"
    if name.isidentifier() and name.isascii() and name[0].isupper() and not keyword.iskeyword(name):
        return f"{head}.{name}"
    return f"{head}.operator({p.constant(name, T.STR)})"


def float32_text(p: SourcePrinter, value: float) -> str:
    """The shortest text of an attribute, whose values are single precision."""
    if not math.isfinite(value):
        return p.constant(value, T.FLOAT)
    single = np.float32(value)
    if float(single) != value:
        return repr(value)
    text = np.format_float_positional(single, trim="0")
    return text if len(text) <= 18 else np.format_float_scientific(single, trim="0")
