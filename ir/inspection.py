"""The names under which TorchScript's graphs are looked at and changed: ``graph.nodes()``, ``node.kind()``, ``value.debugName()``…

They are mixed into the classes of :mod:`bridge.ir.graph`, so that tools written for TorchScript's graphs work on ours. What is a
property there is a method in TorchScript: lists, kinds, nodes and types can therefore be called, and give themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from bridge.ir.errors import IRError

if TYPE_CHECKING:
    from bridge.ir.graph import Block, Graph, Node, Use, Value
    from bridge.ir.types import Type

__all__ = [
    "AllUses",
    "BlockNames",
    "CallableList",
    "CallableTuple",
    "GraphNames",
    "Kind",
    "NodeWalk",
    "TypeNames",
    "ValueNames",
    "as_tensor",
    "kind_of",
    "nodes_of_kind",
    "set_tensor_maker",
]

E = TypeVar("E")


def _as_it_is(array: Any) -> Any:
    return array


_tensor: Callable[[Any], Any] = _as_it_is


def set_tensor_maker(make: Callable[[Any], Any]) -> None:
    """Say what ``node.t("value")`` and ``value.toIValue()`` make of the array of a tensor constant."""
    global _tensor
    _tensor = make


def as_tensor(array: Any) -> Any:
    """What ``set_tensor_maker`` said of the array of a constant."""
    return _tensor(array)


class CallableList(list[E]):
    """A list that may also be called, as TorchScript's graphs are read: ``node.inputs()`` is an iterator over it."""

    __slots__ = ()

    def __call__(self) -> Iterator[E]:
        return iter(self)


class CallableTuple(tuple[E, ...]):
    """A tuple that gives itself as a list when it is called: ``tuple_type.elements()``, ``tensor_type.strides()``."""

    __slots__ = ()

    def __call__(self) -> list[E]:
        return list(self)


class AllUses(list[E]):
    """The uses of a value, which are also what ``value.uses()`` gives."""

    __slots__ = ()

    def __call__(self) -> Self:
        return self


class Kind(str):
    """The kind of a node: ``node.kind`` and ``node.kind()`` are the same text."""

    __slots__ = ()

    def __call__(self) -> str:
        return str(self)


_kinds: dict[str, Kind] = {}


def kind_of(text: str) -> Kind:
    """The text as a kind; one object for each."""
    found = _kinds.get(text)
    if found is None:
        found = _kinds[text] = Kind(text)
    return found


class NodeWalk(Generic[E]):
    """The nodes of a block from first to last; each ``iter`` starts anew."""

    __slots__ = ("_start",)

    def __init__(self, start: Callable[[], Iterator[E]]) -> None:
        self._start = start

    def __iter__(self) -> Iterator[E]:
        return self._start()

    def __call__(self) -> Iterator[E]:
        return self._start()


class TypeNames:
    """TorchScript's names for what a :class:`~bridge.ir.types.Type` has."""

    __slots__ = ()

    if TYPE_CHECKING:

        def annotation(self) -> str: ...
        def contained(self) -> Sequence[Type]: ...
        def is_subtype_of(self, other: Type) -> bool: ...

    def __call__(self) -> Self:
        """So that ``value.type()`` is ``value.type``."""
        return self

    def kind(self) -> str:
        """``"TensorType"``, ``"IntType"``, ``"ListType"``…"""
        name = type(self).__name__
        if name != "SimpleType":
            return name
        text = str(self)
        return _KINDS.get(text) or f"{text.capitalize()}Type"

    @property
    def annotation_str(self) -> str:
        return self.annotation()

    def isSubtypeOf(self, other: Type) -> bool:
        return self.is_subtype_of(other)

    def containedTypes(self) -> list[Type]:
        return list(self.contained())

    def getElementType(self) -> Type:
        """The type inside a list, an Optional, a Future. Raises AttributeError for others."""
        found: Type = self.element  # type: ignore[attr-defined]
        return found

    def getKeyType(self) -> Type:
        found: Type = self.key  # type: ignore[attr-defined]
        return found

    def getValueType(self) -> Type:
        found: Type = self.value  # type: ignore[attr-defined]
        return found

    def qualified_name(self) -> str:
        """The name of a class, an interface or a NamedTuple. Raises AttributeError for others."""
        found: str = self.name  # type: ignore[attr-defined]
        return found

    def dim(self) -> int | None:
        """The rank of a tensor type; None when it is not known."""
        dims = self._dims()
        return None if dims is None else len(dims)

    def sizes(self) -> list[int] | None:
        """All sizes of a tensor type; None when one is not known."""
        dims = self._dims()
        return None if dims is None or any(not isinstance(d, int) for d in dims) else list(dims)

    def varyingSizes(self) -> list[int | None] | None:
        """The sizes of a tensor type, None for each that is not known; None when the rank is not."""
        dims = self._dims()
        return None if dims is None else [d if isinstance(d, int) else None for d in dims]

    def scalarType(self) -> str | None:
        """``"Float"``, ``"Long"``… of a tensor type; None when it is not known."""
        dtype = getattr(self, "dtype", None)
        return None if dtype is None else str(dtype.label)

    def _dims(self) -> Any:
        try:
            return self.dims  # type: ignore[attr-defined]
        except AttributeError:
            raise IRError(f"Expected a TensorType, found {self.annotation()}") from None

    def str(self):  # type: ignore[no-untyped-def]
        """The spelling of graph texts."""
        return f"{self}"


