"""Optional values in exported models: a flag says whether the value is there."""

import numpy as np
import onnx
import onnxruntime
import pytest
from support import onnx_optionals as P

import bridge as torch
import bridge.onnx
from bridge import Tensor

INPUTS = [
    (torch.ones(2, 3),),
    (-torch.ones(2, 3),),
    (torch.ones(4, 3) * 7,),
    (torch.ones(1, 3) * 0.2,),
    (torch.zeros(0, 3) + 1,),
]
PROGRAMS = [P.Result, P.Number, P.Tested, P.Called, P.Raising, P.Reached, P.FoundInLoop, P.StateInLoop, P.GoneInLoop]


def outcome(f, args):
    try:
        return leaves(f(*args))
    except Exception as error:
        return type(error).__name__


def leaves(v):
    return [x.numpy() if isinstance(x, Tensor) else x for x in (v if isinstance(v, tuple) else [v])]


def same(a, b):
    if isinstance(a, str) or isinstance(b, str):
        return a == b
    return len(a) == len(b) and all(
        x is y if x is None or y is None else np.shape(x) == np.shape(y) and np.allclose(x, y)
        for x, y in zip(a, b, strict=True)
    )


def run(model, args):
    """What plain onnxruntime gives, with None where a flag says so."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    outs = session.run(None, dict(zip([i.name for i in session.get_inputs()], [a.numpy() for a in args], strict=True)))
    by_name = dict(zip([o.name for o in session.get_outputs()], outs, strict=True))
    error = bridge.onnx.error_of(session, by_name.pop("error")) if "error" in by_name else None
    if error is not None:
        return type(error).__name__
    return [v if by_name.get(f"{n}_present", True) else None for n, v in by_name.items() if not n.endswith("_present")]


@pytest.mark.parametrize("form", ["functions", "inline"])
@pytest.mark.parametrize("cls", PROGRAMS)
def test_none_on_some_paths(cls, form):
    eager = cls()
    scripted = torch.jit.script(eager)
    made = bridge.onnx.export(scripted, INPUTS[0], modules=form)
    onnx.checker.check_model(made.model_proto, full_check=True)
    back = bridge.onnx.load(made.model_proto)
    assert back.code == made.specialised.code
    for args in INPUTS:
        want = outcome(eager, args)
        for f in (scripted, back):
            assert same(outcome(f, args), want)
        assert same(run(made.model_proto, args), want)


def test_names():
    model = bridge.onnx.export(torch.jit.script(P.Number()), INPUTS[0]).model_proto
    assert [o.name for o in model.graph.output] == ["x_output", "n", "v", "n_present", "v_present"]


def test_lists_are_refused():
    with pytest.raises(bridge.onnx.ExportError, match="whether the value is None depends on data"):
        bridge.onnx.export(torch.jit.script(P.OptionalList()), INPUTS[0])
