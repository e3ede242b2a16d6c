"""The command: what it prints, what it writes, and one clear line for what goes wrong."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import parser

from bridge.cli import main

MODEL = """
<ir_version: 10, opset_import: ["" : 21]>
affine (float[N, 3] x, float[3] b) => (float[N, 3] y)
<float[3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 10}>
{
    c = Constant <value = float {0}> ()
    s = ReduceSum <keepdims = 0> (x)
    positive = Greater (s, c)
    y = If (positive) <
        then_branch = yes () => (float[N, 3] y1) { m = MatMul (x, w) y1 = Add (m, b) },
        else_branch = no () => (float[N, 3] y2) { y2 = Neg (x) }>
}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "affine.onnx"
    onnx.save(parser.parse_model(MODEL), path)
    return path


class Ran:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def bridge(capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    def run(*args: object) -> Ran:
        with pytest.raises(SystemExit) as stopped:
            main.main([str(a) for a in args])
        captured = capsys.readouterr()
        return Ran(int(stopped.value.code or 0), captured.out, captured.err)

    return run


def test_the_tour_runs_to_its_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bridge.cli", "tour", "--output", str(tmp_path / "tour")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "byte for byte" in done.stdout
    assert "return None" in done.stdout  # the gate that tracing emptied
    assert "for i in range(torch.size(xs, 0)):" in done.stdout
    assert sorted(p.name for p in (tmp_path / "tour").iterdir()) == ["rnn.onnx", "rnn.pt"]


def test_run_equals_onnxruntime(bridge, model: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    x, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "b.npy", b)
    ran = bridge("run", model, "-i", f"x={tmp_path / 'x.npy'}", "-i", f"b={tmp_path / 'b.npy'}", "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    expected = onnxruntime.InferenceSession(str(model)).run(None, {"x": x, "b": b})[0]
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "y.npy"), expected)


def test_run_with_shapes_is_repeatable(bridge, model: Path) -> None:  # type: ignore[no-untyped-def]
    first, second, other = (
        bridge("run", model, "-i", "x=f32[2,3]", "-i", "b=f32[3]", "--seed", seed).out for seed in (1, 1, 2)
    )
    assert first == second != other
    assert first.startswith("y = tensor(")


