"""Dataclasses as script classes: the methods that Python makes for them, written as script.

What TorchScript has of them is written as it writes it, so that programs keep their text; default factories, fields that
are not arguments and comparisons of ``frozen`` and ``order`` classes go beyond it.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from bridge.importers.script import CompileError, parse_def
from bridge.importers.script import tree as X
from bridge.ir import types as T
from bridge.jit.annotations import annotation_to_type

__all__ = ["MADE_BY_PYTHON", "is_frozen", "made_methods", "written_by_python"]

_ORDER = {"__lt__": ("<", False), "__le__": ("<", True), "__gt__": (">", False), "__ge__": (">", True)}
#: What ``dataclass`` puts into a class.
MADE_BY_PYTHON = frozenset({"__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__", *_ORDER})


def written_by_python(fn: Any) -> bool:
    """Whether a function was generated, so that it has no source."""
    code = getattr(inspect.unwrap(fn), "__code__", None)
    return code is not None and code.co_filename.startswith("<")


def is_frozen(cls: Any) -> bool:
    """Whether instances may not be changed."""
    return bool(getattr(getattr(cls, "__dataclass_params__", None), "frozen", False))


class Made:
    """A method: its definition, the values of its defaults, and the types that its annotations are names of."""

    def __init__(self, definition: X.Def, defaults: dict[str, Any], types: dict[str, T.Type]) -> None:
        self.definition, self.defaults, self.types = definition, defaults, types


def made_methods(cls: type, names: dict[str, Any]) -> dict[str, Made]:
    """The methods of a dataclass that Python generated; ``names`` are those its annotations can use."""
    found: dict[str, Made] = {}
    for name in sorted(MADE_BY_PYTHON):
        fn = getattr(cls, name, None)
        if not inspect.isfunction(fn) or not written_by_python(fn):
            continue
        if name == "__init__":
            found[name] = _init(cls, names)
        elif name == "__repr__":
            shown = ", ".join(f"{f.name}=self.{f.name}" for f in dataclasses.fields(cls) if f.repr)
            found[name] = _made(cls, f"def __repr__(self) -> str:\n    return '{cls.__name__}({shown})'\n")
        elif name == "__eq__":
            found[name] = _comparison(cls, name, ["if val1 != val2:", "    return False"], True, "return False")
        elif name in _ORDER:
            sign, of_equals = _ORDER[name]
            lines = [f"if val1 {sign} val2:", "    return True", f"elif val2 {sign} val1:", "    return False"]
            none = f"raise TypeError('Cannot compare {cls.__name__} with None')"
            found[name] = _comparison(cls, name, lines, of_equals, none)
    return found


def _made(cls: type, text: str, defaults: dict[str, Any] | None = None, types: dict[str, T.Type] | None = None) -> Made:
    d = parse_def(text.splitlines(keepends=True), f"<{cls.__name__}>", 1)
    return Made(d, defaults or {}, types or {})


def _comparison(cls: type, name: str, lines: list[str], of_equals: bool, of_none: str) -> Made:
    body: list[str] = []
    for f in dataclasses.fields(cls):
        if not f.compare:
            continue
        body += [f"val1 = self.{f.name}", f"val2 = other.{f.name}"]
        if "Optional" in str(f.type) or "None" in str(f.type):
            body += ["if val1 is not None and val2 is not None:", *("    " + line for line in lines)]
            body += ["elif (val1 is None) != (val2 is None):", f"    {of_none}"]
        else:
            body += lines
    body.append(f"return {of_equals}")
    head = f"def {name}(self, other: {cls.__name__}) -> bool:\n"
    return _made(cls, head + "".join(f"    {line}\n" for line in body))


def _init(cls: type, names: dict[str, Any]) -> Made:
    fields = {f.name: f for f in dataclasses.fields(cls)}
    types: dict[str, T.Type] = {}
    defaults: dict[str, Any] = {}
    params, passed, keyword_only = ["self"], [], False
    for p in list(inspect.signature(cls).parameters.values()):
        annotation = p.annotation
        if isinstance(annotation, dataclasses.InitVar):
            annotation = annotation.type
        if p.name not in fields:
            passed.append(p.name)
        types[f"type_of_{p.name}"] = annotation_to_type(annotation, names)
        text = f"type_of_{p.name}"
        if p.name in fields and fields[p.name].default_factory is not dataclasses.MISSING:
            text, defaults[p.name] = f"Optional[{text}]", None
        elif p.default is not inspect.Parameter.empty:
            defaults[p.name] = p.default
        if p.kind is inspect.Parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            params.append("*")
        params.append(f"{p.name}: {text}" + (" = None" if p.name in defaults else ""))
    body: list[str] = []
    for f in fields.values():
        type_name = f"type_of_{f.name}"
        types.setdefault(type_name, annotation_to_type(f.type, names))
        if f.default_factory is not dataclasses.MISSING:
            fresh = f"annotate({type_name}, {_literal(cls, f)})"
            body.append(f"self.{f.name} = {fresh if not f.init else f'{fresh} if {f.name} is None else {f.name}'}")
        elif f.init:
            body.append(f"self.{f.name} = {f.name}")
        elif f.default is not dataclasses.MISSING:
            body.append(f"self.{f.name} = annotate({type_name}, {f.default!r})")
    if hasattr(cls, "__post_init__"):
        body.append(f"self.__post_init__({', '.join(passed)})")
    lines = "".join(f"    {line}\n" for line in body or ["pass"])
    return _made(cls, f"def __init__({', '.join(params)}):\n{lines}", defaults, types)


def _literal(cls: type, f: dataclasses.Field[Any]) -> str:
    """What a default factory gives, as text that makes a new one."""
    factory: Any = f.default_factory
    value = factory()
    if _is_plain(value):
        return repr(value)
    raise CompileError(
        f"the default factory of {cls.__name__}.{f.name} makes a {type(value).__name__}: in a program it can make lists, dicts "
        "and tuples of numbers and text",
        None,
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(x) for pair in value.items() for x in pair)
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    return value is None or type(value) in (int, float, bool, str)
