"""`while` on a tensor, on an integer, and on both at once."""

import torch


@torch.jit.script
def halve(x):
    steps = 0
    while x.abs().max() > 1.0:
        x = x / 2
        steps += 1
    return x, steps


@torch.jit.script
def collatz(n: int):
    count = 0
    while n != 1 and count < 200:
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        count = count + 1
    return count


class Settle(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.step = torch.nn.Linear(3, 3)

    def forward(self, x, limit: int):
        i = 0
        change = torch.ones(1)
        while bool(change > 0.01) and i < limit:
            y = torch.tanh(self.step(x))
            change = (y - x).abs().sum()
            x = y
            i += 1
        return x, i


def subjects():
    torch.manual_seed(5)
    yield "halve", halve, [(torch.tensor([0.5, -0.25]),), (torch.tensor([[8.0, -100.0]]),)]
    yield "collatz", collatz, [(1,), (6,), (27,)]
    yield "settle", torch.jit.script(Settle()), [(torch.ones(2, 3), 50), (torch.ones(2, 3), 3), (torch.ones(2, 3), 0)]
