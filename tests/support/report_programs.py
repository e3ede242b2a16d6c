"""Programs in which exporting decides something, one for each kind of line in a report, and one full of obstacles."""

import bridge as torch
from bridge import Tensor, nn

SCALE = 3
WEIGHTS = [0.5, 0.25]


class Everything(nn.Module):
    """Captured values, attributes, constants, arguments, branches, unrolled loops, state, random numbers, checks."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(2)])
        self.gain = 0.5
        self.names = ["a", "b"]
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor, mask: Tensor | None = None, mode: str = "fast", power: int = 2):
        self.calls += 1
        for layer in self.layers:
            x = layer(x) * self.gain
        if mask is not None:
            x = x * mask
        if mode == "fast":
            x = x + SCALE * WEIGHTS[1]
        if bool(x.sum() > 100.0):
            raise ValueError(f"too large: {x}")
        return x**power + torch.rand_like(x), len(self.names)


def traced(x):
    if x.sum() > 0:
        x = x * 2
    for _ in range(int(x[0])):
        x = x + 1
    return x


class Inner(nn.Module):
    def forward(self, x: Tensor, name: str):
        text = name + "!" + str(x.size(0))
        if len(text) > 3:
            x = x + 1
        return x, text


class Obstacles(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner()

    def forward(self, x: Tensor, keys: Tensor):
        found: dict[int, Tensor] = {}
        for i in range(keys.size(0)):
            found[int(keys[i])] = x
        y, text = self.inner(x, "abc")
        print(y)
        if text == "abc!3":
            print("three")
            z = y * 2
        else:
            z = x
        w = y
        if bool(x.sum() > 0):
            w = z
        w.add_(1)
        return z, w, len(found), text
