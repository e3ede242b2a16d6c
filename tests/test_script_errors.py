"""What the compiler refuses: the class, the reason, and the place with a caret, for every program of the table.

The expected texts are our own (``python -m support.script_errors`` in tests/ writes them).
"""

from pathlib import Path

import pytest
from support.script_errors import programs, recorded, refusal

EXPECTED = recorded()
CASES = [pytest.param(i, name, source, id=name) for i, (name, source) in enumerate(programs())]


@pytest.mark.parametrize(("number", "name", "source"), CASES)
def test_refusal(number: int, name: str, source: str, tmp_path: Path) -> None:
    assert refusal(source, number, tmp_path) == EXPECTED[name]


@pytest.mark.parametrize(("number", "name", "source"), CASES)
def test_place_is_in_the_program(number: int, name: str, source: str) -> None:
    """The line that an error shows is a line of the program, and its caret stands under something of it."""
    text = EXPECTED[name].splitlines()
    places = [i for i, line in enumerate(text) if line.startswith("program.py:")]
    if EXPECTED[name] == "compiles":
        return
    assert places, EXPECTED[name]
    for i in places:
        _, line, column = text[i].split(":")
        shown = source.splitlines()[int(line) - 1]
        assert text[i + 1] == shown
        assert text[i + 2].index("^") == int(column) - 1
        assert shown[int(column) - 1].strip()


def test_errors_are_runtime_errors() -> None:
    """Programs that catch torch's errors catch these."""
    from bridge.jit import CompileError, FrontendError, NotSupportedError

    assert issubclass(CompileError, RuntimeError)
    assert issubclass(NotSupportedError, FrontendError)
    assert issubclass(FrontendError, CompileError)
