"""The schemas of all operators that script knows, by name, overloads in ATen's order.

``schemas.txt`` holds one schema per line, sorted by operator; overload resolution takes the first that fits, so the
order is part of the language. Operators that are declared here (:mod:`bridge.ir.registry`) and not in the file come
after it. Knowing a schema does not mean that there is a kernel: a program may be compiled, printed and saved without.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from bridge.ir.errors import ParseError
from bridge.ir.registry import overloads
from bridge.ir.schema import Schema, parse_schema

__all__ = ["find_schema", "known_names", "schemas_of"]


@functools.cache
def _lines() -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "schemas.txt").read_text(encoding="utf-8").splitlines():
        name = line[: line.index("(")].partition(".")[0]
        table.setdefault(name, []).append(line)
    return table


@functools.cache
def schemas_of(name: str) -> Sequence[Schema]:
    """All overloads of ``"aten::add"``; empty when the operator is unknown."""
    found: list[Schema] = []
    seen: set[str] = set()
    for line in _lines().get(name, ()):
        try:
            schema = parse_schema(line)
        except ParseError:  # types that have no place here: storages, remote references, torchbind classes
            continue
        found.append(schema)
        seen.add(schema.overload)
    found += [o.schema for o in overloads(name) if o.schema.overload not in seen]
    return tuple(found)


def find_schema(name: str, overload: str = "") -> Schema | None:
    """The schema of one overload, or None."""
    return next((s for s in schemas_of(name) if s.overload == overload), None)


def known_names() -> Sequence[str]:
    """The operators of the file, sorted."""
    return tuple(_lines())
