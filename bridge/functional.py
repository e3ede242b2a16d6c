# ruff: noqa: F811  (signatures of one function)
# mypy: disable-error-code="no-redef,no-untyped-def,assignment,arg-type,name-defined,attr-defined,return-value,no-any-return"
"""Functions that decide between operators, as in ``torch.functional``.

What is compiled from here shows in the text of scripted programs: the steps and local names are those that
``torch.functional`` has, and so are the messages.
"""

from __future__ import annotations

import bridge as torch
from bridge._choices import choose
from bridge._dispatch import function
from bridge.jit.decorators import _overload as overload
from bridge.nn import functional as F
from bridge.tensor import Tensor

_cdist = function("aten::cdist")
_tensordot = function("aten::tensordot")
_unique_consecutive = function("aten::unique_consecutive")
_stft = function("aten::stft")

__all__ = ["cdist", "norm", "stft", "tensordot", "unique", "unique_consecutive"]


# fmt: off
@overload
def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    # type: (Tensor, str, Optional[List[int]], bool, Optional[Tensor], Optional[int]) -> Tensor
    ...


@overload
def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    # type: (Tensor, Optional[number], Optional[List[int]], bool, Optional[Tensor], Optional[int]) -> Tensor
    ...


@overload
def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    # type: (Tensor, Optional[number], Optional[int], bool, Optional[Tensor], Optional[int]) -> Tensor
    ...


@overload
def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    # type: (Tensor, str, Optional[int], bool, Optional[Tensor], Optional[int]) -> Tensor
    ...
# fmt: on


def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    """The norm of order ``p`` (a number, ``fro`` or ``nuc``) over ``dim``, or of all elements."""
    if input.layout == torch.strided and input.device.type in ("cpu", "cuda", "xpu", "meta", "privateuseone"):
        if dim is not None:
            if isinstance(dim, int):
                _dim = [dim]
            else:
                _dim = dim
        else:
            _dim = None
        if isinstance(p, str):
            if p == "fro" and (dim is None or isinstance(dim, int) or len(dim) <= 2):
                if out is None:
                    return torch.linalg.vector_norm(input, 2, _dim, keepdim, dtype=dtype)
                else:
                    return torch.linalg.vector_norm(input, 2, _dim, keepdim, dtype=dtype, out=out)
            if _dim is None:
                _dim = list(range(input.ndim))
            if out is None:
                return torch.linalg.matrix_norm(input, p, _dim, keepdim, dtype=dtype)
            else:
                return torch.linalg.matrix_norm(input, p, _dim, keepdim, dtype=dtype, out=out)
        else:
            _p = 2.0 if p is None else p
            if out is None:
                return torch.linalg.vector_norm(input, _p, _dim, keepdim, dtype=dtype)
            else:
                return torch.linalg.vector_norm(input, _p, _dim, keepdim, dtype=dtype, out=out)
    raise RuntimeError("norm is for dense tensors")


def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    # type: (Tensor, Tensor, float, str) -> (Tensor)
    """The distances, of order ``p``, between all rows of two batches of matrices."""
    if compute_mode == "use_mm_for_euclid_dist_if_necessary":
        return _cdist(x1, x2, p, None)
    elif compute_mode == "use_mm_for_euclid_dist":
        return _cdist(x1, x2, p, 1)
    elif compute_mode == "donot_use_mm_for_euclid_dist":
        return _cdist(x1, x2, p, 2)
    else:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")


@overload
def tensordot(a, b, dims: int = 2, out: torch.Tensor | None = None): ...


@overload
def tensordot(a, b, dims: tuple[list[int], list[int]], out: torch.Tensor | None = None): ...


@overload
def tensordot(a, b, dims: list[list[int]], out: torch.Tensor | None = None): ...


@overload
def tensordot(a, b, dims: torch.Tensor, out: torch.Tensor | None = None): ...


def tensordot(a, b, dims=2, out: torch.Tensor | None = None):
    """The sum of products over dimensions: the last of ``a`` and first of ``b``, or those that two lists name."""
    if not isinstance(dims, (tuple, list, torch.Tensor, int)):
        raise RuntimeError(  # noqa: TRY004  (torch's)
            "tensordot expects dims to be int or "
            + "tuple[list[int], list[int]] or "
            + "list[list[int]] containing two lists, but got "
            + f"dims={dims}"
        )
    dims_a: list[int] = []
    dims_b: list[int] = []
    if isinstance(dims, (tuple, list)):
        dims_a, dims_b = dims
    if isinstance(dims, torch.Tensor):
        num_elements = dims.numel()
        if num_elements > 1:
            if dims.size()[0] != 2:
                raise AssertionError(f"dims tensor must have size 2 in first dimension, got {dims.size()[0]}")
            dims_a = torch.jit.annotate(list[int], dims[0].tolist())
            dims_b = torch.jit.annotate(list[int], dims[1].tolist())
        else:
            dims_val = int(dims.item())
            if dims_val < 0:
                raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
            dims_a = list(range(-dims_val, 0))
            dims_b = list(range(dims_val))
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.dim(), b.dim()):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        dims_a = list(range(-dims, 0))
        dims_b = list(range(dims))
    if out is None:
        return _tensordot(a, b, dims_a, dims_b)
    else:
        return _tensordot(a, b, dims_a, dims_b, out=out)


