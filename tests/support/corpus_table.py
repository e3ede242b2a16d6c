"""The table of docs/corpus.md: what holds for every program of the corpus, and why it does not where it does not.

``python -m support.corpus_table --update`` (in tests/, with torch installed) writes it again.
"""

import functools
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import bridge
from support import corpus
from support.scripts import imported_as_torch

PAGE = Path(__file__).resolve().parents[2] / "docs" / "corpus.md"

#: What is checked of each program. Cells hold "yes", "no: REASON", "–" where there is nothing to compare.
COLUMNS = {
    "code": "the scripted program prints as torch's does, byte for byte, all submodules included",
    "run": "the scripted program gives what eager torch gives, on every set of inputs, one call after the other",
    "interpreter": "so does the interpreter alone",
    "onnx": "so does the exported model in plain onnxruntime; what raises there raises, with the same message",
    "read back": "the exported model loads, prints as the program that was exported, and exports to the same model again",
    "trace": "the traced program prints as torch's does",
    "trace onnx": "the exported trace gives what torch's trace gives, on every set of inputs",
    "live script": "a torch.nn.Module, scripted as it is, prints and exports the same",
    "live trace": "a torch.nn.Module, traced as it is, prints and exports the same",
}
ORACLE = ("live script", "live trace")
BEYOND = "beyond"  # torch refuses to compile the program: there is no code to compare


def cell(check: Callable[[], str]) -> str:
    """A cell from what a check says is wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            why = check()
    except Exception as error:
        why = f"{type(error).__name__}: {corpus.first_line(str(error))}"
    return f"no: {why}".replace("|", "\\|") if why and why not in ("–", BEYOND) else why or "yes"


class Checks:
    """The checks of one program. Each gives what is wrong, or nothing."""

    def __init__(self, name: str) -> None:
        self.path, self.program = corpus.load("bridge")[name]
        self.expected = corpus.recorded(self.path.stem)[name]

    def sets(self) -> list[tuple[Any, ...]]:
        return corpus.inputs(bridge, self.program)

    @functools.cached_property
    def scripted(self) -> Any:
        with imported_as_torch("bridge"):
            return corpus.script(bridge, self.program)

    @functools.cached_property
    def traced(self) -> Any:
        with imported_as_torch("bridge"):
            return corpus.trace(bridge, self.program)

    @functools.cached_property
    def exported(self) -> Any:
        with imported_as_torch("bridge"):
            # One of its own: running the other changed its state.
            return bridge.onnx.export(corpus.script(bridge, self.program), self.sets()[0])

    def code(self) -> str:
        found = corpus.codes(self.scripted, self.path)
        if "script" not in self.expected:
            return BEYOND
        return _same_codes(found, self.expected["script"])

    def run(self) -> str:
        return corpus.disagreement(corpus.outcomes(bridge, self.scripted, self.sets()), self.expected["eager"])

    def interpreter(self) -> str:
        from bridge.jit.running import interpreted

        with imported_as_torch("bridge"):
            fresh = corpus.script(bridge, self.program)
        run = interpreted(fresh if hasattr(fresh, "_function") else fresh.forward)
        return corpus.disagreement(corpus.outcomes(bridge, run, self.sets()), self.expected["eager"])

    def onnx(self) -> str:
        return corpus.onnx_disagreement(self.exported.model_proto, self.sets(), self.expected["eager"])

    def read_back(self) -> str:
        loaded = bridge.onnx.load(self.exported.model_proto)
        if bridge.onnx.export(loaded).model_proto != self.exported.model_proto:
            return "another model when it is exported again"
        found, wanted = (corpus.codes(p, self.path) for p in (loaded, self.exported.specialised))
        # A method that is never called (a layer of which only the weights are read) is not in the model.
        return _same_codes(found, {path: code for path, code in wanted.items() if path in found or not path})

    def trace(self) -> str:
        if "trace" not in self.expected:
            return "–"
        return _same_codes(corpus.codes(self.traced, self.path), self.expected["trace"])

    def trace_onnx(self) -> str:
        if "trace" not in self.expected:
            return "–"
        model = bridge.onnx.export(self.traced, self.sets()[0]).model_proto
        return corpus.onnx_disagreement(model, self.sets(), self.expected["trace_runs"])

    # -- real torch modules ------------------------------------------------------------------------------------------

    @functools.cached_property
    def live(self) -> tuple[Any, Any]:
        """PyTorch, and the program as PyTorch's modules and functions."""
        torch = importlib.import_module("torch")
        torch.set_num_threads(1)
        return torch, corpus.load("torch")[self.program.name][1]

    def live_script(self) -> str:
        torch, program = self.live
        scripted = bridge.jit.script(corpus.make(torch, program))
        if "script" in self.expected and program.scripted is None:
            if why := _same_codes(corpus.codes(scripted, self.path), self.expected["script"]):
                return why
        model = bridge.onnx.export(scripted, self.sets()[0]).model_proto
        return corpus.onnx_disagreement(model, self.sets(), self.expected["eager"])

    def live_trace(self) -> str:
        if "trace" not in self.expected:
            return "–"
        torch, program = self.live
        made, example = corpus.make(torch, program), corpus.inputs(torch, program)[0]
        traced = bridge.jit.trace(made, example, check_trace=False)
        if why := _same_codes(corpus.codes(traced, self.path), self.expected["trace"]):
            return why
        model = bridge.onnx.export(traced, self.sets()[0]).model_proto
        return corpus.onnx_disagreement(model, self.sets(), self.expected["trace_runs"])


