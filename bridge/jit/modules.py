"""Modules of a program as Python objects.

A program's module is a :class:`~bridge.ir.classes.ScriptObject` (class type and attribute values). What people hold is
an ``nn.Module`` around it, ``module._c``: parameters, buffers, attributes and methods are looked up in the object, so
that ``state_dict``, ``train``, ``to`` and assignments all work on the one copy of the values.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, NoReturn

from bridge.ir.classes import ClassType, InterfaceType, PendingObject, ScriptObject
from bridge.ir.graph import Graph
from bridge.jit.bases import own_members
from bridge.jit.concrete import ConcreteType, from_class_type
from bridge.jit.decorators import is_ignored
from bridge.jit.functions import ConstMap, OverloadedMethod, ScriptFunction, ScriptMethod
from bridge.jit.hooks import attach_hooks, call_with_hooks, check_names
from bridge.jit.names import python_cu
from bridge.jit.values import CastError, into, out_of
from bridge.nn import Module
from bridge.pytorch.programs import is_program, note_origin, taken_over

__all__ = [
    "RecursiveScriptModule", "ScriptFunction", "ScriptMethod", "ScriptModule", "create_script_module", "instantiate", "wrap",
]  # fmt: skip


class _Slots(MutableMapping[str, Any]):
    """The parameters or the buffers of a script object, as the dict that nn.Module keeps them in."""

    def __init__(self, held: ScriptObject, parameters: bool) -> None:
        self._held, self._parameters = held, parameters

    def __iter__(self) -> Iterator[str]:
        values = self._held.attributes
        for name, a in self._held.type.attributes.items():
            if (a.is_parameter if self._parameters else a.is_buffer) and values.get(name) is not None:
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        a = self._held.type.attributes.get(name)  # type: ignore[call-overload]
        if a is None or not (a.is_parameter if self._parameters else a.is_buffer):
            return False
        return self._held.attributes.get(a.name) is not None

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        return self._held.attributes[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self:
            raise RuntimeError(f"Can't add a new parameter after ScriptModule construction. Tried to add '{name}")
        self._held.attributes[name] = value

    def __delitem__(self, name: str) -> None:
        raise RuntimeError("cannot delete methods or parameters of a script module")

    def copy(self) -> dict[str, Any]:
        return dict(self)


class _Submodules(MutableMapping[str, Any]):
    """The submodules: the Python objects around the script objects that the parent's object holds.

    ``modules`` are these objects, or what makes them when somebody first asks: a large model has thousands of modules.
    """

    def __init__(self, held: ScriptObject, modules: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> None:
        self._held, self._given = held, modules

    @property
    def _python(self) -> dict[str, Any]:
        if not isinstance(self._given, dict):
            self._given = dict(self._given() if callable(self._given) else self._given)
        return self._given

    def __iter__(self) -> Iterator[str]:
        return iter(self._python)

    def __len__(self) -> int:
        return len(self._python)

    def __contains__(self, name: object) -> bool:
        return name in self._python

    def __getitem__(self, name: str) -> Any:
        return self._python[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(value, ScriptModule):
            raise RuntimeError(  # noqa: TRY004  (torch's)
                "Cannot re-assign modules in a ScriptModule with non-scripted module, tried to replace existing module "
                f"'{name}': {value}"
            )
        declared = self._held.type.attributes[name].type
        if isinstance(declared, ClassType) and value._c.type is not declared:
            at = f"(of Python compilation unit at: {id(python_cu):#x})"
            raise RuntimeError(
                f"Expected a value of type '{declared.name} {at}' for field '{name}', but found "
                f"'{value._c.type.name} {at}'"
            )
        self._held.attributes[name] = into(value, declared)
        self._python[name] = value

    def __delitem__(self, name: str) -> None:
        raise RuntimeError("cannot delete methods or parameters of a script module")

    def copy(self) -> dict[str, Any]:
        return dict(self._python)


class ScriptModule(Module):
    """Base of the modules that are programs: those that ``script``, ``trace`` and ``load`` make, and classes of one's own
    whose methods are marked ``script_method``; these compile when an instance has been made."""

    __jit_unused_properties__ = ["code", "code_with_constants", "graph", "inlined_graph", "original_name"]  # noqa: RUF012

    def __init_subclass__(cls, by_library: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not by_library:
            from bridge.jit.class_modules import prepare_class

            prepare_class(cls)

    def __getattr__(self, name: str) -> Any:
        made = self.__dict__.get("_actual_script_module")
        return super().__getattr__(name) if made is None else getattr(made, name)

    def __setattr__(self, name: str, value: Any) -> None:
        made = self.__dict__.get("_actual_script_module")
        if made is not None:
            setattr(made, name, value)
        elif type(value).__name__ == "Attribute" and hasattr(value, "value") and hasattr(value, "type"):
            annotations = dict(inspect.get_annotations(type(self)))
            type(self).__annotations__ = annotations | {name: value.type}
            super().__setattr__(name, value.value)
        else:
            super().__setattr__(name, value)

    def define(self, src: str) -> None:
        """Add methods written as text."""
        from bridge.jit.class_modules import define_in_module

        define_in_module(self, src)

    @property
    def graph(self) -> Graph:
        """The graph of ``forward``."""
        return self._method("forward").graph

    @property
    def inlined_graph(self) -> Graph:
        """The graph of ``forward`` with every call of a method or function replaced by what it does."""
        return self._method("forward").inlined_graph

    def graph_for(self, *args: Any, **kwargs: Any) -> Graph:
        """The graph that runs ``forward`` for these arguments, all calls inlined; runs it."""
        return self._method("forward").graph_for(*args, **kwargs)

    @property
    def code(self) -> str:
        """``forward`` as Python."""
        return self._method("forward").code

    @property
    def code_with_constants(self) -> tuple[str, ConstMap]:
        """:attr:`code`, and the tensors that it calls ``CONSTANTS.c0``…"""
        return self._method("forward").code_with_constants

    @property
    def original_name(self) -> str:
        """The name of the class that the module was made from."""
        held = self._script_object()
        return "" if held is None else held.type.name.rpartition(".")[2]

    def save(self, f: Any, _extra_files: dict[str, Any] | None = None) -> None:
        """Write a TorchScript archive (a path or a binary file)."""
        from bridge.jit.archive import save

        save(self, f, _extra_files=_extra_files)

    def save_to_buffer(self, _extra_files: dict[str, Any] | None = None) -> bytes:
        """A TorchScript archive as bytes."""
        import io

        f = io.BytesIO()
        self.save(f, _extra_files=_extra_files)
        return f.getvalue()

    def _script_object(self) -> ScriptObject | None:
        """The object that holds the values; None while the Python module is being made."""
        return getattr(self, "_c", None)

    def _method(self, name: str) -> ScriptMethod:
        held = self._script_object()
        function = None if held is None else held.type.find_method(name)
        if held is None or function is None:
            raise RuntimeError(f"Method '{name}' is not defined.")
        return ScriptMethod(held, function)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        held = self._script_object()
        name = held.type.name if held is not None else type(self).__name__
        raise RuntimeError(f"Tried to serialize object {name} which does not have a __getstate__ method defined!")


class _Forward:
    """Finds ``forward`` in the script object and keeps it in the instance, where later calls find it first."""

    def __get__(self, module: Any, owner: Any = None) -> Any:
        return self if module is None else RecursiveScriptModule.__getattr__(module, "forward")


class RecursiveScriptModule(ScriptModule, by_library=True):
    """A scripted, loaded or imported module."""

    forward: Any = _Forward()

    def __init__(self, held: ScriptObject) -> None:
        self.__dict__["_initializing"] = True
        super().__init__()
        self.__dict__["_c"] = held
        self.__dict__.pop("training", None)  # the object has it

    @staticmethod
    def _construct(
        held: ScriptObject, fill: Callable[[RecursiveScriptModule], None] | None = None
    ) -> RecursiveScriptModule:
        """The Python module of a script object; ``fill`` sets its ``_modules``, or what makes them, before it is closed."""
        made = RecursiveScriptModule(held)
        if fill is not None:
            fill(made)
        made.__dict__["_parameters"] = _Slots(held, parameters=True)
        made.__dict__["_buffers"] = _Slots(held, parameters=False)
        made.__dict__["_modules"] = _Submodules(held, made.__dict__["_modules"])
        made.__dict__["_initializing"] = False
        if not isinstance(held, PendingObject) and (held.type.hooks or held.type.pre_hooks):
            attach_hooks(made, held.type)
        return made

    # -- attributes ---------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        d = self.__dict__
        if d.get("_initializing", True):
            return super().__getattr__(name)
        held: ScriptObject = d["_c"]
        if name == "_concrete_type":
            made = d[name] = from_class_type(held.type)
            return made
        if name in d["_modules"]._python:
            return d["_modules"]._python[name]
        attribute = held.type.attributes.get(name)
        if attribute is not None:
            return out_of(held.attributes[name], attribute.type)
        function = held.type.find_method(name)
        if function is not None:
            method = d[name] = ScriptMethod(held, function)  # later uses do not come here
            return method
        if name in held.type.properties:
            return ScriptMethod(held, held.type.properties[name][0])()
        if name in held.type.constants:
            return held.type.constants[name]
        overloads = self._concrete_type.overloads.get(name)
        if overloads:
            return OverloadedMethod([ScriptMethod(held, held.type.methods[n]) for n in overloads])
        raise AttributeError(f"'RecursiveScriptModule' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        d = self.__dict__
        if d.get("_initializing", True):
            super().__setattr__(name, value)
            return
        held: ScriptObject = d["_c"]
        if name in d["_modules"]:
            d["_modules"][name] = value
        elif name in held.type.attributes:
            t = held.type.attributes[name].type
            try:
                held.attributes[name] = into(value, t)
            except (CastError, TypeError, ValueError) as e:
                raise RuntimeError(f"Could not cast attribute '{name}' to type {t.annotation()}: {e}") from None
        elif name in held.type.properties and held.type.properties[name][1] is not None:
            setter = held.type.properties[name][1]
            assert setter is not None
            ScriptMethod(held, setter)(value)
        elif name in held.type.constants:
            raise RuntimeError(f"Can't set constant '{name}' which has value:{held.type.constants[name]}")
        else:
            super().__setattr__(name, value)

    # -- as a module --------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward``."""
        d = self.__dict__
        if d["_forward_hooks"] or d["_forward_pre_hooks"] or d["_backward_hooks"] or d["_backward_pre_hooks"]:
            whole = None if kwargs else self._with_hooks(len(args))
            return super().__call__(*args, **kwargs) if whole is None else whole(*args)
        forward = d.get("forward")
        return (self.forward if forward is None else forward)(*args, **kwargs)

    def _with_hooks(self, count: int) -> ScriptMethod | None:
        """``forward`` between its compiled hooks as one program, for so many arguments; None where Python has a part in it."""
        d = self.__dict__
        t = d["_c"].type
        hooks = [*d["_forward_pre_hooks"].values(), *d["_forward_hooks"].values()]
        if [getattr(h, "_function", None) for h in hooks] != [*t.pre_hooks, *t.hooks] or not hooks:
            return None
        if d["_backward_hooks"] or d["_backward_pre_hooks"]:
            return None
        made = d.get("_whole")
        if made is None:
            made = d["_whole"] = ScriptMethod(d["_c"], call_with_hooks(t))
        return made if count == len(made._function.schema.arguments) - 1 else None

    def extra_repr(self) -> str:
        return f"original_name={self.original_name}"

    def __copy__(self) -> RecursiveScriptModule:
        held: ScriptObject = self.__dict__["_c"]
        return wrap(ScriptObject(held.type, dict(held.attributes)))

    def __deepcopy__(self, memo: dict[int, Any]) -> RecursiveScriptModule:
        return wrap(_deep_copy(self.__dict__["_c"], memo))

    # -- containers ---------------------------------------------------------------------------------------------

    def _magic(self, name: str, *args: Any) -> Any:
        made = self.__dict__.get(name)
        if made is None and self.__dict__["_c"].type.find_method(name) is not None:
            made = ScriptMethod(self.__dict__["_c"], self.__dict__["_c"].type.methods[name])
        if made is not None:
            return made(*args)
        if self.__dict__["_c"].type.name.rpartition(".")[2] not in ("ModuleDict", "ModuleList", "Sequential"):
            raise NotImplementedError
        held = self.__dict__["_modules"]
        by_name = self.original_name == "ModuleDict"
        if name == "__getitem__" and not by_name:
            return list(held.values())[args[0]]
        return getattr(dict(held) if by_name else list(held.values()), name)(*args)

    def __iter__(self) -> Any:
        return self._magic("__iter__")

    def __getitem__(self, index: Any) -> Any:
        return self._magic("__getitem__", index)

    def __len__(self) -> int:
        return int(self._magic("__len__"))

    def __contains__(self, key: Any) -> bool:
        return bool(self._magic("__contains__", key))

    def __dir__(self) -> list[str]:
        """With the names of attributes and methods, and for lists of modules those of the Python class."""
        t = self.__dict__["_c"].type
        python = dir(t.python_class) if self.original_name in ("ModuleList", "Sequential") else ()
        return sorted({*super().__dir__(), *t.attributes, *t.methods, *python})

    def __bool__(self) -> bool:
        return True


