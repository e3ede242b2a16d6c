"""Models that people use: imported, exported again, printed, recompiled and run, against onnxruntime by itself (docs/models.md)."""

import warnings
from pathlib import Path

import pytest
from support.real_models import MODELS, PAGE, Real, check

pytestmark = pytest.mark.network


@pytest.mark.parametrize("real", MODELS, ids=lambda real: real.name)
def test_every_way_gives_onnxruntimes_results(real: Real, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if real.large and not request.config.getoption("--all-cases"):
        pytest.skip("a large wheel: with --all-cases")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy says what overflows
        outcomes, _ = check(real, tmp_path)
    assert {name: why for name, why in outcomes.items() if why} == {}


def test_the_page_has_every_model() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [real.name for real in MODELS if f"| {real.name} |" not in text] == []
