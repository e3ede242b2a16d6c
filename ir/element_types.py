"""Element types of what ONNX operators give, from those of their inputs, as operators' schemas tell them.

Schemas are onnx's ``OpSchema`` objects, which the caller looks up: nothing here imports onnx.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_name, by_numpy, by_onnx

__all__ = ["ElementTypes"]

Lookup = Callable[[str, str, int], Any]

#: Attributes that name the result's element type, where an operator has them.
_NAMED = ("to", "dtype", "output_dtype")
_SPELLED = {"float": "float32", "double": "float64"}


class _Signature:
    """What of a schema decides element types."""

    __slots__ = ("defaults", "inputs", "named", "names", "outputs", "since", "single", "uneven")

    def __init__(self, schema: Any) -> None:
        self.since: int = schema.since_version
        self.names: list[str] = [i.name for i in schema.inputs]
        self.defaults = {
            name: v for name, a in schema.attributes.items() if (v := _default(a.default_value)) is not None
        }
        self.inputs: list[str] = [i.type_str for i in schema.inputs]
        self.outputs: list[str] = [o.type_str for o in schema.outputs]
        self.uneven = bool(schema.inputs) and not schema.inputs[-1].is_homogeneous
        self.named = next((name for name in _NAMED if name in schema.attributes), None)
        self.single: dict[str, DType | None] = {}
        for c in schema.type_constraints:
            if len(c.allowed_type_strs) == 1:
                self.single[c.type_param_str] = _spelled(c.allowed_type_strs[0])


def _default(proto: Any) -> Any:
    """The value of a schema's default: a number, a text or a list of ints; None for what has none."""
    if proto.type == 1:
        return float(proto.f)
    if proto.type == 2:
        return int(proto.i)
    if proto.type == 3:
        return proto.s.decode()
    return list(proto.ints) if proto.type == 7 else None


def _spelled(text: str) -> DType | None:
    if not text.startswith("tensor("):
        return None
    name = text[7:-1]
    try:
        return by_name(_SPELLED.get(name, name))
    except KeyError:
        return None


class ElementTypes:
    """Tells element types; ``lookup(op_type, domain, version)`` gives a schema or None. What it learnt of a schema is kept."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._known: dict[tuple[str, str, int], _Signature | None] = {}

    def _signature(self, op_type: str, domain: str, version: int) -> _Signature | None:
        key = op_type, domain, version
        if key not in self._known:
            schema = self._lookup(op_type, domain, version)
            self._known[key] = _Signature(schema) if schema is not None else None
        return self._known[key]

    def since(self, op_type: str, domain: str, version: int) -> int:
        """The version of the domain that gave the operator the meaning that it has at ``version``; 0 when it is not known."""
        found = self._signature(op_type, domain, version)
        return found.since if found is not None else 0

    def defaults(self, op_type: str, version: int) -> Mapping[str, Any]:
        """The defaults of the attributes of an operator of the default domain."""
        found = self._signature(op_type, "", version)
        return found.defaults if found is not None else {}

    def input_names(self, op_type: str, version: int) -> Sequence[str]:
        """The formal names of the inputs of an operator of the default domain."""
        found = self._signature(op_type, "", version)
        return found.names if found is not None else ()

    def results(
        self,
        op_type: str,
        domain: str,
        version: int,
        inputs: Sequence[DType | None],
        attributes: Mapping[str, Any],
        count: int,
    ) -> list[DType | None]:
        """The element type of each of ``count`` results; None for what is no tensor and for what is not told."""
        s = self._signature(op_type, domain, version)
        if s is None or not s.outputs or (op_type == "SequenceEmpty" and not domain):  # its dtype is that of elements
            return [None] * count
        if op_type in ("Constant", "ConstantOfShape") and not domain:
            value = attributes.get("value")
            filled = by_name("float32") if op_type == "ConstantOfShape" and value is None else None
            return [by_numpy(value.dtype) if isinstance(value, np.ndarray) else filled] * count
        named = attributes.get(s.named) if s.named is not None else None
        bound: dict[str, DType | None] = {}
        last = len(s.inputs) - 1
        for i, t in enumerate(inputs):
            if t is not None and last >= 0 and not (i >= last and s.uneven):
                bound.setdefault(s.inputs[min(i, last)], t)
        found: list[DType | None] = []
        for i in range(count):
            formal = s.outputs[min(i, len(s.outputs) - 1)]
            if formal.startswith("tensor("):
                found.append(_spelled(formal))
            elif isinstance(named, int) and named:
                found.append(by_onnx(named))
            else:
                found.append(bound.get(formal) or s.single.get(formal))
        return found
