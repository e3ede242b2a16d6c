"""Tensors put together, taken apart and turned: what follows from cat, stack, slices and sums."""

from __future__ import annotations

import itertools
from typing import Any

from bridge.ir.errors import BridgeError
from bridge.ir.ops._composite import composite
from bridge.ir.ops._declare import dim_of, dims_of
from bridge.ir.ops._samples import S, f4, i8, of

__all__: list[str] = []


# -- taking apart ------------------------------------------------------------------------------------------------------


def _pieces(axis: int, name: str, least: int) -> None:
    def split(t: Any, x: Any, how: Any) -> Any:
        rank = t.rank(x)
        if rank < least:
            raise BridgeError(
                f"torch.{name} requires a tensor with at least {least} dimension{'s' * (least > 1)}, but got a tensor with "
                f"{rank} dimensions!"
            )
        dim = 0 if name == "hsplit" and rank == 1 else axis
        size = t.size(x, dim)
        if isinstance(how, int):
            if isinstance(size, int) and (how <= 0 or size % how):
                raise BridgeError(
                    f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension {size} is not "
                    f"divisible by the split_size {how}!"
                )
            return t.tensor_split(x, how, dim)
        ends = [0, *how, size]
        return [t.slice(x, dim, a, b) for a, b in itertools.pairwise(ends)]

    for kind, argument in (("int", "int sections"), ("array", "int[] indices")):
        composite(
            f"aten::{name}.{kind}(Tensor(a -> *) self, {argument}) -> Tensor(a)[]",
            samples=of((f4(*(4,) * least), 2 if kind == "int" else [1, 2])),
        )(split)


_pieces(1, "hsplit", 1)
_pieces(0, "vsplit", 2)
_pieces(2, "dsplit", 3)


# -- putting together --------------------------------------------------------------------------------------------------


@composite("aten::column_stack(Tensor[] tensors) -> Tensor", samples=of(([f4(3), f4(3, 2), f4(3)],), ([f4(), f4()],)))
def column_stack(t: Any, tensors: Any) -> Any:
    return t.cat([t.reshape(x, [-1, 1]) if t.rank(x) <= 1 else x for x in tensors], 1)


for _n in (1, 2, 3):

    @composite(f"aten::atleast_{_n}d.Sequence(Tensor[] tensors) -> Tensor[]", samples=of(([f4(), f4(2), f4(2, 3)],)))
    def atleast(t: Any, tensors: Any, n: int = _n) -> Any:
        return [getattr(t, f"atleast_{n}d")(x) for x in tensors]


@composite(
    "aten::block_diag(Tensor[] tensors) -> Tensor",
    samples=of(([f4(2, 3), f4(3), f4(), f4(1, 2)],)),
    grad_name="BlockDiagBackward0",
)
def block_diag(t: Any, tensors: Any) -> Any:
    if any(t.rank(x) > 2 for x in tensors):
        raise BridgeError("torch.block_diag: Input tensors must have 2 or fewer dimensions")
    flat = [x if t.rank(x) == 2 else t.reshape(x, [1, -1]) for x in tensors]
    rows, before = [], 0
    total = sum(t.size(x, 1) for x in flat)
    for x in flat:
        rows.append(t.constant_pad_nd(x, [before, total - before - t.size(x, 1)], 0))
        before = before + t.size(x, 1)
    return t.cat(rows, 0)


@composite("aten::cartesian_prod(Tensor[] tensors) -> Tensor", samples=of(([i8(3), i8(2, seed=1)],), ([i8(3)],)))
def cartesian_prod(t: Any, tensors: Any) -> Any:
    if any(t.rank(x) != 1 for x in tensors):
        wrong = next(t.shape(x) for x in tensors if t.rank(x) != 1)
        raise BridgeError(f"Expect a 1D vector, but got shape {wrong}")
    if len(tensors) == 1:
        return tensors[0]
    grids = t.meshgrid(list(tensors), indexing="ij")
    return t.stack([t.reshape(g, [-1]) for g in grids], 1)


