"""Recurrent cells and layers: Elman networks, gated recurrent units, long short-term memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import as_large_as, at_least
from bridge.ir.ops._composite import lower_steps
from bridge.ir.ops._declare import declare
from bridge.ir.ops._onnx import ints, is_lowered, typed
from bridge.ir.ops._samples import S, f4, f8, of
from bridge.ir.ops._samples import ints as idx
from bridge.ir.ops.packed import present
from bridge.ir.rules import Call, Results, result
from bridge.ir.types import Dim, TensorType

_INT32, _INT64 = by_name("int32"), by_name("int64")

# -- one step ----------------------------------------------------------------------------------------------------------
# A step takes what the input gives to the gates, the states, and a function from the hidden state to what it gives to the
# gates; it returns the next states.

Linear = Callable[[Any], Any]
Step = Callable[[Any, Any, list[Any], Linear], list[Any]]


def _elman(activation: str) -> Step:
    def step(ops: Any, gates: Any, states: list[Any], hidden: Linear) -> list[Any]:
        return [ops(f"aten::{activation}", ops("aten::add.Tensor", hidden(states[0]), gates, 1))]

    return step


def _gru(ops: Any, gates: Any, states: list[Any], hidden: Linear) -> list[Any]:
    h = states[0]
    ri, zi, ni = ops("aten::chunk", gates, 3, 1)
    rh, zh, nh = ops("aten::chunk", hidden(h), 3, 1)
    reset = ops("aten::sigmoid", ops("aten::add.Tensor", rh, ri, 1))
    update = ops("aten::sigmoid", ops("aten::add.Tensor", zh, zi, 1))
    new = ops("aten::tanh", ops("aten::add.Tensor", ni, ops("aten::mul.Tensor", nh, reset), 1))
    kept = ops("aten::mul.Tensor", ops("aten::sub.Tensor", h, new, 1), update)
    return [ops("aten::add.Tensor", kept, new, 1)]


def _lstm(ops: Any, gates: Any, states: list[Any], hidden: Linear) -> list[Any]:
    h, c = states
    i, f, g, o = ops("aten::chunk", ops("aten::add.Tensor", hidden(h), gates, 1), 4, 1)
    i, f, o = (ops("aten::sigmoid", v) for v in (i, f, o))
    new = ops("aten::mul.Tensor", i, ops("aten::tanh", g))
    c = ops("aten::add.Tensor", ops("aten::mul.Tensor", f, c), new, 1)
    return [ops("aten::mul.Tensor", o, ops("aten::tanh", c)), c]


_STEPS: dict[str, tuple[int, Step]] = {
    "rnn_tanh": (1, _elman("tanh")),
    "rnn_relu": (1, _elman("relu")),
    "gru": (3, _gru),
    "lstm": (4, _lstm),
}


def _cell(kind: str) -> Any:
    gates, step = _STEPS[kind]

    def run(ops: Any, x: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
        states = list(hx) if isinstance(hx, list | tuple) else [hx]
        _check_cell(x, states, w_ih, w_hh, gates)
        into = ops("aten::linear", x, w_ih, b_ih)
        found = step(ops, into, states, lambda h: ops("aten::linear", h, w_hh, b_hh))
        return found[0] if len(found) == 1 else tuple(found)

    return run


def _check_cell(x: Any, states: list[Any], w_ih: Any, w_hh: Any, gates: int) -> None:
    if x.shape[1] != w_ih.shape[1]:
        raise BridgeError(f"input has inconsistent input_size: got {x.shape[1]} expected {w_ih.shape[1]}")
    for i, h in enumerate(states):
        if x.shape[0] != h.shape[0]:
            raise BridgeError(f"Input batch size {x.shape[0]} doesn't match hidden{i} batch size {h.shape[0]}")
        if h.shape[1] != w_hh.shape[0] // gates:
            raise BridgeError(
                f"hidden{i} has inconsistent hidden_size: got {h.shape[1]}, expected {w_hh.shape[0] // gates}"
            )


# -- whole sequences ---------------------------------------------------------------------------------------------------


def _weights(params: Sequence[Any], biases: bool, layers: int, directions: int) -> list[list[Any]]:
    """The weights of each layer and direction: w_ih, w_hh, b_ih, b_hh (None without), w_hr (None without projection)."""
    total = layers * directions
    each, rest = divmod(len(params), total)
    plain = 4 if biases else 2
    if rest or each not in (plain, plain + 1):
        raise BridgeError(f"a recurrent layer got {len(params)} weights for {total} layers and directions")
    found = []
    for k in range(total):
        own = list(params[k * each : (k + 1) * each])
        found.append([*own[:2], *(own[2:4] if biases else [None, None]), own[plain] if each > plain else None])
    return found


def _direction(ops: Any, step: Step, steps: list[Any], states: list[Any], w: list[Any], sizes: Sequence[int]) -> Any:
    """One direction of one layer: what each step gives, and the last states. ``sizes``: how many sequences each step has;
    those that it has less than the one before are finished, those that it has more begin."""
    w_ih, w_hh, b_ih, b_hh, w_hr = w
    begin, done, out = states, [], []
    states = [ops("aten::narrow", s, 0, 0, sizes[0]) for s in begin] if sizes[0] != begin[0].shape[0] else begin
    for x, n in zip(steps, sizes, strict=True):
        have = states[0].shape[0]
        if n < have:
            done.append([ops("aten::narrow", s, 0, n, have - n) for s in states])
            states = [ops("aten::narrow", s, 0, 0, n) for s in states]
        elif n > have:
            more = [ops("aten::narrow", s, 0, have, n - have) for s in begin]
            states = [ops("aten::cat", [s, m], 0) for s, m in zip(states, more, strict=True)]
        gates = ops("aten::linear", x, w_ih, b_ih)
        states = step(ops, gates, states, lambda h: ops("aten::linear", h, w_hh, b_hh))
        if w_hr is not None:
            states = [ops("aten::linear", states[0], w_hr, None), *states[1:]]
        out.append(states[0])
    if done:
        parts = [states, *reversed(done)]
        states = [ops("aten::cat", [p[k] for p in parts], 0) for k in range(len(states))]
    return out, states


def _layers(
    ops: Any, kind: str, steps: list[Any], hx: list[Any], params: Sequence[Any], biases: bool, layers: int,
    dropout: float, train: bool, bidirectional: bool, sizes: Sequence[int], join: Linear,
) -> tuple[Any, list[Any]]:  # fmt: skip
    """All layers: what the last gives, its steps joined, and the last states, stacked by layer and direction."""
    directions = 2 if bidirectional else 1
    step, last = _STEPS[kind][1], []
    weights = _weights(params, biases, layers, directions)
    results: list[list[Any]] = []
    for layer in range(layers):
        results = []
        for d in range(directions):
            k = layer * directions + d
            own = [ops("aten::select.int", h, 0, k) for h in hx]
            order = steps[::-1] if d else steps
            out, states = _direction(ops, step, order, own, weights[k], sizes[::-1] if d else sizes)
            results.append(out[::-1] if d else out)
            last.append(states)
        if layer + 1 == layers:
            break
        steps = (
            [ops("aten::cat", list(both), 1) for both in zip(*results, strict=True)] if directions == 2 else results[0]
        )
        if dropout and train:
            mask = ops("aten::dropout", ops("aten::cat", steps, 0), dropout, True)
            steps = list(ops("aten::split_with_sizes", mask, list(sizes), 0))
    joined = [join(r) for r in results]
    out = joined[0] if directions == 1 else ops("aten::cat", joined, -1)
    return out, [ops("aten::stack", [s[k] for s in last], 0) for k in range(len(hx))]


def _sequence(kind: str) -> Any:
    def run(
        ops: Any, x: Any, hx: Any, params: Any, biases: bool, layers: int, dropout: float, train: bool,
        bidirectional: bool, batch_first: bool,
    ) -> Any:  # fmt: skip
        states = list(hx) if isinstance(hx, list | tuple) else [hx]
        if batch_first:
            x = ops("aten::transpose.int", x, 0, 1)
        if not x.shape[0]:
            raise BridgeError("Expected sequence length to be larger than 0 in RNN")
        steps = list(ops("aten::unbind.int", x, 0))
        sizes = [x.shape[1]] * len(steps)
        how = (params, biases, layers, dropout, train, bidirectional, sizes)
        out, last = _layers(ops, kind, steps, states, *how, lambda r: ops("aten::stack", r, 0))
        return (ops("aten::transpose.int", out, 0, 1) if batch_first else out, *last)

    return run


def _packed(kind: str) -> Any:
    def run(
        ops: Any, data: Any, batch_sizes: Any, hx: Any, params: Any, biases: bool, layers: int, dropout: float,
        train: bool, bidirectional: bool,
    ) -> Any:  # fmt: skip
        states = list(hx) if isinstance(hx, list | tuple) else [hx]
        sizes = [int(n) for n in batch_sizes.tolist()]
        steps = list(ops("aten::split_with_sizes", data, sizes, 0))
        how = (params, biases, layers, dropout, train, bidirectional, sizes)
        out, last = _layers(ops, kind, steps, states, *how, lambda r: ops("aten::cat", r, 0))
        return (out, *last)

    return run


# -- types -------------------------------------------------------------------------------------------------------------


def _cell_types(call: Call) -> Results:
    x, w = call.tensor("input"), call.tensor("w_hh")
    dims: tuple[Dim, ...] = (None if not x.dims else x.dims[0], None if not w.dims else w.dims[1])
    one = result(x.dtype, dims)
    return [one, one] if call.schema.name == "aten::lstm_cell" else one


def _sequence_types(call: Call) -> Results:
    """(…, directions · size) and the states (layers · directions, N, size)."""
    packed = "batch_sizes" in call.schema.index
    x = call.tensor("data" if packed else "input")
    listed = call.tensors("hx") if call.schema.name == "aten::lstm" else [call.tensor("hx")]
    states = listed or [TensorType(x.dtype)] * (2 if call.schema.name == "aten::lstm" else 1)
    size = states[0].dims[2] if states[0].dims is not None and len(states[0].dims) == 3 else None
    directions = {True: 2, False: 1}.get(call.known("bidirectional"))
    wide = size * directions if isinstance(size, int) and directions else None
    lead: tuple[Dim, ...] = (None,) * (1 if packed else 2)
    if x.dims is not None:
        lead = tuple(x.dims[:-1])
    return [result(x.dtype, (*lead, wide)), *[result(x.dtype, s.dims or (None,) * 3) for s in states]]


# -- ONNX --------------------------------------------------------------------------------------------------------------


class _Nodes:
    """The operators of the steps as ONNX nodes."""

    def __init__(self, e: Emitter, hidden: Dim) -> None:
        self.e, self.hidden = e, hidden

    def __call__(self, name: str, *args: Any) -> Any:
        e, x = self.e, args[0]
        if name == "aten::linear":
            return self._linear(*args)
        if name == "aten::chunk":
            sizes = {} if e.opset < 18 else {"num_outputs": args[1]}
            dims = (x.dims[0], self.hidden)
            return e.op("Split", x, outputs=args[1], axis=1, dtype=[x.dtype] * args[1], dims=dims, **sizes)
        op_type = {"add.Tensor": "Add", "sub.Tensor": "Sub", "mul.Tensor": "Mul"}.get(name[6:], name[6:].capitalize())
        tensors = [a for a in args if is_lowered(a)]
        return typed(e, op_type, x.dtype, *tensors, dims=x.dims)

    def _linear(self, x: Any, w: Any, b: Any) -> Any:
        dims = (None if x.dims is None else x.dims[0], None if w.dims is None else w.dims[0])
        if _has_gemm(x):
            return self.e.op("Gemm", x, w, b, transB=1, dims=dims)
        out = typed(self.e, "MatMul", x.dtype, x, self.e.op("Transpose", w, perm=[1, 0]), dims=dims)
        return out if b is None else typed(self.e, "Add", x.dtype, out, b, dims=dims)


def _has_gemm(x: Any) -> bool:
    """Whether onnxruntime has Gemm for that value."""
    return x.dtype.name in ("float16", "float32", "float64")


def _lower_cell(kind: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        w = call["w_hh"]
        nodes = _Nodes(e, None if w.dims is None else w.dims[1])
        into = nodes("aten::linear", call["input"], call["w_ih"], call["b_ih"])
        states = list(call["hx"]) if isinstance(call["hx"], list | tuple) else [call["hx"]]
        # Of as many rows as the input: ONNX would repeat one row.
        states[1:] = [as_large_as(e, c, states[0]) for c in states[1:]]
        found = _STEPS[kind][1](
            nodes, into, states, lambda h: as_large_as(e, nodes("aten::linear", h, w, call["b_hh"]), into)
        )
        return found[0] if len(found) == 1 else found

    return lower


#: In which order ONNX has the gates that torch has as r z n and as i f g o.
_GATES = {"gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}
_NODES = {"gru": "GRU", "lstm": "LSTM", "rnn_tanh": "RNN", "rnn_relu": "RNN"}


def _reordered(e: Emitter, kind: str, w: Any) -> Any:
    """A weight or bias with its gates in ONNX's order and one dimension before them."""
    if kind in _GATES:
        n = len(_GATES[kind])
        attributes: dict[str, Any] = {} if e.opset < 18 else {"num_outputs": n}
        parts = e.op("Split", w, outputs=n, axis=0, dtype=[w.dtype] * n, dims=(None,) * w.rank, **attributes)
        w = e.op("Concat", *[parts[k] for k in _GATES[kind]], axis=0, dims=w.dims)
    return e.op("Unsqueeze", w, ints(0), dims=None if w.dims is None else (1, *w.dims))


