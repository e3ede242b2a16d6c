"""What an operator's ONNX lowering sees. Only the interface is here; ``bridge.exporters.onnx`` implements it.

A lowering is ``f(e, call)``. ``call["self"]`` is a :class:`Lowered` for a tensor or a number that is only known at run
time, a plain Python value for what is known now (int, float, bool, str, None, numpy array), and a list of these for lists.
It returns what the operator returns: a Lowered or a plain Python value, or a tuple of them for several results.
Run-time ints are 0-d int64, floats 0-d double, bools 0-d bool tensors. Tensor inputs have known dtype; ``rank`` may be None.
``call.results[i]`` is the TensorType (dtype, dims) that the type rule gave for result ``i``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from bridge.ir.dtypes import DType
from bridge.ir.schema import Schema
from bridge.ir.types import Dim, Type

__all__ = ["Emitter", "Lowered", "LoweredCall"]


class Lowered(Protocol):
    """An ONNX value: its name and what is known of it. ``rank``/``dims`` as in TensorType."""

    name: str
    dtype: DType
    dims: tuple[Dim, ...] | None

    @property
    def rank(self) -> int | None: ...

    @property
    def is_list(self) -> bool:
        """Whether it is a list of tensors (an ONNX sequence); ``dtype`` and ``dims`` are its elements'."""


class LoweredCall(Protocol):
    """One call of an operator."""

    schema: Schema
    results: Sequence[Type]

    def __getitem__(self, name: str) -> Any:
        """The argument of that name."""


class Emitter(Protocol):
    """Makes ONNX nodes. ``opset`` is the version of the default domain that is being written."""

    opset: int
    #: Values of which the shape is that of another one, which is asked instead, so that it is asked once.
    shaped_like: dict[Any, Any]

    @property
    def chooses(self) -> bool:
        """Whether the nodes are of a loop's body or a branch: a model that does not choose should not do so for one operator."""

    def op(
        self,
        op_type: str,
        *inputs: Any,
        outputs: int = 1,
        dtype: DType | Sequence[DType] | None = None,
        dims: Sequence[Dim] | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> Any:
        """Add a node; returns a Lowered (a tuple for several outputs).

        Inputs are Lowered, numpy arrays (become constants) or None (omitted). ``dtype`` of the result defaults to
        the first input's. Attributes that are None are left out.
        """

    def constant(self, value: Any, dtype: DType | None = None) -> Lowered:
        """A constant tensor."""

    def cast(self, value: Any, dtype: DType) -> Lowered:
        """The value (Lowered or Python number) in that element type; no node when it has it already."""

    def either(
        self, test: Any, then: Callable[[], Any], other: Callable[[], Any], dims: Sequence[Dim] | None
    ) -> Lowered:
        """What ``then`` or ``other`` makes, which are called once each, by a 0-d bool (or one of one element)."""

    def repeat(self, step: Callable[..., tuple[Any, ...]], *first: Any) -> Sequence[Any]:
        """What these values are after ``step``, which returns whether to go on and the new values, has said that it is enough."""

    def pairs(self, value: Any) -> Lowered:
        """The real numbers that a complex value is: one dimension more, of two."""

    def from_pairs(self, value: Any) -> Lowered:
        """The complex value that real numbers are whose last dimension is two."""

    def parts(self, value: Any) -> tuple[Any, Any]:
        """The real part and the imaginary part of a complex value."""

    def join(self, re: Any, im: Any) -> Lowered:
        """The complex value of two real ones of one element type and size."""

    def scalar(self, value: Any, dtype: DType) -> Lowered:
        """A Python number or run-time number as a 0-d tensor of that element type."""

    def ints(self, values: Any) -> Lowered:
        """A 1-D int64 tensor of a list of Python ints and run-time ints (Concat where needed)."""

    def dtype_of(self, value: Any) -> DType:
        """Element type of a Lowered, or the one a Python number has as a tensor."""

    def shape_of(self, value: Lowered) -> Lowered:
        """The shape as a 1-D int64 tensor (a constant when all sizes are known)."""

    def assumes(self, what: str) -> None:
        """Tell whoever exports what the nodes take for granted; they raise where it does not hold."""

    def unsupported(self, why: str) -> NoReturn:
        """Refuse: raises LoweringError with the user's line."""