@composite(
    "aten::combinations(Tensor self, int r=2, bool with_replacement=False) -> Tensor",
    samples=of((f4(4),), (i8(4), 3), (f4(3), 2, True)),
)
def combinations(t: Any, x: Any, r: int, with_replacement: bool) -> Any:
    if t.rank(x) != 1:
        raise BridgeError(f"Expect a 1D vector, but got shape {t.shape(x)}")
    n = t.size(x, 0)
    if not isinstance(n, int):
        t.refuse("combinations is exported for a size that is known")
        return t.empty([0, r])
    make = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = [list(c) for c in zip(*make(range(n), r), strict=True)] or [[] for _ in range(r)]
    return t.stack([t.index_select(x, 0, t.tensor(p, dtype=4)) for p in places], 1)


@composite(
    "aten::kron(Tensor self, Tensor other) -> Tensor",
    samples=of((f4(2, 3), f4(3, 2)), (f4(2), f4(2, 2)), (i8(2), i8(3))),
    grad_name="UnsafeViewBackward0",
)
def kron(t: Any, a: Any, b: Any) -> Any:
    rank = max(t.rank(a), t.rank(b))
    sa = [1] * (rank - t.rank(a)) + t.shape(a)
    sb = [1] * (rank - t.rank(b)) + t.shape(b)
    left = t.reshape(a, [v for n in sa for v in (n, 1)])
    right = t.reshape(b, [v for n in sb for v in (1, n)])
    return t.reshape(t.mul(left, right), [m * n for m, n in zip(sa, sb, strict=True)])


# -- turning -----------------------------------------------------------------------------------------------------------


@composite(
    "aten::rot90(Tensor self, int k=1, int[] dims=[0, 1]) -> Tensor",
    samples=of((f4(2, 3),), (f4(2, 3), 2), (f4(2, 3, 4), -1, [1, 2]), (f4(2, 3), 4)),
    grad_name="Rot90Backward0",
)
def rot90(t: Any, x: Any, k: int, dims: Any) -> Any:
    if len(dims) != 2:
        raise BridgeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    a, b = (dim_of(d, t.rank(x)) for d in dims)
    if a == b:
        raise BridgeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    turns = {1: lambda: t.transpose(t.flip(x, [b]), a, b), 2: lambda: t.flip(x, [a, b]),
             3: lambda: t.transpose(t.flip(x, [a]), a, b)}  # fmt: skip
    return t.clone(turns[k % 4]()) if k % 4 else t.clone(x)


@composite(
    "aten::trace(Tensor self) -> Tensor", samples=of((f4(3, 3),), (f4(2, 4),), (i8(3, 3),)), grad_name="TraceBackward0"
)
def trace(t: Any, x: Any) -> Any:
    if t.rank(x) != 2:
        raise BridgeError(f"trace: expected a matrix, but got tensor with dim {t.rank(x)}")
    rows, columns = t.size(x, 0), t.size(x, 1)
    on = t.eq(t.unsqueeze(t.arange(rows), 1), t.unsqueeze(t.arange(columns), 0))
    return t.sum(t.masked_fill(x, t.logical_not(on), 0))


@composite(
    "aten::sum_to_size(Tensor self, SymInt[] size) -> Tensor",
    samples=of((f4(2, 3), [3]), (f4(2, 3), [2, 1]), (f4(2, 3), [2, 3])),
)
def sum_to_size(t: Any, x: Any, size: Any) -> Any:
    if not len(size):
        return t.sum(x)
    lead = t.rank(x) - len(size)

    def why() -> str:
        return f"size {{{list(size)}}} is not expandable to size {{{t.shape(x)}}}."

    if lead < 0:
        raise BridgeError(why())
    x = t.sized(x, [t.size(x, lead + i) if n == 1 else n for i, n in enumerate(size)], why)
    over = [*range(lead), *(i + lead for i, n in enumerate(size) if n == 1)]
    found = t.sum(x, over, True) if over else x
    return t.view(found, list(size)) if lead else found


# -- writing a part ----------------------------------------------------------------------------------------------------


