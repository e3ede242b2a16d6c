"""Programs with control flow: how long it takes to compile, export and run them, beside PyTorch.

``python benchmarks/control_flow.py [--quick] [--rounds N] [PROGRAM]…`` takes the programs of ``tests/corpus``. Every time is shown as
a ratio of medians measured in one run, of processor time, the contestants taking many short turns, so that what else the machine does falls on all
alike:

- *export*: script and export, of a new module in a warm process; ``bridge`` is 1.
- *run*: one call on the program's inputs, ``eager`` is eager PyTorch's and is 1. ``onnx`` is the exported model in plain onnxruntime,
  ``bridge`` a call of the scripted module, ``jit`` torch.jit.script, ``old`` and ``new`` the models of torch's two exporters
  (``dynamo=False`` on the scripted module, ``dynamo=True`` on the eager one).

Contestants that are not installed, or that cannot take a program, are left out; one that hangs is given up. A model that
gives something else than the program on some of its inputs is in parentheses. The last columns say who else is quicker than the exported
model, and by how much, and who is quicker than both ``onnx`` and ``bridge``. ``--write docs/speed.md`` puts the table there. No time is ever an
error.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import logging
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
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
    """The arguments by input name, structures taken apart; None when the model takes others."""
    names = [i.name for i in opened.get_inputs()]
    values = [leaf for a in arguments for leaf in corpus.leaves(a) if leaf is not None]
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


#: The column of a contestant's model, by who exported it.
LABELS = {"bridge": "onnx", "torch old": "old", "torch new": "new"}


class _Bytes(bytes):
    """A model that is written already."""

    def SerializeToString(self) -> bytes:
        return bytes(self)


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

    def wrong(self, models: dict[str, Any], skip: set[str], begins: Callable[[str], None]) -> list[str]:
        """Whose models do not compute what the program computes on all of its inputs, some of which take other ways than the example."""
        if self.theirs is None:
            return []
        import torch

        sets = corpus.inputs(torch, self.theirs)
        expected = corpus.outcomes(torch, corpus.make(torch, self.theirs), sets)
        found = []
        for name, model in models.items():
            if f"check {name}" in skip:  # it does not end
                found.append(LABELS[name])
                continue
            begins(f"check {name}")
            try:
                data = Path(self.file).read_bytes() if name == "bridge" else model
                with quiet():
                    why = corpus.onnx_disagreement(_Bytes(data), corpus.inputs(bridge, self.mine), expected)
            except Exception as error:  # noqa: BLE001 (whatever a model makes of it)
                why = str(error) or "it fails"
            if why:
                found.append(LABELS[name])
        return found

    def calls(self, models: dict[str, Any]) -> dict[str, Call]:
        """A call of every contestant on the first inputs; ``models`` are what they exported."""
        found: dict[str, Call] = {}
        mine = corpus.inputs(bridge, self.mine)[0]
        for name, model in models.items():
            label = LABELS[name]
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


#: How long a turn of a contestant takes at least, in seconds: the calls of a turn are timed together.
TURN = 4e-4


def medians(actions: dict[str, Call], rounds: int, seconds: float, warm: bool = False) -> dict[str, float]:
    """The median time of each action; they take turns, many short ones. An action that fails is left out.

    What is timed is what the process has of the processor, so that others who use the machine do not count. ``warm``: quick calls are made
    several in a turn, after one that is not timed, because the first one after another contestant's finds its code in no cache.
    """
    calls: dict[str, int] = {}
    for name, action in actions.items():
        with contextlib.suppress(Exception), quiet():
            for _ in range(5 if warm else 1):  # torch.jit optimises on the third
                action()
            start = time.process_time()
            action()
            calls[name] = max(1, int(TURN / max(time.process_time() - start, 1e-6))) if warm else 1
    times: dict[str, list[float]] = {name: [] for name in calls}
    began = time.perf_counter()
    for n in range(rounds):
        for name, found in list(times.items()):
            try:
                found.append(_turn(actions[name], calls[name], warm))
            except Exception:  # noqa: BLE001 (a program that keeps something may have no room for more of it)
                del times[name]
        if n >= 4 and time.perf_counter() - began > seconds:
            break
    return {name: statistics.median(found) for name, found in times.items() if found}


def _turn(action: Call, calls: int, warm: bool) -> float:
    if warm:
        action()
    start = time.process_time()
    for _ in range(calls):
        action()
    return (time.process_time() - start) / calls


def once(action: Call, again: bool) -> tuple[Any, float] | None:
    """What an action gives and how long it took (the second time, if ``again``); None when it fails."""
    try:
        with quiet():
            if again:
                action()
            start = time.process_time()
            made = action()
            return made, time.process_time() - start
    except Exception:  # noqa: BLE001 (whatever a contestant says)
        return None


EXPORTERS = ["torch old", "torch new"]
RUNNERS = ["onnx", "bridge", "jit", "old", "new"]
MINE = ("onnx", "bridge")
Row = dict[
    str, dict[str, float]
]  # "export" and "run": seconds by contestant; "wrong": whose models compute something else


# -- one process that measures, one that watches it ------------------------------------------------------------------------


def measure(name: str, skip: set[str], options: argparse.Namespace, folder: str, begins: Callable[[str], None]) -> Row:
    """The times of a program; ``begins`` is told of each contestant before it may hang."""
    contest = Contest(name, folder)
    made = {}
    for k, action in contest.exports.items():
        if k in skip or (k == "torch new" and (options.no_new or options.quick)):
            continue
        begins(k)
        found = once(action, again=k != "torch new")  # that one takes seconds
        if found is not None:
            made[k] = found
    quick = {k: contest.exports[k] for k in made if k != "torch new"}
    begins("exports")
    exports = {k: seconds for k, (_, seconds) in made.items()} | medians(quick, 9, options.seconds)
    calls = contest.calls({k: model for k, (model, _) in made.items()})
    models = {k: model for k, (model, _) in made.items()}
    wrong = dict.fromkeys(contest.wrong(models, skip, begins), 1.0)
    begins("runs")
    wanted = {k: calls[k] for k in ("eager", *RUNNERS) if k in calls and k not in skip}
    return {"export": exports, "run": medians(wanted, options.rounds, options.seconds, warm=True), "wrong": wrong}


def work(options: argparse.Namespace) -> None:
    """Measure the programs that are asked for, a line of JSON each."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")  # what contestants print is not for the watcher

    def tell(**found: Any) -> None:
        out.write(json.dumps(found) + "\n")
        out.flush()

    warnings.simplefilter("ignore")
    bridge.set_grad_enabled(False)
    if HAS_TORCH:
        import torch

        torch.set_num_threads(1)
        torch.set_grad_enabled(False)
        if HAS_NEW and not (options.no_new or options.quick):  # its first export of a process takes longer
            with quiet(), contextlib.suppress(Exception):
                torch.onnx.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),), verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        for item in options.programs:
            name, *skip = item.split(":")
            row = measure(name, set(skip), options, folder, lambda tool, name=name: tell(program=name, begins=tool))
            tell(program=name, row=row)


