"""Fourier transforms, windows, and complex numbers as pairs of real ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_name, default_dtype
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._composite import composite, lower_steps
from bridge.ir.ops._declare import Array, argument_dtype, declare
from bridge.ir.ops._onnx import is_lowered
from bridge.ir.ops._samples import S, f4, of, positive
from bridge.ir.registry import unsupported
from bridge.ir.rules import UNKNOWN, Call, Results, dtype_argument, like_self, result

__all__: list[str] = []

_OPTIONS = "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None"
_NO_COMPLEX = unsupported(
    "onnxruntime computes nothing in complex numbers; stft with return_complex=False gives pairs of real ones"
)
_NO_GRAD = unsupported("gradients through complex numbers are not supported")


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

# -- complex numbers ---------------------------------------------------------------------------------------------------


def _complex(dtype: DType | None) -> DType | None:
    """The complex type of numbers of that type."""
    if dtype is None or dtype.kind == "c":
        return dtype
    return by_name("complex128" if dtype.name == "float64" else "complex64")


def _real(dtype: DType | None) -> DType | None:
    if dtype is None or dtype.kind != "c":
        return dtype
    return by_name("float64" if dtype.name == "complex128" else "float32")


def _as_complex(a: Array) -> Any:
    return np.complex128 if a.dtype in (np.float64, np.complex128) else np.complex64


def _as_real(a: Array) -> Any:
    return np.float64 if a.dtype in (np.float64, np.complex128) else np.float32


def _parts(x: Array) -> Array:
    """The numbers as pairs, in the same memory."""
    if x.dtype.kind != "c":
        raise BridgeError("view_as_real is only supported for complex tensors")
    return x[..., None].view(_as_real(x))


def _joined(x: Array) -> Array:
    if x.dtype.kind != "f" or not x.ndim or x.shape[-1] != 2:
        raise BridgeError("Tensor must have a last dimension of size 2")
    return np.asarray((x if x.flags.c_contiguous else np.ascontiguousarray(x)).view(_as_complex(x))[..., 0])


declare(
    "aten::view_as_real(Tensor(a) self) -> Tensor(a)", _parts, onnx=_NO_COMPLEX, grad=_NO_GRAD,
    types=lambda c: result(_real(c.tensor("self").dtype), None if c.tensor("self").dims is None else (*c.tensor("self").dims, 2)),
)  # fmt: skip
declare(
    "aten::view_as_complex(Tensor(a) self) -> Tensor(a)", _joined, onnx=_NO_COMPLEX, grad=_NO_GRAD,
    types=lambda c: result(_complex(c.tensor("self").dtype), None if c.tensor("self").dims is None else c.tensor("self").dims[:-1]),
)  # fmt: skip
for _name in ("real", "imag"):

    def _part(x: Array, name: str = _name) -> Array:
        if x.dtype.kind == "c":
            return np.asarray(getattr(x, name))
        if name == "imag":
            raise BridgeError("imag is not implemented for tensors with non-complex dtypes.")
        return x

    declare(
        f"aten::{_name}(Tensor(a) self) -> Tensor(a)", _part, onnx=_NO_COMPLEX, grad=_NO_GRAD,
        types=lambda c: result(_real(c.tensor("self").dtype), c.tensor("self").dims),
    )  # fmt: skip


def _two_types(call: Call) -> Results:
    first = call.tensor(call.schema.arguments[0].name)
    return result(_complex(first.dtype), None)


declare(
    "aten::complex(Tensor real, Tensor imag) -> Tensor", lambda a, b: (a + 1j * b).astype(_as_complex(a)),
    types=_two_types, onnx=_NO_COMPLEX, grad=_NO_GRAD,
)  # fmt: skip
declare(
    "aten::polar(Tensor abs, Tensor angle) -> Tensor", lambda a, b: (a * np.exp(1j * b)).astype(_as_complex(a)),
    types=_two_types, onnx=_NO_COMPLEX, grad=_NO_GRAD,
)  # fmt: skip

# -- transforms --------------------------------------------------------------------------------------------------------


def _transformed_types(kind: str) -> Any:
    def rule(call: Call) -> Results:
        t = call.tensor("self")
        dtype = t.dtype if t.dtype is None or t.dtype.kind in "fc" else default_dtype()
        wanted = _real(dtype) if kind in ("irfft", "hfft") else _complex(dtype)
        return result(wanted, None if t.dims is None else (None,) * len(t.dims))

    return rule


def _transform(kind: str, many: str) -> Any:
    """One of NumPy's transforms, in the precision of the input."""
    function = getattr(np.fft, kind + many)

    def run(x: Array, n: Any = None, dim: Any = None, norm: str | None = None) -> Array:
        if norm not in (None, "forward", "backward", "ortho"):
            raise BridgeError(f'Invalid normalization mode: "{norm}"')
        if kind in ("rfft", "ihfft") and x.dtype.kind == "c":
            raise BridgeError(f"{kind} expects a real input tensor, but got {x.dtype}")
        wide = x if x.dtype.kind in "fc" else x.astype(default_dtype().numpy)
        if not many:
            found = function(wide, n, -1 if dim is None else dim, norm or "backward")
        else:
            if dim is None:
                dim = list(range(-len(n), 0)) if n is not None else list(range(x.ndim))
            found = function(wide, n, dim, norm or "backward")
        return np.asarray(found, _as_real(wide) if kind in ("irfft", "hfft") else _as_complex(wide))

    return run


