"""The script compiler: graphs and code byte for byte as torch's, for every program in tests/script_programs.

The expected texts were recorded from torch by tests/goldens/record_script.py.
"""

import inspect
import json
from pathlib import Path

import pytest
from support.scripts import PROGRAMS, RECORDED, collect, comparable

from bridge.jit import sources

FILES = sorted(PROGRAMS.glob("*.py"))
_texts: dict[tuple[Path, str], dict[str, dict[str, str]]] = {}


def recorded(path: Path) -> dict[str, dict[str, str]]:
    return json.loads((RECORDED / f"{path.stem}.json").read_text(encoding="utf-8"))


def texts(path: Path, library: str) -> dict[str, dict[str, str]]:
    """The texts of a file's subjects; each file is compiled once."""
    key = path, library
    if key not in _texts:
        _texts[key] = collect(path, library)
    return _texts[key]


CASES = [pytest.param(path, name, id=f"{path.stem}-{name}") for path in FILES for name in recorded(path)]


@pytest.mark.parametrize(("path", "name"), CASES)
def test_graph_and_code_as_in_torch(path: Path, name: str) -> None:
    expected, found = recorded(path)[name], texts(path, "bridge")[name]
    assert "error" not in found, found.get("error")
    for kind, text in expected.items():
        assert comparable(found.get(kind)) == comparable(text), kind


@pytest.mark.oracle
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_recorded_texts_are_what_torch_prints(path: Path) -> None:
    """The goldens are torch's: recorded once, compared with live torch where it is installed."""
    pytest.importorskip("torch")
    live = {name: t for name, t in texts(path, "torch").items() if "error" not in t}
    plain = [{name: {k: comparable(v) for k, v in t.items()} for name, t in x.items()} for x in (live, recorded(path))]
    assert plain[0] == plain[1]


def test_the_end_of_a_function_is_where_inspect_finds_it() -> None:
    found = 0
    for module in (inspect, sources, json, pytest):
        for f in vars(module).values():
            if inspect.isfunction(f) and not hasattr(f, "__wrapped__"):
                lines, start = inspect.findsource(f)
                block = sources._block(lines, start)
                assert block is None or block == inspect.getsourcelines(f)[0]
                found += block is not None
    assert found > 50
