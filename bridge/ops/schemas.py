"""Versions and names of ONNX operators, from ``onnx.defs``."""

from __future__ import annotations

import functools

__all__ = ["NEWEST_RUNNABLE", "default_version", "is_known", "known_ops"]

#: The newest default-domain opset that onnxruntime runs (it refuses newer ones at session creation).
NEWEST_RUNNABLE = 26


def is_known(op_type: str, domain: str, version: int) -> bool:
    """Whether onnx knows the operator at that version of the domain."""
    from bridge.importers.onnx.schemas import schema_of

    return schema_of(op_type, domain, version) is not None


def default_version(domain: str) -> int:
    """The version of a domain when nobody says: the newest known that onnxruntime runs; 1 for unknown domains."""
    import onnx

    if domain in ("", "ai.onnx"):
        return min(onnx.defs.onnx_opset_version(), NEWEST_RUNNABLE)
    return _newest().get(domain, 1)


@functools.cache
def _newest() -> dict[str, int]:
    import onnx

    found: dict[str, int] = {}
    for s in onnx.defs.get_all_schemas():
        found[s.domain] = max(found.get(s.domain, 1), s.since_version)
    return found


@functools.cache
def known_ops(domain: str) -> tuple[str, ...]:
    """The operators of a domain, for completion and error messages."""
    import onnx

    return tuple(sorted({s.name for s in onnx.defs.get_all_schemas() if s.domain == domain}))
