"""Large models: weights mapped on the way in and streamed on the way out, external data that keeps to its folder."""

import hashlib
import importlib.util
import mmap
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import bridge as torch
import bridge.onnx
from bridge import nn
from bridge.importers.onnx.errors import OnnxImportError
from bridge.ir.errors import LoweringError

SIDE = 1200  # of the big weight: 5.8 MB


def _model(count: int = 4) -> onnx.ModelProto:
    """A chain of MatMuls with that many big weights and one small one."""
    rng = np.random.default_rng(0)
    tensors = [
        numpy_helper.from_array((rng.standard_normal((SIDE, SIDE)) / 40).astype("f"), f"w{i}") for i in range(count)
    ]
    tensors.append(numpy_helper.from_array(np.arange(SIDE, dtype="f"), "bias"))
    tensors[0].doc_string = "the first"
    nodes = [helper.make_node("MatMul", [f"x{i}" if i else "x", f"w{i}"], [f"x{i + 1}"]) for i in range(count)]
    nodes.append(helper.make_node("Add", [f"x{count}", "bias"], ["y"]))
    shape = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", SIDE]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "chain", shape[:1], shape[1:], tensors, doc_string="a chain")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10, producer_name="test")
    helper.set_model_props(model, {"key": "value"})
    return model


def _external(model: onnx.ModelProto, path: Path, location: str = "chain.bin") -> onnx.ModelProto:
    """Save with onnx's own writer, the big weights beside the model; the model as its file says it."""
    onnx.save_model(model, path, save_as_external_data=True, location=location, size_threshold=10_000)
    return onnx.load(path, load_external_data=False)


def _run(path: Path) -> np.ndarray:
    x = np.linspace(-1, 1, 2 * SIDE, dtype="f").reshape(2, SIDE)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def test_one_big_file_comes_back_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    onnx.save(_model(), path)
    assert path.stat().st_size > 1 << 24  # big enough for its weights to be mapped
    module = bridge.onnx.load(path)
    written = bridge.onnx.export(module, f=tmp_path / "b.onnx")
    assert (tmp_path / "b.onnx").read_bytes() == path.read_bytes()
    assert written.model_proto == onnx.load(path)
    x = torch.from_numpy(np.linspace(-1, 1, 2 * SIDE, dtype="f").reshape(2, SIDE))
    np.testing.assert_allclose(module(x).numpy(), _run(path), rtol=1e-5)


def test_external_data_stays_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    path, copy = tmp_path / "in" / "a.onnx", tmp_path / "out" / "a.onnx"
    as_written = _external(_model(), path)
    bridge.onnx.export(bridge.onnx.load(path), f=copy)
    assert onnx.load(copy, load_external_data=False) == as_written
    assert (copy.parent / "chain.bin").read_bytes() == (path.parent / "chain.bin").read_bytes()
    assert sorted(p.name for p in copy.parent.iterdir()) == ["a.onnx", "chain.bin"]
    np.testing.assert_array_equal(_run(copy), _run(path))


@pytest.mark.parametrize("looked", [False, True])
def test_external_attributes_stay_where_they_were(tmp_path: Path, looked: bool) -> None:
    (tmp_path / "out").mkdir()
    path, copy = tmp_path / "a.onnx", tmp_path / "out" / "a.onnx"
    as_written = _with_constant(path)
    module = bridge.onnx.load(path)
    assert not looked or module.code
    program = bridge.onnx.export(module, f=copy)
    assert onnx.load(copy, load_external_data=False) == as_written
    assert sorted(p.name for p in copy.parent.iterdir()) == ["a.onnx", "k.bin"]
    np.testing.assert_array_equal(_run(copy), _run(path))
    assert program.save(tmp_path / "whole.onnx", external_data=False) == [tmp_path / "whole.onnx"]
    assert not onnx.load(tmp_path / "whole.onnx").graph.node[0].attribute[0].t.external_data
    assert not program.model_proto.graph.node[0].attribute[0].t.external_data


def test_attributes_go_into_a_file_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_constant(tmp_path / "a.onnx")
    for way in ("asked for", "too large for one file"):
        program = bridge.onnx.export(bridge.onnx.load(tmp_path / "a.onnx"))
        assert program.model_proto  # no record of where the tensor was
        if way == "asked for":
            files = program.save(tmp_path / "b.onnx", external_data=True)
        else:
            monkeypatch.setattr("bridge.exporters.onnx.large.LIMIT", 10_000)
            files = program.save(tmp_path / "b.onnx")
        assert [(f.name, f.stat().st_size > 10_000) for f in files] == [("b.onnx", False), ("b.onnx.data", True)]
        np.testing.assert_array_equal(_run(tmp_path / "b.onnx"), _run(tmp_path / "a.onnx"))


