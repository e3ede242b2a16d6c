"""The modules that a trace gives: one per module of the traced tree, each with a class of its own."""

from __future__ import annotations

from typing import Any, NoReturn

from bridge.ir.classes import ScriptObject
from bridge.jit.bases import submodules
from bridge.jit.concrete import concrete_type_of
from bridge.jit.decorators import Modifier, get_modifier
from bridge.jit.modules import RecursiveScriptModule, ScriptModule, instantiate
from bridge.jit.names import qualified_name
from bridge.nn import Module
from bridge.pytorch.programs import is_program, taken_over
from bridge.pytorch.tensors import plain

__all__ = ["TopLevelTracedModule", "TracedModule", "make_module"]


class TracedModule(ScriptModule, by_library=True):
    """A submodule of a trace: parameters and code to look at; it is called through the traced whole."""

    def __init__(self, original: Module) -> None:
        held = _script_module(original)
        self.__dict__.clear()  # everything is looked up in the script module
        self.__dict__["_name"] = type(original).__name__
        self.__dict__["_actual_script_module"] = held

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Raises RuntimeError: only the traced whole can be called."""
        raise RuntimeError("Trace submodules cannot be called.")

    def __getattr__(self, name: str) -> Any:
        held = self.__dict__.get("_actual_script_module")
        if held is None:
            raise AttributeError(name)
        return getattr(held, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["_actual_script_module"], name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def __copy__(self) -> RecursiveScriptModule:
        return self.__dict__["_actual_script_module"].__copy__()  # type: ignore[no-any-return]

    def __deepcopy__(self, memo: dict[int, Any]) -> RecursiveScriptModule:
        return self.__dict__["_actual_script_module"].__deepcopy__(memo)  # type: ignore[no-any-return]

    def _script_object(self) -> ScriptObject | None:
        return self.__dict__["_actual_script_module"].__dict__["_c"]  # type: ignore[no-any-return]

    def _get_name(self) -> str:
        return str(self.__dict__["_name"])

    def extra_repr(self) -> str:
        return f"original_name={self._get_name()}"


class _Forward:
    """``forward`` is the traced method itself."""

    def __get__(self, module: Any, owner: Any = None) -> Any:
        return self if module is None else module.__dict__["_actual_script_module"].forward


class TopLevelTracedModule(TracedModule, by_library=True):
    """What ``trace`` gives for a module."""

    forward: Any = _Forward()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["_actual_script_module"](*args, **kwargs)


class _Named:
    """Makes a class that has the qualified name of another one."""

    @staticmethod
    def like(original: type) -> type[Module]:
        name = qualified_name(original)
        return type("QualnameWrapper", (Module,), {"_jit_override_qualname": name})


def make_module(module: Module, kind: type[TracedModule]) -> Any:
    """The module to record into: a scripted one as it is, any other as a new ``kind``."""
    if isinstance(module, ScriptModule):
        return module
    if is_program(module):
        return taken_over(module)
    if _has_exports(module):
        from bridge.jit.script import script_exported

        return script_exported(module)
    return kind(module)


def _has_exports(module: Module) -> bool:
    """Whether a method is marked ``export``: then the module is compiled in part, even for a trace."""
    cls = type(module)
    return any(get_modifier(getattr(cls, name, None)) == Modifier.EXPORT for name in dir(cls))


def _script_module(original: Module) -> RecursiveScriptModule:
    """A script module of a new class with the parameters, buffers and submodules of a Python module.

    The tensors of a PyTorch module are shared. Raises ValueError for parameters that the module has under two names, and for backward hooks.
    """
    bare = _Named.like(type(original))()
    bare.training = original.training
    seen: set[int] = set()
    tables: tuple[Any, ...] = ((original._parameters, bare._parameters), (original._buffers, bare._buffers))
    for table, target in tables:
        for name, held in table.items():
            if held is None:
                continue
            if id(held) in seen:
                raise ValueError("TracedModules don't support parameter sharing between modules")
            seen.add(id(held))
            target[name] = plain(held)
    for name, held in original.__dict__.items():
        if isinstance(held, ScriptObject) and name not in original._parameters and name not in original._buffers:
            setattr(bare, name, held)
    if original._backward_hooks:
        raise ValueError("Modules that have backward hooks assigned can't be compiled: " + str(original))
    for name, sub in submodules(original).items():
        if sub is not None:
            bare._modules[name] = make_module(sub, TracedModule)
    return instantiate(bare, concrete_type_of(bare, share_types=False), _no_plain_module)


def _no_plain_module(module: Module, concrete: Any) -> NoReturn:
    raise AssertionError(f"{type(module).__name__} is not a script module")
