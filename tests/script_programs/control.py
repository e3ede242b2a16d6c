from typing import Dict, List, Optional, Tuple

import torch
from torch import Tensor


def gate(x):
    if x.sum() > 0:
        return x
    else:
        return -x


def rnn(xs, n: int):
    h, y = torch.zeros(3, 4), torch.zeros(3, 4)
    for i in range(xs.size(0)):
        y, h = torch.tanh(xs[i] + h), h * n
    return y, h


def elif_chain(x, n: int):
    if n > 3:
        y = x + 1
    elif n > 2:
        y = x + 2
    elif n > 1:
        y = x + 3
    else:
        y = x
    return y


def one_sided(x, n: int):
    y = x
    if n > 3:
        y = y * 2
    return y


def nested_ifs(x, a: bool, b: bool):
    r = x
    if a:
        if b:
            r = r + 1
        else:
            r = r - 1
        r = r * 2
    elif b:
        s = r
        r = s + s
    return r


def early(x, n: int):
    if n > 2:
        return x
    x = x + 1
    return x * 2


def early_three(x, n: int):
    if n == 0:
        return x
    if n == 1:
        return x + 1
    if n == 2:
        return x + 2
    return x + 3


def early_nested(x, n: int, m: int):
    if n > 1:
        if m > 1:
            return x
        x = x + 1
    elif n < -1:
        return -x
    x = x * 2
    if m < 0:
        return x
    return x - 1


def return_in_loop(n: int):
    for i in range(n):
        if i == 3:
            return i
    return -1


def return_tensor_in_while(x, n: int):
    i = 0
    while i < n:
        x = x + i
        if bool(x.sum() > 10):
            return x, i
        i += 1
    return x, -1


def return_in_nested_loops(n: int):
    for i in range(n):
        for j in range(i):
            if i * j > 20:
                return i, j
    return 0, 0


def break_continue(n: int):
    s = 0
    for i in range(n):
        if i == 1:
            continue
        if i == 4:
            break
        s += i
    return s


def continue_in_while(n: int):
    i = 0
    s = 0
    while i < n:
        i += 1
        if i % 2 == 0:
            continue
        s += i
    return s


def break_in_while(n: int):
    i = 0
    while True:
        i += 1
        if i > n:
            break
    return i


def break_nested(n: int):
    s = 0
    for i in range(n):
        for j in range(n):
            if j > i:
                break
            s += j
        if s > 100:
            break
    return s


def continue_both(n: int):
    s = 0
    for i in range(n):
        if i > 2:
            if i > 5:
                continue
            s += 1
        else:
            continue
        s += i
    return s


def break_and_return(n: int):
    s = 0
    for i in range(n):
        if i == 7:
            return s
        if s > 50:
            break
        s += i
    s += 1000
    return s


def while_tensor(x):
    while bool(x.sum() < 10):
        x = x * 2
    return x


def while_and(n: int, m: int):
    i = 0
    while i < n and i < m:
        i += 1
    return i


def range_steps(n: int):
    s = 0
    for i in range(1, n, 2):
        s += i
    for j in range(n, 0, -1):
        s -= j
    for k in range(2, n):
        s += k
    return s


def over_list(l: List[Tensor]):
    s = torch.zeros([2])
    for t in l:
        s = s + t
    return s


def over_tensor(x):
    s = torch.zeros([3])
    for r in x:
        s += r
    return s


def over_tuple():
    s = 0.0
    for e in (1, 2.5, 3):
        s += float(e)
    return s


def over_dict(d: Dict[str, int]):
    s = 0
    for k in d:
        s += d[k]
    for k, v in d.items():
        s += v
    for v in d.values():
        s -= v
    return s


def over_str(t: str):
    n = 0
    for c in t:
        n += ord(c)
    return n


def enumerated(a: List[int], b: List[int]):
    s = 0
    for i, (x, y) in enumerate(zip(a, b)):
        s += i * x * y
    for i, v in enumerate(a, 3):
        s += i + v
    for i, v in enumerate(b, start=2):
        s += i - v
    return s


def zipped(a: List[int], x):
    s = 0
    for i, t, r in zip(a, x, range(10)):
        s += i + int(t.sum()) + r
    return s


def enumerated_tuple(x, y):
    z = x
    for i, t in enumerate((x, y)):
        z = z + t * i
    return z


def unroll_zip(x, y):
    z = x
    for a, b in zip((x, y), (1, 2)):
        z = z + a * b
    return z


def loop_carried(n: int):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def loop_local(n: int):
    s = 0
    for i in range(n):
        t = i * 2
        s += t
    return s


def loop_variable_after(n: int):
    i = 0
    for i in range(n):
        pass
    return i


def two_loops(x, n: int):
    for i in range(n):
        x = x + i
    for i in range(n):
        x = x * i
    return x


def if_in_loop(x, n: int):
    for i in range(n):
        if i % 2 == 0:
            x = x + i
        else:
            y = x * 2
            x = y
    return x


def loop_in_if(x, n: int):
    if n > 0:
        for i in range(n):
            x = x + i
    else:
        x = x - 1
    return x


def ternary(x, c: bool):
    return x if c else -x


def ternary_numbers(a: int, c: bool):
    b = a + 1 if c else 2
    return b if a > b else a


def and_or(x: int):
    return x > 1 and 4 // x == 2 or x == 0


def and_or_not(a: bool, b: bool, c: int):
    if not a and (b or c > 2):
        return 1
    return 0


def chained(a: int):
    return 0 < a < 5 <= 10


def static_conditions(x):
    if True:
        x = x + 1
    if False:
        x = x.nonexistent()
    else:
        x = x * 2
    if not torch.jit.is_scripting():
        x = eval("x")
    return x


def assertion(x):
    assert x.dim() == 2, "bad dim"
    assert x.size(0) > 1
    return x


def raising(x, n: int):
    if n > 5:
        raise ValueError("big")
    elif n > 4:
        raise RuntimeError(f"n is {n}")
    elif n > 3:
        raise NotImplementedError
    return x


def raise_in_branch(n: int):
    if n > 0:
        y = 1
    else:
        raise ValueError("no")
    return y


def raise_in_loop(n: int):
    for i in range(n):
        if i > 3:
            raise ValueError("too many")
    return n


def always_raises(x):
    raise ValueError("never")


def raise_or_return(n: int):
    if n > 0:
        return 1
    raise ValueError("no")


def unused_mismatch(x, c: bool):
    if c:
        r = 1
    else:
        r = x
    return x


def one_branch_only(x, c: bool):
    if c:
        t = x + 1
        x = t
    return x


def no_return(x):
    x.add_(1)


def only_docstring(x):
    """Nothing."""
    return x


def empty_return(x, c: bool):
    if c:
        return
    x.add_(1)


def deep_break(n: int):
    total = 0
    while total < n:
        for i in range(5):
            if total > 3:
                break
            for j in range(3):
                if j == 2:
                    continue
                total += 1
        total += 1
    return total


def defined_by_exit(c: bool):
    if c:
        a = 1
    else:
        return 5
    return a


def variable_in_both(c: bool, x):
    if c:
        a, b = x, 1
    else:
        b = 2
        a = x * 2
    return a * b


def optional_loop(x: Optional[Tensor], n: int):
    y: Optional[Tensor] = None
    for i in range(n):
        if x is not None:
            y = x + i
    return y


def tuple_state(n: int):
    t = (0, 1)
    for i in range(n):
        t = (t[1], t[0] + i)
    return t


def return_tuple_paths(x, n: int) -> Tuple[Tensor, int]:
    for i in range(n):
        if i > 2:
            return x, i
        x = x + 1
    return x, n
