"""Names for parts of a program. Nothing is measured here: they are accepted for programs that have them."""

from __future__ import annotations

from types import TracebackType
from typing import Self

__all__ = ["record_function"]


class record_function:
    """Names what is done inside ``with``."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass
