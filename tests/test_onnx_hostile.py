"""ONNX files made to do harm: refused with one clear error, in bounded time and memory; nothing in them becomes code."""

import ast
import time
import tracemalloc
from collections.abc import Callable

import onnx
import pytest
from fuzz_onnx import fuzz
from onnx import AttributeProto, ModelProto, TensorProto, helper, parser

import bridge.onnx
from bridge.importers.onnx.errors import OnnxImportError

MODEL = """
<ir_version: 10, opset_import: ["" : 21, "local" : 1]>
g (float[N, 2] x, bool c) => (float[N, 2] y)
<float[2, 2] w = {1, 2, 3, 4}>
{
    h = MatMul (x, w)
    k = local.f (h)
    y = If (c) <then_branch = t () => (float[N, 2] a) { a = Abs (k) }, else_branch = e () => (float[N, 2] b) { b = Neg (k) }>
}
<domain: "local", opset_import: ["" : 21, "local" : 1]> f (v) => (r) { r = local.g (v) }
<domain: "local", opset_import: ["" : 21, "local" : 1]> g (v) => (r) { r = Abs (v) }
"""


def _weight(model: ModelProto) -> TensorProto:
    return model.graph.initializer[0]


def _raw(model: ModelProto, data: bytes, data_type: int = TensorProto.FLOAT, dims: tuple[int, ...] = (2, 2)) -> None:
    del _weight(model).dims[:], _weight(model).float_data[:]
    _weight(model).dims.extend(dims)
    _weight(model).raw_data, _weight(model).data_type = data, data_type


def _branch(model: ModelProto) -> onnx.GraphProto:
    return next(a.g for a in model.graph.node[2].attribute)


def _nested(model: ModelProto, depth: int) -> None:
    for _ in range(depth):
        branch = helper.make_graph(model.graph.node, "b", [], model.graph.output)
        node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=_small_branch())
        del model.graph.node[:]
        model.graph.node.append(node)


def _small_branch() -> onnx.GraphProto:
    return helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])], "e", [], [helper.make_tensor_value_info("z", 1, None)]
    )


def _cycle(model: ModelProto) -> None:
    model.functions[1].node[0].op_type, model.functions[1].node[0].domain = "f", "local"


Edit = Callable[[ModelProto], object]
REFUSED: dict[str, tuple[Edit, str]] = {
    "too few bytes": (lambda m: _raw(m, b"\0" * 12), "cannot be read"),
    "too many bytes": (lambda m: _raw(m, b"\0" * 20), "cannot be read"),
    "bytes that are no elements": (lambda m: _raw(m, b"\0" * 15), "cannot be read"),
    "too few typed values": (lambda m: _weight(m).float_data.__delitem__(0), "cannot be read"),
    "both forms of data": (lambda m: setattr(_weight(m), "raw_data", b"\0" * 16), "both as raw and as typed data"),
    "huge dims": (lambda m: _weight(m).dims.__setitem__(0, 1 << 40), "cannot be read"),
    "dims whose product overflows": (lambda m: _weight(m).dims.extend([1 << 40, 1 << 40]), "cannot be read"),
    "negative dims": (lambda m: _weight(m).dims.__setitem__(0, -1), "cannot be read"),
    "dims that cancel": (lambda m: _raw(m, b"\0" * 16, dims=(-2, -2)), "cannot be read"),
    "no element type": (lambda m: setattr(_weight(m), "data_type", 0), "cannot be read"),
    "an element type that is none": (lambda m: setattr(_weight(m), "data_type", 99), "cannot be read"),
    "too few packed bytes": (lambda m: _raw(m, b"\0", TensorProto.INT4, (3,)), "cannot be read"),
    "too many packed bytes": (lambda m: _raw(m, b"\0" * 3, TensorProto.INT4, (3,)), "cannot be read"),
    "too few packed typed values": (lambda m: (_raw(m, b"", TensorProto.INT4, (1 << 20, 1 << 20)), _weight(m).ClearField("raw_data")), "cannot be read"),
    "a name given twice": (lambda m: m.graph.node[1].output.__setitem__(0, "h"), "'h', given by 'f', is defined already"),
    "an initializer twice": (lambda m: m.graph.initializer.append(_weight(m)), "'w', given by 'an initializer', is defined already"),
    "an input that nothing gives": (lambda m: m.graph.node[0].input.__setitem__(0, "nowhere"), "'nowhere', used by 'MatMul', is not defined"),
    "a value before it is made": (lambda m: m.graph.node[0].input.__setitem__(0, "k"), "'k', used by 'MatMul', is not defined before it"),
    "an inner name that hides an outer one": (lambda m: (_branch(m).node[0].output.__setitem__(0, "h"), setattr(_branch(m).output[0], "name", "h")), "'h', given by 'Abs', is defined already"),
    "functions that call each other": (_cycle, "calls itself"),
    "a function twice": (lambda m: m.functions.append(m.functions[0]), "function 'f' of domain 'local' is there twice"),
    "a domain without an opset": (lambda m: m.opset_import.__delitem__(1), "no opset is imported for the domain 'local'"),
    "a Loop without a body": (lambda m: m.graph.node.append(helper.make_node("Loop", ["", "c"], ["z"], name="bare")), "node 'bare': a Loop has one graph"),
    "an opset of the future": (lambda m: setattr(m.opset_import[0], "version", 1 << 40), "opset versions that cannot be"),
    "two versions of a domain": (lambda m: m.opset_import.add(domain="", version=20), "opset versions that cannot be"),
    "an IR of the future": (lambda m: setattr(m, "ir_version", 1 << 40), "newer than"),
    "data elsewhere, without a folder": (lambda m: setattr(_weight(m), "data_location", 1), "was not read from a folder"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_models_are_refused(name: str) -> None:
    edit, message = REFUSED[name]
    model = parser.parse_model(MODEL)
    edit(model)
    tracemalloc.start()
    began = time.perf_counter()
    try:
        with pytest.raises(OnnxImportError, match=message):
            bridge.onnx.load(model.SerializeToString()).code  # noqa: B018  (functions are looked into when something asks)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - began < 20


def test_deep_nesting_ends() -> None:
    """As deep as protobuf takes; deeper is refused by the parser."""
    model = parser.parse_model(MODEL)
    _nested(model, 20)
    assert bridge.onnx.export(bridge.onnx.load(model.SerializeToString())).model_proto == model
    # graph { node { attribute { g { … } } } }, by hand: the library does not write what it would not read
    data = b""
    for _ in range(200):
        for tag in (b"\x32", b"\x2a", b"\x0a"):  # AttributeProto.g, NodeProto.attribute, GraphProto.node
            length = len(data)
            data = tag + bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14]) + data
    head = b"\x08\x0a\x42\x02\x10\x15\x3a"
    length = len(data)
    with pytest.raises(OnnxImportError, match="not an ONNX model"):
        bridge.onnx.load(head + bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14]) + data)


