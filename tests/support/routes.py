"""The ways of an ONNX model through this project, each compared with what onnxruntime by itself makes of the model."""

import contextlib
import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import bridge
import bridge.onnx
from bridge.ops.ortvalues import run_session
from bridge.tensor import Tensor
from support.backend_cases import Case, feeds, same

#: The checks that :class:`Route` has.
CHECKS = ("run", "again", "eager", "scripted", "exported", "equal")


def directly(model: onnx.ModelProto, given: dict[str, Any], optimised: bool = True) -> list[Any]:
    """What onnxruntime by itself makes of a model."""
    options = onnxruntime.SessionOptions()
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return run_session(session, given)


def passing(case: Case, optimised: bool = True) -> list[tuple[Sequence[Any], list[Any]]] | None:
    """Inputs and onnxruntime's results; None where onnxruntime refuses the model or its results are not the expected ones."""
    pairs = []
    for inputs, expected in case.data:
        try:
            results = directly(case.model, feeds(case, inputs), optimised)
        except Exception:  # onnxruntime has a class of its own for each status code, and no common one
            return None
        wanted = results if expected is None else expected
        if not all(same(a, b, case.rtol, case.atol) for a, b in zip(results, wanted, strict=False)):
            return None
        pairs.append((inputs, results))
    return pairs or None


def into(v: Any) -> Any:
    if v is None or isinstance(v, dict):
        return v
    return [into(x) for x in v] if isinstance(v, list) else Tensor._wrap(np.asarray(v))


def out_of(v: Any) -> Any:
    if isinstance(v, Tensor):
        return np.asarray(v._array)
    return [out_of(x) for x in v] if isinstance(v, list | tuple) else v


def model_in(path: Path) -> Any:
    """The module that a printed file makes."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return module.model()
    finally:
        del sys.modules[path.stem]


@contextlib.contextmanager
def by_code_alone(scripted: Any) -> Iterator[None]:
    """For a ``with`` block, what was kept beside the text of a printed model is not there: its export says what the code says."""
    graph = scripted._method("forward")._function.graph
    kept, graph.records = graph.records, b""
    try:
        yield
    finally:
        graph.records = kept


class Route:
    """One case on its way: imported, printed and scripted once, when a check asks for it."""

    def __init__(self, case: Case, pairs: list[tuple[Sequence[Any], list[Any]]], folder: Path) -> None:
        self.case, self.pairs, self.folder = case, pairs, folder

    @functools.cached_property
    def imported(self) -> Any:
        return bridge.onnx.load(self.case.model)

    @functools.cached_property
    def printed(self) -> Any:
        path = self.folder / f"{''.join(c if c.isalnum() else '_' for c in self.case.name)}.py"
        bridge.onnx.write_python(self.imported, path)
        return model_in(path)

    @functools.cached_property
    def recompiled(self) -> Any:
        return bridge.jit.script(self.printed)

    def run(self) -> bool:
        return self._calls(self.imported, exact=True)

    def again(self) -> bool:
        return bridge.onnx.export(self.imported).model_proto == self.case.model

    def eager(self) -> bool:
        return self._calls(self.printed)

    def scripted(self) -> bool:
        return self._calls(self.recompiled)

    def exported(self) -> bool:
        with by_code_alone(self.recompiled):
            model = bridge.onnx.export(self.recompiled).model_proto
        names = [i.name for i in model.graph.input]
        return all(self._same(directly(model, dict(zip(names, i, strict=False))), r) for i, r in self.pairs)

    def equal(self) -> bool:
        return bridge.onnx.export(self.recompiled).model_proto == self.case.model

    def _calls(self, module: Any, exact: bool = False) -> bool:
        good = True
        with bridge.no_grad():
            for inputs, results in self.pairs:
                got = module(*map(into, inputs))
                got = out_of(list(got) if isinstance(got, tuple) else [got])
                good &= self._same(got, results, exact)
        return good

    def _same(self, got: list[Any], wanted: list[Any], exact: bool = False) -> bool:
        rtol, atol = (0.0, 0.0) if exact else (max(self.case.rtol, 1e-5), max(self.case.atol, 1e-5))
        return len(got) == len(wanted) and all(same(a, b, rtol, atol) for a, b in zip(got, wanted, strict=True))


def outcome(way: Callable[[], bool]) -> str:
    """ "" when the way gives what it should, else what went wrong."""
    try:
        return "" if way() else "other results"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
