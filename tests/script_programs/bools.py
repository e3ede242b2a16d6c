"""Bools where numbers are wanted: they are converted."""

import math

import torch
from torch import Tensor
from typing import List, Optional


def whole(n: int) -> int:
    return n


def real(x: float) -> float:
    return x


def perhaps(n: Optional[int]) -> Optional[int]:
    return n


def arguments(b: bool):
    return whole(b), real(b), perhaps(b), whole(True)


def dimensions(v: Tensor, b: bool):
    return torch.transpose(v, b, 0), torch.dropout(v, b, True), torch.arange(b)


def scalars(v: Tensor, b: bool):
    return v.scatter(1, v.long(), True), v.masked_fill(v > 0, b), torch.clamp(v, b, True), torch.full([2], b)


def compared(v: Tensor, b: bool, n: int):
    return v > True, v < b, v == b, n == b, b < n, max(b, n)


def arithmetic(v: Tensor, b: bool):
    return v.add_(b), v.sub(b), v.mul_(b), v.div(b), v % b, v**b, b + 1, b * 2.0, b + b


def numbers(b: bool):
    return -b, round(b), abs(b), float(b), int(b), pow(b, 2), divmod(b, 2), math.sqrt(b), sum([b, b])


def assigned(b: bool, n: int, x: float):
    if b:
        n = b
        x = b
    return n, x


def written(v: Tensor, b: bool):
    v[0] = True
    v[1] = b
    return v


def listed(b: bool, l: List[int]):
    l[0] = whole(b)
    return l.index(b), l.count(b), b in l
