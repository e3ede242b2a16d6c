"""Our own exports back to programs: what the metadata claims is believed as far as lowering it again gives these nodes."""

from __future__ import annotations

import logging

from onnx import ModelProto

from bridge.importers.onnx.raise_check import Lower, compare
from bridge.importers.onnx.raise_claims import DOUBTS, metadata_of
from bridge.importers.onnx.raise_missing import fill_gaps
from bridge.importers.onnx.raise_program import Candidate, build_candidate, read_claims
from bridge.importers.onnx.raise_repair import repair
from bridge.importers.onnx.source import Source

__all__ = ["raise_own"]

_ROUNDS = 12
_log = logging.getLogger("bridge.onnx")


def raise_own(model: ModelProto, lower: Lower, source: Source) -> Candidate | None:
    """The program that a model is, or None when its metadata does not lead to one.

    ``lower`` exports a candidate again; ``source`` has the data of tensors that are not in the proto. Every statement of the result has been checked: exporting the result gives exactly the
    nodes of ``model``.
    """
    why = "its record of the program leads to other nodes"
    changed = 0
    try:
        claims = read_claims(model)
        if claims is None:
            if any(metadata_of(n) for n in model.graph.node):
                _tell(source, "the table of its classes is gone")
            return None
        fill_gaps(model, claims)
        for _ in range(_ROUNDS):
            candidate = build_candidate(model, claims, source)
            lowered = lower(candidate.owner, candidate.function)
            differences = compare(model, claims, candidate, lowered)
            if not differences:
                if changed:
                    _log.warning("%s was changed since it was exported: where it was, it is read as it is now", source)
                return candidate
            changed += 1
            if not repair(model, claims, lowered, differences):
                break
    except DOUBTS as reason:
        why = str(reason)
    _tell(source, why)
    return None


def _tell(source: Source, why: str) -> None:
    """Say that the text of an exported program is lost."""
    _log.warning(
        "%s is read as the operators that it has, not as the program that was exported: what it says of that does not lead to "
        "its nodes, as after a change by another tool (%s)",
        source,
        why,
    )
