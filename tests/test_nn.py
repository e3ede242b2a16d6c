"""Modules beyond what test_eager compares with torch's texts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import bridge
from bridge import nn
from bridge.nn.modules.module import qualified_name


def test_importing_loads_nothing_heavy() -> None:
    heavy = (
        "onnx",
        "onnxruntime",
        "torch",
        "bridge.ir.ops",
        "bridge.nn",
        "bridge.jit",
        "bridge.importers",
        "bridge.exporters",
    )
    code = f"import bridge, sys; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_qualified_names_are_torchs() -> None:
    assert qualified_name(nn.Linear) == "torch.nn.modules.linear.Linear"
    assert qualified_name(nn.Sequential) == "torch.nn.modules.container.Sequential"
    assert qualified_name(nn.ReLU) == "torch.nn.modules.activation.ReLU"


def test_state_dict_shares_memory() -> None:
    layer = nn.Linear(2, 2)
    layer.state_dict()["weight"].zero_()
    assert layer.weight.abs().sum().item() == 0


def test_load_copies_into_the_same_parameters() -> None:
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    weight = b.weight
    b.load_state_dict(a.state_dict())
    assert b.weight is weight
    assert np.array_equal(b.weight.detach().numpy(), a.weight.detach().numpy())
    a.weight.data.zero_()
    assert b.weight.abs().sum().item() > 0


def test_state_dict_hooks() -> None:
    layer = nn.Linear(1, 1)
    layer.register_state_dict_post_hook(lambda module, state, prefix, meta: state.pop("bias") and None)
    assert list(layer.state_dict()) == ["weight"]
    layer.register_load_state_dict_pre_hook(
        lambda module, state, *rest: state.setdefault("bias", bridge.ones(1)) and None
    )
    layer.load_state_dict({"weight": bridge.ones(1, 1)})
    assert layer.bias.item() == 1.0


def test_training_a_model() -> None:
    """Plain gradient descent fits a line."""
    bridge.manual_seed(0)
    layer = nn.Linear(1, 1)
    x = bridge.linspace(-1, 1, 16).unsqueeze(1)
    for _ in range(200):
        layer.zero_grad()
        ((layer(x) - (3 * x + 0.5)) ** 2).mean().backward()
        with bridge.no_grad():
            for p in layer.parameters():
                p -= 0.3 * p.grad
    assert layer.weight.item() == pytest.approx(3.0, abs=1e-3)
    assert layer.bias.item() == pytest.approx(0.5, abs=1e-3)


def test_modules_keep_their_hash_and_order() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Tanh())
    assert next(iter(model.modules())) is model
    assert set(model) == set(model.children())
    model.insert(1, nn.ReLU())
    assert [type(m).__name__ for m in model] == ["Linear", "ReLU", "Tanh"]


def test_rows_are_renormalised_where_they_are_looked_up() -> None:
    def module() -> nn.Embedding:
        return nn.Embedding.from_pretrained(bridge.arange(8.0).reshape(4, 2) * 3, max_norm=5.0)

    m, at = module(), bridge.tensor([1, 1])
    expected = (bridge.tensor([[6.0, 9.0]]) * (5 / 117**0.5)).expand(2, 2)
    assert bridge.allclose(m(at), expected)
    assert [round(float(row.norm()), 3) for row in m.weight] == [3.0, 5.0, 19.209, 27.659]
    traced = bridge.jit.trace(module(), (at,))
    assert bridge.allclose(bridge.onnx.export(traced, (at,))(at), expected)
    with pytest.warns(UserWarning, match="max_norm of embedding has no effect in scripted programs, as in TorchScript"):
        assert bridge.jit.script(module())(at).tolist() == [[6.0, 9.0]] * 2
