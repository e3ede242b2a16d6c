"""The exporter: a method of a module, or a function, to an ONNX model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from onnx import ModelProto, ValueInfoProto

from bridge.exporters.onnx.hierarchy import options_of, state
from bridge.exporters.onnx.inputs import (
    Inputs,
    describe_argument,
    inputs_from_description,
    inputs_from_examples,
    inputs_from_types,
)
from bridge.exporters.onnx.large import Arrays
from bridge.exporters.onnx.may_write import may_write
from bridge.exporters.onnx.model import build_model
from bridge.exporters.onnx.program import Loosened, MainRecord, ProgramLowering
from bridge.exporters.onnx.report import Entry, ExportError, Report
from bridge.exporters.onnx.sharing import shared_writes
from bridge.exporters.onnx.specialise import specialised, with_graph
from bridge.exporters.onnx.unused import put_aside
from bridge.exporters.onnx.values import Run, RunList, type_of
from bridge.ir import types as T
from bridge.ir.classes import Function, ScriptObject
from bridge.ir.collecting import uncollected
from bridge.ir.dtypes import by_onnx
from bridge.ir.errors import IRError, LoweringError
from bridge.ir.foreign import Interface
from bridge.ir.passes.inline import inlined_graph
from bridge.ir.passes.inline_forks import has_forks, inline_forks

__all__ = ["DEFAULT_OPSET", "OPSETS", "Exported", "export_again", "export_program"]

DEFAULT_OPSET = 21
OPSETS = range(13, 29)


@dataclass(slots=True)
class Exported:
    """A model, the program it is exactly (owner and entry), what was specialised, the lowering itself, and the values of the
    model's large tensors."""

    model: ModelProto
    owner: ScriptObject | None
    function: Function
    report: Report
    inputs: Inputs
    main: MainRecord
    lowering: ProgramLowering
    arrays: Arrays = field(default_factory=dict)


@uncollected()
def export_program(
    owner: ScriptObject | None,
    function: Function,
    examples: Sequence[Any] | None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_shapes: Any = None,
    opset: int | None = None,
    modules: str | None = None,
    provenance: bool = True,
    weights: bool = True,
    producer_version: str = "",
    hosted: bool = False,
    raises: bool = True,
    left_out: Collection[int] = (),
) -> Exported:
    """Lower ``function`` (a method of ``owner``, or free) for the dtypes and ranks of ``examples`` and write the model.

    Without examples a program that was loaded is exported as it was, and of any other the types that the graph declares must
    tell dtypes and ranks. ``hosted`` is for a host that runs the
    model at once with bridge's own semantics: random numbers are refused (they come from bridge's generator), ranks of outputs
    need not be known. Without ``raises`` the model does not tell what the program raises. ``left_out`` are the positions of
    examples that are defaults which the caller did not give. Raises ExportError listing
    everything that cannot be expressed, LoweringError for options that do not fit the program.
    """
    meant = function.graph.opsets.get("")  # that of the ONNX operators which the program calls
    kept = function.interface if examples is None and input_names is None and dynamic_shapes is None else None
    if meant is None and function.interface is not None:
        meant = function.interface.opset
    version: int = opset if opset is not None else meant if meant is not None and meant in OPSETS else DEFAULT_OPSET
    if version not in OPSETS:
        raise LoweringError(f"opset_version must be {OPSETS[0]} to {OPSETS[-1]}, not {version!r}")
    modules = modules or (kept.options["modules"] if kept is not None else "functions")
    if modules not in ("functions", "inline"):
        raise LoweringError(f"modules must be 'functions' or 'inline', not {modules!r}")
    if has_forks(function):
        owner, function = _without_forks(owner, function, hosted)
    program_of = owner, function
    writes = may_write(function, owner)

    def attempt(lengths: bool) -> Exported:
        owner, function = program_of
        report = Report()
        still: list[Entry] = []
        loose: dict[str, Any] = {}
        for _ in range(16):
            program = ProgramLowering(version, modules == "inline", provenance)
            program.slots.loose = loose
            program.hosted, program.raises, program.report = hosted, raises, report
            program.writes = may_write(function, owner)
            program.decided = function is not program_of[1]
            if kept is not None:
                _as_before(program, kept)
                inputs = _kept_inputs(owner, function, kept)
            else:
                inputs = _inputs(owner, function, examples, input_names, dynamic_shapes, lengths, hosted, left_out)
            types = [type_of(v) for v in inputs.arguments]
            try:
                if inputs.problems:
                    raise ExportError(inputs.problems)
                main = program.lower(owner, function, inputs.arguments, inputs.heap)
            except Loosened as e:
                loose = e.loose
                continue
            except ExportError as e:
                shared = shared_writes(function, owner, types, hosted) if writes else []
                raise ExportError([*shared, *e.obstacles]) from None
            found = specialised(owner, function, program.frames, report) if not hosted or writes else None
            # Last, when the branches are gone that are not taken for these arguments: what is left is often small.
            if writes and (found is None or not provenance):
                there = found or (owner, function)
                still = shared_writes(there[1], there[0], types, hosted) if may_write(there[1], there[0]) else []
            if found is None or not (provenance or still):
                break
            owner, function = found
        if still:
            raise ExportError(still)
        for entry in inputs.fixed:
            report.note(entry.kind, entry.message, entry.range)
        arrays: Arrays = {}
        known = [_input_run(_read(o)) for o in kept.outputs] if kept is not None else ()
        model = build_model(program, main, inputs, owner, output_names, producer_version, weights, arrays, known)
        if function is not program_of[1]:
            options = options_of(program, [describe_argument(inputs, a) for a in inputs.arguments])
            function.interface = Interface.of_graph(model.graph, program.opset, options)
        if weights:
            put_aside(model)
        return Exported(model, owner, function, report, inputs, main, program, arrays)

    try:
        return attempt(lengths=False)
    except ExportError:
        if not _takes_numbers(examples):
            raise
    return attempt(lengths=True)  # the lengths of lists of numbers may be what must be known


