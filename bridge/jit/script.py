"""``script``: compile live functions, modules and classes, and everything that they call."""

from __future__ import annotations

import builtins
import enum
import inspect
from typing import TYPE_CHECKING, Any, Final

from bridge.importers.script import (
    CompileError,
    FrontendError,
    NotSupportedError,
    compile_function,
    parse_expression,
    signature_of,
)
from bridge.importers.script import tree as X
from bridge.ir.classes import Function
from bridge.ir.collecting import uncollected
from bridge.ir.source import SourceRange
from bridge.ir.types import Type
from bridge.jit import _state, decorators
from bridge.jit.annotations import annotation_to_type
from bridge.jit.bases import is_module, is_module_class
from bridge.jit.decorators import (
    Attribute,
    _drop,
    _overload,
    _overload_method,
    _unwrap_optional,
    annotate,
    export,
    fuser,
    ignore,
    interface,
    is_scripting,
    optimized_execution,
    strict_fusion,
    unused,
)
from bridge.jit.decorators import isinstance_ as isinstance
from bridge.jit.functions import ScriptFunction
from bridge.jit.inference import CannotInfer, infer_type
from bridge.jit.names import python_cu, qualified_name
from bridge.jit.objects import shared, shared_object
from bridge.jit.operator_names import builtin_name
from bridge.jit.resolve import ClosureResolver
from bridge.jit.sources import default_values, definition_of
from bridge.pytorch.names import compiled_overloads

if TYPE_CHECKING:
    from bridge.jit.modules import RecursiveScriptModule

__all__ = [
    "Attribute", "CompileError", "Final", "FrontendError", "NotSupportedError", "_drop", "_overload", "_overload_method", "_unwrap_optional",
    "annotate", "annotation_to_type", "builtin_name", "compile_overloads", "export", "fuser", "has_exports", "ignore",
    "interface", "is_scripting", "isinstance", "optimized_execution", "script", "script_exported", "script_function",
    "strict_fusion", "unused",
]  # fmt: skip

_functions: dict[Any, ScriptFunction] = {}
_overloads: dict[Any, list[Function]] = {}
_is = builtins.isinstance


def script(obj: Any, optimize: None = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None) -> Any:
    """Compile a function, a module or a class.

    A function becomes a :class:`ScriptFunction`, a module a :class:`RecursiveScriptModule` (its ``forward``, the methods
    marked ``export``, and everything they use), a class is compiled and returned as it is, an instance of one becomes an object
    that programs and Python share. What is a program already is
    returned unchanged. Raises CompileError (``file:line:column``, the line, a caret) for what is not script.
    """
    from bridge.jit.class_modules import visible_names
    from bridge.jit.modules import ScriptModule
    from bridge.jit.script_classes import around, can_compile, class_type_of, compile_class, interface_of
    from bridge.pytorch.programs import is_program, taken_over

    if not _state.is_enabled() or _is(obj, ScriptModule | ScriptFunction):
        return obj
    if is_program(obj):
        return taken_over(obj)
    if hasattr(obj, "__script_if_tracing_wrapper"):
        obj = obj.__original_fn
    obj = _prepared(obj, {}) if is_module(obj) else _prepared_object(obj)
    if is_module(obj):
        return _script_module(obj)
    if inspect.isclass(obj):
        if is_module_class(obj):
            raise RuntimeError(
                f"Type '{obj}' cannot be compiled since it inherits from nn.Module, pass an instance instead"
            )
        if issubclass(obj, enum.Enum):
            return obj  # programs use enums as they are
        if interface_of(obj) is None:
            around[obj] = visible_names(_frames_up + 1)
            try:
                if class_type_of(obj) is None:
                    compile_class(obj)
            finally:
                del around[obj]
        return obj
    if inspect.isfunction(obj) or inspect.ismethod(obj):
        return _script_function_object(obj)
    if _is(obj, dict | list):
        return shared(obj)
    if can_compile(type(obj)):
        return shared_object(obj, class_type_of(script(type(obj), _frames_up=_frames_up + 1)))
    raise RuntimeError(f"a '{type(obj).__name__}' cannot be scripted: pass a function, an nn.Module or a class")


def _prepared_object(obj: Any) -> Any:
    """What an object says is to be scripted in its place, or itself."""
    return obj.__prepare_scriptable__() if hasattr(obj, "__prepare_scriptable__") else obj


def _prepared(module: Any, seen: dict[int, tuple[Any, Any]]) -> Any:
    """A module with what stands for it and for its submodules put in their places; one that is shared stays shared."""
    from bridge.jit.modules import ScriptModule

    known = seen.get(id(module))
    if known is None:
        made = _prepared_object(module)
        known = seen[id(module)] = module, made
        inside = (made.__dict__.get("_modules") or {}) if not _is(made, ScriptModule) else {}
        for name, sub in list(inside.items()):
            if is_module(sub) and not _is(sub, ScriptModule):
                inside[name] = _prepared(sub, seen)
    return known[1]


# -- functions ---------------------------------------------------------------------------------------------------------


