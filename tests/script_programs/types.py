from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import torch
from torch import Tensor


class Point(NamedTuple):
    a: Tensor
    b: int


class WithDefaults(NamedTuple):
    x: int
    y: float = 2.5
    z: str = "s"


def named_tuple(x):
    q = Point(x, 3)
    return q.a + q.b


def named_tuple_result(x) -> Point:
    return Point(b=2, a=x)


def named_tuple_argument(p: Point):
    a, b = p
    return a * b + p[1], p._fields if False else p.b


def named_tuple_defaults():
    return WithDefaults(1), WithDefaults(1, 3.0).y


def numbers(a: int, b: float, c: bool):
    return a + int(b) + int(c), a * b, a / 2, b // 2.0, a % 3, a**2, b**2, -a, -b, 2**a


def comment(a, b):
    # type: (int, List[int]) -> int
    return a + b[0]


def comment_lines(
    a,  # type: int
    b,  # type: Optional[Tensor]
):
    # type: (...) -> int
    if b is None:
        return a
    return a + b.size(0)


def new_style(a: int | None, b: list[int]) -> int:
    return b[0] if a is None else a


def new_style_2(a: tuple[int, str], b: dict[str, int]) -> tuple[int, dict[str, int]]:
    return a[0], b


def complex_type(a: complex):
    return a * 1j


def refine_if(x, y: Optional[Tensor] = None):
    if y is not None:
        x = x + y
    return x


def refine_else(x, y: Optional[Tensor]):
    if y is None:
        z = x
    else:
        z = x + y
    return z


def refine_assert(x, y: Optional[Tensor]):
    assert y is not None
    return x + y


def refine_and(x: Optional[int], y: Optional[int]) -> int:
    if x is not None and y is not None:
        return x + y
    return 0


def refine_or(x: Optional[int], y: Optional[int]) -> int:
    if x is None or y is None:
        return 0
    else:
        return x + y


def refine_not(x: Optional[int]) -> int:
    if not (x is None):
        return x
    return 1


def refine_return(x: Optional[int]) -> int:
    if x is None:
        return 3
    return x + 1


def refine_ternary(x: Optional[int]) -> int:
    return 0 if x is None else x


def refine_in_loop(xs: List[Optional[int]]):
    s = 0
    for x in xs:
        if x is not None:
            s += x
    return s


def reassigned_optional(x: Optional[Tensor]):
    if x is None:
        x = torch.ones(2)
    return x + 1


def optional_default_chain(a: Optional[int] = None, b: float = 1, c: Optional[List[int]] = None):
    if a is None:
        a = 2
    if c is None:
        c = [1]
    return a + b, c


def union_isinstance(x: Union[int, float, Tensor]):
    if isinstance(x, int):
        return x + 1
    elif isinstance(x, float):
        return int(x)
    else:
        return int(x.sum())


def any_isinstance(x: Any):
    if isinstance(x, int):
        return x + 1
    return 0


def any_list(x: Any):
    if torch.jit.isinstance(x, List[int]):
        return x[0]
    return 0


def isinstance_static(x, n: int):
    if isinstance(x, Tensor):
        x = x + 1
    if isinstance(n, (float, int)):
        n = n + 1
    if isinstance(n, str):
        n = 5
    return x, n


def isinstance_optional(x: Optional[int]):
    if isinstance(x, int):
        return x
    return 2


def none_is_none():
    x = None
    if x is None:
        return 1
    return 2


def annotated_none(c: bool):
    x: Optional[int] = None
    if c:
        x = 3
    return x


def optional_return(c: bool) -> Optional[int]:
    if c:
        return None
    return 3


def inferred_optional_return(c: bool):
    if c:
        return None
    return torch.ones(2)


def multi_types(c: bool, x) -> Union[int, str, Tensor]:
    if c:
        return 1
    return x


def casts(x):
    return int(x.sum()), float(x.sum()), bool(x.sum()), str(3), int("4"), float("2.5"), int(2.5), bool(1), float(3)


def implicit_from_tensor(x) -> int:
    return x.sum()


def implicit_to_float(n: int) -> float:
    return torch.ones(1) * n


def tuple_to_list(x):
    return x.view((2, 3)), torch.zeros((2, 3))


def int_from_optional_list(x, sizes: Optional[List[int]]):
    if sizes is not None:
        x = x.view(sizes)
    return x


def devices(x):
    return torch.zeros([2], dtype=x.dtype, device=x.device), x.device.type, torch.device("cpu"), x.to("cpu")


def dtypes(x):
    y = x.to(torch.float64)
    if x.dtype == torch.float32:
        y = x.to(torch.int64)
    return y, torch.long, x.long(), x.float(), x.type_as(y), x.to(y), x.bool()


def tensor_properties(x):
    return x.shape[0], x.ndim, x.T, x.is_cuda, x.requires_grad, x.mT, x.numel(), x.size(1), len(x), x.shape, x.is_leaf


def annotate_call(n: int):
    l = torch.jit.annotate(List[int], [])
    m = torch.jit.annotate(Optional[int], None)
    d = torch.jit.annotate(Dict[str, Tensor], {})
    for i in range(n):
        l.append(i)
    return l, m, d


def forward_reference(x: "Tensor", y: "Optional[int]") -> "Tuple[Tensor, Optional[int]]":
    return x, y


def any_value(x: Any) -> Any:
    return x


def to_any(n: int) -> Any:
    if n > 0:
        return n
    return "s"


def list_of_optional(x):
    l: List[Optional[Tensor]] = [x, None]
    return l


def nested_types(x: List[Tuple[int, Dict[str, List[Tensor]]]]):
    return x[0][1]["a"][0]


def mixed_arithmetic(i: int, f: float, x):
    return i + f, f - i, i * x, x / i, f**x, x**2, x % 3, x // 2, i / 3, -x, abs(i), abs(f), abs(x), ~x


def number_first(x):
    return 1 - x, 2.0 / x, 3 + x, 4 * x, 1 < x, 2 > x, 3 <= x, 4 >= x, 5 == x, 6 != x


def scalar_item(x):
    return x.item(), x.tolist() if False else 1


def tolist(x):
    l: List[float] = x.tolist()
    m: List[List[int]] = x.tolist()
    return l, m


def default_values(a: int = 3, b: float = 2, c: str = "t", d: bool = False, e: Tuple[int, int] = (1, 2)):
    return a, b, c, d, e


def call_default_values():
    return default_values(), default_values(1), default_values(c="u", a=5)


def bool_of_float(n: float, m: int):
    return n * m


class Counted:
    def __init__(self, n: int):
        self.n = n


def bools_as_numbers(x, b: bool, c: bool, n: int, y: float):
    k = 1
    if b:
        k = c
    n += b
    numbers = (b + c, n * b, y * b, b / 2, b // 2, b % 2, -b, b < c, b == 1, max(b, 1), divmod(b, 2), k)
    tensors = (x * b, x + b, x > b, x - b, x.clamp(b), torch.full([2], b), x.transpose(0, b), torch.add(x, x, alpha=b))
    return numbers, tensors, bool_of_float(b, c), [1, 2][b], b in [1, 2], Counted(b).n


def bool_returned(b: bool) -> Optional[int]:
    return b


def class_method_of_union(x: Union[Tensor, List[Tensor]], y: Union[Tuple[int, int], int]):
    if isinstance(y, tuple):
        return y[0]
    if isinstance(x, list):
        return len(x)
    return 0
