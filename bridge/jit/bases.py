"""The base classes of modules: those of :mod:`bridge.nn`, and PyTorch's where a program comes from there."""

from __future__ import annotations

from typing import Any

from bridge import nn, pytorch

__all__ = ["container_kind", "is_base", "is_module", "is_module_class", "module_bases", "own_members", "submodules"]

_CONTAINERS = {
    "dict": ("ModuleDict",), "list": ("ModuleList", "Sequential"), "parameter list": ("ParameterList",),
    "parameter dict": ("ParameterDict",),
}  # fmt: skip


def module_bases() -> tuple[type, ...]:
    """``nn.Module``, and ``torch.nn.Module`` when PyTorch is there."""
    torch = pytorch.library()
    return (nn.Module,) if torch is None else (nn.Module, torch.nn.Module)


def is_module(obj: Any) -> bool:
    """Whether an object is a module of either library."""
    return isinstance(obj, module_bases())


def is_module_class(cls: type) -> bool:
    """Whether a class is derived from a module base."""
    return issubclass(cls, module_bases())


def submodules(module: Any) -> dict[str, Any]:
    """The submodules of a module by name, None included; a module of PyTorch holds programs of ours as plain attributes."""
    found = dict(module._modules)
    if not isinstance(module, nn.Module):
        found.update((name, v) for name, v in vars(module).items() if isinstance(v, nn.Module))
    return found


def is_base(cls: Any) -> bool:
    """Whether a class is such a base itself: its members are machinery, no part of a program."""
    return cls in module_bases()


def own_members(cls: type) -> dict[str, Any]:
    """What a module's class adds to the base, by name in alphabetical order, unevaluated."""
    bases = module_bases()
    members: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        if owner is not object and owner not in bases:
            members.update(vars(owner))
    return dict(sorted(members.items()))


def container_kind(module: Any) -> str:
    """``list``, ``dict``, ``parameter list``, ``parameter dict``, or nothing for a module that is no container."""
    torch = pytorch.library()
    for library in (nn,) if torch is None else (nn, torch.nn):
        for kind, names in _CONTAINERS.items():
            if isinstance(module, tuple(getattr(library, n) for n in names if hasattr(library, n))):
                return kind
    return ""
