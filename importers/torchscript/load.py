"""A TorchScript archive as a script object: its classes compiled, its attributes filled in."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from bridge.importers.torchscript.container import Container
from bridge.importers.torchscript.errors import ArchiveError
from bridge.importers.torchscript.objects import Objects
from bridge.importers.torchscript.records import ObjectRecord, TensorRecord
from bridge.importers.torchscript.sources import Sources
from bridge.importers.torchscript.storages import Storages
from bridge.importers.torchscript.unpickler import PickleError, unpickle
from bridge.importers.torchscript.upgrades import upgrade
from bridge.ir.classes import CompilationUnit, Function, ScriptObject
from bridge.ir.graph import Graph
from bridge.ir.passes.inline import inlined_graph

__all__ = ["Archive", "MakeTensor", "read_archive"]

#: ``make(array, requires_grad, is_parameter)`` gives the value that stands for a tensor.
MakeTensor = Callable[["np.ndarray[Any, Any]", bool, bool], Any]
#: ``run(function, arguments)`` interprets a function.
Run = Callable[[Function, list[Any]], Any]

#: versions of the format that exist; 1 and 2 are read as 3, as the records are the same
_VERSIONS = range(1, 11)
#: Operators that reach outside the program, and the namespaces whose operators may appear at all.
_OUTSIDE = {
    "aten::from_file", "aten::save", "aten::owner", "aten::owner_name", "aten::is_owner", "aten::confirmed_by_owner",
    "aten::to_here", "prim::rpc_async", "prim::rpc_sync", "prim::rpc_remote", "prim::PythonOp",
}  # fmt: skip
_NAMESPACES = ("aten", "prim", "onnx")


@dataclass(slots=True)
class Archive:
    """What an archive holds: the module, the unit that owns its classes, the extra files by name."""

    root: ScriptObject
    unit: CompilationUnit
    extra_files: dict[str, bytes]


def read_archive(
    file: str | os.PathLike[str] | BinaryIO, make_tensor: MakeTensor | None = None, run: Run | None = None
) -> Archive:
    """Read an archive of ``torch.jit.save`` (or of this package): parse, compile, and never execute.

    The exception are classes with a ``__setstate__``: ``run`` interprets it, if it is straight-line code of known operators;
    without ``run`` such an archive is refused. Tensors that share memory share it in the result. Without ``make_tensor`` they
    are NumPy arrays.

    Raises :class:`ArchiveError` (a BridgeError) that names the file and the entry for whatever is damaged, hostile or not
    supported; OSError for the file itself.
    """
    with Container(file) as container:
        version = _version(container)
        if "data.pkl" not in container or "constants.pkl" not in container:
            known = "model.json" in container
            problem = "is an archive of a preview release" if known else "is a zip file, but not a TorchScript archive"
            raise ArchiveError(container.path, None, f"{problem} (data.pkl or constants.pkl is missing)")
        sources = Sources(container, _constants(container), version)
        data = _unpickle(container, "data.pkl")
        if not isinstance(data, ObjectRecord):
            raise ArchiveError(container.path, "data.pkl", "does not hold a module")
        make = make_tensor or (lambda array, requires_grad, is_parameter: array)
        set_state = None if run is None else _state_setter(container.path, version, run)
        root = Objects(container.path, "data.pkl", sources, Storages(container, "data"), make, set_state).object(data)
        if not root.type.is_module:
            raise ArchiveError(container.path, "data.pkl", f"holds a {root.type.name}, which is not a module")
        for function in sources.compile_all():
            _upgrade(container.path, function.qualified_name, function.graph, version)
            _check_operators(container.path, function.qualified_name, function.graph)
        extra = {n[len("extra/") :]: container.read(n) for n in container.names if n.startswith("extra/")}
        return Archive(root, sources.unit, extra)


def _state_setter(path: str, version: int, run: Run) -> Callable[[ScriptObject, Any], None]:
    """Calls ``__setstate__`` of an object, once it is known to end and to stay inside the program."""

    def set_state(obj: ScriptObject, state: Any) -> None:
        function = obj.type.methods["__setstate__"]
        graph = inlined_graph(function)
        _upgrade(path, function.qualified_name, graph, version)
        _check_operators(path, function.qualified_name, graph)
        if any(n.kind == "prim::Loop" for n in graph.all_nodes()):
            raise ArchiveError(path, function.qualified_name, "has a loop, and runs while loading, which is refused")
        try:
            run(function, [obj, state])
        except Exception as e:
            raise ArchiveError(
                path, function.qualified_name, f"raises {type(e).__name__}: {getattr(e, 'message', e)}"
            ) from e

    return set_state


def _unpickle(container: Container, entry: str) -> Any:
    try:
        return unpickle(container.read(entry))
    except PickleError as e:
        raise ArchiveError(container.path, entry, str(e)) from None


def _version(container: Container) -> int:
    entry = ".data/version" if ".data/version" in container else "version"  # versions from 6 on stand there
    text = container.read(entry, limit=64).strip()
    if not text.isdigit() or int(text) not in _VERSIONS:
        raise ArchiveError(
            container.path, entry, f"says {ascii(text)[1:]}; versions {_VERSIONS[0]} to {_VERSIONS[-1]} can be read"
        )
    return int(text)


def _constants(container: Container) -> list[Any]:
    """The values that texts call ``CONSTANTS.c0``…: tensors, and texts that are not plain ASCII."""
    records = _unpickle(container, "constants.pkl")
    if not isinstance(records, tuple):
        raise ArchiveError(container.path, "constants.pkl", "does not hold a tuple")
    storages = Storages(container, "constants")

    def value(record: Any) -> Any:
        if isinstance(record, TensorRecord):
            return storages.array(record)
        if isinstance(record, list | tuple):
            return type(record)(map(value, record))
        if isinstance(record, dict):
            return {key: value(item) for key, item in record.items()}
        if record is None or isinstance(record, bool | int | float | complex | str):
            return record
        raise ArchiveError(container.path, "constants.pkl", "holds something else than tensors and plain values")

    return list(map(value, records))


def _upgrade(path: str, function: str, graph: Graph, version: int) -> None:
    """Put today's operators for those that meant something else in that version; refuse what there is none for."""
    for node in upgrade(graph, version):
        place = node.range.highlight() if node.range is not None else ""
        problem = f"uses {node.kind} as it was in version {version} of the format, which is not supported"
        raise ArchiveError(path, function, f"{problem}\n{place}".rstrip())


def _check_operators(path: str, function: str, graph: Graph) -> None:
    """Refuse operators that reach outside, or that nobody here knows."""
    for node in graph.all_nodes():
        problem = ""
        if node.kind in _OUTSIDE:
            problem = f"uses {node.kind}, which reaches outside the program and is refused"
        elif node.kind.partition("::")[0] not in _NAMESPACES:
            problem = f"uses {node.kind}, an operator of an extension, which is not supported"
        if problem:
            place = node.range.highlight() if node.range is not None else ""
            raise ArchiveError(path, function, f"{problem}\n{place}".rstrip())
        if "Subgraph" in node.attributes:
            _check_operators(path, function, node.attributes["Subgraph"])
