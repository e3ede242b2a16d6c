"""Operators that a trace shows in another form than the one that was called.

torch never records a convolution by its name, but the general one that it is made of; and its Python functions fill in
arguments (the device of a new tensor) before an operator is called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from bridge.ir import types as T
from bridge.ir.registry import Operator, find
from bridge.ir.schema import Schema

__all__ = ["constituents", "recorded_form", "taken_apart"]

Ops = Callable[..., Any]

_FACTORY = ("dtype", "layout", "device", "pin_memory")
_CONVOLUTION = re.compile(r"aten::conv(_transpose)?([123])d")


def recorded_form(operator: Operator, args: Sequence[Any]) -> tuple[Schema, list[Any]]:
    """The schema and the complete arguments under which a call is recorded."""
    schema = operator.schema
    if schema.full_name == "aten::split.sizes":
        other = find("aten::split_with_sizes")
        return (schema if other is None else other.schema), list(args)
    found = _CONVOLUTION.fullmatch(schema.name)
    if found is not None and args[0]._array.ndim == int(found[2]) + 2:  # without a batch there are more operators
        general = _general_convolution(args, bool(found[1]), int(found[2]))
        if general is not None:
            return general
    return schema, _as_bound(schema, args)


def _general_convolution(args: Sequence[Any], transposed: bool, n: int) -> tuple[Schema, list[Any]] | None:
    x, weight, bias, stride, padding = args[:5]
    if transposed:
        output_padding, groups, dilation = args[5:8]
    else:
        output_padding, (dilation, groups) = 0, args[5:7]
    sizes = [_each(v, n) for v in (stride, padding, dilation, output_padding)]
    if isinstance(padding, str):
        mode = find("aten::_convolution_mode")
        return None if mode is None else (mode.schema, [x, weight, bias, sizes[0], padding, sizes[2], groups])
    general = find("aten::_convolution")
    if general is None:
        return None
    flags = [False, False, True, True]  # of cuDNN and its like, as on a CPU
    return general.schema, [x, weight, bias, sizes[0], sizes[1], sizes[2], transposed, sizes[3], groups, *flags]


def _each(v: Any, n: int) -> Any:
    """A number (or a list of one) for each dimension."""
    if isinstance(v, str):
        return v
    values = list(v) if isinstance(v, list | tuple) else [v]
    return values * n if len(values) == 1 else values


def _as_bound(schema: Schema, args: Sequence[Any]) -> list[Any]:
    """The arguments as torch's Python functions pass them on: factories name the device and ``pin_memory``."""
    given = list(args)
    if all(n in schema.index for n in _FACTORY) and schema.name != "aten::to":
        pin, device = schema.index["pin_memory"], schema.index["device"]
        if given[pin] is None:
            given[pin] = False
        if given[device] is None and not any(isinstance(a.type, T.TensorType) for a in schema.arguments):
            given[device] = "cpu"
    elif schema.full_name == "aten::to.dtype_layout":  # torch passes all that it knows of the tensor
        if given[1] is None:
            given[1] = given[0].dtype
        if given[2] is None:
            given[2] = 0
    return given


# -- operators that a trace shows by their steps --------------------------------------------------------------------


def constituents(operator: Operator, args: Sequence[Any]) -> Callable[[Ops], Any] | None:
    """For an operator that is never recorded by itself, a function that calls what is recorded in its place."""
    found = _CELLS.get(operator.name)
    if found is not None:
        return lambda ops: found(ops, *args)
    convolution = _CONVOLUTION.fullmatch(operator.name)
    if convolution is not None and args[0]._array.ndim == int(convolution[2]) + 1:
        return lambda ops: _without_batch(ops, operator, args)
    return None


def _without_batch(ops: Ops, operator: Operator, args: Sequence[Any]) -> Any:
    batched = ops("aten::unsqueeze", args[0], 0)
    return ops("aten::squeeze.dim", ops(operator.full_name, batched, *args[1:]), 0)


def _simple_cell(activation: str) -> Callable[..., Any]:
    def cell(ops: Ops, x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
        gates = ops("aten::linear", h, w_hh, b_hh)
        return ops(activation, ops("aten::add_.Tensor", gates, ops("aten::linear", x, w_ih, b_ih), 1))

    return cell


def _lstm_cell(ops: Ops, x: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    h, c = hx
    gates = ops("aten::linear", h, w_hh, b_hh)
    gates = ops("aten::add_.Tensor", gates, ops("aten::linear", x, w_ih, b_ih), 1)
    i, f, g, o = ops("aten::unsafe_chunk", gates, 4, 1)
    i, f, g, o = [ops(f"aten::{n}_", v) for n, v in (("sigmoid", i), ("sigmoid", f), ("tanh", g), ("sigmoid", o))]
    kept = ops("aten::mul.Tensor", f, c)
    c = ops("aten::add_.Tensor", kept, ops("aten::mul.Tensor", i, g), 1)
    return ops("aten::mul.Tensor", o, ops("aten::tanh", c)), c


def _gru_cell(ops: Ops, x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    r, z, n = ops("aten::unsafe_chunk", ops("aten::linear", x, w_ih, b_ih), 3, 1)
    hr, hz, hn = ops("aten::unsafe_chunk", ops("aten::linear", h, w_hh, b_hh), 3, 1)
    r = ops("aten::sigmoid_", ops("aten::add_.Tensor", hr, r, 1))
    z = ops("aten::sigmoid_", ops("aten::add_.Tensor", hz, z, 1))
    n = ops("aten::tanh_", ops("aten::add.Tensor", n, ops("aten::mul_.Tensor", hn, r), 1))
    kept = ops("aten::mul_.Tensor", ops("aten::sub.Tensor", h, n, 1), z)
    return ops("aten::add_.Tensor", kept, n, 1)


_CELLS: dict[str, Callable[..., Any]] = {
    "aten::rnn_tanh_cell": _simple_cell("aten::tanh"), "aten::rnn_relu_cell": _simple_cell("aten::relu"),
    "aten::lstm_cell": _lstm_cell, "aten::gru_cell": _gru_cell,
}  # fmt: skip


def taken_apart(name: str) -> bool:
    """Whether calls of an operator may be recorded by their steps."""
    return name in _CELLS or _CONVOLUTION.fullmatch(name) is not None
