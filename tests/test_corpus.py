"""Whole programs: everything that docs/corpus.md says of each is what is found."""

import re

import pytest
from support import corpus, corpus_table
from support.corpus_table import BEYOND, COLUMNS

DOCUMENTED = corpus_table.documented()
#: Another result than torch's, or none where torch raises.
SILENT = re.compile(r"no: inputs \d+( do not raise|: (?!onnxruntime says))")


def worse(found: dict[str, str], name: str) -> dict[str, tuple[str, str]]:
    """The cells that the page promises better: anything but a refusal where it has one, too."""
    known = DOCUMENTED[name]
    return {
        c: (v, known[c])
        for c, v in found.items()
        if v.startswith("no") and v != known[c] and (not known[c].startswith("no") or SILENT.match(v))
    }


@pytest.mark.parametrize("name", corpus.names())
def test_program(name: str, corpus_rows: dict[str, dict[str, str]]) -> None:
    found = corpus_rows[name] = corpus_table.row(name)
    assert not worse(found, name), (
        "see support.corpus_table"
    )  # what is better than the page says shows in the printed table


@pytest.mark.oracle
@pytest.mark.parametrize("name", corpus.names())
def test_program_of_torch(name: str) -> None:
    pytest.importorskip("torch")
    assert not worse(corpus_table.live_rows()[name], name), "see support.corpus_table"


def test_page_lists_every_program() -> None:
    assert list(DOCUMENTED) == corpus.names()


@pytest.mark.parametrize("column", ["run", "interpreter", "onnx", "trace onnx"])
def test_nothing_is_silently_wrong(column: str) -> None:
    """What does not hold is a refusal, never another result."""
    wrong = {n: c[column] for n, c in DOCUMENTED.items() if SILENT.match(c[column])}
    assert not wrong


def test_recorded_programs_are_these() -> None:
    for name in corpus.names():
        path, program = corpus.load("bridge")[name]
        assert len(corpus.recorded(path.stem)[name]["eager"]) == len(program.inputs())


@pytest.mark.oracle
@pytest.mark.parametrize("stem", sorted({p.stem for p, _ in corpus.load("bridge").values()}))
def test_recorded_behaviour_is_torch_s(stem: str) -> None:
    torch = pytest.importorskip("torch")
    with corpus.imported_as_torch("torch"):
        for name, (path, program) in corpus.load("torch").items():
            if path.stem == stem:
                found, expected = corpus.behaviour(torch, path, program), corpus.recorded(stem)[name]
                assert not corpus.disagreement(found["eager"], expected["eager"]), name
                assert found.get("script") == expected.get("script"), name
                assert found.get("trace") == expected.get("trace"), name


def test_reasons_are_found() -> None:
    """The checks see a difference of any kind."""
    tensor = corpus.encoded((1.0, [corpus_table.bridge.ones(2)], {"a": None}))
    other = corpus.encoded((1.0, [corpus_table.bridge.zeros(2)], {"a": None}))
    assert corpus.difference(tensor, tensor) == ""
    assert corpus.difference(other, tensor) == "other values"
    assert corpus.difference(corpus.encoded((1.0,)), tensor) == "1 items for 3"
    assert corpus.disagreement([{"value": 1}], [{"raises": ["ValueError", "no"]}]) == "inputs 0 do not raise"
    assert "raise" in corpus.disagreement([{"raises": ["E", "yes"]}], [{"raises": ["ValueError", "no"]}])
    assert BEYOND not in COLUMNS