def _stacked(e: Emitter, values: list[Any], axis: int = 0) -> Any:
    return values[0] if len(values) == 1 else e.op("Concat", *values, axis=axis, dims=(None,) * values[0].rank)


def _layer_node(e: Emitter, kind: str, x: Any, own: list[list[Any]], states: list[Any], lengths: Any) -> Any:
    """One layer, both directions: (T, N, directions · size) and the last states (directions, N, size)."""
    w = _stacked(e, [_reordered(e, kind, d[0]) for d in own])
    r = _stacked(e, [_reordered(e, kind, d[1]) for d in own])
    b = None
    if own[0][2] is not None:
        b = _stacked(e, [_stacked(e, [_reordered(e, kind, v) for v in d[2:4]], 1) for d in own])
    size = own[0][1].dims[1]
    attributes: dict[str, Any] = {"hidden_size": size, "direction": "bidirectional" if len(own) == 2 else "forward"}
    if kind == "gru":
        attributes["linear_before_reset"] = 1
    if kind == "rnn_relu":
        attributes["activations"] = ["Relu"] * len(own)
    count = 1 + len(states)
    made = e.op(
        _NODES[kind], x, w, r, b, lengths, *states, outputs=count, dtype=[x.dtype] * count, dims=None, **attributes
    )
    y = e.op("Transpose", made[0], perm=[0, 2, 1, 3], dims=(x.dims[0], x.dims[1], len(own), size))
    y = e.op("Reshape", y, ints(0, 0, -1), dims=(x.dims[0], x.dims[1], len(own) * size))
    return y, list(made[1:])


