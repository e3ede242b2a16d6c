"""Programs that are ONNX models already: imported ones, and those that consist of ``ops.onnx.…`` calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.dtypes import by_numpy

if TYPE_CHECKING:
    from onnx import ModelProto

    from bridge.ir.classes import Function, ScriptObject
    from bridge.ir.foreign import Interface

__all__ = ["WrittenModel", "written_model"]


@dataclass(slots=True)
class WrittenModel:
    """A model, its large tensors in ``arrays`` by name; ``results`` are the program's results as nested tuples of output numbers, ``weights`` the paths of attributes
    by the names of the initializers that they are."""

    proto: ModelProto
    results: Any
    weights: dict[str, str]
    arrays: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)


def written_model(
    owner: ScriptObject | None,
    function: Function,
    examples: Sequence[Any] | None,
    opset: int | None = None,
    records: bool = False,
) -> WrittenModel | None:
    """The model of a program that consists of ONNX operators; None for any other program.

    An imported model is written as it was, a program of ``ops.onnx.…`` node for node, and both at another ``opset`` where that is
    asked for. With ``records``, a program that was printed from a model, and computes what it did, is that model again. Raises LoweringError for an input whose element type nobody tells, and listing what the opset cannot express.
    """
    made = _written(owner, function, examples, records)
    if made is not None and opset is not None:
        from bridge.exporters.onnx.opsets import convert_opset

        made.proto = convert_opset(made.proto, opset)
    return made


def _written(
    owner: ScriptObject | None, function: Function, examples: Sequence[Any] | None, records: bool
) -> WrittenModel | None:
    graph = function.graph
    if not graph.opsets and graph.foreign is None:
        return None
    from bridge.exporters.onnx.foreign import is_foreign, write_foreign

    header = graph.foreign.model if graph.foreign is not None else None
    if owner is not None and header is not None and is_foreign(graph):
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        model = write_foreign(owner, graph, header, arrays)
        count = len(model.graph.output)
        paths = {name: path for path, name in header.initializers.items()}
        return WrittenModel(model, 0 if count == 1 else tuple(range(count)), paths, arrays)
    from bridge.exporters.onnx.verbatim import NotVerbatim, write_verbatim

    names = [a.name for a in function.schema.arguments][owner is not None :]
    if examples is None and function.interface is not None:
        types = _declared_types(names, function.interface)
    else:
        types = {n: t for n, v in zip(names, examples or (), strict=False) if (t := _type_of(v)) is not None}
    try:
        proto, results, weights, arrays, called = write_verbatim(owner, function, types)
    except NotVerbatim:
        return None
    if records and graph.records:
        from bridge.exporters.onnx.file_records import with_records

        restored = with_records(proto, arrays, weights, called, graph.records)
        if restored is not None:
            proto, arrays, weights = restored
    return WrittenModel(proto, results, weights, arrays)


def _declared_types(names: Sequence[str], interface: Interface) -> dict[str, T.Type]:
    """The types of arguments that are inputs of the model which the program was loaded from."""
    from bridge.importers.onnx.values import declared_types

    declared = declared_types(interface)
    forms = zip(names, interface.options["arguments"], strict=False)
    return {n: declared[what] for n, (kind, what) in forms if kind == "in" and what in declared}


def _type_of(value: Any) -> T.Type | None:
    """The type of an example argument with free sizes; None where it does not tell."""
    from bridge.tensor import Tensor

    if isinstance(value, Tensor):
        return T.TensorType(by_numpy(value._array.dtype), [None] * value._array.ndim)
    if isinstance(value, list):
        inside = [_type_of(v) for v in value]
        known = {t.dtype for t in inside if isinstance(t, T.TensorType)}
        return T.ListType(T.TensorType(known.pop())) if len(known) == 1 else None
    return None
