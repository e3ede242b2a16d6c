"""Sizes of what ONNX operators give, from those of their inputs: as far as the nodes themselves tell them, never from what a
file claims of its values.

Both who reads nodes as operators of torch and who writes them again follow a model with these rules, in one pass over its
nodes, so that both know the same of each value. A size is an int or None; sizes of unknown number are None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Sizes", "fixed", "result_sizes"]

Sizes = tuple["int | None", ...]


@dataclass(slots=True, frozen=True)
class _Node:
    """What a rule may look at."""

    sizes: Sequence[Sizes | None]
    constants: Sequence[np.ndarray[Any, Any] | None]
    attributes: Mapping[str, Any]
    count: int

    def of(self, index: int) -> Sizes | None:
        return self.sizes[index] if index < len(self.sizes) else None

    def ints(self, index: int, attribute: str) -> list[int] | None:
        """A list of ints that newer versions have as an input, older ones as an attribute."""
        if attribute in self.attributes:
            return list(self.attributes[attribute])
        a = self.constants[index] if index < len(self.constants) else None
        return a.reshape(-1).tolist() if a is not None and a.dtype.kind == "i" else None

    def given(self, index: int) -> bool:
        return index < len(self.sizes)


def fixed(dims: Sequence[Any] | None) -> Sizes | None:
    """Sizes of a type: names of free sizes say nothing here."""
    return None if dims is None else tuple(d if isinstance(d, int) and not isinstance(d, bool) else None for d in dims)


def result_sizes(
    op_type: str,
    sizes: Sequence[Sizes | None],
    constants: Sequence[np.ndarray[Any, Any] | None],
    attributes: Mapping[str, Any],
    count: int,
) -> list[Sizes | None]:
    """The sizes of ``count`` results of a node in the default domain; None for what is not told."""
    rule = _RULES.get(op_type)
    if rule is None:
        return [None] * count
    try:
        found = rule(_Node(sizes, constants, attributes, count))
    except (IndexError, TypeError, ValueError, KeyError):
        return [None] * count  # a node that is not valid
    several = found if isinstance(found, list) else [found]
    return (several + [None] * count)[:count]


Rule = Callable[[_Node], "Sizes | list[Sizes | None] | None"]


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise IndexError(axis)
    return axis % rank


def _same(n: _Node) -> Sizes | None:
    return n.of(0)


def _rank_of_first(n: _Node) -> Sizes | None:
    x = n.of(0)
    return None if x is None else (None,) * len(x)


def _joined(a: int | None, b: int | None) -> int | None:
    if a == 1:
        return b
    return a if b == 1 or a == b else None if a is None or b is None else a


def _broadcast(shapes: Sequence[Sizes | None]) -> Sizes | None:
    result: Sizes = ()
    for s in shapes:
        if s is None:
            return None
        rank = max(len(result), len(s))
        a, b = ((1,) * (rank - len(t)) + t for t in (result, s))
        result = tuple(map(_joined, a, b))
    return result


def _elementwise(n: _Node) -> Sizes | None:
    return _broadcast(n.sizes)


def _matmul(n: _Node) -> Sizes | None:
    a, b = n.of(0), n.of(1)
    if a is None or b is None or not a or not b:
        return None
    if len(a) == 1 or len(b) == 1:
        return (*a[:-1], *b[1:]) if len(b) == 1 else b[:-2] + b[-1:]
    batch = _broadcast([a[:-2], b[:-2]])
    return None if batch is None else (*batch, a[-2], b[-1])


def _gemm(n: _Node) -> Sizes | None:
    a, b = n.of(0), n.of(1)
    rows = a[1 if n.attributes.get("transA") else 0] if a is not None else None
    columns = b[0 if n.attributes.get("transB") else 1] if b is not None else None
    return rows, columns


def _conv(n: _Node) -> Sizes | None:
    x, w = n.of(0), n.of(1)
    rank = len(w) if w is not None else len(x) if x is not None else 0
    if not rank:
        return None
    channels = w[0] if w is not None else None
    return (x[0] if x is not None else None, channels, *_slid(n, x, w[2:] if w is not None else (None,) * (rank - 2)))


def _slid(n: _Node, x: Sizes | None, kernel: Sequence[int | None]) -> list[int | None]:
    """Spatial sizes behind a sliding window."""
    count = len(kernel)
    if x is None or n.attributes.get("auto_pad", "NOTSET") != "NOTSET" or n.attributes.get("ceil_mode", 0):
        return [None] * count
    stride = n.attributes.get("strides", [1] * count)
    dilation = n.attributes.get("dilations", [1] * count)
    pads = n.attributes.get("pads", [0] * (2 * count))
    return [
        None if size is None or k is None else (size + pads[i] + pads[i + count] - (k - 1) * dilation[i] - 1) // stride[i] + 1
        for i, (size, k) in enumerate(zip(x[2:], kernel, strict=True))
    ]  # fmt: skip


def _conv_transpose(n: _Node) -> Sizes | None:
    x, w = n.of(0), n.of(1)
    known = w if w is not None else x
    if known is None:
        return None
    channels = w[1] * n.attributes.get("group", 1) if w is not None and w[1] is not None else None
    return (x[0] if x is not None else None, channels, *[None] * (len(known) - 2))


def _pool(n: _Node) -> list[Sizes | None]:
    x, kernel = n.of(0), n.attributes["kernel_shape"]
    head = x[:2] if x is not None else (None, None)
    return [(*head, *_slid(n, x, kernel))] * n.count


def _global_pool(n: _Node) -> Sizes | None:
    x = n.of(0)
    return None if x is None else (*x[:2], *[1] * (len(x) - 2))


def _reduced(n: _Node) -> Sizes | None:
    x, keep = n.of(0), n.attributes.get("keepdims", 1)
    if x is None:
        return None if keep or n.given(1) or "axes" in n.attributes else ()
    if n.given(1) and n.sizes[1] is not None and n.constants[1] is None:
        return (None,) * len(x) if keep else None
    axes = n.ints(1, "axes")
    if not axes:
        if n.attributes.get("noop_with_empty_axes"):
            return x
        axes = list(range(len(x)))
    at = {_axis(a, len(x)) for a in axes}
    return tuple(1 if i in at else d for i, d in enumerate(x) if keep or i not in at)


def _arg_reduced(n: _Node) -> Sizes | None:
    x = n.of(0)
    if x is None:
        return None
    at = _axis(n.attributes.get("axis", 0), len(x))
    keep = n.attributes.get("keepdims", 1)
    return tuple(1 if i == at else d for i, d in enumerate(x) if keep or i != at)


def _reshape(n: _Node) -> Sizes | None:
    x, wanted = n.of(0), n.ints(1, "shape")
    if wanted is None:
        length = n.of(1)
        return (None,) * length[0] if length is not None and len(length) == 1 and length[0] is not None else None
    copies = not n.attributes.get("allowzero", 0)
    sizes: list[int | None] = []
    for i, d in enumerate(wanted):
        copied = x[i] if x is not None and i < len(x) else None
        sizes.append(copied if d == 0 and copies else None if d < 0 else d)
    if wanted.count(-1) == 1 and x is not None and None not in x:
        rest = [d for d, w in zip(sizes, wanted, strict=True) if w != -1]
        if None not in rest and int(np.prod(rest)) > 0:  # type: ignore[arg-type]
            sizes[wanted.index(-1)] = int(np.prod(x)) // int(np.prod(rest))  # type: ignore[arg-type]
    return tuple(sizes)


def _transpose(n: _Node) -> Sizes | None:
    x, perm = n.of(0), n.attributes.get("perm")
    if x is None:
        return None if perm is None else (None,) * len(perm)
    return tuple(x[_axis(p, len(x))] for p in (perm if perm is not None else reversed(range(len(x)))))


def _concat(n: _Node) -> Sizes | None:
    known = next((s for s in n.sizes if s is not None), None)
    if known is None:
        return None
    at = _axis(n.attributes["axis"], len(known))
    total: int | None = 0
    sizes = list(known)
    for s in n.sizes:
        total = total + s[at] if total is not None and s is not None and s[at] is not None else None  # type: ignore[operator]
        sizes = [a if a is not None else b for a, b in zip(sizes, s or known, strict=True)]
    sizes[at] = total
    return tuple(sizes)


def _split(n: _Node) -> list[Sizes | None]:
    x, listed = n.of(0), n.ints(1, "split")
    if x is None:
        return [None] * n.count
    at = _axis(n.attributes.get("axis", 0), len(x))
    size = x[at]
    if listed is None and size is not None and size % n.count == 0 and not n.given(1):
        listed = [size // n.count] * n.count
    parts: list[int | None] = list(listed) if listed is not None else [None] * n.count
    return [(*x[:at], p, *x[at + 1 :]) for p in parts]


def _slice(n: _Node) -> Sizes | None:
    x = n.of(0)
    starts, ends = n.ints(1, "starts"), n.ints(2, "ends")
    axes, steps = n.ints(3, "axes"), n.ints(4, "steps")
    if x is None or starts is None or ends is None or (n.given(3) and axes is None):
        return None if x is None else (None,) * len(x)
    sizes = list(x)
    for i, (a, b) in enumerate(zip(starts, ends, strict=True)):
        at = _axis(axes[i] if axes is not None else i, len(x))
        size, step = sizes[at], steps[i] if steps is not None else 1 if not n.given(4) else None
        sizes[at] = None if size is None or step is None else len(range(size)[slice(a, b, step)])
    return tuple(sizes)


def _squeeze(n: _Node) -> Sizes | None:
    x, axes = n.of(0), n.ints(1, "axes")
    if x is None or (axes is None and (n.given(1) or None in x)):
        return None
    at = {i for i, d in enumerate(x) if d == 1} if axes is None else {_axis(a, len(x)) for a in axes}
    return tuple(d for i, d in enumerate(x) if i not in at)


def _unsqueeze(n: _Node) -> Sizes | None:
    x, axes = n.of(0), n.ints(1, "axes")
    if x is None or axes is None:
        return None
    rank = len(x) + len(axes)
    at = {_axis(a, rank) for a in axes}
    rest = iter(x)
    return tuple(1 if i in at else next(rest) for i in range(rank))


def _gather(n: _Node) -> Sizes | None:
    x, index = n.of(0), n.of(1)
    if x is None or index is None:
        return None
    at = _axis(n.attributes.get("axis", 0), len(x))
    return (*x[:at], *index, *x[at + 1 :])


def _shape(n: _Node) -> Sizes | None:
    x = n.of(0)
    if x is None:
        return (None,)
    return (len(range(len(x))[slice(n.attributes.get("start", 0), n.attributes.get("end"))]),)


def _filled(n: _Node) -> Sizes | None:
    sizes = n.ints(0, "")
    if sizes is not None:
        return tuple(sizes)
    length = n.of(0)
    return (None,) * length[0] if length is not None and len(length) == 1 and length[0] is not None else None


def _expand(n: _Node) -> Sizes | None:
    x, wanted, length = n.of(0), n.ints(1, ""), n.of(1)
    if wanted is not None:
        return _broadcast([x, tuple(wanted)])
    if x is None or length is None or len(length) != 1 or length[0] is None:
        return None
    return (None,) * max(len(x), length[0])


def _flatten(n: _Node) -> Sizes | None:
    return None, None


def _where(n: _Node) -> Sizes | None:
    return _broadcast(n.sizes)


def _recurrent(n: _Node) -> list[Sizes | None]:
    x, hidden = n.of(0), n.attributes.get("hidden_size")
    directions = 2 if n.attributes.get("direction") == "bidirectional" else 1
    if n.attributes.get("layout", 0):
        return [None] * n.count
    steps, batch = x[:2] if x is not None else (None, None)
    made: list[Sizes | None] = [(steps, directions, batch, hidden), *[(directions, batch, hidden)] * 2]
    return made[: n.count]


def _constant(n: _Node) -> Sizes | None:
    value = n.attributes.get("value")
    return value.shape if isinstance(value, np.ndarray) else None


def _first_of_several(n: _Node) -> list[Sizes | None]:
    return [n.of(0)] * min(n.count, 2)


def _top(n: _Node) -> list[Sizes | None]:
    x, k = n.of(0), n.ints(1, "")
    if x is None:
        return [None] * n.count
    at = _axis(n.attributes.get("axis", -1), len(x))
    return [(*x[:at], k[0] if k else None, *x[at + 1 :])] * n.count


_RULES: dict[str, Rule] = {
    "MatMul": _matmul, "Gemm": _gemm, "Conv": _conv, "ConvInteger": _conv, "ConvTranspose": _conv_transpose,
    "MatMulInteger": _matmul, "MaxPool": _pool, "AveragePool": _pool, "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool, "ArgMax": _arg_reduced, "ArgMin": _arg_reduced, "Reshape": _reshape,
    "Transpose": _transpose, "Concat": _concat, "Split": _split, "Slice": _slice, "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze, "Gather": _gather, "Shape": _shape, "ConstantOfShape": _filled, "Expand": _expand,
    "Flatten": _flatten, "Where": _where, "LSTM": _recurrent, "GRU": _recurrent, "RNN": _recurrent,
    "Constant": _constant, "TopK": _top, "Size": lambda n: (), "Range": lambda n: (None,), "Dropout": _first_of_several,
    "GatherElements": lambda n: n.of(1),
}  # fmt: skip
_RULES |= dict.fromkeys(
    """
    Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization BitwiseNot Cast Ceil Celu Clip Cos Cosh CumSum
    DequantizeLinear Elu Erf Exp Floor Gelu HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf IsNaN LayerNormalization
    LeakyRelu Log LogSoftmax LpNormalization Mish Neg Not PRelu QuantizeLinear Reciprocal Relu ReverseSequence Round
    ScatterElements ScatterND Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Tan Tanh ThresholdedRelu
    Trilu GroupNormalization
    """.split(),
    _same,
)
_RULES |= dict.fromkeys(["Pad", "Resize", "Upsample", "Tile"], _rank_of_first)
_RULES |= dict.fromkeys(
    """
    Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod
    Mul Or Pow Sub Sum Xor
    """.split(),
    _elementwise,
)
_RULES |= dict.fromkeys(
    [f"Reduce{k}" for k in "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()], _reduced
)
