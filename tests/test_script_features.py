"""One small program per feature of the language: graph, code and result as torch's, or a clear refusal.

The expected texts were recorded from torch by tests/goldens/record_script.py. What torch refuses has its own tables:
tests/test_script_beyond.py for what compiles here, tests/test_script_errors.py for what is refused.
"""

import json
from pathlib import Path

import pytest
from support.features import RECORDED, features, load_feature, run_feature, shown
from support.scripts import comparable, imported_as_torch

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


#: What torch refuses and so do we, with the words of the refusal; everything else that it refuses does what Python does.
#: The first three have no one meaning in a typed program: one name of two types, a hook that does not say what it returns, a
#: type that any call may choose. The others are constructs that the language does not have.
REFUSED = {
    "if with different types (error)": "r is set to type Tensor in the true branch and type int in the false branch",
    "module: hooks": "is missing a return annotation. Return annotations are required",
    "TypeVar generics": "Unknown type name 'T_'",
    "Callable type": "Unknown type constructor Callable",
    "recursion": "function 'f' is called recursively. Recursive calls are not supported",
    "yield": "Yield aren't supported",
    "bytes": "bytes constants aren't supported",
}


@pytest.mark.parametrize(
    ("number", "feature"), [pytest.param(i, f, id=f.name) for i, f in enumerate(features()) if f.name not in EXPECTED]
)
def test_feature_beyond_torch(number, feature, tmp_path: Path) -> None:
    found = run_feature(feature, number, tmp_path, "bridge")
    if "error" in found:
        assert REFUSED[feature.name] in found["error"]
        assert "^" in found["error"] or "missing a return annotation" in found["error"]
        return
    assert feature.name not in REFUSED
    assert "raises" not in found, found
    with imported_as_torch("bridge") as torch:
        module = load_feature(feature, number, tmp_path)
        torch.manual_seed(0)
        assert found["value"] == shown(eval(feature.call, vars(module)))


@pytest.mark.oracle
def test_recorded_features_are_what_torch_says(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for i, f in enumerate(features()):
        found = run_feature(f, i, tmp_path, "torch")
        expected = EXPECTED.get(f.name, {})
        assert ("error" in found) == (not expected)
        for kind in expected:
            assert comparable(found[kind]) == comparable(expected[kind]), f.name
