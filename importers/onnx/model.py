"""ModelProto → script object: the module that a model is."""

from __future__ import annotations

import re

import onnx

from bridge.importers.onnx.build import GraphBuilder, ModuleBuilder, forward_function
from bridge.importers.onnx.source import Source
from bridge.importers.onnx.values import metadata, written_empty
from bridge.ir.classes import CompilationUnit, ScriptObject
from bridge.ir.foreign import ModelInfo

__all__ = ["ImportedModel", "import_model"]


class ImportedModel:
    """What an ONNX model is here: the module's object, its compilation unit, and the model's header."""

    def __init__(self, module: ScriptObject, unit: CompilationUnit, info: ModelInfo) -> None:
        self.module, self.unit, self.info = module, unit, info


def import_model(proto: onnx.ModelProto, source: Source) -> ImportedModel:
    """Any ONNX model as IR, node for node; ``source`` is where it was read from.

    Raises OnnxImportError (with the file's and the node's name).
    """
    unit = CompilationUnit()
    builder = ModuleBuilder(class_name(proto.graph.name), unit)
    info = model_info(proto)
    graph = GraphBuilder(source, builder).build(proto.graph, {domain or "": version for domain, version in info.opsets})
    assert graph.foreign is not None
    graph.foreign.model = info
    builder.root.type.add_method(forward_function(builder.root.type.name, graph))
    info.initializers = builder.names
    return ImportedModel(builder.root, unit, info)


def model_info(proto: onnx.ModelProto) -> ModelInfo:
    """The header of a model."""
    rest = onnx.ModelProto()
    rest.training_info.extend(proto.training_info)
    rest.configuration.extend(proto.configuration)
    return ModelInfo(
        ir_version=proto.ir_version,
        opsets=[(o.domain if o.HasField("domain") else None, o.version) for o in proto.opset_import],
        producer=proto.producer_name,
        producer_version=proto.producer_version,
        domain=proto.domain,
        model_version=proto.model_version,
        doc=proto.doc_string,
        metadata=metadata(proto.metadata_props),
        functions=[f.SerializeToString() for f in proto.functions],
        rest=rest.SerializeToString(),
        empty=written_empty(proto, "producer_name", "producer_version", "domain", "doc_string", "model_version"),
    )


def class_name(graph_name: str) -> str:
    """A class name made of a graph's name: ``main_graph`` → ``MainGraph``."""
    words = [w for w in re.split(r"[^0-9A-Za-z]+", graph_name) if w]
    name = "".join(w[0].upper() + w[1:] for w in words)
    return name if name and not name[0].isdigit() else f"Model{name}"
