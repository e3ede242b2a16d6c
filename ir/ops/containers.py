"""Lists, dicts and strings of a program. ONNX has few of these at run time: the exporter resolves what is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import declare
from bridge.ir.ops._onnx import BOOL, FLOAT64, INT64, is_lowered
from bridge.ir.ops._samples import S, of
from bridge.ir.registry import unsupported
from bridge.ir.rules import Call, Results
from bridge.ir.types import TENSOR, ListType, Type
from bridge.ir.value_text import value_text

_LISTS = unsupported("this list operation is not known when the model is exported")
_DICTS = unsupported("ONNX has no dictionaries: the exporter resolves those whose keys are known")
_STRINGS = unsupported("ONNX programs have no strings that are made at run time")
KEYS = ("str", "int", "bool", "float", "complex", "Tensor")


def _at(xs: Any, idx: int) -> int:
    n = len(xs)
    i = idx + n if idx < 0 else idx
    if not 0 <= i < n:
        raise IndexError("list index out of range")
    return i


def same(a: Any, b: Any) -> bool:
    """Equality of two elements: tensors are equal when all their elements are."""
    return bool(np.asarray(a == b).all())


# -- lists -------------------------------------------------------------------------------------------------------------


def _element(call: Call) -> Results:
    t: Type = call.types[call.schema.arguments[0].name]
    return t.element if isinstance(t, ListType) else TENSOR


def _lower_getitem(e: Emitter, call: LoweredCall) -> Any:
    xs, idx = call["list"], call["idx"]
    if isinstance(xs, list | tuple):
        if isinstance(idx, int):
            return xs[_at(xs, idx)]
        return e.unsupported("the index into this list is only known at run time")
    if xs.rank == 1:  # a list of numbers
        return e.op("Gather", xs, e.scalar(idx, INT64), dims=(), axis=0)
    return e.op("SequenceAt", xs, e.scalar(idx, INT64))


def _lower_len(e: Emitter, call: LoweredCall) -> Any:
    xs = call["a"]
    if isinstance(xs, list | tuple):
        return len(xs)
    return e.op("Size", xs, dtype=INT64, dims=()) if xs.rank == 1 else e.op("SequenceLength", xs, dtype=INT64, dims=())


def _append(xs: Any, el: Any) -> Any:
    xs.append(el)
    return xs


def _set_item(xs: Any, idx: int, el: Any) -> Any:
    xs[_at(xs, idx)] = el
    return xs


def _pop(xs: Any, idx: int = -1) -> Any:
    if not xs:
        raise IndexError("pop from empty list")
    return xs.pop(_at(xs, idx))


def _delete(xs: Any, idx: int) -> None:
    del xs[_at(xs, idx)]


def _insert(xs: Any, idx: int, el: Any) -> None:
    xs.insert(idx, el)


def _extend(xs: Any, other: Any) -> None:
    xs.extend(list(other))


def _add_in_place(xs: Any, other: Any) -> Any:
    xs.extend(list(other))
    return xs


def _mul_in_place(xs: Any, n: int) -> Any:
    xs[:] = list(xs) * n
    return xs


def _remove(xs: Any, el: Any) -> None:
    for i, x in enumerate(xs):
        if same(x, el):
            del xs[i]
            return
    raise BridgeError("list.remove(x): x not in list")


def _index(xs: Any, el: Any) -> int:
    for i, x in enumerate(xs):
        if same(x, el):
            return i
    raise BridgeError(f"'{el}' is not in list")


def _lower_contains(e: Emitter, call: LoweredCall) -> Any:
    xs, el = call["l"], call["item"]
    if isinstance(xs, list | tuple) and not is_lowered(el) and not any(is_lowered(x) for x in xs):
        return el in xs
    if isinstance(el, str):
        e.unsupported("ONNX programs have no strings that are made at run time")
    dtype = FLOAT64 if call.schema.overload == "float_list" else INT64
    if isinstance(xs, list | tuple):
        found: Any = e.scalar(False, BOOL)
        for x in xs:
            found = e.op(
                "Or", found, e.op("Equal", e.scalar(x, dtype), e.scalar(el, dtype), dtype=BOOL, dims=()), dims=()
            )
        return found
    equal = e.cast(e.op("Equal", e.cast(xs, dtype), e.scalar(el, dtype), dtype=BOOL), INT64)
    return e.op("Greater", e.op("ReduceSum", equal, keepdims=0, dims=()), e.scalar(0, INT64), dtype=BOOL, dims=())


_SMALLEST = -(1 << 63)


def slice_list(xs: Any, start: int | None, end: int | None, step: int = 1) -> Any:
    """Python's slicing; the step may be negative. Raises BridgeError for steps that TorchScript refuses."""
    if step == 0:
        raise BridgeError("List slice should have non-zero step")
    if step == _SMALLEST:
        raise BridgeError("List slice step is out of bounds")
    return xs[slice(start, end, step)]


