import math
from typing import List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor


def helper(x):
    return x + 1


def add(a: int, b: int = 2):
    return a + b


def pair(x) -> Tuple[Tensor, int]:
    return x, 3


def calls_helper(x):
    return helper(helper(x)) * 2


def keywords(n: int):
    return add(n), add(n, 3), add(b=n, a=1), add(*(n, 2))


def unpack_result(x):
    a, b = pair(x)
    return a * b


def optional_argument(x, w: Optional[Tensor] = None):
    if w is None:
        return x
    return x * w


def passes_none(x):
    return optional_argument(x), optional_argument(x, None), optional_argument(x, x)


def function_of_list(l: List[int]):
    return l[0]


def passes_empty():
    return function_of_list([]), function_of_list([1])


def library(x):
    return F.relu(x), torch.relu(x), x.relu(), F.softmax(x, dim=1), F.linear(x, x), torch.nn.functional.gelu(x)


def math_functions(a: float):
    return math.sqrt(a) + math.pi + math.floor(a) + math.log(a), math.inf, math.ceil(a), math.sin(2), math.pow(a, 2)


def operators(x, y):
    return (
        torch.matmul(x, y), x @ y, torch.cat([x, y], dim=1), torch.stack((x, y)), torch.where(x > 0, x, y), x.t(),
        torch.clamp(x, min=0.0), torch.clamp(x, 0, 1), x.clamp(max=1), torch.sum(x), torch.mean(x, 0), x.mean(dim=1),
        torch.max(x, 0), x.max(dim=0)[0], torch.sort(x), torch.topk(x, 2), x.unsqueeze(0).squeeze(), x.flatten(),
    )  # fmt: skip


def creation(n: int, x):
    return (
        torch.zeros(2, 3), torch.ones([n]), torch.arange(n), torch.arange(1, n), torch.arange(0, 1, 0.1),
        torch.full([2], 1.5), torch.empty(2), torch.eye(3), torch.zeros_like(x), torch.linspace(0.0, 1.0, 5),
        torch.tensor([n, 2]), torch.as_tensor(n), torch.rand(2), torch.randn([2, 2]), torch.zeros(n, dtype=torch.long),
        x.new_zeros(3), x.new_ones([2, n]), torch.full_like(x, 2),
    )  # fmt: skip


def einsum(x, y):
    return torch.einsum("ij,jk->ik", x, y), torch.einsum("ij->ji", [x])


def splits(x):
    a, b = x.chunk(2)
    c, d = torch.split(x, 1)
    l = x.split([1, 1])
    e = torch.unbind(x)
    return a + b, c, d, l, e[0]


def aliases(x):
    return torch.multiply(x, 2), x.subtract(1), x.clip(0, 1), torch.greater(x, 1), x.swapaxes(0, 1), torch.absolute(x)


def method_value(x):
    g = x.sum
    return g()


def nested_calls(x, n: int):
    return torch.tanh(torch.sigmoid(x.view(n, -1)).sum(dim=-1, keepdim=True) + 1.0)


def recursive_types(x: List[Tensor]) -> List[Tensor]:
    return [helper(t) for t in x]


def statement_call(x):
    x.add_(1)
    helper(x)
    torch.relu_(x)
    return x


def number_results(x):
    return x.dim() + x.size(0) * x.numel(), x.item(), float(x.max()), int(x.argmax()), x.is_floating_point()


def forked(x):
    fut = torch.jit.fork(helper, x)
    other = torch.jit.fork(add, 1, b=3)
    y = x * 2
    return torch.jit.wait(fut) + y, torch.jit.wait(other)
