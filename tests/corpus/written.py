"""Programs as people write them: unions, names that are put together, masks in place, checks, tensors as defaults."""

import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class Overloaded(nn.Module):
    """One tensor or a pair of them: what the example is decides."""

    def forward(self, x: Union[Tensor, Tuple[Tensor, Tensor]], k: Union[int, float] = 2) -> Tensor:
        if isinstance(k, int):
            k = k + 1
        if isinstance(x, Tensor):
            return x * k
        a, b = x
        return a + b * k


add("union_of_one", Overloaded, lambda: [(torch.randn(2), 2), (torch.randn(5), 3)])


add(
    "union_of_two",
    Overloaded,
    lambda: [((torch.randn(2), torch.randn(2)), 0.5), ((torch.randn(5), torch.randn(1)), 1.5)],
)


def anything(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x + 1
    if isinstance(x, int):
        return torch.ones(x)
    return torch.zeros(1)


add("any_tensor", anything, lambda: [(torch.randn(2),), (torch.randn(5),)])


class Stages(nn.Module):
    """Layers found by a name that is put together."""

    def __init__(self):
        super().__init__()
        self.names = ("a", "b")
        for i in range(2):
            setattr(self, f"stage{i}", nn.Linear(3, 3))
        self.head_a = nn.Linear(3, 2)
        self.head_b = nn.Linear(3, 2)
        self.scales = nn.ParameterList([nn.Parameter(torch.randn(3)) for _ in range(3)])

    def mix(self, *terms: Tensor) -> Tensor:
        out = terms[0]
        for t in terms[1:]:
            out = out * t
        return out

    def forward(self, x: Tensor) -> List[Tensor]:
        for i in (0, 1):
            x = F.relu(getattr(self, f"stage{i}")(x))
        if x.sum() > 0:
            x = x + self.mix(*self.scales)
        outs = []
        for n in self.names:
            if hasattr(self, "head_a"):
                outs.append(getattr(self, "head_" + "a")(x))
        return outs


add("stages_by_name", Stages, lambda: [(torch.randn(2, 3),), (-9 * torch.ones(1, 3),)])


class Point(NamedTuple):
    x: Tensor
    y: Tensor
    tag: int = 0


class Stats(NamedTuple):
    mean: Tensor
    std: Optional[Tensor]
    n: int


class TupleFlow(nn.Module):
    def make(self, x: Tensor) -> Point:
        return Point(x.cos(), x.sin(), tag=int(x.sum() > 0))

    def forward(self, x: Tensor) -> Tuple[Stats, Tensor]:
        p = self.make(x)
        a, b, t = p
        if t == 1:
            p = Point(b, a)
        else:
            p = Point(p.y * 2, p.x, 7) if hasattr(p, "tag") else p
        std: Optional[Tensor] = None
        if x.numel() > 1:
            std = x.std()
        return Stats(mean=x.mean(), std=std, n=p.tag), p.x - p[1]


add("tuple_flow", TupleFlow, lambda: [(torch.rand(4),), (-torch.rand(3),), (torch.ones(1),)])


class MaskWrites(nn.Module):
    """Masks combined in place through views."""

    def forward(self, m: Tensor, x: Tensor) -> Tuple[Tensor, Tensor]:
        keep = torch.ones_like(m)
        for i in range(m.size(0)):
            if not keep[i, 0]:
                continue
            keep[i:] &= m[i] | m[i:]
            keep[i, 1:] |= m[i, :-1]
            keep[:, -1] ^= m[:, 0]
        y = x.clone()
        y[1:] **= 2
        y[:, 0] %= 3
        y[0] //= 2
        return keep.bool(), y


add(
    "mask_writes",
    MaskWrites,
    lambda: [
        (torch.rand(4, 3) > 0.5, torch.randn(4, 3) * 5),
        (torch.rand(1, 1) > 0.5, torch.randn(1, 1) * 5),
        (torch.rand(3, 6) > 0.3, -torch.rand(3, 6) * 9),
    ],
)


def checked(x: Tensor, k: int) -> Tensor:
    torch._assert(x.dim() == 2, f"expected 2 dims, got {x.dim()}")
    torch._assert(k > 0, "k must be positive")
    return x.topk(min(k, x.size(1)), dim=1)[0]


add("checked_call", checked, lambda: [(torch.randn(2, 3), 2), (torch.randn(1, 1), 5), (torch.randn(1, 1), 0)])


class Cached(nn.Module):
    """Tensors as defaults, of size 0 where nothing is given."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 3)

    def forward(
        self, x: Tensor, cache: Tensor = torch.zeros(0, 0, 0), pad: Tensor = torch.ones((0, 0), dtype=torch.bool)
    ) -> Tuple[Tensor, Tensor]:
        if pad.size(1) > 0:
            x = x.masked_fill(pad.unsqueeze(1), 0.0)
        if cache.size(2) == 0:
            x = F.pad(x, (2, 0))
        else:
            x = torch.cat((cache, x), dim=2)
        return self.conv(x), x[:, :, -2:]


add(
    "cache_default",
    Cached,
    lambda: [
        (torch.randn(1, 2, 5), torch.zeros(0, 0, 0), torch.rand(1, 5) > 0.5),
        (torch.randn(1, 2, 1), torch.randn(1, 2, 2), torch.zeros((0, 0), dtype=torch.bool)),
    ],
)


class ListOfLists(nn.Module):
    """Group indices into lists by key, then longest group, then padded matrix."""

    def forward(self, keys: Tensor, n: int) -> Tuple[Tensor, List[int]]:
        groups: List[List[int]] = [[] for _ in range(n)]
        for i, k in enumerate(keys):
            groups[int(k) % n].append(i)
        sizes = [len(g) for g in groups]
        width = max(sizes)
        out = torch.full((n, width), -1)
        for r, g in enumerate(groups):
            for c, i in enumerate(g):
                out[r, c] = i
        return out, sizes


add(
    "group_lists",
    ListOfLists,
    lambda: [(torch.tensor([1, 4, 2, 1, 0]), 3), (torch.tensor([5]), 1), (torch.tensor([0, 0, 0, 7]), 5)],
)