@composite(
    "aten::select_scatter(Tensor self, Tensor src, int dim, SymInt index) -> Tensor",
    samples=of((f4(3, 4), f4(4), 0, 1), (f4(3, 4), f4(3), 1, -1)),
    grad_name="SelectScatterBackward0",
)
def select_scatter(t: Any, x: Any, source: Any, dim: int, index: Any) -> Any:
    dim = dim_of(dim, t.rank(x))
    n = t.size(x, dim)
    at = index + n if isinstance(index, int) and index < 0 else index
    wanted = [s for d, s in enumerate(t.shape(x)) if d != dim]
    source = t.shaped(
        source,
        wanted,
        lambda: (
            f"expected src to have a size equal to the slice of self. src size = {t.shape(source)}, slice size = {wanted}"
        ),
    )
    return _replaced(t, x, t.unsqueeze(source, dim), dim, at, at + 1, 1)


@composite(
    "aten::slice_scatter(Tensor self, Tensor src, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor",
    samples=of((f4(4, 3), f4(2, 3), 0, 1, 3), (f4(3, 5), f4(3, 2), 1, 0, 4, 2)),
    grad_name="SliceScatterBackward0",
)
def slice_scatter(t: Any, x: Any, source: Any, dim: int, start: Any, end: Any, step: Any) -> Any:
    return _replaced(t, x, source, dim_of(dim, t.rank(x)), start, end, step)


def _replaced(t: Any, x: Any, source: Any, dim: int, start: Any, end: Any, step: Any) -> Any:
    """x with the elements of a slice along ``dim`` replaced."""
    places = t.slice(t.arange(t.size(x, dim)), 0, start, end, step)
    wanted = [s if d != dim else t.size(places, 0) for d, s in enumerate(t.shape(x))]
    source = t.shaped(
        source,
        wanted,
        lambda: (
            f"expected src to have a size equal to the slice of self. src size = {t.shape(source)}, slice size = {wanted}"
        ),
    )
    return t.index_copy(x, dim, places, t.to(source, t.dtype(x).code))


@composite(
    "aten::diagonal_scatter(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor",
    samples=of((f4(3, 3), f4(3)), (f4(3, 4), f4(3), 1)),
    grad_name="DiagonalScatterBackward0",
)
def diagonal_scatter(t: Any, x: Any, source: Any, offset: int, dim1: int, dim2: int) -> Any:
    slot = t.diagonal(x, offset, dim1, dim2)
    source = t.shaped(
        source,
        t.shape(slot),
        lambda: (
            f"expected src to have a size equal to the slice of self. src size = {t.shape(source)}, slice size = "
            f"{t.shape(slot)}"
        ),
    )
    rows, columns = t.size(x, dim1), t.size(x, dim2)
    n = t.size(source, t.rank(source) - 1)
    if t.rank(x) != 2:
        t.refuse("diagonal_scatter is exported for matrices")
    d1, d2 = dims_of([dim1, dim2], t.rank(x))
    first = t.movedim(x, [d1, d2], [-2, -1])
    flat = t.reshape(first, [*t.shape(first)[:-2], rows * columns])
    start = offset if offset >= 0 else -offset * columns
    places = t.add(t.mul(t.arange(n), columns + 1), start)
    made = t.reshape(t.index_copy(flat, t.rank(flat) - 1, places, source), [*t.shape(first)])
    return t.movedim(made, [-2, -1], [d1, d2])


# -- copies of views ---------------------------------------------------------------------------------------------------

