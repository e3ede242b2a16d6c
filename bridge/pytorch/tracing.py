"""Tracing what runs on PyTorch: a host for ``bridge.jit.trace`` whose code computes with PyTorch's tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge import _dispatch
from bridge.ir.classes import Function, ScriptObject
from bridge.ir.graph import Value
from bridge.jit import running
from bridge.jit.frames import Caller, calling_torch
from bridge.jit.trace_hosts import Host, module_paths
from bridge.jit.trace_state import Tracer
from bridge.jit.trace_warnings import FrozenWarning
from bridge.jit.values import match_arguments
from bridge.pytorch import calls, library
from bridge.pytorch.patches import Answers, asked, warning_classes
from bridge.pytorch.programs import bound_method
from bridge.pytorch.recording import Recorder
from bridge.pytorch.shadows import Shadows
from bridge.pytorch.tensors import nested
from bridge.tensor import Tensor

__all__ = ["TorchHost", "TorchTracer"]


class TorchTracer(Tracer):
    """A tracer of code that runs on PyTorch. It knows our shadows of PyTorch's tensors."""

    def __init__(self, paths: Mapping[Any, str], strict: bool, force_outplace: bool) -> None:
        super().__init__({}, strict, force_outplace)
        self.shadows = Shadows()
        self._paths = paths
        self._running: Callable[..., Any] | None = None
        self._calls = Recorder(self, self.shadows)
        self.execute = self._calls.execute

    def calling(self, operator: str = "") -> Caller:
        return calling_torch()

    def seen(self, held: Any) -> Any:
        return held.__dict__.get("_torch", held) if isinstance(held, Tensor) else held

    def category(self, category: type[Warning]) -> type[Warning]:
        plain, frozen = warning_classes()
        return frozen if issubclass(category, FrozenWarning) else plain

    def bind(self, held: Any, v: Value) -> None:
        if isinstance(held, Tensor):
            self.shadows.adopt(held)
        super().bind(held, v)

    def run(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call PyTorch code on our values, recording."""
        theirs, named = self.shadows.theirs(list(args)), self.shadows.theirs(dict(kwargs))
        with asked(self._questions()), self._calls.mode():
            out = func(*theirs, **named)
        return self.shadows.ours(out)

    def _questions(self) -> Answers:
        return Answers(self._paths, self.named_scope, self._from_numpy, self._call_program)

    def _from_numpy(self, made: Any) -> None:
        with library()._C.DisableTorchFunction():
            self.from_data("torch.from_numpy", self.shadows.of(made))

    # -- programs inside ----------------------------------------------------------------------------------------

    def call(
        self, function: Function, owner: ScriptObject | None, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """A program of ours, called by PyTorch code."""
        with library()._C.DisableTorchFunction():
            result = super().call(function, owner, self.shadows.ours(list(args)), self.shadows.ours(dict(kwargs)))
            return self.shadows.theirs(result)

    def _call_program(
        self, called: Any, run: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """A program of PyTorch, called by PyTorch code: recorded as a call of the same program here."""
        with library()._C.DisableTorchFunction():
            function, owner = bound_method(called)
            self._running = run
            try:
                result = super().call(function, owner, self.shadows.ours(list(args)), self.shadows.ours(dict(kwargs)))
            finally:
                self._running = None
            return self.shadows.theirs(result)

    def run_program(self, function: Function, arguments: list[Any]) -> Any:
        owner = arguments[0] if arguments and isinstance(arguments[0], ScriptObject) else None
        given = [self.shadows.theirs(a) for a in arguments[owner is not None :]]
        if self._running is not None:
            return self.shadows.ours(self._running(*given))
        _dispatch.tracer = None
        try:
            return self.shadows.ours(calls.call(_interpreted, function, owner, given, {}))
        finally:
            _dispatch.tracer = self


def _interpreted(function: Function, owner: ScriptObject | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    return running.interpret(function, match_arguments(function.schema, args, kwargs, owner))


class TorchHost(Host):
    """Code that computes with PyTorch's tensors."""

    def inputs(self, held: Any) -> Any:
        return nested(held)

    def function(self, func: Callable[..., Any]) -> Callable[..., Any]:
        from bridge.pytorch.tensors import to_torch

        def run(*args: Any, **kwargs: Any) -> Any:
            if isinstance(_dispatch.tracer, TorchTracer):
                return _dispatch.tracer.run(func, args, kwargs)
            return nested(func(*to_torch(list(args)), **to_torch(kwargs)))

        return run

    def tracer(self, strict: bool, force_outplace: bool) -> Tracer:
        paths = dict(module_paths(self.root)) if self.root is not None else {}
        return TorchTracer(paths, strict, force_outplace)
