"""How ONNX nodes read as operators of torch: the candidates, declared beside the operators.

A reading says which operator a node may be, and how the node's inputs and attributes are that operator's arguments. It is
a proposal: it is taken only where lowering the operator gives the node again, so that a wrong one reads nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType
from bridge.ir.node_shapes import Sizes
from bridge.ir.registry import find

__all__ = [
    "Default",
    "Given",
    "Input",
    "NodeForm",
    "Operand",
    "Reading",
    "forms",
    "number_of",
    "readings",
    "reads",
    "with_attributes",
    "with_number",
]


@dataclass(slots=True, frozen=True)
class Input:
    """The node's input of that number, as an argument."""

    index: int


@dataclass(slots=True, frozen=True)
class Operand:
    """A tensor that an operator is given: which input of the node it is, its element type, and its sizes as far as they are known."""

    index: int
    dtype: DType
    dims: Sizes | None = None

    @property
    def rank(self) -> int | None:
        return None if self.dims is None else len(self.dims)


@dataclass(slots=True, frozen=True)
class Default:
    """An input that a node may leave out: its formal name, and the value that it then has."""

    name: str
    value: np.ndarray[Any, Any]


@dataclass(slots=True, frozen=True)
class NodeForm:
    """The node of the default domain that an operator is: its inputs (None: left out) and attributes."""

    op_type: str
    inputs: Sequence[Operand | Default | np.ndarray[Any, Any] | None]
    attributes: Mapping[str, Any]


@dataclass(slots=True, frozen=True)
class Given:
    """What a node has: how many inputs, which of them are constants (None for the others), attributes, number of results.

    ``shapes`` are the sizes of its inputs, ``dtypes`` their element types, as far as they are known."""

    constants: Sequence[np.ndarray[Any, Any] | None]
    attributes: Mapping[str, Any]
    results: int
    shapes: Sequence[Sizes | None]
    dtypes: Sequence[DType | None] = ()

    def __len__(self) -> int:
        return len(self.constants)

    def rank(self, index: int) -> int | None:
        """The number of dimensions of an input, where it is known."""
        sizes = self.shapes[index] if index < len(self.shapes) else None
        return None if sizes is None else len(sizes)

    def ints(self, index: int) -> list[int] | None:
        """The constant input as a list of ints; None where it is none."""
        a = self.constants[index] if index < len(self.constants) else None
        return a.tolist() if a is not None and a.ndim == 1 and a.dtype == np.int64 else None

    def attribute(self, name: str) -> Any:
        """An attribute's value, as a person would write it; None where it is not set."""
        value = self.attributes.get(name)
        return number_of(np.asarray(value, np.float32)) if isinstance(value, float) else value

    def number(self, index: int) -> int | float | None:
        """The constant input of no dimensions as a number; None where it is none."""
        a = self.constants[index] if index < len(self.constants) else None
        return number_of(a) if a is not None and a.ndim == 0 else None


def number_of(array: np.ndarray[Any, Any]) -> int | float | None:
    """A constant's value as the number that a person would write; None for other kinds of values."""
    if array.dtype.kind == "i":
        return int(array)
    if array.dtype == np.float32 and np.isfinite(array):
        return float(np.format_float_positional(np.float32(array), unique=True, trim="0"))
    return float(array) if array.dtype == np.float64 and np.isfinite(array) else None


Arguments = Callable[[Given], "Sequence[Any] | None"]

#: From the operator's arguments by name (tensors as :class:`Operand`) and the opset to the node.
Form = Callable[[Mapping[str, Any], int], "NodeForm | None"]


@dataclass(slots=True, frozen=True)
class Reading:
    """``operator`` by its full name; ``since``: the first version of the ONNX operator that means what the lowering means by it.

    ``arguments`` gives the operator's arguments, in order and without trailing defaults, or None.
    """

    operator: str
    since: int
    arguments: Arguments


_READINGS: dict[str, list[Reading]] = {}
_FORMS: dict[str, Form] = {}


def reads(
    op_type: str, operator: str, arguments: Arguments | None = None, *, since: int, form: Form | None = None
) -> None:
    """Declare that a node ``op_type`` may be read as ``operator``; by default its inputs are the first arguments.

    ``form`` is the way back, for an operator whose lowering takes care of what a model of single nodes leaves to the node:
    not-a-numbers, sizes that do not fit, the order of rounding. Without it the lowering says what node the operator is.
    """
    _READINGS.setdefault(op_type, []).append(Reading(operator, since, arguments or _inputs))
    if form is not None:
        _FORMS[operator] = form


def forms(operator: str) -> Form | None:
    """The node that an operator, by its full name, is in a model each of whose statements is a node; None where nothing is declared."""
    find("aten::add", "Tensor")  # has all declarations loaded
    return _FORMS.get(operator)


def _inputs(given: Given) -> Sequence[Any]:
    return [Input(i) for i in range(len(given))]


def with_number(given: Given) -> Sequence[Any] | None:
    """The first input and the number that the second one is."""
    number = given.number(1) if len(given) == 2 else None
    return None if number is None else [Input(0), number]


def with_attributes(*names: str) -> Arguments:
    """The inputs, then attributes, which must all be set."""

    def arguments(given: Given) -> Sequence[Any] | None:
        found = [given.attribute(name) for name in names]
        return None if None in found else [*_inputs(given), *found]

    return arguments


def readings(op_type: str) -> Sequence[Reading]:
    """The candidates for an operator of ONNX's default domain, in the order of declaration."""
    find("aten::add", "Tensor")  # has all declarations loaded
    return _READINGS.get(op_type, ())
