"""What the container of an archive is made of: alignment, sizes beyond 32 bits, the other byte order; and random damage."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.archives import GOLDEN_ARCHIVES

import bridge
from bridge.exporters.torchscript.container import ContainerWriter, archive_name
from bridge.exporters.torchscript.storages import Storages
from bridge.importers.torchscript import ArchiveError, read_archive
from bridge.importers.torchscript.container import Container
from bridge.importers.torchscript.debug import ByteOffsets

RECORDS = {"data/0": bytes(range(100)), "code/a.py": b"x = 1\n" * 200, "data/1": b"", "data.pkl": b"\x80\x02N."}


def written(records: dict[str, bytes] = RECORDS) -> io.BytesIO:
    out = io.BytesIO()
    writer = ContainerWriter(out, "m")
    for name, data in records.items():
        writer.write(name, data, text=name.endswith(".py"))
    writer.close(3)
    return out


def test_records_come_back() -> None:
    with Container(written()) as c:
        assert c.names == [*RECORDS, "version", "byteorder", ".data/serialization_id"]
        assert {name: c.read(name) for name in RECORDS} == RECORDS
        assert (c.name, c.read("version"), c.read("byteorder")) == ("m", b"3\n", b"little")


def test_data_is_aligned() -> None:
    out = written()
    data = out.getvalue()
    for info in zipfile.ZipFile(out).infolist():
        name, extra = (int.from_bytes(data[info.header_offset + at :][:2], "little") for at in (26, 28))
        assert (info.header_offset + 30 + name + extra) % 64 == 0


def test_sizes_beyond_32_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a record of more than 2 GiB, with a smaller limit."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 90)
    out = written()
    monkeypatch.undo()
    assert b"\xff\xff\xff\xff" in out.getvalue()
    with Container(out) as c:
        assert {name: c.read(name) for name in RECORDS} == RECORDS
    test_data_is_aligned()


def test_version_of_later_formats_stands_elsewhere() -> None:
    out = io.BytesIO()
    writer = ContainerWriter(out, "m")
    writer.close(10)
    with Container(out) as c:
        assert c.read(".data/version") == b"10\n"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/model.pt", "model"),
        ("model.v2.pt", "model.v2"),
        ("model", "model"),
        (".pt", ".pt"),
        ("a\\b.pt", "b"),
        ("x\x1b.pt", "archive"),
    ],
)
def test_archive_name(path: str, name: str) -> None:
    assert archive_name(path) == name


def test_other_byte_order(tmp_path: Path) -> None:
    """The same archive as a big-endian machine writes it."""
    swapped = io.BytesIO()
    with zipfile.ZipFile(GOLDEN_ARCHIVES / "kinds.pt") as a, zipfile.ZipFile(swapped, "w") as b:
        pickled = a.read("kinds/data.pkl")
        for name in a.namelist():
            data = b"big" if name.endswith("byteorder") else a.read(name)
            key = name.rpartition("/")[2]
            if "/data/" in name:
                at = pickled.index(b"X\x01\x00\x00\x00" + key.encode())
                kind = pickled.rindex(b"ctorch\n", 0, at)
                sizes = {b"Short": 2, b"Int": 4, b"Long": 8, b"Half": 2, b"Float": 4, b"Double": 8}
                width = sizes.get(pickled[kind + 7 :].partition(b"Storage")[0], 1)
                data = np.frombuffer(data, f"u{width}").byteswap().tobytes()
            b.writestr(name, data)
    swapped.seek(0)
    mine, theirs = (read_archive(f).root.attributes for f in (swapped, GOLDEN_ARCHIVES / "kinds.pt"))
    for name, value in theirs.items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(mine[name], value), name


def test_views_of_every_layout_come_back() -> None:
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    views = [
        base,
        base.T,
        base[1:],
        base[:, 1:2],
        base[..., ::2],
        base[::-1],
        base.transpose(1, 0, 2)[1],
        base[0, 0, 0:0],
        base[1, 2, 3, ...],
    ]
    storages = Storages()
    for array in views:
        view = storages.view(array)
        memory = np.frombuffer(storages.records[int(view.key)], np.float32)
        strides = tuple(s * 4 for s in view.stride)
        again = np.ndarray(view.size, np.float32, memory, view.offset * 4, strides) if array.size else array
        assert np.array_equal(again, array)
    assert len(storages.records) == 2  # all of one memory, but for the reversed one


def test_broadcast_view_stays_small() -> None:
    storages = Storages()
    view = storages.view(np.broadcast_to(np.float32(1.0), (1000, 1000)))
    assert view.stride == (0, 0)
    assert len(storages.records[0]) == 4


@pytest.mark.parametrize("text", ["", "abc", "aäb" * 2000, "\U0001f600" * 1024, "x" * 1023 + "ß"])
def test_byte_offsets(text: str) -> None:
    offsets = ByteOffsets(text)
    assert offsets.size == len(text.encode())
    for i in {*range(0, len(text) + 1, 97), len(text)}:
        at = offsets.bytes_at(i)
        assert at == len(text[:i].encode())
        assert offsets.characters_at(at) == i


@pytest.mark.parametrize("path", sorted(GOLDEN_ARCHIVES.glob("*.pt")), ids=lambda path: path.stem)
def test_random_damage(path: Path) -> None:
    """Whatever is changed in a record, the archive is read or refused with an ArchiveError."""
    chance = random.Random(path.stem)
    with zipfile.ZipFile(path) as z:
        records = {name: z.read(name) for name in z.namelist()}
    texts = [name for name in records if name.endswith((".pkl", ".py", ".debug_pkl", "version"))]
    for _ in range(25):
        name = chance.choice(texts)
        data = bytearray(records[name])
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(data) + 1)
            data[at : at + chance.randint(0, 4)] = chance.randbytes(chance.randint(0, 4))
        damaged = io.BytesIO()
        with zipfile.ZipFile(damaged, "w") as z:
            for other, content in records.items():
                z.writestr(other, bytes(data) if other == name else content)
        try:
            bridge.jit.load(damaged)
        except ArchiveError as e:
            assert str(e).startswith("<archive>: ")  # noqa: PT017
