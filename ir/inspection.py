"""The names under which TorchScript's graphs are looked at and changed: ``graph.nodes()``, ``node.kind()``, ``value.debugName()``…

They are mixed into the classes of :mod:`bridge.ir.graph`, so that tools written for TorchScript's graphs work on ours. What is a
property there is a method in TorchScript: lists, kinds, nodes and types can therefore be called, and give themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from bridge.ir.errors import IRError

if TYPE_CHECKING:
    from bridge.ir.graph import Block, Graph, Node, Use, Value
    from bridge.ir.schema import Schema
    from bridge.ir.types import Type

__all__ = [
    "BlockNames",
    "CallableList",
    "GraphNames",
    "Kind",
    "NodeNames",
    "NodeWalk",
    "TypeNames",
    "ValueNames",
    "kind_of",
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


class CallableList(list[E]):
    """A list that may also be called, as TorchScript's graphs are read: ``node.inputs()`` is an iterator over it."""

    __slots__ = ()

    def __call__(self) -> Iterator[E]:
        return iter(self)


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
        return _plain(n.attributes.get("value"), getattr(self.type, "dims", self) is not self)


def _plain(value: Any, tensor: bool) -> Any:
    return _tensor(value) if tensor and value is not None else value


class BlockNames:
    """TorchScript's names for what a :class:`~bridge.ir.graph.Block` (or a graph, which is its top block) has."""

    __slots__ = ()

    if TYPE_CHECKING:
        _ends: Callable[[], tuple[Node, Node]]

        @property
        def nodes(self) -> NodeWalk[Node]: ...

        def add_output(self, value: Value) -> int: ...

    def __call__(self) -> Self:
        """So that ``graph.block()`` is ``graph.block``."""
        return self

    def findNode(self, kind: str, recurse: bool = True) -> Node | None:
        """The first node of that kind, in blocks of nodes, too, unless ``recurse`` is false; None without one."""
        return next(_of_kind(self, kind, recurse), None)

    def findAllNodes(self, kind: str, recurse: bool = True) -> list[Node]:
        """All nodes of that kind."""
        return list(_of_kind(self, kind, recurse))

    def returnNode(self) -> Node:
        return self._ends()[1]

    def paramNode(self) -> Node:
        return self._ends()[0]

    def registerOutput(self, value: Value) -> int:
        return self.add_output(value)

    def eraseInput(self, index: int) -> None:
        self._ends()[0].remove_output(index)

    def eraseOutput(self, index: int) -> None:
        self._ends()[1].remove_input(index)


def _of_kind(block: BlockNames, kind: str, recurse: bool) -> Iterator[Node]:
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

    def permuteInputs(self, order: Sequence[int]) -> None:
        self.block.param_node.permute_outputs(order)

    def lint(self) -> None:
        """Check the structure. Raises VerifyError."""
        from bridge.ir.verifier import verify

        verify(self)  # type: ignore[arg-type]


