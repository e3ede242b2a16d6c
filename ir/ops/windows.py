"""What convolution and pooling share: windows that slide over the last dimensions, their sizes, their ONNX attributes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import Array
from bridge.ir.ops._onnx import ints, is_lowered, known_rank
from bridge.ir.rules import UNKNOWN
from bridge.ir.types import Dim

__all__ = ["Windows", "batched", "known_sizes", "out_size", "padded", "sizes", "spread", "windows"]


def spread(value: Any, n: int, default: Sequence[int] | None = None) -> list[int]:
    """A size argument for ``n`` dimensions: one number stands for all of them, an empty list for the default."""
    listed = [value] if isinstance(value, int) else list(value)
    if not listed and default is not None:
        return list(default)
    return listed * n if len(listed) == 1 else listed


def sizes(value: Any, n: int) -> list[Any] | None:
    """A size argument as a type rule sees it; None when it is not known."""
    if value is UNKNOWN or (isinstance(value, list | tuple) and any(not isinstance(v, int) for v in value)):
        return None
    return spread(value, n)


def known_sizes(e: Emitter, call: LoweredCall, name: str, n: int, default: Sequence[int] | None = None) -> list[int]:
    """A size argument of a lowering. Refuses what is only known at run time: ONNX has attributes for them."""
    value = call[name]
    listed = value if isinstance(value, list | tuple) else [value]
    if is_lowered(value) or any(is_lowered(v) for v in listed):
        e.unsupported(f"the {name} of {call.schema.name[6:]} must be known when the model is exported")
    return spread(value, n, default)


def padded(x: Array, pairs: Sequence[tuple[int, int]], fill: Any = 0) -> Array:
    """x with the last dimensions padded."""
    if not any(a or b for a, b in pairs):
        return x
    return np.pad(x, [(0, 0)] * (x.ndim - len(pairs)) + list(pairs), constant_values=fill)


def windows(x: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Array:
    """A view of all windows: the positions stand in place of the last dimensions, the elements behind them."""
    n = len(kernel)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if any(r > s for r, s in zip(reach, x.shape[-n:], strict=True)):
        inside, kernels = (" x ".join(map(str, v)) for v in (x.shape[-n:], reach))
        raise BridgeError(
            f"Calculated padded input size per channel: ({inside}). Kernel size: ({kernels}). Kernel size can't be "
            "greater than actual input size"
        )
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=tuple(range(x.ndim - n, x.ndim)))
    every: Any = (..., *[slice(None, None, s) for s in (*stride, *dilation)])
    return np.asarray(view[every])


def batched(e: Emitter, x: Any, n: int) -> tuple[Any, bool]:
    """A tensor with batch and channels before its ``n`` dimensions, and whether the batch was added."""
    rank = known_rank(e, x, "this operator")
    if rank == n + 2:
        return x, False
    return e.op("Unsqueeze", x, ints(0), dims=None if x.dims is None else (1, *x.dims)), True


def unbatched(e: Emitter, x: Any, added: bool) -> Any:
    """Undo :func:`batched`."""
    return e.op("Squeeze", x, ints(0), dims=None if x.dims is None else x.dims[1:]) if added else x


def fixed(dims: Sequence[Dim]) -> list[int] | None:
    """The sizes when all of them are numbers."""
    found = [d for d in dims if isinstance(d, int)]
    return found if len(found) == len(dims) else None


def out_size(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> int:
    """How many windows fit. With ``ceil`` one may reach over the end, but must not start behind it."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    n = (room + (stride - 1 if ceil else 0)) // stride + 1
    if ceil and (n - 1) * stride >= size + padding:
        n -= 1
    return n


class Windows:
    """The windows of one pooling call over the last ``n`` dimensions."""

    def __init__(
        self,
        n: int,
        shape: Sequence[int],
        kernel: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        ceil: bool,
        caller: str = "pool3d",
    ) -> None:
        self.kernel = spread(kernel, n)
        self.stride = spread(stride, n, self.kernel)
        self.padding, self.dilation = spread(padding, n), spread(dilation, n)
        self.size = list(shape[-n:])
        self.check(n, shape, caller)
        self.out = [
            out_size(*v, ceil)
            for v in zip(self.size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        ]
        if any(o < 1 for o in self.out):
            raise BridgeError(
                f"Given input size: ({'x'.join(map(str, shape[-n - 1 :]))}). Calculated output size: "
                f"({'x'.join(map(str, (shape[-n - 1], *self.out)))}). Output size is too small"
            )

    def check(self, n: int, shape: Sequence[int], caller: str) -> None:
        """Raise what torch raises for the arguments of pooling over ``n`` dimensions."""
        if min(self.stride) == 0:
            raise BridgeError("stride should not be zero")
        if min(self.kernel) <= 0:
            raise BridgeError(_triple("kernel size should be greater than zero, but got", "k", self.kernel))
        if min(self.dilation) <= 0:
            raise BridgeError(_triple("dilation should be greater than zero, but got", "dilation", self.dilation))
        empty = [i for i, size in enumerate(shape[-n - 1 :]) if size == 0]
        if len(shape) not in (n + 1, n + 2):
            raise BridgeError(f"non-empty {n + 1}D or {n + 2}D (batch mode) tensor expected for input")
        if empty and n == 3:
            raise BridgeError(
                f"{caller}: Expected input's non-batch dimensions to have positive length, but input has a shape of "
                f"{list(shape)} and non-batch dimension 0 has length zero!"
            )
        if empty:
            raise BridgeError(
                f"Expected {n + 1}D or {n + 2}D (batch mode) tensor with optional 0 dim batch size for input, "
                f"but got:{list(shape)}"
            )
        for pad, kernel, dilation in zip(self.padding, self.kernel, self.dilation, strict=True):
            if pad < 0:
                raise BridgeError(f"pad must be non-negative, but got pad: {pad}")
            if pad * 2 > dilation * (kernel - 1) + 1:
                raise BridgeError(
                    f"pad should be at most half of effective kernel size, but got pad={pad}, "
                    f"kernel_size={kernel} and dilation={dilation}"
                )

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The padding before and after, such that all windows are whole."""
        reach = [
            (o - 1) * s + d * (k - 1) + 1
            for o, s, d, k in zip(self.out, self.stride, self.dilation, self.kernel, strict=True)
        ]
        return [(p, max(r - p - i, 0)) for p, r, i in zip(self.padding, reach, self.size, strict=True)]

    def of(self, x: Array, fill: Any) -> Array:
        """The windows of x, their elements in one last dimension."""
        found = windows(padded(x, self.pairs, fill), self.kernel, self.stride, self.dilation)
        n = len(self.kernel)
        cut: Any = (..., *[slice(o) for o in self.out], *[slice(None)] * n)
        seen: Array = found[cut]
        return seen.reshape(*seen.shape[:-n], math.prod(self.kernel))

    def divisors(self, count_pad: bool) -> Array:
        """How many elements each window has: of the padded or of the plain input."""
        total: Array = np.ones((), np.int64)
        for o, k, s, p, i in zip(self.out, self.kernel, self.stride, self.padding, self.size, strict=True):
            start = np.arange(o) * s - p
            end = np.minimum(start + k, i + p)
            if not count_pad:
                start, end = np.maximum(start, 0), np.minimum(end, i)
            total = total[..., None] * (end - start)
        return total


def _triple(text: str, name: str, values: Sequence[int]) -> str:
    letters = "TDHW"[-len(values) :] if len(values) < 3 else "THW"
    return " ".join([text, *(f"{name}{a}: {v}" for a, v in zip(letters, values, strict=True))])
