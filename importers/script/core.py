"""What the parts of the emitter share: its state, the makers of nodes, and what each part offers to the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bridge.importers.script import tree as X
from bridge.importers.script.annotations import parse_type
from bridge.importers.script.environment import Frame
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.sugared import Resolver, SugaredValue
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.conditions import Condition, Refinements
    from bridge.importers.script.sugared import SpecialForm

__all__ = ["Definition", "EmitterCore"]


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
        optionals: Mapping[X.Assign, T.Type] | None = None,
    ) -> None:
        self.function, self.graph, self.resolver = function, graph, resolver
        #: Assignments of None → the Optional type that the variable needs.
        self.optionals: Mapping[X.Assign, T.Type] = optionals or {}
        #: The assignments of None that were emitted.
        self.nones: list[X.Assign] = []
        #: What ``self`` is, in a method.
        self.this: SugaredValue | None = None
        self.exit_blocks: set[Block] = set()
        self.definitions: list[Definition] = []
        self.loop_status = ""
        self._frame: Frame | None = None
        self._constants: dict[tuple[type, Any], Value] = {}
        self._temporaries = 0
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
        output.set_debug_name(f"_{name}" if name.isdigit() else name)
        return output

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
            first = next(self.graph.block.nodes, None)
            with self.graph.inserting(first if first is not None else self.graph.block):
                found = self._constants[key] = insert_constant(self.graph, value, range)
        return found

    @contextmanager
    def in_loop(self, status: str) -> Iterator[None]:
        """For a ``with`` block, be inside a loop (``"loop"``, ``"unrolled"``) or not (``""``)."""
        before, self.loop_status = self.loop_status, status
        try:
            yield
        finally:
            self.loop_status = before

    def temporary(self, prefix: str) -> str:
        name = f"{prefix}{self._temporaries}"
        self._temporaries += 1
        return name

    def type_of(self, e: X.Expr) -> T.Type:
        """The type of a type expression."""
        return parse_type(e, self.resolver)

    # -- what the parts offer to each other (see each) ---------------------------------------------------------

    @abstractmethod
    def emit_statements(self, body: Sequence[X.Stmt]) -> None: ...

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
    def index_steps(self, range: SourceRange, value: Value, indices: Sequence[X.Expr]) -> tuple[Value, list[Value]]: ...

    @abstractmethod
    def index_list(self, tensors: Sequence[Value]) -> Value: ...

    @abstractmethod
    def list_literal(self, e: X.ListLit, hint: T.Type | None) -> Value: ...

    @abstractmethod
    def dict_literal(self, e: X.DictLit, hint: T.Type | None) -> Value: ...

    @abstractmethod
    def list_comprehension(self, e: X.ListComp, hint: T.Type | None) -> Value: ...

    @abstractmethod
    def dict_comprehension(self, e: X.DictComp, hint: T.Type | None) -> Value: ...

    @abstractmethod
    def make_dict(self, type: T.Type, inputs: Sequence[Value] = ()) -> Value: ...
