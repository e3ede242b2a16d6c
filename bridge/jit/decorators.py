"""What programs say to the compiler: ``export``, ``ignore``, ``unused``, ``interface``, ``annotate``, ``Attribute``…

In Python these do nothing, or almost; their meaning is in how the compiler treats what they mark.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import textwrap
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

from bridge.pytorch.names import function_overloads, method_overloads

__all__ = [
    "Attribute", "Final", "Modifier", "annotate", "export", "get_modifier", "ignore", "interface", "is_ignored",
    "is_scripting", "isinstance_", "overloads_of", "should_drop", "unused",
]  # fmt: skip

_F = TypeVar("_F")


class Modifier:
    """How a function is treated; the marker that a decorator leaves on it."""

    UNUSED = "unused"
    IGNORE = "ignore"
    EXPORT = "export"
    DEFAULT = "default"
    COPY = "copy"
    DROP = "drop"


def get_modifier(fn: Any) -> str | None:
    """The marker of a function or method; None for what is not callable."""
    if not callable(fn):
        return None
    found = getattr(getattr(fn, "__func__", fn), "_torchscript_modifier", Modifier.DEFAULT)
    first = str(found).partition(" ")[0]  # PyTorch's markers are sentences
    return {"if": Modifier.COPY, "_drop": Modifier.DROP}.get(first, first)


def is_ignored(fn: Any) -> bool:
    """Whether the compiler must not look at the body."""
    return get_modifier(fn) in (Modifier.UNUSED, Modifier.IGNORE, Modifier.DROP)


def should_drop(fn: Any) -> bool:
    """Whether a call compiles to raising an exception."""
    return get_modifier(fn) in (Modifier.UNUSED, Modifier.DROP)


def _mark(fn: Any, modifier: str) -> Any:
    fn._torchscript_modifier = modifier
    return fn


def export(fn: _F) -> _F:
    """Compile this method although ``forward`` does not call it."""
    return _mark(fn, Modifier.EXPORT)  # type: ignore[no-any-return]


def unused(fn: Any) -> Any:
    """Leave this function (or property) out: calling it in a compiled program raises an exception."""
    if isinstance(fn, property):
        for part in (fn.fget, fn.fset):
            if part is not None:
                _mark(part, Modifier.UNUSED)
        return fn
    return _mark(fn, Modifier.UNUSED)


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Leave this function to Python: a compiled program calls back. Such programs cannot be saved or exported."""
    if callable(drop):
        return _mark(drop, Modifier.IGNORE)
    if not isinstance(drop, bool):
        text = f"Argument to @torch.jit.ignore must be a bool or a function but got {drop}"
        raise RuntimeError(text)  # noqa: TRY004  (torch's)
    if kwargs.pop("drop_on_export", None):
        _deprecated("ignore(drop_on_export=True)")
        drop = True
    elif drop:
        _deprecated("ignore(True)")
    return lambda fn: _mark(fn, Modifier.UNUSED if drop else Modifier.IGNORE)


def _deprecated(what: str) -> None:
    text = f"{what} has been deprecated. TorchScript will now drop the function call on compilation. Use torch.jit.unused now. {{}}"
    warnings.warn(text, category=FutureWarning, stacklevel=3)


def drop(fn: _F) -> _F:
    """As :func:`unused`, with a signature that need not be compilable either."""
    return _mark(fn, Modifier.DROP)  # type: ignore[no-any-return]


_drop = drop


def interface(cls: _F) -> _F:
    """Make a class an interface: methods that a module or class must have, to annotate attributes with.

    Raises TypeError for what is not a class.
    """
    from bridge.jit.script_classes import declare_interface

    if not inspect.isclass(cls):
        raise TypeError("interface must be applied to a class")
    declare_interface(cls)
    return cls


def is_scripting() -> bool:
    """False in Python, True in a compiled program."""
    return False


def annotate(the_type: Any, the_value: _F) -> _F:
    """Give a value a type in a compiled program; in Python, the value."""
    return the_value


class Attribute(NamedTuple):
    """The value of a module's attribute and its type: ``self.d = Attribute({}, Dict[str, int])``."""

    value: Any
    type: Any


