"""Printed ONNX models worth reading: which nodes are torch's operators, and that exporting gives the nodes again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import parser
from test_onnx_python import Printed, check

import bridge
import bridge.onnx


def model_of(
    body: str, opset: int = 17, inputs: str = "float[N, 4] x, float[N, 4] y", result: str = "float[N, M] r"
) -> Any:
    head = f'<ir_version: 8, opset_import: ["" : {opset}]>'
    return parser.parse_model(f"{head} agraph ({inputs}) => ({result}) {{ {body} }}")


def nodes_of(graph: onnx.GraphProto) -> list[Any]:
    """The nodes in order, constants by value, other values by the node that gives them."""
    values: dict[str, Any] = {v.name: ("input", i) for i, v in enumerate(graph.input)}
    values[""] = None
    for t in graph.initializer:
        array = onnx.numpy_helper.to_array(t)
        values[t.name] = ("weight", str(array.dtype), array.shape, array.tobytes())
    found = []
    for n in graph.node:
        if n.op_type == "Constant":
            array = onnx.numpy_helper.to_array(n.attribute[0].t)
            values[n.output[0]] = ("constant", str(array.dtype), array.shape, array.tobytes())
            continue
        attributes = sorted(a.SerializeToString() for a in n.attribute if a.type != onnx.AttributeProto.GRAPH)
        inside = [nodes_of(a.g) for a in n.attribute if a.type == onnx.AttributeProto.GRAPH]
        found.append((n.op_type, n.domain, [values.get(i, i) for i in n.input], attributes, inside))
        for k, o in enumerate(n.output):
            values[o] = ("node", len(found), k)
    return found


def same_nodes(model: onnx.ModelProto, folder: Path) -> Printed:
    """Print, script and export: the nodes must be those of the model."""
    printed = Printed(model, folder)
    exported = printed.exported()
    assert nodes_of(exported.graph) == nodes_of(model.graph)
    assert [o.version for o in exported.opset_import] == [o.version for o in model.opset_import]
    return printed


HALF = "h = Constant <value = float {0.5}> ()"
RAISED = {
    "sums": ("a = Add (x, y) b = Mul (a, a) r = Sub (b, y)", "a = x + y\n        b = a * a\n        r = b - y\n"),
    "a number": (f"{HALF} r = Mul (x, h)", "x * 0.5"),
    "a number first": (f"{HALF} r = Sub (h, x)", "r = torch.tensor(0.5) - x"),
    "a number that no float32 spells shorter": ("h = Constant <value = float {0.1}> () r = Div (x, h)", "x / 0.1"),
    "a product": (
        "t = Transpose <perm = [1, 0]> (y) r = MatMul (x, t)",
        "t = y.transpose(0, 1)\n        r = x @ t\n",
    ),
    "softmax": ("r = Softmax <axis = -1> (x)", "torch.softmax(x, -1)"),
    "activations": (
        "a = Relu (x) b = Sigmoid (a) r = Tanh (b)",
        "a = torch.relu(x)\n        b = torch.sigmoid(a)\n        r = torch.tanh(b)\n",
    ),
    "a slope": ("r = LeakyRelu <alpha = 0.1> (x)", "leaky_relu(x, 0.1"),
    "joined": ("r = Concat <axis = 1> (x, y)", "torch.cat([x, y], 1)"),
    "a shape": ("s = Constant <value = int64[2] {-1, 2}> () r = Reshape (x, s)", "x.reshape(-1, 2)"),
    "types": (
        "a = Cast <to = 7> (x) r = Cast <to = 1> (a)",
        "a = x.to(torch.int64)\n        r = a.to(torch.float32)\n",
    ),
    "a choice": ("c = Less (x, y) r = Where (c, x, y)", "c = x < y\n        r = torch.where(c, x, y)\n"),
    "a new dimension": (
        "s = Constant <value = int64[1] {1}> () a = Unsqueeze (x, s) r = ReduceMean <axes = [1], keepdims = 0> (a)",
        "a = x.unsqueeze(1)\n        r = a.mean(1)\n",
    ),
    "an axis that is not written": ("r = Softmax (x)", "torch.softmax(x, -1)"),
    "a cast of nothing": ("r = Cast <to = 1> (x)", "x.to(torch.float32)"),
    "a square": ("h = Constant <value = float {2.0}> () r = Pow (x, h)", "x ** 2.0"),
    "the ends of a range": (
        (
            f"{HALF} a = Constant <value = float {{0.0}}> () b = Constant <value = float {{6.0}}> () v = Clip (x, a, b) "
            "r = Clip (v, , h)"
        ),
        "v = torch.relu6(x)\n        r = v.clamp(max=0.5)\n",
    ),
    "the least": (f"{HALF} r = Clip (x, h)", "x.clamp(0.5)"),
    "a part": (
        (
            "a = Constant <value = int64[1] {1}> () b = Constant <value = int64[1] {9223372036854775807}> () "
            "c = Constant <value = int64[1] {3}> () s = Slice (x, a, c, a) r = Slice (s, a, b, a)"
        ),
        "s = x[:, 1:3]\n        r = s[:, 1:]\n",
    ),
    "a part counted from behind": (
        (
            "a = Constant <value = int64[1] {-3}> () b = Constant <value = int64[1] {-1}> () s = Constant <value = int64[1] {2}> () "
            "r = Slice (x, a, b, b, s)"
        ),
        "r = x[..., -3:-1:2]\n",
    ),
    "a row": (
        "i = Constant <value = int64 {-1}> () a = Gather <axis = 1> (x, i) o = Constant <value = int64[1] {0}> () r = Unsqueeze (a, o)",
        "a = x[:, -1]\n        r = a.unsqueeze(0)\n",
    ),
    "rows": (
        "i = Cast <to = 7> (y) r = Gather <axis = 0> (x, i)",
        "r = x[i]\n",
    ),
    "halves": ("a, b = Split <axis = 1> (x) r = Add (a, b)", "a, b, = x.chunk(2, 1)\n"),
    "pieces": (
        "s = Constant <value = int64[2] {1, 3}> () a, b = Split <axis = 1> (x, s) r = Add (a, b)",
        "a, b, = x.split([1, 3], 1)\n",
    ),
    "sums of rows": (
        (
            "o = Constant <value = int64[1] {1}> () a = ReduceSum <keepdims = 1> (x, o) b = ReduceMax <axes = [1]> (x) "
            "c = ReduceMin <axes = [0, 1]> (x) d = Add (a, b) r = Mul (c, d)"
        ),
        "a = x.sum(1, keepdim=True)\n        b = x.amax(1, keepdim=True)\n        c = x.amin([0, 1], keepdim=True)\n",
    ),
    "which is the greatest": ("a = ArgMax <axis = 1> (x) r = Cast <to = 1> (a)", "a = x.argmax(1, keepdim=True)\n"),
    "edges": (
        (
            "p = Constant <value = int64[4] {1, 2, 0, 3}> () a = Pad (x, p) e = Constant <value = int64[4] {0, 2, 0, 1}> () "
            'r = Pad <mode = "edge"> (a, e)'
        ),
        'a = torch.pad(x, [2, 3, 1, 0])\n        r = torch.pad(a, [2, 1], mode="replicate")\n',
    ),
    "what is dropped in training": (
        "h = Constant <value = float {0.5}> () r = Dropout (x, h)",
        "torch.dropout(x, 0.5, False)",
    ),
    "one inside the other": (
        (
            "w = Constant <value = float[4] {1.0, 2.0, 3.0, 4.0}> () matmul_1 = MatMul (x, w) relu_1 = Relu (matmul_1) o = Constant <value = int64[1] {1}> () neg = Neg (relu_1) "
            "unsqueeze_3 = Unsqueeze (neg, o) r = Add (unsqueeze_3, y)"
        ),
        "unsqueeze3 = (-torch.relu(x @ torch.tensor([1.0, 2.0, 3.0, 4.0]))).unsqueeze(1)\n        r = unsqueeze3 + y\n",
    ),
    "a copy": ("a = Identity (x) r = Relu (a)", "a = x.clone()\n"),
}


@pytest.mark.parametrize("name", RAISED)
def test_nodes_are_operators_of_torch(name: str, tmp_path: Path) -> None:
    body, text = RAISED[name]
    model = model_of(body)
    printed = same_nodes(model, tmp_path)
    assert text in printed.text
    x, y = (np.random.default_rng(i).standard_normal((3, 4)).astype(np.float32) for i in range(2))
    for module in (printed.model, printed.scripted):
        want = bridge.onnx.load(model)(bridge.from_numpy(x), bridge.from_numpy(y))
        assert bridge.allclose(module(bridge.from_numpy(x), bridge.from_numpy(y)), want, atol=1e-6)


#: Nodes that mean something else than the operator of torch that is like them, or that lower to other nodes.
KEPT = {
    "softmax as it was": (model_of("r = Softmax <axis = 0> (x)", 11), "ops.onnx.Softmax(x, axis=0)"),
    "integers divide otherwise": (
        model_of("r = Div (x, y)", inputs="int64[N] x, int64[N] y", result="int64[N] r"),
        'x.div(y, rounding_mode="trunc")',
    ),
    "several steps at once": (
        model_of(
            "a = Constant <value = int64[2] {0, 1}> () b = Constant <value = int64[2] {2, 3}> () r = Slice (x, a, b, a)"
        ),
        "ops.onnx.Slice(x, ",
    ),
    "a sum of ints, which torch widens": (
        model_of(
            "a = Constant <value = int64[1] {0}> () r = ReduceSum <keepdims = 0> (x, a)",
            inputs="int32[N] x",
            result="int32 r",
        ),
        "ops.onnx.ReduceSum(x, ",
    ),
    "zeros that copy sizes": (
        model_of("s = Constant <value = int64[2] {0, -1}> () r = Reshape (x, s)"),
        "ops.onnx.Reshape(x, torch.tensor([0, -1]))",
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_other_nodes_stay(name: str, tmp_path: Path) -> None:
    model, text = KEPT[name]
    assert text in same_nodes(model, tmp_path).text


def image_model(body: str, weights: dict[str, tuple[int, ...]], opset: int = 17) -> onnx.ModelProto:
    model = model_of(body, opset, "float[N, 4, 8, 8] x", "float[N, C, H, W] r")
    for name, shape in weights.items():
        values = np.random.default_rng(len(name)).random(shape, np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    return model


WINDOW = "dilations = [1, 1], group = 1, kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]"
SCALES = "s = Constant <value = float[4] {1.0, 1.0, 2.0, 2.0}> ()"
UPWARDS = 'coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"'
IMAGES: dict[str, tuple[str, dict[str, tuple[int, ...]], int, str]] = {
    "all attributes": (
        f"a = Conv <{WINDOW}> (x, w, b) r = Relu (a)",
        {"w": (6, 4, 3, 3), "b": (6,)},
        17,
        "torch.conv2d(x, self.w, self.b, stride=2, padding=1)",
    ),
    "no attributes": ("r = Conv (x, w)", {"w": (6, 4, 3, 3)}, 17, "torch.conv2d(x, self.w)"),
    "some say all, some little": (
        f"a = Conv (x, v) b = Conv <{WINDOW}> (a, w) r = Conv <{WINDOW}> (b, w)",
        {"v": (4, 4, 1, 1), "w": (4, 4, 3, 3)},
        17,
        "a = ops.onnx.Conv(x, self.v)\n        b = torch.conv2d(a, self.w, stride=2, padding=1)\n",
    ),
    "one side wider": (
        "r = Conv <pads = [0, 1, 1, 1]> (x, w)",
        {"w": (6, 4, 3, 3)},
        17,
        "ops.onnx.Conv(x, self.w, pads=[0, 1, 1, 1])",
    ),
    "backwards": (
        "r = ConvTranspose <kernel_shape = [2, 2], strides = [2, 2]> (x, w)",
        {"w": (4, 6, 2, 2)},
        11,
        "torch.conv_transpose2d(x, self.w, stride=2)",
    ),
    "normalised": (
        "r = BatchNormalization <epsilon = 0.001, momentum = 0.9> (x, a, a, a, a)",
        {"a": (4,)},
        13,
        "torch.batch_norm(x, self.a, self.a, self.a, self.a, False, 0.1, 0.001, False)",
    ),
    "pooled": (
        (
            "a = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x) b = AveragePool <kernel_shape = [2, 2], ceil_mode = 0> (a) "
            "r = GlobalAveragePool (b)"
        ),
        {},
        12,
        (
            "a = torch.max_pool2d(x, 2, stride=2)\n        b = torch.avg_pool2d(a, 2, stride=1, count_include_pad=False)\n"
            "        r = torch.adaptive_avg_pool2d(b, [1, 1])\n"
        ),
    ),
    "enlarged": (f"{SCALES} r = Resize <{UPWARDS}> (x, , s)", {}, 13, "torch.upsample_nearest2d(x, None, [2.0, 2.0])"),
    "enlarged, with a region that means nothing": (
        f"{SCALES} o = Constant <value = float[0] {{}}> () r = Resize <{UPWARDS}> (x, o, s)",
        {},
        13,
        "torch.upsample_nearest2d(x, None, [2.0, 2.0])",
    ),
    "normalised over the last": (
        "r = LayerNormalization <axis = -1, epsilon = 0.00001, stash_type = 1> (x, a, a)",
        {"a": (8,)},
        17,
        "torch.layer_norm(x, [8], self.a, self.a)",
    ),
}


@pytest.mark.parametrize("name", IMAGES)
def test_nodes_on_images_are_operators_of_torch(name: str, tmp_path: Path) -> None:
    body, weights, opset, text = IMAGES[name]
    model = image_model(body, weights, opset)
    printed = same_nodes(model, tmp_path)
    assert text in printed.text
    x = bridge.from_numpy(np.random.default_rng(1).standard_normal((2, 4, 8, 8)).astype(np.float32))
    want = bridge.onnx.load(model)(x)
    for module in (printed.model, printed.scripted):
        assert bridge.allclose(module(x), want, atol=1e-5)


def test_branches_and_loops_have_operators_of_torch(tmp_path: Path) -> None:
    model = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
    agraph (int64 n, bool c, float[4] x) => (float[4] r) {
        none = Constant <value = bool {1}> ()
        a = Loop (n, none, x) <body = step (int64 i, bool go, float[4] v) => (bool keep, float[4] w) {
            keep = Identity (go)
            f = Cast <to = 1> (i)
            w = Add (v, f)
        }>
        b = If (c) <then_branch = t () => (float[4] p) { p = Mul (a, x) }, else_branch = e () => (float[4] q) { q = Neg (a) }>
        r = Relu (b)
    }""")
    x = np.array([1, -2, 3, 0], np.float32)
    printed = check(model, tmp_path, *[(np.array(n), np.array(c), x) for n, c in ((0, True), (3, True), (4, False))])
    for text in ("for i in range(trips):", "torch.tensor(i).to(torch.float32)", "a * x", "= -a", "torch.relu(b)"):
        assert text in printed.text


