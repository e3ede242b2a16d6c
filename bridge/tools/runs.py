"""One run of a model with everything it computes on the way, by keys that another model's run may share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError

__all__ = ["OnnxRun", "ProgramRun", "Recorded", "random_inputs"]


@dataclass(slots=True, frozen=True)
class Recorded:
    """A value of a run: its keys (what computes it, its name), its name, the node that computes it (or takes it first, if it is a
    weight), the value."""

    keys: tuple[str, ...]
    name: str
    node: str
    value: Any
    is_weight: bool = False


Inputs = Mapping[str, Any] | Sequence[Any]


def random_inputs(path: Path, seed: int) -> dict[str, Any]:
    """Inputs that an .onnx file's types allow: normal floats, integers and bools of 0 and 1, 2 for every free size.

    Raises BridgeError naming the input for which that cannot be done.
    """
    from onnx import helper

    from bridge.importers.onnx.reader import read_model

    graph = read_model(path)[0].graph
    initial = {t.name for t in graph.initializer}
    random = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for i in graph.input:
        if i.name in initial:
            continue
        t = i.type.tensor_type
        if i.type.WhichOneof("value") != "tensor_type" or not t.HasField("shape") or not t.elem_type:
            raise BridgeError(f"give the value of input '{i.name}': its type does not tell what it may be")
        dims = [d.dim_value if d.HasField("dim_value") else 2 for d in t.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(t.elem_type)
        if dtype.kind == "O":
            raise BridgeError(f"give the value of input '{i.name}': it is a text")
        normal = dtype.kind not in "iub"
        values = random.standard_normal(dims) if normal else random.integers(0, 2, dims)
        found[i.name] = np.asarray(values).astype(dtype)
    return found


def _in_order(inputs: Inputs, names: Sequence[str]) -> list[Any]:
    """The inputs in the order of ``names``. Inputs by name fit by name, or, where two models name them differently, by order."""
    if not isinstance(inputs, Mapping):
        values = list(inputs)
    elif set(names) <= set(inputs):
        values = [inputs[n] for n in names]
    else:
        values = list(inputs.values())
    if len(values) != len(names):
        raise BridgeError(f"the model takes {len(names)} inputs ({', '.join(names)}), not {len(values)}")
    return [_plain(v) for v in values]


def _plain(v: Any) -> Any:
    if isinstance(v, list | tuple):
        return type(v)(_plain(x) for x in v)
    array = getattr(v, "_array", None)
    return v if array is None else np.asarray(array)


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, tuple):
        for i, v in enumerate(value):
            yield from _flat(f"{name}_{i}", v)
    elif isinstance(value, dict):
        for k, v in value.items():
            yield from _flat(f"{name}_{k}", v)
    elif value is not None:
        yield name, _plain(value)


class OnnxRun:
    """An .onnx file in onnxruntime."""

    def __init__(self, path: Path, inputs: Inputs) -> None:
        from bridge.importers.onnx.reader import read_model

        self.path = path
        self.model, self.origin = read_model(path)
        initial = {t.name for t in self.model.graph.initializer}
        names = [i.name for i in self.model.graph.input if i.name not in initial]
        self.feed = dict(zip(names, (_fed(v) for v in _in_order(inputs, names)), strict=True))

    def outputs(self) -> list[tuple[str, Any]]:
        """The model's results by name."""
        return list(self._run(str(self.path), [o.name for o in self.model.graph.output]).items())

    def values(self) -> Iterator[Recorded]:
        """Inputs, weights, then what the nodes of the top level compute, in order."""
        from onnx import numpy_helper

        from bridge.exporters.onnx.large import embedded
        from bridge.tools.extraction import outer_names

        graph = self.model.graph
        makers = {name: n for n in graph.node for name in n.output if name}
        whole = embedded(self.model, self.origin.arrays(graph.initializer))
        known = {o.name for o in graph.output}
        whole.graph.output.extend(type(graph.output[0])(name=n) for n in makers if n not in known)
        takers = {name: n for n in reversed(graph.node) for name in outer_names(n)}
        for t in whole.graph.initializer:
            taker = f"a weight of {_node(takers[t.name])}" if t.name in takers else "a weight"
            yield Recorded((f"name {t.name}",), t.name, taker, numpy_helper.to_array(t), is_weight=True)
        found = self._run(whole.SerializeToString(), list(makers))
        for name, n in makers.items():
            keys = (f"name {name}", *(f"output {i}" for i, o in enumerate(graph.output) if o.name == name))
            yield Recorded(keys, name, _node(n), found[name])

    def _run(self, source: Any, names: list[str]) -> dict[str, Any]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
            return dict(zip(names, session.run(names, self.feed), strict=True))
        except Exception as e:  # onnxruntime's errors have no common base but this
            raise BridgeError(f"{self.path}: onnxruntime does not run it on these inputs: {e}") from e

    def reproduce(self, at: Recorded, expected: Any, folder: Path) -> list[Path]:
        """Write the node that computes a value as a model, the values that it gets, what it gives, and what is expected.

        Raises BridgeError saying why where that cannot be.
        """
        from bridge.exporters.onnx.large import embedded, save_model
        from bridge.tools.extraction import outer_names, part_of

        node = next((n for n in self.model.graph.node if at.name in n.output), None)
        if node is None:
            raise BridgeError(f"no node of {self.path}'s top level computes '{at.name}'")
        arrays = self.origin.arrays(self.model.graph.initializer)
        values = {r.name: r.value for r in self.values()} | self.feed
        initial = {t.name for t in self.model.graph.initializer}
        taken = [n for n in dict.fromkeys(outer_names(node)) if n in values and n not in initial]
        results = {"expected": expected, "found": at.value}
        kept = [{n: _stored(n, v) for n, v in found.items()} for found in ({n: values[n] for n in taken}, results)]
        folder.mkdir(parents=True, exist_ok=True)
        written = save_model(part_of(embedded(self.model, arrays), taken, [at.name]), {}, folder / "node.onnx")
        files = [folder / name for name in ("inputs.npz", "results.npz", "reproduce.py")]
        for file, arrays_of_file in zip(files, kept, strict=False):
            np.savez(file, **arrays_of_file)
        files[-1].write_text(_SCRIPT, encoding="utf-8")
        return [*written, *files]


