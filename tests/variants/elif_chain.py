"""`elif` over tensors and over numbers, with and without a last `else`."""

import torch


class Pick(torch.nn.Module):
    def forward(self, x, mode: int):
        scale = 1.0
        if x.sum() > 10:
            y = x - 10
            scale = 0.1
        elif x.sum() > 0:
            y = x + 1
        elif x.sum() < -10:
            y = -x
            scale = 10.0
        else:
            y = x * 0
        if mode == 0:
            y = y * scale
        elif mode == 1:
            y = y / scale
        return y


def subjects():
    model = torch.jit.script(Pick())
    inputs = [(torch.full((2, 3), v), m) for v in (5.0, 0.5, -5.0, 0.0) for m in (0, 1, 2)]
    yield "scripted", model, inputs
