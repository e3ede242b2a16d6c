"""Parametrizations of weights: by length and direction, with a largest singular value of one, orthogonal."""

from __future__ import annotations

from typing import Any

import bridge
from bridge.autograd.grad_mode import no_grad
from bridge.nn import functional as F
from bridge.nn.modules.module import Module
from bridge.nn.utils import parametrize
from bridge.tensor import Tensor

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    """A weight of two tensors: lengths along ``dim``, and directions."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """Apply the parametrization."""
        return bridge._weight_norm(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> Any:
        """Lengths and directions of a weight."""
        return bridge.norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Have a weight be directions with lengths: ``g * v / ‖v‖``, the norm over all dimensions but ``dim`` (None: over all).

    Weights that the old ``weight_norm`` saved load, too.
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def renamed(state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
        old = f"{prefix}{name}_g", f"{prefix}{name}_v"
        if all(n in state_dict for n in old):
            for i, n in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(n)

    module._register_load_state_dict_pre_hook(renamed)
    return module


class _SpectralNorm(Module):
    """A weight over its largest singular value, which iterations in training keep up with."""

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        dims = weight.ndim
        if dim >= dims or dim < -dims:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{dims}, {dims - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim if dim >= 0 else dim + dims
        self.eps = eps
        if dims > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._matrix(weight)
            h, w = matrix.shape
            with no_grad():
                u = matrix.new_empty([h]).normal_(0, 1)
                v = matrix.new_empty([w]).normal_(0, 1)
            self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            self._power_method(matrix, 15)

    def _matrix(self, weight: Tensor) -> Tensor:
        if self.dim != 0:
            weight = weight.transpose(0, self.dim) if weight.dim() == 2 else weight.movedim(self.dim, 0)
        return weight.flatten(1)

    def _power_method(self, matrix: Tensor, n_power_iterations: int) -> None:
        with no_grad():
            for _ in range(n_power_iterations):
                self._u.copy_(F.normalize(bridge.mv(matrix, self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(bridge.mv(matrix.t(), self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        """Apply the parametrization."""
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()
        sigma = bridge.vdot(u, bridge.mv(matrix, v))
        return weight / sigma

    def right_inverse(self, value: Tensor) -> Tensor:
        """The weight itself."""
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Have a weight be divided by its largest singular value, seen as a matrix with the rows of ``dim``.

    Raises ValueError for a tensor that there is not, or for no iterations.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")  # noqa: TRY004
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    parametrize.register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
    return module


def _orthogonalised(a: Tensor) -> Tensor:
    q, r = bridge.linalg.qr(a)
    return q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def _is_orthogonal(q: Tensor) -> bool:
    n, k = q.size(-2), q.size(-1)
    identity = bridge.eye(k, dtype=q.dtype)
    eps = 10.0 * n * bridge.finfo(q.dtype).eps
    return bridge.allclose(q.mH @ q, identity, atol=eps)


class _Orthogonal(Module):
    """An orthogonal matrix (or one with orthonormal columns, or rows) out of any."""

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool = True) -> None:
        super().__init__()
        self.shape = list(weight.shape)
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        """Apply the parametrization."""
        n, k = X.size(-2), X.size(-1)
        wide = n < k
        if wide:
            X = X.mT
            n, k = k, n
        if self.orthogonal_map == "householder":
            a = X.tril(diagonal=-1)
            tau = 2.0 / (1.0 + (a * a).sum(dim=-2))
            q = bridge.linalg.householder_product(a, tau) * X.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        else:
            a = X.tril()
            if n != k:
                a = bridge.cat([a, a.new_zeros([n, n - k]).expand(*a.shape[:-2], -1, -1)], dim=-1)
            a = a - a.mH
            if self.orthogonal_map == "matrix_exp":
                q = bridge.linalg.matrix_exp(a)
            else:
                identity = bridge.eye(n, dtype=a.dtype)
                q = bridge.linalg.solve(identity + a * -0.5, identity + a * 0.5)
            if n != k:
                q = q[..., :k]
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if wide else q

    def right_inverse(self, Q: Tensor) -> Tensor:
        """What becomes that matrix (or the orthogonal one that is near to it). Raises where it is not known or has another shape."""
        if list(Q.shape) != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {tuple(self.shape)}. Got a tensor of shape {tuple(Q.shape)}."
            )
        given = Q
        n, k = Q.size(-2), Q.size(-1)
        if n < k:
            Q = Q.mT
            n, k = k, n
        if not hasattr(self, "base"):
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        if n == k:
            Q = Q.clone() if _is_orthogonal(Q) else _orthogonalised(Q)
        else:
            more = bridge.randn([*Q.shape[:-2], n, n - k], dtype=Q.dtype)
            Q = _orthogonalised(bridge.cat([Q, more], dim=-1))
        self.base = Q
        start = bridge.zeros_like(given)
        start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return start


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Have a weight be orthogonal: by ``"matrix_exp"``, ``"cayley"`` or ``"householder"``.

    Raises ValueError for another map, a tensor that there is not, or one below two dimensions.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")  # noqa: TRY004
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.size(-2) == weight.size(-1) else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization)
    parametrize.register_parametrization(module, name, made, unsafe=True)
    return module