def results(names: list[str], options: argparse.Namespace) -> Iterator[tuple[str, Row]]:
    """The times of each program. A contestant that takes longer than the limit is ended, and the program measured without it."""
    skip: dict[str, set[str]] = {n: set() for n in names}
    left = list(names)
    while left:
        items = [":".join([n, *sorted(skip[n])]) for n in left]
        flags = ["--rounds", str(options.rounds), "--seconds", str(options.seconds)]
        flags += [f for f, on in (("--quick", options.quick), ("--no-new", options.no_new)) if on]
        command = [sys.executable, __file__, "--worker", *flags, *items]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
            tool = "exports"
            for found in _lines(worker, options.limit):
                tool = found.get("begins", tool)
                if "row" in found:
                    left.remove(found["program"])
                    yield found["program"], found["row"]
            worker.kill()
        if left and tool in skip[left[0]] | {"exports", "runs"}:
            yield left.pop(0), {"export": {}, "run": {}, "wrong": {}}
        elif left:
            skip[left[0]].add(tool.removeprefix("check "))


def _lines(worker: Any, limit: float) -> Iterator[dict[str, Any]]:
    """What the worker tells, until it says nothing for that long."""
    buffer = b""
    while select.select([worker.stdout], [], [], limit)[0]:
        data = os.read(worker.stdout.fileno(), 1 << 16)
        if not data:
            return
        buffer += data
        *lines, buffer = buffer.split(b"\n")
        yield from map(json.loads, lines)


