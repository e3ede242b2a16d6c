"""Compiling the methods of live modules (``torch/jit/_recursive.py``)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bridge.importers.script import (
    ConcreteModule,
    ModuleSelf,
    SugaredValue,
    class_module,
    compile_function,
    parse_source,
)
from bridge.importers.script import tree as X
from bridge.ir.classes import ClassType, Function, InterfaceType
from bridge.ir.source import SourceRange
from bridge.jit import decorators
from bridge.jit.bases import is_base, module_bases, own_members
from bridge.jit.concrete import ConcreteType
from bridge.jit.hooks import define_hooks
from bridge.jit.live_functions import template_of
from bridge.jit.resolve import ClosureResolver, NamesResolver, PythonValue, captured, python_to_sugared
from bridge.jit.sources import default_values, definition_of

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore
    from bridge.importers.script.templates import Template

__all__ = ["LiveModule", "compile_methods", "compile_named", "exported_methods", "script_for_interface"]


class LiveModule:
    """A :class:`ConcreteModule` over the concrete type of a live module."""

    __slots__ = ("concrete",)

    def __init__(self, concrete: ConcreteType) -> None:
        self.concrete = concrete

    @property
    def type(self) -> ClassType:
        return self.concrete.jit_type

    @property
    def container(self) -> str:
        return self.concrete.container

    def submodule(self, name: str) -> ConcreteModule | None:
        sub = self.concrete.modules.get(name)
        if isinstance(sub, ConcreteType):
            return LiveModule(sub)
        return class_module(sub) if isinstance(sub, InterfaceType) else None

    def overloads(self, name: str) -> Sequence[str] | None:
        return self.concrete.overloads.get(name)

    def function(self, name: str) -> Function | Sequence[Function] | None:
        found = self.concrete.functions.get(name)
        return None if found is None else found[0]

    def builtin(self, name: str) -> str | None:
        return self.concrete.builtins.get(name)

    def _unbound(self, name: str) -> Any:
        found = getattr(self.concrete.python_class, name, None) if self.concrete.python_class is not None else None
        return found.__func__ if inspect.ismethod(found) else found  # a class method: the module is its class

    def python_method(self, name: str) -> bool:
        fn = self._unbound(name)
        if not inspect.isfunction(fn) or decorators.is_ignored(fn) or name in self.type.methods:
            return False
        _define(self.concrete, [(name, fn)])
        return True

    def template(self, name: str) -> Callable[[], Template] | None:
        fn = self._unbound(name)
        if not inspect.isfunction(fn) or decorators.is_ignored(fn):
            return None
        return lambda: template_of(fn)

    def inherited_method(self, name: str, after: Any) -> str | None:
        order = self.concrete.python_class.__mro__ if self.concrete.python_class is not None else ()
        if after not in order:
            return None
        behind = order[order.index(after) + 1 :]
        owner = next((c for c in behind if name in vars(c)), None)
        fn = None if owner is None else vars(owner)[name]
        if owner is None or is_base(owner) or not inspect.isfunction(fn) or decorators.is_ignored(fn):
            return None
        assert owner is not None
        # One name per class: two of the same name in the order are told apart by their places.
        same = [c for c in order if c.__name__ == owner.__name__]
        method = f"{owner.__name__}_{name}" + (f"_{same.index(owner)}" if len(same) > 1 else "")
        while hasattr(self.concrete.python_class, method) or method in self.type.attributes:
            method += "_"
        if method not in self.type.methods:
            _define(self.concrete, [(method, fn)])
        return method

    def python_value(self, name: str, m: EmitterCore, range: SourceRange) -> SugaredValue | None:
        if name in self.concrete.held:
            value = self.concrete.held[name]
            return captured(value, m, range) or python_to_sugared(value, m, range)
        fn = self._unbound(name)
        if not inspect.isfunction(fn):
            constant = getattr(m.resolver, "class_attribute", None)
            unusable = name in self.concrete.failed or name in self.concrete.ignored
            if constant is None or unusable or _is_machinery(self.concrete.python_class, name):
                return None
            found: SugaredValue | None = constant(self.concrete.python_class, name, m, range)
            return found
        if isinstance(inspect.getattr_static(self.concrete.python_class, name, None), staticmethod):
            return python_to_sugared(fn, m, range)
        if decorators.is_ignored(fn):
            return PythonValue(fn, m.graph.inputs[0] if m.graph.inputs else None)
        return None

    def hint(self, name: str) -> str:
        found = self.concrete.failed.get(name)
        if found is not None:
            return found
        return "attribute was ignored during compilation" if name in self.concrete.ignored else ""


def _is_machinery(cls: Any, name: str) -> bool:
    """Whether an attribute of a class is one of the library's, not the program's."""
    owner = next((c for c in getattr(cls, "__mro__", ()) if name in vars(c)), object)
    return owner is object or owner.__module__.partition(".")[0] in ("bridge", "torch", "builtins")


def _define(concrete: ConcreteType, methods: Sequence[tuple[str, Any]]) -> list[Function]:
    """Declare methods in a class type, then compile them."""
    t = concrete.jit_type
    functions = []
    for name, fn in methods:
        d = definition_of(fn, name)
        this = ModuleSelf(LiveModule(concrete))
        f = compile_function(d, ClosureResolver(fn), f"{t.name}.{name}", self=this, defaults=default_values(fn))
        functions.append(t.add_method(f))
    return _ensure(t, functions)


def _ensure(t: ClassType, functions: list[Function]) -> list[Function]:
    done = False
    try:
        for f in functions:
            f.ensure_defined()
        done = True
    finally:
        if not done:  # a class that half compiled would give stale methods to the next attempt
            for f in functions:
                t.methods.pop(f.name, None)
    return functions


def exported_methods(module: Any) -> list[str]:
    """Names of the methods marked ``export``, in alphabetical order."""
    members = {**own_members(type(module)), **vars(module)}
    return sorted(n for n, m in members.items() if decorators.get_modifier(m) == decorators.Modifier.EXPORT)


def methods_to_compile(module: Any) -> list[str]:
    """Where compilation starts: ``forward`` unless it is the base class's, and what is marked ``export``."""
    names: list[str] = []
    forward = getattr(type(module), "forward", None)
    unimplemented = {base.forward for base in module_bases()}  # type: ignore[attr-defined]
    if forward is not None and forward not in unimplemented and not decorators.is_ignored(module.forward):
        names.append("forward")
    names += [n for n in exported_methods(module) if n not in names]
    return names


