"""TorchScript's names for what a node has: ``node.inputsAt(0)``, ``node.t("value")``, ``node.scopeName()``… (see :mod:`bridge.ir.inspection`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self

from bridge.ir.errors import IRError
from bridge.ir.inspection import as_tensor, nodes_of_kind

if TYPE_CHECKING:
    from bridge.ir.graph import Block, Graph, Node, Value
    from bridge.ir.schema import Schema

__all__ = ["NodeNames"]


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
        return next((n for b in self.blocks for n in nodes_of_kind(b, kind, recurse)), None)

    def findAllNodes(self, kind: str, recurse: bool = True) -> list[Node]:
        return [n for b in self.blocks for n in nodes_of_kind(b, kind, recurse)]

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

    def matches(self, schema: str) -> bool:
        """Whether the node calls an operator that is written so: its name, and inputs of the types of its arguments."""
        from bridge.ir.node_schema import matches
        from bridge.ir.schema import parse_schema

        asked = parse_schema(schema)
        return self.kind == asked.name and matches(self, asked)  # type: ignore[arg-type]

    def copyAttributes(self, other: Node) -> NodeNames:
        """Take all attributes of another node, and lose the own ones; the node."""
        self.attributes.clear()
        self.attributes.update(other.attributes)
        return self

    def copyMetadata(self, other: Node) -> NodeNames:
        """Take the place in the source and the scope of another node; the node."""
        self.range, self.scope = other.range, other.scope  # type: ignore[misc]
        return self

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
        return as_tensor(self._get(name, "t"))

    def z(self, name: str) -> Any:
        return as_tensor(self._get(name, "t"))

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
        return [as_tensor(t) for t in self._get(name, "ts")]

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

    def c_(self, name: str, value: complex) -> NodeNames:
        return self._set(name, complex(value))

    def gs_(self, name: str, value: Iterable[Any]) -> NodeNames:
        return self._set(name, list(value))

    def tys(self, name: str) -> list[Any]:
        return list(self._get(name, "tys"))

    def tys_(self, name: str, value: Iterable[Any]) -> NodeNames:
        return self._set(name, list(value))

    def ts_(self, name: str, value: Iterable[Any]) -> NodeNames:
        import numpy as np

        return self._set(name, [np.array(v) for v in value])

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
