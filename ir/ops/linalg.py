"""Linear algebra: solving, factors, determinants. Kernels are NumPy's; ONNX has ``Det``, and onnxruntime ``Inverse``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._composite import composite, lower_steps
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import typed
from bridge.ir.ops._samples import S, f4, of
from bridge.ir.registry import unsupported
from bridge.ir.rules import Call, Results, like, result

__all__ = ["check_squares", "definite_matrices", "has_vectors", "regular_matrices", "turned"]

_INT32 = by_name("int32")


def regular_matrices(*shape: int, seed: int = 0) -> Array:
    """Matrices that are far from singular."""
    n = shape[-1]
    return np.asarray(f4(*shape, seed=seed) * 0.3 + np.eye(n, dtype=np.float32) * 2)


def definite_matrices(*shape: int) -> Array:
    """Matrices that are symmetric and positive-definite."""
    m = regular_matrices(*shape)
    return np.asarray(m @ np.swapaxes(m, -1, -2))


def check_squares(name: str, *matrices: Array) -> None:
    """Raise what torch raises for what is no batch of square matrices of floating numbers."""
    for m in matrices:
        if m.ndim < 2:
            raise BridgeError(f"{name}: The input tensor A must have at least 2 dimensions.")
        if m.shape[-1] != m.shape[-2]:
            raise BridgeError(
                f"{name}: A must be batches of square matrices, but they are {m.shape[-2]} by {m.shape[-1]} matrices"
            )
        if m.dtype.kind not in "fc":
            raise BridgeError(f"{name}: Expected a floating point or complex tensor as input. Got {_label(m)}")


def _label(x: Array) -> str:
    from bridge.ir.dtypes import by_numpy

    return by_numpy(x.dtype).label


def _zero_pivot(m: Array) -> int:
    """Which element of the diagonal is zero after elimination with row exchanges, counted from 1; 0 for none."""
    u = m.astype(np.float64 if m.dtype.kind == "f" else np.complex128)
    for k in range(len(u)):
        row = k + int(np.argmax(np.abs(u[k:, k])))
        if u[row, k] == 0:
            return k + 1
        u[[k, row]] = u[[row, k]]
        u[k + 1 :] -= np.outer(u[k + 1 :, k] / u[k, k], u[k])
    return 0


def _check_regular(name: str, m: Array, what: str) -> None:
    for i, one in enumerate(m.reshape(-1, *m.shape[-2:])):
        at = _zero_pivot(one)
        if at:
            batch = f"(Batch element {i}): " if m.ndim > 2 else ""
            raise BridgeError(
                f"{name}: {batch}The diagonal element {at} is zero, the {what} could not be completed because the input "
                "matrix is singular."
            )


# -- inverse, solve ----------------------------------------------------------------------------------------------------


def _inverse(a: Array) -> Array:
    check_squares("linalg.inv", a)
    try:
        return np.asarray(np.linalg.inv(a), a.dtype)
    except np.linalg.LinAlgError:
        _check_regular("linalg.inv", a, "inversion")
        raise


def inverse_node(e: Emitter, x: Any) -> Any:
    """The inverses of matrices, by onnxruntime's own operator."""
    return typed(e, "Inverse", x.dtype, x, domain="com.microsoft", dims=x.dims)


def turned(t: Any) -> Any:
    """Matrices transposed."""
    return t.transpose(-2, -1)


def _inverse_grad(c: Any, g: Any) -> Any:
    r = turned(c.result)
    return (-(r.matmul(g).matmul(r)),)


for _name, _argument in (("linalg_inv", "A"), ("inverse", "self")):
    declare(
        f"aten::{_name}(Tensor {_argument}) -> Tensor",
        _inverse,
        types=like(_argument),
        onnx=lambda e, call, argument=_argument: inverse_node(e, call[argument]),
        grad=_inverse_grad,
        grad_name="LinalgInvExBackward0",
        samples=of(
            (regular_matrices(3, 3),), (regular_matrices(2, 4, 4),), (regular_matrices(2, 2).astype(np.float64),)
        ),
    )


def has_vectors(a: Any, b: Any) -> bool:
    """Whether right sides are vectors."""
    rank, of_a = len(b.shape), len(a.shape)
    return rank == 1 or (of_a - 1 == rank and tuple(b.shape) == tuple(a.shape[:-1]))


