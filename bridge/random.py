"""Random numbers, draw for draw those of torch's CPU generator.

The engine is the Mersenne Twister MT19937 seeded as in Matsumoto and Nishimura's ``init_genrand``; what turns its 32-bit
words into numbers follows ATen (``DistributionsHelper.h``, ``native/cpu/DistributionTemplates.h``): the low 24 (float) or 53
(double) bits scaled for uniform numbers, Box-Muller in blocks of 16 for 16 or more normal numbers and one by one with a
cached partner for fewer, a modulo for integers.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.ir.dtypes import DType
from bridge.ir.random_source import set_source

if TYPE_CHECKING:
    from bridge.tensor import Tensor

__all__ = [
    "Generator", "default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state",
]  # fmt: skip

Array = np.ndarray[Any, Any]
DEFAULT_SEED = 67280421310721

_STATE = struct.Struct("<QiiQ")  # seed, words left, seeded, next word
_WORDS = 624
_STATE_SIZE = 5056


class Generator:
    """A stream of random numbers (``torch.Generator``). ``device`` must be the CPU."""

    def __init__(self, device: Any = "cpu") -> None:
        if str(device) != "cpu":
            raise RuntimeError(f"Device type {str(device).upper()} is not supported for torch.Generator() api.")
        self._lock = threading.Lock()
        self._seed = DEFAULT_SEED
        self._engine: Any = None
        self._next_normal: float | None = None
        self._next_float_normal: float | None = None

    @property
    def device(self) -> Any:
        from bridge.types import device

        return device("cpu")

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream anew; returns the generator. Negative seeds count from 2**64. Raises RuntimeError beyond 64 bits."""
        seed = int(seed)
        if not -(1 << 63) <= seed < 1 << 64:
            raise RuntimeError("Overflow when unpacking long long")
        self._seed = seed % (1 << 64)
        self._engine = None
        self._next_normal = self._next_float_normal = None
        return self

    def seed(self) -> int:
        """Start the stream anew from a number the operating system gives; returns that number."""
        import secrets

        number = secrets.randbits(53)
        self.manual_seed(number)
        return number

    def initial_seed(self) -> int:
        """The number that the stream was started from."""
        return self._seed

    def _bits(self) -> Any:
        """NumPy's bit generator in this stream's state (made on first use: NumPy loads it lazily)."""
        if self._engine is None:
            legacy = np.random.RandomState(self._seed & 0xFFFFFFFF)
            self._engine = legacy._bit_generator
        return self._engine

    # -- raw words -------------------------------------------------------------------------------------------------

    def words(self, n: int) -> Array:
        """The next ``n`` 32-bit words, as uint64."""
        with self._lock:
            return self._bits().random_raw(n)  # type: ignore[no-any-return]

    def double_words(self, n: int) -> Array:
        """The next ``n`` 64-bit numbers; the first word of each is its high half."""
        w = self.words(2 * n)
        return (w[0::2] << np.uint64(32)) | w[1::2]

    def unit(self, n: int, dtype: np.dtype[Any]) -> Array:
        """``n`` uniform numbers of [0, 1) in the precision of ``dtype``."""
        if dtype == np.float64:
            return (self.double_words(n) & np.uint64((1 << 53) - 1)).astype(np.float64) * 2.0**-53
        scaled = (self.words(n) & np.uint64((1 << 24) - 1)).astype(np.float32) * np.float32(2.0**-24)
        return scaled if dtype == np.float32 else scaled.astype(dtype)

    # -- distributions ---------------------------------------------------------------------------------------------

    def uniform(self, shape: Sequence[int], dtype: np.dtype[Any], low: float = 0.0, high: float = 1.0) -> Array:
        """Uniform over [low, high)."""
        n = _count(shape)
        if dtype == np.float64:
            u = self.unit(n, dtype)
            return (u if low == 0.0 and high == 1.0 else _fma(u, high - low, low)).reshape(shape)
        u = self.unit(n, np.dtype(np.float32))
        start, end = np.float32(low), np.float32(high)
        if low != 0.0 or high != 1.0:
            u = _mad(u, end - start, start)
        if dtype == np.float32:
            return u.reshape(shape)
        values = u.astype(dtype)  # rounding may reach the upper bound, which does not belong to the interval
        return np.where(values == dtype.type(end), dtype.type(start), values).reshape(shape)

    def normal(self, shape: Sequence[int], dtype: np.dtype[Any], mean: float = 0.0, std: float = 1.0) -> Array:
        """Normally distributed with that mean and standard deviation."""
        n = _count(shape)
        if n < 16:
            values = np.array([self._one_normal() * std + mean for _ in range(n)], np.float64).astype(dtype)
        else:
            whole = n - n % 16
            single = np.dtype(np.float64 if dtype == np.float64 else np.float32)  # shorter types are rounded at the end
            u = self.unit(n if dtype == single else whole, single)
            values = np.empty(n, single)
            values[:whole] = _box_muller(u[:whole].reshape(-1, 16), mean, std).reshape(-1)
            if n % 16:  # the last 16 are drawn again, over what the blocks left there
                values[-16:] = _box_muller(self.unit(16, single).reshape(1, 16), mean, std).reshape(-1)
            values = values.astype(dtype, copy=False)
        return values.reshape(shape)

    def _one_normal(self) -> float:
        if self._next_normal is not None:
            value, self._next_normal = self._next_normal, None
            return value
        u1, u2 = self.unit(2, np.dtype(np.float64)).tolist()
        radius = float(np.sqrt(-2.0 * np.log1p(-u2)))
        theta = 2.0 * np.pi * u1
        self._next_normal = radius * float(np.sin(theta))
        return radius * float(np.cos(theta))

    def integers(self, low: int, high: int, shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
        """Integers of [low, high)."""
        span = high - low
        n = _count(shape)
        raw = self.double_words(n) if span >= 1 << 28 else self.words(n)
        offset = (raw % np.uint64(span)).astype(np.int64)
        return (offset + low).astype(dtype).reshape(shape)

    def permutation(self, n: int) -> Array:
        """The numbers 0 to n-1 in random order (Fisher-Yates)."""
        result = list(range(n))
        if n > 1:
            steps = (self.words(n - 1) % np.arange(n, 1, -1, dtype=np.uint64)).tolist()
            for i, z in enumerate(steps):
                result[i], result[i + z] = result[i + z], result[i]
        return np.array(result, np.int64)

    def bernoulli(self, p: float | Array, shape: Sequence[int]) -> Array:
        """Booleans, each true with probability ``p`` (one number, or one per element of ``shape``).

        One number is drawn per element, as torch's own kernel does. (Where torch runs with MKL on an Intel processor, it
        takes numbers for a single probability from MKL's generator instead, which no other machine reproduces.)
        """
        n = _count(shape)
        if not isinstance(p, np.ndarray):
            return np.asarray(self.unit(n, np.dtype(np.float64)) < p).reshape(shape)
        chance = np.broadcast_to(p, shape).reshape(-1)
        unit = np.dtype(np.float64) if chance.dtype == np.float64 else np.dtype(np.float32)
        return np.asarray(self.unit(n, unit) < chance.astype(unit)).reshape(shape)

    # -- state -----------------------------------------------------------------------------------------------------

    def get_state(self) -> Tensor:
        """The state as a uint8 tensor of 5056 bytes, laid out as torch's."""
        from bridge.tensor import Tensor

        inner = self._bits().state["state"]
        key, position = inner["key"].astype(np.uint64), int(inner["pos"])
        left, following = (1, 0) if position == _WORDS and self._fresh(key) else (_WORDS + 1 - position, position)
        cached = self._next_normal
        data = bytearray(_STATE_SIZE)
        _STATE.pack_into(data, 0, self._seed, left, 1, following)
        data[_STATE.size : _STATE.size + 8 * _WORDS] = key.tobytes()
        struct.pack_into("<dddi", data, _STATE.size + 8 * _WORDS, 0.0, cached or 0.0, 0.0, int(cached is not None))
        single = self._next_float_normal
        struct.pack_into("<f?", data, _STATE_SIZE - 8, single or 0.0, single is not None)
        return Tensor._wrap(np.frombuffer(bytes(data), np.uint8).copy())

    def _fresh(self, key: Array) -> bool:
        """Whether no word was drawn since seeding (torch counts that state differently from a used-up block)."""
        return int(key[0]) == self._seed & 0xFFFFFFFF

    def set_state(self, state: Tensor) -> Generator:
        """Go on from a state that :meth:`get_state` gave. Raises TypeError or RuntimeError for anything else."""
        array = np.asarray(state)
        if array.dtype != np.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if array.size != _STATE_SIZE:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {_STATE_SIZE} but found the input RNG state size to be {array.size}"
            )
        data = array.tobytes()
        self._seed, left, _, following = _STATE.unpack_from(data, 0)
        key = np.frombuffer(data, np.uint64, _WORDS, _STATE.size).astype(np.uint32)
        self._engine = np.random.MT19937()
        position = _WORDS if left <= 1 else following
        self._engine.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": position}}
        _, cached, _, valid = struct.unpack_from("<dddi", data, _STATE.size + 8 * _WORDS)
        self._next_normal = cached if valid else None
        single, single_valid = struct.unpack_from("<f?", data, _STATE_SIZE - 8)
        self._next_float_normal = single if single_valid else None
        return self

    def clone_state(self) -> Generator:
        """Another generator that goes on from the same place."""
        return Generator().set_state(self.get_state())

    def __repr__(self) -> str:
        return f"<torch._C.Generator object at {id(self):#x}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.get_state(),)


