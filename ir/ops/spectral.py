"""Windows, and transforms of the pieces of signals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.dtypes import default_dtype
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._complex import complex_of
from bridge.ir.ops._composite import composite, lower_steps, lowered_as
from bridge.ir.ops._declare import Array, argument_dtype, declare
from bridge.ir.ops._onnx import is_lowered
from bridge.ir.ops._samples import S, f4, of, positive
from bridge.ir.ops.creation import spaced_dtype, spaced_types
from bridge.ir.promotion import as_arrays
from bridge.ir.registry import unsupported
from bridge.ir.rules import UNKNOWN, Call, Results, broadcast, dtype_argument, result

__all__: list[str] = []

_OPTIONS = "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None"


def _constant(kernel: Any) -> Any:
    """What follows from numbers that are known now."""

    def lower(e: Emitter, call: LoweredCall) -> Any:
        given = [call[a.name] for a in call.schema.arguments]
        if any(map(is_lowered, given)):
            e.unsupported(f"the numbers of {call.schema.name[6:]} must be known when the model is exported")
        return e.constant(kernel(*given))

    return lower


# -- windows -----------------------------------------------------------------------------------------------------------


def _cosines(*weights: float) -> Any:
    """A sum of cosines of whole turns, the signs alternating."""

    def window(n: int, last: float, weights: tuple[float, ...] = weights) -> Array:
        turn = 2 * math.pi * np.arange(n) / last
        return np.asarray(sum((-1) ** k * w * np.cos(k * turn) for k, w in enumerate(weights)))

    return window


def _bartlett(n: int, last: float) -> Array:
    return np.asarray(1 - np.abs(2 * np.arange(n) / last - 1))


def _kaiser(n: int, last: float, beta: float) -> Array:
    return np.asarray(np.i0(beta * np.sqrt(np.maximum(1 - (2 * np.arange(n) / last - 1) ** 2, 0))) / np.i0(beta))


def _window(name: str, shape: Any, n: int, periodic: bool, dtype: int | None) -> Array:
    if n < 0:
        raise BridgeError(f"{name} requires non-negative window_length, got window_length={n}")
    wanted = argument_dtype(dtype)
    if n <= 1:
        return np.ones(n, wanted)
    return np.asarray(shape(n, n if periodic else n - 1), wanted)


def _window_types(call: Call) -> Results:
    n = call.known("window_length")
    return result(dtype_argument(call, default_dtype()), (n if isinstance(n, int) else None,))


_WINDOWS: tuple[tuple[str, str, Any], ...] = (
    ("hann_window", "", _cosines(0.5, 0.5)),
    ("hann_window.periodic", ", bool periodic", _cosines(0.5, 0.5)),
    ("hamming_window", "", _cosines(0.54, 0.46)),
    ("hamming_window.periodic", ", bool periodic", _cosines(0.54, 0.46)),
    ("hamming_window.periodic_alpha", ", bool periodic, float alpha", lambda n, last, a: _cosines(a, 0.46)(n, last)),
    (
        "hamming_window.periodic_alpha_beta",
        ", bool periodic, float alpha, float beta",
        lambda n, last, a, b: _cosines(a, b)(n, last),
    ),
    ("blackman_window", "", _cosines(0.42, 0.5, 0.08)),
    ("blackman_window.periodic", ", bool periodic", _cosines(0.42, 0.5, 0.08)),
    ("bartlett_window", "", _bartlett),
    ("bartlett_window.periodic", ", bool periodic", _bartlett),
    ("kaiser_window", "", lambda n, last: _kaiser(n, last, 12.0)),
    ("kaiser_window.periodic", ", bool periodic", lambda n, last: _kaiser(n, last, 12.0)),
    ("kaiser_window.beta", ", bool periodic, float beta", _kaiser),
)
for _name, _more, _shape in _WINDOWS:
    _count = _more.count(",")  # arguments behind the length

    def _made(n: int, *rest: Any, name: str = _name, shape: Any = _shape, count: int = _count) -> Array:
        own, dtype = rest[:count], rest[count]
        periodic = own[0] if own else True

        def curve(n: int, last: float) -> Array:
            return np.asarray(shape(n, last, *own[1:]))

        return _window(name.partition(".")[0], curve, n, periodic, dtype)

    _values = [False, *[0.4, 0.6][: _count - 1]] if _count else []
    declare(
        f"aten::{_name}(int window_length{_more}, *, {_OPTIONS}) -> Tensor",
        _made,
        types=_window_types,
        onnx=_constant(_made),
        samples=of((8, *_values), (5, *_values), (1, *_values)),
    )

# -- frequencies --------------------------------------------------------------------------------------------------------

for _name, _sign in (("fftshift", 1), ("ifftshift", -1)):

    @composite(
        f"aten::fft_{_name}(Tensor self, int[1]? dim=None) -> Tensor",
        samples=of((f4(3, 4),), (f4(5), [0])),
        grad_name="RollBackward0",
    )
    def shift(t: Any, x: Any, dim: Any, sign: int = _sign) -> Any:
        dims = list(range(t.rank(x))) if dim is None else [dim] if isinstance(dim, int) else list(dim)
        sizes = [t.size(x, d) for d in dims]
        return t.roll(x, [n // 2 if sign > 0 else (n + 1) // 2 for n in sizes], dims)


for _name, _frequencies in (("fftfreq", np.fft.fftfreq), ("rfftfreq", np.fft.rfftfreq)):

    def _spaced(n: int, d: float, dtype: int | None, *_: Any, f: Any = _frequencies) -> Array:
        return np.asarray(f(n, d), argument_dtype(dtype))

    declare(
        f"aten::fft_{_name}(int n, float d=1.0, *, {_OPTIONS}) -> Tensor",
        _spaced,
        types=lambda call: result(dtype_argument(call, default_dtype()), (None,)),
        onnx=_constant(_spaced),
    )

# -- stft --------------------------------------------------------------------------------------------------------------


def _framed(t: Any, x: Any, n_fft: int, hop: int, window: Any) -> Any:
    """The windows of a signal, weighted: (batch, frames, n_fft)."""
    frames = t.unfold(x, -1, n_fft, hop)
    return frames if window is None else t.mul(frames, window)


def _centred(t: Any, window: Any, length: int, n_fft: int, like: Any) -> Any:
    if length == n_fft:
        return window
    if window is None:
        window = t.ones([length], dtype=t.dtype(like).code)
    left = (n_fft - length) // 2
    return t.constant_pad_nd(window, [left, n_fft - length - left], 0)


def _pairs(
    t: Any,
    x: Any,
    n_fft: int,
    hop: int | None,
    length: int | None,
    window: Any,
    normalized: bool,
    onesided: bool | None,
) -> Any:
    """The transforms as pairs of real numbers, by products with cosines and sines: (batch, frequencies, frames, 2)."""
    hop, length = n_fft // 4 if hop is None else hop, n_fft if length is None else length
    single = t.rank(x) == 1
    x = t.unsqueeze(x, 0) if single else x
    frames = _framed(t, x, n_fft, hop, _centred(t, window, length, n_fft, x))
    code = t.dtype(x).code
    count = n_fft // 2 + 1 if onesided is not False else n_fft
    turn = t.mul(t.unsqueeze(t.arange(n_fft), 1), t.arange(count))
    angle = t.mul(t.to(t.remainder(turn, n_fft), 7), -2 * math.pi / n_fft)
    scale = n_fft**-0.5 if normalized else 1.0
    parts = [t.matmul(frames, t.to(t.mul(f(angle), scale), code)) for f in (t.cos, t.sin)]
    made = t.transpose(t.stack(parts, -1), 1, 2)
    return t.squeeze(made, 0) if single else made


_STFT = (
    "Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool normalized=False, bool? "
    "onesided=None, bool? return_complex=None, bool? align_to_window=None"
)


def _checked(x: Any, n_fft: int, hop: int | None, length: int | None, window: Any) -> None:
    where = f"stft({list(x.shape)}, n_fft={n_fft})"
    if len(x.shape) not in (1, 2):
        raise BridgeError(f"{where}: expected a 1D or 2D tensor")
    if n_fft <= 0 or n_fft > x.shape[-1]:
        raise BridgeError(f"{where}: expected 0 < n_fft <= {x.shape[-1]}, but got n_fft={n_fft}")
    if hop is not None and hop <= 0:
        raise BridgeError(f"{where}: expected hop_length > 0, but got hop_length={hop}")
    length = n_fft if length is None else length
    if not 0 < length <= n_fft:
        raise BridgeError(f"{where}: expected 0 < win_length <= n_fft, but got win_length={length}")
    if window is not None and (len(window.shape) != 1 or window.shape[0] != length):
        raise BridgeError(
            f"{where}: expected a 1D window tensor of size equal to win_length={length}, but got window with size "
            f"{list(window.shape)}"
        )


def _stft_kernel(
    ops: Any, x: Any, n_fft: int, hop: int | None, length: int | None, window: Any, normalized: bool, onesided: bool | None,
    return_complex: bool | None, align: bool | None,
) -> Any:  # fmt: skip
    from bridge.ir.ops._composite import _Computing

    _checked(x, n_fft, hop, length, window)
    if return_complex is None:
        raise BridgeError("stft requires the return_complex parameter be given for real inputs, and will further require "
                          "that return_complex=True in a future PyTorch release.")  # fmt: skip
    made = _pairs(_Computing(ops), x, n_fft, hop, length, window, normalized, onesided)
    return ops("aten::view_as_complex", ops("aten::contiguous", made)) if return_complex else made


def _lower_stft(e: Emitter, call: LoweredCall) -> Any:
    names = ("n_fft", "hop_length", "win_length", "normalized", "onesided", "return_complex")
    if any(is_lowered(call[n]) for n in names):
        e.unsupported("the sizes of stft must be known when the model is exported")
    n_fft, hop, length, normalized, onesided, whole = (call[n] for n in names)
    given = [call["self"]] if call["window"] is None else [call["self"], call["window"]]

    def steps(t: Any, x: Any, window: Any = None) -> Any:
        return _pairs(t, x, n_fft, hop, length, window, normalized, onesided)

    made = lower_steps(e, steps, *given)
    return e.from_pairs(made) if whole else made


_lower_stft.takes_complex = True  # type: ignore[attr-defined]


def _stft_types(call: Call) -> Results:
    t, whole = call.tensor("self"), call.known("return_complex")
    if whole is UNKNOWN or t.dims is None:
        return result(None, None)
    n_fft, hop = call.known("n_fft"), call.known("hop_length")
    count = None
    if isinstance(n_fft, int) and call.known("onesided") is not UNKNOWN:
        count = n_fft if call.known("onesided") is False else n_fft // 2 + 1
    frames = None
    if isinstance(n_fft, int) and hop is not UNKNOWN and isinstance(t.dims[-1], int):
        frames = (t.dims[-1] - n_fft) // (hop or n_fft // 4) + 1
    dims = (*t.dims[:-1], count, frames)
    return result(complex_of(t.dtype), dims) if whole else result(t.dtype, (*dims, 2))


declare(
    f"aten::stft({_STFT}) -> Tensor", _stft_kernel, composite=True, types=_stft_types, onnx=_lower_stft,
    grad_name="ViewAsRealBackward0",
    samples=of(
        S(f4(20), 8, 3, return_complex=False), S(f4(2, 20), 8, 4, 6, positive(6), return_complex=False),
        S(f4(2, 16), 8, window=positive(8), normalized=True, onesided=False, return_complex=False),
    ),
)  # fmt: skip

# -- istft -------------------------------------------------------------------------------------------------------------


def _synthesis(t: Any, n_fft: int, count: int, normalized: bool) -> Any:
    """What each frequency adds to a piece of the signal: the real parts' cosines, then the imaginary parts' sines."""
    turn = t.mul(t.unsqueeze(t.arange(count), 1), t.arange(n_fft))
    angle = t.mul(t.to(t.remainder(turn, n_fft), 7), 2 * math.pi / n_fft)
    scale = n_fft**-0.5 if normalized else 1 / n_fft
    weight = t.full([count, 1], scale, dtype=7)
    if count != n_fft:  # all but the first and the middle one stand for their conjugates, too
        weight = t.constant_pad_nd(weight, [0, 0, -1, -1 if n_fft % 2 == 0 else 0], 0.0)
        weight = t.mul(weight, 2.0)
        weight = t.constant_pad_nd(weight, [0, 0, 1, 1 if n_fft % 2 == 0 else 0], scale)
    made = t.cat([t.mul(t.cos(angle), weight), t.mul(t.neg(t.sin(angle)), weight)], 0)
    return t.unsqueeze(made, 1)


def _istft(
    t: Any, x: Any, n_fft: int, hop: int | None, length: int | None, window: Any, center: bool, normalized: bool,
    onesided: bool | None, wanted: Any, return_complex: bool,
) -> Any:  # fmt: skip
    if return_complex:
        raise BridgeError("istft with return_complex=True is not supported")
    hop, length = n_fft // 4 if hop is None else hop, n_fft if length is None else length
    count = n_fft // 2 + 1 if onesided is not False else n_fft
    rank = t.rank(x)
    if rank not in (2, 3):
        raise BridgeError(f"istft expected a tensor with 2 or 3 dimensions, but got {rank}")
    re, im = (t.sized(p, [count, t.size(p, -1)], lambda: _wrong_count(n_fft, count)) for p in (t.real(x), t.imag(x)))
    parts = t.cat([t.unsqueeze(p, 0) if rank == 2 else p for p in (re, im)], 1)
    code = t.dtype(re).code
    window = _centred(t, window, length, n_fft, re)
    window = t.ones([n_fft], dtype=code) if window is None else window
    basis = t.mul(t.to(_synthesis(t, n_fft, count, normalized), code), window)
    signal = t.select(t.conv_transpose1d(parts, basis, None, [hop]), 1, 0)
    once = t.ones_like(t.narrow(t.narrow(parts, 0, 0, 1), 1, 0, 1))
    power = t.reshape(t.mul(window, window), [1, 1, n_fft])
    weight = t.select(t.conv_transpose1d(once, power, None, [hop]), 1, 0)
    whole = (t.size(parts, -1) - 1) * hop + n_fft
    start = n_fft // 2 if center else 0
    if wanted is not None:
        signal, weight = (
            t.narrow(t.constant_pad_nd(v, [0, start + wanted], fill), -1, start, wanted)
            for v, fill in ((signal, 0.0), (weight, 1.0))
        )
    elif center:
        signal, weight = (t.narrow(v, -1, start, whole - 2 * (n_fft // 2)) for v in (signal, weight))
    made = t.div(signal, weight)
    return t.squeeze(made, 0) if rank == 2 else made


def _wrong_count(n_fft: int, count: int) -> str:
    return f"istft expected the frequencies of n_fft={n_fft}, which are {count}"


_lower_istft = lowered_as(_istft)
_lower_istft.takes_complex = True  # type: ignore[attr-defined]
composite(
    "aten::istft(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool center=True, "
    "bool normalized=False, bool? onesided=None, int? length=None, bool return_complex=False) -> Tensor",
    onnx=_lower_istft,
)(_istft)

# -- others ------------------------------------------------------------------------------------------------------------


@composite("aten::argwhere(Tensor self) -> Tensor", samples=of((np.asarray([[1, 0], [0, 3]]),)))
def argwhere(t: Any, x: Any) -> Any:
    return t.nonzero(x)


@composite(
    "aten::diagflat(Tensor self, int offset=0) -> Tensor",
    samples=of((f4(2, 2),), (f4(3), -1)),
    grad_name="DiagEmbedBackward0",
)
def diagflat(t: Any, x: Any, offset: int) -> Any:
    return t.diag_embed(t.reshape(x, [-1]), offset)


@composite("aten::isreal(Tensor self) -> Tensor", samples=of((f4(3),)))
def isreal(t: Any, x: Any) -> Any:
    return t.eq(t.imag(x), 0) if t.dtype(x).kind == "c" else t.ones_like(x, dtype=11)


def _logspace(start: Any, end: Any, steps: int, base: float, dtype: int | None, *_: Any) -> Array:
    wanted = spaced_dtype("logspace", dtype, start, end)
    if wanted.kind in "iu":  # torch computes with the ends in the type of the result
        start, end = int(start), int(end)
    return np.asarray(np.logspace(start, end, steps, base=base)).astype(wanted)


declare(
    f"aten::logspace(Scalar start, Scalar end, int steps, float base=10.0, *, {_OPTIONS}) -> Tensor",
    _logspace,
    types=spaced_types,
    onnx=_constant(_logspace),
    samples=of((0, 2, 3), (-1.0, 1.0, 5, 2.0)),
)


@composite(
    "aten::angle(Tensor self) -> Tensor",
    grad_name="AngleBackward0",
    samples=of((f4(3, 4),), (np.asarray([1.0, math.nan, -2.0], np.float32),)),
)
def angle(t: Any, x: Any) -> Any:
    if t.dtype(x).kind == "c":
        return t.atan2(t.imag(x), t.real(x))
    x = x if t.dtype(x).kind == "f" else t.to(x, default_dtype().code)
    turned = t.masked_fill(t.zeros_like(x), t.lt(x, 0), math.pi)
    none = t.isnan(x)
    flat = t.mul(t.clamp(t.masked_fill(x, none, 0.0), -1, 1), 0)  # the gradient is zero everywhere
    return t.where(none, t.detach(x), t.add(turned, flat))


declare(
    "aten::lcm(Tensor self, Tensor other) -> Tensor", lambda a, b: np.lcm(*as_arrays(a, b)), types=broadcast,
    onnx=unsupported("ONNX has no least common multiple"), samples=of((np.asarray([4, 6]), np.asarray([6, 9]))),
)  # fmt: skip
