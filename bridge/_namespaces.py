"""Modules whose functions are operators with a prefix: ``bridge.linalg.inv`` is ``aten::linalg_inv``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["alias", "operators_of"]

#: Other names of operators, as they are known to programs; longest prefix last.
_ALIASES = {
    "absolute": "abs", "arccos": "acos", "arcsin": "asin", "arctan": "atan", "arccosh": "acosh", "arcsinh": "asinh",
    "arctanh": "atanh", "fix": "trunc", "negative": "neg", "subtract": "sub", "greater_equal": "ge", "greater": "gt",
    "less_equal": "le", "less": "lt", "not_equal": "ne", "divide": "div", "multiply": "mul", "true_divide": "div",
    "det": "linalg_det", "inverse": "linalg_inv", "linalg_matmul": "matmul", "matrix_exp": "linalg_matrix_exp",
    "matrix_power": "linalg_matrix_power", "row_stack": "vstack", "special_digamma": "digamma", "special_erf": "erf",
    "special_erfc": "erfc", "special_erfinv": "erfinv", "special_exp2": "exp2", "special_expit": "sigmoid",
    "special_expm1": "expm1", "special_gammaln": "lgamma", "special_i0": "i0", "special_log1p": "log1p",
    "special_log_softmax": "log_softmax", "special_logit": "logit", "special_logsumexp": "logsumexp",
    "special_psi": "digamma", "special_round": "round", "special_sinc": "sinc", "special_softmax": "softmax",
    "special_xlogy": "xlogy",
}  # fmt: skip


def alias(name: str) -> str:
    """The operator that a name stands for, in-place forms included; the name itself when it is no alias."""
    if name.endswith("_") and name[:-1] in _ALIASES:
        return _ALIASES[name[:-1]] + "_"
    return _ALIASES.get(name, name)


def operators_of(module: str, prefix: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of such a module."""

    def find(name: str) -> Any:
        from bridge import _dispatch
        from bridge.ir.registry import overloads

        full = alias(f"{prefix}{name}")
        if name.startswith("_") or not overloads(f"aten::{full}"):
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        return _dispatch.function(f"aten::{full}", f"aten::{prefix}{name}")

    return find
