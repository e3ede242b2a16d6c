"""Archives: what torch wrote is read without torch, what bridge writes is read by torch, byte for byte the same programs."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.archives import GOLDEN_ARCHIVES, RECORDED_AS, compare_archives, look_at_archives, write_archives
from support.programs import LOADED, TESTS, Sections, differences, recorded

import bridge
from bridge.importers.torchscript import read_archive

GOLDENS = sorted(GOLDEN_ARCHIVES.glob("*.pt"))
PROGRAMS = sorted((TESTS / "variants").glob("*.py"))
KINDS = {"repr": "loaded_repr", "code": "loaded_code", "graph": "loaded_graph", "values": "values", "state": "state"}

#: Archives whose debug ranges change by loading and saving, in torch as well: equal constants become one node with one place,
#: calls of functions get the place of the function's name; in texts beyond ASCII torch counts characters as bytes.
LOSES_PLACES = {"shift", "containers", "texts"}

each_golden = pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
each_program = pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def expected() -> Sections:
    return Sections.parse((GOLDEN_ARCHIVES / "expected.txt").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def as_loaded() -> Sections:
    """Torch's archives as bridge loads them."""
    return look_at_archives("bridge", GOLDENS, RECORDED_AS)


def _is_of(section: str, subjects: tuple[str, ...]) -> bool:
    """Whether a section is of one of the subjects, or of a part of it."""
    what = section.partition(": ")[2]
    return any(what == name or what.startswith((f"{name}.", f"{name} ")) for name in subjects)


def of(sections: Sections, name: str) -> Sections:
    return Sections((k, v) for k, v in sections.items() if _is_of(k, (name,)))


@pytest.mark.parametrize("kind", KINDS)
@each_golden
def test_archive_of_torch(path: Path, kind: str, expected: Sections, as_loaded: Sections) -> None:
    difference = differences(of(as_loaded, path.stem), of(expected, path.stem), KINDS[kind])
    assert not difference, difference


@each_golden
def test_written_again(path: Path, tmp_path: Path) -> None:
    """Loading and saving keeps data, code and debug ranges byte for byte."""
    again = tmp_path / path.name
    bridge.jit.load(path).save(again)
    with zipfile.ZipFile(path) as a, zipfile.ZipFile(again) as b:
        skipped = (".data/serialization_id", "traced_inputs")
        names = [n for n in a.namelist() if not any(s in n for s in skipped)]
        assert names == [n for n in b.namelist() if not any(s in n for s in skipped)]
        for name in names:
            if path.stem in LOSES_PLACES and name.endswith("debug_pkl"):
                continue
            assert a.read(name) == b.read(name), name


@pytest.fixture(scope="module")
def in_torch(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sections | str]:
    """By program, what torch makes of the archives that bridge wrote of it; or why bridge wrote none."""
    folder = tmp_path_factory.mktemp("written")
    failed: dict[str, Sections | str] = {}
    for program in PROGRAMS:
        (folder / program.stem).mkdir()
        try:
            write_archives("bridge", program, folder / program.stem)
        except AssertionError as e:
            failed[program.stem] = str(e)
    return compare_archives("torch", [folder / p.stem for p in PROGRAMS if p.stem not in failed]) | failed


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["texts", "values"])
@each_program
def test_torch_reads_what_bridge_writes(program: Path, kind: str, in_torch: dict[str, Sections | str]) -> None:
    found = in_torch[program.stem]
    assert isinstance(found, Sections), found
    kinds = LOADED if kind == "texts" else ("values",)
    captured = tuple(name.removeprefix("loaded_repr: ") for name in found if name.startswith("loaded_repr: "))
    wanted = ((k, v) for k, v in recorded(program).items() if not k.endswith("()"))  # of further methods
    difference = differences(found, Sections((k, v) for k, v in wanted if _is_of(k, captured)), *kinds)
    assert not difference, difference


@pytest.mark.oracle
def test_torch_still_writes_what_was_recorded(expected: Sections) -> None:
    difference = differences(look_at_archives("torch", GOLDENS, RECORDED_AS), expected, *KINDS.values())
    assert not difference, difference


# -- values ------------------------------------------------------------------------------------------------------------


