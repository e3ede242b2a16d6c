import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union
import math
import enum


def t1(x):
    y = x.clone()
    y[0] = 1
    y[1:, 0] += 2
    y[..., -1] = x[..., 0]
    return y


def t2(x: Tensor, idx: Tensor):
    return x[idx], x[:, idx], x[idx > 0], x[None, 1:], x[:, None, ::2]


def t3(l: List[int]):
    s = 0
    for i, v in enumerate(l):
        if v < 0:
            continue
        if v > 100:
            break
        s += i * v
    return s


def t4(a: Dict[str, int]):
    r = 0
    for k in a.keys():
        r += a[k]
    for k, v in a.items():
        r -= v
    return r, "x" in a, list(a.values()), len(a)


def t5(x, n: int):
    out = []
    h = torch.zeros(2)
    for t in range(n):
        h = torch.tanh(x[t] + h)
        out.append(h)
    return torch.stack(out), h


def t6(x: Optional[int], y: Optional[int] = None) -> int:
    if x is not None and y is not None:
        return x + y
    elif x is not None:
        return x
    if y is None:
        return 0
    return y


def t7(x):
    while True:
        x = x + 1
        if bool(x.sum() > 10):
            break
    return x


def t8(s: str):
    parts = s.split(",")
    return (
        [p.strip() for p in parts],
        "-".join(parts),
        s[1:3],
        s.upper(),
        len(s),
        s.find("a"),
        "a{}b".format(s),
        "%s" % s,
    )


def t9(x):
    a, (b, c) = 1, (2, 3)
    d, e = [4, 5]
    return a + b + c + d + e


def t10(x):
    return x.size(), x.shape[0], x.dim(), x.numel(), x.size(-1), x.dtype, x.device, x.is_cuda, x.T, x.requires_grad


def t11(x, y: Union[int, float]):
    if isinstance(y, int):
        return x + y
    else:
        return x * y


def t12(x):
    assert x.dim() == 2, "bad"
    assert x.size(0) > 1, f"bad {x.size(0)}"
    if x.size(0) > 5:
        raise ValueError("too big")
    return x


def t13(n: int) -> int:
    a, b = 0, 1
    while a < n:
        a, b = b, a + b
    return a


def t14(m: List[List[int]]):
    total = 0
    for row in m:
        for v in row:
            if v == 0:
                return -1
            total += v
    return total


def t15(x: Tensor) -> Tensor:
    for i in range(x.size(0)):
        for j in range(i, x.size(1), 2):
            if i == j:
                continue
            if bool(x[i, j] > 0):
                return x[i]
    return x


def t16(x, flag: bool = True, *, scale: float):
    return x * scale if flag else x


def t17(x):
    z = torch.zeros([2, 3], dtype=torch.float32, device="cpu")
    o = torch.ones_like(x)
    r = torch.arange(10)
    e = torch.full((2, 2), 3.5)
    t = torch.tensor([[1, 2], [3, 4]])
    u = torch.tensor(3.0, dtype=torch.double)
    return z, o, r, e, t, u


def t18(x):
    v, i = x.max(dim=1)
    v2, i2 = torch.topk(x, 2)
    a, b = x.split(1)
    c, d = torch.chunk(x, 2, dim=1)
    return v, i, v2, i2, a, b, c, d


def t19(x: Tuple[int, Tensor, List[int]]):
    a, b, c = x
    return x[0], x[-1], x[0:2], len(x), b


def t20(x: int, y: int, z: float):
    return (
        x // y,
        x % y,
        x / y,
        x**y,
        -x,
        z**2,
        x & y,
        x | y,
        x ^ y,
        x << 1,
        x >> 1,
        divmod(x, y),
        abs(x),
        min(x, y),
        max(x, y, 3),
        round(z),
        int(z),
        float(x),
        bool(x),
        str(x),
    )


def t21(x):
    return 0 < x.size(0) < 10, not x.size(0) == 1, x.size(0) in [1, 2], x.size(1) not in (3, 4), x is None


def t22(l: List[int]):
    l.append(1)
    l.extend([2, 3])
    l.insert(0, 5)
    a = l.pop()
    b = l.pop(0)
    l.reverse()
    l.sort()
    l2 = l.copy()
    l2[0] = 7
    l2[-1] += 1
    del l2[0]
    l2.clear()
    return a + b, l.count(1), l.index(2), l + l2, l * 2, sorted(l), sum(l), max(l), min(l), any(l), all(l)


def t23(x):
    y = x.view(-1).to(torch.float64).cpu().detach().contiguous()
    return y.float(), y.int(), y.long(), y.double(), y.half()


def t24(x):
    with torch.no_grad():
        y = x * 2
    return y


def t25(x: List[Tensor]):
    return torch.cat(x, dim=0), torch.stack(x), [t * 2 for t in x]


def t26(x: Any):
    if isinstance(x, int):
        return x + 1
    elif isinstance(x, str):
        return len(x)
    return 0


def t27(x):
    d = {"a": x, "b": x + 1}
    d["c"] = d["a"] * 2
    e: Dict[str, Tensor] = {}
    e.update(d)
    f = {k: v * 2 for k, v in d.items()}
    return d.get("z"), d.pop("a"), e, f, d.setdefault("q", x)


def t28(x, p: float = 0.5, training: bool = False):
    return (
        F.dropout(x, p, training),
        F.relu(x, inplace=True),
        F.log_softmax(x, -1),
        F.softmax(x, 1),
        F.cross_entropy(x, x.argmax(1)),
    )


