from typing import List, Optional

import torch
from torch import Tensor


def basic(x, i: int):
    return x[0], x[i], x[-1], x[0, 1], x[i, i], x[0][1]


def slices(x, l: List[int], n: int):
    return x[0:2, ::2], l[1:], l[::-1], x[..., None, 0], x[1:], x[:n], x[n:], x[:, 1], x[:, n:, ::2], x[None], x[..., 0]


def ellipsis(x):
    return x[...], x[..., 1], x[0, ...], x[..., 1:2], x[0, ..., 1], x[:, ..., None]


def tensors(x, i):
    return x[i], x[x > 0], x[0, i], x[i, i], x[:, i], x[i, 0], x[i, :, i], x[None, i]


def lists(x):
    l = [0, 1]
    return x[[0, 1]], x[l], x[[0, 1], [1, 0]], x[:, [0]]


def assigns(x, i: int, y):
    x[0] = 5
    x[i] = y
    x[0, 1] = 2.5
    x[:, 1] = y
    x[1:] = 0
    x[..., 0] = True
    return x


def assign_tensors(x, m, i):
    x[m] = 0
    x[i] = x[0]
    x[x > 4] = 1.5
    x[i, 0] = 3
    x[:, i] = 2
    return x


def augments(x, i):
    x[0] += 1
    x[:, 1] += 2
    x[x > 4] *= 0
    x[i] -= 1
    x[..., 0] /= 2
    return x


def in_place(x):
    y = x.view(-1)
    y[0] = 9
    y.add_(1)
    x += 1
    x -= x
    x *= 2
    x /= 3
    return x


def bool_index(x, b: bool):
    return x[torch.tensor(b)]


def optional_index(x, i: Optional[Tensor]):
    if i is not None:
        x = x[i]
    return x


def index_methods(x, i):
    return x.index_select(0, i), x.gather(0, i), x.masked_fill(x > 0, 1.0), x.narrow(0, 0, 1), x.select(0, 1)


def out_argument(x):
    y = torch.empty_like(x)
    torch.add(x, x, out=y)
    return y


def shape_uses(x):
    b, c = x.shape
    n = x.shape[0] * x.size(1)
    s = x.size()
    return x.view(b, c), x.view(x.shape), x.reshape(n), torch.zeros(x.shape), s[0], x.view(b, -1), x.size()[1:]


def dynamic_slice(x, n: int):
    s = slice(0, n)
    return x[s], x[slice(1, None)], x[s, 0]
