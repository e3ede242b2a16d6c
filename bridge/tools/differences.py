"""``bridge diff``: in what two models differ, module by module, by what they compute and not by their texts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge.ir.canonical import Meaning
from bridge.ir.classes import Function, ScriptObject
from bridge.ir.graph import Graph, Node
from bridge.ir.printable import printable_line

__all__ = ["Difference", "as_printed", "diff", "forward_graph"]

#: The most lines about one method.
_MOST = 12


@dataclass(slots=True, frozen=True)
class Difference:
    """One difference: the dotted path of the module ("" is the whole model), what differs, and in which way, line by line."""

    path: str
    what: str
    lines: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.path or '(top)'}: {self.what}", *(f"    {line}" for line in self.lines)]
        return "\n".join(map(printable_line, lines))


def diff(
    a: str | os.PathLike[str], b: str | os.PathLike[str], *, rtol: float = 0.0, atol: float = 0.0
) -> list[Difference]:
    """The differences between two model files, of any formats that are read; [] for models that mean the same.

    Names of values, the order of independent nodes and the comments of a format do not count; inputs by name, weights and
    attributes by path, and what each method computes do. Beside a Python file that another tool's model was printed as, the
    model is compared as the file that it prints as. Weights count as equal within ``rtol`` and ``atol`` (as
    ``numpy.allclose``). Raises what reading the files raises.
    """
    from bridge import formats

    one, other = formats.load(a), formats.load(b)
    if _is_printed(one) != _is_printed(other):
        with tempfile.TemporaryDirectory() as folder:
            one, other = (m if _is_printed(m) else as_printed(m, Path(folder)) for m in (one, other))
            lines = [
                (d, tuple(line.replace(f"{folder}{os.sep}", "") for line in d.lines))
                for d in _told(one, other, rtol, atol)
            ]
        return [Difference(d.path, d.what, shown) for d, shown in lines]
    found: list[Difference] = []
    if Path(a).suffix == Path(b).suffix == ".onnx":
        found += _headers(Path(a), Path(b))
    return [*found, *_told(one, other, rtol, atol)]


def _told(one: Any, other: Any, rtol: float, atol: float) -> Iterator[Difference]:
    mine, theirs = getattr(one, "_c", None), getattr(other, "_c", None)
    if mine is not None and theirs is not None:
        yield from _modules(mine, theirs, rtol, atol)
    elif mine is not theirs:
        yield Difference("", "one is a function, the other a module")
    else:
        yield from _methods("", {"call": one._function}, {"call": other._function})


def forward_graph(module: Any) -> Graph | None:
    """The graph of a module's ``forward``; None for what has none."""
    held = getattr(module, "_c", None)
    method = held.type.find_method("forward") if held is not None else None
    return method.graph if method is not None else None


def _is_printed(module: Any) -> bool:
    """Whether a program consists of the nodes of a model, but is none."""
    graph = forward_graph(module)
    return graph is not None and bool(graph.opsets) and graph.foreign is None


def as_printed(module: Any, folder: Path) -> Any:
    """The program of the Python file that a model prints as; any other program as it is."""
    from bridge import formats
    from bridge.onnx.python_file import write_python

    graph = forward_graph(module)
    if graph is None or graph.foreign is None:
        return module
    path = folder / "printed.py"
    write_python(module, path)
    return formats.load(path)


def _headers(a: Path, b: Path) -> Iterator[Difference]:
    """What the interfaces of two ONNX models say."""
    from bridge.importers.onnx.reader import read_model
    from bridge.tools.inspection import type_text

    one, other = read_model(a)[0], read_model(b)[0]
    opsets = [{o.domain: o.version for o in m.opset_import} for m in (one, other)]
    if opsets[0] != opsets[1]:
        yield Difference("", "opsets differ", tuple(_sides(*opsets)))
    for what in ("input", "output"):
        types = [{v.name: type_text(v.type) for v in getattr(m.graph, what)} for m in (one, other)]
        if list(types[0].items()) != list(types[1].items()):
            lines = tuple(_sides(*types)) or ("in another order",)
            yield Difference("", f"{what}s differ", lines)


