"""Saving and loading programs as TorchScript archives."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from bridge.ir.errors import UnsupportedError
from bridge.ir.files import replacing
from bridge.ir.interpreter_steps import raised_as
from bridge.jit.functions import ScriptFunction
from bridge.jit.modules import RecursiveScriptModule, ScriptModule, wrap
from bridge.jit.running import interpret_raw
from bridge.nn import Parameter
from bridge.tensor import Tensor

__all__ = ["load", "save"]


def save(m: Any, f: Any, _extra_files: dict[str, Any] | None = None) -> None:
    """Write a scripted or traced module or function as a TorchScript archive that ``torch.jit.load`` reads.

    ``f`` is a path, or a binary file to write to. The file at a path is replaced when the archive is complete, and left
    alone when something goes wrong. ``_extra_files`` maps names to texts or bytes that are stored beside the program.
    Raises UnsupportedError for what an archive cannot hold, OSError when the file cannot be written.
    """
    from bridge.exporters.torchscript import archive_name, function_object, write_archive

    if isinstance(m, ScriptFunction):
        root = function_object(m._function)
    elif isinstance(m, ScriptModule) and m._script_object() is not None:
        root = m._c
    else:
        raise TypeError(f"save() takes what script() or trace() returned, not a {type(m).__name__}")
    if isinstance(f, str | os.PathLike):
        parent = os.path.dirname(os.fspath(f))
        if parent and not os.path.isdir(parent):
            raise raised_as(FileNotFoundError, RuntimeError)(f"Parent directory {parent} does not exist.")
        with replacing(f) as file:
            write_archive(file, archive_name(os.fspath(f)), root, _extra_files, interpret_raw)
    else:
        write_archive(f, "archive", root, _extra_files, interpret_raw)


def load(
    f: Any, map_location: Any = None, _extra_files: dict[str, Any] | None = None, _restore_shapes: bool = False
) -> RecursiveScriptModule:
    """Read a TorchScript archive, of ``torch.jit.save`` or of :func:`save`: parsed and compiled, never executed, except
    that ``__setstate__`` of a class that has one is interpreted.

    ``f`` is a path or a binary file. The names in ``_extra_files`` are looked up in the archive, and their bytes put there.
    Raises ArchiveError, which names the file and the entry, for an archive that is damaged, hostile or not supported, and
    OSError when there is no such file.
    """
    from bridge.importers.torchscript import read_archive

    if map_location is not None and str(map_location) != "cpu":
        raise UnsupportedError(
            f"archives are loaded to the CPU; move the module with .to({str(map_location)!r}) afterwards"
        )
    if isinstance(f, str | os.PathLike) and not os.path.exists(f):
        raise raised_as(FileNotFoundError, ValueError)(f"The provided filename {os.fspath(f)} does not exist")
    archive = read_archive(f, _make_tensor, interpret_raw)
    for name in _extra_files or {}:
        assert _extra_files is not None
        _extra_files[name] = archive.extra_files.get(name, b"")
    return wrap(archive.root)


def _make_tensor(array: np.ndarray[Any, Any], requires_grad: bool, is_parameter: bool) -> Tensor:
    tensor = Tensor._wrap(array)
    if is_parameter:
        return Parameter(tensor, requires_grad)
    tensor.requires_grad = requires_grad
    return tensor
