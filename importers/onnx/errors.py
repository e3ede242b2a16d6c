"""Errors of reading ONNX files."""

from bridge.ir.errors import BridgeError

__all__ = ["OnnxImportError"]


class OnnxImportError(BridgeError):
    """The file is no ONNX model, or one that breaks ONNX's rules; the message names the file and the place in it."""
