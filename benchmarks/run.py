"""Prints the timings that README quotes: ``python benchmarks/run.py [--quick] [import|export|call]…``.

Medians; each row of imports and exports is measured in processes of its own, because the first time is what a user waits for.
Rows for torch need the extra ``oracle``; without it they are left out. No time is ever an error.
"""

import argparse
import importlib
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
HAS_TORCH = importlib.util.find_spec("torch") is not None


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def steady(action: Callable[[], object], repeats: int) -> float:
    """The median of many calls after some that warm up."""
    for _ in range(min(repeats, 50)):
        action()
    return statistics.median(seconds(action) for _ in range(repeats))


def in_processes(measure: str, repeats: int, *arguments: str) -> dict[str, float]:
    """Medians of what ``measure`` of this file prints in fresh processes."""
    found: list[dict[str, float]] = []
    for _ in range(repeats):
        command = [sys.executable, str(HERE / "run.py"), "--one", measure, *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=600, check=False, stdin=subprocess.DEVNULL
        )
        if done.returncode != 0:
            sys.exit(f"{measure} {arguments} failed:\n{done.stderr}")
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


# -- What one process measures ---------------------------------------------------------------------------------------


def one_import(name: str) -> dict[str, float]:
    return {"seconds": seconds(lambda: importlib.import_module(name))}


def one_export(exporter: str) -> dict[str, float]:
    """Seconds to script and export the first time in the process, and the median of new modules of the same class."""
    torch = importlib.import_module("bridge" if exporter == "bridge" else "torch")
    sys.path.insert(0, str(HERE))
    from models import parts

    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/model.onnx"

        def export(made: dict[str, Any]) -> None:
            if exporter == "torch default":  # it takes no scripted module, and no decision on data
                torch.onnx.export(made["plain"], made["loop_inputs"], file, verbose=False)
            elif exporter == "torch scripted":
                torch.onnx.export(torch.jit.script(made["loop"]), made["loop_inputs"], file, dynamo=False)
            else:
                torch.onnx.export(torch.jit.script(made["loop"]), made["loop_inputs"], file)

        made = [parts(torch) for _ in range(3 if exporter == "torch default" else 12)]
        first, *later = (seconds(partial(export, one)) for one in made)
    return {"first": first, "again": statistics.median(later)}


def one_call(kind: str, repeats: str) -> dict[str, float]:
    """Seconds of the first call of a new module, and of a steady call."""
    torch = importlib.import_module("torch" if kind.startswith("torch") else "bridge")
    sys.path.insert(0, str(HERE))
    from models import parts

    made = parts(torch)
    x, h = made["cell_inputs"]
    scripted = torch.jit.script(made["cell"])
    call: Callable[[], object] = lambda: scripted(x, h)
    if kind == "session.run":
        import onnxruntime

        model = torch.onnx.export(scripted, (x, h)).model_proto
        feeds = dict(zip((value.name for value in model.graph.input), (x.numpy(), h.numpy()), strict=True))
        data = model.SerializeToString()
        # One thread, as for every small model: the pool costs more than it gives.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        opened: list[Any] = []

        def call() -> object:
            if not opened:
                opened.append(onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]))
            return opened[0].run(None, feeds)

    if kind.endswith("no_grad"):
        with torch.no_grad():
            return {"first": seconds(call), "steady": steady(call, int(repeats))}
    return {"first": seconds(call), "steady": steady(call, int(repeats))}


# -- Tables ----------------------------------------------------------------------------------------------------------


def table(title: str, columns: dict[str, str], rows: dict[str, dict[str, float]], base: str) -> None:
    """Times of the rows, and beside each the ratio to the row `base`; columns name what is shown, and its unit."""
    print(f"\n{title}")
    print(f"{'':18}" + "".join(f"{f'{name} ({unit})':>16}{'ratio':>9}" for name, unit in columns.items()))
    for name, row in rows.items():
        line = f"{name:18}"
        for column, unit in columns.items():
            scale = {"ms": 1e3, "µs": 1e6}[unit]
            line += f"{row[column] * scale:16.2f}{row[column] / rows[base][column]:9.2f}"
        print(line)


def run_import(quick: bool) -> None:
    names = ["numpy", "bridge", "onnxruntime", *(["torch"] if HAS_TORCH else [])]
    rows = {name: in_processes("import", 3 if quick else 11, name) for name in names}
    table("import", {"seconds": "ms"}, rows, "numpy")


def run_export(quick: bool) -> None:
    names = ["bridge", *(["torch scripted", "torch default"] if HAS_TORCH else [])]
    rows = {name: in_processes("export", 1 if quick else 5, name) for name in names}
    table(
        "script and export the tutorial's loop (torch default: without the gate)",
        {"first": "ms", "again": "ms"},
        rows,
        "bridge",
    )


def run_call(quick: bool) -> None:
    names = ["session.run", "bridge", "bridge no_grad", *(["torch", "torch no_grad"] if HAS_TORCH else [])]
    rows = {name: in_processes("call", 1 if quick else 5, name, "200" if quick else "5000") for name in names}
    table("call the tutorial's scripted cell", {"first": "ms", "steady": "µs"}, rows, "session.run")


ALL = {"import": run_import, "export": run_export, "call": run_call}
ONE = {"import": one_import, "export": one_export, "call": one_call}


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        warnings.simplefilter("ignore")
        print(json.dumps(ONE[sys.argv[2]](*sys.argv[3:])))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few repeats only, to see that it runs")
    parser.add_argument("which", nargs="*", choices=[*ALL, []], help="all when none is named")
    options = parser.parse_args()
    for name in options.which or ALL:
        ALL[name](options.quick)


if __name__ == "__main__":
    main()
