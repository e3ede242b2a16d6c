"""Times and peak memory of reading and writing ONNX files: ``python benchmarks/onnx_io.py [--quick] [--nodes N …] [--gigabytes G]``.

Generated models: ``layers.I.weight`` tensors of 8×8, and MatMul, Relu, Add and Softmax for each. Beside ``bridge.onnx.load`` and ``export``
stand ``onnx.load`` and ``onnx.save`` (the floor), beside printing and recompiling those of onnxscript (extra ``oracle``). Each number is of a process of its own:
the best of a few repeats, by the clock and of the processor (which the ratio is of), and by how much the peak of its memory is
above what it was before. No time is ever an error.
"""

import argparse
import gc
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).resolve()
#: A process that takes longer is not waited for.
LIMIT = 180


# -- What one process measures ---------------------------------------------------------------------------------------


def generate(nodes: int, path: Path) -> None:
    """A chain of so many nodes, with a weight for every four."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    weight = np.full((8, 8), 0.1, np.float32)
    made, tensors, x = [], [], "x"
    for i in range(nodes // 4):
        tensors.append(numpy_helper.from_array(weight, f"layers.{i}.weight"))
        for op, inputs in (
            ("MatMul", [x, tensors[-1].name]),
            ("Relu", [f"m{i}"]),
            ("Add", [f"r{i}", x]),
            ("Softmax", [f"a{i}"]),
        ):
            attributes = {"axis": -1} if op == "Softmax" else {}
            made.append(helper.make_node(op, inputs, [f"{op[0].lower()}{i}"], name=f"/layers.{i}/{op}", **attributes))
        x = f"s{i}"
    values = [helper.make_tensor_value_info(name, 1, ["batch", 8]) for name in ("x", x)]
    graph = helper.make_graph(made, "chain", values[:1], values[1:], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def generate_large(megabytes: int, path: Path) -> None:
    """Products with matrices of 64 MiB each, in a file beside the model."""
    import numpy as np
    import onnx
    from onnx import external_data_helper, helper, numpy_helper

    made, tensors, x = [], [], "x"
    for i in range(max(megabytes // 64, 1)):
        t = numpy_helper.from_array(np.full((4096, 4096), i, np.float32), f"layers.{i}.weight")
        tensors.append(t)
        made.append(helper.make_node("MatMul", [x, t.name], [f"m{i}"], name=f"/layers.{i}/MatMul"))
        x = f"m{i}"
    values = [helper.make_tensor_value_info(name, 1, ["batch", 4096]) for name in ("x", x)]
    graph = helper.make_graph(made, "large", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    external_data_helper.convert_model_to_external_data(model, location="large.data")
    onnx.save(model, path)


def bare(path: Path, folder: Path) -> Callable[[], object]:
    import onnx

    def action() -> None:
        model = onnx.load(path)
        large = any(t.ByteSize() > 1 << 20 for t in model.graph.initializer)
        onnx.save(model, folder / "bare.onnx", save_as_external_data=large, location="bare.data" if large else None)

    return action


def bridged(path: Path, folder: Path) -> Callable[[], object]:
    import bridge.onnx

    return lambda: bridge.onnx.export(bridge.onnx.load(path), f=folder / "bridge.onnx")


def bridge_printed(path: Path, folder: Path) -> Callable[[], object]:
    """Load, print as a file, import the file, script it, export it."""
    import bridge
    import bridge.onnx

    rounds: list[int] = []

    def action() -> None:
        rounds.append(1)
        file = folder / f"printed_{len(rounds)}.py"
        bridge.onnx.write_python(bridge.onnx.load(path), file)
        bridge.onnx.export(bridge.jit.script(_imported(file).model()), f=folder / "printed.onnx")

    return action


def script_printed(path: Path, folder: Path) -> Callable[[], object]:
    """Load, print as a file with the weights in it, import the file (which compiles it), make the model."""
    import onnx
    from onnxscript.backend import onnx_export

    rounds: list[int] = []

    def action() -> None:
        rounds.append(1)
        file = folder / f"script_{len(rounds)}.py"
        file.write_text(onnx_export.export2python(onnx.load(path), function_name="main"))
        onnx.save(_imported(file).main.to_model_proto(), folder / "script.onnx")

    return action


def _imported(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ACTIONS = {"onnx": bare, "bridge": bridged, "bridge printed": bridge_printed, "onnxscript printed": script_printed}


def one(action: str, path: str, repeats: str) -> dict[str, float]:
    """Seconds of the best repeat (of the clock, and of the processor), and MB that the peak of memory rose by in the first."""
    with tempfile.TemporaryDirectory() as folder:
        run = ACTIONS[action](Path(path), Path(folder))
        small = Path(folder) / "small.onnx"
        generate(8, small)
        ACTIONS[action](small, Path(folder))()  # what is loaded on first use is not the model's
        found = []
        for i in range(int(repeats)):
            gc.collect()
            with Peak(watched=i == 0) as peak:
                start, busy = time.perf_counter(), time.process_time()
                run()
                found.append((time.perf_counter() - start, time.process_time() - busy))
            if i == 0:
                rise = peak.rise
    return {"seconds": min(t for t, _ in found), "processor": min(t for _, t in found), "megabytes": rise}


class Peak:
    """Watches how far the memory of the process rises that no file stands behind (mapped files the system takes back when it must)."""

    def __init__(self, watched: bool) -> None:
        self.watched, self.rise, self.ended = watched, 0.0, threading.Event()

    def __enter__(self) -> Self:
        if self.watched:
            self.before, self.most = _memory(), 0.0
            self.thread = threading.Thread(target=self._watch)
            self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.ended.wait(0.005):
            self.most = max(self.most, _memory())

    def __exit__(self, *_: object) -> None:
        if self.watched:
            self.ended.set()
            self.thread.join()
            self.rise = max(self.most, _memory()) - self.before


def _memory() -> float:
    """MB of memory that no file stands behind; where the system does not tell, the peak of all memory."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return sum(int(lines[name].split()[0]) for name in ("RssAnon", "RssShmem")) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


