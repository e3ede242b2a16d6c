"""The module hierarchy: its tensors by path (the names of a state_dict), and its classes as metadata."""

from __future__ import annotations

import base64
import enum
import json
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from bridge.exporters.onnx.inputs import array_of
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, ScriptObject
from bridge.ir.dtypes import by_numpy
from bridge.ir.printer import type_text

if TYPE_CHECKING:
    from bridge.exporters.onnx.program import ProgramLowering

__all__ = ["CLASSES", "describe", "note_names", "state"]

#: The metadata key of the class table.
CLASSES = "bridge.classes"


def state(root: ScriptObject, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name, tensor) of every parameter and buffer, named and ordered as in ``state_dict``."""
    attributes = root.type.attributes
    for wanted in ("is_parameter", "is_buffer"):
        for name, a in attributes.items():
            value = root.attributes.get(name)
            if getattr(a, wanted) and value is not None and not isinstance(value, ScriptObject):
                yield prefix + name, value
    for name, child in root.submodules():
        yield from state(child, f"{prefix}{name}.")


def all_tensors(root: ScriptObject) -> Iterator[tuple[str, Any]]:
    """(path, tensor) of every tensor that is an attribute of the module or of a module in it."""
    for path, o in modules(root):
        for name, v in o.attributes.items():
            if v is not None and not isinstance(v, ScriptObject) and hasattr(v, "_array"):
                yield f"{path}.{name}" if path else name, v


def modules(root: ScriptObject, path: str = "") -> Iterator[tuple[str, ScriptObject]]:
    """(path, object) of the module and all modules in it."""
    yield path, root
    for name, child in root.submodules():
        yield from modules(child, f"{path}.{name}" if path else name)


def describe(
    root: ScriptObject | None, program: ProgramLowering, silent: dict[str, dict[str, list[str]]], arguments: list[Any]
) -> str:
    """The class table as JSON: classes with their attributes, and which object is of which class.

    ``silent`` has the claims of methods that became no node at all, by class and method (functions: by ""); ``arguments`` how the entry's arguments
    are made of the model's inputs.
    """
    classes: dict[str, Any] = {}
    objects: dict[str, Any] = {}
    held_types: list[T.Type] = []
    for path, o in modules(root) if root is not None else ():
        plain = {n: _describe_value(v, o) for n, v in o.attributes.items() if _is_plain(o, n, v)}
        held = {n: v for n, v in o.attributes.items() if isinstance(v, ScriptObject) and not v.type.is_module}
        kept = {n: _describe_held(v, f"{path}.{n}" if path else n, program) for n, v in held.items()}
        objects[path] = [o.type.name, {**plain, **kept}]
        if o.type.name not in classes:
            classes[o.type.name] = _class(o.type, silent.get(o.type.name, {}))
            for a in o.type.attributes.values():
                note_names(program, a.type)
        held_types += [v.type for v in held.values()]
    for t in _script_classes([frame.function for frame in program.frames], held_types):
        classes.setdefault(t.name, {**_class(t, {}), "script": True})
        for a in t.attributes.values():
            note_names(program, a.type)
    table = {**options_of(program, arguments), "classes": classes, "objects": objects}
    pairs = [path for path, v in (all_tensors(root) if root is not None else ()) if array_of(v).dtype.kind == "c"]
    if pairs:
        table["complex"] = pairs  # initializers that are pairs of real numbers
    if silent.get(""):
        table["functions"] = silent[""]
    return json.dumps(table, separators=(",", ":"))


def note_names(program: ProgramLowering, t: T.Type) -> None:
    """Keep what the text of a type does not tell: the names of NamedTuples, the members of enums."""
    if isinstance(t, T.TensorType | T.SimpleType):
        return
    for x in t.walk():
        if isinstance(x, T.TupleType) and x.name:
            program.tuples[x.name] = type_text(x)
        elif isinstance(x, T.EnumType):
            program.enums[x.name] = [type_text(x.value), [list(pair) for pair in x.members]]


def _script_classes(functions: Iterable[Function], held: Iterable[T.Type]) -> list[ClassType]:
    """The classes of the objects that a program makes or its modules hold: those that are no modules, and those of their attributes."""
    found: dict[ClassType, None] = {}
    waiting = list(held)
    waiting += [
        n.output.type for f in dict.fromkeys(functions) for n in f.graph.all_nodes() if n.kind == "prim::CreateObject"
    ]
    while waiting:
        t = waiting.pop()
        if isinstance(t, ClassType) and t not in found:
            found[t] = None
            waiting += [inside for a in t.attributes.values() for inside in a.type.walk()]
            waiting += [
                n.output.type for m in t.methods.values() for n in m.graph.all_nodes() if n.kind == "prim::CreateObject"
            ]
    return list(found)


def options_of(program: ProgramLowering, arguments: list[Any]) -> dict[str, Any]:
    """What a program was exported for, in the form in which models and :class:`bridge.ir.foreign.Interface` keep it."""
    options: dict[str, Any] = {
        "format": 1,
        "modules": "inline" if program.inline else "functions",
        "arguments": arguments,
        "raises": program.raises,
        "writes": program.writes,
    }
    if program.decided:
        options["decided"] = True
    if program.tuples:
        options["tuples"] = program.tuples
    if program.enums:
        options["enums"] = program.enums
    if endless := sorted(name for name, found in program.endless.items() if found):
        options["endless"] = endless
    return options


def _class(t: ClassType, methods: dict[str, list[str]]) -> dict[str, Any]:
    def flag(a: Any) -> str:
        return "parameter" if a.is_parameter else "buffer" if a.is_buffer else ""

    made: dict[str, Any] = {"attributes": {n: [type_text(a.type), flag(a)] for n, a in t.attributes.items()}}
    if methods:
        made["methods"] = methods
    return made


def _describe_value(v: Any, owner: ScriptObject, own: bool = True) -> Any:
    """A plain attribute's value as JSON: scalars as they are, the rest as ``[kind, …]``; ``["own", name]``
    is a tensor that is another attribute, too. None for what has no form."""
    if v is None or isinstance(v, bool | int | str):
        return v
    if isinstance(v, float):
        return v if math.isfinite(v) else ["float", str(v)]
    if isinstance(v, enum.Enum | T.EnumValue):
        return ["enum", v.name]
    if isinstance(v, list | tuple):
        return ["list" if isinstance(v, list) else "tuple", [_describe_value(x, owner) for x in v]]
    if isinstance(v, dict):
        return ["dict", [[_describe_value(k, owner), _describe_value(x, owner)] for k, x in v.items()]]
    if hasattr(v, "__array__"):
        named = next((n for n, x in owner.attributes.items() if x is v), None) if own else None
        if named is not None:
            return ["own", named]
        array = array_of(v)
        return ["tensor", by_numpy(array.dtype).name, list(array.shape), base64.b64encode(array.tobytes()).decode()]
    return None


def _describe_held(held: ScriptObject, path: str, program: ProgramLowering) -> Any:
    """An object that is no module, held by one: ``["object", class, attributes]``, without the tensors that the model has by their path."""

    def inside(name: str, v: Any) -> Any:
        full = f"{path}.{name}"
        return _describe_held(v, full, program) if isinstance(v, ScriptObject) else _describe_value(v, held, own=False)

    known = program.main.parameters if program.main is not None else {}
    return [
        "object",
        held.type.name,
        {n: inside(n, v) for n, v in held.attributes.items() if f"{path}.{n}" not in known},
    ]


def _is_plain(o: ScriptObject, name: str, value: Any) -> bool:
    """Whether an attribute is neither a submodule nor a tensor with a name of its own."""
    a = o.type.attributes.get(name)
    if a is None or (value is None and isinstance(a.type, ClassType)):  # an object that is no module
        return False
    return not isinstance(value, ScriptObject) and not hasattr(value, "__array__")
