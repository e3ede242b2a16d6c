"""From a Python module instance to its class type.

A :class:`ConcreteType` is what the compiler needs to know of one ``nn.Module`` instance beyond its class: the types of
its attributes, the values of its constants, the concrete types of its submodules, the Python functions it holds.
Instances whose descriptions are equal share one class type when they are scripted; every traced module gets a class of
its own, because what a trace records depends on the inputs as well. The rules, the order of attributes included, are
those of torch/jit/_recursive.py and concrete_module_type.cpp (2.13).
"""

from __future__ import annotations

import functools
import inspect
import sys
import textwrap
import typing
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, InterfaceType
from bridge.ir.dtypes import DType
from bridge.jit.bases import container_kind, is_base, submodules
from bridge.jit.first_values import found_type, is_configuration
from bridge.jit.inference import CannotInfer, infer_type
from bridge.jit.names import declare_class, public_module
from bridge.pytorch.programs import is_program, taken_over
from bridge.pytorch.tensors import plain

if TYPE_CHECKING:
    from bridge.nn import Module

__all__ = ["ConcreteType", "concrete_type_of", "from_class_type"]

#: Attributes of nn.Module itself that are no part of a program.
_MACHINERY = frozenset(
    "_version _parameters _buffers _non_persistent_buffers_set _backward_hooks _backward_pre_hooks _forward_hooks "
    "_forward_hooks_with_kwargs _forward_pre_hooks _forward_pre_hooks_with_kwargs _forward_hooks_always_called "
    "_state_dict_hooks _state_dict_pre_hooks _load_state_dict_pre_hooks _load_state_dict_post_hooks _modules "
    "_initializing dump_patches".split()
)


class ConcreteType:
    """What is known of one module instance. ``jit_type`` is its class type.

    ``attributes``  name → (type, is parameter, is buffer), in order.
    ``modules``     name → ConcreteType (or the InterfaceType that an annotation asked for), in order.
    ``constants``   name → Python value.
    ``functions``   name → (Function, the Python function) for functions held as attributes.
    ``builtins``    name → operator name, for library functions held as attributes.
    ``failed``      name → why the attribute cannot be used in a program.
    ``overloads``   method name → names of its overloads.
    ``container``   "list", "dict", "parameter list", "parameter dict" or "".
    ``compiled``    whether the methods have been compiled into ``jit_type`` (the compiler sets it).
    """

    def __init__(self, python_class: type | None) -> None:
        self.python_class = python_class
        self.attributes: dict[str, tuple[T.Type, bool, bool]] = {}
        self.modules: dict[str, ConcreteType | InterfaceType] = {}
        self.constants: dict[str, Any] = {}
        self.functions: dict[str, tuple[Function, Any]] = {}
        self.builtins: dict[str, str] = {}
        self.held: dict[str, Any] = {}  # lambdas, lists and dicts of functions
        self.failed: dict[str, str] = {}
        self.overloads: dict[str, list[str]] = {}
        self.declared_overloads: dict[str, list[str]] = {}  # by the instance; the others are its class's
        self.ignored: tuple[str, ...] = ()
        self.hooks: list[Any] = []
        self.pre_hooks: list[Any] = []
        self.container = ""
        self.compiled = self.unshared = False
        self._jit_type: ClassType | None = None

    @property
    def jit_type(self) -> ClassType:
        assert self._jit_type is not None
        return self._jit_type

    def build(self) -> ConcreteType:
        """Make the class type, with attributes, constants and submodules in torch's order."""
        t = self._jit_type = declare_class(self.python_class)
        for name, (kind, is_parameter, is_buffer) in self.attributes.items():
            t.add_attribute(name, kind, is_parameter, is_buffer)
        t.constants.update(self.constants)
        for name, sub in self.modules.items():
            t.add_attribute(name, sub.jit_type if isinstance(sub, ConcreteType) else sub)
        t.described = self
        return self

    def same_as(self, other: ConcreteType) -> bool:
        """Whether instances of the two may share one class type."""
        if self.unshared or other.unshared or self.python_class is not other.python_class:
            return False
        if list(self.modules) != list(other.modules) or not _same_constants(self.constants, other.constants):
            return False
        for a, b in zip(self.modules.values(), other.modules.values(), strict=True):
            both = isinstance(a, ConcreteType) and isinstance(b, ConcreteType)
            if a is not b and not (both and a.same_as(b)):  # type: ignore[union-attr, arg-type]
                return False
        mine = (list(self.attributes.items()), self.container, self.ignored, self.declared_overloads, self.builtins)
        theirs = (
            list(other.attributes.items()), other.container, other.ignored, other.declared_overloads, other.builtins,
        )  # fmt: skip
        functions = [(n, f) for n, (_, f) in self.functions.items()] == [
            (n, f) for n, (_, f) in other.functions.items()
        ]
        functions = functions and self.held == other.held
        return mine == theirs and functions and self.hooks == other.hooks and self.pre_hooks == other.pre_hooks


