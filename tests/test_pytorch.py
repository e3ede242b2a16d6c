"""Live PyTorch objects: tensors that share memory, modules and functions scripted from their source, against PyTorch."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bridge
from bridge.ir.classes import CompilationUnit
from bridge.jit.functions import ScriptMethod
from bridge.jit.names import python_cu

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore:ComplexHalf")]

from support.scripts import comparable

from bridge.pytorch.tensors import from_torch, to_torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from support.torch_programs import LAYERS, PROGRAMS


@pytest.fixture(scope="module", autouse=True)
def own_names() -> Iterator[None]:
    """Names of classes and functions as in a process that compiled nothing else, now and for the tests that follow."""
    kept = {n: getattr(python_cu, n) for n in python_cu.__slots__}
    CompilationUnit.__init__(python_cu)
    yield
    for name, value in kept.items():
        setattr(python_cu, name, value)


README = Path(__file__).resolve().parent.parent / "README.md"
DTYPES = "uint8 int8 int16 int32 int64 float16 float32 float64 complex64 bool bfloat16 float8_e4m3fn float8_e5m2 uint16 uint64"


@pytest.mark.parametrize("name", DTYPES.split())
def test_memory_is_shared_both_ways(name: str) -> None:
    theirs = torch.tensor([[1, 0, 1], [0, 1, 1]]).to(getattr(torch, name)).t()
    ours = from_torch(theirs)
    assert (ours.dtype.name, tuple(ours.shape), ours.stride()) == (name, (3, 2), theirs.stride())
    assert ours.data_ptr() == theirs.data_ptr()
    back = to_torch(bridge.Tensor._wrap(ours._array))
    assert (back.dtype, back.stride(), back.data_ptr()) == (theirs.dtype, theirs.stride(), theirs.data_ptr())
    assert from_torch(theirs) is ours
    assert to_torch(ours) is theirs


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: torch.empty(2, device="meta"), "meta"),
        (lambda: torch.eye(2).to_sparse(), "sparse_coo"),
        (lambda: torch.zeros(2, dtype=torch.complex32), "complex32"),
    ],
)
def test_what_has_no_memory_to_share_is_refused(make: Any, why: str) -> None:
    with pytest.raises(bridge.ir.errors.UnsupportedError, match=why):
        from_torch(make())


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(3, 4)
        self.norm = torch.nn.BatchNorm1d(4)
        self.rest = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Dropout(0.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            x = torch.nn.functional.relu(x)
        return self.rest(self.norm(self.fc(x))) + torch.ones(4, dtype=torch.float32)


def test_a_module_shares_its_weights_and_its_gradients() -> None:
    module = Block().eval()
    program = bridge.jit.script(module)
    assert comparable(program.code) == comparable(torch.jit.script(module).code)
    x = torch.randn(2, 3, requires_grad=True)
    for factor in (1.0, -2.0):  # written to by name, then behind the counter's back
        with torch.no_grad():
            module.fc.weight.mul_(factor)
            assert torch.allclose(program(x), module(x), atol=1e-6)
        module.fc.weight.data.mul_(factor)
        wanted = torch.autograd.grad(module(x * 2).pow(2).sum(), [x, *module.parameters()])
        found = torch.autograd.grad(program(x * 2).pow(2).sum(), [x, *module.parameters()])
        assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(wanted, found, strict=True))


@pytest.mark.filterwarnings("ignore::bridge.runtime.executor.InterpreterWarning")
def test_results_are_pytorchs_and_writes_are_counted() -> None:
    def f(x: torch.Tensor, n: int):  # type: ignore[no-untyped-def]
        x.add_(n)
        return x, [x + 1], {"size": x.shape}, x.device, None

    t = torch.zeros(3)
    version = t._version
    same, others, named, device, nothing = bridge.jit.script(f)(t, 3)
    assert same is t
    assert t.tolist() == [3, 3, 3]
    assert t._version > version
    assert (others[0].tolist(), named, device, nothing) == ([4, 4, 4], {"size": [3]}, t.device, None)


def test_exporting_takes_the_module_and_its_tensors(tmp_path: Any) -> None:
    import onnxruntime

    module = Block().eval()
    bridge.onnx.export(module, (torch.randn(2, 3),), tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for x in (torch.randn(5, 3), -torch.rand(1, 3)):
        with torch.no_grad():
            assert torch.allclose(torch.from_numpy(session.run(None, {"x": x.numpy()})[0]), module(x), atol=1e-6)


def codes(program: Any, ours: bool) -> dict[str, str]:
    """The code of every method of every submodule, or of a function."""
    if not hasattr(program, "named_modules"):
        return {"": comparable(program.code) or ""}
    found = {}
    for path, module in program.named_modules():
        names = module._c.type.methods if ours else module._c._method_names()
        for name in names:
            if not name.startswith("__"):
                method = ScriptMethod(module._c, module._c.type.methods[name]) if ours else module._c._get_method(name)
                found[f"{path}.{name}"] = comparable(method.code) or ""
    return found


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.allclose(a, b, rtol=1e-4, atol=1e-5)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return bool(type(a) is type(b) and a == b)


@pytest.mark.filterwarnings("ignore::bridge.runtime.executor.InterpreterWarning")
@pytest.mark.parametrize("name", [*PROGRAMS, *LAYERS])
def test_scripted_as_torch_scripts_it(name: str) -> None:
    torch.manual_seed(0)
    make, args = {**PROGRAMS, **LAYERS}[name]
    subject = make()
    theirs, ours = torch.jit.script(subject), bridge.jit.script(subject)
    assert codes(ours, True) == codes(theirs, False)
    with torch.no_grad():
        expected = subject(*args) if hasattr(theirs, "forward__0") else theirs(*args)  # torch cannot call those
        assert same(expected, ours(*args))


def test_the_example_in_readme(tmp_path: Path) -> None:
    (example,) = re.findall(
        r"^```py\n(.*?)^```\n\n```text\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    program = tmp_path / "example.py"
    program.write_text(example[0], encoding="utf-8")
    command = [sys.executable, "-W", "ignore", str(program)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.returncode) == (example[1], 0), done.stderr
    assert (tmp_path / "model.onnx").exists()
