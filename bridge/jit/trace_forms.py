"""Operators that a trace shows in another form than the one that was called.

torch never records a convolution by its name, but the general one that it is made of; and its Python functions fill in
arguments (the device of a new tensor) before an operator is called.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bridge.ir import types as T
from bridge.ir.registry import Operator, find
from bridge.ir.schema import Schema

__all__ = ["recorded_form"]

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