def test_a_model_all_of_whose_nodes_are_operators_keeps_its_opset(tmp_path: Path) -> None:
    printed = same_nodes(model_of("r = Add (x, y)", 15), tmp_path)
    assert "onnx_opset = ops" in printed.text
    assert "ops.onnx" not in printed.text


# -- hierarchy ---------------------------------------------------------------------------------------------------------

BLOCK = ("MatMul", "Add", "Relu", "Mul")


def blocks_model(paths: list[str], dynamo: bool = False, kinds: tuple[str, ...] = BLOCK) -> onnx.ModelProto:
    """One block of four nodes for each path; its weight has the path's dotted name."""
    nodes, weights, x = [], [], "x"
    for i, path in enumerate(paths):
        weight = f"{path.strip('/').replace('/', '.')}.weight"
        weights.append(onnx.numpy_helper.from_array(np.full((4, 4), 0.1 * (i + 1), np.float32), weight))
        given = x
        for op in kinds:
            inputs = {"MatMul": [x, weight], "Add": [x, given], "Mul": [x, x], "Reshape": [x, "shape"]}.get(op, [x])
            x = f"{path}/{op}_output_0"
            node = onnx.helper.make_node(op, inputs, [x], name=f"{path}/{op}")
            if dynamo:
                dotted = path.strip("/").replace("/", ".").split(".")
                scopes = ["", *(".".join(dotted[: k + 1]) for k in range(len(dotted))), op.lower()]
                node.name = f"node_{op}_{i}"
                node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=repr(scopes))
            nodes.append(node)
    nodes[-1].output[0] = "y"
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 4])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 4])],
        [*weights, *([onnx.numpy_helper.from_array(np.array([-1, 4]), "shape")] if "Reshape" in kinds else [])],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def run_all(printed: Printed, model: onnx.ModelProto) -> None:
    x = bridge.randn(3, 4)
    want = bridge.onnx.load(model)(x)
    assert bridge.allclose(printed.model(x), want, rtol=1e-4)
    assert bridge.allclose(printed.scripted(x), want, rtol=1e-4)


