"""One small program per feature of the language: graph, code and result as torch's, or a clear refusal.

The expected texts were recorded from torch by tests/goldens/record_script.py. What torch refuses has its own tables:
tests/test_script_beyond.py for what compiles here, tests/test_script_errors.py for what is refused.
"""

import json
from pathlib import Path

import pytest
from support.features import RECORDED, features, run_feature
from support.scripts import comparable

EXPECTED: dict[str, dict[str, str]] = json.loads(RECORDED.read_text(encoding="utf-8"))
CASES = [pytest.param(i, f, id=f.name) for i, f in enumerate(features()) if f.name in EXPECTED]


@pytest.mark.parametrize(("number", "feature"), CASES)
def test_feature(number, feature, tmp_path: Path) -> None:
    found = run_feature(feature, number, tmp_path, "bridge")
    assert "error" not in found, found.get("error")
    expected = EXPECTED[feature.name]
    for kind in ("code", "graph", "value"):
        assert comparable(found.get(kind)) == comparable(expected.get(kind)), (kind, found.get("raises"))
    assert ("raises" in found) == ("raises" in expected)


@pytest.mark.oracle
def test_recorded_features_are_what_torch_says(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for i, f in enumerate(features()):
        found = run_feature(f, i, tmp_path, "torch")
        expected = EXPECTED.get(f.name, {})
        assert ("error" in found) == (not expected)
        for kind in expected:
            assert comparable(found[kind]) == comparable(expected[kind]), f.name
