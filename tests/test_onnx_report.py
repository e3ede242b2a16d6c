"""What an export tells of itself: every decision with its place, and all obstacles at once."""

import re
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from support import report_programs as P

import bridge
import bridge.onnx
from bridge import Tensor
from bridge.cli import main
from bridge.exporters.onnx.report import ExportError, Report

FILE = P.__file__


def line_of(text: str) -> int:
    """The number of the first line of the program file that has this text."""
    lines = Path(FILE).read_text(encoding="utf-8").splitlines()
    return next(i for i, line in enumerate(lines, 1) if text in line)


def everything(**options):
    scripted = bridge.jit.script(P.Everything())
    return bridge.onnx.export(scripted, (bridge.rand(2, 3), None, "fast"), report=True, **options)


#: (kind, what the message has, the text of the line that it points to)
LINES = [
    ("value captured", "'SCALE' is 3", "SCALE * WEIGHTS[1]"),
    ("value captured", "'WEIGHTS' is [0.5, 0.25]", "SCALE * WEIGHTS[1]"),
    ("attribute frozen", "'gain' is 0.5", "layer(x) * self.gain"),
    ("attribute frozen", "'names' is ['a', 'b']", "len(self.names)"),
    ("default used", "'power'", ""),
    ("argument fixed", "'mask' is None", ""),
    ("argument fixed", "'mode' is 'fast'", ""),
    ("branch removed", "", "if mask is not None"),
    ("branch removed", "", 'if mode == "fast"'),
    ("loop unrolled", "2 times", "for layer in self.layers"),
    ("state", "'calls'", "self.calls += 1"),
    ("random", "aten::rand_like", "rand_like(x)"),
    ("message", "does not carry a tensor", "raise ValueError"),
]


@pytest.mark.parametrize(("kind", "message", "line"), LINES)
def test_every_decision_is_told_with_its_place(kind: str, message: str, line: str) -> None:
    found = [e for e in everything().report if e.kind == kind and message in e.message]
    assert found
    if line:
        wanted = f"{FILE}:{line_of(line)}:"
        assert any(e.place.startswith(wanted) for e in found), [e.place for e in found]


def test_page(tmp_path: Path) -> None:
    program = everything(f=tmp_path / "model.onnx")
    page = (tmp_path / "model.report.md").read_text(encoding="utf-8")
    assert page == str(program.report)
    assert "| x | `float32[x_dim0, x_dim1]` | free: x_dim0, x_dim1 |" in page
    assert "| calls | `float32[]` | state: its default is the value now, `calls_updated` the next |" in page
    assert re.search(r"\| error \| `int64\[.*\]` \| empty, or what was raised", page)
    assert f"ONNX opset 21; nodes: {sum(1 for _ in nodes(program.model_proto))}; functions: 1." in page
    for kind in {e.kind for e in program.report}:
        assert kind in page


def nodes(model):
    from support.onnx_runs import nodes_of

    return nodes_of(model)


def test_without_asking_the_report_has_the_decisions_only(tmp_path: Path) -> None:
    program = bridge.onnx.export(bridge.jit.script(P.Everything()), (bridge.rand(2, 3),), tmp_path / "m.onnx")
    assert {e.kind for e in program.report} == {"branch removed", "default used", "state", "message"}
    assert program.report.summary is None
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_dropped_checks() -> None:
    assert "check dropped" in [e.kind for e in everything(raises=False).report]


def test_what_a_trace_froze() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = bridge.jit.trace(P.traced, (bridge.ones(3),))
    report = bridge.onnx.export(made, (bridge.ones(3),), report=True).report
    places = [e.place for e in report if e.kind == "frozen by the trace"]
    assert places == [f"{FILE}:{line_of('if x.sum() > 0')}", f"{FILE}:{line_of('range(int(x[0]))')}"]


def test_foreign_models_report_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    bridge.onnx.export(bridge.jit.trace(P.nn.Linear(2, 2), (bridge.rand(1, 2),)), None, path, provenance=False)
    report = bridge.onnx.export(bridge.onnx.load(path), None, report=True).report
    assert not report
    assert report.summary.inputs[0].name == "input"
    assert "Nothing was decided" in str(report)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bridge.jit.script(P.nn.Linear(2, 3)).save(tmp_path / "m.pt")
    with pytest.raises(SystemExit) as done:
        main(["convert", str(tmp_path / "m.pt"), str(tmp_path / "m.onnx"), "--input", "input=f32[1,2]", "--report"])
    assert done.value.code == 0
    assert "m.report.md" in capsys.readouterr().out
    assert "| input | `float32[" in (tmp_path / "m.report.md").read_text(encoding="utf-8")


#: What stands in the way in `Obstacles`: the text of the line, and what the message has.
IN_THE_WAY = [
    ("w.add_(1)", "is written to in place"),
    ("if len(text) > 3", "strings"),
    ("print(y)", "printing"),
    ('print("three")', "printing"),
]


def test_all_obstacles_at_once() -> None:
    with pytest.raises(ExportError) as caught:
        bridge.onnx.export(bridge.jit.script(P.Obstacles()), (bridge.rand(3, 4), bridge.arange(3)))
    error = caught.value
    places = {e.place.removeprefix(f"{FILE}:").partition(":")[0]: e.message for e in error.obstacles}
    assert len(error.obstacles) == len(IN_THE_WAY)
    for line, message in IN_THE_WAY:
        assert message in places[str(line_of(line))]
        assert line.split("(")[0] in str(error)
    assert str(error).count("^^^") >= len(IN_THE_WAY)


def squeezed(x: Tensor, i: Tensor, n: int):
    return x.gather(1, i[:, :1]).squeeze(1), i[-1:].squeeze(0), x[:n].squeeze(0)


def test_sizes_that_are_taken_for_granted_are_told_and_held(capfd: pytest.CaptureFixture[str]) -> None:
    scripted = bridge.jit.script(squeezed)
    program = bridge.onnx.export(scripted, (bridge.ones(2, 3), bridge.tensor([[1], [2]]), 1))
    told = [e for e in program.report if e.kind == "size assumed"]
    assert [e.message[:11] for e in told] == ["dimension 1", "dimension 0", "dimension 0"]
    assert all(e.range is not None for e in told)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    x = bridge.rand(4, 5)
    for rows, columns, n, fits in (
        (4, 3, 1, True),
        (1, 1, -3, True),
        (2, 0, 1, False),
        (0, 2, 1, False),
        (4, 3, 2, False),
    ):
        i = bridge.ones(rows, columns, dtype=bridge.int64)
        feed = {"x": x[:4].numpy(), "i": i.numpy(), "n": np.asarray(n)}
        if fits:
            for a, b in zip(session.run(None, feed), squeezed(x, i, n), strict=True):
                np.testing.assert_array_equal(a, b.numpy())
        else:
            with pytest.raises(Exception, match="must be 1 instead of"):
                session.run(None, feed)
    capfd.readouterr()


def test_a_report_that_is_cut_may_be_told_the_rest_again() -> None:
    report = Report()
    for _ in range(2):
        report.note("state", "a")
        report.note("state", "b")
        report.cut(1)
    assert [e.message for e in report] == ["a"]
    report.note("state", "b")
    assert [e.message for e in report] == ["a", "b"]