def _lower_slice(e: Emitter, call: LoweredCall) -> Any:
    xs, start, end, step = (call[n] for n in ("l", "start", "end", "step"))
    known = not any(is_lowered(v) for v in (start, end, step))
    if isinstance(xs, list | tuple):
        if known:
            return list(xs[slice(start, end, step)])
        e.unsupported("the bounds of this slice of a list are only known at run time")
    if xs.rank == 1:
        big = (1 << 63) - 1
        if is_lowered(step):
            e.unsupported("the step of this slice of a list is only known at run time")
        backwards = isinstance(step, int) and step < 0
        low = (big if backwards else 0) if start is None else start
        high = (-big if backwards else big) if end is None else end
        return e.op("Slice", xs, e.ints([low]), e.ints([high]), np.asarray([0], np.int64), e.ints([step]))
    return e.unsupported("a slice of a list of tensors whose length is only known at run time is not exported")


declare(
    "aten::__getitem__.t(t[](a) list, int idx) -> t(*)",
    lambda xs, i: xs[_at(xs, i)],
    types=_element,
    onnx=_lower_getitem,
    samples=of(([4, 5, 6], 1), ([4, 5], -1)),
)
declare(
    "aten::select.t(t[](a) list, int idx) -> t(*)", lambda xs, i: xs[_at(xs, i)], types=_element, onnx=_lower_getitem
)
declare("aten::len.t(t[] a) -> int", len, onnx=_lower_len, samples=of(([4, 5, 6],)))
declare("aten::len.any(Any[] a) -> int", len, onnx=_lower_len)
declare("aten::append.t(t[](a!) self, t(c -> *) el) -> t[](a!)", _append, onnx=_LISTS)
declare("aten::_set_item.t(t[](a!) l, int idx, t(b -> *) el) -> t[](a!)", _set_item, onnx=_LISTS)
declare("aten::pop.t(t[](a!) self, int idx=-1) -> t(*)", _pop, types=_element, onnx=_LISTS)
declare("aten::insert.t(t[](a!) self, int idx, t(b -> *) el) -> ()", _insert, onnx=_LISTS)
declare("aten::Delete.t(t[](a!) self, int idx) -> ()", _delete, onnx=_LISTS)
declare("aten::extend.t(t[](a!) self, t[] other) -> ()", _extend, onnx=_LISTS)
declare("aten::add_.t(t[](a!) self, t[] b) -> t[]", _add_in_place, onnx=_LISTS)
declare("aten::mul_.t(t[](a!) l, int n) -> t[](a!)", _mul_in_place, onnx=_LISTS)
declare("aten::clear.t(t[](a!) self) -> ()", lambda xs: xs.clear(), onnx=_LISTS)
declare("aten::reverse.t(t[](a!) self) -> ()", lambda xs: xs.reverse(), onnx=_LISTS)
declare("aten::copy.t(t[](a) self) -> t[]", list, onnx=lambda e, call: call["self"], samples=of(([1, 2],)))
declare("aten::list(str t) -> str[]", list, onnx=_STRINGS, samples=of(("abc",)))
declare("aten::list.t(t[] l) -> t[]", list, onnx=lambda e, call: call["l"], samples=of(([1, 2],)))
declare(
    "aten::slice.t(t[] l, int? start=None, int? end=None, int step=1) -> t[]",
    slice_list,
    onnx=_lower_slice,
    samples=of(([1, 2, 3, 4], 1, 3), ([1, 2, 3, 4], None, None, 2)),
)
for _t, _sample in (("int", ([1, 2], 2)), ("str", (["a"], "a"))):
    declare(
        f"aten::__contains__.{_t}_list({_t}[] l, {_t} item) -> bool",
        lambda xs, el: any(same(x, el) for x in xs),
        onnx=_lower_contains,
        samples=of(_sample),
    )
