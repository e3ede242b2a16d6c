"""Objects that a program makes: what their attributes hold is followed, like what a dict with known keys holds.

Methods are lowered in place. An object is a :class:`Cell` whose content is a dict of its attributes, so branches and loops
join objects as they join dicts. The library's own context managers (``no_grad``, ``record_function``…) are objects that do
nothing: what is inside ``with`` is computed as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from bridge.exporters.onnx.machine import Machine, handles
from bridge.exporters.onnx.values import Abstract, Cell, ObjectRef
from bridge.ir.classes import ClassType, Function, FunctionType, ScriptObject
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node
from bridge.ir.types import Type

__all__ = ["attribute_of", "is_context", "is_object", "set_attribute"]


def is_context(value: Abstract) -> bool:
    """Whether a value is an instance of a context manager of the library: its attributes are known while exporting."""
    return isinstance(value, ObjectRef) and value.object.type.name.startswith("__torch__.torch.autograd.")


def is_object(value: Abstract) -> bool:
    """Whether a value is an object that the program made."""
    return isinstance(value, Cell) and isinstance(value.type, ClassType)


@handles("prim::CreateObject")
def create_object(m: Machine, node: Node) -> Abstract:
    t = node.output.type
    assert isinstance(t, ClassType)
    made = ObjectRef(ScriptObject(t), "")
    return made if is_context(made) else m.new_cell(t, {})


def attribute_of(m: Machine, cell: Cell, name: str, node: Node) -> Abstract:
    """The value of an attribute, by identity."""
    content = m.read(cell)
    if name not in content:
        raise LoweringError(f"attribute '{name}' is read before it has a value", node.range)
    return content[name]


def set_attribute(m: Machine, cell: Cell, name: str, value: Abstract) -> None:
    """``object.name = value``"""
    m.change(cell, {**m.read(cell), name: value})


_MAKERS = ("__init__", "__post_init__", "__new__")


def changed_classes(entry: Function) -> set[ClassType]:
    """The classes of which a function, or what it calls, changes objects after they were made."""
    found: set[ClassType] = set()
    for f in _called(entry):
        making = f.graph.inputs[0] if f.name in _MAKERS and f.graph.inputs else None
        for n in f.graph.all_nodes():
            if n.kind == "prim::SetAttr" and n.inputs[0] is not making and isinstance(n.inputs[0].type, ClassType):
                found.add(n.inputs[0].type)
    return found


def _called(entry: Function) -> Iterator[Function]:
    """A function and all that it calls, each once."""
    seen, todo = {entry}, [entry]
    while todo:
        f = todo.pop()
        yield f
        for called in map(called_by, f.graph.all_nodes()):
            if called is not None and called not in seen:
                seen.add(called)
                todo.append(called)


#: What gives elements of a list other places.
_MOVES = frozenset(
    f"aten::{n}" for n in ("insert", "pop", "Delete", "remove", "clear", "reverse", "sort", "_set_item.slice")
)


def reordered_lists(entry: Function) -> set[Type]:
    """The types of the lists of which a function, or what it calls, moves elements."""
    return {n.inputs[0].type for f in _called(entry) for n in f.graph.all_nodes() if n.kind in _MOVES}


def called_by(n: Node) -> Function | None:
    """The function or method that a statement calls."""
    t = n.inputs[0].type if n.inputs else None
    if n.kind == "prim::CallFunction" and isinstance(t, FunctionType):
        return t.function
    if n.kind in ("prim::CallMethod", "prim::Enter", "prim::Exit") and isinstance(t, ClassType):
        special = {"prim::Enter": "__enter__", "prim::Exit": "__exit__"}
        return t.find_method(special[n.kind] if n.kind in special else n["name"])
    return None


@handles("prim::Enter")
def enter(m: Machine, node: Node) -> Abstract:
    return _call(m, node, "__enter__", [])


@handles("prim::Exit")
def leave(m: Machine, node: Node) -> Abstract:
    return _call(m, node, "__exit__", [None, None, None])


def _call(m: Machine, node: Node, name: str, rest: list[Abstract]) -> Abstract:
    from bridge.exporters.onnx.calls import inlined

    value = m.get(node.inputs[0])
    if is_context(value):
        return None
    method = value.type.find_method(name) if is_object(value) else None
    if method is None:
        raise LoweringError(f"'{name}' of an object that is not made in the program", node.range)
    return inlined(m, node, method, None, [value, *rest])
