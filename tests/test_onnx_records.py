"""What a model's file says beside its code: kept when it is printed, put back when the printed file is exported."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.routes import directly, model_in

import bridge
import bridge.onnx

PRODUCER = {"producer_name": "somebody", "producer_version": "7", "doc_string": "what it is for"}


def floats(name: str, *shape: int | str | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def weight(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.random.default_rng(len(name)).standard_normal(shape).astype(np.float32), name)


def plain() -> onnx.ModelProto:
    """Names that are no identifiers, texts, a node and a tensor that nobody uses, a typed tensor, an unnamed node."""
    typed = helper.make_tensor("block/b:0", TensorProto.FLOAT, [20], np.linspace(0, 1, 20).tolist())
    nodes = [
        helper.make_node(
            "MatMul", ["in:0", "block/w:0"], ["block/MatMul:0"], name="block/MatMul", doc_string="a product"
        ),
        helper.make_node("Add", ["block/MatMul:0", "block/b:0"], ["block/Add:0"]),
        helper.make_node("Relu", ["block/MatMul:0"], ["nobody:0"], name="nobody"),
        helper.make_node("Sigmoid", ["block/Add:0"], ["Identity:0"], name="out"),
    ]
    info = [floats("block/Add:0", "n", 20)]
    tensors = [weight("unused", 3), weight("block/w:0", 4, 20), typed]
    graph = helper.make_graph(
        nodes, "of two", [floats("in:0", "n", 4)], [floats("Identity:0", "n", 20)], tensors, "doc", info
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **PRODUCER)
    helper.set_model_props(model, {"labels": "a,b"})
    return model


def with_loop() -> onnx.ModelProto:
    """A Loop that hands on its condition, a value that it never changes, and a scan output."""
    nodes = [
        helper.make_node("Identity", ["keep/in"], ["keep/out"]),
        helper.make_node("Add", ["x/in", "fixed/in"], ["x/out"], name="step"),
        helper.make_node("Identity", ["fixed/in"], ["fixed/out"]),
        helper.make_node("Mul", ["x/out", "x/out"], ["square/out"]),
    ]
    scalar = helper.make_tensor_value_info
    body = helper.make_graph(
        nodes,
        "the body",
        [
            scalar("i", TensorProto.INT64, []),
            scalar("keep/in", TensorProto.BOOL, []),
            floats("x/in", 2),
            floats("fixed/in", 2),
        ],
        [scalar("keep/out", TensorProto.BOOL, []), floats("x/out", 2), floats("fixed/out", 2), floats("square/out", 2)],
    )
    given = ["trips", "", "x:0", "y:0"]
    loop = helper.make_node("Loop", given, ["last:0", "fixed:0", "squares:0"], name="while/loop", body=body)
    graph = helper.make_graph(
        [loop],
        "looping",
        [scalar("trips", TensorProto.INT64, []), floats("x:0", 2), floats("y:0", 2)],
        [floats("last:0", 2), floats("squares:0", None, 2)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def with_function() -> onnx.ModelProto:
    """A function, called twice, whose attribute is given."""
    leaky = helper.make_node("LeakyRelu", ["a"], ["b"])
    leaky.attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    constant = helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.array([2.0], np.float32)))
    product = helper.make_node("Mul", ["b", "two"], ["c"])
    opset = helper.make_opsetid("", 18)
    function = helper.make_function("my.domain", "Twice", ["a"], ["c"], [leaky, constant, product], [opset], ["slope"])
    nodes = [
        helper.make_node("Twice", ["x.1"], ["first.1"], domain="my.domain", slope=0.25, name="f/1"),
        helper.make_node("Twice", ["first.1"], ["second.1"], domain="my.domain", slope=0.5, name="f/2"),
    ]
    graph = helper.make_graph(nodes, "calls", [floats("x.1", 3)], [floats("second.1", 3)])
    imports = [helper.make_opsetid("my.domain", 1), opset]
    return helper.make_model(graph, opset_imports=imports, functions=[function], ir_version=9)


MODELS: list[Callable[[], onnx.ModelProto]] = [plain, with_loop, with_function]


def exported(path: Path) -> onnx.ModelProto:
    return bridge.onnx.export(bridge.jit.script(model_in(path))).model_proto


@pytest.fixture
def printed(tmp_path: Path) -> Callable[..., Path]:
    """Print a model, with parts of the text replaced."""

    def write(model: onnx.ModelProto, *edits: tuple[str, str]) -> Path:
        path = tmp_path / "printed.py"
        bridge.onnx.write_python(bridge.onnx.load(model), path)
        text = path.read_text()
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("build", MODELS, ids=lambda b: b.__name__)
def test_the_printed_file_exports_to_the_same_model(
    build: Callable[[], onnx.ModelProto], printed: Callable[..., Path]
) -> None:
    model = build()
    assert exported(printed(model)) == model


def test_a_file_on_disk_too(tmp_path: Path) -> None:
    model = plain()
    onnx.save(model, tmp_path / "m.onnx")
    bridge.onnx.write_python(bridge.onnx.load(tmp_path / "m.onnx"), tmp_path / "printed.py")
    assert exported(tmp_path / "printed.py") == model


def test_large_weights_come_from_the_module(tmp_path: Path) -> None:
    model = plain()
    model.graph.initializer[1].CopyFrom(weight("block/w:0", 4, 20))
    large = weight("large", 20, 2000)
    model.graph.initializer.append(large)
    model.graph.node.append(helper.make_node("MatMul", ["Identity:0", "large"], ["wide:0"]))
    model.graph.output.append(floats("wide:0", "n", 2000))
    bridge.onnx.write_python(bridge.onnx.load(model), tmp_path / "printed.py")
    module = model_in(tmp_path / "printed.py")
    assert bridge.onnx.export(bridge.jit.script(module)).model_proto == model
    with bridge.no_grad():
        module.large.zero_()
    again = bridge.onnx.export(bridge.jit.script(module)).model_proto
    assert not numpy_helper.to_array(again.graph.initializer[-1]).any()
    again.graph.initializer[-1].raw_data = large.raw_data
    assert again == model


def test_names_of_inputs_and_results_stand_in_the_text(printed: Callable[..., Path]) -> None:
    text = printed(plain()).read_text()
    assert (
        '    onnx_names = {  # what the model calls inputs and results\n        "in_0": "in:0",\n        "Identity_0": "Identity:0",\n'
        in text
    )


def test_what_somebody_renames_has_the_new_name(printed: Callable[..., Path]) -> None:
    again = exported(printed(plain(), ('"in_0": "in:0"', '"in_0": "images"'), ('"Identity:0"', '"scores"')))
    assert [i.name for i in again.graph.input] == ["images"]
    assert [o.name for o in again.graph.output] == ["scores"]
    assert [n.name for n in again.graph.node] == ["block/MatMul", "", "nobody", "out"]
    assert again.graph.node[0].input[0] == "images"
    onnx.checker.check_model(again, full_check=True)


EDITS = [
    pytest.param(("torch.sigmoid(", "torch.tanh("), "Tanh", id="another operator"),
    pytest.param(("torch.sigmoid(", "torch.relu(torch.sigmoid("), "Relu", id="one more"),
]


@pytest.mark.parametrize(("edit", "expected"), EDITS)
def test_an_edited_program_is_what_its_code_says(
    edit: tuple[str, str], expected: str, printed: Callable[..., Path]
) -> None:
    path = printed(plain())
    line = next(text for text in path.read_text().split("\n") if edit[0] in text)
    closing = ")" * (edit[1].count("(") - edit[0].count("("))
    path.write_text(path.read_text().replace(line, line.replace(*edit) + closing))
    again = exported(path)
    assert again.graph.node[-1].op_type == expected
    assert "somebody" not in again.producer_name
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    (given,) = directly(again, {"in:0": x})
    (before,) = directly(plain(), {"in:0": x})
    assert not np.array_equal(given, before) or expected == "Relu"


def test_two_nodes_of_chance_that_become_one_are_seen(printed: Callable[..., Path]) -> None:
    nodes = [helper.make_node("RandomNormal", [], [name], shape=[4]) for name in ("a/1", "b/1")]
    nodes.append(helper.make_node("Sub", ["a/1", "b/1"], ["y/1"]))
    graph = helper.make_graph(nodes, "chance", [], [floats("y/1", 4)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path = printed(model)
    assert exported(path) == model
    text = path.read_text()
    path.write_text(text.replace("Sub(random_normal, random_normal0)", "Sub(random_normal, random_normal)"))
    difference = exported(path).graph.node[-1]
    assert difference.input[0] == difference.input[1]


def test_examples_of_another_type_are_another_model(printed: Callable[..., Path]) -> None:
    path = printed(plain(), ("float32[n, 4]", "float32[3, 4]"))
    (x,) = exported(path).graph.input
    assert [d.dim_value for d in x.type.tensor_type.shape.dim] == [3, 4]


def test_records_that_are_damaged_do_no_harm(printed: Callable[..., Path]) -> None:
    scripted = bridge.jit.script(model_in(printed(plain())))
    graph = scripted._method("forward")._function.graph
    whole = graph.records
    for end in (0, 1, 17, len(whole) // 2, len(whole) - 1):
        graph.records = whole[:end]
        made = bridge.onnx.export(scripted).model_proto
        onnx.checker.check_model(made, full_check=True)
        assert [n.op_type for n in made.graph.node if n.op_type != "Relu"] == ["MatMul", "Add", "Sigmoid"]
