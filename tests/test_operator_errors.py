"""Calls that torch refuses never give a result from an exported model: onnxruntime, or the model itself, refuses them too."""

import itertools
import linecache
import math
import warnings

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
    space = {"torch": bridge, "Tensor": bridge.Tensor, "F": bridge.nn.functional, "math": math, "__name__": "refused"}
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


#: What eager mode refuses in words of its own.
OWN = [
    [
        "torch._pack_padded_sequence(a, b, True)[0]",
        "ones(3, 5, 2), tensor([5, 3, 2])",
        "ones(3, 5, 2), tensor([6, 3, 2])",
    ],
    ["torch.unique(a, dim=0)", "ones(2, 2)", "ones(2, 0)"],
    ["a.view_as(b)", "ones(2, 3), ones(3, 2)", "ones(1, 3), ones(0, 3)"],
]


@pytest.mark.parametrize("row", list(fixed_too([*ROWS, *OWN])), ids=lambda r: f"{r[0]} of {r[2]}{' fixed' * r[3]}")
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


#: What torch refuses for its element types, ``expression | arguments``: NumPy and ONNX would compute something with each.
_TYPES = """
a @ b                                       | ones(2, 3), ones(3, 3).double()
a @ b                                       | ones(2, 3), ones(3).double()
F.linear(a, b)                              | ones(2, 3).double(), ones(4, 3)
F.linear(a, b, c)                           | ones(2, 3), ones(4, 3), ones(4).double()
a.bmm(b)                                    | ones(1, 2, 3), ones(1, 3, 2).double()
a.dot(b)                                    | ones(3), ones(3).double()
torch.addmm(a, b, c)                        | ones(2, 3).double(), ones(2, 3), ones(3, 3)
torch.baddbmm(a, b, b)                      | ones(2, 3, 3).double(), ones(2, 3, 3)
torch.tensordot(a, b, dims=1)               | ones(2, 3), ones(3, 3).double()
F.layer_norm(a, [3], b)                     | ones(2, 3), ones(3).double()
F.batch_norm(a, b, b)                       | ones(1, 2, 5), ones(2).double()
F.embedding(a, b)                           | tensor([0.0, 1.0]), ones(3, 3)
F.one_hot(a)                                | tensor([0, 1]).int()
a.index_add(0, b, c)                        | ones(2, 3), tensor([0, 1]), ones(2, 3).double()
a.scatter(0, b, c)                          | ones(2, 3), zeros(2, 3).long(), ones(2, 3).double()
a.scatter_add(0, b, c)                      | ones(2, 3), zeros(2, 3).long(), ones(2, 3).double()
a.masked_scatter(a > 0, b)                  | ones(2, 3), ones(2, 3).double()
a.index_put((b,), c)                        | ones(2, 3), tensor([0, 1]), ones(3).double()
a.gather(0, b)                              | ones(2, 3), zeros(2, 3)
a.index_select(0, b)                        | ones(2, 3), tensor([0.0, 1.0])
a.take(b)                                   | ones(2, 3), tensor([0, 1]).int()
a[b]                                        | ones(2, 3), tensor([0.0, 1.0])
a.masked_fill(b, 0.0)                       | ones(2, 3), ones(2, 3).long()
a.masked_fill(a > 0, float("-inf"))         | tensor([1, 0])
a.masked_fill(a > 0, float("nan"))          | tensor([1, 0]).int()
a.masked_select(b)                          | ones(2, 3), ones(2, 3).long()
torch.where(b, a, a)                        | ones(2, 3), ones(2, 3).long()
F.softmax(a, -1)                            | ones(2, 3).long()
F.log_softmax(a, -1)                        | ones(2, 3).long()
F.scaled_dot_product_attention(a, b, a)     | ones(1, 2, 3), ones(1, 2, 3).double()
F.scaled_dot_product_attention(a, a, a, b)  | ones(1, 2, 3), ones(1, 2, 2).double()
F.binary_cross_entropy(a, b)                | ones(2, 3), ones(2, 3).double()
F.nll_loss(a, b)                            | ones(2, 3), tensor([0, 1]).int()
F.silu(a)                                   | ones(2, 3).long()
F.normalize(a)                              | ones(2, 3).long()
F.cosine_similarity(a, a)                   | ones(2, 3).long()
F.prelu(a, b)                               | ones(2, 3), ones(3).double()
a.mean()                                    | ones(2, 3).long()
a.lerp(b, 0.5)                              | ones(2, 3), ones(2, 3).double()
-a                                          | ones(2, 3) > 0
a - a                                       | ones(2, 3) > 0
a - b                                       | ones(2, 3) > 0, ones(2, 3)
torch.sub(a, b, alpha=2)                    | ones(2, 3).int(), ones(2, 3) > 0
torch.rsub(a, b)                            | ones(2, 3), ones(2, 3) > 0
~a                                          | ones(2, 3)
a << 1                                      | ones(2, 3)
a.add_(0.5)                                 | ones(2, 3).long()
a.mul_(b)                                   | ones(2, 3).long(), ones(2, 3)
a.div_(2)                                   | ones(2, 3).long()
torch.cdist(a, b)                           | ones(2, 3), ones(2, 3).double()
torch.isclose(a, b)                         | ones(2, 3), ones(2, 3).double()
a.repeat_interleave(b, 0)                   | ones(2, 3), ones(2)
F.huber_loss(a, b)                          | tensor([1, 2]), ones(2)
F.rms_norm(a, [3])                          | ones(2, 3).long()
a << 2.0                                    | tensor([1, 3])
torch.div(a, a, rounding_mode="trunc")      | ones(2, 3) > 0
a ** a                                      | ones(2, 3) > 0
torch.ldexp(a, b)                           | ones(3), ones(3) > 0
torch.lcm(a, a)                             | ones(3) > 0
torch.outer(a, b)                           | ones(3), tensor(2.0)
torch.dist(a, a)                            | ones(3).long()
torch.sub(a, a, alpha=0.5)                  | ones(3).long()
torch.add(a, a, alpha=300)                  | ones(3).char()
a.clamp(max=300)                            | ones(3).char()
a.clamp(-300, 3)                            | ones(3).byte()
a.clamp(max=1e40)                           | ones(3)
a.clamp_min_(70000)                         | ones(3).half()
torch.where(a > 1, a, 300)                  | ones(3).byte()
torch.where(a > 1, 1e40, a)                 | ones(3).long()
a ** 300                                    | ones(3).char()
a ** 70000                                  | ones(3).half()
a.masked_fill(a > 1, -1.0)                  | ones(3).byte()
a.masked_fill(a > 1, 1e6)                   | ones(3).half()
a.scatter(0, b, 1e40)                       | ones(3), tensor([0, 1])
torch.full_like(a, 1e40)                    | ones(3)
torch.addcmul(a, a, a, value=70000)         | ones(3).short()
torch.addmm(a, a, a, alpha=300)             | ones(3, 3).char()
a.index_add(0, b, a, alpha=1e40)            | ones(2), tensor([0, 1])
F.leaky_relu(a, 1e40)                       | ones(2).half()
F.pad(a, [1, 1], value=1e40)                | ones(2)
torch.bincount(a)                           | ones(2)
torch.nanmean(a)                            | ones(2).long()
torch.quantile(a, 0.5)                      | ones(2).half()
torch.vander(a)                             | ones(2, 2)
torch.meshgrid(a, a)                        | ones(2, 2)
a.repeat(2)                                 | ones(2, 2)
F.hardshrink(a)                             | ones(2).long()
F.hardsigmoid(a)                            | ones(2).long()
F.logsigmoid(a)                             | ones(2).long()
F.celu(a)                                   | ones(2).long()
"""
TYPES = [[cell.strip() for cell in line.split(" | ")] for line in _TYPES.strip().splitlines()]


