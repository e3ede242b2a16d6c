"""Tensors of a module that its forward never reads: onnxruntime has nothing to warn of, an import has them."""

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from support import corpus

import bridge
import bridge.onnx
from bridge import nn


class Partly(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)  # never called
        self.norm = nn.BatchNorm1d(3)
        self.layer = nn.Linear(3, 3)
        self.register_buffer("narrow", bridge.ones(2).to(bridge.bfloat16))
        self.register_buffer("empty", bridge.zeros(0, 3))

    def forward(self, x):
        if bool(x.sum() > 0):
            x = self.layer(x)
        return self.norm(x)


def partly():
    return bridge.jit.script(Partly().eval())


@pytest.mark.parametrize("modules", ["functions", "inline"])
def test_state_dict_survives(modules: str, tmp_path) -> None:
    scripted = partly()
    path = tmp_path / "m.onnx"
    bridge.onnx.export(scripted, (bridge.rand(2, 3),), path, modules=modules)
    loaded = bridge.onnx.load(path)
    assert loaded.code == scripted.code
    assert list(loaded.state_dict()) == list(scripted.state_dict())
    for name, value in scripted.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == value.dtype
        np.testing.assert_array_equal(np.asarray(found.float()), np.asarray(value.float()))
    again = bridge.onnx.export(loaded, (bridge.rand(2, 3),), modules=modules).model_proto
    assert again.functions == onnx.load(path).functions


def test_onnxruntime_has_nothing_to_say(capfd: pytest.CaptureFixture[str]) -> None:
    model = bridge.onnx.export(partly(), (bridge.rand(2, 3),)).model_proto
    onnx.checker.check_model(model, full_check=True)
    onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert capfd.readouterr().err == ""
    names = {t.name for t in model.graph.initializer}
    assert not {"first.weight", "norm.num_batches_tracked", "narrow", "empty"} & names
    assert {"norm.weight", "layer.bias"} <= names


def test_without_provenance_they_are_not_there() -> None:
    model = bridge.onnx.export(partly(), (bridge.rand(2, 3),), provenance=False).model_proto
    assert not any(f.domain == "bridge.state" for f in model.functions)
    assert "first.weight" not in {t.name for t in model.graph.initializer}


def test_a_function_of_that_name_is_left_alone() -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    other = onnx.helper.make_function(
        "bridge.state", "unused", ["x"], ["y"], [node], [onnx.helper.make_opsetid("", 21)]
    )
    call = onnx.helper.make_node("unused", ["x"], ["y"], domain="bridge.state")
    value = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [2]) for n in "xy"]
    graph = onnx.helper.make_graph([call], "g", value[:1], value[1:])
    opsets = [onnx.helper.make_opsetid("", 21), onnx.helper.make_opsetid("bridge.state", 1)]
    model = onnx.helper.make_model(graph, functions=[other], opset_imports=opsets, ir_version=10)
    got = bridge.onnx.load(model)(bridge.tensor([-1.0, 2.0]))
    np.testing.assert_array_equal(np.asarray(got), [0, 2])


def test_exported_programs_are_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    """All programs of the corpus that hold tensors; state has a default, of which onnxruntime warns."""
    for name in ("resnet18_stack", "lstm_module", "mlp", "embedding_layernorm", "gated_layers"):
        _, program = corpus.load("bridge")[name]
        with corpus.imported_as_torch("bridge"):
            model = bridge.onnx.export(corpus.script(bridge, program), corpus.inputs(bridge, program)[0]).model_proto
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        assert capfd.readouterr().err == "", name


def test_a_model_that_declares_an_unread_initializer_as_input_runs(tmp_path) -> None:
    """IR versions below 4 list every initializer among the inputs."""
    model = onnx.parser.parse_model(
        '<ir_version: 3, opset_import: ["": 12]> m (float[n] x, float[2] unread, float[1] w) => (float[n] y) '
        "<float[2] unread = {1, 2}, float[1] w = {3}> { y = Mul(x, w) }"
    )
    onnx.save(model, tmp_path / "m.onnx")
    loaded = bridge.onnx.load(tmp_path / "m.onnx")
    for size in (2, 5):
        assert loaded(bridge.ones(size)).tolist() == [3.0] * size
    assert bridge.onnx.export(loaded).model_proto == model