def _deep_copy(held: ScriptObject, memo: dict[int, Any]) -> ScriptObject:
    found = memo.get(id(held))
    if isinstance(found, ScriptObject):
        return found
    made = memo[id(held)] = ScriptObject(held.type)
    for name, v in held.attributes.items():
        made.attributes[name] = _deep_copy(v, memo) if isinstance(v, ScriptObject) else copy.deepcopy(v, memo)
    return made


def wrap(held: ScriptObject) -> RecursiveScriptModule:
    """The Python module of a script object and, recursively, of its submodules."""

    def fill(module: RecursiveScriptModule) -> None:
        module.__dict__["_modules"] = lambda: {name: wrap(sub) for name, sub in held.submodules()}
        if not isinstance(held, PendingObject) and isinstance(held.type.python_class, type):
            for name in _left_to_python(held.type.python_class):
                member = getattr(held.type.python_class, name)
                if inspect.isfunction(member):
                    module.__dict__.setdefault(name, member.__get__(module))

    return RecursiveScriptModule._construct(held, fill)


def instantiate(
    module: Module, concrete: ConcreteType, make_sub: Callable[[Module, Any], Any]
) -> RecursiveScriptModule:
    """A script module with the attribute values of ``module``; ``make_sub`` gives those of its submodules."""
    held = ScriptObject(concrete.jit_type)
    if not isinstance(module, Module):
        note_origin(held, module)

    def fill(made: RecursiveScriptModule) -> None:
        for name, (t, _, _) in concrete.attributes.items():
            value = getattr(module, name)
            value = value.value if type(value).__name__ == "Attribute" and hasattr(value, "value") else value
            held.attributes[name] = into(value, t)
        for name, sub_type in concrete.modules.items():
            sub = getattr(module, name)
            sub = taken_over(sub) if is_program(sub) else sub
            scripted = sub if isinstance(sub, ScriptModule) else make_sub(sub, sub_type)
            held.attributes[name] = into(scripted, held.type.attributes[name].type)
            made.__dict__["_modules"][name] = scripted
        made.__dict__["_concrete_type"] = concrete
        for name in concrete.ignored:
            if (
                name in module.__dict__
                or name in module._modules
                or name in module._parameters
                or name in module._buffers
            ):
                made.__dict__[name] = getattr(module, name)
            elif isinstance(inspect.getattr_static(type(module), name, None), property):
                made.__dict__[name] = inspect.getattr_static(type(module), name)  # as in torch, it is not called
        for name in _left_to_python(type(module)):
            member = getattr(module, name)
            if inspect.ismethod(member) and name not in made.__dict__:
                made.__dict__[name] = member.__func__.__get__(made)

    return RecursiveScriptModule._construct(held, fill)


