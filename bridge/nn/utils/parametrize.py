"""Parametrizations: tensors of a module that are computed from others by modules, as in ``torch.nn.utils.parametrize``.

The tensor becomes a property of a class of its own, written as source, so that such modules compile, too.
"""

from __future__ import annotations

import copy
import linecache
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bridge import _dispatch
from bridge.autograd.grad_mode import no_grad
from bridge.jit.decorators import unused
from bridge.nn.modules.container import ModuleDict, ModuleList
from bridge.nn.modules.module import Module
from bridge.nn.parameter import Parameter
from bridge.tensor import Tensor

__all__ = [
    "ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
    "transfer_parametrizations_and_params", "type_before_parametrizations",
]  # fmt: skip

_depth = 0
_cache: dict[tuple[int, str], Tensor] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Inside, a parametrized tensor is computed when it is first read, and kept."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth:
            _cache.clear()


class _Computed(property):
    """The property that a parametrized tensor is."""

    name = ""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if _depth and _dispatch.tracer is not None:
            raise RuntimeError("Cannot trace a model while caching parametrizations.")
        key = (id(instance), self.name)
        if key in _cache:
            return _cache[key]
        made = instance.parametrizations[self.name]()  # a module of its own: traces show it
        if _depth:
            _cache[key] = made
        return made


def _register(module: Module, name: str, value: Tensor) -> None:
    """Add a tensor: a parameter where it is one."""
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


class ParametrizationList(ModuleList):
    """The modules through which a tensor is computed, in order, and what it is computed from: ``original``, or ``original0``,
    ``original1``… where the first module takes several tensors.

    Raises ValueError where types or shapes would change (unless ``unsafe``), and for what ``right_inverse`` must not return.
    """

    original: Tensor

    def __init__(self, modules: Any, original: Tensor, unsafe: bool = False) -> None:
        modules = list(modules)
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        with no_grad():
            new: Any = original
            for m in reversed(modules):
                if hasattr(m, "right_inverse"):
                    new = m.right_inverse(new)
        self.is_tensor = isinstance(new, Tensor)
        if not self.is_tensor and not isinstance(new, list | tuple):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        self.ntensors = 1 if self.is_tensor else len(new)
        for i, (name, value) in enumerate(zip(self._originals(), [new] if self.is_tensor else new, strict=True)):
            if not isinstance(value, Tensor):
                raise ValueError(  # noqa: TRY004
                    f"'right_inverse' must return a Tensor or a Sequence of tensors. Got element {i} of the sequence with type "
                    f"{type(value).__name__}."
                )  # fmt: skip
            if self.is_tensor:
                self._take(original, value)
                continue
            made = Parameter(value) if isinstance(original, Parameter) else value
            made.requires_grad_(original.requires_grad)
            _register(self, name, made)
        if not unsafe:
            made = self()
            if made.dtype != dtype:
                raise ValueError(
                    "Registering a parametrization may not change the dtype of the tensor, unless the `unsafe` flag is enabled.\n"
                    f"original.dtype: {dtype}\nparametrized dtype: {made.dtype}"
                )
            if made.shape != shape:
                raise ValueError(
                    "Registering a parametrization may not change the shape of the tensor, unless the `unsafe` flag is enabled.\n"
                    f"original.shape: {shape}\nparametrized shape: {made.shape}"
                )

    def _originals(self) -> list[str]:
        return ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]

    def _take(self, original: Tensor, value: Tensor) -> None:
        """``original`` itself, with the new value."""
        if value.dtype != original.dtype and isinstance(original, Parameter):
            raise ValueError(
                "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {value.dtype}"
            )
        if value is not original:
            with no_grad():
                original.data = value
        _register(self, "original", original)

    def right_inverse(self, value: Tensor) -> None:
        """Set what the tensor is computed from so that it becomes ``value``."""
        with no_grad():
            new: Any = value
            for m in reversed(list(self)):
                if not hasattr(m, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(m).__name__} does not implement right_inverse.")
                new = m.right_inverse(new)
            for name, v in zip(self._originals(), [new] if self.is_tensor else new, strict=True):
                getattr(self, name).data = v

    @unused  # programs compute it in the property
    def forward(self) -> Tensor:
        """The tensor as it is now."""
        first, *rest = list(self)
        x = first(*[getattr(self, n) for n in self._originals()])
        for m in rest:
            x = m(x)
        return x


