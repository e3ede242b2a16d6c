"""Whole programs (``tests/corpus``), each with inputs that take every path: what they are, and running them anywhere.

A file of the corpus is written with ``import torch``, which means the library it is loaded for. What torch does with a program
is in ``tests/goldens/corpus/``, recorded by ``record_corpus.py``: values are text, so that a difference can be read.
"""

import functools
import importlib.util
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from support.scripts import comparable, imported_as_torch, normalised

FOLDER = Path(__file__).resolve().parent.parent / "corpus"
RECORDED = Path(__file__).resolve().parent.parent / "goldens" / "corpus"


# -- Programs --------------------------------------------------------------------------------------------------------


class Program(NamedTuple):
    """``make`` gives the module or function; ``inputs`` the argument tuples, the first being the example of a capture."""

    name: str
    make: Callable[[], Any]
    inputs: Callable[[], list[tuple[Any, ...]]]
    scripted: Callable[[], Any] | None = None


class Programs(list[Program]):
    """What a file of the corpus lists."""

    def add(
        self,
        name: str,
        what: Any = None,
        inputs: Callable[[], list[tuple[Any, ...]]] | None = None,
        *,
        make: Callable[[], Any] | None = None,
        scripted: Callable[[], Any] | None = None,
    ) -> None:
        """``what`` is a module class without arguments or a plain function; ``make`` a function that makes the program.

        ``scripted`` makes the captured program, where that is more than scripting it.
        """
        assert inputs is not None
        if make is None:
            make = what if isinstance(what, type) else lambda: what
        self.append(Program(name, make, inputs, scripted))


@functools.cache
def load(library: str) -> dict[str, tuple[Path, Program]]:
    """Every program by name, with the file it is in."""
    found: dict[str, tuple[Path, Program]] = {}
    with imported_as_torch(library):
        for path in sorted(FOLDER.glob("*.py")):
            spec = importlib.util.spec_from_file_location(f"corpus_{path.stem}", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module  # classes print with this name in both libraries
            spec.loader.exec_module(module)
            for program in module.PROGRAMS:
                assert program.name not in found, f"two programs are called {program.name}"
                found[program.name] = path, program
    return found


def names() -> list[str]:
    return list(load("bridge"))


def make(torch: Any, program: Program) -> Any:
    """The program with seeded weights, in evaluation mode."""
    torch.manual_seed(0)
    made = program.make()
    return made.eval() if isinstance(made, torch.nn.Module) else made


def inputs(torch: Any, program: Program) -> list[tuple[Any, ...]]:
    torch.manual_seed(1)
    return program.inputs()


def script(torch: Any, program: Program) -> Any:
    """The captured program as a user makes it."""
    torch.manual_seed(0)
    return program.scripted() if program.scripted is not None else torch.jit.script(make(torch, program))


def codes(captured: Any, path: Path) -> dict[str, str]:
    """The printed code of a captured function, or of a module and all modules in it, by path."""
    parts = list(captured.named_modules()) if hasattr(captured, "named_modules") else [("", captured)]
    found = {}
    for name, part in parts:
        try:
            code = part.code
        except (AttributeError, RuntimeError):
            continue  # a container, or a module that is never called
        found[name] = str(comparable(normalised(code, path)))
    return found


# -- Values as text --------------------------------------------------------------------------------------------------


def encoded(value: Any) -> Any:
    """A result as what JSON holds; floats with nine digits."""
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return {"float": _digits(value)}
    if isinstance(value, tuple):
        return {"tuple": [encoded(v) for v in value]}
    if isinstance(value, list):
        return [encoded(v) for v in value]
    if isinstance(value, dict):
        return {"dict": [[k, encoded(v)] for k, v in value.items()]}
    array = np.asarray(value.detach())
    items = array.reshape(-1).tolist()
    if array.dtype.kind == "f":
        items = [_digits(v) for v in items]
    return {"tensor": array.dtype.name, "shape": list(array.shape), "items": items}


def _digits(value: float) -> float:
    return float(f"{value:.9g}")


def difference(found: Any, expected: Any) -> str:
    """How two encoded results differ; empty where they are the same but for rounding."""
    if isinstance(expected, dict) and isinstance(found, dict) and list(expected) == list(found):
        if "tensor" in expected:
            if (found["tensor"], found["shape"]) != (expected["tensor"], expected["shape"]):
                return f"{found['tensor']}{found['shape']} for {expected['tensor']}{expected['shape']}"
            a, b = np.asarray(found["items"]), np.asarray(expected["items"])
            return "" if np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True) else "other values"
        if "float" in expected:
            return "" if np.isclose(found["float"], expected["float"], rtol=1e-5, equal_nan=True) else "another number"
        if "dict" in expected:
            if [k for k, _ in found["dict"]] != [k for k, _ in expected["dict"]]:
                return "other keys"
            return difference([v for _, v in found["dict"]], [v for _, v in expected["dict"]])
        return difference(found["tuple"], expected["tuple"])
    if isinstance(expected, list) and isinstance(found, list):
        if len(found) != len(expected):
            return f"{len(found)} items for {len(expected)}"
        return next((d for a, b in zip(found, expected, strict=True) if (d := difference(a, b))), "")
    return "" if type(found) is type(expected) and found == expected else f"{found!r:.60} for {expected!r:.60}"


