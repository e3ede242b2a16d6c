"""One random program on every way that programs go, against Python."""

from __future__ import annotations

import importlib.util
import io
import itertools
import re
import sys
import tempfile
import traceback
import unittest.mock
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import bridge
import bridge.onnx
from bridge.ir.errors import BridgeError
from bridge.ir.passes import dead_code
from bridge.ir.passes.aliases import AliasAnalysis
from bridge.jit.running import interpreted
from support.random_programs.program import RandomProgram
from support.random_programs.running import MESSAGES, difference, load, outcome, plain, tensors

__all__ = ["Result", "check"]

_numbers = itertools.count()


class Failure(Exception):
    """A way that gave something else than Python did."""


class Invalid(Exception):
    """The program itself is wrong (it fails where nothing is wrong with the inputs), so that it says nothing."""


@dataclass
class Result:
    """``failure`` says what went wrong, on which way; ``refused`` why the export was; ``invalid`` why the program says nothing."""

    failure: str | None = None
    refused: list[str] = field(default_factory=list)
    invalid: str | None = None
    uncompared: str | None = None


def check(program: RandomProgram, torch: Any = None, thorough: bool = True, everything: bool = True) -> Result:
    """Run a program all ways. ``torch`` compares with torch, too; not ``thorough`` leaves out the archive and the files.

    Without ``everything``, what is read from a file runs in the interpreter alone: onnxruntime ran the same program before.
    """
    name = f"random_program_{next(_numbers)}"
    result = Result()
    checked = _Check(program, name, torch, thorough, result)
    checked.everything = everything
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            checked.run()
    except Failure as error:
        result.failure = str(error)
    except Invalid as error:
        result.invalid = str(error)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        result.failure = f"{checked.way}: {type(error).__name__}: {error} (in {place.filename}:{place.lineno})"
    finally:
        sys.modules.pop(name, None)
    return result


