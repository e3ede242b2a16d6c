"""Parts, shapes and element types as nodes of their own, in a model each of whose statements is a node (see ``node_forms``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import DTYPES, by_code
from bridge.ir.ops.node_forms import axes_of_node, ints, number_text, scalar
from bridge.ir.readings import Default, Form, Given, Input, NodeForm, Operand, reads, with_attributes

_LAST = (1 << 63) - 1


def _same(*values: Any) -> bool:
    return all(v == values[0] for v in values)


# -- parts and shapes --------------------------------------------------------------------------------------------------


def _slice_arguments(given: Given) -> Sequence[Any] | None:
    starts, ends, axes = given.ints(1), given.ints(2), given.ints(3)
    steps = given.ints(4) if len(given) > 4 else [1]
    if not starts or not ends or not axes or not steps or not _same(1, *map(len, (starts, ends, axes, steps))):
        return None
    if steps[0] < 1 or -_LAST <= ends[0] < -(1 << 40):
        return None
    return [Input(0), axes[0], starts[0] or None, ends[0] if ends[0] != _LAST else None, steps[0]]


def _slice_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    start, end = a["start"] or 0, _LAST if a["end"] is None else a["end"]
    known = all(isinstance(v, int) for v in (a["dim"], start, end, a["step"]))
    if not known or opset < 10 or not isinstance(a["self"], Operand):
        return None
    step = Default("steps", ints(1)) if a["step"] == 1 else ints(a["step"])
    return NodeForm("Slice", [a["self"], ints(start), ints(end), ints(a["dim"]), step], {})


def _select_arguments(given: Given) -> Sequence[Any] | None:
    index = given.constants[1]
    plain = index is not None and index.ndim == 0 and index.dtype == np.int64
    return [Input(0), given.attributes.get("axis", 0), int(index)] if plain and index is not None else None


def _select_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    if not isinstance(a["index"], int) or not isinstance(a["self"], Operand):
        return None
    return NodeForm("Gather", [a["self"], np.array(a["index"], np.int64)], {"axis": a["dim"]})


def _index_arguments(given: Given) -> Sequence[Any] | None:
    axis, dtype = given.attributes.get("axis", 0), given.dtypes[1]
    if dtype is None or dtype.name not in ("int64", "int32") or not 0 <= axis < 4:
        return None
    return [Input(0), [*[None] * axis, Input(1)]]


def _index_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    *before, index = a["indices"]
    if any(i is not None for i in before) or not isinstance(index, Operand) or index.dtype.kind != "i":
        return None
    return NodeForm("Gather", [a["self"], index], {"axis": len(before)})


def _squeeze_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    axes = a["dim"] if isinstance(a["dim"], list) else [a["dim"]]
    return _with_axes("Squeeze", a["self"], axes, opset)


def _with_axes(op_type: str, x: Any, axes: Sequence[int], opset: int) -> NodeForm:
    if opset < 13:
        return NodeForm(op_type, [x], {"axes": list(axes)})
    return NodeForm(op_type, [x, ints(*axes)], {})


def _one_axis(given: Given) -> Sequence[Any] | None:
    axes = axes_of_node(given)
    return [Input(0), axes[0]] if axes is not None and len(axes) == 1 else None


def _some_axes(given: Given) -> Sequence[Any] | None:
    axes = axes_of_node(given)
    return None if axes is None else [Input(0), axes]


reads("Slice", "aten::slice.Tensor", _slice_arguments, since=10, form=_slice_form)
reads("Gather", "aten::select.int", _select_arguments, since=1, form=_select_form)
reads("Gather", "aten::index.Tensor", _index_arguments, since=1, form=_index_form)
reads("Squeeze", "aten::squeeze.dim", _one_axis, since=1, form=_squeeze_form)
reads("Squeeze", "aten::squeeze.dims", _some_axes, since=1, form=_squeeze_form)
reads(
    "Unsqueeze",
    "aten::unsqueeze",
    _one_axis,
    since=1,
    form=lambda a, opset: _with_axes("Unsqueeze", a["self"], [a["dim"]], opset),
)


def _cast_arguments(given: Given) -> Sequence[Any] | None:
    number = given.attributes.get("to")
    found = next((t for t in DTYPES if t.onnx == number and t.native), None)
    return None if found is None else [Input(0), found.code]


def _cast_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    plain = a["memory_format"] is None and not a["copy"] and not a["non_blocking"]
    return NodeForm("Cast", [a["self"]], {"to": by_code(a["dtype"]).onnx}) if plain else None


reads("Cast", "aten::to.dtype", _cast_arguments, since=6, form=_cast_form)


def _softmax_arguments(given: Given) -> Sequence[Any] | None:
    """Before version 13 a softmax is over all dimensions from the axis on: the same where that is the last one."""
    axis, rank = given.attributes.get("axis", 1), given.rank(0)
    return [Input(0), axis] if axis == -1 or (rank is not None and axis == rank - 1) else None


def _softmax_form(op_type: str) -> Form:
    def form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
        x, axis = a["self"], a["dim"]
        last = axis == -1 or (x.rank is not None and axis == x.rank - 1)
        if a["dtype"] is not None or x.dtype.kind != "f" or (opset < 13 and not last):
            return None
        return NodeForm(op_type, [x], {"axis": axis})

    return form


for _op, _name in (("Softmax", "softmax"), ("LogSoftmax", "log_softmax")):
    reads(_op, f"aten::{_name}.int", lambda given: [Input(0), given.attributes.get("axis", -1)], since=13)
    reads(_op, f"aten::{_name}.int", _softmax_arguments, since=1, form=_softmax_form(_op))


def _swap(given: Given) -> Sequence[Any] | None:
    """Two dimensions that change places."""
    perm = given.attributes.get("perm", ())
    moved = [i for i, p in enumerate(perm) if i != p]
    return [Input(0), *moved] if len(moved) == 2 and given.rank(0) == len(perm) else None


def _swap_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    x, i, j = a["self"], a["dim0"], a["dim1"]
    if x.rank is None or not (0 <= i < x.rank and 0 <= j < x.rank):
        return None
    perm = list(range(x.rank))
    perm[i], perm[j] = j, i
    return NodeForm("Transpose", [x], {"perm": perm})


def _pad_arguments(given: Given) -> Sequence[Any] | None:
    pads, mode = given.ints(1), given.attributes.get("mode", "constant")
    rank = given.rank(0)
    value = given.number(2) if len(given) > 2 else 0.0
    if pads is None or rank is None or len(pads) != 2 * rank or mode == "wrap" or len(given) > 3 or value is None:
        return None
    pairs = list(zip(pads[:rank], pads[rank:], strict=True))
    while pairs and pairs[0] == (0, 0):
        pairs.pop(0)
    if mode != "constant" and (not pairs or not rank - 2 <= len(pairs) <= rank or rank not in (2, 3, 4)):
        return None
    listed = [p for pair in reversed(pairs) for p in pair]
    if mode != "constant":
        return [Input(0), listed, {"edge": "replicate"}.get(mode, mode)]
    return [Input(0), listed, "constant", value] if value else [Input(0), listed]


def _pad_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    x, listed = a["self"], list(a["pad"])
    if opset < 11 or x.rank is None or len(listed) > 2 * x.rank or not all(isinstance(p, int) for p in listed):
        return None
    listed += [0] * (2 * x.rank - len(listed))
    pads = ints(*listed[-2::-2], *listed[-1::-2])
    mode = {"replicate": "edge"}.get(a["mode"], a["mode"])
    inputs: list[Any] = [x, pads]
    if a["value"]:
        inputs.append(scalar(x, a["value"]))
    elif mode == "constant":
        inputs.append(Default("constant_value", scalar(x, 0)))
    return NodeForm("Pad", inputs, {"mode": mode})


reads("Transpose", "aten::transpose.int", _swap, since=1, form=_swap_form)
reads("Transpose", "aten::permute", with_attributes("perm"), since=1)
reads("Pad", "aten::pad", _pad_arguments, since=11, form=_pad_form)


def _split_arguments(given: Given) -> Sequence[Any] | None:
    listed = given.attributes.get("split") or given.ints(1)
    return [Input(0), list(listed), given.attributes.get("axis", 0)] if listed else None


def _split_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    sizes = list(a["split_sizes"] if "split_sizes" in a else a["split_size"])
    if opset < 13:
        return NodeForm("Split", [a["self"]], {"axis": a["dim"], "split": sizes})
    return NodeForm("Split", [a["self"], ints(*sizes)], {"axis": a["dim"]})


def _chunk_arguments(given: Given) -> Sequence[Any] | None:
    plain = len(given) == 1 and "split" not in given.attributes
    return [Input(0), given.results, given.attributes.get("axis", 0)] if plain and given.results > 1 else None


def _chunk_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    return NodeForm("Split", [a["self"]], {"axis": a["dim"], **({"num_outputs": a["chunks"]} if opset >= 18 else {})})


for _overload in ("", ".sizes"):  # what is written as either is compiled as the first that fits
    reads("Split", f"aten::split{_overload}", _split_arguments, since=1, form=_split_form)
reads("Split", "aten::chunk", _chunk_arguments, since=1, form=_chunk_form)


def _truncated(given: Given) -> bool:
    return len(given) == 2 and given.dtypes[0] is not None and given.dtypes[0].kind == "i"


reads(
    "Div",
    "aten::div.Scalar_mode",
    lambda given: [Input(0), n, "trunc"] if _truncated(given) and (n := given.number(1)) is not None else None,
    since=7,
)
reads(
    "Div",
    "aten::div.Tensor_mode",
    lambda given: [Input(0), Input(1), "trunc"] if _truncated(given) else None,
    since=7,
)
reads(
    "CumSum",
    "aten::cumsum",
    lambda given: [Input(0), int(axis)] if (axis := given.constants[1]) is not None and axis.ndim == 0 else None,
    since=11,
)


def _resize_arguments(mode: str) -> Callable[[Given], Sequence[Any] | None]:
    def arguments(given: Given) -> Sequence[Any] | None:
        scales = given.constants[2] if len(given) == 3 else None
        if scales is None or scales.dtype != np.float32 or scales.shape != (4,) or (scales[:2] != 1).any():
            return None
        factors = [number_text(float(s)) for s in scales[2:]]
        return [Input(0), None, factors] if mode == "nearest" else [Input(0), None, False, factors]

    return arguments


def _resize_form(mode: str, how: str) -> Form:
    def form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
        factors = a["scale_factors"]
        if opset < 11 or a["output_size"] is not None or factors is None or a.get("align_corners"):
            return None
        scales = np.array([1, 1, *factors], np.float32)
        attributes = {"mode": mode, "coordinate_transformation_mode": how}
        if mode == "nearest":
            attributes["nearest_mode"] = "floor"
        return NodeForm("Resize", [a["input"], Default("roi", np.empty(0, np.float32)), scales], attributes)

    return form


for _mode, _name, _how in (("nearest", "nearest", "asymmetric"), ("linear", "bilinear", "half_pixel")):
    reads(
        "Resize",
        f"aten::upsample_{_name}2d.vec",
        _resize_arguments(_mode),
        since=11,
        form=_resize_form(_mode, _how),
    )
