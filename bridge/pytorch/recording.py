"""Telling a tracer what PyTorch is asked to do.

PyTorch offers every call of its functions, methods and properties to the active *function mode* before it runs. The mode
here runs the call as it is and records it: at this level a call is what PyTorch's own tracer records (``linear``, ``lstm``,
``layer_norm`` as themselves). What is more than one operator (indexing), another one than its name says (``float()``), or
none (sizes, conversions to Python) goes through the functions of :mod:`bridge` that know how a trace shows it; the
operators that these call run in PyTorch again (:meth:`Recorder.execute`).

PyTorch's functions that are written in Python hand themselves over first and as a whole; they are made to go on instead
(:mod:`bridge.pytorch.patches`), so that the native functions inside are seen.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge import _dispatch
from bridge._resolve import resolve, resolve_one
from bridge._tracing import convert
from bridge.ir.errors import UnsupportedError
from bridge.ir.registry import Operator, find, overloads
from bridge.ir.schema import parse_schema
from bridge.jit.trace_arguments import DECISIONS
from bridge.jit.trace_forms import taken_apart
from bridge.jit.trace_state import Tracer
from bridge.pytorch import library
from bridge.pytorch.patches import continues, continuing, recomputes_sizes
from bridge.pytorch.shadows import Shadows
from bridge.tensor import Tensor

__all__ = ["Recorder"]

Handler = Callable[["Recorder", Any, Sequence[Any], Mapping[str, Any]], Any]

#: Conversions to Python, and what a tracer calls them.
_FROZEN = {
    "item": "number", "tolist": "list", "__bool__": "boolean", "__nonzero__": "boolean", "__int__": "integer",
    "__long__": "integer", "__float__": "float", "__complex__": "complex", "__index__": "index", "numpy": "numpy",
    "stride": "stride",
}  # fmt: skip

#: Names that are others in the registry.
_OPERATOR_OF = {
    "__eq__": "eq", "__ne__": "ne", "__lt__": "lt", "__le__": "le", "__gt__": "gt", "__ge__": "ge",
    "__invert__": "bitwise_not", "T": "numpy_T", "absolute": "abs", "absolute_": "abs_", "H": "matrix_H",
    "special_polygamma": "polygamma",
}  # fmt: skip

#: Functions whose first tensor may be a number.
#: Operators whose methods take the tensor as the second argument: ``x.where(condition, other)``.
_SELF_IS_SECOND = ("aten::where", "aten::polygamma")
_TAKE_NUMBERS = frozenset(f"aten::{n}" for n in "add sub mul div true_divide floor_divide".split())

#: Methods that are ``to`` with one argument.
_CASTS = {
    "float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16", "long": "int64", "int": "int32",
    "short": "int16", "char": "int8", "byte": "uint8", "bool": "bool", "cfloat": "complex64", "cdouble": "complex128",
}  # fmt: skip


class Recorder:
    """Runs calls of PyTorch and records them with a tracer."""

    def __init__(self, tracer: Tracer, shadows: Shadows) -> None:
        self._tracer, self._shadows, self._torch = tracer, shadows, library()

    def mode(self) -> Any:
        """The function mode, a context manager."""
        recorder = self

        class Mode(self._torch.overrides.TorchFunctionMode):  # type: ignore[name-defined, misc]
            def __torch_function__(
                self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
            ) -> Any:
                return recorder.call(self, func, args, kwargs or {})

        return Mode()

    # -- calls --------------------------------------------------------------------------------------------------

    def call(self, mode: Any, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run one call that PyTorch offered, and record it."""
        if isinstance(func, types.FunctionType):
            native = getattr(self._torch._C.TensorBase, func.__name__, None)
            if func is self._torch.nn.functional.interpolate and recomputes_sizes(*args, **kwargs):
                from bridge.nn.functional import interpolate

                ours = self._shadows.ours(list(args)), self._shadows.ours(dict(kwargs))
                return self._shadows.theirs(interpolate(*ours[0], **ours[1]))
            if native is None or not continues(func):
                with continuing(func), mode:
                    return func(*args, **kwargs)
            func = native  # the Python method has gone on to the native one of the same name
        name = func.__name__
        if name in ("__get__", "__set__", "__delete__"):
            name = func.__self__.__name__ if name == "__get__" else name
        handler = _HANDLERS.get(name)
        if handler is not None:
            return handler(self, func, args, kwargs)
        return self._operator(func, name, args, kwargs)

    def run(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The call itself, on plain sizes."""
        return func(*map(_plain_size, args), **{k: _plain_size(v) for k, v in kwargs.items()})

    def execute(self, plan: Any, args: Sequence[Any]) -> Any:
        """Run an operator that one of our functions came to, in PyTorch, on the originals of its arguments."""
        schema = plan.schema
        namespace, _, short = schema.name.partition("::")
        target = getattr(getattr(getattr(self._torch.ops, namespace), short), schema.overload or "default")
        theirs = [self._shadows.theirs(a) for a in args]
        positional = [v for v, a in zip(theirs, schema.arguments, strict=True) if not a.kwarg_only]
        named = {a.name: v for v, a in zip(theirs, schema.arguments, strict=True) if a.kwarg_only}
        return self._shadows.ours(target(*positional, **named))

    def _operator(self, func: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        full, schema_of = _operator_name(func, name)
        if taken_apart(full):
            chosen, values, traced = resolve(full, self._shadows.ours(list(args)), self._shadows.ours(dict(kwargs)))
            if self._tracer.constituents(chosen, values) is not None:
                return self._shadows.theirs(_dispatch.call(chosen, values, traced))
        result = self.run(func, args, kwargs)
        if not _holds_tensor(result, self._torch) and full not in DECISIONS:
            if result is None and name.endswith("_") and not name.startswith("__"):
                raise UnsupportedError(f"tracing cannot record {name}: it writes to tensors and gives none")
            return result
        full = "aten::detach" if full == "aten::detach_" else full  # what torch's own trace says of it
        given = {k: v for k, v in kwargs.items() if k not in ("requires_grad", "out")}
        ours, named = self._shadows.ours(list(args)), self._shadows.ours(given)
        if full in _SELF_IS_SECOND and func is getattr(self._torch.Tensor, name, None):
            this = ours.pop(0)
            ours, named = ([ours[0], this, *ours[1:]], named) if ours else (ours, {**named, "self": this})
        if ours and isinstance(ours[0], int | float | complex) and full in _TAKE_NUMBERS:
            ours = [Tensor._wrap(np.asarray(ours[0])), *ours[1:]]
        operator, recorded = self._resolved(func, full, schema_of, ours, named, args, given)
        if kwargs.get("out") is not None:
            operator, recorded = _out_form(operator), [*recorded, self._shadows.ours(kwargs["out"])]
        self._tracer.record(operator, recorded, self._shadows.ours(result))
        return result

    def _resolved(
        self,
        func: Any,
        full: str,
        schema_of: Any,
        ours: Sequence[Any],
        named: Mapping[str, Any],
        args: Any,
        kwargs: Any,
    ) -> tuple[Operator, Sequence[Any]]:
        if schema_of is None and overloads(full):
            try:
                operator, values, traced = resolve(full, ours, named)
            except TypeError:  # an overload that only PyTorch has
                pass
            else:
                return operator, values if traced is None else traced
        operator = self._foreign(full, schema_of, func, args, kwargs)
        try:
            return operator, resolve_one(operator, ours, named)
        except TypeError as error:
            raise UnsupportedError(f"tracing cannot record this call of {full}: {error}") from None

    def _foreign(self, full: str, schema_of: Any, func: Any, args: Any, kwargs: Any) -> Operator:
        """An operator that only PyTorch declares: recorded by its schema there."""
        if schema_of is None:
            try:
                overload = self._torch._C._jit_resolve_packet(full, *args, **kwargs)
                packet = getattr(self._torch.ops.aten, full.partition("::")[2])
                schema_of = getattr(packet, overload or "default")._schema
            except (RuntimeError, AttributeError):
                raise UnsupportedError(
                    f"tracing cannot record {getattr(func, '__qualname__', func)}: it makes tensors, and is no operator"
                ) from None
        known = [o for o in overloads(full) if o.schema.overload == schema_of.overload_name]
        return known[0] if known else Operator(parse_schema(str(schema_of)), None)

    # -- what is no single operator -----------------------------------------------------------------------------

    def frozen(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A value leaves the tensors."""
        self._tracer.frozen(_FROZEN[func.__name__], self._shadows.of(args[0]))
        return func(*args, **kwargs)

    def size(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Sizes are tensors that stay connected to the trace."""
        self.run(func, args, kwargs)  # its complaints about the dimension
        tensor = self._shadows.of(args[0])
        dim = args[1] if len(args) > 1 else kwargs.get("dim")
        return self._shadows.theirs(tensor.size(dim) if dim is None else tensor.size(int(dim)))

    def numel(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        given = args[0] if args else kwargs["input"]
        return self._shadows.theirs(self._shadows.of(given).numel())

    def through(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """By the method of our tensors that has this name."""
        ours, named = self._shadows.ours(list(args)), self._shadows.ours(dict(kwargs))
        return self._shadows.theirs(getattr(Tensor, func.__name__)(*ours, **named))

    def to(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """``to`` and the methods that are ``to`` with an argument."""
        ours, named = self._shadows.ours(list(args)), self._shadows.ours(dict(kwargs))
        if func.__name__ in _CASTS:
            ours.insert(1, self._shadows.ours(getattr(self._torch, _CASTS[func.__name__])))
        elif func.__name__ == "cpu":
            ours.insert(1, "cpu")
        return self._shadows.theirs(convert(ours[0], ours[1:], named))

    def legacy_type(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return self.through(func, args, kwargs) if len(args) + len(kwargs) > 1 else func(*args, **kwargs)

    def data(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A tensor made from Python data."""
        made = func(*args, **kwargs)
        name: str = func.__name__
        given = args[1] if name == "new_tensor" and len(args) > 1 else args[0] if args else kwargs.get("data")
        source = self._shadows.of(given) if isinstance(given, self._torch.Tensor) else None
        what = name if name == "new_tensor" else f"torch.{name}"
        self._tracer.from_data(what, self._shadows.of(made), source)
        return made

    def as_tensor(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        given = args[0] if args else kwargs.get("data")
        if not isinstance(given, self._torch.Tensor):
            return self.data(func, args, kwargs)
        from bridge._creation import as_tensor

        return self._shadows.theirs(as_tensor(*self._shadows.ours(list(args)), **self._shadows.ours(dict(kwargs))))

    def assigned(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """An attribute of a tensor is set; ``data`` changes the tensor behind the tracer's back."""
        if func.__self__.__name__ == "data":
            self._tracer.frozen("data")
        return func(*args, **kwargs)

    def conj(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Real tensors are their own conjugates, of which nothing is recorded."""
        given = args[0] if args else kwargs["input"]
        return self._operator(func, "conj", args, kwargs) if given.is_complex() else func(*args, **kwargs)

    def nonzero(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if not kwargs.get("as_tuple"):
            return self._operator(func, "nonzero", args, {k: v for k, v in kwargs.items() if k != "as_tuple"})
        given = args[0] if args else kwargs["input"]
        return self._operator(_nonzero_numpy, "nonzero_numpy", [given], {})

    def untouched(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What a trace does not see."""
        return func(*args, **kwargs)


def _out_form(operator: Operator) -> Operator:
    """The overload that writes to a given tensor. Raises UnsupportedError when there is none."""
    schema = operator.schema
    names = [a.name for a in schema.arguments]
    for overload in (f"{schema.overload}_out", "out"):
        found = find(schema.name, overload)
        if found is not None and [a.name for a in found.schema.arguments] == [*names, "out"]:
            return found
    raise UnsupportedError(f"tracing cannot record {schema.full_name} with out=; assign the result instead")


def _nonzero_numpy(tensor: Any) -> Any:
    return tensor.nonzero(as_tuple=True)


def _operator_name(func: Any, name: str) -> tuple[str, Any]:
    """``aten::add`` of a function of PyTorch; with its schema when it is an operator by itself (``torch.ops``)."""
    if hasattr(func, "_schema"):
        return func._schema.name, func._schema
    if hasattr(func, "_qualified_op_name"):
        return func._qualified_op_name, None
    return "aten::" + _OPERATOR_OF.get(name, name), None


def _holds_tensor(value: Any, torch: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_holds_tensor(v, torch) for v in value)
    return isinstance(value, torch.Tensor)


def _plain_size(value: Any) -> Any:
    """Sizes that a trace made, as ints (they are tensors in a tuple of ours)."""
    from bridge.types import Size

    return tuple(map(int, value)) if isinstance(value, Size) else value


_HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_FROZEN, Recorder.frozen), "size": Recorder.size, "shape": Recorder.size, "numel": Recorder.numel,
    "nelement": Recorder.numel, "__getitem__": Recorder.through, "__setitem__": Recorder.through, "to": Recorder.to,
    **dict.fromkeys((*_CASTS, "cpu"), Recorder.to), "type": Recorder.legacy_type, "tensor": Recorder.data,
    "new_tensor": Recorder.data, "as_tensor": Recorder.as_tensor, "asarray": Recorder.as_tensor,
    "conj": Recorder.conj, "nonzero": Recorder.nonzero, "__set__": Recorder.assigned,
    **dict.fromkeys(("data", "grad", "frombuffer", "__delete__", "requires_grad_", "grad_fn", "_base"), Recorder.untouched),
}  # fmt: skip
