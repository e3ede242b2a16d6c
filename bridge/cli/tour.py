"""``bridge tour``: the main job from end to end on a small recurrent model. Every number it prints is computed there."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import bridge
from bridge.cli.console import show_python
from bridge.ir.errors import BridgeError

LENGTHS = (0, 1, 10, 23)


def run_tour(folder: Path) -> None:
    """Run the tour and leave its files in ``folder``. Raises BridgeError if any comparison fails."""
    folder.mkdir(parents=True, exist_ok=True)
    bridge.manual_seed(1)  # the example takes the gate's first branch
    eager, scripted = _capture()
    onnx_path = folder / "rnn.onnx"
    _export(scripted, onnx_path)
    _compare(eager, onnx_path)
    _read_back(scripted, onnx_path)
    archive = folder / "rnn.pt"
    _archive(scripted, eager, archive)
    _title("Files")
    for path in (onnx_path, archive):
        print(f"  {path.resolve()}  {path.stat().st_size:,} bytes")


def _capture() -> tuple[Any, Any]:
    from bridge.cli.tour_models import MyCell, MyDecisionGate, MyRNNLoop

    _title("1. Tracing records the operations that one example runs")
    cell = MyCell(MyDecisionGate())
    example = bridge.rand(3, 4), bridge.rand(3, 4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        traced = bridge.jit.trace(cell, example)
    show_python(traced.dg.code)
    show_python(traced.code)
    print("The `if` of the gate is gone: only the branch that the example took was recorded. What the tracer said:")
    said = [
        f"{Path(w.filename).name}:{w.lineno}: {w.category.__name__}: {str(w.message).split('. ')[0]}" for w in caught
    ]
    for line in dict.fromkeys(said):  # once, though checking the trace ran it again
        print(f"  {line}")
    _lost(cell, traced)
    _title("2. Scripting compiles the source, control flow included")
    eager = MyRNNLoop(cell).eval()
    scripted = bridge.jit.script(eager)
    show_python(scripted.cell.dg.code)
    show_python(scripted.code)
    return eager, scripted


def _lost(cell: Any, traced: Any) -> None:
    """Show one input on which the trace is wrong."""
    with bridge.no_grad():
        for x, h in ((bridge.rand(3, 4) * s, bridge.zeros(3, 4)) for s in (1.0, -1.0, 10.0, -10.0)):
            error = float((cell(x, h)[0] - traced(x, h)[0]).abs().max())
            if error > 1e-5:
                print(f"On an input that takes the other branch the trace is off by {error:.3f}.")
                return
    raise BridgeError("no input was found on which the trace differs")


def _export(scripted: Any, path: Path) -> None:
    import onnx

    import bridge.onnx

    _title("3. The scripted program as ONNX")
    program = bridge.onnx.export(scripted, (bridge.rand(10, 3, 4),), path)
    model = program.model_proto
    onnx.checker.check_model(model, full_check=True)
    kinds = sorted({n.op_type for n in _nodes(model)})
    if not {"If", "Loop"} <= set(kinds):
        raise BridgeError(f"the exported model has no If and Loop: {kinds}")
    print(f"operators: {', '.join(kinds)}")
    print(f"functions: {', '.join(f.name for f in model.functions)}")
    print("onnx.checker accepts the model")


def _nodes(model: Any) -> Iterator[Any]:
    stack = [list(model.graph.node), *(list(f.node) for f in model.functions)]
    while stack:
        for node in stack.pop():
            yield node
            stack.extend(list(a.g.node) for a in node.attribute if a.HasField("g"))


def _compare(eager: Any, path: Path) -> None:
    import onnxruntime

    _title("4. onnxruntime alone against eager, on several lengths and on both branches")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    for length in LENGTHS:
        for sign in (1.0, -1.0):
            xs = bridge.randn(length, 3, 4) * 3 + sign
            with bridge.no_grad():
                expected = eager(xs)
                gates = [bool((eager.cell.linear(xs[i])).sum() > 0) for i in range(length)]
            got = session.run(None, {name: np.asarray(xs)})
            error = max(float(np.abs(np.asarray(e) - g).max(initial=0.0)) for e, g in zip(expected, got, strict=True))
            if error > 1e-5:
                raise BridgeError(f"length {length}: onnxruntime is off by {error}")
            print(
                f"  length {length:2}: branch taken {sum(gates):2} times, not {length - sum(gates):2}; error {error:.1e}"
            )


def _read_back(scripted: Any, path: Path) -> None:
    import bridge.onnx

    _title("5. The ONNX file, read back")
    back = bridge.onnx.load(path)
    show_python(back.code)
    same = {name: back.get_submodule(name).code == m.code for name, m in scripted.named_modules()}
    if not all(same.values()):
        raise BridgeError(f"the code differs in {[n for n, ok in same.items() if not ok]}")
    print(f"`.code` equals the original's, byte for byte, in all {len(same)} modules")


def _archive(scripted: Any, eager: Any, path: Path) -> None:
    _title("6. A TorchScript archive, saved and loaded")
    scripted.save(path)
    loaded = bridge.jit.load(path)
    print(loaded)
    xs = bridge.randn(7, 3, 4)
    with bridge.no_grad():
        error = max(float((a - b).abs().max()) for a, b in zip(loaded(xs), eager(xs), strict=True))
    if loaded.code != scripted.code or error > 1e-5:
        raise BridgeError("the loaded archive differs from the program that was saved")
    print(f"same code; error against eager {error:.1e}")


def _title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")
