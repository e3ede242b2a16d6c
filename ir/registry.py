"""The operator registry: each operator is declared once, with everything that is known about it.

::

    @operator("aten::mul.Tensor(Tensor self, Tensor other) -> Tensor", types=broadcast, onnx="Mul", grad=mul_grad,
              samples=binary)
    def mul(self, other):
        return np.multiply(self, other)

The decorated function is the *kernel*, the readable definition on NumPy arrays and Python scalars, called with every
schema argument positionally, defaults filled in. The declarations live in ``bridge.ir.ops`` (one file per family) and
are loaded on the first look-up, so that importing the package costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from bridge.ir.errors import IRError, UnsupportedError
from bridge.ir.schema import Schema, parse_schema
from bridge.ir.types import Type

if TYPE_CHECKING:
    from bridge.ir.lowering import Emitter, LoweredCall
    from bridge.ir.rules import Call

__all__ = ["Operator", "Sample", "all_operators", "find", "operator", "overloads", "unsupported"]

Kernel = Callable[..., Any]
TypeRule = Callable[["Call"], "Type | Sequence[Type]"]
Lowering = Callable[["Emitter", "LoweredCall"], Any]
Gradient = Callable[..., Any]


class Sample:
    """Arguments for the tests of an operator: positional values (arrays, scalars, lists) and keywords."""

    __slots__ = ("args", "kwargs", "name")

    def __init__(self, *args: Any, _name: str = "", **kwargs: Any) -> None:
        self.args, self.kwargs, self.name = args, kwargs, _name


class Unsupported:
    """Stands where a lowering, gradient or kernel would: it is known to be impossible, and why."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise UnsupportedError(self.why)


def unsupported(why: str) -> Unsupported:
    """Declare that a part of an operator cannot be had, with the reason that the user is told."""
    return Unsupported(why)


class Operator:
    """One overload of an operator.

    ``kernel``      NumPy definition; None for operators that only a compiler sees.
    ``types``       result types from argument types and known values (see ``bridge.ir.rules``).
    ``onnx``        lowering to ONNX: an op_type for one node with the tensor arguments, or a function (see
                    ``bridge.ir.lowering``); :class:`Unsupported` with the reason when ONNX cannot express it.
    ``grad``        gradient; None when results never require grad; :class:`Unsupported` when they would and cannot.
    ``composite``   True when ``kernel`` is written with the tensor operations of its arguments instead of NumPy (so that
                    its gradient follows); it then takes arrays *or* tensors through the ``ops`` passed first.
    ``samples``     function returning the :class:`Sample` s of the tests.
    ``grad_name``   name of the autograd node (``AddBackward0``), as torch prints it; derived when None.
    ``side_effect`` True when the operator must not be removed or merged (random numbers, printing, raising).
    """

    __slots__ = (
        "composite", "grad", "grad_name", "kernel", "onnx", "samples", "schema", "side_effect", "types",
    )  # fmt: skip

    def __init__(self, schema: Schema, kernel: Kernel | None) -> None:
        self.schema, self.kernel = schema, kernel
        self.types: TypeRule | None = None
        self.onnx: str | Lowering | Unsupported | None = None
        self.grad: Gradient | Unsupported | None = None
        self.samples: Callable[[], Iterable[Sample]] | None = None
        self.grad_name: str | None = None
        self.composite = self.side_effect = False

    @property
    def name(self) -> str:
        """``aten::add``."""
        return self.schema.name

    def __repr__(self) -> str:
        return f"<Operator {self.schema.full_name}>"


_operators: dict[str, list[Operator]] = {}
_by_full_name: dict[str, Operator] = {}
_loaded = False


def operator(
    schema: str,
    *,
    types: TypeRule | None = None,
    onnx: str | Lowering | Unsupported | None = None,
    grad: Gradient | Unsupported | None = None,
    samples: Callable[[], Iterable[Sample]] | None = None,
    grad_name: str | None = None,
    composite: bool = False,
    side_effect: bool = False,
) -> Callable[[Kernel], Kernel]:
    """Declare an operator overload; decorates its kernel. Raises IRError when the overload is declared already."""
    parsed = parse_schema(schema)

    def declare(kernel: Kernel) -> Kernel:
        o = Operator(parsed, kernel)
        o.types, o.onnx, o.grad, o.samples = types, onnx, grad, samples
        o.grad_name, o.composite, o.side_effect = grad_name, composite, side_effect
        register(o)
        return kernel

    return declare


def register(o: Operator) -> None:
    """Add an operator made by hand. Raises IRError when the overload is declared already."""
    full = o.schema.full_name
    if full in _by_full_name:
        raise IRError(f"operator {full} is declared twice")
    _by_full_name[full] = o
    _operators.setdefault(o.schema.name, []).append(o)


def _load() -> None:
    global _loaded
    if not _loaded:
        _loaded = True
        import bridge.ir.ops  # noqa: F401  (declares the operators)


def overloads(name: str) -> Sequence[Operator]:
    """All overloads of ``"aten::add"`` in order of declaration; empty when there is no such operator."""
    _load()
    return _operators.get(name, ())


def find(name: str, overload: str = "") -> Operator | None:
    """The overload of that name, or None. ``name`` may be the full name (``aten::add.Tensor``)."""
    _load()
    return _by_full_name.get(f"{name}.{overload}" if overload else name)


def all_operators() -> Iterable[Operator]:
    """Every declared overload, in order of declaration."""
    _load()
    return _by_full_name.values()
