"""``torch.finfo`` and ``torch.iinfo`` in programs: what depends on the element type is chosen where that is known."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.importers.script.core import EmitterCore
from bridge.importers.script.errors import CompileError
from bridge.importers.script.library import library_call
from bridge.importers.script.limit_texts import ATTRIBUTES, limit
from bridge.importers.script.matching import Named, constant_of, insert_constant
from bridge.importers.script.sugared import SugaredValue
from bridge.importers.script.values import SimpleValue
from bridge.ir.dtypes import by_code, default_dtype
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

__all__ = ["LimitsOf"]


class LimitsOf(SugaredValue):
    """``finfo`` or ``iinfo``, to be called with an element type."""

    __slots__ = ("kind",)
    is_function = True

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        given = [*args, *keywords]
        if len(given) > 1 or any(k.name not in ("dtype", "type") for k in keywords):
            raise CompileError(f"torch.{self.kind}() takes an element type", range)
        if not given:
            return _Limits(self.kind, insert_constant(m.graph, default_dtype().code, range))
        return _Limits(self.kind, given[0].get(m.graph))


class _Limits(SugaredValue):
    """The limits of an element type, which may be known only when the program runs."""

    __slots__ = ("dtype", "kind")

    def __init__(self, kind: str, dtype: Value) -> None:
        self.kind, self.dtype = kind, dtype

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        if name not in ATTRIBUTES[self.kind]:
            raise CompileError(f"torch.{self.kind} has no attribute '{name}' in programs", range)
        known, code = constant_of(self.dtype)
        if known and isinstance(code, int) and by_code(code).kind == self.kind[0]:
            return SimpleValue(insert_constant(m.graph, limit(by_code(code).name, name), range))
        return library_call(f"{self.kind}_{name}", range, m, [self.dtype])
