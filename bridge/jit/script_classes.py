"""Script classes and interfaces: compiled from live Python classes, once each."""

from __future__ import annotations

import abc
import dataclasses
import enum
import inspect
import sys
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from bridge.importers.script import CompileError, SimpleSelf, compile_function, signature_of
from bridge.importers.script import tree as X
from bridge.importers.script.calls import compiling
from bridge.ir.classes import ClassType, Function, InterfaceType
from bridge.ir.schema import Argument, Schema
from bridge.ir.source import SourceRange
from bridge.ir.types import Type
from bridge.jit import decorators
from bridge.jit.bases import is_module_class, module_bases
from bridge.jit.dataclasses import made_methods, written_by_python
from bridge.jit.names import declare_class, python_cu, qualified_name
from bridge.jit.sources import default_values, definition_of

__all__ = ["class_type_of", "compile_class", "declare_interface", "interface_of"]

_classes: dict[type, ClassType] = {}
_interfaces: dict[type, InterfaceType] = {}
#: Names around a class while it is compiled: its annotations may use them, although its methods do not close over them.
around: dict[type, Mapping[str, Any]] = {}


def interface_of(cls: type) -> InterfaceType | None:
    """The interface that a class was declared to be, with either library's ``interface``."""
    found = _interfaces.get(cls)
    if found is None and "__torch_script_interface__" in vars(cls):  # what PyTorch leaves on it
        found = declare_interface(cls)
    return found


def _stand_in(cls: type) -> type:
    """The class that is compiled in place of one of the library's context managers."""
    library, _, rest = cls.__module__.partition(".")
    if library in ("bridge", "torch") and rest in ("autograd.grad_mode", "autograd.profiler"):
        from bridge.jit import context_managers

        return getattr(context_managers, cls.__name__, cls)
    return cls


def can_compile(cls: type) -> bool:
    """Whether a class may be compiled: all its methods are Python."""
    if decorators.is_ignored(cls) or issubclass(cls, (*module_bases(), tuple, list, BaseException, enum.Enum)):
        return False
    if cls.__module__ in ("builtins", "typing"):
        return False
    routines = [getattr(cls, n) for n in cls.__dict__ if inspect.isroutine(getattr(cls, n, None))]
    return all(hasattr(f, "__code__") for f in routines)


def class_type_of(cls: type, range: SourceRange | None = None) -> ClassType | None:
    """The type of a script class, compiled now if that has not happened; None for a class that cannot be one."""
    cls = _stand_in(cls)
    found = _classes.get(cls)
    if found is None and can_compile(cls):
        found = compile_class(cls, range)
    return found


class ClassResolver:
    """Names that the methods of a class can see; its own name is the class itself.

    ``fn`` is the method whose names they are, of a class that this one inherits from as well.
    """

    def __init__(
        self, cls: type, type: ClassType, fns: Sequence[Any], fn: Any = None, own: Mapping[str, Type] | None = None
    ) -> None:
        from bridge.jit.callbacks import closure_names
        from bridge.jit.resolve import NamesResolver

        names: dict[str, Any] = dict(around.get(cls, {}))
        for f in fns:
            names.update(closure_names(f))
        if not fns:
            names.update(vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {})
        names |= {} if own is None else {"annotate": decorators.annotate}
        self.cls, self.type = cls, type
        self.defining_class = None if fn is None else closure_names(fn).get("__class__")
        self._inner = NamesResolver(names, {cls.__name__: type, **(own or {})})

    def find(self, dotted: str) -> Any:
        return self._inner.find(dotted)

    def new_function_name(self, base: str) -> str:
        return self._inner.new_function_name(base)

    def class_attribute(self, cls: Any, name: str, m: Any, range: SourceRange) -> Any:
        return self._inner.class_attribute(cls, name, m, range)

    def inherited_method(self, name: str, after: Any) -> str | None:
        """Compile the method that ``super()`` finds; what the class calls it. ``""`` is that of ``object``: nothing."""
        order = self.cls.__mro__
        behind = order[order.index(after) + 1 :] if after in order else ()
        owner = next((c for c in behind if name in vars(c)), None)
        if owner is object and name in ("__init__", "__post_init__"):
            return ""
        if owner is None or owner in _NOT_SCRIPT:
            return None
        method = f"{owner.__name__}_{name}"
        if method not in self.type.methods:
            _declare(self.cls, self.type, vars(owner)[name], method).ensure_defined()
        return method

    def resolve_value(self, name: str, m: Any, range: SourceRange) -> Any:
        return self._inner.resolve_value(name, m, range)

    def resolve_import(self, module: str, member: str | None, m: Any, range: SourceRange) -> Any:
        return self._inner.resolve_import(module, member, m, range)

    def resolve_type(self, name: str, range: SourceRange) -> Any:
        return self._inner.resolve_type(name, range)


def compile_class(cls: type, range: SourceRange | None = None) -> ClassType:
    """Compile the methods that a class defines itself. Raises CompileError."""
    t = declare_class(cls, is_module=False)
    _classes[cls] = t
    try:
        with compiling(cls.__name__, called_only=True):
            _compile_methods(cls, t)
    except BaseException as e:
        del _classes[cls]
        python_cu.types.pop(t.name, None)
        if isinstance(e, CompileError) and e.range is None and range is not None:
            raise CompileError(e.message, range) from None
        raise
    return t


#: Classes whose methods are no part of a program.
_NOT_SCRIPT = (object, abc.ABC, typing.Generic, typing.Protocol)