for _schema, _samples in (
    ("alias_copy(Tensor self)", of((f4(2, 3),))),
    ("view_copy(Tensor self, SymInt[] size)", of((f4(2, 3), [3, 2]))),
    ("permute_copy(Tensor self, int[] dims)", of((f4(2, 3), [1, 0]))),
    ("transpose_copy.int(Tensor self, int dim0, int dim1)", of((f4(2, 3), 0, 1))),
    ("squeeze_copy(Tensor self)", of((f4(2, 1),))),
    ("squeeze_copy.dim(Tensor self, int dim)", of((f4(2, 1), 1))),
    ("unsqueeze_copy(Tensor self, int dim)", of((f4(2, 3), 1))),
    ("expand_copy(Tensor self, SymInt[] size, *, bool implicit=False)", of((f4(2, 1), [2, 3]))),
    ("narrow_copy(Tensor self, int dim, SymInt start, SymInt length)", of((f4(4, 2), 0, 1, 2))),
    ("t_copy(Tensor self)", of((f4(2, 3),))),
    ("detach_copy(Tensor self)", of((i8(2, 3),))),
    ("select_copy.int(Tensor self, int dim, SymInt index)", of((f4(2, 3), 0, 1))),
    ("slice_copy.Tensor(Tensor self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1)", of((f4(4, 3), 0, 1, 3))),
    ("unfold_copy(Tensor self, int dimension, int size, int step)", of((f4(5), 0, 2, 1))),
):  # fmt: skip
    _full = _schema.partition("(")[0]
    _view = _full.partition(".")[0].removesuffix("_copy")
    _node = "".join(w[:1].upper() + w[1:] for w in _view.split("_"))
    _node = {"Narrow": "NarrowCopyBackward0"}.get(_node, f"{_node}Backward{int(_full == 'squeeze_copy.dim')}_copy")

    @composite(f"aten::{_schema} -> Tensor", samples=_samples, grad_name=_node)
    def view_copy(t: Any, *args: Any, name: str = _view) -> Any:
        return t.clone(getattr(t, name)(*(args[:2] if name == "expand" else args)))


# -- differences and areas ---------------------------------------------------------------------------------------------


@composite(
    "aten::diff(Tensor self, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor",
    samples=of((f4(3, 5),), (f4(3, 5), 2, 0), S(i8(5), prepend=i8(1), append=i8(2)), (f4(3, 4) > 0,)),
)
def diff(t: Any, x: Any, n: int, dim: int, prepend: Any, append: Any) -> Any:
    if t.rank(x) < 1:
        raise BridgeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise BridgeError(f"order must be non-negative but got {n}")
    if n and (prepend is not None or append is not None):
        x = t.cat([v for v in (prepend, x, append) if v is not None], dim)
    for _ in range(n):
        size = t.size(x, dim_of(dim, t.rank(x)))
        if isinstance(size, int) and size == 0:
            break
        after, before = t.slice(x, dim, 1), t.slice(x, dim, 0, -1)
        x = t.logical_xor(after, before) if t.dtype(x).kind == "b" else t.sub(after, before)
    return x


def _pairs(t: Any, y: Any, dim: int) -> Any:
    """The sums of neighbours."""
    return t.add(t.slice(y, dim, 0, -1), t.slice(y, dim, 1))


def _widths(t: Any, y: Any, x: Any, dim: int) -> Any:
    if t.rank(x) == 1:
        w = t.diff(x)
        return t.reshape(w, [-1, *[1] * (t.rank(y) - 1 - dim_of(dim, t.rank(y)))])
    return t.diff(x, 1, dim)


for _name in ("trapezoid", "trapz", "cumulative_trapezoid"):

    @composite(
        f"aten::{_name}.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor",
        samples=of((f4(3, 4), f4(4)), S(f4(3, 4), f4(3, 4, seed=1), dim=0)),
    )
    def area_over(t: Any, y: Any, x: Any, dim: int, running: bool = _name.startswith("cum")) -> Any:
        areas = t.mul(_widths(t, y, x, dim), _pairs(t, y, dim))
        return t.div(t.cumsum(areas, dim) if running else t.sum(areas, [dim]), 2.0)

    @composite(
        f"aten::{_name}.dx(Tensor y, *, {'float' if _name == 'trapz' else 'Scalar'} dx=1, int dim=-1) -> Tensor",
        samples=of((f4(3, 4),), S(f4(3, 4), dx=0.5, dim=0)),
    )
    def area_steps(t: Any, y: Any, dx: Any, dim: int, running: bool = _name.startswith("cum")) -> Any:
        half = t.mul(dx, 0.5) if hasattr(dx, "steps") else dx / 2.0
        if running:
            return t.cumsum(t.mul(_pairs(t, y, dim), half), dim)
        return t.mul(t.sum(_pairs(t, y, dim), [dim]), half)


