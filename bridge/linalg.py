"""Linear algebra, as in ``torch.linalg``."""

from __future__ import annotations

from bridge._namespaces import operators_of

__getattr__ = operators_of("bridge.linalg", "linalg_")
