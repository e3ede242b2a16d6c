"""Puts the model together: main graph, functions, initializers, opsets, metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from onnx import ModelProto, OperatorSetIdProto, StringStringEntryProto

from bridge.exporters.onnx.claims import Claims
from bridge.exporters.onnx.hierarchy import CLASSES, describe, state
from bridge.exporters.onnx.inputs import Inputs, array_of, describe_argument
from bridge.exporters.onnx.large import Arrays, is_large, outside
from bridge.exporters.onnx.program import MainRecord, ProgramLowering, used_values
from bridge.exporters.onnx.raising import DOCUMENTATION, ERRORS
from bridge.exporters.onnx.records import Body, Frame, FunctionRecord
from bridge.exporters.onnx.report import Entry, ExportError
from bridge.exporters.onnx.values import Run
from bridge.exporters.onnx.write import Writer, add_metadata, records_in_order, tensor_proto, value_info
from bridge.ir.classes import ClassType, Function, FunctionType, ScriptObject
from bridge.ir.dtypes import by_numpy, physical
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Graph

__all__ = ["build_model"]

#: The IR version whose records we write (metadata on nodes came with 10).
IR_VERSION = 10


def build_model(
    program: ProgramLowering,
    main: MainRecord,
    inputs: Inputs,
    owner: ScriptObject | None,
    output_names: Sequence[str] | None,
    producer_version: str,
    weights: bool = True,
    arrays: Arrays | None = None,
    known: Sequence[Run] = (),
) -> ModelProto:
    """The ModelProto of a lowered program. ``weights=False`` leaves the initializers' data out (the caller gives them); with
    ``arrays`` large ones go there. ``known`` are the outputs of the model that the program was loaded from: their names hold,
    and their ranks where nothing else tells.

    Raises ExportError when an output's rank is not known, LoweringError for names that do not fit.
    """
    outputs = program.outputs(main)
    if len(known) == len(outputs):
        output_names = [o.name for o in known] if output_names is None else output_names
        for o, before in zip(outputs, known, strict=True):
            o.dims = before.dims if o.dims is None and not o.is_list else o.dims
    _check(outputs, main, program.hosted)
    model = ModelProto(ir_version=IR_VERSION, producer_name="scriptbridge", producer_version=producer_version)
    tensors = _tensors(main, owner, everything=program.provenance and (weights or not program.hosted))
    names = _output_names(outputs, main, output_names, {r.name for r in inputs.runs} | set(tensors))
    for o, name in zip(outputs_of(main.body), names, strict=True):
        o.hint = o.name = name
        o.fixed = o.named = True
    claims = None
    if program.provenance:
        claims = Claims(program, main.frame, main.body, records_in_order(main.body))
    graph = model.graph
    graph.name = owner.type.name.rpartition(".")[2] if owner is not None else main.frame.function.name
    for name, value in tensors.items():
        proto = graph.initializer.add()
        array = physical(array_of(value))
        if weights and (arrays is None or not is_large(array)):
            tensor_proto(array, name, proto)
            continue
        proto.name, proto.data_type = name, by_numpy(array.dtype).onnx
        proto.dims.extend(array.shape)
        outside(proto, array)
        if weights and arrays is not None:
            arrays[name] = array
    for r in inputs.runs:
        value_info(r, graph.input.add())
    for run in main.states.values():
        value_info(run, graph.input.add(doc_string="What the output for it gave in the call before."))
    w = Writer({*tensors, *(r.name for r in inputs.runs), *names}, claims)
    w.write_nodes(main.body, graph.node)
    for o in main.body.outputs:
        value_info(o, graph.output.add())
    for path, proto in zip(main.states, graph.output[len(outputs) - main.raises - len(main.states) :], strict=False):
        proto.doc_string = f"What to give as '{path}' in the next call."
    if main.raises:
        graph.output[-1].doc_string = DOCUMENTATION
        table = json.dumps({str(code): row for code, row in sorted(program.errors.items())}, separators=(",", ":"))
        model.metadata_props.append(StringStringEntryProto(key=ERRORS, value=table))
    functions = list(_functions(main.body, {}))
    for f in functions:
        proto = model.functions.add()
        proto.ParseFromString(f.data)
        proto.name = f.name
    model.opset_import.append(OperatorSetIdProto(domain="", version=program.opset))
    domains = {r.domain for b in (main.body, *(f.body for f in functions)) for r in records_in_order(b) if r.domain}
    model.opset_import.extend(OperatorSetIdProto(domain=d, version=program.opset_of(d)) for d in sorted(domains))
    if claims is not None:
        add_metadata(graph, claims.tails.get(main.body))
        arguments = [describe_argument(inputs, a) for a in inputs.arguments]
        table = describe(owner, program, _silent(program, functions, main.frame), arguments)
        model.metadata_props.append(StringStringEntryProto(key=CLASSES, value=table))
    main.claims = claims
    return model


def outputs_of(body: Body) -> list[Run]:
    """The values that carry the output names."""
    return [o.root for o in body.outputs]


def _check(outputs: Sequence[Run], main: MainRecord, hosted: bool) -> None:
    place = main.frame.function.graph.return_node.range
    problems = [Entry("output", f"the number of dimensions of output {i} is not known; an ONNX model must tell it", place)
                for i, o in enumerate(outputs) if o.dims is None and not o.is_list and not hosted]  # fmt: skip
    problems += [
        Entry("output", f"output {i} is a tensor of complex numbers, which ONNX models do not give; return torch.view_as_real(…) of it", place)
        for i, o in enumerate(outputs) if o.dtype.kind == "c"
    ]  # fmt: skip
    if not outputs:
        problems.append(
            Entry("output", "the program returns no tensor or number, so there is nothing to export", place)
        )
    if problems:
        raise ExportError(problems)


def _tensors(main: MainRecord, owner: ScriptObject | None, everything: bool) -> dict[str, Any]:
    """Initializers by name: the state_dict (if ``everything``, also what is not read), and plain tensor attributes that are read."""
    found = dict(state(owner)) if owner is not None and everything else {}
    used = None if everything else used_values(main.body)
    for path, run in main.parameters.items():
        if path not in found and (used is None or run in used or path in main.states):
            assert owner is not None
            initial = main.machine.program.slots.initial
            found[path] = initial[path] if path in initial else owner.resolve(path)
    return found


def _output_names(outputs: Sequence[Run], main: MainRecord, names: Sequence[str] | None, taken: set[str]) -> list[str]:
    found: list[str] = []
    taken = set(taken)
    if names is not None and len(names) > len(outputs):
        raise LoweringError(f"output_names has {len(names)} names for {len(outputs)} outputs")
    extra = len(main.flags) + len(main.states) + main.raises
    bases = _result_names(main.frame.function.graph, len(outputs) - extra)
    bases += (
        [f"{bases[i]}_present" for i, _ in main.flags]
        + [f"{path}_updated" for path in main.states]
        + ["error"] * main.raises
    )
    for i in range(len(outputs)):
        given = names is not None and i < len(names)
        name = names[i] if names is not None and given else bases[i]
        if given and name in taken:
            raise LoweringError(f"output name '{name}' is taken")
        while name in taken:
            name += "_output"
        taken.add(name)
        found.append(name)
    return found


def _result_names(graph: Graph, count: int) -> list[str]:
    """The names of the returned variables, where the program has them; ``output`` otherwise."""
    values = [graph.outputs[0]] if graph.outputs else []
    if values and values[0].node.kind == "prim::TupleConstruct" and len(values[0].node.inputs) == count:
        values = list(values[0].node.inputs)
    named = [v.debug_name_base for v in values]
    if len(named) != count or not all(named) or len(set(named)) != count:
        named = ["output"] if count == 1 else [f"output_{i}" for i in range(count)]
    return named


def _functions(body: Body, seen: dict[FunctionRecord, None]) -> Iterator[FunctionRecord]:
    """The functions that a body calls, those they call first."""
    for r in records_in_order(body):
        f = r.callee
        if f is not None and f not in seen:
            seen[f] = None
            yield from _functions(f.body, seen)
            yield f


def _silent(
    program: ProgramLowering, functions: Sequence[FunctionRecord], main: Frame
) -> dict[str, dict[str, list[str]]]:
    """Claims of the methods that were lowered but are no function of the model, as nothing of them is left to do."""
    written = {f.frame for f in functions} | {main}
    names = {_full_name(f.frame) for f in functions}
    found: dict[str, dict[str, list[str]]] = {}
    for frame in program.frames:
        if frame.parent is not None or frame in written or _full_name(frame) in names:
            continue
        _add_silent(found, program, frame)
    told = {frame.function.qualified_name for frame in program.frames}
    waiting = [f for frame in program.frames for f in _called(frame.function)]
    while waiting:  # functions that are called only where nothing was lowered
        f = waiting.pop()
        if f.qualified_name not in told:
            told.add(f.qualified_name)
            _add_silent(found, program, Frame(f, None, ""))
            waiting += _called(f)
    return found


def _add_silent(found: dict[str, dict[str, list[str]]], program: ProgramLowering, frame: Frame) -> None:
    body = Body()
    owner, name = _full_name(frame)
    found.setdefault(owner, {}).setdefault(name, Claims(program, frame, body, ()).tails[body])


def _called(f: Function) -> list[Function]:
    """The free functions, and the methods of objects, that the text of a function has calls of."""
    types = [n.output.type for n in f.graph.all_nodes() if n.kind == "prim::Constant"]
    calls = [(n.inputs[0].type, n["name"]) for n in f.graph.all_nodes() if n.kind == "prim::CallMethod"]
    methods = [
        t.methods[name] for t, name in calls if isinstance(t, ClassType) and not t.is_module and name in t.methods
    ]
    return [*(t.function for t in types if isinstance(t, FunctionType)), *methods]


def _full_name(frame: Frame) -> tuple[str, str]:
    """(class, method); of a free function, which may be given a module, too, ("", qualified name)."""
    if frame.owner is None or frame.owner.type.methods.get(frame.function.name) is not frame.function:
        return "", frame.function.qualified_name
    return frame.owner.type.name, frame.function.name
