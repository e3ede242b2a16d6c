"""Complex numbers as pairs of real ones, and Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_name, by_numpy, default_dtype, real_dtype
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter
from bridge.ir.ops._checks import last_sizes
from bridge.ir.ops._complex import Pair, as_pairs, complex_of
from bridge.ir.ops._composite import Number
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._samples import f4, f8, of
from bridge.ir.rules import Call, Results, broadcast_dims, result

__all__ = ["as_complex", "as_real"]

_FLOAT64 = by_name("float64")


def as_complex(a: Array) -> Any:
    """The complex NumPy type of that precision."""
    return np.complex128 if a.dtype in (np.float64, np.complex128) else np.complex64


def as_real(a: Array) -> Any:
    """The real NumPy type of that precision."""
    return np.float64 if a.dtype in (np.float64, np.complex128) else np.float32


def _real(dtype: DType | None) -> DType | None:
    return None if dtype is None else real_dtype(dtype)


# -- complex numbers ---------------------------------------------------------------------------------------------------


def _parts(x: Array) -> Array:
    """The numbers as pairs, in the same memory."""
    if x.dtype.kind != "c":
        raise BridgeError("view_as_real is only supported for complex tensors")
    return x[..., None].view(as_real(x))


def _joined(x: Array) -> Array:
    if x.dtype.kind != "f" or not x.ndim or x.shape[-1] != 2:
        raise BridgeError("Tensor must have a last dimension of size 2")
    return np.asarray((x if x.flags.c_contiguous else np.ascontiguousarray(x)).view(as_complex(x))[..., 0])


def _pairs_types(call: Call) -> Results:
    t = call.tensor("self")
    return result(_real(t.dtype), None if t.dims is None else (*t.dims, 2))


def _joined_types(call: Call) -> Results:
    t = call.tensor("self")
    return result(complex_of(t.dtype), None if t.dims is None else t.dims[:-1])


@as_pairs
def _lower_pairs(t: Any, x: Any) -> Any:
    return t.stack([x.re, x.im], -1)


def _lower_joined(e: Emitter, call: Any) -> Any:
    return e.from_pairs(last_sizes(e, call["self"], [2]))


_lower_joined.takes_complex = True  # type: ignore[attr-defined]

declare(
    "aten::view_as_real(Tensor(a) self) -> Tensor(a)",
    _parts,
    onnx=_lower_pairs,
    grad=lambda c, g: (c.op("aten::view_as_complex", g.contiguous()),),
    types=_pairs_types,
)
declare(
    "aten::view_as_complex(Tensor(a) self) -> Tensor(a)",
    _joined,
    onnx=_lower_joined,
    grad=lambda c, g: (c.op("aten::view_as_real", g),),
    types=_joined_types,
)


def _real_part(x: Array) -> Array:
    return np.asarray(x.real) if x.dtype.kind == "c" else x


def _imaginary_part(x: Array) -> Array:
    if x.dtype.kind != "c":
        raise BridgeError("imag is not implemented for tensors with non-complex dtypes.")
    return np.asarray(x.imag)


def _part_types(call: Call) -> Results:
    return result(_real(call.tensor("self").dtype), call.tensor("self").dims)


def _of_real(ctx: Any, g: Any) -> Any:
    return (ctx.op("aten::complex", g, ctx.op("aten::zeros_like", g)) if ctx["self"].is_complex() else g,)


declare(
    "aten::real(Tensor(a) self) -> Tensor(a)",
    _real_part,
    onnx=as_pairs(lambda t, x: x.re if isinstance(x, Pair) else t.alias(x)),
    grad=_of_real,
    types=_part_types,
)
declare(
    "aten::imag(Tensor(a) self) -> Tensor(a)",
    _imaginary_part,
    onnx=as_pairs(lambda t, x: x.im),
    grad=lambda c, g: (c.op("aten::complex", c.op("aten::zeros_like", g), g),),
    types=_part_types,
)


def _two_types(call: Call) -> Results:
    a, b = (call.tensor(x.name) for x in call.schema.arguments[:2])
    return result(complex_of(a.dtype), broadcast_dims([a.dims, b.dims]))


def _of_floats(f: Any) -> Any:
    """A kernel that makes complex numbers of two tensors of one floating type."""

    def kernel(a: Array, b: Array) -> Array:
        labels = [by_numpy(x.dtype).label for x in (a, b)]
        if a.dtype.kind != "f" or b.dtype.kind != "f":
            raise BridgeError(
                f"Expected both inputs to be Half, Float or Double tensors but got {labels[0]} and {labels[1]}"
            )
        if a.dtype != b.dtype:
            raise BridgeError(
                f"Expected object of scalar type {labels[0]} but got scalar type {labels[1]} for second argument"
            )
        return np.asarray(f(a, b), as_complex(a))

    return kernel


def _polar_grad(c: Any, g: Any) -> Any:
    conjugate = c.op("aten::conj", g)
    return c.op("aten::real", conjugate * c.result.sgn()), c.op("aten::real", conjugate * (c.result * 1j))


declare(
    "aten::complex(Tensor real, Tensor imag) -> Tensor",
    _of_floats(lambda a, b: a + 1j * b),
    types=_two_types,
    onnx=as_pairs(lambda t, a, b: Pair(a, b)),
    grad=lambda c, g: (c.op("aten::real", g), c.op("aten::imag", g)),
)
declare(
    "aten::polar(Tensor abs, Tensor angle) -> Tensor",
    _of_floats(lambda a, b: a * np.exp(1j * b)),
    types=_two_types,
    onnx=as_pairs(lambda t, a, b: Pair(t.mul(a, t.cos(b)), t.mul(a, t.sin(b)))),
    grad=_polar_grad,
)

# -- transforms as arrays ----------------------------------------------------------------------------------------------


def _length(d: Any, n: Any) -> Any:
    return n if isinstance(n, int | str) and n != -1 else d if n is None or n == -1 else None


def _dims_of(kind: str, dims: Any, call: Call) -> Any:
    """The sizes after a transform."""
    over, sizes = call.known("dim"), call.known("s" if "s" in call.schema.index else "n")
    if "s" not in call.schema.index:
        over, sizes = [over], [sizes]
    elif over is None:
        over = list(range(-len(sizes), 0)) if isinstance(sizes, list) else list(range(len(dims)))
    over, sizes = ([x] if isinstance(x, int) else x for x in (over, sizes))
    if not isinstance(over, list) or not all(isinstance(d, int) for d in over):
        return (None,) * len(dims)
    sizes = sizes if isinstance(sizes, list) else [sizes] * len(over)
    found = list(dims)
    for d, n in zip(over, sizes, strict=False):
        found[d] = _length(found[d], n)
    last, n = over[-1], found[over[-1]]
    if kind in ("rfft", "ihfft"):
        found[last] = n // 2 + 1 if isinstance(n, int) else None
    elif kind in ("irfft", "hfft") and sizes[-1] in (None, -1):
        found[last] = 2 * (n - 1) if isinstance(n, int) else None
    return tuple(found)


def _transformed_types(kind: str) -> Any:
    def rule(call: Call) -> Results:
        t = call.tensor("self")
        dtype = t.dtype if t.dtype is None or t.dtype.kind in "fc" else default_dtype()
        wanted = _real(dtype) if kind in ("irfft", "hfft") else complex_of(dtype)
        return result(wanted, None if t.dims is None else _dims_of(kind, t.dims, call))

    return rule


_SCALES = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _over(rank: int, sizes: Any, dim: Any) -> list[int]:
    """The dimensions that a transform over many goes over."""
    if dim is None:
        return list(range(-len(sizes), 0)) if sizes is not None else list(range(rank))
    return [dim] if isinstance(dim, int) else list(dim)


def _check_points(x: Array, kind: str, n: Any, over: Sequence[int]) -> None:
    """Raise for a dimension that is transformed and has no elements."""
    wanted = [-1 if n is None else n] if n is None or isinstance(n, int) else list(n)
    wanted += [-1] * (len(over) - len(wanted))
    for i, (s, d) in enumerate(zip(wanted, over, strict=True)):
        whole = kind in ("irfft", "hfft") and i == len(over) - 1
        points = s if s != -1 else x.shape[d] if not whole else 2 * (x.shape[d] - 1)
        if x.ndim and points < 1:
            raise BridgeError(f"Invalid number of data points ({points}) specified")


def _transform(kind: str, many: bool) -> Any:
    """One of NumPy's transforms, in the precision of the input."""
    whole = {"hfft": "irfftn", "ihfft": "rfftn"}.get(kind, f"{kind}n")
    function = getattr(np.fft, whole if many else kind)

    def run(x: Array, n: Any = None, dim: Any = None, norm: str | None = None) -> Array:
        if norm not in (None, "forward", "backward", "ortho"):
            raise BridgeError(f'Invalid normalization mode: "{norm}"')
        if kind in ("rfft", "ihfft") and x.dtype.kind == "c":
            raise BridgeError(f"{kind} expects a real input tensor, but got {x.dtype}")
        wide = x if x.dtype.kind in "fc" else x.astype(default_dtype().numpy)
        how = norm or "backward"
        _check_points(x, kind, n, _over(x.ndim, n, dim) if many else [-1 if dim is None else dim])
        if not many:
            found = function(wide, n, -1 if dim is None else dim, how)
        else:
            over = _over(x.ndim, n, dim)
            sizes = None if n is None else [x.shape[d] if s == -1 else s for d, s in zip(over, n, strict=True)]
            if kind == "hfft":
                found = function(np.conj(wide), sizes, over, _SCALES[how])
            elif kind == "ihfft":
                found = np.conj(function(wide, sizes, over, _SCALES[how]))
            else:
                found = function(wide, sizes, over, how)
        return np.asarray(found, as_real(wide) if kind in ("irfft", "hfft") else as_complex(wide))

    return run


