"""Tracing: run code on example inputs, record the operations that happen, and make a program of exactly these."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bridge import _dispatch
from bridge.importers.script.normalize import normalize_operators
from bridge.ir import types as T
from bridge.ir.classes import Function, ScriptObject
from bridge.jit import _state
from bridge.jit.bases import is_module
from bridge.jit.functions import ScriptFunction
from bridge.jit.inference import CannotInfer, infer_type, tensor_type
from bridge.jit.modules import ScriptModule
from bridge.jit.names import python_cu, qualified_name
from bridge.jit.trace_blocks import default_schema, define_methods, flatten
from bridge.jit.trace_hosts import Host, host_of, module_paths
from bridge.jit.trace_state import record
from bridge.jit.trace_warnings import TracerWarning, warn_replaced
from bridge.jit.traced_modules import TopLevelTracedModule, TracedModule, make_module
from bridge.nn import Module
from bridge.tensor import Tensor

__all__ = ["TracerWarning", "is_tracing", "script_if_tracing", "trace", "trace_module"]

Inputs = Any


def is_tracing() -> bool:
    """Whether the code that runs is being traced."""
    return _dispatch.tracer is not None


def trace(
    func: Any,
    example_inputs: Inputs = None,
    optimize: None = None,
    check_trace: bool = True,
    check_inputs: Iterable[Inputs] | None = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    _force_outplace: bool = False,
    _module_class: type[TracedModule] | None = None,
    _compilation_unit: Any = None,
    example_kwarg_inputs: Mapping[str, Any] | None = None,
    _store_inputs: bool = True,
) -> Any:
    """Record what a function or module does with the example inputs.

    ``func`` is a function of tensors (or nested tuples, lists and dicts of tensors), a module, or a module's
    ``forward``. ``example_inputs`` is a tuple of arguments or one tensor; ``example_kwarg_inputs`` a dict of keyword
    arguments instead. Gives a :class:`ScriptFunction` or a :class:`TopLevelTracedModule` with one method per module of
    the tree. Python control flow is not recorded: every value that leaves the tensors is frozen, each with a
    :class:`TracerWarning` at its line.

    ``check_trace`` runs trace and original again on the same inputs (or on ``check_inputs``), and traces again: results
    that differ by more than ``check_tolerance`` warn, graphs that differ raise TracingCheckError. ``strict`` refuses dict
    results and warns of lists. Raises RuntimeError for arguments and results that a trace cannot have. Follows
    torch/jit/_trace.py (2.13).
    """
    del _compilation_unit
    if optimize is not None:
        _warn_optimize()
    if not _state.is_enabled():
        return func
    if isinstance(func, ScriptModule):
        warnings.warn(
            "The input to trace is already a ScriptModule, tracing it is a no-op. Returning the object as is.",
            stacklevel=2,
        )
        return func
    owner: Any = func if is_module(func) else getattr(func, "__self__", None)
    if is_module(owner):
        if owner is not func and func.__name__ != "forward":
            raise AttributeError(
                "trace doesn't support compiling individual module's functions.\nPlease use trace_module"
            )
        if example_inputs is None:
            if not isinstance(example_kwarg_inputs, dict):
                raise RuntimeError("example_kwarg_inputs should be a dict")
            example_inputs = example_kwarg_inputs
        return trace_module(
            owner, {"forward": example_inputs}, None, check_trace,
            None if check_inputs is None else [{"forward": c} for c in check_inputs],
            check_tolerance, strict, _force_outplace, _module_class, None,
            isinstance(example_kwarg_inputs, dict), _store_inputs,
        )  # fmt: skip
    return _trace_function(
        func, example_inputs, example_kwarg_inputs, check_trace, check_inputs, check_tolerance, strict, _force_outplace,
        host_of(func, example_inputs, example_kwarg_inputs),
    )  # fmt: skip


def _trace_function(
    func: Callable[..., Any],
    example_inputs: Inputs,
    example_kwarg_inputs: Mapping[str, Any] | None,
    check_trace: bool,
    check_inputs: Iterable[Inputs] | None,
    check_tolerance: float,
    strict: bool,
    force_outplace: bool,
    host: Host,
) -> ScriptFunction:
    _refuse_nested()
    by_name = isinstance(example_kwarg_inputs, dict)
    example = host.inputs(example_inputs if example_kwarg_inputs is None else example_kwarg_inputs)
    if example_kwarg_inputs is None:
        example = as_arguments(example)
    packet = getattr(func, "__operator__", None)  # an operator itself: ``ops.aten.relu``
    name = f"__torch__.{packet.rpartition('::')[2]}" if isinstance(packet, str) else qualified_name(func)
    names = argument_names(func)
    run, inputs, names = _arguments(host.function(func), example, names)
    graph = record(run, inputs, names, host.tracer(strict, force_outplace), None)
    flatten(graph)
    normalize_operators(graph)
    full = python_cu.unique_name(name)
    function = python_cu.add_function(Function(full, graph, default_schema(full.rpartition(".")[2], graph)))
    traced = ScriptFunction(function)
    if check_trace:
        from bridge.jit.trace_check import check

        def again(inputs: Inputs) -> Any:
            by_position, named = (None, inputs) if by_name else (inputs, None)
            return _trace_function(func, by_position, named, False, None, check_tolerance, strict, force_outplace, host)

        examples = [example] if check_inputs is None else map(host.inputs, check_inputs)
        check(examples, host.function(func), traced, again, check_tolerance, by_name)
    return traced


def trace_module(
    mod: Module,
    inputs: Mapping[str, Inputs],
    optimize: None = None,
    check_trace: bool = True,
    check_inputs: Iterable[Mapping[str, Inputs]] | None = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    _force_outplace: bool = False,
    _module_class: type[TracedModule] | None = None,
    _compilation_unit: Any = None,
    example_inputs_is_kwarg: bool = False,
    _store_inputs: bool = True,
) -> Any:
    """Record methods of a module; ``inputs`` maps method names to example inputs. See :func:`trace`."""
    del _compilation_unit
    if optimize is not None:
        _warn_optimize()
    if not _state.is_enabled():
        return mod
    if not is_module(mod):
        raise AttributeError("expected torch.nn.Module as the first argument")
    if not isinstance(inputs, dict):
        raise AttributeError("expected a dictionary of (method_name, input) pairs")  # noqa: TRY004
    _refuse_nested()
    module = make_module(mod, _module_class or TopLevelTracedModule)
    owner: ScriptObject = module._script_object()
    host = host_of(mod)
    inputs = host.inputs(inputs)
    for method, example in inputs.items():
        func: Any = mod if method == "forward" else getattr(mod, method)
        names = argument_names(getattr(mod, method))
        if isinstance(example, dict) and example_inputs_is_kwarg:
            _check_names(example, names)
            run, given, names = _arguments(host.function(func), example, names)
        else:
            run, given, names = _arguments(host.function(func), as_arguments(example), names)
        held = _held_tensors(mod)
        graph = record(run, given, names, host.tracer(strict, _force_outplace), owner)
        _tell_replaced(held)
        define_methods(graph, owner)
        normalize_operators(graph)
        function = Function(f"{owner.type.name}.{method}", graph, default_schema(method, graph))
        python_cu.add_function(function)
        owner.type.add_method(function)
        if _store_inputs:
            _stored_inputs(module)[method] = [held for held, _ in given]
        if check_trace:
            _check_method(
                mod, module, method, host.function(func), [inputs] if check_inputs is None else map(host.inputs, check_inputs),
                check_tolerance, strict, _force_outplace, _module_class, example_inputs_is_kwarg,
            )  # fmt: skip
    return module


def _held_tensors(mod: Any) -> list[tuple[Any, str, str, Any]]:
    """The buffers of a module and its submodules: (table, name, owner in words, tensor)."""
    modules = [(mod, "the traced module"), *((m, f"'{path.partition('.')[2]}'") for m, path in module_paths(mod))]
    return [(m._buffers, name, where, t) for m, where in modules for name, t in m._buffers.items()]


def _tell_replaced(before: list[tuple[Any, str, str, Any]]) -> None:
    for table, name, where, held in before:
        if isinstance(table, dict) and table.get(name) is not held:
            warn_replaced(name, where)


def _refuse_nested() -> None:
    if is_tracing():
        raise RuntimeError("Tracing can't be nested")


def _check_method(
    mod: Module,
    module: Any,
    method: str,
    func: Any,
    examples: Iterable[Mapping[str, Inputs]],
    tolerance: float,
    strict: bool,
    force_outplace: bool,
    module_class: type[TracedModule] | None,
    by_name: bool,
) -> None:
    from bridge.jit.trace_check import check, clone_inputs

    def again(_: Inputs, whole: Mapping[str, Inputs]) -> Any:
        copies = {name: clone_inputs(data) for name, data in whole.items()}
        made = trace_module(
            mod, copies, None, False, strict=strict, _force_outplace=force_outplace, _module_class=module_class,
            example_inputs_is_kwarg=by_name, _store_inputs=False,
        )  # fmt: skip
        return made._method(method)

    for whole in examples:
        given = whole[method]
        if isinstance(given, Tensor) or (isinstance(given, dict) and not by_name):
            given = (given,)
        check([given], func, module._method(method), functools.partial(again, whole=whole), tolerance, by_name)


def _stored_inputs(module: Any) -> dict[str, list[Any]]:
    """The example inputs that an archive of the module keeps, by method."""
    holder = module.__dict__.get("_actual_script_module", module)
    stored: dict[str, list[Any]] = holder.__dict__.setdefault("_traced_inputs", {})
    return stored


# -- inputs ---------------------------------------------------------------------------------------------------------


def as_arguments(example: Inputs) -> tuple[Any, ...]:
    """Example inputs as a tuple of arguments; one tensor or dict is one argument."""
    if isinstance(example, Tensor | dict):
        return (example,)
    return example if isinstance(example, tuple) else tuple(example)


def argument_names(func: Any) -> list[str]:
    """The names of the positional arguments; empty when they cannot be known."""
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD]


def _arguments(
    func: Any, example: tuple[Any, ...] | Mapping[str, Any], names: Sequence[str]
) -> tuple[Callable[..., Any], list[tuple[Any, T.Type]], list[str]]:
    """What to run, the example inputs with their types, and the names of the graph's inputs."""
    if not isinstance(example, tuple):
        ordered = [n for n in names if n in example]
        if len(ordered) != len(example):
            unknown = next(k for k in example if k not in ordered)
            raise NameError(f"'{unknown}' is not in the traced function's arguments")

        def by_name(*args: Any) -> Any:
            return func(**dict(zip(ordered, args, strict=True)))

        return by_name, _traceable(tuple(example[n] for n in ordered)), ordered
    return func, _traceable(example), list(names)


