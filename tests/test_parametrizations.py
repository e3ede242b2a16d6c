"""``nn.utils``: weights that are computed, gradients taken together, layers fused."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
from support.onnx_runs import run_plain

import bridge
from bridge import nn
from bridge.nn.utils import parametrizations, parametrize


class Symmetric(nn.Module):
    def forward(self, x: bridge.Tensor) -> bridge.Tensor:
        return x.triu() + x.triu(1).transpose(-1, -2)

    def right_inverse(self, x: bridge.Tensor) -> bridge.Tensor:
        return x.triu()


class LowRank(nn.Module):
    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.a = nn.Parameter(bridge.randn(rows, 2))
        self.b = nn.Parameter(bridge.randn(2, columns))

    def forward(self, x: bridge.Tensor) -> bridge.Tensor:
        return x + self.a @ self.b


def _low_rank() -> Any:
    layer = parametrize.register_parametrization(nn.Linear(4, 4), "weight", Symmetric())
    return parametrize.register_parametrization(layer, "weight", LowRank(4, 4))


def _old(make: Any, *args: Any, **kwargs: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return make(*args, **kwargs)


LAYERS = {
    "weight_norm": lambda: parametrizations.weight_norm(nn.Linear(4, 3)),
    "weight_norm whole": lambda: parametrizations.weight_norm(nn.Linear(4, 3), dim=None),
    "spectral_norm": lambda: parametrizations.spectral_norm(nn.Linear(4, 3)),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(4, 4)),
    "orthogonal wide": lambda: parametrizations.orthogonal(nn.Linear(4, 3)),
    "orthogonal cayley": lambda: parametrizations.orthogonal(nn.Linear(4, 6), orthogonal_map="cayley"),
    "two": _low_rank,
}


@pytest.mark.parametrize("name", LAYERS)
def test_exported(name: str) -> None:
    bridge.manual_seed(3)
    layer = LAYERS[name]().eval()
    model = bridge.onnx.export(layer, (bridge.randn(2, 4),)).model_proto
    traced = bridge.jit.trace(layer, bridge.randn(2, 4))
    for rows in (2, 5):
        x = bridge.randn(rows, 4)
        wanted = layer(x).detach().numpy()
        np.testing.assert_allclose(run_plain(model, (x,))[0], wanted, 1e-4, 1e-5)
        np.testing.assert_allclose(traced(x).detach().numpy(), wanted, 1e-4, 1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_computed_weight(name: str) -> None:
    """Gradients reach what the weight is computed from; copies and states are independent; it can be made plain again."""
    bridge.manual_seed(3)
    layer = LAYERS[name]()
    layer(bridge.randn(2, 4)).sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    other = copy.deepcopy(layer)
    other.load_state_dict(layer.state_dict())
    weight = layer.eval().weight.detach().clone()
    assert bridge.equal(other.eval().weight, weight)
    kind = parametrize.type_before_parametrizations(layer)
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is kind is nn.Linear
    assert isinstance(layer.weight, nn.Parameter)
    assert bridge.equal(layer.weight, weight)
    assert parametrize.is_parametrized(other, "weight")


def test_orthogonal() -> None:
    for layer in (LAYERS["orthogonal"](), LAYERS["orthogonal wide"]()):
        weight = layer.weight.detach()
        assert bridge.allclose(weight @ weight.mT, bridge.eye(weight.shape[0]), atol=1e-5)
    layer = LAYERS["orthogonal"]()
    layer.weight = nn.init.orthogonal_(bridge.empty(4, 4))
    assert bridge.allclose(layer.weight.mT @ layer.weight, bridge.eye(4), atol=1e-5)


def test_spectral_norm_follows_in_training() -> None:
    bridge.manual_seed(0)
    for layer in (LAYERS["spectral_norm"](), nn.utils.spectral_norm(nn.Linear(4, 3))):
        for _ in range(30):
            layer(bridge.ones(1, 4))
        largest = bridge.linalg.matrix_norm(layer.weight.detach(), 2)
        assert abs(float(largest) - 1) < 1e-3


def test_cached() -> None:
    layer = LAYERS["weight_norm"]()
    assert layer.weight is not layer.weight
    with parametrize.cached():
        assert layer.weight is layer.weight


def test_old_states_load() -> None:
    bridge.manual_seed(0)
    old = _old(nn.utils.weight_norm, nn.Linear(4, 3))
    new = LAYERS["weight_norm"]()
    new.load_state_dict(old.state_dict())
    x = bridge.randn(2, 4)
    assert bridge.equal(new(x), old(x))
    plain = nn.utils.remove_weight_norm(old)
    assert list(dict(plain.named_parameters())) == ["bias", "weight"]
    assert bridge.allclose(plain(x), new(x))
    with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
        nn.utils.remove_weight_norm(plain)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="does not have a parameter"):
        parametrize.register_parametrization(nn.Linear(2, 2), "other", Symmetric())
    with pytest.raises(ValueError, match="may not change the shape"):
        parametrize.register_parametrization(nn.Linear(2, 3), "weight", nn.Flatten(0))
    with pytest.raises(ValueError, match="does not have a parametrization"):
        parametrize.remove_parametrizations(nn.Linear(2, 2), "weight")
    with pytest.raises(RuntimeError, match="state_dict"):
        copy.copy(LAYERS["two"]()).__reduce_ex__(2)


def test_gradients_together() -> None:
    layer = nn.Linear(2, 2)
    layer.weight.grad, layer.bias.grad = bridge.full((2, 2), 3.0), bridge.full((2,), -4.0)
    before = nn.utils.clip_grad_norm_(layer.parameters(), 2.0)
    assert abs(float(before) - 68**0.5) < 1e-5
    assert abs(float(nn.utils.get_total_norm([p.grad for p in layer.parameters()])) - 2) < 1e-4
    nn.utils.clip_grad_value_(layer.parameters(), 0.5)
    assert float(layer.weight.grad.max()) == 0.5 == -float(layer.bias.grad.min())
    vector = nn.utils.parameters_to_vector(layer.parameters())
    nn.utils.vector_to_parameters(vector.detach() * 2, layer.parameters())
    assert bridge.equal(nn.utils.parameters_to_vector(layer.parameters()), vector * 2)


@pytest.mark.parametrize("transposed", [False, True])
def test_fused(transposed: bool) -> None:
    bridge.manual_seed(0)
    conv = (nn.ConvTranspose2d if transposed else nn.Conv2d)(2, 3, 2, bias=transposed)
    norm = nn.BatchNorm2d(3)
    norm(conv(bridge.randn(4, 2, 5, 5)))
    conv.eval(), norm.eval()
    x = bridge.randn(1, 2, 4, 4)
    fused = nn.utils.fuse_conv_bn_eval(conv, norm, transposed)
    assert bridge.allclose(fused(x), norm(conv(x)), atol=1e-5)
