"""Calls of programs: a plan per kind of arguments, made on the first call and kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from bridge.autograd.grad_mode import state
from bridge.ir.classes import Function, ScriptObject
from bridge.ir.errors import BridgeError, LoweringError
from bridge.ir.passes.inline import inlined_graph
from bridge.ir.types import ListType, OptionalType, Type
from bridge.jit.running import MISS
from bridge.nn.parameter import Parameter
from bridge.runtime.direct import direct_call
from bridge.runtime.host import host_program
from bridge.runtime.host_entry import Overflow
from bridge.runtime.host_operators import may_be_hosted
from bridge.runtime.host_small import may_be_small, small_program
from bridge.runtime.host_tensors import tensor_program
from bridge.runtime.plans import Plan, build_plan, run_options, tensors_of
from bridge.runtime.reach import asks_for_gradients, makes_leaves, reached_results
from bridge.runtime.sessions import CPU, ProviderError, chosen
from bridge.runtime.shared_results import shared_results
from bridge.runtime.signature import signature_of
from bridge.tensor import Tensor

__all__ = ["InterpreterWarning", "call_method", "execute"]


class InterpreterWarning(UserWarning):
    """A program runs in the interpreter because ONNX cannot express it; the message names the operators and lines."""


class _Entry:
    """The plans of one function (of one object) by signature; False where the interpreter must run it."""

    __slots__ = (
        "arity", "by_position", "defaults", "host", "hosts", "kind", "lengths", "live", "make", "plans", "quick", "signature", "state", "warned",
    )  # fmt: skip

    def __init__(self, function: Function, owner: ScriptObject | None) -> None:
        self.plans: dict[Any, Plan | bool] = {}
        self.arity = len(function.schema.arguments) - (owner is not None)
        self.by_position = self.arity - sum(a.kwarg_only for a in function.schema.arguments)
        self.defaults = _defaults(function)
        self.kind = _exact_kind if any(_lists_none(a.type) for a in function.schema.arguments) else _kind
        self.lengths = self.live = self.warned = False
        self.state: list[Any] = []
        self.signature = signature_of(function) if function.interface is not None else None
        failed = partial(_failed, self, function, owner)
        self.host = host_program(function, failed) if owner is None and self.signature is None else None
        #: The program as a Python function, of the arguments as a tuple, when the last call was one of it.
        self.quick = self.host
        #: What makes such a function of a program for arguments of a kind, and what it has made.
        self.make = None if self.host is not None or self.signature is not None else _maker(function)
        self.hosts: dict[Any, Callable[[tuple[Any, ...]], Any] | None] | None = {} if self.make is not None else None


def _maker(function: Function) -> Callable[..., Callable[[tuple[Any, ...]], Any] | None] | None:
    """What makes Python functions of a program that may be one for some arguments, if any does."""
    if may_be_hosted(function):
        return tensor_program
    return small_program if may_be_small(function) else None


def call_method(owner: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a method of a module (a ScriptModule or its script object)."""
    held = owner if isinstance(owner, ScriptObject) else owner._c
    function = held.type.find_method(name)
    if function is None:
        raise BridgeError(f"{held.type.name} has no method '{name}'")
    return execute(function, held, args, kwargs)


