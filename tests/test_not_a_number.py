"""What is not a number, infinite or a negative zero comes out of exported models as it does in eager mode, and there as in torch."""

import itertools
import linecache
import math
import warnings

import numpy as np
import onnxruntime
import pytest

import bridge

_numbers = itertools.count()

ROWS = """
x.tanh() | x.sigmoid() | x.softmax(-1) | x.log_softmax(-1) | x.exp() | x.log() | x.relu() | F.silu(x) | F.elu(x)
F.softplus(x) | F.hardtanh(x) | F.hardswish(x) | F.mish(x) | x.abs() | x.neg() | x.sqrt() | x.rsqrt() | x.floor() | x.ceil()
x.round() | x.sign() | x.topk(3).values | x.sort().values | x.argmax(-1) | x.argmin(0) | x.max(-1) | x.min(0) | x.amax(-1) | x.max()
x.cumsum(-1) | x.cummax(-1) | x.cummin(0) | x.median() | x.logsumexp(-1) | x.sum() | x.mean() | x.std() | x.clamp(-1, 1)
x.clamp(min=0) | torch.nan_to_num(x) | x.isnan() | x.argsort(dim=-1, stable=True) | x.prod(-1) | x.log1p() | x.expm1() | x.sin()
x.atan() | x.asinh() | F.selu(x) | F.celu(x) | F.logsigmoid(x) | F.relu6(x) | F.leaky_relu(x) | F.hardsigmoid(x)
F.softsign(x) | F.softmin(x, -1) | (x > 0).all() | x.bool().any() | x.nonzero() | torch.maximum(x, x.flip(0))
torch.minimum(x, x.flip(0)) | torch.fmod(x, 2) | torch.remainder(x, 2) | x.pow(2) | x.pow(0.5) | x.pow(x) | x / 0
torch.floor_divide(x, 2) | x.masked_fill(x > 1, 0) | torch.where(x > 0, x, -x) | F.tanhshrink(x) | F.hardshrink(x)
F.softshrink(x) | x.frac() | x.trunc() | x.reciprocal() | x.square() | torch.atan2(x, x.flip(0)) | torch.hypot(x, x)
torch.logaddexp(x, x.flip(0)) | torch.xlogy(x, x) | torch.bucketize(x, torch.tensor([0.0, 1.0])) | torch.bucketize(x, torch.tensor([0.0, 1.0]), right=True) | x.nansum() | torch.aminmax(x) | x == x | x > 0 | F.layer_norm(x, [8])
F.normalize(x) | F.cosine_similarity(x, x.flip(0)) | x @ x.t()
"""
EXPRESSIONS = [e.strip() for line in ROWS.strip().splitlines() for e in line.split(" | ")]

NAN, INF = math.nan, math.inf
VALUES = [
    [1.0, NAN, -2.0, INF, -INF, 0.0, -0.0, 3.0],
    [0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
    [NAN] * 8,
    [-INF] * 8,
    [INF] * 8,
    [1e4, -1e4, 88.0, -88.0, 710.0, -710.0, 1e-30, 104.0],
    [NAN, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, NAN],
]


def function(expression, library):
    """The expression as a function of a tensor, whose source can be found."""
    file = f"<not a number {next(_numbers)}>"
    source = f"def f(x: Tensor):\n    return {expression}\n"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    space = {"torch": library, "Tensor": library.Tensor, "F": library.nn.functional, "__name__": "not_a_number"}
    exec(compile(source, file, "exec"), space)
    return space["f"]


def values(expression, library, dtype):
    found = function(expression, library)(library.tensor(VALUES, dtype=getattr(library, dtype)))
    return [np.asarray(t) for t in (found if isinstance(found, tuple) else (found,))]


def agree(found, wanted):
    for a, w in zip(found, wanted, strict=True):
        assert (a.shape, a.dtype) == (w.shape, w.dtype)
        np.testing.assert_allclose(a, w, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_models(expression, dtype):
    x = bridge.tensor(VALUES, dtype=getattr(bridge, dtype))
    try:
        model = bridge.onnx.export(function(expression, bridge), (x,)).model_proto
    except bridge.onnx.ExportError as error:
        if dtype == "float64" and "float64" in str(error):
            pytest.skip("onnxruntime has no such operator for float64")
        raise
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    found = session.run(None, {"x": x.numpy()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of what is no number
        agree(found, values(expression, bridge, dtype))


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_eager_is_torch_s(expression, dtype):
    torch = pytest.importorskip("torch")
    agree(values(expression, bridge, dtype), values(expression, torch, dtype))
