"""Conditions: short circuits, ``is None``, ``isinstance``, ``hasattr``, and what a type is known to be afterwards."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from bridge.importers.script import matching
from bridge.importers.script import tree as X
from bridge.importers.script.annotations import qualified_name
from bridge.importers.script.core import EmitterCore
from bridge.importers.script.environment import as_simple
from bridge.importers.script.errors import CompileError
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.sugared import SpecialForm
from bridge.ir import types as T
from bridge.ir.classes import ClassType
from bridge.ir.graph import Block, Value
from bridge.ir.source import SourceRange

__all__ = ["Condition", "ConditionMixin", "Refinements"]

_Refinement = tuple[str, T.Type]


class Refinements:
    """What variables are known to be when a condition is true, and when it is false."""

    __slots__ = ("false", "true")

    def __init__(self, true: Sequence[_Refinement] = (), false: Sequence[_Refinement] = ()) -> None:
        self.true, self.false = list(true), list(false)

    def and_(self, other: Refinements) -> Refinements:
        return Refinements(_union(self.true, other.true), _intersection(self.false, other.false))

    def or_(self, other: Refinements) -> Refinements:
        return Refinements(_intersection(self.true, other.true), _union(self.false, other.false))

    def not_(self) -> Refinements:
        return Refinements(self.false, self.true)


def _union(a: list[_Refinement], b: list[_Refinement]) -> list[_Refinement]:
    result = list(a)
    for name, type in b:
        at = next((i for i, (n, _) in enumerate(result) if n == name), None)
        if at is None:
            result.append((name, type))
        elif result[at][1] != type:  # float here and int there: nothing is known
            del result[at]
    return result


def _intersection(a: list[_Refinement], b: list[_Refinement]) -> list[_Refinement]:
    return [r for r in a if r in b]


class Condition:
    """The value of a condition; ``static`` when the compiler must take one branch only."""

    __slots__ = ("refinements", "static", "value")

    def __init__(self, value: Value, refinements: Refinements | None = None, static: bool | None = None) -> None:
        self.value, self.refinements, self.static = value, refinements or Refinements(), static


def dotted_name(e: X.Expr) -> str | None:
    """``self.h`` as text; None for any other expression."""
    return qualified_name(e) if isinstance(e, X.Select) else None


def _none_status(v: Value) -> str:
    if v.type is T.NONE or (v.node.kind == "prim::Constant" and "value" not in v.node.attributes and v.type == T.NONE):
        return "always"
    if v.node.kind == "prim::Constant" and isinstance(v.type, T.OptionalType) and "value" not in v.node.attributes:
        return "always"
    if isinstance(v.type, T.OptionalType) or (isinstance(v.type, T.UnionType) and T.NONE in v.type.members):
        return "maybe"
    return "never"


class ConditionMixin(EmitterCore):
    """The part of the emitter for conditions."""

    def condition(self, e: X.Expr) -> Condition:
        if isinstance(e, X.BinOp):
            if e.op in ("and", "or"):
                return self._short_circuit(e.range, e.lhs, e.rhs, e.op == "or")
            if e.op in ("is", "is not"):
                return self._identity(e)
        if isinstance(e, X.UnaryOp) and e.op == "not":
            c = self.condition(e.operand)
            value = matching.builtin_call(self.graph, e.range, "aten::__not__", [Named(c.value)])
            return Condition(value, c.refinements.not_(), None if c.static is None else not c.static)
        if isinstance(e, X.Apply):
            special = self._condition_call(e)
            if special is not None:
                return special
        given = self._unrefined(e)
        if isinstance(given.type, T.OptionalType):
            return self._present_and_true(e, given, given.type.element)
        value = self.to_bool(e.range, given)
        static: bool | None = None
        if value.node.kind == "aten::is_scripting":
            static = True
        elif value.node.kind == "aten::has_torch_function":
            static = False
        known, constant = matching.constant_of(value) if self.template is None else _folded(value)
        if known:
            static = bool(constant)
        return Condition(value, None, static)

    def _present_and_true(self, e: X.Expr, given: Value, type: T.Type) -> Condition:
        """The truth of an Optional: that it is there and true. TorchScript has none."""
        self.optional_operands = True
        none = insert_constant(self.graph, None, e.range)
        there = matching.builtin_call(self.graph, e.range, "aten::__isnot__", [Named(given), Named(none)])

        def true() -> Value:
            return self.to_bool(e.range, self.unchecked_cast(given, type))

        value = self.if_expression(e.range, Condition(there), true, lambda: insert_constant(self.graph, False, e.range))
        name = e.name if isinstance(e, X.Var) else dotted_name(e) if self.as_python else None
        return Condition(value, Refinements([(name, type)] if name is not None else ()))

    def _condition_call(self, e: X.Apply) -> Condition | None:
        if isinstance(e.callee, X.Var) and e.callee.name in ("isinstance", "hasattr"):
            self.check_count(e, 2)
            if e.callee.name == "isinstance":
                return self.is_instance(e.inputs[0], e.inputs[1])
            return self.has_attribute(e.inputs[0], e.inputs[1])
        callee = self.sugared(e.callee, 1)
        if isinstance(callee, SpecialForm) and callee.form == "isinstance":
            self.check_count(e, 2)
            return self.is_instance(e.inputs[0], e.inputs[1])
        return None

    def _identity(self, e: X.BinOp) -> Condition:
        lhs, rhs = self._unrefined(e.lhs), self._unrefined(e.rhs)
        a, b = _none_status(lhs), _none_status(rhs)
        its_is = e.op == "is"
        if a == b == "always":
            return Condition(insert_constant(self.graph, its_is, e.range), None, its_is)
        if {a, b} == {"always", "never"}:
            return Condition(insert_constant(self.graph, not its_is, e.range), None, not its_is)
        name = "aten::__is__" if its_is else "aten::__isnot__"
        value = matching.builtin_call(self.graph, e.range, name, [Named(lhs), Named(rhs)])
        return Condition(value, _is_none(e.lhs, lhs, e.rhs, rhs, its_is, self.as_python))

    def _unrefined(self, e: X.Expr) -> Value:
        """An operand of ``is``; an attribute as it is, whatever is known of it."""
        if not isinstance(e, X.Select):
            return self.expr(e)
        value = self.sugared(e.value, 1).attr(e.range, self, e.name).as_value(e.range, self)
        self.may_differ |= isinstance(value.type, T.OptionalType)
        return value

    def _short_circuit(self, range: SourceRange, first: X.Expr, second: X.Expr, is_or: bool) -> Condition:
        lhs = self.condition(first)
        rhs: list[Condition] = []

        def constant() -> Value:
            return insert_constant(self.graph, is_or, range)

        def go_on() -> Value:
            rhs.append(self.condition(second))
            return rhs[0].value

        branches = (constant, go_on) if is_or else (go_on, constant)
        value = self.if_expression(range, lhs, *branches)
        both = (lhs.static, rhs[0].static)
        static: bool | None = None
        if is_or:
            refinements = lhs.refinements.or_(rhs[0].refinements)
            static = True if True in both else False if both == (False, False) else None
        else:
            refinements = lhs.refinements.and_(rhs[0].refinements)
            static = False if False in both else True if both == (True, True) else None
        return Condition(value, refinements, static)

    def if_expression(
        self,
        range: SourceRange,
        condition: Condition,
        then: Callable[[], Value],
        other: Callable[[], Value],
    ) -> Value:
        """``prim::If`` with one result."""
        n = self.node("prim::If", [condition.value], 0, range)
        blocks = n.add_block(), n.add_block()

        def emit(block: Block, refinements: Refinements, make: Callable[[], Value]) -> T.Type:
            self.push(block).conditional = True
            with self.graph.inserting(block):
                self.refine(range, refinements)
                value = make()
                block.add_output(value)
            self.pop()
            return value.type

        a = emit(blocks[0], condition.refinements, then)
        b = emit(blocks[1], condition.refinements.not_(), other)
        unified = T.unify(a, b)
        if unified is None:
            raise CompileError(
                f"if-expression's true branch has type {a.annotation()} but false branch has type {b.annotation()}: both "
                "must have one type",
                range,
            )
        return n.add_output(unified)

    def refine(self, range: SourceRange, refinements: Refinements) -> None:
        """Give variables the types that are known now."""
        for name, type in refinements.true:
            if "." in name:
                self.frame.refined[name] = type
                continue
            value = self.frame.value(name, range)
            self.frame.set_value(range, name, self.unchecked_cast(value, type))

    def to_bool(self, range: SourceRange, v: Value) -> Value:
        try:
            cast = self.frame.get("bool", range)
            out = as_simple(cast.call(range, self, [Named(v)], (), 0))
        except CompileError:
            raise CompileError(f"Could not cast value of type {v.type.annotation()} to bool", range) from None
        assert out is not None
        if out.type is not T.BOOL:
            raise CompileError(f"expected a bool expression for condition but found {out.type.annotation()}", range)
        return out

    def has_attribute(self, object: X.Expr, name: X.Expr) -> Condition:
        value = self.sugared(object, 1)
        text = self.known_text(name)
        if text is None:
            raise CompileError("hasattr's second argument must be a string literal", name.range)
        found = value.has_attr(object.range, self, text)
        return Condition(insert_constant(self.graph, found, object.range), None, found)

    def is_instance(self, object: X.Expr, classes: X.Expr) -> Condition:
        value = self.expr(object)
        lhs = T.alternatives(value.type)
        rhs = T.alternatives(*self._gather_types(classes))
        true: list[T.Type] = []
        false: list[T.Type] = []
        always = True
        lhs = [part for t in lhs for part in ((T.INT, T.FLOAT, T.COMPLEX) if t is T.NUMBER else (t,))]
        for t in lhs:
            if t is T.ANY:
                true += rhs
                false.append(T.ANY)
                always = always and true == [T.ANY]
                break
            found: T.Type | None = None
            for r in rhs:
                if t.is_subtype_of(r) or _inherits(t, r):
                    found = t
                elif r.is_subtype_of(t):
                    found = r if found is None else T.unify(found, r)
            if found is None:
                false.append(t)
                always = False
            else:
                true.append(found)
        refinements = Refinements()
        if isinstance(object, X.Var) and not getattr(value.type, "is_module", False):
            for types, side in ((true, refinements.true), (false, refinements.false)):
                unified = T.unify_all(types, True) if types else None
                if unified is not None:
                    side.append((object.name, unified))
        if always or not true:
            return Condition(insert_constant(self.graph, always, object.range), refinements, always)
        output = self.node("prim::isinstance", [value], 1, None, types=rhs).output
        output.type = T.BOOL
        return Condition(output, refinements)

    def _gather_types(self, e: X.Expr) -> list[T.Type]:
        if isinstance(e, X.TupleLit):
            return [t for part in e.elements for t in self._gather_types(part)]
        name = e.name if isinstance(e, X.Var) else dotted_name(e)
        of = getattr(self.resolver, "module_class", None)
        found: T.Type | None = of(name) if of is not None and name is not None else None
        return [self.type_of(e) if found is None else found]


def _inherits(t: T.Type, other: T.Type) -> bool:
    """Whether a script class was made from a Python class that inherits from that of another."""
    if not isinstance(t, ClassType) or not isinstance(other, ClassType):
        return False
    a, b = t.python_class, other.python_class
    return isinstance(a, type) and isinstance(b, type) and issubclass(a, b)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "aten::lt": operator.lt, "aten::le": operator.le, "aten::gt": operator.gt, "aten::ge": operator.ge,
    "aten::eq": operator.eq, "aten::ne": operator.ne,
}  # fmt: skip


def _folded(value: Value) -> tuple[bool, Any]:
    """(True, what it is) of a comparison of constants: the number of arguments of a call, say."""
    compare = _COMPARISONS.get(value.node.kind)
    if compare is None or len(value.node.inputs) != 2:
        return matching.constant_of(value)
    (a_known, a), (b_known, b) = map(matching.constant_of, value.node.inputs)
    plain = isinstance(a, int | float | str) and isinstance(b, int | float | str)
    if not (a_known and b_known and plain) or isinstance(a, str) != isinstance(b, str):
        return False, None
    return True, compare(a, b)


def _is_none(a: X.Expr, a_value: Value, b: X.Expr, b_value: Value, its_is: bool, as_python: bool) -> Refinements:
    """What ``x is None`` says of x."""
    name = a.name if isinstance(a, X.Var) else dotted_name(a) if as_python else None
    is_none = isinstance(b, X.Literal) and b.value is None
    if not is_none and isinstance(a, X.Literal) and a.value is None:
        return _is_none(b, b_value, a, a_value, its_is, as_python)
    if not is_none or name is None:
        return Refinements()
    present: list[_Refinement] = []
    if isinstance(a_value.type, T.OptionalType):
        present = [(name, a_value.type.element)]
    elif isinstance(a_value.type, T.UnionType):
        rest = [t for t in a_value.type.members if t is not T.NONE]
        present = [(name, T.union(*rest))] if rest else []
    return Refinements((), present) if its_is else Refinements(present, ())