# -- products of matrices ----------------------------------------------------------------------------------------------


def _mixed(t: Any, x: Any, product: Any, beta: Any, alpha: Any) -> Any:
    known = isinstance(beta, int | float)
    scaled = t.mul(product, alpha)
    return scaled if known and beta == 0 else t.add(t.mul(x, beta), scaled)


@composite(
    "aten::addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    samples=of((f4(2, 3), f4(2), f4(3)), S(f4(3), f4(2), f4(3, seed=1), beta=0.5, alpha=2)),
    grad_name="AddrBackward0",
)
def addr(t: Any, x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
    for i, v in enumerate((a, b), 1):
        if t.rank(v) != 1:
            raise BridgeError(f"addr: Expected 1-D argument vec{i}, but got {t.rank(v)}-D")
    kinds = {t.dtype(v).kind for v in (x, a, b)}
    for name, value in (("beta", beta), ("alpha", alpha)):
        if isinstance(value, float) and kinds <= {"i", "b"}:
            raise BridgeError(f"For integral input tensors, argument {name} must not be a floating point number.")
    if kinds == {"b"}:
        both = t.logical_and(t.unsqueeze(a, 1), t.unsqueeze(b, 0))
        both = both if alpha else t.zeros_like(both)
        return t.logical_or(t.expand(x, t.shape(both)), both) if beta else both
    product = t.mul(t.unsqueeze(a, 1), t.unsqueeze(b, 0))
    return _mixed(t, t.expand(x, t.shape(product)), product, beta, alpha)


@composite(
    "aten::addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    samples=of((f4(2, 3), f4(4, 2, 5), f4(4, 5, 3)), S(f4(3), f4(4, 2, 5), f4(4, 5, 3), beta=0.5, alpha=2)),
    grad_name="AddbmmBackward0",
)
def addbmm(t: Any, x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
    if t.dtype(x).kind == "i":
        beta, alpha = (int(v) if isinstance(v, float) else v for v in (beta, alpha))
    product = t.bmm(a, b)
    product = t.sum(product, [0], dtype=t.dtype(product).code)
    return _mixed(t, t.expand(x, t.shape(product)), product, beta, alpha)


@composite(
    "aten::linalg_multi_dot(Tensor[] tensors) -> Tensor",
    samples=of(([f4(2, 3), f4(3, 4), f4(4, 2)],)),
    grad_name="ViewBackward0",
)
def multi_dot(t: Any, tensors: Any) -> Any:
    found = tensors[0]
    for x in tensors[1:]:
        found = t.matmul(found, x)
    return found


@composite(
    "aten::linalg_matrix_power(Tensor self, int n) -> Tensor",
    samples=of((f4(3, 3), 3), (f4(2, 3, 3), 2), (f4(3, 3), 5)),
)
def matrix_power(t: Any, x: Any, n: int) -> Any:
    if n < 0:
        x, n = t.linalg_inv(x), -n
    if n == 0:
        size = t.size(x, t.rank(x) - 1)
        return t.expand(t.eye(size, dtype=t.dtype(x).code), t.shape(x))
    if n == 1:
        return t.clone(x)
    found, power = None, x
    while n:
        if n & 1:
            found = power if found is None else t.matmul(found, power)
        n >>= 1
        power = t.matmul(power, power) if n else power
    return found


# -- statistics --------------------------------------------------------------------------------------------------------


def _weights(t: Any, w: Any, name: str, count: Any) -> Any:
    """Weights of ``cov``, one for each observation."""
    if t.rank(w) > 1:
        raise BridgeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with {t.rank(w)} dimensions"
        )
    kind, wanted = t.dtype(w).kind, "integral" if name == "fweights" else "floating point"
    if kind != wanted[0]:
        raise BridgeError(f"cov(): expected {name} to have {wanted} dtype but got {name} with {t.dtype(w).label} dtype")
    w = t.shaped(
        t.reshape(w, [-1]),
        [count],
        lambda: (
            f"cov(): expected {name} to have the same numel as there are observations in the input but got "
            f"{t.size(t.reshape(w, [-1]), 0)} != {count}"
        ),
    )
    return t.holding(w, t.all(t.ge(w, 0)), lambda: f"cov(): {name} cannot be negative")


@composite(
    "aten::cov(Tensor self, *, int correction=1, Tensor? fweights=None, Tensor? aweights=None) -> Tensor",
    samples=of((f4(3, 5),), S(f4(3, 5), correction=0), (f4(5),), S(f4(2, 4), fweights=i8(4, low=1, high=4))),
    grad_name="SqueezeBackward0",
)
def cov(t: Any, x: Any, correction: int, fweights: Any, aweights: Any) -> Any:
    rank = t.rank(x)
    if rank > 2:
        raise BridgeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {rank} dimensions"
        )
    if rank < 2:
        x = t.reshape(x, [1, -1])
    fweights, aweights = (
        w if w is None else _weights(t, w, name, t.size(x, 1))
        for w, name in ((fweights, "fweights"), (aweights, "aweights"))
    )
    if t.dtype(x).kind in "ib":
        x = t.to(x, 6)
    w = aweights if fweights is None else fweights if aweights is None else t.mul(fweights, aweights)
    if w is None:
        n = t.size(x, 1)
        total = n
        centred = t.sub(x, t.mean(x, [1], True))
        weighed = centred
        divisor = total - correction
    else:
        total = t.sum(w)
        centred = t.sub(x, t.div(t.sum(t.mul(x, w), [1], True), total))
        weighed = t.mul(centred, w)
        if correction == 0:
            divisor = total
        elif aweights is None:
            divisor = t.sub(total, correction)
        else:
            divisor = t.sub(total, t.div(t.mul(t.sum(t.mul(w, aweights)), correction), total))
    if isinstance(divisor, int):
        divisor = max(divisor, 0)
    found = t.div(t.matmul(weighed, t.transpose(centred, 0, 1)), divisor)
    if not isinstance(t.size(x, 0), int):
        t.refuse("cov is exported where the number of variables is known: of one it is a 0-d tensor")
    return t.squeeze(t.squeeze(found, 0), 0) if t.size(x, 0) == 1 else found


