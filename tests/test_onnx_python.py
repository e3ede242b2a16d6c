"""ONNX models as Python files: what nodes with bodies, functions, odd names and odd values become, and what is refused."""

import ast
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from support.routes import by_code_alone

import bridge
import bridge.onnx
from bridge.ir.errors import BridgeError
from bridge.tensor import Tensor

HEAD = '<ir_version: 10, opset_import: ["" : 21, "com.example" : 1]>'


def parse(text: str) -> onnx.ModelProto:
    return parser.parse_model(f"{HEAD} {text}")


class Printed:
    """A model's Python file: its text, and the module it makes."""

    def __init__(self, model: onnx.ModelProto, folder: Path, name: str = "printed") -> None:
        self.path = folder / f"{name}.py"
        bridge.onnx.write_python(bridge.onnx.load(model), self.path)
        self.text = self.path.read_text()
        spec = importlib.util.spec_from_file_location(name, self.path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
            self.model = module.model()
            self.scripted = bridge.jit.script(self.model)
        finally:
            del sys.modules[name]

    def exported(self) -> onnx.ModelProto:
        """What the code alone says."""
        with by_code_alone(self.scripted):
            return bridge.onnx.export(self.scripted).model_proto


def run(model: onnx.ModelProto, *inputs: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip([i.name for i in session.get_inputs()], inputs, strict=True)))


def arrays(v: Any) -> Any:
    if isinstance(v, tuple | list):
        return [arrays(x) for x in v]
    return np.asarray(v._array) if isinstance(v, Tensor) else v


def check(model: onnx.ModelProto, folder: Path, *examples: tuple[Any, ...], equal: bool = True) -> Printed:
    """The printed file gives onnxruntime's own results on all examples: eagerly, scripted, and exported. It is the model again,
    except where that is not ``equal``."""
    printed = Printed(model, folder)
    exported = printed.exported()
    whole = bridge.onnx.export(printed.scripted).model_proto
    assert (whole == model) == equal
    # onnx's inference takes no body of a Loop of opset 8
    onnx.checker.check_model(exported, full_check=model.opset_import[0].version > 8)
    for inputs in examples:
        expected = run(model, *inputs)
        for module in (printed.model, printed.scripted):
            got = module(*[Tensor._wrap(np.asarray(i)) for i in inputs])
            for a, b in zip(arrays(got if isinstance(got, tuple) else (got,)), expected, strict=True):
                np.testing.assert_array_equal(a, b)
        for a, b in zip(run(exported, *inputs), expected, strict=True):
            np.testing.assert_array_equal(a, b)
            assert np.asarray(a).dtype == np.asarray(b).dtype
    return printed


LOOP = """
agraph (int64 n, bool go, float[3] x, float limit) => (float[3] last, float[K, 3] all) {{
    last, all = Loop ({inputs}, x) <body = body (int64 i, bool c, float[3] v) => (bool keep, float[3] w, float[3] out) {{
        f = Cast <to = 1> (i)
        w = Add (v, f)
        out = Mul (w, w)
        total = ReduceSum <keepdims = 0> (w)
        {keep}
    }}>
}}"""
LOOPS = {
    "a trip count": ("n, ", "keep = Identity (c)", "for i in range(trips):"),
    "a condition": (", go", "keep = Less (total, limit)", "while going:"),
    "both": ("n, go", "keep = Less (total, limit)", "going = (trips > 0) & _0"),
    "a trip count and a condition that stays": ("n, go", "keep = Identity (c)", "while going:"),
}
TRIPS = [(0, True), (1, True), (5, True), (5, False), (23, True)]


