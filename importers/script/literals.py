"""List and dict literals and comprehensions, with the type that an annotation asks for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

from bridge.importers.script import matching
from bridge.importers.script import tree as X
from bridge.importers.script.annotations import check_key_type
from bridge.importers.script.core import EmitterCore
from bridge.importers.script.errors import CompileError
from bridge.importers.script.matching import Named
from bridge.ir import types as T
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

__all__ = ["LiteralMixin"]


class _Hint:
    """A type hint narrowed to the container that is being made.

    ``type`` is the narrowed type (None without a hint); ``candidates`` several when a Union has several such containers;
    ``union`` the Union or Optional that the result is cast to in the end.
    """

    __slots__ = ("candidates", "type", "union")

    def __init__(self, hint: T.Type | None, container: type, what: str, range: SourceRange) -> None:
        self.type = hint
        self.candidates: list[T.Type] = []
        self.union = hint if isinstance(hint, T.UnionType | T.OptionalType) else None
        if isinstance(hint, T.UnionType):
            found = [m for m in hint.members if isinstance(m, container)]
            if not found:
                raise CompileError(
                    f"Expected an Union type annotation with an inner {what} type, but got {hint.annotation()}", range
                )
            if len(found) == 1:
                self.type = found[0]
            else:
                self.candidates = found
        elif isinstance(hint, T.OptionalType):
            self.type = hint.element
        if self.type is not None and not self.candidates:
            if not isinstance(self.type, container) and self.type is not T.ANY:
                assert hint is not None
                raise CompileError(f"Expected an annotation of type {what} but got {hint.annotation()}", range)

    def choose(self, fits: Callable[[T.Type], bool], given: T.Type, range: SourceRange) -> None:
        """Take the widest candidate that fits."""
        found: T.Type | None = None
        for c in self.candidates:
            if fits(c) and (found is None or all(a.is_subtype_of(b) for a, b in _inside(found, c))):
                found = c
        if found is None:
            names = " or ".join(c.annotation() for c in self.candidates)
            if isinstance(self.candidates[0], T.DictType):
                problem = "dict types can hold the types of the given keys and values"
            else:
                problem = "types match the types of the given list elements"
            raise CompileError(
                f"Union type annotation `{self.type.annotation() if self.type else ''}` can hold {names}, but none of those "
                f"{problem}, which were unified to {given.annotation()}",
                range,
            )
        self.type, self.candidates = found, []


def _inside(a: T.Type, b: T.Type) -> list[tuple[T.Type, T.Type]]:
    return list(zip(a.contained(), b.contained(), strict=True))


def _warn(what: str, t: T.Type, more: str, range: SourceRange) -> None:
    warnings.warn(
        f"{what} consists of heterogeneous types, which means that it has been typed as containing {t.annotation()}. To use "
        "any of the values in this List, it will be necessary to add an `assert isinstance` statement before first use to "
        f"trigger type refinement. {more}\n{range.highlight()}",
        stacklevel=2,
    )


class LiteralMixin(EmitterCore):
    """The part of the emitter for containers."""

    # -- literals ----------------------------------------------------------------------------------------------

    def list_literal(self, e: X.ListLit, hint: T.Type | None, values: Sequence[Value]) -> Value:
        if not values and hint is None:
            # Takes any list type when it is passed on at once; List[Tensor] when it is assigned.
            output = self.node("prim::EmptyListLiteral", (), 1, None).output
            output.type = T.ListType(T.TENSOR)
            return output
        narrowed = _Hint(hint, T.ListType, "List", e.range)
        if narrowed.candidates and not values:
            assert hint is not None
            raise CompileError(
                f"Cannot assign an empty list to a variable annotated to be type {hint.annotation()} because there are "
                "multiple possible List type candidates in the Union annotation",
                e.range,
            )
        element: T.Type = narrowed.type.element if isinstance(narrowed.type, T.ListType) else T.TENSOR
        values = [self.empty_as(v, element) for v in values]
        if values:
            element = self._element_type(values, narrowed, element, e.range)
        output = self.node("prim::ListConstruct", values, 1, None).output
        output.type = T.ListType(element)
        return self.unchecked_cast(output, narrowed.union) if narrowed.union is not None else output

    def empty_as(self, value: Value, wanted: T.Type | None) -> Value:
        """An empty list that is an element of a literal is what is expected there."""
        if value.node.kind != "prim::EmptyListLiteral" or not isinstance(wanted, T.ListType):
            return value
        made = self.node("prim::ListConstruct", (), 1, None).output
        made.type = wanted
        return made

    def _element_type(self, values: Sequence[Value], hint: _Hint, element: T.Type, range: SourceRange) -> T.Type:
        wanted = hint.type.element if isinstance(hint.type, T.ListType) else None
        unified = T.unify_all([v.type for v in values], True, wanted)
        assert unified is not None
        if hint.type is None:
            if isinstance(unified, T.UnionType):
                _warn("List", unified, "", range)
            return unified
        if hint.candidates:
            hint.choose(lambda c: unified.is_subtype_of(c.contained()[0]), unified, range)
            return hint.type.contained()[0]
        if not unified.is_subtype_of(element):
            raise CompileError(
                f"List type annotation `{hint.type.annotation()}` did not match the types of the given list elements, which "
                f"were unified to {unified.annotation()}",
                range,
            )
        return element

    def dict_literal(self, e: X.DictLit, hint: T.Type | None) -> Value:
        keys: list[Value] = []
        values: list[Value] = []
        value_type: T.Type = T.TENSOR
        for k, v in zip(e.keys, e.values, strict=True):
            keys.append(self.expr(k))
            values.append(self.expr(v))
            if len(keys) == 1:
                value_type = values[0].type
                continue
            if type(keys[-2].type) is not type(keys[-1].type) or keys[-2].type != keys[-1].type:
                raise CompileError(
                    f"Dict keys must contain only a single type. Expected: {keys[-2].type.annotation()} but found "
                    f"{keys[-1].type.annotation()} instead",
                    k.range,
                )
            unified = T.unify(value_type, values[-1].type, True)
            assert unified is not None
            value_type = unified
        narrowed = _Hint(hint, T.DictType, "Dict", e.range)
        if narrowed.type is None or narrowed.type is T.ANY:
            narrowed.type = T.DictType(keys[0].type if keys else T.STR, value_type)
            if isinstance(value_type, T.UnionType):
                _warn("Dict", narrowed.type, "", e.range)
        if narrowed.candidates:
            given = T.DictType(keys[0].type, value_type) if keys else None
            if given is None:
                assert hint is not None
                raise CompileError(
                    f"Cannot assign an empty dict to a variable annotated to be type {hint.annotation()} because there are "
                    "multiple possible Dict type candidates in the Union annotation",
                    e.range,
                )
            narrowed.choose(lambda c: all(a.is_subtype_of(b) for a, b in _inside(given, c)), given, e.range)
        result = narrowed.type
        assert isinstance(result, T.DictType)
        for what, found, fits in (
            (
                ("keys", keys[0].type, result.key == keys[0].type),
                ("values", value_type, value_type.is_subtype_of(result.value)),
            )
            if keys
            else ()
        ):
            if not fits:
                raise CompileError(
                    f"Type annotation was inferred to be `{result.annotation()}`, but the type of {what} given by the dict "
                    f"literal is {found.annotation()}",
                    e.range,
                )
        output = self.make_dict(result, [x for pair in zip(keys, values, strict=True) for x in pair])
        return self.unchecked_cast(output, narrowed.union) if narrowed.union is not None else output

    def make_dict(self, type: T.Type, inputs: Sequence[Value] = ()) -> Value:
        if isinstance(type, T.DictType):
            check_key_type(type.key, None)
        output = self.node("prim::DictConstruct", inputs, 1, None).output
        output.type = type
        return output

    # -- comprehensions ----------------------------------------------------------------------------------------

    def _comprehension(self, clauses: Sequence[X.Clause], range: SourceRange, body: Callable[[], None]) -> None:
        """Run ``body`` for each element in a scope of its own."""

        def run(i: int) -> None:
            if i == len(clauses):
                body()
                return
            clause = clauses[i]

            def inside() -> None:
                if clause.condition is None:
                    run(i + 1)
                    return
                condition = self.condition(clause.condition)
                self.branches(range, condition, [X.Emit(range, lambda: run(i + 1))], [])

            self.for_each(clause.target, clause.iter, range, inside)

        n = self.node("prim::ComprehensionScope", (), 0, range)
        block = n.add_block()
        frame = self.push(block)
        frame.conditional = frame.is_comprehension = True
        with self.graph.inserting(block):
            run(0)
            self.pop()

    def list_comprehension(self, e: X.ListComp, hint: T.Type | None) -> Value:
        result = self.node("prim::ListConstruct", (), 1, None).output
        result.type = T.ListType(T.TENSOR)
        narrowed = _Hint(hint, T.ListType, "List", e.range)
        if narrowed.type is not None and not narrowed.candidates:
            result.type = narrowed.type
        seen = False

        def body() -> None:
            nonlocal seen
            value = self.expr(e.element)
            if isinstance(narrowed.type, T.ListType):
                value = self.empty_as(value, narrowed.type.element)
            if not seen:
                result.type = T.ListType(value.type)
                seen = True
            assert isinstance(result.type, T.ListType)
            wanted = narrowed.type.element if isinstance(narrowed.type, T.ListType) else None
            unified = T.unify(result.type.element, value.type, True, wanted)
            assert unified is not None
            if hint is None and isinstance(unified, T.UnionType):
                _warn("List", unified, "", e.range)
            if narrowed.candidates:
                narrowed.choose(lambda c: unified.is_subtype_of(c.contained()[0]), unified, e.range)
            elif narrowed.type is None:
                narrowed.type = T.ListType(unified)
            elif wanted is not None and not unified.is_subtype_of(wanted):
                raise CompileError(
                    f"List type annotation `{narrowed.type.annotation()}` did not match the types of the given list "
                    f"elements, which were unified to {unified.annotation()}",
                    e.range,
                )
            assert isinstance(narrowed.type, T.ListType)
            result.type, value.type = narrowed.type, narrowed.type.element
            this = Named(result, "self", e.range)
            matching.builtin_call(self.graph, e.range, "aten::append", [Named(value, "", e.range)], (), this)

        self._comprehension(e.clauses, e.range, body)
        if not seen and hint is None and any(c.condition is not None for c in e.clauses):
            result.type = self._type_if_not_empty(e) or result.type
        return result

    def _type_if_not_empty(self, e: X.ListComp) -> T.Type | None:
        """The type of a comprehension whose condition is false for certain: of what would be in it; None if that means nothing."""
        found: list[T.Type] = []
        scratch, frame = self.node("prim::ComprehensionScope", (), 0, e.range), self._frame
        try:
            with self.graph.inserting(scratch.add_block()):
                clauses = [X.Clause(c.range, c.target, c.iter) for c in e.clauses]
                self._comprehension(clauses, e.range, lambda: found.append(T.ListType(self.expr(e.element).type)))
        except CompileError:
            found.clear()
        finally:
            self._frame = frame
            scratch.destroy()
        return found[0] if found else None

    def dict_comprehension(self, e: X.DictComp, hint: T.Type | None) -> Value:
        result = self.make_dict(T.DictType(T.STR, T.TENSOR))
        narrowed = _Hint(hint, T.DictType, "Dict", e.range)
        if narrowed.type is not None and not narrowed.candidates:
            result.type = narrowed.type
        first: list[T.Type] = []

        def body() -> None:
            key, value = self.expr(e.key), self.expr(e.value)
            if isinstance(narrowed.type, T.DictType):
                value = self.empty_as(value, narrowed.type.value)
            problem = None
            if isinstance(key.type, T.UnionType):
                problem = f", but the type of the first generated key was {key.type.annotation()}"
            elif first and first[0] != key.type:
                problem = f". Expected dict comprehension to generate type {first[0].annotation()}, but got {key.type.annotation()}"
            if problem is not None:
                raise CompileError(f"Dicts may only contain homogeneous keys{problem}", e.range)
            first[:] = [key.type, value.type]
            given = T.DictType(key.type, value.type)
            if narrowed.candidates:
                narrowed.choose(lambda c: all(a.is_subtype_of(b) for a, b in _inside(given, c)), given, e.range)
            if narrowed.type is None:
                result.type = given
            else:
                assert isinstance(narrowed.type, T.DictType)
                unfit = [
                    f"Dict type annotation `{narrowed.type.annotation()}` did not match the type of an actual {what} type "
                    f"`{a.annotation()}`"
                    for what, (a, b) in zip(("key", "value"), _inside(given, narrowed.type), strict=True)
                    if not a.is_subtype_of(b)
                ]
                if unfit:
                    raise CompileError("\n".join(unfit), e.range)
                result.type = narrowed.type
                key.type, value.type = narrowed.type.key, narrowed.type.value
            args = [Named(result, "self", e.range), Named(key, "", e.range), Named(value, "", e.range)]
            matching.builtin_call(self.graph, e.range, "aten::_set_item", args)

        self._comprehension(e.clauses, e.range, body)
        return self.unchecked_cast(result, narrowed.union) if isinstance(narrowed.union, T.UnionType) else result
