"""Reading images at places that a grid names."""

from __future__ import annotations

from typing import Any

from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._composite import composite, lowered_as
from bridge.ir.ops._onnx import known_rank, typed
from bridge.ir.ops._samples import f4, f8, of

__all__: list[str] = []

_BILINEAR, _NEAREST, _BICUBIC = range(3)
_ZEROS, _BORDER, _REFLECTION = range(3)
_INT64 = 4

# -- where the places of a grid are ------------------------------------------------------------------------------------


def _position(t: Any, g: Any, size: Any, align: bool) -> Any:
    """From [-1, 1] to an index of that dimension."""
    if align:
        return t.mul(t.mul(t.add(g, 1), 0.5), size - 1)
    return t.mul(t.sub(t.mul(t.add(g, 1), size), 1), 0.5)


def _folded(t: Any, x: Any, low: float, span: Any) -> Any:
    """A position outside [low, low + span] mirrored at the ends until it is inside."""
    apart = t.abs(t.sub(x, low))
    turns = t.floor(t.div(apart, span))
    over = t.sub(apart, t.mul(turns, span))
    odd = t.eq(t.remainder(turns, 2), 1)
    return t.where(odd, t.sub(t.add(t.neg(over), low), t.mul(t.neg(t.ones_like(over)), span)), t.add(over, low))


def _inside(t: Any, x: Any, size: Any, padding: int, align: bool) -> Any:
    """A position as the padding moves it."""
    if padding == _ZEROS:
        return x
    if padding == _REFLECTION:
        if align:  # one element is all there is: any span will do, since the clamp is behind
            span = (
                max(size - 1, 1)
                if isinstance(size, int)
                else t.clamp_min(t.full([], size - 1, dtype=t.dtype(x).code), 1)
            )
            x = _folded(t, x, 0.0, span)
        else:
            x = _folded(t, x, -0.5, size)
    return t.clamp(x, 0, size - 1)


def _pick(t: Any, flat: Any, sizes: list[Any], places: list[Any]) -> Any:
    """The elements at whole positions (x first), zero where these are outside."""
    index, inside, stride = None, None, 1
    for at, size in zip(places, sizes, strict=True):
        here = t.logical_and(t.ge(at, 0), t.le(at, size - 1))
        inside = here if inside is None else t.logical_and(inside, here)
        part = t.mul(t.to(t.clamp(at, 0, size - 1), _INT64), stride)
        index = part if index is None else t.add(index, part)
        stride = size * stride
    channels = t.size(flat, 1)
    shape = t.shape(index)
    rows = t.expand(t.reshape(index, [shape[0], 1, -1]), [-1, channels, -1])
    found = t.reshape(t.gather(flat, 2, rows), [shape[0], channels, *shape[1:]])
    return t.mul(found, t.unsqueeze(t.to(inside, t.dtype(flat).code), 1))


def _linear(t: Any, flat: Any, sizes: list[Any], places: list[Any]) -> Any:
    """The weighted sum of the elements around each place."""
    low = [t.floor(p) for p in places]
    high = [t.sub(p, b) for p, b in zip(places, low, strict=True)]
    total = None
    for corner in range(2 ** len(places)):
        at, weight = [], None
        for d in range(len(places)):
            up = corner >> d & 1
            at.append(t.add(low[d], 1) if up else low[d])
            share = high[d] if up else t.rsub(high[d], 1)
            weight = share if weight is None else t.mul(weight, share)
        part = t.mul(_pick(t, flat, sizes, at), t.unsqueeze(weight, 1))
        total = part if total is None else t.add(total, part)
    return total


def _cubic_weights(t: Any, x: Any) -> list[Any]:
    """The four weights of cubic convolution (Keys, a = -3/4) for a place x in [0, 1) behind the second element."""
    a = -0.75

    def near(v: Any) -> Any:
        return t.add(t.mul(t.mul(t.sub(t.mul(v, a + 2), a + 3), v), v), 1)

    def far(v: Any) -> Any:
        return t.sub(t.mul(t.add(t.mul(t.sub(t.mul(v, a), 5 * a), v), 8 * a), v), 4 * a)

    return [far(t.add(x, 1)), near(x), near(t.rsub(x, 1)), far(t.rsub(x, 2))]


def _cubic(t: Any, flat: Any, sizes: list[Any], places: list[Any], padding: int, align: bool) -> Any:
    low = [t.floor(p) for p in places]
    shares = [_cubic_weights(t, t.sub(p, b)) for p, b in zip(places, low, strict=True)]
    total = None
    for j in range(4):
        for i in range(4):
            moved = [
                _inside(t, t.add(b, k - 1), size, padding, align)
                for b, k, size in zip(low, (i, j), sizes, strict=True)
            ]  # fmt: skip
            weight = t.unsqueeze(t.mul(shares[0][i], shares[1][j]), 1)
            part = t.mul(_pick(t, flat, sizes, moved), weight)
            total = part if total is None else t.add(total, part)
    return total