def _solve(a: Array, b: Array, left: bool) -> Array:
    check_squares("linalg.solve", a)
    if a.dtype != b.dtype:
        raise BridgeError(
            f"linalg.solve: Expected A and B to have the same dtype, but found A of type {_label(a)} and B of type "
            f"{_label(b)} instead"
        )
    vector = has_vectors(a, b)
    right = b[..., None] if vector else b
    if right.shape[-2 if left else -1] != a.shape[-1]:
        raise BridgeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
            f"({a.shape[-2]}x{a.shape[-1]} and {right.shape[-2]}x{right.shape[-1]})"
        )
    try:
        if left:
            made = np.linalg.solve(a, right)
        else:
            made = np.swapaxes(np.linalg.solve(np.swapaxes(a, -1, -2), np.swapaxes(right, -1, -2)), -1, -2)
    except np.linalg.LinAlgError:
        _check_regular("torch.linalg.solve", a, "solve")
        raise
    return np.asarray(made[..., 0] if vector else made, a.dtype)


def _solve_types(call: Call) -> Results:
    a, b = call.tensor("A"), call.tensor("B")
    if a.dims is None or b.dims is None:
        return result(a.dtype, None)
    if len(b.dims) == 1 or len(a.dims) - 1 == len(b.dims):
        return result(a.dtype, b.dims if len(a.dims) - 1 == len(b.dims) else None)
    return result(a.dtype, b.dims if len(b.dims) >= len(a.dims) else (*a.dims[:-2], *b.dims[-2:]))


def _lower_solve(e: Emitter, call: LoweredCall) -> Any:
    a, b = call["A"], call["B"]
    if a.rank is None or b.rank is None or call["left"] is not True:
        e.unsupported("linalg.solve is exported for tensors whose number of dimensions is known, with left=True")
    inverse = inverse_node(e, a)
    vector = b.rank == 1 or a.rank - 1 == b.rank

    def steps(t: Any, m: Any, v: Any) -> Any:
        return t.squeeze(t.matmul(m, t.unsqueeze(v, -1)), -1) if vector else t.matmul(m, v)

    return lower_steps(e, steps, inverse, b)


def _solve_grad(c: Any, g: Any) -> Any:
    a, b, x = c["A"], c["B"], c.result
    vector = has_vectors(a, b)
    if not c["left"]:
        gb = c.op("aten::linalg_solve", turned(a), g, False)
        return -turned(x).matmul(gb), gb
    gb = c.op("aten::linalg_solve", turned(a), g.unsqueeze(-1) if vector else g, True)
    ga = -gb.matmul(turned(x.unsqueeze(-1) if vector else x))
    return _summed(ga, a.shape), _summed(gb.squeeze(-1) if vector else gb, b.shape)


def _summed(g: Any, shape: Any) -> Any:
    return g if tuple(g.shape) == tuple(shape) else g.sum_to_size(list(shape))


declare(
    "aten::linalg_solve(Tensor A, Tensor B, *, bool left=True) -> Tensor",
    _solve,
    types=_solve_types,
    onnx=_lower_solve,
    grad=_solve_grad,
    grad_name="LinalgSolveExBackward0",
    samples=of(
        (regular_matrices(3, 3), f4(3, 2)),
        (regular_matrices(2, 3, 3), f4(2, 3)),
        (regular_matrices(3, 3), f4(3)),
        (regular_matrices(2, 3, 3), f4(2, 3, 1)),
    ),
)


def _triangle(t: Any, a: Any, upper: bool, unit: bool) -> Any:
    a = (t.triu if upper else t.tril)(a, 1 if upper and unit else -1 if unit else 0)
    return t.add(a, t.diag_embed(t.ones_like(t.sum(a, [-1])))) if unit else a


@composite(
    "aten::linalg_solve_triangular(Tensor self, Tensor B, *, bool upper, bool left=True, bool unitriangular=False) -> Tensor",
    samples=of(
        S(regular_matrices(3, 3), f4(3, 2), upper=True), S(regular_matrices(2, 3, 3), f4(2, 3, 2), upper=False),
        S(regular_matrices(3, 3), f4(2, 3), upper=False, left=False), S(regular_matrices(3, 3), f4(3, 2), upper=True, unitriangular=True),
    ),
    grad_name="LinalgSolveTriangularBackward0",
)  # fmt: skip
def solve_triangular(t: Any, a: Any, b: Any, upper: bool, left: bool, unit: bool) -> Any:
    a = _triangle(t, _square(t, a, "linalg.solve_triangular: "), upper, unit)
    if left:
        return t.linalg_solve(a, b)
    return t.transpose(t.linalg_solve(t.transpose(a, -2, -1), t.transpose(b, -2, -1)), -2, -1)


# -- determinants ------------------------------------------------------------------------------------------------------


def _batch_types(name: str) -> Callable[[Call], Results]:
    def rule(call: Call) -> Results:
        t = call.tensor(name)
        made = result(t.dtype, None if t.dims is None else t.dims[:-2])
        return [made] * len(call.schema.returns) if len(call.schema.returns) > 1 else made

    return rule


