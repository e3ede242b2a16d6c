"""What the library's context managers are in compiled programs.

The classes are compiled from the source below under the names that TorchScript archives know them by.
"""

from __future__ import annotations

from typing import Any

import bridge as torch

__all__ = ["enable_grad", "no_grad", "record_function", "set_grad_enabled"]


class no_grad:
    """Operations inside are not recorded."""

    _jit_override_qualname = "__torch__.torch.autograd.grad_mode.no_grad"

    def __init__(self) -> None:
        self.prev = False

    def __enter__(self) -> None:
        self.prev = torch.is_grad_enabled()
        torch.set_grad_enabled(False)

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:  # noqa: PYI036  (compiled: script knows Any only)
        torch.set_grad_enabled(self.prev)


class record_function:
    """A name for what is done inside, for a profiler."""

    _jit_override_qualname = "__torch__.torch.autograd.profiler.record_function"

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args

    def __enter__(self) -> None:
        pass

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:  # noqa: PYI036  (compiled: script knows Any only)
        pass


class enable_grad:
    """Operations inside are recorded."""

    _jit_override_qualname = "__torch__.torch.autograd.grad_mode.enable_grad"

    def __init__(self) -> None:
        self.prev = False

    def __enter__(self) -> None:
        self.prev = torch.is_grad_enabled()
        torch.set_grad_enabled(True)

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:  # noqa: PYI036  (compiled: script knows Any only)
        torch.set_grad_enabled(self.prev)


class set_grad_enabled:
    """Operations inside are recorded or not."""

    _jit_override_qualname = "__torch__.torch.autograd.grad_mode.set_grad_enabled"

    def __init__(self, mode: bool) -> None:
        self.prev = torch.is_grad_enabled()
        self.mode = mode
        torch.set_grad_enabled(mode)

    def __enter__(self) -> None:
        torch.set_grad_enabled(self.mode)

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:  # noqa: PYI036  (compiled: script knows Any only)
        torch.set_grad_enabled(self.prev)