_known: dict[type, list[ConcreteType]] = {}


def _same_constants(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(type(v) is type(b[k]) and v == b[k] for k, v in a.items())


def from_class_type(t: ClassType) -> ConcreteType:
    """The description of a class type; for one that no Python module stands behind (loaded), made from the type."""
    found: ConcreteType | None = t.described
    if found is None:
        found = ConcreteType(t.python_class)
        found.unshared = found.compiled = True
        for name, a in t.attributes.items():
            if isinstance(a.type, ClassType) and a.type.is_module:
                found.modules[name] = from_class_type(a.type)
            elif isinstance(a.type, InterfaceType) and a.type.is_module:
                found.modules[name] = a.type
            else:
                found.attributes[name] = (a.type, a.is_parameter, a.is_buffer)
        found.constants.update(t.constants)
        found._jit_type = t
        t.described = found
    return found


def concrete_type_of(module: Module, share_types: bool = True) -> ConcreteType:
    """The concrete type of a module instance.

    Scripted and traced modules have one already. With ``share_types`` an equal known type is returned; without, a new
    class is made for the module and each of its submodules.
    """
    if is_program(module):
        module = taken_over(module)
    known = getattr(module, "_concrete_type", None)
    if isinstance(known, ConcreteType):
        return known
    made = _describe(module, share_types)
    if not share_types:
        made.unshared = True
        return made.build()
    candidates = _known.setdefault(type(module), [])
    for c in candidates:
        if c.same_as(made):
            return c
    candidates.append(made.build())
    return made


def _describe(module: Module, share_types: bool) -> ConcreteType:
    if "_parameters" not in module.__dict__:
        name = f"{type(module).__module__}.{type(module).__qualname__.rpartition('.')[2]}"
        raise RuntimeError(f"'{name}' has not been initialized, did you forget to call 'super()'?")
    c = ConcreteType(type(module))
    c.container = container_kind(module)
    annotations = _annotations(module)
    c.ignored = tuple(getattr(module, "__jit_ignored_attributes__", ()))
    for name, p in module._parameters.items():
        if name not in c.ignored:
            c.attributes[name] = (_declared_or_inferred(name, p, module, annotations), True, False)
    for name, b in module._buffers.items():
        if name not in c.ignored:
            c.attributes[name] = (_declared_or_inferred(name, b, module, annotations), False, True)
    for name, sub in submodules(module).items():
        if name in c.ignored:
            continue
        if sub is None:
            c.attributes[name] = (_declared_or_inferred(name, sub, module, annotations), False, False)
            continue
        declared = _declared(name, module, annotations)
        c.modules[name] = declared if isinstance(declared, InterfaceType) else concrete_type_of(sub, share_types)
    _add_constants(c, module, annotations)
    _add_overloads(c, module)
    taken = {*c.attributes, *c.modules, *c.constants}
    for name, value in module.__dict__.items():
        if name not in _MACHINERY and not name.startswith("__") and name not in c.ignored and name not in taken:
            _add_attribute(c, name, value, module, annotations)
    c.hooks = list(module._forward_hooks.values())
    c.pre_hooks = list(module._forward_pre_hooks.values())
    return c


def _annotations(module: Module) -> dict[str, Any]:
    """Annotations of the nearest class that has any (torch's rule)."""

    def of(cls: type) -> dict[str, Any]:
        if is_base(cls):
            return _BASE_ANNOTATIONS
        own = inspect.get_annotations(cls)
        if own:
            return own
        for base in cls.__bases__:
            found = of(base)
            if found:
                return found
        return {}

    return of(type(module))


#: What torch.nn.Module declares of the attributes that become part of a program.
_BASE_ANNOTATIONS: dict[str, Any] = {"training": bool, "_is_full_backward_hook": bool | None}


def _declared(name: str, module: Module, annotations: dict[str, Any]) -> T.Type | None:
    """The type that a class annotation gives to an attribute; None without one."""
    annotation = annotations.get(name, inspect)
    if annotation is inspect or (is_final(annotation) and not typing.get_args(annotation)):
        return None
    if annotation is bool:
        return T.BOOL
    if annotation == bool | None:
        return T.OptionalType(T.BOOL)
    from bridge.jit.annotations import annotation_to_type

    names = vars(sys.modules[type(module).__module__]) if type(module).__module__ in sys.modules else {}
    return annotation_to_type(annotation, names)


def _declared_or_inferred(name: str, value: Any, module: Module, annotations: dict[str, Any]) -> T.Type:
    try:
        declared = _declared(name, module, annotations)
    except CannotInfer:
        raise
    except RuntimeError as e:
        raise RuntimeError(f"Error inferring type for {name}: {value}: {e}") from e
    return declared if declared is not None else infer_type(value)


def is_final(annotation: Any) -> bool:
    """Whether an annotation is ``Final`` or ``Final[T]``."""
    return annotation is typing.Final or typing.get_origin(annotation) is typing.Final


def _add_constants(c: ConcreteType, module: Module, annotations: dict[str, Any]) -> None:
    names: dict[str, None] = dict.fromkeys(getattr(module, "__constants__", ()))
    names |= dict.fromkeys(n for n, a in annotations.items() if is_final(a))
    names |= {n: None for n in module.__dict__ if is_configuration(type(module), n)}
    for name in names:
        kinds: dict[str, Any] = {
            "submodule": module._modules,
            "buffer": module._buffers,
            "parameter": module._parameters,
        }
        if name in c.attributes or name in c.modules:
            hint = next((k for k, d in kinds.items() if name in d), "attribute")
            text = (
                f"'{name}' was found in ScriptModule constants,  but it is a non-constant {hint}. Consider removing it."
            )
            warnings.warn(text, stacklevel=2)
        elif not hasattr(module, name):
            text = f"'{name}' was found in ScriptModule constants, but was not actually set in __init__. Consider removing it."
            warnings.warn(text, stacklevel=2)
        else:
            c.constants[name] = _constant(name, getattr(module, name), type(module).__name__)


def _constant(name: str, value: Any, owner: str) -> Any:
    value = plain(value)
    if value is None or isinstance(value, bool | int | float | str | DType):
        return value
    if type(value).__name__ in ("device", "layout", "memory_format", "qscheme"):
        return value
    if isinstance(value, tuple | list):
        return tuple(_constant(name, v, owner) for v in value)
    kind = f"{public_module(type(value).__module__)}.{type(value).__qualname__}"
    valid = "bool, float, int, str, NoneType, torch.device, torch.layout, torch.dtype, torch.qscheme"
    raise TypeError(
        textwrap.dedent(
            f"""
        '{kind}' object in attribute '{owner}.{name}' is not a valid constant.
        Valid constants are:
        1. a nn.ModuleList
        2. a value of type {{{valid}}}
        3. a list or tuple of (2)
        """
        )
    )


def _add_overloads(c: ConcreteType, module: Module) -> None:
    overloads: dict[str, list[str]] = dict(getattr(module, "__overloads__", {}))
    c.declared_overloads = {name: list(names) for name, names in overloads.items()}
    c.overloads = dict(c.declared_overloads)


def _add_attribute(c: ConcreteType, name: str, value: Any, module: Module, annotations: dict[str, Any]) -> None:
    """An entry of the instance's ``__dict__``: a function, a library function, a value, or something unusable."""
    from bridge.jit.modules import ScriptFunction

    if is_program(value):
        value = taken_over(value)
    if _holds_functions(value):
        c.held[name] = value
        return
    if inspect.isfunction(value):
        _add_function(c, name, value)
        return
    if isinstance(value, ScriptFunction):
        c.functions[name] = (value._function, value)
        return
    builtin = _builtin_name(value)
    if builtin is not None:
        c.builtins[name] = builtin
        return
    known = found_type(type(module), name, value)
    if known is not None:
        c.attributes[name] = (known, False, False)
        return
    try:
        if type(value).__name__ == "Attribute" and hasattr(value, "value") and hasattr(value, "type"):
            from bridge.jit.annotations import annotation_to_type

            c.attributes[name] = (annotation_to_type(value.type), False, False)
        else:
            c.attributes[name] = (_declared_or_inferred(name, value, module, annotations), False, False)
    except CannotInfer as e:
        kind = f"{public_module(type(value).__module__)}.{type(value).__qualname__}".removeprefix("builtins.")
        advice = "" if name in annotations else "Its type was inferred; try adding a type annotation for the attribute."
        c.failed[name] = (
            f"(This attribute exists on the Python module, but we failed to convert Python type: '{kind}' "
            f"to a TorchScript type. {e}. {advice})"
        )


def _holds_functions(value: Any) -> bool:
    """A lambda, a partial call, and lists, tuples and dicts of functions; TorchScript has none of them."""
    if isinstance(value, dict):
        value = list(value.values())
    if type(value) in (list, tuple):
        return bool(value) and all(inspect.isroutine(v) or isinstance(v, functools.partial) for v in value)
    return isinstance(value, functools.partial) or getattr(value, "__name__", "") == "<lambda>"


def _add_function(c: ConcreteType, name: str, value: Callable[..., Any]) -> None:
    from bridge.jit.script import script

    builtin = _builtin_name(value)
    if builtin is not None:
        c.builtins[name] = builtin
        return
    try:
        scripted = script(value)
        c.functions[name] = (scripted._function, value)
    except Exception as e:  # noqa: BLE001  (whatever stops the compiler is told when the attribute is used)
        c.failed[name] = (
            "(This function exists as an attribute on the Python module, but we failed to compile it to a TorchScript "
            f"function. \nThe error stack is reproduced here:\n{e})"
        )


def _builtin_name(value: Any) -> str | None:
    """The operator that a library function stands for (the compiler's table), or None."""
    if not callable(value) or isinstance(value, type):
        return None
    from bridge.jit.operator_names import builtin_name

    return builtin_name(value)
