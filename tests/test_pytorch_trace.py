"""Live PyTorch code traced here: byte for byte what ``torch.jit.trace`` makes of it, recorded through PyTorch's dispatch."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bridge
from bridge.ir.classes import CompilationUnit
from bridge.jit.names import python_cu

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore:ComplexHalf")]

from support.traces import CASES, run

EXPECTED: dict[str, str] = json.loads(
    (Path(__file__).parent / "goldens" / "torch" / "traces.json").read_text(encoding="utf-8")
)

#: What differs from PyTorch's own trace by intent.
DIFFERENT = {
    # programs inside come by way of their archive, whose values are numbered anew
    "scripted gate in a trace", "traced in scripted in traced", "scripted function in a trace", "script_if_tracing",
    "eager module holds a scripted one", "scripted module with containers", "scripted holds a traced one",
    "traced module called in two ways", "traced function in a trace", "scripted containers", "scripted dict",
    # compared with other random numbers when checked
    "dropout in training", "random numbers",
    # what is done with the traced thing is tested elsewhere
    "behaviour of a traced module", "behaviour of functions", "exported method", "a scripted method called by name",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def own_names() -> Iterator[None]:
    """Names of classes and functions as in a process that compiled nothing else, now and for the tests that follow."""
    kept = {n: getattr(python_cu, n) for n in python_cu.__slots__}
    CompilationUnit.__init__(python_cu)
    yield
    for name, value in kept.items():
        setattr(python_cu, name, value)


@pytest.mark.parametrize("case", [c for c in CASES if c not in DIFFERENT], ids=lambda name: name.replace("\n", "; "))
def test_trace_is_torchs(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.jit, "trace", bridge.jit.trace)
    monkeypatch.setattr(torch.jit, "trace_module", bridge.jit.trace_module)
    assert run(case, "torch") == EXPECTED[case]


LAYERS: dict[str, Any] = {
    "transformer encoder layer": (lambda nn: nn.TransformerEncoderLayer(4, 2, 8, 0.0).eval(), (3, 2, 4)),
    "transformer encoder layer that trains": (lambda nn: nn.TransformerEncoderLayer(4, 2, 8, 0.0), (3, 2, 4)),
    "lstm": (lambda nn: nn.LSTM(4, 5, 2, bidirectional=True, batch_first=True), (3, 2, 4)),
    "batch norm that trains": (lambda nn: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), (2, 3, 8, 8)),
    "group norm": (lambda nn: nn.GroupNorm(2, 4), (2, 4, 5)),
    "upsample": (lambda nn: nn.Upsample(scale_factor=1.5, mode="bilinear"), (2, 4, 5, 6)),
    "adaptive pool": (lambda nn: nn.AdaptiveAvgPool2d((2, None)), (2, 4, 5, 6)),
}  # fmt: skip


def texts(traced: Any) -> list[str]:
    found = []
    for _, part in traced.named_modules():
        method = getattr(getattr(part, "_actual_script_module", part), "forward", None)
        if hasattr(method, "graph"):
            found += [str(method.graph), method.code]
    return [re.sub(r"___torch_mangle_\d+\.", "", text) for text in (*found, str(traced.inlined_graph))]


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    layer, x = make(torch.nn), torch.rand(shape)
    ours = bridge.jit.trace(layer, x)
    with warnings.catch_warnings(action="ignore"):  # of decisions in PyTorch's own code, which it hides by a filter
        theirs = torch.jit.trace(layer, x)
    assert texts(ours) == texts(theirs)