def _with_constant(path: Path) -> onnx.ModelProto:
    """A model with a large tensor in an attribute, in a file of its own; returns what is written."""
    model = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 18]> g (float[N, {SIDE}] x) => (float[N, {SIDE}] y) {{ y = MatMul (x, k) }}'
    )
    value = onnx.numpy_helper.from_array(np.arange(SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE), "kk")
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["k"], name="c", value=value))
    onnx.external_data_helper.convert_model_to_external_data(model, location="k.bin", convert_attribute=True)
    onnx.save(model, path)
    return onnx.load(path, load_external_data=False)


def test_a_model_is_saved_over_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    _external(_model(), path)
    before = _run(path)
    module = bridge.onnx.load(path)
    with torch.no_grad():
        module.bias.mul_(2.0)
        module.w0.mul_(1.0)  # writes to the mapped pages, not to the file
    bridge.onnx.export(module, f=path)
    np.testing.assert_allclose(_run(path) - np.arange(SIDE), before, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("checksums", [False, True])
def test_weights_go_into_a_file_beside(tmp_path: Path, checksums: bool) -> None:
    module = nn.Sequential(nn.Linear(300, 400), nn.ReLU(), nn.Linear(400, 10))
    x = torch.randn(2, 300)
    program = bridge.onnx.export(torch.jit.script(module), (x,))
    files = program.save(tmp_path / "m.onnx", external_data=True, checksums=checksums)
    assert [f.name for f in files] == ["m.onnx", "m.onnx.data"]
    model = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    placed = {t.name: {e.key: e.value for e in t.external_data} for t in model.graph.initializer if t.external_data}
    assert sorted(placed) == ["0.bias", "0.weight", "2.weight"]  # 2.bias has 40 bytes
    data = files[1].read_bytes()
    for name, entries in placed.items():
        part = data[int(entries["offset"]) :][: int(entries["length"])]
        assert part == module.state_dict()[name].numpy().tobytes()
        assert entries.get("checksum") == (hashlib.sha1(part).hexdigest() if checksums else None)
        assert int(entries["offset"]) % 64 == 0
    onnx.checker.check_model(files[0])
    session = onnxruntime.InferenceSession(files[0], providers=["CPUExecutionProvider"])
    expected = module(x).detach().numpy()
    np.testing.assert_allclose(
        session.run(None, {session.get_inputs()[0].name: x.numpy()})[0], expected, rtol=1e-4, atol=1e-5
    )
    back = bridge.onnx.load(files[0], checksums=checksums)
    assert back.code == program.specialised.code
    np.testing.assert_allclose(back(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    program.save(tmp_path / "whole.onnx", external_data=False)
    assert onnx.load(tmp_path / "whole.onnx") == program.model_proto


def test_memory_is_that_of_the_weights_once(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    _external(_model(6), path)
    size = (tmp_path / "chain.bin").stat().st_size
    bridge.onnx.write_python(bridge.onnx.load(path), tmp_path / "d.py")  # what is imported for it is no weight
    tracemalloc.start()
    program = bridge.onnx.export(bridge.onnx.load(path))
    program.save(tmp_path / "b.onnx", external_data="b.data")
    program.save(tmp_path / "c.onnx", external_data=False)
    bridge.onnx.write_python(bridge.onnx.load(path), tmp_path / "d.py")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * size  # the weights themselves are pages of the file
    np.testing.assert_array_equal(_run(tmp_path / "b.onnx"), _run(tmp_path / "c.onnx"))


def test_a_printed_file_maps_its_weights(tmp_path: Path) -> None:
    """From the file beside the text through scripting and exporting: nobody copies what nobody changes."""
    path = tmp_path / "a.onnx"
    onnx.save(_model(2), path)
    bridge.onnx.write_python(bridge.onnx.load(path), tmp_path / "printed.py")
    spec = importlib.util.spec_from_file_location("printed", tmp_path / "printed.py")
    assert spec is not None
    assert spec.loader is not None
    printed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(printed)
    module = printed.model()
    weights = {n: p._array for n, p in module.named_parameters()}
    assert len(weights) == 3
    before = (tmp_path / "printed.safetensors").read_bytes()
    for array in weights.values():
        base: object = array
        while isinstance(base, np.ndarray | memoryview):
            base = base.base if isinstance(base, np.ndarray) else base.obj
        assert isinstance(base, mmap.mmap)
        assert array.flags.writeable
    made = bridge.onnx.export(bridge.jit.script(module))
    assert all(any(np.shares_memory(a, w) for w in weights.values()) for a in made._arrays.values())
    assert len(made._arrays) == 2
    made.save(tmp_path / "b.onnx")
    original, again = onnx.load(path), onnx.load(tmp_path / "b.onnx")
    assert {t.name: t.raw_data for t in again.graph.initializer} == {
        t.name: t.raw_data for t in original.graph.initializer
    }
    next(iter(weights.values()))[:] = 0  # stays here
    assert (tmp_path / "printed.safetensors").read_bytes() == before


def test_progress_is_told(tmp_path: Path) -> None:
    program = bridge.onnx.export(torch.jit.script(nn.Linear(300, 400)), (torch.randn(2, 300),))
    seen: list[tuple[int, int]] = []
    program.save(tmp_path / "m.onnx", external_data=True, progress=lambda done, total: seen.append((done, total)))
    assert seen
    assert seen == sorted(seen)
    assert all(done <= total for done, total in seen)


# -- hostile files --------------------------------------------------------------------------------------------------------


def _edited(**entries: str | None) -> Callable[[Path], None]:
    """Change what the first external tensor says of its data."""

    def edit(path: Path) -> None:
        model = onnx.load(path, load_external_data=False)
        tensor = next(t for t in model.graph.initializer if t.external_data)
        kept = {e.key: e.value for e in tensor.external_data} | entries
        del tensor.external_data[:]
        for key, value in kept.items():
            if value is not None:
                tensor.external_data.add(key=key, value=value)
        path.write_bytes(model.SerializeToString())

    return edit


def _twice(path: Path) -> None:
    model = onnx.load(path, load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.external_data)
    tensor.external_data.add(key="location", value="chain.bin")
    path.write_bytes(model.SerializeToString())


def _dims(*dims: int) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        model = onnx.load(path, load_external_data=False)
        tensor = next(t for t in model.graph.initializer if t.external_data)
        del tensor.dims[:]
        tensor.dims.extend(dims)
        path.write_bytes(model.SerializeToString())

    return edit


def _replaced(make: Callable[[Path, Path], object]) -> Callable[[Path], None]:
    """Put something else in the place of the data; ``make`` gets the place and a real file elsewhere."""

    def edit(path: Path) -> None:
        data = path.parent / "chain.bin"
        elsewhere = path.parent.parent / "secret.bin"
        data.rename(elsewhere)
        make(data, elsewhere)

    return edit


def _linked_folder(path: Path) -> None:
    outside = path.parent.parent / "outside"
    outside.mkdir()
    (path.parent / "chain.bin").rename(outside / "chain.bin")
    (path.parent / "sub").symlink_to(outside)
    _edited(location="sub/chain.bin")(path)


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a path upwards": (_edited(location="../secret.bin"), "outside the model's folder"),
    "a path upwards inside": (_edited(location="a/../../secret.bin"), "outside the model's folder"),
    "a path upwards, the Windows way": (_edited(location="..\\secret.bin"), "outside the model's folder"),
    "an absolute path": (_edited(location="/etc/passwd"), "no relative path"),
    "a drive": (_edited(location="C:\\secret.bin"), "no relative path"),
    "a NUL": (_edited(location="chain.bin\0x"), "no relative path"),
    "the model's own mark": (_edited(location="\0own"), "no relative path"),
    "no location": (_edited(location=None), "no relative path"),
    "a missing file": (_edited(location="none.bin"), "cannot be read"),
    "a folder": (_edited(location="."), "link|cannot be read|no regular file"),
    "a symbolic link": (_replaced(lambda data, real: data.symlink_to(real)), "a link"),
    "a hard link": (_replaced(lambda data, real: os.link(real, data)), "several names"),
    "a linked folder": (_linked_folder, "a link"),
    "a pipe": (_replaced(lambda data, _: os.mkfifo(data)), "no regular file|cannot be read"),
    "an unknown key": (_edited(exec="rm"), "unknown key 'exec'"),
    "a key twice": (_twice, "says 'location' twice"),
    "an offset beyond the file": (_edited(offset="99999999999"), "starts at byte 99999999999"),
    "a negative offset": (_edited(offset="-1"), "has the offset '-1'"),
    "an offset that is no number": (_edited(offset="0x10"), "has the offset '0x10'"),
    "an offset of many digits": (_edited(offset="9" * 5000), "has the offset"),
    "a length beyond the file": (_edited(length="99999999999"), "in a file of"),
    "a length that does not fit": (_edited(length="8"), "which needs"),
    "huge dims": (_dims(1 << 40, 1 << 40), "has the shape"),
    "large dims": (_dims(1 << 20, 1 << 20), "which needs"),
    "negative dims": (_dims(-1, 4), "has the shape"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_external_data_that_a_model_may_not_have_is_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = folder / "a.onnx"
    _external(_model(1), path)
    edit, message = HOSTILE[name]
    edit(path)
    with pytest.raises(OnnxImportError, match=message) as caught:
        bridge.onnx.load(path)
    assert str(path) in str(caught.value)


def test_data_of_attributes_is_checked_as_well(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(SIDE * SIDE * 4))
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.onnx"
    model = _with_constant(path)
    entries = model.graph.node[0].attribute[0].t.external_data
    next(e for e in entries if e.key == "location").value = "../secret.bin"
    onnx.save(model, path)
    with pytest.raises(OnnxImportError, match="outside the model's folder"):
        bridge.onnx.load(path)
    # Data inside beside a record of other data: that is no wish to be written there.
    value = model.graph.node[0].attribute[0].t
    value.data_location, value.raw_data = TensorProto.DEFAULT, bytes(SIDE * SIDE * 4)
    value.external_data.add(key="\0kept")
    onnx.save(model, path)
    assert bridge.onnx.export(bridge.onnx.load(path)).save(tmp_path / "in" / "b.onnx") == [tmp_path / "in" / "b.onnx"]


def test_links_are_followed_when_asked_for(tmp_path: Path) -> None:
    """The layout of download caches: the model and its data are links into one store."""
    store, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    store.mkdir()
    snapshot.mkdir()
    _external(_model(1), store / "a.onnx")
    for name in ("a.onnx", "chain.bin"):
        (snapshot / name).symlink_to(store / name)
    with pytest.raises(OnnxImportError, match="follow_links=True"):
        bridge.onnx.load(snapshot / "a.onnx")
    module = bridge.onnx.load(snapshot / "a.onnx", follow_links=True)
    np.testing.assert_array_equal(module.bias.detach().numpy(), np.arange(SIDE))


def test_a_wrong_checksum_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    _external(_model(1), path)
    bridge.onnx.export(bridge.onnx.load(path)).save(path, external_data="chain.bin", checksums=True)
    bridge.onnx.load(path, checksums=True)
    data = bytearray((tmp_path / "chain.bin").read_bytes())
    data[1000] ^= 1
    (tmp_path / "chain.bin").write_bytes(data)
    with pytest.raises(OnnxImportError, match="checksum"):
        bridge.onnx.load(path, checksums=True)


WRITES: dict[str, tuple[str, str]] = {
    "upwards": ("../a.data", "outside the model's folder"),
    "absolute": ("/tmp/a.data", "relative to the model"),
    "a drive": ("C:/a.data", "relative to the model"),
    "the model itself": ("m.onnx", "the model's own file"),
    "a link": ("link.data", "through a link"),
    "a linked folder": ("folder/a.data", "through a link"),
}


@pytest.mark.parametrize("name", WRITES)
def test_weights_are_not_written_elsewhere(name: str, tmp_path: Path) -> None:
    location, message = WRITES[name]
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "victim").write_bytes(b"kept")
    (folder / "link.data").symlink_to(tmp_path / "victim")
    (folder / "folder").symlink_to(tmp_path)
    (folder / "m.onnx").write_bytes(b"old")
    program = bridge.onnx.export(torch.jit.script(nn.Linear(300, 400)), (torch.randn(2, 300),))
    with pytest.raises(LoweringError, match=message):
        program.save(folder / "m.onnx", external_data=location)
    assert (tmp_path / "victim").read_bytes() == b"kept"
    assert (folder / "m.onnx").read_bytes() == b"old"
    assert sorted(p.name for p in folder.iterdir()) == ["folder", "link.data", "m.onnx"]


def test_a_save_that_fails_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.onnx"
    _external(_model(2), path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    program = bridge.onnx.export(bridge.onnx.load(path))

    def full(done: int, total: int) -> None:
        if done > SIDE * SIDE * 4:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        program.save(path, progress=full)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
