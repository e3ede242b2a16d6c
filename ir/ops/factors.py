"""Linear algebra by factors: QR, singular values, eigenvalues, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.ops._composite import composite
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._samples import S, f4, of
from bridge.ir.ops.linalg import check_squares, definite_matrices, has_vectors, regular_matrices, turned
from bridge.ir.registry import unsupported
from bridge.ir.rules import Call, Results, result

__all__: list[str] = []

_NO_ONNX = "ONNX has no {}; compute it before exporting, or keep it out of the exported program"


def _qr(a: Array, mode: str = "reduced") -> tuple[Array, Array]:
    if mode not in ("reduced", "complete", "r"):
        raise BridgeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    if mode == "r":
        return np.empty(0, a.dtype), np.asarray(np.linalg.qr(a, "r"), a.dtype)
    q, r = np.linalg.qr(a, mode)  # type: ignore[call-overload]
    return np.asarray(q, a.dtype), np.asarray(r, a.dtype)


def _qr_grad(c: Any, gq: Any, gr: Any) -> Any:
    q, r = c.results
    if (
        (c["mode"] if "mode" in c.plan.schema.index else "reduced") != "reduced"
        or q.shape[-2] < q.shape[-1]
        or r.shape[-2] != r.shape[-1]
    ):
        raise BridgeError("the gradient of qr is that of the reduced factors of matrices that are not wide")
    inner: Any = None
    if gr is not None:
        inner = r.matmul(turned(gr))
    if gq is not None:
        part = turned(gq).matmul(q)
        inner = -part if inner is None else inner - part
    inner = inner.tril()
    inner = inner + turned(inner.tril(-1))
    found = q.matmul(inner)
    found = found if gq is None else found + gq
    return (found.matmul(turned(c.op("aten::linalg_inv", r))),)


def _qr_types(call: Call) -> Results:
    t = call.tensor(call.schema.arguments[0].name)
    rank = None if t.dims is None else (None,) * len(t.dims)
    return [result(t.dtype, None if call.known("mode") == "r" else rank), result(t.dtype, rank)]


_QR = {
    "types": _qr_types,
    "onnx": unsupported(_NO_ONNX.format("QR decomposition")),
    "grad": _qr_grad,
    "grad_name": "LinalgQrBackward0",
}
declare('aten::linalg_qr(Tensor A, str mode="reduced") -> (Tensor Q, Tensor R)', _qr, **_QR)  # type: ignore[arg-type]
declare(
    "aten::qr(Tensor self, bool some=True) -> (Tensor Q, Tensor R)",
    lambda a, some=True: _qr(a, "reduced" if some else "complete"),
    **_QR,  # type: ignore[arg-type]
)


def _svd(a: Array, full: bool = True, driver: str | None = None) -> tuple[Array, Array, Array]:
    u, s, v = np.linalg.svd(a, full_matrices=full)
    return np.asarray(u, a.dtype), np.asarray(s), np.asarray(v, a.dtype)


def _svd_grad(c: Any, gu: Any, gs: Any, gv: Any) -> Any:
    u, s, vh = c.results
    if any(g is not None and bool((g != 0).any()) for g in (gu, gv)):
        raise BridgeError("the gradient of singular vectors is not supported; that of singular values is")
    k = s.shape[-1]
    return ((u.narrow(-1, 0, k) * gs.unsqueeze(-2)).matmul(vh.narrow(-2, 0, k)),)


def _svd_types(call: Call) -> Results:
    t = call.tensor("A")
    if t.dims is None:
        return [result(t.dtype, None)] * 3
    *lead, m, n = t.dims
    short = min(m, n) if isinstance(m, int) and isinstance(n, int) else None
    full = call.known("full_matrices")
    inner = None if not isinstance(full, bool) else short
    return [
        result(t.dtype, (*lead, m, m if full is True else inner)),
        result(t.dtype, (*lead, short)),
        result(t.dtype, (*lead, n if full is True else inner, n)),
    ]


declare(
    "aten::linalg_svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)",
    _svd,
    types=_svd_types,
    onnx=unsupported(_NO_ONNX.format("singular value decomposition")),
    grad=_svd_grad,
    grad_name="LinalgSvdBackward0",
)


@composite(
    "aten::linalg_svdvals(Tensor A, *, str? driver=None) -> Tensor",
    samples=of((regular_matrices(3, 3),), (f4(2, 4, 3),)),
)
def svdvals(t: Any, a: Any, driver: str | None) -> Any:
    return t.linalg_svd(a, False)[1]


@composite("aten::svd(Tensor self, bool some=True, bool compute_uv=True) -> (Tensor U, Tensor S, Tensor V)")
def svd(t: Any, a: Any, some: bool, vectors: bool) -> Any:
    u, s, vh = t.linalg_svd(a, not some)
    if not vectors:
        return t.zeros_like(u), s, t.zeros_like(t.transpose(vh, -2, -1))
    return u, s, t.transpose(vh, -2, -1)


def _eigh(a: Array, uplo: str = "L") -> tuple[Array, Array]:
    check_squares("linalg.eigh", a)
    values, vectors = np.linalg.eigh(a, uplo.upper())  # type: ignore[call-overload]
    return np.asarray(values), np.asarray(vectors, a.dtype)


def _eigh_grad(c: Any, g: Any, gv: Any) -> Any:
    values, vectors = c.results
    if gv is None:
        inner = g.diag_embed()
    else:
        apart = values.unsqueeze(-2) - values.unsqueeze(-1)
        same = apart == 0
        inner = turned(vectors).matmul(gv) / apart.masked_fill(same, math.inf)
        inner = inner if g is None else inner + g.diag_embed()
    found = vectors.matmul(inner).matmul(turned(vectors))
    return ((found + turned(found)) * 0.5,)


def _eigh_types(call: Call) -> Results:
    t = call.tensor("self")
    return [result(t.dtype, None if t.dims is None else t.dims[:-1]), result(t.dtype, t.dims)]


declare(
    'aten::linalg_eigh(Tensor self, str UPLO="L") -> (Tensor eigenvalues, Tensor eigenvectors)',
    _eigh,
    types=_eigh_types,
    onnx=unsupported(_NO_ONNX.format("eigenvalues")),
    grad=_eigh_grad,
    grad_name="LinalgEighBackward0",
)


@composite(
    'aten::linalg_eigvalsh(Tensor self, str UPLO="L") -> Tensor',
    samples=of((definite_matrices(3, 3),), (definite_matrices(2, 3, 3),)),
)
def eigvalsh(t: Any, a: Any, uplo: str) -> Any:
    return t.linalg_eigh(a, uplo)[0]


def _complex_of(a: Array) -> Any:
    return np.complex128 if a.dtype in (np.float64, np.complex128) else np.complex64


def _complex_types(vectors: bool) -> Callable[[Call], Results]:
    def rule(call: Call) -> Results:
        t = call.tensor("self")
        dtype = (
            None
            if t.dtype is None
            else by_name("complex128" if t.dtype.name in ("float64", "complex128") else "complex64")
        )
        values = result(dtype, None if t.dims is None else t.dims[:-1])
        return [values, result(dtype, t.dims)] if vectors else values

    return rule


declare(
    "aten::linalg_eig(Tensor self) -> (Tensor eigenvalues, Tensor eigenvectors)",
    lambda a: tuple(np.asarray(v, _complex_of(a)) for v in np.linalg.eig(a)),
    types=_complex_types(True),
    onnx=unsupported(_NO_ONNX.format("eigenvalues")),
    grad=unsupported("the gradient of eigenvectors is complex, and not written"),
)
declare(
    "aten::linalg_eigvals(Tensor self) -> Tensor",
    lambda a: np.asarray(np.linalg.eigvals(a), _complex_of(a)),
    types=_complex_types(False),
    onnx=unsupported(_NO_ONNX.format("eigenvalues")),
    grad=unsupported("the gradient of complex eigenvalues is not written"),
)

# -- pseudo-inverse, rank, least squares -------------------------------------------------------------------------------


def _tolerance(s: Array, shape: Any, atol: float | None, rtol: float | None) -> Array:
    """What counts as zero among singular values."""
    if rtol is None:
        rtol = 0.0 if atol is not None and atol > 0 else max(shape[-2:]) * float(np.finfo(s.dtype).eps)
    top = s.max(-1, keepdims=True) if s.shape[-1] else np.zeros((*s.shape[:-1], 1), s.dtype)
    return np.asarray(np.maximum(atol or 0.0, rtol * top))


def _hermitian_pinv(a: Array, atol: float | None, rtol: float | None) -> Array:
    """Of which the lower triangle is read."""
    w, v = np.linalg.eigh(a)
    kept = np.abs(w) > _tolerance(np.abs(w), a.shape, atol, rtol)
    scaled = v * np.where(kept, 1 / np.where(kept, w, 1), 0)[..., None, :]
    return np.asarray(np.matmul(scaled, np.conj(np.swapaxes(v, -1, -2))), a.dtype)


def _pinv(a: Array, atol: float | None, rtol: float | None, hermitian: bool) -> Array:
    if hermitian:
        check_squares("linalg.eigh", a)
        return _hermitian_pinv(a, atol, rtol)
    u, s, v = np.linalg.svd(a, full_matrices=False)
    kept = s > _tolerance(s, a.shape, atol, rtol)
    turned = np.where(kept, 1 / np.where(kept, s, 1), 0)[..., None, :]
    return np.asarray(np.matmul(np.conj(np.swapaxes(v, -1, -2)) * turned, np.conj(np.swapaxes(u, -1, -2))), a.dtype)


def _pinv_grad(c: Any, g: Any) -> Any:
    a, p = c["self"], c.result
    m, n = a.shape[-2:]
    pt, gt = turned(p), turned(g)
    rows = c.op("aten::eye", m, None, None, None, None) - a.matmul(p)
    columns = c.op("aten::eye", n, None, None, None, None) - p.matmul(a)
    found = -pt.matmul(g).matmul(pt) + rows.matmul(gt).matmul(p).matmul(pt) + pt.matmul(p).matmul(gt).matmul(columns)
    return (found,)


def _turned_types(call: Call) -> Results:
    t = call.tensor("self")
    return result(t.dtype, None if t.dims is None else (*t.dims[:-2], t.dims[-1], t.dims[-2]))


_PINV: dict[str, Any] = {
    "types": _turned_types, "onnx": unsupported(_NO_ONNX.format("singular value decomposition")), "grad": _pinv_grad,
    "grad_name": "LinalgPinvBackward0",
}  # fmt: skip
declare(
    "aten::linalg_pinv(Tensor self, float rcond, bool hermitian=False) -> Tensor",
    lambda a, rcond, hermitian: _pinv(a, 0.0, rcond, hermitian),
    samples=of((f4(3, 2), 0.1)),
    **_PINV,
)
declare(
    "aten::linalg_pinv.atol_rtol_float(Tensor self, *, float? atol=None, float? rtol=None, bool hermitian=False) -> Tensor",
    _pinv,
    samples=of((regular_matrices(3, 3),), (f4(2, 4, 3),)),
    **_PINV,
)
declare("aten::pinverse(Tensor self, float rcond=1e-15) -> Tensor", lambda a, r: _pinv(a, 0.0, r, False), **_PINV)


def _rank(a: Array, atol: float | None, rtol: float | None, hermitian: bool) -> Array:
    if hermitian:
        check_squares("linalg.eigh", a)
    s = np.abs(np.linalg.eigvalsh(a)) if hermitian else np.linalg.svd(a, compute_uv=False)
    return np.asarray((s > _tolerance(s, a.shape, atol, rtol)).sum(-1), np.int64)


_RANK: dict[str, Any] = {
    "types": lambda call: result(
        by_name("int64"), None if call.tensor("self").dims is None else call.tensor("self").dims[:-2]
    ),
    "onnx": unsupported(_NO_ONNX.format("singular value decomposition")),
}
declare(
    "aten::linalg_matrix_rank(Tensor self, float tol, bool hermitian=False) -> Tensor",
    lambda a, tol, hermitian: _rank(a, tol, 0.0, hermitian),
    **_RANK,
)
declare(
    "aten::linalg_matrix_rank.atol_rtol_float(Tensor self, *, float? atol=None, float? rtol=None, bool hermitian=False) -> Tensor",
    _rank,
    samples=of((np.asarray(np.diag([1.0, 0.0, 2.0]), np.float32),), (f4(2, 4, 3),)),
    **_RANK,
)


def _lstsq(a: Array, b: Array, rcond: float | None, driver: str | None) -> tuple[Array, ...]:
    vector = has_vectors(a, b)
    right = b[..., None] if vector else b
    limit = rcond if rcond is not None else float(np.finfo(a.dtype).eps) * max(a.shape[-2:])
    lead = np.broadcast_shapes(a.shape[:-2], right.shape[:-2])
    flat_a = np.broadcast_to(a, (*lead, *a.shape[-2:])).reshape(-1, *a.shape[-2:])
    flat_b = np.broadcast_to(right, (*lead, *right.shape[-2:])).reshape(-1, *right.shape[-2:])
    solved = [np.linalg.lstsq(x, y, rcond=limit) for x, y in zip(flat_a, flat_b, strict=True)]
    x = np.stack([s[0] for s in solved]).reshape(*lead, a.shape[-1], right.shape[-1]).astype(a.dtype)
    full = (
        a.shape[-2] > a.shape[-1]
        and all(s[2] == a.shape[-1] for s in solved)
        and driver in (None, "gelsy", "gels", "gelsd", "gelss")
    )
    rest = ((np.matmul(a, x) - right) ** 2).sum(-2) if full else np.empty(0, a.dtype)
    known_rank = driver != "gels"
    rank = np.asarray([s[2] for s in solved], np.int64).reshape(lead) if known_rank else np.empty(0, np.int64)
    values = (
        np.stack([s[3] for s in solved]).reshape(*lead, -1) if driver in ("gelsd", "gelss") else np.empty(0, a.dtype)
    )
    return (x[..., 0] if vector else x, rest.astype(a.dtype), rank, values.astype(a.dtype))


declare(
    "aten::linalg_lstsq(Tensor self, Tensor b, float? rcond=None, *, str? driver=None) -> (Tensor solution, Tensor residuals, "
    "Tensor rank, Tensor singular_values)",
    _lstsq,
    types=lambda call: (
        [result(call.tensor("self").dtype, None)] * 2
        + [result(by_name("int64"), None), result(call.tensor("self").dtype, None)]
    ),
    onnx=unsupported(_NO_ONNX.format("least squares solver")),
    grad=unsupported("the gradient of lstsq is not written; use linalg.pinv or linalg.solve"),
)

# -- others ----------------------------------------------------------------------------------------------------------


@composite(
    "aten::linalg_vecdot(Tensor x, Tensor y, *, int dim=-1) -> Tensor",
    samples=of((f4(2, 3), f4(2, 3, seed=1)), S(f4(2, 3), f4(2, 3), dim=0)),
)
def vecdot(t: Any, x: Any, y: Any, dim: int) -> Any:
    return t.sum(t.mul(x, y), [dim])


@composite(
    "aten::linalg_vander(Tensor x, *, int? N=None) -> Tensor",
    samples=of((f4(4),), S(f4(2, 3), N=2)),
    grad_name="CatBackward0",
)
def linalg_vander(t: Any, x: Any, n: int | None) -> Any:
    x = t.reshape(x, [1]) if t.rank(x) == 0 else x
    count = t.size(x, -1) if n is None else n
    return t.pow(t.unsqueeze(x, -1), t.arange(count))


@composite(
    "aten::vander(Tensor x, int? N=None, bool increasing=False) -> Tensor", samples=of((f4(4),), (f4(3), 2, True))
)
def vander(t: Any, x: Any, n: int | None, increasing: bool) -> Any:
    if t.rank(x) != 1:
        raise BridgeError("x must be a one-dimensional tensor.")
    made = t.linalg_vander(x, N=n)
    return made if increasing else t.flip(made, [1])


@composite("aten::linalg_diagonal(Tensor(a) A, *, int offset=0, int dim1=-2, int dim2=-1) -> Tensor(a)")
def linalg_diagonal(t: Any, a: Any, offset: int, dim1: int, dim2: int) -> Any:
    return t.diagonal(a, offset, dim1, dim2)


#: How often a matrix is halved at most before the series: for norms up to 2^(this - 1).
_HALVINGS = 24


def _exponential(t: Any, a: Any) -> Any:
    """Each matrix is halved until its norm is below a half, where fourteen terms of the series are enough, and what comes
    out squared as often; in float64."""
    code = t.dtype(a).code
    whole = t.to(a, 7)
    one = t.diag_embed(t.ones_like(t.sum(whole, [-1])))
    norm = t.sum(t.abs(whole), [-2, -1], True)
    count = t.clamp(t.add(t.ceil(t.log2(t.clamp_min(norm, 0.25))), 1.0), 0.0, float(_HALVINGS))
    small = t.mul(whole, t.exp2(t.neg(count)))
    total, term = t.add(one, small), small
    for k in range(2, 15):
        term = t.mul(t.matmul(term, small), 1 / k)
        total = t.add(total, term)
    for k in range(_HALVINGS):
        more = t.gt(count, float(k))
        # what is finished is not squared on, because its gradient would be 0 times infinity
        going = t.where(more, total, one)
        total = t.where(more, t.matmul(going, going), total)
    return t.to(total, code)


for _name in ("linalg_matrix_exp", "matrix_exp"):
    composite(
        f"aten::{_name}(Tensor self) -> Tensor",
        samples=of((f4(3, 3),), (f4(2, 3, 3),)),
        grad_name="LinalgMatrixExpBackward0",
    )(_exponential)


@composite(
    "aten::linalg_cond(Tensor self, Scalar? p=None) -> Tensor",
    samples=of((regular_matrices(3, 3),), (regular_matrices(2, 3, 3),)),
    grad_name="SqueezeBackward1",
)
def cond(t: Any, a: Any, p: Any) -> Any:
    if p is None or p == 2 or p == -2:
        s = t.linalg_svdvals(a)
        first, last = t.select(s, -1, 0), t.select(s, -1, -1)
        return t.div(last, first) if p == -2 else t.div(first, last)
    return t.mul(t.linalg_norm(a, p, [-2, -1]), t.linalg_norm(t.linalg_inv(a), p, [-2, -1]))


@composite(
    "aten::chain_matmul(Tensor[] matrices) -> Tensor",
    samples=of(([f4(2, 3), f4(3, 4), f4(4, 2)],)),
    grad_name="ViewBackward0",
)
def chain_matmul(t: Any, matrices: list[Any]) -> Any:
    made = matrices[0]
    for m in matrices[1:]:
        made = t.matmul(made, m)
    return made


@composite(
    "aten::linalg_matrix_norm(Tensor self, Scalar ord, int[] dim=[-2, -1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    samples=of((f4(3, 4), 1), (f4(2, 3, 4), math.inf, [0, 1], True), (f4(3, 4), -1), (f4(2, 3, 4), 2)),
)
def matrix_norm(t: Any, x: Any, order: Any, dim: list[int], keepdim: bool, dtype: int | None) -> Any:
    x = x if dtype is None else t.to(x, dtype)
    rank = t.rank(x)
    a, b = (d % rank for d in dim)
    reduce = t.amin if order < 0 else t.amax
    over = [t.size(x, a), t.size(x, b)] if abs(order) == 2 else [t.size(x, b if abs(order) == 1 else a)]
    if order > 0 and any(isinstance(n, int) and n == 0 for n in over):
        reduce = t.sum  # the largest of nothing is 0
    if abs(order) == 2:
        values = t.linalg_svdvals(t.permute(x, [*(d for d in range(rank) if d not in (a, b)), a, b]))
        found = reduce(values, [-1])
        for d in sorted((a, b)) if keepdim else ():
            found = t.unsqueeze(found, d)
        return found
    if abs(order) not in (1, math.inf):
        raise BridgeError(f"linalg.matrix_norm: Order {order} not supported.")
    added, kept = (a, b) if abs(order) == 1 else (b, a)
    summed = t.sum(t.abs(x), [added], keepdim)
    return reduce(summed, [kept if keepdim or kept < added else kept - 1], keepdim)


@composite(
    "aten::linalg_norm.ord_str(Tensor self, str ord, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    samples=of((f4(3, 4), "nuc"), (f4(3, 4), "fro")),
)
def norm_by_name(t: Any, x: Any, order: str, dim: Any, keepdim: bool, dtype: int | None) -> Any:
    dim = [-2, -1] if dim is None else dim
    if order != "nuc":
        return t.linalg_matrix_norm(x, order, dim, keepdim, dtype=dtype)
    rank = t.rank(x)
    a, b = (d % rank for d in dim)
    turned_last = t.permute(
        x if dtype is None else t.to(x, dtype), [*(d for d in range(rank) if d not in (a, b)), a, b]
    )
    found = t.sum(t.linalg_svdvals(turned_last), [-1])
    for d in sorted((a, b)) if keepdim else ():
        found = t.unsqueeze(found, d)
    return found


def _householder(t: Any, a: Any, tau: Any) -> Any:
    """The product of reflections: the orthogonal matrix of a factorisation, as LAPACK leaves it below a diagonal."""
    count, columns = t.size(tau, -1), t.size(a, -1)
    if not isinstance(count, int):
        t.refuse("how many reflections there are must be known when the model is exported")
    below = t.tril(a, -1)
    like = t.zeros_like(a)
    identity = t.add(like, t.eye(t.size(a, -2), m=columns, dtype=t.dtype(a).code))
    made = identity
    for i in reversed(range(count)):
        v = t.unsqueeze(t.add(t.select(below, -1, i), t.select(identity, -1, i)), -1)
        made = t.sub(
            made, t.mul(t.mul(v, t.matmul(t.transpose(v, -2, -1), made)), t.narrow(t.unsqueeze(tau, -2), -1, i, 1))
        )
    return made


for _schema in (
    "linalg_householder_product(Tensor input, Tensor tau) -> Tensor",
    "orgqr(Tensor self, Tensor input2) -> Tensor",
):
    _name = "LinalgHouseholderProductBackward0"
    composite(f"aten::{_schema}", grad_name=_name, samples=of((f4(4, 3), f4(3)), (f4(2, 3, 3), f4(2, 2))))(_householder)
