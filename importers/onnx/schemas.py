"""What ``onnx.defs`` says about operators, in IR types."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import onnx

from bridge.ir.types import (
    FLOAT,
    INT,
    NONE,
    STR,
    TENSOR,
    DictType,
    ListType,
    OptionalType,
    TensorType,
    Type,
    optional,
    unshaped,
)

__all__ = ["gives_tensors", "result_types", "schema_of"]


@functools.cache
def schema_of(op_type: str, domain: str, version: int) -> onnx.defs.OpSchema | None:
    """The schema in force at that version of the domain, or None when onnx does not know the operator there."""
    try:
        return onnx.defs.get_schema(op_type, max_inclusive_version=version, domain=domain)
    except onnx.defs.SchemaError:
        return None


@functools.cache
def gives_tensors(op_type: str, domain: str, version: int) -> bool:
    """Whether every result of the operator is a tensor, whatever its inputs are."""
    if (domain, op_type) == ("ai.onnx.ml", "ZipMap"):
        return False
    schema = schema_of(op_type, domain, version)
    if schema is None:
        return True
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    return all(t.startswith("tensor(") for o in schema.outputs for t in allowed.get(o.type_str, [o.type_str]))


def result_types(
    op_type: str, domain: str, version: int, inputs: Sequence[Type], attributes: Mapping[str, Any], count: int
) -> list[Type]:
    """The IR types of ``count`` results: Tensor, ``List[Tensor]``, ``Optional[…]``…, as the operator's schema and its inputs say.

    Results of operators that onnx does not know are tensors.
    """
    if domain == "" and op_type == "OptionalGetElement" and inputs:
        return [inputs[0].element if isinstance(inputs[0], OptionalType) else _plain(inputs[0])] * count
    if domain == "" and op_type == "Optional":
        declared = getattr(attributes.get("type"), "type", None)
        inside = inputs[0] if inputs and inputs[0] is not NONE else declared
        return [optional(unshaped(inside)) if isinstance(inside, Type) else optional(TENSOR)] * count
    if domain == "ai.onnx.ml" and op_type == "ZipMap":
        return [ListType(DictType(INT if attributes.get("classlabels_int64s") else STR, FLOAT))] * count
    schema = schema_of(op_type, domain, version)
    if schema is None or not schema.outputs:
        return [TENSOR] * count
    bound = _bound(schema, inputs)
    constraints = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    results = []
    for i in range(count):
        formal = schema.outputs[min(i, len(schema.outputs) - 1)].type_str
        results.append(bound.get(formal) or _declared(constraints.get(formal, [formal])))
    return results


def _bound(schema: onnx.defs.OpSchema, inputs: Sequence[Type]) -> dict[str, Type]:
    """The types that the actual inputs give to the schema's type variables."""
    bound: dict[str, Type] = {}
    for i, t in enumerate(inputs):
        if schema.inputs and t is not NONE:
            formal = schema.inputs[min(i, len(schema.inputs) - 1)]
            heterogeneous = i >= len(schema.inputs) - 1 and not formal.is_homogeneous
            if not heterogeneous:
                bound.setdefault(formal.type_str, _plain(t))
    return bound


def _plain(t: Type) -> Type:
    return TENSOR if isinstance(t, TensorType) else t


def _declared(allowed: Sequence[str]) -> Type:
    """The type that all the allowed ones are; Tensor where they differ."""
    if all(t.startswith("seq(") for t in allowed):
        return ListType(TENSOR)
    if all(t.startswith("optional(") for t in allowed):
        inner = [t.removeprefix("optional(") for t in allowed]
        return optional(_declared(inner))
    return TENSOR
