"""Sizes given as one number for all dimensions, or one per dimension."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

__all__ = ["BroadcastingList1", "BroadcastingList2", "BroadcastingList3"]

# In annotations of compiled functions: a list of that length for which a single number may stand.
if TYPE_CHECKING:
    _T = TypeVar("_T")
    BroadcastingList1: TypeAlias = list[_T] | _T
    BroadcastingList2: TypeAlias = list[_T] | _T
    BroadcastingList3: TypeAlias = list[_T] | _T
else:
    BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = list


def _ntuple(n: int, name: str) -> Any:
    def parse(x: Any) -> tuple[Any, ...]:
        return tuple(x) if isinstance(x, Iterable) else (x,) * n

    parse.__name__ = parse.__qualname__ = name
    parse.__operator__ = f"aten::{name}"  # type: ignore[attr-defined]
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(t: Sequence[int], n: int) -> tuple[int, ...]:
    """The elements from last to first, each ``n`` times: a convolution's padding as ``pad`` wants it."""
    return tuple(x for x in reversed(t) for _ in range(n))


def _list_with_default(out_size: Any, defaults: Any) -> Any:
    """``out_size`` with the last ``defaults`` where it says None. Raises ValueError when there are too few."""
    if isinstance(out_size, int):
        return out_size
    if len(defaults) <= len(out_size):
        raise ValueError(f"Input dimension should be at least {len(out_size) + 1}")
    return [d if v is None else v for v, d in zip(out_size, defaults[-len(out_size) :], strict=False)]


_list_with_default.__operator__ = "aten::list_with_default"  # type: ignore[attr-defined]
