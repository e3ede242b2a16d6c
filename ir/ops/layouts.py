"""Layers that move elements between channels and places, and layers made of a few products."""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.ops._composite import composite
from bridge.ir.ops._samples import f4, of
from bridge.ir.ops.windows import spread

__all__: list[str] = []

_INT64 = by_name("int64")

# -- channels and places -----------------------------------------------------------------------------------------------


@composite(
    "aten::pixel_shuffle(Tensor self, int upscale_factor) -> Tensor",
    samples=of((f4(1, 8, 2, 3), 2), (f4(9, 2, 2), 3)),
    grad_name="PixelShuffleBackward0",
)
def pixel_shuffle(t: Any, x: Any, r: int) -> Any:
    if t.rank(x) < 3:
        raise BridgeError(
            f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {t.rank(x)} dimension(s)"
        )
    if r == 1:
        return t.clone(x)
    *lead, c, h, w = t.shape(x)
    n = len(lead)
    x = t.divisible(
        x,
        n,
        r * r,
        lambda: (
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but "
            f"input.size(-3)={c} is not divisible by {r * r}"
        ),
    )
    small = t.reshape(x, [*lead, c // (r * r), r, r, h, w])
    mixed = t.permute(small, [*range(n), n, n + 3, n + 1, n + 4, n + 2])
    return t.reshape(mixed, [*lead, c // (r * r), h * r, w * r])


@composite(
    "aten::pixel_unshuffle(Tensor self, int downscale_factor) -> Tensor",
    samples=of((f4(1, 2, 4, 6), 2), (f4(1, 3, 3), 3)),
    grad_name="PixelUnshuffleBackward0",
)
def pixel_unshuffle(t: Any, x: Any, r: int) -> Any:
    if t.rank(x) < 3:
        raise BridgeError(
            f"pixel_unshuffle expects input to have at least 3 dimensions, but got input with {t.rank(x)} dimension(s)"
        )
    if r == 1:
        return t.clone(x)
    *lead, c, h, w = t.shape(x)
    n = len(lead)
    for dim, name, size in ((-2, "height", h), (-1, "width", w)):
        why = f"input.size({dim})={size} is not divisible by {r}" if isinstance(size, int) else ""
        x = t.divisible(
            x,
            n + 3 + dim,
            r,
            lambda name=name, why=why: f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but {why}",
        )
    if any(isinstance(s, int) and s == 0 for s in t.shape(x)):
        return t.clone(x)  # which torch leaves as it is
    x = t.at_least(x, [1] * (n + 3), lambda: "pixel_unshuffle of a tensor without elements")
    split = t.reshape(x, [*lead, c, h // r, r, w // r, r])
    mixed = t.permute(split, [*range(n), n, n + 2, n + 4, n + 1, n + 3])
    return t.reshape(mixed, [*lead, c * (r * r), h // r, w // r])


for _name in ("channel_shuffle", "native_channel_shuffle"):

    @composite(
        f"aten::{_name}(Tensor self, int groups) -> Tensor",
        samples=of((f4(1, 6, 2, 2), 3)),
        grad_name="ChannelShuffleBackward0" if _name == "channel_shuffle" else "NativeChannelShuffleBackward0",
    )
    def channel_shuffle(t: Any, x: Any, groups: int) -> Any:
        if groups == 1:
            return t.clone(x)
        batch, c, *rest = t.shape(x)
        x = t.divisible(
            x,
            1,
            groups,
            lambda: f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups.",
        )
        apart = t.reshape(x, [batch, groups, c // groups, *rest])
        return t.reshape(t.transpose(apart, 1, 2), [batch, c, *rest])


def _columns(size: Any, kernel: int, dilation: int, padding: int, stride: int) -> Any:
    """How many places a window has along a dimension."""
    reach = dilation * (kernel - 1) + 1
    return (size + (2 * padding - reach)) // stride + 1


_EMPTY = "Expected {} possibly 0 batch size and {}non-zero dimensions for input, but got: {}"


def _unbatched(t: Any, x: Any, rank: int) -> tuple[Any, bool]:
    return (t.unsqueeze(x, 0), True) if t.rank(x) == rank - 1 else (x, False)


@composite(
    "aten::im2col(Tensor self, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor",
    samples=of((f4(1, 2, 5, 4), [2, 3], [1, 1], [0, 0], [1, 1]), (f4(2, 5, 5), [2, 2], [2, 1], [1, 0], [2, 1])),
    grad_name="Im2ColBackward0",
)
def im2col(t: Any, x: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    x = t.at_least(x, [1, 1, 1], lambda: _EMPTY.format("3D or 4D (batch mode) tensor with", "other ", t.shape(x)))
    x, alone = _unbatched(t, x, 4)
    k, d, p, s = (spread(v, 2) for v in (kernel, dilation, padding, stride))

    def why() -> str:
        sizes = t.shape(x)[2:]
        counts = tuple(_columns(n, k[i], d[i], p[i], s[i]) for i, n in enumerate(sizes))
        return (
            f"Given input with spatial size ({sizes[0]}, {sizes[1]}), kernel_size={tuple(k)}, dilation={tuple(d)}, "
            f"padding={tuple(p)}, calculated shape of the array of sliding blocks as {counts}, but its components must be "
            "at least one."
        )

    x = t.at_least(x, [d[i] * (k[i] - 1) + 1 - 2 * p[i] for i in range(2)], why)
    x = t.constant_pad_nd(x, [p[1], p[1], p[0], p[0]], 0)
    batch, channels, height, width = t.shape(x)
    counts = [_columns(n, k[i], d[i], 0, s[i]) for i, n in enumerate((height, width))]
    parts = []
    for i in range(k[0]):
        rows = t.slice(x, 2, i * d[0], (counts[0] - 1) * s[0] + (i * d[0] + 1), s[0])
        for j in range(k[1]):
            parts.append(t.slice(rows, 3, j * d[1], (counts[1] - 1) * s[1] + (j * d[1] + 1), s[1]))
    found = t.reshape(t.stack(parts, 2), [batch, channels * (k[0] * k[1]), counts[0] * counts[1]])
    return t.squeeze(found, 0) if alone else found


def _uneven(size: Any, k: Any, d: Any, p: Any, s: Any, counts: Any, found: Any) -> str:
    return (
        f"Given output_size={tuple(size)}, kernel_size={tuple(k)}, dilation={tuple(d)}, padding={tuple(p)}, stride={tuple(s)}, "
        f"expected size of input's dimension 2 to match the calculated number of sliding blocks {counts[0]} * {counts[1]} = "
        f"{counts[0] * counts[1]}, but got input.size(2)={found}."
    )


@composite(
    "aten::col2im(Tensor self, SymInt[2] output_size, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) "
    "-> Tensor",
    samples=of(
        (f4(1, 8, 12), [4, 5], [2, 2], [1, 1], [0, 0], [1, 1]), (f4(8, 6), [4, 3], [2, 2], [1, 1], [1, 0], [2, 1])
    ),
    grad_name="Col2ImBackward0",
)
def col2im(t: Any, x: Any, size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    x = t.at_least(x, [1, 1], lambda: _EMPTY.format("2D or 3D (batch mode) tensor for input with", "", t.shape(x)))
    x, alone = _unbatched(t, x, 3)
    k, d, p, s = (spread(v, 2) for v in (kernel, dilation, padding, stride))
    counts = [_columns(n, k[i], d[i], p[i], s[i]) for i, n in enumerate(size)]
    x = t.sized(x, [counts[0] * counts[1]], lambda: _uneven(size, k, d, p, s, counts, t.size(x, 2)))
    if isinstance(t.size(x, 1), int) and t.size(x, 1) % (k[0] * k[1]):
        raise BridgeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={t.size(x, 1)} and kernel_size={tuple(k)}."
        )
    batch, channels = t.size(x, 0), t.size(x, 1) // (k[0] * k[1])
    parts = t.reshape(x, [batch, channels, k[0] * k[1], counts[0] * counts[1]])
    high, wide = size[0] + 2 * p[0], size[1] + 2 * p[1]
    across = t.mul(t.arange(counts[1]), s[1])
    down = (
        t.mul(t.arange(counts[0]), wide * s[0])
        if isinstance(wide, int)
        else t.mul(t.mul(t.arange(counts[0]), s[0]), wide)
    )
    corner = t.reshape(t.add(t.unsqueeze(down, 1), across), [-1])
    offsets = [t.add(corner, j * d[1]) if i == 0 else t.add(t.add(corner, j * d[1]), wide * (i * d[0]))
               for i in range(k[0]) for j in range(k[1])]  # fmt: skip
    places = t.cat(offsets, 0)
    flat = t.reshape(parts, [batch * channels, k[0] * k[1] * counts[0] * counts[1]])
    none = t.full([batch * channels, high * wide], 0.0, dtype=t.dtype(x).code)
    whole = t.reshape(t.index_add(none, 1, places, flat), [batch, channels, high, wide])
    cut = t.slice(t.slice(whole, 2, p[0], size[0] + p[0]), 3, p[1], size[1] + p[1])
    found = t.clone(cut)
    return t.squeeze(found, 0) if alone else found


def _unpool(n: int) -> None:
    more = "" if n == 2 else f", int[{n}] stride, int[{n}] padding"
    planes = {2: (f4(1, 2, 2, 2), np.asarray([[[[0, 3], [9, 10]], [[1, 2], [8, 11]]]]), [3, 4]),
              3: (f4(1, 1, 1, 2, 2), np.asarray([[[[[0, 3], [9, 10]]]]]), [2, 3, 4], [2, 2, 2], [0, 0, 0])}[n]  # fmt: skip

    def empty(shape: Any) -> str:
        return (
            f"max_unpooling{n}d_forward_out_cpu(): Expected input to have non-zero size for non-batch dimensions, but got "
            f"{list(shape)} with dimension {list(shape).index(0, 1)} being empty."
        )

    @composite(
        f"aten::max_unpool{n}d(Tensor self, Tensor indices, SymInt[{n}] output_size{more}) -> Tensor",
        samples=of(planes),
        grad_name=f"MaxUnpool{n}DBackward0",
    )
    def unpool(t: Any, x: Any, places: Any, size: Any, *_: Any) -> Any:
        if t.rank(x) not in (n + 1, n + 2):
            raise BridgeError(
                f"Input to max_unpooling{n}d should be a {n + 1}d or {n + 2}d Tensor, but got a tensor with {t.rank(x)} "
                "dimensions."
            )
        x = t.at_least(x, [1] * (t.rank(x) - 1), lambda: empty(t.shape(x)))
        places = t.shaped(
            places,
            t.shape(x),
            lambda: (
                f"Expected shape of indices to be same as that of the input tensor ({t.shape(x)}) but got indices tensor with "
                f"shape: {t.shape(places)}"
            ),
        )
        own, lead = t.shape(x), t.shape(x)[: t.rank(x) - n]
        count: Any = 1
        for s in size:
            count = s * count
        plane = functools.reduce(operator.mul, own[-n:])
        none = t.full([*lead, count], 0.0, dtype=t.dtype(x).code)
        found = t.scatter(none, len(lead), t.reshape(places, [*lead, plane]), t.reshape(x, [*lead, plane]))
        return t.reshape(found, [*lead, *size])


_unpool(2)
_unpool(3)

# -- layers ------------------------------------------------------------------------------------------------------------


@composite(
    "aten::rms_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor",
    samples=of((f4(3, 4), [4]), (f4(2, 3, 4), [3, 4], f4(3, 4), 1e-5)),
)
def rms_norm(t: Any, x: Any, shape: Any, weight: Any, eps: Any) -> Any:
    if not shape:
        raise BridgeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
            "normalized_shape = []"
        )
    if weight is not None:
        weight = t.shaped(
            weight,
            shape,
            lambda: (
                f"Expected weight to be of same shape as normalized_shape, but got weight of shape {t.shape(weight)} and "
                f"normalized_shape = {shape}"
            ),
        )

    def other_size() -> str:
        return (
            f"Given normalized_shape={shape}, expected input with shape [*{', '.join(map(str, shape))}], but got input of "
            f"size{t.shape(x)}"
        )

    rank = t.rank(x)
    if rank < len(shape):
        raise BridgeError(other_size())
    x = t.sized(x, shape, other_size)
    dims = [rank - 1 - i for i in range(len(shape))][::-1]
    own = t.dtype(x)
    if own.kind != "f":
        raise BridgeError(f"\"rms_norm\" not implemented for '{own.label}'")
    wide = t.to(x, 6) if own.name in ("float16", "bfloat16") else x
    small = eps if eps is not None else float(np.finfo(t.dtype(wide).numpy).eps)
    scaled = t.mul(wide, t.rsqrt(t.add(t.mean(t.mul(wide, wide), dims, True), small)))
    scaled = scaled if weight is None else t.mul(scaled, weight)
    return scaled if t.dtype(scaled) is own else t.to(scaled, own.code)


@composite(
    "aten::bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor",
    samples=of((f4(2, 3), f4(2, 4), f4(5, 3, 4), f4(5)), (f4(3), f4(4), f4(2, 3, 4))),
)
def bilinear(t: Any, a: Any, b: Any, weight: Any, bias: Any) -> Any:
    if t.rank(a) != t.rank(b):
        raise BridgeError(f"bilinear(): input dimensions do not match: got {t.rank(a)} and {t.rank(b)}")
    lead = t.shape(a)[:-1]
    sizes = [*lead, t.size(weight, 2)]
    other = [i for i, (n, m) in enumerate(zip(lead, t.shape(b), strict=False)) if isinstance(n, int) and n != m]
    b = t.shaped(
        b,
        sizes,
        lambda: (
            f"bilinear(): input batch dimensions do not match at dim {other[0]}: got {lead[other[0]]} and "
            f"{t.size(b, other[0])}"
            if other
            else f"bilinear(): input2 size does not match weight size: got {t.size(b, -1)} but expected {t.size(weight, 2)}"
        ),
    )
    a = t.sized(
        a,
        [t.size(weight, 1)],
        lambda: (
            f"bilinear(): input1 size does not match weight size: got {t.size(a, -1)} but expected {t.size(weight, 1)}"
        ),
    )
    if bias is not None:
        bias = t.shaped(
            bias,
            [t.size(weight, 0)],
            lambda: (
                f"bilinear(): bias size does not match weight size: got {t.size(bias, 0)} but expected {t.size(weight, 0)}"
            ),
        )
    rows = t.reshape(a, [-1, t.size(weight, 1)])
    columns = t.reshape(b, [-1, t.size(weight, 2)])
    inner = t.matmul(t.unsqueeze(rows, 0), weight)  # (out, N, in2)
    found = t.transpose(t.sum(t.mul(inner, columns), [2], dtype=t.dtype(inner).code), 0, 1)
    found = t.reshape(found, [*lead, t.size(weight, 0)])
    return found if bias is None else t.add(found, bias)


def _bags(t: Any, indices: Any, offsets: Any, last: bool) -> tuple[Any, Any]:
    """The bag of each index, and how many bags there are."""
    bags = t.size(offsets, 0) - 1 if last else t.size(offsets, 0)
    starts = t.narrow(offsets, 0, 0, bags) if last else offsets
    begun = t.ge(t.unsqueeze(t.arange(t.size(indices, 0)), 1), t.unsqueeze(starts, 0))
    return t.sub(t.sum(t.to(begun, _INT64.code), [1]), 1), bags


def _embedding_bag(
    t: Any, weight: Any, indices: Any, offsets: Any, mode: int, scale: Any, last: bool, skip: Any
) -> Any:
    bag, bags = _bags(t, indices, offsets, last)
    rows = t.embedding(weight, indices)
    if scale is not None:
        rows = t.mul(rows, t.unsqueeze(scale, 1))
    width, code = t.size(weight, 1), t.dtype(weight).code
    kept = t.to(t.ones_like(indices) if skip is None else t.ne(indices, skip), _INT64.code)
    cut = last and mode == 0 and skip is None  # torch sums no further than the last offset; other ways read to the end
    if cut:
        inside = t.lt(t.arange(t.size(indices, 0)), t.narrow(offsets, 0, bags, 1))
        kept = t.mul(kept, t.to(inside, _INT64.code))
    counts = t.index_add(t.full([bags], 0, dtype=_INT64.code), 0, bag, kept)
    if mode == 2:
        if skip is not None:
            t.refuse("embedding_bag with mode max and padding_idx is not exported")
        member = t.eq(t.unsqueeze(t.arange(bags), 1), t.unsqueeze(t.where(t.eq(kept, 1), bag, t.full_like(bag, -1)), 0))
        wide = t.masked_fill(t.unsqueeze(rows, 0), t.logical_not(t.unsqueeze(member, 2)), -np.inf)
        found = t.amax(wide, [1])
        return t.masked_fill(found, t.unsqueeze(t.eq(counts, 0), 1), 0.0), bag, counts
    if skip is not None or cut:
        rows = t.mul(rows, t.unsqueeze(kept, 1))
    found = t.index_add(t.full([bags, width], 0.0, dtype=code), 0, bag, rows)
    if mode == 1:
        found = t.div(found, t.unsqueeze(t.clamp_min(counts, 1), 1))
    return found, bag, counts


for _overload, _tail in (
    ("", "bool scale_grad_by_freq=False, int mode=0, bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False"),
    (".padding_idx", "bool scale_grad_by_freq, int mode, bool sparse, Tensor? per_sample_weights, bool include_last_offset, int? padding_idx"),
):  # fmt: skip

    @composite(
        f"aten::embedding_bag{_overload}(Tensor weight, Tensor indices, Tensor offsets, {_tail}) "
        "-> (Tensor, Tensor, Tensor, Tensor)"
    )
    def embedding_bag(
        t: Any, weight: Any, indices: Any, offsets: Any, freq: bool, mode: int, sparse: bool, scale: Any, last: bool,
        padding_idx: Any = None,
    ) -> Any:  # fmt: skip
        if t.rank(indices) != 1:
            raise BridgeError(f"input has to be a 1D Tensor, but got Tensor of dimension {t.rank(indices)}")
        skip = padding_idx
        if isinstance(skip, int) and skip < 0:
            skip = skip + t.size(weight, 0)
        found, bag, counts = _embedding_bag(t, weight, indices, offsets, mode, scale, last, skip)
        return found, bag, counts, t.zeros_like(counts)
