"""The tensors of an ONNX model that are no initializers of its graph: found by what messages have, so that onnx is not needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["attribute_tensors", "completed", "inner_tensors", "kept_place", "without_place"]

#: The key in ``external_data`` of a tensor that has its data with it here, and belongs where the other entries say.
_KEPT = "\0kept"


def inner_tensors(model: Any) -> Iterator[Any]:
    """The tensors of a ModelProto's attributes and subgraphs, at any depth, those of its functions included."""
    lists = [model.graph.node, *(f.node for f in model.functions)]
    while lists:
        for node in lists.pop():
            for a in node.attribute:
                yield from attribute_tensors(a)
                for g in (*([a.g] if a.HasField("g") else ()), *a.graphs):
                    yield from g.initializer
                    yield from (t for s in g.sparse_initializer for t in (s.values, s.indices))
                    lists.append(g.node)


def attribute_tensors(a: Any) -> Iterator[Any]:
    """The tensors that an AttributeProto holds itself."""
    if a.HasField("t"):
        yield a.t
    yield from a.tensors
    for s in (*([a.sparse_tensor] if a.HasField("sparse_tensor") else ()), *a.sparse_tensors):
        yield from (s.values, s.indices)


def completed(t: Any, data: bytes, keep: bool) -> None:
    """Give a tensor whose data is elsewhere its data; ``keep`` the record of where that was, to be written there again."""
    t.raw_data = data
    t.ClearField("data_location")
    if keep:
        t.external_data.add(key=_KEPT)
    else:
        del t.external_data[:]


def kept_place(t: Any) -> dict[str, str]:
    """Where the data of a completed tensor was, as ``external_data`` says it; empty for any other tensor."""
    entries = {e.key: e.value for e in t.external_data}
    return entries if entries.pop(_KEPT, None) is not None else {}


def without_place(t: Any) -> None:
    """Forget where the data of a completed tensor was."""
    if any(e.key == _KEPT for e in t.external_data):
        del t.external_data[:]
