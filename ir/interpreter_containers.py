"""How the interpreter makes, takes apart and indexes tuples, lists and dicts."""

from __future__ import annotations

import numpy as np

from bridge.ir import types as T
from bridge.ir.dtypes import by_numpy
from bridge.ir.graph import Node
from bridge.ir.interpreter import Frame, Program, Step


def tuple_step(p: Program, n: Node) -> Step:
    ins, out = p.registers(n.inputs), p.register(n.output)

    def run(f: Frame) -> None:
        f[out] = tuple([f[i] for i in ins])

    return run


def list_step(p: Program, n: Node) -> Step:
    ins, out = p.registers(n.inputs), p.register(n.output)

    def run(f: Frame) -> None:
        f[out] = [f[i] for i in ins]

    return run


def dict_step(p: Program, n: Node) -> Step:
    keys, values, out = p.registers(n.inputs[::2]), p.registers(n.inputs[1::2]), p.register(n.output)

    def run(f: Frame) -> None:
        f[out] = {f[k]: f[v] for k, v in zip(keys, values, strict=True)}

    return run


def unpack_step(p: Program, n: Node) -> Step:
    source, outs = p.register(n.input), p.registers(n.outputs)

    def run(f: Frame) -> None:
        values = f[source]
        if len(values) != len(outs):
            raise RuntimeError(f"Expected {len(outs)} elements in a list but found {len(values)}")
        for out, v in zip(outs, values, strict=True):
            f[out] = v

    return run


def tuple_index_step(p: Program, n: Node) -> Step:
    source, index = p.registers(n.inputs)
    out = p.register(n.output)

    def run(f: Frame) -> None:
        values, i = f[source], f[index]
        if not -len(values) <= i < len(values):
            raise IndexError("Tuple index out of range")
        f[out] = values[i]

    return run


def tuple_slice_step(p: Program, n: Node) -> Step:
    source, out = p.register(n.input), p.register(n.output)
    part = slice(n["beg"], n["end"])

    def run(f: Frame) -> None:
        f[out] = tuple(f[source][part])

    return run


#: The element type that a list of numbers asks for, and the kind of which any will do.
_ELEMENTS: dict[T.Type, tuple[str, str]] = {
    T.INT: ("Long", ""), T.BOOL: ("Bool", ""), T.FLOAT: ("Double", "f"), T.COMPLEX: ("ComplexDouble", "c"),
}  # fmt: skip


def to_list_step(p: Program, n: Node) -> Step:
    source, out = p.register(n.inputs[0]), p.register(n.output)
    dim, wanted = 0, n.output.type
    while isinstance(wanted, T.ListType):
        dim, wanted = dim + 1, wanted.element
    label, kind = _ELEMENTS[wanted]

    def run(f: Frame) -> None:
        v = f[source]
        array = np.asarray(v)
        given = by_numpy(array.dtype)
        if given.label != label and given.kind != kind:
            raise RuntimeError(
                "Output annotation element type and runtime tensor element type must match for tolist(): "
                f"{label} vs {given.label}"
            )
        if array.ndim != dim:
            raise RuntimeError("Output annotation list dimension and runtime tensor dimension must match for tolist()")
        f[out] = v.tolist() if hasattr(v, "tolist") else array.tolist()

    return run


def index_step(p: Program, n: Node) -> Step:
    """A module of a ModuleList by number, of a ModuleDict by name."""
    container, index = p.registers(n.inputs)
    out = p.register(n.output)

    def run(f: Frame) -> None:
        modules, i = dict(f[container].submodules()), f[index]
        if isinstance(i, int):
            if not -len(modules) <= i < len(modules):
                raise IndexError(f"Index {i} out of range of length {len(modules)}")
            i = list(modules)[i]
        if i not in modules:
            raise KeyError(i)
        f[out] = modules[i]

    return run
