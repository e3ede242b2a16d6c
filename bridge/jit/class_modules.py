"""Programs that are declared rather than handed to ``script``: ``ScriptModule`` classes and ``CompilationUnit`` texts.

A class derived from ``ScriptModule`` compiles the methods marked ``script_method`` when an instance has been made; from
then on the instance stands for the compiled module, ``_actual_script_module``.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bridge.importers.script import CompileError, ModuleSelf, compile_function, parse_source
from bridge.importers.script import tree as X
from bridge.importers.script.type_comments import type_comment, with_type_comment
from bridge.ir.classes import ClassType, Function
from bridge.ir.graph import Graph
from bridge.jit import _state
from bridge.jit.functions import ScriptFunction

if TYPE_CHECKING:
    from bridge.jit.concrete import ConcreteType

__all__ = ["CompilationUnit", "MethodStub", "define_in_module", "prepare_class", "script_method", "visible_names"]


class MethodStub:
    """A method that waits for its module: a function of the class, or a definition in a text with what it can see."""

    def __init__(self, function: Any, definition: X.Def | None = None, names: Mapping[str, Any] | None = None) -> None:
        self.original_method, self.definition, self.names = function, definition, names

    @property
    def name(self) -> str:
        return str(self.original_method.__name__) if self.definition is None else self.definition.name


def script_method(fn: Callable[..., Any]) -> Any:
    """Mark a method of a class derived from ``ScriptModule``: it is compiled when an instance is made."""
    return MethodStub(fn) if _state.is_enabled() else fn


def prepare_class(cls: type[Any]) -> None:
    """Collect the marked methods of a new class, and let instances compile them once ``__init__`` is done."""
    if not _state.is_enabled():
        return
    methods: dict[str, MethodStub] = {}
    for base in reversed(cls.__bases__):
        methods |= getattr(base, "_methods", {})
    for name, value in sorted(vars(cls).items()):
        if isinstance(value, MethodStub):
            delattr(cls, name)
            methods[value.name] = value
    cls._methods = methods
    original = cls.__init__

    @functools.wraps(original)
    def init_then_script(self: Any, *args: Any, **kwargs: Any) -> None:
        before = len(methods)
        original(self, *args, **kwargs)
        if type(self) is cls:
            _compile(self, share_types=len(methods) == before)

    cls.__init__ = init_then_script


def _compile(module: Any, share_types: bool) -> None:
    from bridge.jit.concrete import concrete_type_of
    from bridge.jit.modules import create_script_module
    from bridge.jit.script_modules import compile_methods

    def compile_stubs(m: Any, concrete: ConcreteType) -> None:
        stubs = getattr(type(m), "_methods", None)
        if stubs is None:
            compile_methods(m, concrete)
        else:
            _define(concrete, [stubs[name] for name in sorted(stubs)])

    made = create_script_module(module, concrete_type_of(module, share_types=share_types), compile_stubs)
    own = module.__dict__
    concrete: Any = made.__dict__["_concrete_type"]
    for name in [*concrete.attributes, "_parameters", "_buffers", "_modules"]:
        own.pop(name, None)  # the compiled module has them
    own["_actual_script_module"] = made
    if made._c.type.find_method("forward") is not None:
        own["forward"] = made.forward


def _define(concrete: ConcreteType, stubs: Sequence[MethodStub]) -> None:
    from bridge.jit.resolve import ClosureResolver, NamesResolver
    from bridge.jit.script_modules import LiveModule
    from bridge.jit.sources import default_values, definition_of

    t: ClassType = concrete.jit_type
    functions = []
    for stub in stubs:
        this = ModuleSelf(LiveModule(concrete))
        name = f"{t.name}.{stub.name}"
        if stub.definition is not None:
            f = compile_function(stub.definition, NamesResolver(stub.names or {}), name, self=this)
        else:
            fn = stub.original_method
            d = definition_of(fn, stub.name)
            f = compile_function(d, ClosureResolver(fn), name, self=this, defaults=default_values(fn))
        functions.append(t.add_method(f))
    for f in functions:
        f.ensure_defined()


def _definitions(text: str) -> list[X.Def]:
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    found = []
    for d in parse_source(text, "<string>", 1, len(first) - len(first.lstrip())):
        if not isinstance(d, X.Def):
            raise CompileError("only function definitions can stand here", d.range)
        comment = type_comment(_head(text, d))
        found.append(d if comment is None else with_type_comment(d, comment))
    return found


def _head(text: str, d: X.Def) -> list[str]:
    """The lines of a definition up to its first statement, which may say its types in a comment."""
    end = d.body[0].range.start if d.body else None
    return text[d.range.start : end].splitlines()


def visible_names(depth: int) -> Mapping[str, Any]:
    """The names that the code ``depth`` calls up can see."""
    frame = inspect.currentframe()
    for _ in range(depth + 1):
        frame = frame.f_back if frame is not None else None
    return {} if frame is None else ChainMap(dict(frame.f_locals), frame.f_globals)


def define_in_module(module: Any, text: str, names: Mapping[str, Any] | None = None) -> None:
    """Add methods written in a text to a module: compiled now, or after ``__init__`` of a module that is being made."""
    names = visible_names(2) if names is None else names
    stubs = [MethodStub(None, d, names) for d in _definitions(text)]
    made = module.__dict__.get("_actual_script_module", module)
    if "_c" in made.__dict__:
        _define(made.__dict__["_concrete_type"], stubs)
    else:
        type(module)._methods.update({s.name: s for s in stubs})


class CompilationUnit:
    """Functions compiled from a text: ``CompilationUnit("def f(x): return x + 1").f(x)``."""

    def __init__(self, lang: str | None = None, _frames_up: int = 0) -> None:
        self._functions: dict[str, ScriptFunction] = {}
        if lang is not None:
            self.define(lang, _frames_up=_frames_up + 1)

    def define(self, lang: str, rcb: Any = None, _frames_up: int = 0) -> CompilationUnit:
        """Compile the definitions of a text; they see each other and the names of the caller."""
        from bridge.jit.resolve import NamesResolver

        names: Mapping[str, Any] = ChainMap(
            self._functions, sys.modules["builtins"].__dict__, dict(visible_names(_frames_up + 1))
        )
        made: list[Function] = []
        for d in _definitions(lang):
            if d.name in self._functions:
                raise RuntimeError(f"method '{d.name}' already defined.")
            made.append(compile_function(d, NamesResolver(names), d.name))
            self._functions[d.name] = ScriptFunction(made[-1])
        for f in made:
            f.ensure_defined()
        return self

    def find_function(self, name: str) -> ScriptFunction | None:
        """The function of that name; None when there is none."""
        return self._functions.get(name)

    def get_functions(self) -> list[ScriptFunction]:
        """All functions, in the order of the text."""
        return list(self._functions.values())

    def create_function(self, qualified_name: str, graph: Graph, shouldMangle: bool = False) -> ScriptFunction:
        """Add a copy of a graph as a function of that name. Raises RuntimeError where the name is taken."""
        from bridge.jit.trace_blocks import default_schema

        name = qualified_name.rpartition(".")[2]
        if name in self._functions and not shouldMangle:
            raise RuntimeError(f"method '{qualified_name}' already defined.")
        copy = graph.copy()
        made = ScriptFunction(Function(qualified_name, copy, default_schema(name, copy)))
        self._functions.setdefault(name, made)
        return made

    def __getattr__(self, name: str) -> ScriptFunction:
        found = self.__dict__.get("_functions", {}).get(name)
        if found is None:
            raise AttributeError(f"'CompilationUnit' has no attribute '{name}'")
        function: ScriptFunction = found
        return function
