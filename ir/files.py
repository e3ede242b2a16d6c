"""Writing files whole or not at all, and which paths a file may name."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath, PureWindowsPath
from typing import BinaryIO

__all__ = ["goes_up", "is_relative", "replacing"]


def is_relative(location: str) -> bool:
    """Whether a path that a file names is relative, read the POSIX way and the Windows way."""
    windows = PureWindowsPath(location)
    absolute = PurePosixPath(location).is_absolute() or windows.is_absolute() or bool(windows.drive)
    return bool(location) and "\0" not in location and not absolute


def goes_up(location: str) -> bool:
    """Whether a path leads upwards somewhere, read either way."""
    return ".." in PurePosixPath(location).parts or ".." in PureWindowsPath(location).parts


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write in a ``with`` block; it takes its place at ``path`` when the block ends without an error.

    Until then, and after an error, what stood at ``path`` stays, and nothing is left beside it. A link is followed. Raises
    OSError when the folder cannot be written to.
    """
    target = os.path.realpath(path)
    exists = os.path.exists(target)
    if exists and not stat.S_ISREG(os.stat(target).st_mode):
        if os.path.isdir(target):
            raise IsADirectoryError(f"{os.fspath(path)} is a folder")
        with open(target, "wb") as file:  # a device or a pipe: there is nothing to replace
            yield file
        return
    temporary = f"{target}.{secrets.token_hex(6)}.part"
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
        if exists:
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