@composite("aten::corrcoef(Tensor self) -> Tensor", samples=of((f4(3, 5),), (f4(5),)))
def corrcoef(t: Any, x: Any) -> Any:
    c = t.cov(x)
    if t.rank(c) == 0:
        return t.div(c, c)
    deviation = t.sqrt(t.diagonal(c))
    found = t.div(t.div(c, t.unsqueeze(deviation, 1)), t.unsqueeze(deviation, 0))
    return t.clamp(found, -1, 1)


@composite("aten::_dim_arange(Tensor like, int dim) -> Tensor", samples=of((f4(2, 3), 1), (f4(2, 3), 0)))
def dim_arange(t: Any, like: Any, dim: int) -> Any:
    return t.arange(t.size(like, dim), dtype=4)


@composite(
    "aten::conv_tbc(Tensor self, Tensor weight, Tensor bias, int pad=0) -> Tensor",
    samples=of((f4(5, 2, 3), f4(3, 3, 4, seed=1), f4(4, seed=2)), (f4(5, 2, 3), f4(2, 3, 4, seed=1), f4(4, seed=2), 1)),
    grad_name="ConvTbcBackward0",
)
def conv_tbc(t: Any, x: Any, weight: Any, bias: Any, pad: int) -> Any:
    if t.rank(x) != 3 or t.rank(weight) != 3:
        raise BridgeError("Input must have 3 dims: time, batch, in_channel.")
    by_channels = t.conv1d(t.permute(x, [1, 2, 0]), t.permute(weight, [2, 1, 0]), bias, padding=[pad])
    return t.permute(by_channels, [2, 0, 1])
