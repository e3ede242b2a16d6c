"""Fourier transforms, as in ``torch.fft``."""

from __future__ import annotations

from bridge._namespaces import operators_of

__getattr__ = operators_of("bridge.fft", "fft_")
