"""Running programs that are ONNX models already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.ir import dtypes
from bridge.ops.ortvalues import run_session
from bridge.runtime.plans import Plan, _as_input, _counter, _holder
from bridge.tensor import Tensor

if TYPE_CHECKING:
    from bridge.ir.classes import Function, ScriptObject
    from bridge.onnx.written import WrittenModel

__all__ = ["model_plan"]

#: Smaller initializers stay in the model: onnxruntime looks at them (shapes, axes) when it opens one.
_SMALL = 1024


class ModelPlan(Plan):
    """A plan for arguments of any kind: None for an empty optional, lists, dicts."""

    __slots__ = ("names",)

    names: set[str]

    def feed(self, arguments: Sequence[Any]) -> tuple[dict[str, Any], Sequence[Any]]:
        feed = {n: _value(a) for n, a in zip(self.inputs, arguments, strict=True) if n in self.names}
        for name, held, attribute in self.live:
            feed[name] = held[attribute]._array
        return feed, arguments


def model_plan(
    owner: ScriptObject | None, function: Function, arguments: Sequence[Any], written: WrittenModel, live: bool
) -> Plan:
    """A plan that runs the model. ``live`` weights are given with every call instead of being held by the session."""
    from bridge.exporters.onnx.unused import names_read
    from bridge.runtime.sessions import open_session

    model = written.proto
    weights: dict[str, Any] = {}
    tracked, fed = [], []
    read = names_read(model.graph)
    unread = {i.name for i in model.graph.initializer if i.name not in read}
    for proto in list(model.graph.initializer):
        if proto.name in unread:  # onnxruntime drops it, and then cannot be given its value
            model.graph.initializer.remove(proto)
            continue
        path = written.weights.get(proto.name)
        if path is None:
            continue
        held, name = _holder(owner, path)
        tensor = held[name]
        counter = _counter(tensor)
        dtype = dtypes.by_numpy(tensor._array.dtype)
        if dtype.native and (live or len(counter) != 1):
            _as_input(model.graph, proto)
            fed.append((proto.name, held, name))
            continue
        tracked.append((held, name, tensor, tensor._array, counter, counter[0]))
        if tensor._array.nbytes >= _SMALL and dtype.native and dtype.kind in "fi":
            weights[proto.name] = np.asarray(tensor._array)
            _by_host(proto, tensor._array.nbytes)
    own = unread | {i.name for i in model.graph.initializer}  # old models have them among the inputs, too
    for proto in model.graph.initializer:
        if proto.name in written.arrays and proto.name not in weights:
            weights[proto.name] = np.asarray(written.arrays[proto.name])
            _by_host(proto, weights[proto.name].nbytes)
    for value in [i for i in model.graph.input if i.name in unread]:
        model.graph.input.remove(value)
    inputs = [i.name for i in model.graph.input if i.name not in own and i.name not in {f[0] for f in fed}]
    session = open_session(model.SerializeToString(), weights=weights, size=sum(w.nbytes for w in weights.values()))
    used = {i.name for i in session.get_inputs()}
    simple = all(isinstance(a, Tensor) for a in arguments) and set(inputs) <= used
    plan = (Plan if simple else ModelPlan)(
        _runner(session, arguments),
        inputs,
        [o.name for o in model.graph.output],
        _results(written.results),
        tracked,
        [f for f in fed if f[0] in used],
        simple,
        [],
        False,
    )
    if isinstance(plan, ModelPlan):
        plan.names = used
    return plan


def _by_host(proto: Any, size: int) -> None:
    """Leave an initializer's data to the host."""
    for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
        proto.ClearField(field)
    proto.data_location = type(proto).EXTERNAL
    del proto.external_data[:]
    for key, value in (("location", "host"), ("offset", "0"), ("length", str(size))):
        proto.external_data.add(key=key, value=value)


def _runner(session: Any, arguments: Sequence[Any]) -> Callable[[list[str], dict[str, Any], Any], list[Any]]:
    """onnxruntime's own call where its binding has all the element types, else the one that copies bytes."""
    types = [*(i.type for i in session.get_inputs()), *(o.type for o in session.get_outputs())]
    if all(t in _DIRECT for t in types):
        return session._sess.run  # type: ignore[no-any-return]
    return lambda names, feed, options: run_session(session, feed)


_DIRECT = frozenset(
    f"tensor({name})"
    for name in "float double float16 bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 string".split()
)


def _value(a: Any) -> Any:
    if isinstance(a, Tensor):
        return a._array
    return [_value(x) for x in a] if isinstance(a, list | tuple) else a


def _results(structure: Any) -> Callable[[list[Any], Sequence[Any]], Any]:
    def build(outs: Any, places: Any) -> Any:
        if places is None:
            return None
        return tuple(build(outs, p) for p in places) if isinstance(places, tuple) else _result(outs[places])

    return lambda outs, args: build(outs, structure)


def _result(out: Any) -> Any:
    if isinstance(out, np.ndarray | np.generic):
        return Tensor._wrap(np.asarray(out))
    return [_result(x) for x in out] if isinstance(out, list) else out