def _node(n: Any) -> str:
    kind = n.op_type if not n.domain else f"{n.domain}::{n.op_type}"
    return f"{kind} '{n.name}'" if n.name else kind


def _stored(name: str, value: Any) -> Any:
    """A value as an .npz file holds it without pickling."""
    if isinstance(value, list | dict) or value is None:
        raise BridgeError(f"'{name}' is no tensor, and .npz files hold nothing else")
    array = np.asarray(value)
    return array.astype(str) if array.dtype.kind == "O" else array


_SCRIPT = '''"""Runs node.onnx on the inputs at which it gave a result other than expected."""

from pathlib import Path

import numpy as np
import onnxruntime

here = Path(__file__).parent
inputs, results = dict(np.load(here / "inputs.npz")), np.load(here / "results.npz")
session = onnxruntime.InferenceSession(here / "node.onnx", providers=["CPUExecutionProvider"])
(now,) = session.run(None, inputs)
print("expected:", results["expected"], "was:", results["found"], "now:", now, sep="\\n")
'''


def _fed(v: Any) -> Any:
    """A value as onnxruntime takes it: Python numbers as ONNX has them."""
    if isinstance(v, list):
        return [_fed(x) for x in v] if v and isinstance(v[0], np.ndarray) else np.asarray(v, _number(v[0] if v else 0))
    return v if isinstance(v, np.ndarray) else np.asarray(v, _number(v))