def _det(a: Array) -> Array:
    check_squares("linalg.det", a)
    return np.asarray(np.linalg.det(a), a.dtype)


def _spread(v: Any) -> Any:
    return v.unsqueeze(-1).unsqueeze(-1)


for _name, _argument in (("linalg_det", "A"), ("det", "self")):
    declare(
        f"aten::{_name}(Tensor {_argument}) -> Tensor",
        _det,
        types=_batch_types(_argument),
        onnx=lambda e, call, argument=_argument: typed(
            e, "Det", call[argument].dtype, call[argument], dims=call.results[0].dims
        ),
        grad=lambda c, g, argument=_argument: (_spread(g * c.result) * turned(c.op("aten::linalg_inv", c[argument])),),
        grad_name="LinalgDetBackward0",
        samples=of((regular_matrices(3, 3),), (regular_matrices(2, 4, 4),)),
    )


def _slogdet(a: Array) -> tuple[Array, Array]:
    check_squares("linalg.slogdet", a)
    sign, size = np.linalg.slogdet(a)
    return np.asarray(sign, a.dtype), np.asarray(size, a.dtype)


def _lower_slogdet(e: Emitter, call: LoweredCall) -> Any:
    x = call[call.schema.arguments[0].name]
    found = typed(e, "Det", x.dtype, x, dims=call.results[0].dims)  # type: ignore[attr-defined]
    return e.op("Sign", found), e.op("Log", e.op("Abs", found))


for _name, _argument in (("linalg_slogdet", "A"), ("slogdet", "self")):
    declare(
        f"aten::{_name}(Tensor {_argument}) -> (Tensor sign, Tensor logabsdet)",
        _slogdet,
        types=_batch_types(_argument),
        onnx=_lower_slogdet,
        grad=lambda c, _, g, argument=_argument: (
            c.op("aten::zeros_like", c[argument])
            if g is None
            else _spread(g) * turned(c.op("aten::linalg_inv", c[argument])),
        ),
        grad_name="LinalgSlogdetBackward0",
        samples=of((regular_matrices(3, 3),), (regular_matrices(2, 4, 4),)),
    )


@composite("aten::logdet(Tensor self) -> Tensor", samples=of((definite_matrices(3, 3),), (definite_matrices(2, 3, 3),)))
def logdet(t: Any, x: Any) -> Any:
    sign, size = t.linalg_slogdet(x)
    nothing = t.full_like(size, math.nan)
    return t.where(t.eq(sign, -1), nothing, size)


# -- factors -----------------------------------------------------------------------------------------------------------


def _cholesky(a: Array, upper: bool = False) -> Array:
    check_squares("linalg.cholesky", a)
    try:
        found = np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        _check_definite(a)
        raise
    return np.asarray(np.conj(np.swapaxes(found, -1, -2)) if upper else found, a.dtype)


def _check_definite(a: Array) -> None:
    for i, one in enumerate(a.reshape(-1, *a.shape[-2:])):
        for k in range(1, len(one) + 1):
            if np.linalg.det(one[:k, :k].astype(np.float64)) <= 0:
                batch = f"(Batch element {i}): " if a.ndim > 2 else ""
                raise BridgeError(
                    f"linalg.cholesky: {batch}The factorization could not be completed because the input is not "
                    f"positive-definite (the leading minor of order {k} is not positive-definite)."
                )


