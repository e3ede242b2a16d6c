"""Three nested levels, other shapes and names than the tutorial's."""

import torch


class Squash(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = torch.nn.Linear(width, 2)

    def forward(self, values):
        return torch.sigmoid(self.inner(values))


class Middle(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = Squash(width)
        self.second = Squash(width)

    def forward(self, values):
        if values.mean() > 0.5:
            result = self.first(values)
        else:
            result = self.second(values) - 1
        return result


class Outer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.project = torch.nn.Linear(5, 3, bias=False)
        self.middle = Middle(3)

    def forward(self, batch):
        hidden = torch.relu(self.project(batch))
        return self.middle(hidden) * 2


def subjects():
    torch.manual_seed(7)
    model = Outer()
    inputs = [(torch.rand(2, 5),), (torch.rand(1, 5) * 20,), (-torch.rand(4, 5),), (torch.rand(0, 5),)]
    yield "eager", model, inputs[:3]
    yield "scripted", torch.jit.script(model), inputs
