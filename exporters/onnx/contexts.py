"""The library's own context managers (``no_grad``, ``record_function``…): what is inside ``with`` is computed as it is."""

from __future__ import annotations

from bridge.exporters.onnx.machine import Machine, handles
from bridge.exporters.onnx.values import Abstract, ObjectRef
from bridge.ir.classes import ClassType, ScriptObject
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node

__all__ = ["is_context"]


def is_context(value: Abstract) -> bool:
    """Whether a value is an instance of one of them: its attributes are known while exporting."""
    return isinstance(value, ObjectRef) and value.object.type.name.startswith("__torch__.torch.autograd.")


@handles("prim::CreateObject")
def create_object(m: Machine, node: Node) -> Abstract:
    t = node.output.type
    made = ObjectRef(ScriptObject(t), "") if isinstance(t, ClassType) else None
    if made is None or not is_context(made):
        raise LoweringError(f"an object of class {t.annotation()} is made here: ONNX has no objects", node.range)
    return made


@handles("prim::Enter", "prim::Exit")
def enter_or_exit(m: Machine, node: Node) -> Abstract:
    if not is_context(m.get(node.inputs[0])):
        raise LoweringError("ONNX programs have no with statements but those of the library", node.range)
    return None