def t29(x):
    y = x
    y += 1
    y *= 2
    y -= x
    y /= 3
    y **= 2
    return y


def t30(a: float, b: int):
    c = a + b
    d = b + a
    e = a > b
    f = math.floor(a) + math.ceil(a) + b
    return c, d, e, f, a // b, b % a, math.isnan(a), math.inf, float("inf"), int(True), 1e-5, 1e10, 3.0, -0.0


def t31(x):
    i = 0
    while i < 10 and bool(x.sum() < 100) or i == 0:
        x = x + i
        i += 1
    else_ = i
    return x, else_


def t32(x):
    print("x", x, 1, 2.5, [1], (1, "a"))
    return None


def t33(x):
    return (
        [i for i in range(5)],
        [x[i] * 2 for i in range(x.size(0))],
        [(a, b) for a, b in zip([1], [2])],
        {i: i for i in range(3)},
    )


def t34(x):
    s: List[Tuple[int, str]] = []
    s.append((1, "a"))
    for n, t in s:
        print(n, t)
    q: Optional[Tensor] = None
    for i in range(2):
        if q is None:
            q = x
        else:
            q = q + x
    assert q is not None
    return q


def t35(a: int, b: int) -> Tuple[int, int]:
    if a > b:
        if a > 10:
            return a, b
        c = 1
    else:
        c = 2
    for i in range(c):
        if i == b:
            return b, a
    return c, c


def t36(x):
    return (
        x.to("cpu"),
        x.to(torch.int64),
        x.to(x),
        x.type_as(x),
        x.new_zeros([2]),
        x.permute(0, 1),
        x.reshape(-1, 2),
        x.expand(2, 3),
        x.repeat(2, 2),
        x.transpose(0, 1),
        x.view(x.size(0), -1),
        x.flatten(1),
        x.sum(dim=[0, 1]),
        x.mean(-1, keepdim=True),
        x.std(),
        x.squeeze(),
        x.unsqueeze(0),
        x.masked_fill(x > 0, float("-inf")),
        x.clamp(0, 1),
        x.clamp(min=0.5),
        x.norm(),
        x.matmul(x),
        x @ x,
        x.pow(2),
        x.item(),
    )


def t37(x, y: Optional[Tensor], z: Optional[List[int]]):
    n = 0 if z is None else len(z)
    w = y if y is not None else x
    return w + n


def t38(i: int):
    f = "a" if i > 0 else "b"
    return f"{f}: {i}" + "cc"


class Color(enum.Enum):
    RED = 1
    GREEN = 2


def t39(c: Color):
    if c == Color.RED:
        return 1
    return c.value


class Pt(NamedTuple):
    x: Tensor
    y: int = 3


def t40(p: Pt):
    q = Pt(p.x + 1, y=p.y)
    a, b = q
    return q, q.x, q[1], Pt(a)._replace if False else b


def t41(x):
    y = 0
    for i in range(3):
        for j in range(3):
            if j == 1:
                break
            y += j
        else_ = 1
        y += i
    return y


def t42(x: Tensor):
    n = int(x.sum())
    f = float(x[0, 0])
    b = bool(x[0, 0] > 0)
    l = x.tolist() if False else [1]
    return n, f, b, l


def t43(x: Tensor, l: Tensor):
    r = torch.empty(0)
    for row in x:
        r = torch.cat([r, row])
    for i in range(len(l)):
        r[i] = l[i]
    return r, len(x)


def t44(x):
    def_ = torch.jit.annotate(Optional[Tensor], None)
    if x.size(0) > 1:
        def_ = x
    if def_ is not None:
        return def_
    return x


def t45(x: int):
    if x > 0:
        y = 1
    elif x < 0:
        y = -1
    else:
        raise RuntimeError("zero")
    return y


def t46(x, n: int):
    if n == 0:
        return x
    elif n == 1:
        pass
    else:
        while n > 0:
            n -= 1
            if n == 5:
                return x * n
    return -x


def t47(x):
    return (
        torch.where(x > 0, x, torch.zeros_like(x)),
        torch.nn.functional.pad(x, [1, 1]),
        x.new_tensor([1]) if False else x,
        torch.einsum("ij,jk->ik", x, x),
        torch.bmm(x, x),
    )


def t48(x: float):
    return (
        math.sqrt(x),
        math.exp(x),
        math.log(x, 2) if False else math.log(x),
        math.sin(x),
        math.pow(x, 2),
        math.pi,
        math.e,
        math.fmod(x, 2),
        math.gcd(2, 4),
        math.factorial(3),
        math.hypot(x, x) if False else 0.0,
    )


def t49(l: List[float], k: int):
    best = -1e9
    arg = -1
    for i in range(len(l)):
        if l[i] > best:
            best, arg = l[i], i
    return best, arg, l[:k], l[k:], l[-k:], l[::2], l[1:-1]


def t50(x: Tensor, mask: Optional[Tensor] = None, causal: bool = False):
    d = x.shape[-1]
    scores = torch.matmul(x, x.transpose(-2, -1)) / math.sqrt(d)
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    if causal:
        t = scores.size(-1)
        m = torch.triu(torch.ones(t, t), diagonal=1) > 0
        scores = scores.masked_fill(m, float("-inf"))
    return torch.softmax(scores, dim=-1) @ x
