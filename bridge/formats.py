"""Files by extension: which reader and which writer a path asks for. ``convert`` is reading followed by writing.

``.onnx``  ONNX model              :func:`bridge.onnx.load` / :func:`bridge.onnx.export`
``.pt``    TorchScript archive     :func:`bridge.jit.load` / ``ScriptModule.save`` (also ``.pth``, ``.ts``)
``.py``    Python source           the file's ``model()`` is called / source with its weights beside it
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.ir.errors import BridgeError

if TYPE_CHECKING:
    from bridge.jit import ScriptModule

__all__ = ["FormatError", "convert", "load", "save"]

PathLike = str | os.PathLike[str]
ARCHIVES = (".pt", ".pth", ".ts")
KNOWN = ".onnx, .pt (.pth, .ts) and .py"


class FormatError(BridgeError):
    """The file's extension names no format, or its content is not what the extension says."""


def load(path: PathLike) -> ScriptModule:
    """Read a program in any format.

    ``.onnx`` and ``.pt`` files are parsed, never executed. A ``.py`` file IS executed: it is your own program; it must
    define ``model()`` that returns a module, which is scripted unless it is a ScriptModule already.

    Raises FormatError for an unknown extension, FileNotFoundError, and what the format's reader raises.
    """
    path = Path(path)
    _known(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a directory")
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if path.suffix == ".onnx":
        import bridge.onnx

        return bridge.onnx.load(path)
    if path.suffix in ARCHIVES:
        import bridge.jit

        return bridge.jit.load(path)
    return _python_model(path)


def save(
    module: ScriptModule,
    path: PathLike,
    *,
    args: Sequence[Any] | None = None,
    opset_version: int | None = None,
    modules: str = "functions",
    external_data: bool | str | None = None,
    checksums: bool = False,
    progress: Callable[[int, int], None] | None = None,
    report: bool = False,
) -> list[Path]:
    """Write a program in the format of the path's extension; returns the files written.

    ``args`` are example inputs, ``opset_version`` and ``modules`` as in :func:`bridge.onnx.export`; ``external_data``,
    ``checksums`` and ``progress`` as in :meth:`OnnxProgram.save`; ``report`` writes ``NAME.report.md`` too; all of them concern ``.onnx`` alone. Nothing is written when it fails. Raises FormatError for an unknown extension, and what the writer
    raises.
    """
    path = Path(path)
    _known(path)
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"no such folder: {path.parent}")
    if path.suffix == ".onnx":
        import bridge.onnx

        args = None if args is None else tuple(args)
        beside = path.with_suffix(".report.md")
        program = bridge.onnx.export(
            module, args, opset_version=opset_version, modules=modules, report=beside if report else False
        )
        written: list[Path] = program.save(path, external_data=external_data, checksums=checksums, progress=progress)
        return [*written, beside] if report else written
    if path.suffix in ARCHIVES:
        module.save(path)
        return [path]
    from bridge.onnx.python_file import write_python

    return write_python(module, path)


def convert(src: PathLike, dst: PathLike, **options: Any) -> list[Path]:
    """Read ``src`` and write it as ``dst``, each format by its extension; returns the files written.

    ``options`` are those of :func:`save`. Raises what :func:`load` and :func:`save` raise.
    """
    _known(Path(dst))  # before the work of reading
    return save(load(src), dst, **options)


def _known(path: Path) -> None:
    if path.suffix not in (".onnx", ".py", *ARCHIVES):
        named = f"'{path.suffix}'" if path.suffix else "no extension"
        raise FormatError(f"{path}: {named} is no format that bridge knows ({KNOWN})")


def _python_model(path: Path) -> ScriptModule:
    """What the file's ``model()`` returns, scripted. The folder of the file is searched for what it imports, after all others."""
    import importlib.util
    import sys

    from bridge.jit import ScriptModule
    from bridge.jit.script import script

    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FormatError(f"{path}: cannot be imported as Python")
    python = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    folder = str(path.absolute().parent)
    sys.modules[name] = python
    sys.path.append(folder)
    try:
        spec.loader.exec_module(python)
        make = getattr(python, "model", None)
        if not callable(make):
            raise FormatError(f"{path}: defines no function model() that returns the module")
        made = make()
        return made if isinstance(made, ScriptModule) else script(made)
    except BridgeError:
        raise  # it names its place
    except (Exception, SystemExit) as e:
        raise FormatError(f"{_place(e, path)}: {type(e).__name__}: {e.msg if isinstance(e, SyntaxError) else e}") from e
    finally:
        sys.path.remove(folder)
        if before is not None:
            sys.modules[name] = before


def _place(e: BaseException, path: Path) -> str:
    """The last line of a file that an exception came through, as ``path:line``; the path where none is known."""
    if isinstance(e, SyntaxError) and e.lineno is not None:
        return f"{path if e.filename in (None, str(path.absolute())) else e.filename}:{e.lineno}"
    file = str(path.absolute())
    lines = [line for frame, line in traceback.walk_tb(e.__traceback__) if frame.f_code.co_filename == file]
    return f"{path}:{lines[-1]}" if lines else str(path)