# -- transforms in ONNX ------------------------------------------------------------------------------------------------


def _fourier(t: Any, x: Pair, dim: int) -> Pair:
    """The transform over all of one dimension, without a factor.

    onnxruntime's transform is exact to rounding for sizes that are powers of two; for others it loses digits with the size
    (a hundredth of the largest value at 30,000 in float32), and its inverse in float64, too: those are computed forward in
    float64.
    """
    e = t.e
    if e.opset < 17:
        e.unsupported("Fourier transforms need opset 17 or later")
    some = x.re if x.re is not None else x.im
    rank, dtype = t.rank(some), t.dtype(some)
    dim %= rank
    n = t.size(some, dim)
    wide = _FLOAT64 if not (isinstance(n, int) and n & (n - 1) == 0) else dtype
    re, im = (None if p is None else e.cast(p, wide) for p in (x.re, x.im))
    if re is None:
        re = t.zeros_like(im)
    value = t.unsqueeze(re, -1) if im is None else e.pairs(e.join(re, im))
    value = t.unsqueeze(value, 0) if rank == 1 else value
    axis = dim + (rank == 1)
    dims = None if value.dims is None else (*value.dims[:-1], 2)
    if e.opset >= 20:
        made = e.op("DFT", value, None, np.asarray(axis, np.int64), dims=dims)
    else:
        made = e.op("DFT", value, axis=axis, dims=dims)
    made = t.squeeze(made, 0) if rank == 1 else made
    made = Pair(*(e.cast(p, dtype) for p in e.parts(e.from_pairs(made))))
    if im is not None:
        return made
    # of real numbers the first and the middle imaginary part are zeros, and not almost: their sign decides about angles
    ends = t.eq(t.remainder(t.mul(t.arange(n), 2), n), 0)
    return Pair(made.re, t.masked_fill(made.im, t.reshape(ends, [-1] + [1] * (rank - 1 - dim)), 0.0))


