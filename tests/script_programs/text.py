from typing import Dict, List

import torch


def strings(s: str):
    return s + "x", s * 2 if False else s, s[0], s == "a", s != "b", len(s), "a" in s


def methods(s: str):
    return (
        s.upper().split("A")[0].strip() + "-".join([s, s]), s.startswith("a"), s.find("b"), s.replace("a", "c"), s.lower(),
        s.endswith("z"), s.rstrip(), s.lstrip(), s.isdigit(), s.count("a"), s.title(), s.capitalize(), s.zfill(3),
    )  # fmt: skip


def formats(a: int, b: float):
    return "v={} {}".format(a, 1.5) + "%d" % a + "%s-%s" % ("x", b) + f"v={a}, {b}" + f"{a}" + f"plain"


def literals():
    return 'a' 'b' + """c
d""" + "\t" + "\\" + "\x41"


def numbers():
    return 1_000 + 0x1F + int(1e3), 1e-5, 1.0, 100000000.0, 1e20, -1, -2.5, 0.1, 3.0e-10, 123456789


def bools(a: bool, b: bool):
    return a and b, a or b, not a, a == b, a is b, a != b, True, False


def conversions(a: int, b: float):
    return ord("a"), chr(97), hex(a), bin(a), oct(a), str(a), str(b), str(True), int(b), float(a), bool(a), bool(b)


def prints(x, n: int):
    print("x", x, n)
    print()
    print(f"n={n}")
    return x


def bit_operators(a: int, b: int):
    return a << 1, a >> 1, a & 1, a | 2, a ^ 3, a & b, a | b


def integer_operators(a: int, b: int):
    return a // b, a % b, a / b, a**b, -a, +1 if False else 2, a - -b, -3 % a, -7 // 2


def float_operators(a: float, b: float):
    return a // b, a % b, a / b, a**b, -a, a < b, a <= b, a == b, a != b, a >= b, a > b


def comparisons(a: int, b: float, s: str, x):
    return a < b, a == b, s < "b", x < a, x == b, x != x, a >= 2, s == "q"


def membership(a: int, l: List[int], d: Dict[str, int], s: str):
    return a in l, a not in l, l is not None, s in d, s not in d, "a" in s


def negative_literals(x):
    return x.sum(-1), x[-1], x.transpose(-1, -2), x[:, -1], x + -1, x.view(-1)


def constant_folding():
    return -(3), -(-2.5), not True, 2 + 3, 1 if 2 > 1 else 0
