"""Models whose large tensors are not in the proto: written to files tensor by tensor, or put in.

A tensor that is kept outside says so as ONNX external data does, at the location ``HOST`` or where its file had it; ``arrays``
has its values by name. So a model of any size costs the memory of its weights once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto

from bridge.ir.errors import LoweringError
from bridge.ir.files import goes_up, is_relative, replacing
from bridge.ir.inner_tensors import inner_tensors, kept_place, without_place
from bridge.ir.varints import field_header

__all__ = ["HOST", "Arrays", "embedded", "is_large", "outside", "save_model"]

#: The location of data that the host holds.
HOST = "host"
#: Tensors of at least this many bytes are kept outside of protos.
LARGE = 1 << 16
#: What one protocol buffer may measure.
LIMIT = (1 << 31) - 1
_ALIGNMENT = 64
_CHUNK = 1 << 24

Arrays = dict[str, np.ndarray[Any, Any]]
Progress = Callable[[int, int], None]


def is_large(array: np.ndarray[Any, Any]) -> bool:
    """Whether a tensor is worth keeping outside of its proto; onnxruntime must know its element type from numpy."""
    return array.nbytes >= LARGE and array.dtype.kind in "fiu" and array.dtype.isnative


def outside(proto: TensorProto, array: np.ndarray[Any, Any], entries: tuple[tuple[str, str], ...] = ()) -> None:
    """Say in the proto that the data is elsewhere: where ``entries`` say, else with the host."""
    proto.ClearField("raw_data")
    proto.data_location = TensorProto.EXTERNAL
    del proto.external_data[:]
    for key, value in entries or (("location", HOST), ("offset", "0"), ("length", str(array.nbytes))):
        proto.external_data.add(key=key, value=value)


def embedded(model: ModelProto, arrays: Mapping[str, np.ndarray[Any, Any]]) -> ModelProto:
    """The model with all its data inside. Raises LoweringError when that is more than a protocol buffer takes (2 GB)."""
    size = model.ByteSize() + sum(a.nbytes for a in arrays.values())
    if size > LIMIT:
        raise LoweringError(
            f"the model has {size:,} bytes, more than one protocol buffer holds (2 GB): save it to a file"
        )
    whole = ModelProto()
    whole.CopyFrom(model)
    for t in whole.graph.initializer:
        array = arrays.get(t.name)
        if array is not None and t.data_location == TensorProto.EXTERNAL:
            t.raw_data = _little(array).tobytes()
            _inside(t)
    for t in inner_tensors(whole):
        without_place(t)
    return whole


def _inside(t: TensorProto) -> None:
    t.ClearField("data_location")
    del t.external_data[:]


def save_model(
    model: ModelProto,
    arrays: Mapping[str, np.ndarray[Any, Any]],
    path: str | os.PathLike[str],
    *,
    external_data: bool | str | None = None,
    size_threshold: int = 1024,
    checksums: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Write a model, and its weights where they go; returns the files, the model first.

    ``external_data``: None leaves every tensor where the model says, and those that the host holds inside the file while it
    stays below 2 GB; True (or a file name) puts all of ``size_threshold`` bytes and more into one file beside the model; False
    puts everything inside. ``progress`` is called with bytes written and bytes in all.

    All files are complete, or all that stood there stay. Raises LoweringError for a location outside the model's folder or a
    model that does not fit, OSError.
    """
    target = Path(path)
    total = model.ByteSize() + sum(a.nbytes for a in arrays.values())
    if external_data is False and total > LIMIT:
        raise LoweringError(f"the model has {total:,} bytes, more than one file without external data holds (2 GB)")
    layout = ModelProto()
    layout.CopyFrom(model)
    held = dict(arrays)
    one = external_data if isinstance(external_data, str) else f"{target.name}.data"
    if external_data:
        _take_out(layout, held, size_threshold)
    files = _place(layout, held, one if external_data or total > LIMIT else None, external_data is False, checksums)
    least = size_threshold if external_data else LARGE if total > LIMIT else 0
    _place_inner(layout, files, one, least, external_data is False, checksums)
    written = _Progress(progress, total)
    with ExitStack() as stack:
        file = stack.enter_context(replacing(target))  # replaced last, when its data is in place
        _write(layout, held, file, written)
        for location, tensors in files.items():
            data = stack.enter_context(replacing(_contained(target, location)))
            _write_data(tensors, data, written)
    return [target, *(target.parent / location for location in files)]


