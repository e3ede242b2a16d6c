"""Names that were used before: parameters assigned again, two classes of one name, attributes called as Python's own names."""

import torch


class Block(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.linear = torch.nn.Linear(n, n)

    def forward(self, input):
        input = self.linear(input)
        input = input + input
        x = input
        input = torch.tanh(x)
        return input


First = Block


class Block(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.block = First(n)
        self.linear = First(n)

    def forward(self, x):
        x = self.block(x)
        for i in range(2):
            x = x + i
            y = x
            x = self.linear(y)
        return x


def subjects():
    torch.manual_seed(15)
    x = torch.rand(1, 3)
    yield "scripted", torch.jit.script(Block(3)), [(x,), (-x,)]
    yield "again", torch.jit.script(Block(3)), [(x,)]
    yield "wider", torch.jit.script(Block(4)), [(torch.rand(2, 4),)]
    yield "traced", torch.jit.trace(Block(3), (x,)), [(x,)]
