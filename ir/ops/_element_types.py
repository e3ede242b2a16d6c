"""Element types that operators refuse, as torch does: NumPy and ONNX would compute something with most of them.

A rule looks at the names of the arguments' element types (None for what is no tensor) and says what is wrong. Kernels ask with
arrays, lowerings with the values of the model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from bridge.ir.dtypes import DType, by_code, by_numpy
from bridge.ir.errors import BridgeError
from bridge.ir.ops._fitting import has_numbers, unfit
from bridge.ir.promotion import number_dtype

__all__ = ["guarded", "refused"]

Of = Callable[[str], DType | None]
Rule = Callable[[Of], str | None]


def _c_name(d: DType) -> str:
    names = {"float32": "float", "float64": "double", "int64": "long long", "int32": "int", "float16": "c10::Half"}
    return names.get(d.name, d.name)


def _same(text: str, *names: str, c_names: bool = False) -> Rule:
    """Tensors of one element type; ``{0}``, ``{1}`` … of the text are those that they have."""

    def rule(of: Of) -> str | None:
        found = [d for n in names if (d := of(n)) is not None]
        if all(d is found[0] for d in found):
            return None
        shown = [_c_name(d) if c_names else d.label for d in found]
        return text.format(*shown, *[shown[-1]] * len(names))

    return rule


def _only(text: str, name: str, *allowed: str) -> Rule:
    """One tensor, of one of these element types or of one of a kind (``"f"`` stands for all floats)."""

    def rule(of: Of) -> str | None:
        d = of(name)
        return None if d is None or d.name in allowed or d.kind in allowed else text.format(d.label)

    return rule


def _parameters(*names: str) -> Rule:
    """Weights and statistics of the input's type; an input of half precision may have them in float32."""

    def rule(of: Of) -> str | None:
        x = of("input")
        if x is None:
            return None
        for n in names:
            d = of(n)
            if d is not None and d is not x and not (x.itemsize == 2 and d.name == "float32"):
                return f"mixed dtype (CPU): expect parameter to have scalar type of {x.label}"
        return None

    return rule


_PRODUCT = "expected m1 and m2 to have the same dtype, but got: {0} != {1}"
_SCATTER = "scatter(): Expected self.dtype to be equal to src.dtype"
_FLOATS = ("f", "c")


def _not_for(what: str, name: str = "self", *allowed: str) -> Rule:
    return _only(f"\"{what}\" not implemented for '{{0}}'", name, *(allowed or _FLOATS))


def _softmax(what: str) -> Rule:
    plain = _not_for(what)
    return lambda of: plain(of) if of("dtype") is None else None


def _never(text: str, kinds: str, *names: str) -> Rule:
    """Not all of these tensors of one of these kinds (where there is but one tensor, not that one)."""

    def rule(of: Of) -> str | None:
        found = [d for n in names if (d := of(n)) is not None]
        return text.format(found[0].label) if len(found) == len(names) and all(d.kind in kinds for d in found) else None

    return rule


def _mean(of: Of) -> str | None:
    d = of("self")
    if d is None or d.kind in _FLOATS or of("dtype") is not None:
        return None
    return (
        "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
        f"Got: {d.label}"
    )


def _attention(of: Of) -> str | None:
    q, k, v, mask = (of(n) for n in ("query", "key", "value", "attn_mask"))
    if k is not q or v is not q:
        return "Expected query, key, and value to have the same dtype"
    if mask is None or mask is q or mask.name in ("bool", "float32"):
        return None
    return "Expected attn_mask dtype to be bool or float or to match query dtype"


def _all_of(*rules: Rule) -> Rule:
    """The first that is broken."""
    return lambda of: next((why for r in rules if (why := r(of)) is not None), None)


def _no_bools(what: str, *names: str) -> Rule:
    """Not all of these tensors bools."""
    return _never(f"\"{what}\" not implemented for '{{0}}'", "b", *names)


def _integers(what: str) -> list[Rule]:
    return [_not_for(what, name, "i", "b") for name in ("self", "other")]


def _shift(what: str) -> Rule:
    """Of integers by integers, which are not all bools."""
    return _all_of(*_integers(what), _no_bools(what, "self", "other"))


