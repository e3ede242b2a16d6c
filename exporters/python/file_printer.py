"""Methods as people write them: for Python files that are imported and run, and that the compiler reads as well.

The printer of ``.code`` with other spellings, where those of TorchScript's text mean nothing to Python: ``i + 1`` for
``torch.add(i, 1)``, ``ys.append(y)``, ``self.encoder(x)``, small tensors as literals, and ONNX operators of any name.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from bridge.exporters.python.expressions import write_expression
from bridge.exporters.python.literals import tensor_literal
from bridge.exporters.python.objects import declared_attributes, initialised, making
from bridge.exporters.python.shared_classes import is_indexed
from bridge.exporters.python.source_printer import SourcePrinter
from bridge.exporters.python.tagged import TaggedText
from bridge.exporters.python.tensor_words import tensor_in_words
from bridge.exporters.python.words import (
    expression_in_words,
    extends_list,
    has_operator,
    outside_quotes,
    primary,
    statement_in_words,
)
from bridge.ir import dtypes
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, FunctionType
from bridge.ir.errors import UnsupportedError
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.hints import hint_text
from bridge.ir.literals import WRAPPED, literal
from bridge.ir.passes.constants import operand_value
from bridge.ir.schema import Argument

__all__ = ["FilePrinter", "text_literal"]

#: Names that the file uses itself.
_FILE_NAMES = frozenset(
    """
    Annotated Any Dict List NoneType Optional Path Tensor Tuple Union annotate bool dict float int len list math model nn
    number ops range self stacked stored str super torch tuple
    """.split()
)
_LONG_LINE = 100
#: Lines are broken beyond this; the file indents them once more.
_WIDEST = 112
_INFIX = {
    "aten::lt": "<", "aten::le": "<=", "aten::gt": ">", "aten::ge": ">=", "aten::eq": "==", "aten::ne": "!=",
    "aten::add": "+", "aten::sub": "-", "aten::mul": "*", "aten::div": "/", "aten::floordiv": "//",
    "aten::remainder": "%", "aten::pow": "**", "aten::__and__": "&", "aten::__or__": "|", "aten::__is__": "is",
    "aten::__isnot__": "is not",
}  # fmt: skip
#: The same of tensors, or a tensor and a number.
_TENSOR_INFIX = {
    "aten::add": "+", "aten::sub": "-", "aten::mul": "*", "aten::div": "/", "aten::matmul": "@", "aten::lt": "<",
    "aten::le": "<=", "aten::gt": ">", "aten::ge": ">=", "aten::eq": "==", "aten::ne": "!=", "aten::pow": "**",
}  # fmt: skip
_WITH_ALPHA = ("aten::add", "aten::sub")
_OVERLOADS = ("", "Tensor", "Scalar", "Tensor_Tensor", "Tensor_Scalar")
#: Arguments that a program gives as numbers, and their Python names.
_NUMBERED: dict[str, Callable[[int], str]] = {
    "dtype": lambda code: f"torch.{dtypes.by_code(code).name}",
    "memory_format": (
        "torch.contiguous_format",
        "torch.preserve_format",
        "torch.channels_last",
        "torch.channels_last_3d",
    ).__getitem__,
    "layout": ("torch.strided", "torch.sparse_coo").__getitem__,
}
_PREFIX = {"aten::neg": "-", "aten::__not__": "not "}


class FilePrinter(SourcePrinter):
    """Prints methods for a Python file.

    ``type_name`` gives the names of classes, ``function_name`` those of functions that are called; ``stored`` receives the
    tensors that are too long for the text, by the name that it uses.
    """

    def __init__(
        self,
        type_name: Callable[[T.Type], str | None],
        function_name: Callable[[Function], str],
        stored: dict[str, np.ndarray[Any, Any]],
    ) -> None:
        super().__init__(type_name=type_name)
        self.function_name, self.stored = function_name, stored
        self.attributes: dict[Node, T.Type] = {}
        #: What the model that is printed calls inputs and results, by the names here, where these differ.
        self.file_names: dict[str, str] = {}

    def print_method(self, function: Function, is_method: bool = True) -> str:
        """The ``def`` of a method or function, without indentation."""
        schema, graph = function.schema, function.graph
        self.attributes = declared_attributes(function)
        self._used.clear()
        parts = []
        for i, (a, v) in enumerate(zip(schema.arguments, graph.inputs, strict=True)):
            name = "self" if i == 0 and is_method else self.unique_name(a.name)
            self.declared.add(v)
            self.assign(v, name)
            if i or not is_method:
                default = f" = {self.default(a)}" if a.has_default else ""
                # A function that is given a module: its class stands below, and is told by the call.
                told = isinstance(a.type, ClassType) and a.type.is_module
                parts.append(name if told else f"{name}: {self.input_annotation(a.name, a.type, function)}{default}")
        if is_method:
            parts.insert(0, "self")
        result = self.result_annotation(schema.returns[0].type, graph.output_hints)
        head = f"def {function.name}({', '.join(parts)})"
        if len(head) + len(result) > _LONG_LINE:
            head = f"def {function.name}(\n" + "".join(f"    {p},\n" for p in parts) + ")"
        self.body.raw(f"{head} -> {result}:\n")
        self.print_body(graph.block)
        if is_method and graph.foreign is not None:
            self._note_names(graph, graph.foreign.outputs)
        return "\n".join(map(_wrapped, self.text.split("\n")))

    def _note_names(self, graph: Graph, outputs: Iterable[str]) -> None:
        result = graph.outputs[0]
        results = list(result.node.inputs) if result.node.kind == "prim::TupleConstruct" else [result]
        named = [(v, v.export_name) for v in graph.inputs[1:]]
        for v, name in (*named, *zip(results, outputs, strict=False)):
            here = str(self.use(v))
            if name and here != name and here.isidentifier():
                self.file_names[here] = name

    def input_annotation(self, name: str, t: T.Type, function: Function) -> str:
        """``Annotated[Tensor, "float32[batch, ?]"]`` where more is known than the type."""
        known = function.graph.input_hints.get(name)
        hint = hint_text(known) if known is not None else None
        return self.annotation(t) if hint is None else f'Annotated[{self.annotation(t)}, "{hint}"]'

    def result_annotation(self, t: T.Type, hints: Sequence[T.Type]) -> str:
        """The type of the results, with what is known of each."""
        texts = [hint_text(h) for h in hints]
        if not texts or None in texts:
            return self.annotation(t)
        return f"Annotated[{self.annotation(t)}, {', '.join(text_literal(h) for h in texts if h)}]"

    def print_block(self, block: Block, more_follows: bool) -> None:
        if block.owner is None:  # results keep their names, which are those of the model
            self.inlined -= {v.node for v in block.outputs if v.has_debug_name}
        super().print_block(block, more_follows)

    # -- spellings -----------------------------------------------------------------------------------------------------

    def depend_on_types_of(self, n: Node) -> None:
        """Nothing: what a file mentions is defined when it is first named."""

    def indent(self) -> TaggedText:
        self.body.raw("    " * self.level)
        return self.body

    def unique_name(self, candidate: str) -> str:
        clean = re.sub(r"\W", "_", candidate, flags=re.ASCII)
        if not clean or clean[0].isdigit() or keyword.iskeyword(clean) or clean in _FILE_NAMES:
            clean = f"{clean}_" if clean and not clean[0].isdigit() else f"v{clean}"
        return super().unique_name(clean)

    def is_long(self, text: TaggedText) -> bool:
        return text.size + self.level * 4 >= _LONG_LINE

    def stands_alone(self, n: Node) -> bool:
        return extends_list(n) or n.kind == "prim::CreateObject"

    def declaration(self, n: Node) -> str:
        t = self.attributes.get(n)
        return "" if t is None else f": {self.annotation(t)}"

    def name_values(self, values: Sequence[Value]) -> None:
        """What an imported model does not name usefully is called after the operator that made it."""
        for v in values:
            kind = v.node.kind.rpartition("::")[2].lower()
            if (
                not v.has_debug_name
                and isinstance(v.type, T.TensorType)
                and v.node.graph.opsets
                and kind.isidentifier()
            ):
                self.assign(v, self.unique_name(kind))
            else:
                super().name_values([v])

    def define(self, n: Node, expression: TaggedText | str) -> None:
        statement = statement_in_words(self, n)
        if statement is not None:
            self.indent().join(statement).raw("\n")
        elif n.kind == "prim::CreateObject" and initialised(n) is not None:
            self.name_values(n.outputs)
        elif (made := making(n)) is not None:
            self.indent().join(self.use(made.output)).raw(f" = {self.annotation(made.output.type)}")
            self.body.joined(self.uses(n.inputs[1:]), "(", ")").raw("\n")
        elif extends_list(n):
            self.name_values(n.outputs)
            for sign, given in zip(("=", "+="), n.inputs, strict=True):
                self.indent().join(self.use(n.output)).raw(f" {sign} ").join(self.use(given)).raw("\n")
        elif n.kind == "prim::ListConstruct" and not n.inputs:
            self.name_values(n.outputs)
            self.indent().join(self.use(n.output)).raw(f": {self.annotation(n.output.type)} = []\n")
        elif any(not v.use_count for v in n.outputs) and len(n.outputs) > 1 and n.kind != "prim::If":
            self._define_used(n, expression)
        else:
            super().define(n, expression)

    def _define_used(self, n: Node, expression: TaggedText | str) -> None:
        """Results that nobody uses are called ``_``."""
        for v in n.outputs:
            if v.use_count:
                self.name_values([v])
            else:
                self.assign(v, "_")
        self.indent().joined(self.uses(n.outputs)).raw(" = ").add(str(expression)).raw("\n")

    def expression(self, n: Node) -> TaggedText:
        out = TaggedText(self.current)
        if n.kind in _INFIX and len(n.inputs) == 2 and self._plain(n):
            out.join(self.operand(n.inputs[0])).raw(f" {_INFIX[n.kind]} ").join(self.operand(n.inputs[1]))
        elif _is_infix(n):
            out.join(self.operand(n.inputs[0])).raw(f" {_TENSOR_INFIX[n.kind]} ").join(self.operand(n.inputs[1]))
        elif n.kind in _PREFIX and len(n.inputs) == 1 and (n.kind == "aten::neg" or self._plain(n)):
            out.raw(_PREFIX[n.kind]).join(self.operand(n.inputs[0]))
        elif n.kind == "prim::Constant" and WRAPPED in n.attributes:
            out.raw(self.constant(operand_value(n), None))  # the number: the tensor would promote otherwise
        elif n.kind in _SPELLINGS:
            _SPELLINGS[n.kind](self, out, n)
        elif expression_in_words(self, out, n) or tensor_in_words(self, out, n):
            pass
        else:
            return super().expression(n)
        return out

    def argument(self, a: Argument, v: Value) -> TaggedText:
        """Element types and layouts, which are numbers in a program, by name."""
        value = v.node.attributes.get("value") if v.node.kind == "prim::Constant" else None
        if a.name in _NUMBERED and isinstance(value, int):
            return TaggedText(self.current).add(_NUMBERED[a.name](value))
        return super().argument(a, v)

    @staticmethod
    def _plain(n: Node) -> bool:
        """Whether an operator means in Python what the node means; that of tensors may be an operator of its own."""
        return n.kind in ("aten::__is__", "aten::__isnot__") or not any(
            isinstance(v.type, T.TensorType | T.ListType) for v in n.inputs
        )

    def operand(self, v: Value) -> TaggedText:
        """A value beside an operator: in parentheses where it is made by one itself, or is negative."""
        use = self.use(v)
        text = str(use)
        if text.startswith("-") or (v.node in self.inlined and not text.isidentifier() and has_operator(text)):
            return TaggedText(self.current).raw("(").join(use).raw(")")
        return use

    # -- constants -----------------------------------------------------------------------------------------------------

    def constant(self, value: Any, t: T.Type | None) -> str:
        return literal(value, t, self._special, self.annotation)

    def _store(self, value: np.ndarray[Any, Any]) -> str:
        """What the text calls a tensor that is stored beside it."""
        for name, known in self.stored.items():
            if known is value:
                return f"stored.{name}"
        name = f"constant_{len(self.stored)}"
        self.stored[name] = value
        return f"stored.{name}"

    def _special(self, value: Any, t: T.Type | None) -> str | None:
        if isinstance(value, np.ndarray):
            return tensor_literal(value) or self._store(value)
        if isinstance(value, T.EnumValue):
            return f"{self.annotation(value.type)}.{value.name}"
        if isinstance(value, str) and t is not T.DEVICE:
            return text_literal(value)
        if isinstance(value, float):
            return _float(value)
        return None


def _is_infix(n: Node) -> bool:
    """Whether a tensor's operator is written between its operands: one that compiles to just this."""
    if n.kind not in _TENSOR_INFIX:
        return False
    if not isinstance(n.inputs[0].type, T.TensorType) or n.overload not in _OVERLOADS or len(n.outputs) != 1:
        return False
    alpha = n.inputs[2].node.attributes.get("value") if len(n.inputs) == 3 else 1
    return len(n.inputs) == 2 or (n.kind in _WITH_ALPHA and type(alpha) is int and alpha == 1)