def _lower_sequence(kind: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x, batch_first = call["input"], call["batch_first"]
        if is_lowered(batch_first):
            e.unsupported("the options of a recurrent layer must be known at export")
        states, weights, (layers, directions) = _settings(e, kind, call, x)
        if x.dims is None or len(x.dims) != 3:
            e.unsupported("a recurrent layer needs an input of three dimensions")
        return _lower_layers(e, kind, x, states, weights, (layers, directions, batch_first))

    return lower


def _settings(e: Emitter, kind: str, call: LoweredCall, x: Any) -> tuple[list[Any], list[list[Any]], tuple[int, int]]:
    """The states, the weights by layer and direction, and the numbers of both. Refuses what ONNX cannot compute."""
    states = list(call["hx"]) if isinstance(call["hx"], list | tuple) else [call["hx"]]
    flags = [call[n] for n in ("has_biases", "num_layers", "train", "bidirectional", "dropout")]
    params = call["params"]
    if any(is_lowered(f) for f in flags) or not isinstance(params, list | tuple):
        e.unsupported("the options and the list of weights of a recurrent layer must be known at export")
    biases, layers, train, bidirectional, dropout = flags
    if train and dropout and layers > 1:
        e.unsupported("dropout between recurrent layers is random in training; call eval() before exporting")
    if x.dtype.name not in ("float16", "float32"):
        e.unsupported(f"onnxruntime has no {_NODES[kind]} for {x.dtype.name}")
    directions = 2 if bidirectional else 1
    weights = _weights(params, biases, layers, directions)
    if weights[0][4] is not None:
        e.unsupported("ONNX's LSTM has no projection (proj_size)")
    if any(w[1].dims is None or not isinstance(w[1].dims[1], int) for w in weights):
        e.unsupported("the hidden size of a recurrent layer must be known when the model is exported")
    return states, weights, (layers, directions)


def _lower_packed(kind: str) -> Any:
    """Packed sequences: padded, through the layers with their lengths, and packed again."""

    def lower(e: Emitter, call: LoweredCall) -> Any:
        x = call["data"]
        states, weights, (layers, directions) = _settings(e, kind, call, x)
        found: list[Any] = []

        def steps(t: Any, data: Any, sizes: Any) -> Any:
            batch = t.item(t.select(sizes, 0, 0))
            below, places = present(t, sizes, batch)
            lengths = e.cast(t.sum(t._to_copy(below, dtype=_INT64.code), [0]), _INT32)
            count, width = t.size(sizes, 0), t.size(data, 1)
            flat = t.index_copy(t.full([batch * count, width], 0.0, dtype=t.dtype(data).code), 0, places, data)
            padded = t.reshape(flat, [count, batch, width])
            out, *last = _lower_layers(e, kind, padded, states, weights, (layers, directions, False), lengths)
            found.extend(last)
            return t.index_select(t.flatten(out, 0, 1), 0, places)

        return (lower_steps(e, steps, x, call["batch_sizes"]), *found)

    return lower


def _lower_layers(
    e: Emitter, kind: str, x: Any, states: list[Any], weights: Any, how: tuple[int, int, bool], lengths: Any = None
) -> Any:
    layers, directions, batch_first = how
    if batch_first:
        x = e.op("Transpose", x, perm=[1, 0, 2], dims=(x.dims[1], x.dims[0], x.dims[2]))
    # torch refuses no steps; of no steps, or no sequences, onnxruntime's GRU and LSTM end the process
    x = at_least(e, x, [1, 1, 0])
    last: list[list[Any]] = []
    for layer in range(layers):
        low, high = layer * directions, (layer + 1) * directions
        own = states
        if layers > 1:
            bounds = (ints(low), ints(high), ints(0))
            own = [e.op("Slice", s, *bounds, dims=(directions, *[None] * 2)) for s in states]
        x, ends = _layer_node(e, kind, x, weights[low:high], own, lengths)
        last.append(ends)
    if batch_first:
        x = e.op("Transpose", x, perm=[1, 0, 2], dims=(x.dims[1], x.dims[0], x.dims[2]))
    found = [ends[0] if layers == 1 else e.op("Concat", *ends, axis=0, dims=(layers * directions, None, None))
             for ends in ([part[k] for part in last] for k in range(len(states)))]  # fmt: skip
    return (x, *found)


# -- declarations ------------------------------------------------------------------------------------------------------

_CELL = "Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None"


def _cell_samples(kind: str, gates: int) -> Any:
    def states(make: Any) -> Any:
        return [make(2, 4), make(2, 4, seed=1)] if kind == "lstm" else make(2, 4)

    rows = 4 * gates
    return of(
        S(f4(2, 3), states(f4), f4(rows, 3), f4(rows, 4), f4(rows), f4(rows, seed=1)),
        S(f8(2, 3), states(f8), f8(rows, 3), f8(rows, 4)),
    )


def _params(make: Any, gates: int, biases: bool, layers: int, directions: int, projected: int = 0) -> list[Any]:
    found: list[Any] = []
    for k in range(layers * directions):
        real = projected or 4
        inputs = 3 if k < directions else real * directions
        found += [make(4 * gates, inputs, seed=k), make(4 * gates, real, seed=k)]
        found += [make(4 * gates, seed=k), make(4 * gates, seed=k + 9)] if biases else []
        found += [make(projected, 4)] if projected else []
    return [v * np.asarray(0.5, v.dtype) for v in found]


def _sequence_samples(kind: str, gates: int) -> Any:
    def one(make: Any, biases: bool, layers: int, both: bool, batch_first: bool, projected: int = 0) -> S:
        directions = 2 if both else 1
        h = make(layers * directions, 2, projected or 4)
        hx = [h, make(layers * directions, 2, 4, seed=1)] if kind == "lstm" else h
        x = make(2, 5, 3) if batch_first else make(5, 2, 3)
        params = _params(make, gates, biases, layers, directions, projected)
        return S(x, hx, params, biases, layers, 0.0, False, both, batch_first)

    # torch names the node of a float32 LSTM after the library that computed it, unless a transposition follows; the
    # others it transposes in place, which is another name
    lstm = kind == "lstm"
    found = [one(f4, True, 2, True, lstm), one(f4, False, 1, False, lstm), one(f8, True, 1, True, False)]
    if lstm:
        found.append(one(f8, True, 1, True, True, 2))
    return of(*found)


def _packed_samples(kind: str, gates: int) -> Any:
    def one(layers: int, both: bool, make: Any = f8) -> S:
        d = 2 if both else 1
        hx = [make(layers * d, 3, 4), make(layers * d, 3, 4, seed=1)] if kind == "lstm" else make(layers * d, 3, 4)
        return S(make(6, 3), idx(3, 2, 1), hx, _params(make, gates, True, layers, d), True, layers, 0.0, False, both)

    return of(one(1, False), one(2, True), one(2, True, f4))


for _kind, (_gates, _) in _STEPS.items():
    _hx = "Tensor[] hx" if _kind == "lstm" else "Tensor hx"
    _options = "Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional"
    _returns = "(Tensor, Tensor, Tensor)" if _kind == "lstm" else "(Tensor, Tensor)"
    declare(
        f"aten::{_kind}_cell(Tensor input, {_hx}, {_CELL}) -> {'(Tensor, Tensor)' if _kind == 'lstm' else 'Tensor'}",
        _cell(_kind),
        composite=True,
        types=_cell_types,
        onnx=_lower_cell(_kind),
        samples=_cell_samples(_kind, _gates),
    )
    declare(
        f"aten::{_kind}.input(Tensor input, {_hx}, {_options}, bool batch_first) -> {_returns}",
        _sequence(_kind),
        composite=True,
        types=_sequence_types,
        onnx=_lower_sequence(_kind),
        samples=_sequence_samples(_kind, _gates),
    )
    declare(
        f"aten::{_kind}.data(Tensor data, Tensor batch_sizes, {_hx}, {_options}) -> {_returns}",
        _packed(_kind),
        composite=True,
        types=_sequence_types,
        onnx=_lower_packed(_kind),
        samples=_packed_samples(_kind, _gates),
    )