def _subtraction(of: Of) -> str | None:
    kinds = [d.kind for d in (of("self"), of("other")) if d is not None]
    if "b" not in kinds:
        return None
    if kinds == ["b", "b"]:
        return (
            "Subtraction, the `-` operator, with two bool tensors is not supported. "
            "Use the `^` or `logical_xor()` operator instead."
        )
    return (
        "Subtraction, the `-` operator, with a bool tensor is not supported. "
        "If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
    )


RULES: dict[str, Rule] = {
    "sub": _subtraction,
    "rsub": _subtraction,
    "mm": _all_of(_same(_PRODUCT, "self", "mat2", c_names=True), _no_bools("addmm_impl_cpu_", "self", "mat2")),
    "bmm": _all_of(_same("expected scalar type {0} but found {1}", "self", "mat2"), _no_bools("bmm", "self", "mat2")),
    "matmul": _all_of(_same(_PRODUCT, "self", "other", c_names=True), _no_bools("addmm_impl_cpu_", "self", "other")),
    "linear": _same(_PRODUCT, "input", "weight", "bias", c_names=True),
    "mv": _all_of(
        _same("addmv input tensors must have the same dtype, but got {1}, {0}, and {1}", "self", "vec"),
        _no_bools("addmv_impl_cpu", "self", "vec"),
    ),
    "dot": _all_of(
        _same("dot : expected both vectors to have same dtype, but found {0} and {1}", "self", "tensor"),
        _no_bools("dot", "self", "tensor"),
    ),
    "vdot": _same("dot : expected both vectors to have same dtype, but found {0} and {1}", "self", "other"),
    "addmm": _same("self and mat2 must have the same dtype, but got {0} and {2}", "self", "mat1", "mat2"),
    "addmv": _same("addmv input tensors must have the same dtype, but got {0}, {1}, and {2}", "self", "mat", "vec"),
    "baddbmm": _same("Input dtypes must be the same, got: input {0}, batch1: {1}, batch2: {2}", "self", "batch1", "batch2", c_names=True),
    "layer_norm": _parameters("weight", "bias"),
    "group_norm": _parameters("weight", "bias"),
    "batch_norm": _parameters("weight", "bias", "running_mean", "running_var"),
    "instance_norm": _parameters("weight", "bias", "running_mean", "running_var"),
    "embedding": _only(
        "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got {0} instead",
        "indices", "int64", "int32",
    ),
    "one_hot": _only("one_hot is only applicable to index tensor of type LongTensor.", "self", "int64"),
    "index_add": _same("index_add_(): self ({0}) and source ({1}) must have the same scalar type", "self", "source"),
    "index_copy": _same(
        "index_copy_(): self and source expected to have the same dtype, but got (self) {0} and (source) {1}", "self", "source"
    ),
    "scatter": _same(_SCATTER, "self", "src"),
    "scatter_add": _same(_SCATTER, "self", "src"),
    "scatter_reduce": _same(_SCATTER, "self", "src"),
    "masked_scatter": _all_of(
        _same("masked_scatter: expected self and source to have same dtypes but got{0} and {1}", "self", "source"),
        _only("masked_scatter_ only supports boolean masks, but got mask with dtype {0}", "mask", "bool"),
    ),
    "put": _same("put_(): self and source expected to have the same dtype, but got self.dtype = {0} and source.dtype = {1}",
                 "self", "source"),
    "index": _only("tensors used as indices must be long, int, byte or bool tensors", "indices", "int64", "int32", "uint8", "bool"),
    "gather": _only("gather(): Expected dtype int32/int64 for index", "index", "int64", "int32"),
    "index_select": _only("index_select(): Expected dtype int32 or int64 for index", "index", "int64", "int32"),
    "take": _only("take(): Expected a long tensor for index, but got {0}", "index", "int64"),
    "index_fill": _only("index_fill_(): Expected dtype int64 for index.", "index", "int64"),
    "masked_fill": _only("masked_fill_ only supports boolean masks, but got mask with dtype {0}", "mask", "bool"),
    "masked_select": _only("masked_select: expected BoolTensor for mask", "mask", "bool"),
    "where": _only("where expected condition to be a boolean tensor, but got a tensor with dtype {0}", "condition", "bool", "uint8"),
    "softmax": _softmax("softmax_lastdim_kernel_impl"),
    "log_softmax": _softmax("log_softmax_lastdim_kernel_impl"),
    "logcumsumexp": _not_for("logcumsumexp_out_cpu"),
    "bitwise_not": _only("~ (operator.invert) is only implemented on integer and Boolean-type tensors", "self", "i", "b"),
    "gelu": _not_for("GeluKernelImpl"),
    "silu": _not_for("silu_cpu"),
    "softplus": _not_for("softplus_cpu"),
    "elu": _not_for("elu_cpu"),
    "leaky_relu": _not_for("leaky_relu_cpu"),
    "glu": _not_for("glu_cpu"),
    "_adaptive_avg_pool2d": _not_for("adaptive_avg_pool2d"),
    "adaptive_avg_pool2d": _not_for("adaptive_avg_pool2d"),
    "norm": _only("linalg.vector_norm: Expected a floating point or complex tensor as input. Got {0}", "self", *_FLOATS),
    "linalg_vector_norm": _only("linalg.vector_norm: Expected a floating point or complex tensor as input. Got {0}", "self", *_FLOATS),
    "binary_cross_entropy": _same("Found dtype {1} but expected {0}", "self", "target"),
    "nll_loss": _only("expected target dtype to be Long or Byte, but got {0}", "target", "int64", "uint8"),
    "nll_loss_nd": _only("expected target dtype to be Long or Byte, but got {0}", "target", "int64", "uint8"),
    "grid_sampler": _same("expected scalar type {0} but found {1}", "input", "grid"),
    "mean": _mean,
    "neg": _never("Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the "
                  "`~` or `logical_not()` operator instead.", "b", "self"),
    "relu": _never("Boolean inputs not supported for relu", "b", "self"),
    "floor_divide": _never("\"div_floor_cpu\" not implemented for 'Bool'", "b", "self", "other"),
    "remainder": _never("\"remainder_cpu\" not implemented for 'Bool'", "b", "self", "other"),
    "abs": _never("\"abs_cpu\" not implemented for 'Bool'", "b", "self"),
    "argmax": _never("argmax(): does not support bool input", "b", "self"),
    "argmin": _never("argmin(): does not support bool input", "b", "self"),
    "topk": _never("topk does not support bool dtypes on CPU", "b", "self"),
    "__lshift__": _shift("lshift_cpu"),
    "__rshift__": _shift("rshift_cpu"),
    "bitwise_left_shift": _shift("lshift_cpu"),
    "bitwise_right_shift": _shift("rshift_cpu"),
    "fmod": _no_bools("fmod_cpu", "self", "other"),
    "gcd": _all_of(*_integers("gcd_cpu"), _no_bools("gcd_cpu", "self", "other")),
    "lcm": _all_of(*_integers("lcm_cpu"), _no_bools("lcm_cpu", "self", "other")),
    "pow": _no_bools("pow", "self", "exponent"),
    "addcmul": _no_bools("addcmul_cpu_out", "self", "tensor1", "tensor2"),
    **{name: _no_bools(f"{name}_vml_cpu", "self") for name in ("floor", "ceil", "trunc", "round")},
    "median": _no_bools("median_cpu", "self"),
    "nanmedian": _no_bools("median_cpu", "self"),
    "kthvalue": _no_bools("kthvalue_cpu", "self"),
    "bincount": _not_for("bincount_cpu", "self", "i"),
    **{name: _not_for(name + "_cpu") for name in ("hardsigmoid", "hardshrink", "log_sigmoid")},
    "celu": _not_for("elu_cpu"),
    "searchsorted": _no_bools("searchsorted_out_cpu", "sorted_sequence"),
    "hypot": _never("\"hypot_cpu\" not implemented for '{0}'", "bi", "self", "other"),
    "logaddexp": _never("\"logaddexp_cpu\" not implemented for '{0}'", "bi", "self", "other"),
    "nextafter": _never("\"nextafter_cpu\" not implemented for '{0}'", "bi", "self", "other"),
    "frac": _not_for("frac_cpu"),
    "mish": _not_for("mish_cpu"),
    "hardswish": _not_for("hardswish_cpu"),
    "selu": _not_for("elu_cpu"),
    "softshrink": _not_for("softshrink_check"),
    "addcdiv": _never("Integer division with addcdiv is no longer supported: cast the tensors to a floating type first",
                      "bi", "self", "tensor1", "tensor2"),
    "cdist": _same("expected scalar type {0} but found {1}", "x1", "x2"),
    "cross": _same("expected scalar type {0} but found {1}", "self", "other"),
    "linalg_cross": _same("expected scalar type {0} but found {1}", "self", "other"),
    "heaviside": _same("heaviside is not yet implemented for tensors with different dtypes.", "self", "values"),
    "isclose": _same("{0} did not match {1}", "self", "other"),
    "allclose": _same("{0} did not match {1}", "self", "other"),
    "tensordot": _same("both inputs should have same dtype", "self", "other"),
    "prelu": _same("prelu: Type promoting not supported. Got {0} and {1}", "self", "weight"),
    **{name: _all_of(
        _only(f"{name}() input tensor must be either float or double dtype", "self", "float32", "float64"),
        _same(f"{name}() q tensor must be same dtype as the input tensor", "self", "q"),
    ) for name in ("quantile", "nanquantile")},
    "histc": _not_for("histogram_cpu"),
    "im2col": _not_for("im2col_out_cpu"),
    "col2im": _not_for("col2im_out_cpu"),
    "cosine_similarity": _only("expected common dtype to be floating point, yet common dtype is {0}", "x1", *_FLOATS),
    "repeat_interleave": _not_for("repeat_interleave_cpu", "repeats", "int64", "int32"),
    "scaled_dot_product_attention": _attention,
    "lerp": _all_of(
        _same("expected dtype {0} for `end` but got dtype {1}", "self", "end", c_names=True), _not_for("lerp_kernel_scalar")
    ),
}  # fmt: skip