def _each(x: Pair, f: Callable[[Any], Any]) -> Pair:
    return Pair(*(None if p is None else f(p) for p in (x.re, x.im)))


def _some(t: Any, x: Pair, dim: int, least: int = 1) -> Pair:
    """With that many elements or more in one dimension, or the model fails."""
    first = x.re if x.re is not None else x.im
    rank = t.rank(first)
    checked = t.at_least(first, [least] + [0] * (rank - 1 - dim % rank), lambda: "Invalid number of data points")
    return Pair(checked, x.im) if first is x.re else Pair(None, checked)


def _resized(t: Any, x: Pair, n: Any, dim: int) -> Pair:
    """With that many elements in one dimension: cut, or filled up with zeros."""
    if n is None or (isinstance(n, int) and n == -1):
        return x
    if isinstance(n, int) and n < 1:
        t.e.unsupported(f"Invalid number of data points ({n}) specified")

    def fit(p: Any) -> Any:
        rank, size = t.rank(p), t.size(p, dim)
        if isinstance(n, int) and isinstance(size, int):
            if n <= size:
                return p if n == size else t.narrow(p, dim, 0, n)
            return t.constant_pad_nd(p, [0, 0] * (rank - 1 - dim % rank) + [0, n - size], 0)
        filled = t.constant_pad_nd(p, [0, 0] * (rank - 1 - dim % rank) + [0, n], 0)
        return t.narrow(filled, dim, 0, n)

    return _each(x, fit)