class _Progress:
    def __init__(self, report: Progress | None, total: int) -> None:
        self.report, self.total, self.done = report, total, 0

    def __call__(self, count: int) -> None:
        self.done += count
        if self.report is not None:
            self.report(min(self.done, self.total), self.total)


def _take_out(model: ModelProto, arrays: Arrays, least: int) -> None:
    """Keep more tensors outside, and forget where a file had them."""
    for t in model.graph.initializer:
        if t.name not in arrays and t.HasField("raw_data") and len(t.raw_data) >= max(least, 1):
            arrays[t.name] = np.frombuffer(t.raw_data, np.uint8)
        if t.name in arrays:
            outside(t, arrays[t.name])


Placed = list[tuple[int, np.ndarray[Any, Any]]]


def _place(
    model: ModelProto, arrays: Mapping[str, np.ndarray[Any, Any]], one: str | None, inside: bool, checksums: bool
) -> dict[str, Placed]:
    """What goes into which file, by offset; tensors that stay in the model are marked with HOST."""
    files: dict[str, Placed] = {}
    end = 0
    for t in model.graph.initializer:
        array = arrays.get(t.name)
        if array is None or t.data_location != TensorProto.EXTERNAL:
            continue
        entries = {e.key: e.value for e in t.external_data}
        if inside or (entries["location"] == HOST and one is None):
            outside(t, array)
            continue
        if entries["location"] == HOST:
            assert one is not None
            entries = _behind(end, one, array)
            end = int(entries["offset"]) + array.nbytes
        _put(t, array, entries, files, checksums)
    return files


