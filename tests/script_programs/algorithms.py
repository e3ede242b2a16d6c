import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union
import math

def a1(x: Tensor, k: int):
    i = 0
    while i < k:
        j = 0
        while j < k:
            if j == i:
                j += 1
                continue
            x = x + j
            if bool(x.sum() > 100):
                return x, i
            j += 1
        i += 1
    return x, -1
def a2(toks: List[int], eos: int, beam: int = 2):
    beams: List[Tuple[float, List[int]]] = [(0.0, [0])]
    for t in toks:
        new: List[Tuple[float, List[int]]] = []
        for score, seq in beams:
            if seq[-1] == eos:
                new.append((score, seq))
                continue
            for c in range(beam):
                new.append((score - float(c), seq + [c + t]))
        beams = new[:beam]
    best, _ = beams[0]
    return best, beams
def a3(cache: Dict[str, List[Tensor]], key: str, x: Tensor):
    if key not in cache:
        cache[key] = []
    cache[key].append(x)
    return torch.stack(cache[key]).mean(0), cache
def a4(x: Optional[Tensor], y: Optional[Tensor]) -> Tensor:
    if x is None:
        if y is None:
            raise ValueError("both None")
        return y
    if y is None:
        return x
    return x + y
def a5(a: Tensor, b: Tensor):
    n, m = a.size(0), b.size(0)
    d = torch.zeros(n + 1, m + 1)
    d[:, 0] = torch.arange(n + 1)
    d[0, :] = torch.arange(m + 1)
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            c = 0.0 if bool(a[i - 1] == b[j - 1]) else 1.0
            d[i, j] = torch.min(torch.stack([d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + c]))
    return d[n, m]
def a6(x, steps: int = 3):
    outs = torch.jit.annotate(List[Tensor], [])
    for _ in range(steps):
        x = F.relu(x)
        outs += [x.mean(dim=-1)]
    a, b, *c = outs[0], outs[1], outs[2]
    return torch.cat(outs), a, b, c
def a7(x: Tensor, dims: List[int]):
    for d in dims[::-1]:
        x = x.sum(d, keepdim=True)
    return x.view([1] * x.dim()), [int(s) for s in x.shape], x.shape[1:], list(x.shape)
def a8(x: int):
    r = "neg" if x < 0 else "zero" if x == 0 else "pos"
    return r, (x > 0 and x < 10) or x == 100, not (x and True) if False else 1
def a9(x):
    y = x.detach().clone()
    y.add_(1).mul_(2)
    y.fill_(3)
    y[y > 2] = 0
    y[0].zero_()
    y.copy_(x)
    y.index_fill_(0, torch.tensor([0]), 1.0)
    return y
def a10(x, *, k: int):
    return x + k
def a11(n: int) -> List[List[int]]:
    tri: List[List[int]] = []
    for i in range(n):
        row = [1] * (i + 1)
        for j in range(1, i):
            row[j] = tri[i - 1][j - 1] + tri[i - 1][j]
        tri.append(row)
    return tri
def a12(s: str) -> Dict[str, int]:
    d: Dict[str, int] = {}
    for c in s:
        if c in d:
            d[c] += 1
        else:
            d[c] = 1
    return d
def a13(x: Tensor, fn: str):
    if fn == "relu":
        return F.relu(x)
    elif fn == "tanh":
        return torch.tanh(x)
    raise RuntimeError(f"unknown {fn}")
def a14(xs: List[Tensor]) -> Tensor:
    longest = max([x.size(0) for x in xs])
    out = torch.zeros([len(xs), longest])
    for i, x in enumerate(xs):
        out[i, :x.size(0)] = x
    return out
def a15(x: Tensor):
    for i in range(10):
        if i > 3:
            x = x * 2
            if bool(x.max() > 5):
                break
        elif i == 2:
            continue
        else:
            x = x + 1
    else_ = x
    return else_
def a16(x: Tensor, n: Optional[int] = None, t: Tuple[int, int] = (1, 2), s: str = 'a', f: float = 1.):
    return x if n is None else x + n
def a17(x: Tensor) -> Tuple[Tensor, Optional[Tensor]]:
    if x.dim() > 1:
        return x, None
    return x, x
def a18(x):
    with torch.no_grad():
        for i in range(3):
            if i == 1:
                return x
            x = x + 1
    return x
def a19(a: List[Optional[int]]):
    s = 0
    for v in a:
        if v is not None:
            s += v
    return s
def a20(x: Union[int, str, List[int]]):
    if isinstance(x, (int, str)):
        if isinstance(x, int):
            return x
        return len(x)
    return len(x)
def a21(x):
    return torch.sum(x, dim=1), torch.sum(x, 1, True), x.sum((0, 1)), torch.add(x, x, alpha=2), torch.zeros(2, 3), torch.zeros((2, 3)), torch.randn(2, 3).shape, torch.cat((x, x), 0), torch.cat([x, x], dim=1), x.view(2, -1), x.view((2, -1))
def a22(x, y):
    return x + y, x - 1, 2 - x, x / y, 1 / x, x // 2, x % 2, x ** 2, 2 ** x, -x, ~(x > 0), x & y, x | y, x ^ y, x == y, x != 1, x < y, 1 < x, x is y, x @ y, not x.sum()
def a23(x: float, y: float, n: int):
    return x + y, x - n, n - x, x * n, x / n, n / n, x // y, x % y, x ** n, x == y, x < n, n >= y, -x, max(x, y), min(n, 2), abs(-3), round(x), int(x) + 1, float(n), bool(n), pow(x, 2), pow(n, 2)
def a24(i: int):
    x = torch.zeros(3)
    x[i] = i
    x[i] += 1.5
    l = [1, 2, 3]
    l[i] += 2
    d = {'a': 1}
    d['a'] += l[0]
    return x, l, d
def a25(x: Tensor):
    a = b = x + 1
    c, d = e = (a, b)
    f = (c,)
    (g,) = f
    return a, b, c, d, e, f, g, ()
