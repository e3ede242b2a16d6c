"""Eager mode against what torch printed (recorded), case by case."""

import json
from pathlib import Path

import pytest
from support.eager_cases import run_case
from support.eager_programs import GROUPS

import bridge

GOLDENS = Path(__file__).parent / "goldens" / "torch" / "eager"
CASES = [(group, name) for group, cases in GROUPS.items() for name in cases]


@pytest.fixture(scope="module")
def recorded() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for group in GROUPS:
        found |= json.loads((GOLDENS / f"{group}.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(("group", "name"), CASES, ids=[name for _, name in CASES])
def test_as_torch(group: str, name: str, recorded: dict[str, list[str]]) -> None:
    assert run_case(GROUPS[group][name], bridge) == "".join(f"{line}\n" for line in recorded[name])