def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """The Fourier transforms of windows that move along a signal."""
    if center and align_to_window is not None:
        raise RuntimeError("stft align_to_window should only be set when center = false")
    if center:
        signal_dim = input.dim()
        extended_shape = [1] * (3 - signal_dim) + list(input.size())
        pad = int(n_fft // 2)
        input = F.pad(input.view(extended_shape), [pad, pad], pad_mode)
        input = input.view(input.shape[-signal_dim:])
    return _stft(input, n_fft, hop_length, win_length, window, normalized, onesided, return_complex, align_to_window)


# -- unique values -----------------------------------------------------------------------------------------------------


def _unique_impl(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The different elements (or, along ``dim``, slices) in order; where each element is among them; how many there are."""
    if dim is not None:
        output, inverse_indices, counts = torch.unique_dim(
            input, dim, sorted=sorted, return_inverse=return_inverse, return_counts=return_counts
        )
    else:
        output, inverse_indices, counts = torch._unique2(
            input, sorted=sorted, return_inverse=return_inverse, return_counts=return_counts
        )
    return output, inverse_indices, counts


def _return_counts(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    # type: (Tensor, bool, bool, bool, Optional[int]) -> tuple[Tensor, Tensor]
    output, _, counts = _unique_impl(input, sorted, return_inverse, return_counts, dim)
    return output, counts


def _return_output(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    # type: (Tensor, bool, bool, bool, Optional[int]) -> Tensor
    output, _, _ = _unique_impl(input, sorted, return_inverse, return_counts, dim)
    return output


def _return_inverse(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    # type: (Tensor, bool, bool, bool, Optional[int]) -> tuple[Tensor, Tensor]
    output, inverse_indices, _ = _unique_impl(input, sorted, return_inverse, return_counts, dim)
    return output, inverse_indices


def _return_inverse_and_counts(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    # type: (Tensor, bool, bool, bool, Optional[int]) -> tuple[Tensor, Tensor, Tensor]
    return _unique_impl(input, sorted, return_inverse, return_counts, dim)


unique = choose(
    "unique",
    "return_inverse",
    2,
    choose("unique", "return_counts", 3, _return_inverse_and_counts, _return_inverse),
    choose("unique", "return_counts", 3, _return_counts, _return_output),
)


def _unique_consecutive_impl(
    input: Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The elements that differ from the one before; which of them each element is; how often it stands there."""
    output, inverse_indices, counts = _unique_consecutive(
        input, return_inverse=return_inverse, return_counts=return_counts, dim=dim
    )
    return output, inverse_indices, counts


def _consecutive_return_counts(input, return_inverse=False, return_counts=False, dim=None):
    # type: (Tensor, bool, bool, Optional[int]) -> tuple[Tensor, Tensor]
    output, _, counts = _unique_consecutive_impl(input, return_inverse, return_counts, dim)
    return output, counts


def _consecutive_return_output(input, return_inverse=False, return_counts=False, dim=None):
    # type: (Tensor, bool, bool, Optional[int]) -> Tensor
    output, _, _ = _unique_consecutive_impl(input, return_inverse, return_counts, dim)
    return output


def _consecutive_return_inverse(input, return_inverse=False, return_counts=False, dim=None):
    # type: (Tensor, bool, bool, Optional[int]) -> tuple[Tensor, Tensor]
    output, inverse_indices, _ = _unique_consecutive_impl(input, return_inverse, return_counts, dim)
    return output, inverse_indices


def _consecutive_return_inverse_and_counts(input, return_inverse=False, return_counts=False, dim=None):
    # type: (Tensor, bool, bool, Optional[int]) -> tuple[Tensor, Tensor, Tensor]
    return _unique_consecutive_impl(input, return_inverse, return_counts, dim)


unique_consecutive = choose(
    "unique_consecutive",
    "return_inverse",
    1,
    choose(
        "unique_consecutive", "return_counts", 2, _consecutive_return_inverse_and_counts, _consecutive_return_inverse
    ),
    choose("unique_consecutive", "return_counts", 2, _consecutive_return_counts, _consecutive_return_output),
)