def _float(value: float) -> str:
    if math.isnan(value):
        return "math.nan"
    if math.isinf(value):
        return "math.inf" if value > 0 else "-math.inf"
    return repr(value)


def _wrapped(line: str) -> str:
    """A statement that is too long for a line, broken between the arguments of its outermost call."""
    if len(line) <= _WIDEST or not line.endswith(")"):
        return line
    margin = " " * (len(line) - len(line.lstrip(" ")))
    parts = _arguments(line[len(margin) :])
    if parts is None:
        return line
    head, arguments = parts
    lines, inside = [f"{margin}{head}("], f"{margin}    "
    row = ""
    for a in arguments:
        if row and len(inside) + len(row) + len(a) + 3 > _WIDEST:
            lines.append(f"{inside}{row},")
            row = ""
        row = f"{row}, {a}" if row else a
    return "\n".join([*lines, f"{inside}{row},", f"{margin})"])


def _arguments(text: str) -> tuple[str, list[str]] | None:
    """What stands before the call that ends the text, and the call's arguments; None where that is no call."""
    start = -1
    cuts: list[int] = []
    for i, c, depth in outside_quotes(text):
        if depth == 0 and c in "([{":
            start, cuts = i, []
        elif depth == 1 and c == ",":
            cuts.append(i)
    if start <= 0 or not (text[start - 1].isalnum() or text[start - 1] in "_)]") or not cuts:
        return None
    edges = [start, *cuts, len(text) - 1]
    return text[:start], [text[a + 1 : b].strip() for a, b in pairwise(edges)]


