"""Attributes of modules whose value at first does not tell their type: None, and empty lists and dicts.

TorchScript takes None for the type of what is None, and knows no empty list. Where a program then uses such an attribute as
something else, the module is compiled again with the type that ``__init__`` annotates it with (``self.state: Optional[Tensor] =
None``), or that of what is assigned.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from bridge.importers.script.errors import AttributeType, CompileError, Configured
from bridge.ir import types as T

__all__ = ["found_type", "is_configuration", "with_types_found"]

#: By class and attribute, while a module is compiled.
_found: dict[tuple[type, str], T.Type] = {}
#: Attributes, by class and name, that are constants although nothing declares them so, while a module is compiled.
_configuration: set[tuple[Any, str]] = set()


def is_configuration(cls: type, name: str) -> bool:
    """Whether an attribute turned out to decide what of a module can be compiled."""
    return (cls, name) in _configuration


def found_type(cls: type, name: str, value: Any) -> T.Type | None:
    """The type that an attribute with this value at first turned out to need; None where nothing is known of it."""
    return _found.get((cls, name)) if value is None or (isinstance(value, list | dict) and not value) else None


def with_types_found(compiled: Callable[[], Any]) -> Any:
    """What ``compiled()`` gives, called again as long as an attribute is found to need a type that its value does not tell.

    Raises CompileError as the first attempt did, where no type is found.
    """
    before, constant, first = dict(_found), set(_configuration), None
    try:
        while True:
            try:
                return compiled()
            except Configured as e:
                wanted_constants = {(t.python_class, name) for t, name in e.attributes}
                if wanted_constants <= _configuration:
                    raise _refusal(e) from None
                _configuration.update(wanted_constants)
            except AttributeType as e:
                first = first or e
                key = (e.owner.python_class, e.name)
                wanted = _wanted(e) if key not in _found else None
                if wanted is None:
                    raise _refusal(first) from None
                _found[key] = wanted
    finally:
        _found.clear()
        _found.update(before)
        _configuration.clear()
        _configuration.update(constant)


def _refusal(e: CompileError) -> CompileError:
    plain = CompileError(e.message, e.range)
    plain.args = e.args
    return plain


def _wanted(e: AttributeType) -> T.Type | None:
    annotated = _annotation_in_init(e.owner.python_class, e.name)
    return annotated if annotated is not None else e.type


def _annotation_in_init(cls: Any, name: str) -> T.Type | None:
    """The type that ``__init__`` of a class, or of one above it, annotates an attribute with."""
    from bridge.jit.annotations import annotation_to_type

    for owner in getattr(cls, "__mro__", ()):
        made = vars(owner).get("__init__")
        if not inspect.isfunction(made):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(made)))
        except (OSError, SyntaxError):
            continue
        for n in ast.walk(tree):
            if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Attribute) and n.target.attr == name:
                text = ast.unparse(n.annotation)
                try:
                    return annotation_to_type(eval(text, made.__globals__), made.__globals__)
                except Exception:  # noqa: BLE001  (whatever stands there is no type of a program)
                    return None
    return None
