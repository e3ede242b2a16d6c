"""Operators that are themselves written in script: a number before a tensor, floor division, tensor properties.

They are inlined where they are used. A graph shows their nodes at ``<string>:line:column`` of the texts below, as torch
does for its own, so the line numbers matter.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.ir.classes import Function

__all__ = ["builtin_functions"]

_SWAPPED = """
def mul(a: {0}, b: Tensor) -> Tensor:
  return b * a
def add(a: {0}, b: Tensor) -> Tensor:
  return b + a
def ne(a: {0}, b: Tensor) -> Tensor:
  return b != a
def eq(a: {0}, b: Tensor) -> Tensor:
  return b == a
def sub(a: {0}, b: Tensor) -> Tensor:
  return torch.neg(b) + a
def div(a: {0}, b: Tensor) -> Tensor:
  return torch.reciprocal(b) * a
"""

_ORDERED = """
def lt(a: {0}, b: Tensor) -> Tensor:
  return b > a
def le(a: {0}, b: Tensor) -> Tensor:
  return b >= a
def gt(a: {0}, b: Tensor) -> Tensor:
  return b < a
def ge(a: {0}, b: Tensor) -> Tensor:
  return b <= a
"""

_REPEATED = """
def _{1}(x: BroadcastingList{2}[{0}]) -> List[{0}]:
  return x
"""

_FLOORDIV = """
def floordiv(self: Tensor, other: {0}) -> Tensor:
  return torch.floor_divide(self, other)
"""

_PROPERTIES = """
def ndim(a: Tensor) -> int:
  return a.dim()
def T(a: Tensor) -> Tensor:
  return a.numpy_T()
def H(a: Tensor) -> Tensor:
  return a.matrix_H()
def mT(a: Tensor) -> Tensor:
  return a.mT()
def mH(a: Tensor) -> Tensor:
  return a.mH()
def shape(a: Tensor) -> List[int]:
  return a.size()
"""


_OTHERS = """
def _assert_int_or_pair(vals: List[int], name: str, message: str) -> None:
  pass
def list_with_default(out_size: List[int], defaults: List[int]) -> List[int]:
  assert len(defaults) > len(out_size)
  return out_size
def _assert(condition: bool, message: str) -> None:
  assert condition, message
def device(type: str) -> Device:
  return torch.device(type)
def type(self: Tensor, dtype: int, non_blocking: bool=False, copy: bool=False) -> Tensor:
  return self.to(dtype, non_blocking, copy)
"""

_MORE = """
def _assert(condition: Tensor, message: str) -> None:
  assert bool(condition), message
def __contains__(self: str, key: str) -> bool:
    return self.find(key, 0, len(self)) != -1
"""


@functools.cache
def _texts() -> list[tuple[str, str]]:
    """(namespace, text) of every group, in the order in which overloads are tried."""
    groups = [("aten", _SWAPPED.format(t)) for t in ("float", "int", "complex")]
    groups += [("aten", _ORDERED.format(t)) for t in ("float", "int")]
    sizes = {"single": 1, "pair": 2, "triple": 3, "quadruple": 4}
    groups += [("aten", _REPEATED.format(t, n, k)) for t in ("float", "int") for n, k in sizes.items()]
    groups += [("aten", _FLOORDIV.format(t)) for t in ("number", "Tensor")]
    return [*groups, ("aten", _OTHERS), ("aten", _MORE), ("prim", _PROPERTIES)]


@functools.cache
def _names() -> frozenset[str]:
    return frozenset(f"{n}::{name}" for n, text in _texts() for name in re.findall(r"^def (\w+)", text, re.MULTILINE))


@functools.cache
def builtin_functions(name: str) -> Sequence[Function]:
    """The script functions that are further overloads of an operator; their schemas are known before they compile."""
    namespace, _, base = name.partition("::")
    if f"{namespace}::{base}" not in _names():
        return ()
    texts = [text for n, text in _texts() if n == namespace and f"def {base}(" in text]
    from bridge.importers.script.annotations import signature_of
    from bridge.importers.script.compile import compile_function
    from bridge.importers.script.frontend import parse_source
    from bridge.importers.script.sugared import BuiltinModule, EnvironmentResolver
    from bridge.importers.script.tree import Def

    resolver = EnvironmentResolver({"torch": BuiltinModule("aten")})
    found: list[Function] = []
    for text in texts:
        for d in parse_source(text, "<string>"):
            if isinstance(d, Def) and d.name == base:
                f = compile_function(d, resolver, d.name)
                f.schema = signature_of(d, resolver)
                found.append(f)
    return tuple(found)
