"""``ops.aten.add``: TorchScript's own operators by name, as PyTorch has them in ``torch.ops``.

An operator is called as a whole, and the overload that takes the arguments runs, or by overload: ``ops.aten.add.Tensor``,
``ops.aten.relu.default``. In a program it becomes one node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge import _dispatch
from bridge._resolve import resolve_one
from bridge.ir.registry import Operator, overloads

__all__ = ["OperatorNamespace", "OperatorOverload", "OperatorPacket"]


class OperatorNamespace:
    """``ops.aten``"""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> OperatorPacket:
        if name.startswith("__") or not overloads(f"{self.name}::{name}"):
            raise AttributeError(f"'_OpNamespace' '{self.name}' object has no attribute '{name}'")
        return OperatorPacket(f"{self.name}::{name}")

    def __repr__(self) -> str:
        return f"<operators {self.name}>"


class OperatorPacket:
    """``ops.aten.add``: all overloads of an operator."""

    __slots__ = ("__operator__",)

    def __init__(self, name: str) -> None:
        self.__operator__ = name

    def overloads(self) -> list[str]:
        """The names of the overloads; ``"default"`` for the one without a name."""
        return [o.schema.overload or "default" for o in overloads(self.__operator__)]

    def __getattr__(self, name: str) -> OperatorOverload:
        wanted = "" if name == "default" else name
        for o in overloads(self.__operator__):
            if o.schema.overload == wanted:
                return OperatorOverload(o)
        raise AttributeError(f"The underlying op of '{self}' has no overload name '{name}'")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the overload that takes the arguments. Raises RuntimeError, for the only overload with torch's text, or TypeError."""
        found = overloads(self.__operator__)
        if len(found) == 1:
            return OperatorOverload(found[0])(*args, **kwargs)
        try:
            return _dispatch.invoke_function(self.__operator__, args, kwargs)
        except TypeError as e:
            raise RuntimeError(
                f"Overloaded torch operator invoked from Python failed to match any schema:\n{_reasons(found, args, kwargs) or e}"
            ) from None

    def __str__(self) -> str:
        return self.__operator__.replace("::", ".")

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='{self}')>"


def _reasons(found: Sequence[Operator], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Why each overload does not take the arguments."""
    from bridge.jit.values import match_arguments

    reasons = []
    for o in found:
        try:
            match_arguments(o.schema, args, kwargs)
        except RuntimeError as e:
            reasons.append(f"{e}\n")
    return "\n".join(reasons)


class OperatorOverload:
    """``ops.aten.add.Tensor``: one overload."""

    __slots__ = ("operator",)

    def __init__(self, operator: Operator) -> None:
        self.operator = operator

    @property
    def __operator__(self) -> str:
        """The operator: a program finds the overload by the types."""
        return self.operator.schema.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it. Raises RuntimeError, with torch's text, for arguments that it does not take."""
        from bridge.jit.values import match_arguments

        values = match_arguments(self.operator.schema, args, kwargs)
        traced = resolve_one(self.operator, args, kwargs) if _dispatch.tracer is not None else None
        result = _dispatch.call(self.operator, values, traced)
        return tuple(result) if type(result) is list else result

    def __str__(self) -> str:
        return f"{self.__operator__.replace('::', '.')}.{self.operator.schema.overload or 'default'}"

    def __repr__(self) -> str:
        schema = self.operator.schema
        return f"<OpOverload(op='{schema.name.replace('::', '.')}', overload='{schema.overload or 'default'}')>"
