"""Layers that learn how many channels they take from what they are first called with."""

from __future__ import annotations

import warnings
from typing import Any

import bridge
from bridge.nn.modules.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from bridge.nn.modules.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from bridge.nn.modules.instancenorm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from bridge.nn.modules.linear import Linear
from bridge.nn.modules.module import Module
from bridge.nn.parameter import UninitializedBuffer, UninitializedParameter

__all__ = [
    "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d", "LazyConv2d", "LazyConv3d", "LazyConvTranspose1d",
    "LazyConvTranspose2d", "LazyConvTranspose3d", "LazyInstanceNorm1d", "LazyInstanceNorm2d", "LazyInstanceNorm3d", "LazyLinear",
    "LazyModuleMixin",
]  # fmt: skip


class LazyModuleMixin(Module):
    """The first call makes the parameters and the module one of ``cls_to_become``; a state that is loaded before gives them
    their sizes."""

    cls_to_become: type[Module] = Module
    #: The name of the argument that is learnt.
    learnt = ""
    #: Defaults other than those of the layer, by position.
    own_defaults: dict[int, tuple[str, Any]] = {}  # noqa: RUF012

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            "Lazy modules are a new feature under heavy development so changes to the API or functionality can happen at any "
            "moment.",
            stacklevel=2,
        )
        for place, (name, value) in self.own_defaults.items():
            if len(args) <= place:
                kwargs.setdefault(name, value)
        state = bridge.get_rng_state()
        self.cls_to_become.__init__(self, kwargs.get("groups", 1), *args, **kwargs)
        bridge.set_rng_state(state)  # nothing was drawn yet
        self._made_with = args, kwargs
        setattr(self, self.learnt, 0)
        for name, p in self._parameters.items():
            if p is not None:
                self._parameters[name] = UninitializedParameter(p.dtype, p.requires_grad)
        for name, b in self._buffers.items():
            if b is not None and b.dim():
                self._buffers[name] = UninitializedBuffer(b.dtype)
        self._initialize_hook = self.register_forward_pre_hook(_initialise, with_kwargs=True)
        self._load_hook = self._register_load_state_dict_pre_hook(self._sizes_of_state)

    def has_uninitialized_params(self) -> bool:
        """Whether there are parameters or buffers without a size."""
        return any(_is_uninitialised(v) for v in (*self._parameters.values(), *self._buffers.values()))

    def _sizes_of_state(self, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
        for members in (self._parameters, self._buffers):
            for name, v in members.items():
                if _is_uninitialised(v) and prefix + name in state_dict:
                    v.materialize(state_dict[prefix + name].shape)  # type: ignore[union-attr]

    def _count(self, x: Any) -> int:
        """How many channels an input has."""
        rank = _rank_of(self.cls_to_become)
        if rank is None:
            return int(x.shape[-1])
        if x.dim() not in (rank, rank + 1) and isinstance(self, _Convolution):
            raise RuntimeError(
                f"Expected {rank}D (unbatched) or {rank + 1}D (batched) input to {type(self).__name__}, but got input of size: "
                f"{tuple(x.shape)}"
            )
        return int(x.shape[0 if x.dim() == rank and isinstance(self, _Convolution) else 1])


class _Convolution(LazyModuleMixin):
    learnt = "in_channels"


def _rank_of(kind: type) -> int | None:
    return int(kind.__name__[-2]) + 1 if kind.__name__[-1] == "d" else None


def _is_uninitialised(v: Any) -> bool:
    return isinstance(v, UninitializedParameter | UninitializedBuffer)


def _initialise(module: Any, args: Any, kwargs: Any) -> None:
    """Become the module that the first call asks for; parameters stay the same objects."""
    own, options = module._made_with
    x = args[0] if args else next(iter(kwargs.values()))
    count = module._count(x)
    if module.has_uninitialized_params():
        made = module.cls_to_become(count, *own, **options)
        for mine, theirs in ((module._parameters, made._parameters), (module._buffers, made._buffers)):
            for name, v in mine.items():
                if _is_uninitialised(v):
                    v.materialize(theirs[name].shape)
                    v._array[...] = theirs[name]._array
    module._initialize_hook.remove()
    module._load_hook.remove()
    for name in ("_initialize_hook", "_load_hook", "_made_with"):
        delattr(module, name)
    setattr(module, module.learnt, count)
    module.__class__ = module.cls_to_become


#: Lazy instance norms have parameters and statistics unless told otherwise.
_NORMALISES: dict[int, tuple[str, Any]] = {2: ("affine", True), 3: ("track_running_stats", True)}


class LazyLinear(LazyModuleMixin, Linear):
    """:class:`Linear` with the number of features of its first input."""

    cls_to_become = Linear
    learnt = "in_features"


class LazyConv1d(_Convolution, Conv1d):
    """:class:`Conv1d` with the channels of its first input."""

    cls_to_become = Conv1d


class LazyConv2d(_Convolution, Conv2d):
    """:class:`Conv2d` with the channels of its first input."""

    cls_to_become = Conv2d


class LazyConv3d(_Convolution, Conv3d):
    """:class:`Conv3d` with the channels of its first input."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_Convolution, ConvTranspose1d):
    """:class:`ConvTranspose1d` with the channels of its first input."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_Convolution, ConvTranspose2d):
    """:class:`ConvTranspose2d` with the channels of its first input."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_Convolution, ConvTranspose3d):
    """:class:`ConvTranspose3d` with the channels of its first input."""

    cls_to_become = ConvTranspose3d


class LazyBatchNorm1d(LazyModuleMixin, BatchNorm1d):
    """:class:`BatchNorm1d` with the channels of its first input."""

    cls_to_become = BatchNorm1d
    learnt = "num_features"


class LazyBatchNorm2d(LazyModuleMixin, BatchNorm2d):
    """:class:`BatchNorm2d` with the channels of its first input."""

    cls_to_become = BatchNorm2d
    learnt = "num_features"


class LazyBatchNorm3d(LazyModuleMixin, BatchNorm3d):
    """:class:`BatchNorm3d` with the channels of its first input."""

    cls_to_become = BatchNorm3d
    learnt = "num_features"


class LazyInstanceNorm1d(LazyModuleMixin, InstanceNorm1d):
    """:class:`InstanceNorm1d` with the channels of its first input."""

    cls_to_become = InstanceNorm1d
    learnt = "num_features"
    own_defaults = _NORMALISES


class LazyInstanceNorm2d(LazyModuleMixin, InstanceNorm2d):
    """:class:`InstanceNorm2d` with the channels of its first input."""

    cls_to_become = InstanceNorm2d
    learnt = "num_features"
    own_defaults = _NORMALISES


class LazyInstanceNorm3d(LazyModuleMixin, InstanceNorm3d):
    """:class:`InstanceNorm3d` with the channels of its first input."""

    cls_to_become = InstanceNorm3d
    learnt = "num_features"
    own_defaults = _NORMALISES