# -- the table ---------------------------------------------------------------------------------------------------------------


def cells(name: str, row: Row) -> list[str]:
    """A line of the table."""
    exports, runs = row["export"], row["run"]
    mine, eager = exports.get("bridge"), runs.get("eager")
    line = [name, f"{mine * 1e3:.1f}" if mine else "–"]
    line += [f"{exports[c] / mine:.1f}" if mine and c in exports else "–" for c in EXPORTERS]
    line += [f"{eager * 1e6:.0f}" if eager else "–"]
    told = {c: f"{runs[c] / eager:.2f}" for c in RUNNERS if eager and c in runs}
    line += [f"({told[c]})" if c in row["wrong"] and c in told else told.get(c, "–") for c in RUNNERS]
    return [*line, behind(row, "onnx"), behind(row, *MINE)]


def behind(row: Row, *mine: str) -> str:
    """Who is quicker than the quickest of ``mine``, and how much: that takes so many times as long."""
    runs = row["run"]
    others = {k: v for k, v in runs.items() if k not in MINE and k not in row["wrong"]}
    found = [runs[k] for k in mine if k in runs]
    if not found or not others:
        return ""
    best = min(others, key=others.__getitem__)
    ratio = min(found) / others[best]
    return f"{best} {ratio:.2f}" if ratio > 1.05 else ""


def summary(rows: dict[str, Row]) -> list[list[str]]:
    """Medians, the worst ratios, and on how many programs the exported model is no slower than the best of the others."""

    def line(name: str, of: Callable[[list[float]], float]) -> list[str]:
        out = [name, ""]
        for kind, base, columns in (("export", "bridge", EXPORTERS), ("run", "eager", RUNNERS)):
            for c in columns:
                found = [r[kind][c] / r[kind][base] for r in rows.values() if base in r[kind] and c in r[kind]]
                out.append(f"{of(found):.2f}" if found else "–")
            if kind == "export":
                out.append("")
        return [*out, "", ""]

    first = line("**median**", statistics.median)
    for at, mine in ((-2, ("onnx",)), (-1, MINE)):
        compared = [r for r in rows.values() if any(m in r["run"] for m in mine) and set(r["run"]) - set(MINE)]
        first[at] = f"no slower: {sum(not behind(r, *mine) for r in compared)} of {len(compared)}"
    return [first, line("**least**", min), line("**most**", max)]


HEAD = ["program", "export ms", *EXPORTERS, "eager µs", *RUNNERS, "than onnx", "than both"]


def markdown(rows: dict[str, Row]) -> str:
    """The table for a page."""
    lines = [HEAD, ["---"] * len(HEAD), *(cells(n, r) for n, r in rows.items()), *summary(rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def show(line: list[str]) -> None:
    print(f"{line[0]:28}" + "".join(f"{c:>10}" for c in line[1:-2]) + f"   {line[-2]:14} {line[-1]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few programs and repeats, to see that it runs")
    parser.add_argument("--rounds", type=int, default=60, help="turns of each contestant, at most")
    parser.add_argument(
        "--seconds", type=float, default=0.6, help="time for the exports of a program, and for its calls, about"
    )
    parser.add_argument("--limit", type=float, default=120.0, help="seconds after which a contestant is given up")
    parser.add_argument("--no-new", action="store_true", help="without torch's default exporter, which takes seconds")
    parser.add_argument("--write", type=Path, help="a Markdown page whose table is replaced")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("programs", nargs="*")
    options = parser.parse_args()
    if options.worker:
        work(options)
        return
    names = options.programs or corpus.names()
    if options.quick:
        names, options.rounds = names[:3], 20
    rows: dict[str, Row] = {}
    show(HEAD)
    for name, row in results(names, options):
        rows[name] = row
        show(cells(name, row))
    for line in summary(rows):
        show(line)
    if options.write is not None:
        text = options.write.read_text(encoding="utf-8")
        before, _, rest = text.partition("<!-- table -->\n")
        behind_it = rest.partition("<!-- end -->\n")[2]
        options.write.write_text(f"{before}<!-- table -->\n{markdown(rows)}<!-- end -->\n{behind_it}", encoding="utf-8")


if __name__ == "__main__":
    main()
