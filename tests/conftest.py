"""Options, markers and fixtures of the whole test suite."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDENS = Path(__file__).parent / "goldens"


def pytest_configure() -> None:
    import onnxruntime
    from support.second_opinion import Session

    onnxruntime.InferenceSession = Session


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the project's own golden texts")
    parser.addoption("--all-cases", action="store_true", help="all cases of the conformance suites, not a sample")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("torch") is None:
        skip = pytest.mark.skip(reason="torch is not installed; pip install '.[oracle]'")
        for item in items:
            if item.get_closest_marker("oracle"):
                item.add_marker(skip)


CORPUS = pytest.StashKey[dict[str, dict[str, str]]]()


@pytest.fixture(scope="session")
def corpus_rows(request: pytest.FixtureRequest) -> dict[str, dict[str, str]]:
    """What was found of each program of the corpus: a table of it is printed at the end of the run."""
    return request.config.stash.setdefault(CORPUS, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(CORPUS, {})
    if not rows:
        return
    columns = list(next(iter(rows.values())))
    width = max(map(len, rows))
    terminalreporter.section(f"corpus: {len(rows)} programs")
    terminalreporter.write_line(f"{'':{width}}  {'  '.join(columns)}")
    for name, cells in rows.items():
        marks = [f"{cells[c] if len(cells[c]) < 7 else 'no':^{len(c)}}"[: max(len(c), 6)] for c in columns]
        terminalreporter.write_line(f"{name:{width}}  {'  '.join(marks)}")
        for c in columns:
            if cells[c].startswith("no"):
                terminalreporter.write_line(f"{'':{width}}    {c}: {cells[c]}")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with the file of that name under tests/goldens: ``golden("passes/dce.txt", text)``.

    With ``--update-golden`` the file is written instead. What is under ``goldens/torch`` was recorded from torch by
    ``record.py``, and is never rewritten from what the project prints.
    """
    update = request.config.getoption("--update-golden")

    def check(name: str, text: str) -> None:
        path = GOLDENS / name
        assert GOLDENS / "torch" not in path.parents, "recorded from torch: compare with support.programs"
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"no golden {name}: run pytest --update-golden and read what it wrote"
        assert text == path.read_text(encoding="utf-8")

    return check
