"""Where traced code runs: on our own tensors, or on those of PyTorch.

A trace is made of our tensors either way. A :class:`Host` gives the form that the example inputs have here, and what to call
in place of the user's function: it takes and gives our tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bridge import nn, pytorch
from bridge.jit.trace_state import Tracer

__all__ = ["Host", "host_of", "module_paths"]


class Host:
    """Code that computes with our own tensors."""

    def __init__(self, root: Any = None) -> None:
        self.root = root

    def inputs(self, held: Any) -> Any:
        """Example inputs as our values."""
        return held

    def function(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function, on our values."""
        return func

    def tracer(self, strict: bool, force_outplace: bool) -> Tracer:
        """A tracer for one run of code of this host."""
        scopes = {id(m): path for m, path in module_paths(self.root)} if self.root is not None else {}
        return Tracer(scopes, strict, force_outplace)


def module_paths(root: Any) -> list[tuple[Any, str]]:
    """Every submodule with its path (the whole itself has none): calls of these are recorded as methods. Of a module in
    several places the last one counts."""
    found: list[tuple[Any, str]] = []

    def visit(module: Any, prefix: str) -> None:
        for name, child in module.named_children():
            found.append((child, f"{prefix}.{name}"))
            visit(child, f"{prefix}.{name}")

    visit(root, "__module")
    return found


def host_of(func: Any, *examples: Any) -> Host:
    """The host of a function, method or module: PyTorch's when it is of there, or the example inputs are."""
    owner = func if isinstance(func, nn.Module) else getattr(func, "__self__", None)
    torch = pytorch.library()
    if torch is None:
        return Host(owner)
    owner = func if isinstance(func, torch.nn.Module) else owner
    if isinstance(owner, torch.nn.Module):
        from bridge.pytorch.tracing import TorchHost

        return TorchHost(owner)
    from bridge.pytorch.tensors import holds_torch

    if not isinstance(owner, nn.Module) and (_uses(func, torch) or holds_torch(list(examples))):
        from bridge.pytorch.tracing import TorchHost

        return TorchHost(None)
    return Host(owner)


def _uses(func: Any, torch: Any) -> bool:
    """Whether a function's code reaches PyTorch by one of its global names."""
    code, names = getattr(func, "__code__", None), getattr(func, "__globals__", {})
    if code is None:
        return False
    reached = (names.get(n) for n in code.co_names)
    return any(v is torch or str(getattr(v, "__module__", "") or getattr(v, "__name__", "")).startswith("torch.")
               for v in reached if v is not None)  # fmt: skip
