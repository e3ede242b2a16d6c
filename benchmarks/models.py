"""The recurrent network of the tutorial, written once for torch and bridge."""

from types import ModuleType
from typing import Any


def parts(torch: ModuleType) -> dict[str, Any]:
    """``cell``, ``loop`` and their example inputs; ``plain`` is the loop without a decision, which torch's default exporter takes."""

    class Gate(torch.nn.Module):
        def forward(self, x):
            if x.sum() > 0:
                return x
            else:
                return -x

    class Same(torch.nn.Module):
        def forward(self, x):
            return x

    class Cell(torch.nn.Module):
        def __init__(self, gate):
            super().__init__()
            self.gate = gate
            self.linear = torch.nn.Linear(4, 4)

        def forward(self, x, h):
            new_h = torch.tanh(self.gate(self.linear(x)) + h)
            return new_h, new_h

    class Loop(torch.nn.Module):
        def __init__(self, gate):
            super().__init__()
            self.cell = Cell(gate)

        def forward(self, xs):
            h, y = torch.zeros(3, 4), torch.zeros(3, 4)
            for i in range(xs.size(0)):
                y, h = self.cell(xs[i], h)
            return y, h

    torch.manual_seed(0)
    return {
        "cell": Cell(Gate()),
        "loop": Loop(Gate()),
        "plain": Loop(Same()),
        "cell_inputs": (torch.rand(3, 4), torch.rand(3, 4)),
        "loop_inputs": (torch.rand(10, 3, 4),),
    }
