"""Operators of TorchScript in Python's own words: lists and dicts, numbers, exceptions, what a tensor says of itself.

The texts run in Python and compile again to what they were made of (``assert`` and ``raise`` are one statement).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bridge.exporters.python.tagged import TaggedText
from bridge.ir import types as T
from bridge.ir.graph import Node, Value
from bridge.ir.ops.formatting import specifiers

if TYPE_CHECKING:
    from bridge.exporters.python.file_printer import FilePrinter

__all__ = ["expression_in_words", "extends_list", "has_operator", "primary", "statement_in_words"]

#: Functions of Python, by operator; those of ``math`` are for numbers.
_FUNCTIONS = {
    "prim::min": "min", "prim::max": "max", "prim::abs": "abs", "aten::sum": "sum", "aten::list": "list", "aten::any": "any",
    "aten::all": "all", "aten::round": "round", "aten::abs": "abs",
}  # fmt: skip
_MATH = """
    sqrt floor ceil tanh sin cos tan exp log log2 log10 log1p sinh cosh asin acos atan atan2 fabs copysign gcd isnan isinf
    isfinite hypot pow fmod trunc radians degrees erf erfc gamma lgamma expm1 factorial
""".split()
#: Methods of lists, dicts and texts.
_METHODS = """
    pop insert reverse clear extend remove sort copy count index keys values items get update popitem setdefault append
""".split()
#: What a tensor says of itself without being called.
_PROPERTIES = {"prim::dtype": "dtype", "prim::device": "device"}
_OPERATORS = {
    "aten::__lshift__": "<<", "aten::__rshift__": ">>", "aten::__xor__": "^", "aten::__and__": "&", "aten::__or__": "|",
}  # fmt: skip
#: The same of two lists (not of tensors, whose operators have names).
_OF_LISTS = {"aten::add": "+", "aten::mul": "*", "aten::eq": "==", "aten::ne": "!="}


def outside_quotes(text: str) -> Iterator[tuple[int, str, int]]:
    """The characters of an expression that are in no text: place, character, and how many brackets are around it."""
    depth, quoted, skip = 0, False, False
    for i, c in enumerate(text):
        if skip:
            skip = False
        elif quoted:
            quoted, skip = c != '"', c == "\\"
        elif c == '"':
            quoted = True
        else:
            depth -= c in ")]}"
            yield i, c, depth
            depth += c in "([{"


def has_operator(text: str) -> bool:
    """Whether an expression is made of parts outside of all brackets."""
    return any(c == " " and not depth for _, c, depth in outside_quotes(text))


def primary(p: FilePrinter, v: Value) -> TaggedText:
    """A value that something may be asked of: in parentheses unless it is a name, a call or the like."""
    use = p.use(v)
    text = str(use)
    plain = text.isidentifier() or (text[-1] in ")]" and text[0] not in "([{-" and not has_operator(text))
    if v.node in p.inlined and not plain:
        return TaggedText(p.current).raw("(").join(use).raw(")")
    return use


def expression_in_words(p: FilePrinter, out: TaggedText, n: Node) -> bool:
    """Write what a node computes in Python's words; False where Python has none."""
    namespace, _, name = n.kind.partition("::")
    given = [v.type for v in n.inputs]
    tensors = any(isinstance(t, T.TensorType) for t in given)
    container = bool(given) and isinstance(given[0], T.ListType | T.DictType | type(T.STR))
    if n.kind in _PROPERTIES and len(given) == 1:
        out.join(primary(p, n.inputs[0])).raw(f".{_PROPERTIES[n.kind]}")
    elif n.kind in _OPERATORS and len(given) == 2:
        out.join(p.operand(n.inputs[0])).raw(f" {_OPERATORS[n.kind]} ").join(p.operand(n.inputs[1]))
    elif container and n.kind in _OF_LISTS and len(given) == 2:
        out.join(p.operand(n.inputs[0])).raw(f" {_OF_LISTS[n.kind]} ").join(p.operand(n.inputs[1]))
    elif n.kind == "aten::tensor" and len(given) > 1:
        return _tensor(p, out, n)
    elif tensors and not container:
        return False
    elif n.kind in _FUNCTIONS and namespace in ("prim", "aten"):
        out.joined(p.uses(n.inputs), f"{_FUNCTIONS[n.kind]}(", ")")
    elif n.kind in _SPECIAL:
        _SPECIAL[n.kind](p, out, n)
    elif namespace == "aten" and container and name in _METHODS and isinstance(given[0], T.ListType | T.DictType):
        out.join(primary(p, n.inputs[0])).raw(f".{name}").joined(p.uses(_needed(n)), "(", ")")
    elif (
        namespace == "aten" and name in _MATH and all(t in (T.INT, T.FLOAT, T.NUMBER, T.BOOL) for t in given) and given
    ):
        out.joined(p.uses(n.inputs), f"math.{name}(", ")")
    else:
        return False
    return True


def _needed(n: Node) -> list[Value]:
    """The arguments of a method; ``pop()`` and ``sort()`` without what Python calls otherwise."""
    if n.kind == "aten::sort" and n.inputs[1].node.attributes.get("value") is False:
        return []
    return list(n.inputs[1:])


def _length_of_range(p: FilePrinter, out: TaggedText, n: Node) -> None:
    out.joined(p.uses(n.inputs), "len(range(", "))")


def _place_in_range(p: FilePrinter, out: TaggedText, n: Node) -> None:
    i, start, step = (p.operand(v) for v in n.inputs)
    out.join(start).raw(" + ").join(i).raw(" * ").join(step)


def _contains(p: FilePrinter, out: TaggedText, n: Node) -> None:
    out.join(p.operand(n.inputs[1])).raw(" in ").join(p.operand(n.inputs[0]))