_KINDS = {"Device": "DeviceObjType", "str": "StringType", "Scalar": "NumberType", "NoneType": "NoneType"}


class ValueNames:
    """TorchScript's names for what a :class:`~bridge.ir.graph.Value` has."""

    __slots__ = ()

    if TYPE_CHECKING:
        node: Node
        type: Type
        _uses: dict[Use, None]

        @property
        def debug_name(self) -> str: ...

        set_debug_name: Callable[[str], Value]
        replace_all_uses_with: Callable[[Value], None]
        replace_uses_after: Callable[[Node, Value], None]
        copy_metadata: Callable[[Value], Value]

    def __call__(self) -> Self:
        """So that ``node.output()`` is ``node.output``."""
        return self

    def debugName(self) -> str:
        return self.debug_name

    def setDebugName(self, name: str) -> Value:
        return self.set_debug_name(name)

    def setType(self, type: Type) -> ValueNames:
        self.type = type  # type: ignore[misc]
        return self

    def setTypeAs(self, other: Value) -> ValueNames:
        self.type = other.type  # type: ignore[misc]
        return self

    def copyMetadata(self, other: Value) -> Value:
        return self.copy_metadata(other)

    def hasUses(self) -> bool:
        return bool(self._uses)

    def replaceAllUsesWith(self, other: Value) -> None:
        self.replace_all_uses_with(other)

    def replaceAllUsesAfterNodeWith(self, node: Node, other: Value) -> None:
        self.replace_uses_after(node, other)

    def requires_grad(self) -> bool:
        """Whether its type says so."""
        return bool(getattr(self.type, "requires_grad", False))

    requiresGrad = requires_grad

    def isCompleteTensor(self) -> bool:
        """Whether element type and all sizes are known."""
        dims = getattr(self.type, "dims", None)
        return dims is not None and self.type.dtype is not None and all(isinstance(d, int) for d in dims)  # type: ignore[attr-defined]

    def toIValue(self) -> Any:
        """The value of a constant; None of what is none."""
        n = self.node
        if n.kind != "prim::Constant":
            return None
        value = n.attributes.get("value")
        return as_tensor(value) if value is not None and getattr(self.type, "dims", self) is not self else value


class BlockNames:
    """TorchScript's names for what a :class:`~bridge.ir.graph.Block` (or a graph, which is its top block) has."""

    __slots__ = ()

    if TYPE_CHECKING:
        _ends: Callable[[], tuple[Node, Node]]

        @property
        def nodes(self) -> NodeWalk[Node]: ...

        def add_output(self, value: Value) -> int: ...
        def add_input(self) -> Value: ...

    def __call__(self) -> Self:
        """So that ``graph.block()`` is ``graph.block``."""
        return self

    def findNode(self, kind: str, recurse: bool = True) -> Node | None:
        """The first node of that kind, in blocks of nodes, too, unless ``recurse`` is false; None without one."""
        return next(nodes_of_kind(self, kind, recurse), None)

    def findAllNodes(self, kind: str, recurse: bool = True) -> list[Node]:
        """All nodes of that kind."""
        return list(nodes_of_kind(self, kind, recurse))

    def returnNode(self) -> Node:
        return self._ends()[1]

    def paramNode(self) -> Node:
        return self._ends()[0]

    def addInputToBlock(self) -> Value:
        return self.add_input()

    def owningNode(self) -> Node | None:
        """The node that the block belongs to; None for the block of a graph."""
        return getattr(self, "owner", None)

    def registerOutput(self, value: Value) -> int:
        return self.add_output(value)

    def eraseInput(self, index: int) -> None:
        self._ends()[0].remove_output(index)

    def eraseOutput(self, index: int) -> None:
        self._ends()[1].remove_input(index)