for _key in KEYS:
    declare(f"aten::__contains__.{_key}(Dict({_key}, t) dict, {_key} key) -> bool", lambda d, k: k in d, onnx=_DICTS)
declare(
    "aten::__contains__.float_list(float[] l, float item) -> bool",
    lambda xs, el: any(same(x, el) for x in xs),
    onnx=_lower_contains,
    samples=of(([1.5], 1.5)),
)
for _t in ("int", "float", "bool", "Tensor", "str"):
    declare(f"aten::remove.{_t}({_t}[](a!) self, {_t} el) -> ()", _remove, onnx=_LISTS)
    if _t in ("int", "float", "bool", "Tensor"):
        declare(
            f"aten::index.list_{_t}({_t}[] self, {_t} el) -> int",
            _index,
            onnx=_LISTS,
            samples=of(([3, 4], 4)) if _t == "int" else None,
        )
declare("aten::index.list_str(str[] self, str el) -> int", _index, onnx=_STRINGS, samples=of((["a", "b"], "b")))
for _t in ("int", "float", "bool", "Tensor", "str"):
    declare(
        f"aten::count.{_t}({_t}[] self, {_t} el) -> int",
        lambda xs, el: sum(same(x, el) for x in xs),
        onnx=_LISTS,
        samples=of(([3, 3, 4], 3)) if _t == "int" else None,
    )


def _sort_any(xs: list[Any], reverse: bool = False) -> None:
    _check_sortable(xs)
    xs.sort(key=_sort_key, reverse=reverse)


def _sorted_any(xs: list[Any]) -> list[Any]:
    _check_sortable(xs)
    return sorted(xs, key=_sort_key)


def _check_sortable(xs: Sequence[Any]) -> None:
    """Raises BridgeError for values that have no order, or none with each other."""
    first: str | None = None
    for x in xs:
        kind = _order_of(x)
        if first is not None and kind != first:
            raise BridgeError(f"Only values of same type can be compared. Found {first} and {kind}")
        first = kind


def _order_of(x: Any) -> str:
    if isinstance(x, tuple):
        return f"Tuple[{', '.join(map(_order_of, x))}]"
    if isinstance(x, bool | int | float | str):
        return type(x).__name__
    if isinstance(x, list | dict) or x is None:
        raise BridgeError(
            f"Contained elements in {type(x).__name__} are not sortable. Only Int, Bool, Float, String, Tensor, a User Defined "
            "Class with __lt__ method defined or Tuples of aforementioned types can be sorted."
        )
    return "Tensor"


def _sort_key(x: Any) -> Any:
    return x.item() if isinstance(x, np.ndarray) else x


def _sort(xs: Any, reverse: bool = False) -> None:
    xs.sort(key=_sort_key, reverse=reverse)


for _t in ("int", "float", "Tensor", "bool", "str"):
    declare(f"aten::sort.{_t}({_t}[](a!) self, bool reverse=False) -> ()", _sort, onnx=_LISTS)
    declare(
        f"aten::sorted.{_t}({_t}[](a) input) -> {_t}[]",
        lambda xs: sorted(xs, key=_sort_key),
        onnx=_LISTS,
        samples=of(([3, 1, 2],)) if _t == "int" else None,
    )
