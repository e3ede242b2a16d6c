"""A speech detector that nobody here wrote: 689 nodes, 25 `If`s, 16 and 8 kHz, a state that is passed from call to call."""

import importlib.util
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from support.wheels import SILERO_MODELS, silero

import bridge
import bridge.onnx

pytestmark = pytest.mark.network

RATES = {16000: 576, 8000: 288}  # samples of a window with its context


def windows(rate: int, count: int = 12) -> Iterator[np.ndarray[Any, Any]]:
    """Windows of a tone that swells over noise, so that the detector's state matters."""
    random = np.random.default_rng(rate)
    size = RATES[rate]
    for k in range(count):
        t = (np.arange(size) + k * size) / rate
        tone = np.sin(2 * math.pi * 180 * t) * np.sin(2 * math.pi * 3 * t) * k / count
        yield (tone + 0.02 * random.standard_normal(size)).astype(np.float32)[None]


def reference(path: Path, rate: int) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """What onnxruntime says by itself, state passed on."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    state = np.zeros((2, 1, 128), np.float32)
    results = []
    for window in windows(rate):
        output, state = session.run(None, {"input": window, "state": state, "sr": np.array(rate)})
        results.append((output, state))
    return results


def check(module: Any, path: Path, rate: int, rtol: float) -> None:
    state = bridge.zeros(2, 1, 128)
    with bridge.no_grad():
        for window, (output, after) in zip(windows(rate), reference(path, rate), strict=True):
            got, state = module(bridge.from_numpy(window), state, bridge.tensor(rate))
            np.testing.assert_allclose(np.asarray(got), output, rtol=rtol, atol=rtol)
            np.testing.assert_allclose(np.asarray(state), after, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("rate", RATES)
def test_it_runs_with_onnxruntimes_own_results(rate: int) -> None:
    path = silero()
    check(bridge.onnx.load(path), path, rate, rtol=0)


@pytest.mark.parametrize("name", SILERO_MODELS)
def test_exported_again_it_is_the_same_model(name: str, tmp_path: Path) -> None:
    path = silero(name)
    program = bridge.onnx.export(bridge.onnx.load(path), f=tmp_path / "again.onnx")
    original = onnx.load(path)
    assert program.model_proto == original
    assert onnx.load(tmp_path / "again.onnx") == original


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The Python file that the command prints, imported."""
    folder = tmp_path_factory.mktemp("silero")
    written = bridge.onnx.write_python(bridge.onnx.load(silero()), folder / "vad.py")
    assert [p.name for p in written] == ["vad.py", "vad.safetensors"]
    spec = importlib.util.spec_from_file_location("vad", folder / "vad.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["vad"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["vad"]


def test_the_printed_file_is_readable(printed: ModuleType) -> None:
    text = Path(str(printed.__file__)).read_text()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 240
    assert len(text) < 60_000  # the weights, 2 MB of them, are beside it
    assert "ops.onnx.LSTM(" in text
    assert "self.stft.forward_basis_buffer" in text
    assert 'input: Annotated[Tensor, "float32[?, ?]"]' in text
    assert "CONSTANTS" not in text


@pytest.mark.parametrize("rate", RATES)
def test_the_printed_file_runs_eagerly(printed: ModuleType, rate: int) -> None:
    check(printed.model(), silero(), rate, rtol=1e-5)


@pytest.mark.parametrize("rate", RATES)
def test_the_printed_file_scripts(printed: ModuleType, rate: int) -> None:
    check(bridge.jit.script(printed.model()), silero(), rate, rtol=1e-5)


@pytest.mark.parametrize("modules", ["functions", "inline"])
def test_the_printed_file_exports(printed: ModuleType, modules: str, tmp_path: Path) -> None:
    path = tmp_path / "vad.onnx"
    bridge.onnx.export(bridge.jit.script(printed.model()), f=path, modules=modules)
    onnx.checker.check_model(str(path), full_check=True)
    for rate in RATES:
        for (a, b), (c, d) in zip(reference(path, rate), reference(silero(), rate), strict=True):
            np.testing.assert_allclose(a, c, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(b, d, rtol=1e-5, atol=1e-5)


def test_its_code_compiles_again() -> None:
    module = bridge.onnx.load(silero())
    assert module.code.startswith("def forward(self,\n    input: Tensor,\n    state: Tensor,\n    sr: Tensor)")
