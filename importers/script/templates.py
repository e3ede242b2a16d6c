"""Functions compiled anew for the arguments of a call: functions inside functions, lambdas, and functions whose
arguments are functions, keywords that only the call knows, or of other types than their signature says.

Such a function becomes a plain one. What it reads of the function around it comes in as further arguments, read when it
is called, as Python does it; variables that it declares ``nonlocal`` go back as further results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bridge.importers.script import matching
from bridge.importers.script import tree as X
from bridge.importers.script.errors import CompileError
from bridge.importers.script.matching import Named
from bridge.importers.script.statics import Descriptor, StaticDict, descriptor, moved, plain_constant
from bridge.importers.script.sugared import Resolver, SugaredTuple, SugaredValue
from bridge.importers.script.values import SimpleValue
from bridge.ir import types as T
from bridge.ir.classes import Function, FunctionType
from bridge.ir.graph import Value
from bridge.ir.schema import Argument, Schema
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.core import Captured, EmitterCore
    from bridge.importers.script.environment import Frame

__all__ = ["BoundTemplate", "InnerFunction", "OpenMethod", "Template", "call_open"]

#: A parameter and what it is given: one thing, several (``*name``) or some by name (``**name``).
Given = tuple[X.Param, "SugaredValue"]


class _Specialisation:
    """A template compiled for some arguments. ``captured``: the variables read from outside, and what they were."""

    __slots__ = ("captured", "function", "key")

    def __init__(self, key: tuple[Descriptor, ...], captured: Sequence[Captured], function: Function) -> None:
        self.key, self.captured, self.function = key, captured, function


class Template:
    """A definition that is compiled for each combination of arguments it is called with.

    ``owner`` is the emitter of the function around it, None for one that stands alone; ``default`` gives the value of a
    parameter that a call leaves out.
    """

    __slots__ = ("compiled", "default", "definition", "name", "owner", "resolver", "scopes")

    def __init__(
        self,
        definition: X.Def,
        resolver: Resolver,
        name: str,
        default: Callable[[str, EmitterCore, SourceRange], SugaredValue | None],
        owner: EmitterCore | None = None,
        scopes: Sequence[Frame] = (),
    ) -> None:
        self.definition, self.resolver, self.name, self.default = definition, resolver, name, default
        self.owner, self.scopes = owner, tuple(scopes)
        self.compiled: list[_Specialisation] = []

    # -- calls -------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether a call may give a parameter something that its declaration does not say."""
        return any(p.keywords or p.gathers or p.type is None for p in self.definition.params)

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named]
    ) -> SugaredValue:
        """Emit a call in ``m``. Raises CompileError."""
        self._check_caller(range, m)
        given = [self._typed(range, m, p, v) for p, v in self._bound(range, m, args, keywords)]
        key = tuple(descriptor(v) for _, v in given)
        found = self._known(key, m, range)
        if found is None:
            found = self._compile(range, m, given, key)
        inputs: list[Value] = []
        for v in [*(v for _, v in given), *(_read(m, c, range) for c in found.captured)]:
            moved(v, inputs.append)
        return self._emit(range, m, found, inputs)

    def _emit(
        self, range: SourceRange, m: EmitterCore, found: _Specialisation, inputs: Sequence[Value]
    ) -> SugaredValue:
        f = found.function
        constant = m.node("prim::Constant", (), 1, None, name=f.name).output
        constant.type = FunctionType(f)
        result = m.node("prim::CallFunction", [constant, *inputs], 1, range).output
        result.type = f.schema.returns[0].type
        names = self.definition.nonlocals
        if not names:
            return SimpleValue(result)
        value, *written = matching.tuple_unpack(result)
        for name, v in zip(names, written, strict=True):
            m.assign_nonlocal(range, name, v)
        return SimpleValue(value)

    def _check_caller(self, range: SourceRange, m: EmitterCore) -> None:
        names = self.definition.nonlocals
        if names and (m is not self.owner or m.frame.conditional):
            raise CompileError(
                f"a function that assigns {names[0]} as nonlocal can be called in statements of the function around it only, "
                "not in a condition, a comprehension or another function: return the new value instead",
                range,
            )
        around: EmitterCore | None = m
        while around is not None:
            if around.template is self:
                raise CompileError(f"{self.definition.name} calls itself, which is not supported: write a loop", range)
            around = around.caller

    # -- arguments ---------------------------------------------------------------------------------------------

    def _bound(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named]
    ) -> list[Given]:
        """What each parameter is given, by Python's rules."""
        d = self.definition
        params = [p for p in d.params if not p.gathers and not p.keywords]
        positional = [p for p in params if not p.kwarg_only]
        gathers = next((p for p in d.params if p.gathers), None)
        collects = next((p for p in d.params if p.keywords), None)
        if len(args) > len(positional) and gathers is None:
            raise CompileError(
                f"{d.name} takes at most {len(positional)} positional arguments but {len(args)} were given", range
            )
        found = {p.name: _sugared(a, m) for p, a in zip(positional, args, strict=False)}
        more: dict[str, SugaredValue] = {}
        names = {p.name for p in params}
        for k in keywords:
            if k.name in found or k.name in more:
                raise CompileError(f"{d.name} got several values for argument '{k.name}'", range)
            if k.name not in names and collects is None:
                raise CompileError(f"{d.name} got an unknown keyword argument '{k.name}'", range)
            (found if k.name in names else more)[k.name] = _sugared(k, m)
        result: list[Given] = []
        for p in d.params:
            if p.gathers:
                rest = [_sugared(a, m) for a in args[len(positional) :]]
                result.append((p, SugaredTuple(rest)))
            elif p.keywords:
                result.append((p, StaticDict(more)))
            else:
                value = found.get(p.name) or self.default(p.name, m, range)
                if value is None:
                    raise CompileError(f"{d.name} misses its argument '{p.name}'", range)
                result.append((p, value))
        return result

    def _typed(self, range: SourceRange, m: EmitterCore, p: X.Param, given: SugaredValue) -> Given:
        """The argument as the type that the parameter declares."""
        if p.type is None or getattr(p.type, "name", "") == "Callable" or _is_callable(p.type):
            return p, _without_literal(given, m)
        type = matching_type(p, self.resolver)
        if isinstance(given, StaticDict):
            items = {n: self._one(range, m, n, type, v) for n, v in given.items.items()}
            return p, StaticDict(items)
        if p.gathers:
            assert isinstance(given, SugaredTuple)
            return p, SugaredTuple([self._one(range, m, p.name, type, v) for v in given.items])
        return p, self._one(range, m, p.name, type, given)

    def _one(self, range: SourceRange, m: EmitterCore, name: str, type: T.Type, given: SugaredValue) -> SugaredValue:
        value = Named(given.as_value(range, m), "", range)
        schema = Schema(self.definition.name, "", [Argument(name, type)], [])
        return SimpleValue(matching.match_schema(schema, range, m.graph, [value]).inputs[0])

    # -- compiling ---------------------------------------------------------------------------------------------

    def _known(self, key: tuple[Descriptor, ...], m: EmitterCore, range: SourceRange) -> _Specialisation | None:
        for s in self.compiled:
            if s.key == key and all(descriptor(_read(m, c, range)) == descriptor(c[3]) for c in s.captured):
                return s
        return None

    def _compile(
        self, range: SourceRange, m: EmitterCore, given: Sequence[Given], key: tuple[Descriptor, ...]
    ) -> _Specialisation:
        from bridge.importers.script.compile import compile_template

        made_before = len(self.compiled) if self.owner is None else self.owner.inner_functions.get(self.name, 0)
        if self.owner is not None:
            self.owner.inner_functions[self.name] = made_before + 1
        # Each kind of call is a function of its own: a file could not hold two of one name.
        name = _unique_name(self.resolver, f"{self.name}_{made_before}" if made_before else self.name)
        function, captured = compile_template(self, name, m, given)
        made = _Specialisation(key, captured, function)
        self.compiled.append(made)
        return made


