"""Archives made to do harm: each is refused with one error that names the file and the entry, and nothing runs or is written."""

from __future__ import annotations

import io
import os
import pickle
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from bridge.importers.torchscript.container import Container, Limits
from bridge.importers.torchscript.errors import ArchiveError
from bridge.importers.torchscript.storages import Storages
from bridge.importers.torchscript.unpickler import Budget, PickleError, unpickle

# -- pickles -----------------------------------------------------------------------------------------------------------

P = b"\x80\x02"
STORAGE = b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"  # 4 floats
HOOKS = b"ccollections\nOrderedDict\n)R"


def tensor(
    offset: bytes = b"K\x00", size: bytes = b"(K\x04t", stride: bytes = b"(K\x01t", storage: bytes = STORAGE
) -> bytes:
    """The opcodes of a tensor; ``storage`` begins with the mark of the argument tuple."""
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + storage + offset + size + stride + b"\x89" + HOOKS + b"tR"


def long1(n: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", n)


def storage(key: bytes = b"0", kind: bytes = b"torch\nFloatStorage", numel: bytes = b"K\x04") -> bytes:
    x = b"X" + struct.pack("<I", len(key)) + key
    return b"((X\x07\x00\x00\x00storagec" + kind + b"\n" + x + b"X\x03\x00\x00\x00cpu" + numel + b"tQ"


class Marker:
    """What a pickle would call if anything were called."""

    called: ClassVar[list[object]] = []

    def __reduce__(self) -> tuple[Callable[[object], None], tuple[str]]:
        return Marker.called.append, ("called",)


OBJECT = b"c__torch__\nM\n)\x81"
HOSTILE = {
    "os.system": (P + b"cos\nsystem\nX\x04\x00\x00\x00true\x85R.", "names os.system"),
    "builtins eval": (P + b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R.", "names builtins.eval"),
    "builtins getattr": (P + b"cbuiltins\ngetattr\n.", "names builtins.getattr"),
    "dotted name": (P + b"c__torch__\nos.system\n.", "names __torch__.os.system"),
    "near miss of the prefix": (P + b"c__torch__x\nM\n)\x81}b.", "names __torch__x.M"),
    "name with a newline escape": (P + b"c__torch__.a\r\nM\n)\x81}b.", "names __torch__.a"),
    "torch function": (P + b"ctorch\nload\nX\x01\x00\x00\x00x\x85R.", "names torch.load"),
    "unlisted torch._utils": (P + b"ctorch._utils\n_rebuild_wrapper_subclass\n.", "names torch._utils"),
    "numpy": (P + b"cnumpy.core.multiarray\n_reconstruct\n.", "names numpy"),
    "INST": (P + b"(ios\nsystem\n.", "opcode b'i'"),
    "OBJ": (P + b"(cos\nsystem\no.", "names os.system"),
    "STACK_GLOBAL": (P + b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93.", "opcode b'\\x93'"),
    "EXT1": (P + b"\x82\x01.", "opcode b'\\x82'"),
    "PERSID": (P + b"P0\n.", "opcode b'P'"),
    "PROTO again": (P + b"\x80\x02N.", "opcode b'\\x80'"),
    "a pickled Python object": (pickle.dumps(Marker(), 2), "names "),
    "call of a class": (P + b"c__torch__\nM\n)R.", "member of __torch__.M"),
    "call of an int": (P + b"K\x01)R.", "calls a int"),
    "call of an object": (P + OBJECT + b"}b)R.", "calls a __torch__.M"),
    "call of a storage type": (P + b"ctorch\nFloatStorage\n)R.", "calls torch.FloatStorage"),
    "object of a function": (P + b"ctorch\ndevice\n)\x81.", "makes an object of torch.device"),
    "object with arguments": (P + b"c__torch__\nM\nK\x01\x85\x81.", "makes an object of __torch__.M"),
    "BUILD on a dict": (P + b"}}b.", "sets the state of a dict"),
    "BUILD on a function": (P + b"ctorch\ndevice\n}b.", "sets the state of torch.device"),
    "BUILD twice": (P + OBJECT + b"}b}b.", "sets the state of a __torch__.M"),
    "object without state": (P + OBJECT + b"\x85.", "never sets its state"),
    "SETITEM on an object": (P + OBJECT + b"}bX\x01\x00\x00\x00aK\x01s.", "sets an item of a __torch__.M"),
    "SETITEM on a list": (P + b"]K\x00K\x01s.", "sets an item of a list"),
    "SETITEM on a function": (P + b"ctorch\ndevice\nK\x00K\x01s.", "sets an item of torch.device"),
    "SETITEMS on an OrderedDict": (P + HOOKS + b"(K\x00K\x01u.", "sets an item of an OrderedDict"),
    "APPEND on a dict": (P + b"}K\x01a.", "appends to a dict"),
    "tuple as a key": (P + b"})K\x01s.", "as a dict key"),
    "odd SETITEMS": (P + b"}(K\x01u.", "key without a value"),
    "a global as a value": (P + b"ctorch\ndevice\n.", "uses torch.device as a value"),
    "a storage as a value": (P + STORAGE[1:] + b".", "uses a storage as a value"),
    "a hidden global": (P + b"ctorch\ndevice\n\x85.", "uses torch.device as a value"),
    "a list with itself": (P + b"]q\x00h\x00a.", "contains itself"),
    "an object in itself": (P + OBJECT + b"q\x00}X\x01\x00\x00\x00ah\x00sb.", "contains itself"),
    "empty": (b"", "not a pickle of protocol 2"),
    "protocol 4": (pickle.dumps([], 4), "not a pickle of protocol 2"),
    "text": (b"import os\n", "not a pickle of protocol 2"),
    "no STOP": (P + b"N", "ends before its STOP"),
    "nothing to return": (P + b".", "does not end with one value"),
    "two values": (P + b"NN.", "does not end with one value"),
    "open mark": (P + b"N(.", "does not end with one value"),
    "trailing bytes": (P + b"N.N", "1 bytes after its end"),
    "pop from nothing": (P + b"\x85.", "empty stack"),
    "pop through a mark": (P + b"N(\x85.", "empty stack"),
    "TUPLE without a mark": (P + b"Nt.", "not open"),
    "memo of nothing": (P + b"q\x00.", "empty stack"),
    "recall of nothing": (P + b"h\x07.", "recalls value 7"),
    "huge PUT": (P + b"Nr\xff\xff\xff\xff.", "memorises a value under 4294967295"),
    "huge LONG1": (P + b"\x8a\xff" + b"\x7f" * 255 + b".", "integer of 255 bytes"),
    "huge LONG4": (P + b"\x8b\x00\x00\x00\x10" + b".", "opcode b'\\x8b'"),
    "decimal LONG": (P + b"L" + b"9" * 100_000 + b"L\n.", "opcode b'L'"),
    "string beyond the end": (P + b"X\xff\xff\xff\xffabc.", "asks for 4294967295 bytes"),
    "string that is not UTF-8": (P + b"X\x01\x00\x00\x00\xff.", "not UTF-8"),
    "endless name": (P + b"c" + b"a" * 5000, "name without an end"),
    "deep tuples": (P + b"N" + b"\x85" * 100_000 + b".", "nests values more than"),
    "deep lists": (P + b"]" * 100_000 + b"a" * 99_999 + b".", "nests values more than"),
    "many marks": (P + b"(" * 100_000, "opens more than"),
    "doubling by sharing": (P + b"N" + b"q\x00h\x00\x86" * 60 + b".", "repeats shared values"),
    "sparse tensor": (P + b"ctorch._utils\n_rebuild_sparse_tensor\n)R.", "sparse tensor"),
    "quantized tensor": (P + b"ctorch._utils\n_rebuild_qtensor\n)R.", "quantized tensor"),
    "device with a path": (P + b"ctorch\ndevice\nX\x06\x00\x00\x00../cpu\x85R.", "device"),
    "int list of strings": (P + b"ctorch.jit._pickle\nbuild_intlist\n](X\x01\x00\x00\x00ae\x85R.", "list of int"),
    "OrderedDict with items": (P + b"ccollections\nOrderedDict\n]\x85R.", "OrderedDict that is not empty"),
}

TENSORS = {
    "negative offset": (tensor(offset=b"J\xff\xff\xff\xff"), "impossible offset"),
    "offset beyond": (tensor(offset=b"K\x01"), "reaches element 4 of storage 0, which has 4"),
    "empty tensor with an offset beyond": (tensor(offset=b"K\x06", size=b"(K\x00t"), "reaches element 5"),
    "size beyond": (tensor(size=b"(K\x05t"), "reaches element 4"),
    "negative size": (tensor(size=b"(J\xff\xff\xff\xfft"), "not a tuple of integers from 0 up"),
    "negative stride": (tensor(stride=b"(J\xff\xff\xff\xfft"), "not a tuple of integers from 0 up"),
    "stride beyond": (tensor(size=b"(K\x02t", stride=b"(K\x04t"), "reaches element 4"),
    "overflowing size": (tensor(size=b"(" + long1(2**62) * 4 + b"t", stride=b"(K\x00K\x00K\x00K\x00t"), "can be counted"),
    "overflowing stride": (tensor(size=b"(K\x03t", stride=b"(" + long1(2**62) + b"t"), "reaches element"),
    "overflowing offset": (tensor(offset=long1(2**63 - 1)), "reaches element"),
    "huge broadcast": (tensor(size=b"(" + long1(2**40) + b"t", stride=b"(K\x00t"), "repeats 4 elements"),
    "rank mismatch": (tensor(size=b"(K\x02K\x02t"), "2 sizes and 1 strides"),
    "too many dims": (tensor(size=b"(" + b"K\x01" * 100 + b"t", stride=b"(" + b"K\x01" * 100 + b"t"), "100 sizes"),
    "bool as size": (tensor(size=b"(\x88t"), "not a tuple of integers"),
    "key with a path": (tensor(storage=storage(key=b"../0")), "key is not a plain name"),
    "key with dots": (tensor(storage=storage(key=b"a..b")), "key is not a plain name"),
    "absolute key": (tensor(storage=storage(key=b"/etc/passwd")), "key is not a plain name"),
    "negative numel": (tensor(storage=storage(numel=b"J\xff\xff\xff\xff")), "impossible size"),
    "overflowing numel": (tensor(storage=storage(numel=long1(2**62))), "impossible size"),
    "storage of a function": (tensor(storage=storage(kind=b"torch\ndevice")), "storage of torch.device"),
    "not a storage": (b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))\x89" + HOOKS + b"tR", "something else than a storage"),
    "two sizes of one storage": (tensor() + tensor(storage=storage(numel=b"K\x05")) + b"\x86", "two different sizes"),
    "foreign persistent id": (b"X\x04\x00\x00\x00fileQ", "persistent id that is not"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_pickle(data: bytes, message: str) -> None:
    with pytest.raises(PickleError) as e:
        unpickle(data)
    assert message in str(e.value)
    assert Marker.called == []


@pytest.mark.parametrize(("body", "message"), TENSORS.values(), ids=TENSORS)
def test_hostile_tensor(body: bytes, message: str) -> None:
    with pytest.raises(PickleError) as e:
        unpickle(P + body + b".")
    assert message in str(e.value)


def test_pickle_budgets() -> None:
    class FewSteps(Budget):
        opcodes = 1000

    class SmallStack(Budget):
        stack = 100

    with pytest.raises(PickleError, match="more than 1000 steps"):
        unpickle(P + b"N" * 2000 + b".", FewSteps)
    with pytest.raises(PickleError, match="more than 100 values at once"):
        unpickle(P + b"N" * 500 + b".", SmallStack)


def test_plain_pickle() -> None:
    value = unpickle(
        P
        + b"(K\x01M\x01\x01J\xff\xff\xff\xff\x8a\x01\x80G?\xf8"
        + b"\x00" * 6
        + b"\x88\x89N)](K\x01ete}X\x01\x00\x00\x00aNs\x86.".replace(b"ete", b"et")
    )
    assert value == ((1, 257, -1, -128, 1.5, True, False, None, (), [1]), {"a": None})


def test_python_and_own_reader_agree() -> None:
    value = (1, -5, 2**40, -(2**63), 1.5, "ünï", None, True, [1, [2, (3,)], {}], {"a": [], 2: (1, 2, 3, 4)})
    assert unpickle(pickle.dumps(value, 2)) == value


# -- containers ----------------------------------------------------------------------------------------------------------

RECORDS = {
    "m/data/0": bytes(16),
    "m/data.pkl": P + OBJECT + b"}b.",
    "m/code/__torch__.py": b"class M(Module):\n" * 50,
    "m/version": b"3\n",
}


def build(records: dict[str, bytes] = RECORDS, change: Callable[[zipfile.ZipInfo], None] | None = None) -> bytearray:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in records.items():
            info = zipfile.ZipInfo(name)
            info.filename = name  # as given: ZipInfo changes some
            info.compress_type = zipfile.ZIP_DEFLATED if "/code/" in name else zipfile.ZIP_STORED
            if change is not None:
                change(info)
            z.writestr(info, data)
    return bytearray(out.getvalue())


def replaced(data: bytearray, old: bytes, new: bytes, count: int = 1, skip: int = 0) -> bytearray:
    """``data`` with the occurrence of ``old`` after the first ``skip`` changed."""
    assert len(old) == len(new)
    at = -1
    for _ in range(skip + 1):
        at = data.index(old, at + 1)
    for _ in range(count):
        data[at : at + len(old)] = new
        at = data.find(old, at)
        if at < 0:
            break
    return data


def link(info: zipfile.ZipInfo) -> None:
    if info.filename.endswith("version"):
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16


def duplicate() -> bytearray:
    return replaced(build({**RECORDS, "m/data/1": bytes(16)}), b"m/data/1", b"m/data/0", count=2)


def overlapping() -> bytearray:
    """Two entries of the directory point at one and the same data."""
    data = build({"m/data/0": b"a" * 64, "m/data/1": b"a" * 64})
    start = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[start + 42 : start + 46] = struct.pack("<I", 0)
    return data


def flipped(name: bytes) -> bytearray:
    data = build()
    data[data.index(name) + len(name)] ^= 0xFF
    return data


def directory_field(name: bytes, offset: int, layout: str, value: int) -> bytearray:
    """One field of an entry in the directory, changed there alone."""
    data = build()
    at = data.rindex(name) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    struct.pack_into(layout, data, at + offset, value)
    return data


CONTAINERS = {
    "parent path": (lambda: build({**RECORDS, "m/../../x": b""}), "m/../../x: is not a plain path"),
    "dot": (lambda: build({**RECORDS, "m/./x": b""}), "m/./x: is not a plain path"),
    "empty part": (lambda: build({**RECORDS, "m//x": b""}), "m//x: is not a plain path"),
    "absolute": (lambda: build({**RECORDS, "/etc/passwd": b""}), "/etc/passwd: is an absolute or foreign path"),
    "drive": (lambda: build({**RECORDS, "C:/x": b""}), "C:/x: is an absolute or foreign path"),
    "backslash": (lambda: build({**RECORDS, "m\\..\\x": b""}), "is an absolute or foreign path"),
    "NUL": (lambda: replaced(build({**RECORDS, "m/a?b": b""}), b"m/a?b", b"m/a\0b", count=2), "has control characters"),
    "escape": (lambda: build({**RECORDS, "m/\x1b[2J": b""}), "has control characters"),
    "other folder": (lambda: build({**RECORDS, "n/version": b""}), "n/version: does not stand in the archive's one folder"),
    "no folder": (lambda: build({"version": b"3"}), "version: does not stand in the archive's one folder"),
    "symlink": (lambda: build(change=link), "m/version: is a link or a special file"),
    "duplicate": (duplicate, "m/data/0: appears twice"),
    "overlap": (overlapping, "overlaps"),
    "folder with data": (lambda: build({**RECORDS, "m/x/": b"1"}), "m/x/: is a folder entry with data"),
    "empty zip": (lambda: build({}), "is not a TorchScript archive|has no entries"),
    "encrypted": (lambda: directory_field(b"m/version", 8, "<H", 1), "m/version: is encrypted"),
    "method": (lambda: directory_field(b"m/version", 10, "<H", 12), "compression method 12"),
    "flags differ": (lambda: directory_field(b"m/version", 8, "<H", 8), "header that differs"),
    "method differs": (lambda: directory_field(b"m/code/__torch__.py", 10, "<H", 0), "two sizes|header that differs"),
    "size differs": (lambda: directory_field(b"m/code/__torch__.py", 24, "<I", 5), "header that differs"),
    "packed size differs": (lambda: directory_field(b"m/code/__torch__.py", 20, "<I", 5), "header that differs"),
    "crc differs": (lambda: directory_field(b"m/version", 16, "<I", 5), "header that differs"),
    "offset": (lambda: directory_field(b"m/version", 42, "<I", 3), "has no header|overlaps"),
    "offset beyond": (lambda: directory_field(b"m/version", 42, "<I", 1 << 30), "has no header"),
    "name differs": (lambda: replaced(build(), b"m/data/0", b"m/data/7"), "m/data/0: has a header that differs"),
    "bytes before": (lambda: bytearray(b"PK\x03\x04 and more") + build(), "has bytes before the zip file"),
    "bytes after": (lambda: build() + b"x" * 9, "bytes follow its end"),
    "huge declared size": (lambda: bomb(declared=1 << 31), "decompression bomb|header that differs"),
    "bomb": (lambda: bomb(), "decompression bomb"),
    "not a zip": (lambda: bytearray(b"def forward(self): pass\n"), "is not a TorchScript archive"),
    "bare pickle": (lambda: bytearray(pickle.dumps({"a": 1}, 2)), "is a bare pickle"),
    "nothing": (lambda: bytearray(), "is not a TorchScript archive"),
    "half a signature": (lambda: bytearray(b"PK"), "its end is missing"),
}  # fmt: skip


def bomb(declared: int | None = None) -> bytearray:
    data = build({**RECORDS, "m/code/bomb.py": bytes(32 << 20)})
    if declared is not None:
        at = data.rindex(b"m/code/bomb.py") - 46
        struct.pack_into("<I", data, at + 24, declared)
    return data


@pytest.mark.parametrize(("make", "message"), CONTAINERS.values(), ids=CONTAINERS)
def test_hostile_container(make: Callable[[], bytearray], message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.pt"
    path.write_bytes(make())
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(ArchiveError) as e:
        Container(path)
    assert str(e.value).startswith(f"{path}: ")
    assert any(part in str(e.value) for part in message.split("|")), str(e.value)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("name", ["m/data/0", "m/version", "m/code/__torch__.py"])
def test_damaged_record(name: str, tmp_path: Path) -> None:
    path = tmp_path / "damaged.pt"
    path.write_bytes(flipped(name.encode()))
    with Container(path) as c, pytest.raises(ArchiveError, match=r"damaged|declares") as e:
        c.read(name[2:])
    assert e.value.entry == name[2:]


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = build()
    path = tmp_path / "short.pt"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ArchiveError):
            Container(path)


def test_record_that_unpacks_to_more_than_it_declares(tmp_path: Path) -> None:
    """Both headers lie in the same way; the data is counted."""
    data = build()
    size = len(RECORDS["m/code/__torch__.py"])
    for at, shift in ((data.index(b"m/code"), 8), (data.rindex(b"m/code"), 22)):
        assert struct.unpack_from("<I", data, at - shift)[0] == size
        struct.pack_into("<I", data, at - shift, size - 100)
    path = tmp_path / "liar.pt"
    path.write_bytes(data)
    with Container(path) as c, pytest.raises(ArchiveError, match="unpacks to"):
        c.read("code/__torch__.py")


def test_flood_of_entries_is_refused_before_it_costs_memory(tmp_path: Path) -> None:
    class Few(Limits):
        entries = 1000

    path = tmp_path / "flood.pt"
    path.write_bytes(build({f"m/{i}": b"" for i in range(2000)}))
    with pytest.raises(ArchiveError, match="more than 1000 entries"):
        Container(path, Few)
    with Container(path) as c:
        assert len(c.names) == 2000


def test_bomb_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    path.write_bytes(build({"m/code/a.py": bytes(200 << 20)}))
    tracemalloc.start()
    with pytest.raises(ArchiveError, match="bomb"):
        Container(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_record_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(build())
    with Container(path) as c, pytest.raises(ArchiveError, match="at most 10 are read"):
        c.read("data/0", limit=10)


def test_folder_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="is a folder"):
        Container(tmp_path)
    with pytest.raises(FileNotFoundError):
        Container(tmp_path / "none.pt")


def test_storage_of_the_wrong_size(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(build({**RECORDS, "m/data/0": bytes(15)}))
    record = unpickle(P + tensor() + b".")
    with (
        Container(path) as c,
        pytest.raises(ArchiveError, match=r"data/0: has 15 bytes, but 4 elements of float32 need 16"),
    ):
        Storages(c, "data").array(record)


def test_missing_storage(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(build({"m/version": b"3"}))
    record = unpickle(P + tensor() + b".")
    with Container(path) as c, pytest.raises(ArchiveError, match=r"data/0: is missing"):
        Storages(c, "data").array(record)