def _slice(p: FilePrinter, out: TaggedText, n: Node) -> None:
    start, end, step = ("" if str(use) == "None" else str(use) for use in p.uses(n.inputs[1:4]))
    out.join(primary(p, n.inputs[0])).raw("[").add(f"{start}:{end}:{step}").raw("]")


def _tensor(p: FilePrinter, out: TaggedText, n: Node) -> bool:
    """A number as a tensor of another one's element type, which it need not fit: what an item is set to."""
    value, dtype = n.inputs[:2]
    if dtype.node.kind != "prim::dtype" or value.type not in (T.INT, T.FLOAT, T.BOOL):
        return False
    exact = ", dtype=torch.float64" if value.type is T.FLOAT else ""
    out.raw("torch.tensor(").join(p.use(value)).raw(f"{exact}).to(").join(p.use(dtype)).raw(")")
    return True


def _format(p: FilePrinter, out: TaggedText, n: Node) -> None:
    out.join(primary(p, n.inputs[0])).joined(p.uses(n.inputs[1:]), ".format(", ")")


def _percent(p: FilePrinter, out: TaggedText, n: Node) -> None:
    """``"%d" % n``; what Python's ``%`` does not know is a field of ``.format``."""
    text, given = n.inputs[0].node.attributes.get("value"), n.inputs[1:]
    if not isinstance(text, str) or "%{" not in text:
        out.join(p.operand(n.inputs[0])).raw(" % ")
        if len(given) == 1:
            out.join(p.operand(given[0]))
        else:
            out.joined(p.uses(given), "(", ")")
        return
    made = given[0].node
    if len(given) == 1 and made.kind == "prim::TupleConstruct" and made in p.inlined:
        given = made.inputs
    elif len(given) == 1 and isinstance(given[0].type, T.TupleType):
        out.raw(p.constant(_as_fields(text), T.STR)).raw(".format(*").join(p.use(given[0])).raw(")")
        return
    out.raw(p.constant(_as_fields(text), T.STR)).joined(p.uses(given), ".format(", ")")


def _as_fields(text: str) -> str:
    """A text with ``%`` as one for ``.format``."""
    parts = []
    for before, how, _ in specifiers(text):
        parts.append(before.replace("{", "{{").replace("}", "}}"))
        if how == "%%":
            parts.append("%")
        elif how.startswith("%{"):
            parts.append(how[1:])
        elif how:
            parts.append("{}" if how == "%s" else f"{{:{how[1:]}}}")
    return "".join(parts)


def _dict_as_list(p: FilePrinter, out: TaggedText, n: Node) -> None:
    """TorchScript's keys, values and items are lists; ``list(…)`` would be another one when it is compiled."""
    out.raw(f"annotate({p.annotation(n.output.type)}, ").join(primary(p, n.input))
    out.raw(f".{n.kind.partition('::')[2]}())")


_SPECIAL: dict[str, Callable[[FilePrinter, TaggedText, Node], None]] = {
    "aten::__range_length": _length_of_range,
    "aten::__derive_index": _place_in_range,
    "aten::__contains__": _contains,
    "aten::slice": _slice,
    "aten::format": _format,
    "aten::percentFormat": _percent,
    "aten::keys": _dict_as_list,
    "aten::values": _dict_as_list,
    "aten::items": _dict_as_list,
}


def extends_list(n: Node) -> bool:
    """Whether a node is ``a += b`` of lists, which no expression of Python says."""
    return n.kind == "aten::add_" and isinstance(n.inputs[0].type, T.ListType)


def statement_in_words(p: FilePrinter, n: Node) -> TaggedText | None:
    """A node whose result nobody uses, as a statement; None where it is an assignment as any other."""
    if any(v.uses for v in n.outputs) or not n.inputs:
        return None
    out = TaggedText(p.current)
    container = isinstance(n.inputs[0].type, T.ListType | T.DictType)
    if n.kind == "prim::RaiseException":
        return _raise(p, out, n)
    if n.kind == "aten::_set_item" and container:
        return out.join(primary(p, n.inputs[0])).raw("[").join(p.use(n.inputs[1])).raw("] = ").join(p.use(n.inputs[2]))
    if n.kind == "aten::Delete" and container:
        return out.raw("del ").join(primary(p, n.inputs[0])).raw("[").join(p.use(n.inputs[1])).raw("]")
    if extends_list(n):
        return out.join(primary(p, n.inputs[0])).raw(".extend(").join(p.use(n.inputs[1])).raw(")")
    if container and n.kind.partition("::")[2] in _METHODS:
        return out if expression_in_words(p, out, n) else None
    return None


#: Exceptions that Python knows by name; what others are called is not a name of the file.
_EXCEPTIONS = """
    AssertionError RuntimeError ValueError TypeError IndexError KeyError NotImplementedError Exception ZeroDivisionError
    AttributeError LookupError ArithmeticError OverflowError StopIteration
""".split()


def _raise(p: FilePrinter, out: TaggedText, n: Node) -> TaggedText:
    message = n.inputs[0]
    text = message.node.attributes.get("value")
    given = n.inputs[1].node.attributes.get("value") if len(n.inputs) > 1 else None
    name = given.removeprefix("builtins.") if isinstance(given, str) else "RuntimeError"
    if given is None and isinstance(text, str) and text.startswith("AssertionError: "):
        return out.raw("raise AssertionError(").add(p.constant(text.removeprefix("AssertionError: "), T.STR)).raw(")")
    if name not in _EXCEPTIONS:
        name = "RuntimeError"
    return out.raw(f"raise {name}(").join(p.use(message)).raw(")")
