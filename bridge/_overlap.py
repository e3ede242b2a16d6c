"""Writes to tensors that share memory with what is read: refused where torch refuses them (``MemoryOverlap.cpp``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

__all__ = ["check_overlap"]


def check_overlap(written: Any, read: Iterable[Any], itself: bool = True) -> None:
    """Raises RuntimeError when elements of an array that is written to share memory with each other, or with another array that is
    read in another order or from another place. Arrays with gaps are not looked at, as they are not in torch. ``itself``: whether it
    matters that elements of the array are one."""
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
        if other is not written and np.may_share_memory(written, other) and _partly(written, other):
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
                "location. Please clone() the tensor before performing the operation."
            )


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
