"""Bytes → ModelProto, with the checks that tell a model from any other file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from bridge.importers.onnx.errors import OnnxImportError

__all__ = ["read_model"]


def read_model(source: str | os.PathLike[str] | bytes | onnx.ModelProto) -> tuple[onnx.ModelProto, str]:
    """The model of a path, of bytes or a proto as it is, and what to call it in errors.

    External data is read by onnx's own loader, which keeps to the model's folder. Raises FileNotFoundError, and
    OnnxImportError when the content is not an ONNX model.
    """
    if isinstance(source, onnx.ModelProto):
        name, model = "the model", source
    elif isinstance(source, bytes):
        name, model = "the model", _parse(source, "the model")
    else:
        path = Path(source)
        name = str(path)
        if not path.is_file():
            raise FileNotFoundError(2, "no such file", name)
        model = _parse(path.read_bytes(), name)
        _external(model, path)
    _check(model, name)
    return model, name


def _parse(data: bytes, name: str) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as e:
        raise OnnxImportError(f"{name}: not an ONNX model (or a truncated one): {e}") from e
    return model


def _external(model: onnx.ModelProto, path: Path) -> None:
    from onnx.external_data_helper import load_external_data_for_model

    try:
        load_external_data_for_model(model, str(path.parent))
    except (onnx.checker.ValidationError, OSError, ValueError, TypeError) as e:
        raise OnnxImportError(f"{path}: its external data cannot be read: {e}") from e


def _check(model: Any, name: str) -> None:
    if not model.HasField("graph") or not model.ir_version or not model.opset_import:
        raise OnnxImportError(f"{name}: not an ONNX model: it has no graph, IR version or opset")
    newest = onnx.IR_VERSION
    if model.ir_version > newest:
        raise OnnxImportError(f"{name}: IR version {model.ir_version} is newer than {newest}, the newest that is known")