@pytest.mark.parametrize("row", TYPES, ids=" of ".join)
def test_element_types_that_torch_refuses(row):
    expression, given = row
    f = function(expression, arguments(given))
    with pytest.raises(RuntimeError):
        f(*tensors(given))
    scripted = bridge.jit.script(f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it runs in the interpreter
        with pytest.raises(RuntimeError):
            scripted(*tensors(given))
    with pytest.raises(bridge.onnx.ExportError):
        bridge.onnx.export(f, tensors(given))


#: Mixed element types that torch takes, ``expression | arguments | result``.
_TAKEN = """
torch.where(a)[1]                           | tensor([[0, 3, 0]])                                | tensor([1])
a.index_put((a > 1,), b)                    | tensor([1.0, 2.0]), tensor(5)                      | tensor([1.0, 5.0])
F.softmax(a, -1, dtype=torch.float32)       | zeros(2).long()                                    | tensor([0.5, 0.5])
a.long().mean(dtype=torch.float32)          | tensor([1.0, 2.0])                                 | tensor(1.5)
F.embedding(a, b)                           | tensor([1]).int(), tensor([[1.0], [2.0]])          | tensor([[2.0]])
F.embedding_bag(a, b, c, mode="sum")        | tensor([1]).int(), tensor([[1.0], [2.0]]), tensor([0]).int() | tensor([[2.0]])
a.scatter(0, b, 2)                          | tensor([1.0, 3.0]), tensor([1])                    | tensor([1.0, 2.0])
torch.where(a, b, b)                        | tensor([1, 0]) > 0, tensor([1, 2])                 | tensor([1, 2])
a.clone().add_(b)                           | tensor([1.0]), tensor([2])                         | tensor([3.0])
F.huber_loss(a, b)                          | tensor([1.0]), tensor([3.0]).double()              | tensor(1.5)
F.huber_loss(a, b, "none", 0.5)             | tensor([1.0]).double(), tensor([3.0])              | tensor([0.875]).double()
F.huber_loss(a, b, "sum")                   | tensor([1.0, 2.0]).half(), tensor([3, 3])          | tensor(2.0).half()
F.rms_norm(a, [2], b, 0.0)                  | tensor([3.0, 3.0]), tensor([1.0, 0.5]).double()    | tensor([1.0, 0.5])
F.rms_norm(a, [2], b, 0.0)                  | tensor([3.0, 3.0]).half(), tensor([1.0, 0.5])      | tensor([1.0, 0.5]).half()
F.rms_norm(a, [2])                          | tensor([0.0005, 0.0005]).half()                    | tensor([0.8228, 0.8228]).half()
a / b                                       | tensor([3, 4]).byte(), tensor(-2)                 | tensor([-1.5, -2.0])
torch.atan2(a, b)                           | tensor([0, 0]).byte(), tensor(-2)                  | tensor([3.14159274, 3.14159274])
a // b                                      | tensor([3, 255]).byte(), tensor(-3)                | tensor([0, 1]).byte()
a % b                                       | tensor([3, 255]).byte(), tensor(-3)                | tensor([3, 2]).byte()
F.group_norm(a, 2)                          | zeros(2, 0, 3)                                     | zeros(2, 0, 3)
a ** 300                                    | tensor([2, 3, -1])                                 | tensor([0, 4157753088978724465, 1])
a ** b                                      | tensor([2, 3, -1]), tensor([300, 300, -3])         | tensor([0, 4157753088978724465, -1])
300 ** a                                    | tensor([0, 1, 9])                                  | tensor([1, 300, 324073351908425728])
a ** 70                                     | tensor([3]).int()                                  | tensor([-102221863]).int()
a << b                                      | tensor([1, -3, 1]), tensor([64, 63, -1])           | tensor([0, -9223372036854775808, 0])
a >> b                                      | tensor([1, -3, -3, 5]), tensor([64, 63, -1, 1])    | tensor([0, -1, -1, 2])
a << 3000000000                             | tensor([3]).char()                                 | tensor([3]).char()
torch.maximum(a, b)                         | tensor([3]).short(), tensor(3000000000)            | tensor([24064]).short()
torch.addcdiv(a, b, c)                      | ones(1).half(), tensor([300000]).int(), tensor([300.0]).half() | tensor([math.inf]).half()
torch.ldexp(a, b)                           | tensor([1.0, 3.0]), tensor([-149, 3000000000])     | tensor([1.401298464324817e-45, 0.0])
torch.ldexp(a, b)                           | tensor([2.0 ** -100, 1.0]), tensor([160, 4])       | tensor([2.0 ** 60, 16.0])
torch.dist(a, b)                            | tensor([1.0, 60000.0]).half(), tensor([2.0, 400.0]).half() | tensor(59584.0).half()
(a.bfloat16() // b.bfloat16()).float()      | tensor([7.5, -7.5]), tensor([2.0, 2.0])            | tensor([3.0, -4.0])
(a.bfloat16() % 2).float()                  | tensor([7.5, -7.5])                                | tensor([1.5, 0.5])
torch.atan2(a.bfloat16(), b).float()        | tensor([7.5, 0.0]), tensor([0.0, 2.0])             | tensor([1.57079637, 0.0])
torch.logaddexp(a.bfloat16(), b.bfloat16()).float() | tensor([7.5]), tensor([1e9])               | tensor([998244352.0])
torch.xlogy(a.bfloat16(), b.bfloat16()).float() | tensor([0.0]), tensor([0.0])                   | tensor([0.0])
torch.isclose(a.bfloat16(), b.bfloat16())   | tensor([7.5, 1.0]), tensor([7.5, 2.0])             | tensor([True, False])
F.mse_loss(a.bfloat16(), b.bfloat16()).float() | tensor([1.0, 2.0]), tensor([3.0, 0.0])          | tensor(4.0)
F.nll_loss(a.bfloat16(), b).float()         | tensor([[-1.0, -2.0]]), tensor([1])                | tensor(2.0)
F.instance_norm(a.bfloat16()).float()       | zeros(1, 1, 2)                                     | zeros(1, 1, 2)
a.sum(dtype=torch.int32)                    | tensor([2147483647, 2147483647]).int()             | tensor(-2).int()
a.trace().isnan()                           | tensor([[1.0, math.nan], [4.0, 2.0]])              | tensor(0) > 1
(a.norm(math.inf) + a.norm(-math.inf)).isnan() | tensor([1.0, math.nan, 3.0])                    | tensor(2) > 1
F.softmax(a, 0).isnan()                     | tensor(math.nan)                                   | tensor(2) > 1
F.log_softmax(a, 0).isnan()                 | tensor(math.inf)                                   | tensor(2) > 1
F.softmax(a, 0)                             | tensor(3.0)                                        | tensor(1.0)
torch.log1p(a)                              | tensor([3e38])                                     | tensor([88.59684753417969])
F.hardshrink(a, -2.0)                       | tensor([-3.0, 1.0, 0.0])                           | tensor([-3.0, 1.0, 0.0])
a.std()                                     | tensor([60000.0, 60000.0, -3.0]).half()            | tensor(34656.0).half()
a.bfloat16().sort()[1]                      | tensor([1.0, math.nan, -3.0, math.inf])            | tensor([2, 0, 3, 1])
a.bfloat16().median(0)[1]                   | tensor([1.0, math.nan, -3.0])                      | tensor(1)
(a.bfloat16() @ a.bfloat16()).float()       | tensor([[0.5, 3.5], [1.0, 2.0]])                   | tensor([[3.75, 8.75], [2.5, 7.5]])
(a.bfloat16() @ b.bfloat16()).float()       | tensor([[0.5, 3.5]]), tensor([1.0, 2.0])           | tensor([7.5])
F.conv1d(a.bfloat16(), b.bfloat16()).float() | tensor([[[0.5, 3.5]]]), tensor([[[0.5, 2.0]]])    | tensor([[[7.25]]])
F.avg_pool1d(a.bfloat16(), 2).float()       | tensor([[[0.5, 3.5]]])                             | tensor([[[2.0]]])
F.scaled_dot_product_attention(a.bfloat16(), a.bfloat16(), a.bfloat16()).float() | ones(1, 2, 2) | ones(1, 2, 2)
F.smooth_l1_loss(a.bfloat16(), b.bfloat16()).float() | tensor([3.0]), tensor([1.0])             | tensor(1.5)
torch.nan_to_num(a.bfloat16()).float()      | tensor([math.nan, -math.inf])                      | tensor([0.0, -3.3895313892515355e38])
a.bfloat16()[b].float()                     | tensor([1.0, 2.0]), tensor([True, False])          | tensor([1.0])
"""
TAKEN = [[cell.strip() for cell in line.split(" | ")] for line in _TAKEN.strip().splitlines()]


@pytest.mark.parametrize("row", TAKEN, ids=" of ".join)
def test_element_types_that_torch_takes(row):
    expression, given, wanted = row
    f = function(expression, arguments(given))
    expected = tensors(wanted)[0]
    for run_it in (f, bridge.jit.script(f), bridge.onnx.export(f, tensors(given))):
        found = run_it(*tensors(given))
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tolist() == expected.tolist()


@pytest.mark.oracle
@pytest.mark.parametrize("row", TAKEN, ids=" of ".join)
def test_torch_takes_those_element_types(row):
    torch = pytest.importorskip("torch")
    expression, given, wanted = row
    space = {"torch": torch}
    exec(NAMES, space)
    given, wanted = eval(f"({given},)", space), eval(wanted, space)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rms_norm: that it is not the quickest
        found = eval(expression, space, dict(zip("abc", given, strict=False)) | {"torch": torch})
    assert (found.dtype, found.shape, found.tolist()) == (wanted.dtype, wanted.shape, wanted.tolist())


@pytest.mark.oracle
@pytest.mark.parametrize("row", TYPES, ids=" of ".join)
def test_torch_refuses_those_element_types(row):
    torch = pytest.importorskip("torch")
    expression, given = row
    space = {"torch": torch}
    exec(NAMES, space)
    with pytest.raises((RuntimeError, IndexError, TypeError)):
        eval(expression, space, dict(zip("abc", eval(f"({given},)", space), strict=False)) | {"torch": torch})