# -- The tables --------------------------------------------------------------------------------------------------------


def measured(action: str, path: Path, repeats: int) -> dict[str, float] | None:
    """What a process of its own measures; None where it fails or takes too long."""
    command = [sys.executable, str(HERE), "--one", action, str(path), str(repeats)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return None
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None  # type: ignore[no-any-return]


def row(name: str, found: dict[str, float] | None, base: dict[str, float] | None, limit: str) -> str:
    if found is None:
        return f"{name:20}{limit:>12}"
    ratio = found["processor"] / base["processor"] if base else float("nan")
    return f"{name:20}{found['seconds'] * 1e3:12,.1f}{found['processor'] * 1e3:12,.1f}{ratio:9.2f}{found['megabytes']:12,.0f}"


def compare(title: str, path: Path, names: list[str], repeats: int) -> None:
    print(f"\n{title}\n{'':20}{'ms':>12}{'processor':>12}{'ratio':>9}{'MB more':>12}")
    base = measured(names[0], path, repeats)
    for i, name in enumerate(names):
        found = base if i == 0 else measured(name, path, repeats)
        print(row(name, found, base, f"not in {LIMIT} s"), flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        warnings.simplefilter("ignore")
        print(json.dumps(one(*sys.argv[2:])))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small models, once, to see that it runs")
    parser.add_argument("--nodes", type=int, nargs="*", default=[100, 1_000, 10_000, 50_000])
    parser.add_argument("--gigabytes", type=float, default=1.0)
    options = parser.parse_args()
    if options.quick:
        options.nodes, options.gigabytes = [100, 400], 0.0625
    printed = ["bridge printed", *(["onnxscript printed"] if importlib.util.find_spec("onnxscript") else [])]
    with tempfile.TemporaryDirectory() as folder:
        for nodes in options.nodes:
            path = Path(folder, f"chain_{nodes}.onnx")
            generate(nodes, path)
            repeats = 1 if options.quick else max(3, min(20, 20_000 // nodes))
            compare(f"{nodes:,} nodes: load and save", path, ["onnx", "bridge"], repeats)
            compare(
                f"{nodes:,} nodes: print, recompile, save", path, printed, 1 if options.quick or nodes > 5_000 else 3
            )
        path = Path(folder, "large.onnx")
        generate_large(int(options.gigabytes * 1024), path)
        title, repeats = f"{options.gigabytes:g} GB of weights", 1 if options.quick else 3
        compare(f"{title}: load and save", path, ["onnx", "bridge"], repeats)
        compare(f"{title}: print, recompile, save", path, ["bridge printed"], 1)


if __name__ == "__main__":
    main()
