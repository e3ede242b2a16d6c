"""Calls of programs with PyTorch's tensors: they go in without a copy, the results come back as PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge import autograd
from bridge.autograd.grad_mode import enable_grad, no_grad, state
from bridge.ir.classes import Function, ScriptObject
from bridge.ir.types import Type
from bridge.jit.values import out_of
from bridge.pytorch import library
from bridge.pytorch.programs import origin_of
from bridge.pytorch.tensors import from_torch, mark_written, nested, to_torch
from bridge.tensor import Tensor

__all__ = ["call", "call_back"]

Run = Callable[[Function, "ScriptObject | None", Sequence[Any], Mapping[str, Any]], Any]


def call(
    run: Run, function: Function, owner: ScriptObject | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """``run`` with arguments that hold tensors of PyTorch.

    Where PyTorch records gradients, the call becomes one node of its tape: it gives gradients to the arguments and to the
    module's parameters that came from PyTorch, worked out by running the program again with ours.
    """
    torch = library()
    wanted = _wanting_grad(owner, args, kwargs) if torch.is_grad_enabled() else []
    if not wanted:
        with no_grad():
            given = nested(list(args)), nested(dict(kwargs))
            before = _versions(given)
            result = run(function, owner, *given)
        mark_written(before)
        return to_torch(result)
    made = _node(torch).apply(_Recorded(run, function, owner, args, kwargs, wanted), *wanted)
    shape = made[-1]
    return shape(list(made[:-1]))


def _versions(given: Any) -> dict[int, tuple[Tensor, int]]:
    return {id(t): (t, t._version) for t in _tensors(given)}


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in _tensors(v)] if isinstance(value, list | tuple) else []


def call_back(function: Callable[..., Any], args: Sequence[Any], types: Sequence[Type]) -> Any:
    """Call a Python function of a program (one marked ``ignore``) that expects PyTorch's tensors and modules.

    ``types`` are those that the program gives to the arguments.

    Raises RuntimeError while gradients are recorded: they would not go through it.
    """
    if state.enabled and any(t.requires_grad for t in _tensors([_values(a) for a in args])):
        raise RuntimeError(
            f"gradients do not go through '{getattr(function, '__name__', function)}', which is marked ignore: call the program "
            "under torch.no_grad()"
        )
    given = [
        origin_of(a) if isinstance(a, ScriptObject) and a.type.is_module else to_torch(out_of(a, t))
        for a, t in zip(args, types, strict=True)
    ]
    before = [(a, t, t._version) for a, t in zip(args, given, strict=True) if isinstance(a, Tensor)]
    with library().no_grad():
        result = nested(function(*given))
    for ours, theirs, version in before:
        if theirs._version != version:
            ours._share_counter()[0] += 1
    return result


def _values(a: Any) -> Any:
    """What of an argument a gradient may be wanted for."""
    return [_values(v) for v in a.attributes.values()] if isinstance(a, ScriptObject) else a


# -- gradients ---------------------------------------------------------------------------------------------------------


def _wanting_grad(owner: ScriptObject | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """PyTorch's tensors that need a gradient: those given, then the module's, each once."""
    torch = library()
    found: dict[int, Any] = {}

    def visit(value: Any) -> None:
        if isinstance(value, Tensor):
            origin = value.__dict__.get("_torch")
            if origin is not None:
                value._requires_grad = origin.requires_grad  # it may have been switched there
                value = origin
        if isinstance(value, torch.Tensor):
            if value.requires_grad:
                found[id(value)] = value
        elif isinstance(value, list | tuple):
            for v in value:
                visit(v)
        elif isinstance(value, dict):
            visit(list(value.values()))
        elif isinstance(value, ScriptObject):
            visit(list(value.attributes.values()))

    visit([*args, *kwargs.values()])
    visit(owner)
    return list(found.values())


class _Recorded:
    """One call, and what its gradient needs."""

    def __init__(
        self,
        run: Run,
        function: Function,
        owner: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        wanted: list[Any],
    ) -> None:
        self.run, self.function, self.owner, self.wanted = run, function, owner, wanted
        self.leaves = [self._leaf(t) for t in wanted]
        by_origin = {id(t): leaf for t, leaf in zip(wanted, self.leaves, strict=True)}
        self.args = _replaced(list(args), by_origin)
        self.kwargs = _replaced(dict(kwargs), by_origin)
        self.versions = [t._version for t in wanted]
        self.results: list[Tensor] = []

    @staticmethod
    def _leaf(t: Any) -> Tensor:
        """Our tensor of a leaf; of a result of other operations, a leaf of our own over its memory."""
        ours = from_torch(t)
        if not t.is_leaf:
            array, ours = ours._array, Tensor._wrap(ours._array)
            ours._array = array
            ours._expose()
            ours._requires_grad = True
        return ours

    def forward(self) -> Callable[[list[Any]], Any]:
        """Run; the tensors of the result are in ``results``, and what is returned puts their replacements in place."""
        before = _versions((self.args, self.kwargs, self.leaves))
        with enable_grad():
            result = self.run(self.function, self.owner, self.args, self.kwargs)
        if any(t.requires_grad and t._version != version for t, version in before.values()):
            raise RuntimeError(
                f"{self.function.name} writes to a tensor that PyTorch records gradients for: call it under torch.no_grad(), "
                "or with copies"
            )
        mark_written(before)
        self.results = _tensors(result)
        return lambda replacements: _rebuilt(result, iter(replacements))

    def backward(self, grads: Sequence[Any]) -> list[Any]:
        """The gradients of ``wanted``."""
        if [t._version for t in self.wanted] != self.versions:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: an "
                f"argument or parameter of '{self.function.name}' changed after it ran"
            )
        used = [
            (r, from_torch(g)) for r, g in zip(self.results, grads, strict=True) if g is not None and r.requires_grad
        ]
        if not used:
            return [None] * len(self.leaves)
        results, given = zip(*used, strict=True)
        found = autograd.grad(list(results), self.leaves, list(given), allow_unused=True, retain_graph=True)
        return [None if g is None else to_torch(g.detach()) for g in found]


def _replaced(value: Any, by_origin: Mapping[int, Tensor]) -> Any:
    known = by_origin.get(id(value))
    if known is not None:
        return known
    if isinstance(value, list):
        return [_replaced(v, by_origin) for v in value]
    if isinstance(value, tuple):
        made = [_replaced(v, by_origin) for v in value]
        return type(value)(*made) if hasattr(value, "_fields") else nested(tuple(made))
    if isinstance(value, dict):
        return {k: _replaced(v, by_origin) for k, v in value.items()}
    return nested(value)


def _rebuilt(value: Any, replacements: Any) -> Any:
    """The result with the next of the replacements in the place of each tensor, in the order of :func:`_tensors`."""
    if isinstance(value, Tensor):
        return next(replacements)
    if isinstance(value, list):
        return [_rebuilt(v, replacements) for v in value]
    if isinstance(value, tuple):
        made = [_rebuilt(v, replacements) for v in value]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    if isinstance(value, dict):
        return {k: _rebuilt(v, replacements) for k, v in value.items()}
    return to_torch(value)


_made: list[Any] = []


def _node(torch: Any) -> Any:
    """The kind of node that a call is on PyTorch's tape."""
    if _made:
        return _made[0]

    class BridgeProgram(torch.autograd.Function):  # type: ignore[misc]
        """A call of a program."""

        @staticmethod
        def forward(ctx: Any, call: _Recorded, *tensors: Any) -> Any:
            rebuild = call.forward()
            ctx.call = call
            made = [to_torch(t.detach()) for t in call.results]
            ctx.mark_non_differentiable(*(m for m, t in zip(made, call.results, strict=True) if not t.requires_grad))
            ctx.set_materialize_grads(False)
            return (*made, rebuild)

        @staticmethod
        @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
        def backward(ctx: Any, *grads: Any) -> Any:
            return (None, *ctx.call.backward(grads[:-1]))

    _made.append(BridgeProgram)
    return BridgeProgram