for _kind in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    _rest: dict[str, Any] = {"types": _transformed_types(_kind), "onnx": _NO_COMPLEX, "grad": _NO_GRAD}
    declare(
        f"aten::fft_{_kind}(Tensor self, SymInt? n=None, int dim=-1, str? norm=None) -> Tensor",
        _transform(_kind, ""),
        **_rest,
    )
    if _kind in ("hfft", "ihfft"):
        continue
    _sizes = "Tensor self, SymInt[1]? s=None, int[1]"
    declare(f"aten::fft_{_kind}2({_sizes} dim=[-2, -1], str? norm=None) -> Tensor", _transform(_kind, "n"), **_rest)
    declare(f"aten::fft_{_kind}n({_sizes}? dim=None, str? norm=None) -> Tensor", _transform(_kind, "n"), **_rest)


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
    if call["return_complex"]:
        e.unsupported("onnxruntime computes nothing in complex numbers; use return_complex=False, which gives pairs")
    n_fft, hop, length, normalized, onesided, _ = (call[n] for n in names)
    given = [call["self"]] if call["window"] is None else [call["self"], call["window"]]

    def steps(t: Any, x: Any, window: Any = None) -> Any:
        return _pairs(t, x, n_fft, hop, length, window, normalized, onesided)

    return lower_steps(e, steps, *given)


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
    return result(_complex(t.dtype), dims) if whole else result(t.dtype, (*dims, 2))


declare(
    f"aten::stft({_STFT}) -> Tensor", _stft_kernel, composite=True, types=_stft_types, onnx=_lower_stft,
    grad_name="ViewAsRealBackward0",
    samples=of(
        S(f4(20), 8, 3, return_complex=False), S(f4(2, 20), 8, 4, 6, positive(6), return_complex=False),
        S(f4(2, 16), 8, window=positive(8), normalized=True, onesided=False, return_complex=False),
    ),
)  # fmt: skip

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
    return np.asarray(np.logspace(start, end, steps, base=base)).astype(argument_dtype(dtype))


declare(
    f"aten::logspace(Scalar start, Scalar end, int steps, float base=10.0, *, {_OPTIONS}) -> Tensor",
    _logspace,
    types=lambda c: result(
        dtype_argument(c, default_dtype()), (c.known("steps") if isinstance(c.known("steps"), int) else None,)
    ),
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
    "aten::lcm(Tensor self, Tensor other) -> Tensor", np.lcm, types=like_self,
    onnx=unsupported("ONNX has no least common multiple"), samples=of((np.asarray([4, 6]), np.asarray([6, 9]))),
)  # fmt: skip
