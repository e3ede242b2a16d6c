"""Printing functions and classes as Python, byte for byte as torch's serializer does.

One :class:`SourcePrinter` prints one text: the ``.code`` of one function, or one file of an archive. It keeps the table
of tensor constants (``CONSTANTS.c0``), the named types that the text refers to, and where each part came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from bridge.exporters.python.classes import write_named_type
from bridge.exporters.python.expressions import constant_text, write_expression
from bridge.exporters.python.inlining import inlined_nodes
from bridge.exporters.python.statements import write_node
from bridge.exporters.python.tagged import TaggedText, TypeNames, annotation
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, InterfaceType, ScriptObject
from bridge.ir.graph import Block, Node, Value
from bridge.ir.schema import Argument
from bridge.ir.source import SourceRange

__all__ = ["SourcePrinter", "print_function"]

_RESERVED = frozenset(
    """
    _ as aten attribute CONSTANTS fork getattr inf nan infj nanj ops __torch__ and assert async await break class
    continue def del elif else except False finally for from global if import in is lambda None nonlocal not or pass
    raise return True try with while yield uninitialized unchecked_cast
    """.split()
)
#: An expression that makes the line this long is taken apart.
_LONG_LINE = 40


class SourcePrinter:
    """Prints functions and named types one after the other.

    ``constants`` receives the tensors that the text refers to as ``CONSTANTS.cN``; ``dependencies`` the classes,
    interfaces, enums, NamedTuples and functions it mentions, each once, in order. ``type_name`` may give types other
    names. With ``importable``, what could not be compiled again is refused with an IRError.
    ``text`` is the result and ``ranges`` the (byte offset, source range) pairs of its parts.
    """

    def __init__(
        self,
        constants: list[Any] | None = None,
        dependencies: list[Any] | None = None,
        type_name: TypeNames | None = None,
        importable: bool = False,
    ) -> None:
        self.constants = constants if constants is not None else []
        self.dependencies = dependencies if dependencies is not None else []
        self.type_name, self.importable = type_name, importable
        self.level = 0
        self.current: list[SourceRange | None] = [None]
        self.body = TaggedText(self.current)
        self.inlined: set[Node] = set()
        #: Values of Union and Optional types whose type the text has stated.
        self.declared: set[Value] = set()
        self._noted = set(map(_identity, self.dependencies))
        self._seen_constants: set[Node] = set()
        self._names: dict[Value, str] = {}
        self._expressions: dict[Value, TaggedText] = {}
        self._used: set[str] = set()
        # Runs on across the functions of one text, so that later functions number their names on.
        self._next_suffix: dict[str, int] = {}
        self._split: dict[Node, int] = {}

    @property
    def text(self) -> str:
        return str(self.body)

    @property
    def ranges(self) -> list[tuple[int, SourceRange | None]]:
        return self.body.ranges

    # -- what is printed -----------------------------------------------------------------------------------------------

    def print_type(self, t: T.Type | Function) -> None:
        """Append the definition of a class, interface, enum, NamedTuple or function."""
        if isinstance(t, Function):
            self.print_function(t)
        else:
            write_named_type(self, t)

    def print_function(self, function: Function, first_type: bool = True) -> None:
        """Append a function; ``first_type`` says whether the first argument's type is written (not for ``.code``)."""
        schema, graph = function.schema, function.graph
        self._used.clear()
        with self.at_range(graph.param_node.range):
            self.indent().raw("def ").add(function.name).raw("(")
            for i, (a, v) in enumerate(zip(schema.arguments, graph.inputs, strict=True)):
                self.depend_on_types(a.type)
                name = self.unique_name(a.name if a.name.isidentifier() else _identifier(a.name))
                if i == 0:
                    self.body.add(name)
                    if first_type:
                        self.declared.add(v)
                        self.body.raw(": ").add(self.annotation(a.type))
                else:
                    self.declared.add(v)
                    self.body.raw(",\n    ").add(name).raw(": ").add(self.annotation(a.type))
                if a.has_default:
                    self.body.raw("=").add(self.default(a))
                self._names[v] = name
            returned = schema.returns[0].type
            self.body.raw(") -> ").add(self.annotation(returned)).raw(":\n")
            self.depend_on_types(returned)
            self.print_body(graph.block)

    def print_body(self, block: Block) -> None:
        """Append the statements of a function: constants too long for their place first."""
        constants: list[Node] = []
        self._collect_constants(block, constants)
        inlined_nodes(block, self.inlined)
        with self.indented():
            for n in constants:
                write_node(self, n, True)
            self.print_block(block, bool(block.outputs))
            write_node(self, block.return_node, False)

    def print_block(self, block: Block, more_follows: bool) -> None:
        """Append the nodes of a block, or ``pass`` when nothing at all would stand there."""
        empty = True
        for n in block.nodes:
            empty = False
            write_node(self, n, False)
        if empty and not more_follows:
            self.indent().raw("pass\n")

    def _collect_constants(self, block: Block, found: list[Node]) -> None:
        def inputs_of(n: Node) -> None:
            for v in n.inputs:
                if v.node.kind == "prim::Constant" and v.node not in self._seen_constants:
                    self._seen_constants.add(v.node)
                    found.append(v.node)

        for n in block.nodes:
            inputs_of(n)
            for b in n.blocks:
                self._collect_constants(b, found)
        inputs_of(block.return_node)

    # -- the pieces that statements and expressions are made of --------------------------------------------------------

    @contextmanager
    def at_range(self, range: SourceRange | None) -> Iterator[None]:
        """For a ``with`` block, text comes from this source range."""
        self.current.append(range)
        try:
            yield
        finally:
            self.current.pop()

    @contextmanager
    def indented(self) -> Iterator[None]:
        """For a ``with`` block, statements stand one level deeper."""
        self.level += 1
        try:
            yield
        finally:
            self.level -= 1

    def indent(self) -> TaggedText:
        """Append the indentation of a statement; returns the text to go on with."""
        for _ in range(self.level):
            self.body.raw("  ")
        return self.body

    def argument(self, a: Argument, v: Value) -> TaggedText:
        """What an operator is given for one of its arguments."""
        return self.use(v)

    def use(self, v: Value) -> TaggedText:
        """How a value is written where it is used: its name, or the expression that it is inlined as."""
        name = self._names.get(v)
        if name is not None:
            return TaggedText(self.current).add(name)
        return self._expressions[v]

    def uses(self, values: Sequence[Value]) -> list[TaggedText]:
        return [self.use(v) for v in values]

    def assign(self, v: Value, how: str | TaggedText) -> None:
        """From now on, write the value by this name or expression."""
        if isinstance(how, str):
            self._names[v] = how
        else:
            self._expressions[v] = how

    def alias(self, v: Value, other: Value) -> None:
        """From now on, write the value as the other one."""
        name = self._names.get(other)
        if name is None:
            self._expressions[v] = self._expressions[other]
        else:
            # torch stores the text of the name, with the range that is current now.
            self._expressions[v] = TaggedText(self.current).add(name)

    def is_expression(self, v: Value) -> bool:
        """Whether the value stands for an expression or for another value."""
        return v in self._expressions

    def name_values(self, values: Sequence[Value]) -> None:
        """Give values names of their own: after their debug names, or ``_0``, ``_1``…"""
        for v in values:
            self._names[v] = self.unique_name(_identifier(v.debug_name_base) if v.has_debug_name else "_")

    def unique_name(self, candidate: str) -> str:
        """The name itself when it is free, else with the next number."""
        name = candidate
        while name in self._used or name in _RESERVED:
            number = self._next_suffix.get(name, 0)
            self._next_suffix[name] = number + 1
            name = f"{candidate}{number}"
        self._used.add(name)
        return name

    def is_long(self, text: TaggedText) -> bool:
        return text.size + self.level * 2 >= _LONG_LINE

    def stands_alone(self, n: Node) -> bool:
        """Whether a node is a statement even where its result is used once."""
        return False

    def declaration(self, n: Node) -> str:
        """What stands between an attribute that is assigned and its value: the type, where it is declared there."""
        return ""

    def define(self, n: Node, expression: TaggedText | str) -> None:
        """Append ``outputs = expression``."""
        self.name_values(n.outputs)
        self.indent()
        if n.outputs:
            self.body.joined(self.uses(n.outputs)).raw(" = ")
        if isinstance(expression, str):
            self.body.add(expression)
        else:
            self.body.join(expression)
        self.body.raw("\n")

    def expression(self, n: Node) -> TaggedText:
        out = TaggedText(self.current)
        write_expression(self, out, n)
        return out

    def split(self, v: Value) -> None:
        """Give names to an inlined expression that became too long, and to all that must be computed before it."""
        found: list[Value] = []
        (use,) = v.uses
        user, offset = use.user, use.offset
        while True:
            done = self._split.get(user)
            for i in range(offset, -1 if done is None else done, -1):
                earlier = user.inputs[i]
                if earlier.node.kind != "prim::Constant" and earlier.node in self.inlined:
                    found.append(earlier)
            self._split[user] = offset
            if done is not None or user not in self.inlined:
                break
            (use,) = user.output.uses
            user, offset = use.user, use.offset - 1  # the use itself is still being written
        for earlier in reversed(found):
            self.define(earlier.node, self.use(earlier))

    # -- types and constants -------------------------------------------------------------------------------------------

    def annotation(self, t: T.Type) -> str:
        return annotation(t, self.type_name)

    def depend_on(self, t: Any) -> None:
        """Note that the text mentions a class, interface, enum, NamedTuple or function."""
        key = _identity(t)
        if key not in self._noted:
            self._noted.add(key)
            self.dependencies.append(t)

    def depend_on_types(self, t: T.Type) -> None:
        """Note all named types inside a type."""
        if isinstance(t, T.SimpleType | T.TensorType):
            return
        for inside in t.walk():
            named = isinstance(inside, ClassType | InterfaceType | T.EnumType)
            if named or (isinstance(inside, T.TupleType) and inside.name):
                self.depend_on(inside)

    def depend_on_types_of(self, n: Node) -> None:
        """Note all named types of a node's values and attributes."""
        for v in (*n.inputs, *n.outputs):
            self.depend_on_types(v.type)
        for a in n.attributes.values():
            if isinstance(a, T.Type):
                self.depend_on_types(a)
            elif isinstance(a, list) and a and isinstance(a[0], T.Type):
                for t in a:
                    self.depend_on_types(t)

    def constant(self, value: Any, t: T.Type | None) -> str:
        """The text of a constant; tensors, objects and strings beyond ASCII are put into the table."""
        return constant_text(value, t, self._tabled, self.annotation)

    def _tabled(self, value: Any, t: T.Type | None) -> str | None:
        if isinstance(value, bool | int | float | complex | T.EnumValue) or value is None:
            return None
        if isinstance(value, str | list | tuple | dict):
            return None if not _beyond_ascii(value) else f"CONSTANTS.c{self._constant_index(value)}"
        return f"CONSTANTS.c{self._constant_index(value)}"

    def _constant_index(self, value: Any) -> int:
        if not isinstance(value, str | list | tuple | dict | ScriptObject):
            array = np.asarray(value)
            for i, other in enumerate(self.constants):
                if other is value or (hasattr(other, "__array__") and _same_array(array, np.asarray(other))):
                    return i
        self.constants.append(value)
        return len(self.constants) - 1

    def default(self, a: Argument) -> str:
        """The text of an argument's default; a number stands for a list of it where the size is given."""
        value = a.default
        if isinstance(a.type, T.ListType) and isinstance(value, bool | int | float) and a.size is not None:
            value = [value] * a.size
        return self.constant(value, a.type)


