import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Dict, List, NamedTuple, Optional, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class ResidualStack(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(5)])
        self.norms = nn.ModuleList([nn.LayerNorm(8) for _ in range(5)])

    def forward(self, x: Tensor) -> Tensor:
        skips: List[Tensor] = []
        for i, layer in enumerate(self.layers):
            x = x + F.gelu(layer(x))
            if i % 2 == 0:
                skips.append(x)
        for norm in self.norms:
            x = norm(x)
        return x + torch.stack(skips).mean(dim=0)


add("modulelist_unrolled", ResidualStack, lambda: [(torch.randn(2, 8),), (torch.randn(5, 8),), (torch.randn(1, 8),)])


class InplaceIndexing(nn.Module):
    def forward(self, x: Tensor, idx: Tensor) -> Tensor:
        y = x.clone()
        y[:, 0] = 7.0
        y[1:, -1] += 1.0
        y[y < 0] = 0.0
        y[idx] = y[idx] * 10
        y[..., 1:3].mul_(2.0)
        y[0, ::2] = torch.arange(x.size(1))[::2].to(x.dtype)
        return y


add(
    "inplace_indexing",
    InplaceIndexing,
    lambda: [
        (torch.randn(4, 5), torch.tensor([1, 3])),
        (torch.randn(6, 7), torch.tensor([0, 5])),
        (torch.randn(2, 4), torch.tensor([0, 1])),
    ],
)


class WithMethods(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Linear(6, 3)
        self.dec = nn.Linear(3, 6)

    def encode(self, x: Tensor, sharpen: bool = False) -> Tensor:
        z = self.enc(x)
        if sharpen:
            z = z * 3
        return z

    def decode(self, z: Tensor) -> Tensor:
        return self.dec(self.squash(z))

    @staticmethod
    def squash(z: Tensor) -> Tensor:
        if z.norm() > 2.0:
            return z / z.norm()
        return z

    def forward(self, x: Tensor) -> Tensor:
        z = self.encode(x, sharpen=True)
        r = self.decode(z)
        if F.mse_loss(r, x) > 1.0:
            r = self.decode(self.encode(r))
        return r


add(
    "methods_call_methods",
    WithMethods,
    lambda: [(torch.randn(2, 6),), (torch.randn(2, 6) * 0.05,), (torch.randn(2, 6) * 8,)],
)


class DtypeDevice(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: Tensor, n: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        x = x.to(self.w.dtype)
        acc = torch.zeros(x.size(0), 4, dtype=x.dtype, device=x.device)
        k = n.to(torch.int64)
        while k > 0:
            acc = acc + x @ self.w
            k = k - 1
        hits = (acc > 0).sum(dim=1).to(torch.int32)
        half = torch.ones_like(acc, dtype=torch.float64) * acc.double().mean()
        return acc, hits, half.float()


add(
    "dtype_device",
    DtypeDevice,
    lambda: [
        (torch.arange(8).view(2, 4), torch.tensor(2.0)),
        (torch.arange(12).view(3, 4), torch.tensor(5.0)),
        (torch.arange(8).view(2, 4), torch.tensor(0.0)),
    ],
)


class CheckedInput(nn.Module):
    """assert / raise / f-string. The last input set must raise."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.dim() == 2, f"expected 2 dims, got {x.dim()}"
        if x.min() < 0:
            raise ValueError(f"negative input in batch of {x.size(0)}")
        s = x.sum()
        if s > 100:
            return x / s
        return x.sqrt()


add(
    "assert_raise_fstring",
    CheckedInput,
    lambda: [(torch.rand(2, 3),), (torch.rand(2, 3) * 99 + 20,), (torch.rand(5, 3),), (-torch.rand(2, 3),)],
)