def _scaled(t: Any, x: Pair, n: Any, norm: str, inverse: bool) -> Pair:
    if norm != "ortho" and (norm == "backward") != inverse:
        return x
    if isinstance(n, int):
        return _each(x, lambda p: t.mul(p, n**-0.5 if norm == "ortho" else 1 / n))
    code = t.dtype(x.re if x.re is not None else x.im).code
    by = t.full([], n, dtype=code)
    by = t.sqrt(by) if norm == "ortho" else by
    return _each(x, lambda p: t.div(p, by))


def _swapped(x: Pair) -> Pair:
    return Pair(x.im, x.re)


def _size(t: Any, x: Pair, dim: int) -> Any:
    return t.size(x.re if x.re is not None else x.im, dim)


def _complex_step(t: Any, x: Pair, n: Any, dim: int, norm: str, inverse: bool) -> Pair:
    """One dimension of fft or ifft. The inverse is the transform with real and imaginary parts exchanged, twice."""
    x = _some(t, _resized(t, x, n, dim), dim)
    made = _swapped(_fourier(t, _swapped(x), dim)) if inverse else _fourier(t, x, dim)
    return _scaled(t, made, _size(t, x, dim), norm, inverse)


def _half_step(t: Any, x: Pair, n: Any, dim: int, norm: str, inverse: bool) -> Pair:
    """One dimension of rfft: the first half of the transform of real numbers."""
    x = _some(t, _resized(t, x, n, dim), dim)
    size = _size(t, x, dim)
    made = _each(_fourier(t, x, dim), lambda p: t.narrow(p, dim, 0, size // 2 + 1))
    return _scaled(t, made, size, norm, inverse)


def _whole_step(t: Any, x: Pair, n: Any, dim: int, norm: str, inverse: bool) -> Any:
    """One dimension of irfft: real numbers out of the first half of their transform."""
    if n is None or (isinstance(n, int) and n == -1):
        x = _some(t, x, dim, 2)
        n = 2 * (_size(t, x, dim) - 1)
    half = n // 2 + 1
    x = _resized(t, x, half, dim)
    if x.im is None:
        x = Pair(x.re, t.zeros_like(x.re))

    def rest(p: Any) -> Any:
        return t.flip(t.narrow(p, dim, 1, n - half), [dim])

    # the imaginary parts of the first and the middle one go into imaginary parts of the result alone
    whole = Pair(t.cat([x.re, rest(x.re)], dim), t.cat([x.im, t.neg(rest(x.im))], dim))
    return _scaled(t, Pair(_fourier(t, _swapped(whole), dim).im, None), n, norm, inverse).re


def _lower_transform(kind: str, many: bool) -> Any:
    def lower(t: Any, x: Any, n: Any = None, dim: Any = None, norm: str | None = None) -> Any:
        how = norm or "backward"
        x = x if isinstance(x, Pair) else Pair(x, None)
        some = x.re if x.re is not None else x.im
        if t.dtype(some).kind != "f":
            x = _each(x, lambda p: t.to(p, default_dtype().code))
        over = _over(t.rank(some), n, dim) if many else [-1 if dim is None else dim]
        sizes = [None] * len(over) if n is None else [n] if isinstance(n, int | Number) else list(n)
        pairs = list(zip(sizes, over, strict=True))
        if kind in ("fft", "ifft"):
            for s, d in reversed(pairs):
                x = _complex_step(t, x, s, d, how, kind == "ifft")
            return x
        if kind in ("rfft", "ihfft"):
            back = kind == "ihfft"
            x = _half_step(t, x, *pairs[-1], how, back)
            for s, d in reversed(pairs[:-1]):
                x = _complex_step(t, x, s, d, _SCALES[how] if back else how, False)
            return Pair(x.re, t.neg(x.im)) if back else x
        back = kind == "irfft"
        if not back and x.im is not None:
            x = Pair(x.re, t.neg(x.im))
        for s, d in pairs[:-1]:
            x = _complex_step(t, x, s, d, how if back else _SCALES[how], True)
        return _whole_step(t, x, *pairs[-1], how, back)

    return as_pairs(lower, alike=True)


# -- gradients ---------------------------------------------------------------------------------------------------------


def _fitted(c: Any, g: Any, sizes: list[int], over: list[int]) -> Any:
    """A gradient with the sizes that the argument has in those dimensions: cut, or zeros behind."""
    for d, n in zip(over, sizes, strict=True):
        have = g.shape[d]
        if have > n:
            g = g.narrow(d, 0, n)
        elif have < n:
            g = c.op("aten::constant_pad_nd", g, [0, 0] * (g.dim() - 1 - d % g.dim()) + [0, n - have], 0)
    return g


def _transform_grad(kind: str, many: bool) -> Any:
    """The gradient of a transform is the conjugate transform, with the factor of the transform itself."""

    def grad(c: Any, g: Any) -> Any:
        x = c["self"]
        given = c["s" if many else "n"]
        over = _over(x.dim(), given, c["dim"]) if many else [c["dim"]]
        norm = _SCALES[c["norm"] or "backward"]
        sizes = [x.shape[d] for d in over]
        inverse = "aten::fft_ifftn" if kind in ("fft", "rfft", "hfft") else "aten::fft_fftn"
        if kind in ("fft", "ifft"):
            made = c.op(inverse, g, None, over, norm)
        elif kind in ("rfft", "ihfft"):
            n = given[-1] if many and given is not None else given if not many else None
            n = x.shape[over[-1]] if n is None or n == -1 else n
            made = c.op(inverse, _fitted(c, g, [n], [over[-1]]), None, over, norm)
        else:
            half = c.result.shape[over[-1]]
            made = c.op("aten::fft_rfft" if kind == "irfft" else "aten::fft_ihfft", g, None, over[-1], norm)
            middle = made.shape[over[-1]] - (1 if half % 2 == 0 else 0)
            if middle > 1:
                twice = made.narrow(over[-1], 1, middle - 1) * 2
                ends = [made.narrow(over[-1], 0, 1), twice]
                if half % 2 == 0:
                    ends.append(made.narrow(over[-1], middle, 1))
                made = c.op("aten::cat", ends, over[-1])
            if over[:-1]:
                made = c.op("aten::fft_fftn" if kind == "irfft" else "aten::fft_ifftn", made, None, over[:-1], norm)
        made = _fitted(c, made, sizes, over)
        return (made if x.is_complex() else c.op("aten::real", made),)

    return grad


# -- declarations ------------------------------------------------------------------------------------------------------

#: What the tape calls transforms: from complex or real numbers, to them.
_NODES = {"fft": "C2C", "ifft": "C2C", "rfft": "R2C", "ihfft": "R2C", "irfft": "C2R", "hfft": "C2R"}
for _kind, _node in _NODES.items():
    _more = "Tensor self, SymInt[1]? s=None, int[1]"
    for _suffix, _arguments in (
        ("", "Tensor self, SymInt? n=None, int dim=-1"),
        ("2", f"{_more} dim=[-2, -1]"),
        ("n", f"{_more}? dim=None"),
    ):
        _samples = [(f4(3, 8), 6), (f8(3, 5),)] if not _suffix else [(f4(3, 4), [4, 5]), (f8(2, 3, 4),)]
        declare(
            f"aten::fft_{_kind}{_suffix}({_arguments}, str? norm=None) -> Tensor",
            _transform(_kind, bool(_suffix)),
            types=_transformed_types(_kind),
            onnx=_lower_transform(_kind, bool(_suffix)),
            grad=_transform_grad(_kind, bool(_suffix)),
            grad_name=f"Fft{_node}Backward0",
            samples=of(*_samples) if _kind in ("irfft", "hfft") else None,
        )
