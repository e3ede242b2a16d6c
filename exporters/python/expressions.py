"""Right-hand sides: one function per node kind that torch spells specially, and the operators' call."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bridge.exporters.python.onnx_calls import is_onnx_call, write_onnx_call
from bridge.ir import types as T
from bridge.ir.classes import ClassType, FunctionType, InterfaceType
from bridge.ir.errors import IRError, UnsupportedError
from bridge.ir.graph import Node, Value
from bridge.ir.literals import can_infer_element, literal, quoted
from bridge.ir.node_schema import schema_of
from bridge.ir.passes.constants import must_be_none
from bridge.ir.schema import Argument, Schema

if TYPE_CHECKING:
    from bridge.exporters.python.source_printer import SourcePrinter
    from bridge.exporters.python.tagged import TaggedText

__all__ = ["is_default", "is_identifier", "needed_arguments", "operator_name", "write_expression"]

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_NAMES = {"aten::backward": "torch.autograd.backward", "aten::grad": "torch.autograd.grad"}


def is_identifier(name: str) -> bool:
    """Whether the text may stand as a name."""
    return _IDENTIFIER.fullmatch(name) is not None


def write_expression(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    """Append the text of what a node computes."""
    writer = _WRITERS.get(n.kind)
    if writer is not None:
        writer(p, out, n)
    elif is_onnx_call(n):
        write_onnx_call(p, out, n)
    else:
        _call(p, out, n)


def _constant(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    t = n.output.type
    if isinstance(t, FunctionType):
        p.depend_on(t.function)
        out.add(p.annotation(t))
    elif must_be_none(n.output):
        out.raw("None")
    else:
        out.add(p.constant(n.attributes.get("value"), t))


def _implicit(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    out.raw("annotate(").add(p.annotation(n.output.type)).raw(", ").join(p.use(n.input)).raw(")")


def _function_like(name: str) -> Callable[[SourcePrinter, TaggedText, Node], None]:
    def write(p: SourcePrinter, out: TaggedText, n: Node) -> None:
        out.joined(p.uses(n.inputs), f"{name}(", ")")

    return write


def _getitem(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    name = str(p.use(n.inputs[0]))
    if is_identifier(name):
        out.add(name)
    else:
        out.raw("(").add(name).raw(")")
    out.raw("[").join(p.use(n.inputs[1])).raw("]")


def _tuple(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    t = n.output.type
    if isinstance(t, T.TupleType) and t.name:
        out.add(p.annotation(t))
    out.joined(p.uses(n.inputs), "(", ",)" if len(n.inputs) == 1 else ")")


def _tuple_index(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    out.raw("(").join(p.use(n.inputs[0])).raw(")[").join(p.use(n.inputs[1])).raw("]")


def _tuple_slice(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    out.raw("(").join(p.use(n.input)).raw(f")[{n['beg']}:{n['end']}]")


def _list(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    t = n.output.type
    if not isinstance(t, T.ListType):
        raise IRError(f"prim::ListConstruct makes a list, not {t}", n.range)
    if not n.inputs:
        out.raw("annotate(").add(p.annotation(t)).raw(", [])")
    elif not can_infer_element(t.element):
        out.raw("annotate(").add(p.annotation(t)).raw(", ").joined(p.uses(n.inputs), "[", "]").raw(")")
    else:
        out.joined(p.uses(n.inputs), "[", "]")


def _dict(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    t = n.output.type
    if not isinstance(t, T.DictType):
        raise IRError(f"prim::DictConstruct makes a dict, not {t}", n.range)
    annotated = not n.inputs or not can_infer_element(t.key) or not can_infer_element(t.value)
    if annotated:
        out.raw("annotate(").add(p.annotation(t)).raw(", ")
    out.raw("{")
    delimiter = ""
    for key, value in zip(n.inputs[::2], n.inputs[1::2], strict=True):
        out.raw(delimiter).join(p.use(key)).raw(": ").join(p.use(value))
        delimiter = ", "
    out.raw("}")
    if annotated:
        out.raw(")")


def _create_object(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    name = p.annotation(n.output.type)
    out.add(name).raw(".__new__(").add(name).raw(")")


def _get_attribute(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    field = n["name"]
    if is_identifier(field):
        out.join(p.use(n.inputs[0])).raw(".").add(field)
    else:
        out.raw("getattr(").join(p.use(n.inputs[0])).raw(", ").add(quoted(field)).raw(")")


def _arguments(p: SourcePrinter, out: TaggedText, values: Sequence[Value]) -> None:
    for v in values:
        out.join(p.use(v)).raw(", ")
    out.raw(")")


def _call_function(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    out.join(p.use(n.inputs[0])).raw("(")
    _arguments(p, out, n.inputs[1:])


def _call_method(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    owner = n.inputs[0]
    out.raw("(").join(p.use(owner)).raw(")").raw(".").add(n["name"]).raw("(")
    _arguments(p, out, n.inputs[1:])
    if not isinstance(owner.type, ClassType | InterfaceType):
        raise IRError(f"a method is called on a {owner.type}", n.range)
    p.depend_on(owner.type)


def _unwrap_optional(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    operator_name(out, n)
    out.raw("(")
    if must_be_none(n.input):
        t = p.annotation(T.optional(n.output.type))
        out.raw("annotate(").add(t).raw(", ").join(p.use(n.input)).raw(")")
    else:
        out.join(p.use(n.input))
    out.raw(")")


def _unchecked_cast(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    out.raw("unchecked_cast(").add(p.annotation(n.output.type)).raw(", ").join(p.use(n.input)).raw(")")


def _uninitialized(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    out.raw("uninitialized(").add(p.annotation(n.output.type)).raw(")")


def _isinstance(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    names = [p.annotation(t) for t in n["types"]]
    out.raw("isinstance(").join(p.use(n.input)).raw(", ")
    out.add(names[0] if len(names) == 1 else f"({', '.join(names)})").raw(")")


def _tolist(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    out.raw("annotate(").add(p.annotation(n.output.type)).raw(", ").join(p.use(n.inputs[0])).raw(".tolist()").raw(")")


def _member(name: str) -> Callable[[SourcePrinter, TaggedText, Node], None]:
    def write(p: SourcePrinter, out: TaggedText, n: Node) -> None:
        out.raw("(").join(p.use(n.input)).raw(f").{name}")

    return write


def _python_call(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    if p.importable:
        raise IRError(
            f"Could not export Python function call '{n.attributes.get('name', '')}'. "
            "Remove calls to Python functions before export.",
            n.range,
        )
    out.raw("^").add(n.attributes.get("name", "")).add(f"({n.attributes.get('scalar_args', '')})")
    out.joined(p.uses(n.inputs), "(", ")")


_WRITERS: dict[str, Callable[[SourcePrinter, TaggedText, Node], None]] = {
    "prim::Constant": _constant,
    "prim::PythonOp": _python_call,
    "prim::Uninitialized": _uninitialized,
    "aten::ScalarImplicit": _implicit,
    "aten::FloatImplicit": _implicit,
    "aten::IntImplicit": _implicit,
    "aten::ComplexImplicit": _implicit,
    "aten::Int": _function_like("int"),
    "aten::Float": _function_like("float"),
    "aten::Bool": _function_like("bool"),
    "aten::str": _function_like("str"),
    "aten::sorted": _function_like("sorted"),
    "prim::Print": _function_like("print"),
    "aten::__getitem__": _getitem,
    "prim::TupleConstruct": _tuple,
    "prim::TupleIndex": _tuple_index,
    "prim::TupleSlice": _tuple_slice,
    "prim::ListConstruct": _list,
    "prim::DictConstruct": _dict,
    "prim::CreateObject": _create_object,
    "prim::GetAttr": _get_attribute,
    "prim::CallFunction": _call_function,
    "prim::CallMethod": _call_method,
    "aten::_unwrap_optional": _unwrap_optional,
    "prim::unchecked_unwrap_optional": _unchecked_cast,
    "prim::unchecked_cast": _unchecked_cast,
    "prim::isinstance": _isinstance,
    "prim::tolist": _tolist,
    "prim::EnumValue": _member("value"),
    "prim::EnumName": _member("name"),
}


# -- operators ---------------------------------------------------------------------------------------------------------


def operator_name(out: TaggedText, n: Node) -> None:
    kind = n.kind
    namespace, _, name = kind.partition("::")
    if kind in _NAMES:
        out.add(_NAMES[kind])
        return
    # What a file calls its operators and attributes must not become code.
    for word in (*namespace.split("."), name, *n.attributes):
        if not word.isidentifier() or (keyword.iskeyword(word) and namespace != "aten"):
            raise UnsupportedError(f"{kind}: {word!r} is no name in Python", n.range)
    if namespace == "aten":
        out.raw("torch.").add(name)
    else:
        out.raw("ops.").add(namespace).raw(".").add(name)


def _call(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    operator_name(out, n)
    out.raw("(")
    schema = schema_of(n)
    if schema is None:
        _undeclared_arguments(p, out, n)
    else:
        _declared_arguments(p, out, n, schema)
    out.raw(")")


def _undeclared_arguments(p: SourcePrinter, out: TaggedText, n: Node) -> None:
    """Inputs by position, then attributes by name (``ops.onnx.Gemm(x, w, transB=1)``)."""
    delimiter = ""
    for v in n.inputs:
        out.raw(delimiter).join(p.use(v))
        delimiter = ", "
    for name, value in n.attributes.items():
        out.raw(delimiter).raw(f"{name}=").add(p.constant(value, None))
        delimiter = ", "


def _declared_arguments(p: SourcePrinter, out: TaggedText, n: Node, schema: Schema) -> None:
    arguments = schema.arguments
    needed, outs = needed_arguments(arguments, n.inputs)
    delimiter = ""
    for i in range(needed if arguments else len(n.inputs)):
        out.raw(delimiter)
        delimiter = ", "
        use = p.argument(arguments[i], n.inputs[i]) if i < len(arguments) else p.use(n.inputs[i])
        if i < len(arguments) and arguments[i].kwarg_only:
            out.add(arguments[i].name).raw("=")
        out.join(use)
    for i in range(len(arguments) - outs, len(arguments)):
        out.raw(", ").add(arguments[i].name).raw("=").join(p.use(n.inputs[len(n.inputs) - (len(arguments) - i)]))


def needed_arguments(arguments: Sequence[Argument], inputs: Sequence[Value]) -> tuple[int, int]:
    """(how many leading arguments must be written, how many trailing ``out`` arguments there are).

    Trailing arguments whose value is the default are left out.
    """
    outs = 0
    for a in reversed(arguments):
        if not (a.kwarg_only and a.writes):
            break
        outs += 1
    if len(arguments) < len(inputs):
        return len(inputs), outs
    for i in range(len(arguments) - outs - 1, -1, -1):
        if not arguments[i].has_default or not is_default(inputs[i], arguments[i]):
            return i + 1, outs
    return 0, outs


def is_default(v: Value, argument: Argument) -> bool:
    n = v.node
    if n.kind != "prim::Constant" or isinstance(v.type, FunctionType):
        return False
    value = None if must_be_none(v) else n.attributes.get("value")
    default = argument.default
    if isinstance(value, list) and not isinstance(default, list) and argument.size is not None:
        default = [default] * argument.size
    return _same(value, default)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and isinstance(a, bool | int | float | complex | str | type(None)) and a == b


def constant_text(value: Any, t: T.Type | None, special: Any, annotate: Callable[[T.Type], str]) -> str:
    """A constant in printed Python; NamedTuples with their name."""
    return literal(value, t, special, annotate)