def _is_machinery(cls: type, owner: type | None) -> bool:
    """Whether a method comes to a class of PyTorch's library from one of its bases, which its own compiler leaves out."""
    return cls.__module__.startswith("torch.") and owner is not cls


def _methods(cls: type) -> list[tuple[str, Any]]:
    """Methods of the class, inherited ones included, by name; static ones are functions, not methods."""
    found = []
    for name, member in inspect.getmembers(cls, lambda f: inspect.ismethod(f) or inspect.isfunction(f)):
        static = isinstance(inspect.getattr_static(cls, name, None), staticmethod)
        owner = next((c for c in cls.__mro__ if name in vars(c)), None)
        if (
            static
            or owner in _NOT_SCRIPT
            or _is_machinery(cls, owner)
            or decorators.get_modifier(member) == decorators.Modifier.DROP
        ):
            continue
        if not getattr(member, "__isabstractmethod__", False):
            found.append((name, member))
    return found


def _declare(cls: type, t: ClassType, fn: Any, name: str, fns: Sequence[Any] = ()) -> Function:
    """Add a method that is not compiled yet."""
    made = None
    if dataclasses.is_dataclass(cls) and written_by_python(fn):
        owner = next(c for c in cls.__mro__ if fn in vars(c).values())
        made = made_methods(owner, vars(sys.modules[cls.__module__])).get(fn.__name__)
    if made is not None:
        d, defaults = made.definition.renamed(name), made.defaults
        resolver = ClassResolver(cls, t, fns, None, made.types)
    else:
        d, defaults = definition_of(fn, name), default_values(fn)
        inherited = name not in vars(cls)
        resolver = ClassResolver(cls, t, [fn] if inherited else [*fns, fn], fn)
    if (
        fn.__name__ == "__exit__"
    ):  # a program gives it None: what is not said of it, or not in TorchScript's words, is Any
        d = d.renamed(name)
        d.params[1:] = [_as_any(p) for p in d.params[1:]]
    if inspect.ismethod(fn):  # a class method: its first argument is the class
        first = d.params[0]
        d = X.Def(d.name_range, d.name, [X.Param(first.range, "self", None), *d.params[1:]], d.returns, [
            X.Assign(first.range, [X.Var(first.range, first.name)], X.Var(first.range, cls.__name__)), *d.body])  # fmt: skip
    return t.add_method(compile_function(d, resolver, f"{t.name}.{name}", self=SimpleSelf(t), defaults=defaults))


def _as_any(p: X.Param) -> X.Param:
    said = p.type.range.text() if p.type is not None else ""
    words = ("BaseException", "Exception", "TracebackType", "type[", "Type[", "object")
    if said and not any(w in p.range.source.text[p.range.end : p.range.end + 80].split(",")[0] for w in words):
        return p
    return X.Param(p.range, p.name, X.Var(p.range, "Any"), p.default, p.kwarg_only)


def _compile_methods(cls: type, t: ClassType) -> None:
    methods = _methods(cls)
    if dataclasses.is_dataclass(cls):
        methods = [(n, f) for n, f in methods if not written_by_python(f) or n not in _LEFT_OUT]
    properties = [(n, p) for n, p in inspect.getmembers(cls, lambda m: isinstance(m, property))]
    fns = [f for _, f in methods if not written_by_python(f)] + [p.fget for _, p in properties if p.fget is not None]
    functions: list[Function] = []
    for name, p in properties:
        if p.fget is None or decorators.should_drop(p.fget) or name in getattr(cls, "__jit_unused_properties__", ()):
            continue
        getter = _declare(cls, t, p.fget, f"__{name}_getter", fns)
        setter = _declare(cls, t, p.fset, f"__{name}_setter", fns) if p.fset is not None else None
        t.properties[name] = (getter, setter)
        functions += [getter] + ([setter] if setter is not None else [])
    for name, fn in methods:
        functions.append(_declare(cls, t, fn, name, fns))
    for f in sorted(functions, key=lambda f: f.name != "__init__"):
        f.ensure_defined()


#: What dataclasses have beyond what a program can say of them.
_LEFT_OUT = frozenset({"__hash__", "__setattr__", "__delattr__"})


def declare_interface(cls: type) -> InterfaceType:
    """Register a class as an interface: its methods' signatures. Raises CompileError for bodies other than ``pass``."""
    from bridge.jit.callbacks import closure_names

    is_module = is_module_class(cls)
    direct = cls.__bases__ == (cls.__mro__[1],) and cls.__mro__[1].__name__ in ("Module", "object")
    if not direct:
        raise RuntimeError(
            "TorchScript interface does not support inheritance yet. Please directly inherit from 'object' or 'nn.Module'."
        )
    t = InterfaceType(python_cu.unique_name(qualified_name(cls)), is_module, cls)
    python_cu.add_type(t.name, t)
    _interfaces[cls] = t
    from bridge.jit.resolve import NamesResolver

    for fn in vars(cls).values():
        if not inspect.isfunction(fn):
            continue
        d = definition_of(fn)
        if d.returns is None:
            raise CompileError("interface declarations must have a return type annotated.", d.range)
        if any(not isinstance(s, X.Pass | X.ExprStmt) for s in d.body):
            raise CompileError("interfaces declarations should only contain a single 'pass' statement.", d.range)
        schema = signature_of(d, NamesResolver(closure_names(fn), {cls.__name__: t}), True, default_values(fn))
        this = Argument(d.params[0].name, t)
        t.methods[d.name] = Schema(d.name, "", [this, *schema.arguments], schema.returns)
    return t