def _lower_cholesky(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    n = None if x.dims is None else next((d for d in x.dims[-2:] if isinstance(d, int)), None)
    if n is None:
        e.unsupported("cholesky is exported for matrices whose size is known: fix it with dynamic_shapes")
    if n > 32:
        e.unsupported(f"cholesky is exported column by column, for matrices up to 32 by 32; this is {n}")

    def steps(t: Any, a: Any) -> Any:
        columns: list[Any] = []
        for j in range(n):
            rest = t.narrow(t.select(a, -1, j), -1, j, n - j)
            for c in columns:
                own = t.narrow(c, -1, j, n - j)
                rest = t.sub(rest, t.mul(own, t.narrow(own, -1, 0, 1)))
            column = t.div(rest, t.sqrt(t.narrow(rest, -1, 0, 1)))
            columns.append(t.constant_pad_nd(column, [j, 0], 0) if j else column)
        return t.stack(columns, -2 if call["upper"] else -1)

    return lower_steps(e, steps, x)


def _cholesky_grad(c: Any, g: Any) -> Any:
    upper = c["upper"]
    factor, g = (turned(c.result), turned(g)) if upper else (c.result, g)
    middle = turned(factor).matmul(g).tril()
    middle = middle - middle.diagonal(0, -2, -1).diag_embed() * 0.5
    inverse = c.op("aten::linalg_inv", factor)
    found = turned(inverse).matmul(middle).matmul(inverse)
    return ((found + turned(found)) * 0.5,)


for _name, _arguments in (("linalg_cholesky", "*, bool upper=False"), ("cholesky", "bool upper=False")):
    declare(
        f"aten::{_name}(Tensor self, {_arguments}) -> Tensor",
        _cholesky,
        types=like("self"),
        onnx=_lower_cholesky,
        grad=_cholesky_grad,
        grad_name="LinalgCholeskyExBackward0" if _name != "cholesky" else "CholeskyBackward0",
        samples=of((definite_matrices(3, 3),), S(definite_matrices(2, 3, 3), upper=True))
        if _name != "cholesky"
        else None,
    )


def _square(t: Any, a: Any, name: str) -> Any:
    rows, columns = t.size(a, -2), t.size(a, -1)
    return t.sized(
        a, [columns, columns],
        lambda: f"{name}A must be batches of square matrices, but they are {rows} by {columns} matrices",
    )  # fmt: skip


def _read(t: Any, a: Any, upper: bool) -> Any:
    """Only a triangle is read, but the gradient is, as in torch, that of a whole matrix."""
    return t.add(a, t.detach(t.sub(_triangle(t, a, upper, False), a)))


@composite(
    "aten::cholesky_solve(Tensor self, Tensor input2, bool upper=False) -> Tensor",
    samples=of(
        (f4(3, 2), np.tril(regular_matrices(3, 3))),
    ),
    grad_name="CholeskySolveBackward0",
)
def cholesky_solve(t: Any, b: Any, factor: Any, upper: bool) -> Any:
    for name, v in (("b", b), ("u", factor)):
        if t.rank(v) < 2:
            raise BridgeError(f"{name} should have at least 2 dimensions, but has {t.rank(v)} dimensions instead")
    factor = _square(t, factor, "")
    factor, other = _read(t, factor, upper), None
    other = t.transpose(factor, -2, -1)
    return t.linalg_solve(t.matmul(other, factor) if upper else t.matmul(factor, other), b)


@composite(
    "aten::cholesky_inverse(Tensor self, bool upper=False) -> Tensor",
    samples=of((np.tril(regular_matrices(3, 3)),)),
    grad_name="CholeskyInverseBackward0",
)
def cholesky_inverse(t: Any, factor: Any, upper: bool) -> Any:
    if t.rank(factor) < 2:
        raise BridgeError("cholesky_inverse: The input tensor A must have at least 2 dimensions.")
    factor = _square(t, factor, "cholesky_inverse: ")
    factor = _read(t, factor, upper)
    other = t.transpose(factor, -2, -1)
    return t.linalg_inv(t.matmul(other, factor) if upper else t.matmul(factor, other))


# -- others ------------------------------------------------------------------------------------------------------------


def _with_info(schema: str, kernel: Any) -> None:
    """The variant that reports instead of raising: the result, and which minor failed (0 for none)."""

    def run(a: Array, *rest: Any) -> tuple[Array, Array]:
        lead = a.shape[:-2]
        info = np.zeros(lead, np.int32)
        if 0 in a.shape:
            return np.zeros_like(a), info
        made = []
        others = [
            np.broadcast_to(r, (*lead, *r.shape[-2:])).reshape(-1, *r.shape[-2:]) if isinstance(r, np.ndarray) else r
            for r in rest
        ]
        for i, one in enumerate(a.reshape(-1, *a.shape[-2:])):
            try:
                made.append(kernel(one, *(o[i] if isinstance(o, np.ndarray) else o for o in others)))
            except BridgeError as error:
                words = str(error).replace(")", " ").split()
                info.reshape(-1)[i] = next(int(w) for w in words if w.isdigit())
                made.append(np.full_like(one, np.nan))
        return np.stack(made).reshape(*lead, *made[0].shape), info

    first = schema.partition("Tensor ")[2].partition(",")[0]
    declare(
        schema,
        run,
        types=lambda call: [result(call.tensor(first).dtype, None), result(_INT32, None)],
        onnx=unsupported("whether a matrix can be taken apart is not reported by ONNX; use the variant without _ex"),
        grad=unsupported("use the variant without _ex where gradients are needed"),
    )


_with_info(
    "aten::linalg_inv_ex(Tensor A, *, bool check_errors=False) -> (Tensor inverse, Tensor info)",
    lambda a, c: _inverse(a),
)
_with_info(
    "aten::linalg_cholesky_ex(Tensor self, *, bool upper=False, bool check_errors=False) -> (Tensor L, Tensor info)",
    lambda a, upper, c: _cholesky(a, upper),
)
