"""Traces are byte for byte what torch makes of the same programs: graphs, code, names, warnings, errors."""

import json
from pathlib import Path

import pytest
from support.trace_generator import program
from support.traces import CASES, run, run_source

RECORDED = Path(__file__).parent / "goldens" / "torch" / "traces.json"
EXPECTED: dict[str, str] = json.loads(RECORDED.read_text(encoding="utf-8"))


def test_everything_is_recorded() -> None:
    assert list(EXPECTED) == list(CASES), "run tests/goldens/record_trace.py"


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.replace("\n", "; "))
def test_trace(case: str) -> None:
    assert run(case, "bridge") == EXPECTED[case]


@pytest.mark.oracle
@pytest.mark.parametrize(
    "case", ["cell", "gate is frozen", "shared weight", "dict input", "x = x + 0\nx[:, 1] += 2\nreturn x"]
)
def test_recorded_is_what_torch_does(case: str) -> None:
    pytest.importorskip("torch")
    assert run(case, "torch") == EXPECTED[case]


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(40))
def test_random_programs_as_in_torch(seed: int) -> None:
    pytest.importorskip("torch")
    source = program(seed)
    wanted, found = run_source(source, "torch"), run_source(source, "bridge")
    if wanted.startswith("!!"):
        assert found.startswith("!!"), source
    else:
        assert found == wanted, source
