"""``bridge inspect``, ``diff``, ``verify`` and ``extract``: as commands, on models that differ in known ways."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

import bridge as torch
import bridge.onnx
from bridge import nn, tools
from bridge.cli import main
from bridge.ir.errors import BridgeError


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.out = nn.Linear(3, 2)

    def forward(self, x):
        h = self.linear(x).relu()
        for _ in range(x.size(0)):
            h = torch.tanh(self.linear(h))
        return self.out(h)


class Renamed(Cell):
    def forward(self, x):
        state = self.linear(x).relu()
        for _step in range(x.size(0)):
            state = torch.tanh(self.linear(state))
        result = self.out(state)
        return result


class Changed(Cell):
    def forward(self, x):
        h = self.linear(x).relu()
        for _ in range(x.size(0)):
            h = torch.sigmoid(self.linear(h))
        return self.out(h)


X = np.linspace(-1, 1, 6, dtype="f").reshape(2, 3)


def _save(module: nn.Module, path: Path) -> Path:
    scripted = torch.jit.script(module)
    if path.suffix == ".pt":
        scripted.save(path)
    else:
        bridge.onnx.export(scripted, (torch.from_numpy(X),), path)
    return path


@pytest.fixture
def cells(tmp_path: Path) -> dict[str, Path]:
    """The cell in both formats, the same with other names, with another function in the loop, with another weight."""
    torch.manual_seed(0)
    cell = Cell()
    others: dict[str, nn.Module] = {"cell": cell, "renamed": Renamed(), "changed": Changed(), "moved": Cell()}
    for m in others.values():
        m.load_state_dict(cell.state_dict())
    with torch.no_grad():
        others["moved"].out.weight[1, 2] += 0.5
    return {f"{n}{s}": _save(m, tmp_path / f"{n}{s}") for n, m in others.items() for s in (".onnx", ".pt")}


@pytest.fixture
def bridge_command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main.main([str(a) for a in args])
        captured = capsys.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return run


PLAIN = """
<ir_version: 10, opset_import: ["" : 21], producer_name: "test">
chain (float[N, 4] x) => (float[N, 4] y)
<float[4, 4] w = {1,2,3,4, 0,1,0,1, 2,2,1,1, -1,0,1,2}>
{
    [first] a = MatMul (x, w)
    [second] b = Softmax <axis = 1> (a)
    [third] c = Relu (b)
    [fourth] y = Add (c, x)
}
"""


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.onnx"
    onnx.save(parser.parse_model(PLAIN), path)
    return path


# -- inspect --------------------------------------------------------------------------------------------------------------


def test_inspect_shows_what_a_model_holds(
    cells: dict[str, Path], bridge_command: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = bridge_command("inspect", cells["cell.onnx"], "--provider", "cpu")
    assert (code, err) == (0, "")
    for line in (
        "x: float32[x_dim0, x_dim1]",
        "1  Loop",
        "float32: 4 tensors, 80 bytes",
        "linear: Linear, 12 elements in 2 tensors",
    ):
        assert line in out
    assert "not taken by CPUExecutionProvider: 0 nodes" in out


@pytest.mark.parametrize("suffix", [".onnx", ".pt"])
def test_inspect_writes_json(
    suffix: str, cells: dict[str, Path], bridge_command: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, _ = bridge_command("inspect", cells[f"cell{suffix}"], "--json")
    found = json.loads(out)
    assert code == 0
    assert list(found["inputs"]) == ["x"]
    assert [p["path"] for p in found["hierarchy"]] == ["", "linear", "out"]
    assert sum(p["elements"] for p in found["hierarchy"]) == 20
    assert found["weights"]["float32"] == [4, 80]


def test_inspect_counts_subgraphs_and_external_data(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    weight = numpy_helper.from_array(np.ones((64, 64), "f"), "w")
    branch = [helper.make_graph([helper.make_node(op, ["x"], ["r"])], op, [], [helper.make_tensor_value_info("r", 1, None)]) for op in ("Abs", "Neg")]  # fmt: skip
    nodes = [helper.make_node("If", ["c"], ["h"], then_branch=branch[0], else_branch=branch[1]), helper.make_node("MatMul", ["h", "w"], ["y"])]  # fmt: skip
    inputs = [
        helper.make_tensor_value_info("x", 1, ["N", 64]),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
    ]
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("y", 1, ["N", 64])], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save_model(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    found = tools.inspect(path)
    assert found.operators == {"Abs": 1, "If": 1, "MatMul": 1, "Neg": 1}
    assert found.files == {"w.bin": 64 * 64 * 4}
    assert found.inputs == {"x": "float32[N, 64]", "c": "bool[]"}


def test_inspect_weighs_tables_in_attributes_and_subgraphs(tmp_path: Path) -> None:
    text = """
    <ir_version: 10, opset_import: ["" : 21, "ai.onnx.ml" : 3]>
    g (float[N, 20] x, bool c) => (float[N, 20] z)
    {
        y = ai.onnx.ml.Scaler (x)
        z = If (c) <then_branch = t () => (float[N, 20] p) <float[1] w = {2}> { p = Mul (y, w) },
                    else_branch = e () => (float[N, 20] q) { q = Neg (y) }>
    }
    """
    model = parser.parse_model(text)
    for name in ("offset", "scale"):
        model.graph.node[0].attribute.append(helper.make_attribute(name, [1.5] * 20))
    onnx.save(model, tmp_path / "m.onnx")
    found = str(tools.inspect(tmp_path / "m.onnx"))
    assert "in attributes of nodes:\n  ai.onnx.ml::Scaler: 2 tables, 2" in found
    assert "weights:\n  float32: 1 tensors, " in found


# -- diff -----------------------------------------------------------------------------------------------------------------

# files, and what is said of them ("" for nothing)
DIFFS = {
    "a file and itself": ("cell.onnx", "cell.onnx", ""),
    "two formats": ("cell.onnx", "cell.pt", ""),
    "other names": ("cell.pt", "renamed.pt", ""),
    "another function in the loop": ("cell.pt", "changed.pt", "+ aten::sigmoid"),
    "the same across formats": ("cell.onnx", "changed.pt", "- aten::tanh"),
    "another weight": ("cell.pt", "moved.pt", "out.weight: 1 of 6 values differ, by at most 0.5"),
}


@pytest.mark.parametrize("name", DIFFS)
def test_diff_tells_by_meaning(
    name: str, cells: dict[str, Path], bridge_command: Callable[..., tuple[int, str, str]]
) -> None:
    a, b, said = DIFFS[name]
    code, out, err = bridge_command("diff", cells[a], cells[b])
    assert (code, err) == (1 if said else 0, "")
    assert said in out
    assert bool(out) == bool(said)
    lines = [line for line in out.splitlines() if line.lstrip().startswith(("-", "+"))]
    assert len(lines) == (2 if "aten" in said else 0)


def test_diff_of_edited_models(plain: Path, tmp_path: Path) -> None:
    def edited(change: Callable[[onnx.ModelProto], object]) -> list[str]:
        model = onnx.load(plain)
        change(model)
        onnx.save(model, tmp_path / "edited.onnx")
        return [line for d in tools.diff(plain, tmp_path / "edited.onnx") for line in str(d).splitlines()]

    def rename(model: onnx.ModelProto) -> None:
        model.graph.node[0].output[0] = model.graph.node[1].input[0] = "hidden"
        model.graph.node[2].name = "another"

    assert edited(rename) == []
    assert edited(lambda m: setattr(m.graph.node[1].attribute[0], "i", 0)) == [
        "(top): 'forward' computes something else",
        "    - onnx::Softmax(a, axis=1) 'second'",
        "    + onnx::Softmax(a, axis=0) 'second'",
    ]
    assert edited(lambda m: setattr(m.opset_import[0], "version", 20))[:3] == [
        "(top): opsets differ",
        "    - ai.onnx: 21",
        "    + ai.onnx: 20",
    ]


def test_a_model_does_not_differ_from_the_file_that_it_prints_as(plain: Path, tmp_path: Path) -> None:
    file = tmp_path / "shown.py"
    bridge.onnx.write_python(bridge.onnx.load(plain), file)
    assert tools.diff(plain, file) == tools.diff(file, plain) == []
    file.write_text(file.read_text().replace("softmax(a, 1)", "softmax(a, 0)"))
    said = [line for d in tools.diff(plain, file) for line in str(d).splitlines()]
    assert [line.rpartition("  ")[0].strip() for line in said[1:]] == [
        "- aten::softmax(a.1, 1, None)",
        "+ aten::softmax(a.1, 0, None)",
    ]
    assert said[1].rpartition("  ")[2].startswith("printed.py:")
    assert said[2].rpartition("  ")[2].startswith(str(file))


def test_modules_of_other_tools_models_are_extracted(tmp_path: Path) -> None:
    steps = [("MatMul", ["x", "enc.w"]), ("Relu", ["a0"]), ("Exp", ["a1"]), ("Neg", ["a2"])]
    nodes = [helper.make_node(op, i, [f"a{n}"], f"/enc/{op}") for n, (op, i) in enumerate(steps)]
    nodes.append(helper.make_node("Mul", ["a3", "head.w"], ["y"], "/head/Mul"))
    nodes.append(helper.make_node("Abs", ["y"], ["z"], "/Abs"))
    values = [helper.make_tensor_value_info(n, 1, ["N", 4]) for n in ("x", "z")]
    weights = [
        numpy_helper.from_array(np.eye(4, dtype="f") * 2, "enc.w"),
        numpy_helper.from_array(np.ones(4, "f"), "head.w"),
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "a.onnx")
    x = np.array([[1, -1, 0, 2]], np.float32)
    tools.extract(tmp_path / "a.onnx", tmp_path / "enc.onnx", module="enc", args=[torch.from_numpy(x)])
    assert [n.op_type for n in onnx.load(tmp_path / "enc.onnx").graph.node] == ["MatMul", "Relu", "Exp", "Neg"]
    session = onnxruntime.InferenceSession(tmp_path / "enc.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x})[0], -np.exp(np.maximum(x * 2, 0)), rtol=1e-6)
    with pytest.raises(BridgeError, match="'head' is called nowhere as a whole"):
        tools.extract(tmp_path / "a.onnx", tmp_path / "head.onnx", module="head")


def test_names_of_a_file_are_shown_harmless(tmp_path: Path) -> None:
    odd = "n\x1b[31mred\x07\r\nequal: 1 outputs\u202e"
    for name, op in (("a", "Relu"), ("b", "Abs")):
        nodes = [helper.make_node(op, ["x"], [f"{odd}h"], f"{odd}node"), helper.make_node("Neg", [f"{odd}h"], [odd])]
        values = [helper.make_tensor_value_info(n, 1, [f"{odd}N"]) for n in ("x", odd)]
        graph = helper.make_graph(nodes, odd, values[:1], values[1:])
        model = helper.make_model(graph, producer_name=odd, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        helper.set_model_props(model, {odd: odd})
        onnx.save(model, tmp_path / f"{name}.onnx")
    a, b = tmp_path / "a.onnx", tmp_path / "b.onnx"
    verified = tools.verify(a, b, {"x": np.array([-1, 2], np.float32)})
    assert not verified.passed
    for text in (str(tools.inspect(a)), "\n".join(map(str, tools.diff(a, b))), str(verified)):
        lines = text.split("\n")
        assert all(line.isprintable() for line in lines)
        assert not any(line.startswith("equal") for line in lines)
        assert "red\\x07\\r\\nequal" in text


def test_trouble_is_status_2(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    for command in (["diff", "bad.onnx", "bad.onnx"], ["verify", "bad.onnx"], ["diff", "none.onnx", "none.onnx"]):
        done = subprocess.run(
            [sys.executable, "-m", "bridge.cli", *command], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 2
        assert done.stderr.startswith("bridge: ")
        assert len(done.stderr.splitlines()) == 1


# -- verify ---------------------------------------------------------------------------------------------------------------

VERIFIED = {
    "two formats": ("cell.onnx", "cell.pt", ()),
    "onnxruntime and the interpreter": ("cell.onnx", None, ()),
    "other names": ("renamed.onnx", "cell.onnx", ()),
    "another function in the loop": (
        "cell.pt",
        "changed.onnx",
        ("1 of 1 outputs differ", "+ aten::sigmoid", "test_tools.py:"),
    ),
    "another weight": (
        "cell.onnx",
        "moved.onnx",
        (
            "the first value that differs",
            "out.weight: 1 of 6 elements differ",
            "Linear 'out'",
            "the first that is computed:",
        ),
    ),
}


@pytest.mark.parametrize("name", VERIFIED)
def test_verify(name: str, cells: dict[str, Path], bridge_command: Callable[..., tuple[int, str, str]]) -> None:
    a, b, said = VERIFIED[name]
    files = [cells[a]] if b is None else [cells[a], cells[b]]
    code, out, err = bridge_command("verify", *files, "--input", "x=f32[2,3]")
    assert (code, err) == (1 if said else 0, ""), out
    for text in said or ("equal: 1 outputs",):
        assert text in out


def test_verify_names_the_node_and_writes_it(plain: Path, tmp_path: Path) -> None:
    model = onnx.load(plain)
    model.graph.node[1].attribute[0].i = 0
    onnx.save(model, tmp_path / "edited.onnx")
    folder = tmp_path / "case"
    found = tools.verify(plain, tmp_path / "edited.onnx", reproduction=folder)
    assert not found.passed
    assert found.first is not None
    assert (found.first.name, found.first.second) == ("b", "Softmax 'second'")
    assert found.compared == 3  # w and a are equal
    part = onnx.load(folder / "node.onnx")
    assert [n.name for n in part.graph.node] == ["second"]
    inputs, results = dict(np.load(folder / "inputs.npz")), np.load(folder / "results.npz")
    session = onnxruntime.InferenceSession(folder / "node.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, inputs)[0], results["found"], rtol=1e-6)
    assert not np.allclose(results["found"], results["expected"])
    done = subprocess.run([sys.executable, folder / "reproduce.py"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "expected:" in done.stdout


# the two files, and why nothing is written ("": the node is)
REPRODUCED = {
    "a weight of a model": ("cell.onnx", "moved.onnx", ""),
    "a weight of a program, beside a model": ("cell.onnx", "moved.pt", ""),
    "two programs": ("cell.pt", "moved.pt", "nothing was written: nodes are written of .onnx files alone"),
}


@pytest.mark.parametrize("name", REPRODUCED)
def test_verify_reproduces_or_says_why_not(name: str, cells: dict[str, Path], tmp_path: Path) -> None:
    a, b, why = REPRODUCED[name]
    found = tools.verify(cells[a], cells[b], [X], reproduction=tmp_path / "case")
    assert found.first is not None
    assert found.computed is not None
    assert found.first.name == "out.weight"
    if why:
        assert why in str(found)
        assert not (tmp_path / "case").exists()
    else:
        done = subprocess.run([sys.executable, tmp_path / "case/reproduce.py"], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("was:") == 1


def test_verify_says_that_a_list_is_not_written(tmp_path: Path) -> None:
    for name, op in (("a", "Identity"), ("b", "Neg")):
        text = f"""
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[2] x, int64 i) => (float[] y) {{
            n = {op} (x)
            s = SplitToSequence <keepdims = 0> (n)
            y = SequenceAt (s, i)
        }}"""
        model = parser.parse_model(text)
        model.graph.node[0].output[0] = model.graph.node[1].input[0] = name  # another value than the other model's
        onnx.save(model, tmp_path / f"{name}.onnx")
    inputs = {"x": np.array([1, 2], np.float32), "i": np.array(1)}
    found = tools.verify(tmp_path / "a.onnx", tmp_path / "b.onnx", inputs, reproduction=tmp_path / "case")
    assert "nothing was written: 'expected' is no tensor" in str(found)
    assert not (tmp_path / "case").exists()


def test_verify_says_which_input_it_needs(tmp_path: Path, cells: dict[str, Path]) -> None:
    with pytest.raises(RuntimeError, match="give the inputs"):
        tools.verify(cells["cell.pt"], cells["cell.pt"])
    with pytest.raises(RuntimeError, match=r"takes 1 inputs \(x\), not 2"):
        tools.verify(cells["cell.pt"], cells["cell.pt"], [X, X])


# -- extract --------------------------------------------------------------------------------------------------------------


def test_extract_a_range_of_values(
    plain: Path, tmp_path: Path, bridge_command: Callable[..., tuple[int, str, str]]
) -> None:
    target = tmp_path / "part.onnx"
    code, _, err = bridge_command("extract", plain, target, "--from", "a", "--to", "c")
    assert (code, err) == (0, "")
    part = onnx.load(target)
    onnx.checker.check_model(part, full_check=True)
    assert [n.name for n in part.graph.node] == ["second", "third"]
    assert [i.name for i in part.graph.input] == ["a"]
    assert len(part.graph.initializer) == 0
    a = np.random.default_rng(0).standard_normal((2, 4)).astype("f")
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    expected = np.exp(a - a.max(1, keepdims=True))
    np.testing.assert_allclose(session.run(None, {"a": a})[0], expected / expected.sum(1, keepdims=True), rtol=1e-5)


def test_extract_takes_what_subgraphs_use(tmp_path: Path) -> None:
    text = """
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[4] x, bool c) => (float[4] y)
    <float[4] w = {1, 2, 3, 4}, float[4] unused = {0, 0, 0, 0}>
    {
        h = Add (x, w)
        k = Neg (x)
        y = If (c) <then_branch = t () => (float[4] a) { a = Mul (h, w) }, else_branch = e () => (float[4] b) { b = Abs (x) }>
    }
    """
    onnx.save(parser.parse_model(text), tmp_path / "m.onnx")
    tools.extract(tmp_path / "m.onnx", tmp_path / "part.onnx", inputs=["h"], outputs=["y"])
    part = onnx.load(tmp_path / "part.onnx")
    onnx.checker.check_model(part, full_check=True)
    assert [n.op_type for n in part.graph.node] == ["If"]
    assert sorted(i.name for i in part.graph.input) == ["c", "h", "x"]
    assert [t.name for t in part.graph.initializer] == ["w"]


@pytest.mark.parametrize("suffix", [".pt", ".onnx", ".py"])
def test_extract_a_submodule(suffix: str, cells: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / f"linear{suffix}"
    tools.extract(cells["cell.onnx"], target, module="linear", args=[torch.from_numpy(X)])
    from bridge import formats

    whole = formats.load(cells["cell.pt"])
    expected = whole.linear(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(formats.load(target)(torch.from_numpy(X)).detach().numpy(), expected, rtol=1e-6)


BAD = {
    "nothing said": ({}, "say either"),
    "both said": ({"module": "linear", "outputs": ["y"]}, "say either"),
    "no such module": ({"module": "linear.none"}, "no submodule 'none' in 'linear.none'"),
    "no such value": ({"outputs": ["nowhere"]}, "no value 'nowhere'"),
}


@pytest.mark.parametrize("name", BAD)
def test_extract_refuses(name: str, cells: dict[str, Path], tmp_path: Path) -> None:
    arguments, message = BAD[name]
    with pytest.raises(RuntimeError, match=message):
        tools.extract(cells["cell.onnx"], tmp_path / "part.onnx", **arguments)
    assert not (tmp_path / "part.onnx").exists()
