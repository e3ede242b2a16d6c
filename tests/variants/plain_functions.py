"""Scripted functions without modules: straight lines, calls with keywords, operators of tensors."""

import torch


@torch.jit.script
def polynomial(x):
    y = x * x - 2 * x + 1
    y = y / (x + 3) ** 2
    return -y


@torch.jit.script
def normalise(x, dim: int):
    mean = x.mean(dim, keepdim=True)
    centred = x - mean
    return centred / (centred * centred).sum(dim=dim, keepdim=True).sqrt()


@torch.jit.script
def compare(x, y):
    return x > y, x == y, (x < y) | (x >= 2), torch.where(x > y, x, y), ~(x != y)


@torch.jit.script
def product(x, w):
    return torch.matmul(x, w), x @ w.t().t(), (x.unsqueeze(0) * 1.5).squeeze(0).exp()


def subjects():
    x = torch.tensor([[1.0, 2.0, -1.0], [0.5, 4.0, 3.0]])
    yield "polynomial", polynomial, [(x,), (x[0],)]
    yield "normalise", normalise, [(x, 0), (x, 1), (x, -1)]
    yield "compare", compare, [(x, x + torch.tensor([1.0, 0.0, -1.0]))]
    yield "product", product, [(x, torch.ones(3, 2))]
