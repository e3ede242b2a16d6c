"""What the parts of the emitter share: its state, the makers of nodes, and what each part offers to the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bridge.importers.script import tree as X
from bridge.importers.script.annotations import parse_type
from bridge.importers.script.environment import Frame, meaningful_name
from bridge.importers.script.errors import CompileError
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.statics import brought_in
from bridge.importers.script.sugared import Resolver, SugaredValue
from bridge.ir import types as T
from bridge.ir.classes import Capture, ClassType, Function
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.schema import Argument
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.conditions import Condition, Refinements
    from bridge.importers.script.configured import Attribute
    from bridge.importers.script.sugared import SpecialForm
    from bridge.importers.script.templates import Template

__all__ = ["Captured", "Definition", "EmitterCore"]

#: A variable of the function around a template: whose, its name, the comprehensions it may be of, what it is.
Captured = tuple["EmitterCore", str, tuple[Frame, ...], SugaredValue]


class Definition:
    """The return type of the definition that is being emitted: as annotated, and merged from the returns seen."""

    __slots__ = ("declared", "merged")

    def __init__(self) -> None:
        self.declared: T.Type | None = None
        self.merged: T.Type | None = None


class EmitterCore(ABC):
    """Base of the emitter's parts."""

    def __init__(
        self,
        function: Function,
        graph: Graph,
        resolver: Resolver,
        optionals: Mapping[X.Stmt | X.Expr, T.Type] | None = None,
    ) -> None:
        self.function, self.graph, self.resolver = function, graph, resolver
        #: Assignments of None → the Optional type that the variable needs.
        self.optionals: Mapping[X.Stmt | X.Expr, T.Type] = optionals or {}
        #: Loops → variables that they assign first and that are used behind them.
        self.late: Mapping[X.Stmt, Mapping[str, T.Type]] = {}
        #: Names from outside that mean the same wherever they stand.
        self.fixed_names: dict[str, SugaredValue] = {}
        #: Such variables → the variable that says whether they have a value, the frame of the loop.
        self.late_names: dict[str, tuple[str, Frame]] = {}
        #: Variables of loops that have ended.
        self.loop_variables: dict[str, tuple[X.Stmt, T.Type]] = {}
        #: Lists and dicts that started empty without a type, by value → the assignment; what was taken out of such a dict → it.
        self.empty_values: dict[Value, X.Assign] = {}
        self.empty_items: dict[Value, Value] = {}
        #: Variables of the loops around that some of their branches assign.
        self.partial: dict[str, T.Type] = {}
        #: Whether what TorchScript refused is tried as Python means it, and whether there was something that it may mean.
        self.as_python = self.may_differ = False
        #: Whether branches that constants never take are left out; else the conditions that could tell, and in how many of
        #: their branches we are.
        self.configured = False
        self.configurable: list[frozenset[Attribute]] = []
        self.inside_configurable = 0
        #: Whether an operand of ``and``, ``or`` was an Optional, of which TorchScript makes no bool.
        self.optional_operands = False
        #: The assignments of None that were emitted.
        self.nones: list[X.Stmt | X.Expr] = []
        self.inner_functions: dict[str, int] = {}  # how many of each name were made
        #: The names that the definition assigns.
        self.locals: frozenset[str] = frozenset()
        #: When a template is compiled: it, the emitter of the call, and the value of a variable that the call must bring.
        self.template: Template | None = None
        self.caller: EmitterCore | None = None
        self._reached: dict[tuple[EmitterCore, str], SugaredValue] = {}
        self._captured: list[tuple[EmitterCore, str, tuple[Frame, ...]]] = []
        #: What ``self`` is, in a method.
        self.this: SugaredValue | None = None
        self.exit_blocks: set[Block] = set()
        self.definitions: list[Definition] = []
        self.loop_status = ""
        self._frame: Frame | None = None
        self._constants: dict[tuple[type, Any], Value] = {}
        self._temporaries = 0
        #: The arguments of a template, made as they are needed.
        self.arguments_made: list[Argument] = []
        self.nonlocals: Sequence[str] = ()
        #: The values from outside that were taken as constants.
        self.captures: list[Capture] = []
        #: Nodes that make lists captured from outside the program: the program may only read them.
        self.captured: list[Node] = []

    # -- frames and nodes --------------------------------------------------------------------------------------

    @property
    def frame(self) -> Frame:
        assert self._frame is not None
        return self._frame

    def push(self, block: Block) -> Frame:
        self._frame = Frame(self, block, self._frame)
        return self._frame

    def pop(self) -> Frame:
        frame = self.frame
        self._frame = frame.next
        return frame

    def node(
        self, kind: str, inputs: Sequence[Value], outputs: int, range: SourceRange | None, **attributes: Any
    ) -> Node:
        """Create and place a node. Nodes have a range only where torch's have one."""
        n = self.graph.create(kind, inputs, outputs, **attributes)
        n.range = range
        return self.graph.insert(n)

    def get_attr(self, this: Value, name: str) -> Value:
        """``prim::GetAttr``, named after the attribute."""
        assert isinstance(this.type, ClassType)
        output = self.node("prim::GetAttr", [this], 1, None, name=name).output
        output.type = this.type.attributes[name].type
        output.set_debug_name(_attribute_value_name(name))
        return output

    def unread(self, names: Sequence[str]) -> None:
        """One node for the constants and attributes that torch reads by these names and nobody uses.

        Its values have their numbers and names, also where it is copied.
        """
        node = self.node("prim::Uninitialized", (), 0, None)
        for name in names:
            node.add_output()
            node.add_output().set_debug_name(_attribute_value_name(name))

    def tuple_index(self, value: Value, index: Value, type: T.Type) -> Value:
        output = self.node("prim::TupleIndex", [value, index], 1, None).output
        output.type = type
        return output

    def unchecked_cast(self, value: Value, type: T.Type) -> Value:
        output = self.node("prim::unchecked_cast", [value], 1, None).output
        output.type = type
        return output

    def uninitialized(self, type: T.Type) -> Node:
        """An unplaced ``prim::Uninitialized``."""
        n = self.graph.create("prim::Uninitialized")
        n.range = None
        n.output.type = type
        return n

    def plain_constant(self, value: Any, range: SourceRange | None) -> Value:
        """A constant of a Python value of a live program (dtypes are numbers, devices have their own type)."""
        code = getattr(value, "code", None)
        if type(value).__name__ == "DType" and isinstance(code, int):
            return insert_constant(self.graph, code, range)
        if type(value).__name__ == "device":
            return insert_constant(self.graph, str(value), None, T.DEVICE)
        return insert_constant(self.graph, value, range)

    def number(self, value: complex, range: SourceRange) -> Value:
        """The constant of a number; one per value, at the top of the graph."""
        key = (type(value), value)
        found = self._constants.get(key)
        if found is None:
            first = next(iter(self.graph.block.nodes), None)
            with self.graph.inserting(first if first is not None else self.graph.block):
                found = self._constants[key] = insert_constant(self.graph, value, range)
        return found

    # -- templates ---------------------------------------------------------------------------------------------

    def bring_in(self, given: SugaredValue, name: str) -> SugaredValue:
        """What belongs to the caller's graph, as arguments of this one."""
        return brought_in(given, lambda v: self._parameter(v, name), self._copied_constant)

    def _parameter(self, v: Value, name: str) -> Value:
        value = self.graph.block.add_input("", T.unshaped(v.type))
        if meaningful_name(name):
            value.set_debug_name(name)
        self.arguments_made.append(Argument(f"{name.lstrip('$')}_{len(self.arguments_made)}", value.type))
        return value

    def _copied_constant(self, v: Value) -> Value:
        return insert_constant(self.graph, v.node.attributes.get("value"), v.node.range)

    def outer_value(self, name: str, range: SourceRange) -> SugaredValue | None:
        """A variable of the function around the template that is being compiled."""
        t = self.template
        if t is None or t.owner is None:
            return None
        if name in self.locals:
            raise self.frame.not_found(name, range)
        key = (t.owner, name)
        if key not in self._reached:
            found = self.reach(t.owner, name, range, t.scopes)
            if found is None:
                return None
        return self._reached[key]

    def reach(
        self, owner: EmitterCore, name: str, range: SourceRange, scopes: Sequence[Frame] = ()
    ) -> SugaredValue | None:
        """A variable of an emitter that this one's call is in, brought here."""
        if self is owner:
            return self._variable(name, range, scopes)
        key = (owner, name)
        if key not in self._reached:
            assert self.caller is not None
            found = self.caller.reach(owner, name, range, scopes)
            if found is None:
                return None
            first = self.graph.block.param_node.next
            assert first is not None
            with self.graph.inserting(first):
                self._reached[key] = self.bring_in(found, name)
            self._captured.append((owner, name, tuple(scopes)))
        return self._reached[key]

    def _variable(self, name: str, range: SourceRange, scopes: Sequence[Frame]) -> SugaredValue | None:
        frame: Frame | None = self.frame
        while frame is not None:
            found = frame.find_here(name)
            if found is not None:
                if frame.is_comprehension and frame not in scopes:
                    raise CompileError(f"{name} means another variable inside the called function: rename one", range)
                return found
            frame = frame.next
        return self.outer_value(name, range)

    def captured_variables(self) -> list[Captured]:
        """What was brought in beside the arguments, in the order of the arguments it became."""
        return [(owner, name, scopes, self._reached[owner, name]) for owner, name, scopes in self._captured]

    def assign_nonlocal(self, range: SourceRange, name: str, value: Value) -> None:
        """Take back the new value of a variable that a function inside this one assigned."""
        self.frame.set_value(range, name, value)

    @contextmanager
    def in_loop(self, status: str) -> Iterator[None]:
        """For a ``with`` block, be inside a loop (``"loop"``, ``"unrolled"``) or not (``""``)."""
        before, self.loop_status = self.loop_status, status
        try:
            yield
        finally:
            self.loop_status = before

    def list_of(self, values: Sequence[Value]) -> Value:
        """A list of values of one type."""
        output = self.node("prim::ListConstruct", values, 1, None).output
        output.type = T.ListType(values[0].type)
        return output

    def temporary(self, prefix: str) -> str:
        name = f"{prefix}{self._temporaries}"
        self._temporaries += 1
        return name

    def type_of(self, e: X.Expr) -> T.Type:
        """The type of a type expression."""
        return parse_type(e, self.resolver)

    def raise_unless(self, flag: str, message: str, range: SourceRange) -> None:
        """Emit the check of a variable that says whether another has a value."""
        value = X.Apply(range, X.Var(range, "$UnboundLocalError"), [X.StringLit(range, message)], [])
        test = X.UnaryOp(range, "not", X.Var(range, flag))
        self.branches(range, self.condition(test), [X.Raise(range, value)], [])

    # -- what the parts offer to each other (see each) ---------------------------------------------------------

    @abstractmethod
    def emit_statements(self, body: Sequence[X.Stmt]) -> None: ...

    @abstractmethod
    def emit_inner(self, d: X.Def, block: Block) -> Value: ...

    @abstractmethod
    def expr(self, e: X.Expr, hint: T.Type | None = None) -> Value: ...

    @abstractmethod
    def sugared(self, e: X.Expr, binders: int, hint: T.Type | None = None) -> SugaredValue: ...

    @abstractmethod
    def arguments(self, es: Sequence[X.Expr], unpack: bool = True) -> list[Named]: ...

    @abstractmethod
    def values(self, es: Sequence[X.Expr]) -> list[Value]: ...

    @abstractmethod
    def check_count(self, e: X.Apply, least: int, most: int | None = None) -> None: ...

    @abstractmethod
    def special_form(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue: ...

    @abstractmethod
    def condition(self, e: X.Expr) -> Condition: ...

    @abstractmethod
    def if_expression(
        self, range: SourceRange, condition: Condition, then: Callable[[], Value], other: Callable[[], Value]
    ) -> Value: ...

    @abstractmethod
    def chosen_function(self, e: X.Ternary) -> SugaredValue | None: ...

    @abstractmethod
    def operand(self, e: X.BinOp) -> Value: ...

    @abstractmethod
    def refine(self, range: SourceRange, refinements: Refinements) -> None: ...

    @abstractmethod
    def to_bool(self, range: SourceRange, v: Value) -> Value: ...

    @abstractmethod
    def has_attribute(self, object: X.Expr, name: X.Expr) -> Condition: ...

    @abstractmethod
    def is_instance(self, object: X.Expr, classes: X.Expr) -> Condition: ...

    @abstractmethod
    def for_each(self, target: X.Expr, iter: X.Expr, range: SourceRange, body: Callable[[], None]) -> None: ...

    @abstractmethod
    def branches(
        self, range: SourceRange, condition: Condition, then: Sequence[X.Stmt], other: Sequence[X.Stmt]
    ) -> None: ...

    @abstractmethod
    def check_targets(self, targets: Sequence[X.Expr], range: SourceRange) -> bool: ...

    @abstractmethod
    def assign_each(
        self, targets: Sequence[X.Expr], values: Sequence[SugaredValue], range: SourceRange, binders: int
    ) -> None: ...

    @abstractmethod
    def subscript(self, e: X.Subscript, hint: T.Type | None) -> SugaredValue: ...

    @abstractmethod
    def whole_power(self, base: Named, exponent: Named, range: SourceRange) -> Value | None: ...

    @abstractmethod
    def index_steps(self, range: SourceRange, value: Value, indices: Sequence[X.Expr]) -> tuple[Value, list[Value]]: ...

    @abstractmethod
    def index_list(self, tensors: Sequence[Value]) -> Value: ...

    @abstractmethod
    def more_operators(self, op: str, a: Named, b: Named, range: SourceRange) -> Value | None: ...

    @abstractmethod
    def binary_operator(self, op: str, a: Named, b: Named, range: SourceRange) -> Value: ...

    @abstractmethod
    def spread(self, callee: SugaredValue, es: Sequence[X.Expr]) -> list[Named] | None: ...

    @abstractmethod
    def joined_list(self, e: X.ListLit, hint: T.Type | None) -> Value: ...

    @abstractmethod
    def formatted(self, e: X.Formatted) -> Value: ...

    @abstractmethod
    def known_text(self, e: X.Expr) -> str | None: ...

    @abstractmethod
    def joined_text(self, values: Sequence[Value], separator: str, range: SourceRange) -> Value: ...

    @abstractmethod
    def format_call(
        self, text: str, args: Sequence[Named], keywords: Sequence[Named], range: SourceRange
    ) -> Value | None: ...

    @abstractmethod
    def keyword_arguments(self, es: Sequence[X.Keyword]) -> list[Named]: ...

    @abstractmethod
    def list_literal(self, e: X.ListLit, hint: T.Type | None, values: Sequence[Value]) -> Value: ...

    @abstractmethod
    def dict_literal(self, e: X.DictLit, hint: T.Type | None) -> Value: ...

    @abstractmethod
    def list_comprehension(self, e: X.ListComp, hint: T.Type | None) -> Value: ...

    @abstractmethod
    def dict_comprehension(self, e: X.DictComp, hint: T.Type | None) -> Value: ...

    @abstractmethod
    def make_dict(self, type: T.Type, inputs: Sequence[Value] = ()) -> Value: ...


def _attribute_value_name(name: str) -> str:
    """What texts call the value of an attribute."""
    return f"_{name}" if name.isdigit() else name
