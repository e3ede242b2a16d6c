"""Programs with control flow: how long it takes to compile, export and run them, beside PyTorch.

``python benchmarks/control_flow.py [--quick] [--rounds N] [PROGRAM]…`` takes the programs of ``tests/corpus``. Every time is shown as
a ratio of medians measured in one run, the contestants taking turns, so that what else the machine does falls on all alike:

- *export*: script and export, of a new module in a warm process; ``bridge`` is 1.
- *run*: one call on the program's inputs, ``eager`` is eager PyTorch's and is 1. ``onnx`` is the exported model in plain onnxruntime,
  ``bridge`` a call of the scripted module, ``jit`` torch.jit.script, ``old`` and ``new`` the models of torch's two exporters
  (``dynamo=False`` on the scripted module, ``dynamo=True`` on the eager one).

Contestants that are not installed, or that cannot take a program, are left out. No time is ever an error.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support import corpus

import bridge

HAS_TORCH = importlib.util.find_spec("torch") is not None
HAS_NEW = HAS_TORCH and importlib.util.find_spec("onnxscript") is not None
Call = Callable[[], object]


def session(model: Any) -> Any:
    """A session as a small model wants it: one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def feeds(opened: Any, arguments: Any) -> dict[str, Any] | None:
    """The arguments by input name; None when the model takes others."""
    import numpy as np

    def array(v: Any) -> Any:
        return [array(x) for x in v] if isinstance(v, list) else np.asarray(v.numpy() if hasattr(v, "numpy") else v)

    names = [i.name for i in opened.get_inputs()]
    values = [array(v) for v in arguments]
    return dict(zip(names, values, strict=True)) if len(names) == len(values) else None


@contextlib.contextmanager
def quiet() -> Any:
    """Nothing that a contestant prints, be it from C++."""
    logging.disable(logging.CRITICAL)
    sys.stdout.flush()
    kept = [os.dup(1), os.dup(2)]
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for at, old in zip((1, 2), kept, strict=True):
                os.dup2(old, at)
                os.close(old)
            logging.disable(logging.NOTSET)


class Contest:
    """One program: what each contestant exports and calls. ``exports`` and ``calls`` are by contestant."""

    def __init__(self, name: str, folder: str) -> None:
        self.file = f"{folder}/{name}.onnx"
        self.mine = corpus.load("bridge")[name][1]
        self.theirs = corpus.load("torch")[name][1] if HAS_TORCH else None
        self.exports: dict[str, Call] = {"bridge": self._bridge_export}
        if self.theirs is not None:
            self.exports["torch old"] = self._old_export
            if HAS_NEW:
                self.exports["torch new"] = self._new_export

    def _bridge_export(self) -> Any:
        import bridge.onnx

        return bridge.onnx.export(corpus.script(bridge, self.mine), corpus.inputs(bridge, self.mine)[0], self.file)

    def _old_export(self) -> Any:
        import torch

        buffer = io.BytesIO()
        example = corpus.inputs(torch, self.theirs)[0]
        torch.onnx.export(corpus.script(torch, self.theirs), example, buffer, dynamo=False)
        return buffer.getvalue()

    def _new_export(self) -> Any:
        import torch

        made = corpus.make(torch, self.theirs)
        if not isinstance(made, torch.nn.Module):
            raise TypeError("it takes modules only")
        program = torch.onnx.export(made, corpus.inputs(torch, self.theirs)[0], verbose=False)
        return program.model_proto.SerializeToString()

    def calls(self, models: dict[str, Any]) -> dict[str, Call]:
        """A call of every contestant on the first inputs; ``models`` are what they exported."""
        found: dict[str, Call] = {}
        mine = corpus.inputs(bridge, self.mine)[0]
        for name, model in models.items():
            label = {"bridge": "onnx", "torch old": "old", "torch new": "new"}[name]
            with contextlib.suppress(Exception):
                opened = session(self.file if name == "bridge" else model)
                fed = feeds(opened, mine)
                if fed is not None:
                    found[label] = partial(opened.run, None, fed)
        with contextlib.suppress(Exception):
            found["bridge"] = partial(corpus.script(bridge, self.mine), *mine)
        if self.theirs is not None:
            import torch

            example = corpus.inputs(torch, self.theirs)[0]
            found["eager"] = partial(corpus.make(torch, self.theirs), *example)
            with contextlib.suppress(Exception):
                found["jit"] = partial(corpus.script(torch, self.theirs), *example)
        return found


