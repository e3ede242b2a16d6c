"""`for x in` a list, a tensor, `enumerate` and `zip`."""

from typing import List

import torch


@torch.jit.script
def weighted(values: List[torch.Tensor], weights: List[float]):
    total = torch.zeros(2)
    for value, weight in zip(values, weights):
        total = total + value * weight
    return total


@torch.jit.script
def alternating(values: List[int]):
    total = 0
    for i, v in enumerate(values):
        if i % 2 == 0:
            total += v
        else:
            total -= v
    return total


@torch.jit.script
def rows(x):
    longest = torch.zeros(())
    for row in x:
        size = (row * row).sum()
        if size > longest:
            longest = size
    return longest


@torch.jit.script
def doubled(values: List[int]):
    result = [v * 2 for v in values]
    for v in [10, 20, 30]:
        result.append(v)
    return result


def subjects():
    tensors = [torch.ones(2), torch.tensor([2.0, -1.0]), torch.zeros(2)]
    yield "weighted", weighted, [(tensors, [0.5, 2.0, 1.0]), (tensors, [1.0])]
    yield "alternating", alternating, [([],), ([5],), ([1, 2, 3, 4, 5],)]
    yield "rows", rows, [(torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]]),), (torch.zeros(1, 2),)]
    yield "doubled", doubled, [([],), ([1, 2],)]