def _restore(state: Tensor) -> Generator:
    return Generator().set_state(state)


def _count(shape: Sequence[int]) -> int:
    n = 1
    for d in shape:
        n *= d
    return n


def _fma(a: Array, b: float, c: float) -> Array:
    """``a * b + c`` in float64 with one rounding, as the compiled loops compute it."""
    big = 134217729.0  # 2**27 + 1: splits a number into halves whose products are exact (Dekker)
    ah = a * big
    ah = ah - (ah - a)
    al = a - ah
    bh = b * big
    bh = bh - (bh - b)
    bl = b - bh
    product = a * b
    error = al * bl - (((product - ah * bh) - al * bh) - ah * bl)
    total = product + c
    shadow = total - product
    return total + (((product - (total - shadow)) + (c - shadow)) + error)


def _box_muller(u: Array, mean: float, std: float) -> Array:
    """Rows of 16 uniform numbers made normal: the first 8 give the radius, the last 8 the angle."""
    if u.dtype == np.float32:
        m, s = float(np.float32(mean)), float(np.float32(std))
        radius = np.sqrt(np.float32(-2.0) * _log_float(np.float32(1.0) - u[:, :8]))
        sine, cosine = _sincos_float(np.float32(2.0 * np.pi) * u[:, 8:])
        out = np.concatenate([radius * cosine, radius * sine], axis=1)
        return (out.astype(np.float64) * s + m).astype(np.float32)
    radius = np.sqrt(-2.0 * np.log(1.0 - u[:, :8]))
    theta = 2.0 * np.pi * u[:, 8:]
    out = np.concatenate([radius * np.cos(theta), radius * np.sin(theta)], axis=1)
    return _fma(out, std, mean)


