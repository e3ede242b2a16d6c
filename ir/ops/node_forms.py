"""Operators that a model of single nodes has as a node of their own, where lowering takes more care than the node does.

An imported model's ``Clip`` is what a person writes as ``torch.clamp``, although our lowering of ``clamp`` is ``Max`` and
``Min`` because onnxruntime's ``Clip`` loses not-a-numbers. In a program that is such a model printed (``Graph.exact``), the operator
is the node: each declaration says which arguments a node gives, and which node arguments give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.ir.readings import Form, Given, Input, NodeForm, Operand, number_of, reads


def ints(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)


def scalar(x: Operand, value: Any) -> np.ndarray[Any, Any]:
    return np.array(value, x.dtype.numpy)


def _bool(given: Given, name: str, default: int) -> bool:
    return bool(given.attributes.get(name, default))


def number_text(value: float) -> float:
    """An attribute as a person would write it."""
    found = number_of(np.asarray(value, np.float32))
    return value if found is None else found


__all__ = ["axes_of_node", "ints", "number_text", "scalar"]

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
    momentum = round(1 - number_text(given.attributes.get("momentum", 0.9)), 7)
    return [*map(Input, range(5)), False, momentum, number_text(given.attributes.get("epsilon", 1e-5)), False]


def _batch_norm_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    given = [a[n] for n in ("input", "weight", "bias", "running_mean", "running_var")]
    if a["training"] or None in given:
        return None
    return NodeForm("BatchNormalization", given, {"epsilon": float(a["eps"]), "momentum": 1 - a["momentum"]})


def _instance_norm_arguments(given: Given) -> Sequence[Any] | None:
    eps = number_text(given.attributes.get("epsilon", 1e-5))
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
    return [Input(0), list(scale), Input(1), bias, number_text(given.attributes.get("epsilon", 1e-5))]


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
    return NodeForm("Clip", [x, *[None if e is None else scalar(x, e) for e in ends]], {})


def _relu6_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    x = a["self"]
    return NodeForm("Clip", [x, scalar(x, 0), scalar(x, 6)], {}) if opset >= 11 and x.dtype.kind == "f" else None


def _pow_form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
    x, exponent = a["self"], a["exponent"]
    if not isinstance(x, Operand) or x.dtype.kind != "f" or not isinstance(exponent, float):
        return None
    return NodeForm("Pow", [x, scalar(x, exponent)], {})


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
    lambda given: [Input(0), number_text(given.attributes.get("alpha", 1.0))],
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


def axes_of_node(given: Given) -> list[int] | None:
    axes = given.attributes.get("axes") or given.ints(1)
    return list(axes) if axes else None


def _reduced_arguments(given: Given) -> Sequence[Any] | None:
    axes = axes_of_node(given)
    return None if axes is None else [Input(0), axes, _bool(given, "keepdims", 1)]


def _reduced_form(op_type: str, takes: Callable[[Operand], bool], since: int = 18) -> Form:
    """``since``: the version from which on the axes are an input."""

    def form(a: Mapping[str, Any], opset: int) -> NodeForm | None:
        if not takes(a["self"]) or not a["dim"] or a.get("dtype") is not None:
            return None
        attributes = {"keepdims": int(a["keepdim"])}
        if opset < since:
            return NodeForm(op_type, [a["self"]], {**attributes, "axes": list(a["dim"])})
        return NodeForm(op_type, [a["self"], ints(*a["dim"])], attributes)

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
