"""Exported models: right in plain onnxruntime, accepted by the checker, named as promised; what cannot be exported says why."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from support import onnx_modules as M
from support.onnx_runs import nodes_of, run_plain, variants

import bridge as torch
import bridge.onnx
from bridge.jit.running import interpret
from bridge.onnx import ExportError

FORMS = ("functions", "inline")


def rnn():
    torch.manual_seed(3)
    return torch.jit.script(M.Loop())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("length", [0, 1, 10, 23])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_lengths_and_branches(form, length, sign):
    eager = M.Loop()
    model = bridge.onnx.export(torch.jit.script(eager), (torch.rand(10, 3, 4),), modules=form).model_proto
    onnx.checker.check_model(model, full_check=True)
    xs = torch.randn(length, 3, 4) * 3 + sign
    with torch.no_grad():
        expected = eager(xs)
    for got, want in zip(run_plain(model, [xs]), expected, strict=True):
        np.testing.assert_allclose(got, want.numpy(), atol=1e-5)


def test_shape_of_the_model():
    s = rnn()
    model = bridge.onnx.export(s, (torch.rand(10, 3, 4),)).model_proto
    kinds = {n.op_type for n in nodes_of(model)}
    assert {"If", "Loop"} <= kinds
    assert [i.name for i in model.graph.initializer] == list(s.state_dict())
    assert [i.name for i in model.graph.input] == ["xs"]
    assert [o.name for o in model.graph.output] == ["y", "h"]
    assert all(d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim)
    assert sorted(f.name for f in model.functions) == ["Cell", "Gate", "Linear"]
    assert all(o.version == 21 for f in model.functions for o in f.opset_import if not o.domain)


def test_names_and_fixed_dims():
    model = bridge.onnx.export(
        rnn(), (torch.rand(10, 3, 4),), input_names=["frames"], output_names=["last", "state"],
        dynamic_shapes={"frames": {0: "time", 1: 3}}, modules="inline",
    ).model_proto  # fmt: skip
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert (dims[0].dim_param, dims[1].dim_value) == ("time", 3)
    assert [o.name for o in model.graph.output] == ["last", "state"]
    assert not model.functions


@pytest.mark.parametrize("opset", [13, 15, 18, 21, 24])
def test_opsets(opset):
    s = rnn()
    model = bridge.onnx.export(s, (torch.rand(10, 3, 4),), opset_version=opset).model_proto
    onnx.checker.check_model(model, full_check=True)
    xs = torch.randn(5, 3, 4)
    with torch.no_grad():
        want = s(xs)[0]
    np.testing.assert_allclose(run_plain(model, [xs])[0], want.numpy(), atol=1e-5)


def test_from_a_trace_without_examples():
    cell = M.NoBranches()
    traced = torch.jit.trace(cell, (torch.rand(3, 4), torch.rand(3, 4)))
    model = bridge.onnx.export(traced).model_proto
    x, h = torch.rand(5, 2), torch.rand(5, 2)
    np.testing.assert_allclose(run_plain(model, [x, h])[0], cell(x, h).numpy(), atol=1e-6)


def test_lists_become_scan_outputs():
    s = torch.jit.script(M.Collect())
    model = bridge.onnx.export(s, (torch.rand(5, 4),)).model_proto
    assert not [n.op_type for n in nodes_of(model) if "Sequence" in n.op_type]
    xs = torch.randn(7, 4)
    with torch.no_grad():
        want = s(xs)
    for got, w in zip(run_plain(model, [xs]), want, strict=True):
        np.testing.assert_allclose(got, w.numpy(), atol=1e-5)


def test_invariants_leave_the_loop():
    model = bridge.onnx.export(torch.jit.script(M.Invariant()), (torch.rand(2, 4),)).model_proto
    assert "Transpose" in [n.op_type for n in model.graph.node]
    loop = next(n for n in model.graph.node if n.op_type == "Loop")
    assert "Transpose" not in [n.op_type for n in loop.attribute[0].g.node]


def test_a_loop_that_changes_nothing_goes():
    model = bridge.onnx.export(torch.jit.script(M.HandsOn()), (torch.rand(2), torch.rand(3))).model_proto
    assert {n.op_type for n in nodes_of(model)} == {"Identity"}
    for got, given in zip(
        run_plain(model, [torch.ones(2), torch.zeros(4)]), (torch.ones(2), torch.zeros(4)), strict=True
    ):
        np.testing.assert_array_equal(got, given.numpy())


def test_in_place_operators_become_data_flow():
    s = torch.jit.script(M.InPlace())
    model = bridge.onnx.export(s, (torch.rand(3),)).model_proto
    for x in (torch.ones(3), -torch.ones(3)):
        want = interpret(s._c.type.methods["forward"], [s._c, x.clone()])
        for got, w in zip(run_plain(model, [x]), want, strict=True):
            np.testing.assert_array_equal(got, w.numpy())


def test_static_branches_are_removed_and_reported():
    s = torch.jit.script(M.Static().eval())
    program = bridge.onnx.export(s, (torch.rand(3),))
    assert "If" not in {n.op_type for n in nodes_of(program.model_proto)}
    assert [e.kind for e in program.report] == ["branch removed", "branch removed"]
    assert "onnx_modules.py:" in str(program.report)
    assert "if" not in program.specialised.code
    with_bias = bridge.onnx.export(s, (torch.rand(3), torch.rand(3)))
    assert len(with_bias.model_proto.graph.input) == 2


def test_arguments_of_the_caller_are_the_inputs():
    """``*extras`` is one input for each argument; what the example leaves out is no input."""

    x, s = torch.ones(3), torch.jit.script(M.Sum())
    program = bridge.onnx.export(s, (x, x * 2, x * 3))
    assert [i.name for i in program.model_proto.graph.input] == ["x", "extras_0", "extras_1"]
    assert [e.kind for e in program.report] == ["arguments fixed", "default used"]
    (got,) = run_plain(program.model_proto, [x, x * 2, x * 3])
    np.testing.assert_array_equal(got, s(x, x * 2, x * 3).numpy())
    assert bridge.onnx.load(program.model_proto).code == program.specialised.code
    scaled = bridge.onnx.export(s, (x, x, {"scale": 0.5})).model_proto
    assert [i.name for i in scaled.graph.input] == ["x", "extras_0", "scale"]


def test_a_function_per_element_type():
    s = torch.jit.script(M.Twice())
    model = bridge.onnx.export(s, (torch.rand(3), torch.arange(3))).model_proto
    onnx.checker.check_model(model, full_check=True)
    assert sorted(f.name for f in model.functions) in (["Gate"], ["Gate", "Gate.forward.1"])
    got = run_plain(model, [-torch.ones(3), torch.arange(3)])
    assert [g.dtype.name for g in got] == ["float32", "int64"]
    np.testing.assert_array_equal(got[0], np.ones(3))


def test_every_obstacle_is_named_at_once():
    with pytest.raises(ExportError) as caught:
        bridge.onnx.export(torch.jit.script(M.Says()), (torch.rand(3), "a"))
    text = str(caught.value)
    assert len(caught.value.obstacles) == 2
    assert "string" in text
    assert "print" in text
    assert text.count("onnx_modules.py:") >= 2


def test_missing_example_is_explained(tmp_path):
    target = tmp_path / "m.onnx"
    with pytest.raises(ExportError, match="element type and rank of input 'xs'"):
        bridge.onnx.export(rnn(), None, target)
    assert not target.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opset_version": 7}, "opset_version must be"),
        ({"modules": "flat"}, "modules must be"),
        ({"input_names": ["a", "b"]}, "input_names has 2 names"),
        ({"output_names": ["a", "b", "c"]}, "output_names has 3 names"),
        ({"dynamic_shapes": {"zs": {0: "n"}}}, "dynamic_shapes names no input"),
        ({"dynamic_shapes": {"xs": {0: 4}}}, "but the example has 10"),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(torch.ir.errors.BridgeError, match=message):
        bridge.onnx.export(rnn(), (torch.rand(10, 3, 4),), **options)


def test_saving_is_all_or_nothing(tmp_path):
    program = bridge.onnx.export(rnn(), (torch.rand(10, 3, 4),))
    target = tmp_path / "m.onnx"
    target.write_bytes(b"old")
    program.save(target)
    assert onnx.load(target).graph.name == "Loop"
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


#: Programs of tests/variants that ONNX cannot express, by (file, subject): what the error says.
REFUSED = {
    ("nested_ifs", "quadrant"): "string",
    ("plain_functions", "normalise"): "must be known",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("program", variants.names())
def test_variants(program, form):
    """Every subject, on every input of the first one's types, against the interpreter."""
    for name, model, inputs in variants.subjects(program):
        refused = REFUSED.get((program, name))
        if refused is not None:
            with pytest.raises(ExportError, match=refused):
                bridge.onnx.export(model, variants.complete(model, inputs[0]), modules=form)
            continue
        proto = bridge.onnx.export(model, variants.complete(model, inputs[0]), modules=form).model_proto
        onnx.checker.check_model(proto, full_check=True)
        session = onnxruntime.InferenceSession(proto.SerializeToString(), variants.quiet())
        for arguments in inputs:
            variants.compare(model, session, arguments, inputs[0])


