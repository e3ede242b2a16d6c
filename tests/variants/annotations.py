"""Annotations in every spelling: comments, typing, builtin generics, `|`, defaults and keywords."""

from typing import List, Optional, Tuple

import torch


@torch.jit.script
def commented(x, n, names):
    # type: (Tensor, int, List[int]) -> Tuple[Tensor, int]
    return x * n, len(names)


@torch.jit.script
def optional(x: torch.Tensor, bias: Optional[torch.Tensor] = None, scale: float = 2.0) -> torch.Tensor:
    if bias is not None:
        x = x + bias
    return x * scale


@torch.jit.script
def generics(items: list[int], pair: tuple[int, float]) -> float:
    total: float = 0.0
    for item in items:
        total += item * pair[1]
    return total + pair[0]


@torch.jit.script
def union(x: torch.Tensor, limit: int | None = None) -> int:
    if limit is None:
        return int(x.sum())
    else:
        return min(int(x.sum()), limit)


class Typed(torch.nn.Module):
    count: int

    def __init__(self):
        super().__init__()
        self.count = 2

    def forward(self, x: torch.Tensor, sizes: List[int], extra: Optional[int] = None) -> Tuple[torch.Tensor, int]:
        n = self.count
        if extra is not None:
            n += extra
        return x.reshape(sizes) * n, n


def subjects():
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])
    yield "commented", commented, [(x, 3, [1, 2])]
    yield "optional", optional, [(x,), (x, torch.ones(4)), (x, None, 0.5)]
    yield "generics", generics, [([1, 2], (3, 0.5)), ([], (1, 1.0))]
    yield "union", union, [(x,), (x, 3), (x, 30)]
    yield "typed", torch.jit.script(Typed()), [(x, [2, 2]), (x, [4, 1], 5)]
