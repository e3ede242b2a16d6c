"""PyTorch's own scripted and traced programs, taken over through the archive that they save."""

from __future__ import annotations

import inspect
import io
import weakref
from typing import Any

from bridge.ir.classes import Function, ScriptObject
from bridge.ir.schema import Schema
from bridge.jit.names import python_cu
from bridge.pytorch import library
from bridge.pytorch.tensors import from_torch
from bridge.tensor import Tensor

__all__ = ["bound_method", "is_program", "note_origin", "origin_of", "taken_over"]

_origins: weakref.WeakKeyDictionary[ScriptObject, Any] = weakref.WeakKeyDictionary()
#: What was made of a program, by its id, as long as the program lives.
_known: dict[int, Any] = {}
#: Our object for the native part of each of PyTorch's modules that was taken over.
_objects: dict[Any, weakref.ref[ScriptObject]] = {}


def is_program(obj: Any) -> bool:
    """Whether an object is a ``torch.jit.ScriptModule`` or ``torch.jit.ScriptFunction``."""
    torch = library()
    return torch is not None and isinstance(obj, torch.jit.ScriptModule | torch.jit.ScriptFunction)


def taken_over(program: Any) -> Any:
    """Our module or function for one of PyTorch's, the same one each time; its tensors share the memory of theirs.

    Raises what :func:`bridge.jit.load` raises for an archive that it cannot read.
    """
    found = _known.get(id(program))
    if found is not None:
        return found
    source = getattr(program, "_torchdynamo_inline", None)  # the Python function of a scripted one
    if inspect.isfunction(source):
        from bridge.jit.script import script

        return script(source)
    made = _loaded(program)
    if isinstance(program, library().jit.ScriptFunction):
        made = _free_function(made, program.qualified_name)
    else:
        _share(made._c, program)
    _known[id(program)] = made
    weakref.finalize(program, _known.pop, id(program), None)
    return made


def note_origin(held: ScriptObject, module: Any) -> None:
    """Remember which live module an object was made from."""
    _origins[held] = module


def origin_of(held: ScriptObject) -> Any:
    """The live module that an object was made from; for one without, the module of ours around it."""
    from bridge.jit.modules import wrap

    found = _origins.get(held)
    return wrap(held) if found is None else found


def _loaded(program: Any) -> Any:
    from bridge.jit.archive import load

    file = io.BytesIO()
    library().jit.save(program, file)
    file.seek(0)
    return load(file)


def _free_function(module: Any, name: str) -> Any:
    """The function that an archive holds as the method of a module without attributes."""
    from bridge.jit.functions import ScriptFunction

    method: Function = module._c.type.methods["forward"]
    graph = method.graph.copy()
    graph.param_node.remove_output(0)
    schema = method.schema
    free = Schema(name.rpartition(".")[2], "", schema.arguments[1:], schema.returns)
    return ScriptFunction(python_cu.add_function(Function(python_cu.unique_name(name), graph, free)))


def _share(ours: ScriptObject, theirs: Any) -> None:
    """Replace the tensors that came through the archive by those of the module itself, and note which object is which."""
    native = theirs._c
    _objects[native] = weakref.ref(ours, lambda _: _objects.pop(native, None))
    for name, value in ours.attributes.items():
        if isinstance(value, Tensor):
            ours.attributes[name] = from_torch(getattr(theirs, name))
        elif isinstance(value, ScriptObject) and value.type.is_module:
            _share(value, getattr(theirs, name))


def bound_method(method: Any) -> tuple[Function, ScriptObject | None]:
    """Our function for a captured function or bound method of PyTorch, and the object that it is bound to.

    Raises RuntimeError for a method of a module that was not taken over.
    """
    if isinstance(method, library().jit.ScriptFunction):
        return taken_over(method)._function, None
    known = _objects.get(method.owner)
    held = None if known is None else known()
    if held is None:
        raise RuntimeError(
            f"Tried to trace <{method.owner._type().qualified_name()} object> but it is not part of the active trace. "
            "Modules that are called during a trace must be registered as submodules of the thing being traced."
        )
    return held.type.methods[method.name], held
