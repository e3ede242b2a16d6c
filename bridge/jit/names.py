"""Qualified names, and the process-wide table of everything that has one.

Classes and functions of a program are called by where Python found them: ``Gate`` of ``__main__`` is
``__torch__.Gate``, of a module ``models.cells`` it is ``__torch__.models.cells.Gate``. The library's own modules keep
the names that TorchScript archives know them by (``__torch__.torch.nn.modules.linear.Linear``). A name that is taken is
mangled (``__torch__.___torch_mangle_7.Gate``); numbers are handed out in the order of creation, as in torch.
"""

from __future__ import annotations

import enum
from typing import Any

from bridge.ir.classes import ClassType, CompilationUnit

__all__ = ["declare_class", "public_module", "python_cu", "qualified_name"]

#: Owner of every class and function that this process scripts or traces.
python_cu = CompilationUnit()


def public_module(module: str) -> str:
    """The name under which programs know a Python module: ``bridge.nn.modules.linear`` is ``torch.nn.modules.linear``."""
    if module == "bridge" or module.startswith("bridge."):
        return "torch" + module[len("bridge") :]
    return module


def qualified_name(obj: Any) -> str:
    """The qualified name of a class, function or enum member, ``__torch__.`` first.

    A class attribute ``_jit_override_qualname`` wins (a traced module keeps the name of the class it was made from).
    Raises RuntimeError when the object has no usable name.
    """
    override = getattr(obj, "_jit_override_qualname", None)
    if isinstance(override, str):
        return override
    if not isinstance(obj, type) and isinstance(getattr(obj, "qualified_name", None), str):  # a ScriptFunction
        return str(obj.qualified_name)
    name = getattr(obj, "__name__", None)
    if not name and isinstance(obj, enum.Enum):
        name = obj.name
    if not name:
        raise RuntimeError("Could not get name of python class object")
    if name == "<lambda>":
        name = "_lambda"
    module = obj.__module__
    if module is None:
        raise RuntimeError(f"Could not get qualified name for class '{name}': __module__ can't be None.")
    if "." in name:
        raise RuntimeError(f"Could not get qualified name for class '{name}': '{name}' is not a valid identifier")
    return f"__torch__.{name}" if module == "__main__" else f"__torch__.{public_module(module)}.{name}"


def declare_class(python_class: Any, is_module: bool = True) -> ClassType:
    """A new, empty class type named after a Python class (mangled when the name is taken), registered."""
    t = ClassType(python_cu.unique_name(qualified_name(python_class)), is_module, python_class)
    python_cu.add_type(t.name, t)
    return t
