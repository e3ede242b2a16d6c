"""Ordinary Python that TorchScript refuses and whose meaning is clear: compiled, it does what Python does.

Each program of ``tests/script_beyond/`` runs on inputs that take every path; the expected results are those of the plain
Python function, with eager tensors. The printed code is plain TorchScript: with torch installed, its loader compiles what
is saved and agrees. A block of a file is ``=== name``, the source, and ``>>> arguments, arguments…``; where ``[onnx]`` is
behind the name the program runs without the interpreter, where ``[model]`` is its exported model gives the same in plain
onnxruntime on all inputs, and where ``[text]`` is, torch loads it and refuses to run it, because it formats text as only
Python does.
"""

import contextlib
import copy
import importlib.util
import io
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from support.onnx_runs import run_plain

import bridge

FOLDER = Path(__file__).parent / "script_beyond"
PRELUDE = """\
import abc, collections, dataclasses, enum, functools, math
from dataclasses import dataclass, field
from typing import *
import bridge as torch
import bridge.nn as nn
import bridge.nn.functional as F
from bridge import Tensor

K = 3
LISTED = [1, 2]
PAIR = (4, 5)
WEIGHT = torch.tensor([1.0, -2.0])
NAME = "a"

"""


MARKS = ("onnx", "text", "model")


class Program(NamedTuple):
    source: str
    inputs: str
    onnx: bool
    text: bool
    model: bool


def programs() -> Iterator[tuple[str, Program]]:
    for path in sorted(FOLDER.glob("*.txt")):
        for block in path.read_text(encoding="utf-8").split("=== ")[1:]:
            name, _, rest = block.partition("\n")
            source, _, inputs = rest.rpartition(">>> ")
            name, *marks = (part.strip(" ]") for part in name.split("["))
            yield f"{path.stem}: {name}", Program(source.rstrip() + "\n", inputs.strip(), *(m in marks for m in MARKS))


PROGRAMS = dict(programs())
CASES = [pytest.param(name, id=name) for name in PROGRAMS]


def t(*values: float) -> Any:
    return bridge.from_numpy(np.array(values, np.float32))


def rows(*values: list[float]) -> Any:
    return bridge.from_numpy(np.array(values, np.float32))


def load(name: str, folder: Path) -> tuple[Any, list[tuple[Any, ...]]]:
    """The program's ``f`` and the argument lists."""
    module_name = f"beyond_program{list(PROGRAMS).index(name)}"  # classes are known by their module's name
    path = folder / f"{module_name}.py"
    path.write_text(PRELUDE + PROGRAMS[name].source + "\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    inputs = eval(f"[{PROGRAMS[name].inputs},]", {"t": t, "rows": rows, **vars(module)})
    return module.f, inputs


def plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value.detach().numpy() if hasattr(value, "detach") else value


def agree(found: Any, expected: Any) -> None:
    if isinstance(expected, list):
        assert isinstance(found, list)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            agree(a, b)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        agree(list(found.values()), list(expected.values()))
    elif isinstance(expected, str | None):
        assert found == expected
    else:
        assert np.asarray(found).dtype == np.asarray(expected).dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def run(f: Any, args: tuple[Any, ...]) -> tuple[Any, str]:
    """The result, and what was printed."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        result = plain(f(*copy.deepcopy(args)))
    return result, out.getvalue()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::bridge.runtime.InterpreterWarning")
def test_does_what_python_does(name: str, tmp_path: Path) -> None:
    f, inputs = load(name, tmp_path)
    scripted = bridge.jit.script(f)
    for args in inputs:
        (found, shown), (expected, printed) = run(scripted, args), run(f, args)
        agree(found, expected)
        assert shown == printed


@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::bridge.runtime.InterpreterWarning")
def test_torch_compiles_what_is_saved(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    f, inputs = load(name, tmp_path)
    bridge.jit.save(bridge.jit.script(f), str(tmp_path / "f.pt"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = torch.jit.load(str(tmp_path / "f.pt"))

    def given(a: Any) -> Any:
        if isinstance(a, list | tuple):
            return type(a)(map(given, a))
        if isinstance(a, dict):
            return {k: given(v) for k, v in a.items()}
        return torch.from_numpy(a.detach().numpy().copy()) if isinstance(a, bridge.Tensor) else copy.deepcopy(a)

    for args in inputs:
        if PROGRAMS[name].text:
            with pytest.raises(RuntimeError, match="is not supported in TorchScript format strings"):
                loaded(*map(given, args))
        else:
            agree(plain(loaded(*map(given, args))), run(f, args)[0])


@pytest.mark.parametrize("name", [pytest.param(n, id=n) for n, p in PROGRAMS.items() if p.onnx])
def test_runs_on_onnx(name: str, tmp_path: Path) -> None:
    f, inputs = load(name, tmp_path)
    scripted = bridge.jit.script(f)
    for args in inputs:  # the interpreter's warning would be an error here
        agree(run(scripted, args)[0], run(f, args)[0])
    assert bridge.onnx.export(scripted, copy.deepcopy(inputs[0]), str(tmp_path / "f.onnx")) is not None


def leaves(value: Any) -> Iterator[Any]:
    """What an exported model shows of a result."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for v in value:
            yield from leaves(v)
    else:
        yield value


@pytest.mark.parametrize("name", [pytest.param(n, id=n) for n, p in PROGRAMS.items() if p.model])
def test_runs_as_a_model(name: str, tmp_path: Path) -> None:
    f, inputs = load(name, tmp_path)
    exported = bridge.onnx.export(bridge.jit.script(f), copy.deepcopy(inputs[0]))
    for args in inputs:
        expected = list(leaves(run(f, args)[0]))
        for found, value in zip(run_plain(exported.model_proto, args), expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-5)
