"""Calls of a plan as one Python function, made from its arguments: what a call looks at is written down once.

Beside a session's run, looking at what is given and making a result of what comes out would cost as much again in a small model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.autograd.grad_mode import state
from bridge.ir.classes import ScriptObject
from bridge.ir.dtypes import physical
from bridge.ir.types import ANY, BOOL, FLOAT, INT, DictType, ListType, OptionalType, TensorType, Type, UnionType
from bridge.jit.running import MISS
from bridge.runtime.plans import NUMBERS, Plan, run_options
from bridge.runtime.sessions import chosen
from bridge.tensor import Tensor

__all__ = ["direct_call"]

_SCALARS: dict[type, Type] = {bool: BOOL, int: INT, float: FLOAT}
#: Arguments and elements of them up to which number are looked at by a text of their own.
_MOST = 64


class _Other(Exception):
    """An argument of a kind that is not looked at here."""


def direct_call(
    plan: Plan, owner: ScriptObject | None, given: Sequence[Any], providers: Any
) -> Callable[[Sequence[Any]], Any] | None:
    """What a plan gives for arguments (as a sequence) like ``given``, and MISS for others, or where more is to be done than to run it.

    None where there is no such function.
    """
    if type(plan) is not Plan or not (plan.simple or plan.direct) or plan.leaves:
        return None
    writer = _Writer(plan.lengths)
    try:
        for i, v in enumerate(given):
            writer.argument(f"a{i}", v, plan.types[i] if i < len(plan.types) else ANY)
    except _Other:
        return None
    if writer.listed and (plan.states or plan.asks or plan.distinct):
        return None
    return writer.function(plan, owner, len(given), providers)


class _Writer:
    """The lines that look at arguments; ``feeds`` are the texts of the model's inputs, ``leaves`` of what these were given as; ``lengths``: the model
    is for lists of their lengths only."""

    def __init__(self, lengths: bool) -> None:
        self.lengths = lengths
        self.lines: list[str] = []
        self.feeds: list[str] = []
        self.leaves: list[str] = []
        self.tensors: list[str] = []
        self.listed = False  # whether there are lists of tensors
        self.names: dict[str, Any] = {"Tensor": Tensor, "array": np.array, "only": _only}

    def line(self, text: str) -> None:
        self.lines.append(f" {text}")

    def leaf(self, path: str, feed: str) -> None:
        self.leaves.append(path)
        self.feeds.append(feed)
        if len(self.feeds) > _MOST:
            raise _Other

    def constant(self, value: Any) -> str:
        name = f"c{len(self.names)}"
        self.names[name] = value
        return name

    def argument(self, path: str, v: Any, t: Type) -> None:
        """Look at an argument as :class:`Leaves` does."""
        t = t.element if isinstance(t, OptionalType) else t
        if isinstance(t, UnionType):  # which of its types a value has is told by more than its kind
            raise _Other
        kind = type(v)
        if kind is Tensor:
            self.tensor(path, v)
        elif kind in _SCALARS:
            self.line(f"if type({path}) is not {kind.__name__}: return MISS")
            self.leaf(path, f"array({path}, {self.constant(NUMBERS[_SCALARS[kind]])})")
        elif v is None:
            self.line(f"if {path} is not None: return MISS")
        elif kind is tuple:
            self.line(f"if type({path}) is not tuple or len({path}) != {len(v)}: return MISS")
            types = t.contained()
            for i, x in enumerate(v):
                self.part(f"{path}[{i}]", x, types[i] if i < len(types) else ANY)
        elif kind is dict:
            keys = self.constant(list(v))
            self.line(f"if type({path}) is not dict or list({path}) != {keys}: return MISS")
            for k, x in v.items():
                self.part(f"{path}[{self.constant(k)}]", x, t.value if isinstance(t, DictType) else ANY)
        elif kind is list and v:
            self.elements(path, v, t.element if isinstance(t, ListType) else ANY)
        else:
            raise _Other

    def part(self, path: str, v: Any, t: Type) -> None:
        name = f"p{len(self.lines)}"
        self.line(f"{name} = {path}")
        self.argument(name, v, t)

    def tensor(self, path: str, v: Tensor) -> None:
        self.line(f"if type({path}) is not Tensor: return MISS")
        self.line(f"{path}_ = {path}._array")
        dtype = self.constant(v._array.dtype)
        self.line(f"if {path}_.dtype is not {dtype} or {path}_.ndim != {v._array.ndim}: return MISS")
        self.tensors.append(path)
        self.leaf(path, f"{path}_")

    def elements(self, path: str, v: list[Any], element: Type) -> None:
        first = v[0]
        if self.lengths:  # which the model was made for
            self.line(f"if type({path}) is not list or len({path}) != {len(v)}: return MISS")
        if element in NUMBERS:
            self.line(f"if type({path}) is not list or not {path}: return MISS")
            self.line(f"if not {self.constant(frozenset([type(first)]).issuperset)}(map(type, {path})): return MISS")
            self.leaf(path, f"array({path}, {self.constant(NUMBERS[element])})")
        elif isinstance(first, Tensor) and (isinstance(element, TensorType) or element is ANY):
            ranks = {x._array.ndim for x in v}
            if len(ranks) > 1:
                raise _Other
            like = f"{self.constant(first._array.dtype)}, {first._array.ndim}"
            self.listed = True
            self.line(f"{path}_ = only({path}, {like})")
            self.line(f"if {path}_ is None: return MISS")
            self.leaf(path, f"{path}_")
        elif not isinstance(first, Tensor):  # each is an input of its own
            self.line(f"if type({path}) is not list or len({path}) != {len(v)}: return MISS")
            for i, x in enumerate(v):
                self.part(f"{path}[{i}]", x, element)
        else:
            raise _Other

    def function(
        self, plan: Plan, owner: ScriptObject | None, count: int, providers: Any
    ) -> Callable[[Sequence[Any]], Any]:
        names = self.names
        names.update(MISS=MISS, chosen=chosen, providers=providers, state=state, run=plan.run, options=run_options())
        names.update(outputs=plan.outputs, stale=plan.is_stale, parameters=plan.parameters, live=plan.live)
        names.update(build=plan.build, shared=plan.shared, owner=owner, physical=physical, ndarray=np.ndarray)
        names.update(wrap=Tensor._wrap, asarray=np.asarray)
        head = ["def call(args):", f" if len(args) != {count} or chosen() != providers: return MISS"]
        if count:
            head.append(f" {', '.join(f'a{i}' for i in range(count))}, = args")
        lines = [*head, *self.lines, *self.gradients(plan)]
        if plan.tracked or plan.shapes or plan.reads:
            lines.append(" if stale(): return MISS")
        feed = ", ".join(f"{name!r}: {text}" for name, text in zip(plan.inputs, self.feeds, strict=True))
        lines.append(f" feed = {{{feed}}}")
        if plan.live:
            lines.append(" for name, held, attribute in live: feed[name] = physical(held[attribute]._array)")
        if plan.states:
            held = ", ".join(f"{t}._array" for t in self.tensors)
            lines.append(f" if shares(states, ({held},)): return MISS" if held else " pass")
            names.update(states=plan.states, shares=_shares)
        # What fails fails again where there are words for it.
        lines += [" try: outs = run(outputs, feed, options)", " except Exception: return MISS"]
        if plan.raises:
            lines.append(" if outs[-1] is not None and outs[-1].size: return MISS")
        if plan.states:
            lines += [
                " for held, name, index in states:",
                "  tensor = held[name]",
                "  tensor._array[...] = outs[index]",
            ]
            lines.append("  tensor._share_counter()[0] += 1")
        lines += self.result(plan, owner, count)
        exec(compile("\n".join(lines), "<call>", "exec"), names)  # noqa: S102 (written here, from a signature)
        return names["call"]  # type: ignore[no-any-return]

    def gradients(self, plan: Plan) -> list[str]:
        """Where gradients are wanted, more is to be done."""
        asked = [f"{t}._requires_grad" for t in self.tensors]
        if self.listed:
            asked.append("True")
        enabled = "True" if plan.asks else "state.enabled"
        lines = [f" if {enabled} and ({' or '.join(asked)}): return MISS"] if asked else []
        if plan.distinct and len(self.tensors) > 1:
            lines.append(
                f" if len({{{', '.join(f'id({t})' for t in self.tensors)}}}) < {len(self.tensors)}: return MISS"
            )
        if plan.parameters:
            lines += [" if state.enabled:", "  for p in parameters:", "   if p._requires_grad: return MISS"]
        if plan.live:
            lines += [" if state.enabled:", "  for _, held, attribute in live:"]
            lines.append("   if held[attribute]._requires_grad: return MISS")
        return lines

    def result(self, plan: Plan, owner: ScriptObject | None, count: int) -> list[str]:
        if plan.single and plan.shared is None:
            return [" out = outs[0]", " return wrap(out if type(out) is ndarray else asarray(out))"]
        made = f"build(outs, [{', '.join(self.leaves)}])"
        if plan.shared is None:
            return [f" return {made}"]
        given = ["owner"] * (owner is not None) + [f"a{i}" for i in range(count)]
        return [f" return shared({made}, [{', '.join(given)}])"]


def _shares(states: Sequence[tuple[dict[str, Any], str, int]], arrays: Sequence[Any]) -> bool:
    """Whether an array that was given may share memory with a tensor that is written to."""
    for held, name, _ in states:
        own = held[name]._array
        for a in arrays:
            if a is own or ((a.base is not None or own.base is not None) and np.may_share_memory(a, own)):
                return True
    return False


def _only(values: Any, dtype: Any, rank: int) -> list[Any] | None:
    """The arrays of a list of tensors of an element type and rank; None where others are among them."""
    if type(values) is not list or not values:
        return None
    arrays = []
    for t in values:
        if type(t) is not Tensor:
            return None
        array = t._array
        if array.dtype is not dtype or array.ndim != rank:
            return None
        arrays.append(array)
    return arrays
