"""The loss of a sequence that is not aligned with its labels (Graves et al., connectionist temporal classification)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.ops._composite import composite
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._samples import S, ints, of
from bridge.ir.registry import unsupported
from bridge.ir.rules import Call, Results, result

__all__: list[str] = []

_INF = float("inf")


def _labels(targets: Array, lengths: list[int]) -> list[Array]:
    """The labels of each sample, from one row each or all in one row."""
    if targets.ndim == 1:
        ends = np.cumsum(lengths)
        return [targets[e - n : e] for e, n in zip(ends, lengths, strict=True)]
    return [row[:n] for row, n in zip(targets, lengths, strict=True)]


def _checked(log_probs: Array, targets: Array, inputs: Any, lengths: Any, blank: int) -> tuple[list[int], list[int]]:
    inputs, lengths = [int(v) for v in inputs], [int(v) for v in lengths]
    steps, batch, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise BridgeError("blank must be in label range")
    if len(inputs) != batch:
        raise BridgeError("input_lengths must be of size batch_size")
    if len(lengths) != batch:
        raise BridgeError("target_lengths must be of size batch_size")
    for n in inputs:
        if n > steps:
            raise BridgeError(f"Expected input_lengths to have value at most {steps}, but got value {n}")
    return inputs, lengths


def _logsum(*values: Array) -> Array:
    with np.errstate(all="ignore"):
        total = values[0]
        for v in values[1:]:
            total = np.logaddexp(total, v)
    return total


def _spread(labels: Array, blank: int) -> tuple[Array, Array]:
    """The labels with blanks around them, and where two steps at once are allowed: between different labels."""
    states = np.full(2 * len(labels) + 1, blank, np.int64)
    states[1::2] = labels
    jump = np.zeros(len(states), bool)
    jump[3::2] = labels[1:] != labels[:-1]
    return states, jump


def _forward(lp: Array, states: Array, jump: Array) -> Array:
    """The logarithm of the probability of every prefix: (time, states)."""
    alpha = np.full((len(lp), len(states)), -_INF, lp.dtype)
    if not len(lp):
        return alpha
    alpha[0, :2] = lp[0, states[:2]]
    for t in range(1, len(lp)):
        last = alpha[t - 1]
        one = np.concatenate([[-_INF], last[:-1]]).astype(lp.dtype)
        two = np.where(jump, np.concatenate([[-_INF, -_INF], last[:-2]])[: len(last)], -_INF).astype(lp.dtype)
        alpha[t] = _logsum(last, one, two) + lp[t, states]
    return alpha


def _ctc(
    log_probs: Array, targets: Array, input_lengths: Any, target_lengths: Any, blank: int, zero_infinity: bool
) -> tuple[Array, Array]:
    inputs, lengths = _checked(log_probs, targets, input_lengths, target_lengths, blank)
    steps, batch, _ = log_probs.shape
    widest = max(lengths, default=0)
    alphas = np.full((batch, steps, 2 * widest + 1), -_INF, log_probs.dtype)
    loss = np.empty(batch, log_probs.dtype)
    for b, labels in enumerate(_labels(targets, lengths)):
        alpha = _forward(log_probs[: inputs[b], b], *_spread(labels, blank))
        alphas[b, : inputs[b], : alpha.shape[1]] = alpha
        if inputs[b] == 0:
            loss[b] = 0 if lengths[b] == 0 else _INF
        else:
            loss[b] = -_logsum(*alpha[-1, -2:]) if lengths[b] else -alpha[-1, -1]
    return loss, alphas


def _ctc_backward(
    grad: Array, log_probs: Array, targets: Array, input_lengths: Any, target_lengths: Any, loss: Array, alphas: Array,
    blank: int, zero_infinity: bool,
) -> Array:  # fmt: skip
    inputs, lengths = _checked(log_probs, targets, input_lengths, target_lengths, blank)
    out = np.zeros_like(log_probs)
    for b, labels in enumerate(_labels(targets, lengths)):
        if not inputs[b] or (zero_infinity and np.isinf(loss[b])):
            continue
        lp, (states, jump) = log_probs[: inputs[b], b], _spread(labels, blank)
        # from the end it is the same sum on everything turned around
        turned = np.zeros_like(jump)
        turned[2:] = jump[::-1][:-2]
        beta = _forward(lp[::-1], states[::-1], turned)[::-1, ::-1]
        both = alphas[b, : inputs[b], : len(states)] + beta
        seen = np.full(lp.shape, -_INF, lp.dtype)
        for s, label in enumerate(states):
            seen[:, label] = _logsum(seen[:, label], both[:, s])
        with np.errstate(all="ignore"):
            out[: inputs[b], b] = (np.exp(lp) - np.exp(seen + loss[b] - lp)) * grad[b]
    return out


def _types(call: Call) -> Results:
    t = call.tensor("log_probs")
    batch = None if t.dims is None else (t.dims[1],)
    rest = None if t.dims is None else (t.dims[1], t.dims[0], None)
    return [result(t.dtype, batch), result(t.dtype, rest)]


def _loss_type(call: Call) -> Results:
    t = call.tensor("log_probs")
    if call.known("reduction") in (1, 2):
        return result(t.dtype, ())
    each = None if t.dims is None or call.known("reduction") != 0 else t.dims[1:-1]
    return result(t.dtype, each)


def _grad(c: Any, g: Any, _: Any = None) -> Any:
    kind = ".Tensor" if hasattr(c["input_lengths"], "dtype") else ""
    loss, alphas = c.results
    made = c.op(
        f"aten::_ctc_loss_backward{kind}", g, c["log_probs"], c["targets"], c["input_lengths"], c["target_lengths"], loss,
        alphas, c["blank"], c["zero_infinity"],
    )  # fmt: skip
    return (made, None, None, None) if kind else (made, None)


_LP = np.log(np.array([[[0.5, 0.2, 0.3], [0.1, 0.7, 0.2]], [[0.3, 0.3, 0.4], [0.2, 0.2, 0.6]], [[0.6, 0.1, 0.3], [0.3, 0.3, 0.4]],
                       [[0.2, 0.5, 0.3], [0.4, 0.5, 0.1]]], np.float32))  # fmt: skip
_WHY = unsupported("the loss is summed over time step by step; it is for training, and not exported")
for _kind, _list in (("", "int[]"), (".Tensor", "Tensor")):
    _lengths = f"{_list} input_lengths, {_list} target_lengths"
    declare(
        f"aten::_ctc_loss{_kind}(Tensor log_probs, Tensor targets, {_lengths}, int blank=0, bool zero_infinity=False) -> "
        "(Tensor, Tensor)",
        _ctc,
        types=_types,
        onnx=_WHY,
        grad=_grad,
        grad_name="CtcLossBackward0",
    )
    declare(
        f"aten::_ctc_loss_backward{_kind}(Tensor grad, Tensor log_probs, Tensor targets, {_lengths}, Tensor "
        "neg_log_likelihood, Tensor log_alpha, int blank, bool zero_infinity=False) -> Tensor",
        _ctc_backward,
        types=lambda call: result(call.tensor("log_probs").dtype, call.tensor("log_probs").dims),
        onnx=unsupported("a gradient operator is not exported"),
    )


def _loss(
    t: Any, log_probs: Any, targets: Any, inputs: Any, lengths: Any, blank: int, reduction: int, zero_infinity: bool
) -> Any:
    single = t.rank(log_probs) == 2
    if single:
        log_probs = t.unsqueeze(log_probs, 1)
        targets = t.unsqueeze(targets, 0) if t.rank(targets) == 1 else targets
    if single and hasattr(inputs, "dtype"):
        inputs, lengths = t.reshape(inputs, [-1]), t.reshape(lengths, [-1])
    loss, _ = t._ctc_loss(log_probs, targets, inputs, lengths, blank, zero_infinity)
    if zero_infinity:
        loss = t.where(t.eq(loss, _INF), t.zeros_like(loss), loss)
    if reduction == 1:
        sizes = lengths if hasattr(lengths, "dtype") else t.tensor(list(lengths))
        sizes = t.to(t.clamp(t.reshape(sizes, [-1]), 1), t.dtype(loss).code)
        return t.mean(t.div(loss, sizes))
    if reduction == 2:
        return t.sum(loss)
    return t.squeeze(loss, 0) if single else loss


for _kind, _list in (("IntList", "int[]"), ("Tensor", "Tensor")):
    composite(
        f"aten::ctc_loss.{_kind}(Tensor log_probs, Tensor targets, {_list} input_lengths, {_list} target_lengths, int blank=0, "
        "int reduction=1, bool zero_infinity=False) -> Tensor",
        types=_loss_type,
        onnx=_WHY,
        samples=of(
            *(
                (_LP, ints(1, 2, 2, 1).reshape(2, 2), n, m, 0, r, z)
                for n, m in (((ints(4, 3), ints(2, 1)),) if _kind == "Tensor" else (([4, 3], [2, 1]),))
                for r in range(3) for z in (False, True)
            ),
            S(_LP, ints(1, 2, 2), *((ints(4, 4), ints(2, 1)) if _kind == "Tensor" else ([4, 4], [2, 1])), reduction=0),
        ),
    )(_loss)  # fmt: skip