class _Check:
    everything = True

    def __init__(self, program: RandomProgram, name: str, torch: Any, thorough: bool, result: Result) -> None:
        self.program, self.name, self.torch, self.thorough, self.result = program, name, torch, thorough, result
        self.expected: list[Any] = []
        self.way = "load"
        self.loaded_code: str | None = None
        self.start: dict[Any, Any] = {}  # the buffers of a new subject, by library

    # -- the parts ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        code = None
        if self.torch is not None:
            code = self._torch()
        module = load(self.program.text, self.name, "bridge")
        made = self._calls("Python", lambda: _subject(module, self.program), bridge)
        if self.torch is None:
            self.expected = made
        scripted = self._script(module, code)
        self._calls("interpreter", lambda: _Interpreted(scripted), bridge)
        self._calls("compiled", lambda: scripted, bridge)
        self._reset(scripted, bridge)
        if self.thorough:
            self._archive(scripted)
        self._export(scripted)

    def _torch(self) -> str | None:
        """Run in torch: what is expected, and ``.code`` where torch compiles the program."""
        torch = self.torch
        module = load(self.program.text, self.name, "torch")
        self.expected = self._calls("torch", lambda: _subject(module, self.program), torch)
        try:
            with torch.no_grad():
                scripted = torch.jit.script(_subject(module, self.program))
                code = str(scripted.code)
        except Exception as error:
            self.result.uncompared = _last_line(error)
            return None
        buffer = io.BytesIO()
        torch.jit.save(scripted, buffer)
        self.loaded_code = str(torch.jit.load(io.BytesIO(buffer.getvalue())).code)
        try:
            self._calls("torch.jit", lambda: scripted, torch)
        except Failure as error:
            raise Invalid(f"torch.jit differs from Python: {error}") from error
        return code

    def _as_torch_writes(self) -> str:
        """The code if what a loop gives is never what it was given, as torch.jit has it: it drops writes to what a loop without an iteration left."""
        with unittest.mock.patch.object(dead_code, "AliasAnalysis", lambda graph, careful: AliasAnalysis(graph)):
            return str(self._scripted(load(self.program.text, self.name, "bridge")).code)

    def _script(self, module: Any, code: str | None) -> Any:
        try:
            scripted = self._scripted(module)
        except Exception as error:
            if self.result.uncompared is not None and isinstance(
                error, BridgeError | RuntimeError | NotImplementedError
            ):
                raise Invalid(f"refused by both: {self.result.uncompared}") from error
            if self.torch is None:
                self.result.refused.append(f"script: {_last_line(error)}")
            raise Failure(f"script: {type(error).__name__}: {error}") from error
        if code is not None and _one_zero(scripted.code) != _one_zero(code):
            if _one_zero(self._as_torch_writes()) == _one_zero(code):
                self.result.uncompared, self.loaded_code = "torch.jit drops a write", None
                return scripted
            raise Failure(f"code differs\n{code}\n-- bridge --\n{scripted.code}")
        return scripted

    def _scripted(self, module: Any) -> Any:
        return bridge.jit.script(_subject(module, self.program))

    # -- running -----------------------------------------------------------------------------------------------------

    def _calls(self, way: str, make: Any, library: Any) -> list[Any]:
        """Every call on the subject as it was made: result, arguments and buffers after it; compared with what is expected."""
        found = []
        self.way = way
        subject = make()
        if self.program.is_module and library not in self.start:
            self.start[library] = {k: v.clone() for k, v in subject.state_dict().items()}
        for i, call in enumerate(self.program.calls):
            arguments = [tensors(v, library) for v in call]
            self._reset(subject, library)
            with library.no_grad():
                got = outcome(subject, *arguments)
                state = {k: plain(v) for k, v in subject.state_dict().items()} if self.program.is_module else {}
            now = (
                got
                if isinstance(got, Exception)
                else (got, [plain(a) for a in arguments if not isinstance(a, list)], state)
            )
            if isinstance(got, Exception) and way in ("torch", "Python") and not _on_purpose(got) and not self.expected:
                raise Invalid(f"{type(got).__name__}: {str(got)[:200]}")
            if self.expected:
                self._compare(way, i, now)
            found.append(now)
        return found

    def _again(self, way: str, program: Any) -> None:
        """The calls on a program that was read from a file."""
        self._calls(way, lambda: program if self.everything else _Interpreted(program), bridge)

    def _reset(self, subject: Any, library: Any) -> None:
        """Give the buffers their first values."""
        if self.program.is_module:
            subject.load_state_dict({k: v.clone() for k, v in self.start[library].items()})

    def _compare(self, way: str, i: int, now: Any) -> None:
        d = difference(self.expected[i], now)
        if d is not None:
            raise Failure(f"{way}, call {i}: expected {d}")
        if isinstance(now, Exception) and not _on_purpose(now):
            raise Failure(f"{way}, call {i}: {type(now).__name__}: {now}")

    # -- files -------------------------------------------------------------------------------------------------------

    def _archive(self, scripted: Any) -> None:
        self.way = "archive"
        buffer = io.BytesIO()
        bridge.jit.save(scripted, buffer)
        again = bridge.jit.load(io.BytesIO(buffer.getvalue()))
        if self.loaded_code is not None and _one_zero(again.code) != _one_zero(self.loaded_code):
            raise Failure(f"archive: code differs\n{self.loaded_code}\n-- loaded --\n{again.code}")
        self._again("archive", again)

    def _export(self, scripted: Any) -> None:
        self.way = "export"
        arguments = [tensors(v, bridge) for v in self.program.calls[0]]
        try:
            made = bridge.onnx.export(scripted, tuple(arguments))
        except bridge.onnx.ExportError as error:
            self.result.refused += [o.message for o in error.obstacles]
            if not all(o.range is not None or o.kind in ("output", "input", "arguments") for o in error.obstacles):
                raise Failure(f"export: an obstacle without a line: {error}") from error
            return
        except Exception as error:
            raise Failure(f"export: {type(error).__name__}: {error}") from error
        self._onnxruntime(made)
        self.way = "reimport"
        back = bridge.onnx.load(made.model_proto)
        if back.code != made.specialised.code:
            raise Failure(f"reimport: code differs\n{made.specialised.code}\n-- reimported --\n{back.code}")
        if self.thorough:
            self._again("reimported", back)
            self._printed(back)

    def _printed(self, back: Any) -> None:
        """The program as a Python file: it runs again, and compiles again."""
        self.way = "print"
        name = f"{self.name}_printed"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.py"
            bridge.onnx.write_python(back, path)
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None
            assert spec.loader is not None
            module = sys.modules[name] = importlib.util.module_from_spec(spec)
            try:
                spec.loader.exec_module(module)
                model = module.model()
                self._calls("printed", lambda: model, bridge)
                self._reset(model, bridge)
                self.way = "recompile"
                recompiled = bridge.jit.script(model)
                self._again("recompiled", recompiled)
            finally:
                del sys.modules[name]

    def _onnxruntime(self, made: Any) -> None:
        import onnxruntime
        from onnxruntime.capi.onnxruntime_inference_collection import (
            InferenceSession,
        )  # the interpreter has a way of its own

        self.way = "onnxruntime"

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        model = made.model_proto
        try:
            session = InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise Failure(f"onnxruntime does not load the model: {error}") from error
        names = [o.name for o in session.get_outputs()]
        for i, call in enumerate(self.program.calls):
            want = self.expected[i]
            found = outcome(session.run, None, self._feed(session, call))
            if isinstance(found, Exception):
                if isinstance(want, Exception):
                    continue  # what follows the place of an exception may fail for the same reason
                raise Failure(f"onnxruntime, call {i}: {found}")
            by_name = dict(zip(names, found, strict=True))
            error = bridge.onnx.error_of(model, by_name["error"]) if "error" in by_name else None
            if error is not None or isinstance(want, Exception):
                d = difference(want, error if error is not None else found)
            else:
                updated = {n.removesuffix("_updated"): v for n, v in by_name.items() if n.endswith("_updated")}
                results = [v for n, v in by_name.items() if n != "error" and not n.endswith(("_updated", "_present"))]
                d = _matches([want[0]], results)
                d = d or difference({n: want[2][n] for n in updated}, updated)
            if d is not None:
                raise Failure(f"onnxruntime, call {i}: expected {d}")

    def _feed(self, session: Any, call: list[Any]) -> dict[str, Any]:
        inputs = session.get_inputs()
        if len(inputs) != len(call):
            raise Failure(f"the model has {len(inputs)} inputs for {len(call)} arguments")
        return {i.name: _array(v) for i, v in zip(inputs, call, strict=True)}