def medians(actions: dict[str, Call], rounds: int, seconds: float) -> dict[str, float]:
    """The median time of each action; they take turns. An action that fails is left out."""
    times: dict[str, list[float]] = {}
    for name, action in actions.items():
        with contextlib.suppress(Exception), quiet():
            for _ in range(3):
                action()
            times[name] = []
    began = time.perf_counter()
    for n in range(rounds):
        for name, found in times.items():
            start = time.perf_counter()
            actions[name]()
            found.append(time.perf_counter() - start)
        if n >= 4 and time.perf_counter() - began > seconds:
            break
    return {name: statistics.median(found) for name, found in times.items()}


def once(action: Call) -> tuple[Any, float] | None:
    """What an action gives and how long it took the second time; None when it fails."""
    try:
        with quiet():
            action()
            start = time.perf_counter()
            made = action()
            return made, time.perf_counter() - start
    except Exception:  # noqa: BLE001 (whatever a contestant says)
        return None


def ratios(row: dict[str, float], base: str, columns: list[str]) -> str:
    """The cells of a line."""
    if base not in row:
        return "".join(f"{'–':>10}" for _ in columns)
    return "".join(f"{row[c] / row[base]:10.2f}" if c in row else f"{'–':>10}" for c in columns)


EXPORTERS = ["torch old", "torch new"]
RUNNERS = ["onnx", "bridge", "jit", "old", "new"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few programs and repeats, to see that it runs")
    parser.add_argument("--rounds", type=int, default=400, help="calls per contestant, at most")
    parser.add_argument("--no-new", action="store_true", help="without torch's default exporter, which takes seconds")
    parser.add_argument("programs", nargs="*")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    names = options.programs or corpus.names()
    if options.quick:
        names, options.rounds = names[:3], 20
    if HAS_TORCH:
        import torch

        torch.set_num_threads(1)
        torch.set_grad_enabled(False)
    exports: dict[str, dict[str, float]] = {}
    runs: dict[str, dict[str, float]] = {}
    print(f"{'':28}{'export ms':>10}" + "".join(f"{c:>10}" for c in EXPORTERS) + f"{'eager µs':>11}" + "".join(f"{c:>10}" for c in RUNNERS))  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            contest = Contest(name, folder)
            if options.no_new or options.quick:
                contest.exports.pop("torch new", None)
            made = {k: found for k, action in contest.exports.items() if (found := once(action)) is not None}
            quick = {k: contest.exports[k] for k in made if k != "torch new"}
            exports[name] = {k: seconds for k, (_, seconds) in made.items()} | medians(quick, 9, 4)
            calls = contest.calls({k: model for k, (model, _) in made.items()})
            runs[name] = medians({k: calls[k] for k in ("eager", *RUNNERS) if k in calls}, options.rounds, 3)
            print(f"{name:28}{exports[name].get('bridge', float('nan')) * 1e3:10.1f}{ratios(exports[name], 'bridge', EXPORTERS)}"
                  f"{runs[name].get('eager', float('nan')) * 1e6:11.1f}{ratios(runs[name], 'eager', RUNNERS)}", flush=True)  # fmt: skip
    print(
        f"{'median of ratios':28}{'':>10}"
        + _medians(exports, "bridge", EXPORTERS)
        + f"{'':>11}"
        + _medians(runs, "eager", RUNNERS)
    )


def _medians(rows: dict[str, dict[str, float]], base: str, columns: list[str]) -> str:
    cells = []
    for c in columns:
        found = [r[c] / r[base] for r in rows.values() if base in r and c in r]
        cells.append(f"{statistics.median(found):10.2f}" if found else f"{'–':>10}")
    return "".join(cells)


if __name__ == "__main__":
    main()