def _getter(name: str, of: ParametrizationList) -> Any:
    """A function that computes the tensor, with a source for the compiler."""
    held = f'self.parametrizations["{name}"]'
    text = ", ".join(f"{held}.{n}" for n in of._originals())
    for i in range(len(of)):
        text = f"{held}[{i}]({text})"
    source = f"def {name}(self) -> Tensor:\n    return {text}\n"
    file = f"<parametrized {name} {len(of)} {len(of._originals())}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    names: dict[str, Any] = {"Tensor": Tensor, "__name__": __name__}
    exec(compile(source, file, "exec"), names)  # noqa: S102  (the source is ours; the name was checked to be an identifier)
    return names[name]


def _property(module: Module, name: str) -> None:
    held = module.parametrizations[name]

    @unused
    def put(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    made = _Computed(_getter(name, held), put)
    made.name = name
    setattr(type(module), name, made)


def _own_class(module: Module) -> None:
    """Give a module a class of its own, to which properties can be added."""
    cls = type(module)

    def no_pickle(self: Any) -> Any:
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict(). See:\n"
            "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
            "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
        )

    def copied(self: Any, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        new = object.__new__(cls)
        memo[id(self)] = new
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        _own_class(new)
        for name in new.parametrizations:
            _property(new, name)
        return new

    members = {"__getstate__": no_pickle, "__deepcopy__": copied, "__module__": __name__}
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), members)


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Have ``module.tensor_name`` be ``parametrization`` of it, also behind parametrizations that it has already.

    Raises ValueError for a tensor that there is not, and for a parametrization that changes type or shape (unless ``unsafe``).
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        held = module.parametrizations[tensor_name]
        value = getattr(module, tensor_name)
        if not unsafe:
            with no_grad():
                made = parametrization(value)
            if made.dtype != value.dtype or made.shape != value.shape:
                raise ValueError(
                    "Registering a parametrization may not change the dtype or the shape of the tensor, unless the `unsafe` "
                    "flag is enabled."
                )
        if hasattr(parametrization, "right_inverse"):
            with no_grad():
                held.right_inverse(parametrization.right_inverse(value))
        held.append(parametrization)
        held.unsafe |= unsafe
        _property(module, tensor_name)
        return module
    if tensor_name not in module._buffers and tensor_name not in module._parameters:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name '{tensor_name}'"
        )
    original = getattr(module, tensor_name)
    held = ParametrizationList([parametrization], original, unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        _own_class(module)
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = held
    _property(module, tensor_name)
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a module has parametrized tensors, or that one is."""
    held = module.__dict__.get("_modules", {}).get("parametrizations")
    if not isinstance(held, ModuleDict):
        return False
    return len(held) > 0 if tensor_name is None else tensor_name in held


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make the tensor a plain one again: what it is computed to be, or what it was computed from.

    Raises ValueError for one that is not parametrized, or where it is computed from several and shall not stay computed.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    held = module.parametrizations[tensor_name]
    if leave_parametrized:
        with no_grad():
            value = getattr(module, tensor_name).detach().clone()
        kept = held.original if held.is_tensor else getattr(held, held._originals()[0])
        made: Tensor = value
        if held.is_tensor:
            held.original.data = value
            made = held.original
        elif isinstance(kept, Parameter):
            made = Parameter(value, requires_grad=kept.requires_grad)
    else:
        if not held.is_tensor:
            raise ValueError(
                "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a sequence "
                "of tensors."
            )
        made = held.original
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, made)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class that a module had before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Parametrize one module as another one is, with copies of its parametrizations and of what it is computed from."""
    if not is_parametrized(from_module):
        return to_module
    names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
    for name in names:
        for m in from_module.parametrizations[name]:
            register_parametrization(to_module, name, copy.deepcopy(m), unsafe=True)
        theirs, ours = from_module.parametrizations[name], to_module.parametrizations[name]
        for n in theirs._originals():
            getattr(ours, n).data = getattr(theirs, n).detach().clone()
    return to_module
