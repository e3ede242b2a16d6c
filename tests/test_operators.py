"""Every declared operator against torch: kernel, type rule, ONNX form, gradient, text. One row per operator."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from support.operators import (
    Goldens,
    Model,
    call_of,
    cotangent,
    fresh,
    model_of,
    operators,
    result_types,
    same,
    samples_of,
    type_of,
)

from bridge.ir import types as T
from bridge.ir.dtypes import by_numpy
from bridge.ir.errors import BridgeError, LoweringError
from bridge.ir.graph import Graph
from bridge.ir.registry import Operator, Unsupported, all_operators, find, overloads
from bridge.ir.schema import parse_schema

#: (opset, whether sizes and numbers are only known at run time) of the ONNX tests.
SETTINGS = ((13, True), (18, False), (23, True))


def _name(o: Operator) -> str:
    return o.schema.full_name


def table(want: Callable[[Operator], bool] = lambda o: True) -> Any:
    """One test per operator."""
    return pytest.mark.parametrize("o", operators(want), ids=_name)


@functools.cache
def goldens() -> Goldens:
    return Goldens.load()


def rows(o: Operator) -> list[tuple[str, list[Any], dict[str, Any]]]:
    """(key, arguments, recorded row) of the samples that torch takes."""
    recorded = goldens().index[o.schema.full_name]
    samples = samples_of(o)
    assert len(samples) == len(recorded), "run tests/goldens/record_operators.py"
    return [(f"{_name(o)}#{i}", a, r) for i, (a, r) in enumerate(zip(samples, recorded, strict=True)) if "out" in r]


def run(o: Operator, args: list[Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return o.run(*args)


@table()
def test_kernel(o: Operator) -> None:
    """The NumPy kernel gives what torch gives, and leaves what it does not write to alone."""
    for key, args, row in rows(o):
        given = fresh(args)
        found = run(o, given)
        same(found, goldens().value(row["out"]), key)
        for a, before, after in zip(o.schema.arguments, args, given, strict=True):
            if not a.writes:
                same(after, before, f"{key}: {a.name}")
            elif isinstance(after, np.ndarray) and not o.schema.name.startswith(("aten::squeeze", "aten::unsqueeze")):
                assert after is found, f"{key}: the result is not the tensor that was written to"


@table()
def test_types(o: Operator) -> None:
    """The type rule says of the result what is true, whatever it knows of the arguments."""
    for key, args, row in rows(o):
        wanted = goldens().value(row["out"])
        wanted = [wanted] if len(o.schema.returns) == 1 else wanted
        for dynamic, blind in ((False, False), (True, False), (True, True)):
            found = result_types(o, call_of(o, args, dynamic, blind))
            assert len(found) == len(o.schema.returns), key
            exact = not dynamic and o.schema.name not in _DATA_DEPENDENT
            for t, value in zip(found, wanted, strict=True):
                _check_type(t, value, f"{key} {dynamic=} {blind=}", exact)


#: Operators whose result's size depends on the values of tensors.
_DATA_DEPENDENT = {"aten::nonzero", "aten::argwhere", "aten::nonzero_numpy", "aten::masked_select", "aten::_unique2", "aten::unique_consecutive", "aten::repeat_interleave", "aten::where", "aten::index", "aten::one_hot", "aten::bincount", "aten::unique_dim", "aten::_pack_padded_sequence", "aten::_pad_packed_sequence"}  # fmt: skip


def _check_type(t: T.Type, value: Any, key: str, exact: bool) -> None:
    if isinstance(value, np.ndarray):
        assert isinstance(t, T.TensorType), f"{key}: {t}"
        assert t.dtype is None or t.dtype is by_numpy(value.dtype), f"{key}: says {t}, is {value.dtype}"
        if exact:
            assert t.dtype is not None, f"{key}: {t} for {value.shape}"
            assert t.dims is not None, f"{key}: {t} for {value.shape}"
        if t.dims is not None:
            assert len(t.dims) == value.ndim, f"{key}: says {t}, is {value.shape}"
            for d, n in zip(t.dims, value.shape, strict=True):
                assert d == n if exact else not isinstance(d, int) or d == n, f"{key}: says {t}, is {value.shape}"
    elif isinstance(value, list) and isinstance(t, T.TupleType):
        for inner, v in zip(t.elements, value, strict=True):
            _check_type(inner, v, key, exact)
    elif isinstance(value, list) and value and isinstance(t, T.ListType):
        _check_type(t.element, value[0], key, False)


def _lowers(o: Operator) -> bool:
    return o.onnx is not None and not isinstance(o.onnx, Unsupported)


@table(_lowers)
def test_onnx(o: Operator) -> None:
    """The ONNX form computes the same on onnxruntime, sizes known and sizes open. What it declines, it names."""
    ran = 0
    for key, args, row in rows(o):
        for opset, dynamic in SETTINGS:
            where = f"{key} opset={opset} {dynamic=}"
            model, why = _lowered(o, args, opset, dynamic)
            if model is None:
                assert f"{_name(o)}: {why}" in declined(), f"{where} declines: {why}"
                continue
            if not dynamic:
                onnx.checker.check_model(model.proto, full_check=True)
            same(_as_recorded(model.run()), _as_recorded(goldens().value(row["out"])), where, loose=4)
            ran += 1
    assert ran or any(d.startswith(f"{_name(o)}: ") for d in declined()) or not rows(o)


def _lowered(o: Operator, args: list[Any], opset: int, dynamic: bool) -> tuple[Model | None, str]:
    """The model, or why there is none."""
    try:
        return model_of(o, args, opset, dynamic), ""
    except LoweringError as error:
        return None, error.message


def _as_recorded(value: Any) -> Any:
    return [_as_recorded(v) for v in value] if isinstance(value, list | tuple) else value


@functools.cache
def declined() -> frozenset[str]:
    """What lowerings decline, of the samples: ``operator: reason``."""
    from support.operators import GOLDENS

    return frozenset((GOLDENS / "operators_declined.txt").read_text().splitlines())


def test_declined(golden: Callable[[str, str], None]) -> None:
    """What lowerings decline of the samples (sizes that vary, element types, opsets), with the reason."""
    lines: dict[str, None] = {}
    for o in operators(_lowers):
        for _, args, _ in rows(o):
            for opset, dynamic in SETTINGS:
                try:
                    model_of(o, args, opset, dynamic)
                except LoweringError as error:
                    lines[f"{_name(o)}: {error.message}"] = None
    print("\n".join(lines))
    golden("operators_declined.txt", "\n".join(lines) + "\n")


def test_unsupported(golden: Callable[[str, str], None]) -> None:
    """What cannot be had is declared with its reason; this is the whole list."""
    lines = []
    for o in all_operators():
        for part in ("onnx", "grad"):
            value = getattr(o, part)
            if isinstance(value, Unsupported):
                assert len(value.why) > 10
                lines.append(f"{_name(o)} {part}: {value.why}")
    print("\n".join(lines))
    golden("operators_unsupported.txt", "\n".join(lines) + "\n")


def _tensor_inputs(args: list[Any]) -> list[np.ndarray[Any, Any]]:
    flat = [v for a in args for v in (a if isinstance(a, list) else [a])]
    return [v for v in flat if isinstance(v, np.ndarray)]


def _differentiable(o: Operator) -> bool:
    if isinstance(o.grad, Unsupported):
        return False
    return any("grads" in r for r in goldens().index.get(o.schema.full_name, ()))


def _eager(o: Operator, args: list[Any]) -> tuple[Any, list[Any]]:
    """The result of the eager operator, and the tensors that require grad, in order."""
    from bridge._dispatch import call
    from bridge.tensor import Tensor

    leaves: list[Any] = []

    def wrap(v: Any) -> Any:
        if isinstance(v, list):
            return [wrap(x) for x in v]
        if not isinstance(v, np.ndarray):
            return v
        t = Tensor._wrap(v.copy())
        if v.dtype.kind == "f":
            t.requires_grad_()
            leaves.append(t)
        return t

    wrapped = [wrap(a) for a in args]
    if o.schema.is_mutable:  # leaves may not be written to
        wrapped = [w.clone() if isinstance(w, Tensor) and w.requires_grad else w for w in wrapped]
    return call(o, wrapped), leaves


def _flat(value: Any) -> list[Any]:
    return [t for v in value for t in _flat(v)] if isinstance(value, list | tuple) else [value]


@table(_differentiable)
def test_gradient(o: Operator) -> None:
    """Gradients and the name of the autograd node are torch's."""
    import bridge
    from bridge.tensor import Tensor

    for key, args, row in rows(o):
        if "grads" not in row:
            continue
        out, leaves = _eager(o, args)
        results = [t for t in _flat(out) if isinstance(t, Tensor) and t.requires_grad]
        assert results, f"{key}: the result does not require grad"
        if row["node"] is not None and not row["node"].startswith("torch::"):
            assert results[0].grad_fn.name() == row["node"], key
        into = [Tensor._wrap(cotangent(t.shape, t._array.dtype, f"{key}/{i}")) for i, t in enumerate(results)]
        grads = bridge.autograd.grad(results, leaves, into, allow_unused=True)
        found = [None if g is None else g._array for g in grads]
        for f, w, leaf in zip(found, goldens().value(row["grads"]), leaves, strict=True):
            zero = np.zeros_like(leaf._array)
            mixed = len({x._array.dtype for x in leaves}) > 1  # torch rounds to the narrower type on other occasions
            same(zero if f is None else f, zero if w is None else w, f"{key}: gradient", loose=1e5 if mixed else 8)