class _Interpreted:
    """A scripted program that runs in the interpreter."""

    def __init__(self, scripted: Any) -> None:
        self.scripted = scripted
        self.call = interpreted(scripted._method("forward") if hasattr(scripted, "_method") else scripted)

    def __call__(self, *arguments: Any) -> Any:
        return self.call(*arguments)

    def state_dict(self) -> Any:
        return self.scripted.state_dict()

    def load_state_dict(self, state: Any) -> None:
        self.scripted.load_state_dict(state)


def _subject(module: Any, program: RandomProgram) -> Any:
    return module.Program() if program.is_module else module.Program


def _one_zero(code: str) -> str:
    """Code in which -0.0 is 0.0: torch.jit takes them for one constant, where Python and bridge do not."""
    return re.sub(r"-0\.(?!\d)", "0.", code)


def _on_purpose(error: Exception) -> bool:
    """Whether a program raised it by itself."""
    text = str(error).strip()
    return any(text.endswith(m) or f": {m}\n" in f"{text}\n" for m in MESSAGES)


def _last_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error).strip())[:200]


def _array(v: Any) -> Any:
    if isinstance(v, list):
        return [_array(x) for x in v] if v and isinstance(v[0], tuple) else np.asarray(v)
    return tensors(v, bridge).numpy() if isinstance(v, tuple) else np.asarray(v)


def _matches(values: list[Any], outputs: list[Any]) -> str | None:
    """Where results and the outputs of a model differ. A list is one output or one for each element, as its length is known."""
    if not values:
        return None if not outputs else f"{len(outputs)} outputs too many"
    v, rest = values[0], values[1:]
    if v is None:
        return _matches(rest, outputs)
    if isinstance(v, dict | tuple):
        return _matches([*(v.values() if isinstance(v, dict) else v), *rest], outputs)
    if isinstance(v, list):
        if not v and outputs and isinstance(outputs[0], list) and not outputs[0]:
            return _matches(rest, outputs[1:])
        one = _matches([*v, *rest], outputs)
        if one is None or not outputs or (not v and isinstance(outputs[0], list)):
            return one
        if v and isinstance(v[0], tuple):  # a list for each place of the tuple
            return _matches([*map(list, zip(*v, strict=True)), *rest], outputs)
        if not v and any(
            not any(map(len, outputs[:k])) and _matches(rest, outputs[k:]) is None for k in range(1, 1 + len(outputs))
        ):
            return None
        if v and isinstance(v[0], list | np.ndarray):
            whole: Any = [np.asarray(x, None if x else np.int64) if isinstance(x, list) else x for x in v]
            given = list(outputs[0])
        else:
            whole, given = np.asarray(v, np.asarray(outputs[0]).dtype if not v else None), outputs[0]
        return one if difference(whole, given) is not None else _matches(rest, outputs[1:])
    if not outputs:
        return "outputs are missing"
    return difference(np.asarray(v), outputs[0]) or _matches(rest, outputs[1:])
