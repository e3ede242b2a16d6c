"""Makes ONNX nodes: the ``Emitter`` that operator lowerings are written against (see bridge.ir.lowering)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from bridge.exporters.onnx.pieces import WITHOUT_SPLIT, cut
from bridge.exporters.onnx.records import Body, Origin, Record
from bridge.exporters.onnx.values import INT64, Run, RunList
from bridge.ir.dtypes import DType, by_numpy
from bridge.ir.errors import LoweringError
from bridge.ir.promotion import number_dtype
from bridge.ir.types import Dim

__all__ = ["OnnxEmitter"]

_SEQUENCE_RESULTS = {"SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SplitToSequence"}


class OnnxEmitter:
    """Appends nodes to ``body``. ``origin`` is the statement being lowered, ``hint`` what its values are called."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.body = Body()
        self.origin: Origin | None = None
        self.hint = ""
        self._constants: dict[tuple[Any, ...], Run] = {}

    def begin(self, origin: Origin | None, hint: str) -> None:
        """Start a statement: constants are shared within it, in one body."""
        self.origin, self.hint = origin, hint
        self._constants = {}

    # -- the protocol of bridge.ir.lowering ----------------------------------------------------------------------

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
        """Add a node; see :class:`bridge.ir.lowering.Emitter`."""
        if op_type == "SplitToSequence" and not domain and inputs[0].dtype.name in WITHOUT_SPLIT:
            length = inputs[1] if len(inputs) > 1 else None
            return cut(self, inputs[0], length, attributes["axis"], None if dims is None else tuple(dims))
        wired = [self._input(i) for i in inputs]
        while wired and wired[-1] is None:
            wired.pop()
        if dtype is None:
            first = next((w for w in wired if w is not None), None)
            if first is None:
                raise LoweringError(f"the element type of {op_type} must be given")
            dtype = first.dtype
        dtypes = [dtype] * outputs if isinstance(dtype, DType) else list(dtype)
        kind = RunList if op_type in _SEQUENCE_RESULTS and not domain else Run
        results = [kind(d, tuple(dims) if dims is not None else None, f"{self.hint}/{op_type}") for d in dtypes]
        attributes = {k.rstrip("_"): v for k, v in attributes.items() if v is not None}
        self.append(Record(op_type, domain, wired, list(results), attributes, self.origin))
        return results[0] if outputs == 1 else tuple(results)

    def constant(self, value: Any, dtype: DType | None = None) -> Run:
        """A constant tensor; its node is made where it is used."""
        if dtype is None:
            dtype = by_numpy(value.dtype) if isinstance(value, np.ndarray) else self.dtype_of(value)
        array = np.asarray(value).astype(dtype.numpy)
        r = Run(dtype, array.shape, f"{self.hint}/Constant")
        r.constant = array
        return r

    def cast(self, value: Any, dtype: DType) -> Run:
        """The value in that element type."""
        if isinstance(value, Run):
            if value.dtype is dtype:
                return value
            if value.constant is not None:
                return self.constant(value.constant, dtype)
            if dtype.kind == "c":
                self.unsupported("onnxruntime computes nothing in complex numbers")
            r: Run = self.op("Cast", value, dtype=dtype, dims=value.dims, to=dtype.onnx)
            return r
        return self.constant(value, dtype)

    def scalar(self, value: Any, dtype: DType) -> Run:
        """A number as a 0-d tensor."""
        return self.cast(value, dtype)

    def ints(self, values: Any) -> Run:
        """A 1-D int64 tensor of Python ints and run-time ints."""
        if isinstance(values, Run):
            if values.dims is not None and len(values.dims) == 1:
                return self.cast(values, INT64)
            values = [values]
        parts: list[Run] = []
        plain: list[int] = []
        for v in [values] if isinstance(values, int) else values:
            if not isinstance(v, Run):
                plain.append(int(v))
                continue
            if plain:
                parts.append(self.constant(np.array(plain, np.int64)))
                plain = []
            one = self.cast(v, INT64)
            parts.append(self.op("Reshape", one, np.array([1], np.int64), dims=(1,)))
        if plain or not parts:
            parts.append(self.constant(np.array(plain, np.int64)))
        if len(parts) == 1:
            return parts[0]
        r: Run = self.op("Concat", *parts, dims=(len(values),), axis=0)
        return r

    def dtype_of(self, value: Any) -> DType:
        """Element type of a Run, or the one a Python number has as a tensor."""
        if isinstance(value, Run):
            return value.dtype
        if isinstance(value, np.ndarray):
            return by_numpy(value.dtype)
        if isinstance(value, list | tuple):
            return self.dtype_of(value[0]) if value else INT64
        return number_dtype(value)

    def shape_of(self, value: Any) -> Run:
        """The shape as a 1-D int64 tensor."""
        if isinstance(value, np.ndarray):
            return self.constant(np.array(value.shape, np.int64))
        if value.dims is not None and all(isinstance(d, int) for d in value.dims):
            return self.constant(np.array(value.dims, np.int64))
        r: Run = self.op("Shape", value, dtype=INT64, dims=(value.rank,))
        return r

    def unsupported(self, why: str) -> NoReturn:
        """Refuse with the user's line."""
        raise LoweringError(why, self.origin.node.range if self.origin is not None else None)

    # -- underneath ------------------------------------------------------------------------------------------------

    def append(self, record: Record) -> None:
        self.body.nodes.append(record)

    def _input(self, value: Any) -> Run | None:
        if value is None:
            return None
        if not isinstance(value, Run):
            value = self.constant(value)
        return self.materialise(value)

    def materialise(self, value: Run) -> Run:
        """The value as something that a node made: a pending constant gets its node here."""
        value = value.root
        if value.constant is None:
            return value
        array = value.constant
        if array.dtype.kind == "c":
            self.unsupported("onnxruntime computes nothing in complex numbers")
        key = (id(self.body), array.dtype.str, array.shape, array.tobytes(), value.blank)
        made = self._constants.get(key)
        if made is None:
            made = self._constants[key] = Run(value.dtype, array.shape, value.hint, number=value.number)
            made.blank = value.blank
            self.append(Record("Constant", "", [], [made], {"value": array}, self.origin))
        return made

    def identity(self, value: Run) -> Run:
        """A new name for the value."""
        value = self.materialise(value)
        new = value.like(f"{self.hint}/Identity")
        self.append(Record("Identity", "", [value], [new], {}, self.origin))
        return new
