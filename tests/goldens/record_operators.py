"""Record what torch gives for every sample of every operator: results, gradients, names of autograd nodes.

``python tests/goldens/record_operators.py`` writes operators.json and operators.npz; needs torch. With ``--check`` nothing
is written; what torch refuses is printed either way.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from support.operators import Recorder, cotangent, fresh, operators, samples_of

from bridge.ir import types as T
from bridge.ir.dtypes import by_code, by_numpy
from bridge.ir.registry import Operator


def to_torch(value: Any) -> Any:
    """A sample value for torch."""
    if isinstance(value, np.ndarray):
        if by_numpy(value.dtype).name == "bfloat16":
            return torch.from_numpy(value.astype(np.float32)).to(torch.bfloat16)
        return torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape)).clone()
    if isinstance(value, list):
        return [to_torch(v) for v in value]
    return value


def to_numpy(value: Any) -> Any:
    """A result of torch as the goldens hold it."""
    if isinstance(value, torch.Tensor):
        t = value.detach().resolve_conj().contiguous()
        if t.dtype is torch.bfloat16:
            import ml_dtypes

            return t.float().numpy().astype(ml_dtypes.bfloat16)
        return t.numpy()
    if isinstance(value, list | tuple):
        return [to_numpy(v) for v in value]
    if isinstance(value, torch.dtype):
        return str(value)
    return value


def overload_of(o: Operator) -> Any:
    """torch's callable of one overload."""
    namespace, _, name = o.schema.name.partition("::")
    packet = getattr(getattr(torch.ops, namespace), name)
    return getattr(packet, o.schema.overload or "default")


def arguments(o: Operator, args: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments for torch."""
    positional, keywords = [], {}
    for a, v in zip(o.schema.arguments, args, strict=True):
        if "dtype" in a.name and isinstance(v, int):
            v = getattr(torch, by_code(v).name)
        v = to_torch(v)
        if a.kwarg_only:
            keywords[a.name] = v
        else:
            positional.append(v)
    return positional, keywords


def type_text(value: Any) -> str:
    """The type of a value in torch's graph text."""
    if isinstance(value, list):
        return f"{type_text(value[0])}[]"
    names = {bool: "bool", int: "int", float: "float", str: "str", type(None): "NoneType"}
    return names.get(type(value), "Tensor")


def through_graph(o: Operator, args: list[Any]) -> Any:
    """Run an operator that torch.ops cannot call (its schema has type variables) as a graph of one node."""
    count = len(args)
    inputs = ", ".join(f"%{i} : {type_text(v)}" for i, v in enumerate(args))
    names = ", ".join(f"%{i}" for i in range(count))
    text = f"graph({inputs}):\n  %r : {result_text(o, args)} = {o.schema.name}({names})\n  return (%r)"
    function = torch._C._create_function_from_graph("f", torch._C.parse_ir(text))
    return function(*[to_torch(v) for v in args])


def result_text(o: Operator, args: list[Any]) -> str:
    """The type of the result, its variables filled in from the first list."""
    wanted = str(o.schema.returns[0].type)
    first = next(v for v in args if isinstance(v, list))
    return (
        wanted.replace("t[]", type_text(first))
        if wanted.endswith("t[]")
        else type_text(first[0])
        if wanted == "t"
        else wanted
    )


def tensors_in(value: Any) -> list[torch.Tensor]:
    """The tensors of nested lists."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [t for v in value for t in tensors_in(v)] if isinstance(value, list | tuple) else []


def gradient(o: Operator, args: list[Any], key: str) -> Any:
    """(node name, gradients of the floating tensor arguments), or None where nothing requires grad."""
    positional, keywords = arguments(o, args)
    values = [keywords[a.name] if a.kwarg_only else positional[i] for i, a in enumerate(o.schema.arguments)]
    leaves = [t for v in values for t in tensors_in(v)]
    wanted = [t for t in leaves if t.is_floating_point()]
    if not wanted:
        return None
    for t in wanted:
        t.requires_grad_()
    if o.schema.is_mutable:  # leaves may not be written to
        positional = [p.clone() if isinstance(p, torch.Tensor) and p.requires_grad else p for p in positional]
    out = overload_of(o)(*positional, **keywords)
    results = [t for t in tensors_in(out) if t.requires_grad]
    if not results:
        return None
    into = [torch.from_numpy(cotangent(t.shape, to_numpy(t).dtype, f"{key}/{i}")) for i, t in enumerate(results)]
    grads = torch.autograd.grad(results, wanted, into, allow_unused=True)
    name = results[0].grad_fn.name() if results[0].grad_fn is not None else None
    return name, [None if g is None else to_numpy(g) for g in grads]


def record(report: Any = lambda line: None) -> Recorder:
    """All samples of all operators; ``report`` is told what torch refuses."""
    recorder = Recorder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _record(recorder, report)
    return recorder


def _record(recorder: Recorder, report: Any) -> None:
    for o in operators():
        rows = []
        for i, args in enumerate(samples_of(o)):
            key = f"{o.schema.full_name}#{i}"
            row: dict[str, Any] = {}
            try:
                positional, keywords = arguments(o, fresh(args))
                generic = any(isinstance(t, T.VarType) for a in o.schema.arguments for t in a.type.walk())
                found = through_graph(o, fresh(args)) if generic else overload_of(o)(*positional, **keywords)
                row["out"] = recorder.pack(to_numpy(found))
            except Exception as error:
                report(f"{key}: torch refuses: {str(error).splitlines()[0][:150]}")
                row["error"] = str(error).splitlines()[0]
                rows.append(row)
                continue
            if any(isinstance(a.type, T.TensorType | T.ListType | T.OptionalType) for a in o.schema.arguments):
                try:
                    found = gradient(o, fresh(args), key)
                    if found is not None:
                        row["node"], row["grads"] = found[0], recorder.pack(found[1])
                except Exception as error:
                    report(f"{key}: no gradient: {str(error).splitlines()[0][:120]}")
            rows.append(row)
        recorder.index[o.schema.full_name] = rows


if __name__ == "__main__":
    found = record(print)
    if "--check" not in sys.argv[1:]:
        found.save()
        rows = sum(map(len, found.index.values()))
        print(f"{len(found.index)} operators, {rows} samples, {len(found.data)} bytes")
