"""Layers that learn their sizes from what they are first called with."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from support.onnx_runs import run_plain

import bridge

#: A lazy layer, the layer that it becomes, the shape of an input.
LAYERS: list[tuple[str, str, tuple[int, ...]]] = [
    ("LazyLinear(4)", "Linear(3, 4)", (2, 3)),
    ("LazyConv1d(4, 3)", "Conv1d(6, 4, 3)", (2, 6, 8)),
    ("LazyConv2d(4, 3, groups=2, padding=1)", "Conv2d(6, 4, 3, groups=2, padding=1)", (2, 6, 5, 5)),
    ("LazyConvTranspose2d(4, 3, bias=False)", "ConvTranspose2d(6, 4, 3, bias=False)", (6, 4, 4)),
    ("LazyBatchNorm1d()", "BatchNorm1d(3)", (4, 3)),
    ("LazyBatchNorm2d(affine=False)", "BatchNorm2d(3, affine=False)", (2, 3, 4, 4)),
    ("LazyInstanceNorm1d()", "InstanceNorm1d(3, affine=True, track_running_stats=True)", (2, 3, 4)),
]


def _made(text: str, torch: Any = bridge) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Lazy modules are a new feature")
        return eval(f"nn.{text}", {"nn": torch.nn})


@pytest.mark.parametrize(("lazy", "plain", "shape"), LAYERS, ids=[r[0] for r in LAYERS])
def test_becomes_the_layer(lazy: str, plain: str, shape: tuple[int, ...]) -> None:
    bridge.manual_seed(1)
    x = bridge.randn(shape)
    bridge.manual_seed(0)
    layer = _made(lazy)
    held = list(layer.parameters())
    assert layer.has_uninitialized_params()
    made = layer(x)
    bridge.manual_seed(0)
    other = _made(plain)
    assert bridge.equal(made, other(x))
    assert type(layer) is type(other)
    assert repr(layer) == repr(other)
    assert [p is q for p, q in zip(held, layer.parameters(), strict=True)] == [True] * len(held)
    loaded = _made(lazy)
    loaded.load_state_dict(other.state_dict())
    assert bridge.equal(loaded.eval()(x), other.eval()(x))
    model = bridge.onnx.export(layer.eval(), (x,)).model_proto
    np.testing.assert_allclose(run_plain(model, (x,))[0], layer(x).detach().numpy(), 1e-4, 1e-5)


@pytest.mark.oracle
@pytest.mark.parametrize(("lazy", "plain", "shape"), LAYERS, ids=[r[0] for r in LAYERS])
def test_as_torch(lazy: str, plain: str, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = []
    for library in (torch, bridge):
        library.manual_seed(0)
        layer = _made(lazy, library)
        before = repr(layer), list(layer.state_dict())
        made = layer(library.from_numpy(x.copy())).detach().numpy()
        found.append((*before, repr(layer), {k: tuple(v.shape) for k, v in layer.state_dict().items()}))
        found.append(made)
    assert found[0] == found[2]
    np.testing.assert_allclose(found[3], found[1], 1e-5, 1e-6)


def test_wrong_rank() -> None:
    with pytest.raises(RuntimeError, match="Expected 3D"):
        _made("LazyConv2d(4, 3)")(bridge.ones(2, 2))
