"""The names that printed TorchScript uses beyond Python's own, with the meaning that they have there, to run eagerly.

Files written by ``bridge code -o`` import them all. The script compiler knows each of them by itself.
"""

from __future__ import annotations

from enum import Enum
from math import inf, nan
from typing import Any, List, Optional, TypeVar  # noqa: UP035 (as printed programs write them)

import bridge as torch
from bridge import Tensor

__all__ = [
    "Enum", "NoneType", "annotate", "inf", "infj", "nan", "nanj", "number", "stacked", "unchecked_cast", "uninitialized",
]  # fmt: skip

T = TypeVar("T")
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))

infj = complex(0.0, inf)
nanj = complex(0.0, nan)
NoneType = type(None)
number = int | float | complex


def annotate(the_type: Any, the_value: T) -> T:
    """The value; the type is for the compiler. What a dict tells of itself is a list there."""
    view: Any = the_value
    return list(view) if type(view) in _VIEWS else view  # type: ignore[return-value]


def unchecked_cast(the_type: Any, the_value: T) -> T:
    """The value; the type is for the compiler."""
    return the_value


def uninitialized(the_type: Any) -> Any:
    """A value that no path of the program reads."""
    return None


def stacked(values: List[Tensor], empty: Optional[Tensor] = None) -> Tensor:  # noqa: UP006, UP045 (as printed programs write it)
    """What a loop collected, as one tensor with a new first dimension; ``empty`` when it collected nothing.

    Raises when it collected nothing and the model that the program was printed from does not say what that would be.
    """
    if len(values) > 0:
        return torch.stack(values)  # type: ignore[no-any-return]
    assert empty is not None, "the loop made no iteration, and the shape of what it would have collected is not known"
    return empty
