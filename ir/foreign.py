"""What a file of a foreign format says beyond the graph, kept so that the same file can be written again.

Nothing here decides what a program computes: drop all of it and the program is the same. The IR carries these records
along; only the importer and the exporter of the format look inside. ``empty`` names the text fields that a file wrote out
although they are empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bridge.ir.types import Type

__all__ = [
    "ForeignArray",
    "GraphInfo",
    "Interface",
    "ModelInfo",
    "NodeInfo",
    "RawAttribute",
    "StoredAttribute",
    "Subgraph",
    "TypedList",
]


class ForeignArray(np.ndarray[Any, np.dtype[Any]]):
    """A tensor that remembers how its file wrote it.

    ``proto_name`` and ``proto_doc`` are the tensor's own; ``typed`` is True when the values stood in the typed field
    (``float_data``) instead of ``raw_data``; ``raw_proto`` is the serialised original where the values alone do not
    reproduce it, else None. ``sparse``: it was written as a sparse tensor (then ``raw_proto`` is one). ``external`` is where
    else the data was, as the file's pairs of key and value; () when it was in the file itself.
    """

    proto_name: str
    proto_doc: str
    typed: bool
    raw_proto: bytes | None
    sparse: bool
    external: tuple[tuple[str, str], ...]

    def __array_finalize__(self, parent: Any) -> None:
        # Views and results of arithmetic are new tensors: they remember nothing.
        self.proto_name, self.proto_doc, self.typed, self.raw_proto = "", "", False, None
        self.sparse, self.external = False, ()


class TypedList(list[Any]):
    """An attribute list whose kind its elements do not tell, because it is empty. ``kind``: ints, floats, strings…"""

    def __init__(self, kind: str, values: Any = ()) -> None:
        super().__init__(values)
        self.kind = kind


@dataclass(slots=True, frozen=True)
class RawAttribute:
    """An attribute that a plain Python value does not say (a reference to a function's attribute, a type): its serialised form.

    ``type`` is the type that it is, for a type; ``value`` its value, where only a doc string comes with it.
    """

    data: bytes
    type: Type | None = None
    value: Any = None


@dataclass(slots=True, frozen=True)
class StoredAttribute:
    """An attribute too long for a text: what the file beside it calls the value."""

    name: str


@dataclass(slots=True)
class GraphInfo:
    """Name, doc string and records of one graph or subgraph: serialised value records by name.

    ``strays`` are the value records of no value, ``written`` all as they stand, where a name has several; ``model`` is the header of the model whose top graph this is.
    """

    name: str = ""
    doc: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, bytes] = field(default_factory=dict)
    outputs: dict[str, bytes] = field(default_factory=dict)
    value_info: dict[str, bytes] = field(default_factory=dict)
    initializers: list[str] = field(default_factory=list)
    quantization: list[bytes] = field(default_factory=list)
    strays: tuple[str, ...] = ()
    written: list[tuple[str, bytes]] = field(default_factory=list)
    empty: tuple[str, ...] = ()
    model: ModelInfo | None = None


@dataclass(slots=True, frozen=True)
class Subgraph:
    """Attribute value of a node whose graph is the node's block number ``index``; what its attribute says besides."""

    index: int
    info: GraphInfo
    doc: str = ""
    reference: str = ""


@dataclass(slots=True)
class NodeInfo:
    """Doc string, metadata and, for a node whose graphs are its blocks, their attribute names in order; serialised in ``rest``
    what else there is."""

    doc: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    graphs: dict[str, Subgraph] = field(default_factory=dict)
    empty: tuple[str, ...] = ()
    rest: bytes = b""


@dataclass(slots=True, frozen=True)
class Interface:
    """How a loaded program was exported, for exporting it so again: ``inputs`` and ``outputs`` are the model's, as serialised
    records in order; ``options`` what the exporter wrote of the arguments and of its options."""

    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    opset: int
    options: dict[str, Any]

    @classmethod
    def of_graph(cls, graph: Any, opset: int, options: dict[str, Any]) -> Interface:
        """That of a GraphProto; inputs that are initializers too are the program's own."""
        held = {t.name for t in graph.initializer}
        return cls(
            tuple(i.SerializeToString() for i in graph.input if i.name not in held),
            tuple(o.SerializeToString() for o in graph.output),
            opset,
            options,
        )


@dataclass(slots=True)
class ModelInfo:
    """The header of an ONNX model: everything but its graph and functions, which ``functions`` and ``rest`` hold serialised.

    ``opsets`` has None for a domain that was not written (it means the default one); ``initializers`` maps the dotted path of a module attribute to the name of the initializer that it came from.
    """

    ir_version: int
    opsets: list[tuple[str | None, int]]
    producer: str = ""
    producer_version: str = ""
    domain: str = ""
    model_version: int = 0
    doc: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    functions: list[bytes] = field(default_factory=list)
    rest: bytes = b""
    initializers: dict[str, str] = field(default_factory=dict)
    empty: tuple[str, ...] = ()
