"""ONNX operators in the interpreter: each runs eagerly, on onnxruntime. Importing this says so to the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bridge.ir.errors import UnsupportedError
from bridge.ir.graph import Node
from bridge.ir.interpreter_steps import set_foreign
from bridge.ops.eager import run_operator
from bridge.ops.namespace import OnnxOp


def _operator(node: Node) -> Callable[..., Any]:
    domain, _, name = node.kind.partition("::")
    domain = "" if domain == "onnx" else domain
    versions = node.graph.opsets
    op = OnnxOp(domain, name, versions.get(domain, 1), versions)
    attributes, count, blocks, place = dict(node.attributes), len(node.outputs), bool(node.blocks), node.range

    def run(*inputs: Any) -> Any:
        if blocks:
            raise UnsupportedError(f"{node.kind} with graphs inside does not run in the interpreter", place)
        return run_operator(op, inputs, count, attributes)

    return run


set_foreign("onnx", _operator)
