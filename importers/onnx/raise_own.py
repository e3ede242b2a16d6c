"""Our own exports back to programs: what the metadata claims is believed as far as lowering it again gives these nodes."""

from __future__ import annotations

import logging

from onnx import ModelProto

from bridge.importers.onnx.raise_check import Lower, compare
from bridge.importers.onnx.raise_claims import DOUBTS
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
    try:
        claims = read_claims(model)
        if claims is None:
            return None
        fill_gaps(model, claims)
        for _ in range(_ROUNDS):
            candidate = build_candidate(model, claims, source)
            lowered = lower(candidate.owner, candidate.function)
            differences = compare(model, claims, candidate, lowered)
            if not differences:
                return candidate
            if not repair(model, claims, lowered, differences):
                _log.debug("not repaired: %s", differences)
                return None
            _log.debug("repaired %d graphs", len(differences))
    except DOUBTS as reason:
        _log.debug("the metadata is not believed: %s", reason)
    return None