def _without_forks(
    owner: ScriptObject | None, function: Function, hosted: bool
) -> tuple[ScriptObject | None, Function]:
    """The program with an entry that is one graph in which forked computations are made where they are forked.

    A host gives futures to its caller, and takes them: such a function stays as it is, which is not for onnxruntime.
    """
    passed = [a.type for a in (*function.schema.arguments, *function.schema.returns)]
    if hosted and any(isinstance(inside, T.FutureType | T.AwaitType) for t in passed for inside in t.walk()):
        return owner, function
    try:
        graph = inlined_graph(function)
    except IRError:  # recursion, which is refused where it is
        return owner, function
    inline_forks(graph)
    if hosted:  # the module whose weights are shared, not a copy
        return owner, Function(function.qualified_name, graph, function.schema)
    return with_graph(owner, function, graph)


def _takes_numbers(examples: Any) -> bool:
    """Whether there is a list of numbers among the examples."""
    if isinstance(examples, list | tuple):
        found = bool(examples) and isinstance(examples, list) and isinstance(examples[0], int | float)
        return found or any(map(_takes_numbers, examples))
    return False


def _inputs(
    owner: ScriptObject | None,
    function: Function,
    examples: Sequence[Any] | None,
    names: Sequence[str] | None,
    shapes: Any,
    lengths: bool,
    hosted: bool,
    left_out: Collection[int],
) -> Inputs:
    reserved = {n for n, _ in state(owner)} if owner is not None else set()
    if examples is None:
        return inputs_from_types(function.graph, owner, names, shapes, reserved)
    own = function.schema.arguments[1:] if owner is not None else function.schema.arguments
    gathered = [] if hosted else [i for i, a in enumerate(own) if a.gathers]
    return inputs_from_examples(function.graph, owner, examples, names, shapes, reserved, lengths, gathered, left_out)


def export_again(owner: ScriptObject | None, function: Function) -> Exported:
    """Export a program that was read from a model as that was: for its inputs, opset and form of modules; without weights.

    Raises ExportError or LoweringError when it cannot be lowered so.
    """
    kept = function.interface
    if kept is None or kept.opset not in OPSETS:
        raise LoweringError(f"opset {kept.opset if kept is not None else 0} is not written here")
    loose: dict[str, Any] = {}
    while True:
        program = ProgramLowering(kept.opset, kept.options["modules"] == "inline")
        program.slots.loose = loose
        _as_before(program, kept)
        inputs = _kept_inputs(owner, function, kept)
        try:
            main = program.lower(owner, function, inputs.arguments, inputs.heap)
            break
        except Loosened as e:
            loose = e.loose
    known = [_input_run(_read(o)) for o in kept.outputs]
    again = build_model(program, main, inputs, owner, None, "", weights=False, known=known)
    return Exported(again, owner, function, program.report, inputs, main, program)


def _as_before(program: ProgramLowering, kept: Interface) -> None:
    """Set the options that a loaded model was exported with."""
    options = kept.options
    program.raises, program.writes = options.get("raises", True) and program.raises, options.get("writes", True)
    program.endless_told = frozenset(options.get("endless", ()))
    program.decided = options.get("decided", False)


def _kept_inputs(owner: ScriptObject | None, function: Function, kept: Interface) -> Inputs:
    known = {i.name: _input_run(i) for i in map(_read, kept.inputs)}
    return inputs_from_description(function.graph, owner, kept.options["arguments"], known, list(known))


def _read(data: bytes) -> ValueInfoProto:
    info = ValueInfoProto()
    info.ParseFromString(data)
    return info


def _input_run(info: ValueInfoProto) -> Run:
    """A model input or output as it is declared. Raises LoweringError for what is no tensor or sequence of tensors."""
    t = info.type
    is_list = t.WhichOneof("value") == "sequence_type"
    tensor = t.sequence_type.elem_type.tensor_type if is_list else t.tensor_type
    try:
        dtype = by_onnx(tensor.elem_type)
    except KeyError:
        raise LoweringError(f"'{info.name}' is no tensor of a type that programs have") from None
    dims: tuple[Any, ...] | None = None
    if tensor.HasField("shape"):
        dims = tuple(d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in tensor.shape.dim)
    return (RunList if is_list else Run)(dtype, dims, info.name, fixed=True)
