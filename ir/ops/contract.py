"""Products over named dimensions: tensordot, einsum, cross; and meshgrid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import Array, declare, dim_of
from bridge.ir.ops._onnx import INT64, common, ints, is_lowered, known_rank, typed
from bridge.ir.ops._samples import S, f4, of
from bridge.ir.ops.linear import matmul_node
from bridge.ir.ops.reduction import reduce_node
from bridge.ir.promotion import as_arrays
from bridge.ir.rules import UNKNOWN, Call, Results, broadcast, promote_all, result
from bridge.ir.subscripts import einsum_equation
from bridge.ir.types import TENSOR, Dim, ListType, TensorType, TupleType


def _tensordot(ops: Any, a: Any, b: Any, dims_self: Sequence[int], dims_other: Sequence[int]) -> Any:
    da, db = [d % len(a.shape) for d in dims_self], [d % len(b.shape) for d in dims_other]
    for i, j in zip(da, db, strict=True):
        if a.shape[i] != b.shape[j]:
            raise BridgeError(
                f"contracted dimensions need to match, but first has size {a.shape[i]} in dim {i} and second has size {b.shape[j]} in dim {j}"
            )
    ka, kb = [i for i in range(len(a.shape)) if i not in da], [i for i in range(len(b.shape)) if i not in db]
    inner = math.prod(a.shape[i] for i in da)
    left = ops("aten::reshape", ops("aten::permute", a, ka + da), [math.prod(a.shape[i] for i in ka), inner])
    right = ops("aten::reshape", ops("aten::permute", b, db + kb), [inner, math.prod(b.shape[i] for i in kb)])
    return ops("aten::reshape", ops("aten::mm", left, right), [*(a.shape[i] for i in ka), *(b.shape[i] for i in kb)])


def _tensordot_types(call: Call) -> Results:
    a, b, da, db = call.tensor("self"), call.tensor("other"), call.known("dims_self"), call.known("dims_other")
    dtype = promote_all([a, b])
    if a.dims is None or b.dims is None or da is UNKNOWN or db is UNKNOWN:
        return result(dtype, None)
    da, db = [d % len(a.dims) for d in da], [d % len(b.dims) for d in db]
    return result(
        dtype, [d for i, d in enumerate(a.dims) if i not in da] + [d for i, d in enumerate(b.dims) if i not in db]
    )


def _letters(n: int, start: int = 0) -> str:
    return "".join(chr(97 + start + i) for i in range(n))


def _lower_tensordot(e: Emitter, call: LoweredCall) -> Any:
    a, b = call["self"], call["other"]
    ra, rb = known_rank(e, a, "tensordot"), known_rank(e, b, "tensordot")
    first, second = list(_letters(ra)), list(_letters(rb, ra))
    for i, j in zip(call["dims_self"], call["dims_other"], strict=True):
        second[j % rb] = first[i % ra]
    kept = [x for x in first if x not in second] + [x for x in second if x not in first]
    return _product_node(e, e.dtype_of(a), a, first, b, second, set(kept), kept)[0]


declare(
    "aten::tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> Tensor",
    _tensordot,
    composite=True,
    types=_tensordot_types,
    onnx=_lower_tensordot,
    samples=of((f4(2, 3, 4), f4(4, 3, 5), [1, 2], [1, 0]), (f4(2, 3), f4(3, 4), [-1], [0])),
)


def _einsum_parts(equation: str, ranks: Sequence[int | None]) -> tuple[list[str], str]:
    """The operands' subscripts and the result's, ``...`` and the implicit result written out."""
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    spread = ""
    for term, rank in zip(terms, ranks, strict=True):
        if "..." in term and rank is not None:
            n = rank - (len(term) - 3)
            spread = max(spread, "".join(chr(0x41 + 25 - i) for i in reversed(range(n))), key=len)
    terms = [
        t.replace("...", spread[len(spread) - (r - len(t) + 3) :] if r is not None and r - len(t) + 3 else "")
        for t, r in zip(terms, ranks, strict=True)
    ]
    if not arrow:
        letters = "".join(terms)
        right = spread + "".join(sorted(c for c in set(letters) if letters.count(c) == 1 and c not in spread))
    return terms, right.replace("...", spread)


def _einsum(ops: Any, equation: str, tensors: Sequence[Any], path: Any = None) -> Any:
    """Contract the operands one after another, each step as a batched matrix product (torch's order without a path)."""
    terms, out = _einsum_parts(equation, [len(t.shape) for t in tensors])
    operands = [_traced_diagonals(ops, t, s, k) for k, (t, s) in enumerate(zip(tensors, terms, strict=True))]
    left, sub = operands[0]
    for k, (right, other) in enumerate(operands[1:], 1):
        later = set(out).union(*[s for _, s in operands[k + 1 :]])
        left, sub = _contract(ops, left, sub, right, other, later)
    gone = [i for i, c in enumerate(sub) if c not in out]
    if gone:
        left = ops("aten::sum.dim_IntList", left, gone, False)
        sub = "".join(c for c in sub if c in out)
    order = [sub.index(c) for c in out]
    alone = len(tensors) == 1 and not gone
    return left if order == list(range(len(order))) and not alone else ops("aten::permute", left, order)


def _traced_diagonals(ops: Any, t: Any, sub: str, operand: int) -> tuple[Any, str]:
    while len(set(sub)) != len(sub):
        c = next(c for c in sub if sub.count(c) > 1)
        i, j = [k for k, x in enumerate(sub) if x == c][:2]
        if t.shape[i] != t.shape[j]:
            raise BridgeError(
                f"einsum(): subscript {c} is repeated for operand {operand} but the sizes don't match, {t.shape[j]} != "
                f"{t.shape[i]}"
            )
        t = ops("aten::diagonal", t, 0, i, j)
        sub = "".join(x for k, x in enumerate(sub) if k not in (i, j)) + c
    return t, sub


def _contract(ops: Any, a: Any, sa: str, b: Any, sb: str, later: set[str]) -> tuple[Any, str]:
    """One product: letters in both and needed later are batches, letters in both and not needed are summed."""
    for own, other, which in (
        (sa, sb, 0),
        (sb, sa, 1),
    ):  # a letter of one operand alone that nobody needs is summed first
        gone = [i for i, c in enumerate(own) if c not in other and c not in later]
        if gone:
            if which == 0:
                a, sa = (
                    ops("aten::sum.dim_IntList", a, gone, False),
                    "".join(c for c in own if c in other or c in later),
                )
            else:
                b, sb = (
                    ops("aten::sum.dim_IntList", b, gone, False),
                    "".join(c for c in own if c in other or c in later),
                )
    size = dict.fromkeys(sa + sb, 1)
    for t, own in ((a, sa), (b, sb)):
        size.update({c: n for c, n in zip(own, t.shape, strict=True) if n != 1})
    batch = [c for c in sa if c in sb and c in later]
    inner = [c for c in sa if c in sb and c not in later]
    rows, columns = [c for c in sa if c not in sb], [c for c in sb if c not in sa]

    if not inner:  # nothing to sum: a product element by element
        letters = [*batch, *rows, *columns]
        wide = [
            ops(
                "aten::reshape",
                ops("aten::permute", t, [s.index(c) for c in letters if c in s]),
                [t.shape[s.index(c)] if c in s else 1 for c in letters],
            )
            for t, s in ((a, sa), (b, sb))
        ]
        return ops("aten::mul.Tensor", *wide), "".join(letters)

    def arranged(t: Any, s: str, parts: Sequence[Sequence[str]]) -> Any:
        t = ops("aten::permute", t, [s.index(c) for p in parts for c in p])
        t = ops("aten::expand", t, [size[c] for p in parts for c in p])
        return ops("aten::reshape", t, [math.prod(size[c] for c in p) for p in parts])

    left, right = arranged(a, sa, (batch, rows, inner)), arranged(b, sb, (batch, inner, columns))
    out = ops("aten::bmm", left, right)
    letters = [*batch, *rows, *columns]
    return ops("aten::reshape", out, [size[c] for c in letters]), "".join(letters)


def _einsum_types(call: Call) -> Results:
    equation, tensors = call.known("equation"), call.tensors("tensors")
    if equation is UNKNOWN or tensors is None or any(t.dims is None for t in tensors):
        return result(promote_all(tensors), None)
    terms, out = _einsum_parts(equation, [t.rank for t in tensors])
    size: dict[str, Dim] = {}
    for t, s in zip(tensors, terms, strict=True):
        for c, d in zip(s, t.dims or (), strict=True):
            size[c] = d if size.get(c, 1) in (1, None) else size[c]
    return result(promote_all(tensors), [size[c] for c in out])


def _lower_einsum(e: Emitter, call: LoweredCall) -> Any:
    tensors = call["tensors"]
    if is_lowered(tensors):
        e.unsupported("einsum needs a list of tensors whose length is known")
    terms, out = _einsum_parts(call["equation"], [known_rank(e, t, "einsum") for t in tensors])
    dtype = e.dtype_of(tensors[0])
    if len(tensors) == 2 and terms == ["ij", "jk"] and out == "ik":
        return matmul_node(e, tensors[0], tensors[1])
    # onnxruntime wants lower-case letters: give the ones that stand for ... free letters
    used = set("".join(terms))
    free = iter(c for c in "abcdefghijklmnopqrstuvwxyz" if c not in used)
    renamed = {c: next(free) for c in sorted(used) if c.isupper()}
    given, wanted = [[renamed.get(c, c) for c in t] for t in terms], [renamed.get(c, c) for c in out]
    if len(tensors) == 1 or any(len(set(t)) != len(t) for t in given):
        text = ",".join(map("".join, given)) + "->" + "".join(wanted)
        return typed(e, "Einsum", dtype, *tensors, equation=text)
    left, sub = tensors[0], given[0]
    for k, t in enumerate(given[1:], 1):
        later = {c for x in (wanted, *given[k + 1 :]) for c in x}
        made = wanted if k == len(given) - 1 else None
        left, sub = _product_node(e, dtype, left, sub, tensors[k], t, later, made)
    return left


def _product_node(
    e: Emitter, dtype: Any, a: Any, sa: list[str], b: Any, sb: list[str], later: set[str], out: list[str] | None
) -> tuple[Any, list[str]]:
    """One ``Einsum`` of two: its operands in the order of a matrix product, as others have onnxruntime divide by the sizes, which
    ends the process where one is 0."""
    a, sa = _summed(e, dtype, a, sa, {*sb, *later})
    b, sb = _summed(e, dtype, b, sb, {*sa, *later})
    batch, inner = [c for c in sa if c in sb and c in later], [c for c in sa if c in sb and c not in later]
    rows, columns = [c for c in sa if c not in sb], [c for c in sb if c not in sa]
    left, right, made = (
        [*batch, *rows, *inner],
        [*batch, *inner, *columns],
        [*batch, *rows, *columns] if out is None else out,
    )
    operands = [_arranged(e, a, sa, left), _arranged(e, b, sb, right)]
    text = f"{''.join(left)},{''.join(right)}->{''.join(made)}"
    more: dict[str, Any] = {} if out is not None else {"dims": (None,) * len(made)}
    return typed(e, "Einsum", dtype, *operands, equation=text, **more), made


def _summed(e: Emitter, dtype: Any, x: Any, sub: list[str], wanted: set[str]) -> tuple[Any, list[str]]:
    """Without the letters that nobody else has."""
    gone = [i for i, c in enumerate(sub) if c not in wanted]
    if not gone:
        return x, sub
    return reduce_node(e, "ReduceSum", x, gone, False, dtype), [c for c in sub if c in wanted]


def _arranged(e: Emitter, x: Any, sub: list[str], order: list[str]) -> Any:
    if sub == order:
        return x
    perm = [sub.index(c) for c in order]
    dims = None if x.dims is None else tuple(x.dims[i] for i in perm)
    return e.op("Transpose", x, perm=perm, dims=dims)


declare(
    "aten::einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor",
    _einsum,
    composite=True,
    types=_einsum_types,
    onnx=_lower_einsum,
    samples=of(
        ("ij,jk->ik", [f4(2, 3), f4(3, 4)]),
        ("bij,bjk->bik", [f4(2, 2, 3), f4(2, 3, 2)]),
        ("ij->ji", [f4(2, 3)]),
        ("ii->i", [f4(3, 3)]),
        ("ij->", [f4(2, 3)]),
        ("i,j->ij", [f4(2), f4(3)]),
        ("...ij,...jk", [f4(2, 2, 3), f4(2, 3, 2)]),
        ("bhqd,bhkd->bhqk", [f4(1, 2, 3, 4), f4(1, 2, 2, 4)]),
        ("ij,jk,kl->il", [f4(2, 3), f4(3, 2), f4(2, 2)]),
    ),
)


def _cross(self: Array, other: Array, dim: int = -1) -> Any:
    a, b = as_arrays(self, other)
    if a.ndim != b.ndim:
        raise BridgeError("linalg.cross: inputs must have the same number of dimensions.")
    shape = np.broadcast_shapes(a.shape, b.shape)
    d = dim_of(dim, len(shape))
    if a.shape[d] != 3 or b.shape[d] != 3:
        raise BridgeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {a.shape[dim]} and {b.shape[dim]}"
        )
    a, b = np.broadcast_to(a, shape), np.broadcast_to(b, shape)

    def part(x: Array, i: int) -> Array:
        return np.take(x, [i % 3], axis=d)

    return np.concatenate([part(a, i + 1) * part(b, i + 2) - part(a, i + 2) * part(b, i + 1) for i in range(3)], axis=d)


