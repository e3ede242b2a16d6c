"""Special functions, as in ``torch.special``."""

from __future__ import annotations

from bridge._namespaces import operators_of

__getattr__ = operators_of("bridge.special", "special_")