#: Steps and operators that pick: the slope across the jump is not the gradient.
_STEPS = {"aten::floor", "aten::ceil", "aten::round", "aten::trunc", "aten::sign", "aten::sgn", "aten::_to_copy"} | {
    f"aten::_cast_{t}" for t in ("Float", "Double", "Half", "Int", "Long", "Short", "Byte", "Char")
}
_STEPS |= {"aten::fake_quantize_per_tensor_affine", "aten::fake_quantize_per_channel_affine"}
_STEPS |= {"aten::ctc_loss", "aten::_ctc_loss"}  # the gradient is the one of probabilities that sum to one
_STEPS |= {
    "aten::linalg_cholesky",
    "aten::linalg_eigvalsh",
    "aten::cholesky_solve",
    "aten::cholesky_inverse",
}  # and here of matrices that stay symmetric
#: Samples that sit on a jump; torch takes 2 to negative integers as 0 in the gradient of ldexp, and gives the statistics of
#: native_layer_norm no gradient.
_KINKS = {"aten::atan2#1", "aten::arctan2#1", "aten::ldexp.Tensor#0", "aten::native_layer_norm#0"}


@table(lambda o: _differentiable(o) and not o.schema.is_mutable and o.schema.name not in _STEPS)
def test_gradient_numerically(o: Operator) -> None:
    """The gradient is the slope of the kernel (in float64, samples without kinks)."""
    import bridge
    from bridge.tensor import Tensor

    for key, args, row in rows(o):
        wide = [_widened(a) for a in args]
        if (
            "grads" not in row
            or key in _KINKS
            or any(not np.isfinite(x).all() for x in _tensor_inputs(wide) if x.dtype.kind == "f")
        ):
            continue
        if any(a.name == "dtype" and v is not None for a, v in zip(o.schema.arguments, args, strict=True)):
            continue
        out, leaves = _eager(o, wide)
        results = [t for t in _flat(out) if isinstance(t, Tensor) and t.requires_grad]
        into = [cotangent(t.shape, np.float64, f"{key}/{i}") for i, t in enumerate(results)]
        grads = bridge.autograd.grad(results, leaves, [Tensor._wrap(i) for i in into], allow_unused=True)
        _slopes(o, wide, [None if g is None else g._array for g in grads], into, key)