def _grid_sample(t: Any, x: Any, grid: Any, mode: int, padding: int, align: bool) -> Any:
    n = t.rank(x) - 2
    if n not in (2, 3) or t.rank(grid) != n + 2:
        raise BridgeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with "
            f"sizes {list(t.shape(x))} and grid with sizes {list(t.shape(grid))}"
        )
    if n == 3 and mode == _BICUBIC:
        raise BridgeError("grid_sampler(): bicubic interpolation only supports 4D input")
    sizes = [t.size(x, n + 1 - i) for i in range(n)]
    flat = t.flatten(x, 2, -1)
    places = [_position(t, t.select(grid, -1, i), size, align) for i, size in enumerate(sizes)]
    if mode == _BICUBIC:
        return _cubic(t, flat, sizes, places, padding, align)
    places = [_inside(t, p, size, padding, align) for p, size in zip(places, sizes, strict=True)]
    if mode == _NEAREST:
        found = _pick(t, flat, sizes, [t.round(p) for p in places])
        none = t.mul(t.clamp(t.stack(places), -1, 1), 0)  # the grid has a gradient of zeros
        return t.add(found, t.unsqueeze(t.sum(none, [0]), 1))
    return _linear(t, flat, sizes, places)


_GRID_STEPS = lowered_as(_grid_sample)


def _lower_grid_sample(e: Emitter, call: LoweredCall) -> Any:
    """One node where ONNX has it for that rank, else the steps."""
    x, mode = call["input"], call["interpolation_mode"]
    rank = known_rank(e, x, "grid_sample")
    if e.opset < (20 if rank == 5 else 16) or x.dtype.name != "float32":
        return _GRID_STEPS(e, call)
    names = ("linear", "nearest", "cubic") if e.opset >= 20 else ("bilinear", "nearest", "bicubic")
    return typed(
        e, "GridSample", x.dtype, x, call["grid"], mode=names[mode],
        padding_mode=("zeros", "border", "reflection")[call["padding_mode"]], align_corners=int(call["align_corners"]),
    )  # fmt: skip


_IMAGE, _PLACES = f4(2, 3, 4, 5), f4(2, 3, 2, 2, scale=0.8)
_GRIDS = of(
    *((_IMAGE, _PLACES, m, p, a) for m in range(3) for p in range(3) for a in (False, True)),
    (f8(1, 2, 3, 4), f8(1, 2, 2, 2), 0, 0, False),
    *((f4(1, 2, 3, 4, 2), f4(1, 2, 2, 3, 3, scale=0.8), m, p, False) for m in range(2) for p in range(3)),
)
_PLACED = "Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners"
for _n in (2, 3):
    composite(
        f"aten::grid_sampler_{_n}d({_PLACED}) -> Tensor",
        onnx=_lower_grid_sample,
        grad_name=f"GridSampler{_n}DBackward0",
    )(_grid_sample)


@composite(f"aten::grid_sampler({_PLACED}) -> Tensor", onnx=_lower_grid_sample, samples=_GRIDS)
def grid_sampler(t: Any, x: Any, grid: Any, mode: int, padding: int, align: bool) -> Any:
    return (t.grid_sampler_3d if t.rank(x) == 5 else t.grid_sampler_2d)(x, grid, mode, padding, align)


@composite(
    "aten::affine_grid_generator(Tensor theta, SymInt[] size, bool align_corners) -> Tensor",
    samples=of(
        (f4(2, 2, 3), [2, 3, 4, 5], False), (f4(2, 2, 3), [2, 3, 4, 5], True), (f4(1, 3, 4), [1, 1, 2, 3, 4], False)
    ),
    grad_name="AffineGridGeneratorBackward0",
)
def affine_grid(t: Any, theta: Any, size: list[Any], align: bool) -> Any:
    n = len(size) - 2
    inner = size[2:]
    dtype = t.dtype(theta).code
    axes = []
    for i in range(n):  # x first
        count = inner[n - 1 - i]
        steps = t.to(t.arange(count), dtype)
        if align:
            line = t.zeros_like(steps) if count == 1 else t.sub(t.mul(t.div(steps, count - 1), 2), 1)
        else:
            line = t.sub(t.div(t.add(t.mul(steps, 2), 1), count), 1)
        shape = [1] * n
        shape[n - 1 - i] = -1
        axes.append(t.expand(t.reshape(line, shape), inner))
    base = t.stack([*axes, t.ones_like(axes[0])], -1)
    places = t.reshape(base, [1, -1, n + 1])
    found = t.matmul(t.expand(places, [size[0], -1, -1]), t.transpose(theta, 1, 2))
    return t.reshape(found, [size[0], *inner, n])
