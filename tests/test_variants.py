"""Programs as users write them, each run through bridge on inputs that take every path, beside what torch does.

What torch does was recorded (``goldens/record.py``); with torch installed, that is checked, too.
"""

from pathlib import Path

import pytest
from support.programs import EXACT, LOADED, NUMERIC, TESTS, differences, recorded, sections

PROGRAMS = sorted((TESTS / "variants").glob("*.py"))
KINDS = {kind: (kind,) for kind in (*EXACT, *NUMERIC) if kind not in ("output", *LOADED)} | {"loaded": LOADED}

each_program = pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("variants")


@pytest.mark.parametrize("kind", KINDS)
@each_program
def test_program_as_in_torch(program: Path, kind: str, folder: Path) -> None:
    difference = differences(sections("bridge", program, folder), recorded(program), *KINDS[kind])
    assert not difference, difference


@pytest.mark.oracle
@each_program
def test_torch_does_what_was_recorded(program: Path, folder: Path) -> None:
    difference = differences(sections("torch", program, folder), recorded(program), *EXACT, *NUMERIC)
    assert not difference, difference
