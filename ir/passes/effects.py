"""What executing a node does besides computing its outputs."""

from __future__ import annotations

from bridge.ir.graph import Node
from bridge.ir.passes.constants import constant_value

__all__ = ["has_side_effects", "is_nondeterministic"]

_EFFECTS = frozenset(
    {
        "prim::PythonOp", "prim::IgnoredPythonOp", "prim::Print", "prim::RaiseException", "aten::warn", "aten::save",
        "aten::manual_seed", "prim::AddStatValue", "prim::TimePoint", "prim::CallFunction", "prim::CallMethod",
        "prim::BailoutTemplate", "prim::BailOut", "prim::rpc_async", "prim::rpc_sync", "prim::rpc_remote",
        "aten::wait", "aten::backward", "cuda::set_stream", "cuda::_set_device", "cuda::_current_device",
        "cuda::synchronize", "prim::Enter", "prim::Exit", "prim::awaitable_wait", "aten::is_grad_enabled",
        "aten::set_grad_enabled", "aten::is_autocast_enabled", "aten::is_autocast_cpu_enabled",
        "aten::get_autocast_dtype", "aten::_get_cpu_capability", "aten::dist_backward",
    }
)  # fmt: skip

_RANDOM = frozenset(
    f"aten::{name}"
    for name in [
        "_fused_dropout", "_sample_dirichlet", "_scaled_dot_product_attention_math", "_standard_gamma", "alpha_dropout",
        "bernoulli", "binomial", "cauchy", "dropout", "exponential", "feature_alpha_dropout", "feature_dropout",
        "geometric", "gru", "log_normal", "lstm", "multinomial", "native_dropout", "normal", "poisson", "rand",
        "rand_like", "randint", "randint_like", "randn", "randn_like", "random", "randperm", "rnn_relu", "rnn_tanh",
        "rrelu", "rrelu_with_noise", "scaled_dot_product_attention", "uniform",
    ]
)  # fmt: skip


def has_side_effects(n: Node) -> bool:
    """Whether the node itself does something that is seen outside (writes to tensors and lists are not counted)."""
    return n.kind in _EFFECTS


def is_nondeterministic(n: Node) -> bool:
    """Whether the node draws random numbers."""
    if n.kind not in _RANDOM and n.kind.removesuffix("_") not in _RANDOM:
        return False
    if n.kind == "aten::dropout" and len(n.inputs) == 3:
        return constant_value(n.inputs[2]) is not False
    return True
