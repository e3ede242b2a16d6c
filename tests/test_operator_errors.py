"""Calls that torch refuses never give a result from an exported model: onnxruntime, or the model itself, refuses them too."""

import itertools
import linecache

import numpy as np
import onnxruntime
import pytest
from support.operator_errors import NAMES, ROWS, arguments

import bridge

_numbers = itertools.count()


def function(expression, names):
    """A function of these tensors, whose source can be found."""
    file = f"<refused {next(_numbers)}>"
    annotated = ", ".join(f"{n}: Tensor" for n in names)
    source = f"def f({annotated}):\n    return {expression}\n"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    space = {"torch": bridge, "Tensor": bridge.Tensor, "F": bridge.nn.functional, "__name__": "refused"}
    exec(compile(source, file, "exec"), space)
    return space["f"]


def tensors(text):
    space = {"torch": bridge}
    exec(NAMES, space)
    return eval(f"({text},)", space)


def run(session, args):
    """What the model gives, without the output that tells what was raised. Raises for what it tells."""
    feed = {i.name: a.numpy() for i, a in zip(session.get_inputs(), args, strict=True)}
    found = session.run(None, feed)
    if session.get_outputs()[-1].name == "error":
        assert not found[-1].size, "raised"
        found = found[:-1]
    return found


def fixed_too(rows):
    """The rows once more for models of fixed sizes, where these are what torch takes and what it does not."""
    for row in rows:
        yield *row, False
        if [t.shape for t in tensors(row[1])] == [t.shape for t in tensors(row[2])]:
            yield *row, True


@pytest.mark.parametrize("row", list(fixed_too(ROWS)), ids=lambda r: f"{r[0]} of {r[2]}{' fixed' * r[3]}")
def test_models_refuse_what_torch_refuses(row):
    expression, good, bad, fixed = row
    f, options = function(expression, arguments(good)), onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    sizes = [dict(enumerate(t.shape)) for t in tensors(good)] if fixed else None
    model = bridge.onnx.export(f, tensors(good), dynamic_shapes=sizes).model_proto
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    wanted = f(*tensors(good))
    found = run(session, tensors(good))
    for a, w in zip(found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        np.testing.assert_allclose(a, w.numpy(), rtol=1e-5, atol=1e-6)
    try:
        silent = run(session, tensors(bad))
    except Exception:
        return
    pytest.fail(f"gives {silent}")