def _number(v: Any) -> type:
    return bool if isinstance(v, bool) else np.int64 if isinstance(v, int) else np.float64


class ProgramRun:
    """A program of any format in the interpreter."""

    def __init__(self, path: Path, inputs: Inputs) -> None:
        self.path, self.inputs = path, inputs
        self._load()

    def _load(self) -> tuple[Any, list[Any]]:
        """The program's function and its arguments, ``self`` included; read anew, as a run may change the module's state."""
        from bridge import formats

        module = formats.load(self.path)
        root = getattr(module, "_c", None)
        function = module._function if root is None else root.type.find_method("forward")
        if function is None:
            raise BridgeError(f"{self.path}: the module has no method 'forward'")
        held = [] if root is None else [root]
        names = [a.name for a in function.schema.arguments[len(held) :]]
        return function, [*held, *(_argument(v) for v in _in_order(self.inputs, names))]

    def outputs(self) -> list[tuple[str, Any]]:
        """The program's results."""
        from bridge import no_grad
        from bridge.jit.running import interpret

        function, arguments = self._load()
        with no_grad():
            return list(_flat("output", interpret(function, arguments)))

    def values(self) -> Iterator[Recorded]:
        """What the statements of the program, with all calls inlined, compute at its top level, in order."""
        from bridge import _dispatch, no_grad
        from bridge.ir.canonical import Meaning
        from bridge.ir.interpreter import run
        from bridge.ir.passes.inline import inlined_graph
        from bridge.tensor import Tensor
        from bridge.tools.differences import describe

        function, arguments = self._load()
        graph = inlined_graph(function)
        meaning = Meaning(graph)
        nodes = [n for n in graph.nodes if n.kind != "prim::Constant"]
        shown = [(v, n) for n in nodes for v in n.outputs if _is_data(v.type)]
        given = _parts(graph.return_node.inputs)
        graph.return_node.remove_all_inputs()
        for v, _ in shown:
            graph.add_output(v)
        with no_grad():
            results = run(graph, arguments, _dispatch.call, Tensor._wrap)
        for (v, n), value in zip(shown, results, strict=True):
            path = _attribute_path(n)
            name = path or str(v.export_name or v.debug_name)
            named = path or v.export_name or v.has_debug_name
            keys = [*([f"name {name}"] if named else []), f"digest {meaning.of[v]}"]
            keys += [f"output {i}" for i, o in enumerate(given) if o is v]
            yield Recorded(
                tuple(keys), name, _taker(v, graph) if path else describe(n), _plain(value), is_weight=bool(path)
            )


def _argument(v: Any) -> Any:
    import bridge

    if isinstance(v, list):
        return [_argument(x) for x in v]
    return bridge.from_numpy(v.copy()) if isinstance(v, np.ndarray) else v


def _parts(results: Sequence[Any]) -> list[Any]:
    """Results with tuples taken apart, as models give them."""
    made = "prim::TupleConstruct"
    return [p for v in results for p in (_parts(v.node.inputs) if v.node.kind == made else [v])]


def _taker(v: Any, graph: Any) -> str:
    """What a weight is of: the first node that takes it."""
    from bridge.tools.differences import describe

    takers = {use.user for use in v.uses}
    first = next((n for n in graph.all_nodes() if n in takers), None)
    return "a weight" if first is None else f"a weight of {describe(first)}"


def _is_data(t: Any) -> bool:
    from bridge.ir.types import BOOL, FLOAT, INT, ListType, TensorType

    inner = t.element if isinstance(t, ListType) else t
    return isinstance(inner, TensorType) or inner in (INT, FLOAT, BOOL)


def _attribute_path(n: Any) -> str:
    """The dotted path of the attribute that a node reads; "" for other nodes."""
    parts: list[str] = []
    while n.kind == "prim::GetAttr":
        parts.append(n["name"])
        n = n.inputs[0].node
    return ".".join(reversed(parts))
