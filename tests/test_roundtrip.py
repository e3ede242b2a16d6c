"""ONNX files read back: ``.code`` of what was exported, the edit of what was edited, the same results of what was stripped."""

import importlib
import random

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from support import onnx_modules as M
from support.onnx_runs import nodes_of, quiet, run_plain, same, variants

import bridge as torch
import bridge.onnx
from bridge.importers.onnx.raise_own import raise_own
from bridge.importers.onnx.reader import read_model
from bridge.importers.onnx.source import Source
from bridge.onnx import ExportError
from bridge.onnx.loading import relower

FORMS = ("functions", "inline")


@pytest.fixture(scope="module")
def rnn():
    torch.manual_seed(3)
    return torch.jit.script(M.Loop())


def exported(module, form, *examples):
    """A fresh copy of the exported model, to be edited."""
    model = onnx.ModelProto()
    model.CopyFrom(bridge.onnx.export(module, examples or (torch.rand(10, 3, 4),), modules=form).model_proto)
    return model


def codes(module):
    """``.code`` of every module that has a forward."""
    return {n: m.code for n, m in module.named_modules() if m._c.type.find_method("forward") is not None}


def graphs_of(model):
    """(nodes, container) of every graph and function."""
    stack = [model.graph, *model.functions]
    while stack:
        g = stack.pop()
        yield g
        stack += [a.g for n in g.node for a in n.attribute if a.HasField("g")]


def find(model, op_type):
    """The first node of that kind and the graph that holds it."""
    return next((n, g) for g in graphs_of(model) for n in g.node if n.op_type == op_type)


def strip(model):
    """Remove every metadata entry."""
    del model.metadata_props[:]
    for g in graphs_of(model):
        del g.metadata_props[:]
        for n in g.node:
            del n.metadata_props[:]
    return model


def agrees(model, *arguments):
    """Assert that the imported model computes what the model computes in plain onnxruntime; returns the import."""
    back = bridge.onnx.load(model)
    with torch.no_grad():
        same(run_plain(model, arguments), back(*arguments))
    return back


@pytest.mark.parametrize("form", FORMS)
def test_own_exports_come_back(rnn, form):
    model = exported(rnn, form)
    assert raise_own(model, relower, Source("the model")) is not None
    back = agrees(model, torch.randn(7, 3, 4))
    assert codes(back) == codes(rnn)
    assert repr(back) == repr(rnn)
    assert list(back.state_dict()) == list(rnn.state_dict())


@pytest.mark.parametrize("form", FORMS)
def test_exporting_an_import_gives_the_same_model(rnn, form):
    model = exported(rnn, form)
    again = bridge.onnx.export(bridge.onnx.load(model), (torch.rand(10, 3, 4),), modules=form).model_proto
    assert again.graph.SerializeToString(deterministic=True) == model.graph.SerializeToString(deterministic=True)
    assert [f.SerializeToString(deterministic=True) for f in again.functions] == [
        f.SerializeToString(deterministic=True) for f in model.functions
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("program", variants.names())
def test_variants(program, form):
    for _name, model, inputs in variants.subjects(program):
        try:
            made = bridge.onnx.export(model, variants.complete(model, inputs[0]), modules=form)
        except ExportError:
            continue
        read, source = read_model(made.model_proto)
        assert raise_own(read, relower, source) is not None
        back = bridge.onnx.load(made.model_proto)
        assert bridge.onnx.export(back).model_proto == made.model_proto
        if not hasattr(model, "named_modules"):
            assert back.code == made.specialised.code
            continue
        found = codes(back)
        for path, code in codes(made.specialised).items():
            assert found.get(path, code) == code  # a method that is never called is not in the model


def test_specialised_program_comes_back():
    program = bridge.onnx.export(torch.jit.script(M.Static().eval()), (torch.rand(3),))
    assert codes(bridge.onnx.load(program.model_proto)) == codes(program.specialised)


def other_operator(model):
    find(model, "Tanh")[0].op_type = "Sigmoid"


def other_attribute(model):
    find(model, "Gemm")[0].attribute.append(helper.make_attribute("alpha", 2.0))


def inserted_node(model):
    node, g = find(model, "Tanh")
    new = helper.make_node("Relu", [node.input[0]], ["relu_out"])
    node.input[0] = "relu_out"
    g.node.insert(list(g.node).index(node), new)


def other_constant(model):
    for g in graphs_of(model):
        for n in g.node:
            if n.op_type == "Constant" and n.attribute[0].t.data_type == 1:
                n.attribute[0].t.raw_data = np.float32(3).tobytes()


def deleted_metadata(model):
    del find(model, "Tanh")[0].metadata_props[:]


def comparison_turned(model):
    find(model, "Greater")[0].op_type = "Less"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("edit", "module", "printed"),
    [
        (other_operator, "cell", "new_h = ops.onnx.Sigmoid(_0)"),
        (other_attribute, "cell.linear", "ops.onnx.Gemm(input, weight, bias, transB=1, alpha=2.0)"),
        (inserted_node, "cell", "relu_out = ops.onnx.Relu(_0)\n  new_h = torch.tanh(relu_out)"),
        (other_constant, "cell.dg", "if bool(torch.gt(torch.sum(x), 3)):"),
        (deleted_metadata, "cell", "new_h = ops.onnx.Tanh(_0)"),
        (comparison_turned, "cell.dg", "ops.onnx.Less(torch.sum(x)"),
    ],
)
def test_an_edited_graph_prints_the_edit(rnn, form, edit, module, printed):
    model = exported(rnn, form)
    edit(model)
    back = agrees(model, torch.randn(5, 3, 4) * 3)
    found, original = codes(back), codes(rnn)
    assert printed in found[module]
    assert {k: v for k, v in found.items() if k != module} == {k: v for k, v in original.items() if k != module}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("length", [0, 1, 10])
