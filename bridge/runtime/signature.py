"""What arguments a program takes of which something was decided when it was exported: those of the model that it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.importers.onnx.values import declared_types
from bridge.ir import types as T
from bridge.ir.classes import Function
from bridge.ir.dtypes import by_numpy
from bridge.ir.errors import BridgeError
from bridge.tensor import Tensor

__all__ = ["Signature", "signature_of"]

_NUMBERS: dict[type, tuple[str, str]] = {
    bool: ("bool", "a bool"),
    int: ("int64", "an int"),
    float: ("float64", "a float"),
}


class Signature:
    """How the arguments of a program are made of the inputs of its model.

    ``exact`` is True when the kinds of arguments (element types, ranks, None or not) do not decide alone: values and sizes are
    fixed, too.
    """

    __slots__ = ("exact", "forms", "inputs", "names")

    def __init__(self, names: Sequence[str], forms: Sequence[Any], inputs: dict[str, T.Type]) -> None:
        self.names, self.forms, self.inputs = names, forms, inputs
        sized = any(isinstance(d, int) for t in inputs.values() if isinstance(t, T.TensorType) for d in t.dims or ())
        self.exact = sized or any(map(_fixes, forms))

    def check(self, values: Sequence[Any]) -> None:
        """Raises BridgeError, naming the argument, for values that the model does not take."""
        for name, form, value in zip(self.names, self.forms, values, strict=True):
            self._check(name, form, value)

    def _check(self, name: str, form: Any, value: Any) -> None:
        kind, what = form
        if kind == "in":
            self._check_input(name, self.inputs.get(what), value)
        elif kind == "is":
            held = value if value is None or isinstance(value, str | bool | int | float) else repr(value)
            if type(held) is not type(what) or held != what:
                raise _refused(name, _told(value), "None" if what is None else repr(what))
        elif value is None:
            raise _refused(name, "None", f"a {'list' if kind == 'values' else kind}")
        elif kind in ("tuple", "list"):
            if len(value) != len(what):
                raise _refused(name, f"a {kind} of {len(value)}", f"one of {len(what)}")
            for i, (f, v) in enumerate(zip(what, value, strict=True)):
                self._check(f"{name}[{i}]", f, v)
        elif kind == "dict":
            if list(value) != [k for k, _ in what]:
                raise _refused(name, f"a dict with the keys {list(value)}", f"one with {[k for k, _ in what]}")
            for k, f in what:
                self._check(f"{name}[{k!r}]", f, value[k])

    def _check_input(self, name: str, t: T.Type | None, value: Any) -> None:
        if not isinstance(t, T.TensorType) or t.dtype is None or t.dims is None:
            return
        if isinstance(value, Tensor):
            array = value._array
            dtype, dims = by_numpy(array.dtype), array.shape
            fits = len(dims) == len(t.dims) and all(
                d == n for d, n in zip(t.dims, dims, strict=True) if isinstance(d, int)
            )
            if dtype is not t.dtype or not fits:
                wanted = ", ".join("?" if d is None else str(d) for d in t.dims)
                raise _refused(name, f"{dtype.name}{list(dims)}", f"{t.dtype.name}[{wanted}]")
            return
        number = _NUMBERS.get(type(value))
        if number is None or number[0] != t.dtype.name or t.dims:
            wanted = next((text for n, text in _NUMBERS.values() if n == t.dtype.name and not t.dims), t.dtype.name)
            raise _refused(name, _told(value), wanted)


def signature_of(function: Function) -> Signature | None:
    """The signature of a function; None when nothing was decided, so that its text holds for all arguments."""
    kept = function.interface
    if kept is None or not kept.options.get("decided"):
        return None
    forms = kept.options["arguments"]
    own = function.schema.arguments[len(function.schema.arguments) - len(forms) :]
    return Signature([a.name for a in own], forms, declared_types(kept))


def _fixes(form: Any) -> bool:
    kind, what = form
    if kind == "is":
        return what is not None
    inside = [f for _, f in what] if kind == "dict" else what if kind in ("tuple", "list") else ()
    return kind in ("list", "dict") or any(map(_fixes, inside))


def _told(value: Any) -> str:
    return repr(value) if value is None or isinstance(value, str | bool | int | float) else f"a {type(value).__name__}"


def _refused(name: str, given: str, wanted: str) -> BridgeError:
    return BridgeError(
        f"argument '{name}' is {given}, but the program was exported for {wanted}, and branches were decided by that: "
        "export it with such an example, too"
    )
