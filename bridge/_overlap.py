"""Writes to tensors that share memory with what is read: refused where torch refuses them (``MemoryOverlap.cpp``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from bridge.ir.overlaps import BLOCK, DIVIDED, WIDEST

__all__ = ["check_overlap", "write_in_order"]

Array = np.ndarray[Any, Any]


def check_overlap(written: Any, read: Iterable[Any], itself: bool = True) -> list[Any]:
    """Raises RuntimeError when elements of an array that is written to share memory with each other, or with another array that is
    read in another order or from another place. Arrays with gaps are not looked at, as they are not in torch: those that
    share memory and are not refused are the result. ``itself``: whether it matters that elements of the array are one."""
    shared = []
    if (
        itself
        and written.size
        and 0 in written.strides
        and any(n > 1 and s == 0 for n, s in zip(written.shape, written.strides, strict=True))
    ):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please "
            "clone() the tensor before performing the operation."
        )
    for other in read:
        if other is written or not np.may_share_memory(written, other):
            continue
        if _partly(written, other):
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
                "location. Please clone() the tensor before performing the operation."
            )
        shared.append(other)
    return shared


def _partly(a: Any, b: Any) -> bool:
    if not a.size or not b.size or not (_dense(a) and _dense(b)):
        return False
    return byte_bounds(a) != byte_bounds(b) or a.strides != b.strides


def _dense(a: Any) -> bool:
    """Whether the elements lie one behind the other, in whatever order of the dimensions."""
    if a.flags.c_contiguous or a.flags.f_contiguous:
        return True
    expected = a.itemsize
    for stride, size in sorted((s, n) for s, n in zip(a.strides, a.shape, strict=True) if n > 1):
        if stride != expected:
            return False
        expected *= size
    return True


# -- what is read behind the place that was written to ---------------------------------------------------------------------
#
# torch goes through memory from the front to the back, and reads as it goes. In a tensor with gaps it does not look whether
# it reads what it has written: ``y[:, 1:] = y[:, :-1]`` gives every column the first one.

#: Up to how many elements are written one by one.
_FEW = 4096


def write_in_order(
    kernel: Callable[..., Any], arrays: Sequence[Any], written: Array, shared: Sequence[Any], copies: bool
) -> Any:
    """The result of an elementwise kernel that writes to ``written`` and reads ``shared``, which has memory in common with it, as torch computes it.

    ``copies``: the kernel writes what it reads. Raises RuntimeError where what torch computes hangs on the processor.
    """
    late = [r for r in shared if r.dtype == written.dtype and _read_late(written, r, copies) is not None]
    if not late:
        return kernel(*arrays)
    pieces = _in_blocks(written, late, copies)
    if pieces is None or written.size >= DIVIDED or not all(_determined(written, r) for r in late):
        raise RuntimeError(
            "unsupported operation: some elements of the input tensor are read after they were written to, and what comes out "
            "hangs on the processor. Please clone() the tensor before performing the operation."
        )
    shape = written.shape
    spread = [
        np.broadcast_to(a, shape, subok=True) if isinstance(a, np.ndarray) and a is not written else a for a in arrays
    ]
    for a, whole in zip(spread, arrays, strict=True):
        if isinstance(a, np.ndarray) and a is not whole:
            a.flags.writeable = False
    for at in pieces:
        kernel(*(a[at] if isinstance(a, np.ndarray) else a for a in spread))
    return written


def _addresses(a: Array) -> Array:
    """Where the elements are, as bytes."""
    places = np.array(a.__array_interface__["data"][0], np.int64)
    for n, step in zip(a.shape, a.strides, strict=True):
        places = places[..., None] + np.arange(n, dtype=np.int64) * step
    return places


def _read_late(written: Array, read: Array, copies: bool) -> Array | None:
    """Which elements are read after they were written to, as a mask; None: none is."""
    spread = np.broadcast_to(read, written.shape)
    if spread.strides == written.strides and _start(written) <= _start(read):
        return None
    to, source = _addresses(written), _addresses(spread)
    flat = to.ravel()
    order = np.argsort(flat)
    found = np.minimum(np.searchsorted(flat, source, sorter=order), flat.size - 1)
    writer = order[found]
    late = (flat[writer] == source) & (source < to)
    if copies:  # what is copied to itself stays
        late &= source.ravel()[writer] != source
    return late if late.any() else None


def _start(a: Array) -> int:
    return int(a.__array_interface__["data"][0])


def _in_blocks(written: Array, late: Sequence[Array], copies: bool) -> Iterator[Any] | None:
    """Parts that can each be computed at once, in the order of memory; None: there are too many."""
    if len(late) == 1 and late[0].strides == written.strides:
        apart, mask = _start(written) - _start(late[0]), _read_late(written, late[0], copies)
        for axis, (n, step) in enumerate(zip(written.shape, written.strides, strict=True)):
            k, rest = divmod(apart, step) if step > 0 else (0, 1)
            if rest or not 0 < k < n or (mask is not None and mask.take(range(k), axis).any()):
                continue
            before: Any = (slice(None),) * axis
            return ((*before, slice(at, at + k)) for at in range(0, n, k))
    if written.size > _FEW:
        return None
    order = np.unravel_index(np.argsort(_addresses(written), axis=None), written.shape)
    return ((*map(int, at), ...) for at in zip(*order, strict=True))


def _determined(written: Array, read: Array) -> bool:
    """Whether torch computes the same on all processors: rows have no block, or what is read is as far away as one."""
    spread = np.broadcast_to(read, written.shape)
    if spread.strides == written.strides and _start(written) - _start(read) >= WIDEST:
        return True
    run = written.itemsize
    for own, other, n in sorted(zip(written.strides, spread.strides, written.shape, strict=True)):
        if n != 1 and (own != run or other not in (0, run)):
            break
        run *= n
    return run < BLOCK