@pytest.mark.parametrize("form", LOOPS)
def test_loops_are_loops(form: str, tmp_path: Path) -> None:
    inputs, keep, text = LOOPS[form]
    model = parse(LOOP.format(inputs=inputs, keep=keep))
    x = np.array([1, -2, 3], np.float32)
    limits = [np.array(v, np.float32) for v in (-5, 7, 60)]
    used = {i.name for i in onnxruntime.InferenceSession(model.SerializeToString()).get_inputs()}
    values = {"n": 0, "go": 1, "x": 2, "limit": 3}
    examples = []
    for n, go in TRIPS:
        for limit in limits:
            if "n," not in inputs and "Less" not in keep:
                continue
            examples.append((np.array(n), np.array(go), x, limit))
    assert used == set(values)
    printed = check(model, tmp_path, *examples)
    assert text in printed.text
    assert "out_list.append(out)" in printed.text
    assert "all = stacked(out_list, torch.empty([0, 3]))" in printed.text.replace("all_", "all")


def test_a_nested_loop_and_an_if_in_it(tmp_path: Path) -> None:
    model = parse(
        """
    agraph (int64 n, float[2] x) => (float[A, B, 2] y) {
        none = Constant <value = bool {1}> ()
        y = Loop (n, none) <outer = outer (int64 i, bool c) => (bool c1, float[B, 2] rows) {
            c1 = Identity (c)
            rows = Loop (n, none) <inner = inner (int64 j, bool d) => (bool d1, float[2] row) {
                d1 = Identity (d)
                later = Greater (j, i)
                row = If (later) <then_branch = t () => (float[2] a) { a = Neg (x) },
                                  else_branch = e () => (float[2] b) { fj = Cast <to = 1> (j) b = Add (x, fj) }>
            }>
        }>
    }""".replace("outer = outer", "body = outer").replace("inner = inner", "body = inner")
    )
    printed = check(model, tmp_path, *[(np.array(n), np.array([1, 2], np.float32)) for n in (1, 2, 5)])
    assert printed.text.count("for ") == 2
    assert "if bool(later):" in printed.text


def scan_model(directions: tuple[int, int], axes: tuple[int, int]) -> onnx.ModelProto:
    return parse(f"""
    agraph (float[2] start, float[2, 2] xs) => (float[2] last, float[A, B] ys) {{
        last, ys = Scan <num_scan_inputs = 1, scan_input_directions = [{directions[0]}],
            scan_output_directions = [{directions[1]}], scan_input_axes = [{axes[0]}], scan_output_axes = [{axes[1]}],
            body = step (float[2] s, float[2] x) => (float[2] s1, float[2] y) {{ s1 = Add (s, x) y = Mul (s1, x) }}>
            (start, xs)
    }}""")


@pytest.mark.parametrize("directions", [(0, 0), (1, 0), (0, 1)])
@pytest.mark.parametrize("axes", [(0, 0), (1, 0), (0, 1)])
def test_scans_are_loops(directions: tuple[int, int], axes: tuple[int, int], tmp_path: Path) -> None:
    x = np.arange(4, dtype=np.float32).reshape(2, 2)
    printed = check(scan_model(directions, axes), tmp_path, (np.array([1, -1], np.float32), x))
    assert f"xs.size({axes[0]})" in printed.text


@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("lengths", [True, False])
def test_scans_of_batches_are_loops(direction: int, lengths: bool, tmp_path: Path) -> None:
    """Opset 8: sequences that may be of different lengths, filled up with zeros."""
    tensors = {
        "n": (TensorProto.INT64, [3]),
        "start": (TensorProto.FLOAT, [3, 2]),
        "xs": (TensorProto.FLOAT, [3, 4, 2]),
    }
    step = helper.make_graph(
        [helper.make_node("Add", ["s", "x"], ["s1"]), helper.make_node("Mul", ["s1", "x"], ["y"])],
        "step",
        [helper.make_tensor_value_info(v, TensorProto.FLOAT, [2]) for v in ("s", "x")],
        [helper.make_tensor_value_info(v, TensorProto.FLOAT, [2]) for v in ("s1", "y")],
    )
    given = list(tensors) if lengths else ["", "start", "xs"]
    scan = helper.make_node("Scan", given, ["last", "ys"], body=step, num_scan_inputs=1, directions=[direction])
    graph = helper.make_graph(
        [scan],
        "g",
        [helper.make_tensor_value_info(name, *tensors[name]) for name in given if name],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, d) for n, d in (("last", [3, 2]), ("ys", [3, 4, 2]))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=3)
    xs = np.arange(24, dtype=np.float32).reshape(3, 4, 2) + 1
    start = np.array([[1, -1], [0, 2], [3, 0]], np.float32)
    examples = [(np.array(n), start, xs) for n in ([4, 2, 1], [2, 2, 1], [4, 4, 4])] if lengths else [(start, xs)]
    printed = check(model, tmp_path, *examples, equal=False)  # two loops
    assert printed.text.count("for ") == 2


