"""Buffers that a program writes to: inputs with a default and outputs of the model, written back by the executor."""

import copy
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
from support import onnx_states as P

import bridge as torch
import bridge.onnx

X = torch.ones(2, 3)
PROGRAMS = [
    (P.Cache, [(torch.ones(3), torch.tensor(0)), (torch.ones(3) * 2, torch.tensor(3)), (-torch.ones(3), torch.tensor(1))]),
    (P.Counter, [(X,), (X * 2,), (X,)]),
    (P.Nested, [(X,), (-X,), (X[:1],), (X[:0],)]),
    (P.ThenRaises, [(X,), (-X,), (X,)]),
    (P.Learned, [(X,), (X * 3,), (-X,)]),
]  # fmt: skip


def outcome(f, args):
    try:
        return f(*args).detach().numpy().copy()
    except ValueError as error:
        return getattr(error, "message", str(error))  # of a program: without the way that led there


def same(a, b):
    if isinstance(a, str) or isinstance(b, str):
        return a == b
    return a.shape == b.shape and np.allclose(a, b, atol=1e-5)


def exported(program, form):
    """A program in eager mode, scripted, read back from the model of its first call, and the session that runs that."""
    cls, calls = program
    eager = cls()
    scripted = torch.jit.script(copy.deepcopy(eager))
    made = bridge.onnx.export(scripted, calls[0], modules=form)
    onnx.checker.check_model(made.model_proto, full_check=True)
    back = bridge.onnx.load(made.model_proto)
    assert back.code == made.specialised.code
    return eager, scripted, back, onnxruntime.InferenceSession(made.model_proto.SerializeToString())


@pytest.mark.parametrize("form", ["functions", "inline"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p[0].__name__)
def test_a_second_call_sees_the_state(program, form):
    _, calls = program
    eager, scripted, back, session = exported(program, form)
    outputs = [o.name for o in session.get_outputs()]
    states = {i.name: f"{i.name}_updated" for i in session.get_overridable_initializers()}
    assert set(states.values()) == {o for o in outputs if o.endswith("_updated")}
    feed = {}
    with torch.no_grad():
        for args in calls:
            want = outcome(eager, args)
            assert same(outcome(scripted, args), want)
            assert same(outcome(back, args), want)
            for f in (scripted, back):
                for (name, a), b in zip(eager.state_dict().items(), f.state_dict().values(), strict=True):
                    np.testing.assert_allclose(b.numpy(), a.numpy(), atol=1e-5, err_msg=name)
            arrays = [a.numpy() for a in args]
            feed.update(zip([i.name for i in session.get_inputs()], arrays, strict=True))
            found = dict(zip(outputs, session.run(None, feed), strict=True))
            if "error" in found and found["error"].size:
                assert str(bridge.onnx.error_of(session, found["error"])) == want
                break
            assert same(found[outputs[0]], want)
            feed.update({name: found[new] for name, new in states.items()})


def test_runs_on_onnxruntime_and_with_gradients():
    eager = P.Learned()
    scripted = torch.jit.script(copy.deepcopy(eager))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (X, X * 2):
            for f in (eager, scripted):
                f(x).sum().backward()
            np.testing.assert_allclose(scripted.mean.numpy(), eager.mean.numpy(), atol=1e-6)
            np.testing.assert_allclose(scripted.fc.weight.grad.numpy(), eager.fc.weight.grad.numpy(), atol=1e-5)


def test_a_state_that_is_also_the_argument():
    eager = P.Counter()
    scripted = torch.jit.script(copy.deepcopy(eager))
    for _ in range(2):
        assert scripted(scripted.n).item() == eager(eager.n).item()


def test_shared_memory_is_refused():
    with pytest.raises(
        bridge.onnx.ExportError, match="'part' is written to in place and shares its memory with 'whole'"
    ):
        bridge.onnx.export(torch.jit.script(P.Shared()), (torch.ones(4),))


def test_what_normalises_over_the_batch():
    """Statistics that an operator updates by itself are state too, or are refused."""
    norm = torch.nn.BatchNorm1d(3)
    eager = copy.deepcopy(norm)
    scripted = torch.jit.script(norm)
    x = torch.randn(4, 3)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            np.testing.assert_allclose(scripted(x).numpy(), eager(x).numpy(), atol=1e-5)
    for name, t in eager.state_dict().items():
        np.testing.assert_allclose(scripted.state_dict()[name].numpy(), t.numpy(), atol=1e-5)
    with pytest.raises(bridge.onnx.ExportError):
        bridge.onnx.export(scripted, (x,))


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_written_to_inside_a_tuple_of_a_branch(sign):
    eager = P.TupleInBranch()
    for got, want in zip(torch.jit.script(eager)(X * sign), eager(X * sign), strict=True):
        np.testing.assert_array_equal(got.numpy(), want.numpy())


ASSIGNED = [
    (P.Average, [(X,), (X * 2,), (X[:1],)]),
    (P.Growing, [(X,), (X * 2,), (X[:1],), (X,)]),
    (P.Stepping, [(X,), (X,), (X * 3,), (X,)]),
    (P.NoneFirst, [(X,), (X * 2,), (X[:1],)]),
    (P.KeysAndValues, [(X,), (X[:1],), (X * 2,)]),
    (P.Resets, [(X, False), (X * 2, False), (X, True), (X, False)]),
    (P.PairFirstNone, [(X,), (X * 2,), (X,)]),
    (P.NoneAsItIs, [(X, True), (X * 2, False), (X * 2, True), (X, False)]),
]


@pytest.mark.parametrize("form", ["functions", "inline"])
@pytest.mark.parametrize("program", ASSIGNED, ids=lambda p: p[0].__name__)
@pytest.mark.filterwarnings("ignore::bridge.runtime.InterpreterWarning")
def test_a_second_call_sees_what_was_assigned(program, form):
    """Attributes that are replaced, tensors and numbers: the model hands their new values on."""
    _, calls = program
    eager, scripted, back, session = exported(program, form)
    outputs = [o.name for o in session.get_outputs()]
    names = [i.name for i in session.get_overridable_initializers()]
    assert {f"{n}_updated" for n in names} == {o for o in outputs if o.endswith("_updated")}
    feed = {}
    with torch.no_grad():
        for args in calls:
            want = outcome(eager, args)
            assert same(outcome(scripted, args), want)
            assert same(outcome(back, args), want)
            feed.update(zip([i.name for i in session.get_inputs()], map(np.asarray, args), strict=True))
            found = dict(zip(outputs, session.run(None, feed), strict=True))
            assert same(found[outputs[0]], want)
            feed.update({n: found[f"{n}_updated"] for n in names})
            for n in names:
                if n.endswith("_present") or f"{n.partition('.')[0]}_present" in names:
                    continue  # what may be None
                held = eager.get_submodule(n.rpartition(".")[0])
                np.testing.assert_allclose(feed[n], np.asarray(getattr(held, n.rpartition(".")[2])), atol=1e-5)


def test_an_attribute_that_becomes_something_else_is_refused():
    scripted = torch.jit.script(P.OtherType())
    with pytest.raises(bridge.onnx.ExportError, match="attribute 'h' becomes a tensor of another element type"):
        bridge.onnx.export(scripted, (X,))
