"""Functions and methods of a program as Python objects: look at them, call them, save them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from bridge import _dispatch
from bridge.ir.classes import Function, ScriptObject
from bridge.ir.graph import Graph
from bridge.ir.schema import Schema
from bridge.jit import running
from bridge.jit.values import match_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["ConstMap", "OverloadedMethod", "ScriptFunction", "ScriptMethod"]


class ConstMap:
    """The tensors that a printed program calls ``CONSTANTS.c0``, ``CONSTANTS.c1``…, by attribute or by index."""

    def __init__(self, constants: Sequence[Any]) -> None:
        self.const_mapping = {f"c{i}": c for i, c in enumerate(constants)}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["const_mapping"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.const_mapping)


class _Callable:
    """Shared by functions and methods: the texts."""

    _function: Function
    __call__: Callable[..., Any]

    @property
    def graph(self) -> Graph:
        """The graph, one per function; printing it gives TorchScript's text."""
        return self._function.graph

    @property
    def inlined_graph(self) -> Graph:
        """A copy of the graph with every call of a method or function replaced by what it does."""
        from bridge.ir.passes.inline import inlined_graph

        return inlined_graph(self._function)

    def graph_for(self, *args: Any, **kwargs: Any) -> Graph:
        """The graph that runs for these arguments, all calls inlined; runs it."""
        self(*args, **kwargs)
        return self.inlined_graph

    @property
    def schema(self) -> Schema:
        """Names, types and defaults of arguments and results."""
        return self._function.schema

    @property
    def name(self) -> str:
        return self._function.name

    @property
    def code(self) -> str:
        """The program as Python."""
        from bridge.exporters.python import print_function

        shown = self._shown()
        return print_function(shown, method=None if shown is self._function else True)

    def _shown(self) -> Function:
        """The function that is printed: of an imported ONNX model with loops for the nodes that hold graphs."""
        if self._function.graph.foreign is None:
            return self._function
        from bridge.importers.onnx.readable import with_loops

        return with_loops(self._function)


class ScriptFunction(_Callable):
    """A scripted or traced function."""

    def __init__(self, function: Function) -> None:
        self._function = function

    @property
    def qualified_name(self) -> str:
        return self._function.qualified_name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it. Raises RuntimeError (torch's texts) for arguments that its schema does not take."""
        if _dispatch.tracer is not None:
            return _dispatch.tracer.call(self._function, None, args, kwargs)
        entry = self._function.runtime
        if entry is not None and entry.quick is not None and not kwargs:  # as in running.call, where a call is much
            found = entry.quick(args)
            if found is not running.MISS:
                return found
        return running.call(self._function, None, args, kwargs)

    def save(self, f: Any, _extra_files: dict[str, Any] | None = None) -> None:
        """Write a TorchScript archive."""
        from bridge.jit.archive import save

        save(self, f, _extra_files=_extra_files)

    def save_to_buffer(self, _extra_files: dict[str, Any] | None = None) -> bytes:
        """A TorchScript archive as bytes."""
        import io

        f = io.BytesIO()
        self.save(f, _extra_files=_extra_files)
        return f.getvalue()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise pickle.PickleError("ScriptFunction cannot be pickled")

    def __deepcopy__(self, memo: Any) -> NoReturn:
        raise pickle.PickleError("ScriptFunction cannot be pickled")


class OverloadedMethod:
    """A method that was declared with several signatures: the first that takes the arguments runs."""

    def __init__(self, methods: Sequence[ScriptMethod]) -> None:
        self.methods = list(methods)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raises RuntimeError, with the reason of each, when no signature takes the arguments."""
        return self.taking(args, kwargs)(*args, **kwargs)

    def taking(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ScriptMethod:
        """The method whose signature takes the arguments. Raises RuntimeError."""
        reasons = []
        for m in self.methods:
            try:
                match_arguments(m._function.schema, args, kwargs, m.owner)
            except RuntimeError as e:
                reasons.append(str(e))
            else:
                return m
        raise RuntimeError("no signature takes these arguments:\n" + "\n".join(reasons))


class ScriptMethod(_Callable):
    """A method bound to its module."""

    def __init__(self, owner: ScriptObject, function: Function) -> None:
        self.owner, self._function = owner, function
        cls = owner.type.python_class
        stub = getattr(cls, "_methods", {}).get(function.name)
        written = getattr(cls, function.name, None) if stub is None else stub.original_method
        self.__doc__ = getattr(written, "__doc__", None)

    @property
    def code_with_constants(self) -> tuple[str, ConstMap]:
        """:attr:`code`, and the tensors that it calls ``CONSTANTS.c0``…"""
        from bridge.exporters.python import print_function
        from bridge.tensor import Tensor

        constants: list[Any] = []
        shown = self._shown()
        text = print_function(shown, constants, method=None if shown is self._function else True)
        return text, ConstMap([c if isinstance(c, Tensor) else Tensor._wrap(c) for c in constants])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it on its module. Raises RuntimeError (torch's texts) for arguments that its schema does not take."""
        if _dispatch.tracer is not None:
            return _dispatch.tracer.call(self._function, self.owner, args, kwargs)
        entry = self.owner.runtime.get(self._function)
        if entry is not None and entry.quick is not None and not kwargs:
            found = entry.quick(args)
            if found is not running.MISS:
                return found
        return running.call(self._function, self.owner, args, kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> ScriptMethod:
        return ScriptMethod(copy.deepcopy(self.owner, memo), self._function)


ScriptObject.bound = ScriptMethod