def _unique_state_dict(module: Module, keep_vars: bool = False) -> dict[str, Any]:
    """The state of a module with each tensor once, under its first name; ``keep_vars`` keeps its place on the tape."""
    found: dict[int, tuple[str, Any]] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        found.setdefault(id(value), (name, value))
    return {name: value if keep_vars else value.detach() for name, value in found.values()}


_python_methods: dict[Any, list[str]] = {}


def _left_to_python(cls: type) -> list[str]:
    """The methods that stay Python: those marked ``ignore`` or ``unused``."""
    if cls not in _python_methods:
        _python_methods[cls] = _marked(cls)
    return _python_methods[cls]


def _marked(cls: type) -> list[str]:
    return [n for n, member in own_members(cls).items() if not n.startswith("__") and is_ignored(member)]


#: Methods of nn.Module that a program may have of its own, although their names are private.
_OF_STATE = {"_save_to_state_dict", "_load_from_state_dict"}


def create_script_module(
    module: Module, concrete: ConcreteType, compile_methods: Callable[[Module, ConcreteType], None]
) -> RecursiveScriptModule:
    """A script module made from a Python one, submodules first.

    ``compile_methods(module, concrete_type)`` adds the methods to ``concrete_type.jit_type``; it is called once for
    each concrete type (they are shared), after the submodules have theirs. Also defines ``__len__`` and
    ``__contains__`` of containers, as torch does.
    """

    def make_sub(sub: Module, sub_type: ConcreteType | InterfaceType) -> Any:
        if isinstance(sub_type, ConcreteType):
            return create_script_module(sub, sub_type, compile_methods)
        from bridge.jit.script_modules import script_for_interface

        return script_for_interface(sub, sub_type)

    check_names(module)
    made = instantiate(module, concrete, make_sub)
    if not concrete.compiled:
        concrete.compiled = True
        try:
            compile_methods(module, concrete)
        except BaseException:
            concrete.compiled = False
            raise
        if concrete.hooks or concrete.pre_hooks:
            attach_hooks(made, concrete.jit_type)  # a later module of the class finds them there
    held: ScriptObject = made.__dict__["_c"]
    for name, function in held.type.methods.items():
        if name in _OF_STATE or (
            not name.startswith("_") and name != "forward" and hasattr(RecursiveScriptModule, name)
        ):
            made.__dict__[name] = ScriptMethod(held, function)  # an exported `double` goes before nn.Module's
    return made
