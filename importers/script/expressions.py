"""Expressions: names, attributes, operators, calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.importers.script import matching
from bridge.importers.script import tree as X
from bridge.importers.script.annotations import qualified_name
from bridge.importers.script.calls import looking_at
from bridge.importers.script.core import EmitterCore
from bridge.importers.script.environment import as_simple
from bridge.importers.script.errors import CompileError, NeedsOperand, NotSupportedError
from bridge.importers.script.library import library_call
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.modules import ModuleValue
from bridge.importers.script.sets import SetConstructor, SetValue, set_operator
from bridge.importers.script.statics import StaticDict
from bridge.importers.script.sugared import BuiltinFunction, MagicMethod, SpecialForm, SugaredTuple, SugaredValue
from bridge.importers.script.templates import InnerFunction
from bridge.importers.script.values import SimpleValue
from bridge.ir import types as T
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

__all__ = ["ExpressionMixin"]

#: Operator → (operator of the IR, method that a class may define).
_BINARY: dict[str, tuple[str, str]] = {
    "+": ("aten::add", "__add__"), "-": ("aten::sub", "__sub__"), "*": ("aten::mul", "__mul__"),
    "**": ("aten::pow", "__pow__"), "/": ("aten::div", "__truediv__"), "%": ("aten::remainder", "__mod__"),
    "!=": ("aten::ne", "__ne__"), "==": ("aten::eq", "__eq__"), "<": ("aten::lt", "__lt__"),
    ">": ("aten::gt", "__gt__"), "<=": ("aten::le", "__le__"), ">=": ("aten::ge", "__ge__"),
    "&": ("aten::__and__", "__and__"), "|": ("aten::__or__", "__or__"), "^": ("aten::__xor__", "__xor__"),
    "in": ("aten::__contains__", "__contains__"), "<<": ("aten::__lshift__", "__lshift__"),
    ">>": ("aten::__rshift__", "__rshift__"),
}  # fmt: skip


class ExpressionMixin(EmitterCore):
    """The part of the emitter for expressions."""

    def expr(self, e: X.Expr, hint: T.Type | None = None) -> Value:
        """The value of an expression. ``hint`` is the type that is expected, for literals without one of their own."""
        looking_at(e.range)
        value = self.sugared(e, 1, hint).as_value(e.range, self)
        if hint is T.ANY and value.type is not T.ANY:
            value = self.unchecked_cast(value, T.ANY)
        return value

    def sugared(self, e: X.Expr, binders: int, hint: T.Type | None = None) -> SugaredValue:
        """What an expression stands for."""
        if isinstance(e, X.Var):
            return self.frame.get(e.name, e.range)
        if isinstance(e, X.Select):
            attribute = self.sugared(e.value, 1).attr(e.range, self, e.name)
            return self._present(e, attribute) if self.as_python else attribute
        if isinstance(e, X.Apply):
            looking_at(e.range)
            return self.apply(e, binders, hint)
        if isinstance(e, X.Subscript):
            return self.subscript(e, hint)
        if isinstance(e, X.Walrus):
            return self._walrus(e)
        if isinstance(e, X.Inner):
            return InnerFunction(e.definition, self)
        if isinstance(e, X.TupleLit | X.ListLit):
            return self._sequence(e, hint)
        if isinstance(e, X.DictLit):
            return self._mapping(e, hint)
        if isinstance(e, X.Ternary):
            function = self.chosen_function(e)
            if function is not None:
                return function
        if isinstance(e, X.BinOp) and e.op in "|&-^":
            a, b = self.arguments([e.lhs, e.rhs], unpack=False)
            found = set_operator(e.op, a, b, e.range, self)
            return found if found is not None else SimpleValue(self.binary_operator(e.op, a, b, e.range))
        return SimpleValue(self._simple(e, hint))

    def _present(self, e: X.Select, found: SugaredValue) -> SugaredValue:
        """An attribute that is known not to be None here."""
        value, name = as_simple(found), qualified_name(e)
        if value is None or name is None or not isinstance(value.type, T.OptionalType):
            return found
        if self.frame.refined_type(name) is None:
            return found
        return SimpleValue(matching.insert(self.graph, "aten::_unwrap_optional", [value], range=e.range))

    def apply(self, e: X.Apply, binders: int, hint: T.Type | None) -> SugaredValue:
        callee = self.sugared(e.callee, 1)
        if isinstance(callee, SpecialForm):
            return self.special_form(callee, e, hint)
        if isinstance(callee, SetConstructor) and not e.inputs and not e.keywords:
            return callee.empty(self, hint)
        args = self.spread(callee, e.inputs)
        if args is None:
            args = self.arguments(e.inputs)
        keywords = self.keyword_arguments(e.keywords)
        if isinstance(callee, BuiltinFunction) and callee.name == "aten::format" and callee.self_value is not None:
            known, text = matching.constant_of(callee.self_value.get(self.graph))
            made = self.format_call(str(text), args, keywords, e.range) if known else None
            if made is not None:
                return SimpleValue(made)
        return callee.call(e.callee.range, self, args, keywords, binders)

    def _argument(self, e: X.Expr, name: str = "") -> Named:
        value = self.sugared(e, 1)
        if value.is_function:
            return Named(None, name, e.range, sugared=value, m=self)
        whole = value if isinstance(value, ModuleValue) else None
        return Named(value.as_value(e.range, self), name, e.range, sugared=whole)

    def keyword_arguments(self, es: Sequence[X.Keyword]) -> list[Named]:
        """The values of keywords, ``**`` of dicts whose keys are known expanded."""
        result: list[Named] = []
        for k in es:
            if k.name != "**":
                given = self._argument(k.value, k.name)
                given.range = k.range
                result.append(given)
            elif isinstance(k.value, X.DictLit) and all(isinstance(x, X.StringLit) for x in k.value.keys):
                pairs = zip(k.value.keys, k.value.values, strict=True)
                result += [self._argument(v, x.value) for x, v in pairs if isinstance(x, X.StringLit)]
            else:
                given_dict = self.sugared(k.value, 1)
                if not isinstance(given_dict, StaticDict):
                    raise NotSupportedError(
                        "keyword-arg expansion is not supported but of a dict whose keys are known: write the keywords out",
                        k.value.range,
                    )
                entries = given_dict.entries(k.range, self)
                result += [
                    Named(v.value, n, k.range)
                    if isinstance(v, SimpleValue)
                    else Named(None, n, k.range, sugared=v, m=self)
                    for n, v in entries.items()
                ]
        return result

    def _mapping(self, e: X.DictLit, hint: T.Type | None) -> SugaredValue:
        """A dict; with functions in it, or only ever passed on with ``**``, one that exists while compiling."""
        keys = [k.value for k in e.keys if isinstance(k, X.StringLit)]
        static = len(keys) == len(e.keys)
        if not (e.is_static and static):
            try:
                return SimpleValue(self.dict_literal(e, hint))
            except CompileError:
                if not static:
                    raise
                values = [self._argument(v) for v in e.values]
                if all(v.is_value for v in values):
                    raise
        else:
            values = [self._argument(v) for v in e.values]
        return StaticDict({k: v.sugared or SimpleValue(v.get(self.graph)) for k, v in zip(keys, values, strict=True)})

    def _sequence(self, e: X.TupleLit | X.ListLit, hint: T.Type | None) -> SugaredValue:
        if isinstance(e, X.ListLit) and any(isinstance(x, X.Starred) for x in e.elements):
            return SimpleValue(self.joined_list(e, hint))
        items = self.arguments(e.elements)
        if any(not i.is_value for i in items):
            return SugaredTuple([i.sugared or SimpleValue(i.get(self.graph)) for i in items])
        values = [i.get(self.graph) for i in items]
        if isinstance(e, X.TupleLit):
            return SimpleValue(matching.make_tuple(self.graph, values))
        return SimpleValue(self.list_literal(e, hint, values))

    def arguments(self, es: Sequence[X.Expr], unpack: bool = True) -> list[Named]:
        """The values of arguments, starred ones unpacked."""
        result: list[Named] = []
        for e in es:
            if unpack and isinstance(e, X.Starred):
                for item in self.sugared(e.value, 1).as_tuple(e.range, self):
                    if item.is_function:
                        result.append(Named(None, "", e.range, sugared=item, m=self))
                    else:
                        result.append(Named(item.as_value(e.range, self), "", e.range))
            else:
                result.append(self._argument(e))
        return result

    def values(self, es: Sequence[X.Expr]) -> list[Value]:
        return [a.get(self.graph) for a in self.arguments(es)]

    def check_count(self, e: X.Apply, least: int, most: int | None = None) -> None:
        """Refuse a special form with the wrong number of arguments."""
        name = getattr(e.callee, "name", "this function")
        if not least <= len(e.inputs) <= (least if most is None else most):
            expected = f"exactly {least}" if most is None else f"between {least} and {most}"
            raise CompileError(f"{name} expected {expected} arguments but found {len(e.inputs)}", e.range)
        if e.keywords:
            raise CompileError(f"{name} takes no keyword arguments", e.range)

    # -- everything that is one value --------------------------------------------------------------------------

    def _simple(self, e: X.Expr, hint: T.Type | None) -> Value:
        if isinstance(e, X.BinOp):
            return self._binary(e)
        if isinstance(e, X.UnaryOp):
            if e.op == "not":
                return self.condition(e).value
            if e.op == "+":
                return self._positive(e)
            return self._unary(e, *(("__neg__", "aten::neg") if e.op == "-" else ("__invert__", "aten::bitwise_not")))
        if isinstance(e, X.Const):
            return self.number(e.value, e.range)
        if isinstance(e, X.Literal | X.StringLit):
            return insert_constant(self.graph, e.value, e.range)
        if isinstance(e, X.Ternary):
            return self._ternary(e, hint)
        if isinstance(e, X.ListComp):
            return self.list_comprehension(e, hint)
        if isinstance(e, X.DictComp):
            return self.dict_comprehension(e, hint)
        if isinstance(e, X.Formatted):
            return self.formatted(e)
        if isinstance(e, X.Starred):
            raise CompileError("Unexpected starred expansion", e.range)
        raise CompileError("this expression cannot be used as a value", e.range)

    def _binary(self, e: X.BinOp) -> Value:
        if e.op in ("and", "or"):
            return self._and_or(e)
        if e.op in ("is", "is not"):
            return self.condition(e).value
        if e.op in ("//", "@"):
            args = self.arguments([e.lhs, e.rhs], unpack=False)
            name = "aten::floordiv" if e.op == "//" else "aten::matmul"
            return matching.builtin_call(self.graph, e.range, name, args)
        if e.op == "%":
            lhs = self.sugared(e.lhs, 0).as_value(e.lhs.range, self)
            if lhs.type is T.STR:
                n = self.node("aten::percentFormat", self.values([e.lhs, e.rhs]), 1, e.range)
                n.overload, n.output.type = "", T.STR
                return n.output
        return self._binary_call(e)

    def _and_or(self, e: X.BinOp) -> Value:
        """A bool where TorchScript can make one of the operands; else one of them."""
        if self.as_python:
            return self.operand(e)
        self.may_differ = True
        before, self.optional_operands = self.optional_operands, False
        value = self.condition(e).value
        if self.optional_operands:
            raise NeedsOperand("an operand of this may be None: write if … is None", e.range)
        self.optional_operands = before
        return value

    def _binary_call(self, e: X.BinOp) -> Value:
        a, b = self.arguments([e.lhs, e.rhs], unpack=False)
        return self.binary_operator(e.op, *((b, a) if e.op == "in" else (a, b)), e.range)

    def binary_operator(self, op: str, a: Named, b: Named, range: SourceRange) -> Value:
        """``a op b`` (``b in a``: the container comes first)."""
        name, magic = _BINARY[op]
        if op == "**" and (whole := self.whole_power(a, b, range)) is not None:
            return whole
        if op == "in" and isinstance(a.sugared, StaticDict | SetValue):
            return a.sugared.contains(b.get(self.graph), range, self)
        if op == "+" and isinstance(a.type, T.TupleType) and isinstance(b.type, T.TupleType):
            assert a.value is not None
            assert b.value is not None
            both = [*matching.tuple_unpack(a.value), *matching.tuple_unpack(b.value)]
            return matching.make_tuple(self.graph, both)
        try:
            result = as_simple(MagicMethod(magic, BuiltinFunction(name)).call(range, self, [a, b], (), 0))
        except CompileError:
            result = self.more_operators(op, a, b, range)
            if result is None:
                raise
        assert result is not None
        return result

    def whole_power(self, base: Named, exponent: Named, range: SourceRange) -> Value | None:
        """A power of ints as the int that it is in Python, where the float of TorchScript did not fit."""
        if base.type is not T.INT or exponent.type is not T.INT:
            return None
        self.may_differ = True
        known, n = matching.constant_of(exponent.get(self.graph))
        if not self.as_python or (known and n < 0):
            return None
        return library_call("whole_power", range, self, [base.get(self.graph), exponent.get(self.graph)]).as_value(
            range, self
        )

    def _unary(self, e: X.UnaryOp, magic: str, name: str) -> Value:
        args = self.arguments([e.operand], unpack=False)
        if e.op == "~" and args[0].type in (T.INT, T.BOOL):
            return self._inverted(e.range, args[0].get(self.graph))
        value = as_simple(MagicMethod(magic, BuiltinFunction(name)).call(e.range, self, args, (), 0))
        assert value is not None
        if value.node.kind != name:
            return value
        known, operand = matching.constant_of(value.node.inputs[0])
        if not known or not isinstance(operand, bool | int | float | complex):
            return value
        return insert_constant(self.graph, _folded(name, operand), e.range)

    def _positive(self, e: X.UnaryOp) -> Value:
        """``+n``, which is n for a number and a tensor (of a bool, an int)."""
        value = self.expr(e.operand)
        if value.type is T.BOOL:
            return matching.insert(self.graph, "aten::Int", [value], range=e.range)
        if value.type not in (T.INT, T.FLOAT, T.COMPLEX) and not isinstance(value.type, T.TensorType):
            raise CompileError(f"+ of a value of type {value.type.annotation()}", e.range)
        return value

    def _inverted(self, range: SourceRange, value: Value) -> Value:
        """``~n`` of a number, for which there is no operator."""
        known, number = matching.constant_of(value)
        if known:
            return insert_constant(self.graph, ~int(number), range)
        if value.type is T.BOOL:
            value = matching.insert(self.graph, "aten::Int", [value], range=range)
        negative = matching.insert(self.graph, "aten::neg", [value], range=range)
        return matching.insert(self.graph, "aten::sub", [negative, self.number(1, range)], range=range)

    def _walrus(self, e: X.Walrus) -> SugaredValue:
        # In a branch or a condition of its own the variable would not be the function's.
        always = e.is_local and (self.frame.is_comprehension or self.frame.is_body)
        if self.frame.conditional and not always:
            raise CompileError(
                "a := behind and, or, if … else, or in a comprehension may not run: assign on a line of its own",
                e.range,
            )
        self.frame.set(e.target.range, e.target.name, self.sugared(e.value, 1))
        return self.frame.get(e.target.name, e.target.range)

    def _ternary(self, e: X.Ternary, hint: T.Type | None) -> Value:
        condition = self.condition(e.cond)
        if condition.static is not None:
            return self.expr(e.then if condition.static else e.other, hint)
        return self.if_expression(e.range, condition, lambda: self.expr(e.then, hint), lambda: self.expr(e.other, hint))


def _folded(name: str, operand: Any) -> Any:
    if name == "aten::neg":
        return -operand
    return ~operand
