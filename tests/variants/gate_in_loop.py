"""The tutorial's gate, inside the body of a loop, with other names and shapes."""

import torch


class Gate(torch.nn.Module):
    def forward(self, v):
        if v.sum() > 0:
            return v
        else:
            return -v


class Recurrence(torch.nn.Module):
    def __init__(self, gate):
        super().__init__()
        self.gate = gate
        self.inp = torch.nn.Linear(2, 6)
        self.rec = torch.nn.Linear(6, 6)

    def forward(self, seq):
        state = torch.zeros(5, 6)
        for step in range(seq.size(0)):
            candidate = self.inp(seq[step]) + self.rec(state)
            if candidate.sum() > state.sum():
                state = torch.tanh(self.gate(candidate))
            else:
                state = state * 0.5
        return self.gate(state), state.sum()


def subjects():
    torch.manual_seed(11)
    model = Recurrence(Gate())
    scripted = torch.jit.script(model)
    inputs = [(torch.randn(n, 5, 2),) for n in (0, 1, 10, 23)]
    yield "eager", model, inputs[:3]
    yield "scripted", scripted, inputs
    yield "around a scripted gate", torch.jit.script(Recurrence(torch.jit.script(Gate()))), inputs[1:3]
