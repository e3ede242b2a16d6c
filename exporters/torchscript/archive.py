"""A script object as a TorchScript archive: its data, the source of every class it needs, constants and debug ranges.

What goes where is torch's (``jit/serialization/export_module.cpp``): ``data.pkl`` with ``data/N``, one ``code/….py`` for each
module path with ``.debug_pkl`` beside it, ``constants.pkl`` with ``constants/N`` for tensors in the code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from bridge.exporters.python import SourcePrinter
from bridge.exporters.torchscript.container import ContainerWriter
from bridge.exporters.torchscript.debug import RangeTags, pickle_ranges
from bridge.exporters.torchscript.pickler import Pickler
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, FunctionType, InterfaceType, ScriptObject, mangle
from bridge.ir.errors import UnsupportedError
from bridge.ir.graph import Graph
from bridge.ir.op_versions import needed_version
from bridge.ir.schema import Argument, Schema

__all__ = ["function_object", "write_archive"]

#: the format of archives without operators that need a later one; see bridge.ir.op_versions
_BASE_VERSION = 3

_Named = ClassType | InterfaceType | T.EnumType | T.TupleType | Function


def write_archive(
    file: BinaryIO,
    name: str,
    root: ScriptObject,
    extra_files: Mapping[str, str | bytes] | None = None,
    run: Callable[[Function, list[Any]], Any] | None = None,
) -> None:
    """Write a module's archive to an open binary file. ``name`` is the folder inside it (see :func:`archive_name`).

    ``extra_files`` are stored under ``extra/`` and given back on loading. ``run`` interprets a function: objects whose class has
    a ``__getstate__`` are stored as what it returns. Raises UnsupportedError, naming the attribute or the
    operator and its line, for what an archive cannot hold.
    """
    names = _Names()
    data = Pickler(names.of, run)
    pickled = data.pickle(root, root.type)
    code = _Code(names)
    code.add_all(data.classes)
    constants = Pickler(names.of)
    pickled_constants = constants.pickle(tuple(code.constants))
    writer = ContainerWriter(file, name)
    try:
        for key, content in (extra_files or {}).items():
            writer.write(f"extra/{key}", content.encode("utf-8") if isinstance(content, str) else content)
        _write_pickle(writer, "data", pickled, data)
        code.write(writer)
        _write_pickle(writer, "constants", pickled_constants, constants)
        writer.close(code.version)
    except BaseException:
        writer.abandon()
        raise


def _write_pickle(writer: ContainerWriter, name: str, pickled: bytes, pickler: Pickler) -> None:
    for number, memory in enumerate(pickler.storages.records):
        writer.write(f"{name}/{number}", memory)
    writer.write(f"{name}.pkl", pickled)


class _Names:
    """Unique names for the archive's classes: their own, mangled where two different classes have the same one."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._keep: list[Any] = []
        self._used: set[str] = set()
        self._next = 0

    def of(self, named: Any) -> str:
        """The name under which the archive holds a class, interface, enum, NamedTuple or function."""
        named = named.function if isinstance(named, FunctionType) else named
        known = self._names.get(id(named))
        if known is None:
            equal = self._equal(named) if isinstance(named, T.TupleType | T.EnumType) else None
            known = self._names[id(equal)] if equal is not None else self._unique(named)
            self._names[id(named)] = known
            self._keep.append(named)
        return known

    def _equal(self, named: T.Type) -> Any:
        """A NamedTuple or enum that is the same type: those are compared by structure, the others by identity."""
        return next((known for known in self._keep if known == named), None)

    def _unique(self, named: Any) -> str:
        name = named.qualified_name if isinstance(named, Function) else named.name
        while name in self._used:
            name = mangle(name, self._next)
            self._next += 1
        self._used.add(name)
        return str(name)


class _Code:
    """The source texts of an archive, by the module path they stand under, each class printed once with all it mentions."""

    def __init__(self, names: _Names) -> None:
        self.files: dict[str, SourcePrinter] = {}
        self.constants: list[Any] = []
        self.version = _BASE_VERSION
        self._names = names
        self._dependencies: list[Any] = []
        self._printed: set[str] = set()

    def add_all(self, classes: list[ClassType]) -> None:
        """Print these classes, then everything they depend on."""
        for cls in classes:
            self._print(cls)
        done = 0
        while done < len(self._dependencies):  # printing one may find more
            self._print(self._dependencies[done])
            done += 1

    def write(self, writer: ContainerWriter) -> None:
        """Write the texts and their debug ranges."""
        tags = RangeTags()
        for qualifier, printer in self.files.items():
            path = f"code/{qualifier.replace('.', '/')}.py"
            writer.write(path, printer.text.encode("utf-8"), text=True)
            writer.write(f"{path}.debug_pkl", pickle_ranges(printer.ranges, tags), text=True)

    def _print(self, named: _Named | FunctionType) -> None:
        named = named.function if isinstance(named, FunctionType) else named
        name = self._names.of(named)
        if name in self._printed:
            return
        self._printed.add(name)
        for function in _functions(named):
            self._check(function)
        qualifier = name.rpartition(".")[0]
        printer = self.files.get(qualifier)
        if printer is None:
            printer = SourcePrinter(self.constants, self._dependencies, self._names.of, importable=True)
            self.files[qualifier] = printer
        printer.print_type(named)

    def _check(self, function: Function) -> None:
        """Note which version the function's operators need, and refuse what torch does not know."""
        for node in function.graph.all_nodes():
            self.version = max(self.version, needed_version(node))
            if node.kind.startswith(("onnx::", "com_microsoft::")):
                raise UnsupportedError(
                    f"cannot save '{function.qualified_name}' as a TorchScript archive: it uses the ONNX operator {node.kind}, "
                    "which torch does not have; save it as .onnx",
                    node.range,
                )


def _functions(named: _Named) -> list[Function]:
    if isinstance(named, Function):
        return [named]
    return [*named.methods.values(), *named.hooks, *named.pre_hooks] if isinstance(named, ClassType) else []


def function_object(function: Function) -> ScriptObject:
    """A module whose ``forward`` is a free function, which is how torch saves one."""
    cls = ClassType("__torch__.PlaceholderModule", is_module=True)
    cls.add_attribute("training", T.BOOL)
    graph = _with_self(function.graph, cls)
    schema = function.schema
    arguments = [Argument(a.name, a.type) for a in schema.arguments]  # torch's own archives lose the defaults, too
    cls.add_method(
        Function(
            f"{cls.name}.forward", graph, Schema("forward", "", [Argument("self", cls), *arguments], schema.returns)
        )
    )
    return ScriptObject(cls, {"training": True})


def _with_self(source: Graph, cls: ClassType) -> Graph:
    graph = Graph()
    graph.add_input("self", cls)
    graph.block.clone_from(source.block, lambda value: value)  # a whole function has no values from outside
    return graph