def _function_of(module: Any, name: str) -> Any:
    member = getattr(module, name)
    member = getattr(member, "original_method", None) or member  # marked script_method outside a ScriptModule
    return getattr(member, "__func__", member)


def compile_methods(module: Any, concrete: ConcreteType) -> None:
    """Compile what a module needs into its class type: properties, methods, hooks, container methods."""
    t = concrete.jit_type
    functions = _declare_properties(module, concrete)
    overloaded = _declare_overloads(module, concrete)
    functions += overloaded
    names = [n for n in methods_to_compile(module) if n not in concrete.overloads]
    for name in names:
        if name in t.methods:  # an interface asked for it before
            continue
        fn = _function_of(module, name)
        d = definition_of(fn, name)
        this = ModuleSelf(LiveModule(concrete))
        f = compile_function(d, ClosureResolver(fn), f"{t.name}.{name}", self=this, defaults=default_values(fn))
        functions.append(t.add_method(f))
    _ensure(t, functions)
    define_hooks(concrete, lambda: LiveModule(concrete))
    _define_container_methods(module, concrete)


def compile_named(module: Any, concrete: ConcreteType, names: Sequence[str]) -> None:
    """Compile only these methods."""
    _define(concrete, [(n, _function_of(module, n)) for n in names])


def script_for_interface(module: Any, interface: InterfaceType) -> Any:
    """A script module with the methods that an interface asks for."""
    from bridge.jit.concrete import concrete_type_of
    from bridge.jit.modules import create_script_module

    def compile_inside(sub: Any, its: ConcreteType) -> None:
        if sub is not module:
            compile_methods(sub, its)

    concrete = concrete_type_of(module)
    compiled = concrete.compiled
    made = create_script_module(module, concrete, compile_inside)
    # The class may be shared with modules that other interfaces, or nobody, asked for less or more.
    concrete.compiled = compiled
    _ensure(concrete.jit_type, _declare_properties(module, concrete))
    compile_named(module, concrete, [n for n in interface.methods if n not in concrete.jit_type.methods])
    return made


