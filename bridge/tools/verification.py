"""``bridge verify``: the same inputs through two models, and where they part when the results differ."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.printable import printable_line
from bridge.tools.differences import Difference, diff
from bridge.tools.runs import OnnxRun, ProgramRun, Recorded, random_inputs

__all__ = ["Deviation", "Verification", "verify"]


@dataclass(slots=True, frozen=True)
class Deviation:
    """A value that differs: what it is called, in which way, the node (and source line) that computes it in each model."""

    name: str
    text: str
    first: str = ""
    second: str = ""

    def __str__(self) -> str:
        nodes = [f"    {label}: {node}" for label, node in (("first", self.first), ("second", self.second)) if node]
        return "\n".join(map(printable_line, [f"{self.name}: {self.text}", *nodes]))


@dataclass(slots=True)
class Verification:
    """The outcome: ``outputs`` are the results that differ ([] is a pass), ``first`` is the first value on the way to them
    that does, of ``compared`` values that both models have; where it is a weight, ``computed`` is the first that is not;
    ``programs`` says in what the programs themselves differ; ``reproduction`` are the files written, ``unwritten`` says why there
    are none."""

    outputs: list[Deviation] = field(default_factory=list)
    first: Deviation | None = None
    computed: Deviation | None = None
    compared: int = 0
    count: int = 0
    programs: list[Difference] = field(default_factory=list)
    reproduction: list[Path] = field(default_factory=list)
    unwritten: str = ""

    @property
    def passed(self) -> bool:
        return not self.outputs

    def __str__(self) -> str:
        if self.passed:
            return f"equal: {self.count} outputs"
        lines = [f"{len(self.outputs)} of {self.count} outputs differ:", *(str(d) for d in self.outputs)]
        if self.first is not None:
            lines += [f"the first value that differs, of {self.compared} compared on the way:", str(self.first)]
            if self.computed is not None:
                lines += ["the first that is computed:", str(self.computed)]
        else:
            lines.append(f"none of the {self.compared} values that both models have on the way differs")
        if self.programs:
            lines += ["the programs differ:", *(str(d) for d in self.programs)]
        if self.unwritten:
            lines.append(printable_line(f"nothing was written: {self.unwritten}"))
        return "\n".join([*lines, *(f"wrote {p}" for p in self.reproduction)])


def verify(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str] | None = None,
    inputs: Mapping[str, Any] | Sequence[Any] | None = None,
    *,
    seed: int = 0,
    rtol: float = 1e-3,
    atol: float = 1e-5,
    reproduction: str | os.PathLike[str] | None = None,
) -> Verification:
    """Run two model files on the same inputs and compare what they return; .onnx files run in onnxruntime as they are, programs in
    the interpreter. Without ``b``, the .onnx file ``a`` is compared with its own program in the interpreter.

    ``inputs`` are arrays and numbers by name or in order; without them random ones are made (from ``seed``) where the types of
    an .onnx file's inputs tell what they must be. Values are equal within ``rtol`` and ``atol`` as in ``numpy.allclose``. Where
    results differ, the values on the way are compared, and the first that differs is told; a folder ``reproduction`` gets the
    node that computes it as a model of its own, its inputs and both results.

    Raises BridgeError when inputs are missing or a model does not run on them, and what reading the files raises.
    """
    pair = [Path(a), Path(a if b is None else b)]
    if b is None and pair[0].suffix != ".onnx":
        raise BridgeError("only an .onnx file can be compared with itself (onnxruntime against the interpreter)")
    given = inputs
    if given is None:
        typed = next((p for p in pair if p.suffix == ".onnx"), None)
        if typed is None:
            raise BridgeError("give the inputs: no .onnx file tells what they must be")
        given = random_inputs(typed, seed)
    runs = [_run(p, given, program=b is None and i == 0) for i, p in enumerate(pair)]
    results = [r.outputs() for r in runs]
    found = Verification(count=len(results[0]))
    if len(results[0]) != len(results[1]):
        found.outputs.append(Deviation("outputs", f"there are {len(results[0])} and {len(results[1])}"))
    for (name, x), (_, y) in zip(*results, strict=False):
        text = deviation(x, y, rtol, atol)
        if text:
            found.outputs.append(Deviation(name, text))
    if found.outputs:
        deviating = _walk(found, runs, pair, given, rtol, atol)
        if reproduction is not None:
            _reproduce(found, runs, deviating, Path(reproduction))
        if b is not None:
            found.programs = diff(a, b, rtol=rtol, atol=atol)
    return found


def _run(path: Path, inputs: Mapping[str, Any] | Sequence[Any], program: bool) -> OnnxRun | ProgramRun:
    return OnnxRun(path, inputs) if path.suffix == ".onnx" and not program else ProgramRun(path, inputs)


def _walk(
    found: Verification, runs: list[Any], pair: list[Path], inputs: Any, rtol: float, atol: float
) -> tuple[Recorded, Recorded] | None:
    """Find the first value that differs, by its name, then by what computes it; the first computed one as both runs have it."""
    tries = [runs]
    if isinstance(runs[1], OnnxRun):
        tries.append(
            [r if isinstance(r, ProgramRun) else ProgramRun(p, inputs) for r, p in zip(runs, pair, strict=True)]
        )
    for one, other in tries:
        theirs: dict[str, Recorded] = {}
        for r in other.values():
            for key in r.keys:
                theirs.setdefault(key, r)
        count = 0
        for mine in one.values():
            match = next((theirs[k] for k in mine.keys if k in theirs), None)
            if match is None or (found.first is not None and mine.is_weight):
                continue
            count += 1
            text = deviation(mine.value, match.value, rtol, atol)
            if not text:
                continue
            differs = Deviation(mine.name, text, mine.node, match.node)
            if found.first is None:
                found.first, found.compared = differs, count
            else:
                found.computed = differs
            if not mine.is_weight:
                return mine, match
        if found.first is not None:
            return None
        found.compared = max(found.compared, count)
    return None


def _reproduce(found: Verification, runs: list[Any], deviating: tuple[Recorded, Recorded] | None, folder: Path) -> None:
    """Write the node that deviates first, as the second model has it if that is an .onnx file, else as the first has it."""
    if deviating is None:
        found.unwritten = "no node's result is known to differ"
        return
    mine, theirs = deviating
    found.unwritten = "nodes are written of .onnx files alone"
    for run, at, expected in ((runs[1], theirs, mine), (runs[0], mine, theirs)):
        if isinstance(run, OnnxRun):
            try:
                found.reproduction, found.unwritten = run.reproduce(at, expected.value, folder), ""
                return
            except BridgeError as e:
                found.unwritten = str(e)


def deviation(x: Any, y: Any, rtol: float, atol: float) -> str:
    """In what two results differ beyond the tolerances; "" when they do not."""
    if isinstance(x, list | tuple) or isinstance(y, list | tuple):
        if not isinstance(x, list | tuple) or not isinstance(y, list | tuple) or len(x) != len(y):
            return "lists of different lengths"
        texts = [(i, deviation(p, q, rtol, atol)) for i, (p, q) in enumerate(zip(x, y, strict=True))]
        return next((f"element {i}: {t}" for i, t in texts if t), "")
    if isinstance(x, dict) or x is None or y is None:
        return "" if type(x) is type(y) and repr(x) == repr(y) else f"{x!r} and {y!r}"
    p, q = np.asarray(x), np.asarray(y)
    if p.shape != q.shape:
        return f"shapes {list(p.shape)} and {list(q.shape)}"
    if p.dtype != q.dtype:
        return f"element types {p.dtype} and {q.dtype}"
    if p.dtype.kind not in "fciub":
        return "" if p.tolist() == q.tolist() else "the values differ"
    same = np.isclose(p, q, rtol, atol, equal_nan=True)
    if same.all():
        return ""
    at = tuple(int(i) for i in np.argwhere(~same)[0]) if p.ndim else ()
    where = f" first at {list(at)}:" if at else ""
    worst = ""
    if p.dtype.kind in "fiu":
        with np.errstate(all="ignore"):
            worst = f", by at most {np.nanmax(np.abs(p.astype(np.float64) - q.astype(np.float64))):.4g}"
    return f"{int((~same).sum()):,} of {p.size:,} elements differ{worst};{where} {p[at]} and {q[at]}"