class Branch(torch.nn.Module):
    def __init__(self, bias: bool):
        super().__init__()
        self.inner = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1, bias=bias))

    def forward(self, x):
        return self.inner(x)


def test_one_class_with_and_without_a_bias():
    """onnxruntime calls the wrong overload of a model-local function from inside another one."""
    model = torch.nn.Sequential(Branch(False), Branch(True), Branch(False))
    x = torch.rand(1, 3, 4, 4)
    program = bridge.onnx.export(model, (x,))
    (got,) = run_plain(program.model_proto, [x])
    np.testing.assert_allclose(got, model(x).detach().numpy(), rtol=1e-5, atol=1e-6)
    assert bridge.onnx.load(program.model_proto).code == program.specialised.code


class Stages(torch.nn.Module):
    """Keeps what some stages give in a dict; which ones is decided by constants."""

    def __init__(self):
        super().__init__()
        stages = [torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU(inplace=True)) for _ in range(3)]
        self.stages = torch.nn.ModuleDict({str(i): s for i, s in enumerate(stages)})
        self.kept = {"0": "low", "2": "high"}

    def forward(self, x):
        found = OrderedDict()
        for name, stage in self.stages.items():
            x = stage(x)
            if name in self.kept:
                found[self.kept[name]] = x
        return found