#: Arguments that may be numbers in a tensor's place.
_OPERANDS = ("self", "other")


def _of_value(name: str, value: Any) -> DType | None:
    """The element type of a tensor, of an array, of a value of the model; of a list the one that is no integer's, if any.

    Of the argument ``dtype`` the one that it stands for.
    """
    if name == "dtype" and isinstance(value, int):
        return by_code(value)
    if isinstance(value, list | tuple):
        found = [d for v in value if (d := _of_value(name, v)) is not None]
        return next((d for d in found if d.kind == "f"), found[0] if found else None)
    if name in _OPERANDS and isinstance(value, bool | int | float):
        return number_dtype(value)
    own = getattr(value, "dtype", None)
    return own if own is None or isinstance(own, DType) else by_numpy(own)


def rule_of(name: str) -> Rule | None:
    """The rule of an operator (its name with the overload), or of the one that it is the in-place form of."""
    if name == "aten::where":  # of one tensor of any type: where it is not zero
        return None
    short = name.removeprefix("aten::").partition(".")[0]
    return RULES.get(short) or RULES.get(short.removesuffix("_"))


def _check_of(name: str, arguments: Iterable[str]) -> Callable[[Callable[[str], Any]], str | None] | None:
    """What says of the arguments' values why torch does not compute with them; None where nothing is checked."""
    rule, unfitting, names = rule_of(name), unfit(name, arguments), set(arguments)
    if rule is None:
        return unfitting

    def check(value: Callable[[str], Any]) -> str | None:
        why = rule(lambda n: _of_value(n, value(n)) if n in names else None)
        return why if why is not None or unfitting is None else unfitting(value)

    return check


def refused(name: str, arguments: Iterable[str], value: Callable[[str], Any]) -> str | None:
    """Why torch does not compute operator ``name`` with these arguments; None where it does."""
    check = _check_of(name, list(arguments))
    return None if check is None else check(value)


def guarded(
    name: str, kernel: Callable[..., Any], arguments: Callable[[], list[str]], composite: bool
) -> Callable[..., Any]:
    """The kernel, raising what torch raises for element types and numbers that it does not take; as it is where all are taken.

    Composite kernels are given the operators first.
    """
    if rule_of(name) is None and not has_numbers(name):
        return kernel
    places: dict[str, int] = {}
    check: Any = None

    @functools.wraps(kernel)
    def run(*args: Any) -> Any:
        nonlocal check
        if check is None:
            places.update((n, i + composite) for i, n in enumerate(arguments()))
            check = _check_of(name, list(places))
        why = check(lambda n: args[places[n]] if places.get(n, len(args)) < len(args) else None)
        if why is not None:
            raise BridgeError(why)
        return kernel(*args)

    return run
