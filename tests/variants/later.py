"""Computations that are started and waited for: forks in lists and loops, of methods, one inside another; awaitables."""

from typing import List

import torch


def doubled(x: torch.Tensor) -> torch.Tensor:
    return 2 * (x + 1)


def started(x: torch.Tensor) -> torch.jit.Future[torch.Tensor]:
    return torch.jit.fork(doubled, x)


@torch.jit.script
def nested(x: torch.Tensor):
    a = torch.jit.fork(started, x)
    b = torch.jit.fork(doubled, -x)
    if bool(x.sum() > 0):
        c = b
    else:
        c = started(x * 3)
    return torch.jit.wait(torch.jit.wait(a)) + torch.jit.wait(b), torch.jit.wait(c)


class Branches(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)

    def branch(self, x: torch.Tensor, seen: List[torch.Tensor]):
        seen.append(x)
        return self.linear(x)

    def forward(self, x):
        futures: List[torch.jit.Future[torch.Tensor]] = []
        seen: List[torch.Tensor] = []
        for i in range(3):
            futures.append(torch.jit.fork(self.branch, x * i, seen))
        results: List[torch.Tensor] = []
        for f in futures:
            results.append(torch.jit.wait(f))
        kept = torch.jit._awaitable(doubled, x)
        there = torch.jit._awaitable_nowait(4)
        total = torch.jit._awaitable_wait(kept) + torch.jit._awaitable_wait(there)
        return torch.stack(results), len(seen), total


def subjects():
    torch.manual_seed(5)
    yield "nested", nested, [(torch.ones(2),), (-torch.ones(3),)]
    yield "branches", torch.jit.script(Branches()), [(torch.rand(2, 3),), (torch.rand(1, 3),)]
