"""Assignments: names, tuples, attributes, subscripts, augmented."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.importers.script import matching
from bridge.importers.script import tree as X
from bridge.importers.script.annotations import qualified_name
from bridge.importers.script.containers import CountingDict, DefaultDict, Deque
from bridge.importers.script.core import EmitterCore
from bridge.importers.script.empties import starts_empty
from bridge.importers.script.errors import CompileError
from bridge.importers.script.library import library_call
from bridge.importers.script.matching import Named
from bridge.importers.script.sets import SetValue
from bridge.importers.script.sugared import BuiltinFunction, MagicMethod, MethodValue, SugaredValue
from bridge.importers.script.values import SimpleValue
from bridge.ir import types as T
from bridge.ir.classes import ClassType
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

__all__ = ["AssignMixin"]

#: What writes into a part of a tensor. Of these TorchScript computes the result and drops it, or another one (``fmod_``).
_INTO_PART = {"|": "bitwise_or_", "&": "bitwise_and_", "^": "bitwise_xor_", "**": "pow_", "%": "remainder_"}
#: Augmented operator → operator for numbers, operator for tensors and lists.
_AUGMENTED: dict[str, tuple[str, str]] = {
    "+": ("add", "add_"), "-": ("sub", "sub_"), "/": ("div", "div_"), "*": ("mul", "mul_"), "%": ("fmod", "fmod_"),
    "|": ("__or__", "bitwise_or"), "&": ("__and__", "bitwise_and"), "^": ("__xor__", "bitwise_xor"),
    "<<": ("__lshift__", "__ilshift__"), ">>": ("__rshift__", "__irshift__"), "**": ("pow", "pow"),
    "//": ("floordiv", "floor_divide_"),
}  # fmt: skip
_MAGIC = {"+": "add", "-": "sub", "/": "truediv", "*": "mul", "%": "mod"}
_MOST = (1 << 63) - 1
_NUMBERS = (T.NUMBER, T.INT, T.BOOL, T.FLOAT, T.COMPLEX)


def _is_empty(e: X.Expr) -> bool:
    """``[]``, ``{}``, ``list()``, ``dict()``"""
    if isinstance(e, X.Apply):
        name = (qualified_name(e.callee) or "").rpartition(".")[2]
        if name in ("deque", "defaultdict"):  # of what is not known yet
            return not e.inputs or name == "defaultdict"
        return name in ("list", "dict", "set", "Counter") and not e.inputs and not e.keywords
    return (isinstance(e, X.ListLit) and not e.elements) or (isinstance(e, X.DictLit) and not e.keys)


def _is_none(e: X.Expr) -> bool:
    return isinstance(e, X.Literal) and e.value is None


def _is_set(e: X.Expr) -> bool:
    """``Set[…]``, ``set[…]``"""
    name = qualified_name(e.value) if isinstance(e, X.Subscript) else None
    return name is not None and name.rpartition(".")[2] in ("Set", "set")


def _is_new_empty_dict(v: Value) -> bool:
    """Whether it is a ``{}`` that nothing uses yet."""
    return v.node.kind == "prim::DictConstruct" and not v.node.inputs and not v.uses


class AssignMixin(EmitterCore):
    """The part of the emitter for assignments."""

    # -- plain -------------------------------------------------------------------------------------------------

    def emit_assign(self, s: X.Assign) -> None:
        if s.value is None:
            raise CompileError("For an assignment, expected an expression on the right-hand side", s.range)
        if len(s.targets) == 1:
            self._assign_one(s, s.targets[0], s.value)
            return
        name = self.temporary("$tmp_assign_")  # a = b = e: e once, then the targets from left to right
        learned = self.optionals.get(s)
        self.frame.set(s.value.range, name, self.sugared(s.value, 1, learned))
        temporary = X.Var(s.value.range, name)
        for target in s.targets:
            if learned is not None and isinstance(target, X.Var) and _is_none(s.value):
                self.frame.set(target.range, target.name, self.frame.get(name, target.range), learned)
            else:
                self._assign_one(X.Assign(s.range, [target], temporary), target, temporary)
            self._may_learn(s, target, s.value)

    def _may_learn(self, place: X.Stmt | X.Expr, target: X.Expr, value: X.Expr) -> None:
        """Remember where a variable got None or something empty: what it holds is told by what follows."""
        if isinstance(target, X.Var) and (_is_none(value) or _is_empty(value)):
            self.frame.places[target.name] = place
            if _is_none(value):
                self.nones.append(place)

    def _assign_one(self, s: X.Assign, target: X.Expr, value: X.Expr) -> None:
        if isinstance(target, X.Var):
            if s.type is not None and _is_set(s.type):
                self.frame.set(target.range, target.name, self.sugared(value, 1, self._list_of(s.type)))
                return
            type = self.type_of(s.type) if s.type is not None else None
            if type is None and _is_none(value):
                self._assign_none(s, target)
            else:
                empty = type is None and _is_empty(value)
                hint = self.optionals.get(s) if empty else type
                made = self.sugared(value, 1, hint)
                self.frame.set(target.range, target.name, made, type)
                if empty:
                    self.frame.places[target.name] = s
                    if isinstance(made, SetValue | Deque | DefaultDict | CountingDict):
                        self.empty_values[made.value] = s
        elif isinstance(target, X.TupleLit | X.ListLit):
            self._assign_tuple(target, value)
        elif isinstance(target, X.Select):
            type = self.type_of(s.type) if s.type is not None else None
            this = self.sugared(target.value, 1)
            result = self.sugared(value, 1, type).as_value(value.range, self)
            this.set_attr(s.range, self, target.name, result)
            if self.as_python:
                self._know_attribute(target, result)
        elif isinstance(target, X.Subscript):
            self.assign_subscript(s.range, target, Named(self.expr(value), "", value.range))
        else:
            raise CompileError("unexpected expression on left-hand side of assignment", target.range)

    def _assign_none(self, s: X.Assign, target: X.Var) -> None:
        """``name = None``: of the Optional type that an earlier attempt at the definition found it to need."""
        type = self.optionals.get(s) if self.frame.find_outside(target.name) is None else None
        self.frame.set(target.range, target.name, SimpleValue(self.expr(X.Literal(s.range, None))), type)
        self.frame.places[target.name] = s
        self.nones.append(s)

    def check_targets(self, targets: Sequence[X.Expr], range: SourceRange) -> bool:
        """Whether there is a starred target. Raises CompileError for what cannot be assigned to."""
        starred = 0
        for t in targets:
            if isinstance(t, X.Starred):
                starred += 1
            elif not isinstance(t, X.Var | X.Subscript | X.TupleLit | X.ListLit | X.Select):
                raise CompileError("lhs of assignment must be a variable, subscript, or starred expression", t.range)
        if starred > 1:
            raise CompileError("Only one starred expression is allowed on the lhs", range)
        if starred and len(targets) == 1:
            raise CompileError(
                "A Starred expression may only appear on the lhs within the presence of another non-starred expression",
                range,
            )
        return bool(starred)

    def _assign_tuple(self, target: X.TupleLit | X.ListLit, value: X.Expr) -> None:
        starred = self.check_targets(target.elements, target.range)
        binders = len(target.elements) - starred
        if isinstance(value, X.TupleLit) and len(value.elements) == len(target.elements) and not starred:
            pairs = list(zip(target.elements, value.elements, strict=True))
            if any(v in self.optionals for _, v in pairs):
                made = [self.sugared(v, 1, self.optionals.get(v)) for _, v in pairs]
                for (t, v), m in zip(pairs, made, strict=True):
                    if isinstance(t, X.Var) and _is_none(v):
                        self.frame.set(t.range, t.name, m, self.optionals.get(v))
                    else:
                        self.assign_each([t], [m], value.range, 1)
            else:
                self._unpack(target, self.sugared(value, binders), value.range, binders, False)
            for t, v in pairs:
                self._may_learn(v, t, v)
            return
        self._unpack(target, self.sugared(value, binders), value.range, binders, starred)

    def _unpack(
        self,
        target: X.TupleLit | X.ListLit,
        value: SugaredValue,
        range: SourceRange,
        binders: int,
        starred: bool,
    ) -> None:
        if isinstance(value, SimpleValue) and isinstance(value.value.type, T.TensorType):
            value = SimpleValue(value.value).attr(range, self, "unbind").call(range, self, [], [], 1)
        if starred and isinstance(value, SimpleValue) and isinstance(value.value.type, T.ListType):
            self._unpack_list(target, value, range, binders)
            return
        values = value.as_tuple(range, self, None if starred else binders)
        if len(values) < binders:
            least = "at least " if starred else ""
            raise CompileError(f"need {least}{binders} values to unpack but found only {len(values)}", target.range)
        if len(values) > binders and not starred:
            raise CompileError(f"too many values to unpack: need {binders} but found {len(values)}", target.range)
        self.assign_each(target.elements, values, range, binders)

    def _unpack_list(self, target: X.TupleLit | X.ListLit, items: SimpleValue, range: SourceRange, least: int) -> None:
        """``a, *rest, z = items`` of a list, whose length is checked when the program runs."""
        name = self.temporary("$items_")
        self.frame.set(range, name, items)
        source = X.Var(range, name)
        length = X.Apply(range, X.Var(range, "len"), [source], [])
        text = f"not enough values to unpack (expected at least {least})"
        self.emit_statements([
            X.If(range, X.BinOp(range, "<", length, X.Const(range, least)), [
                X.Raise(range, X.Apply(range, X.Var(range, "ValueError"), [X.StringLit(range, text)], []))], [])
        ])  # fmt: skip
        at = next(i for i, t in enumerate(target.elements) if isinstance(t, X.Starred))
        behind = len(target.elements) - at - 1
        for i, t in enumerate(target.elements):
            if isinstance(t, X.Starred):
                end = X.Const(range, -behind) if behind else None
                part: X.Expr = X.SliceExpr(range, X.Const(range, at), end, None)
                t = t.value
            else:
                part = X.Const(range, i if i < at else i - len(target.elements))
            self._assign_one(
                X.Assign(range, [t], X.Subscript(range, source, [part])), t, X.Subscript(range, source, [part])
            )

    def assign_each(
        self, targets: Sequence[X.Expr], values: Sequence[SugaredValue], range: SourceRange, binders: int
    ) -> None:
        """Assign values to targets one by one."""
        i = 0
        for t in targets:
            if isinstance(t, X.Starred):
                count = len(values) - binders
                if not isinstance(t.value, X.Var):
                    raise CompileError("Cannot pack a tuple into a non-variable", t.value.range)
                rest = [v.as_value(t.range, self) for v in values[i : i + count]]
                self.frame.set_value(t.value.range, t.value.name, matching.make_tuple(self.graph, rest))
                i += count
                continue
            v = values[i]
            i += 1
            if isinstance(t, X.Subscript):
                self.assign_subscript(range, t, Named(v.as_value(range, self), "", range))
            elif isinstance(t, X.Var):
                self.frame.set(t.range, t.name, v)
            elif isinstance(t, X.TupleLit | X.ListLit):
                starred = self.check_targets(t.elements, t.range)
                self._unpack(t, v, range, len(t.elements) - starred, starred)
            elif isinstance(t, X.Select):
                this = self.sugared(t.value, 1)
                this.set_attr(range, self, t.name, v.as_value(range, self))
            else:
                raise CompileError("unexpected expression on the left-hand side", t.range)

    def assign_subscript(self, range: SourceRange, target: X.Subscript, value: Named) -> None:
        """``base[index] = value``"""
        base = self.expr(target.value)
        if isinstance(base.type, T.TensorType):
            sliced, tensors = self.index_steps(target.range, base, target.indices)
            into = Named(sliced, "", target.range)
            given = self._as_tensor(value, into)
            if not tensors:
                matching.insert(self.graph, "aten::copy_", [into, given], range=range)
            else:
                indices = self.index_list(tensors)
                matching.insert(self.graph, "aten::index_put_", [into, indices, given], range=range)
            return
        part = target.indices[0]
        if isinstance(part, X.SliceExpr) and isinstance(base.type, T.ListType) and part.step is None and value.value:
            bounds = [
                self.expr(e) if e is not None else self.number(n, range)
                for e, n in ((part.start, 0), (part.end, _MOST))
            ]
            library_call("slice_assigned", range, self, [base, *bounds, value.value])
            return
        if len(target.indices) != 1 or isinstance(target.indices[0], X.SliceExpr):
            raise CompileError(
                "Sliced expression not yet supported for subscripted assignment. Assign the items one by one",
                target.indices_range,
            )
        if isinstance(base.type, T.TupleType):
            raise CompileError(f"{base.type.annotation()} does not support subscripted assignment", target.range)
        index = self.expr(target.indices[0])
        inside = base.type.value if isinstance(base.type, T.DictType) else getattr(base.type, "element", None)
        if (
            value.value is not None
            and value.value.node.kind == "prim::EmptyListLiteral"
            and isinstance(inside, T.ListType)
        ):
            value = Named(matching.convert(self.graph, range, inside, value.value, True), "", value.range)
        if value.value is not None and isinstance(inside, T.DictType) and _is_new_empty_dict(value.value):
            value.value.type = inside
        args = [Named(base, "self", target.value.range), Named(index, "idx", target.indices_range), value]
        try:
            MagicMethod("__setitem__", BuiltinFunction("aten::_set_item")).call(range, self, args, (), 0)
        except CompileError as e:
            raise starts_empty(e, "aten::_set_item", args, self) from None

    def _as_tensor(self, value: Named, like: Named) -> Named:
        """A number as a tensor of the dtype and device of another."""
        assert value.value is not None
        assert like.value is not None
        if value.value.type not in _NUMBERS:
            return value
        dtype = matching.insert(self.graph, "prim::dtype", [like])
        device = matching.insert(self.graph, "prim::device", [like])
        keywords = [Named(dtype, "dtype"), Named(device, "device")]
        return Named(matching.insert(self.graph, "aten::tensor", [value], keywords), "", value.range)

    # -- augmented ---------------------------------------------------------------------------------------------

    def _list_of(self, e: X.Expr) -> T.Type:
        """The list that a set of the annotation ``Set[…]`` is."""
        assert isinstance(e, X.Subscript)
        return T.ListType(self.type_of(e.indices[0]))

    def _know_attribute(self, target: X.Select, value: Value) -> None:
        """What an attribute is behind an assignment: known, unless the value may be None."""
        name = qualified_name(target)
        if name is not None:
            self.frame.forget(name)
            maybe = T.NONE in T.members_of(value.type)
            self.frame.refined[name] = None if maybe else value.type

    def emit_aug_assign(self, s: X.AugAssign) -> None:
        target = s.target
        if isinstance(target, X.Var):
            before = self.expr(target)
            self.frame.set_value(target.range, target.name, self._augmented(s, before))
        elif isinstance(target, X.Select):
            this = self.sugared(target.value, 1)
            if self.as_python:  # with what is known of it
                before = self.expr(target)
            else:
                before = this.attr(target.range, self, target.name).as_value(target.range, self)
            result = self._augmented(s, before)
            this.set_attr(s.range, self, target.name, result)
            if self.as_python:
                self._know_attribute(target, result)
        elif isinstance(target, X.Subscript):
            self._augment_subscript(s, target)
        else:
            raise CompileError("unexpected expression on left-hand side of augmented assignment", target.range)

    def _aug_operator(self, s: X.AugAssign, t: T.Type) -> str:
        plain, in_place = _AUGMENTED[s.op]
        if s.op == "%" and isinstance(t, T.TensorType):
            in_place = _INTO_PART["%"]
        return f"aten::{in_place if isinstance(t, T.TensorType | T.ListType) else plain}"

    def _augmented(self, s: X.AugAssign, before: Value) -> Value:
        t = before.type
        if isinstance(t, ClassType):
            magic = _MAGIC.get(s.op)
            if magic is None:
                raise CompileError(f"Unknown augmented assignment: {s.op}=", s.range)
            value = self.expr(s.value)
            name = next((n for n in (f"__i{magic}__", f"__{magic}__") if t.find_method(n) is not None), None)
            if name is None:
                raise CompileError(
                    f"Cannot emit inplace op on {t.annotation()} since it does not define an __i{magic}__ or __{magic}__ "
                    "method",
                    s.range,
                )
            result = MethodValue(before, [name]).call(s.range, self, [Named(value)], (), 0)
            return result.as_value(s.range, self)
        value = self.expr(s.value)
        name, args = self._aug_operator(s, t), [Named(before), Named(value)]
        if (
            s.op == "%" and before.type is T.INT and value.type is T.INT
        ):  # TorchScript's gives a float, with another sign
            self.may_differ = True
            name = "aten::remainder" if self.as_python else name
        if s.op == "**" and (whole := self.whole_power(args[0], args[1], s.range)) is not None:
            return whole
        try:
            return matching.builtin_call(self.graph, s.range, name, args)
        except CompileError as e:
            raise starts_empty(e, name, args, self) from None

    def _augment_subscript(self, s: X.AugAssign, target: X.Subscript) -> None:
        holder = self.frame.held(target.value.name) if isinstance(target.value, X.Var) else None
        if isinstance(holder, DefaultDict | CountingDict) and len(target.indices) == 1:
            name = self.temporary("$key_")
            self.frame.set_value(target.range, name, self.expr(target.indices[0]))
            holder.provide(target.range, self, self.frame.value(name, target.range))
            key = X.Var(target.range, name)
            self._augment_item(s, X.Subscript(target.range, target.value, [key]), holder.value)
            return
        base = self.expr(target.value)
        if not isinstance(base.type, T.TensorType):
            self._augment_item(s, target, base)
            return
        sliced, tensors = self.index_steps(target.range, base, target.indices)
        this = Named(sliced, "self", target.range)
        value = Named(self.expr(s.value), "", s.value.range)
        name = self._aug_operator(s, base.type)
        if not tensors:
            name = f"aten::{_INTO_PART[s.op]}" if s.op in _INTO_PART else name
            matching.builtin_call(self.graph, s.range, name, [value], (), this)
            return
        indices = self.index_list(tensors)
        item = matching.insert(self.graph, "aten::index", [this, indices], range=s.range)
        result = matching.builtin_call(self.graph, s.range, name, [value], (), Named(item))
        matching.insert(self.graph, "aten::index_put_", [this, indices, result], range=s.range)

    def _augment_item(self, s: X.AugAssign, target: X.Subscript, base: Value) -> None:
        t = base.type
        if len(target.indices) != 1:
            raise CompileError(
                f"Sliced expression not yet supported for {t.annotation()} augmented assignment", target.indices_range
            )
        if isinstance(t, T.ListType):
            element = t.element
        elif isinstance(t, T.DictType):
            element = t.key
        else:
            raise CompileError(f"{t.annotation()} does not support augmented assignment.", target.range)
        index = Named(self.expr(target.indices[0]), "idx", target.indices_range)
        container = Named(base, str(t), target.value.range)
        value = Named(self.expr(s.value), "value", s.value.range)
        item = matching.insert(self.graph, "aten::__getitem__", [container, index], range=s.range)
        name = self._aug_operator(s, element)
        result = matching.insert(self.graph, name, [item, value], range=s.range)
        matching.insert(self.graph, "aten::_set_item", [container, index, result], range=s.range)