def test_sequence_map_is_a_loop(tmp_path: Path) -> None:
    model = parse("""
    agraph (float[N] x, float[1] k) => (float[M] y) {
        half = Constant <value = int64[2] {2, 3}> ()
        xs = SplitToSequence <axis = 0> (x, half)
        ys = SequenceMap (xs, k) <body = f (float[n] e, float[1] by) => (float[n] r) { r = Mul (e, by) }>
        y = ConcatFromSequence <axis = 0> (ys)
    }""")
    printed = check(model, tmp_path, (np.arange(5, dtype=np.float32), np.array([3], np.float32)))
    assert "ops.onnx.SequenceAt(xs, torch.tensor(i))" in printed.text


FUNCTIONS = """
agraph (float[N] x, float[N] z) => (float[N] y) {
    a = com.example.leaky <slope = 0.5> (x)
    b = com.example.leaky <slope = 0.25> (z)
    c = com.example.leaky (a)
    d, e = com.example.both (b, c)
    f = com.example.optional (d)
    g = com.example.optional (e, f)
    h = com.example.leaky <slope = 0.5> (g)
    y = Add (h, f)
}
<domain: "com.example", opset_import: ["" : 21, "com.example" : 1]>
leaky <slope: float = 2.0> (v) => (r) { r = LeakyRelu <alpha: float = @slope> (v) }
<domain: "com.example", opset_import: ["" : 21, "com.example" : 1]>
both (p, q) => (r, s) { r = com.example.leaky <slope = 3.0> (p) s = Sub (p, q) }
<domain: "com.example", opset_import: ["" : 21, "com.example" : 1]>
optional (v, w) => (r) { r = Clip (v, , w) }
"""


def test_functions_are_methods(tmp_path: Path) -> None:
    model = parse(
        FUNCTIONS.replace("optional (e, f)", "optional (e, one)").replace(
            "a = com", "one = Constant <value = float {1}> () a = com", 1
        )
    )
    random = np.random.default_rng(0)
    inputs = tuple(random.standard_normal(7).astype(np.float32) for _ in range(2))
    printed = check(model, tmp_path, inputs)
    assert "def leaky(self, v: Tensor) -> Tensor:" in printed.text
    assert "ops.onnx.LeakyRelu(v, alpha=0.5)" in printed.text
    assert printed.text.count("alpha=0.5)") == 1  # two calls with the same attributes share a method
    assert "alpha=2.0)" in printed.text  # the default
    assert "= self.both(b, c)" in printed.text
    assert "Clip(v)" in printed.text
    assert "Clip(v, None, w)" in printed.text


