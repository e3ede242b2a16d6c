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

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from bridge.ir.errors import IRError, SchemaError, UnsupportedError
from bridge.ir.schema import Schema, parse_schema
from bridge.ir.types import Type

if TYPE_CHECKING:
    from bridge.ir.lowering import Emitter, LoweredCall
    from bridge.ir.rules import Call

__all__ = ["Operator", "Sample", "all_operators", "find", "in_order", "operator", "overloads", "run", "unsupported"]

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
        "_schema", "composite", "full_name", "grad", "grad_name", "kernel", "name", "onnx", "samples", "side_effect", "types",
    )  # fmt: skip

    def __init__(self, schema: Schema | str, kernel: Kernel | None) -> None:
        self._schema, self.kernel = schema, kernel
        self.full_name = schema.partition("(")[0] if isinstance(schema, str) else schema.full_name
        self.name = self.full_name.partition(".")[0]
        self.types: TypeRule | None = None
        self.onnx: str | Lowering | Unsupported | None = None
        self.grad: Gradient | Unsupported | None = None
        self.samples: Callable[[], Iterable[Sample]] | None = None
        self.grad_name: str | None = None
        self.composite = self.side_effect = False

    @property
    def schema(self) -> Schema:
        """The schema, parsed when it is first asked for (there are a thousand, and a program uses few)."""
        if isinstance(self._schema, str):
            self._schema = parse_schema(self._schema)
        return self._schema

    def complete(self, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> list[Any]:
        """All arguments in schema order, missing ones by keyword or default. Raises SchemaError for one without."""
        values = list(args)
        for a in self.schema.arguments[len(values) :]:
            if kwargs and a.name in kwargs:
                values.append(kwargs[a.name])
            elif a.has_default:
                values.append(list(a.default) if isinstance(a.default, list) else a.default)
            else:
                raise SchemaError(f"{self.schema.full_name} is missing its argument '{a.name}'")
        return values

    def run(self, *args: Any) -> Any:
        """Execute the kernel on arrays and Python values; missing trailing arguments take their defaults."""
        if self.kernel is None:
            raise UnsupportedError(f"{self.schema.full_name} cannot be executed by itself")
        if len(args) < len(self.schema.arguments):
            args = tuple(self.complete(args))
        return self.kernel(run, *args) if self.composite else self.kernel(*args)

    def __repr__(self) -> str:
        return f"<Operator {self.schema.full_name}>"


def run(full_name: str, *args: Any) -> Any:
    """Execute an operator's kernel on arrays and Python values: what composite kernels get as ``ops``."""
    o = find(full_name)
    if o is None:
        raise IRError(f"there is no operator {full_name}")
    return o.run(*args)


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

    def declare(kernel: Kernel) -> Kernel:
        o = Operator(schema, kernel)
        o.types, o.onnx, o.grad, o.samples = types, onnx, grad, samples
        o.grad_name, o.composite, o.side_effect = grad_name, composite, side_effect
        register(o)
        return kernel

    return declare


def register(o: Operator) -> None:
    """Add an operator made by hand. Raises IRError when the overload is declared already."""
    full = o.full_name
    if full in _by_full_name:
        raise IRError(f"operator {full} is declared twice")
    _by_full_name[full] = o
    _operators.setdefault(o.name, []).append(o)


def in_order(name: str, order: str) -> None:
    """Put the overloads of an operator into another order than that of declaration: names apart by blanks, ``-`` for none."""
    words = ["" if w == "-" else w for w in order.split()]

    def place(o: Operator) -> int:
        overload = o.full_name.partition(".")[2]
        return words.index(overload) if overload in words else len(words)

    _operators[name].sort(key=place)


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
    full = f"{name}.{overload}" if overload else name
    found = _by_full_name.get(full)
    if found is None and full.endswith("out"):
        from bridge.ir.ops._declare import out_variant

        found = out_variant(full)
    return found


def all_operators() -> Iterable[Operator]:
    """Every declared overload, in order of declaration."""
    _load()
    return _by_full_name.values()
