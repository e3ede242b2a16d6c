"""Any ONNX model in, the same model out: import and export again, node for node and byte for byte."""

import glob
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

import bridge
import bridge.onnx
from bridge.exporters.onnx.foreign import is_foreign, write_foreign
from bridge.importers.onnx.errors import OnnxImportError
from bridge.importers.onnx.model import ImportedModel, import_model
from bridge.importers.onnx.plain import is_plain
from bridge.importers.onnx.reader import read_model
from bridge.ir.classes import ScriptObject
from bridge.onnx.loading import unread

FAMILIES = ("node", "simple", "light", "pytorch-operator", "pytorch-converted")


def _backend_models() -> dict[str, list[tuple[str, onnx.ModelProto]]]:
    """The models of onnx's own conformance suite, by family."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite's cases overflow and divide by zero while they are made
        from onnx.backend.test.case.node import collect_testcases

        found = {"node": [(c.name, c.model) for c in collect_testcases(None) if c.model is not None]}
    data = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")
    for path in sorted(glob.glob(os.path.join(data, "*", "*", "model.onnx"))):
        family, name = path.split(os.sep)[-3:-1]
        if family != "node":
            found.setdefault(family, []).append((name, onnx.load(path)))
    for path in sorted(glob.glob(os.path.join(data, "light", "*.onnx"))):
        found.setdefault("light", []).append((os.path.basename(path), onnx.load(path)))
    return found


@pytest.fixture(scope="module")
def backend_models() -> dict[str, list[tuple[str, onnx.ModelProto]]]:
    return _backend_models()


def again(imported: ImportedModel) -> onnx.ModelProto:
    graph = imported.module.type.methods["forward"].graph
    assert is_foreign(graph)
    return write_foreign(imported.module, graph, imported.info)


@pytest.mark.parametrize("family", FAMILIES)
def test_conformance_models_come_back_equal(
    family: str, backend_models: dict[str, list[tuple[str, onnx.ModelProto]]]
) -> None:
    models = backend_models[family]
    assert len(models) >= 5
    assert [name for name, model in models if again(import_model(*read_model(model))) != model] == []


def _model(text: str) -> onnx.ModelProto:
    return parser.parse_model(text)


HEAD = '<ir_version: 10, opset_import: ["" : 21, "com.example" : 3]>'
BODY = "agraph (float[N, 4] x) => (float[N, 4] y)"
ODD_MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "names that are no identifiers": lambda: _model(
        f'{HEAD} agraph (float[N] "a/b:0") => (float[N] "7") {{ ["node 1"] "7" = Relu("a/b:0") }}'
    ),
    "a domain asked for twice, as in merged models": lambda: _model(
        f'<ir_version: 10, opset_import: ["" : 17, "" : 17]> {BODY} {{ y = Relu(x) }}'
    ),
    "a foreign domain": lambda: _model(f'{HEAD} {BODY} {{ y = com.example.Thing <alpha = 0.1, names = ["a"]> (x) }}'),
    "omitted inputs": lambda: _model(f"{HEAD} agraph (float[N] x) => (float[N] y) {{ y = Clip(x, , ) }}"),
    "an output listed twice": lambda: _model(
        f"{HEAD} agraph (float[N] x) => (float[N] y, float[N] y) {{ y = Abs(x) }}"
    ),
    "an input returned": lambda: _model(f"{HEAD} agraph (float[N] x) => (float[N] x) {{ }}"),
    "a loop": lambda: _model(
        f"{HEAD} agraph (int64 n, float[2] x) => (float[2] y, float[K, 2] all) {{ "
        "c = Constant <value = bool {1}> () "
        "y, all = Loop (n, c, x) <body = b (int64 i, bool go, float[2] v) => (bool go2, float[2] w, float[2] s) "
        "{ go2 = Identity(go) w = Add(v, v) s = Identity(w) }> }"
    ),
    "a function": lambda: _model(
        f'{HEAD} {BODY} {{ y = com.example.twice(x) }} <domain: "com.example", opset_import: ["" : 21]> twice (a) => (b) {{ b = Add(a, a) }}'
    ),
}


def _with_everything() -> onnx.ModelProto:
    """Records that the text form cannot write: doc strings, metadata, typed data, dotted and nested initializers."""
    weights = [
        helper.make_tensor("enc.0.weight", TensorProto.FLOAT, [2], [1.5, -2.0]),
        numpy_helper.from_array(np.arange(3), "enc.0.bias"),
        helper.make_tensor("enc", TensorProto.INT32, [], [7]),
        helper.make_tensor("text", TensorProto.STRING, [1], [b"\xff\x00"]),
    ]
    node = helper.make_node("Add", ["x", "enc.0.weight"], ["y"], name="n", doc_string="why")
    node.metadata_props.add(key="k", value="v")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", 1, ["N"]), helper.make_tensor_value_info("enc.0.weight", 1, [2])],
        [helper.make_tensor_value_info("y", 1, None)],
        weights,
        doc_string="about",
    )
    graph.metadata_props.add(key="a", value="b")
    model = helper.make_model(graph, producer_name="p", ir_version=10, doc_string="model")
    model.metadata_props.add(key="c", value="")
    return model


def _with_empty_names() -> onnx.ModelProto:
    """Names of tensors that are written out although they are empty."""
    model = _model(f"{HEAD} {BODY} {{ y = Identity(x) }}")
    value = numpy_helper.from_array(np.zeros(1, np.float32), "")
    value.name = ""
    model.graph.node.append(helper.make_node("ConstantOfShape", ["x"], ["z"], value=value))
    return model


ODD_MODELS["every record"] = _with_everything
ODD_MODELS["empty names, written out"] = _with_empty_names


@pytest.mark.parametrize("name", ODD_MODELS)
def test_odd_models_come_back_equal(name: str) -> None:
    model = ODD_MODELS[name]()
    out = again(import_model(*read_model(model)))
    assert out == model
    assert out.SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)


def test_dotted_initializers_are_a_hierarchy() -> None:
    module = import_model(*read_model(_with_everything())).module
    child = module.attributes["enc"]
    assert isinstance(child, ScriptObject)
    assert child.attributes["0"].attributes["weight"].tolist() == [1.5, -2.0]
    assert int(module.attributes["enc_"]) == 7  # a leaf with the name of a branch stands beside it


def test_an_edit_of_the_graph_is_written() -> None:
    imported = import_model(*read_model(ODD_MODELS["an output listed twice"]()))
    graph = imported.module.type.methods["forward"].graph
    node = next(n for n in graph.nodes if n.kind == "onnx::Abs")
    node.kind = "onnx::Neg"
    assert [n.op_type for n in again(imported).graph.node] == ["Neg"]


BAD_BYTES = {
    "text": (b"# a text file\nthat is no model\n", "not an ONNX model"),
    "nothing": (b"", "not an ONNX model"),
    "truncated": (_with_everything().SerializeToString()[:-9], "not an ONNX model"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + b"\x00" * 64, "not an ONNX model"),
}


@pytest.mark.parametrize("name", BAD_BYTES)
def test_files_that_are_no_models_are_refused(name: str, tmp_path: Path) -> None:
    data, message = BAD_BYTES[name]
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(OnnxImportError, match=message) as caught:
        read_model(path)
    assert str(path) in str(caught.value)


BAD_GRAPHS = {
    "an undefined name": ("{ y = Relu(nowhere) }", "'nowhere', used by 'Relu', is not defined"),
    "a name given twice": ("{ y = Relu(x) y = Abs(x) }", "'y', given by 'Abs', is defined already"),
    "an inner name that hides an outer one": (
        (
            "{ c = Constant <value = bool {1}> () y = If (c) <then_branch = t () => (float[N, 4] a) { a = Abs(x) }, "
            "else_branch = e () => (float[N, 4] x) { x = Constant <value = float {1}> () }> }"
        ),
        "'x', given by 'Constant', is defined already",
    ),
    "an output twice with two types": (
        (
            "{ c = Constant <value = bool {1}> () y, z = If (c) <then_branch = t () => (float[N, 4] a, int64[2] a) { a = Abs(x) }, "
            "else_branch = e () => (float[N, 4] b, float[N, 4] d) { b = Abs(x) d = Abs(x) }> }"
        ),
        "gives an output twice, with two types",
    ),
    "a missing branch": (
        "{ c = Constant <value = bool {1}> () y = If (c) <then_branch = t () => (float[N, 4] a) { a = Abs(x) }> }",
        "an If has a condition, then_branch and else_branch",
    ),
}


@pytest.mark.parametrize("name", BAD_GRAPHS)
def test_graphs_that_break_the_rules_are_refused(name: str) -> None:
    body, message = BAD_GRAPHS[name]
    with pytest.raises(OnnxImportError, match=message.replace("(", r"\(")):
        import_model(*read_model(_model(f"{HEAD} {BODY} {body}")))


def test_a_model_is_built_when_somebody_looks() -> None:
    """Until then it is written as it was read, and what is written is a copy; then every change is."""
    model = _model(f"{HEAD} {BODY} {{ t = Add(x, w) y = Relu(t) }}")
    model.graph.initializer.append(numpy_helper.from_array(np.ones(4, np.float32), "w"))
    loaded = bridge.onnx.load(model.SerializeToString())
    assert unread(loaded) is not None
    first = bridge.onnx.export(loaded).model_proto
    assert first == model
    first.graph.node[0].op_type = "Mul"
    assert bridge.onnx.export(loaded).model_proto == model
    assert unread(loaded) is not None
    with bridge.no_grad():
        loaded.w.mul_(2.0)
    assert unread(loaded) is None
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full(4, 2, np.float32), "w"))
    assert bridge.onnx.export(loaded).model_proto == model


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_waits_can_be_built(
    family: str, backend_models: dict[str, list[tuple[str, onnx.ModelProto]]]
) -> None:
    plain = [model for _, model in backend_models[family] if is_plain(model)]
    assert len(plain) >= 5
    for model in plain:
        import_model(*read_model(model))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.onnx"):
        read_model(tmp_path / "none.onnx")
