"""Indexing and slicing: of tensors by steps (select, slice, unsqueeze, index), of tuples at compile time."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.importers.script import matching
from bridge.importers.script import tree as X
from bridge.importers.script.core import EmitterCore
from bridge.importers.script.errors import CompileError
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.modules import ModuleValue
from bridge.importers.script.sugared import SugaredTuple, SugaredValue
from bridge.importers.script.sugared_classes import SliceValue
from bridge.importers.script.values import SimpleValue
from bridge.ir import types as T
from bridge.ir.classes import ClassType
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

__all__ = ["SubscriptMixin"]

_LONG = 4
_OPTIONAL_TENSOR = T.OptionalType(T.TENSOR)


class ModuleChain(SimpleValue):
    """A slice of a Sequential: its modules as a tuple, and one after the other where it is called."""

    __slots__ = ()

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        if len(args) != 1 or keywords:
            raise CompileError("a slice of a Sequential takes one argument", range)
        found: SugaredValue = SimpleValue(args[0].get(m.graph))
        for module in self.as_tuple(range, m):
            found = module.call(range, m, [Named(found.as_value(range, m), "", range)], [], 1)
        return found


class _TupleIndex(Exception):
    """An index that is a tuple: its items are the indices."""

    def __init__(self, at: int, items: Sequence[SugaredValue]) -> None:
        super().__init__()
        self.at, self.items = at, items


class SubscriptMixin(EmitterCore):
    """The part of the emitter for subscripts."""

    def subscript(self, e: X.Subscript, hint: T.Type | None) -> SugaredValue:
        base = self.sugared(e.value, 1)
        if len(e.indices) != 1:
            return SimpleValue(self._multi_index(e.range, base.as_value(e.value.range, self), e.indices))
        index = e.indices[0]
        if isinstance(index, X.SliceExpr):
            return self._sliced(e, base, index)
        if base.is_function:
            return base.getitem(e.range, self, self.expr(index), hint)
        value = base.as_value(e.value.range, self)
        if isinstance(index, X.Dots) and isinstance(value.type, T.TensorType):
            return SimpleValue(self._multi_index(e.range, value, e.indices))
        sugared = self.sugared(index, 1)
        if isinstance(sugared, SliceValue):
            dim = insert_constant(self.graph, 0, e.value.range) if isinstance(value.type, T.TensorType) else None
            parts = (sugared.start, sugared.stop, sugared.step)
            return SimpleValue(self._slice_op(e.value.range, value, dim, *parts))
        if isinstance(sugared, SugaredTuple) and isinstance(value.type, T.TensorType):
            return SimpleValue(self._multi_index(e.range, value, e.indices))
        at = sugared.as_value(e.value.range, self)
        if isinstance(value.type, T.TupleType):
            return SimpleValue(self._tuple_item(e.range, base.as_value(e.value.range, self), at))
        if isinstance(value.type, T.TensorType):
            return SimpleValue(self._multi_index(e.range, value, e.indices))
        return base.getitem(e.range, self, at, hint)

    def _sliced(self, e: X.Subscript, base: SugaredValue, index: X.SliceExpr) -> SugaredValue:
        if isinstance(base, ModuleValue):
            modules = base.as_tuple_value(e.value.range, self)
            parts = [None if p is None else self.expr(p) for p in (index.start, index.end, index.step)]
            items = modules.as_tuple(e.value.range, self)
            # The modules stay modules (torch makes a tuple value of them), so that a loop over the slice can call them.
            value = matching.make_tuple(self.graph, [i.as_value(e.value.range, self) for i in items])
            found = self._tuple_slice(e.value.range, value, *parts)
            t = base.value.type
            chains = isinstance(t, ClassType) and t.find_method("forward") is not None  # a Sequential, no ModuleList
            return ModuleChain(found) if chains else SimpleValue(found)
        value = base.as_value(e.value.range, self)
        dim = insert_constant(self.graph, 0, e.range) if isinstance(value.type, T.TensorType) else None
        return SimpleValue(self._slice(e.range, value, dim, index))

    # -- slices ------------------------------------------------------------------------------------------------

    def _slice(self, range: SourceRange, value: Value, dim: Value | None, e: X.SliceExpr) -> Value:
        parts = [None if p is None else self.expr(p) for p in (e.start, e.end, e.step)]
        return self._slice_op(range, value, dim, *parts)

    def _slice_op(
        self,
        range: SourceRange,
        value: Value,
        dim: Value | None,
        start: Value | None,
        end: Value | None,
        step: Value | None,
    ) -> Value:
        args = [Named(value, "self", range)]
        if dim is not None:
            args.append(Named(dim))
        if isinstance(value.type, T.TupleType):
            return self._tuple_slice(range, value, start, end, step)
        if step is None:
            step = insert_constant(self.graph, 1, range)
        args += [Named(start, "start", range), Named(end, "end", range), Named(step, "step", range)]
        return matching.builtin_call(self.graph, range, "aten::slice", args)

    def _tuple_slice(
        self,
        range: SourceRange,
        value: Value,
        start: Value | None,
        end: Value | None,
        step: Value | None,
    ) -> Value:
        assert isinstance(value.type, T.TupleType)
        bounds: list[int | None] = []
        for v in (start, end, step):
            known, constant = (True, None) if v is None else matching.constant_of(v)
            if not known or not (constant is None or isinstance(constant, int)):
                raise CompileError("tuple slice indices must be integer constants", range)
            bounds.append(constant)
        elements = value.type.elements
        picked = list(_count(len(elements)))[slice(*bounds)]
        items = []
        for i in picked:
            index = insert_constant(self.graph, i)
            items.append(self.tuple_index(value, index, elements[i]))
        return matching.make_tuple(self.graph, items)

    def _tuple_item(self, range: SourceRange, value: Value, index: Value) -> Value:
        assert isinstance(value.type, T.TupleType)
        elements = value.type.elements
        if index.type is not T.INT:
            raise CompileError("tuple index must be an integer", range)
        known, i = matching.constant_of(index)
        if not known:
            if not elements or not matching.convertible_to_list(value.type, T.ListType(elements[0])):
                raise CompileError(
                    f"Cannot index into a {value.type.annotation()} with a non-integer literal because we cannot resolve the "
                    "output type",
                    range,
                )
            return self.tuple_index(value, index, elements[0])
        at = i + len(elements) if i < 0 else i
        if not 0 <= at < len(elements):
            raise CompileError(f"Tuple index out of range. Tuple is length {len(elements)} and index is {i}", range)
        return self.tuple_index(value, index, elements[at])

    # -- tensors -----------------------------------------------------------------------------------------------

    def _multi_index(self, range: SourceRange, value: Value, indices: Sequence[X.Expr]) -> Value:
        if not isinstance(value.type, T.TensorType):
            raise CompileError(
                "Unsupported operation: attempted to use multidimensional indexing on a non-tensor type", range
            )
        value, tensors = self.index_steps(range, value, indices)
        if not tensors:
            return value
        return matching.builtin_call(self.graph, range, "aten::index", [Named(value), Named(self.index_list(tensors))])

    def index_list(self, tensors: Sequence[Value]) -> Value:
        """The ``Tensor?[]`` of ``aten::index``."""
        output = self.node("prim::ListConstruct", tensors, 1, None).output
        output.type = T.ListType(_OPTIONAL_TENSOR)
        return output

    def index_steps(self, range: SourceRange, value: Value, indices: Sequence[X.Expr]) -> tuple[Value, list[Value]]:
        """Apply the ints, slices and Nones; returns the result and the tensors that are left (None where there is none).

        Ints remove a dimension, None adds one, so each index acts on a dimension that depends on those before it; those
        after an ellipsis are counted from the end.
        """
        values: list[Value | None] = [None] * len(indices)
        try:
            dims = self._index_values(range, indices, values)
        except _TupleIndex as found:
            return self.index_steps(range, value, self._spread_index(indices, values, found))
        tensors: list[Value | None] = []
        for i, e in enumerate(indices):
            value = self._index_step(range, value, e, values[i], dims[i], tensors)
        result = []
        for t in tensors:
            if t is None:
                t = self.node("prim::Constant", (), 1, None).output
                t.type = T.NONE
            result.append(t)
        return value, result

    def _spread_index(
        self, indices: Sequence[X.Expr], values: Sequence[Value | None], found: _TupleIndex
    ) -> list[X.Expr]:
        """The indices with the items of a tuple in its place; what was emitted already is not emitted again."""
        spread: list[X.Expr] = []
        for i, (e, value) in enumerate(zip(indices, values, strict=True)):
            items = found.items if i == found.at else [] if value is None else [SimpleValue(value)]
            if not items and i != found.at:
                spread.append(e)
            for item in items:
                name = self.temporary("$index_")
                self.frame.set(e.range, name, item)
                spread.append(X.Var(e.range, name))
        return spread

    def _index_values(self, range: SourceRange, indices: Sequence[X.Expr], values: list[Value | None]) -> list[int]:
        """Emit the indices; the dimension that each acts on. Raises _TupleIndex."""
        dims = [0] * len(indices)
        dots = next((i for i, e in enumerate(indices) if isinstance(e, X.Dots)), len(indices))
        dim = 0
        for i in _count(dots):
            dims[i] = dim
            dim = self._index_value(range, indices[i], i, dim, values, False)
        dim = -1
        for i in _count(len(indices) - 1, dots, -1):
            if isinstance(indices[i], X.Dots):
                raise CompileError("An index can only have a single ellipsis ('...')", range)
            dims[i] = dim
            dim = self._index_value(range, indices[i], i, dim, values, True)
        return dims

    def _index_value(
        self,
        range: SourceRange,
        e: X.Expr,
        i: int,
        dim: int,
        values: list[Value | None],
        reverse: bool,
    ) -> int:
        """Emit one index; returns the dimension for the next."""
        after_slice = dim - 1 if reverse else dim + 1
        found = None if isinstance(e, X.SliceExpr) else self.sugared(e, 1)
        if found is None or isinstance(found, SliceValue):
            return after_slice
        if isinstance(found, SugaredTuple):
            raise _TupleIndex(i, found.items)
        index = self.expr(e, T.NONE if isinstance(e, X.Literal) and e.value is None else None)
        if isinstance(index.type, T.ListType):  # x[[0, 2]] is x[tensor([0, 2])]
            dtype = Named(None, "dtype", constant=_LONG)
            index = matching.insert(self.graph, "aten::tensor", [index], [dtype])
        values[i] = index
        if index.type is T.NONE:
            return dim if reverse else dim + 1
        if index.type is T.INT:
            return dim - 1 if reverse else dim
        if index.type.is_subtype_of(_OPTIONAL_TENSOR):
            if reverse:
                raise CompileError("Ellipses followed by tensor indexing is currently not supported", range)
            return dim + 1
        if isinstance(index.type, T.TupleType):
            raise _TupleIndex(i, [SimpleValue(v) for v in matching.tuple_unpack(index)])
        raise CompileError(
            f"Unsupported operation: indexing tensor with unsupported index type '{index.type.annotation()}'. Only ints, "
            "slices, lists and tensors are supported",
            range,
        )

    def _index_step(
        self,
        range: SourceRange,
        value: Value,
        e: X.Expr,
        index: Value | None,
        dim: int,
        tensors: list[Value | None],
    ) -> Value:
        if index is None:
            if isinstance(e, X.SliceExpr):
                return self._slice(range, value, insert_constant(self.graph, dim, range), e)
            if isinstance(e, X.Dots):
                return value
            sliced = self.sugared(e, 1)
            assert isinstance(sliced, SliceValue)
            at = insert_constant(self.graph, dim, range)
            return self._slice_op(range, value, at, sliced.start, sliced.stop, sliced.step)
        if index.type is T.NONE:
            args = [Named(value), Named(insert_constant(self.graph, dim, range))]
            return matching.builtin_call(self.graph, range, "aten::unsqueeze", args)
        if index.type is T.INT:
            args = [Named(value), Named(insert_constant(self.graph, dim, range)), Named(index)]
            return matching.builtin_call(self.graph, range, "aten::select", args)
        del tensors[dim + 1 :]
        tensors += [None] * (dim + 1 - len(tensors))
        tensors[dim] = index
        return value


_count = range
