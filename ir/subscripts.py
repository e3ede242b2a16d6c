"""The words of ``einsum``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["einsum_equation"]


def einsum_equation(args: Sequence[Any]) -> list[Any]:
    """The arguments of einsum from tensors that are each followed by the numbers of their dimensions, the result's last."""
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, "
            "or at least one operand and its subscripts list"
        )

    def letter(n: Any) -> str:
        if n == Ellipsis:
            return "..."
        if not 0 <= n < 52:
            raise ValueError("einsum(): subscript in subscript list is not within the valid range [0, 52)")
        return chr(ord("A") + n if n < 26 else ord("a") + n - 26)

    terms = ["".join(map(letter, sub)) for sub in args[1::2]]
    text = ",".join(terms)
    if len(args) % 2:
        text += "->" + "".join(map(letter, args[-1]))
    return [text, *args[: len(args) // 2 * 2 : 2]]
