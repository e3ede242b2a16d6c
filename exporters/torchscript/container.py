"""The zip container of an archive, as torch writes it: one folder, data at offsets that are multiples of 64.

Python's ``zipfile`` writes it. A padding field (``FB``) in the local header of each record moves its data to the next
multiple of 64, so that a reader may map tensors into memory.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from typing import BinaryIO

__all__ = ["ContainerWriter", "archive_name"]

_ALIGNMENT = 64
_LOCAL_HEADER = 30
_ZIP64_FIELD = 20
#: torch compresses texts above this size, and nothing else
_WORTH_COMPRESSING = 200


class ContainerWriter:
    """Writes records into ``file`` under the folder ``name``; call :meth:`close` last, or :meth:`abandon` after an error."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self._digest = hashlib.sha256()

    def write(self, record: str, data: bytes | memoryview, *, text: bool = False) -> None:
        """Add a record. ``text``: it may be compressed."""
        info = zipfile.ZipInfo(f"{self._name}/{record}")
        info.file_size = len(data)
        compress = text and len(data) > _WORTH_COMPRESSING
        info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        info.extra = self._padding(info, len(data))
        self._digest.update(f"{info.filename}\0{zlib.crc32(data)}\0".encode())
        self._zip.writestr(info, data, compresslevel=9 if compress else None)
        info.extra = b""  # the padding belongs to the local header alone

    def abandon(self) -> None:
        """Write nothing more, and leave the file unfinished."""
        self._zip.fp = None  # else zipfile would try to finish it when it is collected

    def _padding(self, info: zipfile.ZipInfo, size: int) -> bytes:
        start = self._file.tell() + _LOCAL_HEADER + len(info.filename.encode()) + 4
        if size * 1.05 > zipfile.ZIP64_LIMIT:  # zipfile's own rule for giving an entry the 64-bit field
            start += _ZIP64_FIELD
        count = -start % _ALIGNMENT
        return b"FB" + count.to_bytes(2, "little") + b"Z" * count

    def close(self, version: int) -> None:
        """Write the closing records and the directory. ``version`` is what the operators in the code need.

        The identification is made from the content: the same archive written twice has the same bytes.
        """
        self.write("version" if version < 6 else ".data/version", f"{version}\n".encode())
        self.write("byteorder", b"little")
        identity = int.from_bytes(self._digest.digest(), "big") % 10**40
        self.write(".data/serialization_id", f"{identity:040}".encode())
        self._zip.close()


def archive_name(path: str) -> str:
    """The folder inside the archive: the file's name without its last extension, as torch names it."""
    base = os.path.basename(path).rpartition("\\")[2]
    stem = base.rpartition(".")[0] or base
    return stem if stem.isprintable() and stem not in ("", ".", "..") else "archive"