def _widened(v: Any) -> Any:
    if isinstance(v, list):
        return [_widened(x) for x in v]
    return v.astype(np.float64) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v


def _total(o: Operator, args: list[Any], into: list[Any]) -> float:
    """The sum of the results, weighted."""
    found = [r for r in _flat(run(o, args)) if isinstance(r, np.ndarray) and r.dtype.kind == "f"]
    return float(sum(np.sum(r.astype(np.float64) * i) for r, i in zip(found, into, strict=True)))


def _slopes(o: Operator, args: list[Any], grads: list[Any], into: list[Any], key: str) -> None:
    step = 1e-6
    floating = [x for x in _tensor_inputs(args) if x.dtype.kind == "f"]
    for x, g in zip(floating, grads, strict=True):
        flat = x.reshape(-1)
        if not np.shares_memory(flat, x) and x.size:
            continue
        analytic = np.zeros(x.shape) if g is None else g
        for i in range(min(flat.size, 6)):
            kept = flat[i]
            flat[i] = kept + step
            high = _total(o, args, into)
            flat[i] = kept - step
            low = _total(o, args, into)
            flat[i] = kept
            slope = (high - low) / (2 * step)
            if np.isfinite(slope):
                np.testing.assert_allclose(analytic.reshape(-1)[i], slope, 1e-4, 1e-5, err_msg=f"{key}: element {i}")


@table()
def test_text(o: Operator) -> None:
    """A node of the operator survives printing and parsing."""
    from bridge.ir.parser import parse_graph
    from bridge.ir.printer import print_graph

    for _, args, _ in rows(o)[:1]:
        graph = Graph()
        inputs = [graph.add_input("", _declared(a.type, v)) for a, v in zip(o.schema.arguments, args, strict=True)]
        node = graph.insert(graph.create(o.schema.name, inputs, len(o.schema.returns)))
        for out, r in zip(node.outputs, o.schema.returns, strict=True):
            out.type = r.type if not any(isinstance(t, T.VarType) for t in r.type.walk()) else T.INT
            graph.add_output(out)
        text = print_graph(graph)
        assert print_graph(parse_graph(text)) == text


def _declared(t: T.Type, v: Any) -> T.Type:
    return type_of(v) if any(isinstance(x, T.VarType) for x in t.walk()) else t