def test_stripped_models_compute_the_same(rnn, form, length):
    model = strip(exported(rnn, form))
    back = agrees(model, torch.randn(length, 3, 4) * 3)
    if form == "functions":
        assert {n for n, m in back.named_modules() if m._c.type.find_method("forward")} == set(codes(rnn))
        assert list(back.state_dict()) == sorted(rnn.state_dict(), key=list(back.state_dict()).index)
    assert "ops.onnx" in back.code
    again = bridge.onnx.export(back).model_proto  # for the inputs that the model has
    assert [*again.graph.input] == [*model.graph.input]
    xs = torch.randn(length, 3, 4)
    same(run_plain(again, [xs]), run_plain(model, [xs]))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "shape"), [(M.Loop, (10, 3, 4)), (M.Collect, (5, 4))])
def test_stripped_models_compile_again(form, kind, shape, tmp_path, monkeypatch):
    """What a stripped model prints is a program: it imports, runs eagerly, scripts, and exports to the same results."""
    original = torch.jit.script(kind())
    back = bridge.onnx.load(strip(exported(original, form, torch.rand(*shape))))
    name = f"printed_{form}_{kind.__name__}"
    bridge.onnx.write_python(back, tmp_path / f"{name}.py")
    monkeypatch.syspath_prepend(tmp_path)
    printed = importlib.import_module(name).model()
    scripted = torch.jit.script(printed)
    xs = torch.randn(6, *shape[1:])
    with torch.no_grad():
        want = original(xs)
        same(printed(xs), want)
        same(scripted(xs), want)
    again = bridge.onnx.export(scripted, (torch.rand(*shape),)).model_proto
    same(run_plain(again, [xs]), want)


def test_lies_are_not_believed(rnn):
    """A claim that is not what the node does is dropped, whatever it says."""
    model = exported(rnn, "functions")
    node, _ = find(model, "Tanh")
    entry = node.metadata_props[0]
    entry.value = entry.value.replace("aten::tanh", "aten::sigmoid")
    back = agrees(model, torch.randn(5, 3, 4))
    assert "sigmoid" not in back.cell.code.lower()


