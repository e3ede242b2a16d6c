"""Dicts: Python dicts while their keys are known; where only run time knows them, a list of keys and a list of values beside it.

Such a content is :class:`Columns` of two parts, as a list of pairs has it. A key is found by comparing it with all, in the order
of insertion. What looks for a key that is not there gets the position behind the last one, at which onnxruntime fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.exporters.onnx import columns
from bridge.exporters.onnx.columns import element_of, form_of, samples_of, to_form
from bridge.exporters.onnx.control import either
from bridge.exporters.onnx.elements import branched, home_in, home_in_known, note_put, note_taken
from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.places import places, split
from bridge.exporters.onnx.values import (
    BOOL,
    INT64,
    Abstract,
    Cell,
    Columns,
    Home,
    Run,
    RunList,
    Stacked,
    element_dtype_of,
)
from bridge.ir import types as T
from bridge.ir.dtypes import by_name
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node

__all__ = ["dict_contains", "dict_get_item", "dict_made", "dict_pop", "dict_question", "dict_set_item", "is_dict"]

_INT32 = by_name("int32")


def is_dict(m: Machine, cell: Cell) -> bool:
    """Whether it is a dict, of whatever content."""
    return isinstance(cell.type, T.DictType) or isinstance(m.heap.get(cell), dict)


def _pair(cell: Cell) -> tuple[T.Type, T.Type]:
    key, value = element_of(cell).contained()
    return key, value


def _key(m: Machine, cell: Cell, node: Node) -> tuple[Any, bool]:
    """The key that a statement names, and whether the dict's content must be known at run time only for it.

    Raises LoweringError for keys that ONNX cannot compare.
    """
    key = m.get(node.inputs[1])
    if isinstance(key, bool | int | float | str):
        return key, isinstance(m.read(cell), Columns)
    if element_dtype_of(_pair(cell)[0]) is None:
        raise LoweringError(
            "a key of a dict that is no number and no string must be known when the model is exported", node.range
        )
    return key, True


def _columns(m: Machine, cell: Cell, *samples: Abstract) -> Columns:
    """The content as it is at run time, in a form that is wide enough for the samples, too."""
    content, t = m.read(cell), element_of(cell)
    made: Columns = to_form(m, t, content, form_of(t, [*samples_of(t, content), *samples]))
    return made


class _Place:
    """Where a key is in a dict: ``at`` its position, or the number of keys when it is not ``there``."""

    def __init__(self, m: Machine, keys: Run, key: Any) -> None:
        e = m.emitter
        self.key = key
        one = e.op("Reshape", e.scalar(m.current(key), keys.dtype), np.array([1], np.int64), dims=(1,))
        hits = e.cast(e.op("Equal", keys, one, dtype=BOOL, dims=keys.dims), _INT32)
        hits = e.op("Concat", hits, np.array([1], np.int32), axis=0, dims=(None,))
        self.at: Run = e.op("ArgMax", hits, axis=0, keepdims=0, dtype=INT64, dims=())
        self.count: Abstract = columns.length(m, keys)
        self.there: Run = e.op("Less", self.at, e.scalar(self.count, INT64), dtype=BOOL, dims=())
        self.there = self.there.seen_as(T.BOOL)

    def grown(self, m: Machine) -> Run:
        """How many keys there are with this one."""
        e = m.emitter
        more = e.op("Add", self.at, np.array(1, np.int64), dims=())
        made: Run = e.op("Max", e.scalar(self.count, INT64), more, dims=(), dtype=INT64)
        return made


def dict_get_item(m: Machine, cell: Cell, node: Node) -> Abstract:
    """``d[key]``"""
    content = m.read(cell)
    key, at_run_time = _key(m, cell, node)
    if not at_run_time:
        if key not in content:
            raise LoweringError(f"the dict has no key {key!r} here", node.range)
        return content[key]
    found = _Place(m, _columns(m, cell).parts[0], key)
    return _element(m, cell, node, found, key)


def _element(m: Machine, cell: Cell, node: Node, found: _Place, key: Any) -> Abstract:
    """The value at a place, with the way back into the dict of a list that is one."""
    content, t = m.read(cell), _pair(cell)[1]
    frozen = dict(m.frozen)
    value = columns.item(m, t, _columns(m, cell).parts[1], found.at)
    m.frozen = frozen  # reading puts them nowhere
    home: Home | None = None
    if isinstance(value, Cell) and isinstance(content, dict):
        if all(isinstance(x, Cell) for x in content.values()):
            held = [(x, _equals(m, cell, key, k)) for k, x in content.items()]
            home = home_in_known(m, held)
    elif isinstance(value, Cell):
        home = home_in(m, cell, found.at, node, 1)
    note_taken(m, value, home, "it was taken out of a dict whose keys depend on data")
    return value


def _equals(m: Machine, cell: Cell, key: Any, known: Any) -> Callable[[], Run]:
    dtype = element_dtype_of(_pair(cell)[0])
    assert dtype is not None

    def made() -> Run:
        e = m.emitter
        hit: Run = e.op("Equal", e.scalar(key, dtype), e.scalar(known, dtype), dtype=BOOL, dims=())
        return hit

    return made


def dict_set_item(m: Machine, cell: Cell, node: Node) -> None:
    """``d[key] = value``"""
    content = m.read(cell)
    key, at_run_time = _key(m, cell, node)
    if at_run_time:
        note_put(m, node, node.inputs[2])
        m.change(cell, _with(m, cell, key, m.get(node.inputs[2]), replace=True))
    else:
        m.change(cell, {**content, key: m.env[node.inputs[2]]})


def _with(m: Machine, cell: Cell, key: Any, value: Abstract, replace: bool) -> Columns:
    """The content with a value for a key; a value that is there already stays unless it is replaced."""
    held = _columns(m, cell, (key, value))
    found = _Place(m, held.parts[0], key)
    t = _pair(cell)[1]
    if _in_one_piece(m, held.parts[1], t, value):
        size = found.grown(m)
        keys = _placed(m, held.parts[0], T.INT, found.key, found, size, False)
        return Columns((keys, _placed(m, held.parts[1], t, value, found, size, replace)))
    now = held
    if replace:

        def there() -> Columns:
            return Columns((now.parts[0], columns.put(m, t, now.parts[1], found.at, value)))
    else:

        def there() -> Columns:
            return now

    def absent() -> Any:
        return columns.append(m, element_of(cell), now, (key, value))

    made: Columns = branched(m, cell, found.there, there, absent)
    return made


def _in_one_piece(m: Machine, form: Any, t: T.Type, value: Abstract) -> bool:
    """Whether no part of the values is a sequence."""
    if isinstance(form, Columns):
        return all(_in_one_piece(m, f, x, v) for f, x, v in zip(form.parts, places(t), split(m, t, value), strict=True))
    return not isinstance(form, RunList)


def _placed(m: Machine, form: Any, t: T.Type, value: Abstract, found: _Place, size: Run, replace: bool) -> Any:
    """A list with an element behind it, which is put at the place, too, and cut off if that is another."""
    e = m.emitter
    if isinstance(form, Columns):
        parts = zip(form.parts, places(t), split(m, t, value), strict=True)
        return Columns(tuple(_placed(m, f, x, v, found, size, replace) for f, x, v in parts))
    longer = columns.append(m, t, form, value)
    if replace:
        longer = columns.put(m, t, longer, found.at, value)
    run = longer.run if isinstance(longer, Stacked) else longer
    zero, first = np.array([0], np.int64), e.ints([size])
    cut = e.op("Slice", run, zero, first, zero, dims=(None, *(run.dims or ())[1:]))
    return Stacked(cut) if isinstance(form, Stacked) else cut


def dict_contains(m: Machine, cell: Cell, node: Node) -> Abstract:
    """``key in d``"""
    content = m.read(cell)
    key, at_run_time = _key(m, cell, node)
    if not at_run_time:
        return key in content
    if isinstance(content, dict):
        if not content:
            return False
        keys = columns.form_and_value(m, _pair(cell)[0], tuple(content))
    else:
        keys = content.parts[0]
    return _Place(m, keys, key).there


def dict_pop(m: Machine, cell: Cell, node: Node) -> Abstract:
    """``d.pop(key)``, ``d.pop(key, default)``, ``del d[key]``"""
    content = m.read(cell)
    key, at_run_time = _key(m, cell, node)
    default = m.get(node.inputs[2]) if len(node.inputs) > 2 else None
    if not at_run_time:
        if key not in content and len(node.inputs) < 3:
            raise LoweringError(f"the dict has no key {key!r} here", node.range)
        m.change(cell, {k: v for k, v in content.items() if k != key})
        return content.get(key, default)
    held, t = _columns(m, cell), element_of(cell)
    found = _Place(m, held.parts[0], key)
    if len(node.inputs) < 3:
        pair, left = columns.erase(m, t, held, found.at)
        m.change(cell, left)
        return pair[1]
    value = either(
        m, node, found.there, lambda: columns.item(m, t.contained()[1], held.parts[1], found.at), lambda: default
    )
    m.change(cell, branched(m, cell, found.there, lambda: columns.erase(m, t, held, found.at)[1], lambda: held))
    return value


def _get(m: Machine, cell: Cell, node: Node, key: Any) -> Abstract:
    default = m.get(node.inputs[2]) if len(node.inputs) > 2 else None
    held, t = _columns(m, cell, *([] if default is None else [(key, default)])), _pair(cell)[1]
    found = _Place(m, held.parts[0], key)
    if element_dtype_of(t) is not None and default is not None:  # cheaper than a branch
        return columns.item(m, t, columns.append(m, t, held.parts[1], default), found.at)
    return either(m, node, found.there, lambda: columns.item(m, t, held.parts[1], found.at), lambda: default)


def dict_question(m: Machine, cell: Cell, node: Node) -> Abstract:
    """The methods of a dict."""
    kind = node.kind.partition("::")[2]
    if kind in ("get", "setdefault"):
        return _by_key(m, cell, node, kind)
    if kind == "update":
        _update(m, cell, m.get(node.inputs[1]))
        return []
    content = m.read(cell)
    if kind == "popitem":
        return _pop_item(m, cell, content)
    if isinstance(content, Columns):
        parts = {"keys": content.parts[0], "values": content.parts[1], "items": content}
        return m.new_cell(node.output.type, parts[kind])
    items: list[Any] = list({"keys": content, "values": content.values(), "items": content.items()}[kind])
    return m.new_cell(node.output.type, tuple(items))


def _by_key(m: Machine, cell: Cell, node: Node, kind: str) -> Abstract:
    content = m.read(cell)
    key, at_run_time = _key(m, cell, node)
    if not at_run_time:
        default = m.env[node.inputs[2]] if len(node.inputs) > 2 else None
        if kind == "setdefault" and key not in content:
            m.change(cell, {**content, key: default})
        return content.get(key, default)
    if kind == "get":
        return _get(m, cell, node, key)
    note_put(m, node, node.inputs[2])
    m.change(cell, _with(m, cell, key, m.get(node.inputs[2]), replace=False))
    return _element(m, cell, node, _Place(m, m.read(cell).parts[0], key), key)


def _pop_item(m: Machine, cell: Cell, content: Any) -> Abstract:
    """The last key and its value, taken out."""
    if isinstance(content, dict):
        if not content:
            raise LoweringError("popitem(): the dict is empty here")
        last = next(reversed(content))
        m.change(cell, {k: v for k, v in content.items() if k != last})
        return last, content[last]
    pair, left = columns.erase(m, element_of(cell), content, -1)
    m.change(cell, left)
    return pair


def _update(m: Machine, cell: Cell, other: Cell) -> None:
    content, more = m.read(cell), m.read(other)
    if isinstance(content, dict) and isinstance(more, dict):
        m.change(cell, {**content, **more})
    elif isinstance(more, dict):
        for k, v in more.items():
            m.change(cell, _with(m, cell, k, v, replace=True))
    elif content == {}:
        m.change(cell, more)
    else:
        raise LoweringError("a dict is updated by one whose keys depend on data: do it key by key, in a loop")


def dict_made(m: Machine, type: T.Type, pairs: Sequence[tuple[Any, Abstract]]) -> Cell:
    """A new dict of these keys and values; the keys may be run-time numbers."""
    made = m.new_cell(type, {})
    for key, value in pairs:
        content = m.heap[made]
        if isinstance(key, bool | int | float | str) and isinstance(content, dict):
            m.heap[made] = {**content, key: value}
        elif element_dtype_of(_pair(made)[0]) is None:
            raise LoweringError(
                "a key of a dict that is no number and no string must be known when the model is exported"
            )
        else:
            m.heap[made] = _with(m, made, key, value, replace=True)
    return made