def _behind(end: int, location: str, array: np.ndarray[Any, Any]) -> dict[str, str]:
    """The place behind what a file of data has already."""
    start = -(-end // _ALIGNMENT) * _ALIGNMENT
    return {"location": location, "offset": str(start), "length": str(array.nbytes)}


def _put(
    t: TensorProto, array: np.ndarray[Any, Any], entries: dict[str, str], files: dict[str, Placed], checksums: bool
) -> None:
    """Have a tensor's data in the file, and at the place, that the entries say."""
    if checksums or "checksum" in entries:
        entries["checksum"] = _checksum(array)
    outside(t, array, tuple(entries.items()))
    files.setdefault(entries["location"], []).append((int(entries.get("offset", "0")), array))


def _place_inner(
    model: ModelProto, files: dict[str, Placed], one: str, least: int, inside: bool, checksums: bool
) -> None:
    """Put tensors of attributes and subgraphs outside, where the model had them; with ``least``, those of so many bytes into the file ``one``."""
    end = max((offset + array.nbytes for offset, array in files.get(one, ())), default=0)
    for t in inner_tensors(model):
        entries = kept_place(t)
        large = bool(least) and len(t.raw_data) >= least and t.data_location != TensorProto.EXTERNAL
        without_place(t)
        if inside or not (entries or large):
            continue
        array = np.frombuffer(t.raw_data, np.uint8)
        if large:
            entries = _behind(end, one, array)
            end = int(entries["offset"]) + array.nbytes
        _put(t, array, entries, files, checksums)


def _checksum(array: np.ndarray[Any, Any]) -> str:
    sha = hashlib.sha1(usedforsecurity=False)  # what ONNX prescribes; against accidents, not against attacks
    for chunk in _chunks(array):
        sha.update(chunk)
    return sha.hexdigest()


def _contained(model: Path, location: str) -> Path:
    """The path of a data file, which must be in the model's folder. Its folder is made when it is not there."""
    if not is_relative(location):
        raise LoweringError(f"external data goes to a path relative to the model, not to {location!r}")
    if goes_up(location):
        raise LoweringError(f"external data at {location!r} would be outside the model's folder")
    folder = Path(os.path.realpath(model.parent))
    target = folder / location
    if Path(os.path.realpath(target)) != target:
        raise LoweringError(f"external data at {location!r} would go through a link")
    if target == folder / model.name:
        raise LoweringError(f"external data cannot be in the model's own file, {location!r}")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _write_data(tensors: Placed, file: BinaryIO, progress: _Progress) -> None:
    """Write tensors at their offsets. Those that share bytes (one tensor under two names) must agree."""
    at = 0
    for offset, array in sorted(tensors, key=lambda p: (p[0], p[1].nbytes)):
        if offset < at:
            _check_overlap(file, offset, array, at)
            continue
        file.write(bytes(offset - at))
        for chunk in _chunks(array):
            file.write(chunk)
            progress(len(chunk))
        at = offset + array.nbytes


def _check_overlap(file: BinaryIO, offset: int, array: np.ndarray[Any, Any], end: int) -> None:
    """Raises LoweringError unless the bytes that stand there are the tensor's."""
    file.seek(offset)
    same = offset + array.nbytes <= end and all(file.read(len(c)) == bytes(c) for c in _chunks(array))
    file.seek(0, os.SEEK_END)
    if not same:
        raise LoweringError(f"two tensors with different values are at byte {offset} of one file of external data")


def _little(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _chunks(array: np.ndarray[Any, Any]) -> Iterator[memoryview]:
    """A tensor's bytes in pieces; one that is not contiguous is copied."""
    flat = np.ascontiguousarray(_little(np.asarray(array))).reshape(-1).view(np.uint8).data
    for start in range(0, len(flat), _CHUNK):
        yield flat[start : start + _CHUNK]


# -- one file -----------------------------------------------------------------------------------------------------------

# Field numbers of onnx.proto, whose order is the order in the file.
_MODEL_GRAPH, _GRAPH_INITIALIZER, _TENSOR_RAW_DATA = 7, 5, 9
_BEFORE_GRAPH = ("ir_version", "producer_name", "producer_version", "domain", "model_version", "doc_string")


def _write(model: ModelProto, arrays: Mapping[str, np.ndarray[Any, Any]], file: BinaryIO, progress: _Progress) -> None:
    """Write the model's file, byte for byte as protobuf would, without ever holding it whole."""
    inside = {
        t.name
        for t in model.graph.initializer
        if t.name in arrays and any(e.key == "location" and e.value == HOST for e in t.external_data)
    }
    if not inside:
        file.write(model.SerializeToString())
        return
    head, tail = ModelProto(), ModelProto()
    tail.CopyFrom(model)
    for name in _BEFORE_GRAPH:
        if tail.HasField(name):
            setattr(head, name, getattr(tail, name))
            tail.ClearField(name)
    tail.ClearField("graph")
    file.write(head.SerializeToString())
    _write_graph(model.graph, arrays, inside, file, progress)
    file.write(tail.SerializeToString())


def _write_graph(
    graph: GraphProto, arrays: Mapping[str, np.ndarray[Any, Any]], inside: set[str], file: BinaryIO, progress: _Progress
) -> None:
    head = GraphProto(node=graph.node)
    if graph.HasField("name"):
        head.name = graph.name
    rest = GraphProto()
    rest.CopyFrom(graph)
    for name in ("node", "name", "initializer"):
        rest.ClearField(name)
    before, after = head.SerializeToString(), rest.SerializeToString()
    tensors: list[tuple[bytes, Any, bytes]] = []
    size = len(before) + len(after)
    for t in graph.initializer:
        array = arrays[t.name] if t.name in inside else None
        first, last = _split(t, array)
        length = len(first) + len(last) + (array.nbytes if array is not None else 0)
        first = field_header(_GRAPH_INITIALIZER, length) + first
        size += len(first) + len(last) + (array.nbytes if array is not None else 0)
        tensors.append((first, array, last))
    file.write(field_header(_MODEL_GRAPH, size) + before)
    for first, array, last in tensors:
        file.write(first)
        if array is not None:
            for chunk in _chunks(array):
                file.write(chunk)
                progress(len(chunk))
        file.write(last)
    file.write(after)


def _split(t: TensorProto, array: np.ndarray[Any, Any] | None) -> tuple[bytes, bytes]:
    """What comes before and after a tensor's raw data; all of it before when it has none outside."""
    if array is None:
        return t.SerializeToString(), b""
    first = TensorProto(dims=t.dims, data_type=t.data_type)
    if t.HasField("name"):
        first.name = t.name
    last = TensorProto()
    last.CopyFrom(t)
    for name in ("dims", "data_type", "name"):
        last.ClearField(name)
    _inside(last)
    return first.SerializeToString() + field_header(_TENSOR_RAW_DATA, array.nbytes), last.SerializeToString()
