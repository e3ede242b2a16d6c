"""Returns before the end: in one branch, in both, in nested ones, and without a value."""

import torch


class Early(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(4, 4)

    def forward(self, x, k: int):
        if k < 0:
            return x
        y = self.lin(x)
        if y.sum() > 0:
            if k == 0:
                return y
            y = y * k
        else:
            return -y
        z = y + 1
        if k > 2:
            return torch.relu(z)
        return torch.tanh(z)


@torch.jit.script
def sign(x: float) -> int:
    if x > 0:
        return 1
    if x < 0:
        return -1
    return 0


@torch.jit.script
def clip(x, low: float, high: float):
    if bool(x.min() >= low):
        if bool(x.max() <= high):
            return x, 0
        else:
            return torch.clamp(x, max=high), 1
    return torch.clamp(x, low, high), 2


def subjects():
    torch.manual_seed(21)
    x = torch.randn(2, 4)
    yield "early", torch.jit.script(Early()), [(s * x, k) for s in (1, -1, 3) for k in (-1, 0, 1, 3)]
    yield "sign", sign, [(2.5,), (-1.0,), (0.0,)]
    yield "clip", clip, [(x, -9.0, 9.0), (x, -9.0, 0.1), (x, -0.1, 0.1)]