def nodes_of_kind(block: BlockNames, kind: str, recurse: bool) -> Iterator[Node]:
    """As TorchScript walks: what is in the blocks of a node comes after the node."""
    stack = [iter(block.nodes)]
    while stack:
        n = next(stack[-1], None)
        if n is None:
            stack.pop()
            continue
        if n.kind == kind:
            yield n
        if recurse:
            stack.extend(iter(b.nodes) for b in reversed(n.blocks))


class GraphNames(BlockNames):
    """TorchScript's names for what a :class:`~bridge.ir.graph.Graph` has."""

    __slots__ = ()

    if TYPE_CHECKING:
        block: Block

        @property
        def insert_point(self) -> Any: ...

        @insert_point.setter
        def insert_point(self, where: Any) -> None: ...

        add_input: Callable[..., Value]
        constant: Callable[..., Value]

        def insert(self, node: Node) -> Node: ...
        def create(self, kind: str, inputs: Sequence[Value]) -> Node: ...

        inserting: Callable[[Node | Block], AbstractContextManager[None]]
        clone_node: Callable[[Node, Callable[[Value], Value]], Node]

    def addInput(self, name: str = "") -> Value:
        return self.add_input(name)

    def appendNode(self, node: Node) -> Node:
        return self.block.append(node)

    def prependNode(self, node: Node) -> Node:
        return self.block.prepend(node)

    def insertNode(self, node: Node) -> Node:
        return self.insert(node)

    def insertConstant(self, value: Any) -> Value:
        return self.constant(value)

    def insertPoint(self) -> Node:
        point: Node = self.insert_point
        return point

    def setInsertPoint(self, where: Node | Block) -> None:
        self.insert_point = where

    @contextmanager
    def insert_point_guard(self, where: Node | Block) -> Iterator[None]:
        """For a ``with`` block, insert before a node or at the end of a block."""
        with self.inserting(where):
            yield

    def insertGraph(self, callee: Graph, inputs: Sequence[Value]) -> list[Value]:
        """Copy the nodes of a graph to the insert point, with these values for its inputs; what its results are here.

        Raises ValueError where there are not as many values as inputs.
        """
        known: dict[Value, Value] = dict(zip(callee.inputs, inputs, strict=True))
        for n in callee.nodes:
            known.update(zip(n.outputs, self.insert(self.clone_node(n, known.__getitem__)).outputs, strict=True))
        return [known[v] for v in callee.outputs]

    def createClone(self, node: Node, value_map: Callable[[Value], Value]) -> Node:
        return self.clone_node(node, value_map)

    def makeMultiOutputIntoTuple(self) -> None:
        """Give the results as one tuple."""
        from bridge.ir.types import TupleType

        results = list(self.block.outputs)
        made = self.block.append(self.create("prim::TupleConstruct", results))
        made.output.type = TupleType(*[v.type for v in results])
        while self.block.outputs:
            self.eraseOutput(0)
        self.registerOutput(made.output)

    def permuteInputs(self, order: Sequence[int]) -> None:
        self.block.param_node.permute_outputs(order)

    def lint(self) -> None:
        """Check the structure. Raises VerifyError."""
        from bridge.ir.verifier import verify

        verify(self)  # type: ignore[arg-type]

    def str(self, print_source_ranges=True):  # type: ignore[no-untyped-def]
        """The text, with or without the places in the source."""
        from bridge.ir.printer import print_graph

        return print_graph(self, print_source_ranges)  # type: ignore[arg-type]
