"""One small program per feature of the language (``tests/script_features/features.txt``), scripted and run.

A block of the file is ``=== name``, the source, and ``>>> f(arguments)``; :data:`PRELUDE` goes before each source.
"""

import importlib.util
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from support.scripts import imported_as_torch, normalised

FEATURES = Path(__file__).parent.parent / "script_features" / "features.txt"
RECORDED = Path(__file__).parent.parent / "goldens" / "script_features.json"
PRELUDE = """\
import torch, math, enum, dataclasses, collections, typing
from torch import Tensor
from typing import *
from torch.jit import Final
"""


class Feature(NamedTuple):
    name: str
    source: str
    call: str


def features(path: Path = FEATURES) -> Iterator[Feature]:
    for block in path.read_text(encoding="utf-8").split("=== ")[1:]:
        name, _, rest = block.partition("\n")
        source, _, call = rest.rpartition(">>> ")
        yield Feature(name.strip(), source.rstrip() + "\n", call.strip())


def shown(value: Any) -> str:
    """A result as text, the same for both libraries."""
    if isinstance(value, tuple | list):
        return f"{'(' if isinstance(value, tuple) else '['}{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{shown(k)}: {shown(v)}" for k, v in value.items()) + "}"
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return f"{str(value.dtype).rpartition('.')[2]}{list(value.shape)} {shown(value.detach().tolist())}"
    if isinstance(value, float):
        return f"{value:.5g}"
    if value is None or isinstance(value, bool | int | str | complex):
        return repr(value)
    return f"<{type(value).__name__}>"


def load_feature(feature: Feature, number: int, folder: Path) -> Any:
    name = f"feature{number}"
    path = folder / f"{name}.py"
    path.write_text(PRELUDE + feature.source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def run_feature(feature: Feature, number: int, folder: Path, library: str) -> dict[str, str]:
    """``graph`` and ``code`` of the program, and what the call gives (``value``) or raises (``raises``)."""
    with warnings.catch_warnings(), imported_as_torch(library) as torch:
        warnings.simplefilter("ignore")
        try:
            module = load_feature(feature, number, folder)
            entry = feature.call.partition("(")[0]
            scripted = torch.jit.script(getattr(module, entry))
            path = folder / f"feature{number}.py"
            found = {kind: normalised(str(getattr(scripted, kind)), path) for kind in ("graph", "code")}
        except Exception as e:
            return {"error": f"{type(e).__name__}: {e}"}
        torch.manual_seed(0)
        try:
            found["value"] = shown(eval(feature.call, {**vars(module), entry: scripted}))
        except Exception as e:
            found["raises"] = str(e).strip().rpartition("\n")[2]
        return found
