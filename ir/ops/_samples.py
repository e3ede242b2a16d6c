"""Inputs for the operator tests, the same on every run."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from bridge.ir.registry import Sample

__all__ = ["S", "b1", "f4", "f8", "i8", "ints", "of", "positive", "unary_samples"]

Array = np.ndarray[Any, Any]
S = Sample


@functools.cache
def _pool(kind: str) -> Array:
    """Many numbers; samples are pieces of them, as making a generator for each would slow the import down."""
    rng = np.random.default_rng(20)
    return rng.standard_normal(4096) if kind == "normal" else rng.random(4096)


def _piece(kind: str, shape: tuple[int, ...], seed: int) -> Array:
    size = math.prod(shape)
    start = (sum(n * 31**i for i, n in enumerate(shape, 1)) + 523 * seed) % (4096 - max(size, 1))
    return _pool(kind)[start : start + size].reshape(shape)


def f4(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    """float32, normally distributed."""
    return np.asarray(_piece("normal", shape, seed) * scale, np.float32)


def f8(*shape: int, seed: int = 0) -> Array:
    """float64, normally distributed."""
    return np.array(_piece("normal", shape, seed + 1))


def positive(*shape: int, seed: int = 0, low: float = 0.2, high: float = 2.0) -> Array:
    """float32 of [low, high)."""
    return np.asarray(low + _piece("uniform", shape, seed) * (high - low), np.float32)


def i8(*shape: int, seed: int = 0, low: int = -5, high: int = 6, dtype: Any = np.int64) -> Array:
    """Integers of [low, high)."""
    return np.asarray(np.floor(low + _piece("uniform", shape, seed + 2) * (high - low)), dtype)


def b1(*shape: int, seed: int = 0) -> Array:
    """Bools."""
    return np.asarray(_piece("uniform", shape, seed + 3) < 0.5)


def ints(*values: Any, dtype: Any = np.int64) -> Array:
    """These integers."""
    return np.asarray(values, dtype)


def of(*samples: Sample | tuple[Any, ...]) -> Callable[[], Iterable[Sample]]:
    """Samples given as a list; for those that are cheap to make."""
    return lambda: [s if isinstance(s, Sample) else Sample(*s) for s in samples]


def unary_samples(make: Callable[[], Array] | None = None, integers: bool = True) -> Callable[[], Iterable[Sample]]:
    """A matrix, a 0-d tensor, an empty one, float64, and integers where the operator takes them."""

    def samples() -> Iterable[Sample]:
        x = make() if make is not None else f4(3, 4)
        yield Sample(x)
        yield Sample(x.reshape(-1)[:1].reshape(()))
        yield Sample(x[:0])
        yield Sample(x.astype(np.float64))
        if integers:
            yield Sample(i8(5, low=1, high=4))

    return samples
