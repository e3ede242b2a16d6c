"""Modules as sugared values: attributes, methods compiled on demand, containers, hooks (``python_sugared_value.cpp``).

What is known of a module beyond its class type comes through :class:`ConcreteModule`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from bridge.importers.script import matching
from bridge.importers.script.errors import AttributeType, CompileError
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.sugared import (
    BuiltinFunction,
    FunctionValue,
    MethodValue,
    SugaredTuple,
    SugaredValue,
)
from bridge.importers.script.values import IterableTree, SimpleValue
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, InterfaceType
from bridge.ir.graph import Value
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore
    from bridge.importers.script.templates import Template

__all__ = [
    "ClassSuperValue",
    "ConcreteModule",
    "ModuleSelf",
    "ModuleValue",
    "Self",
    "SimpleSelf",
    "SuperValue",
    "class_module",
]


class ConcreteModule(Protocol):
    """What the compiler asks of a module beyond its class type."""

    @property
    def type(self) -> ClassType | InterfaceType: ...

    @property
    def container(self) -> str:
        """``""``, ``"list"``, ``"dict"``, ``"parameter list"`` or ``"parameter dict"``."""

    def submodule(self, name: str) -> ConcreteModule | None: ...

    def overloads(self, name: str) -> Sequence[str] | None:
        """Names of the compiled overloads of a method."""

    def function(self, name: str) -> Function | Sequence[Function] | None:
        """A function held as an attribute."""

    def builtin(self, name: str) -> str | None:
        """The operator that an attribute stands for."""

    def python_method(self, name: str) -> bool:
        """Compile the Python method of that name into ``type``; False when there is none to compile."""

    def template(self, name: str) -> Callable[[], Template] | None:
        """What compiles the Python method of that name for a call; None for one that compiles as declared only."""

    def python_value(self, name: str, m: EmitterCore, range: SourceRange) -> SugaredValue | None:
        """Static and ignored methods."""

    def inherited_method(self, name: str, after: Any) -> str | None:
        """Compile the method that ``super()`` finds in the methods of ``after``; what ``type`` calls it, or None."""

    def hint(self, name: str) -> str:
        """Why an attribute is missing."""


class _ClassModule:
    """A :class:`ConcreteModule` that knows its class type only (modules read from files)."""

    __slots__ = ("type",)
    container = ""

    def __init__(self, type: ClassType | InterfaceType) -> None:
        self.type = type

    def submodule(self, name: str) -> ConcreteModule | None:
        if isinstance(self.type, ClassType) and name in self.type.attributes:
            t = self.type.attributes[name].type
            if isinstance(t, ClassType | InterfaceType):
                return _ClassModule(t)
        return None

    def overloads(self, name: str) -> Sequence[str] | None:
        return None

    def function(self, name: str) -> Function | Sequence[Function] | None:
        return None

    def builtin(self, name: str) -> str | None:
        return None

    def python_method(self, name: str) -> bool:
        return False

    def template(self, name: str) -> Callable[[], Template] | None:
        return None

    def python_value(self, name: str, m: EmitterCore, range: SourceRange) -> SugaredValue | None:
        return None

    def inherited_method(self, name: str, after: Any) -> str | None:
        return None

    def hint(self, name: str) -> str:
        return ""


def class_module(type: ClassType | InterfaceType) -> ConcreteModule:
    """The description of a module of which only the type is known."""
    return _ClassModule(type)


class Self(Protocol):
    """What the first parameter of a method is."""

    @property
    def type(self) -> ClassType: ...

    def sugared(self, value: Value) -> SugaredValue:
        """The sugared value of that parameter (whose type this sets)."""


class SimpleSelf:
    """``self`` of a class, or of a module read from text."""

    __slots__ = ("type",)

    def __init__(self, type: ClassType) -> None:
        self.type = type

    def sugared(self, value: Value) -> SugaredValue:
        value.type = self.type
        return SimpleValue(value)


class ModuleSelf:
    """``self`` of a live module."""

    __slots__ = ("module",)

    def __init__(self, module: ConcreteModule) -> None:
        self.module = module

    @property
    def type(self) -> ClassType:
        assert isinstance(self.module.type, ClassType)
        return self.module.type

    def sugared(self, value: Value) -> SugaredValue:
        value.type = self.type
        return ModuleValue(value, self.module)


class ModuleDictMethod(SugaredValue):
    """``d.items`` of a module container: calling it gives the iterable."""

    __slots__ = ("name", "result")

    def __init__(self, result: SugaredValue, name: str) -> None:
        self.result, self.name = result, name

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.name

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        if args or keywords:
            raise CompileError(f"{self.name} method does not accept any arguments", range)
        return self.result


def constant_value(value: Any, m: EmitterCore, range: SourceRange) -> Value:
    """A module constant as a value: tuples become tuples of constants."""
    if isinstance(value, tuple):
        return matching.make_tuple(m.graph, [constant_value(v, m, range) for v in value])
    return m.plain_constant(value, range)


class ModuleValue(SugaredValue):
    """A module. Submodules are sugared again, everything else that is first class becomes a value."""

    __slots__ = ("module", "value")
    kind = "module"

    def __init__(self, value: Value, module: ConcreteModule) -> None:
        self.value, self.module = value, module

    def as_value(self, range: SourceRange, m: EmitterCore) -> Value:
        return self.value

    def as_tuple_value(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        if self.module.container == "list":
            return self._entries(m)[1]
        raise CompileError("Only ModuleList or Sequential modules can be used as tuple", range)

    def as_tuple(self, range: SourceRange, m: EmitterCore, size: int | None = None) -> Sequence[SugaredValue]:
        if not self.module.container:
            return super().as_tuple(range, m, size)
        return self.iter(range, m).as_tuple(range, m, size)

    # -- attributes --------------------------------------------------------------------------------------------

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        found = self.find(range, m, name)
        if found is not None:
            return found
        t = self.module.type
        if isinstance(t, ClassType) and name in t.properties:
            return MethodValue(self.value, [t.properties[name][0].name]).call(range, m, (), (), 1)
        text = f"Module '{t.name.rpartition('.')[2]}' has no attribute '{name}' {self.module.hint(name)}".rstrip()
        if isinstance(t, ClassType) and self.module.hint(name):
            raise AttributeType(text, range, t, name, None)
        raise CompileError(text, range)

    def has_attr(self, range: SourceRange, m: EmitterCore, name: str) -> bool:
        return self.find(range, m, name) is not None

    def set_attr(self, range: SourceRange, m: EmitterCore, name: str, value: Value) -> None:
        SimpleValue(self.value).set_attr(range, m, name, value)

    def find(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue | None:
        """The attribute, or None."""
        t = self.module.type
        if isinstance(t, InterfaceType):
            return SimpleValue(self.value).attr(range, m, name)
        declared = t.attributes.get(name)
        if declared is not None and getattr(declared.type, "is_module", False):
            sub = self.module.submodule(name) or class_module(declared.type)  # type: ignore[arg-type]
            return ModuleValue(m.get_attr(self.value, name), sub)
        if declared is not None:
            return SimpleValue(self.value).attr(range, m, name)
        if name in t.methods:
            return self._open(name, SimpleValue(self.value).attr(range, m, name))
        if name in t.constants:
            return SimpleValue(constant_value(t.constants[name], m, range))
        container = self._container_attr(range, m, name)
        if container is not None:
            return container
        overloads = self.module.overloads(name)
        if overloads:
            return MethodValue(self.value, overloads)
        function = self.module.function(name)
        if function is not None:
            return FunctionValue(function)
        operator = self.module.builtin(name)
        if operator is not None:
            return BuiltinFunction(operator)
        value = self.module.python_value(name, m, range)
        if value is not None:
            return value
        try:
            return self.attr(range, m, name) if self.module.python_method(name) else None
        except CompileError as e:
            found = self._open(name, e)
            if found is None:
                raise
            return found

    def _open(self, name: str, declared: SugaredValue | CompileError) -> SugaredValue | None:
        """A method that may be compiled for its calls, too."""
        from bridge.importers.script.templates import OpenMethod

        template = self.module.template(name)
        if template is None:
            return None if isinstance(declared, CompileError) else declared
        if isinstance(declared, CompileError):
            try:
                template()
            except CompileError:  # no script at all
                return None
        return OpenMethod(self, declared, template)

    def _container_attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue | None:
        if self.module.container in ("dict", "parameter dict") and name in ("items", "keys", "values"):
            return self._dict_method(range, m, name)
        if name in ("named_modules", "modules", "children", "named_children", "named_buffers", "named_parameters"):
            if name == "named_parameters" and self.module.container != "parameter dict":
                return None
            return self._dict_method(range, m, name)
        return None

    def _dict_method(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        if name in ("named_modules", "modules"):
            keys: list[SugaredValue] = []
            values: list[SugaredValue] = []
            self._nested(range, m, keys, values, "", name)
            pair = SugaredTuple(keys), SugaredTuple(values)
        elif name == "named_buffers":
            pair = self._tensors(range, m, buffers=True)
        elif self.module.container == "parameter dict":
            pair = self._tensors(range, m)
        else:
            pair = self._entries(m)
        if name == "keys":
            return ModuleDictMethod(pair[0], name)
        if name in ("values", "children", "modules"):
            return ModuleDictMethod(pair[1], name)
        tree = IterableTree()
        tree.add(range, m, pair[0])
        tree.add(range, m, pair[1])
        return ModuleDictMethod(tree, name)

    def _entries(self, m: EmitterCore) -> tuple[SugaredTuple, SugaredTuple]:
        """Names and modules of the direct submodules."""
        keys: list[SugaredValue] = []
        values: list[SugaredValue] = []
        for name in self._entry_names():
            keys.append(SimpleValue(insert_constant(m.graph, name)))
            values.append(self._submodule(m, name))
        return SugaredTuple(keys), SugaredTuple(values)

    def _submodule(self, m: EmitterCore, name: str) -> ModuleValue:
        value = m.get_attr(self.value, name)
        return ModuleValue(value, self.module.submodule(name) or class_module(value.type))  # type: ignore[arg-type]

    def _entry(self, m: EmitterCore, at: int) -> SugaredValue:
        """One of the direct submodules, with the number and name that its value has where all are read, as in torch."""
        names = self._entry_names()
        m.unread(names[:at])
        insert_constant(m.graph, names[at])
        found = self._submodule(m, names[at])
        m.unread(names[at + 1 :])
        return found

    def _entry_names(self) -> list[str]:
        assert isinstance(self.module.type, ClassType)
        return [name for name, a in self.module.type.attributes.items() if getattr(a.type, "is_module", False)]

    def _tensors(self, range: SourceRange, m: EmitterCore, buffers: bool = False) -> tuple[SugaredTuple, SugaredTuple]:
        """Names and values of the parameters or buffers."""
        assert isinstance(self.module.type, ClassType)
        keys: list[SugaredValue] = []
        values: list[SugaredValue] = []
        for name, a in self.module.type.attributes.items():
            if a.is_buffer if buffers else a.is_parameter:
                keys.append(SimpleValue(insert_constant(m.graph, name)))
                m.get_attr(self.value, name)  # emitted twice in torch; the first is dead but takes a number
                found = self.find(range, m, name)
                assert found is not None
                values.append(found)
        return SugaredTuple(keys), SugaredTuple(values)

    def _nested(
        self,
        range: SourceRange,
        m: EmitterCore,
        keys: list[SugaredValue],
        values: list[SugaredValue],
        prefix: str,
        name: str,
    ) -> None:
        keys.append(SimpleValue(insert_constant(m.graph, prefix)))
        values.append(self)
        if isinstance(self.module.type, InterfaceType):
            raise CompileError(f"Could not compile {name}() because module is an interface type", range)
        names, modules = self._entries(m)
        for key, module in zip(names.items, modules.items, strict=True):
            text = matching.constant_of(key.as_value(range, m))[1]
            assert isinstance(module, ModuleValue)
            module._nested(range, m, keys, values, f"{prefix}.{text}" if prefix else text, name)

    # -- uses --------------------------------------------------------------------------------------------------

    def iter(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        container = self.module.container
        if container == "dict":
            return self._entries(m)[0]
        if container == "list":
            return self._entries(m)[1]
        if container == "parameter list":
            return self._tensors(range, m)[1]
        if container == "parameter dict":
            return self._tensors(range, m)[0]
        raise CompileError(
            "Only constant Sequential, ModuleList, ModuleDict, or ParameterList can be used as an iterable", range
        )

    def getitem(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type | None = None) -> SugaredValue:
        from bridge.importers.script.choices import by_key

        container = self.module.container
        known, key = matching.constant_of(index)
        if container == "list":
            if hint is not None:
                return self._indexed(range, m, index, hint)
            count = len(self._entry_names())
            if known and isinstance(key, int) and -count <= key < count:
                return self._entry(m, key % count)
            return self._entries(m)[1].getitem(range, m, index, hint)
        if container == "parameter list":
            return self._tensors(range, m)[1].getitem(range, m, index, hint)
        if container not in ("dict", "parameter dict"):
            raise CompileError(
                "Only ModuleList, Sequential, ModuleDict, ParameterList, and ParameterDict modules are subscriptable",
                range,
            )
        if known and container == "dict" and key in self._entry_names():
            return self._entry(m, self._entry_names().index(key))
        if known:
            names, values = self._entries(m) if container == "dict" else self._tensors(range, m)
            for n, v in zip(names.items, values.items, strict=True):
                if matching.constant_of(n.as_value(range, m))[1] == key:
                    return v
            raise CompileError(f"Key Error, {key}", range)
        if hint is not None:
            return self._indexed(range, m, index, hint)
        if index.type is T.STR:
            names, values = self._entries(m) if container == "dict" else self._tensors(range, m)
            keys = [matching.constant_of(n.as_value(range, m))[1] for n in names.items]
            return by_key(dict(zip(keys, values.items, strict=True)), index, range, m)
        raise CompileError(
            "Unable to extract string literal index. ModuleDict indexing is only supported with string literals. "
            "Enumeration of ModuleDict is supported, e.g. 'for k, v in self.items(): ...'",
            range,
        )

    def _indexed(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type) -> SugaredValue:
        assert isinstance(self.module.type, ClassType)
        for name, a in self.module.type.attributes.items():
            if getattr(a.type, "is_module", False) and not a.type.is_subtype_of(hint):
                why = (
                    hint.why_not(a.type) if isinstance(hint, InterfaceType) and isinstance(a.type, ClassType) else None
                )
                text = f"Attribute {name} is not of annotated type {hint.annotation()}"
                raise CompileError(text if why is None else f"{text}: {why.rstrip()}", range)
        node = m.node("prim::ModuleContainerIndex", [self.value, index], 1, None)
        node.output.type = hint
        return SimpleValue(node.output)

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        t = self.module.type
        pre_hooks = t.pre_hooks if isinstance(t, ClassType) else []
        hooks = t.hooks if isinstance(t, ClassType) else []
        forward_input: Value | None = None
        if pre_hooks or hooks:
            forward_input = matching.make_tuple(m.graph, [a.get(m.graph) for a in args])
        if pre_hooks:
            assert forward_input is not None
            for hook in pre_hooks:
                given = [Named(self.value), Named(forward_input)]
                result = FunctionValue(hook).call(range, m, given, keywords, binders).as_value(range, m)
                if result.type is not T.NONE:
                    if not isinstance(result.type, T.TupleType):
                        result = matching.make_tuple(m.graph, [result])
                    forward_input = result
            assert isinstance(forward_input.type, T.TupleType)
            unpack = m.node("prim::TupleUnpack", [forward_input], len(forward_input.type.elements), None)
            for o, element in zip(unpack.outputs, forward_input.type.elements, strict=True):
                o.type = element
            if args:
                args = [Named(o) for o in unpack.outputs]
        output = self.attr(range, m, "forward").call(range, m, args, keywords, binders).as_value(range, m)
        for hook in hooks:
            assert forward_input is not None
            given = [Named(self.value), Named(forward_input), Named(output)]
            result = FunctionValue(hook).call(range, m, given, keywords, binders).as_value(range, m)
            if result.type is not T.NONE:
                output = result
        return SimpleValue(output)


class ClassSuperValue(SugaredValue):
    """``super()`` in a method of a script class; ``find`` compiles the method that comes after the class it is written in."""

    __slots__ = ("find", "this")
    kind = "super()"

    def __init__(self, this: Value, find: Callable[[str], str | None]) -> None:
        self.this, self.find = this, find

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        found = self.find(name)
        if found is None:
            raise CompileError(f"super() finds no method {name} that can be compiled", range)
        return MethodValue(self.this, [found]) if found else _Nothing()


class _Nothing(SugaredValue):
    """``object.__init__``"""

    __slots__ = ()

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        return SimpleValue(insert_constant(m.graph, None, range))


class SuperValue(SugaredValue):
    """``super()`` in a method of a module; ``after`` is the class that the method is written in."""

    __slots__ = ("after", "this")
    kind = "super()"

    def __init__(self, this: ModuleValue, after: type | None) -> None:
        self.this, self.after = this, after

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        found = self.this.module.inherited_method(name, self.after)
        if found is None:
            raise CompileError(f"super() finds no method {name} that can be compiled", range)
        return MethodValue(self.this.value, [found])
