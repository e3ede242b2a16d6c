"""Hooks of modules: their registration, and the identity operation that full backward hooks sit on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bridge.autograd.node import Removable

if TYPE_CHECKING:
    from bridge.nn.modules.module import Module

__all__ = ["BackwardHook", "HookRegistry"]

Hooks = "OrderedDict[int, Callable[..., Any]]"


def _add(hooks: Any, hook: Callable[..., Any], prepend: bool, *flags: Any) -> Removable:
    handle = Removable(hooks, *flags)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


class HookRegistry:
    """The registering half of ``Module``."""

    _forward_hooks: OrderedDict[int, Callable[..., Any]]
    _forward_hooks_with_kwargs: OrderedDict[int, bool]
    _forward_hooks_always_called: OrderedDict[int, bool]
    _forward_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _forward_pre_hooks_with_kwargs: OrderedDict[int, bool]
    _backward_hooks: OrderedDict[int, Callable[..., Any]]
    _backward_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _state_dict_hooks: OrderedDict[int, Callable[..., Any]]
    _state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _load_state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _load_state_dict_post_hooks: OrderedDict[int, Callable[..., Any]]
    _is_full_backward_hook: bool | None

    def _init_hooks(self) -> None:
        put = self.__dict__.__setitem__
        for name in (
            "_backward_pre_hooks", "_backward_hooks", "_forward_hooks", "_forward_hooks_with_kwargs",
            "_forward_hooks_always_called", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
            "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
        ):  # fmt: skip
            put(name, OrderedDict())
        put("_is_full_backward_hook", None)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Removable:
        """Call ``hook(module, args)`` (``hook(module, args, kwargs)``) before ``forward``; what it returns replaces the
        arguments."""
        handle = _add(self._forward_pre_hooks, hook, prepend, self._forward_pre_hooks_with_kwargs)
        if with_kwargs:
            self._forward_pre_hooks_with_kwargs[handle.id] = True
        return handle

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> Removable:
        """Call ``hook(module, args, output)`` after ``forward``; what it returns replaces the output."""
        flags = self._forward_hooks_with_kwargs, self._forward_hooks_always_called
        handle = _add(self._forward_hooks, hook, prepend, *flags)
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        return handle

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Removable:
        """Call ``hook(module, grad_input, grad_output)`` when the gradients of the inputs are known; what it returns
        replaces ``grad_input``."""
        if self._is_full_backward_hook is False:
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. Please use only one of "
                "them."
            )
        self._is_full_backward_hook = True
        return _add(self._backward_hooks, hook, prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Removable:
        """Call ``hook(module, grad_output)`` before the gradients of the module are computed."""
        return _add(self._backward_pre_hooks, hook, prepend)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> Removable:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` at the end of ``state_dict``; it may return another."""
        return _add(self._state_dict_hooks, hook, False)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> Removable:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` at the end of ``state_dict``."""
        hook._from_public_api = True  # type: ignore[attr-defined]
        return _add(self._state_dict_hooks, hook, False)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Removable:
        """Call ``hook(module, prefix, keep_vars)`` before ``state_dict`` collects."""
        return _add(self._state_dict_pre_hooks, hook, False)

    def _register_load_state_dict_pre_hook(self, hook: Callable[..., Any], with_module: bool = False) -> Removable:
        """Call ``hook(state_dict, prefix, …)`` (the module first, ``with_module``) before this module loads."""
        if with_module:
            plain = hook

            def hook(*args: Any) -> Any:
                return plain(self, *args)

        return _add(self._load_state_dict_pre_hooks, hook, False)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Removable:
        """Call ``hook(module, state_dict, prefix, local_metadata, strict, missing, unexpected, errors)`` before loading."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> Removable:
        """Call ``hook(module, incompatible_keys)`` after loading; it may change the lists of keys."""
        return _add(self._load_state_dict_post_hooks, hook, False)


_hook_function: Any = None


def _marker() -> Any:
    """The identity operation whose node carries the hooks (made late: it needs the tape)."""
    global _hook_function
    if _hook_function is None:
        from bridge.autograd.function import Function

        class BackwardHookFunction(Function):
            @staticmethod
            def forward(ctx: Any, *args: Any) -> Any:
                return tuple(a.view_as(a) for a in args)

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> Any:
                return grads

        _hook_function = BackwardHookFunction
    return _hook_function


class BackwardHook:
    """Connects full backward hooks of a module to the gradients of its inputs and outputs for one call."""

    def __init__(self, module: Module, hooks: Sequence[Any], pre_hooks: Sequence[Any]) -> None:
        self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
        self.grad_outputs: tuple[Any, ...] | None = None
        self.has_inputs = False

    def _mark(self, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any, list[int]]:
        from bridge.tensor import Tensor

        places = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
        if not any(values[i].requires_grad for i in places):
            return values, None, places
        marked = _marker().apply(*(values[i] for i in places))
        node = next(m.grad_fn for m in marked if m.grad_fn is not None)
        out = list(values)
        for i, m in zip(places, marked, strict=True):
            out[i] = m
        return tuple(out), node, places

    def setup_input_hook(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Mark the arguments; the hooks run when their gradients arrive."""
        marked, node, places = self._mark(args)
        if node is not None:
            self.has_inputs = True

            def run(grad_inputs: tuple[Any, ...], _: Any) -> Any:
                full: list[Any] = [None] * len(args)
                for i, g in zip(places, grad_inputs, strict=False):
                    full[i] = g
                result = self._run(tuple(full))
                return None if result is None else tuple(result[i] for i in places)

            node.register_hook(run)
        return marked

    def _run(self, grad_inputs: tuple[Any, ...]) -> Any:
        changed = None
        for hook in self.hooks:
            out = hook(self.module, grad_inputs, self.grad_outputs)
            if out is not None:
                grad_inputs = changed = out if isinstance(out, tuple) else (out,)
        return changed

    def setup_output_hook(self, result: Any) -> Any:
        """Mark the results; their gradients are kept for the hooks."""
        single = not isinstance(result, tuple)
        values = (result,) if single else result
        marked, node, places = self._mark(values)
        if node is not None:

            def collect(grads: tuple[Any, ...]) -> Any:
                full: list[Any] = [None] * len(values)
                for i, g in zip(places, grads, strict=False):
                    full[i] = g
                self.grad_outputs = tuple(full)
                for hook in self.pre_hooks:
                    out = hook(self.module, self.grad_outputs)
                    if out is not None:
                        self.grad_outputs = out if isinstance(out, tuple) else (out,)
                if not self.has_inputs:
                    self._run(())
                return tuple(self.grad_outputs[i] for i in places)

            node.register_prehook(collect)
        return marked[0] if single else marked