def _read(m: EmitterCore, captured: Captured, range: SourceRange) -> SugaredValue:
    owner, name, scopes, _ = captured
    found = m.reach(owner, name, range, scopes)
    assert found is not None
    return found


def matching_type(p: X.Param, resolver: Resolver) -> T.Type:
    """The type that a parameter declares."""
    from bridge.importers.script.annotations import parse_type

    assert p.type is not None
    return parse_type(p.type, resolver)


def _is_callable(e: X.Expr) -> bool:
    """``Callable`` and ``Callable[[…], …]``: a function of any kind."""
    from bridge.importers.script.annotations import qualified_name

    name = qualified_name(e.value if isinstance(e, X.Subscript) else e)
    return name is not None and name.rpartition(".")[2] == "Callable"


def _sugared(given: Named, m: EmitterCore) -> SugaredValue:
    return given.sugared if given.sugared is not None else SimpleValue(given.get(m.graph))


def _without_literal(given: SugaredValue, m: EmitterCore) -> SugaredValue:
    """``[]`` without another type is a list of tensors."""
    if isinstance(given, SimpleValue) and given.value.node.kind == "prim::EmptyListLiteral":
        made = m.node("prim::ListConstruct", (), 1, None).output
        made.type = given.value.type
        return SimpleValue(made)
    return given


