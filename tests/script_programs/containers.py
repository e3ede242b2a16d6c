from typing import Dict, List, Optional, Tuple

import torch
from torch import Tensor


def lists(n: int):
    l = [1, 2]
    l.append(n)
    l[0] = 5
    return l[-1] + len(l)


def empty_list(n: int):
    l: List[int] = []
    for i in range(n):
        l.append(i)
    return l


def empty_tensor_list(x, n: int):
    l = []
    for i in range(n):
        l.append(x + i)
    return torch.stack(l)


def empty_as_argument(x):
    return torch.zeros([]), x.sum(dim=[])


def list_methods(l: List[int]):
    l.extend([4])
    l.insert(0, 9)
    l.pop()
    l.reverse()
    l.sort()
    l.remove(9)
    a = l.pop(0)
    l.clear()
    return l.copy(), l.count(1), a, l.index(2)


def list_operators(a: List[int], b: List[int]):
    a += b
    return a + b, a * 2, 2 * a, a == b, 3 in a, 4 not in b, a != b, a[1:], a[:-1], a[::2], a[-2]


def list_augmented(l: List[float]):
    l[0] += 2.0
    l[1] *= 3.0
    return l


def nested_list(n: int):
    l = [[1, 2], [3]]
    l[0][1] = n
    return l, l[1][0]


def list_of_tensors(x):
    l = [x, x + 1]
    l[1] = x * 2
    a, b = l
    return torch.cat(l), a, b


def list_comprehension(l: List[int]):
    return [x * 2 for x in l], [float(x) for x in range(3)], [y for y in (1, 2)]


def tensor_comprehension(x):
    return torch.stack([r + 1 for r in x])


def nested_comprehension(l: List[List[int]]):
    return [[y + 1 for y in x] for x in l]


def typed_comprehension(l: List[int]):
    r: List[Optional[int]] = [x for x in l]
    return r


def generator_argument(l: List[int]):
    return sum(x for x in l)


def dicts(x):
    d = {"a": x}
    d["b"] = x + 1
    s = 0
    for k, v in d.items():
        s += int(v.sum())
    return d["a"], "b" in d, s, len(d)


def empty_dict(n: int):
    d: Dict[int, float] = {}
    e = {}
    for i in range(n):
        d[i] = i * 0.5
    return d, e


def dict_methods(d: Dict[str, int]):
    d.update({"z": 1})
    d.setdefault("q", 4)
    d.pop("a")
    e = dict(d)
    f = dict(a=1, b=2)
    g = dict([("x", 1)])
    return d.get("b", 3), d.get("c"), list(d.keys()), list(d.values()), len(d), d.copy(), e, f, g, list(d.items())


def dict_comprehension(l: List[int]):
    return {x: x * 2 for x in l}


def dict_augmented(d: Dict[int, int]):
    d[1] += 2
    return d


def deletes(d: Dict[str, int], l: List[int], x):
    del d["a"]
    del l[0]
    y = x
    del y
    return len(d) + len(l)


def tuples(x):
    t = (x, 1, "a")
    u = (t[0], t[-1])
    return t[0], t[1], u, t + u, t[1:], t[:2], t[::2], len(t) if False else 3


def unpacking(x):
    a, b = x.unbind(0)
    (c, d), e = (1, 2), 3
    f, (g, h) = e, (c, d)
    [i, j] = [1, 2]
    return a + b + c + d + e + f + g + h + i + j


def starred(x: List[int]):
    t = (1, 2, 3)
    a, *b = t
    *c, d = t
    e, *f, g = t
    return a, b, c, d, e, f, g


def swap(a: int, b: int):
    a, b = b, a
    return a, b


def chained_assignment(x):
    a = b = x + 1
    c = d, e = 1, 2
    return a, b, c, d, e


def tuple_of_one(x):
    t = (x,)
    (y,) = t
    return t, y


def empty_tuple():
    t: Tuple[()] = ()
    return t


def tuple_call(t: Tuple[int, int]):
    return max(t[0], t[1]), tuple([1, 2]) if False else t


def dynamic_tuple_index(t: Tuple[int, int, int], i: int):
    return t[i]


def tuple_comparison(t: Tuple[int, int]):
    return t == (1, 2), t != (1, 2)


def builtin_functions(l: List[int], f: List[float], a: float, x):
    return (
        min(l), max(1, 2), max(f), min(a, 2.0), abs(a), round(a), pow(a, 2), divmod(7, 2), sum(l), sorted(l), any([True]),
        all([True]), len(l), sum(f), max(l[0], l[1]), min(x, x), torch.max(x), round(2.5), pow(2, 3), divmod(a, 2.0),
    )  # fmt: skip


def list_of_list_to_tensor():
    return torch.tensor([[1, 2], [3, 4]]), torch.tensor([1.5, 2]), torch.tensor(3), torch.tensor([True, False])


def listconstruct_types(x, y: Optional[Tensor]):
    return [x, y], [1, 2, 3], [1.0, 2.0], ["a", "b"], [(1, 2), (3, 4)]


def list_range(n: int):
    return list(range(n)), [i for i in range(n)], list("abc")


def list_slice_steps(l: List[int], s: str):
    return l[1:3], l[::-1], s[1:3], s[-1], s[::2], s[:2]


def keyword_list(x):
    return torch.sum(x, dim=[0, 1], keepdim=True), x.permute(1, 0), x.permute([1, 0]), x.expand(3, 4), x.repeat(2, 1)


def broadcasting_list(x):
    return torch.nn.functional.avg_pool2d(x, 2), torch.conv2d(x, x, None, 1, (0, 0))


def list_equality(l: List[str], k: str):
    return k in l, k in ["a", "b"], "c" not in l
