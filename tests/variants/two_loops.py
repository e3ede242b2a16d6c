"""Two loops, the second inside the first, and one more after them."""

import torch


class Filter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = torch.nn.Linear(3, 3)

    def forward(self, frames, rounds: int):
        state = torch.zeros(3)
        total = torch.zeros(3)
        for t in range(frames.size(0)):
            frame = frames[t]
            for k in range(rounds):
                state = torch.tanh(self.mix(frame) + state)
            total = total + state
        for k in range(rounds, 0, -1):
            total = total * 0.5 + k
        return total, state


def subjects():
    torch.manual_seed(3)
    model = torch.jit.script(Filter())
    frames = torch.rand(4, 3)
    yield "scripted", model, [(frames, 2), (frames, 0), (frames[:0], 3), (frames[:1], 1)]
