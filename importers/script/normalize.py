"""Aliases of operators → the one name that passes know (``normalize_ops.cpp``)."""

from __future__ import annotations

from bridge.ir import types as T
from bridge.ir.graph import Block, Graph, Node

__all__ = ["ALIASES", "normalize_operators"]

_WITH_IN_PLACE = {
    "absolute": "abs", "clip": "clamp", "arccos": "acos", "arcsin": "asin", "arctan": "atan", "arccosh": "acosh",
    "arcsinh": "asinh", "arctanh": "atanh", "fix": "trunc", "negative": "neg", "subtract": "sub",
    "greater_equal": "ge", "greater": "gt", "less_equal": "le", "less": "lt", "not_equal": "ne", "divide": "div",
    "multiply": "mul", "true_divide": "div", "swapdims": "transpose", "swapaxes": "transpose", "degrees": "rad2deg",
    "radians": "deg2rad", "arctan2": "atan2",
}  # fmt: skip
_PLAIN = {
    "adjoint": "mH", "det": "linalg_det", "ger": "outer", "inverse": "linalg_inv", "linalg_matmul": "matmul",
    "matrix_exp": "linalg_matrix_exp", "matrix_power": "linalg_matrix_power", "moveaxis": "movedim",
    "orgqr": "linalg_householder_product", "row_stack": "vstack", "concat": "cat", "concatenate": "cat",
    "special_digamma": "digamma", "special_erf": "erf", "special_erfc": "erfc", "special_erfinv": "erfinv",
    "special_exp2": "exp2", "special_expit": "sigmoid", "special_expm1": "expm1", "special_gammainc": "igamma",
    "special_gammaincc": "igammac", "special_gammaln": "lgamma", "special_i0": "i0", "special_log1p": "log1p",
    "special_log_softmax": "log_softmax", "special_logit": "logit", "special_logsumexp": "logsumexp",
    "special_multigammaln": "mvlgamma", "special_polygamma": "polygamma", "special_psi": "digamma",
    "special_round": "round", "special_sinc": "sinc", "special_softmax": "softmax", "special_xlogy": "xlogy",
}  # fmt: skip

#: Operator → the operator that it is another name of.
ALIASES: dict[str, str] = {
    **{f"aten::{a}": f"aten::{b}" for a, b in _WITH_IN_PLACE.items()},
    **{f"aten::{a}_": f"aten::{b}_" for a, b in _WITH_IN_PLACE.items()},
    **{f"aten::{a}": f"aten::{b}" for a, b in _PLAIN.items()},
}


def normalize_operators(graph: Graph) -> None:
    """Replace aliases whose first input is a tensor."""
    _block(graph.block)


def _block(block: Block) -> None:
    for n in block.nodes:
        for b in n.blocks:
            _block(b)
        name = ALIASES.get(n.kind)
        if name is not None and n.inputs and isinstance(n.inputs[0].type, T.TensorType):
            _replace(n, name)
        elif n.kind == "aten::rsub" and n.overload == "Tensor":
            new = _replace(n, "aten::sub")
            first = new.inputs[0]
            new.replace_input(0, new.inputs[1])
            new.replace_input(1, first)
        elif n.kind in _IDENTITY and all(v.type is T.BOOL for v in n.inputs):
            _replace(n, _IDENTITY[n.kind], "bool")


_IDENTITY = {"aten::__is__": "aten::eq", "aten::__isnot__": "aten::ne"}


def _replace(n: Node, name: str, overload: str | None = None) -> Node:
    new = n.graph.create(name, n.inputs, 0)
    new.range, new.scope = n.range, n.scope
    new.overload = n.overload if overload is None else overload
    new.insert_before(n)
    for o in n.outputs:
        o.replace_all_uses_with(new.add_output().copy_metadata(o))
    n.destroy()
    return new