def _identity(t: Any) -> Any:
    return t if isinstance(t, T.Type) else id(t)


def _identifier(name: str) -> str:
    """A valid identifier made of any name."""
    text = "".join(c if c == "_" or (c.isascii() and c.isalnum()) else "_" * len(c.encode()) for c in name)
    return f"_{text}" if not text or text[0].isdigit() else text


def _beyond_ascii(value: Any) -> bool:
    if isinstance(value, str):
        return not value.isascii()
    if isinstance(value, dict):
        return any(_beyond_ascii(k) or _beyond_ascii(v) for k, v in value.items())
    return isinstance(value, list | tuple) and any(map(_beyond_ascii, value))


def _same_array(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and bool(np.array_equal(a, b))


def _is_method(function: Function) -> bool:
    arguments = function.schema.arguments
    owner = arguments[0].type if arguments else None
    return isinstance(owner, ClassType) and owner.methods.get(function.name) is function


def print_function(function: Function, constants: list[Any] | None = None, method: bool | None = None) -> str:
    """The ``.code`` of a function or method, as torch prints it.

    ``constants`` receives the tensors that stand as ``CONSTANTS.cN``. ``method`` says whether the type of the first
    argument is left out; by default it is for methods of the class that the first argument has.
    """
    p = SourcePrinter(constants)
    p.print_function(function, first_type=not (_is_method(function) if method is None else method))
    return p.text
