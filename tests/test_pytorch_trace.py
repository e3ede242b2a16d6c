"""Live PyTorch code traced here: byte for byte what ``torch.jit.trace`` makes of it, recorded through PyTorch's dispatch."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bridge
import bridge.onnx
from bridge.ir.classes import CompilationUnit
from bridge.ir.errors import UnsupportedError
from bridge.jit.names import python_cu
from bridge.jit.trace_warnings import FrozenWarning

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore:ComplexHalf")]

from support.traces import CASES, run

EXPECTED: dict[str, str] = json.loads(
    (Path(__file__).parent / "goldens" / "torch" / "traces.json").read_text(encoding="utf-8")
)

#: What differs from PyTorch's own trace by intent.
DIFFERENT = {
    # programs inside come by way of their archive, whose values are numbered anew
    "scripted gate in a trace", "traced in scripted in traced", "scripted function in a trace", "script_if_tracing",
    "eager module holds a scripted one", "scripted module with containers", "scripted holds a traced one",
    "traced module called in two ways", "traced function in a trace", "scripted containers", "scripted dict",
    # compared with other random numbers when checked
    "dropout in training", "random numbers",
    # what is done with the traced thing is tested elsewhere
    "behaviour of a traced module", "behaviour of functions", "exported method", "a scripted method called by name",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def own_names() -> Iterator[None]:
    """Names of classes and functions as in a process that compiled nothing else, now and for the tests that follow."""
    kept = {n: getattr(python_cu, n) for n in python_cu.__slots__}
    CompilationUnit.__init__(python_cu)
    yield
    for name, value in kept.items():
        setattr(python_cu, name, value)


@pytest.mark.parametrize("case", [c for c in CASES if c not in DIFFERENT], ids=lambda name: name.replace("\n", "; "))
def test_trace_is_torchs(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.jit, "trace", bridge.jit.trace)
    monkeypatch.setattr(torch.jit, "trace_module", bridge.jit.trace_module)
    assert run(case, "torch") == EXPECTED[case]


def test_what_no_mode_is_offered_is_refused() -> None:
    def f(x: Any, y: Any) -> Any:
        z = x * 2
        z.set_(y)
        return z + 1

    with pytest.raises(UnsupportedError, match="cannot record set_"):
        bridge.jit.trace(f, (torch.ones(3), torch.ones(3)))
    assert torch.ones(2).set_(torch.zeros(3)).shape == (3,)


def test_masks_that_are_not_aligned_are_told() -> None:
    masks = [torch.tensor([[False, True, False]]), torch.tensor([[False, False, True]])]
    made = []
    for library in (bridge, torch):
        encoder = library.nn.TransformerEncoder(
            library.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1
        ).eval()
        made.append((library, library.nn.Module.requires_grad_(encoder, False)))
    for library, encoder in made:
        call = (library.ones(1, 3, 8), library.from_numpy(masks[0].numpy()))
        with pytest.warns(FrozenWarning, match="leaves out elements before others"):
            bridge.jit.trace(lambda x, mask, encoder=encoder: encoder(x, src_key_padding_mask=mask), call)
    mask = bridge.from_numpy(masks[1].numpy())
    bridge.jit.trace(lambda x, mask: made[0][1](x, src_key_padding_mask=mask), (bridge.ones(1, 3, 8), mask))


LAYERS: dict[str, Any] = {
    "transformer encoder layer": (lambda nn: nn.TransformerEncoderLayer(4, 2, 8, 0.0).eval(), (3, 2, 4)),
    "transformer encoder layer that trains": (lambda nn: nn.TransformerEncoderLayer(4, 2, 8, 0.0), (3, 2, 4)),
    "lstm": (lambda nn: nn.LSTM(4, 5, 2, bidirectional=True, batch_first=True), (3, 2, 4)),
    "batch norm that trains": (lambda nn: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), (2, 3, 8, 8)),
    "group norm": (lambda nn: nn.GroupNorm(2, 4), (2, 4, 5)),
    "upsample": (lambda nn: nn.Upsample(scale_factor=1.5, mode="bilinear"), (2, 4, 5, 6)),
    "weight norm": (lambda nn: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), (2, 4)),
    "lstm cell": (lambda nn: nn.LSTMCell(4, 3), (2, 4)),
    "gru cell": (lambda nn: nn.GRUCell(4, 3, bias=False), (2, 4)),
    "convolution without a batch": (lambda nn: nn.Conv1d(2, 3, 2), (2, 5)),
    "adaptive pool": (lambda nn: nn.AdaptiveAvgPool2d((2, None)), (2, 4, 5, 6)),
}  # fmt: skip


#: What is more than the operator of its name, or another one.
FUNCTIONS = [
    "x.std()", "x.std(1)", "x.std(unbiased=False)", "torch.var_mean(x)", "x.nonzero(as_tuple=True)", "torch.nonzero(x)",
    "x.conj() * 2", "torch.add(x, x, out=torch.empty(3, 4))", "5 // (x + 1)",
    "7 // x.size(0) * x", "torch.mul(2, x)", "torch.as_tensor(x)", "torch.as_tensor(x, dtype=torch.float64)",
    "torch.as_tensor([1, 2])", "x.new_tensor(3)", "x[:, [0, 2]]", "x.cpu().half()",
    "x.type(torch.int64)", "x.to('cpu', torch.float16)", "x.mT.H.T", "torch.stft(x[0], 4, return_complex=True).real",
    "torch.einsum('ij,kj->ik', x, x)", "x.where(x > 0, -x)", "x.where(condition=x > 0, other=x.new_zeros(1))", "F.interpolate(x[None, None], size=(x.size(0) * 2, 5))","torch.unique(x)",
    "x.flatten().unflatten(0, (2, 6))", "x.split([1, 2])[0]", "list(x)[1]", "torch.frexp(x)", "x.sort(stable=True, dim=0)",
    "F.pad(x, (1, x.size(0)), value=3.)", "torch.meshgrid(x[0], x[:, 0], indexing='ij')", "torch.ops.aten.mul(x, x)",
    "torch.zeros(x.shape[:1] + (2,))", "x.reshape(*x.shape[:-1], 2, -1)", "torch.rand(x.shape)", "x.clamp_(0, x.mean())",
]  # fmt: skip


@pytest.mark.parametrize("text", FUNCTIONS)
def test_functions(text: str) -> None:
    f = eval(f"lambda x: {text}", {"torch": torch, "F": torch.nn.functional, "__name__": __name__})
    with warnings.catch_warnings(action="ignore"):
        torch.manual_seed(0)
        ours = bridge.jit.trace(f, torch.rand(3, 4), check_trace=False)
        torch.manual_seed(0)
        theirs = torch.jit.trace(f, torch.rand(3, 4), check_trace=False)
    assert (str(ours.graph), ours.code) == (str(theirs.graph), theirs.code)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
def test_sizes_from_factors(mode: str) -> None:
    def f(x: Any) -> Any:
        return torch.nn.functional.interpolate(
            x, scale_factor=1.7, mode=mode, recompute_scale_factor=mode != "area" or None
        )

    with warnings.catch_warnings(action="ignore"):
        ours = bridge.jit.trace(f, torch.rand(1, 2, 3, 4), check_trace=False)
        theirs = torch.jit.trace(f, torch.rand(1, 2, 3, 4), check_trace=False)
    assert ours.code == theirs.code
    x = torch.rand(2, 2, 5, 7)
    if mode != "area":  # (to sizes of run time: not in ONNX)
        torch.testing.assert_close(ours(x), theirs(x))


def texts(traced: Any) -> list[str]:
    found = []
    for _, part in traced.named_modules():
        method = getattr(getattr(part, "_actual_script_module", part), "forward", None)
        if hasattr(method, "graph"):
            found += [str(method.graph), method.code]
    return [re.sub(r"___torch_mangle_\d+\.", "", text) for text in (*found, str(traced.inlined_graph))]


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    layer, x = make(torch.nn), torch.rand(shape)
    if isinstance(layer, torch.nn.LSTMCell):
        x = (x, (torch.rand(2, 3), torch.rand(2, 3)))
    ours = bridge.jit.trace(layer, x)
    with warnings.catch_warnings(action="ignore"):  # of decisions in PyTorch's own code, which it hides by a filter
        theirs = torch.jit.trace(layer, x)
    assert texts(ours) == texts(theirs)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] * 2


class Pieces(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)
        self.same = self.linear
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Any, scale: Any) -> Any:
        self.count += 1
        y = Doubled.apply(self.linear(x)) + self.same(x)
        return {"out": y * scale["s"], "rows": y.sum(1) + torch.zeros(x.size(0))}

    def twice(self, x: Any) -> Any:
        return self.linear(x) * 2


@pytest.fixture
def traced() -> tuple[Any, Any]:
    torch.manual_seed(0)
    model = Pieces()
    examples = {"forward": (torch.rand(2, 4), {"s": torch.tensor(3.0)}), "twice": torch.rand(2, 4)}
    return model, bridge.jit.trace_module(model, examples, strict=False)


def test_results_of_other_inputs(traced: tuple[Any, Any]) -> None:
    model, program = traced
    x, scale = torch.rand(5, 4), {"s": torch.tensor(2.0)}
    wanted, found = model(x, scale), program(x, scale)
    assert list(found) == ["out", "rows"]
    torch.testing.assert_close(found["out"], wanted["out"])
    torch.testing.assert_close(found["rows"], wanted["rows"])
    torch.testing.assert_close(program.twice(x), model.twice(x))


def test_parameters_and_buffers_are_the_models(traced: tuple[Any, Any]) -> None:
    model, program = traced
    x = torch.rand(2, 4)
    with torch.no_grad():
        model.linear.weight.zero_()
        model.linear.bias.fill_(1)
    before = model.count.item()
    torch.testing.assert_close(program.twice(x), torch.full((2, 3), 2.0))
    program(x, {"s": torch.tensor(1.0)})
    assert model.count.item() == before + 1


def test_the_export_runs_elsewhere(traced: tuple[Any, Any]) -> None:
    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())

        def forward(self, x: Any) -> Any:
            h = self.net(x)
            return h.view(h.size(0), -1).softmax(1)

    onnxruntime = pytest.importorskip("onnxruntime")
    model = Whole().eval()
    program = bridge.jit.trace(model, torch.rand(1, 3, 6, 6))
    proto = bridge.onnx.export(program, (torch.rand(1, 3, 6, 6),)).model_proto
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    x = torch.rand(3, 3, 9, 7)
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), model(x).detach())


def kept_in_a_range(x: Any) -> Any:
    for _ in range(x.size(0)):
        x = x + 1
    return x


def a_size_that_splits(x: Any) -> Any:
    return x.split(x.size(1) // 2, 1)[0]


def a_member(x: Any) -> Any:
    return x if 2.0 in x else x + 1


def through_numpy(x: Any) -> Any:
    return x * float(np.asarray(x.detach()).sum())


def behind_the_back(x: Any) -> Any:
    return x.data + x


def put_in_its_place(x: Any) -> Any:
    y = x * 1
    y.data = torch.zeros(3, 4)
    return y + x


def compared(x: Any) -> Any:
    return x if torch.equal(x, x * 2) else x + 1


@pytest.mark.parametrize(
    "f",
    [kept_in_a_range, a_size_that_splits, a_member, through_numpy, behind_the_back, put_in_its_place, compared],
    ids=lambda f: f.__name__,
)
def test_where_torch_is_silent(f: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning, module="torch.(?!jit)")  # PyTorch's own
        torch.jit.trace(f, torch.rand(3, 4), check_trace=False)
    assert not [w for w in caught if w.category is torch.jit.TracerWarning]
    with pytest.warns(FrozenWarning) as ours:
        bridge.jit.trace(f, torch.rand(3, 4), check_trace=False)
    assert all(w.filename == __file__ and issubclass(w.category, torch.jit.TracerWarning) for w in ours)


class Replaces(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("cache", torch.zeros(1, 4))

    def forward(self, x: Any) -> Any:
        self.cache = torch.cat([self.cache, x])
        return self.cache * 2


def test_a_buffer_that_is_replaced_is_told() -> None:
    with pytest.warns(FrozenWarning, match="'cache' of the traced module was replaced"):
        bridge.jit.trace(Replaces(), torch.rand(2, 4), check_trace=False)


def test_torch_is_as_before_when_a_trace_fails() -> None:
    def broken(x: Any) -> Any:
        raise KeyError("x")

    kept = torch.jit.TracerWarning, torch._C._get_tracing_state, torch.from_numpy, torch.overrides.has_torch_function
    with pytest.raises(KeyError):
        bridge.jit.trace(broken, torch.rand(2))
    assert kept == (
        torch.jit.TracerWarning, torch._C._get_tracing_state, torch.from_numpy, torch.overrides.has_torch_function
    )  # fmt: skip
    assert not torch.jit.is_tracing()
    assert not bridge.jit.is_tracing()


def gated(x: torch.Tensor) -> torch.Tensor:
    return x if bool(x.sum() > 0) else -x


class Holder(torch.nn.Module):
    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.linear, self.inner = torch.nn.Linear(4, 4), inner

    def forward(self, x: Any) -> Any:
        return self.inner(self.linear(x)) + 1


class Gate(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool(x.sum() > 0):
            return x
        return -x


@pytest.mark.parametrize(
    "make",
    [
        lambda: bridge.jit.script(gated),
        lambda: torch.jit.script(gated),
        lambda: bridge.jit.script(Gate()),
        lambda: torch.jit.script(Gate()),
        lambda: torch.jit.script_if_tracing(gated),
        lambda: bridge.jit.script_if_tracing(gated),
    ],
    ids=["ours", "torch's", "our module", "torch's module", "torch's while tracing", "ours while tracing"],
)
def test_programs_inside_keep_their_control_flow(make: Any) -> None:
    torch.manual_seed(0)
    model = Holder(make())
    program = bridge.jit.trace(model, torch.rand(2, 4))
    assert "prim::If" in str(program.inlined_graph)
    for x in (torch.full((3, 4), 9.0), torch.full((3, 4), -9.0)):
        torch.testing.assert_close(program(x), model(x))