def _unique_name(resolver: Resolver, base: str) -> str:
    make = getattr(resolver, "new_function_name", None)
    return str(make(base)) if make is not None else base


def call_open(
    template: Callable[[], Template | _Bound],
    declared: Callable[[], SugaredValue] | CompileError,
    range: SourceRange,
    m: EmitterCore,
    args: Sequence[Named],
    keywords: Sequence[Named],
) -> SugaredValue:
    """A call as the function is declared (``declared`` makes it, or is why there is no such), else compiled for it.

    What TorchScript has an answer to keeps that answer: only functions among the arguments, ``**name``, and parameters without
    annotation that are given something else than a tensor make a difference.
    """
    if isinstance(declared, CompileError):
        reason = declared
    else:
        try:
            return declared()
        except CompileError as e:
            reason = e
    try:
        made = template()
    except CompileError:  # no script that could be read again
        raise reason from None
    special = any(not a.is_value for a in (*args, *keywords)) or any(p.keywords for p in made.definition.params)
    differs = any(not isinstance(a.type, T.TensorType) for a in (*args, *keywords))
    if not special and not isinstance(declared, CompileError) and not (made.is_open and differs):
        raise reason
    try:
        return made.call(range, m, args, keywords)
    except CompileError as e:
        raise (e if special else reason) from None


class _Bound:
    """The template of a method, of an object."""

    __slots__ = ("template", "this")

    def __init__(self, template: Template, this: Named) -> None:
        self.template, self.this = template, this

    @property
    def definition(self) -> X.Def:
        return self.template.definition

    @property
    def is_open(self) -> bool:
        return any(p.keywords or p.gathers or p.type is None for p in self.definition.params[1:])

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named]
    ) -> SugaredValue:
        return self.template.call(range, m, [self.this, *args], keywords)


class BoundTemplate(SugaredValue):
    """A method that is compiled for its calls only."""

    __slots__ = ("template", "this")
    kind = "method"
    is_function = True

    def __init__(self, template: Template, this: Named) -> None:
        self.template, self.this = template, this

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        return self.template.call(range, m, [self.this, *args], keywords)


class OpenMethod(SugaredValue):
    """A method of a module, compiled as it is declared or for the arguments of a call."""

    __slots__ = ("declared", "template", "this")
    kind = "method"
    is_function = True

    def __init__(
        self, this: SugaredValue, declared: SugaredValue | CompileError, template: Callable[[], Template]
    ) -> None:
        self.this, self.declared, self.template = this, declared, template

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        method = self.declared
        if isinstance(method, CompileError):
            declared: Callable[[], SugaredValue] | CompileError = method
        else:
            plain = method
            declared = lambda: plain.call(range, m, args, keywords, binders)
        this = Named(None, "", range, sugared=self.this, m=m)
        return call_open(lambda: _Bound(self.template(), this), declared, range, m, args, keywords)


class InnerFunction(SugaredValue):
    """What the name of a function inside another stands for, or a lambda."""

    __slots__ = ("template",)
    kind = "function defined inside another"
    is_function = True

    def __init__(self, d: X.Def, m: EmitterCore) -> None:
        values = {p.name: self._default(p, m) for p in d.params if p.default is not None}

        def default(name: str, caller: EmitterCore, range: SourceRange) -> SugaredValue | None:
            hidden = values.get(name)
            return caller.reach(m, hidden, range) if isinstance(hidden, str) else hidden

        resolver = m.resolver
        scopes = m.frame.comprehensions()
        around = m.function.qualified_name
        if m.this is not None:  # a function stands beside the class, not in it
            owner, _, method = around.rpartition(".")
            around = f"{owner}_{method}"
        self.template = Template(d, resolver, f"{around}_{d.name}", default, m, scopes)

    @staticmethod
    def _default(p: X.Param, m: EmitterCore) -> str | SugaredValue:
        """A default, evaluated once, where the function is defined: a constant, or the variable that holds it."""
        assert p.default is not None
        type = m.type_of(p.type) if p.type is not None and not _is_callable(p.type) else None
        value = m.sugared(p.default, 1, type)
        if isinstance(value, SimpleValue) and plain_constant(value.value)[0]:
            return value
        hidden = m.temporary(f"$default_{p.name}_")
        m.frame.set(p.range, hidden, value)
        return hidden

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        return self.template.call(range, m, args, keywords)