def _declare_properties(module: Any, concrete: ConcreteType) -> list[Function]:
    t, cls = concrete.jit_type, type(module)
    unused = (*getattr(cls, "__jit_unused_properties__", ()), *concrete.ignored)
    functions: list[Function] = []
    for name, p in own_members(cls).items():
        if not isinstance(p, property) or name in unused or p.fget is None or decorators.should_drop(p.fget):
            continue
        if name in t.properties:  # declared for an interface
            continue
        pair: list[Function | None] = []
        for accessor, suffix in ((p.fget, "getter"), (p.fset, "setter")):
            if accessor is None:
                pair.append(None)
                continue
            d = definition_of(accessor, f"__{name}_{suffix}")
            this = ModuleSelf(LiveModule(concrete))
            f = compile_function(d, ClosureResolver(accessor), f"{t.name}.{d.name}", self=this, defaults={})
            functions.append(t.add_method(f))
            pair.append(f)
        assert pair[0] is not None
        t.properties[name] = (pair[0], pair[1])
    return functions


def _declare_overloads(module: Any, concrete: ConcreteType) -> list[Function]:
    """Methods declared with ``_overload_method``: one compiled method per declaration, ``name__0``, ``name__1``…"""
    t = concrete.jit_type
    functions: list[Function] = []
    for name in own_members(type(module)):
        declared = decorators.method_overloads_of(type(module), name)
        if not declared:
            continue
        fn = _function_of(module, name)
        if fn in declared:
            raise RuntimeError(
                f'Implementation for the method "{name}" is missing. It must stand behind all its overload declarations, '
                "under the same name and without the decorator"
            )
        body = definition_of(fn, name)
        names = []
        for i, declaration in enumerate(declared):
            d = definition_of(declaration)
            merged = body.with_signature(d.params, d.returns).renamed(f"{name}__{i}")
            this = ModuleSelf(LiveModule(concrete))
            f = compile_function(
                merged, ClosureResolver(fn), f"{t.name}.{merged.name}", self=this, defaults=default_values(fn)
            )
            functions.append(t.add_method(f))
            names.append(merged.name)
        concrete.overloads[name] = names
    return functions


def _define_container_methods(module: Any, concrete: ConcreteType) -> None:
    """``len`` of containers and ``in`` of dicts are constants of the program."""
    texts: dict[str, str] = {}
    if concrete.container in ("list", "dict"):
        texts["__len__"] = f"def __len__(self):\n   return {len(module)}\n"
    if concrete.container == "dict":
        keys = list(module.keys())
        body = f"key in {keys!r}" if keys else "False"
        texts["__contains__"] = f"def __contains__(self, key: str):\n   return {body}\n"
    t = concrete.jit_type
    for name, text in texts.items():
        if name in t.methods:
            continue
        (d,) = parse_source(text, "<string>")
        assert isinstance(d, X.Def)
        this = ModuleSelf(LiveModule(concrete))
        t.add_method(
            compile_function(d, NamesResolver({}), f"{t.name}.{name}", self=this, defaults={})
        ).ensure_defined()