#: Random operators: arguments, and the least and greatest that may come out.
_RANDOM: list[tuple[str, list[Any], float, float]] = [
    ("aten::rand", [[40, 30]], 0, 1),
    ("aten::randn", [[40, 30]], -7, 7),
    ("aten::rand_like", [np.zeros((40, 30), np.float64)], 0, 1),
    ("aten::randn_like", [np.zeros((40, 30), np.float32)], -7, 7),
    ("aten::randint", [5, [40, 30]], 0, 4),
    ("aten::randint.low", [-3, 5, [40, 30]], -3, 4),
    ("aten::randint_like", [np.zeros((40, 30), np.float32), 5], 0, 4),
    ("aten::randperm", [1000], 0, 999),
    ("aten::uniform_", [np.zeros((40, 30), np.float32), -2.0, 3.0], -2, 3),
    ("aten::normal_", [np.zeros((40, 30), np.float32), 5.0, 2.0], -9, 19),
    ("aten::random_", [np.zeros((40, 30), np.int64)], 0, 2**63 - 1),
    ("aten::bernoulli", [np.full((40, 30), 0.5, np.float32)], 0, 1),
    ("aten::bernoulli_.float", [np.zeros((40, 30), np.float32), 0.3], 0, 1),
    ("aten::dropout", [np.ones((40, 30), np.float32), 0.5, True], 0, 2),
    ("aten::normal.Tensor_float", [np.full((40, 30), 2, np.float32), 0.5], -2, 6),
    ("aten::multinomial", [np.ones((40, 30), np.float32), 30], 0, 29),
]


@pytest.mark.parametrize(("name", "args", "low", "high"), _RANDOM, ids=[r[0] for r in _RANDOM])
def test_random(name: str, args: list[Any], low: float, high: float) -> None:
    """Random operators give the right type and shape, within bounds and spread over them; exported ones as well."""
    o = find(name)
    assert o is not None
    args = o.complete(args)
    found = [run(o, fresh(args))]
    if _lowers(o):
        found.append(model_of(o, args, 18, dynamic=True).run())
    t = result_types(o, call_of(o, args))[0]
    for value in found:
        _check_type(t, value, name, exact=True)
        assert low <= value.min() < value.max() <= high
        middle = value.mean(dtype=np.float64)
        assert low + 0.2 * (high - low) < middle < high - 0.2 * (high - low)


def test_out() -> None:
    """Variants with ``out`` come from the functional operators: the result is written into it."""
    o = find("aten::add.out")
    assert o is not None
    out = np.zeros(3, np.float64)
    assert o.run(np.ones(3, np.float32), np.ones(3, np.float32), 2, out) is out
    np.testing.assert_array_equal(out, 3)
    with pytest.raises(BridgeError, match="can't be cast"):
        o.run(np.ones(3, np.float32), np.ones(3, np.float32), 1, np.zeros(3, np.int64))
    assert find("aten::nothing.out") is None


def test_order_and_completeness() -> None:
    """Overloads are declared once, found by name, and complete in what the table needs."""
    for o in all_operators():
        assert find(o.schema.full_name) is o
        assert o in overloads(o.schema.name)
        if o.grad is not None:
            assert o.grad_name, _name(o)
        for a in o.schema.arguments:
            assert a.name, _name(o)


@pytest.mark.oracle
def test_schemas_are_torchs() -> None:
    """Every schema is torch's to the letter, and overloads come in torch's order."""
    import torch

    wrong = []
    for name in dict.fromkeys(o.schema.name for o in all_operators()):
        theirs = {
            f"{s.name}.{s.overload_name}".rstrip("."): str(s) for s in torch._C._jit_get_schemas_for_operator(name)
        }
        ours = [o.schema.full_name for o in overloads(name)]
        for o in overloads(name):
            wanted = theirs.get(o.schema.full_name)
            if wanted is None:
                wrong.append(f"{o.schema.full_name}: torch has no such overload")
            elif str(o.schema) != str(parse_schema(wanted)):
                wrong.append(f"{o.schema}\n  torch: {wanted}")
        order = [n for n in theirs if n in ours]
        if order != [n for n in ours if n in order]:
            wrong.append(f"{name}: order {ours}, torch: {order}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.oracle
def test_goldens_are_torchs() -> None:
    """What was recorded is what torch gives today."""
    import importlib.util

    from support.operators import GOLDENS

    spec = importlib.util.spec_from_file_location("record_operators", GOLDENS / "record_operators.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    now = module.record()
    live = Goldens(now.index, bytes(now.data))
    assert live.index.keys() == goldens().index.keys()
    for name, recorded in goldens().index.items():
        for i, (a, b) in enumerate(zip(live.index[name], recorded, strict=True)):
            assert a.keys() == b.keys(), f"{name}#{i}"
            assert a.get("node") == b.get("node"), f"{name}#{i}"
            same(live.value(a.get("out")), goldens().value(b.get("out")), f"{name}#{i}")
