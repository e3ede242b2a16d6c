"""What PyTorch's functions and classes stand for in a program: by the identity of the live object, as its own compiler does.

PyTorch keeps tables for that (which functions are operators, which have overloads, which are two functions chosen by a
flag); they are read here, never changed.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from bridge.ir.dtypes import by_name
from bridge.pytorch import library

__all__ = [
    "boolean_dispatch", "compiled_overloads", "function_overloads", "legacy_constructor", "method_overloads",
    "operator_name", "operator_packet", "special_form", "tensor_class", "value_kind", "written_for_torch",
]  # fmt: skip


def _part(name: str) -> Any:
    """A module of PyTorch."""
    return importlib.import_module(f"torch.{name}")


def operator_name(value: Any) -> str | None:
    """The operator (``"aten::cat"``) that a function of PyTorch is in a program; None for everything else."""
    torch = library()
    if torch is None:
        return None
    found = _part("jit._builtins")._find_builtin(value)
    return found if isinstance(found, str) else None


def operator_packet(value: Any) -> tuple[str, str | None] | None:
    """``("aten::add", None)`` for ``torch.ops.aten.add``, ``("aten::add", "Tensor")`` for one overload of it; None for other things."""
    if library() is None:
        return None
    ops = _part("_ops")
    if isinstance(value, ops.OpOverload):
        return value._schema.name, value._overloadname
    return (value._qualified_op_name, None) if isinstance(value, ops.OpOverloadPacket) else None


def special_form(value: Any) -> str | None:
    """``annotate``, ``fork`` or ``isinstance``: functions of ``torch.jit`` that the compiler has rules of its own for."""
    torch = library()
    if torch is None:
        return None
    jit = torch.jit
    if value is jit.annotate:
        return "annotate"
    if value is jit.isinstance:
        return "isinstance"
    if value is jit._awaitable:
        return "awaitable"
    return "fork" if value is jit._fork or value is jit.fork else None


def legacy_constructor(value: Any) -> int | None:
    """The element type (its number) of ``torch.LongTensor`` and its siblings; of ``torch.Tensor`` the default one's."""
    torch = library()
    if torch is not None and value is torch.Tensor:
        return by_name(str(torch.get_default_dtype()).removeprefix("torch.")).code
    if torch is None or type(value) is not type(torch.FloatTensor):
        return None
    return by_name(str(value.dtype).removeprefix("torch.")).code


def boolean_dispatch(fn: Any) -> Any:
    """The two functions of one that a constant flag chooses between (``F.max_pool2d``); None for others."""
    if library() is None:
        return None
    try:
        return _part("_jit_internal").boolean_dispatched.get(fn)
    except TypeError:  # what cannot be referenced weakly is no function of theirs
        return None


def function_overloads(fn: Any) -> list[Any] | None:
    """The declarations made with ``torch.jit._overload`` that PyTorch itself has not compiled yet."""
    if library() is None or not inspect.isfunction(fn):
        return None
    internal = _part("_jit_internal")
    try:
        found: list[Any] | None = internal._get_fn_overloads(internal._qualified_name(fn))
    except RuntimeError:  # no name that a program could know it by
        return None
    return found


def compiled_overloads(fn: Any) -> list[tuple[list[str], str]] | None:
    """Of a function whose overloads PyTorch has compiled (and forgotten): the types of arguments and result of each."""
    if library() is None or not inspect.isfunction(fn):
        return None
    known = _part("jit._state")._try_get_jit_cached_overloads(fn)
    if not known:
        return None
    schemas = [f.schema for f in known]
    return [([a.type.annotation_str for a in s.arguments], s.returns[0].type.annotation_str) for s in schemas]


def method_overloads(cls: type, name: str) -> list[Any] | None:
    """The signatures declared for a method with ``torch.jit._overload_method``."""
    method = getattr(cls, name, None)
    if library() is None or not inspect.isfunction(method):
        return None
    found: list[Any] | None = _part("_jit_internal")._get_overloaded_methods(method, cls)
    return found


def written_for_torch(fn: Any) -> bool:
    """Whether a Python function expects PyTorch's tensors: by the names that it uses, else by those of its file."""
    torch = library()
    fn = getattr(fn, "__func__", fn)
    if torch is None or not inspect.isfunction(fn):
        return False
    seen = fn.__globals__
    used = [seen[n] for n in fn.__code__.co_names if n in seen]
    used += [a for a in fn.__annotations__.values() if not isinstance(a, str)]
    for values in (used, seen.values()):
        roots = {_root(v) for v in values}
        if roots & {"torch", "bridge"}:
            return "bridge" not in roots
    return False


def _root(value: Any) -> str:
    """The package that a module, function or class comes from."""
    name = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None)
    return name.partition(".")[0] if isinstance(name, str) else ""


def tensor_class(cls: Any) -> bool:
    """Whether an annotation is one of PyTorch's tensor classes, ``torch.LongTensor`` and its siblings included."""
    torch = library()
    if torch is None:
        return False
    return (isinstance(cls, type) and issubclass(cls, torch.Tensor)) or isinstance(cls, type(torch.FloatTensor))


def value_kind(cls: type) -> str | None:
    """Which of ``dtype``, ``device``, ``layout``, ``memory_format``, ``Size``, ``Generator``, ``SymInt``… a class of PyTorch is."""
    torch = library()
    if torch is None:
        return None
    kinds = (
        "dtype",
        "device",
        "layout",
        "memory_format",
        "Size",
        "Generator",
        "qscheme",
        "SymInt",
        "SymFloat",
        "SymBool",
    )
    return next((k for k in kinds if cls is getattr(torch, k)), None)