def test_shared_memory_stays_shared() -> None:
    m = bridge.jit.load(GOLDEN_ARCHIVES / "attributes.pt")
    m.whole[1, 0] = 50.0
    assert m.part[0, 0].item() == 50.0
    assert m.part.shape == (2, 2)


def test_storages() -> None:
    m = bridge.jit.load(GOLDEN_ARCHIVES / "attributes.pt")
    whole, part = m.whole.storage(), m.part.storage()
    assert whole == part
    assert (whole.data_ptr(), len(whole)) == (part.data_ptr(), part.size())
    assert m.whole.untyped_storage().nbytes() == whole.size() * m.whole.element_size()
    assert m.frozen.storage() != whole
    rows = bridge.zeros(4, 3)[1:, 1]
    assert (rows.storage().size(), rows.storage_offset(), rows.untyped_storage().size()) == (12, 4, 48)


def test_shared_parameters_stay_shared() -> None:
    m = bridge.jit.load(GOLDEN_ARCHIVES / "twice.pt")
    assert m.third.weight is m.first.weight
    assert m.second.weight is m.first.weight


def test_attributes() -> None:
    m = bridge.jit.load(GOLDEN_ARCHIVES / "attributes.pt")
    assert (m.count, m.big, m.rate, m.flag, m.word) == (3, 2**40, 0.25, True, 'it\'s "quoted"\n')
    assert (m.sizes, m.factors, m.names) == ([1, -2, 300], [1.5, 2.0], ["a", "b"])
    assert (m.pair, m.table, m.maybe) == ((1, "x"), {"a": 1, "b": 2}, None)
    assert [t.tolist() for t in m.tensors] == [[1.0, 1.0], [0.0, 0.0]]
    assert sorted(n for n, _ in m.named_parameters()) == ["frozen", "weight"]
    assert not m.frozen.requires_grad
    assert m.weight.requires_grad
    assert m.training
    assert not bridge.jit.load(GOLDEN_ARCHIVES / "loop_eval.pt").training


def test_every_element_type() -> None:
    arrays = read_archive(GOLDEN_ARCHIVES / "kinds.pt").root.attributes
    assert arrays["u8"].tolist() == [1, 255]
    for name, kind in {
        "i8": "int8",
        "i16": "int16",
        "i32": "int32",
        "i64": "int64",
        "f16": "float16",
        "f64": "float64",
    }.items():
        assert arrays[name].dtype == np.dtype(kind)
        assert arrays[name].tolist() == [1, -2]
    assert arrays["truth"].tolist() == [True, False]
    assert arrays["scalar"].shape == ()
    assert arrays["empty"].shape == (0, 3)


def test_extra_files_and_buffers(tmp_path: Path) -> None:
    m = bridge.jit.load(GOLDEN_ARCHIVES / "stack.pt")
    buffer = io.BytesIO()
    bridge.jit.save(m, buffer, _extra_files={"a.txt": "hé", "b": b"\xff"})
    buffer.seek(0)
    extra: dict[str, Any] = {"a.txt": "", "b": "", "none": ""}
    loaded = bridge.jit.load(buffer, _extra_files=extra)
    assert extra == {"a.txt": "hé".encode(), "b": b"\xff", "none": b""}
    assert loaded.code == m.code


def test_same_bytes_every_time(tmp_path: Path) -> None:
    m = bridge.jit.load(GOLDEN_ARCHIVES / "wrap.pt")
    assert m.save_to_buffer() == m.save_to_buffer()


def test_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    path.write_bytes(b"old")
    m = bridge.jit.load(GOLDEN_ARCHIVES / "attributes.pt")
    m._c.attributes["count"] = object()
    with pytest.raises(bridge.ir.errors.UnsupportedError, match="attribute 'count'"):
        m.save(path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["m.pt"]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bridge.jit.load(tmp_path / "none.pt")


@pytest.mark.parametrize("length", [0, 1, 100, 1000, 4000, -1])
def test_truncated(length: int, tmp_path: Path) -> None:
    path = tmp_path / "short.pt"
    path.write_bytes((GOLDEN_ARCHIVES / "wrap.pt").read_bytes()[:length])
    with pytest.raises(bridge.jit.ArchiveError, match=r"short\.pt: "):
        bridge.jit.load(path)
