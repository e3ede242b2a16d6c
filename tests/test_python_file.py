"""Own programs as Python files that import, run eagerly, and script; and programs that mix torch's operators with ONNX's."""

import importlib.util
import io
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pytest
import safetensors.numpy

import bridge as torch
import bridge.onnx
from bridge import Tensor, nn
from bridge.ir.errors import BridgeError
from bridge.jit.running import interpret
from bridge.weights import write_weights

ops = torch.ops.opset({"": 18})
old = torch.ops.opset({"": 12})


class Pair(NamedTuple):
    first: Tensor
    count: int


def scaled(x: Tensor, n: int) -> Tensor:
    return x * n + 1


class Cell(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, size)
        self.steps = 3

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        y = torch.tanh(self.linear(x) + h)
        if bool(y.sum() > 0):
            return y, y
        else:
            return -y, scaled(y, self.steps)


class Recurrent(nn.Module):
    """A loop over a list, an unrolled list of modules, numbers, casts, views, a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = Cell(4)
        self.last = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.register_buffer("table", torch.arange(20).float())

    def forward(self, xs: list[Tensor]) -> tuple[Tensor, Tensor]:
        h = torch.zeros([1, 4], dtype=torch.float32)
        y = h
        n = 0
        for x in xs:
            y, h = self.cell(x, h)
            n += x.size(0)
        for layer in self.last:
            y = layer(y)
        out: list[Tensor] = []
        for i in range(n):
            if i % 2 == 0 and i // 2 < 4:
                out.append(y[0:1, i // 2].to(torch.float64))
        return y + self.table[:4], torch.cat(out)


class Tuples(nn.Module):
    def forward(self, x: Tensor) -> Pair:
        p = Pair(x + 1, x.dim())
        for i in range(2):
            p = Pair(p.first * 2, p.count + i)
        return p


class Constants(nn.Module):
    """A constant too long for a text, numbers that are no numbers, strings."""

    def __init__(self) -> None:
        super().__init__()
        self.name = 'quote " and \\ and \n'
        self.limit = float("inf")

    def forward(self, x: Tensor) -> tuple[Tensor, str]:
        y = torch.minimum(x, torch.full([1], self.limit))
        return torch.relu(y - 0.1), self.name


PROGRAMS: dict[str, tuple[nn.Module, tuple[Any, ...]]] = {
    "recurrent": (Recurrent(), ([torch.ones(2, 4), -torch.ones(2, 4)],)),
    "tuples": (Tuples(), (torch.ones(2),)),
    "constants": (Constants(), (torch.tensor([1.0, -2.0]),)),
}


def flat(v: Any) -> list[Any]:
    if isinstance(v, tuple | list):
        return [x for part in v for x in flat(part)]
    return [np.asarray(v.detach()) if isinstance(v, Tensor) else v]


@pytest.mark.parametrize("name", PROGRAMS)
def test_own_programs_print_as_python(name: str, tmp_path: Path) -> None:
    module, inputs = PROGRAMS[name]
    scripted = torch.jit.script(module)
    path = tmp_path / f"own_{name}.py"
    bridge.onnx.write_python(scripted, path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    python = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(python)
        again = python.model()
        recompiled = torch.jit.script(again)
    finally:
        del sys.modules[path.stem]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what runs in the interpreter says so
        expected = flat(module(*inputs))
        for made in (again, recompiled):
            got = flat(made(*inputs))
            assert len(got) == len(expected)
            for a, b in zip(got, expected, strict=True):
                if isinstance(b, np.ndarray):
                    np.testing.assert_allclose(a, b, rtol=1e-6)
                    assert a.dtype == b.dtype
                else:
                    assert a == b


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = torch.relu(self.linear(x))
        z = ops.onnx.LeakyRelu(y - 1, alpha=0.2)
        best, where = ops.onnx.TopK(z, torch.tensor([2]), outputs=2)
        return best + 1, where


def test_onnx_operators_among_torchs(tmp_path: Path) -> None:
    module = Mixed()
    scripted = torch.jit.script(module)
    x = torch.rand(4, 3)
    with torch.no_grad():
        expected = flat(module(x))
        runs = [flat(scripted(x)), flat(interpret(scripted._method("forward")._function, [scripted._c, x]))]
        program = torch.onnx.export(scripted, (x,), tmp_path / "mixed.onnx")
    assert next(o.version for o in program.model_proto.opset_import if not o.domain) == 18
    runs.append(onnxruntime.InferenceSession(str(tmp_path / "mixed.onnx")).run(None, {"x": np.asarray(x)}))
    for run in runs:
        for a, b in zip(run, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


class Old(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(old.onnx.Softmax(x))


def test_an_operator_of_another_opset_is_not_exported_as_another_operator() -> None:
    scripted = torch.jit.script(Old())
    with pytest.raises(BridgeError, match=r"Softmax of opset 12 is not what version 21 has"):
        torch.onnx.export(scripted, (torch.rand(2, 3, 4),))


class Both(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return ops.onnx.Relu(old.onnx.Softmax(x))


def test_two_versions_in_one_program_are_refused() -> None:
    with pytest.raises(BridgeError, match=r"one program uses versions 12 and 18 of the ONNX domain ''"):
        torch.jit.script(Both())


MISTAKES = {
    "an unknown operator": ("ops.onnx.Convolve(x)", "ONNX has no operator 'Convolve' in opset 18"),
    "an unknown attribute": ("ops.onnx.Relu(x, slope=1.0)", "Relu has no attribute 'slope' in opset 18"),
    "an attribute of another kind": ('ops.onnx.LeakyRelu(x, alpha="a")', "attribute 'alpha' cannot be 'a' (float)"),
    "a number for a tensor": ("ops.onnx.Add(x, 1)", "input 1 is a value of type int; inputs are tensors"),
    "an attribute that depends on data": ("ops.onnx.LeakyRelu(x, alpha=float(x))", "must be known when the program is"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_shown_at_their_place(name: str, tmp_path: Path) -> None:
    call, message = MISTAKES[name]
    path = tmp_path / "wrong.py"
    path.write_text(
        "import bridge as torch\n\nops = torch.ops.opset({'': 18})\n\n\n"
        f"def f(x: torch.Tensor) -> torch.Tensor:\n    return {call}\n"
    )
    spec = importlib.util.spec_from_file_location("wrong", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(BridgeError) as caught:
        torch.jit.script(module.f)
    assert message in str(caught.value)
    assert "wrong.py:7:" in str(caught.value)


def test_weights_are_stored_as_safetensors_does_it() -> None:
    arrays = {
        n: np.arange(6).reshape(2, 3).astype(n) for n in ("uint8", "int16", "int64", "float16", "float32", "float64")
    }
    arrays |= {
        'b.é"x': np.array(3.0),
        "empty": np.zeros((0, 3), "f"),
        "turned": np.arange(12, dtype="f").reshape(3, 4).T,
    }
    for held in (arrays, {}):
        file = io.BytesIO()
        write_weights(held, file)
        plain = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in held.items()}
        assert file.getvalue() == safetensors.numpy.save(plain)
