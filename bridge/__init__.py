"""TorchScript, rebuilt on ONNX: capture a Python model with its control flow, look at it, and take it anywhere.

``import bridge as torch`` serves programs written for torch. Functions that are operators (``bridge.add``) come from the
registry on first use; the subpackages (``nn``, ``jit``, ``onnx``…) load when something needs them.
"""

from __future__ import annotations

import importlib
import math as _math
from typing import Any

from bridge import _creation
from bridge.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from bridge.ir.dtypes import DTYPES as _DTYPES
from bridge.ir.dtypes import FOREIGN_DTYPES as _FOREIGN_DTYPES
from bridge.ir.dtypes import DType as dtype
from bridge.ir.dtypes import by_name as _by_name
from bridge.ir.dtypes import default_dtype as get_default_dtype
from bridge.tensor import Tensor
from bridge.types import (
    Size,
    channels_last,
    channels_last_3d,
    contiguous_format,
    device,
    finfo,
    iinfo,
    layout,
    memory_format,
    preserve_format,
    sparse_coo,
    strided,
)
from bridge.version import __version__

__all__ = [
    "Size", "Tensor", "__version__", "channels_last", "channels_last_3d", "contiguous_format", "device", "dtype",
    "enable_grad", "finfo", "get_default_dtype", "iinfo", "inference_mode", "is_grad_enabled",
    "is_inference_mode_enabled", "layout", "memory_format", "no_grad", "preserve_format", "set_grad_enabled", "sparse_coo",
    "strided",
]  # fmt: skip

globals().update({d.name: d for d in _DTYPES + _FOREIGN_DTYPES})
globals()["tensor"] = (
    _creation.tensor
)  # the function; the module of that name is reached by `from bridge.tensor import`
globals().update({n: _by_name(n) for n in ("float", "double", "half", "long", "int", "short", "cfloat", "cdouble")})

#: Names that come from a module on first use.
_LAZY = {
    **dict.fromkeys(
        ("as_tensor", "asarray", "from_dlpack", "from_numpy", "frombuffer", "scalar_tensor"), "bridge._creation"
    ),
    **dict.fromkeys(
        ("Generator", "default_generator", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"),
        "bridge.random",
    ),
    **dict.fromkeys(("cdist", "norm", "stft", "tensordot", "unique", "unique_consecutive"), "bridge.functional"),
    **dict.fromkeys(("set_printoptions", "get_printoptions"), "bridge._printing"),
    "load_weights": "bridge.weights",
    "convert": "bridge.formats",
    **dict.fromkeys(
        ("_assert", "broadcast_shapes", "can_cast", "is_inference", "is_nonzero", "is_storage", "is_tensor", "numel", "promote_types",
         "result_type", "set_default_dtype", "set_default_tensor_type", "typename",
         *(f"{label}Tensor" for label in ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long",
                                          "Short"))),
        "bridge._functions",
    ),
}  # fmt: skip

_SUBMODULES = frozenset(
    ("backends", "compiler", "fft", "functional", "linalg", "special", "autograd", "cli", "exporters", "futures", "importers", "ir", "jit", "nn", "onnx", "ops", "random", "runtime",
     "tensor", "types", "formats", "version")
)  # fmt: skip

# the numbers that programs reach as torch.inf and so on
inf, nan, pi, e = _math.inf, _math.nan, _math.pi, _math.e
newaxis = None
legacy_contiguous_format = contiguous_format


def __getattr__(name: str) -> Any:
    found: Any
    if name in _LAZY:
        found = getattr(importlib.import_module(_LAZY[name]), name)
    elif name in _SUBMODULES:
        return importlib.import_module(f"bridge.{name}")
    else:
        from bridge import _dispatch
        from bridge._namespaces import alias
        from bridge.ir.registry import overloads

        operator = alias(name)
        if name.startswith("__") or not overloads(f"aten::{operator}"):
            raise AttributeError(f"module 'bridge' has no attribute '{name}'")
        found = _dispatch.function(f"aten::{operator}", f"aten::{name}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    from bridge.ir.registry import all_operators

    names = {o.schema.name.removeprefix("aten::") for o in all_operators() if o.schema.name.startswith("aten::")}
    return sorted({*globals(), *_LAZY, *_SUBMODULES, *names})