def execute(function: Function, owner: ScriptObject | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a function (or a method of ``owner``) on onnxruntime, or in the interpreter where ONNX cannot express it.

    Raises RuntimeError, with torch's text, for arguments that the schema does not take.
    """
    if owner is None:
        entry = function.runtime
        if entry is None:
            entry = function.runtime = _Entry(function, None)
    else:
        entry = owner.runtime.get(function)
        if entry is None:
            entry = owner.runtime[function] = _Entry(function, owner)
    if entry.quick is not None and not kwargs:
        found = entry.quick(tuple(args))
        if found is not MISS:
            return found
    if len(args) > entry.by_position:
        _refuse(function, owner, args, kwargs)
    rest: tuple[Any, ...] = ()
    if len(args) < entry.arity <= len(args) + len(entry.defaults) and not kwargs:
        rest = entry.defaults[len(args) - entry.arity :]
        args = (*args, *rest)
        if entry.host is not None and (found := entry.host(args)) is not MISS:
            entry.quick = _completed(entry.host, rest, entry.arity)
            return found
    key = chosen(), *map(entry.kind, args)
    if entry.hosts is not None and not kwargs and len(args) == entry.arity:
        found = _hosted(entry, entry.hosts, key, function, owner, args)
        if found is not MISS:
            entry.quick = _completed(entry.hosts[key], rest, entry.arity)
            return found
    if not kwargs and len(args) == entry.arity:
        plan = entry.plans.get((*key, *_lengths(args)) if entry.lengths else key)
        if type(plan) is Plan and (plan.simple or plan.direct) and not plan.is_stale():
            own = _all_taken(args) if plan.lists else args
            if own is not None:
                if plan.call is False:
                    first = entry.hosts.get(key) if entry.hosts is not None else None
                    plan.call = _either(first, direct_call(plan, owner, args, key[0]))
                if plan.call is not None:
                    entry.quick = _completed(plan.call, rest, entry.arity)  # from the next call on
                return _run(plan, function, owner, own)
    return _slow(entry, key, function, owner, args, kwargs)


def _refuse(function: Function, owner: ScriptObject | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """More arguments by position than there are: that is refused, unless one of them takes all that are left."""
    from bridge.jit.values import match_arguments

    match_arguments(function.schema, args, kwargs, owner)


Call = Callable[[Any], Any]


def _defaults(function: Function) -> tuple[Any, ...]:
    """The values of the last arguments where they are not given, as far as these are plain."""
    found: list[Any] = []
    for a in reversed(function.schema.arguments):
        if a.gathers or not a.has_default or a.size is not None or not isinstance(a.default, int | float | str | None):
            break
        found.append(a.default)
    return tuple(reversed(found))


def _completed(call: Any, rest: tuple[Any, ...], arity: int) -> Any:
    """A function of all arguments as one of the first; ``rest`` are the others."""
    if not rest or not callable(call):
        return call
    count = arity - len(rest)

    def quick(args: Any) -> Any:
        return call((*args, *rest)) if len(args) == count else MISS

    return quick


def _either(first: Call | None, second: Call | None) -> Call | None:
    """The second where the first has nothing to give: where small tensors go another way, they always do."""
    if first is None or second is None:
        return second if first is None else None

    def call(args: Any) -> Any:
        found = first(args)
        return second(args) if found is MISS else found

    return call


def _hosted(
    entry: _Entry,
    hosts: dict[Any, Callable[[tuple[Any, ...]], Any] | None],
    key: Any,
    function: Function,
    owner: ScriptObject | None,
    args: Sequence[Any],
) -> Any:
    """What a program that looks at single elements gives; MISS when it does not run in Python."""
    program = hosts.get(key)
    if program is None and key not in hosts:
        failed = partial(_failed, entry, function, owner)
        assert entry.make is not None
        able = key[0] == (CPU,) and _plain_arguments(function, owner, args)
        program = hosts[key] = entry.make(function, owner, args, failed) if able else None
    if program is None:
        return MISS
    return program(tuple(args))


def _failed(
    entry: _Entry, function: Function, owner: ScriptObject | None, error: Exception, args: tuple[Any, ...]
) -> Any:
    """What a program gives that has failed in Python: the interpreter says what is wrong."""
    from bridge.jit.running import interpret
    from bridge.jit.values import match_arguments

    if isinstance(error, Overflow):  # as it does again, likely
        entry.host = entry.quick = entry.hosts = None
        return execute(function, owner, args, {})
    return interpret(function, match_arguments(function.schema, args, {}, owner, in_order=True))


def _kind(v: Any) -> Any:
    """What of an argument decides the plan."""
    if isinstance(v, Tensor):
        a = v._array
        return a.dtype, a.ndim
    if isinstance(v, bool | int | float):
        return type(v)
    if isinstance(v, tuple):
        return tuple(map(_kind, v))
    if isinstance(v, list):
        if not v or isinstance(v[0], bool | int | float):
            return "list", bool(v) and type(v[0])
        if isinstance(v[0], Tensor):
            ranks = {x._array.ndim if isinstance(x, Tensor) else None for x in v}  # (other elements are refused)
            return "tensors", v[0]._array.dtype, ranks == {v[0]._array.ndim} and v[0]._array.ndim
        return "list", *map(_kind, v)
    if isinstance(v, dict):
        return "dict", *((k, _kind(x)) for k, x in v.items())
    if isinstance(v, str):
        return "str", v
    return v if v is None else ("object", id(v))


def _exact_kind(v: Any) -> Any:
    """As :func:`_kind`, where elements of a list may be None: each is an input of its own."""
    if isinstance(v, list):
        return "list", *map(_exact_kind, v)
    if isinstance(v, tuple):
        return tuple(map(_exact_kind, v))
    if isinstance(v, dict):
        return "dict", *((k, _exact_kind(x)) for k, x in v.items())
    return _kind(v)


def _lists_none(t: Type) -> bool:
    """Whether a value of the type may hold a list with None in it."""
    if isinstance(t, ListType) and isinstance(t.element, OptionalType):
        return True
    return any(map(_lists_none, t.contained()))


def _slow(
    entry: _Entry,
    key: Any,
    function: Function,
    owner: ScriptObject | None,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Any:
    """Match the arguments, find or make the plan, run it."""
    from bridge.jit.objects import shares
    from bridge.jit.running import interpret
    from bridge.jit.values import match_arguments

    complete = match_arguments(function.schema, args, kwargs, owner, in_order=True)
    own = complete[1:] if owner is not None else complete
    if entry.signature is not None:
        entry.signature.check(own)
    if shares(own):  # ONNX has values, and these are references
        return interpret(function, complete)
    direct = not kwargs and len(args) == entry.arity and all(map(_unconverted, args, own))
    if not direct:
        key = chosen(), *map(entry.kind, own)
    if entry.lengths:
        key = (*key, *_lengths(own))
    plan = entry.plans.get(key)
    if isinstance(plan, Plan) and plan.is_stale():
        entry.live = True  # written to once, so likely again: weights are given with the call from now on
        plan = None
    if plan is False and entry.state != _plain_state(owner):
        plan = None  # an attribute changed (train and eval, say): it may be expressible now
    if plan is None:
        plan = _make_plan(entry, function, owner, own)
        if isinstance(plan, Plan) and plan.lengths and not entry.lengths:
            entry.lengths = True  # from now on, lists of other lengths are other arguments
            entry.plans.clear()
            key = (*key, *_lengths(own))
        if isinstance(plan, Plan) and direct:
            plan.direct, plan.lists = True, any(map(_has_list, own))
        if isinstance(plan, Plan) and entry.signature is not None and entry.signature.exact:
            plan.direct = plan.simple = False  # each call is checked
        entry.plans[key] = plan
        if plan is False:
            entry.state = _plain_state(owner)
    if not isinstance(plan, Plan):
        return interpret(function, complete)
    return _run(plan, function, owner, own)


def _plain_arguments(function: Function, owner: ScriptObject | None, args: Sequence[Any]) -> bool:
    """Whether a function takes arguments as they are; raises RuntimeError, with torch's text, where it does not take them."""
    from bridge.jit.values import match_arguments

    own = match_arguments(function.schema, args, {}, owner, in_order=True)[owner is not None :]
    return all(map(_unconverted, args, own))


def _unconverted(given: Any, own: Any) -> bool:
    """Whether a program takes an argument as it was given; a tuple, list or dict of such is made anew."""
    if given is own:
        return True
    if type(given) is not type(own) or type(given) not in (tuple, list, dict) or len(given) != len(own):
        return False
    if type(given) is dict:
        return list(given) == list(own) and all(map(_unconverted, given.values(), own.values()))
    return all(map(_unconverted, given, own))


def _has_list(v: Any) -> bool:
    """Whether there is a value of which its kind does not tell that it needs no conversion."""
    if isinstance(v, tuple):
        return hasattr(v, "_fields") or any(map(_has_list, v))
    return not isinstance(v, Tensor | bool | int | float | None)


class _Odd(Exception):
    """An argument of which its kind does not tell all."""


def _all_taken(args: Sequence[Any]) -> list[Any] | None:
    """Arguments as a program has them, lists being its own, where their kinds tell that nothing needs conversion; else None."""
    try:
        return [_taken(a) for a in args]
    except _Odd:
        return None


def _taken(v: Any) -> Any:
    kind = type(v)
    if kind is list and v:
        first = type(v[0])
        if first in (int, float, bool):
            alike = all(type(x) is first for x in v)
        elif first in _TENSORS:
            dtype = v[0]._array.dtype
            alike = all(type(x) in _TENSORS and x._array.dtype is dtype for x in v)
        else:
            return [_taken(x) for x in v]
        if not alike:
            raise _Odd
        return v.copy()
    if kind is tuple:
        return tuple([_taken(x) for x in v])
    if kind is dict:
        return {k: _taken(x) for k, x in v.items()}
    if kind not in _LEAVES:
        raise _Odd
    return [] if kind is list else v


_TENSORS = (Tensor, Parameter)
_LEAVES = frozenset({*_TENSORS, int, float, bool, str, list, type(None)})


def _plain_state(owner: ScriptObject | None) -> list[Any]:
    """The attributes of an object and of all its submodules that are numbers, strings or None."""
    found: list[Any] = []
    for v in owner.attributes.values() if owner is not None else ():
        if isinstance(v, ScriptObject):
            found.append(_plain_state(v))
        elif v is None or isinstance(v, bool | int | float | str):
            found.append(v)
    return found


def _lengths(values: Any) -> list[int]:
    """The lengths of all lists in arguments."""
    found: list[int] = []
    for v in values.values() if isinstance(values, dict) else values:
        if isinstance(v, list):
            found.append(len(v))
        if isinstance(v, list | tuple | dict):
            found += _lengths(v)
    return found


def _make_plan(entry: _Entry, function: Function, owner: ScriptObject | None, own: Sequence[Any]) -> Plan | bool:
    try:
        plan = build_plan(owner, function, own, entry.live)
        plan.leaves, plan.asks = makes_leaves(function), asks_for_gradients(function)
        plan.shared = shared_results(function)
        return plan
    except ProviderError:
        raise
    except BridgeError as error:  # ONNX cannot express it, or onnxruntime has no kernel for it
        if not isinstance(error, LoweringError):
            error = LoweringError(error.message)
        if not entry.warned:
            entry.warned = True
            _warn(function, owner, error)
        return False


def _warn(function: Function, owner: ScriptObject | None, error: LoweringError) -> None:
    """Say once per function what keeps it off onnxruntime."""
    from bridge.exporters.onnx.report import Entry

    reasons = []
    obstacles = getattr(error, "obstacles", None) or (Entry("arguments", error.message, error.range),)
    for o in obstacles:
        place = o.range.file_line_col() if o.range is not None else None
        where = f" ({place[0]}:{place[1]})" if place else ""
        reasons.append(f"{o.kind}{where}: {o.message}")
    if all(o.kind == "output" for o in obstacles):
        return  # nothing is computed: there is nothing that onnxruntime could do
    name = f"{owner.type.name}.{function.name}" if owner is not None else function.qualified_name
    text = "\n  ".join(dict.fromkeys(reasons))
    warnings.warn(f"{name} runs in the interpreter, not on onnxruntime:\n  {text}", InterpreterWarning, stacklevel=6)


def _run(plan: Plan, function: Function, owner: ScriptObject | None, args: Sequence[Any]) -> Any:
    if (plan.states and _must_interpret(plan, args)) or (plan.leaves and state.enabled):
        return _interpret(function, owner, args)
    if plan.distinct and _repeats(tensors_of(list(args))):
        return _interpret(function, owner, args)
    feed, given = plan.feed(args)
    try:
        outs = plan.run(plan.outputs, feed, run_options())
    except Exception as error:  # noqa: BLE001 (onnxruntime's errors have no common base but this)
        return _run_again(plan, function, owner, args, error)
    if plan.raises and outs[-1] is not None and outs[-1].size:  # None: a constant of no elements, in nested branches
        return _interpret(function, owner, args)  # it knows the message and the place; nothing has changed so far
    for held, name, index in plan.states:
        tensor = held[name]
        np.copyto(tensor._array, outs[index])
        tensor._share_counter()[0] += 1
    result = plan.build(outs, given)
    if plan.shared is not None:
        result = plan.shared(result, [owner, *args] if owner is not None else args)
    if state.enabled:
        for t in args if plan.simple else tensors_of(args):
            if t._requires_grad:
                break
        else:
            if not (_any_grad(plan.parameters) or (plan.live and _live_grad(plan))):
                return result
        if _switches_gradients(function):
            return _interpret(function, owner, args)  # what has a gradient is known there
        _attach(plan, function, owner, args, result)
    elif plan.asks and _any_grad(tensors_of(list(args))):
        return _interpret(function, owner, args)
    return result


def _repeats(tensors: Sequence[Tensor]) -> bool:
    """Whether one tensor was given twice, to a program that asks (``key is value``) and was told that none is."""
    return len({id(t) for t in tensors}) < len(tensors)


#: What a result's history depends on besides its arguments', or what tells about it.
_OF_GRADIENTS = frozenset(
    "aten::set_grad_enabled prim::Enter aten::detach aten::detach_ prim::data prim::requires_grad prim::grad "
    "aten::requires_grad_".split()
)
_switching: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def _switches_gradients(function: Function) -> bool:
    """Whether a program says itself what is recorded for gradients (``no_grad`` and the like)."""
    known = _switching.get(function.graph)
    if known is None:
        nodes = inlined_graph(function).all_nodes()
        known = _switching[function.graph] = any(n.kind in _OF_GRADIENTS for n in nodes)
    return known


def _run_again(
    plan: Plan, function: Function, owner: ScriptObject | None, args: Sequence[Any], error: Exception
) -> Any:
    """The interpreter says in torch's words what was wrong with the arguments (nothing has changed so far); and what
    follows the place of an exception may fail for the same reason."""
    result = _interpret(function, owner, args)
    if not plan.raises:
        text = f"onnxruntime failed in {function.name}, which then ran in the interpreter: {error}"
        warnings.warn(text, InterpreterWarning, stacklevel=5)
    return result


def _interpret(function: Function, owner: ScriptObject | None, args: Sequence[Any]) -> Any:
    from bridge.jit.running import interpret

    return interpret(function, [owner, *args] if owner is not None else list(args))


def _must_interpret(plan: Plan, args: Sequence[Any]) -> bool:
    """Whether a run that writes to tensors of the module needs a gradient (running again would write again), or was given
    one of those tensors."""
    given = tensors_of(list(args))
    if state.enabled and (any(t._requires_grad for t in (*given, *plan.parameters)) or _live_grad(plan)):
        return True
    return any(np.may_share_memory(t._array, held[name]._array) for held, name, _ in plan.states for t in given)


def _any_grad(tensors: Sequence[Tensor]) -> bool:
    for t in tensors:  # noqa: SIM110 (a loop is quicker)
        if t._requires_grad:
            return True
    return False


def _live_grad(plan: Plan) -> bool:
    return any(held[name]._requires_grad for _, held, name in plan.live)


def _attach(plan: Plan, function: Function, owner: ScriptObject | None, args: Sequence[Any], result: Any) -> None:
    """Give the results a gradient that is worked out when somebody asks, by running the program again eagerly."""
    replay = _Replay(plan, function, owner, args)
    mine = {id(t) for t in (args if plan.simple else tensors_of(list(args)))}  # a result may be an argument
    results = tensors_of(result)
    requires = tuple([any(t._requires_grad for t in tensors_of(a)) for a in args])
    held = tuple([t._requires_grad for t in plan.parameters] + [h[n]._requires_grad for _, h, n in plan.live])
    reached = plan.reached.get((requires, held, len(results)))
    if reached is None:
        reached = plan.reached[requires, held, len(results)] = reached_results(function, owner, requires, result)
    for index, t in enumerate(results):
        known = t._requires_grad or t._lazy_grad is not None or id(t) in mine
        if t._array.dtype.kind in "fcV" and reached[index] and not known:
            t._requires_grad = True
            t._lazy_grad = partial(replay.result, index)


class _Replay:
    """The eager run of a call, done at most once, for the results' place on the tape."""

    __slots__ = ("arguments", "function", "given", "plan", "results")

    def __init__(self, plan: Plan, function: Function, owner: ScriptObject | None, args: Sequence[Any]) -> None:
        self.plan, self.function = plan, function
        self.arguments = [owner, *args] if owner is not None else list(args)
        self.given = [(t, t._version) for t in (args if plan.simple else tensors_of(list(args)))]
        for _, held, name in plan.live:
            self.given.append((held[name], held[name]._version))
        self.results: list[Tensor] | None = None

    def result(self, index: int) -> Tensor:
        """The eager result of that number: what ``Tensor._lazy_grad`` asks for. It does not hold the tensor it is for."""
        return self.run()[index]

    def run(self) -> list[Tensor]:
        from bridge.jit.running import interpret

        if self.results is None:
            if self.plan.has_changed() or any(t._version != v for t, v in self.given):
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"an argument, parameter or attribute of '{self.function.name}' changed after it ran"
                )
            enabled, state.enabled = state.enabled, True
            try:
                self.results = tensors_of(interpret(self.function, self.arguments))
            finally:
                state.enabled = enabled
            self.arguments = []
        return self.results
