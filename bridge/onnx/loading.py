"""``bridge.onnx.load``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bridge.ir.memory import collector_paused

if TYPE_CHECKING:
    import onnx

    from bridge.importers.onnx.source import Source
    from bridge.ir.classes import Function, ScriptObject

__all__ = ["load", "unread"]


def load(
    source: str | os.PathLike[str] | bytes | onnx.ModelProto, *, follow_links: bool = False, checksums: bool = False
) -> Any:
    """The program that an ONNX model is, as a ScriptModule (a ScriptFunction where a function was exported).

    It is made from the graph that is there. Where the model carries our exporter's provenance, that is believed as far as
    lowering it again gives exactly these nodes, so that ``.code`` is what was exported; what was edited since prints as it now
    is, and everything else as ``ops.onnx.…``. Any model loads, with or without metadata.

    Large weights, and those in files beside the model (external data), are mapped into memory: do not change these files while the
    program is in use. External data must be in the model's folder, and is refused behind links unless ``follow_links`` is set
    (download caches keep models so). ``checksums=True`` compares it with the SHA-1 that the model gives.

    Raises FileNotFoundError, and OnnxImportError when the file is no ONNX model or asks for data that it may not have.
    """
    from bridge.importers.onnx.reader import read_model

    model, origin = read_model(source, follow_links=follow_links, checksums=checksums)
    with collector_paused():
        return _program(model, origin, given=model is source)


class Unread:
    """A model that nobody has looked into yet: called, it makes the module that the model is."""

    def __init__(self, model: onnx.ModelProto, origin: Source) -> None:
        self.model, self.origin = model, origin

    def __call__(self) -> ScriptObject:
        with collector_paused():
            return _imported(self.model, self.origin)


def unread(module: Any) -> onnx.ModelProto | None:
    """The model of a loaded module that nobody has looked into since: the module is still what it was. None for any other."""
    make = unbuilt(module)
    return make.model if make is not None else None


def unbuilt(module: Any) -> Unread | None:
    """What makes the module that a loaded one will be when somebody looks into it; None for one that is made, and for any other."""
    from bridge.ir.classes import PendingObject

    held = getattr(module, "__dict__", {}).get("_c")
    make = held.make if isinstance(held, PendingObject) else None
    return make if isinstance(make, Unread) else None


def _program(model: onnx.ModelProto, origin: Source, given: bool) -> Any:
    from bridge.importers.onnx.raise_functions import raise_functions
    from bridge.importers.onnx.raise_own import raise_own
    from bridge.jit.functions import ScriptFunction
    from bridge.jit.modules import wrap

    own = raise_own(model, relower, origin)
    found = own or raise_functions(model, origin)
    if found is None:
        return _foreign(model, origin, given)
    if found.owner is None:
        return ScriptFunction(found.function)
    _tensors(found.owner, gradients=own is not None)
    return wrap(found.owner)


def _foreign(model: onnx.ModelProto, origin: Source, given: bool) -> Any:
    """The module of a model of ONNX operators. Where nothing can go wrong it is built when somebody looks at it, unless the model
    is ``given`` and may be changed by then."""
    from bridge.importers.onnx.plain import is_plain
    from bridge.ir.classes import PendingObject
    from bridge.jit.modules import wrap

    if not given and is_plain(model):
        return wrap(PendingObject(Unread(model, origin)))
    return wrap(_imported(model, origin))


def _imported(model: onnx.ModelProto, origin: Source) -> ScriptObject:
    import bridge.ops.interpreted  # noqa: F401  (ONNX operators run in the interpreter, too)
    from bridge.importers.onnx.model import import_model

    imported = import_model(model, origin)
    _tensors(imported.module, gradients=False)  # ONNX operators have none
    return imported.module


def _tensors(held: ScriptObject, gradients: bool = True) -> None:
    """Make the arrays of a program's object tensors."""
    import numpy as np

    from bridge.ir.classes import ScriptObject
    from bridge.nn.parameter import Parameter
    from bridge.tensor import Tensor

    made: dict[int, Tensor] = {}
    for name, v in held.attributes.items():
        if isinstance(v, ScriptObject):
            _tensors(v, gradients)
        elif isinstance(v, np.ndarray):
            a = held.type.attributes[name]
            t = Tensor._wrap(v)
            if a.is_parameter:
                t = Parameter(t, requires_grad=gradients and v.dtype.kind == "f")
            held.attributes[name] = made[id(v)] = t
    for name, v in held.attributes.items():
        if not isinstance(v, ScriptObject | Tensor):
            held.attributes[name] = _inside(v, made)


def _inside(value: Any, made: Mapping[int, Any]) -> Any:
    """A list, tuple or dict with the arrays in it made tensors: those that ``made`` has, by the array's identity, or new ones."""
    import numpy as np

    from bridge.tensor import Tensor

    if isinstance(value, np.ndarray):
        return made.get(id(value)) if id(value) in made else Tensor._wrap(value)
    if isinstance(value, list | tuple):
        return type(value)(_inside(v, made) for v in value)
    if isinstance(value, dict):
        return {k: _inside(v, made) for k, v in value.items()}
    return value


class _Relowered:
    def __init__(self, model: onnx.ModelProto, names: Mapping[Any, Mapping[int, Mapping[str, str]]]) -> None:
        self.model, self.names = model, names


def relower(owner: ScriptObject | None, function: Function) -> Any:
    """Export a candidate as the model that it was read from was exported, for the importer to compare."""
    from bridge.exporters.onnx.export import export_again

    made = export_again(owner, function)
    names: dict[Any, Any] = {None: made.main.claims.value_names() if made.main.claims is not None else {}}
    for records in made.lowering.finished.values():
        for record in records:
            names[record.domain, record.name, ""] = record.claims.value_names()
    return _Relowered(made.model, names)
