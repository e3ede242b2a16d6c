"""The classes and functions of an archive, compiled from the texts in its ``code/`` folder when somebody asks for them.

The texts are parsed and compiled by our own script compiler, and nothing of them is executed. A name ``__torch__.a.b.C`` stands
in ``code/__torch__/a/b.py``. How the printed classes are to be read was taken from torch's ``import_source.cpp``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn

from bridge.importers.script import (
    ClassValue,
    EnumClass,
    FunctionValue,
    NamedTupleConstructor,
    SimpleSelf,
    SugaredValue,
    compile_function,
    parse_source,
    parse_type,
    signature_of,
    source_environment,
    tree,
)
from bridge.importers.script.annotations import literal_value
from bridge.importers.torchscript.container import Container
from bridge.importers.torchscript.debug import ByteOffsets, DebugRanges
from bridge.importers.torchscript.errors import ArchiveError
from bridge.importers.torchscript.unpickler import PickleError
from bridge.ir import types as T
from bridge.ir.classes import ClassType, CompilationUnit, Function, InterfaceType
from bridge.ir.errors import BridgeError
from bridge.ir.op_versions import version_of
from bridge.ir.schema import Argument, Schema
from bridge.ir.source import Source, SourceRange

__all__ = ["Sources"]

#: bytes of source text that are compiled: of one file, and of all of an archive
_MAX_TEXT = 8 << 20
_MAX_TEXTS = 32 << 20
_QUALIFIER = re.compile(r"__torch__(\.[A-Za-z_]\w*)*\Z")
#: Lists in a class body that the importer reads or has no use for; anything else assigned there is an attribute.
_FLAGS = ("__parameters__", "__buffers__", "__forward_pre_hooks__", "__forward_hooks__", "__annotations__")


class _Unprinted(SourceRange):
    """The place of what torch printed on its own account: it shows as ``:0:0``, which is not the same as no place."""

    def file_line_col(self) -> tuple[str, int, int]:
        return "", 0, 0


_NOWHERE = Source("", "", 0)


class Sources:
    """Finds types and functions of an archive by qualified name. Also the resolver of names in its texts.

    ``unit`` receives what was declared; graphs are compiled on their first use, or by :meth:`compile_all`.
    ``constants`` is what ``CONSTANTS.c0``… in the texts refer to, ``version`` that of the format. Raises :class:`ArchiveError` that names the file and the entry.
    """

    def __init__(self, container: Container, constants: Sequence[Any], version: int) -> None:
        self._version = version
        self.unit = CompilationUnit()
        self._functions: list[tuple[Function, _File]] = []
        self._container = container
        self._constants = constants
        self._values = source_environment(constants)
        self._pending: dict[str, tuple[tree.ClassDef | tree.Def, _File]] = {}
        self._files: dict[str, _File | None] = {}
        self._total = 0

    # -- looking up ----------------------------------------------------------------------------------------------------

    def find_type(self, name: str) -> T.Type | None:
        """The class, interface, enum or NamedTuple of that qualified name; None when the archive has none."""
        if name not in self.unit.types:
            pending = self._take(name, tree.ClassDef)
            if pending is not None:
                self._define_type(name, *pending)
        return self.unit.types.get(name)

    def find_function(self, name: str) -> Function | None:
        """The free function of that qualified name, or None."""
        if name not in self.unit.functions:
            pending = self._take(name, tree.Def)
            if pending is not None:
                definition, file = pending
                self.unit.add_function(self._compile(definition, file, name, None))
        return self.unit.functions.get(name)

    def _take(self, name: str, kind: type) -> Any:
        qualifier = name.rpartition(".")[0]
        if qualifier not in self._files:
            self._files[qualifier] = self._parse(qualifier)
        found = self._pending.get(name)
        return self._pending.pop(name) if found is not None and isinstance(found[0], kind) else None

    def _parse(self, qualifier: str) -> _File | None:
        """Read a source file; its definitions wait under their names. None when there is no such file."""
        entry = f"code/{qualifier.replace('.', '/')}.py"
        if not _QUALIFIER.match(qualifier) or entry not in self._container:
            return None
        self._total += self._container.size(entry)
        if self._total > _MAX_TEXTS:
            raise ArchiveError(self._container.path, entry, f"brings the source texts to more than {_MAX_TEXTS} bytes")
        text = self._container.text(entry, limit=_MAX_TEXT)
        file = _File(self._container, entry, text)
        for statement in file.guarded(_parse, text, entry, self._version):
            if isinstance(statement, tree.ClassDef | tree.Def):
                self._pending[f"{qualifier}.{statement.name}"] = statement, file
            elif not _is_version(statement):
                file.refuse("holds something else than classes and functions", statement)
        return file

    # -- the resolver protocol -------------------------------------------------------------------------------------------

    def resolve_import(self, module: str, member: str | None, m: Any, range: SourceRange) -> SugaredValue | None:
        return None

    def resolve_value(self, name: str, m: Any, range: SourceRange) -> SugaredValue | None:
        """What a free name of a text means."""
        return _Namespace("__torch__", self) if name == "__torch__" else self._values.get(name)

    def resolve_type(self, name: str, range: SourceRange) -> T.Type | None:
        """What a dotted name in an annotation means."""
        return self.find_type(name)

    # -- types -----------------------------------------------------------------------------------------------------------

    def _define_type(self, name: str, definition: tree.ClassDef, file: _File) -> None:
        base = definition.bases[0] if definition.bases else ""
        if base in ("", "Module"):
            self._define_class(ClassType(name, is_module=base == "Module"), definition, file)
        elif base == "NamedTuple":
            self.unit.add_type(name, self._named_tuple(name, definition, file))
        elif base in ("Interface", "ModuleInterface"):
            self._define_interface(InterfaceType(name, is_module=base == "ModuleInterface"), definition, file)
        elif base == "Enum":
            self.unit.add_type(name, self._enum(name, definition, file))
        else:
            file.refuse(f"has a class with the base {base}, which archives do not have", definition)

    def _define_class(self, cls: ClassType, definition: tree.ClassDef, file: _File) -> None:
        flags: dict[str, list[str]] = {}
        for statement in definition.body:
            if isinstance(statement, tree.Assign):
                self._class_assignment(cls, statement, flags, file)
            elif not isinstance(statement, tree.Def | tree.Pass):
                file.refuse("has a statement in a class that is neither an attribute nor a method", statement)
        for attribute in cls.attributes.values():
            attribute.is_parameter = attribute.name in flags.get("__parameters__", ())
            attribute.is_buffer = attribute.name in flags.get("__buffers__", ())
        self.unit.add_type(cls.name, cls)
        hooks: dict[str, Function] = {}
        for method in definition.methods():
            function = self._compile(method, file, f"{cls.name}.{method.name}", cls)
            if any(method.name in flags.get(f, ()) for f in ("__forward_hooks__", "__forward_pre_hooks__")):
                hooks[method.name] = function
            else:
                file.guarded(cls.add_method, function)
        # They run in the order of the lists, which may name one more than once.
        cls.hooks += [hooks[n] for n in flags.get("__forward_hooks__", ()) if n in hooks]
        cls.pre_hooks += [hooks[n] for n in flags.get("__forward_pre_hooks__", ()) if n in hooks]

    def _class_assignment(
        self, cls: ClassType, statement: tree.Assign, flags: dict[str, list[str]], file: _File
    ) -> None:
        target = statement.targets[0]
        if isinstance(target, tree.Var) and target.name in _FLAGS:
            flags[target.name] = _strings(statement.value)
        elif isinstance(target, tree.Subscript) and statement.value is not None:  # __annotations__["0"] = Type
            names = [i.value for i in target.indices if isinstance(i, tree.StringLit)]
            if len(names) != 1:
                file.refuse("declares an attribute without a name", statement)
            file.guarded(cls.add_attribute, names[0], self._type(statement.value, file))
        elif isinstance(target, tree.Var) and statement.type is not None and statement.value is None:
            file.guarded(cls.add_attribute, target.name, self._type(statement.type, file))
        elif isinstance(target, tree.Var) and statement.value is not None:  # name : Final[int] = 3
            cls.constants[target.name] = _frozen(file.guarded(literal_value, statement.value))
        else:
            file.refuse("has an assignment in a class that declares nothing", statement)

    def _named_tuple(self, name: str, definition: tree.ClassDef, file: _File) -> T.TupleType:
        fields: list[str] = []
        types: list[T.Type] = []
        for s in definition.body:
            if not (isinstance(s, tree.Assign) and isinstance(s.targets[0], tree.Var) and s.type is not None):
                file.refuse("has a NamedTuple with something else than fields", s)
            fields.append(s.targets[0].name)
            types.append(self._type(s.type, file))
        return T.TupleType(*types, name=name, fields=fields)

    def _enum(self, name: str, definition: tree.ClassDef, file: _File) -> T.EnumType:
        members: list[tuple[str, Any]] = []
        for s in definition.body:
            if not (isinstance(s, tree.Assign) and isinstance(s.targets[0], tree.Var) and s.value is not None):
                file.refuse("has an enum with something else than members", s)
            members.append((s.targets[0].name, file.guarded(literal_value, s.value)))
        kinds = {type(value) for _, value in members}
        kind = {int: T.INT, float: T.FLOAT, str: T.STR}.get(kinds.pop()) if len(kinds) == 1 else None
        if kind is None:
            file.refuse("has an enum whose members are not all integers, floats or strings", definition)
        return T.EnumType(name, kind, members)

    def _define_interface(self, interface: InterfaceType, definition: tree.ClassDef, file: _File) -> None:
        self.unit.add_type(interface.name, interface)
        for method in definition.methods():
            schema: Schema = file.guarded(signature_of, method, self, True)
            arguments = [Argument("self", interface), *schema.arguments]
            interface.methods[method.name] = Schema(method.name, "", arguments, schema.returns)

    def _type(self, expression: tree.Expr, file: _File) -> T.Type:
        found: T.Type = file.guarded(parse_type, expression, self)
        return found

    def _compile(self, definition: tree.Def, file: _File, name: str, owner: ClassType | None) -> Function:
        own = SimpleSelf(owner) if owner is not None else None
        defaults = {p.name: self._default(p.default, file) for p in definition.params if p.default is not None}
        function = compile_function(definition, self, name, self=own, defaults=defaults, ranges=file.original_range)
        self._functions.append((function, file))
        return function

    def _default(self, value: tree.Expr, file: _File) -> Any:
        """The default of an argument: a literal, or a text in the table of constants."""
        if isinstance(value, tree.Select) and isinstance(value.value, tree.Var) and value.value.name == "CONSTANTS":
            index = value.name.removeprefix("c")
            if not index.isdigit() or int(index) >= len(self._constants):
                file.refuse("refers to a constant that is not there", value)
            return self._constants[int(index)]
        made = file.guarded(literal_value, value)
        return tuple(made) if isinstance(made, list) else made  # of a parameter that a number stands for: List[int]=[0]

    # -- finishing -------------------------------------------------------------------------------------------------------

    def compile_all(self) -> list[Function]:
        """Compile every function that was declared so far, and those that they need; all of them."""
        done = 0
        while done < len(self._functions):  # compiling one may declare more
            function, file = self._functions[done]
            file.guarded(function.ensure_defined)
            done += 1
        return [function for function, _ in self._functions]


class _File:
    """One source text of the archive, with its debug ranges."""

    def __init__(self, container: Container, entry: str, text: str) -> None:
        self._container, self._entry, self._offsets = container, entry, ByteOffsets(text)
        self._debug = self._read_debug()

    def _read_debug(self) -> DebugRanges | None:
        entry = f"{self._entry}.debug_pkl"
        if entry not in self._container:
            return None
        try:
            return DebugRanges.parse(self._container.read(entry))
        except PickleError as e:
            raise ArchiveError(self._container.path, entry, str(e)) from None

    def original_range(self, range_: SourceRange) -> SourceRange | None:
        """Where the user wrote what stands here in the text, if the archive tells."""
        if self._debug is None:
            return range_
        found = self._debug.at(self._offsets.bytes_at(range_.start))
        if found is None:
            return _Unprinted(_NOWHERE, 0, 0, range_)
        return SourceRange(found.source, found.start, found.end, range_)

    def guarded(self, function: Any, *args: Any) -> Any:
        """Call the compiler; what it finds wrong names the file and the entry."""
        try:
            return function(*args)
        except ArchiveError:
            raise
        except BridgeError as e:
            raise ArchiveError(self._container.path, self._entry, str(e)) from e
        except (RecursionError, MemoryError):
            raise ArchiveError(self._container.path, self._entry, "is nested too deeply to be compiled") from None
        except ValueError as e:
            raise ArchiveError(self._container.path, self._entry, f"is not a program: {e}") from None

    def refuse(self, problem: str, where: tree.Tree) -> NoReturn:
        """Raise the error for a place in the text."""
        raise ArchiveError(self._container.path, self._entry, f"{problem}\n{where.range.highlight()}")


class _Namespace(SugaredValue):
    """``__torch__.a.b`` in a text: a step on the way to a class or function of the archive."""

    __slots__ = ("_name", "_sources")
    kind = "class namespace"

    def __init__(self, name: str, sources: Sources) -> None:
        self._name, self._sources = name, sources

    def attr(self, range: SourceRange, m: Any, name: str) -> SugaredValue:
        full = f"{self._name}.{name}"
        found = self._sources.find_type(full)
        if isinstance(found, ClassType):
            return ClassValue(found)
        if isinstance(found, T.TupleType):
            return NamedTupleConstructor(found)
        if isinstance(found, T.EnumType):
            return EnumClass(found)
        function = self._sources.find_function(full)
        return FunctionValue(function) if function is not None else _Namespace(full, self._sources)


def _parse(text: str, filename: str, version: int) -> list[tree.Stmt]:
    """The statements of a text. A minus before a number belongs to the number here, as torch reads printed programs.

    Calls that left out what must be said since a later ``version`` say it.
    """
    statements: list[tree.Stmt] = parse_source(text, filename)
    work: list[Any] = [*statements]
    while work:
        node = work.pop()
        for name in _fields(type(node)):
            value = getattr(node, name)
            if isinstance(value, tree.Tree):
                setattr(node, name, _with_sign(value))
            elif isinstance(value, list):
                value[:] = [_with_sign(v) for v in value]
            inner = getattr(node, name)
            work.extend(v for v in (inner if isinstance(inner, list) else [inner]) if isinstance(v, tree.Tree))
        if isinstance(node, tree.Apply) and isinstance(node.callee, tree.Select):
            _say_steps(node, node.callee, version)
    return statements


def _say_steps(call: tree.Apply, callee: tree.Select, version: int) -> None:
    """``linspace`` and ``logspace`` made 100 steps where nobody said how many."""
    torch = isinstance(callee.value, tree.Var) and callee.value.name == "torch"
    if not torch or callee.name not in ("linspace", "logspace") or version >= version_of(f"aten::{callee.name}"):
        return
    steps = tree.Const(call.range, 100)
    if len(call.inputs) > 2:
        given = call.inputs[2]
        call.inputs[2] = steps if isinstance(given, tree.Literal) and given.value is None else given
    elif not any(k.name == "steps" for k in call.keywords):
        call.keywords.append(tree.Keyword(call.range, "steps", steps))


def _fields(kind: type) -> list[str]:
    return [name for base in kind.__mro__ for name in getattr(base, "__slots__", ()) if name != "range"]


def _with_sign(value: Any) -> Any:
    if isinstance(value, tree.UnaryOp) and value.op == "-" and isinstance(value.operand, tree.Const):
        return tree.Const(value.operand.range, -value.operand.value)
    return value


def _is_version(statement: tree.Stmt) -> bool:
    """``op_version_set = 1``, with which old archives begin."""
    return (
        isinstance(statement, tree.Assign)
        and isinstance(statement.targets[0], tree.Var)
        and statement.targets[0].name == "op_version_set"
    )


def _strings(value: tree.Expr | None) -> list[str]:
    elements = value.elements if isinstance(value, tree.ListLit) else []
    return [e.value for e in elements if isinstance(e, tree.StringLit)]


def _frozen(value: Any) -> Any:
    """A constant of a class: lists are kept as tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
