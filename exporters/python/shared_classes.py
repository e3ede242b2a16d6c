"""Classes of modules that are alike: one class, whose constructor takes the numbers in which they differ.

While a file is written, numbers of constructors are marked in its text, so that two texts can be compared without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridge.ir.classes import ClassType

__all__ = ["Draft", "classes_of", "is_indexed", "is_module_list", "list_call", "marked"]

_NUMBER = re.compile("\0(-?\\d+)\0")
#: More arguments than these are no help to a reader: then each is a class of its own.
_MOST = 4
_WIDEST = 100
#: The longest module list whose elements are read as `layers[3]`: compiling that reads all of them, as in TorchScript.
_INDEXED = 32


def marked(number: int) -> str:
    """A number that another module of the class may have otherwise."""
    return f"\0{number}\0"


@dataclass(slots=True, eq=False)
class Draft:
    """A module's class: ``body`` are the statements of ``__init__``. Without a name ``body`` is how the module is made."""

    name: str
    body: str
    methods: str = ""
    head: str = ""

    def shape(self) -> tuple[str, str]:
        """The text but for the numbers; equal for modules that may share a class."""
        return self.head + _NUMBER.sub("\0", self.body), self.methods

    def numbers(self) -> tuple[str, ...]:
        return tuple(_NUMBER.findall(self.body))


def is_module_list(t: ClassType) -> bool:
    """Whether a module is nothing but modules in order."""
    names = list(t.attributes)
    inside = all(isinstance(a.type, ClassType) and a.type.is_module for a in t.attributes.values())
    plain = inside and not t.methods and not t.constants and len(names) > 0
    return plain and sorted(names) == sorted(map(str, range(len(names))))


def is_indexed(t: ClassType) -> bool:
    """Whether what is in a module is read as ``layers[3]``."""
    return len(t.attributes) <= _INDEXED and is_module_list(t)


def list_call(calls: Sequence[str]) -> str:
    """``nn.ModuleList([Layer(64) for _ in range(12)])``, or the modules one by one."""
    if len(calls) > 2 and len(set(calls)) == 1:
        return f"nn.ModuleList([{calls[0]} for _ in range({len(calls)})])"
    line = f"nn.ModuleList([{', '.join(calls)}])"
    if len(_NUMBER.sub(r"\1", line)) <= _WIDEST:
        return line
    return "nn.ModuleList([\n" + "".join(f"    {c.replace(chr(10), chr(10) + '    ')},\n" for c in calls) + "])"


def classes_of(alike: Sequence[Draft]) -> Iterator[tuple[str, dict[int, str]]]:
    """The texts of the classes of modules of one shape, with how each draft (by ``id``) is called."""
    rows = {d.numbers(): None for d in alike}
    columns = list(zip(*rows, strict=True))
    names: dict[tuple[str, ...], str] = {}
    for c in columns:
        if len(set(c)) > 1 and c not in names:
            names[c] = "size" if not names else f"size_{len(names) + 1}"
    if len(names) > _MOST:
        for row in rows:
            same = [d for d in alike if d.numbers() == row]
            yield _text(same[0], [*row], []), {id(d): "" for d in same}
        return
    at = [columns.index(c) for c in names]
    filled = [names.get(c, c[0]) for c in columns]
    calls = {id(d): ", ".join(marked(int(d.numbers()[i])) for i in at) for d in alike}
    yield _text(alike[0], filled, list(names.values())), calls


def _text(d: Draft, numbers: Sequence[str], parameters: Sequence[str]) -> str:
    """A class's text with these numbers, which may be names of parameters."""
    given = iter(numbers)
    body = _NUMBER.sub(lambda _: next(given), d.body)
    if not body and d.methods and not parameters:
        return d.head + d.methods.lstrip("\n")
    head = "".join(f", {p}: int" for p in parameters)
    lines = [f"    def __init__(self{head}) -> None:", "        super().__init__()"]
    return d.head + "\n".join([*lines, *([body] if body else [])]) + ("\n" + d.methods if d.methods else "")
