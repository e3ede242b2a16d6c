"""``bridge.onnx.export``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.ir.files import replacing
from bridge.ir.memory import collector_paused
from bridge.onnx.program import OnnxProgram
from bridge.onnx.written import written_model
from bridge.version import __version__

if TYPE_CHECKING:
    from onnx import ModelProto

    from bridge.exporters.onnx.report import Report
    from bridge.ir.classes import Function, ScriptObject

__all__ = ["export"]


def export(
    model: Any,
    args: Any = None,
    f: str | os.PathLike[str] | None = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_shapes: Any = None,
    opset_version: int | None = None,
    modules: str | None = None,
    provenance: bool = True,
    raises: bool = True,
    report: bool | str | os.PathLike[str] = False,
) -> OnnxProgram:
    """Export a program to ONNX, control flow included; writes ``f`` when it is given.

    ``model`` is a ScriptModule, a ScriptFunction, a method of one, or a module or function, which is scripted first. ``args``
    are example arguments: a tuple, one tensor, or a tuple that ends in a dict of keyword arguments. They tell element types
    and numbers of dimensions; None takes these from a trace, from annotations, or from the model that the program was loaded
    from. Every size stays free unless
    ``dynamic_shapes`` fixes it: ``{"x": {0: "batch", 1: 4}}``, per input a dict by axis or a sequence (a size fixes the
    dimension, a name names it, None leaves it free). Arguments left out are no inputs: they are their defaults.
    ``opset_version`` is 13 to 28; a program that was loaded from another tool's model is converted to it, operator by operator.
    ``modules`` is ``"functions"`` (a model-local function per submodule method, the default for what was not loaded inline) or
    ``"inline"``. ``provenance=False`` leaves out the metadata from which :func:`bridge.onnx.load` restores the
    program's text.

    A program that raises depending on data gets one more output, ``error``, a list of int64: empty when the program ran to its
    end, else the code of what was raised and the values in its message; :func:`bridge.onnx.error_of` reads it.
    ``raises=False`` drops these checks, and reports each.

    The result's ``report`` lists what was decided: branches removed, defaults used, checks dropped. With ``report=True`` it
    tells everything that is fixed in the model (captured values, attributes, what a trace froze, unrolled loops) and what
    is free, with places; ``print`` shows it as Markdown, and it is written beside ``f`` as ``NAME.report.md``, or to the
    path that ``report`` is.

    Raises :class:`ExportError` listing everything that ONNX cannot express, each with its line; nothing is written then.
    """
    from bridge.onnx.loading import unread

    nothing_asked = args is None and input_names is None and output_names is None and dynamic_shapes is None
    same = unread(model) if nothing_asked else None
    if same is not None and opset_version in (None, _opset_of(same)):
        copy = type(same)()
        copy.CopyFrom(same)
        return _written(OnnxProgram(copy, model, _report_of(copy, bool(report))), f, report)
    return _written(
        _exported(
            model, args, input_names, output_names, dynamic_shapes, opset_version, modules, provenance, raises, report
        ),
        f,
        report,
    )


def _written(
    program: OnnxProgram, f: str | os.PathLike[str] | None, report: bool | str | os.PathLike[str]
) -> OnnxProgram:
    """The program, with its file and its report where they are asked for."""
    if f is not None:
        program.save(f)
    beside = report if not isinstance(report, bool) else report_path(f) if report and f is not None else None
    if beside is not None:
        with replacing(beside) as file:
            file.write(program.report.page().encode())
    return program


def _opset_of(model: ModelProto) -> int | None:
    """The version of ONNX's own operators that a model asks for."""
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), None)


def _exported(
    model: Any,
    args: Any,
    input_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
    dynamic_shapes: Any,
    opset_version: int | None,
    modules: str | None,
    provenance: bool,
    raises: bool,
    report: bool | str | os.PathLike[str],
) -> OnnxProgram:
    from bridge.exporters.onnx.export import export_program

    model = _overload_for(model, args)
    owner, function = entry_of(model)
    examples, left_out = _examples(owner, function, args)
    written = None
    if input_names is None and output_names is None and dynamic_shapes is None:
        with collector_paused():
            written = written_model(owner, function, examples, opset_version, records=True)
    if written is not None:
        given = model if _is_script(model) else _wrapped(owner, function)
        return OnnxProgram(written.proto, given, _report_of(written.proto, bool(report)), written.arrays)
    made = export_program(
        owner,
        function,
        examples,
        input_names=input_names,
        output_names=output_names,
        dynamic_shapes=dynamic_shapes,
        opset=opset_version,
        modules=modules,
        provenance=provenance
        and (owner is None or owner.type.find_method(function.name) is function),  # not: between hooks
        raises=raises,
        left_out=left_out,
        producer_version=__version__,
    )
    if report:
        from bridge.exporters.onnx.summary import complete

        complete(made)
    same = made.function is function
    return OnnxProgram(
        made.model,
        model if same and _is_script(model) else _wrapped(made.owner, made.function),
        made.report,
        made.arrays,
    )


