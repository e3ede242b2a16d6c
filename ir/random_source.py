"""Where random operators take their numbers from. The eager package puts its own generators in with :func:`set_source`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from bridge.ir.dtypes import DType

__all__ = ["NumpySource", "RandomSource", "set_source", "source"]

Array = np.ndarray[Any, Any]


class RandomSource(Protocol):
    """Makes arrays of random numbers; ``generator`` is whatever the caller passed, or None for the default one."""

    def uniform(self, shape: Sequence[int], dtype: DType, low: float, high: float, generator: Any) -> Array:
        """Uniform over [low, high)."""

    def normal(self, shape: Sequence[int], dtype: DType, mean: float, std: float, generator: Any) -> Array:
        """Normally distributed."""

    def integers(self, shape: Sequence[int], dtype: DType, low: int, high: int, generator: Any) -> Array:
        """Integers of [low, high), each as likely."""

    def bernoulli(self, p: Array, generator: Any) -> Array:
        """Booleans that are true with probability ``p``, element by element."""

    def permutation(self, n: int, generator: Any) -> Array:
        """The int64 numbers 0 to n-1 in random order."""

    def seed(self, seed: int) -> None:
        """Start the default generator anew."""


class NumpySource:
    """NumPy's generator: used where nothing else was set."""

    def __init__(self) -> None:
        self._default: Any = None

    def _of(self, generator: Any) -> Any:
        if isinstance(generator, np.random.Generator):
            return generator
        if self._default is None:
            self._default = np.random.default_rng()
        return self._default

    def uniform(self, shape: Sequence[int], dtype: DType, low: float, high: float, generator: Any) -> Array:
        return np.asarray(self._of(generator).uniform(low, high, tuple(shape))).astype(dtype.numpy)

    def normal(self, shape: Sequence[int], dtype: DType, mean: float, std: float, generator: Any) -> Array:
        return np.asarray(self._of(generator).normal(mean, std, tuple(shape))).astype(dtype.numpy)

    def integers(self, shape: Sequence[int], dtype: DType, low: int, high: int, generator: Any) -> Array:
        return np.asarray(self._of(generator).integers(low, high, tuple(shape))).astype(dtype.numpy)

    def bernoulli(self, p: Array, generator: Any) -> Array:
        return np.asarray(self._of(generator).random(p.shape) < p)

    def permutation(self, n: int, generator: Any) -> Array:
        return np.asarray(self._of(generator).permutation(n))

    def seed(self, seed: int) -> None:
        self._default = np.random.default_rng(seed)


_source: RandomSource = NumpySource()


def source() -> RandomSource:
    """The source in use."""
    return _source


def set_source(new: RandomSource) -> None:
    """Use another source from now on."""
    global _source
    _source = new
