"""The zip container of an archive, read with the checks that a file from a stranger needs.

The directory is parsed by Python's ``zipfile``, after its size and number of entries were bounded; the data of an entry is
read by offset from the file, decompressed with a limit, counted, and compared with its CRC. Nothing is ever written to disk.
Layout of the records: the zip specification (APPNOTE.TXT 6.3), as torch's writer uses it (stored or deflated, data
descriptors, a zip64 end record).
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

from bridge.importers.torchscript.errors import ArchiveError

__all__ = ["Container", "Limits"]

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL_SIZE = 46
_DESCRIPTOR_FLAG = 0x8
_ENCRYPTED_FLAGS = 0x1 | 0x40 | 0x2000


class Limits:
    """What an archive may ask for. The defaults are far above what torch writes."""

    #: entries, and bytes of the directory that lists them
    entries = 200_000
    directory_bytes = 64 << 20
    #: a deflated entry may grow to this size freely; beyond it, by this factor (source texts deflate about tenfold)
    inflated_floor = 16 << 20
    inflated_ratio = 100
    #: one record that is parsed (a pickle, a source text)
    record_bytes = 64 << 20


class Container:
    """A zip file opened for reading: ``names`` lists its records, :meth:`read` returns one.

    All records stand in one folder, whose name (``name``) is not part of their names here. Raises :class:`ArchiveError` for
    whatever is not a plain, whole and honest archive; FileNotFoundError and other OSErrors for the file itself.
    """

    def __init__(self, file: str | os.PathLike[str] | BinaryIO, limits: type[Limits] = Limits) -> None:
        self.limits = limits
        self._owned = isinstance(file, str | os.PathLike)
        if isinstance(file, str | os.PathLike):
            self.path = os.fspath(file)
            if Path(file).is_dir():
                raise ArchiveError(self.path, None, "is a folder, not an archive")
            self._file: BinaryIO = open(file, "rb")  # noqa: SIM115 - closed by close()
        else:
            self.path, self._file = str(getattr(file, "name", "<archive>")), file
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owned:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def names(self) -> list[str]:
        """The names of the records, in the order of the directory."""
        return list(self._records)

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def size(self, name: str) -> int:
        """Bytes of a record. Raises :class:`ArchiveError` when there is none of this name."""
        return self._find(name).file_size

    def read(self, name: str, limit: int | None = None) -> bytes:
        """The whole of a record, checked. ``limit``: refuse one that is larger (default: what a parsed record may have)."""
        info = self._find(name)
        limit = self.limits.record_bytes if limit is None else limit
        if info.file_size > limit:
            raise ArchiveError(self.path, name, f"has {info.file_size} bytes; at most {limit} are read")
        return bytes(self._data(info, name))

    def read_data(self, name: str) -> bytearray:
        """The whole of a record of tensor data, in memory that may be written to."""
        return self._data(self._find(name), name)

    def text(self, name: str, limit: int | None = None) -> str:
        """A record as UTF-8 text; ``limit`` as for :meth:`read`."""
        try:
            return self.read(name, limit).decode("utf-8")
        except UnicodeDecodeError as e:
            raise ArchiveError(self.path, name, f"is not UTF-8 text (byte {e.start})") from None

    # -- opening -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._length = self._file.seek(0, io.SEEK_END)
        self._file.seek(0)
        head = self._file.read(4)
        if head[:1] == b"\x80":
            raise ArchiveError(
                self.path, None, "is a bare pickle (torch.save, or a checkpoint), not a TorchScript archive"
            )
        if head[:2] != b"PK":
            raise ArchiveError(self.path, None, "is not a TorchScript archive (no zip file starts here)")
        self._count_entries()
        try:
            archive = zipfile.ZipFile(self._file)
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, struct.error, EOFError) as e:
            raise ArchiveError(self.path, None, f"is not a whole zip file: {e}") from None
        infos = archive.infolist()
        if archive.start_dir != self._directory_start:
            raise ArchiveError(self.path, None, "has bytes before the zip file, or its directory is misplaced")
        self._check_names(infos)
        self._check_sizes(infos)
        self._check_layout(infos)

    def _count_entries(self) -> None:
        """Find the directory and walk it without keeping anything, so that a flood of entries costs nothing."""
        start, size = self._find_directory()
        if size > self.limits.directory_bytes:
            raise ArchiveError(
                self.path, None, f"lists its entries in {size} bytes; at most {self.limits.directory_bytes} are read"
            )
        self._file.seek(start)
        directory = self._file.read(size)
        offset = count = 0
        while offset < size:
            if directory[offset : offset + 4] != b"PK\x01\x02" or offset + _CENTRAL_SIZE > size:
                raise ArchiveError(
                    self.path, None, f"is not a whole zip file: entry {count} of its directory is damaged"
                )
            offset += _CENTRAL_SIZE + sum(struct.unpack_from("<3H", directory, offset + 28))
            count += 1
            if count > self.limits.entries:
                raise ArchiveError(self.path, None, f"has more than {self.limits.entries} entries")
        if offset != size:
            raise ArchiveError(self.path, None, "is not a whole zip file: its directory is longer than its entries")
        if count != self._declared:
            raise ArchiveError(self.path, None, f"declares {self._declared} entries and lists {count}")
        self._directory_start = start

    def _find_directory(self) -> tuple[int, int]:
        """(offset, size) of the directory, from the end record and its zip64 form; both must agree with the file."""
        tail_start = max(0, self._length - 22 - 0xFFFF)
        self._file.seek(tail_start)
        tail = self._file.read()
        found = tail.rfind(b"PK\x05\x06")
        if found < 0 or len(tail) - found < 22:
            raise ArchiveError(self.path, None, "is not a whole zip file: its end is missing (a truncated download?)")
        disk, first_disk, here, total, size, start, comment = struct.unpack_from("<4H2LH", tail, found + 4)
        end = tail_start + found
        if end + 22 + comment != self._length:
            raise ArchiveError(self.path, None, "is not a whole zip file: bytes follow its end")
        locator = tail[found - 20 : found] if found >= 20 else b""
        if locator[:4] == b"PK\x06\x07":
            (record,) = struct.unpack_from("<Q", locator, 8)
            self._file.seek(min(record, self._length))
            zip64 = self._file.read(56)
            if len(zip64) < 56 or zip64[:4] != b"PK\x06\x06" or record + 56 > end - 20:
                raise ArchiveError(self.path, None, "is not a whole zip file: its zip64 end record is damaged")
            disk, first_disk, here, total, size64, start64 = struct.unpack_from("<2L4Q", zip64, 16)
            if (size not in (size64, 0xFFFFFFFF)) or (start not in (start64, 0xFFFFFFFF)):
                raise ArchiveError(self.path, None, "has two end records that disagree")
            size, start, end = size64, start64, record
        if disk or first_disk or here != total:
            raise ArchiveError(self.path, None, "is one part of a zip file in several parts")
        if start + size != end:
            raise ArchiveError(self.path, None, "has bytes before the zip file, or its directory is misplaced")
        self._declared = total
        return start, size

    # -- checks that need only the directory ---------------------------------------------------------------------------

    def _check_names(self, infos: list[zipfile.ZipInfo]) -> None:
        self._records: dict[str, zipfile.ZipInfo] = {}
        self.name = ""
        for info in infos:
            name = info.orig_filename
            self._check_name(name)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ArchiveError(self.path, name, "is a link or a special file, not a plain entry")
            if name.endswith("/"):
                if info.file_size or info.compress_size:
                    raise ArchiveError(self.path, name, "is a folder entry with data")
                continue
            folder, slash, inner = name.partition("/")
            if not slash or (self.name and folder != self.name):
                raise ArchiveError(self.path, name, "does not stand in the archive's one folder")
            self.name = folder
            if inner in self._records:
                raise ArchiveError(self.path, name, "appears twice")
            self._records[inner] = info
        if not self._records:
            raise ArchiveError(self.path, None, "has no entries")

    def _check_name(self, name: str) -> None:
        shown = ascii(name)[1:-1]
        if name.startswith("/") or "\\" in name or (len(name) > 1 and name[1] == ":"):
            raise ArchiveError(self.path, shown, "is an absolute or foreign path")
        if any(part in ("", ".", "..") for part in name.removesuffix("/").split("/")):
            raise ArchiveError(self.path, shown, "is not a plain path ('..', '.' or an empty part)")
        if not name.isprintable():
            raise ArchiveError(self.path, shown, "has control characters in its name")

    def _check_sizes(self, infos: list[zipfile.ZipInfo]) -> None:
        inflated = packed = 0
        for info in infos:
            if info.flag_bits & _ENCRYPTED_FLAGS:
                raise ArchiveError(self.path, info.orig_filename, "is encrypted")
            if info.compress_type == zipfile.ZIP_STORED:
                if info.file_size != info.compress_size:
                    raise ArchiveError(self.path, info.orig_filename, "is stored with two sizes that differ")
            elif info.compress_type == zipfile.ZIP_DEFLATED:
                self._check_growth(info.orig_filename, info.file_size, info.compress_size)
                inflated, packed = inflated + info.file_size, packed + info.compress_size
            else:
                raise ArchiveError(
                    self.path,
                    info.orig_filename,
                    f"uses compression method {info.compress_type}; torch uses none or deflate",
                )
        self._check_growth(None, inflated, packed)

    def _check_growth(self, entry: str | None, size: int, packed: int) -> None:
        if size > self.limits.inflated_floor and size > packed * self.limits.inflated_ratio:
            raise ArchiveError(
                self.path, entry, f"would grow from {packed} to {size} bytes when unpacked (a decompression bomb)"
            )

    # -- the entries themselves ----------------------------------------------------------------------------------------

    def _check_layout(self, infos: list[zipfile.ZipInfo]) -> None:
        """Each entry's own header must say what the directory says, and no two entries may share bytes."""
        self._offsets: dict[int, int] = {}
        reached, previous = 0, ""
        for info in sorted(infos, key=lambda i: i.header_offset):
            if info.header_offset < reached:
                raise ArchiveError(self.path, info.orig_filename, f"overlaps with {previous or 'another entry'}")
            start = self._local_header(info)
            reached, previous = start + info.compress_size, info.orig_filename
            if reached > self._directory_start:
                raise ArchiveError(self.path, info.orig_filename, "reaches into the directory")
            self._offsets[info.header_offset] = start

    def _local_header(self, info: zipfile.ZipInfo) -> int:
        """Compare an entry's local header with the directory; where its data starts."""
        self._file.seek(info.header_offset)
        raw = self._file.read(_LOCAL.size)
        if len(raw) < _LOCAL.size or raw[:4] != b"PK\x03\x04":
            raise ArchiveError(self.path, info.orig_filename, "has no header where the directory says")
        _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(raw)
        name = self._file.read(name_length)
        extra = self._file.read(extra_length)
        expected = info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437")
        if name != expected or flags != info.flag_bits or method != info.compress_type:
            raise ArchiveError(self.path, info.orig_filename, "has a header that differs from the directory")
        if 0xFFFFFFFF in (size, packed):
            size, packed = _zip64_sizes(extra, size, packed)
        stated = (crc, packed, size)
        actual = (info.CRC, info.compress_size, info.file_size)
        if stated != actual and not (
            flags & _DESCRIPTOR_FLAG and stated[0] == 0 and {stated[1], stated[2]} <= {0, *actual}
        ):
            raise ArchiveError(self.path, info.orig_filename, "has a header that differs from the directory")
        return int(info.header_offset + _LOCAL.size + name_length + extra_length)

    def _find(self, name: str) -> zipfile.ZipInfo:
        info = self._records.get(name)
        if info is None:
            raise ArchiveError(self.path, name, "is missing from the archive")
        return info

    def _data(self, info: zipfile.ZipInfo, name: str) -> bytearray:
        """The bytes of an entry: as many as declared, with the right CRC, or an error."""
        out, crc = bytearray(), 0
        if info.compress_type == zipfile.ZIP_STORED:
            out = bytearray(info.file_size)
            self._file.seek(self._offsets[info.header_offset])
            if _read_into(self._file, memoryview(out)) != info.file_size:
                raise ArchiveError(self.path, name, "ends before its data does")
            crc = zlib.crc32(out)
        else:
            for chunk in self._inflate(info, name):
                out += chunk
                crc = zlib.crc32(chunk, crc)
                if len(out) > info.file_size:
                    raise ArchiveError(self.path, name, f"unpacks to more than the {info.file_size} bytes it declares")
        if len(out) != info.file_size:
            raise ArchiveError(self.path, name, f"unpacks to {len(out)} bytes and declares {info.file_size}")
        if crc != info.CRC:
            raise ArchiveError(self.path, name, "is damaged (its checksum does not match)")
        return out

    def _inflate(self, info: zipfile.ZipInfo, name: str) -> Iterator[bytes]:
        self._file.seek(self._offsets[info.header_offset])
        left, machine = info.compress_size, zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            while left and not machine.eof:
                packed = self._file.read(min(left, 1 << 16))
                if not packed:
                    raise ArchiveError(self.path, name, "ends before its data does")
                left -= len(packed)
                while packed and not machine.eof:
                    yield machine.decompress(packed, 1 << 20)
                    packed = machine.unconsumed_tail
            yield machine.flush()
        except zlib.error as e:
            raise ArchiveError(self.path, name, f"is damaged ({e})") from None
        if not machine.eof or machine.unused_data or left:
            raise ArchiveError(self.path, name, "is damaged (its compressed data does not end where it should)")


def _read_into(file: BinaryIO, view: memoryview) -> int:
    """Fill ``view`` from ``file``; how many bytes were there."""
    done = 0
    while done < len(view):
        chunk = file.read(min(len(view) - done, 64 << 20))
        if not chunk:
            break
        view[done : done + len(chunk)] = chunk
        done += len(chunk)
    return done


def _zip64_sizes(extra: bytes, size: int, packed: int) -> tuple[int, int]:
    """The 64-bit sizes of a local header's extra field, where the 32-bit ones say so."""
    offset = 0
    while offset + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, offset)
        if kind == 1 and length >= 16:
            size, packed = struct.unpack_from("<2Q", extra, offset + 4)
            break
        offset += 4 + length
    return size, packed