@pytest.mark.parametrize("results", [["s2"], ["r2", "s2"], ["s2", "x2"]])
def test_results_that_modules_give_keep_their_names(results: list[str], tmp_path: Path) -> None:
    """Each block is a call of one class; what the last gives is called as in the model."""
    nodes = []
    for i in range(3):
        at = f"/layers.{i}"
        nodes += [
            helper.make_node("MatMul", [f"x{i}", f"layers.{i}.weight"], [f"m{i}"], name=f"{at}/MatMul"),
            helper.make_node("Relu", [f"m{i}"], [f"r{i}"], name=f"{at}/Relu"),
            helper.make_node("Add", [f"r{i}", f"x{i}"], [f"a{i}"], name=f"{at}/Add"),
            helper.make_node("Abs", [f"a{i}"], [f"s{i}"], name=f"{at}/Abs"),
        ]
        if i < 2:
            nodes.append(helper.make_node("Neg", [f"s{i}"], [f"x{i + 1}"], name=f"/Neg_{i}"))
    weights = [helper.make_tensor(f"layers.{i}.weight", TensorProto.FLOAT, [2, 2], [1, 2, i, 4]) for i in range(3)]
    given, *given_out = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 2]) for n in ("x0", *results)]
    graph = helper.make_graph(nodes, "g", [given], given_out, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    printed = check(model, tmp_path, (np.array([[1, -2], [3, 4]], np.float32),))
    assert "class Layer" in printed.text
    made = printed.exported().graph
    assert [o.name for o in made.output] == results
    assert len(made.node) == len(nodes)


def test_a_function_that_calls_itself_is_refused(tmp_path: Path) -> None:
    model = parse("""agraph (float[N] x) => (float[N] y) { y = com.example.f(x) }
    <domain: "com.example", opset_import: ["" : 21, "com.example" : 1]> f (a) => (b) { b = com.example.f(a) }""")
    with pytest.raises(BridgeError, match=r"function 'f' of domain 'com\.example' calls itself"):
        bridge.onnx.write_python(bridge.onnx.load(model), tmp_path / "m.py")
    assert list(tmp_path.iterdir()) == []


def test_sparse_initializers_and_constants(tmp_path: Path) -> None:
    values = helper.make_tensor("w", TensorProto.FLOAT, [2], [3.0, -1.0])
    flat = helper.make_sparse_tensor(values, helper.make_tensor("", TensorProto.INT64, [2], [1, 5]), [2, 3])
    at = helper.make_tensor("", TensorProto.INT64, [1, 2], [1, 0])
    pairs = helper.make_sparse_tensor(helper.make_tensor("", TensorProto.FLOAT, [1], [4.0]), at, [2, 3])
    nodes = [
        helper.make_node("Constant", [], ["c"], sparse_value=pairs),
        helper.make_node("Sum", ["x", "w", "c"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in "xy")
    graph = helper.make_graph(nodes, "sparse", [x], [y], sparse_initializer=[flat])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    assert bridge.onnx.export(bridge.onnx.load(model)).model_proto == model
    check(model, tmp_path, (np.ones((2, 3), np.float32),))


def test_texts_and_short_elements_are_stored(tmp_path: Path) -> None:
    words = np.array([f'wörd {i}\n"quoted"' for i in range(40)], dtype=object)
    four = numpy_helper.from_array(
        np.arange(-8, 8).astype(onnx.helper.tensor_dtype_to_np_dtype(TensorProto.INT4)), "four"
    )
    half = helper.make_tensor("half", TensorProto.BFLOAT16, [16], [float(i) for i in range(16)])
    nodes = [
        helper.make_node("Gather", ["words", "i"], ["text"]),
        helper.make_node("Cast", ["four"], ["a"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["half"], ["b"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Gather", ["sum", "i"], ["number"]),
    ]
    graph = helper.make_graph(
        nodes,
        "texts",
        [helper.make_tensor_value_info("i", TensorProto.INT64, ["N"])],
        [helper.make_tensor_value_info("text", TensorProto.STRING, ["N"]),
         helper.make_tensor_value_info("number", TensorProto.FLOAT, ["N"])],
        [numpy_helper.from_array(words, "words"), four, half],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    printed = check(model, tmp_path, (np.array([0, 15, 3]),))
    assert 'Annotated[Tuple[Tensor, Tensor], "string[N]", "float32[N]"]' in printed.text
    assert len(printed.text) < 2500


def test_long_attributes_are_stored(tmp_path: Path) -> None:
    keys, values = [f"k{i}" for i in range(100)], [float(i) / 7 for i in range(100)]
    node = helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", keys_strings=keys, values_floats=values)
    graph = helper.make_graph(
        [node],
        "labels",
        [helper.make_tensor_value_info("x", TensorProto.STRING, ["N"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 2)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    printed = check(model, tmp_path, (np.array(["k3", "none", "k99"], dtype=object),))
    assert "keys_strings=stored.labelencoder_keys_strings" in printed.text
    assert printed.exported().graph.node[0] == node or list(printed.exported().graph.node[0].attribute) == list(
        node.attribute
    )


NASTY = 'a"""\nimport os; os.abort()\n"""\\\x1b[31m'


def test_names_and_texts_never_become_code(tmp_path: Path) -> None:
    """Everything that a model may name or say is hostile here; the file parses to classes and one function."""
    node = helper.make_node("Add", [NASTY, "0); import os #"], ["class"], name=NASTY, doc_string=NASTY)
    shape = helper.make_node("Constant", [], ["odd"], value_string=NASTY)
    graph = helper.make_graph(
        [node, shape],
        NASTY,
        [helper.make_tensor_value_info(NASTY, TensorProto.FLOAT, [NASTY])],
        [helper.make_tensor_value_info("class", TensorProto.FLOAT, ["'); x"]),
         helper.make_tensor_value_info("odd", TensorProto.STRING, [])],
        [helper.make_tensor("0); import os #", TensorProto.FLOAT, [1], [2.0])],
        doc_string=NASTY,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10, doc_string=NASTY)
    model.metadata_props.add(key=NASTY, value=NASTY)
    printed = Printed(model, tmp_path)
    tree = ast.parse(printed.text)
    kinds = {type(s) for s in tree.body}
    assert kinds <= {ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.ClassDef, ast.FunctionDef}
    assert "\x1b" not in printed.text
    assert "os.abort()" not in {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    got = printed.model(bridge.tensor([1.0]))
    assert got[0].tolist() == [3.0]
    assert got[1]._array.item() == NASTY


def test_other_domains(tmp_path: Path) -> None:
    model = parse("""agraph (float[N] x) => (float[N] y) { h = com.microsoft.Gelu (x) y = Relu (h) }""")
    model.opset_import.add(domain="com.microsoft", version=1)
    printed = check(model, tmp_path, (np.array([-1, 0, 2], np.float32),))
    assert "h = ops.com.microsoft.Gelu(x)" in printed.text


ODD_OPERATORS = {
    "a domain that is no name": ({"domain": "odd-domain/x"}, 'ops.domain("odd-domain/x").Thing(x)'),
    "an operator that is no name": (
        {"op_type": "my op", "domain": "com.example"},
        'ops.com.example.operator("my op")(x)',
    ),
    "a lower-case operator": ({"op_type": "thing", "domain": "com.example"}, 'ops.com.example.operator("thing")(x)'),
    "attributes": (
        {"domain": "com.example", "a": 1, "b": 0.1, "c": "t", "d": [1, 2], "e": [0.5], "f": ["u"]},
        'ops.com.example.Thing(x, a=1, b=0.1, c="t", d=[1, 2], e=[0.5], f=["u"])',
    ),
    "attributes that are no names": (
        {"domain": "com.example", "a": 1, "class": 2, "a-b": [0.5], "self": "t"},
        'ops.com.example.Thing(x, a=1, **{"a-b": [0.5]}, **{"class": 2}, self="t")',
    ),
    "omitted inputs": ({"domain": "com.example", "inputs": ["", "x", ""]}, "ops.com.example.Thing(None, x)"),
    "several outputs": (
        {"domain": "com.example", "outputs": ["y", "z", "w"]},
        "y, z, _ = ops.com.example.Thing(x, outputs=3)",
    ),
}


@pytest.mark.parametrize("name", ODD_OPERATORS)
def test_operators_that_onnx_does_not_know(name: str, tmp_path: Path) -> None:
    """They cannot run here, but they print, compile and export."""
    given, text = ODD_OPERATORS[name]
    given = {"op_type": "Thing", "inputs": ["x"], "outputs": ["y"], **given}
    node = helper.make_node(given.pop("op_type"), given.pop("inputs"), given.pop("outputs"), **given)
    outputs = ["y", "z"] if len(node.output) > 1 else ["y"]
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, [2]) for o in outputs],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(node.domain, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    assert bridge.onnx.export(bridge.onnx.load(model)).model_proto == model
    printed = Printed(model, tmp_path)
    assert text in printed.text
    (again,) = printed.exported().graph.node
    assert (again.domain, again.op_type, list(again.attribute)) == (node.domain, node.op_type, list(node.attribute))


def _with_body() -> onnx.NodeProto:
    body = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["n"])], "b", [], [helper.make_value_info("n", onnx.TypeProto())]
    )
    return helper.make_node("Beam", ["x"], ["y"], name="search", domain="com.example", decoder=body)


def _with_outputs() -> onnx.NodeProto:
    node = helper.make_node("Thing", ["x"], ["y"], name="n", domain="com.example")
    node.attribute.append(helper.make_attribute("outputs", 2))
    return node


REFUSED = {
    "graphs of unknown operators": (_with_body(), r"node 'search' \(com.example::Beam\): its graphs have no form"),
    "bytes that are no text": (
        helper.make_node("Thing", ["x"], ["y"], name="n", domain="com.example", data=b"\xff\xfe"),
        r"node 'n' \(com.example::Thing\): attribute 'data' has no form",
    ),
    "an attribute with the name of the count of results": (
        _with_outputs(),
        r"node 'n' \(com.example::Thing\): the attribute 'outputs' has the name of what says how many",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_form_in_python_is_refused(name: str, tmp_path: Path) -> None:
    node, message = REFUSED[name]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in "xy")
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=opsets, ir_version=10)
    module = bridge.onnx.load(model)
    assert bridge.onnx.export(module).model_proto == model
    with pytest.raises(BridgeError, match=message):
        bridge.onnx.write_python(module, tmp_path / "m.py")
    assert list(tmp_path.iterdir()) == []


def test_a_type_that_only_onnx_has_is_refused_by_its_name(tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in "xy")
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT6E2M3, dims=[4], raw_data=b"\1\2\3")
    graph = helper.make_graph([helper.make_node("Thing", ["x", "w"], ["y"], domain="c")], "g", [x], [y], [weight])
    opsets = [helper.make_opsetid("", 26), helper.make_opsetid("c", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=onnx.IR_VERSION)
    module = bridge.onnx.load(model)
    assert bridge.onnx.export(module).model_proto == model
    with pytest.raises(BridgeError, match="a tensor of type float6_e2m3fn has no form"):
        bridge.onnx.write_python(module, tmp_path / "m.py")


def test_a_long_list_of_modules_is_not_read_whole_for_each_element(tmp_path: Path) -> None:
    """Each ``layers[3]`` of a program reads all elements, as in TorchScript: a long list would take the square of its length."""
    nodes, weights = [], []
    for i in range(40):
        weights.append(numpy_helper.from_array(np.full((2, 2), i, np.float32), f"layers.{i}.weight"))
        nodes.append(helper.make_node("MatMul", [f"x{i}", weights[-1].name], [f"x{i + 1}"], name=f"/layers.{i}/MatMul"))
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 2]) for n in ("x0", "x40"))
    graph = helper.make_graph(nodes, "chain", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    printed = Printed(model, tmp_path)
    assert "self.layers[" not in printed.text
    assert [n.op_type for n in printed.exported().graph.node] == ["MatMul"] * 40
