"""Makes ONNX nodes: the ``Emitter`` that operator lowerings are written against (see bridge.ir.lowering)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from bridge.exporters.onnx.pieces import WITHOUT_SPLIT, agreeing, cut
from bridge.exporters.onnx.records import Body, Origin, Record
from bridge.exporters.onnx.report import Report
from bridge.exporters.onnx.values import BOOL, INT64, Run, RunList, code_of
from bridge.ir import types as T
from bridge.ir.dtypes import DType, by_name, by_numpy, physical, real_dtype
from bridge.ir.errors import LoweringError
from bridge.ir.promotion import number_dtype
from bridge.ir.types import Dim

__all__ = ["OnnxEmitter"]

BFLOAT16, FLOAT32 = by_name("bfloat16"), by_name("float32")

_SEQUENCE_RESULTS = {"SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SplitToSequence"}


#: Operators to which it is all the same what a tensor holds.
_OF_ANYTHING = frozenset(
    ("Identity", "SequenceConstruct", "SequenceInsert", "SequenceErase", "SequenceAt", "SequenceLength")
)


#: Operators that onnxruntime's CPU provider (1.32) does not run in bfloat16, and that lowerings name without asking.
_NOT_OF_BFLOAT16 = frozenset(
    "Abs Add ArgMax ArgMin AveragePool BatchNormalization Compress Conv ConvTranspose Div Equal Expand IsNaN Log MaxPool Mul "
    "NegativeLogLikelihoodLoss Pad Reciprocal ReduceMax ReduceSum Size Sqrt Sub Where".split()
)


class OnnxEmitter:
    """Appends nodes to ``body``. ``origin`` is the statement being lowered, ``hint`` what its values are called."""

    def __init__(self, opset: int, report: Report | None = None) -> None:
        self.opset, self.report = opset, report
        self.shaped_like: dict[Any, Any] = {}
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
        if (
            not domain
            and op_type not in _OF_ANYTHING
            and any(isinstance(i, Run) and i.dtype.kind == "c" for i in inputs)
        ):
            self.unsupported("this cannot be done with complex tensors in ONNX, which has no complex numbers")
        if op_type == "Expand" and not domain and (shape := _of_nothing(*inputs)) is not None:
            return self.constant(np.zeros(shape, inputs[0].dtype.numpy), inputs[0].dtype)
        if op_type in _SEQUENCE_RESULTS and not domain and (dtype is BFLOAT16 or any(map(_is_bfloat16, inputs))):
            self.unsupported(
                "lists of bfloat16 tensors whose length is not known are not exported: ONNX has no such sequences"
            )
        if op_type in _NOT_OF_BFLOAT16 and not domain and any(map(_is_bfloat16, inputs)):
            return self._wider(op_type, inputs, outputs, dtype, dims, attributes)
        wired = [self._input(i) for i in inputs]
        while wired and wired[-1] is None:
            wired.pop()
        if dtype is None:
            first = next((i for i in inputs if i is not None), None)
            if first is None:
                raise LoweringError(f"the element type of {op_type} must be given")
            dtype = self.dtype_of(first)
        dtypes = [dtype] * outputs if isinstance(dtype, DType) else list(dtype)
        kind = RunList if op_type in _SEQUENCE_RESULTS and not domain else Run
        results = [kind(d, tuple(dims) if dims is not None else None, f"{self.hint}/{op_type}") for d in dtypes]
        attributes = {k.rstrip("_"): v for k, v in attributes.items() if v is not None}
        self.append(Record(op_type, domain, wired, list(results), attributes, self.origin))
        if op_type == "ConcatFromSequence" and not domain and wired[0] is not None:
            return agreeing(self, wired[0], results[0], attributes["axis"], attributes["new_axis"] == 1)
        return results[0] if outputs == 1 else tuple(results)

    def _wider(
        self, op_type: str, inputs: Sequence[Any], outputs: int, dtype: Any, dims: Any, attributes: dict[str, Any]
    ) -> Any:
        """A node on bfloat16, which computes in float32."""
        inputs = [self.cast(self._input(i), FLOAT32) if _is_bfloat16(i) else i for i in inputs]
        wanted = (
            [BFLOAT16] * outputs if dtype is None else [dtype] * outputs if isinstance(dtype, DType) else list(dtype)
        )
        wide = [FLOAT32 if d is BFLOAT16 else d for d in wanted]
        made = self.op(op_type, *inputs, outputs=outputs, dtype=wide, dims=dims, **attributes)
        results = [self.cast(m, d) for m, d in zip(made if outputs > 1 else (made,), wanted, strict=True)]
        return results[0] if outputs == 1 else tuple(results)

    def constant(self, value: Any, dtype: DType | None = None) -> Run:
        """A constant tensor; its node is made where it is used."""
        if isinstance(value, str | T.EnumValue):
            value, dtype = code_of(value), INT64
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
            if dtype.kind == "c" or value.dtype.kind == "c":
                return self._between_complex(value, dtype)
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
        value = self.shaped_like.get(value.root, value)
        if value.dtype.kind == "c":
            shape = self.op("Shape", self.pairs(value), dtype=INT64)
            return self.op("Slice", shape, np.array([0], np.int64), np.array([-1], np.int64), dims=(value.rank,))  # type: ignore[no-any-return]
        r: Run = self.op("Shape", value, dtype=INT64, dims=(value.rank,))
        return r

    # -- complex numbers: pairs of real ones in a last dimension of two ------------------------------------------------

    def pairs(self, value: Any) -> Run:
        """The real numbers that a complex value is: one dimension more, of two."""
        if value.constant is not None:
            return self.constant(physical(value.constant))
        r = Run(real_dtype(value.dtype), None if value.dims is None else (*value.dims, 2), value.hint)
        r.same_as, r.named = value.root, True
        return r

    def from_pairs(self, value: Any) -> Run:
        """The complex value that real numbers are whose last dimension is two."""
        dtype = by_name("complex128" if value.dtype.name == "float64" else "complex64")
        if value.constant is not None:
            return self.constant(np.ascontiguousarray(value.constant).view(dtype.numpy)[..., 0])
        r = Run(dtype, None if value.dims is None else value.dims[:-1], value.hint)
        r.same_as, r.named = value.root, True
        return r

    def parts(self, value: Any) -> tuple[Run, Run]:
        """The real part and the imaginary part of a complex value."""
        if value.constant is not None:
            return self.constant(value.constant.real), self.constant(value.constant.imag)
        if value.root.parts is not None:
            re, im = value.root.parts
            return re.another(), im.another()
        pairs = self.pairs(value)
        index = [self.op("Gather", pairs, np.array(k, np.int64), dims=value.dims, axis=-1) for k in (0, 1)]
        return index[0], index[1]

    def join(self, re: Any, im: Any) -> Run:
        """The complex value of two real ones of one element type and size."""
        if re.constant is not None and im.constant is not None:
            return self.from_pairs(self.constant(np.stack([re.constant, im.constant], -1)))
        last = np.array([-1], np.int64)
        dims = None if re.dims is None else (*re.dims, 1)
        both = [self.op("Unsqueeze", p, last, dims=dims) for p in (re, im)]
        made = self.op("Concat", *both, axis=-1, dims=None if re.dims is None else (*re.dims, 2))
        made.parts = re, im
        return self.from_pairs(made)

    def _between_complex(self, value: Run, dtype: DType) -> Run:
        if value.dtype.kind != "c":
            real = self.cast(value, real_dtype(dtype))
            return self.join(real, self.op("Sub", real, real, dims=real.dims))
        if dtype.kind != "c":
            return self.cast(self.parts(value)[0], dtype)
        re, im = (self.cast(p, real_dtype(dtype)) for p in self.parts(value))
        return self.join(re, im)

    @property
    def chooses(self) -> bool:
        """Whether what is made is part of a loop or branch already."""
        return self.body.name in ("body", "then", "else")

    def either(self, test: Any, then: Callable[[], Any], other: Callable[[], Any], dims: Sequence[Dim] | None) -> Run:
        """One of two values of one element type, of which only the one that is chosen is computed."""
        branches, outer = {"then_branch": Body(name="then"), "else_branch": Body(name="else")}, self.body
        condition = self._input(test)
        for body, make in zip(branches.values(), (then, other), strict=True):
            self.body = body
            made = make()
            value = self.materialise(made if isinstance(made, Run) else self.constant(made))
            body.outputs = [value if any(value in n.outputs for n in body.nodes) else self.identity(value)]
        self.body = outer
        chosen = Run(body.outputs[0].dtype, None if dims is None else tuple(dims), f"{self.hint}/If")
        self.append(Record("If", "", [condition], [chosen], dict(branches), self.origin))
        return chosen

    def repeat(self, step: Callable[..., tuple[Any, ...]], *first: Any) -> list[Run]:
        """Values of one element type and size each, again and again made new by ``step`` (once at least).

        ``step`` returns whether to go on, and then the new values.
        """
        held = [self._input(v) for v in first]
        params = [v.like(f"{self.hint}/in") for v in held if v is not None]
        body, outer = Body([Run(INT64, ()), Run(BOOL, ()), *params], name="body"), self.body
        self.body = body
        made = [self.materialise(v) for v in step(*params)]
        own = {out for n in body.nodes for out in n.outputs}
        body.outputs = [v if v in own else self.identity(v) for v in made]
        self.body = outer
        results = [p.like(f"{self.hint}/Loop") for p in params]
        self.append(Record("Loop", "", [None, None, *held], list(results), {"body": body}, self.origin))
        return results

    def unsupported(self, why: str) -> NoReturn:
        """Refuse with the user's line."""
        raise LoweringError(why, self.origin.node.range if self.origin is not None else None)

    def assumes(self, what: str) -> None:
        """Say in the report what a node takes for granted, with the user's line."""
        if self.report is not None:
            self.report.note("size assumed", what, self.origin.node.range if self.origin is not None else None)

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
        key = (id(self.body), array.dtype.str, array.shape, array.tobytes(), value.blank)
        made = self._constants.get(key)
        if made is None:
            made = self._constants[key] = Run(value.dtype, array.shape, value.hint, number=value.number)
            made.blank = value.blank
            self.append(Record("Constant", "", [], [made], {"value": physical(array)}, self.origin))
        return made

    def identity(self, value: Run) -> Run:
        """A new name for the value."""
        value = self.materialise(value)
        new = value.like(f"{self.hint}/Identity")
        self.append(Record("Identity", "", [value], [new], {}, self.origin))
        return new


def _is_bfloat16(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return by_numpy(value.dtype) is BFLOAT16
    return isinstance(value, Run) and value.dtype is BFLOAT16


def _of_nothing(x: Any, shape: Any) -> list[Any] | None:
    """The known sizes of an expanded tensor without elements; None for every other. onnxruntime (1.32) takes an ``Expand`` to a
    constant shape with a 0 in it for one that does nothing."""
    wanted = shape if isinstance(shape, np.ndarray) else getattr(shape, "constant", None)
    if wanted is None or 0 not in wanted or not isinstance(x, Run) or x.dims is None or len(wanted) < len(x.dims):
        return None
    own = [1] * (len(wanted) - len(x.dims)) + list(x.dims)
    made = [d if n == 1 else int(n) for d, n in zip(own, wanted.tolist(), strict=True)]
    return made if all(isinstance(d, int) for d in made) else None