def test_in_place_writes_before_a_dict_holds_the_tensor():
    model, x = Stages(), torch.randn(2, 3)
    program = bridge.onnx.export(model, (x,))
    for got, expected in zip(run_plain(program.model_proto, [x]), model(x).values(), strict=True):
        np.testing.assert_allclose(got, expected.detach().numpy(), rtol=1e-5, atol=1e-6)


class Rolled(torch.nn.Module):
    def forward(self, x):
        shift = 0 if x.size(1) < 4 else 2
        return torch.roll(x, shifts=(-shift, 1), dims=(1, 0))


def test_roll_by_what_a_size_decides():
    program = bridge.onnx.export(Rolled(), (torch.rand(2, 3),))
    for n in (3, 4, 7):
        x = torch.rand(3, n)
        np.testing.assert_array_equal(run_plain(program.model_proto, [x])[0], Rolled()(x).numpy())


def times_transposed(x, v):
    return x.t() @ v


def times_scaled(x, v):
    y = x.t() * 2
    return y.mv(v)


def times_transposed_double(x, v):
    return x.transpose(0, 1).double() @ v.double()


def times_batch(x, v):
    return torch.stack([x, x + 1]).transpose(1, 2) @ v


def times_in_a_branch(x, v):
    y = x.t()
    if v.sum() > 0:
        return y @ v
    return x.sum(0)


class TimesGiven(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.times = Times()

    def forward(self, x, v):
        return self.times(x.t(), v)


class Times(torch.nn.Module):
    def forward(self, x, v):
        return x @ v


@pytest.mark.parametrize(
    "program",
    [times_transposed, times_scaled, times_transposed_double, times_batch, times_in_a_branch, TimesGiven()],
)
def test_transposed_matrices_times_a_vector(program: Any) -> None:
    """onnxruntime reads the memory of the matrix as it was before it was transposed."""
    x, v = torch.arange(6.0).reshape(2, 3), torch.tensor([1.0, 2.0])
    exported = bridge.onnx.export(torch.jit.script(program), (x, v))
    np.testing.assert_allclose(run_plain(exported.model_proto, [x, v])[0], program(x, v).numpy())
    assert bridge.onnx.load(exported.model_proto).code == exported.specialised.code


@pytest.mark.parametrize(
    "equation",
    [
        "bnqd,bnkd->bnqk",
        "bthd,bshd->bhts",
        "bchw,bkhw->bck",
        "dbh,dbk->bhk",
        "bqd,kd->bqk",
        "ijk,ilm,njm,nlk->",
        "bqd,bkd->bq",
    ],
)
def test_einsum_of_tensors_without_elements(equation: str, tmp_path: Path) -> None:
    """Operands in another order than that of a matrix product have onnxruntime divide by a size of 0, which ends the process."""
    terms = equation.split("->")[0].split(",")
    names = ", ".join(f"x{i}" for i in range(len(terms)))
    (tmp_path / "product.py").write_text(
        f"import bridge as torch\ndef product({names}):\n    return torch.einsum({equation!r}, {names})\n"
    )
    space: dict[str, Any] = {"__name__": "product"}
    exec(compile((tmp_path / "product.py").read_text(), str(tmp_path / "product.py"), "exec"), space)

    def operands(empty: str) -> list[Any]:
        sizes = {c: 0 if c == empty else 2 + ord(c) % 3 for t in terms for c in t}
        return [np.random.default_rng(0).standard_normal([sizes[c] for c in t]).astype(np.float32) for t in terms]

    examples = tuple(map(bridge.from_numpy, operands("")))
    model = bridge.onnx.export(bridge.jit.script(space["product"]), examples).model_proto
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for empty in ["", *sorted({c for t in terms for c in t})]:
        given = operands(empty)
        (found,) = session.run(None, {i.name: a for i, a in zip(session.get_inputs(), given, strict=True)})
        np.testing.assert_allclose(found, np.einsum(equation, *given), rtol=1e-4, atol=1e-4)
