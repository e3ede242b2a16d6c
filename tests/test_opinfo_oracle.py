"""A fixed few of PyTorch's own operator samples, live; ``benchmarks/operators.py`` runs them all."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

#: Operators of which every sample works at every stage. One that stops doing so is a mistake.
WHOLE = (
    "add sub mul div matmul where clamp softmax/with_dtype cat stack index_select masked_fill cumsum sort "
    "nn.functional.interpolate/nearest nn.functional.interpolate/bilinear nn.functional.linear nn.functional.layer_norm "
    "nn.functional.embedding nn.functional.max_pool2d"
).split()


@pytest.mark.parametrize("name", WHOLE)
def test_samples(name: str) -> None:
    from support.opinfo import cases, outcomes

    bad = []
    for case in cases([name], ["float32"], 2, forms=False):
        found = outcomes(case) or {}
        bad += [f"{stage}: {o}\n{case.source}" for stage, o in found.items() if o not in ("ok", "-")]
    assert not bad, "\n".join(bad)


#: Operators that once gave other results than torch, for some samples or element types: none does now.
RIGHT = (
    "addbmm bincount bitwise_right_shift cummin gather linalg.cholesky_ex linalg.eig linalg.eigh linalg.inv_ex linalg.pinv/hermitian "
    "linalg.solve_triangular linalg.vander logspace matrix_exp msort nn.functional.batch_norm nn.functional.bilinear "
    "nn.functional.group_norm nn.functional.multi_margin_loss nn.functional.prelu scatter_reduce/mean svd"
).split()


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_not_refused_is_right(name: str) -> None:
    from support.opinfo import cases, outcomes

    bad = []
    for case in cases([name], ["float32", "int32", "uint8", "bool"], 6, forms=False):
        found = outcomes(case) or {}
        bad += [f"{stage}: {o}\n{case.source}" for stage, o in found.items() if o.startswith("WRONG")]
    assert not bad, "\n".join(bad)