def isinstance_(obj: Any, target_type: Any) -> bool:
    """``isinstance`` that knows ``List[int]``, ``Dict[str, int]``, ``Tuple[int, str]``, ``Optional[int]``, ``Union[…]``."""
    from bridge.jit.annotations import matches_type

    return matches_type(obj, target_type)


def _unwrap_optional(value: Any) -> Any:
    """The value, which is not None."""
    if value is None:
        raise AssertionError("Unwrapping null optional")
    return value


_unwrap_optional.__operator__ = "aten::_unwrap_optional"  # type: ignore[attr-defined]


@contextlib.contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """Accepted for programs that ask for it: what runs is the same."""
    yield


_strategy: list[tuple[str, int]] = [("STATIC", 2), ("DYNAMIC", 10)]
_onednn = False


def set_fusion_strategy(strategy: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Accepted for programs that choose one: onnxruntime fuses what it can. The strategy before."""
    global _strategy
    before, _strategy = _strategy, list(strategy)
    return before


def enable_onednn_fusion(enabled: bool) -> None:
    """Accepted for programs that ask for it: what runs is the same."""
    global _onednn
    _onednn = enabled


def onednn_fusion_enabled() -> bool:
    """What :func:`enable_onednn_fusion` was told."""
    return _onednn


class fuser(contextlib.nullcontext[None]):
    """Accepted for programs that choose one: onnxruntime fuses what it can."""

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in ("fuser0", "fuser1", "fuser2", "fuser3", "none"):
            raise RuntimeError(f"unrecognized fuser option (name: {name})")


class strict_fusion(contextlib.nullcontext[None]):
    """Accepted for programs that ask for it; there is no fuser here to be strict about."""


# -- overloads ---------------------------------------------------------------------------------------------------------

_overloads: dict[str, list[Callable[..., Any]]] = {}
_compiled: set[Any] = set()
_method_overloads: dict[str, dict[str, list[Callable[..., Any]]]] = {}


def _key(fn: Any) -> str:
    return f"{fn.__module__}.{fn.__name__}"


def _overload(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Declare one signature of a function; the implementation follows under the same name.

    Raises RuntimeError when it has a body, which nobody would run.
    """
    _check_is_declaration(fn)
    _overloads.setdefault(_key(fn), []).append(fn)
    return fn


def _check_is_declaration(fn: Callable[..., Any]) -> None:
    if fn.__module__.startswith("bridge."):
        return  # ours are declarations, and to read them takes time whenever the library is loaded
    try:
        text = textwrap.dedent(inspect.getsource(fn))
        (definition,) = ast.parse(text).body
    except (OSError, SyntaxError, ValueError):
        return
    body = definition.body if isinstance(definition, ast.FunctionDef) else []
    only = body[0] if len(body) == 1 else None
    dots = isinstance(only, ast.Expr) and isinstance(only.value, ast.Constant) and only.value.value is Ellipsis
    if body and not isinstance(only, ast.Pass) and not dots:
        raise RuntimeError(
            f"Only `pass` statement or `...` can be the body of overload declaration:\n{text}"
            "the implementation follows it, under the same name and without the decorator"
        )


def overloads_of(fn: Any) -> list[Callable[..., Any]] | None:
    """The declared signatures of a function that have not been compiled yet."""
    if not hasattr(fn, "__name__") or not hasattr(fn, "__module__"):
        return None
    return _overloads.get(_key(fn)) or (None if fn in _compiled else function_overloads(fn))


def clear_overloads(fn: Any) -> None:
    """Forget them: they are compiled."""
    _overloads.pop(_key(fn), None)
    _compiled.add(fn)


def _overload_method(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Declare one signature of a method. Raises RuntimeError when it has a body, which nobody would run."""
    _check_is_declaration(fn)
    owner = fn.__qualname__.rpartition(".")[0]
    _method_overloads.setdefault(_key(fn), {}).setdefault(owner, []).append(fn)
    return fn


def method_overloads_of(cls: type, name: str) -> list[Callable[..., Any]] | None:
    """The declared signatures of a method."""
    fn = getattr(cls, name, None)
    if not inspect.isfunction(fn):
        return None
    by_class = _method_overloads.get(_key(fn), {})
    return by_class.get(fn.__qualname__.rpartition(".")[0]) or method_overloads(cls, name)