# -- Running in Python -----------------------------------------------------------------------------------------------


def outcomes(torch: Any, program: Callable[..., Any], sets: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """What each call gives (``value``) or raises (``raises``: type and message), one after the other on one module."""
    found = []
    for arguments in sets:
        try:
            with torch.no_grad():
                found.append({"value": encoded(program(*arguments))})
        except Exception as error:
            found.append({"raises": [type(error).__name__, str(error).strip()]})
    return found


def disagreement(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> str:
    """How runs differ from what torch did; a raise must be a raise, with the program's own message in its text."""
    for i, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        if "raises" in theirs:
            if "raises" not in mine:
                return f"inputs {i} do not raise"
            if theirs["raises"][0] in OWN and theirs["raises"][1] not in mine["raises"][1]:
                return f"inputs {i} raise {first_line(mine['raises'][1])}"
        elif "raises" in mine:
            return f"inputs {i} raise {first_line(mine['raises'][1])}"
        elif difference(mine["value"], theirs["value"]):
            return f"inputs {i}: {difference(mine['value'], theirs['value'])}"
    return ""


#: What programs raise themselves; other errors come from operators, which say it in their own words.
OWN = ("AssertionError", "ValueError", "RuntimeError", "IndexError", "KeyError", "NotImplementedError")


def first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:120]


# -- Running in plain onnxruntime ------------------------------------------------------------------------------------


def leaves(value: Any) -> Iterator[Any]:
    """The run-time leaves of an argument or a result: arrays, lists of arrays, None where a result is None."""
    if isinstance(value, list) and value and hasattr(value[0], "detach"):
        yield [np.asarray(v.detach()) for v in value]
    elif isinstance(value, list) and all(isinstance(v, bool | int | float) for v in value):
        yield np.asarray(value, None if value else np.int64)
    elif isinstance(value, list | tuple):
        for v in value:
            yield from leaves(v)
    elif isinstance(value, dict):
        yield from leaves(tuple(value.values()))
    elif hasattr(value, "detach"):
        yield np.asarray(value.detach())
    else:
        yield None if value is None or isinstance(value, str) else np.asarray(value)


def flat(expected: Any) -> list[Any]:
    """An encoded result as arrays and Nones, lists of tensors one by one."""
    if isinstance(expected, dict) and "tensor" in expected:
        return [np.asarray(expected["items"], expected["tensor"]).reshape(expected["shape"])]
    if isinstance(expected, dict) and "float" in expected:
        return [np.asarray(expected["float"])]
    if isinstance(expected, dict):
        inside = expected["tuple"] if "tuple" in expected else [v for _, v in expected["dict"]]
        return [leaf for v in inside for leaf in flat(v)]
    if isinstance(expected, list):
        if expected and all(isinstance(v, bool | int) or (isinstance(v, dict) and "float" in v) for v in expected):
            return [np.asarray([v["float"] if isinstance(v, dict) else v for v in expected])]
        return [leaf for v in expected for leaf in flat(v)]
    return [None if expected is None else np.asarray(expected)]


def session_of(model: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def onnx_disagreement(model: Any, sets: list[tuple[Any, ...]], expected: list[dict[str, Any]]) -> str:
    """How runs of an exported model in onnxruntime alone differ from what torch did; its state goes from call to call."""
    from bridge.onnx import error_of

    session = session_of(model)
    outputs = [o.name for o in session.get_outputs()]
    states = [i.name for i in session.get_overridable_initializers() if f"{i.name}_updated" in outputs]
    wanted = [i.name for i in session.get_inputs()]
    state: dict[str, Any] = {}
    for i, (arguments, theirs) in enumerate(zip(sets, expected, strict=True)):
        given = [leaf for a in arguments for leaf in leaves(a) if leaf is not None]
        if len(given) != len(wanted):
            return f"{len(wanted)} inputs for {len(given)} arguments"
        try:
            got = dict(zip(outputs, session.run(None, {**dict(zip(wanted, given, strict=True)), **state}), strict=True))
        except Exception as error:
            if "raises" in theirs:
                continue
            return f"inputs {i}: onnxruntime says {first_line(str(error))}"
        raised = error_of(session, got.pop("error")) if "error" in outputs else None
        if raised is None:
            state.update((name, got[f"{name}_updated"]) for name in states)
        for name in states:
            del got[f"{name}_updated"]
        if "raises" in theirs:
            if raised is None:
                return f"inputs {i} do not raise"
            if theirs["raises"][0] in OWN and theirs["raises"][1] not in str(raised):
                return f"inputs {i} raise {first_line(str(raised))}"
        elif raised is not None:
            return f"inputs {i} raise {first_line(str(raised))}"
        elif why := _outputs_differ(got, flat(theirs["value"])):
            return f"inputs {i}: {why}"
    return ""


def _outputs_differ(got: dict[str, Any], expected: list[Any]) -> str:
    found: list[Any] = []
    for name, value in got.items():
        if name.endswith("_present") and name.removesuffix("_present") in got:
            continue
        present = got.get(f"{name}_present")
        if present is not None and not present:
            found.append(None)
        else:
            found += value if isinstance(value, list) else [value]
    if len(found) != len(expected):  # an empty list of numbers is an array, an empty list of tensors nothing
        found = [v for v in found if v is None or v.shape != (0,)]
        expected = [v for v in expected if v is None or v.shape != (0,)]
    if len(found) != len(expected):
        return f"{len(found)} results for {len(expected)}"
    for a, b in zip(found, expected, strict=True):
        if a is None or b is None:
            if a is not b:
                return "None for a value" if a is None else "a value for None"
        elif a.shape != b.shape or a.dtype != b.dtype:
            return f"{a.dtype}{list(a.shape)} for {b.dtype}{list(b.shape)}"
        elif not np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True):
            return "other values"
    return ""


# -- What torch does -------------------------------------------------------------------------------------------------


def behaviour(torch: Any, path: Path, program: Program) -> dict[str, Any]:
    """Everything that is recorded of a program: eager runs, the code of the scripted and of the traced program, its runs."""
    found: dict[str, Any] = {"eager": outcomes(torch, make(torch, program), inputs(torch, program))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found["script"] = codes(script(torch, program), path)
        except Exception as error:
            found["script_refused"] = type(error).__name__
        try:
            traced = trace(torch, program)
            found["trace"] = codes(traced, path)
            found["trace_runs"] = outcomes(torch, traced, inputs(torch, program))
        except Exception as error:
            found["trace_refused"] = type(error).__name__
    for run in (*found["eager"], *found.get("trace_runs", [])):
        if "raises" in run:  # before the last line torch tells places in files
            run["raises"][1] = run["raises"][1].rpartition("\n")[2]
    return found


def trace(torch: Any, program: Program) -> Any:
    """The program traced with its first inputs."""
    made, example = make(torch, program), inputs(torch, program)[0]
    return torch.jit.trace(made, example, check_trace=False)


@functools.cache
def recorded(stem: str) -> dict[str, Any]:
    """What torch did with the programs of a file, by name."""
    return dict(json.loads((RECORDED / f"{stem}.json").read_text(encoding="utf-8")))
