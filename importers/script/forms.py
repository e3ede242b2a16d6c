"""Calls with evaluation rules of their own: annotate, isinstance, range, zip, list(), dict(), fork…"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bridge.importers.script import matching
from bridge.importers.script import tree as X
from bridge.importers.script.containers import make_container
from bridge.importers.script.control import MAX_TRIPS
from bridge.importers.script.core import EmitterCore
from bridge.importers.script.environment import as_simple
from bridge.importers.script.errors import CompileError
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.modules import ClassSuperValue, ModuleValue, SuperValue
from bridge.importers.script.sets import SetValue
from bridge.importers.script.sugared import (
    BuiltinFunction,
    ClassValue,
    ClosureValue,
    LegacyTensorConstructor,
    SpecialForm,
    SugaredTuple,
    SugaredValue,
)
from bridge.importers.script.templates import InnerFunction
from bridge.importers.script.values import IterableTree, RangeValue, Reversed, SimpleValue
from bridge.ir import types as T
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

__all__ = ["FormMixin"]


class FormMixin(EmitterCore):
    """The part of the emitter for special forms."""

    def special_form(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        return _FORMS[form.form](self, form, e, hint)

    # -- types -------------------------------------------------------------------------------------------------

    def _annotate(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        self.check_count(e, 2)
        type = self.type_of(e.inputs[0])
        value = matching.convert(self.graph, e.range, type, self.expr(e.inputs[1], type), True)
        if not value.type.is_subtype_of(type):
            raise CompileError(
                f"expected an expression of type {type.annotation()} but found {value.type.annotation()}",
                e.inputs[0].range,
            )
        if value.type is T.NONE and type is not T.NONE and T.NONE in T.members_of(type):
            value = self.node("prim::Constant", (), 1, None).output  # a None that remembers what else it may be
            value.type = type
        return SimpleValue(value)

    def _unchecked_cast(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        self.check_count(e, 2)
        type = self.type_of(e.inputs[0])
        value = self.expr(e.inputs[1])
        if value.node.kind != "prim::unchecked_cast" or value.type != type:
            value = self.unchecked_cast(value, type)
        return SimpleValue(value)

    def _uninitialized(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        self.check_count(e, 1)
        n = self.graph.insert(self.uninitialized(self.type_of(e.inputs[0])))
        n.range = e.range
        return SimpleValue(n.output)

    def _isinstance(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        self.check_count(e, 2)
        return SimpleValue(self.is_instance(e.inputs[0], e.inputs[1]).value)

    def _hasattr(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        self.check_count(e, 2)
        return SimpleValue(self.has_attribute(e.inputs[0], e.inputs[1]).value)

    def _getattr(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        self.check_count(e, 2, 3)
        object = self.sugared(e.inputs[0], 1)
        name = self.known_text(e.inputs[1])
        if name is None:
            raise CompileError("getattr's second argument must be a string literal", e.range)
        if len(e.inputs) == 3 and not object.has_attr(e.range, self, name):
            return self.sugared(e.inputs[2], 1)
        return object.attr(e.range, self, name)

    def _create_object(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        if len(e.inputs) != 1:
            raise CompileError("Only one argument to __new__ allowed", e.range)
        given = self.sugared(e.inputs[0], 1)
        if not isinstance(given, ClassValue):
            raise CompileError(f"Expected class value as argument to __new__, got {given.kind} instead", e.range)
        output = self.node("prim::CreateObject", (), 1, e.range).output
        output.type = given.type
        return SimpleValue(output)

    # -- tensors -----------------------------------------------------------------------------------------------

    def _tolist(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        assert isinstance(e.callee, X.Select)
        operand = self.sugared(e.callee.value, 1)
        if hint is None:
            raise CompileError(
                "Expected type hint for result of tolist(): annotate the variable, x: List[float] = y.tolist()", e.range
            )
        value = operand.as_value(e.callee.value.range, self)
        dim, element = 0, hint
        while isinstance(element, T.ListType):
            dim, element = dim + 1, element.element
        codes = {T.INT: 0, T.FLOAT: 1, T.BOOL: 2, T.COMPLEX: 3}
        if element not in codes:
            raise CompileError(f"{element.annotation()} is not one of the supported element types for tolist", e.range)
        args = [value, insert_constant(self.graph, dim), insert_constant(self.graph, codes[element])]
        output = self.node("prim::tolist", args, 1, None).output
        output.type = hint
        return SimpleValue(output)

    def _index(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        assert isinstance(e.callee, X.Select)
        this = self.sugared(e.callee.value, 1).as_value(e.range, self)
        if len(e.inputs) != 1:
            raise CompileError(f"__getitem__ expected exactly 1 arguments, got {len(e.inputs)}", e.range)
        given = self.sugared(e.inputs[0], 1).as_value(e.range, self)
        indices = matching.tuple_unpack(given) if isinstance(given.type, T.TupleType) else [given]
        args = [Named(this), Named(self.index_list(indices))]
        return SimpleValue(matching.builtin_call(self.graph, e.range, "aten::index", args))

    def _legacy(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        assert isinstance(form, LegacyTensorConstructor)
        args = self.values(e.inputs)
        keywords = [(k.name, self.expr(k.value)) for k in e.keywords]
        if len(keywords) > 1 or any(name != "device" for name, _ in keywords):
            raise CompileError(
                "this constructor takes sizes or data, and device: use torch.tensor(…, dtype=…)", e.range
            )
        dtype = Named(insert_constant(self.graph, form.code), "dtype", e.range)
        if all(a.type is T.INT for a in args):
            sizes = self.node("prim::ListConstruct", args, 1, None).output
            sizes.type = T.ListType(T.INT)
            name = "aten::empty" if args else "aten::tensor"
            return SimpleValue(matching.insert(self.graph, name, [sizes], [dtype]))
        if len(args) != 1:
            raise CompileError(
                "Legacy Tensor Constructor only supports two schemas in TorchScript: \n'new(IntArrayRef size, *, Device? "
                "device=None)',\n'new(PyObject* data, *, Device? device=None)\n'Got multiple positional arguments that were "
                "not all integers",
                e.range,
            )
        return SimpleValue(matching.insert(self.graph, "aten::tensor", args, [dtype]))

    # -- iterables ---------------------------------------------------------------------------------------------

    def _tuple(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        self.check_count(e, 1)
        given = e.inputs[0]
        if isinstance(given, X.ListComp) and len(given.clauses) == 1 and given.clauses[0].condition is None:
            found = self._tuple_of_generator(given)
            if found is not None:
                return found
        items = self.sugared(given, 1).as_tuple(e.range, self)
        return SimpleValue(matching.make_tuple(self.graph, [i.as_value(e.range, self) for i in items]))

    def _tuple_of_generator(self, e: X.ListComp) -> SugaredValue | None:
        """``tuple(f(v) for v in (a, b))``; None when the number of elements is not known."""
        clause = e.clauses[0]
        iterable = self.sugared(clause.iter, 1).iter(e.range, self)
        count = iterable.static_len()
        if count is None:
            return None
        values: list[Value] = []
        frame = self.push(self.graph.insert_point.block)  # type: ignore[arg-type]
        frame.conditional = frame.is_comprehension = True
        for i in _count(count):
            element = iterable.getitem(e.range, self, self.number(i, e.range))
            self.assign_each([clause.target], [element], e.range, 1)
            values.append(self.expr(e.element))
        self.pop()
        return SimpleValue(matching.make_tuple(self.graph, values))

    def _range(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        return RangeValue(e.range, self, self.values(e.inputs))

    def _enumerate(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        count = len(e.inputs) + len(e.keywords)
        if not e.inputs:
            raise CompileError("enumerate expected at least 1 arguments, got 0", e.range)
        start: Value | None = None
        if len(e.inputs) == 2:
            start = self.sugared(e.inputs[1], 1).as_value(e.range, self)
        if count > 2:
            raise CompileError(f"enumerate expected at most 2 arguments, got {count}", e.range)
        if e.keywords:
            if e.keywords[0].name != "start":
                raise CompileError(f"enumerate expected kwarg name 'start', got '{e.keywords[0].name}'", e.range)
            start = self.sugared(e.keywords[0].value, 1).as_value(e.range, self)
        bounds = ([start] if start is not None else []) + [self.number(MAX_TRIPS, e.range)]
        iterable = self.sugared(e.inputs[0], 1).iter(e.range, self)
        tree = IterableTree()
        tree.add(e.range, self, RangeValue(e.range, self, bounds, iterable.static_len()))
        tree.add(e.range, self, iterable)
        return tree

    def _super(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        after = getattr(self.resolver, "defining_class", None)
        if e.inputs:
            find = getattr(self.resolver, "find", None)
            name = e.inputs[0].name if isinstance(e.inputs[0], X.Var) and len(e.inputs) == 2 else ""
            after = find(name) if find is not None and name else None
            if not isinstance(after, type) or self.sugared(e.inputs[1], 1) is not self.this:
                raise CompileError("super takes the class and self here: write super()", e.range)
        if isinstance(self.this, ModuleValue):
            return SuperValue(self.this, after)
        inherited = getattr(self.resolver, "inherited_method", None)
        if not isinstance(self.this, SimpleValue) or inherited is None:
            raise CompileError("super() is supported in the methods of modules and classes only", e.range)
        return ClassSuperValue(self.this.value, lambda name: inherited(name, after))

    def _reversed(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        self.check_count(e, 1)
        given = self.sugared(e.inputs[0], 1)
        if isinstance(given, RangeValue):
            return given.reversed(e.range, self)
        iterable = given.iter(e.range, self)
        if iterable.static_len() is not None:
            return SugaredTuple(iterable.as_tuple(e.range, self)[::-1])
        return Reversed(iterable)

    def _sum(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        """``sum``: the operator, except for a list of tensors, which is added up as Python does it."""
        args = self.arguments(e.inputs)
        keywords = [Named(self.expr(k.value), k.name, k.range) for k in e.keywords]
        if args and isinstance(args[0].sugared, SetValue):
            args[0] = Named(args[0].sugared.value, "", e.range)
        if args and not args[0].is_value:
            listed = self.expr(X.Apply(e.range, X.Var(e.range, "list"), [e.inputs[0]], []))
            args[0] = Named(listed, "", e.range)
        first = args[0].type if args else None
        tensors = isinstance(first, T.ListType) and isinstance(first.element, T.TensorType)
        if not tensors or len(args) + len(keywords) > 2 or any(k.name != "start" for k in keywords):
            return BuiltinFunction("aten::sum").call(e.callee.range, self, args, keywords, 1)
        return self._add_up(e.range, args[0].get(self.graph), [*args[1:], *keywords])

    def _add_up(self, range: SourceRange, items: Value, start: list[Named]) -> SugaredValue:
        """``items[0] + start + items[1] + …`` with the dtypes of Python's ``sum``.

        Of no tensors Python makes the number 0, which is no tensor: here taking the first one raises.
        """
        list_name, total = self.temporary("$items_"), self.temporary("$total_")
        self.frame.set_value(range, list_name, items)
        index = X.Var(range, self.temporary("$i_"))
        number = start[0] if start else Named(insert_constant(self.graph, 0, range), "", range)

        def add(i: X.Expr, other: Named) -> None:
            item = self.expr(X.Subscript(range, X.Var(range, list_name), [i]))
            added = matching.builtin_call(self.graph, range, "aten::add", [Named(item, "", range), Named(other.value)])
            self.frame.set_value(range, total, added)

        add(X.Const(range, 0), number)
        one, length = self.number(1, range), matching.insert(self.graph, "aten::len", [items], range=range)
        name = self.temporary("$range_")
        self.frame.set(range, name, RangeValue(range, self, [one, length]))
        self.for_each(index, X.Var(range, name), range, lambda: add(index, Named(self.frame.value(total, range))))
        return self.frame.get(total, range)

    def _zip(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        if not e.inputs:
            raise CompileError("zip expected at least 1 arguments, got 0", e.range)
        tree = IterableTree()
        for part in e.inputs:
            tree.add(e.range, self, self.sugared(part, 1).iter(e.range, self))
        return tree

    # -- list() and dict() -------------------------------------------------------------------------------------

    def _list(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        if not e.inputs:
            type = hint if hint is not None else T.ListType(T.TENSOR)
            if not isinstance(type, T.ListType):
                raise CompileError(f"Expected list type annotation for list(), found {type.annotation()}", e.range)
            output = self.node("prim::ListConstruct", (), 1, None).output
            output.type = T.ListType(type.element)
            return SimpleValue(output)
        self.check_count(e, 1)
        given = self.sugared(e.inputs[0], 1)
        simple = as_simple(given)
        if simple is not None and (simple.type is T.STR or isinstance(simple.type, T.ListType)):
            return SimpleValue(matching.builtin_call(self.graph, e.range, "aten::list", [Named(simple)]))
        iter_name = self.temporary("$_iter")
        self.frame.set(e.range, iter_name, given)
        element = X.Var(e.range, self.temporary("$_elem"))
        comprehension = X.ListComp(e.range, element, [X.Clause(e.range, element, X.Var(e.range, iter_name))])
        return SimpleValue(self.list_comprehension(comprehension, hint))

    def _dict(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        type = hint.element if isinstance(hint, T.OptionalType) else hint
        if isinstance(type, T.UnionType):
            found = [m for m in type.members if isinstance(m, T.DictType)]
            if len(found) > 1:
                raise CompileError(
                    f"There are multiple candidate Dict types in the Union type annotation `{type.annotation()}`, and full "
                    "type inference is not yet supported for the `dict()` constructor.",
                    e.range,
                )
            type = found[0] if found else type
        if e.inputs:
            given = self._dict_argument(e, hint)
            simple = as_simple(given)
            if simple is not None and isinstance(simple.type, T.DictType):
                result = matching.builtin_call(self.graph, e.range, "aten::dict", [Named(simple)])
                self._add_keywords(e, result)
                return SimpleValue(result)
        first = e.inputs[0] if e.inputs else None
        empty = isinstance(first, X.DictLit) and not first.keys
        empty = empty or (isinstance(first, X.ListLit) and not first.elements)
        inputs = [] if empty else e.inputs
        if not inputs and not e.keywords:
            type = type if type is not None else T.DictType(T.STR, T.TENSOR)
            if not isinstance(type, T.DictType):
                raise CompileError(
                    f"Expected a type annotation of Dict for dict constructor dict(), got {type.annotation()}", e.range
                )
            return SimpleValue(self.make_dict(type))
        if inputs and isinstance(inputs[0], X.DictComp):
            result = self.dict_comprehension(inputs[0], type)
            self._add_keywords(e, result)
            return SimpleValue(result)
        return self._dict_of_pairs(e, inputs, type)

    def _dict_argument(self, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        try:
            return self.sugared(e.inputs[0], 1, hint)
        except CompileError:  # the hint is for the dict, not for what it is made of
            return self.sugared(e.inputs[0], 1)

    def _dict_of_pairs(self, e: X.Apply, inputs: list[X.Expr], type: T.Type | None) -> SugaredValue:
        """``dict`` of pairs and keywords: a comprehension over a list of tuples."""
        range = e.range
        if inputs and isinstance(inputs[0], X.DictLit):
            pairs = zip(inputs[0].keys, inputs[0].values, strict=True)
            inputs = [X.ListLit(range, [X.TupleLit(range, list(p)) for p in pairs])]
        keywords = e.keywords
        if keywords and (not inputs or isinstance(inputs[0], X.ListLit)):
            items: list[X.Expr] = list(inputs[0].elements) if inputs and isinstance(inputs[0], X.ListLit) else []
            items += [X.TupleLit(range, [X.StringLit(range, k.name), k.value]) for k in keywords]
            inputs, keywords = [X.ListLit(range, items)], []
        call = X.Apply(range, e.callee, inputs, keywords)
        self.check_count(call, 1)
        given = self.sugared(inputs[0], 1)
        names = [self.temporary(n) for n in ("$_iter", "$_key", "$_value")]
        iter, key, value = (X.Var(range, n) for n in names)
        self.frame.set(range, names[0], given)
        clause = X.Clause(range, X.TupleLit(range, [key, value]), iter)
        result = self.dict_comprehension(X.DictComp(range, key, value, [clause]), type)
        return SimpleValue(result)

    def _add_keywords(self, e: X.Apply, result: Value) -> None:
        for k in e.keywords:
            key = self.expr(X.StringLit(k.range, k.name))
            value = self.expr(k.value)
            args = [Named(result, "self", e.range), Named(key, "", k.range), Named(value, "", k.range)]
            matching.builtin_call(self.graph, k.range, "aten::_set_item", args)

    def _container(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        return make_container(form.form, e, self, hint)

    # -- fork --------------------------------------------------------------------------------------------------

    def _fork(self, form: SpecialForm, e: X.Apply, hint: T.Type | None) -> SugaredValue:
        if not e.inputs:
            raise CompileError(f"Expected at least one argument to {form.form}()", e.range)
        forked = self.sugared(e.inputs[0], 1)
        args = self.arguments(e.inputs[1:])
        keywords = [Named(self.expr(k.value), k.name, k.range) for k in e.keywords]
        fork = self.node(f"prim::{form.form}Closure", (), 1, e.range)
        with self.graph.inserting(fork):
            if isinstance(forked, ClosureValue):
                closure = forked.as_value(e.range, self)
                type = closure.node.blocks[0].outputs[0].type
            else:
                closure = self.node("prim::Closure", (), 1, None).output
                closure.type = T.NONE
                block = closure.node.add_block()
                written = _in_place(forked) if not args and not keywords else None
                with self.in_loop(""), self.graph.inserting(block):
                    self.push(block).conditional = True
                    if written is None:
                        result = forked.call(e.range, self, args, keywords, 1).as_value(e.range, self)
                    else:
                        result = self.emit_inner(written, block)
                    block.add_output(result)
                    self.pop()
                type = result.type
            fork.add_input(closure)
        fork.output.type = (T.FutureType if form.form == "fork" else T.AwaitType)(type)
        return SimpleValue(fork.output)


def _in_place(forked: SugaredValue) -> X.Def | None:
    """A function without parameters that is emitted in place, as printed programs say what they fork; None for everything
    else, which is called."""
    if not isinstance(forked, InnerFunction):
        return None
    d = forked.template.definition
    return None if d.params or d.locals or d.nonlocals else d


_FORMS: dict[str, Callable[[Any, SpecialForm, X.Apply, T.Type | None], SugaredValue]] = {
    "annotate": FormMixin._annotate, "unchecked_cast": FormMixin._unchecked_cast,
    "Uninitialized": FormMixin._uninitialized, "isinstance": FormMixin._isinstance, "HasAttr": FormMixin._hasattr,
    "GetAttr": FormMixin._getattr, "CreateObject": FormMixin._create_object, "tolist": FormMixin._tolist,
    "index": FormMixin._index, "LegacyTypedConstructor": FormMixin._legacy, "TupleConstruct": FormMixin._tuple,
    "range": FormMixin._range, "enumerate": FormMixin._enumerate, "zip": FormMixin._zip, "reversed": FormMixin._reversed, "super": FormMixin._super, "sum": FormMixin._sum, "list": FormMixin._list,
    "dict": FormMixin._dict, "fork": FormMixin._fork, "awaitable": FormMixin._fork, **dict.fromkeys(("deque", "defaultdict", "Counter"), FormMixin._container),
}  # fmt: skip


_count = range