def _lower_cross(e: Emitter, call: LoweredCall) -> Any:
    dtype = common(e, call, "self", "other")
    a, b = e.cast(call["self"], dtype), e.cast(call["other"], dtype)
    dim = call["dim"]
    if dim is None or dim >= 0:
        rank = known_rank(e, a, "cross")
        if dim is None:
            dim = next((i for i, d in enumerate(call["self"].dims) if d == 3), None)
        if dim is None:
            e.unsupported("cross without its dimension needs to know where the size of 3 is")
        dim -= rank

    rank = known_rank(e, a, "cross")
    threes = np.asarray([3 if i == dim % rank else 0 for i in range(rank)], np.int64)
    a, b = [x if x.dims and x.dims[dim] == 3 else e.op("Reshape", x, threes, dims=x.dims) for x in (a, b)]

    def turned(x: Any, by: int) -> Any:
        return e.op("Gather", x, np.asarray([by % 3, (by + 1) % 3, (by + 2) % 3]), axis=dim)

    return typed(
        e,
        "Sub",
        dtype,
        typed(e, "Mul", dtype, turned(a, 1), turned(b, 2)),
        typed(e, "Mul", dtype, turned(a, 2), turned(b, 1)),
    )


def _cross_grad(c: Any, g: Any) -> Any:
    dim = c["dim"] if c["dim"] is not None else next(i for i, n in enumerate(c["self"].shape) if n == 3)
    return c.op("aten::linalg_cross", c["other"], g, dim=dim), c.op("aten::linalg_cross", g, c["self"], dim=dim)


