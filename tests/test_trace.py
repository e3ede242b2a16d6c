"""Traces are byte for byte what torch makes of the same programs: graphs, code, names, warnings, errors."""

import json
from pathlib import Path

import pytest
from support.onnx_runs import run_plain
from support.scripts import load
from support.trace_generator import program
from support.traces import CASES, run, run_source

import bridge as torch
import bridge.onnx
from bridge.jit.running import interpreted

RECORDED = Path(__file__).parent / "goldens" / "torch" / "traces.json"
EXPECTED: dict[str, str] = json.loads(RECORDED.read_text(encoding="utf-8"))


def test_everything_is_recorded() -> None:
    assert list(EXPECTED) == list(CASES), "run tests/goldens/record_trace.py"


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.replace("\n", "; "))
def test_trace(case: str) -> None:
    assert run(case, "bridge") == EXPECTED[case]


#: Numbers in the place of tensors, beside tensors without dimensions.
NUMBERS = [
    lambda s: s * 0.5, lambda s: 2.0 * s, lambda s: s + 1, lambda s: s.long() * 0.5, lambda s: s.half() / 3, lambda s: 1 / s,
    lambda s: s.long() + True, lambda s: 0.1 - s, lambda s: s // 2, lambda s: s % 0.3, lambda s: (s > 0).long() - 0.25,
    lambda s: torch.add(s, 0.1, alpha=2), lambda s: torch.where(s > 0, s, 0.5), lambda s: s.clone().add_(0.25),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(NUMBERS)))
def test_numbers_promote_as_numbers(number: int, tmp_path: Path) -> None:
    """Traced constants of numbers are tensors in the graph, and take part in promotion as the numbers did."""

    class Program(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return NUMBERS[number](x.sum())

    x = torch.tensor([1.0, 0.7])
    expected = Program()(x)
    traced = torch.jit.trace(Program(), (x,))
    exported = bridge.onnx.export(traced, (x,))
    found = [traced(x), torch.jit.freeze(traced.eval())(x), torch.tensor(run_plain(exported.model_proto, (x,))[0])]
    found.append(interpreted(traced.forward)(x))
    loaded = bridge.onnx.load(exported.model_proto)
    assert loaded.code == exported.specialised.code
    found.append(loaded(x))
    bridge.onnx.write_python(traced, tmp_path / "numbers.py")
    found.append(load(tmp_path / "numbers.py").model()(x))
    for value in found:
        assert value.dtype == expected.dtype
        assert torch.allclose(value, expected)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "case", ["cell", "gate is frozen", "shared weight", "dict input", "x = x + 0\nx[:, 1] += 2\nreturn x"]
)
def test_recorded_is_what_torch_does(case: str) -> None:
    pytest.importorskip("torch")
    assert run(case, "torch") == EXPECTED[case]


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(40))
def test_random_programs_as_in_torch(seed: int) -> None:
    pytest.importorskip("torch")
    source = program(seed)
    wanted, found = run_source(source, "torch"), run_source(source, "bridge")
    if wanted.startswith("!!"):
        assert found.startswith("!!"), source
    else:
        assert found == wanted, source
