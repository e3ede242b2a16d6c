"""ONNX operators as Python functions: ``ops.onnx.Conv(x, w, strides=[1, 1])``.

The operators come from ``onnx.defs``: every operator of every domain and version that the installed onnx knows. A dotted
domain is spelled as it is (``ops.ai.onnx.ml.TreeEnsembleClassifier``, ``ops.com.microsoft.Gelu``), an odd one through
``ops.domain("odd-domain")``. Versions: the newest that onnxruntime runs, or those given to :func:`opset`, as printed files do::

    ops = bridge.ops.opset({"": 16})
    y = ops.onnx.Conv(x, w, strides=[1, 1])

Called eagerly, an operator runs on onnxruntime; in a scripted program the call becomes one node of the graph.
TorchScript's own operators are there, too: ``ops.aten.relu(x)``, ``ops.aten.add.Tensor(x, y)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.ops.namespace import Namespace, OnnxOp
from bridge.ops.stored import Stored as stored

__all__ = ["Namespace", "OnnxOp", "domain", "opset", "stored"]

_default = Namespace({})


def opset(versions: Mapping[str, int]) -> Namespace:
    """The operators at the given version of each domain; ``""`` is the default domain. Raises TypeError, ValueError."""
    for name, version in versions.items():
        if not isinstance(name, str) or not isinstance(version, int) or isinstance(version, bool):
            raise TypeError("opset versions are a dict of domain names to ints")
        if version < 1:
            raise ValueError(f"opset version {version} of domain '{name}' is below 1")
    return Namespace(dict(versions))


def domain(name: str) -> Namespace:
    """The operators of a domain whose name cannot be written with dots."""
    return _default.domain(name)


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    return getattr(_default, name)