def text_literal(text: str) -> str:
    """A string as Python source: double quotes, nothing in it that a terminal would act on."""
    inside = "".join(_character(c) for c in text)
    return f'"{inside}"'


def _character(c: str) -> str:
    if c in '"\\':
        return f"\\{c}"
    if c.isprintable():
        return c
    code = ord(c)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


# -- statements of TorchScript in Python's words -----------------------------------------------------------------------


def _size(p: FilePrinter, out: TaggedText, n: Node) -> None:
    out.join(p.use(n.inputs[0])).raw(".size(").joined(p.uses(n.inputs[1:])).raw(")")


def _length(p: FilePrinter, out: TaggedText, n: Node) -> None:
    out.joined(p.uses(n.inputs), "len(", ")")


def _call_method(p: FilePrinter, out: TaggedText, n: Node) -> None:
    out.join(p.use(n.inputs[0]))
    owner = n.inputs[0].type
    if n["name"] != "forward" or not (isinstance(owner, ClassType) and owner.is_module):
        out.raw(".").add(n["name"])
    out.joined(p.uses(n.inputs[1:]), "(", ")")


def _call_function(p: FilePrinter, out: TaggedText, n: Node) -> None:
    t = n.inputs[0].type
    if not isinstance(t, FunctionType):
        raise UnsupportedError("a function value is called that is not known")
    out.add(p.function_name(t.function)).joined(p.uses(n.inputs[1:]), "(", ")")


def _to(p: FilePrinter, out: TaggedText, n: Node) -> None:
    values = [v.node.attributes.get("value") for v in n.inputs[1:]]
    if n.overload == "dtype" and isinstance(values[0], int) and values[1:] == [False, False, None]:
        out.join(primary(p, n.inputs[0])).raw(f".to({_NUMBERED['dtype'](values[0])})")
    else:
        write_expression(p, out, n)


def _attribute(p: FilePrinter, out: TaggedText, n: Node) -> None:
    owner = n.inputs[0].type
    if isinstance(owner, ClassType) and is_indexed(owner):
        out.join(p.use(n.inputs[0])).raw("[").add(str(int(n["name"]))).raw("]")
    else:
        write_expression(p, out, n)


_SPELLINGS: dict[str, Callable[[FilePrinter, TaggedText, Node], None]] = {
    "aten::size": _size,
    "aten::len": _length,
    "aten::to": _to,
    "prim::CallMethod": _call_method,
    "prim::GetAttr": _attribute,
    "prim::CallFunction": _call_function,
}