def _traceable(example: tuple[Any, ...]) -> list[tuple[Any, T.Type]]:
    try:
        whole = infer_type(example)
    except CannotInfer as e:
        raise RuntimeError(f"Tracer cannot infer type of {example}\n:{e}") from None
    if not all(_is_traceable(t) for t in whole.contained()):
        raise RuntimeError(
            f"Type '{whole.annotation()}' cannot be traced. Only Tensors and (possibly nested) Lists, Dicts, and Tuples "
            "of Tensors can be traced"
        )
    return [(held, complete_type(held, t)) for held, t in zip(example, whole.contained(), strict=True)]


def _is_traceable(t: T.Type) -> bool:
    if isinstance(t, T.TensorType):
        return True
    if isinstance(t, T.ListType):
        return _is_traceable(t.element)
    if isinstance(t, T.DictType):
        return _is_traceable(t.value)
    return isinstance(t, T.TupleType) and all(map(_is_traceable, t.elements))


def complete_type(held: Any, t: T.Type) -> T.Type:
    """The type of an input with all that is known of its tensors (elements of lists and dicts stay plain)."""
    if isinstance(held, Tensor):
        return tensor_type(held)
    if isinstance(held, tuple) and isinstance(t, T.TupleType):
        return T.TupleType(*[complete_type(e, x) for e, x in zip(held, t.elements, strict=True)])
    return t


def _check_names(example: Mapping[str, Any], names: Sequence[str]) -> None:
    for key in example:
        if key not in names:
            valid = "[" + ",".join(names) + "]"
            raise NameError(
                f"'{key}' is not in forward() method's arguments,\n                         valid arguments name are {valid}"
            )


def _warn_optimize() -> None:
    warnings.warn(
        "`optimize` is deprecated and has no effect. Use `with torch.jit.optimized_execution()` instead",
        FutureWarning,
        stacklevel=3,
    )


def script_if_tracing(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function: it runs as Python, and while tracing it is scripted first, so that control flow is kept."""

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not is_tracing():
            return fn(*args, **kwargs)
        from bridge.jit.script import script

        return script(fn)(*args, **kwargs)

    wrapper.__original_fn = fn  # type: ignore[attr-defined]
    wrapper.__script_if_tracing_wrapper = True  # type: ignore[attr-defined]
    return wrapper
