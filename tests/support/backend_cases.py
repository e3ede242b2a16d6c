"""The cases of onnx's own conformance suite, and what onnxruntime by itself makes of them."""

import functools
import glob
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

FAMILIES = ("node", "simple", "pytorch-operator", "pytorch-converted", "light")


class Case(NamedTuple):
    """One case: a model and pairs of inputs and expected results (None where the suite has no inputs: any will do)."""

    family: str
    name: str
    model: onnx.ModelProto
    data: Sequence[tuple[Sequence[Any], Sequence[Any] | None]]
    rtol: float = 1e-3
    atol: float = 1e-7


@functools.cache
def cases(family: str) -> list[Case]:
    """All cases of a family, by name."""
    return sorted(_node_cases() if family == "node" else _stored_cases(family), key=lambda c: c.name)


def _node_cases() -> list[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases overflow and divide by zero while they are made
        from onnx.backend.test.case.node import collect_testcases

        found = [c for c in collect_testcases(None) if c.model is not None]
    return [
        Case(
            "node",
            c.name,
            c.model,
            [([*map(_plain, i)], [*map(_plain, o)]) for i, o in c.data_sets or []],
            c.rtol,
            c.atol,
        )
        for c in found
    ]


def _plain(value: Any) -> Any:
    """The suite's values as arrays: it has protos and NumPy scalars among them, and strings of fixed width."""
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
    if value is None or isinstance(value, dict):
        return value
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind in "US" else array


def _stored_cases(family: str) -> list[Case]:
    data = Path(onnx.__file__).parent / "backend" / "test" / "data" / family
    if family == "light":
        return [_light_case(path) for path in sorted(data.glob("*.onnx"))]
    found = []
    for folder in sorted(p for p in data.iterdir() if p.is_dir()):
        model = onnx.load(folder / "model.onnx")
        sets = [_data_set(model, Path(p)) for p in sorted(glob.glob(os.path.join(folder, "test_data_set_*")))]
        found.append(Case(family, folder.name, model, sets))
    return found


def _light_case(path: Path) -> Case:
    model = onnx.load(path)
    initial = {t.name for t in model.graph.initializer} | {o for n in model.graph.node for o in n.output}
    random = np.random.default_rng(0)
    inputs = []
    for i in model.graph.input:
        if i.name not in initial:
            t = i.type.tensor_type
            dims = [d.dim_value or 1 for d in t.shape.dim]
            inputs.append(random.random(dims).astype(onnx.helper.tensor_dtype_to_np_dtype(t.elem_type)))
    return Case("light", path.stem, model, [(inputs, None)])


def _data_set(model: onnx.ModelProto, folder: Path) -> tuple[list[Any], list[Any]]:
    def read(kind: str, values: Sequence[onnx.ValueInfoProto]) -> list[Any]:
        paths = sorted(folder.glob(f"{kind}_*.pb"), key=lambda p: int(p.stem.rpartition("_")[2]))
        return [_value(p.read_bytes(), v.type) for p, v in zip(paths, values, strict=False)]

    return read("input", model.graph.input), read("output", model.graph.output)


def _value(data: bytes, t: onnx.TypeProto) -> Any:
    kind = t.WhichOneof("value")
    if kind == "sequence_type":
        return _plain(numpy_helper.to_list(onnx.SequenceProto.FromString(data)))
    if kind == "optional_type":
        return _plain(numpy_helper.to_optional(onnx.OptionalProto.FromString(data)))
    return _plain(onnx.TensorProto.FromString(data))


def feeds(case: Case, inputs: Sequence[Any]) -> dict[str, Any]:
    """The inputs by name. Values are given to inputs in order; initializers that are inputs too come last or not at all."""
    names = [i.name for i in case.model.graph.input]
    return dict(zip(names, inputs, strict=False))


def same(got: Any, expected: Any, rtol: float, atol: float) -> bool:
    """Whether two results are the same: structure, element type, shape, and values within the tolerance."""
    if expected is None or got is None:
        return got is expected
    if isinstance(expected, dict):
        return (
            isinstance(got, dict)
            and got.keys() == expected.keys()
            and all(same(np.asarray(got[k]), np.asarray(v), rtol, atol) for k, v in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(got) == len(expected)
            and all(same(a, b, rtol, atol) for a, b in zip(got, expected, strict=True))
        )
    a, b = np.asarray(got), np.asarray(expected)
    if a.shape != b.shape or (a.dtype != b.dtype and "O" not in (a.dtype.kind, b.dtype.kind)):
        return False
    if b.dtype.kind in "OSU":
        return [_text(x) for x in a.reshape(-1)] == [_text(x) for x in b.reshape(-1)]
    if b.dtype.kind in "biu":
        return bool(np.array_equal(a, b)) or (
            rtol > 0 and bool(np.allclose(a, b, rtol=rtol, atol=1)) and b.dtype.kind != "b"
        )
    wide = np.complex128 if b.dtype.kind == "c" else np.float64
    return bool(np.allclose(a.astype(wide), b.astype(wide), rtol=rtol, atol=atol, equal_nan=True))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
