"""Programs that ONNX cannot express: they run in the interpreter, and one warning names what keeps them there, and where.

Results are those of Python with eager tensors; with torch installed, also those of torch.jit.
"""

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from support.scripts import imported_as_torch

import bridge
from bridge.runtime.executor import InterpreterWarning

PRELUDE = """\
import torch
from torch import Tensor
from typing import Dict, List, Optional, Tuple, Union

"""


class Program(NamedTuple):
    """``said`` is what the warning must have, each with the text of the line it must point to; empty for what runs on
    onnxruntime, or as a Python function, by now."""

    source: str
    calls: list[str]
    said: list[tuple[str, str]]


PROGRAMS = {
    "a number or a tensor": Program(
        "def f(x: Tensor, n: int) -> Union[int, Tensor]:\n    if bool(x.sum() > 0):\n        r: Union[int, Tensor] = n\n"
        "    else:\n        r = x\n    return r",
        ["torch.tensor(3), 7", "torch.tensor(-3), 7"],
        [("depending on data", "bool(x.sum() > 0)")],
    ),
    "words counted": Program(
        "def f(text: str):\n    counts: Dict[str, int] = {}\n    for word in text.split(' '):\n"
        "        counts[word] = counts.get(word, 0) + 1\n    return counts, len(counts)",
        ["'a b a'", "''", "'x'"],
        [],
    ),
    "tokenizer": Program(
        "def f(text: str, table: Dict[str, int]):\n    ids: List[int] = []\n    for c in text.lower():\n"
        "        if c in table:\n            ids.append(table[c])\n        else:\n            ids.append(-1)\n"
        "    return torch.tensor(ids, dtype=torch.long)",
        ["'abC', {'a': 1, 'c': 7}", "'', {'a': 2}"],
        [("", "text.lower()")],
    ),
    "a cache by key": Program(
        "def f(keys: Tensor, rows: Tensor):\n    cache: Dict[int, Tensor] = {}\n    for i in range(keys.size(0)):\n"
        "        k = int(keys[i])\n        if k not in cache:\n            cache[k] = rows[k] * 2\n"
        "    out: List[Tensor] = []\n    for k in cache:\n        out.append(cache[k])\n    return torch.stack(out)",
        ["torch.tensor([1, 0, 1]), torch.ones(2, 3)", "torch.tensor([2]), torch.arange(6.0).reshape(3, 2)"],
        [],
    ),
    "messages": Program(
        "def f(x: Tensor, name: str):\n    found: List[str] = []\n    for i in range(x.size(0)):\n"
        "        found.append(name + str(i) + ': {}'.format(int(x[i])))\n    return ', '.join(found)",
        ["torch.arange(3), 'row '", "torch.zeros(0), ''"],
        [("string", "str(i)")],
    ),
    "a string or a number": Program(
        "def f(x: Tensor):\n    y: Union[str, int] = 'foo'\n    if x.sum() > 0:\n        y = 3\n    return y",
        ["torch.ones(2)", "torch.zeros(2)"],
        [("a string (or a member of an enum) or something else", "if x.sum() > 0:")],
    ),
    "prints": Program(
        "def f(x: Tensor):\n    for i in range(x.size(0)):\n        if x[i] > 1:\n            print('large', i)\n    return x + 1",
        ["torch.arange(3)", "torch.zeros(2)"],
        [("printing", "print('large', i)")],
    ),
}


def load(name: str, folder: Path, library: str) -> Any:
    path = folder / "interpreted_program.py"
    path.write_text(PRELUDE + PROGRAMS[name].source + "\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location("interpreted_program", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["interpreted_program"] = module
    with imported_as_torch(library):
        spec.loader.exec_module(module)
    return module


def plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return np.asarray(value.detach()).tolist() if hasattr(value, "detach") else value


def results(name: str, folder: Path, library: str, scripted: bool) -> list[Any]:
    module = load(name, folder, library)
    with imported_as_torch(library) as torch:
        f = torch.jit.script(module.f) if scripted else module.f
    return [plain(eval(f"f({call})", {"f": f, "torch": torch})) for call in PROGRAMS[name].calls]


@pytest.mark.parametrize("name", PROGRAMS)
def test_one_warning_names_what_and_where(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = results(name, tmp_path, "bridge", scripted=False)
    printed = capsys.readouterr().out
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert results(name, tmp_path, "bridge", scripted=True) == expected
    assert capsys.readouterr().out == printed
    said = [str(w.message) for w in found if issubclass(w.category, InterpreterWarning)]
    if not PROGRAMS[name].said:
        assert said == []
        return
    assert len(said) == 1, said
    assert "runs in the interpreter, not on onnxruntime" in said[0]
    lines = (PRELUDE + PROGRAMS[name].source).splitlines()
    for words, line in PROGRAMS[name].said:
        number = next(i for i, text in enumerate(lines, 1) if line in text)
        assert words in said[0]
        assert not line or f"interpreted_program.py:{number})" in said[0], said[0]


@pytest.mark.oracle
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.filterwarnings("ignore::bridge.runtime.InterpreterWarning")
def test_results_are_torch_s(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = results(name, tmp_path, "torch", scripted=True)
    assert results(name, tmp_path, "bridge", scripted=True) == expected


def test_bridge_is_what_runs() -> None:
    """The table is about programs that ONNX cannot express: a program that it can says nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert int(bridge.jit.script(_simple)(bridge.ones(2))) == 4


def _simple(x):
    return (x * 2).sum()
