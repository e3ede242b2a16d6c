"""``bridge.onnx.error_of``."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["error_of"]


def error_of(model: Any, error: Any) -> Exception | None:
    """The exception that the output ``error`` of a run of an exported model tells; None when the run went well.

    ``model`` is the ModelProto, or an ``onnxruntime.InferenceSession`` of it. A message shows ints and bools as Python would; of
    other values that depend on data it shows the type only, in angle brackets. Raises ValueError for a model
    that tells no errors.
    """
    from bridge.exporters.onnx.raising import ERRORS, message_of
    from bridge.ir.interpreter_steps import make_exception

    if hasattr(model, "get_modelmeta"):
        metadata = model.get_modelmeta().custom_metadata_map
    else:
        metadata = {p.key: p.value for p in model.metadata_props}
    if ERRORS not in metadata:
        raise ValueError("this model has no table of exceptions")
    found = message_of(error, json.loads(metadata[ERRORS]))
    if found is None:
        return None
    name, message = found
    return make_exception(message, name)
