"""onnx's own conformance suite, by way of this project.

Every case that onnxruntime passes by itself is imported and run (``run``), exported again (``again``: the same model), printed
as Python and run eagerly (``eager``), scripted and run (``scripted``), and exported from there and run by onnxruntime alone
(``exported``). Cases that do not pass are in ``data/onnx_conformance.txt`` with the reason.

By default a sample of the cases is run; ``--all-cases`` runs all of them (about four minutes).
"""

import functools
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.backend_cases import FAMILIES, cases
from support.routes import CHECKS, Route, outcome, passing

#: One case in so many is in the sample.
STEP = {"node": 29, "simple": 3, "pytorch-operator": 4, "pytorch-converted": 7, "light": 5}
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
            why = outcome(getattr(route, check))
            if why and (case.name, check) not in known:
                failed[case.name, check] = why
            elif not why and (case.name, check) in known:
                failed[case.name, check] = "passes, but is listed as an exception"
    assert failed == {}
    assert passed >= (LEAST[family] if everything else len(chosen) // 2)