@uncollected()
def _script_function_object(fn: Any) -> ScriptFunction:
    known = _functions.get(fn)
    if known is not None:
        return known
    if decorators.overloads_of(fn) or fn in _overloads:
        raise RuntimeError(
            f"Function {qualified_name(fn)} cannot be directly compiled because it is overloaded. It must be used in a "
            "context of a function where its inputs can determine which overload to call."
        )
    made = ScriptFunction(script_function(fn))
    _functions[fn] = made
    made.__doc__ = fn.__doc__
    made.__dict__["__name__"] = fn.__name__
    made.__dict__["_torchdynamo_inline"] = made.__dict__["__wrapped__"] = fn
    return made


def script_function(fn: Any, called_at: SourceRange | None = None) -> Function:
    """The compiled function of a Python function; compiled on the first call, then remembered.

    ``called_at`` is where a program calls it. Raises CompileError.
    """
    fn = getattr(fn, "__original_fn", fn)  # what script_if_tracing holds is one function, however it is met
    known = _functions.get(fn)
    if known is not None:
        return known._function
    fn = _prepared_object(fn)
    name = python_cu.unique_name(qualified_name(fn))
    f = compile_function(definition_of(fn), ClosureResolver(fn), name, defaults=default_values(fn))
    python_cu.add_function(f)
    _functions[fn] = ScriptFunction(f)
    try:
        f.ensure_defined()
    except BaseException:
        del _functions[fn]
        python_cu.functions.pop(name, None)
        raise
    return f


def compile_overloads(fn: Any) -> list[Function] | None:
    """The compiled overloads of a function declared with ``_overload``; None when there are none."""
    declared = decorators.overloads_of(fn)
    known = _overloads.get(fn)
    theirs = None if declared or known else compiled_overloads(fn)
    if declared is None and theirs is None:
        return known
    if fn in (declared or ()):
        raise RuntimeError(f'Implementation for the function "{qualified_name(fn)}" is missing.')
    functions = list(known or [])
    body = definition_of(fn)
    signatures = [(d.params, d.returns) for d in map(definition_of, declared or ())]
    signatures += [_signature_of_texts(body, arguments, result) for arguments, result in theirs or ()]
    for params, returns in signatures:
        merged = body.with_signature(params, returns)
        name = python_cu.unique_name(qualified_name(fn))
        types = {a.name: a.type for a in signature_of(merged, ClosureResolver(fn)).arguments}
        # A default of the implementation is one of an overload where it is of the type that the overload declares.
        defaults = {n: d for n, d in default_values(fn).items() if n in types and _is_of(d, types[n])}
        f = compile_function(merged, ClosureResolver(fn), name, defaults=defaults)
        python_cu.add_function(f)
        f.ensure_defined()
        functions.append(f)
    decorators.clear_overloads(fn)
    _overloads[fn] = functions
    return functions


def _is_of(value: Any, type: Type) -> bool:
    try:
        return infer_type(value).is_subtype_of(type)
    except CannotInfer:
        return True  # checked where it is compiled


def _signature_of_texts(body: X.Def, arguments: list[str], result: str) -> tuple[list[X.Param], X.Expr]:
    """The parameters of a definition with types given as texts."""
    both = zip(body.params, arguments, strict=True)
    params = [p.typed(parse_expression(t)) for p, t in both]
    return params, parse_expression(result)


# -- modules -----------------------------------------------------------------------------------------------------------


@uncollected()
def _script_module(module: Any) -> RecursiveScriptModule:
    from bridge.jit.concrete import concrete_type_of
    from bridge.jit.first_values import with_types_found
    from bridge.jit.modules import create_script_module
    from bridge.jit.script_modules import compile_methods

    made: RecursiveScriptModule = with_types_found(
        lambda: create_script_module(module, concrete_type_of(module), compile_methods)
    )
    _note_model(type(module), made)
    return made


def _note_model(cls: Any, made: RecursiveScriptModule) -> None:
    """What a printed class says of the ONNX model that it was: versions of operators, names, and what code does not say."""
    versions: Any = getattr(getattr(cls, "onnx_opset", None), "versions", None)
    names: Any = getattr(cls, "onnx_names", None)
    records: Any = getattr(cls, "onnx_records", None)
    if versions is None and names is None and records is None:
        return
    graph = made._method("forward")._function.graph
    if _is(names, dict):
        graph.names = dict(names)
    if _is(records, bytes):
        graph.records = records
    if _is(versions, dict):
        graph.exact = "initializers" if getattr(cls, "onnx_constants", "") == "initializers" else "nodes"
        graph.opsets |= versions
        graph.written = {
            op_type: frozenset(names.split())
            for op_type, names in (getattr(cls, "onnx_attributes", None) or {}).items()
        }


def has_exports(module: Any) -> bool:
    """Whether a module (traced, say) has methods marked ``export``."""
    from bridge.jit.script_modules import exported_methods

    return bool(exported_methods(module))


def script_exported(module: Any) -> RecursiveScriptModule:
    """A script module of its own class in which only the methods marked ``export`` are compiled (for tracing)."""
    from bridge.jit.concrete import concrete_type_of
    from bridge.jit.modules import create_script_module
    from bridge.jit.script_modules import compile_named, exported_methods

    def compile_exported(sub: Any, concrete: Any) -> None:
        compile_named(sub, concrete, exported_methods(sub))

    return create_script_module(module, concrete_type_of(module, share_types=False), compile_exported)
