"""Definitions → functions: emission, SSA, cleanup, in torch's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bridge.importers.script.calls import compiling
from bridge.importers.script.captures import refuse_writes
from bridge.importers.script.closures import inline_forked_closures, lift_closures
from bridge.importers.script.errors import (
    AttributeType,
    CompileError,
    Configured,
    LoopVariable,
    NeedsOperand,
    StartsAsNone,
    StartsEmpty,
)
from bridge.importers.script.loops import canonicalize_modified_loops
from bridge.importers.script.modules import Self, SimpleSelf
from bridge.importers.script.normalize import normalize_operators
from bridge.importers.script.ssa import convert_to_ssa
from bridge.importers.script.sugared import Resolver, SugaredValue
from bridge.importers.script.tree import ClassDef, Def, Expr, Param, Stmt
from bridge.ir.classes import ClassType, Function
from bridge.ir.graph import Block, Graph
from bridge.ir.passes.canonicalize import canonicalize_outputs
from bridge.ir.passes.constant_pooling import pool_constants
from bridge.ir.passes.constant_propagation import propagate_constants_of_immutable_types
from bridge.ir.passes.lower_tuples import lower_simple_tuples
from bridge.ir.source import SourceRange
from bridge.ir.types import FLOAT, INT, TENSOR, Type, optional

if TYPE_CHECKING:
    from bridge.importers.script.core import Captured, EmitterCore
    from bridge.importers.script.emitter import Emitter
    from bridge.importers.script.templates import Template
    from bridge.ir.schema import Schema

__all__ = ["clean_up", "compile_function", "compile_template", "define_class", "define_methods", "is_compiling"]

Ranges = Callable[[SourceRange], "SourceRange | None"]
_compiling: set[Function] = set()


def is_compiling(f: Function) -> bool:
    """Whether the function is being compiled right now (then calling it is recursion)."""
    return f in _compiling


def clean_up(graph: Graph) -> None:
    """The passes that every compiled graph goes through."""
    lift_closures(graph, clean_up)
    inline_forked_closures(graph, clean_up)
    lower_simple_tuples(graph)
    propagate_constants_of_immutable_types(graph)
    pool_constants(graph)
    canonicalize_outputs(graph)
    _number_warnings(graph)


def _remove_list_literals(block: Block) -> None:
    """``[]`` that found no other type is a list of tensors."""
    for n in block.nodes:
        for b in n.blocks:
            _remove_list_literals(b)
        if n.kind == "prim::EmptyListLiteral":
            made = n.graph.create("prim::ListConstruct")
            made.range = None
            made.insert_before(n)
            made.output.type = n.output.type
            n.output.replace_all_uses_with(made.output)
            n.destroy()


_warnings = 0


def _number_warnings(graph: Graph) -> None:
    """Each ``aten::warn`` of a program has a number, so that it is shown once."""
    global _warnings
    for n in graph.all_nodes():
        if n.kind == "aten::warn":
            n.attributes["warn_id"] = _warnings
            _warnings += 1


class _Attempts:
    """What is known of variables that are None first, from one attempt at a definition to the next.

    Their type is that of what they are assigned later. A loop may use one before that (behind ``is None``): then Tensor
    is tried, int and float, and the assignment says what it is if it is not.
    """

    def __init__(self) -> None:
        self.optionals: dict[Stmt | Expr, Type] = {}
        self.late: dict[Stmt, dict[str, Type]] = {}
        self.current: EmitterCore | None = None
        self.as_python = False
        self.configured = False
        self._guessed: set[Stmt | Expr] = set()
        self._guesses = iter((TENSOR, INT, FLOAT))
        self._tried: dict[Stmt | Expr, list[Type]] = {}
        self._first: CompileError | None = None
        self._refusal: CompileError | None = None

    def learn(self, e: CompileError) -> None:
        """Take a type from an error, or raise the one that the program is refused with."""
        if isinstance(e, AttributeType | Configured):
            raise e
        nones = self.current.nones if self.current is not None else []
        if isinstance(e, StartsEmpty) and isinstance(e.place, Stmt | Expr):
            seen = self._tried.setdefault(e.place, [])
            if e.type in seen:
                raise CompileError(e.message, e.range)
            seen.append(e.type)
            self.optionals[e.place] = e.type
            return
        if isinstance(e, LoopVariable) and isinstance(e.place, Stmt) and e.name not in self.late.get(e.place, {}):
            self.late.setdefault(e.place, {})[e.name] = e.type
            return
        if isinstance(e, StartsAsNone) and isinstance(e.place, Stmt | Expr):
            if e.place in self.optionals and e.place not in self._guessed:
                raise e
            self._guessed.discard(e.place)
            self.optionals[e.place] = optional(e.value_type)
            return
        if self.current is not None and self.current.may_differ and not self.as_python:
            self.as_python = True
            self._refusal = e if not isinstance(e, NeedsOperand) else None
            return
        unguessed = [s for s in nones if s not in self.optionals]
        places = [*unguessed, *self._guessed]
        guess = next(self._guesses, None) if places else None
        if guess is None or (self._refusal is not None and not unguessed):
            raise self._refusal or self._first or e
        self._first = self._first or e
        for s in places:
            self._guessed.add(s)
            self.optionals[s] = optional(guess)


def compile_function(
    d: Def,
    resolver: Resolver,
    qualified_name: str,
    *,
    self: Self | None = None,
    defaults: Mapping[str, Any] | None = None,
    ranges: Ranges | None = None,
) -> Function:
    """A function that is compiled from ``d`` when it is first used.

    ``self`` says what the first parameter of a method is. ``defaults`` are the default values of a live function; without
    them those in the text count. ``ranges`` maps the source range of every node (for files that carry the ranges of the
    program they were made from). Compiling raises CompileError with the place in the program.
    """

    def define(f: Function) -> None:
        from bridge.importers.script.emitter import Emitter

        def emit(graph: Graph, attempts: _Attempts) -> tuple[Emitter, Schema]:
            emitter = Emitter(f, graph, resolver, attempts.optionals)
            attempts.current, emitter.as_python = emitter, attempts.as_python
            emitter.late, emitter.configured = attempts.late, attempts.configured
            return emitter, emitter.run(d, self, defaults)

        _compiling.add(f)
        name = ".".join(f.qualified_name.split(".")[-2:]) if self is not None else f.name
        try:
            with compiling(name, d.range):
                emitter, schema = _attempted(emit)
                _finish(f, emitter, schema)
        finally:
            _compiling.discard(f)
        if ranges is not None:
            _map_ranges(f.graph, ranges)

    return Function(qualified_name, define=define)


def _attempted(emit: Callable[[Graph, _Attempts], tuple[Emitter, Schema]]) -> tuple[Emitter, Schema]:
    """Emit until the types of variables that are None first are known."""
    attempts = _Attempts()
    while True:
        try:
            return emit(Graph(), attempts)
        except CompileError as e:
            try:
                attempts.learn(e)
            except CompileError as refusal:
                attempts = _configured(attempts, refusal)


def _configured(attempts: _Attempts, refusal: CompileError) -> _Attempts:
    """New attempts without the branches that the module is not built for, if those may be what does not compile.

    Raises the refusal where there are none, and Configured where attributes must be constants first.
    """
    own, refusal.passed_on = not refusal.passed_on, True
    emitter = attempts.current
    if isinstance(refusal, AttributeType | Configured) or emitter is None:
        raise refusal
    if not (emitter.inside_configurable or (own and emitter.configurable)):
        raise refusal
    attributes = frozenset().union(*emitter.configurable)
    if attributes:
        raise Configured(refusal, attributes)
    if attempts.configured:
        raise refusal
    again = _Attempts()
    again.configured = True
    return again


def _finish(f: Function, emitter: Emitter, schema: Schema) -> None:
    """From what was emitted to the function: SSA, cleanup."""
    graph = emitter.graph
    convert_to_ssa(graph)
    refuse_writes(graph, emitter.captured)
    canonicalize_modified_loops(graph)
    normalize_operators(graph)
    _remove_list_literals(graph.block)
    clean_up(graph)
    f.graph, f.schema = graph, schema
    f.captures = emitter.captures


def compile_template(
    template: Template, qualified_name: str, caller: EmitterCore, given: Sequence[tuple[Param, SugaredValue]]
) -> tuple[Function, list[Captured]]:
    """The function that a template is for what a call gives its parameters.

    With it, in the order of its further arguments, what the call must pass beside.
    """
    from bridge.importers.script.emitter import Emitter

    f = Function(qualified_name)

    def emit(graph: Graph, attempts: _Attempts) -> tuple[Emitter, Schema]:
        emitter = Emitter(f, graph, template.resolver, attempts.optionals)
        attempts.current, emitter.as_python = emitter, attempts.as_python
        emitter.late, emitter.configured = attempts.late, attempts.configured
        return emitter, emitter.run_template(template, caller, given)

    with compiling(template.definition.name, template.definition.range):
        emitter, schema = _attempted(emit)
        _finish(f, emitter, schema)
    return f, emitter.captured_variables()


def _map_ranges(graph: Graph, ranges: Ranges) -> None:
    for n in graph.all_nodes():
        n.range = ranges(n.range) if n.range is not None else None
        inner = n.attributes.get("Subgraph")
        if isinstance(inner, Graph):
            _map_ranges(inner, ranges)


def define_methods(
    type: ClassType,
    definitions: Sequence[Def],
    resolver: Resolver | Sequence[Resolver],
    *,
    self: Self | None = None,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
    ranges: Ranges | None = None,
) -> list[Function]:
    """Add methods to a class: all declared first (so that they may call each other), then compiled, ``__init__`` first.

    ``defaults`` maps method names to default values. Returns the functions in the order given.
    """
    this = self or SimpleSelf(type)
    resolvers = list(resolver) if isinstance(resolver, Sequence) else [resolver] * len(definitions)
    functions = []
    for d, r in zip(definitions, resolvers, strict=True):
        given = None if defaults is None else defaults.get(d.name, {})
        f = compile_function(d, r, f"{type.name}.{d.name}", self=this, defaults=given, ranges=ranges)
        functions.append(type.add_method(f))
    for f in sorted(functions, key=lambda f: f.name != "__init__"):
        f.ensure_defined()
    return functions


def define_class(
    type: ClassType,
    d: ClassDef,
    resolver: Resolver,
    *,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
    ranges: Ranges | None = None,
) -> None:
    """Compile the methods and properties of a class into its type (attributes come from ``__init__``)."""
    definitions = list(d.methods())
    for name, (getter, setter) in d.properties.items():
        pair = [getter] + ([setter] if setter is not None else [])
        definitions = [*pair, *definitions]
        this = SimpleSelf(type)
        made = [compile_function(p, resolver, f"{type.name}.{p.name}", self=this, ranges=ranges) for p in pair]
        type.properties[name] = (made[0], made[1] if len(made) > 1 else None)
        for f in made:
            type.add_method(f)
    methods = define_methods_lazily(type, list(d.methods()), resolver, defaults=defaults, ranges=ranges)
    accessors = [f for pair in type.properties.values() for f in pair if f is not None]
    for f in sorted([*accessors, *methods], key=lambda f: f.name != "__init__"):
        f.ensure_defined()


def define_methods_lazily(
    type: ClassType,
    definitions: Sequence[Def],
    resolver: Resolver,
    *,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
    ranges: Ranges | None = None,
) -> list[Function]:
    """:func:`define_methods` without compiling."""
    functions = []
    for d in definitions:
        given = None if defaults is None else defaults.get(d.name, {})
        f = compile_function(d, resolver, f"{type.name}.{d.name}", self=SimpleSelf(type), defaults=given, ranges=ranges)
        functions.append(type.add_method(f))
    return functions
