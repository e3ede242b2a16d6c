"""Programs that once failed, each with a name: ``found.txt`` holds them as the command prints them."""

from __future__ import annotations

import ast
from pathlib import Path

from support.random_programs.program import RandomProgram

__all__ = ["found", "read"]

_FILE = Path(__file__).with_name("found.txt")


def found() -> dict[str, RandomProgram]:
    """All of them by name."""
    programs = {}
    for part in _FILE.read_text(encoding="utf-8").split("=== ")[1:]:
        name, _, rest = part.partition("\n")
        programs[name.strip()] = read(rest)
    return programs


def read(text: str) -> RandomProgram:
    """A program as its ``repr`` is: its text, then the inputs of its calls."""
    source, _, calls = text.partition("\nCALLS = ")
    return RandomProgram(source.strip() + "\n", ast.literal_eval(calls.strip()), "class Program" in source)
