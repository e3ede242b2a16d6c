"""What to do with a node where a newer version of its operator says things otherwise, up and down, one step at a time.

A step of a version whose differences are only additions (types, optional inputs, attributes with defaults that mean what was
meant before) has no entry here: :func:`default_step` does it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TensorProto, TypeProto, helper

__all__ = ["DOWN", "UP", "Cannot", "Context", "default_step"]


class Cannot(Exception):
    """A node has no form in the version that is asked for; says why."""


class Context(Protocol):
    """What a step may ask for and make."""

    def type(self, name: str) -> TypeProto.Tensor | None:
        """The tensor type of a value, where it is known."""

    def constant(self, name: str) -> np.ndarray[Any, Any] | None:
        """The value of an initializer or of a Constant node, where a value is one."""

    def make(self, value: np.ndarray[Any, Any], like: str) -> str:
        """The name of a new constant."""

    def fresh(self, like: str) -> str:
        """A name for a new value."""


@dataclass
class Edit:
    """A node that is being changed, with nodes before and after it."""

    node: NodeProto
    context: Context
    before: list[NodeProto] = field(default_factory=list)
    after: list[NodeProto] = field(default_factory=list)

    def attribute(self, name: str, default: Any = None) -> Any:
        """The value of an attribute. Raises Cannot for one that refers to an attribute of a function."""
        for a in self.node.attribute:
            if a.name == name:
                if a.ref_attr_name:
                    raise Cannot(f"its attribute '{name}' is one of the function that it is in")
                return helper.get_attribute_value(a)
        return default

    def drop(self, name: str) -> None:
        kept = [a for a in self.node.attribute if a.name != name]
        del self.node.attribute[:]
        self.node.attribute.extend(kept)

    def set(self, name: str, value: Any) -> None:
        self.drop(name)
        self.node.attribute.append(helper.make_attribute(name, value))

    def set_input(self, index: int, name: str) -> None:
        """Give an input that may be left out; those before it are left out where they are not there."""
        while len(self.node.input) <= index:
            self.node.input.append("")
        self.node.input[index] = name

    def input(self, index: int) -> str:
        return self.node.input[index] if index < len(self.node.input) else ""

    def drop_inputs(self, start: int) -> None:
        del self.node.input[start:]
        while self.node.input and not self.node.input[-1]:
            self.node.input.pop()

    def to_input(self, attribute: str, index: int, dtype: Any, default: Any = None) -> None:
        """An attribute becomes an input."""
        value = self.attribute(attribute, default)
        self.drop(attribute)
        if value is not None:
            self.set_input(index, self.context.make(np.asarray(value, dtype), attribute))

    def to_attribute(self, index: int, attribute: str) -> None:
        """An input becomes an attribute. Raises Cannot where its value is computed."""
        name = self.input(index)
        if name:
            value = self.context.constant(name)
            if value is None:
                raise Cannot(f"its input '{attribute}' is computed, and must be an attribute there")
            self.set(attribute, value.tolist())
        self.drop_inputs(index)

    def rank(self) -> int | None:
        t = self.context.type(self.node.input[0])
        return len(t.shape.dim) if t is not None and t.HasField("shape") else None

    def dtype(self) -> np.dtype[Any]:
        """The element type of the first input. Raises Cannot where it is not known."""
        t = self.context.type(self.node.input[0])
        if t is None or not t.elem_type:
            raise Cannot("the element type of its input is not known")
        return np.dtype(helper.tensor_dtype_to_np_dtype(t.elem_type))


Step = Callable[[Edit], None]
UP: dict[tuple[str, int], Step] = {}
DOWN: dict[tuple[str, int], Step] = {}


def _up(version: int, *ops: str) -> Callable[[Step], Step]:
    def note(step: Step) -> Step:
        UP.update({(op, version): step for op in ops})
        return step

    return note


def _down(version: int, *ops: str) -> Callable[[Step], Step]:
    def note(step: Step) -> Step:
        DOWN.update({(op, version): step for op in ops})
        return step

    return note


# -- all others ----------------------------------------------------------------------------------------------------------


def default_step(e: Edit, older: onnx.defs.OpSchema, newer: onnx.defs.OpSchema, up: bool) -> None:
    """From a version to the next where one only adds to the other. Raises Cannot where the node uses what was added."""
    if up:
        gone = [a.name for a in e.node.attribute if a.name not in newer.attributes]
        if gone:
            raise Cannot(f"its attribute '{gone[0]}' is not there any more")
        return
    variadic = bool(older.inputs) and older.inputs[-1].option == onnx.defs.OpSchema.FormalParameterOption.Variadic
    if not variadic:
        more = [i for i, name in enumerate(e.node.input) if i >= len(older.inputs) and name]
        if more:
            raise Cannot(f"it has the input '{newer.inputs[more[0]].name}'")
        e.drop_inputs(len(older.inputs))
        for i, formal in enumerate(older.inputs):
            if formal.option == onnx.defs.OpSchema.FormalParameterOption.Single and not e.input(i):
                raise Cannot(f"its input '{formal.name}' may not be left out there")
    if len(e.node.output) > older.max_output:
        raise Cannot(f"it has {len(e.node.output)} outputs")
    for a in list(e.node.attribute):
        if a.name in older.attributes:
            continue
        declared = newer.attributes.get(a.name)
        default = declared.default_value if declared is not None else AttributeProto()
        if a.ref_attr_name or not default.name or e.attribute(a.name) != helper.get_attribute_value(default):
            raise Cannot(f"its attribute '{a.name}' is not there yet")
        e.drop(a.name)


# -- attributes that became inputs ---------------------------------------------------------------------------------------

_REDUCTIONS = tuple(f"Reduce{n}" for n in "L1 L2 LogSum LogSumExp Max Mean Min Prod SumSquare".split())


@_up(13, "ReduceSum", "Squeeze", "Unsqueeze")
@_up(18, *_REDUCTIONS)
def _axes_to_input(e: Edit) -> None:
    e.to_input("axes", 1, np.int64)


@_down(18, *_REDUCTIONS)
def _axes_to_attribute(e: Edit) -> None:
    noop = e.attribute("noop_with_empty_axes", 0)
    known = e.context.constant(e.input(1)) if e.input(1) else np.empty(0, np.int64)
    if known is not None and known.size == 0:  # no axes: all of them, unless the attribute says none
        if noop:
            raise Cannot("it reduces no axes (noop_with_empty_axes)")
        e.drop_inputs(1)
    e.to_attribute(1, "axes")
    e.drop("noop_with_empty_axes")


@_up(13, "Split")
def _split_to_input(e: Edit) -> None:
    e.to_input("split", 1, np.int64)


@_up(18, "Split")
def _split_number(e: Edit) -> None:
    if not e.input(1):
        e.set("num_outputs", len(e.node.output))


@_down(18, "Split")
def _split_equally(e: Edit) -> None:
    if e.attribute("num_outputs") is None:
        return
    t = e.context.type(e.node.input[0])
    axis = e.attribute("axis", 0)
    sizes = list(t.shape.dim) if t is not None and t.HasField("shape") else []
    size = sizes[axis].dim_value if -len(sizes) <= axis < len(sizes) else 0
    count = len(e.node.output)
    if not size:
        raise Cannot("the size that it splits is not known, so whether its parts are equal is not")
    part = -(-size // count)
    lengths = [min(part, max(size - i * part, 0)) for i in range(count)]
    e.set_input(1, e.context.make(np.asarray(lengths, np.int64), "split"))
    e.drop("num_outputs")


@_up(10, "Slice")
def _slice(e: Edit) -> None:
    for i, name in enumerate(("starts", "ends", "axes")):
        e.to_input(name, i + 1, np.int64)


@_up(10, "TopK")
def _topk(e: Edit) -> None:
    e.to_input("k", 1, np.int64)
    k = e.context.constant(e.input(1))
    assert k is not None
    e.set_input(1, e.context.make(k.reshape(1), "k"))


@_up(10, "Dropout")
def _dropout_mask(e: Edit) -> None:
    if len(e.node.output) > 1 and e.node.output[1]:
        raise Cannot("its mask was of the type of its input, and is of bool")


@_up(12, "Dropout")
def _dropout(e: Edit) -> None:
    e.to_input("ratio", 1, np.float32)


@_up(11, "Clip")
def _clip(e: Edit) -> None:
    for i, name in enumerate(("min", "max")):
        if e.attribute(name) is not None:
            e.to_input(name, i + 1, e.dtype())


@_up(11, "Pad")
def _pad(e: Edit) -> None:
    e.to_input("pads", 1, np.int64)
    value = e.attribute("value", 0.0)
    e.drop("value")
    if value:
        e.set_input(2, e.context.make(np.asarray(value, e.dtype()), "value"))


@_down(18, "Pad")
def _all_axes(e: Edit) -> None:
    if not e.input(3):
        return
    axes, pads, rank = e.context.constant(e.input(3)), e.context.constant(e.input(1)), e.rank()
    if axes is None or pads is None or rank is None:
        raise Cannot("it names the axes, and these, the pads or the number of dimensions are not known")
    whole = np.zeros((2, rank), np.int64)
    whole[:, [a % rank for a in axes.tolist()]] = pads.reshape(2, -1)
    e.set_input(1, e.context.make(whole.reshape(-1), "pads"))
    e.drop_inputs(3)


@_down(15, "Shape")
def _part_of_shape(e: Edit) -> None:
    start, end = e.attribute("start", 0), e.attribute("end")
    e.drop("start")
    e.drop("end")
    if start == 0 and end is None:
        return
    bounds = [
        e.context.make(np.asarray([v], np.int64), name)
        for name, v in (("start", start), ("end", np.iinfo(np.int64).max if end is None else end))
    ]
    like = e.node.output[0]
    whole = e.context.fresh(f"{like}_whole")
    e.after.append(helper.make_node("Slice", [whole, *bounds], [like]))
    e.node.output[0] = whole


@_down(14, "Reshape")
def _zeros(e: Edit) -> None:
    if not e.attribute("allowzero", 0):
        return
    shape = e.context.constant(e.input(1))
    if shape is None or 0 in shape:
        raise Cannot("a 0 in its shape is a size of 0 (allowzero)")
    e.drop("allowzero")


@_down(19, "Pad")
def _no_wrap(e: Edit) -> None:
    if e.attribute("mode", b"constant") == b"wrap":
        raise Cannot("it pads by going around (mode 'wrap')")


@_up(20, "DFT")
def _dft_axis(e: Edit) -> None:
    e.to_input("axis", 2, np.int64, 1)


@_down(20, "DFT")
def _dft_attribute(e: Edit) -> None:
    if e.input(2):
        e.to_attribute(2, "axis")
    else:
        rank = e.rank()
        if rank is None:
            raise Cannot("the number of dimensions of its input is not known")
        e.set("axis", rank - 2)


# -- meanings that changed -----------------------------------------------------------------------------------------------


@_up(13, "Softmax", "LogSoftmax", "Hardmax")
def _softmax(e: Edit) -> None:
    """Before, all dimensions from the axis on were one; now it is that axis alone."""
    axis, rank = e.attribute("axis", 1), e.rank()
    if axis == -1 or (rank is not None and axis % rank == rank - 1):
        e.set("axis", -1)
        return
    like, source = e.node.output[0], e.node.input[0]
    flat, done, shape = (e.context.fresh(f"{like}_{part}") for part in ("flat", "rows", "shape"))
    e.before += [
        helper.make_node("Shape", [source], [shape]),
        helper.make_node("Flatten", [source], [flat], axis=axis),
    ]
    e.after.append(helper.make_node("Reshape", [done, shape], [like]))
    e.node.input[0], e.node.output[0] = flat, done
    e.set("axis", -1)


@_up(7, "Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less")
def _broadcast(e: Edit) -> None:
    """The second operand's dimensions began at ``axis`` of the first's; now they end together."""
    axis, broadcast = e.attribute("axis"), e.attribute("broadcast", 0)
    e.drop("axis")
    e.drop("broadcast")
    if not broadcast or axis is None:
        return
    shapes = [e.context.type(name) for name in e.node.input]
    if any(t is None or not t.HasField("shape") for t in shapes):
        raise Cannot("its operands begin together, and the numbers of their dimensions are not known")
    first, second = (len(t.shape.dim) for t in shapes if t is not None)
    behind = first - axis % first - second
    if behind:
        name = e.context.fresh(f"{e.node.input[1]}_behind")
        shape = e.context.make(np.asarray([0] * second + [1] * behind, np.int64), "shape")
        e.before.append(helper.make_node("Reshape", [e.node.input[1], shape], [name]))
        e.node.input[1] = name


@_up(7, "Gemm")
def _gemm(e: Edit) -> None:
    e.drop("broadcast")


@_up(7, "BatchNormalization", "Dropout")
def _is_test(e: Edit) -> None:
    if not e.attribute("is_test", 0):
        raise Cannot("it is in training mode (is_test=0)")
    e.drop("is_test")


@_up(7, "GRU", "LSTM", "RNN")
def _sequence(e: Edit) -> None:
    if not e.attribute("output_sequence", 0) and e.node.output and e.node.output[0]:
        raise Cannot("it gives no sequence (output_sequence=0)")
    e.drop("output_sequence")


@_up(7, "Upsample")
def _scales(e: Edit) -> None:
    e.set("scales", [1.0, 1.0, e.attribute("height_scale"), e.attribute("width_scale")])
    e.drop("height_scale")
    e.drop("width_scale")


@_up(9, "BatchNormalization")
def _spatial(e: Edit) -> None:
    if e.attribute("spatial", 1) != 1:
        raise Cannot("it normalises every element by itself (spatial=0)")
    e.drop("spatial")


@_up(14, "BatchNormalization")
@_down(14, "BatchNormalization")
def _inference(e: Edit) -> None:
    if any(e.node.output[1:]) or e.attribute("training_mode", 0):
        raise Cannot("it is in training mode")
    del e.node.output[1:]
    e.drop("training_mode")


@_up(9, "Upsample")
def _upsample(e: Edit) -> None:
    e.to_input("scales", 1, np.float32)


@_up(10, "Upsample")
def _resize_for_upsample(e: Edit) -> None:
    e.node.op_type = "Resize"


@_up(11, "Resize")
def _resize(e: Edit) -> None:
    """What Resize did at first: no half pixels, and for nearest always down."""
    data, scales = e.node.input
    del e.node.input[:]
    e.node.input.extend([data, e.context.make(np.empty(0, np.float32), "roi"), scales])
    e.set("coordinate_transformation_mode", "asymmetric")
    e.set("nearest_mode", "floor")


@_up(13, "Resize")
def _no_half_pixel_for_nn(e: Edit) -> None:
    if e.attribute("coordinate_transformation_mode") == b"tf_half_pixel_for_nn":
        raise Cannot("its coordinates are 'tf_half_pixel_for_nn'")


@_down(18, "Resize")
def _resize_axes(e: Edit) -> None:
    if e.attribute("keep_aspect_ratio_policy", b"stretch") != b"stretch" or e.attribute("antialias", 0):
        raise Cannot("it keeps the aspect ratio, or smooths (antialias)")
    if e.attribute("axes") is not None:
        rank = e.rank()
        if rank is None or sorted(a % rank for a in e.attribute("axes")) != list(range(rank)):
            raise Cannot("it names some of the axes")
        if list(e.attribute("axes")) != list(range(rank)):
            raise Cannot("it names the axes in another order")
    for name in ("keep_aspect_ratio_policy", "antialias", "axes"):
        e.drop(name)


@_down(19, "Resize")
def _symmetric(e: Edit) -> None:
    if e.attribute("coordinate_transformation_mode") == b"half_pixel_symmetric":
        raise Cannot("its coordinates are 'half_pixel_symmetric'")


@_up(11, "Scatter")
def _scatter(e: Edit) -> None:
    e.node.op_type = "ScatterElements"


@_down(18, "ScatterElements", "ScatterND")
def _reduction(e: Edit) -> None:
    if e.attribute("reduction") in (b"min", b"max"):
        raise Cannot(f"it reduces by '{e.attribute('reduction').decode()}'")


@_up(16, "RoiAlign")
def _whole_pixels(e: Edit) -> None:
    e.set("coordinate_transformation_mode", "output_half_pixel")


@_down(16, "RoiAlign")
def _half_pixels(e: Edit) -> None:
    if e.attribute("coordinate_transformation_mode", b"half_pixel") != b"output_half_pixel":
        raise Cannot("its coordinates are half a pixel further (coordinate_transformation_mode 'half_pixel')")
    e.drop("coordinate_transformation_mode")


_GRID = {b"bilinear": "linear", b"bicubic": "cubic"}


@_up(20, "GridSample")
def _grid_names(e: Edit) -> None:
    mode = e.attribute("mode", b"bilinear")
    e.set("mode", _GRID.get(mode, mode))


@_down(20, "GridSample")
def _grid_old_names(e: Edit) -> None:
    mode = e.attribute("mode", b"linear")
    rank = e.rank()
    if rank != 4:
        raise Cannot("its input has another number of dimensions than 4, or an unknown one")
    e.set("mode", {new.encode(): old for old, new in _GRID.items()}.get(mode, mode))


@_up(9, "Scan")
def _batched(e: Edit) -> None:
    raise Cannot("it goes over a batch of sequences, which Scan did before opset 9")


@_up(21, "GroupNormalization")
@_down(21, "GroupNormalization")
def _group_parameters(e: Edit) -> None:
    """A scale and a bias of each group became those of each channel."""
    t = e.context.type(e.node.input[0])
    channels = t.shape.dim[1].dim_value if t is not None and len(t.shape.dim) > 1 else 0
    if channels != e.attribute("num_groups"):
        raise Cannot("its scale and bias are of each group before opset 21, and of each channel from there on")
    if e.attribute("stash_type", 1) != 1:
        raise Cannot("its attribute 'stash_type' is not there yet")
    e.drop("stash_type")


# -- element types that an attribute names -------------------------------------------------------------------------------


@_down(19, "Cast", "CastLike", "QuantizeLinear")
def _saturate(e: Edit) -> None:
    e.drop("saturate")  # means something for float8 alone, which are not there yet


@_down(24, "Cast", "CastLike")
def _round_mode(e: Edit) -> None:
    e.drop("round_mode")  # as above


@_down(21, "QuantizeLinear")
def _quantized_type(e: Edit) -> None:
    if e.attribute("block_size", 0):
        raise Cannot("it quantizes block by block")
    wanted = e.attribute("output_dtype", 0)
    if wanted not in (0, TensorProto.UINT8) and not e.input(2):
        raise Cannot("its output_dtype is said without a zero point")
    e.drop("output_dtype")
    e.drop("block_size")


@_down(23, "DequantizeLinear")
def _dequantized_type(e: Edit) -> None:
    wanted, scale = e.attribute("output_dtype", 0), e.context.type(e.input(1))
    if wanted and (scale is None or scale.elem_type != wanted):
        raise Cannot("its output_dtype is not the type of its scale")
    e.drop("output_dtype")
