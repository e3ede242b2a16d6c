"""``assert`` and ``raise`` in exported models: an output tells them, hosts raise them, imports keep them."""

import numpy as np
import onnx
import onnxruntime
import pytest
from support import onnx_raises as R

import bridge as torch
import bridge.onnx
from bridge import Tensor

PROGRAMS = [
    (R.InLoop, [(torch.ones(4, 3),), (torch.ones(2, 3) * 50,), (torch.ones(0, 3),)], [None, "row 0 of [2, 3] is too large", None]),
    (R.BeforeEndless, [(2, torch.ones(2)), (-3, torch.ones(2))], [None, "-3 is negative (True)"]),
    (R.EndlessInside, [(2, torch.ones(2)), (-3, torch.ones(2))], [None, "negative"]),
    (R.Nested, [(torch.ones(2, 3),), (torch.ones(2, 3) * 20,), (-torch.ones(2, 3),)], [None, "negative", "negative"]),
    (R.OneSide, [(torch.ones(4),), (-torch.ones(4),)], [None, "no"]),
]  # fmt: skip


def outcome(f, args):
    """The result as an array, or the exception."""
    try:
        return f(*args).detach().numpy()
    except Exception as error:
        return error


def same(a, b):
    if isinstance(a, Exception) or isinstance(b, Exception):
        return type(a).__name__ == type(b).__name__ and message(a) == message(b)
    return np.allclose(a, b, atol=1e-5)


def message(error):
    """What was raised, without the way that led there."""
    return getattr(error, "message", str(error))


def run(model, args):
    """What plain onnxruntime gives: an array, or the exception that the error output tells."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    arrays = [np.asarray(a.numpy() if isinstance(a, Tensor) else a) for a in args]
    outs = session.run(None, dict(zip([i.name for i in session.get_inputs()], arrays, strict=True)))
    for source in (session, model):
        error = bridge.onnx.error_of(source, outs[-1])
    return outs[0] if error is None else error


@pytest.mark.parametrize("form", ["functions", "inline"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p[0].__name__)
def test_raises_where_the_program_does(program, form):
    cls, inputs, messages = program
    eager = cls()
    scripted = torch.jit.script(eager)
    made = bridge.onnx.export(scripted, inputs[0], modules=form)
    onnx.checker.check_model(made.model_proto, full_check=True)
    output = made.model_proto.graph.output[-1]
    assert output.name == "error"
    assert "bridge.errors" in output.doc_string
    back = bridge.onnx.load(made.model_proto)
    assert back.code == made.specialised.code
    for args, message in zip(inputs, messages, strict=True):
        want = outcome(eager, args)
        assert (str(want) if isinstance(want, Exception) else None) == message
        assert same(outcome(scripted, args), want)
        assert same(outcome(back, args), want)
        assert same(run(made.model_proto, args), want)


def test_what_follows_may_fail_in_the_model():
    scripted = torch.jit.script(R.OutOfRange())
    made = bridge.onnx.export(scripted, (torch.ones(4, 3), 1))
    for f in (scripted, bridge.onnx.load(made.model_proto)):
        with pytest.raises(IndexError, match="index 5 of 4"):
            f(torch.ones(4, 3), 5)


def test_values_that_are_not_carried_are_named_and_reported():
    made = bridge.onnx.export(torch.jit.script(R.ShowsFloat()), (torch.ones(2),))
    error = run(made.model_proto, (torch.ones(9),))
    assert isinstance(error, ValueError)
    assert isinstance(error, torch.jit.Error)
    assert str(error) == "sum <float>"
    assert any("does not carry a float" in str(e) for e in made.report)
    with pytest.raises(ValueError, match="sum 9"):
        made(torch.ones(9))


def test_checks_can_be_dropped():
    made = bridge.onnx.export(torch.jit.script(R.Checked()), (torch.ones(2, 3),), raises=False)
    assert len(made.model_proto.graph.output) == 1
    assert any("check dropped" in e.kind for e in made.report)
    with pytest.raises(ValueError, match="no table"):
        bridge.onnx.error_of(made.model_proto, [])
    assert bridge.onnx.load(made.model_proto).code == made.specialised.code


def test_text_that_is_returned_is_refused():
    def label(x: Tensor):
        return x, f"{x.size(0)} rows"

    with pytest.raises(bridge.onnx.ExportError, match="strings that are made at run time"):
        bridge.onnx.export(torch.jit.script(label), (torch.ones(2),))