declare("aten::sort.any(t[](a!) self, bool reverse=False) -> ()", _sort_any, onnx=_LISTS)
declare("aten::sorted.any(t[](a) self) -> t[]", _sorted_any, onnx=_LISTS)


def _lower_any_all(which: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        values = call["self"]
        if isinstance(values, list | tuple):
            rows = [e.op("Reshape", e.scalar(v, BOOL), np.array([1], np.int64), dims=(1,)) for v in values]
            values = e.op("Concat", *rows, axis=0, dims=(len(rows),)) if rows else np.zeros(0, np.bool_)
        flags = e.cast(e.cast(values, BOOL), INT64)
        if which == "all":
            return e.cast(e.op("ReduceMin", flags, keepdims=0, dims=()), BOOL)  # of none it is the greatest int
        return e.cast(e.op("ReduceSum", flags, keepdims=0, dims=()), BOOL)

    return lower


for _name, _f in (("any", any), ("all", all)):
    for _t in ("str", "int", "float", "bool"):
        if (_name, _t) != ("all", "str"):
            _values = {"str": ["a", ""], "int": [1, 0], "float": [0.5, 0.0], "bool": [True, False]}[_t]
            declare(
                f"aten::{_name}.{_t}({_t}[] self) -> bool",
                lambda xs, f=_f: f(bool(x) for x in xs),
                samples=of((_values,)),
                onnx=_lower_any_all(_name) if _t != "str" else _LISTS,
            )
declare(
    "prim::rangelist(int n) -> int[]",
    lambda n: list(range(n)),
    samples=of((3,)),
    onnx=lambda e, call: e.op("Range", e.scalar(0, INT64), e.scalar(call["n"], INT64), e.scalar(1, INT64), dtype=INT64),
)
declare("aten::Size(int[] sizes) -> int[]", list, onnx=lambda e, call: call["sizes"])


def broadcast_shapes(a: Any, b: Any) -> list[int]:
    """The sizes after broadcasting. Raises BridgeError as torch words it."""
    try:
        return [int(n) for n in np.broadcast_shapes(tuple(a), tuple(b))]
    except ValueError as error:
        raise BridgeError(f"The size of tensor a {list(a)} must match the size of tensor b {list(b)}") from error


for _name in ("broadcast_shapes", "_infer_size"):
    declare(f"aten::{_name}(int[] a, int[] b) -> int[]", broadcast_shapes, onnx=_LISTS, samples=of(([3, 1], [2])))

# -- dicts -------------------------------------------------------------------------------------------------------------


def _lookup(d: Any, key: Any) -> Any:
    if key not in d:
        raise KeyError(key if isinstance(key, str) else str(key))
    return d[key]


def _put(d: Any, key: Any, value: Any) -> None:
    d[key] = value


def _take(d: Any, key: Any) -> Any:
    _lookup(d, key)
    return d.pop(key)


def _drop(d: Any, key: Any) -> None:
    _take(d, key)


def _each(schema: str, kernel: Callable[..., Any]) -> None:
    """One overload per type of key; ``K`` in the schema stands for it."""
    for key in KEYS:
        declare(schema.replace("K", key), kernel, onnx=_DICTS)


_each("aten::__getitem__.Dict_K(Dict(K, t) self, K key) -> t(*)", _lookup)
_each("aten::_set_item.K(Dict(K, t)(a!) l, K(b -> *) idx, t(c -> *) v) -> ()", _put)
_each("aten::len.Dict_K(Dict(K, t) self) -> int", len)
for _key_type in KEYS:
    declare(f"aten::pop.Dict_{_key_type}(Dict({_key_type}, t)(a!) self, {_key_type} key) -> t(*)", _take, onnx=_DICTS)
    declare(
        f"aten::pop.Dict_default_{_key_type}(Dict({_key_type}, t)(a!) self, {_key_type} key, t default_value) -> t(*)",
        lambda d, k, v: d.pop(k, v),
        onnx=_DICTS,
    )
    declare(
        f"aten::get.{_key_type}(Dict({_key_type}, t) self, {_key_type} key) -> t(*)?",
        lambda d, k: d.get(k),
        onnx=_DICTS,
    )
    declare(
        f"aten::get.default_{_key_type}(Dict({_key_type}, t) self, {_key_type} key, t default_value) -> t(*)",
        lambda d, k, v: d.get(k, v),
        onnx=_DICTS,
    )
    declare(f"aten::dict.{_key_type}(({_key_type}, tVal)[] inputs) -> Dict({_key_type}, tVal)", dict, onnx=_DICTS)
    declare(f"aten::dict.Dict_{_key_type}(Dict({_key_type}, t)(a) self) -> Dict({_key_type}, t)", dict, onnx=_DICTS)
declare("aten::dict() -> Dict(str, Tensor)", dict, onnx=_DICTS)
_each("aten::Delete.Dict_K(Dict(K, t)(a!) self, K key) -> ()", _drop)
_each("aten::clear.K(Dict(K, t)(a!) self) -> ()", lambda d: d.clear())
_each("aten::copy.Dict_K(Dict(K, t)(a) self) -> Dict(K, t)", dict)
_each("aten::items.K(Dict(K, t) self) -> ((K, t)[])", lambda d: list(d.items()))
_each("aten::keys.K(Dict(K, t) self) -> K[](*)", list)
_each("aten::values.K(Dict(K, t) self) -> t[](*)", lambda d: list(d.values()))
_each("aten::popitem.K(Dict(K, t)(a!) self) -> ((K, t))", lambda d: d.popitem())
_each(
    "aten::setdefault.K(Dict(K, t)(a!) self, K(b -> *) key, t(c -> *) default_value) -> t(*)",
    lambda d, k, v: d.setdefault(k, v),
)
_each("aten::update.K(Dict(K, t)(a!) self, Dict(K, t)(a!) to_add) -> ()", lambda d, other: d.update(other))

# -- strings -----------------------------------------------------------------------------------------------------------


def _string(schema: str, kernel: Callable[..., Any], *samples: Any) -> None:
    declare(f"aten::{schema}", kernel, onnx=_STRINGS, samples=of(*[S(*s) for s in samples]) if samples else None)


def _part(s: str, start: int, end: int) -> tuple[int, int]:
    """TorchScript's ``start=0, end=-1``, where -1 stands for the end of the string."""
    n = len(s)
    return (max(start + n, 0) if start < 0 else start), (n if end == -1 else max(end + n, 0) if end < 0 else end)


def _found(s: str, sub: str, start: int, end: int, f: Callable[..., int]) -> int:
    return f(s, sub, *_part(s, start, end))


def _where(f: Callable[..., int]) -> Callable[..., int]:
    def kernel(s: str, sub: str, start: int, end: int) -> int:
        at = _found(s, sub, start, end, f)
        if at < 0:
            raise BridgeError("ValueError: substring not found")
        return at

    return kernel


def format_text(text: str, *values: Any) -> str:
    """``"{} of {}".format(a, b)``. Raises BridgeError when there are more braces than values."""
    parts = text.split("{}")
    if len(parts) - 1 > len(values):
        raise BridgeError(f"Too few arguments for format string: {text}")
    out = [parts[0]]
    for value, part in zip(values, parts[1:], strict=False):
        out += [value_text(value), part]
    return "".join(out)


declare("aten::format(str self, ...) -> str", format_text, onnx=_STRINGS)
_string("__getitem__.str(str s, int index) -> str", lambda s, i: s[_at_str(s, i)], ("abc", -1))


def _at_str(s: str, i: int) -> int:
    if not -len(s) <= i < len(s):
        raise IndexError("string index out of range")
    return i


_string("len.str(str s) -> int", len, ("abc",))
_string("slice.str(str string, int? start=None, int? end=None, int step=1) -> str", slice_list, ("abcd", 1, 3))
_string("str(t elem) -> str", value_text)
_string("ord(str string) -> int", ord, ("a",))
_string("chr(int i) -> str", chr, (97,))
for _name, _base in (("bin", bin), ("oct", oct), ("hex", hex)):
    _string(f"{_name}(int i) -> str", _base, (10,))
for (
    _name
) in "isdigit isspace isalnum isalpha isdecimal isidentifier islower isnumeric isprintable istitle isupper".split():
    _string(f"{_name}(str self) -> bool", getattr(str, _name), ("ab1",), ("12",))
for _name in "upper lower capitalize title swapcase".split():
    _string(f"{_name}(str self) -> str", getattr(str, _name), ("aB c",))
_SPACES = '" \\n\\t\\f\\v"'
for _name in "lstrip strip rstrip".split():
    _string(f"{_name}(str self, str chars={_SPACES}) -> str", getattr(str, _name), (" ab ", " "))
_string(
    "find(str self, str substr, int start=0, int end=-1) -> int",
    lambda s, sub, a, b: _found(s, sub, a, b, str.find),
    ("abcb", "b", 0, -1),
)
_string(
    "rfind(str self, str substr, int start=0, int end=-1) -> int",
    lambda s, sub, a, b: _found(s, sub, a, b, str.rfind),
    ("abcb", "b", 0, -1),
)
_string("index.str(str self, str substr, int start=0, int end=-1) -> int", _where(str.find), ("abcb", "b"))
_string("rindex(str self, str substr, int start=0, int end=-1) -> int", _where(str.rfind), ("abcb", "b"))
_string(
    "count(str self, str substr, int start=0, int end=-1) -> int",
    lambda s, sub, a, b: _found(s, sub, a, b, str.count),
    ("abcb", "b"),
)
_string(
    "startswith(str self, str substr, int start=0, int end=-1) -> bool",
    lambda s, sub, a, b: s.startswith(sub, *_part(s, a, b)),
    ("abc", "ab"),
)
_string(
    "endswith(str self, str substr, int start=0, int end=-1) -> bool",
    lambda s, sub, a, b: s.endswith(sub, *_part(s, a, b)),
    ("abc", "bc"),
)
_string(
    "replace(str self, str old, str new, int max=-1) -> str", lambda s, a, b, n: s.replace(a, b, n), ("abab", "a", "x")
)
_string(
    "split.str(str self, str? separator=None, int max=-1) -> str[]",
    lambda s, sep, n: s.split(sep, n),
    ("a b c",),
    ("a,b", ","),
)
_string('rsplit(str self, str separator=" ", int max=-1) -> str[]', lambda s, sep, n: s.rsplit(sep, n), ("a b c",))
_string("splitlines(str self, bool keepends=False) -> str[]", lambda s, keep: s.splitlines(keep), ("a\nb",))
_string("partition(str self, str separator) -> (str, str, str)", str.partition, ("a,b", ","))
_string("rpartition(str self, str separator) -> (str, str, str)", str.rpartition, ("a,b,c", ","))
_string("join(str self, str[] values) -> str", lambda s, xs: s.join(xs), (",", ["a", "b"]))
_string("expandtabs(str self, int tabsize=8) -> str", lambda s, n: s.expandtabs(n), ("a\tb",))
_string("zfill(str self, int width) -> str", lambda s, n: s.zfill(n), ("12", 4))
for _name in ("center", "ljust", "rjust"):
    _string(f'{_name}(str self, int width, str fillchar=" ") -> str', getattr(str, _name), ("ab", 5, "*"))
declare("prim::StringIndex(str string, int index) -> str", lambda s, i: s[_at_str(s, i)], onnx=_STRINGS)

__all__ = ["broadcast_shapes", "format_text", "same", "slice_list"]
