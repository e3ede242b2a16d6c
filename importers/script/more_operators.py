"""Operators of Python that TorchScript lacks: order of tuples and lists, repeated text and tuples, ``|`` of dicts, ``in``
a tuple, a range or a module's dict; and lists that are spread with ``*``."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.importers.script import matching
from bridge.importers.script import tree as X
from bridge.importers.script.conditions import Condition
from bridge.importers.script.core import EmitterCore
from bridge.importers.script.errors import CompileError
from bridge.importers.script.library import library_call
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.sets import set_operator
from bridge.importers.script.sugared import BuiltinFunction, MethodValue, SugaredValue
from bridge.importers.script.values import RangeValue, SimpleValue
from bridge.ir import types as T
from bridge.ir.classes import ClassType
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

__all__ = ["OperatorMixin"]

#: Operator → the method of the right operand that stands in for it.
_REFLECTED = {
    "+": "__radd__", "-": "__rsub__", "*": "__rmul__", "/": "__rtruediv__", "%": "__rmod__", "**": "__rpow__",
    "<": "__gt__", ">": "__lt__", "<=": "__ge__", ">=": "__le__", "==": "__eq__",
}  # fmt: skip
_ORDER = {"<": "aten::lt", ">": "aten::gt", "<=": "aten::le", ">=": "aten::ge"}


_PLAIN = (T.INT, T.FLOAT, T.BOOL, T.STR)


def _one_may_be_none(a: T.Type, b: T.Type) -> bool:
    """Whether two types are of numbers, texts and None, and a value of one may be None."""
    one = any(t is T.NONE or isinstance(t, T.OptionalType) for t in (a, b))
    return one and all(t is T.NONE or (t.element if isinstance(t, T.OptionalType) else t) in _PLAIN for t in (a, b))


class OperatorMixin(EmitterCore):
    """The part of the emitter for operators and spread arguments that only Python has."""

    def more_operators(self, op: str, a: Named, b: Named, range: SourceRange) -> Value | None:
        """``a op b`` (``b in a``: the container comes first) beyond TorchScript; None where Python has no meaning either."""
        if op == "in" and isinstance(a.sugared, RangeValue):
            r = a.sugared
            return library_call("range_contains", range, self, [r.start, r.end, r.step, b.get(self.graph)]).as_value(
                range, self
            )
        of_sets = set_operator(op, a, b, range, self)
        if of_sets is not None:
            return of_sets.as_value(range, self)
        if not a.is_value or not b.is_value:
            return None
        left, right = a.get(self.graph), b.get(self.graph)
        if isinstance(left.type, ClassType) or isinstance(right.type, ClassType):
            return self._of_objects(op, left, right, range)
        if any(_is_number_enum(v.type) for v in (left, right)):
            one, other = (Named(self._number_of(v), "", range) for v in (left, right))
            return self.binary_operator(op, one, other, range)
        if op in ("==", "!=") and _one_may_be_none(left.type, right.type):
            return self._equal_or_none(op, left, right, range)
        if op == "in":
            if isinstance(left.type, T.ListType) and left.type.element == right.type:
                return library_call("list_contains", range, self, [left, right]).as_value(range, self)
            return self._in_tuple(left, right, range) if isinstance(left.type, T.TupleType) else None
        if isinstance(left.type, T.TupleType):
            return self._of_tuples(op, left, right, range)
        if isinstance(left.type, T.ListType) and left.type == right.type and op in _ORDER:
            first, second = (left, right) if op in ("<", ">=") else (right, left)
            less = library_call("list_less", range, self, [first, second]).as_value(range, self)
            return less if op in ("<", ">") else matching.insert(self.graph, "aten::__not__", [less], range=range)
        if op == "|" and isinstance(left.type, T.DictType) and left.type == right.type:
            return library_call("merged", range, self, [left, right]).as_value(range, self)
        if op == "*" and {left.type, right.type} == {T.STR, T.INT}:
            text, count = (left, right) if left.type is T.STR else (right, left)
            return library_call("repeated", range, self, [text, count]).as_value(range, self)
        return None

    def _number_of(self, v: Value) -> Value:
        """A member of an ``IntEnum`` as the number that it is."""
        if not isinstance(v.type, T.EnumType):
            return v
        node = self.node("prim::EnumValue", [v], 1, None)
        node.output.type = v.type.value
        return node.output

    def _of_objects(self, op: str, left: Value, right: Value, range: SourceRange) -> Value | None:
        """What Python asks the other operand for, and ``!=`` of a class that has ``==`` only."""
        if op == "!=" and isinstance(left.type, ClassType) and left.type.find_method("__eq__") is not None:
            equal = MethodValue(left, ["__eq__"]).call(range, self, [Named(right, "", range)], (), 0)
            return matching.insert(self.graph, "aten::__not__", [equal.as_value(range, self)], range=range)
        name = _REFLECTED.get(op)
        if name is None or not isinstance(right.type, ClassType) or right.type.find_method(name) is None:
            return None
        return MethodValue(right, [name]).call(range, self, [Named(left, "", range)], (), 0).as_value(range, self)

    def _equal_or_none(self, op: str, left: Value, right: Value, range: SourceRange) -> Value:
        """``a == b`` of plain values of which one may be None: that equals only itself."""
        for one, other in ((left, right), (right, left)):
            if one.type is T.NONE and not isinstance(other.type, T.OptionalType):
                return insert_constant(self.graph, (op == "==") is (other.type is T.NONE), range)
        one, other = (left, right) if isinstance(left.type, T.OptionalType) else (right, left)
        none = insert_constant(self.graph, None, range)

        def is_none() -> Value:
            if other.type is T.NONE or not isinstance(other.type, T.OptionalType):
                return insert_constant(self.graph, (op == "==") is (other.type is T.NONE), range)
            name = "aten::__is__" if op == "==" else "aten::__isnot__"
            return matching.insert(self.graph, name, [other, none], range=range)

        def compared() -> Value:
            if other.type is T.NONE:
                return insert_constant(self.graph, op == "!=", range)
            value = matching.insert(self.graph, "aten::_unwrap_optional", [one], range=range)
            if isinstance(other.type, T.OptionalType):
                return self._equal_or_none(op, value, other, range)
            a, b = (value, other) if one is left else (other, value)
            return self.binary_operator(op, Named(a, "", range), Named(b, "", range), range)

        missing = matching.insert(self.graph, "aten::__is__", [one, none], range=range)
        return self.if_expression(range, Condition(missing), is_none, compared)

    def _of_tuples(self, op: str, left: Value, right: Value, range: SourceRange) -> Value | None:
        if op == "*":
            known, count = matching.constant_of(right)
            if not known or not isinstance(count, int):
                raise CompileError("a tuple can be repeated by a constant only: make a list", range)
            return matching.make_tuple(self.graph, [*matching.tuple_unpack(left)] * count)
        if not isinstance(right.type, T.TupleType):
            return None
        pairs = list(zip(matching.tuple_unpack(left), matching.tuple_unpack(right), strict=False))
        same_size = len(left.type.contained()) == len(right.type.contained())
        if op in ("==", "!="):
            if not same_size:
                return insert_constant(self.graph, op == "!=", range)
            return self._all_equal(pairs, range, op == "!=")
        if op not in _ORDER or not same_size:
            return None
        return self._ordered(op, pairs, range)

    def _compare(self, op: str, a: Value, b: Value, range: SourceRange) -> Value:
        if isinstance(a.type, T.TupleType):
            found = self._of_tuples(op, a, b, range)
            if found is None:
                raise CompileError(f"{op} of {a.type.annotation()} and {b.type.annotation()}", range)
            return found
        name = _ORDER.get(op) or ("aten::eq" if op == "==" else "aten::ne")
        return self.to_bool(range, matching.insert(self.graph, name, [a, b], range=range))

    def _all_equal(self, pairs: Sequence[tuple[Value, Value]], range: SourceRange, negated: bool) -> Value:
        if not pairs:
            return insert_constant(self.graph, not negated, range)
        (a, b), *rest = pairs
        first = self._compare("!=" if negated else "==", a, b, range)
        if not rest:
            return first

        def known() -> Value:
            return insert_constant(self.graph, negated, range)

        def go_on() -> Value:
            return self._all_equal(rest, range, negated)

        return self.if_expression(range, Condition(first), *((known, go_on) if negated else (go_on, known)))

    def _ordered(self, op: str, pairs: Sequence[tuple[Value, Value]], range: SourceRange) -> Value:
        """Tuples are in the order of the first elements that differ."""
        if not pairs:
            return insert_constant(self.graph, op in ("<=", ">="), range)
        (a, b), *rest = pairs
        if not rest:
            return self._compare(op, a, b, range)
        equal = self._compare("==", a, b, range)
        return self.if_expression(
            range, Condition(equal), lambda: self._ordered(op, rest, range), lambda: self._compare(op[0], a, b, range)
        )

    def _in_tuple(self, items: Value, one: Value, range: SourceRange) -> Value:
        """``one in (a, b)``"""
        result = insert_constant(self.graph, False, range)
        for item in reversed(matching.tuple_unpack(items)):
            if T.unify(item.type, one.type) is None and {item.type, one.type} - {T.INT, T.FLOAT, T.BOOL}:
                continue  # of another kind: never equal
            same, other = self._compare("==", one, item, range), result
            result = self.if_expression(
                range,
                Condition(same),
                lambda: insert_constant(self.graph, True, range),
                lambda other=other: other,  # type: ignore[misc]
            )
        return result

    # -- spreading ---------------------------------------------------------------------------------------------

    def spread(self, callee: SugaredValue, es: Sequence[X.Expr]) -> list[Named] | None:
        """The arguments of an operator called with ``*list``: from there on they are one list. None without such a list."""
        if not isinstance(callee, BuiltinFunction) or not any(isinstance(e, X.Starred) for e in es):
            return None
        before: list[Named] = []
        pieces: list[Value] = []
        element: T.Type | None = None
        for e in es:
            value = self.sugared(e.value if isinstance(e, X.Starred) else e, 1)
            simple = value.value if isinstance(value, SimpleValue) else None
            if isinstance(e, X.Starred) and simple is not None and isinstance(simple.type, T.ListType):
                element = simple.type.element
                pieces.append(simple)
            elif isinstance(e, X.Starred):
                before += [Named(v.as_value(e.range, self), "", e.range) for v in value.as_tuple(e.range, self)]
            else:
                before.append(Named(value.as_value(e.range, self), "", e.range))
            if element is not None and before and pieces:
                self._gather(before, pieces, element, es[0].range, isinstance(e, X.Starred))
        if element is None:
            return before
        return [*before, Named(pieces[0], "", es[0].range)]

    def _gather(
        self, before: list[Named], pieces: list[Value], element: T.Type, range: SourceRange, before_list: bool
    ) -> None:
        """Join the list with the arguments around it that are of its elements' type."""
        same: list[Value] = []
        while before and before[-1].type == element:
            same.insert(0, before.pop().get(self.graph))
        parts = list(pieces)
        if same:
            made = self.node("prim::ListConstruct", same, 1, range).output
            made.type = T.ListType(element)
            parts = [made, *pieces] if before_list else [*pieces, made]
        joined = parts[0]
        for p in parts[1:]:
            joined = matching.insert(self.graph, "aten::add", [joined, p], range=range)
        pieces[:] = [joined]

    def joined_list(self, e: X.ListLit, hint: T.Type | None) -> Value:
        """``[a, *l, b]``"""
        parts: list[Value] = []
        inner = hint if isinstance(hint, T.ListType) else None
        run: list[X.Expr] = []

        def close() -> None:
            if run:
                parts.append(self.expr(X.ListLit(e.range, list(run)), inner))
                run.clear()

        for x in e.elements:
            if not isinstance(x, X.Starred):
                run.append(x)
                continue
            close()
            parts.append(self.expr(X.Apply(x.range, X.Var(x.range, "list"), [x.value], []), inner))
        close()
        result = parts[0]
        for p in parts[1:]:
            result = matching.insert(self.graph, "aten::add", [result, p], range=e.range)
        return result


def _is_number_enum(t: T.Type) -> bool:
    return isinstance(t, T.EnumType) and isinstance(t.python, type) and issubclass(t.python, int | str)
