"""What nodes of a model say although it goes without saying: attributes and inputs that are written with their defaults.

Exporters differ in it, each by itself is regular: so it is noted once for each operator, and an operator of torch can stand for
the node as it was written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.ir.readings import Default

__all__ = ["Explicit", "explicit", "finished", "style_of"]

#: Attributes whose default has as many elements as the window has dimensions.
_ONES, _ZEROS = ("strides", "dilations"), ("pads", "output_padding")
_CONVOLUTIONS = ("Conv", "ConvTranspose")
_WINDOWS = (*_CONVOLUTIONS, "MaxPool", "AveragePool")

#: The names that a node writes: those with their defaults, and the others.
Explicit = tuple[frozenset[str], frozenset[str]]


def _implied(op_type: str, name: str, value: Any, defaults: Mapping[str, Any]) -> bool:
    """Whether an attribute says what would hold without it."""
    if op_type in _WINDOWS and name in _ONES + _ZEROS:
        return isinstance(value, list) and all(v == (name in _ONES) for v in value)
    if op_type in _CONVOLUTIONS and name == "kernel_shape":
        return True  # the weight tells, and must agree
    return name in defaults and type(value) is type(defaults[name]) and same(value, defaults[name])


def same(a: Any, b: Any) -> bool:
    """Whether two attributes are equal; numbers are single precision."""
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.float32(a) == np.float32(b))
    return type(a) is type(b) and bool(a == b)


def _input_default(op_type: str, name: str, a: np.ndarray[Any, Any]) -> bool:
    if (op_type, name) == ("Slice", "steps"):
        return bool((a == 1).all())
    if (op_type, name) == ("Pad", "constant_value"):
        return a.ndim == 0 and a == 0
    return (op_type, name) == ("Resize", "roi") and a.size == 0


def explicit(
    op_type: str,
    attributes: Mapping[str, Any],
    inputs: Mapping[str, np.ndarray[Any, Any]],
    defaults: Mapping[str, Any],
) -> Explicit:
    """What a node writes; ``inputs`` are its constant inputs by formal name."""
    names = {name: _implied(op_type, name, v, defaults) for name, v in attributes.items()}
    names |= {name: True for name, a in inputs.items() if _input_default(op_type, name, a)}
    return frozenset(n for n, d in names.items() if d), frozenset(n for n, d in names.items() if not d)


def style_of(nodes: Iterable[Explicit]) -> frozenset[str]:
    """The names that are written whatever their value, as most of an operator's nodes have it."""
    counted = Counter(nodes)
    candidates = {s for d, other in list(counted)[:32] for s in (d, d | other)}

    def fitting(style: frozenset[str]) -> int:
        return sum(n for (d, other), n in counted.items() if d <= style <= d | other)

    return max(candidates, key=lambda s: (fitting(s), -len(s), sorted(s)), default=frozenset())


def finished(
    op_type: str,
    inputs: Sequence[Any],
    attributes: Mapping[str, Any],
    style: frozenset[str] | None,
    defaults: Mapping[str, Any],
    dims: int,
) -> tuple[list[Any], dict[str, Any]]:
    """A node's inputs and attributes, with what a style writes and without what it leaves out. Without a style they stay.

    ``dims`` is the number of dimensions of the window, where the operator has one.
    """
    made = list(inputs)
    while made and (made[-1] is None or (isinstance(made[-1], Default) and not _has(style, made[-1].name))):
        made.pop()
    made = [_input(i, style) for i in made]
    if style is None:
        return made, dict(attributes)
    kept = {n: v for n, v in attributes.items() if n in style or not _implied(op_type, n, v, defaults)}
    for name in style - kept.keys():
        if name in defaults:
            kept[name] = defaults[name]
        elif op_type in _WINDOWS and name in _ONES:
            kept[name] = [1] * dims
        elif op_type in _WINDOWS and name in _ZEROS:
            kept[name] = [0] * (2 * dims if name == "pads" else dims)
    return made, kept


def _has(style: frozenset[str] | None, name: str) -> bool:
    return style is None or name in style


def _input(i: Any, style: frozenset[str] | None) -> Any:
    if isinstance(i, Default):
        return i.value if _has(style, i.name) else None
    return i