def _sides(a: dict[str, Any], b: dict[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys([*a, *b]):
        if a.get(key) != b.get(key):
            if key in a:
                yield f"- {key or 'ai.onnx'}: {a[key]}"
            if key in b:
                yield f"+ {key or 'ai.onnx'}: {b[key]}"


# -- modules --------------------------------------------------------------------------------------------------------------


def _modules(a: ScriptObject, b: ScriptObject, rtol: float, atol: float) -> Iterator[Difference]:
    """The differences of two modules and of what is in them; classes that repeat are told once."""
    told: dict[tuple[str, tuple[str, ...]], str] = {}
    stack = [("", a, b)]
    while stack:
        path, one, other = stack.pop()
        yield from _attributes(path, one, other, rtol, atol)
        for d in _methods(path, one.type.methods, other.type.methods):
            first = told.setdefault((d.what, d.lines), path)
            yield d if first == path else Difference(path, f"{d.what}, as in {first or '(top)'}")
        mine, theirs = dict(one.submodules()), dict(other.submodules())
        for name in mine.keys() - theirs.keys():
            yield Difference(_join(path, name), f"only the first has this module ({_class(mine[name])})")
        for name in theirs.keys() - mine.keys():
            yield Difference(_join(path, name), f"only the second has this module ({_class(theirs[name])})")
        stack += [(_join(path, n), mine[n], theirs[n]) for n in reversed(mine) if n in theirs]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _class(m: ScriptObject) -> str:
    return m.type.name.rpartition(".")[2]


def _attributes(path: str, a: ScriptObject, b: ScriptObject, rtol: float, atol: float) -> Iterator[Difference]:
    children = {n for m in (a, b) for n, _ in m.submodules()}
    for name in dict.fromkeys([*a.attributes, *b.attributes]):
        if name in children:
            continue
        where = _join(path, name)
        if name not in a.attributes or name not in b.attributes:
            yield Difference(where, f"only the {'first' if name in a.attributes else 'second'} has this attribute")
            continue
        text = _values(a.attributes[name], b.attributes[name], rtol, atol)
        if text:
            yield Difference(where, text)


def _values(a: Any, b: Any, rtol: float, atol: float) -> str:
    """In what two values differ; "" when they do not."""
    x, y = getattr(a, "_array", None), getattr(b, "_array", None)
    if x is None or y is None:
        return "" if type(a) is type(b) and repr(a) == repr(b) else f"{a!r} became {b!r}"
    if x.dtype != y.dtype or x.shape != y.shape:
        return f"{x.dtype}{list(x.shape)} became {y.dtype}{list(y.shape)}"
    if x.dtype.kind not in "fc" or not (rtol or atol):
        same = x.tobytes() == y.tobytes()
    else:
        same = bool(np.allclose(x, y, rtol, atol, equal_nan=True))
    if same:
        return ""
    if x.dtype.kind in "fiu" and x.size:
        gap = np.abs(np.asarray(x, np.float64) - np.asarray(y, np.float64))
        return f"{int((gap > 0).sum()):,} of {x.size:,} values differ, by at most {np.nanmax(gap):.3g}"
    return "the values differ"


# -- methods --------------------------------------------------------------------------------------------------------------


def _methods(path: str, a: dict[str, Function], b: dict[str, Function]) -> Iterator[Difference]:
    for name in dict.fromkeys([*a, *b]):
        if name not in a or name not in b:
            yield Difference(path, f"only the {'first' if name in a else 'second'} has the method '{name}'")
            continue
        signatures = [[(x.name, str(x.type)) for x in f.schema.arguments[1:]] for f in (a[name], b[name])]
        if signatures[0] != signatures[1]:
            yield Difference(path, f"'{name}' takes other arguments", tuple(_sides(*(dict(s) for s in signatures))))
        one, other = Meaning(a[name].graph), Meaning(b[name].graph)
        if one.whole != other.whole:
            lines = [*_only("-", a[name].graph, one, other), *_only("+", b[name].graph, other, one)]
            yield Difference(
                path, f"'{name}' computes something else", tuple(lines) or ("the results differ in order",)
            )


def _only(sign: str, graph: Graph, mine: Meaning, other: Meaning) -> list[str]:
    """Where one method leaves the other: its nodes that the other has not, whose inputs the other has."""
    known = set(other.of.values())
    found: dict[Node, None] = {}
    for n in graph.all_nodes():
        values = list(n.outputs)
        if not values or all(mine.of[v] in known for v in values) or n.kind == "prim::Constant":
            continue
        if any(mine.of[v] not in known for v in n.inputs if v.node.kind != "prim::Constant") or _inside_new(
            n, mine, known
        ):
            continue
        found[n] = None
        owner = n.block.owner if n.block is not None else None
        while owner is not None:  # what is inside says it better
            found.pop(owner, None)
            owner = owner.block.owner if owner.block is not None else None
    lines = [f"{sign} {describe(n)}" for n in found]
    return [*lines[:_MOST], f"{sign} and {len(lines) - _MOST} more"] if len(lines) > _MOST else lines


def _inside_new(n: Node, mine: Meaning, known: set[str]) -> bool:
    """Whether a node stands in a block that differs as a whole only because of what goes into it."""
    owner = n.block.owner if n.block is not None else None
    return owner is not None and any(mine.of[v] not in known for v in owner.inputs if v.node.kind != "prim::Constant")


def describe(n: Node) -> str:
    """A node in a few words: operator, attributes, name, and the line that it comes from."""
    attributes = ", ".join(f"{k}={_short(v)}" for k, v in n.attributes.items())
    inputs = ", ".join(_input(v) for v in n.inputs)
    text = f"{n.kind}({', '.join(filter(None, (inputs, attributes)))})"
    if n.export_name:
        text += f" '{n.export_name}'"
    place = n.range.file_line_col() if n.range is not None else None
    return text if place is None else f"{text}  {place[0]}:{place[1]}"


def _input(v: Any) -> str:
    if v.node.kind == "prim::Constant":
        return _short(v.node.attributes.get("value"))
    return str(v.export_name or v.debug_name)


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}" if value.size > 4 else repr(value.tolist())
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