def test_convert_to_python_and_back(bridge, model: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    python, back = tmp_path / "printed.py", tmp_path / "back.onnx"
    assert bridge("convert", model, python).code == 0
    assert (tmp_path / "printed.safetensors").exists()
    ran = bridge("convert", python, back)
    assert ran.code == 0, ran.err
    for sign in (1, -1):
        feeds = {"x": sign * np.ones((4, 3), np.float32), "b": np.full(3, 2, np.float32)}
        a, b = (onnxruntime.InferenceSession(str(p)).run(None, feeds)[0] for p in (model, back))
        np.testing.assert_array_equal(a, b)


def test_convert_onnx_to_onnx_is_the_identity(bridge, model: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert bridge("convert", model, tmp_path / "same.onnx").code == 0
    assert onnx.load(tmp_path / "same.onnx") == onnx.load(model)


def test_code_and_graph_print(bridge, model: Path) -> None:  # type: ignore[no-untyped-def]
    code = bridge("code", model)
    assert "x @ self." in code.out
    assert "class Affine(nn.Module):" in code.out
    assert "if bool(positive):" in code.out
    graph = bridge("graph", model)
    assert graph.out.startswith("graph(%self : __torch__.Affine")
    assert "prim::If(" in graph.out


def test_providers_lists_the_cpu(bridge) -> None:  # type: ignore[no-untyped-def]
    assert "CPUExecutionProvider" in bridge("providers").out.split()


ERRORS = {
    "a missing file": (("code", "none.onnx"), "none.onnx"),
    "a folder": (("inspect", "folder.onnx"), "folder.onnx is a directory"),
    "a binary file called .py": (("inspect", "binary.py"), "binary.py: SyntaxError: source code string"),
    "a Python file with a mistake": (("code", "mistake.py"), "mistake.py:2: SyntaxError: '(' was never closed"),
    "a Python file that imports what is not there": (
        ("code", "imports.py"),
        "imports.py:1: ModuleNotFoundError: No mod",
    ),
    "a Python file that stops": (("code", "stops.py"), "stops.py:2: SystemExit: 3"),
    "a model() that is none": (("code", "three.py"), "three.py: RuntimeError: a 'int' cannot be scripted"),
    "an unknown extension": (("code", "model.xyz"), "'.xyz' is no format that bridge knows"),
    "an unknown target": (("convert", "affine.onnx", "out.tflite"), "'.tflite' is no format that bridge knows"),
    "a text file called .onnx": (("code", "text.onnx"), "text.onnx: not an ONNX model"),
    "a text file called .pt": (("code", "text.pt"), "text.pt"),
    "a truncated archive": (("code", "cut.pt"), "cut.pt"),
    "a program that cannot compile": (("convert", "bad.py", "out.onnx"), "bad.py:7"),
    "a Python file without model()": (("convert", "empty.py", "out.onnx"), "defines no function model()"),
    "an unknown provider": (
        ("run", "affine.onnx", "-i", "x=f32[1,3]", "-i", "b=f32[3]", "-p", "NoSuchProvider"),
        "NoSuchProvider",
    ),
    "an unknown input": (("run", "affine.onnx", "-i", "z=f32[1]"), "no input named 'z' (there are: x, b)"),
    "a missing input": (("run", "affine.onnx", "-i", "x=f32[1,3]"), "no value for input 'b'"),
    "a bad input": (("run", "affine.onnx", "-i", "x=q9[1]"), "the element types are"),
    "a missing input file": (("run", "affine.onnx", "-i", "x=none.npy"), "none.npy"),
    "a missing folder": (("convert", "affine.onnx", "nowhere/out.onnx"), "no such folder"),
    "an unknown submodule": (("code", "affine.onnx", "--module", "enc"), "no submodule 'enc'"),
}

BAD_PROGRAM = """\
import bridge as torch


class Bad(torch.nn.Module):
    def forward(self, x):
        y = x + 1
        yield y


def model():
    return Bad()
"""


FILES = {
    "empty.py": "",
    "binary.py": "\0\0",
    "mistake.py": "x = 1\ny = (\n",
    "imports.py": "import no_such_module_anywhere\n",
    "stops.py": "def model():\n    raise SystemExit(3)\n",
    "three.py": "def model():\n    return 3\n",
    "helper_of_uses.py": "NUMBER = 7\n",
    "uses.py": "from helper_of_uses import NUMBER\nimport bridge\n\n\ndef model():\n    return bridge.nn.Linear(NUMBER, 2)\n",
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_one_clear_line(
    name: str, bridge, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.onnx").write_text("this is text\n")
    (tmp_path / "text.pt").write_text("this is text\n")
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04" + bytes(40))
    (tmp_path / "bad.py").write_text(BAD_PROGRAM)
    for file, text in FILES.items():
        (tmp_path / file).write_text(text)
    (tmp_path / "folder.onnx").mkdir()
    before = sorted(p.name for p in tmp_path.iterdir() if p.name != "__pycache__")
    args, message = ERRORS[name]
    ran = bridge(*args)
    assert ran.code != 0
    assert ran.out == ""
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "__pycache__") == before  # nothing was written


def test_a_python_file_imports_its_neighbours(bridge, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for file in ("uses.py", "helper_of_uses.py"):
        (tmp_path / file).write_text(FILES[file])
    before = list(sys.path)
    assert "16 elements in 2 tensors" in bridge("inspect", tmp_path / "uses.py").out
    assert sys.path == before


def test_the_package_is_a_command(model: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "bridge", "inspect", str(model)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{model}: ONNX")


def test_debug_shows_the_traceback(bridge, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FileNotFoundError):
        main.main(["--debug", "code", str(tmp_path / "none.onnx")])


@pytest.mark.parametrize("command", ["tour", "convert", "code", "graph", "run", "providers"])
def test_every_command_has_help_with_an_example(command: str, bridge) -> None:  # type: ignore[no-untyped-def]
    ran = bridge(command, "--help")
    assert ran.code == 0
    assert f"bridge {command}" in ran.out.split("Example")[1]
