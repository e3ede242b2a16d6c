"""What convolution and pooling share: windows that slide over the last dimensions, their sizes, their ONNX attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import Array
from bridge.ir.ops._onnx import ints, is_lowered, known_rank
from bridge.ir.rules import UNKNOWN
from bridge.ir.types import Dim

__all__ = ["batched", "known_sizes", "padded", "sizes", "spread", "windows"]


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
