"""A program as an importable Python file with its weights beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.ir.files import replacing
from bridge.ir.memory import collector_paused
from bridge.version import __version__

if TYPE_CHECKING:
    from bridge.jit import ScriptFunction, ScriptModule

__all__ = ["python_source", "write_python"]


def write_python(module: ScriptModule | ScriptFunction, path: str | os.PathLike[str]) -> list[Path]:
    """Write ``module`` as ``path`` (a .py file) and its weights as ``.safetensors`` beside it; returns both paths.

    The file's ``model()`` returns the function, or an :class:`bridge.nn.Module` with the weights loaded, which runs eagerly, scripts, and
    exports to a model that gives the same results. Both files are complete before either replaces an older one.
    Raises UnsupportedError and OnnxImportError for what has no form in Python source, with the node's name.
    """
    from bridge.weights import write_weights

    path = Path(path)
    beside = path.with_suffix(".safetensors")
    text, arrays = python_source(module, stem=path.stem, weights=beside.name)
    with replacing(beside) as w, replacing(path) as p:
        write_weights(arrays, w)
        p.write(text.encode())
    return [path, beside]


@collector_paused()
def python_source(module: ScriptModule | ScriptFunction, *, stem: str, weights: str) -> tuple[str, dict[str, Any]]:
    """The text of the Python file and what is stored beside it: weights by ``state_dict`` name, attributes of nodes."""
    from bridge.exporters.python.literals import LONGEST
    from bridge.exporters.python.module_file import module_file
    from bridge.jit import ScriptFunction
    from bridge.onnx.loading import unbuilt
    from bridge.ops.stored import stored_name

    if isinstance(module, ScriptFunction):
        text, arrays, constants = module_file(
            module._function,
            stem=stem,
            weights=weights,
            title=f"{module._function.name}, as Python",
            version=__version__,
            stored=False,
        )
        return text, {**arrays, **constants}
    fresh = unbuilt(module)
    root = module._c if fresh is None else fresh()
    stored: dict[str, Any] = {}
    forward = root.type.find_method("forward")
    if forward is not None and forward.graph.foreign is not None:
        from bridge.exporters.onnx.file_records import records_of
        from bridge.exporters.onnx.foreign import is_foreign, write_foreign
        from bridge.exporters.onnx.large import HOST
        from bridge.exporters.onnx.one_node import OneNodes
        from bridge.importers.onnx.readable import has_bodies, inferred_types, readable
        from bridge.importers.onnx.source import OWN_FILE

        info = forward.graph.foreign.model
        types: dict[str, Any] = {}
        bodies = has_bodies(forward.graph)
        original = None
        if info is not None and (bodies or fresh is None) and is_foreign(forward.graph):
            original = write_foreign(root, forward.graph, info, {})
        if bodies and original is not None:
            types = inferred_types(original)
        records = b""
        if fresh is not None:
            records = records_of(fresh.model, (HOST, OWN_FILE))
        elif original is not None:
            records = records_of(original)
        root, stored = readable(root, LONGEST, types, OneNodes(), consumed=fresh is not None)
        if records:
            stored["file_records"] = root.type.methods["forward"].graph.records = records
    title = f"{root.type.name.rpartition('.')[2]}, as Python"
    text, arrays, constants = module_file(
        root, stem=stem, weights=weights, title=title, version=__version__, stored=bool(stored)
    )
    for name, value in {**stored, **constants}.items():
        texts = isinstance(value, list) and isinstance(value[0], str)
        kept = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else value
        arrays[stored_name(name, value)] = np.asarray(kept, object if texts else None)
    return text, arrays