# The logarithm, sine and cosine that torch's vectorised kernel uses in single precision: the polynomials of Moshier's
# Cephes library, evaluated in float32 step by step, so that the last bit comes out the same.

_LOG = (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
        2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)  # fmt: skip
_SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_PI_PARTS = (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)


def _mad(a: Array, b: Any, c: Any) -> Array:
    """``a * b + c`` in float32 with one rounding."""
    wide = a.astype(np.float64) * np.asarray(b, np.float32).astype(np.float64)
    return (wide + np.asarray(c, np.float32).astype(np.float64)).astype(np.float32)


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    y = np.full(x.shape, coefficients[0], np.float32)
    for c in coefficients[1:]:
        y = _mad(y, x, c)
    return y


def _log_float(x: Array) -> Array:
    mantissa, exponent = np.frexp(x)
    small = mantissa < np.float32(0.707106781186547524)
    e = (exponent - small).astype(np.float32)
    x = mantissa - np.float32(1.0) + np.where(small, mantissa, np.float32(0.0))
    z = x * x
    y = _mad(_polynomial(x, _LOG) * x, z, e * np.float32(-2.12194440e-4))
    y = _mad(z, -0.5, y)
    x = x + y
    return _mad(e, 0.693359375, x)


def _sincos_float(x: Array) -> tuple[Array, Array]:
    """Sine and cosine of angles that are not negative."""
    octant = (x * np.float32(1.27323954473516)).astype(np.int32)
    octant = (octant + 1) & ~1
    y = octant.astype(np.float32)
    for part in _PI_PARTS:
        x = _mad(y, part, x)
    z = x * x
    cosine = _mad(_polynomial(z, _COS) * z, z, z * np.float32(-0.5)) + np.float32(1.0)
    sine = _mad(_polynomial(z, _SIN) * z, x, x)
    straight = (octant & 2) == 0
    sine_sign = np.where(octant & 4, np.float32(-1.0), np.float32(1.0))
    cosine_sign = np.where((octant - 2) & 4, np.float32(1.0), np.float32(-1.0))
    return sine_sign * np.where(straight, sine, cosine), cosine_sign * np.where(straight, cosine, sine)


#: The generator used where none is given.
default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the default generator anew; returns it."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Start the default generator anew from an unpredictable number; returns the number."""
    return default_generator.seed()


def initial_seed() -> int:
    """The number that the default generator was started from."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state, a uint8 tensor."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Put the default generator into a state that :func:`get_rng_state` gave."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True) -> Iterator[None]:
    """For a ``with`` block, leave the default generator as it was before when the block ends."""
    if not enabled:
        yield
        return
    state = default_generator.get_state()
    try:
        yield
    finally:
        default_generator.set_state(state)


class _Source:
    """What the operators draw from (``bridge.ir.random_source.RandomSource``)."""

    def _of(self, generator: Any) -> Generator:
        return generator if generator is not None else default_generator

    def uniform(self, shape: Sequence[int], dtype: DType, low: float, high: float, generator: Any) -> Array:
        return self._of(generator).uniform(shape, dtype.numpy, low, high)

    def normal(self, shape: Sequence[int], dtype: DType, mean: float, std: float, generator: Any) -> Array:
        return self._of(generator).normal(shape, dtype.numpy, mean, std)

    def integers(self, shape: Sequence[int], dtype: DType, low: int, high: int, generator: Any) -> Array:
        return self._of(generator).integers(low, high, shape, dtype.numpy)

    def bernoulli(self, p: Array, generator: Any) -> Array:
        return self._of(generator).bernoulli(p, p.shape)

    def permutation(self, n: int, generator: Any) -> Array:
        return self._of(generator).permutation(n)

    def seed(self, seed: int) -> None:
        default_generator.manual_seed(seed)


set_source(_Source())
