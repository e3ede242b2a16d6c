"""Our exports after other people's tools: they load, print, and compute what the tool's model computes."""

import functools
import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
from onnx import inliner, version_converter
from support import corpus
from support.backend_cases import Case, feeds, same
from support.corpus_table import Checks
from support.routes import CHECKS, Route, directly, outcome, passing

import bridge
import bridge.onnx

#: One program in so many is tried.
STEP = 6

#: onnxsim takes a list that a loop fills out of the loop, as a scan output: stacking the list of no iteration raises in Python, and
#: in what is exported from there. One of these is in the message then.
EMPTY = ("Must have 1 or more inputs", "non-empty TensorList")
#: What is not exported again, with what is said: a list that onnxsim has a branch make, of which the loop carries one or the other;
#: an axis that onnxsim leaves unknown in a body; axes that onnxruntime makes a constant of all functions, whose ranks are told by no rule.
REFUSED = {
    ("onnxsim", "streaming_conv_state", "exported"): "which list the loop carries depends on data",
    ("onnxsim", "detection_transform", "exported"): "onnx::Resize: its result types cannot be told",
    ("onnxruntime extended", "band_pass", "exported"): "squeeze needs a tensor whose number of dimensions is known",
    ("onnxruntime extended", "band_pass", "equal"): "squeeze needs a tensor whose number of dimensions is known",
}


def optimised(level: str, model: onnx.ModelProto) -> onnx.ModelProto:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def slimmed(model: onnx.ModelProto) -> onnx.ModelProto:
    return importlib.import_module("onnxslim").slim(model)


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    return importlib.import_module("onnxsim").simplify(model)[0]


TOOLS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "onnxruntime basic": functools.partial(optimised, "ORT_ENABLE_BASIC"),
    "onnxruntime extended": functools.partial(optimised, "ORT_ENABLE_EXTENDED"),
    "onnx.inliner": inliner.inline_local_functions,
    "onnx.version_converter": lambda model: version_converter.convert_version(model, 22),
    "onnxslim": slimmed,
    "onnxsim": simplified,
}
#: So many programs come out of a tool whole: some fail on loops, functions or sequences, and break what they touch.
LEAST = {"onnx.version_converter": 0.2, "onnxslim": 0.2}


@functools.cache
def exported(name: str) -> tuple[onnx.ModelProto, list[list[Any]]] | None:
    """The model of a program, with the inputs of each call; None for what does not export."""
    checks = Checks(name)
    try:
        model = checks.exported.model_proto
    except bridge.onnx.ExportError:
        return None
    return model, [[leaf for a in s for leaf in corpus.leaves(a) if leaf is not None] for s in checks.sets()]


def changed_by(tool: str, model: onnx.ModelProto) -> onnx.ModelProto | None:
    """What the tool makes of a model; None where it fails."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    try:
        return TOOLS[tool](copy)
    except Exception:  # a tool raises what it likes
        return None


def whole(before: onnx.ModelProto, after: onnx.ModelProto, sets: list[list[Any]]) -> bool:
    """Whether the tool's model gives what the one before it gave."""
    names = [i.name for i in before.graph.input]
    for given in sets:
        fed = dict(zip(names, given, strict=False))
        try:
            pairs = zip(directly(before, fed), directly(after, fed), strict=True)
            if not all(same(b, a, 1e-4, 1e-5) for a, b in pairs):
                return False
        except Exception:  # onnxruntime has a class of its own for each status code
            return False
    return True


@pytest.mark.parametrize(
    "tool", [pytest.param(t, marks=pytest.mark.oracle if t in ("onnxslim", "onnxsim") else ()) for t in TOOLS]
)
@pytest.mark.filterwarnings("ignore")
def test_what_tools_made_of_our_exports(tool: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if tool in ("onnxslim", "onnxsim"):
        pytest.importorskip(tool)
    sample = corpus.names()[:: 1 if request.config.getoption("--all-cases") else STEP]
    chosen = [
        *sample,
        *({"patch_positions"} - {*sample}),
    ]  # a tool leaves a function of this model where a module is made
    wrong, came_through = {}, 0
    for name in chosen:
        model, sets = exported(name) or (None, [])
        made = changed_by(tool, model) if model is not None else None
        if model is None or made is None or not whole(model, made, sets):
            continue
        came_through += 1
        for check, why in outcomes(Case("tool", name, made, [(s, None) for s in sets]), tmp_path).items():
            if (tool, name, check) in REFUSED:
                assert REFUSED[tool, name, check] in why
            elif why and not (tool == "onnxsim" and any(text in why for text in EMPTY)):
                wrong[name, check] = why
    assert wrong == {}
    assert came_through >= LEAST.get(tool, 0.8) * len(chosen)


def outcomes(case: Case, folder: Path) -> dict[str, str]:
    """What is wrong on each way of a tool's model."""
    pairs = passing(case)
    assert pairs is not None
    route = Route(case, pairs, folder)
    entry = getattr(route.imported, "forward", route.imported)
    checks: dict[str, Callable[[], bool]] = {name: getattr(route, name) for name in CHECKS}
    if entry.graph.foreign is None:  # read back as the program that it was
        checks = {"exported": lambda: again_the_same(route, case)}
    return {name: outcome(way) for name, way in checks.items()}


def again_the_same(route: Route, case: Case) -> bool:
    model = bridge.onnx.export(route.imported).model_proto
    return all(
        same(a, b, 1e-4, 1e-5)
        for inputs, results in route.pairs
        for a, b in zip(directly(model, feeds(case, inputs)), results, strict=True)
    )
