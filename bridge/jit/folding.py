"""Batch normalisation behind a convolution or a linear layer, in a frozen graph: its numbers go into the layer's weights.

After torch's ``frozen_conv_folding.cpp`` and ``frozen_linear_folding.cpp``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.graph import Graph, Node
from bridge.ir.passes.constants import NOT_CONSTANT, constant_value, insert_constant
from bridge.ir.types import TENSOR

__all__ = ["fold_batch_norms"]

_Array = np.ndarray[Any, Any]
#: Layers, and the dimension of their weight that the channels of the result are.
_LAYERS = {
    "aten::linear": 0, "aten::conv1d": 0, "aten::conv2d": 0, "aten::conv3d": 0, "aten::_convolution": 0, "aten::conv_transpose1d": 1,
    "aten::conv_transpose2d": 1, "aten::conv_transpose3d": 1,
}  # fmt: skip


def fold_batch_norms(graph: Graph) -> None:
    """Each one that does not train, whose numbers are constants, and whose input nothing else uses."""
    for n in list(graph.all_nodes()):
        if n.kind == "aten::batch_norm":
            _fold(graph, n)


def _fold(graph: Graph, norm: Node) -> None:
    layer = norm.inputs[0].node
    axis = _LAYERS.get(layer.kind)
    if axis is None or norm.inputs[0].use_count != 1:
        return
    if layer.kind == "aten::linear" and len(getattr(norm.inputs[0].type, "dims", None) or ()) != 2:
        return  # the channels are the last dimension only of a matrix
    known = [constant_value(v) for v in (*norm.inputs[1:], *layer.inputs[1:])]
    if any(k is NOT_CONSTANT for k in known):
        return
    gain, shift, mean, variance, training, _, epsilon, _ = known[:8]
    weight, bias = known[8:10]
    if training or mean is None or variance is None or not isinstance(weight, np.ndarray):
        return
    if layer.kind == "aten::_convolution" and known[13]:
        axis = 1
    if (axis == 1 and known[13 if layer.kind != "aten::_convolution" else 15] != 1) or weight.dtype != variance.dtype:
        return  # the channels of a group are not in order; mixed precision is left alone
    scale = 1 / np.sqrt(variance + variance.dtype.type(epsilon))
    if gain is not None:
        scale = scale * gain
    before: _Array = np.zeros_like(mean) if bias is None else bias
    after = (before - mean) * scale + (0 if shift is None else shift)
    shape = [1] * weight.ndim
    shape[axis] = -1
    names = [v.debug_name if v.has_debug_name else "" for v in layer.inputs[1:3]]
    base = names[0].removesuffix(".weight") if names[0].endswith(".weight") else ""
    with graph.inserting(layer):
        new = (weight * scale.reshape(shape)).astype(weight.dtype), after.astype(weight.dtype)
        for i, (array, what) in enumerate(zip(new, ("weight", "bias"), strict=True)):
            made = insert_constant(graph, array, TENSOR)
            assert made is not None
            if base:
                made.set_debug_name(f"{base}.{what}_fused_bn")
            layer.replace_input(i + 1, made)
    norm.output.replace_all_uses_with(norm.inputs[0])
    norm.destroy()
