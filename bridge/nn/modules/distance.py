"""Distances between rows."""

from __future__ import annotations

from bridge.nn import functional as F
from bridge.nn.modules.module import Module
from bridge.tensor import Tensor

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class PairwiseDistance(Module):
    """The distance of each pair of rows."""

    __constants__ = ["norm", "eps", "keepdim"]  # noqa: RUF012
    norm: float
    eps: float
    keepdim: bool

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Apply the layer."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """The cosine of the angle of each pair of rows."""

    __constants__ = ["dim", "eps"]  # noqa: RUF012
    dim: int
    eps: float

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Apply the layer."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