declare(
    "aten::linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor",
    _cross,
    types=broadcast,
    onnx=_lower_cross,
    grad=_cross_grad,
    samples=of((f4(2, 3), f4(2, 3, seed=1)), S(f4(3, 2), f4(3, 2, seed=1), dim=0)),
)
declare(
    "aten::cross(Tensor self, Tensor other, int? dim=None) -> Tensor",
    lambda ops, a, b, dim: ops(
        "aten::linalg_cross", a, b, dim if dim is not None else next(i for i, n in enumerate(a.shape) if n == 3)
    ),
    composite=True,
    types=broadcast,
    onnx=_lower_cross,
    samples=of((f4(2, 3), f4(2, 3, seed=1)), (f4(3, 2), f4(3, 2, seed=1))),
)


def _meshgrid(ops: Any, tensors: Sequence[Any], indexing: str = "ij") -> Any:
    n = len(tensors)
    for x in tensors:
        if len(x.shape) > 1:
            raise BridgeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {x}")
    swap = indexing == "xy" and n > 1
    listed = [tensors[1], tensors[0], *tensors[2:]] if swap else list(tensors)
    sizes = [math.prod(t.shape) for t in listed]
    grids = [
        ops("aten::expand", ops("aten::view", t, [-1 if i == k else 1 for i in range(n)]), sizes)
        for k, t in enumerate(listed)
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return grids


def _meshgrid_types(call: Call) -> Results:
    listed = call.tensors("tensors")
    indexing = call.known("indexing") if "indexing" in call.schema.index else "ij"
    if listed is None or any(t.dims is None for t in listed) or indexing is UNKNOWN:
        return ListType(TENSOR)
    sizes = [t.dims[0] if t.dims else 1 for t in listed]
    if indexing == "xy" and len(sizes) > 1:
        sizes[:2] = sizes[1::-1]
    return TupleType(*[TensorType(t.dtype, sizes) for t in listed])


def _lower_meshgrid(e: Emitter, call: LoweredCall) -> Any:
    tensors = call["tensors"]
    if is_lowered(tensors):
        e.unsupported("meshgrid needs a list of tensors whose length is known")
    n = len(tensors)
    if any((t.rank or 0) > 1 for t in tensors):
        e.unsupported("torch.meshgrid: Expected 0D or 1D tensor in the tensor list")
    swap = "indexing" in call.schema.index and call["indexing"] == "xy" and n > 1
    listed = [tensors[1], tensors[0], *tensors[2:]] if swap else list(tensors)
    sizes = [e.op("Reshape", e.op("Size", t, dtype=INT64, dims=()), ints(1)) for t in listed]
    shape = e.op("Concat", *sizes, axis=0) if n > 1 else sizes[0]
    grids = [
        e.op("Expand", e.op("Reshape", t, ints(*[-1 if i == k else 1 for i in range(n)])), shape)
        for k, t in enumerate(listed)
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return grids


declare(
    "aten::meshgrid(Tensor[] tensors) -> Tensor[]",
    _meshgrid,
    composite=True,
    types=_meshgrid_types,
    onnx=_lower_meshgrid,
    samples=of(([f4(2), f4(3)],)),
)
declare(
    "aten::meshgrid.indexing(Tensor[] tensors, *, str indexing) -> Tensor[]",
    _meshgrid,
    composite=True,
    types=_meshgrid_types,
    onnx=_lower_meshgrid,
    samples=of(S([f4(2), f4(3)], indexing="xy")),
)

declare(
    "aten::einsum.sublist(Tensor a, ...) -> Tensor",
    lambda ops, *args: _einsum(ops, *_words(args)),
    composite=True,
)


def _words(args: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    equation, *tensors = einsum_equation(args)
    return equation, tensors