def _same_codes(found: dict[str, str], expected: dict[str, str]) -> str:
    if list(found) != list(expected):
        return f"code of {', '.join(found)} for {', '.join(expected)}"
    wrong = [n or "the program" for n in expected if found[n] != expected[n]]
    return f"the code of {', '.join(wrong)} differs" if wrong else ""


def row(name: str, columns: Iterable[str] = ()) -> dict[str, str]:
    """The cells of a program; without ``columns`` those that do not need torch."""
    checks = Checks(name)
    wanted = columns or [c for c in COLUMNS if c not in ORACLE]
    return {c: cell(getattr(checks, c.replace(" ", "_"))) for c in wanted}


@functools.cache
def live_rows() -> dict[str, dict[str, str]]:
    """The cells of all programs that need torch, found in a process of its own: functions of one name in two libraries would
    print under other names there."""
    seen = importlib.util.find_spec("bridge")
    assert seen is not None
    assert seen.origin is not None
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(corpus.FOLDER.parent), str(Path(seen.origin).parents[1])]),
    }
    done = subprocess.run(
        [sys.executable, "-m", "support.corpus_table", "--live"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


# -- The page --------------------------------------------------------------------------------------------------------


def page(rows: dict[str, dict[str, str]]) -> str:
    """The text of docs/corpus.md."""
    columns = [c for c in COLUMNS if any(c in cells for cells in rows.values())]
    lines = ["| program | sets | " + " | ".join(columns) + " |", "|---|---|" + "---|" * len(columns)]
    notes = []
    for name, cells in rows.items():
        shown = [_mark(cells.get(c, "–")) for c in columns]
        lines.append(f"| {name} | {len(corpus.load('bridge')[name][1].inputs())} | " + " | ".join(shown) + " |")
        notes += [
            f"- {name}, {c}: {cells[c].removeprefix('no: ')}" for c in columns if cells.get(c, "").startswith("no")
        ]
    legend = [f"- **{c}**: {COLUMNS[c]}." for c in columns]
    text = INTRODUCTION.format(programs=len(rows), beyond=sum(c["code"] == BEYOND for c in rows.values()))
    holds = " ".join(_total(rows, c) + "," for c in columns).rstrip(",")
    parts = [text, "\n".join(legend), f"Holds for: {holds}.", "\n".join(lines)]
    if notes:
        parts += ["## What does not hold", "\n".join(notes)]
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """\
# The corpus

What holds for every program in `tests/corpus/`: models with control flow that depends on data, each with inputs that take other
paths, other sizes and other numbers of iterations than the example it is captured with. There are {programs} programs; {beyond} of them are
Python that TorchScript refuses ("beyond": there is no code of torch to compare). `tests/test_corpus.py` holds this page true;
`python -m support.corpus_table --update` in `tests/` writes it again."""


def _mark(text: str) -> str:
    return {"yes": "✓"}.get(text, "✗" if text.startswith("no") else text)


def _total(rows: dict[str, dict[str, str]], column: str) -> str:
    cells = [cells[column] for cells in rows.values() if cells.get(column, "–") not in ("–", BEYOND)]
    return f"{column} {cells.count('yes')} of {len(cells)}"


def documented() -> dict[str, dict[str, str]]:
    """The cells that docs/corpus.md shows, by program."""
    text = PAGE.read_text(encoding="utf-8")
    table = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    why = dict(_notes(text))
    result = {}
    for name, _, *cells in table[1:]:
        named = dict(zip(table[0][2:], (c.strip() for c in cells), strict=True))
        result[name] = {
            c: "yes" if v == "✓" else f"no: {why[f'{name}, {c}']}" if v == "✗" else v for c, v in named.items()
        }
    return result


def _notes(text: str) -> Iterator[tuple[str, str]]:
    for line in text.partition("## What does not hold")[2].splitlines():
        if line.startswith("- "):
            key, _, reason = line[2:].partition(": ")
            yield key, reason


def main() -> None:
    if "--live" in sys.argv:
        print(json.dumps({name: row(name, ORACLE) for name in corpus.names()}))
        return
    rows = {}
    for name in corpus.names():
        rows[name] = {**row(name), **live_rows()[name]}
        wrong = {c: v for c, v in rows[name].items() if v.startswith("no")}
        print(name, wrong or "")
    if "--update" in sys.argv:
        PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