def mutate(model, rng):
    """One random change of a model: of a node, of metadata, of a constant, of the wiring."""
    graph = rng.choice(list(graphs_of(model)))
    nodes = list(graph.node)
    if not nodes:
        return
    node = rng.choice(nodes)
    kind = rng.randrange(8)
    if kind == 0:
        node.op_type = rng.choice(
            ["Tanh", "Sigmoid", "Neg", "Relu", "Add", "Sub", "Mul", "Identity", "Greater", "Less"]
        )
    elif kind == 1 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice([o for n in nodes for o in n.output])
    elif kind == 2:
        del node.metadata_props[:]
    elif kind == 3 and node.metadata_props:
        other = rng.choice(nodes)
        if other.metadata_props:
            node.metadata_props[0].value = other.metadata_props[0].value
    elif kind == 4:
        for a in node.attribute:
            if a.HasField("t") and a.t.data_type == 1:
                a.t.raw_data = (np.frombuffer(a.t.raw_data, np.float32) + 1).tobytes()
            elif a.type == onnx.AttributeProto.INT:
                a.i = 1 - a.i
    elif kind == 5:
        words = ["aten::tanh", "aten::add", "aten::neg", "prim::If", "%x.1", "%h.1", "value=1", "value=0", "0:1", "0:2"]
        for holder in (node, graph, model):
            for entry in holder.metadata_props:
                if rng.random() < 0.5:
                    entry.value = entry.value.replace(rng.choice(words), rng.choice(words), 1)
    elif kind == 6 and node.input:
        new = helper.make_node("Neg", [node.input[0]], [f"fuzz{rng.randrange(10**9)}"])
        node.input[0] = new.output[0]
        graph.node.insert(nodes.index(node), new)
    else:
        i, j = rng.randrange(len(nodes)), rng.randrange(len(nodes))
        a, b = onnx.NodeProto(), onnx.NodeProto()
        a.CopyFrom(nodes[i])
        b.CopyFrom(nodes[j])
        nodes[i].metadata_props.clear() if hasattr(nodes[i].metadata_props, "clear") else None
        nodes[i].metadata_props.extend(b.metadata_props)


def valid(model):
    """The session of a model, or None when it is no model any more."""
    try:
        onnx.checker.check_model(model, full_check=True)
        return onnxruntime.InferenceSession(model.SerializeToString(), quiet(), providers=["CPUExecutionProvider"])
    except Exception:
        return None


def outputs_of(session, xs):
    """What an edited model gives; None where it fails."""
    try:
        return session.run(None, {session.get_inputs()[0].name: xs.numpy()})
    except Exception:
        return None


@pytest.mark.parametrize("seed", range(60))
def test_random_edits_never_print_something_else(rnn, seed):
    """Whatever is changed: what the import computes is what the model computes."""
    fuzz_once(rnn, seed)


def fuzz_once(module, seed):
    rng = random.Random(seed)
    model = exported(module, rng.choice(FORMS))
    for _ in range(rng.choice([1, 1, 2, 3])):
        mutate(model, rng)
    session = valid(model)
    if session is None:
        return
    back = bridge.onnx.load(model)
    for length in (0, 1, 4):
        xs = torch.randn(length, 3, 4) * 3
        want = outputs_of(session, xs)
        if want is not None:
            with torch.no_grad():
                same(want, back(xs))


def test_a_text_file_is_no_model(tmp_path):
    path = tmp_path / "notes.onnx"
    path.write_text("this is no model")
    with pytest.raises(torch.ir.errors.BridgeError, match="not an ONNX model"):
        bridge.onnx.load(path)
    with pytest.raises(FileNotFoundError):
        bridge.onnx.load(tmp_path / "missing.onnx")


def test_every_node_says_where_it_came_from(rnn):
    for node in nodes_of(exported(rnn, "inline")):
        assert [p.key for p in node.metadata_props] == ["bridge.ir"]


class Recurrent(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = torch.nn.GRU(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rnn(x)[0]


@pytest.mark.parametrize("form", FORMS)
def test_lists_of_parameters_refer_to_them(form):
    scripted = torch.jit.script(Recurrent())
    model = bridge.onnx.export(scripted, (torch.rand(5, 2, 3),), modules=form).model_proto
    table = next(p.value for p in model.metadata_props if p.key == "bridge.classes")
    assert '["own","weight_ih_l0"]' in table
    assert '"tensor"' not in table
    back = bridge.onnx.load(model)
    assert back.code == scripted.code
    assert back.rnn._c.attributes["_flat_weights"][0] is back.rnn._c.attributes["weight_ih_l0"]


class NormAfterCheck(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert bool(x.any()), "nothing there"
        return self.norm(x)


@pytest.mark.parametrize("form", FORMS)
def test_calls_after_a_check_are_read_back(form):
    """A function with a loop is not entered after an exception; the graph of one that never runs is not in the model."""
    scripted = torch.jit.script(NormAfterCheck().eval())
    made = bridge.onnx.export(scripted, (torch.rand(2, 4),), modules=form)
    back = bridge.onnx.load(made.model_proto)
    assert back.code == made.specialised.code
    assert back.norm.code == made.specialised.norm.code
