"""Operators that a model of single nodes has as a node of their own, where lowering takes more care than the node does.

An imported model's ``Clip`` is what a person writes as ``torch.clamp``, although our lowering of ``clamp`` is ``Max`` and
``Min`` because onnxruntime's ``Clip`` loses not-a-numbers. In a program that is such a model printed (``Graph.exact``), the operator
is the node: each declaration says which arguments a node gives, and which node arguments give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import DTYPES, by_code
from bridge.ir.readings import Default, Form, Given, Input, NodeForm, Operand, number_of, reads, with_attributes

_LAST = (1 << 63) - 1


def _ints(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)


def _scalar(x: Operand, value: Any) -> np.ndarray[Any, Any]:
    return np.array(value, x.dtype.numpy)


def _same(*values: Any) -> bool:
    return all(v == values[0] for v in values)


def _bool(given: Given, name: str, default: int) -> bool:
    return bool(given.attributes.get(name, default))


def _number(value: float) -> float:
    """An attribute as a person would write it."""
    found = number_of(np.asarray(value, np.float32))
    return value if found is None else found


# -- convolutions and pooling ------------------------------------------------------------------------------------------


def _plain_window(given: Given) -> bool:
    return bool(given.attributes.get("auto_pad", "NOTSET") == "NOTSET")


def _padding(given: Given, n: int) -> list[int] | None:
    """Padding that is the same at both ends."""
    pads = given.attributes.get("pads", [0] * (2 * n))
    return list(pads[:n]) if len(pads) == 2 * n and pads[:n] == pads[n:] else None


def _conv_arguments(n: int) -> Callable[[Given], Sequence[Any] | None]:
    def arguments(given: Given) -> Sequence[Any] | None:
        padding = _padding(given, n)
        if given.rank(1) != n + 2 or padding is None or not _plain_window(given):
            return None
        strides, dilations = (given.attributes.get(name, [1] * n) for name in ("strides", "dilations"))
        bias = Input(2) if len(given) > 2 else None
        return [Input(0), Input(1), bias, strides, padding, dilations, given.attributes.get("group", 1)]

    return arguments


def _window(a: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"strides": list(a["stride"]), "pads": list(a["padding"]) * 2, "dilations": list(a["dilation"]), **more}


def _weight(a: Mapping[str, Any], n: int) -> dict[str, Any] | None:
    w = a["weight"]
    if not isinstance(w, Operand) or w.dims is None or len(w.dims) != n + 2:
        return None
    kernel = w.dims[2:]
    return {"group": a["groups"]} | ({"kernel_shape": list(kernel)} if None not in kernel else {})


def _conv_form(n: int) -> Form:
    def form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
        told = _weight(a, n)
        return None if told is None else NodeForm("Conv", [a["input"], a["weight"], a["bias"]], _window(a, **told))

    return form


def _transposed_arguments(n: int) -> Callable[[Given], Sequence[Any] | None]:
    def arguments(given: Given) -> Sequence[Any] | None:
        found = _conv_arguments(n)(given)
        if found is None or "output_shape" in given.attributes:
            return None
        *head, dilations, group = found
        return [*head, given.attributes.get("output_padding", [0] * n), group, dilations]

    return arguments


def _transposed_form(n: int) -> Form:
    def form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
        told = _weight(a, n)
        if told is None:
            return None
        attributes = _window(a, **told, output_padding=list(a["output_padding"]))
        if not any(attributes["output_padding"]):
            del attributes["output_padding"]
        return NodeForm("ConvTranspose", [a["input"], a["weight"], a["bias"]], attributes)

    return form


def _pool_arguments(n: int, average: bool) -> Callable[[Given], Sequence[Any] | None]:
    def arguments(given: Given) -> Sequence[Any] | None:
        kernel, padding = given.attributes["kernel_shape"], _padding(given, n)
        if len(kernel) != n or padding is None or not _plain_window(given) or given.results != 1:
            return None
        if _bool(given, "ceil_mode", 0) or any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            return None
        strides, dilations = (given.attributes.get(name, [1] * n) for name in ("strides", "dilations"))
        if average:
            plain = dilations == [1] * n
            return [Input(0), kernel, strides, padding, False, _bool(given, "count_include_pad", 0)] if plain else None
        return [Input(0), kernel, strides, padding, dilations]

    return arguments


def _max_pool_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    if a["ceil_mode"]:
        return None
    kernel = list(a["kernel_size"])
    stride = list(a["stride"]) or kernel
    return NodeForm("MaxPool", [a["self"]], _window({**a, "stride": stride}, kernel_shape=kernel))


def _average_pool_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    if a["ceil_mode"] or a.get("divisor_override") is not None:
        return None
    kernel = list(a["kernel_size"])
    attributes = {
        "kernel_shape": kernel,
        "strides": list(a["stride"]) or kernel,
        "pads": list(a["padding"]) * 2,
        "count_include_pad": int(a["count_include_pad"]),
    }
    return NodeForm("AveragePool", [a["self"]], attributes)


def _global_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    return NodeForm("GlobalAveragePool", [a["self"]], {}) if set(a["output_size"]) == {1} else None


for _n in (1, 2, 3):
    reads("Conv", f"aten::conv{_n}d", _conv_arguments(_n), since=1, form=_conv_form(_n))
    reads(
        "ConvTranspose",
        f"aten::conv_transpose{_n}d{'.input' if _n > 1 else ''}",
        _transposed_arguments(_n),
        since=1,
        form=_transposed_form(_n),
    )
    reads("MaxPool", f"aten::max_pool{_n}d", _pool_arguments(_n, False), since=1, form=_max_pool_form)
    reads("AveragePool", f"aten::avg_pool{_n}d", _pool_arguments(_n, True), since=7, form=_average_pool_form)
    reads(
        "GlobalAveragePool",
        f"aten::adaptive_avg_pool{_n}d",
        lambda given, n=_n: [Input(0), [1] * n] if given.rank(0) == n + 2 else None,  # type: ignore[misc]
        since=1,
        form=_global_form,
    )


# -- normalisation -----------------------------------------------------------------------------------------------------


def _batch_norm_arguments(given: Given) -> Sequence[Any] | None:
    if len(given) != 5 or given.results != 1 or given.attributes.get("training_mode", 0):
        return None
    momentum = round(1 - _number(given.attributes.get("momentum", 0.9)), 7)
    return [*map(Input, range(5)), False, momentum, _number(given.attributes.get("epsilon", 1e-5)), False]


def _batch_norm_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    given = [a[n] for n in ("input", "weight", "bias", "running_mean", "running_var")]
    if a["training"] or None in given:
        return None
    return NodeForm("BatchNormalization", given, {"epsilon": float(a["eps"]), "momentum": 1 - a["momentum"]})


def _instance_norm_arguments(given: Given) -> Sequence[Any] | None:
    eps = _number(given.attributes.get("epsilon", 1e-5))
    return [*map(Input, range(3)), None, None, True, 0.1, eps, False] if len(given) == 3 else None


def _instance_norm_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    given = [a["input"], a["weight"], a["bias"]]
    if None in given or a["running_mean"] is not None or not a["use_input_stats"]:
        return None
    return NodeForm("InstanceNormalization", given, {"epsilon": float(a["eps"])})


def _layer_norm_arguments(given: Given) -> Sequence[Any] | None:
    """Over the last dimensions, whose sizes the scale tells."""
    scale = given.shapes[1] if len(given) > 1 else None
    if scale is None or None in scale or given.attributes.get("axis", -1) != -len(scale) or given.results != 1:
        return None
    bias = Input(2) if len(given) > 2 else None
    return [Input(0), list(scale), Input(1), bias, _number(given.attributes.get("epsilon", 1e-5))]


def _layer_norm_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    if a["weight"] is None or opset < 17:
        return None
    attributes = {"axis": -len(a["normalized_shape"]), "epsilon": float(a["eps"])}
    return NodeForm("LayerNormalization", [a["input"], a["weight"], a["bias"]], attributes)


reads("BatchNormalization", "aten::batch_norm", _batch_norm_arguments, since=7, form=_batch_norm_form)
reads("InstanceNormalization", "aten::instance_norm", _instance_norm_arguments, since=6, form=_instance_norm_form)
reads("LayerNormalization", "aten::layer_norm", _layer_norm_arguments, since=17, form=_layer_norm_form)


# -- activations -------------------------------------------------------------------------------------------------------


def _clip_arguments(given: Given) -> Sequence[Any] | None:
    ends = [given.number(i) if i < len(given) else None for i in (1, 2)]
    wanted = [i < len(given) and given.dtypes[i] is not None for i in (1, 2)]
    if any(w and e is None for w, e in zip(wanted, ends, strict=True)) or ends == [None, None]:
        return None
    return [Input(0), *ends] if ends[1] is not None else [Input(0), ends[0]]


def _clip_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    x = a["self"]
    ends = [a[n] for n in ("min", "max")]
    if opset < 11 or not isinstance(x, Operand) or not all(isinstance(e, int | float | None) for e in ends):
        return None
    return NodeForm("Clip", [x, *[None if e is None else _scalar(x, e) for e in ends]], {})


def _relu6_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    x = a["self"]
    return NodeForm("Clip", [x, _scalar(x, 0), _scalar(x, 6)], {}) if opset >= 11 and x.dtype.kind == "f" else None


def _pow_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    x, exponent = a["self"], a["exponent"]
    if not isinstance(x, Operand) or x.dtype.kind != "f" or not isinstance(exponent, float):
        return None
    return NodeForm("Pow", [x, _scalar(x, exponent)], {})


reads(
    "Clip",
    "aten::relu6",
    lambda given: [Input(0)] if len(given) == 3 and (given.number(1), given.number(2)) == (0.0, 6.0) else None,
    since=11,
    form=_relu6_form,
)
reads("Clip", "aten::clamp", _clip_arguments, since=11, form=_clip_form)
reads(
    "HardSigmoid",
    "aten::hardsigmoid",
    lambda given: [Input(0)],
    since=6,
    form=lambda a, opset: NodeForm("HardSigmoid", [a["self"]], {"alpha": 1 / 6, "beta": 0.5}),
)
reads(
    "Elu",
    "aten::elu",
    lambda given: [Input(0), _number(given.attributes.get("alpha", 1.0))],
    since=6,
    form=lambda a, opset: (
        NodeForm("Elu", [a["self"]], {"alpha": float(a["alpha"])}) if a["scale"] == a["input_scale"] == 1 else None
    ),
)
reads("Identity", "aten::clone", since=1)
reads(
    "Pow",
    "aten::pow.Tensor_Scalar",
    lambda given: [Input(0), given.number(1)] if len(given) == 2 and isinstance(given.number(1), float) else None,
    since=7,
    form=_pow_form,
)
reads("Pow", "aten::pow.Tensor_Tensor", since=7)


def _dropout_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    if a["train"]:
        return None
    if opset < 12:
        return NodeForm("Dropout", [a["input"]], {"ratio": float(a["p"])})
    return NodeForm("Dropout", [a["input"], np.array(a["p"], np.float32)], {})


def _dropout_arguments(given: Given) -> Sequence[Any] | None:
    ratio = given.number(1) if len(given) == 2 else given.attribute("ratio") if len(given) == 1 else None
    return [Input(0), ratio, False] if ratio is not None and given.results == 1 else None


reads("Dropout", "aten::dropout", _dropout_arguments, since=7, form=_dropout_form)


# -- reductions --------------------------------------------------------------------------------------------------------


def _axes(given: Given) -> list[int] | None:
    axes = given.attributes.get("axes") or given.ints(1)
    return list(axes) if axes else None


def _reduced_arguments(given: Given) -> Sequence[Any] | None:
    axes = _axes(given)
    return None if axes is None else [Input(0), axes, _bool(given, "keepdims", 1)]


def _reduced_form(op_type: str, takes: Callable[[Operand], bool], since: int = 18) -> Form:
    """``since``: the version from which on the axes are an input."""

    def form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
        if not takes(a["self"]) or not a["dim"] or a.get("dtype") is not None:
            return None
        attributes = {"keepdims": int(a["keepdim"])}
        if opset < since:
            return NodeForm(op_type, [a["self"]], {**attributes, "axes": list(a["dim"])})
        return NodeForm(op_type, [a["self"], _ints(*a["dim"])], attributes)

    return form


def _float(x: Operand) -> bool:
    return x.dtype.kind == "f"


def _kept_by_sum(x: Operand) -> bool:
    return x.dtype.kind == "f" or x.dtype.name == "int64"


reads("ReduceMean", "aten::mean.dim", _reduced_arguments, since=1, form=_reduced_form("ReduceMean", _float))
reads(
    "ReduceSum", "aten::sum.dim_IntList", _reduced_arguments, since=1, form=_reduced_form("ReduceSum", _kept_by_sum, 13)
)
reads("ReduceMax", "aten::amax", _reduced_arguments, since=1, form=_reduced_form("ReduceMax", _kept_by_sum))
reads("ReduceMin", "aten::amin", _reduced_arguments, since=1, form=_reduced_form("ReduceMin", _kept_by_sum))
reads(
    "ReduceProd",
    "aten::prod",
    lambda given: [Input(0)] if len(given) == 1 and "axes" not in given.attributes else None,
    since=1,
    form=lambda a, opset: (
        NodeForm("ReduceProd", [a["self"]], {"keepdims": 0}) if a["dtype"] is None and _kept_by_sum(a["self"]) else None
    ),
)


def _arg_form(op_type: str) -> Form:
    def form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
        if a["dim"] is None:
            return None
        return NodeForm(op_type, [a["self"]], {"axis": a["dim"], "keepdims": int(a["keepdim"])})

    return form


for _op, _name in (("ArgMax", "argmax"), ("ArgMin", "argmin")):
    reads(
        _op,
        f"aten::{_name}",
        lambda given: [Input(0), given.attributes.get("axis", 0), _bool(given, "keepdims", 1)],
        since=1,
        form=_arg_form(_op),
    )


# -- products ----------------------------------------------------------------------------------------------------------


def _linear_arguments(given: Given) -> Sequence[Any] | None:
    plain = given.attributes.get("alpha", 1.0) == given.attributes.get("beta", 1.0) == 1.0
    if not plain or given.rank(1) != 2 or not given.attributes.get("transB"):
        return None
    return [Input(0), Input(1), *([Input(2)] if len(given) == 3 else [])]


def _linear_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    w, b = a["weight"], a["bias"]
    if not isinstance(w, Operand) or w.rank != 2 or (b is not None and b.rank != 1) or a["input"].rank not in (2, None):
        return None
    if b is None and opset < 11:
        return None
    return NodeForm("Gemm", [a["input"], w, b], {"transB": 1})


reads("Gemm", "aten::linear", _linear_arguments, since=7, form=_linear_form)


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
    step = Default("steps", _ints(1)) if a["step"] == 1 else _ints(a["step"])
    return NodeForm("Slice", [a["self"], _ints(start), _ints(end), _ints(a["dim"]), step], {})


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
    return NodeForm(op_type, [x, _ints(*axes)], {})


def _one_axis(given: Given) -> Sequence[Any] | None:
    axes = _axes(given)
    return [Input(0), axes[0]] if axes is not None and len(axes) == 1 else None


def _some_axes(given: Given) -> Sequence[Any] | None:
    axes = _axes(given)
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
    pads = _ints(*listed[-2::-2], *listed[-1::-2])
    mode = {"replicate": "edge"}.get(a["mode"], a["mode"])
    inputs: list[Any] = [x, pads]
    if a["value"]:
        inputs.append(_scalar(x, a["value"]))
    elif mode == "constant":
        inputs.append(Default("constant_value", _scalar(x, 0)))
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
    return NodeForm("Split", [a["self"], _ints(*sizes)], {"axis": a["dim"]})


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
        factors = [_number(float(s)) for s in scales[2:]]
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
