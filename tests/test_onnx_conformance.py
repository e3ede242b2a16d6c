"""onnx's own conformance suite, by way of this project.

Every case that onnxruntime passes by itself is imported and run (``run``), exported again (``again``: the same model), printed
as Python and run eagerly (``eager``), scripted and run (``scripted``), and exported from there and run by onnxruntime alone
(``exported``). Cases that do not pass are in ``data/onnx_conformance.txt`` with the reason.

By default a sample of the cases is run; ``--all-cases`` runs all of them (about four minutes).
"""

import functools
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from support.backend_cases import FAMILIES, Case, cases, feeds, same

import bridge
import bridge.onnx
from bridge.ops.ortvalues import run_session
from bridge.tensor import Tensor

#: One case in so many is in the sample.
STEP = {"node": 29, "simple": 3, "pytorch-operator": 4, "pytorch-converted": 7, "light": 5}
CHECKS = ("run", "again", "eager", "scripted", "exported")
#: At least so many cases does onnxruntime 1.32 with onnx 1.23 pass by itself.
LEAST = {"node": 1700, "simple": 15, "pytorch-operator": 20, "pytorch-converted": 55, "light": 5}


@functools.cache
def exceptions() -> dict[tuple[str, str], str]:
    """(name, check) → reason."""
    found = {}
    for line in (Path(__file__).parent / "data" / "onnx_conformance.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, check, reason = (part.strip() for part in line.split(":", 2))
            assert check in CHECKS
            assert reason
            found[name, check] = reason
    return found


def directly(model: onnx.ModelProto, given: dict[str, Any]) -> list[Any]:
    """What onnxruntime by itself makes of a model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return run_session(session, given)


def passing(case: Case) -> list[tuple[Sequence[Any], list[Any]]] | None:
    """Inputs and onnxruntime's results; None where onnxruntime refuses the model or its results are not the expected ones."""
    pairs = []
    for inputs, expected in case.data:
        try:
            results = directly(case.model, feeds(case, inputs))
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
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
            return module.model()
        finally:
            del sys.modules[path.stem]

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
        model = bridge.onnx.export(self.recompiled).model_proto
        names = [i.name for i in model.graph.input]
        return all(self._same(directly(model, dict(zip(names, i, strict=False))), r) for i, r in self.pairs)

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


@pytest.fixture
def quiet() -> Iterator[None]:
    """The suite's own values overflow in NumPy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.usefixtures("quiet")
def test_cases_pass_on_every_route(family: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    everything = bool(request.config.getoption("--all-cases"))
    chosen = cases(family) if everything else cases(family)[:: STEP[family]]
    failed: dict[tuple[str, str], str] = {}
    passed, known = 0, exceptions()
    for case in chosen:
        pairs = passing(case)
        if pairs is None:
            continue
        passed += 1
        route = Route(case, pairs, tmp_path)
        for check in CHECKS:
            outcome = _outcome(getattr(route, check))
            if outcome and (case.name, check) not in known:
                failed[case.name, check] = outcome
            elif not outcome and (case.name, check) in known:
                failed[case.name, check] = "passes, but is listed as an exception"
    assert failed == {}
    assert passed >= (LEAST[family] if everything else len(chosen) // 2)


def _outcome(check: Callable[[], bool]) -> str:
    """ "" when the check passes, else what went wrong."""
    try:
        return "" if check() else "other results"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
