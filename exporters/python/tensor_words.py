"""Operators of tensors as people write them: ``x[:, 1:3]``, ``x.permute(0, 2, 1)``, ``torch.conv2d(x, w, b, stride=2)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bridge.exporters.python.expressions import is_default, operator_name
from bridge.exporters.python.words import primary
from bridge.ir import types as T
from bridge.ir.graph import Node, Value
from bridge.ir.node_schema import schema_of
from bridge.ir.schema import Argument

if TYPE_CHECKING:
    from bridge.exporters.python.file_printer import FilePrinter
    from bridge.exporters.python.tagged import TaggedText

__all__ = ["tensor_in_words"]

#: Methods that take a list as their arguments.
_LISTED = frozenset({"permute", "reshape"})
#: Methods whose arguments stand in their places, up to the first that is a flag.
_METHODS = frozenset(
    "transpose unsqueeze squeeze split chunk mean sum amax amin argmax argmin clone prod cumsum clamp div".split()
) | _LISTED  # fmt: skip
#: Functions whose arguments beyond the tensors are named, where they are not what they are anyway.
_NAMED = frozenset(
    """
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d max_pool1d max_pool2d max_pool3d avg_pool1d
    avg_pool2d avg_pool3d layer_norm batch_norm pad upsample_nearest2d upsample_bilinear2d
    """.split()
)
_FLAGS = ("keepdim", "rounding_mode")
_DEEPEST = 4


def tensor_in_words(p: FilePrinter, out: TaggedText, n: Node) -> bool:
    """Write what a node computes with a tensor in the words of people; False where the plain call will do."""
    namespace, _, name = n.kind.partition("::")
    if namespace != "aten" or not n.inputs or not isinstance(n.inputs[0].type, T.TensorType) or len(n.outputs) != 1:
        return False
    if name in ("slice", "select", "index"):
        return _subscript(p, out, n, name)
    schema = schema_of(n)
    if schema is None or any(a.writes for a in schema.arguments) or len(schema.arguments) != len(n.inputs):
        return False
    if name in _METHODS:
        given = list(zip(schema.arguments[1:], n.inputs[1:], strict=True))
        out.join(primary(p, n.inputs[0])).raw(f".{name}(")
        _arguments(p, out, given, unpacked=name in _LISTED)
        out.raw(")")
        return True
    if name in _NAMED:
        operator_name(out, n)
        out.raw("(")
        _arguments(p, out, list(zip(schema.arguments, n.inputs, strict=True)), named=True)
        out.raw(")")
        return True
    return False


def _arguments(
    p: FilePrinter,
    out: TaggedText,
    given: Sequence[tuple[Argument, Value]],
    named: bool = False,
    unpacked: bool = False,
) -> None:
    """The arguments that are not their defaults; ``named``: those that are no tensors by name."""
    delimiter = ""
    skipped = False
    for a, v in given:
        if a.has_default and is_default(v, a):
            skipped = True
            continue
        tensor = any(isinstance(t, T.TensorType) for t in a.type.walk())
        by_name = skipped or a.kwarg_only or a.name in _FLAGS or (named and not tensor and a.has_default)
        out.raw(delimiter)
        delimiter = ", "
        if by_name:
            out.add(a.name).raw("=")
        inside = _constant(v)
        if isinstance(inside, list) and inside and unpacked and not by_name:
            out.raw(", ".join(map(repr, inside)))
        elif isinstance(inside, list) and inside and all(x == inside[0] for x in inside) and _spread(a, inside):
            out.raw(repr(inside[0]))
        else:
            out.join(p.argument(a, v))


def _spread(a: Argument, value: list[Any]) -> bool:
    """Whether one number stands for the list."""
    return a.size == len(value) or (len(value) == 1 and a.name == "dim" and isinstance(value[0], int))


def _constant(v: Value) -> Any:
    return v.node.attributes.get("value") if v.node.kind == "prim::Constant" else None


def _subscript(p: FilePrinter, out: TaggedText, n: Node, name: str) -> bool:
    values = [_constant(v) for v in n.inputs[1:]]
    if name == "index":
        return _indexed(p, out, n)
    dim = values[0]
    if not isinstance(dim, int) or not -1 <= dim <= _DEEPEST:
        return False
    if name == "select":
        inside = [p.use(n.inputs[2])]
        if not isinstance(values[1], int):
            return False
        text = str(inside[0])
    else:
        start, end, step = values[1:]
        if not all(isinstance(v, int | None) for v in (start, end)) or not isinstance(step, int):
            return False
        if start is None and end is None and step == 1:
            return False
        text = f"{'' if start is None else start}:{'' if end is None else end}"
        text += f":{step}" if step != 1 else ""
    before = "..., " if dim < 0 else ":, " * dim
    out.join(primary(p, n.inputs[0])).raw("[").add(before + text).raw("]")
    return True


def _indexed(p: FilePrinter, out: TaggedText, n: Node) -> bool:
    listed = n.inputs[1].node
    if listed.kind != "prim::ListConstruct" or listed not in p.inlined:
        return False
    *before, index = listed.inputs
    if any(v.type is not T.NONE for v in before) or not isinstance(index.type, T.TensorType):
        return False
    out.join(primary(p, n.inputs[0])).raw("[").raw(":, " * len(before)).join(p.use(index)).raw("]")
    return True