def test_functions_that_double_end() -> None:
    """Thirty functions, each calling the next twice: a billion calls if they were written out."""
    model = ModelProto(ir_version=10)
    model.opset_import.add(domain="", version=21)
    model.opset_import.add(domain="d", version=1)
    for i in range(30):
        f = model.functions.add(name=f"f{i}", domain="d", input=["v"], output=["r"])
        f.opset_import.extend(model.opset_import)
        callee, domain = (f"f{i + 1}", "d") if i < 29 else ("Abs", "")
        f.node.add(op_type=callee, domain=domain, input=["v"], output=["t"])
        f.node.add(op_type=callee, domain=domain, input=["t"], output=["r"])
    model.graph.name = "g"
    model.graph.node.add(op_type="f0", domain="d", input=["x"], output=["y"])
    model.graph.input.append(helper.make_tensor_value_info("x", 1, [2]))
    model.graph.output.append(helper.make_tensor_value_info("y", 1, [2]))
    module = bridge.onnx.load(model.SerializeToString())
    assert module.code.count("\n") < 20
    assert bridge.onnx.export(module).model_proto == model


NAMES = ["x\ny", "'); import os; ('", '"""', "{x}", "\\", "\x1b[31m", "a b", "__import__('os')", "class", "None", "1", "é", "self", "torch", "\u202e", "0" * 3000]  # fmt: skip


@pytest.mark.parametrize("odd", NAMES, ids=range(len(NAMES)))
def test_names_and_texts_of_a_file_are_no_code(odd: str) -> None:
    """Names of every kind at once; what is printed parses to assignments, calls and returns of known forms only."""
    model = ModelProto(ir_version=10, producer_name=odd, doc_string=odd)
    model.opset_import.add(domain="", version=21)
    model.opset_import.add(domain=odd, version=1)
    model.metadata_props.add(key=odd, value=odd)
    graph = model.graph
    graph.name, graph.doc_string = odd, odd
    graph.input.append(helper.make_tensor_value_info(odd, 1, [odd]))
    graph.initializer.append(helper.make_tensor(f"{odd}.{odd}", 1, [2], [1.0, 2.0]))
    graph.node.add(name=odd, op_type=odd, domain=odd, input=[odd, f"{odd}.{odd}"], output=[f"{odd}2"], doc_string=odd)
    node = graph.node.add(name=odd, op_type="Cast", input=[f"{odd}2"], output=[f"{odd}3"])
    node.attribute.append(AttributeProto(name="to", type=AttributeProto.INT, i=1, doc_string=odd))
    graph.output.append(helper.make_tensor_value_info(f"{odd}3", 1, None))
    module = bridge.onnx.load(model.SerializeToString())
    text = module.code
    assert "\x1b" not in text
    assert "\u202e" not in text
    allowed = (ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Name, ast.Attribute, ast.Assign, ast.Return, ast.Call,
               ast.Constant, ast.keyword, ast.Load, ast.Store)  # fmt: skip
    for node_ in ast.walk(ast.parse(text)):
        assert isinstance(node_, allowed), ast.dump(node_)
        if isinstance(node_, ast.Call):
            called = ast.unparse(node_.func)
            reads = (
                called == "getattr"
                and isinstance(node_.args[0], ast.Attribute | ast.Name | ast.Call)
                and isinstance(node_.args[1], ast.Constant)
            )
            assert called.startswith("ops.") or reads
    assert bridge.onnx.export(module).model_proto == model


def test_damaged_models_do_no_harm() -> None:
    """Some of what ``python tests/fuzz_onnx.py`` does."""
    outcomes, failures = fuzz(150, seed=7, say=False)
    assert failures == {}
    assert outcomes["same"] > 10
    assert outcomes["refused"] > 10