@pytest.mark.parametrize("dynamo", [False, True])
def test_scopes_are_modules_and_alike_ones_share_a_class(dynamo: bool, tmp_path: Path) -> None:
    model = blocks_model(["/encoder/layers.0", "/encoder/layers.1", "/head"], dynamo)
    printed = same_nodes(model, tmp_path)
    assert printed.text.count("x @ self.weight") == 2  # layers, and the head, which gives y
    assert "self.encoder(x)" in printed.text
    assert "class Encoder(nn.Module):" in printed.text
    run_all(printed, model)


def renamed(nodes: list[onnx.NodeProto]) -> None:
    nodes[2].output[0] = nodes[3].input[0] = nodes[3].input[1] = "/layers.2/kept"


DIFFERENT: dict[str, Callable[[list[onnx.NodeProto]], Any]] = {
    "an operator": lambda nodes: setattr(nodes[2], "op_type", "Sigmoid"),
    "the order of inputs": lambda nodes: nodes[1].input.reverse(),
    "a name": renamed,
    "nothing": lambda nodes: None,
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_blocks_share_a_class_unless_they_differ(what: str, tmp_path: Path) -> None:
    model = blocks_model([f"/layers.{i}" for i in range(5)])
    DIFFERENT[what](list(model.graph.node[8:12]))
    printed = same_nodes(model, tmp_path)
    assert printed.text.count("class Layer") == (2 if what == "nothing" else 3)  # the last gives y
    run_all(printed, model)


def test_scattered_scopes_stay_where_they_are(tmp_path: Path) -> None:
    model = blocks_model(["/a", "/b"])
    first, second = list(model.graph.node[:4]), list(model.graph.node[4:])
    second[0].input[0] = "x"
    second[1].input[1] = "x"
    last = onnx.helper.make_node("Add", [first[3].output[0], "y0"], ["y"], name="/Add")
    second[3].output[0] = "y0"
    del model.graph.node[:]
    for a, b in zip(first, second, strict=True):
        model.graph.node.extend([a, b])
    model.graph.node.append(last)
    printed = same_nodes(model, tmp_path)
    assert "self.a(" not in printed.text
    assert "x @ self.a.weight" in printed.text
    run_all(printed, model)


@pytest.mark.parametrize(
    "path", ["/a b/c;d", "//x//y", "/self/forward", "/class/1", "/a.b/a.b.c", "/forward", "/state_dict/weight"]
)
def test_names_of_any_kind_make_modules(path: str, tmp_path: Path) -> None:
    model = blocks_model([path, "/other"])
    run_all(same_nodes(model, tmp_path), model)


@pytest.mark.parametrize("told", ["[" * 300, "['a'", "{}", "[1, 2]", "['', 'x', 'x.y', 'relu']", "['', 'no', 'z']"])
def test_metadata_of_any_kind_is_no_trouble(told: str, tmp_path: Path) -> None:
    model = blocks_model(["/a", "/b"], dynamo=True)
    for n in model.graph.node[1:5]:
        n.metadata_props[0].value = told
    run_all(same_nodes(model, tmp_path), model)


def test_a_weight_of_two_modules_is_given_to_both(tmp_path: Path) -> None:
    model = blocks_model(["/a", "/b"])
    model.graph.node[4].input[1] = model.graph.node[0].input[1]
    del model.graph.initializer[1]
    printed = same_nodes(model, tmp_path)
    assert "self.b(mul, self.a.weight)" in printed.text
    run_all(printed, model)


def test_numbers_that_differ_are_arguments_of_the_constructor(tmp_path: Path) -> None:
    model = blocks_model(["/layers.0", "/layers.1", "/layers.2"])
    model.graph.initializer[1].CopyFrom(
        onnx.numpy_helper.from_array(np.ones((1, 4), np.float32), model.graph.initializer[1].name)
    )
    model.graph.node[4].op_type = "Mul"
    for i in (0, 8):
        model.graph.node[i].op_type = "Mul"
    model.graph.node[11].output[0] = "/layers.2/Mul_output_0"
    model.graph.node.append(onnx.helper.make_node("Neg", ["/layers.2/Mul_output_0"], ["y"], name="/Neg"))
    for v in (*model.graph.input, *model.graph.output):
        v.type.tensor_type.shape.dim[0].dim_value = 4
    printed = same_nodes(model, tmp_path)
    assert printed.text.count("class Layer") == 1
    assert "def __init__(self, size: int) -> None:" in printed.text
    assert "self.layers = nn.ModuleList([Layer(4), Layer(1), Layer(4)])" in printed.text


def test_small_initializers_are_written_where_they_are_used(tmp_path: Path) -> None:
    model = model_of("a = Reshape (x, s) b = Mul (a, h) r = Add (b, w)")
    numbers = {"s": np.array([-1, 2]), "h": np.array(0.5, np.float32), "w": np.ones(2, np.float32)}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in numbers.items())
    printed = same_nodes(model, tmp_path)
    assert "x.reshape(-1, 2)" in printed.text
    assert "a * 0.5" in printed.text
    assert "self.w" in printed.text
    exported = printed.exported()
    assert len(exported.graph.initializer) == 3
    assert [n.op_type for n in exported.graph.node] == ["Reshape", "Mul", "Add"]


def test_no_constant_is_handed_from_module_to_module(tmp_path: Path) -> None:
    model = blocks_model(["/a", "/b", "/c"], kinds=("MatMul", "Reshape", "Relu", "Mul"))
    printed = same_nodes(model, tmp_path)
    assert "Tuple[" not in printed.text.partition("class A")[2]
    assert printed.text.count("(x @ self.weight).reshape(-1, 4)") == 2  # a and b are one class
    run_all(printed, model)


def test_fused_nodes_belong_to_the_first_that_their_names_tell(tmp_path: Path) -> None:
    model = blocks_model(["/a", "/b"])
    for n in model.graph.node[4:]:
        n.name = f"{n.name};x/y/Conv;z/BiasAdd"
    printed = same_nodes(model, tmp_path)
    assert "self.b(mul)" in printed.text
