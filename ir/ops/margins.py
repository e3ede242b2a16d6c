"""Losses with margins, and distances between rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.ops._composite import composite
from bridge.ir.ops._samples import S, f4, f8, of, positive
from bridge.ir.ops._samples import ints as idx

__all__: list[str] = []

_SIGNS = np.asarray([1, -1, 1], np.float32)


def _reduced(t: Any, x: Any, reduction: int) -> Any:
    return t.mean(x) if reduction == 1 else t.sum(x) if reduction == 2 else x


@composite(
    "aten::margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=1) -> Tensor",
    samples=of((f4(3), f4(3, seed=1), _SIGNS), (f4(3), f4(3, seed=1), _SIGNS, 0.5, 0)),
)
def margin_ranking_loss(t: Any, a: Any, b: Any, target: Any, margin: float, reduction: int) -> Any:
    if not t.rank(a) == t.rank(b) == t.rank(target):
        raise BridgeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {t.shape(a)}, input2: {t.shape(b)}, target: {t.shape(target)} "
        )
    return _reduced(t, t.clamp_min(t.add(t.mul(t.neg(target), t.sub(a, b)), margin), 0), reduction)


@composite(
    "aten::soft_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
    samples=of((f4(3), _SIGNS), (f4(3), _SIGNS, 2), (f4(3), _SIGNS, 0)),
    grad_name="SoftMarginLossBackward0",
)
def soft_margin_loss(t: Any, x: Any, target: Any, reduction: int) -> Any:
    grown = t.same_shape(t.exp(t.mul(t.neg(target), x)), x)
    return _reduced(t, t.log1p(grown), reduction)


@composite(
    "aten::hinge_embedding_loss(Tensor self, Tensor target, float margin=1.0, int reduction=1) -> Tensor",
    samples=of((f4(3), _SIGNS), (f4(3), _SIGNS, 0.5, 0)),
)
def hinge_embedding_loss(t: Any, x: Any, target: Any, margin: float, reduction: int) -> Any:
    none = t.zeros_like(x)
    clamped = t.clamp_min(t.add(t.neg(x), margin), 0)
    apart = t.where(t.ne(target, 1), clamped, none)
    near = t.where(t.ne(target, -1), x, none)
    return _reduced(t, t.add(apart, near), reduction)


@composite(
    "aten::cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=1) -> Tensor",
    samples=of((f4(3, 4), f4(3, 4, seed=1), _SIGNS), (f4(3, 4), f4(3, 4, seed=1), _SIGNS, 0.1, 0), (f4(4), f4(4, seed=1), idx(1).reshape(()))),
)  # fmt: skip
def cosine_embedding_loss(t: Any, a: Any, b: Any, target: Any, margin: float, reduction: int) -> Any:
    if t.rank(target) not in (0, 1):
        raise BridgeError("0D or 1D target tensor expected, multi-target not supported")
    last = t.rank(target)
    products = t.sum(t.mul(a, b), [last])
    first = t.add(t.sum(t.mul(a, a), [last]), 1e-12)
    second = t.add(t.sum(t.mul(b, b), [last]), 1e-12)
    cosine = t.div(products, t.sqrt(t.mul(first, second)))
    none = t.zeros_like(cosine)
    near = t.where(t.eq(target, 1), t.add(t.neg(cosine), 1), none)
    apart = t.where(t.eq(target, -1), t.clamp_min(t.sub(cosine, margin), 0), none)
    return _reduced(t, t.add(near, apart), reduction)


@composite(
    "aten::poisson_nll_loss(Tensor input, Tensor target, bool log_input, bool full, float eps, int reduction) -> Tensor",
    samples=of(
        (f4(3), positive(3), True, False, 1e-8, 1), (positive(3), positive(3, low=0.5, high=4), False, True, 1e-8, 0)
    ),
)
def poisson_nll_loss(t: Any, x: Any, target: Any, log_input: bool, full: bool, eps: float, reduction: int) -> Any:
    if log_input:
        loss = t.sub(t.exp(x), t.mul(target, x))
    else:
        loss = t.sub(x, t.mul(target, t.log(t.add(x, eps))))
    if full:
        stirling = t.add(t.sub(t.mul(target, t.log(target)), target), t.mul(t.log(t.mul(target, 2 * math.pi)), 0.5))
        loss = t.add(loss, t.masked_fill(stirling, t.le(target, 1), 0))
    return _reduced(t, loss, reduction)


@composite(
    "aten::triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, float margin=1.0, float p=2.0, float eps=1e-06, "
    "bool swap=False, int reduction=1) -> Tensor",
    samples=of((f4(3, 4), f4(3, 4, seed=1), f4(3, 4, seed=2)), S(f4(3, 4), f4(3, 4, seed=1), f4(3, 4, seed=2), swap=True, reduction=0, p=1.0)),
)  # fmt: skip
def triplet_margin_loss(
    t: Any, a: Any, p: Any, n: Any, margin: float, order: float, eps: float, swap: bool, reduction: int
) -> Any:
    to_positive = t.pairwise_distance(a, p, order, eps)
    to_negative = t.pairwise_distance(a, n, order, eps)
    if swap:
        to_negative = t.minimum(to_negative, t.pairwise_distance(p, n, order, eps))
    return _reduced(t, t.clamp_min(t.sub(t.add(to_positive, margin), to_negative), 0), reduction)


@composite(
    "aten::multi_margin_loss(Tensor self, Tensor target, Scalar p=1, Scalar margin=1, Tensor? weight=None, int reduction=1) "
    "-> Tensor",
    samples=of((f4(3, 4), idx(0, 3, 1)), (f4(3, 4), idx(0, 3, 1), 2, 0.5, None, 0), (f4(4), idx(2).reshape(()))),
    grad_name="MultiMarginLossBackward0",
)
def multi_margin_loss(t: Any, x: Any, target: Any, p: Any, margin: Any, weight: Any, reduction: int) -> Any:
    single = t.rank(x) <= 1
    rows = t.reshape(x, [1, -1]) if single else x
    if t.rank(target) > 1:
        raise BridgeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples (batch size). "
            f"Expected target size [{t.size(rows, 0)}], but got {t.shape(target)}. Input has shape {t.shape(x)}."
        )
    flat = t.reshape(target, [-1])
    flat = t.shaped(
        flat,
        [t.size(rows, 0)],
        lambda: (
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples (batch size). "
            f"Expected target size [{t.size(rows, 0)}], but got {t.shape(target)}. Input has shape {t.shape(x)}."
        ),
    )
    wanted = t.reshape(flat, [-1, 1])
    count = t.size(rows, 1)
    apart = t.clamp_min(t.add(t.sub(rows, t.gather(rows, 1, wanted)), margin), 0)
    apart = apart if p == 1 else t.mul(apart, apart)
    if weight is not None:
        weight = t.shaped(
            weight, [count], lambda: f"inconsistent weight size, expected {count} but got {t.shape(weight)}"
        )
        apart = t.mul(apart, t.unsqueeze(t.index_select(weight, 0, t.reshape(target, [-1])), 1))
    own = t.eq(t.arange(count), wanted)
    total = t.div(t.sum(t.masked_fill(apart, own, 0), [1]), count)
    found = _reduced(t, total, reduction)
    return t.squeeze(found, 0) if single and reduction == 0 and t.rank(target) == 0 else found


@composite(
    "aten::multilabel_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
    samples=of((f4(2, 4), np.asarray([[3, 0, -1, 1], [1, -1, 0, 2]])), (f4(4), idx(2, 1, -1, 0), 2)),
    grad_name="MultilabelMarginLossBackward0",
)
def multilabel_margin_loss(t: Any, x: Any, target: Any, reduction: int) -> Any:
    single = t.rank(x) <= 1
    sizes = t.shape(x)

    def empty() -> str:
        return f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {t.shape(x)}"

    if len(sizes) > 2:
        raise BridgeError(empty())
    x = t.at_least(x, [1], empty) if sizes else x
    target = t.shaped(
        target, sizes, lambda: f"inconsistent target size: {t.shape(target)} for input of size: {t.shape(x)}"
    )
    rows, labels = (t.reshape(v, [1, -1]) for v in (x, target)) if single else (x, target)
    count = t.size(rows, 1)
    known = t.all(t.logical_and(t.ge(labels, -1), t.lt(labels, count)))
    rows = t.holding(rows, known, lambda: "argument #2 'target' is out of range")
    valid = t.eq(t.cumsum(t.to(t.lt(labels, 0), 4), 1), 0)  # up to the first -1
    safe = t.masked_fill(labels, t.logical_not(valid), 0)
    named = t.logical_and(t.eq(t.unsqueeze(safe, 2), t.arange(count)), t.unsqueeze(valid, 2))
    is_target = t.any(named, 1)
    picked = t.gather(rows, 1, safe)
    margins = t.clamp_min(t.add(t.sub(t.unsqueeze(rows, 1), t.unsqueeze(picked, 2)), 1), 0)
    counts = t.logical_and(t.unsqueeze(valid, 2), t.logical_not(t.unsqueeze(is_target, 1)))
    total = t.div(t.sum(t.mul(margins, counts), [1, 2]), count)
    found = _reduced(t, total, reduction)
    return t.squeeze(found, 0) if single and reduction == 0 else found


# -- distances ---------------------------------------------------------------------------------------------------------


@composite(
    "aten::pairwise_distance(Tensor x1, Tensor x2, float p=2.0, float eps=1e-06, bool keepdim=False) -> Tensor",
    samples=of((f4(3, 4), f4(3, 4, seed=1)), (f4(3, 4), f4(4), 1.0, 1e-6, True)),
)
def pairwise_distance(t: Any, a: Any, b: Any, p: float, eps: float, keepdim: bool) -> Any:
    last = max(t.rank(a), t.rank(b)) - 1
    return t.norm(t.add(t.sub(a, b), eps), p, [last], keepdim)


@composite(
    "aten::dist(Tensor self, Tensor other, Scalar p=2) -> Tensor",
    samples=of((f4(3, 4), f4(4)), (f4(3), f4(3, seed=1), 1)),
    grad_name="DistBackward0",
)
def dist(t: Any, a: Any, b: Any, p: Any) -> Any:
    apart = t.sub(a, b)
    if t.dtype(apart).kind not in "fc":
        raise BridgeError(
            f"norm(): input dtype should be either floating point or complex. Got {t.dtype(apart).label} instead."
        )
    return t.linalg_vector_norm(apart, p)


@composite(
    "aten::cdist(Tensor x1, Tensor x2, float p=2.0, int? compute_mode=None) -> Tensor",
    samples=of((f4(3, 4), f4(2, 4)), (f4(2, 3, 4), f4(5, 4), 1.0), (f8(3, 2), f8(2, 2), math.inf)),
    grad_name="CdistBackward0",
)
def cdist(t: Any, a: Any, b: Any, p: float, mode: Any) -> Any:
    if t.rank(a) < 2 or t.rank(b) < 2:
        raise BridgeError(
            f"cdist only supports at least 2D tensors, X{1 if t.rank(a) < 2 else 2} got: {min(t.rank(a), t.rank(b))}D"
        )
    b = t.sized(
        b,
        [t.size(a, -1)],
        lambda: f"X1 and X2 must have the same number of columns. X1: {t.size(a, -1)} X2: {t.size(b, -1)}",
    )
    apart = t.sub(t.unsqueeze(a, -2), t.unsqueeze(b, -3))
    return t.linalg_vector_norm(apart, p, [t.rank(apart) - 1])


@composite(
    "aten::pdist(Tensor self, float p=2.0) -> Tensor",
    samples=of((f4(4, 3),), (f4(3, 2), 1.0)),
    grad_name="PdistBackward0",
)
def pdist(t: Any, x: Any, p: float) -> Any:
    n = t.size(x, 0)
    if not isinstance(n, int):
        t.refuse("pdist is exported where the number of rows is known")
    first, second = np.triu_indices(n, 1)
    rows = [t.index_select(x, 0, t.tensor(v.tolist(), dtype=4)) for v in (first, second)]
    return t.linalg_vector_norm(t.sub(*rows), p, [1])
