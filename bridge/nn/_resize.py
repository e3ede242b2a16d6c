"""Resizing images and other grids: ``bridge.nn.functional.interpolate``."""

from __future__ import annotations

from typing import Any

import bridge as torch
from bridge.tensor import Tensor

_ALIGNED = ("linear", "bilinear", "bicubic", "trilinear")
#: mode → the dimensions of its input and the operator of each.
_OPERATORS = {
    "nearest": {3: "upsample_nearest1d", 4: "upsample_nearest2d", 5: "upsample_nearest3d"},
    "nearest-exact": {3: "_upsample_nearest_exact1d", 4: "_upsample_nearest_exact2d", 5: "_upsample_nearest_exact3d"},
    "linear": {3: "upsample_linear1d"},
    "bilinear": {4: "upsample_bilinear2d"},
    "trilinear": {5: "upsample_trilinear3d"},
    "bicubic": {4: "upsample_bicubic2d"},
}


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """The input (N, C, then 1 to 3 dimensions) at another ``size``, or larger by ``scale_factor``.

    ``mode`` is nearest, nearest-exact, linear, bilinear, bicubic, trilinear or area. Raises ValueError or
    NotImplementedError for combinations that mean nothing.
    """
    dim = input.dim() - 2
    if (size is None) == (scale_factor is None):
        problem = "either size or scale_factor" if size is None else "only one of size or scale_factor"
        raise ValueError(f"{problem} should be defined")
    if align_corners is not None and mode not in _ALIGNED:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
        )
    if size is not None and recompute_scale_factor:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    sizes, scales = _each(size, dim, "size"), _each(scale_factor, dim, "scale_factor")
    if scales is not None:
        scales = [float(s) for s in scales]
        if recompute_scale_factor or mode == "area":
            sizes, scales = [int(input.size(i + 2) * s) for i, s in enumerate(scales)], None
    if mode == "area":
        return getattr(torch, f"adaptive_avg_pool{dim}d")(input, sizes)
    name = _OPERATORS.get(mode, {}).get(input.dim())
    if name is None:
        if mode in _OPERATORS:
            wanted = next(iter(_OPERATORS[mode]))
            raise NotImplementedError(f"Got {input.dim()}D input, but {mode} mode needs {wanted}D input")
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.dim()}D) for the modes: nearest | linear | "
            f"bilinear | bicubic | trilinear | lanczos | area | nearest-exact (got {mode})"
        )
    if antialias:
        if mode not in ("bilinear", "bicubic"):
            raise ValueError(
                "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
            )
        name = f"_{name}_aa"
    operator = getattr(torch, name)
    if mode in _ALIGNED:
        return operator(input, sizes, bool(align_corners), scales)
    return operator(input, sizes, scales)


def _each(value: Any, dim: int, what: str) -> list[Any] | None:
    """One value per dimension. Raises ValueError for another number of them."""
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        return [value] * dim
    if len(value) != dim:
        raise ValueError(
            f"Input and {what} must have the same number of spatial dimensions, but got {dim} and {len(value)}"
        )
    return list(value)
