"""Models of other tools at other opsets: what a conversion gives computes what the model did, or nodes are named that have no form there."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from support.backend_cases import Case, cases, feeds, same
from support.routes import directly, passing

import bridge.onnx
from bridge.cli import main
from bridge.exporters.onnx.opsets import convert_opset
from bridge.ir.errors import LoweringError

TARGETS = (13, 18, 21)
#: onnxruntime has no kernel for every operator and type at every version.
_NO_KERNEL = re.compile("NOT_IMPLEMENTED|Could not find an implementation")
_RANDOM = re.compile("bernoulli|random|dropout|image_decoder|multinomial")


def opset(model: onnx.ModelProto) -> int:
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)


@pytest.mark.parametrize(
    ("family", "step"), [("node", 24), ("pytorch-operator", 4), ("pytorch-converted", 10), ("simple", 1)]
)
def test_conformance_models_compute_the_same_at_other_opsets(family: str, step: int) -> None:
    converted, wrong = 0, []
    for case in [c for c in cases(family) if not _RANDOM.search(c.name)][::step]:
        pairs = passing(case)
        for version in TARGETS if pairs and opset(case.model) >= 6 else ():
            try:
                model = convert_opset(case.model, version)
            except LoweringError:
                continue
            outcome = _compare(case, model, pairs or [])
            converted += not outcome
            wrong += [f"{case.name} at {version}: {outcome}"] if outcome not in ("", "no kernel") else []
    assert wrong == []
    assert converted > 10


def _compare(case: Case, model: onnx.ModelProto, pairs: list) -> str:  # type: ignore[type-arg]
    for inputs, wanted in pairs:
        try:
            got = directly(model, feeds(case, inputs))
        except Exception as e:  # each of onnxruntime's status codes is a class of its own
            return "no kernel" if _NO_KERNEL.search(str(e)) else str(e)
        if not all(same(a, b, case.rtol, max(case.atol, 1e-6)) for a, b in zip(got, wanted, strict=True)):
            return "other results"
    return ""


def _model(version: int, body: str, dims: str = "2, 4, 6, 6", result: str = "float[?]") -> onnx.ModelProto:
    made = parser.parse_model(
        f'<ir_version: 7, opset_import: ["" : {version}]> agraph (float[{dims}] x) => (float y) {{ {body} }}'
    )
    made.graph.output[0].ClearField("type")
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    return made


#: (opset, nodes, the opset asked for, operators then): what attributes and defaults became.
STEPS: dict[str, tuple[int, str, int, str]] = {
    "softmax over the last axes": (11, "y = Softmax <axis = 1> (x)", 13, "Shape Flatten Softmax Reshape"),
    "softmax over the last axis": (11, "y = Softmax <axis = 3> (x)", 18, "Softmax"),
    "attributes of Slice": (9, "y = Slice <axes = [1, 3], starts = [1, -4], ends = [3, 9]> (x)", 21, "Slice"),
    "the limits of Clip": (10, "y = Clip <min = -0.5, max = 0.25> (x)", 17, "Clip"),
    "one limit of Clip": (6, "y = Clip <max = 0.25> (x)", 13, "Clip"),
    "pads and their value": (10, "y = Pad <pads = [0, 0, 1, 1, 0, 0, 2, 0], value = 3.5> (x)", 19, "Pad"),
    "k of TopK": (9, "y, i = TopK <k = 2, axis = 1> (x)", 18, "TopK"),
    "upsampling, nearest": (8, 'y = Upsample <mode = "nearest", scales = [1.0, 1.0, 2.0, 1.5]> (x)', 13, "Resize"),
    "upsampling, linear": (8, 'y = Upsample <mode = "linear", scales = [1.0, 1.0, 2.0, 2.0]> (x)', 18, "Resize"),
    "axes of reductions": (12, "y = ReduceMean <axes = [2, 3], keepdims = 0> (x)", 18, "ReduceMean"),
    "axes of a sum": (11, "y = ReduceSum <axes = [-1]> (x)", 20, "ReduceSum"),
    "axes of Squeeze": (11, "u = Unsqueeze <axes = [0]> (x) y = Squeeze <axes = [0]> (u)", 13, "Unsqueeze Squeeze"),
    "parts of Split": (11, "y, z = Split <axis = 1, split = [1, 3]> (x)", 18, "Split"),
    "equal parts of Split": (13, "y, z = Split <axis = 1> (x)", 18, "Split"),
    "unequal parts of Split": (18, "a, b, y = Split <axis = 1, num_outputs = 3> (t)", 13, ""),
    "ratio of Dropout": (10, "y = Dropout <ratio = 0.25> (x)", 13, "Dropout"),
    "broadcasting by an axis": (6, "b = ReduceMean <axes = [2, 3], keepdims = 0> (x) c = ReduceMean <axes = [0], keepdims = 0> (b) y = Add <axis = 1, broadcast = 1> (x, c)", 13, "ReduceMean ReduceMean Reshape Add"),
    "down: axes of reductions": (18, "a = Constant <value_ints = [1]> () y = ReduceMax <keepdims = 0> (x, a)", 13, "Constant ReduceMax"),
    "down: no axes": (18, "y = ReduceL2 (x)", 17, "ReduceL2"),
    "down: a part of the shape": (15, "s = Shape <start = 1, end = 3> (x) y = Cast <to = 1> (s)", 13, "Shape Slice Cast"),
    "down: axes of Pad": (18, "p = Constant <value_ints = [1, 2]> () a = Constant <value_ints = [-1]> () y = Pad (x, p, , a)", 17, "Constant Constant Pad"),
    "down: what is a function": (20, 'y = Gelu <approximate = "tanh"> (x)', 13, ""),
    "down: a normalisation": (17, "g = Constant <value_floats = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]> () y = LayerNormalization (x, g)", 13, ""),
    "in a branch": (11, ("c = Constant <value = bool {1}> () y = If (c) <then_branch = a () => (float[a, b, c, d] t) { t = ReduceSum <axes = [1]> (x) }, "
                    "else_branch = b () => (float[a, b, c, d] e) { e = ReduceSum <axes = [1]> (x) }>"), 18, "Constant If"),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_what_changed_between_versions(name: str) -> None:
    present, body, version, operators = STEPS[name]
    body = body.replace("(t)", "(x)")
    model = _model(present, body)
    x = np.random.default_rng(0).standard_normal((2, 4, 6, 6), np.float32)
    made = convert_opset(model, version)
    onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
    assert opset(made) == version
    if operators:
        assert " ".join(n.op_type for n in made.graph.node) == operators
    if present > 6:  # onnxruntime begins at 7
        np.testing.assert_allclose(directly(made, {"x": x})[0], directly(model, {"x": x})[0], 1e-5, 1e-6)
    else:
        assert directly(made, {"x": x})[0].shape


REFUSED: dict[str, tuple[int, str, int, str]] = {
    "an operator that is not there": (18, "y = BitwiseNot (x)", 17, "'y' (BitwiseNot): the operator is not there yet"),
    "computed axes": (18, "s = Shape (x) a = Slice (s, s, s) y = ReduceSum (x) z = ReduceMean (x, a)", 13, "'axes' is computed"),
    "a mode": (18, 'y = Pad <mode = "wrap"> (x, p)', 18, ""),
    "an attribute": (16, 'y = ScatterElements <reduction = "add"> (x, i, x)', 13, "its attribute 'reduction' is not there yet"),
    "an element type": (14, "h = Cast <to = 5> (x) s = Add (h, h) y = Cast <to = 1> (s)", 13, "'s' (Add): it does not take tensor(int16) for 'A'"),
    "too old": (5, "y = Abs (x)", 13, "opset 5"),
    "too new": (18, "y = Abs (x)", 99, "opset_version must be 13 to"),
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in REFUSED if REFUSED[n][3]])
def test_what_has_no_form_is_named(name: str) -> None:
    present, body, version, text = REFUSED[name]
    model = _model(present, body)
    if "i, x" in body:
        model.graph.initializer.append(numpy_helper.from_array(np.zeros((2, 4, 6, 6), np.int64), "i"))
    with pytest.raises(LoweringError, match=re.escape(text)):
        convert_opset(model, version)


def test_sequences_are_asked_for_their_elements() -> None:
    made = parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21]> agraph (seq(float[N]) x) => (seq(float[N]) y) { y = Identity(x) }'
    )
    with pytest.raises(LoweringError, match=re.escape("it does not take seq(tensor(float)) for 'input'")):
        convert_opset(made, 13)
    assert convert_opset(made, 16).graph.node[0].op_type == "Identity"


def test_every_node_is_listed() -> None:
    model = _model(18, "a = BitwiseNot (x) b = BitwiseNot (a) y = Trilu (b)")
    with pytest.raises(LoweringError, match="3 nodes cannot be expressed at opset 13") as raised:
        convert_opset(model, 13)
    assert str(raised.value).count("\n") == 3


ways: dict[str, Callable[[Path, Path], object]] = {
    "export": lambda a, b: bridge.onnx.export(bridge.onnx.load(a), f=b, opset_version=18),
    "convert": lambda a, b: main(["convert", str(a), str(b), "--opset", "18"]),
}


@pytest.mark.parametrize("way", ways)
def test_loaded_models_are_written_at_the_opset_that_is_asked_for(way: str, tmp_path: Path) -> None:
    """Weights, names and records stay."""
    model = _model(12, "t = ReduceMean <axes = [1], keepdims = 0> (x) y = MatMul (t, w)")
    model.graph.initializer.append(numpy_helper.from_array(np.ones((6, 200, 200), np.float32)[:, :6, :6], "w"))
    model.graph.doc_string = "about"
    onnx.save(model, tmp_path / "a.onnx")
    with contextlib.suppress(SystemExit):  # the command ends so, with or without an error
        ways[way](tmp_path / "a.onnx", tmp_path / "b.onnx")
    made = onnx.load(tmp_path / "b.onnx")
    assert opset(made) == 18
    assert made.graph.doc_string == "about"
    assert [n.op_type for n in made.graph.node] == ["ReduceMean", "MatMul"]
    assert made.graph.initializer[0] == model.graph.initializer[0]
