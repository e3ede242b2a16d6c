"""How a program that runs as a Python function takes its arguments: it looks at them itself, so that a call is one call of Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.autograd.grad_mode import state
from bridge.ir import types as T
from bridge.jit.running import MISS
from bridge.runtime.sessions import CPU, chosen
from bridge.tensor import Tensor

__all__ = ["NUMBERS", "Overflow", "Parameter", "compiled", "is_plain", "taken"]

NUMBERS: dict[T.Type, type] = {T.INT: int, T.FLOAT: float, T.BOOL: bool}
_SINGLE: dict[T.Type, type] = {**NUMBERS, T.STR: str}


class Overflow(Exception):
    """An int left 64 bits. Python's do not end there; a program's start again from below, as it does on onnxruntime."""


def is_plain(t: T.Type, named: bool = False) -> bool:
    """Whether values of a type are what Python has itself: numbers, texts, None, and lists, dicts and tuples of these (``named``: also of
    tuples whose places have names, which a program knows by their numbers)."""
    if isinstance(t, T.TupleType):
        return (named or not t.name) and all(is_plain(e, named) for e in t.elements)
    if isinstance(t, T.ListType | T.OptionalType):
        return is_plain(t.element, named)
    if isinstance(t, T.DictType):
        return t.key in _SINGLE and is_plain(t.value, named)
    return t in _SINGLE or t is T.NONE


class Parameter:
    """A parameter: its name, the text that is true of arguments it is not for, and the lines that make the program's own value."""

    __slots__ = ("lines", "name", "refused")

    def __init__(self, name: str, refused: str, lines: Sequence[str] = ()) -> None:
        self.name, self.refused, self.lines = name, refused, lines


def taken(name: str, t: T.Type, names: dict[str, Any], copied: bool = True) -> Parameter:
    """A parameter of a plain type; lists are the program's own (``copied``), unless it only reads them."""
    kind = _SINGLE.get(t)
    if kind is not None:
        return Parameter(name, f"type({name}) is not {kind.__name__}")
    element = _SINGLE.get(t.element) if isinstance(t, T.ListType) else None
    if element is not None:
        only = f"only_{element.__name__}"
        names[only] = frozenset([element]).issuperset
        refused = f"type({name}) is not list or not {only}(map(type, {name}))"
        return Parameter(name, refused, [f"{name} = {name}.copy()"] if copied else [])
    names[f"fits_{name}"], names[f"own_{name}"] = _fits(t), _own
    return Parameter(name, f"not fits_{name}({name})", [f"{name} = own_{name}({name})"])


def _fits(t: T.Type) -> Callable[[Any], bool]:
    """Whether a value needs no conversion to be of a type."""
    kind = _SINGLE.get(t)
    if kind is not None:
        return lambda v: type(v) is kind
    if isinstance(t, T.ListType):
        element = _fits(t.element)
        return lambda v: type(v) is list and all(map(element, v))
    if isinstance(t, T.DictType):
        key, value = _fits(t.key), _fits(t.value)
        return lambda v: type(v) is dict and all(map(key, v)) and all(map(value, v.values()))
    if isinstance(t, T.TupleType):
        places = [_fits(e) for e in t.elements]
        return lambda v: (
            type(v) is tuple and len(v) == len(places) and all(f(x) for f, x in zip(places, v, strict=True))
        )
    if isinstance(t, T.OptionalType):
        inner = _fits(t.element)
        return lambda v: v is None or inner(v)
    return lambda v: v is None


def _own(value: Any) -> Any:
    """A copy of lists and dicts, as a program makes of what it is given."""
    if type(value) is list:
        return [_own(v) for v in value]
    if type(value) is dict:
        return {k: _own(v) for k, v in value.items()}
    return tuple(map(_own, value)) if type(value) is tuple else value


def compiled(
    name: str,
    parameters: Sequence[Parameter],
    lines: Sequence[str],
    names: Mapping[str, Any],
    held: Sequence[Parameter] | None = None,
) -> Callable[[tuple[Any, ...]], Any]:
    """The function of a tuple of arguments that gives what ``lines`` (three deep) return, or MISS.

    ``held`` are parameters beside the arguments, of a program with tensors: it is only for calls on the CPU's provider. What fails goes to ``failed(error, args)``, one of ``names``.
    """
    refused = [f"len(args) != {len(parameters)}"]
    if held is not None:
        refused.append("chosen() != cpu")
    head = ["def program(args):", f" if {' or '.join(refused)}: return MISS"]
    head.append(f" {', '.join(p.name for p in parameters)}, = args" if parameters else " pass")
    parameters = [*parameters, *(held or ())]
    head += [f" if {' or '.join(p.refused for p in parameters)}: return MISS"] if parameters else []
    head += [f" {line}" for p in parameters for line in p.lines]
    source = "\n".join([*head, " try:", *lines, " except Exception as error:", "  return failed(error, args)"])
    given = dict(names, MISS=MISS, Overflow=Overflow, Tensor=Tensor, state=state, chosen=chosen, cpu=(CPU,))
    exec(compile(source, f"<{name}>", "exec"), given)  # noqa: S102 (written here, from a graph)
    return given["program"]  # type: ignore[no-any-return]