class NodeNames:
    """TorchScript's names for what a :class:`~bridge.ir.graph.Node` has."""

    __slots__ = ()

    if TYPE_CHECKING:
        graph: Graph
        kind: str
        _inputs: list[Value]
        _outputs: list[Value]
        attributes: dict[str, Any]
        blocks: list[Block]
        block: Block | None
        range: Any
        scope: str
        add_input: Callable[[Value], Value]
        add_output: Callable[..., Value]
        add_block: Callable[[], Block]
        replace_input: Callable[[int, Value], Value]
        remove_input: Callable[[int], None]
        remove_all_inputs: Callable[[], None]
        remove_output: Callable[[int], None]
        insert_before: Callable[[Node], Node]
        insert_after: Callable[[Node], Node]
        is_before: Callable[[Node], bool]
        move_before: Callable[[Node], None]
        move_after: Callable[[Node], None]

        @property
        def module_path(self) -> str: ...

    def __call__(self) -> Self:
        """So that ``value.node()`` is ``value.node``."""
        return self

    def __str__(self) -> str:
        from bridge.ir.printer import print_node

        return print_node(self) + "\n"  # type: ignore[arg-type]

    # -- inputs, outputs, blocks -------------------------------------------------------------------------------

    def inputsSize(self) -> int:
        return len(self._inputs)

    def outputsSize(self) -> int:
        return len(self._outputs)

    def inputsAt(self, index: int) -> Value:
        return self._inputs[index]

    def outputsAt(self, index: int) -> Value:
        return self._outputs[index]

    def namedInput(self, name: str) -> Value:
        """The input for an argument of the operator's schema. Raises IRError."""
        for v, a in zip(self._inputs, self._schema().arguments, strict=False):
            if a.name == name:
                return v
        raise IRError(f"Couldn't find an argument called {name}", self.range)

    def addInput(self, value: Value) -> Value:
        return self.add_input(value)

    def addOutput(self) -> Value:
        return self.add_output()

    def addBlock(self) -> Block:
        return self.add_block()

    def replaceInput(self, index: int, value: Value) -> Value:
        return self.replace_input(index, value)

    def replaceInputWith(self, old: Value, new: Value) -> None:
        for i, v in enumerate(self._inputs):
            if v is old:
                self.replace_input(i, new)

    def removeInput(self, index: int) -> None:
        self.remove_input(index)

    def removeAllInputs(self) -> None:
        self.remove_all_inputs()

    def eraseOutput(self, index: int) -> None:
        self.remove_output(index)

    def replaceAllUsesWith(self, other: Node) -> None:
        for mine, theirs in zip(self._outputs, other._outputs, strict=True):
            mine.replace_all_uses_with(theirs)

    def hasUses(self) -> bool:
        return any(v.use_count for v in self._outputs)

    def hasMultipleOutputs(self) -> bool:
        return len(self._outputs) > 1

    def mustBeNone(self) -> bool:
        from bridge.ir.passes.constants import must_be_none

        return len(self._outputs) == 1 and must_be_none(self._outputs[0])

    def findNode(self, kind: str, recurse: bool = True) -> Node | None:
        """The first node of that kind in this node's blocks."""
        return next((n for b in self.blocks for n in _of_kind(b, kind, recurse)), None)

    def findAllNodes(self, kind: str, recurse: bool = True) -> list[Node]:
        return [n for b in self.blocks for n in _of_kind(b, kind, recurse)]

    # -- place -------------------------------------------------------------------------------------------------

    def owningBlock(self) -> Block | None:
        return self.block

    def insertBefore(self, node: Node) -> Node:
        return self.insert_before(node)

    def insertAfter(self, node: Node) -> Node:
        return self.insert_after(node)

    def isBefore(self, node: Node) -> bool:
        return self.is_before(node)

    def isAfter(self, node: Node) -> bool:
        return node.is_before(self)  # type: ignore[arg-type]

    def moveBefore(self, node: Node) -> None:
        self.move_before(node)

    def moveAfter(self, node: Node) -> None:
        self.move_after(node)

    def scopeName(self) -> str:
        return self.scope

    def sourceRange(self) -> str:
        """The place in the source, and its line."""
        return "" if self.range is None else str(self.range.highlight())

    def getModuleHierarchy(self) -> str:
        return self.module_path

    def schema(self) -> str:
        """The text of the operator's schema; "(no schema)" for what has none."""
        from bridge.ir.node_schema import schema_of

        found = schema_of(self)  # type: ignore[arg-type]
        return "(no schema)" if found is None else str(found)

    def _schema(self) -> Schema:
        from bridge.ir.node_schema import schema_of

        found = schema_of(self)  # type: ignore[arg-type]
        if found is None:
            raise IRError(f"{self.kind} has no schema", self.range)
        return found

    # -- attributes --------------------------------------------------------------------------------------------

    def hasAttribute(self, name: str) -> bool:
        return name in self.attributes

    def hasAttributes(self) -> bool:
        return bool(self.attributes)

    def attributeNames(self) -> list[str]:
        return list(self.attributes)

    def removeAttribute(self, name: str) -> NodeNames:
        del self.attributes[name]
        return self

    def kindOf(self, name: str) -> str:
        """``"i"``, ``"f"``, ``"c"``, ``"s"``, ``"t"``, ``"g"``, ``"ty"``, their plurals, or ``"ival"``."""
        return _attribute_kind(self._get(name))

    def _get(self, name: str, kind: str = "") -> Any:
        if name not in self.attributes:
            raise IRError(f"required keyword attribute '{name}' is undefined", self.range)
        value = self.attributes[name]
        found = _attribute_kind(value)
        if kind and found != kind and not (found == "is" and not value):  # nothing tells what an empty list is of
            raise IRError(f"required keyword attribute '{name}' has the wrong type", self.range)
        return value

    def _set(self, name: str, value: Any) -> NodeNames:
        self.attributes[name] = value
        return self

    def i(self, name: str) -> int:
        """An int or bool attribute, as an int. As the next ones: raises IRError when it is none, or of another kind."""
        return int(self._get(name, "i"))

    def f(self, name: str) -> float:
        return float(self._get(name, "f"))

    def c(self, name: str) -> complex:
        return complex(self._get(name, "c"))

    def s(self, name: str) -> str:
        return str(self._get(name, "s"))

    def t(self, name: str) -> Any:
        return _tensor(self._get(name, "t"))

    def z(self, name: str) -> Any:
        return _tensor(self._get(name, "t"))

    def g(self, name: str) -> Any:
        return self._get(name, "g")

    def ty(self, name: str) -> Any:
        return self._get(name, "ty")

    def is_(self, name: str, value: list[int] | None = None) -> Any:
        """The ints of an attribute; with a value, set them."""
        return list(map(int, self._get(name, "is"))) if value is None else self._set(name, list(value))

    def fs(self, name: str) -> list[float]:
        return list(self._get(name, "fs"))

    def ss(self, name: str) -> list[str]:
        return list(self._get(name, "ss"))

    def ts(self, name: str) -> list[Any]:
        return [_tensor(t) for t in self._get(name, "ts")]

    def gs(self, name: str) -> list[Any]:
        return list(self._get(name, "gs"))

    def ival(self, name: str) -> Any:
        return self._get(name)

    def i_(self, name: str, value: int) -> NodeNames:
        """Set an attribute, as the next ones; the node."""
        return self._set(name, int(value))

    def f_(self, name: str, value: float) -> NodeNames:
        return self._set(name, float(value))

    def s_(self, name: str, value: str) -> NodeNames:
        return self._set(name, value)

    def ss_(self, name: str, value: Iterable[str]) -> NodeNames:
        return self._set(name, list(value))

    def fs_(self, name: str, value: Iterable[float]) -> NodeNames:
        return self._set(name, [float(v) for v in value])

    def g_(self, name: str, value: Any) -> NodeNames:
        return self._set(name, value)

    def ty_(self, name: str, value: Any) -> NodeNames:
        return self._set(name, value)

    def t_(self, name: str, value: Any) -> NodeNames:
        import numpy as np

        return self._set(name, np.array(value))

    z_ = t_


def _attribute_kind(value: Any) -> str:
    from bridge.ir.graph import Graph
    from bridge.ir.types import Type

    if isinstance(value, list):
        kinds = {_attribute_kind(v) for v in value}
        one = kinds.pop() if len(kinds) == 1 else "i" if not kinds else "ival"
        return "tys" if one == "ty" else f"{one}s" if one in "ifcstg" else "ival"
    for kind, types in (("i", int), ("f", float), ("c", complex), ("s", str), ("g", Graph), ("ty", Type)):
        if isinstance(value, types):
            return kind
    return "t" if hasattr(value, "dtype") else "ival"
