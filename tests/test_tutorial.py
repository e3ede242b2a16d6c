"""The tutorial as it was published: its code runs with bridge in torch's place, and prints what it printed."""

from pathlib import Path

import pytest
from support.programs import LOADED, TUTORIAL, Sections, differences, recorded, sections

PRINTED = Sections.parse((TUTORIAL.parent / "expected.txt").read_text(encoding="utf-8"))
KINDS = ["repr", "code", "graph", "inlined_graph"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tutorial")


@pytest.mark.parametrize("block", PRINTED)
def test_block_prints_what_the_page_shows(block: str, folder: Path) -> None:
    found = sections("bridge", TUTORIAL, folder)
    assert block in found, str(found.of_kind("error"))
    assert found[block] == PRINTED[block]


@pytest.mark.parametrize("kind", KINDS)
def test_every_module_looks_as_in_torch(kind: str, folder: Path) -> None:
    difference = differences(sections("bridge", TUTORIAL, folder), recorded(TUTORIAL), kind)
    assert not difference, difference


@pytest.mark.oracle
def test_torch_prints_what_the_page_shows_and_what_was_recorded(folder: Path) -> None:
    found = sections("torch", TUTORIAL, folder)
    assert found.of_kind("output") == PRINTED
    difference = differences(found, recorded(TUTORIAL), "output", *KINDS, *LOADED)
    assert not difference, difference