def report_path(model: str | os.PathLike[str]) -> Path:
    """Where the report of a model file is written."""
    return Path(model).with_suffix(".report.md")


def _overload_for(model: Any, args: Any) -> Any:
    """The method of a module with several signatures of ``forward`` (``nn.LSTM``) that takes the arguments; else the model."""
    from bridge.jit.bases import is_module
    from bridge.jit.functions import OverloadedMethod
    from bridge.jit.modules import ScriptModule
    from bridge.jit.script import script

    if not is_module(model):
        return model
    made = model if isinstance(model, ScriptModule) else script(model)
    forward = getattr(made, "forward", None)
    if not isinstance(forward, OverloadedMethod):
        return made
    for m in forward.methods:
        try:
            _examples(m.owner, m._function, args)
        except RuntimeError:
            continue
        return m
    return forward.methods[0]


def entry_of(model: Any) -> tuple[ScriptObject | None, Function]:
    """The object and the function that a model's call runs. Raises what scripting raises for one that is no program yet."""
    from bridge.jit.functions import ScriptFunction, ScriptMethod
    from bridge.jit.modules import ScriptModule

    if not isinstance(model, ScriptModule | ScriptFunction | ScriptMethod):
        from bridge.jit.script import script

        model = script(model)
    if isinstance(model, ScriptFunction):
        return None, model._function
    if isinstance(model, ScriptMethod):
        return model.owner, model._function
    method = model._method("forward")
    if method.owner.type.hooks or method.owner.type.pre_hooks:
        from bridge.jit.hooks import call_with_hooks

        return method.owner, call_with_hooks(method.owner.type)
    return method.owner, method._function


def _is_script(model: Any) -> bool:
    from bridge.jit.functions import ScriptFunction
    from bridge.jit.modules import ScriptModule

    return isinstance(model, ScriptModule | ScriptFunction)


def _wrapped(owner: ScriptObject | None, function: Function) -> Any:
    from bridge.jit.functions import ScriptFunction
    from bridge.jit.modules import wrap

    return ScriptFunction(function) if owner is None else wrap(owner)


def _report_of(model: ModelProto, full: bool) -> Report:
    """The report of a graph that is written as it is: nothing was decided."""
    from bridge.exporters.onnx.report import Report

    found = Report()
    if full:
        from bridge.exporters.onnx.summary import model_summary

        found.summary = model_summary(model)
    return found


def _examples(owner: ScriptObject | None, function: Function, args: Any) -> tuple[list[Any] | None, list[int]]:
    """Complete example arguments in order, as the program holds them; the positions of those that were left out."""
    if args is None:
        return None, []
    from bridge.jit.values import match_arguments

    given = list(args) if isinstance(args, tuple | list) else [args]
    kwargs: dict[str, Any] = {}
    if isinstance(args, tuple) and given and isinstance(given[-1], dict) and len(given) > _positional(owner, function):
        kwargs = given.pop()
    elif isinstance(args, dict):
        given, kwargs = [], dict(args)
    complete = match_arguments(function.schema, given, kwargs, owner)
    own = function.schema.arguments[1:] if owner is not None else function.schema.arguments
    left_out = [i for i, a in enumerate(own) if a.name not in kwargs and (i >= len(given) or a.kwarg_only)]
    return complete[1:] if owner is not None else complete, left_out


def _positional(owner: ScriptObject | None, function: Function) -> int:
    """How many arguments the program takes, without ``self``: a dict beyond them holds keyword arguments."""
    count = len(function.schema.arguments) - (owner is not None)
    takes_dict = function.schema.arguments and str(function.schema.arguments[-1].type).startswith("Dict")
    return count if takes_dict else 0
