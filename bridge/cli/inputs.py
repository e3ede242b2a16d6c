"""``--input NAME=VALUE``: what a value may be, and making it.

``x=x.npy``        an array from a file
``x=f32[3,4]``     random values: normal for floats, 0 or 1 for bools, 0 to 9 for integers; a 0-d tensor is ``f32[]``
``x=3`` ``x=2.5`` ``x=True`` ``x=[1, 2]``   a Python number or list of numbers
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import numpy as np

DTYPES = {
    "f16": np.float16,
    "f32": np.float32,
    "f64": np.float64,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
    "u8": np.uint8,
    "bool": np.bool_,
}


def parse_inputs(specs: Iterable[str], seed: int) -> dict[str, Any]:
    """Values by input name. Raises click.BadParameter naming the specification that is wrong."""
    random = np.random.default_rng(seed)
    values: dict[str, Any] = {}
    for spec in specs:
        name, equals, text = spec.partition("=")
        if not equals or not name:
            raise click.BadParameter(
                f"'{spec}': write NAME=FILE.npy, NAME=f32[3,4] or NAME=number", param_hint="--input"
            )
        if name in values:
            raise click.BadParameter(f"'{name}' is given twice", param_hint="--input")
        values[name] = _value(spec, text.strip(), random)
    return values


def _value(spec: str, text: str, random: np.random.Generator) -> Any:
    import bridge

    shaped = re.fullmatch(r"([a-z]+\d*)\[([\d,\s]*)\]", text)
    if shaped:
        if shaped[1] not in DTYPES:
            raise click.BadParameter(f"'{spec}': the element types are {', '.join(DTYPES)}", param_hint="--input")
        dims = [int(d) for d in shaped[2].split(",") if d.strip()]
        return bridge.from_numpy(_random(DTYPES[shaped[1]], dims, random))
    if text.endswith(".npy"):
        try:
            return bridge.from_numpy(np.load(Path(text), allow_pickle=False))
        except (OSError, ValueError) as e:
            raise click.BadParameter(f"'{spec}': {e}", param_hint="--input") from e
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError) as e:
        raise click.BadParameter(
            f"'{spec}': '{text}' is no .npy file, no shape such as f32[3,4] and no number", param_hint="--input"
        ) from e
    if not _is_number(value) and not (isinstance(value, list) and all(map(_is_number, value))):
        raise click.BadParameter(
            f"'{spec}': only numbers and lists of numbers can be written here", param_hint="--input"
        )
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _random(dtype: Any, dims: list[int], random: np.random.Generator) -> np.ndarray[Any, Any]:
    kind = np.dtype(dtype).kind
    if kind == "f":
        return np.asarray(random.standard_normal(dims)).astype(dtype)
    return np.asarray(random.integers(0, 2 if kind == "b" else 10, dims)).astype(dtype)
