"""Programs of loops, lists and state: right on every path in plain onnxruntime, and read back as the program that they were.

A row of ``tests/loops`` is a program with inputs that take its paths; what it raises, the model must refuse or tell.
"""

import copy
import importlib
import importlib.util
import sys
import types

import numpy as np
import onnxruntime
import pytest
from loops.table import PROGRAMS, REFUSED

import bridge
import bridge.onnx
from bridge import Tensor, nn

FILES = ("decoding", "lists", "rows", "sharing", "state", "tensors")
for _name in FILES:
    importlib.import_module(f"loops.{_name}")


def made(program):
    """The module, or the function itself."""
    if isinstance(program, types.FunctionType):
        return program
    bridge.manual_seed(0)
    return program().eval()


def outcome(f, arguments):
    """What a call gives, or the class of what it raises."""
    try:
        with bridge.no_grad():
            return plain(f(*arguments))
    except Exception as error:
        return type(error)


def plain(v):
    """Tensors as arrays."""
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, list | tuple):
        return [plain(x) for x in v] if isinstance(v, list) else tuple(map(plain, v))
    return np.asarray(v.detach()) if hasattr(v, "detach") else v


def leaves(v):
    """The outputs of a model for a result: a list of numbers is one."""
    if isinstance(v, list) and v and isinstance(v[0], bool | int | float):
        return [np.array(v)]
    if isinstance(v, dict):
        v = list(v.values())
    if isinstance(v, list | tuple):
        return [y for x in v for y in leaves(x)]
    return [] if v is None else [np.asarray(v)]


def feed(v):
    """An argument as onnxruntime takes it."""
    if isinstance(v, list):
        return [np.asarray(x) for x in v] if v and isinstance(v[0], Tensor) else np.array(v, np.int64)
    return np.asarray(v)


def results(session, arguments):
    """What the model gives, None where a flag says so and lists that are empty left out; None when it refuses or tells that the program raises."""
    inputs = dict(zip([i.name for i in session.get_inputs()], map(feed, arguments), strict=True))
    try:
        outs = dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True))
    except Exception:
        return None
    if outs.pop("error", np.zeros(0)).size:
        return None
    found = []
    for name, v in outs.items():
        if not name.endswith(("_present", "_updated")) and outs.get(f"{name}_present", True):
            found += v if isinstance(v, list) else [v]
    return found


def assert_same(got, want):
    if len(got) != len(want):  # an empty list is no output to compare, but an empty tensor to the model
        got, want = [x for x in got if x.size], [x for x in want if x.size]
    assert len(got) == len(want)
    for x, y in zip(got, want, strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", PROGRAMS)
def test_right_on_every_path(name):
    program, inputs = PROGRAMS[name]
    eager = made(program)
    scripted = bridge.jit.script(eager)
    if name in REFUSED:
        with pytest.raises(bridge.onnx.ExportError, match=REFUSED[name]):
            bridge.onnx.export(scripted, inputs()[0])
        return
    exported = bridge.onnx.export(scripted, inputs()[0])
    assert bridge.onnx.load(exported.model_proto).code == exported.specialised.code
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(exported.model_proto.SerializeToString(), options)
    for i, arguments in enumerate(inputs()):
        fresh = copy.deepcopy(eager) if isinstance(eager, nn.Module) else eager
        want = outcome(fresh, inputs()[i])
        got = results(session, arguments)
        if isinstance(want, type):
            assert got is None, f"input {i} must raise {want.__name__}"
        else:
            assert got is not None, f"input {i}"
            assert_same(got, leaves(want))


TORCH = """
import torch
PROGRAMS = {}
def cases(program, inputs, refused=None):
    PROGRAMS[program.__name__] = program, inputs
def ramp(*size):
    return torch.sin(torch.arange(int(torch.tensor(size).prod()), dtype=torch.float32) * 1.7 + 0.3).reshape(size)
"""


def with_torch(file, folder):
    """The programs of a file, of torch's modules."""
    with open(sys.modules[f"loops.{file}"].__file__, encoding="utf-8") as f:
        text = f.read().replace("from loops.table import cases, ramp", TORCH).replace("import bridge as torch", "")
    text = text.replace("from bridge import", "from torch import").replace("import bridge.nn", "import torch.nn")
    path = folder / f"torch_{file}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PROGRAMS


@pytest.mark.oracle
@pytest.mark.parametrize("file", FILES)
def test_torch_does_the_same(file, tmp_path):
    """The expected results are torch's, too."""
    torch = importlib.import_module("torch")
    for name, (program, inputs) in with_torch(file, tmp_path).items():
        model, theirs = made(PROGRAMS[name][0]), program
        if isinstance(program, type):
            theirs = program().eval().requires_grad_(False)
            theirs.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in model.state_dict().items()})
        for mine, other in zip(PROGRAMS[name][1](), inputs(), strict=True):
            a, b = (
                outcome(copy.deepcopy(f) if isinstance(program, type) else f, x)
                for f, x in ((model, mine), (theirs, other))
            )
            assert isinstance(a, type) == isinstance(b, type), (name, a, b)
            if not isinstance(a, type):
                assert_same(leaves(a), leaves(b))
