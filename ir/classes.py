"""Classes, interfaces, functions and script objects: the named things that graphs refer to.

A :class:`ClassType` is nominal: attributes in order (each a parameter, buffer or plain attribute), methods by name.
A :class:`ScriptObject` is an instance: a class and the values of its attributes. Modules are objects of a class with
``is_module``. A :class:`CompilationUnit` owns named things and hands out unique (mangled) names as torch does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from bridge.ir.errors import IRError
from bridge.ir.types import Type

if TYPE_CHECKING:
    from bridge.ir.foreign import Interface
    from bridge.ir.graph import Graph
    from bridge.ir.schema import Schema
    from bridge.ir.source import SourceRange

__all__ = [
    "Attribute",
    "Capture",
    "ClassType",
    "CompilationUnit",
    "Function",
    "FunctionType",
    "InterfaceType",
    "PendingObject",
    "ScriptObject",
    "mangle",
]


class Attribute:
    """One attribute of a class: its type and whether it is a parameter or a buffer."""

    __slots__ = ("is_buffer", "is_parameter", "name", "type")

    def __init__(self, name: str, type: Type, is_parameter: bool = False, is_buffer: bool = False) -> None:
        self.name, self.type, self.is_parameter, self.is_buffer = name, type, is_parameter, is_buffer


class Capture(NamedTuple):
    """A value of the module, or of an enclosing function, that a program holds as a constant: its name, what it was, where."""

    name: str
    value: str
    range: SourceRange


class Function:
    """A named graph: a free function or a method (then the first input is ``self``).

    ``define`` is called once, on the first use of ``graph``, which lets mutually dependent things be declared first.
    ``schema`` gives argument names, types and defaults; ``runtime`` is what whatever runs the function keeps for it;
    ``captures`` are the values from outside that it holds as constants; ``interface`` is that of the model it was loaded from.
    """

    __slots__ = ("_define", "_graph", "_schema", "captures", "interface", "name", "qualified_name", "runtime")

    def __init__(
        self,
        qualified_name: str,
        graph: Graph | None = None,
        schema: Schema | None = None,
        define: Callable[[Function], None] | None = None,
    ) -> None:
        self.qualified_name = qualified_name
        self.name = qualified_name.rpartition(".")[2]
        self._graph, self._schema, self._define = graph, schema, define
        self.runtime: Any = None
        self.captures: list[Capture] = []
        self.interface: Interface | None = None

    def ensure_defined(self) -> None:
        """Compile now if that has not happened. Raises what the compiler raises."""
        if self._define is not None:
            define, self._define = self._define, None
            try:
                define(self)
            except BaseException:
                self._define = define
                raise

    @property
    def graph(self) -> Graph:
        self.ensure_defined()
        if self._graph is None:
            raise IRError(f"function '{self.qualified_name}' has no graph")
        return self._graph

    @graph.setter
    def graph(self, graph: Graph) -> None:
        self._graph = graph

    @property
    def schema(self) -> Schema:
        if self._schema is None:
            self.ensure_defined()
        if self._schema is None:
            raise IRError(f"function '{self.qualified_name}' has no schema")
        return self._schema

    @schema.setter
    def schema(self, schema: Schema) -> None:
        self._schema = schema

    def __repr__(self) -> str:
        return f"<Function {self.qualified_name}>"


class FunctionType(Type):
    """The type of the constant that stands for a function in ``prim::CallFunction`` (one per function)."""

    __slots__ = ("function",)

    def __init__(self, function: Function) -> None:
        self.function = function

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionType) and self.function is other.function

    def __hash__(self) -> int:
        return hash(("FunctionType", id(self.function)))

    def __str__(self) -> str:
        return "Function"

    __repr__ = __str__

    def annotation(self) -> str:
        return self.function.qualified_name


class ClassType(Type):
    """A class or module type. Compared by identity; ``name`` is qualified (``__torch__.MyCell``).

    ``described`` is what the package that runs programs knows of the class, as long as the class lives.
    """

    __slots__ = (
        "attributes",
        "constants",
        "described",
        "doc",
        "hooks",
        "is_module",
        "methods",
        "name",
        "pre_hooks",
        "properties",
        "python_class",
    )

    def __init__(self, name: str, is_module: bool = False, python_class: Any = None) -> None:
        self.name, self.is_module, self.python_class = name, is_module, python_class
        self.attributes: dict[str, Attribute] = {}
        self.constants: dict[str, Any] = {}
        self.methods: dict[str, Function] = {}
        self.properties: dict[str, tuple[Function, Function | None]] = {}
        self.hooks: list[Function] = []
        self.pre_hooks: list[Function] = []
        self.doc: str | None = None
        self.described: Any = None

    def add_attribute(self, name: str, type: Type, is_parameter: bool = False, is_buffer: bool = False) -> Attribute:
        """Declare an attribute. Raises IRError when the name is taken."""
        if name in self.attributes or name in self.constants or name in self.methods:
            raise IRError(f"attribute or method '{name}' already exists in {self.name}")
        a = self.attributes[name] = Attribute(name, type, is_parameter, is_buffer)
        return a

    def add_method(self, function: Function) -> Function:
        """Add a method. Raises IRError when the name is taken."""
        if function.name in self.methods or function.name in self.attributes:
            raise IRError(f"attribute or method '{function.name}' already exists in {self.name}")
        self.methods[function.name] = function
        return function

    def find_method(self, name: str) -> Function | None:
        return self.methods.get(name)

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__

    def _subtype(self, other: Type) -> bool:
        return isinstance(other, InterfaceType) and other.covers(self)


class InterfaceType(Type):
    """An interface: method schemas that a class must have. ``is_module`` for module interfaces."""

    __slots__ = ("is_module", "methods", "name", "python_class")

    def __init__(self, name: str, is_module: bool = False, python_class: Any = None) -> None:
        self.name, self.is_module, self.python_class = name, is_module, python_class
        self.methods: dict[str, Schema] = {}

    def covers(self, t: ClassType) -> bool:
        """Whether the class has every method with a compatible schema."""
        return self.why_not(t) is None

    def why_not(self, t: ClassType | InterfaceType) -> str | None:
        """What a class (or another interface) lacks to be this interface, in torch's words; None when it is one."""
        interface = isinstance(t, InterfaceType)
        what, other = ("Interface", "interface ") if interface else ("Class", "")
        if self.is_module and not t.is_module:
            return (
                f"{what} '{t.name}' is not a subtype of the module interface '{self.name}' , only ScriptModule class can be "
                "subtype of module interface.\n"
            )
        for name, want in self.methods.items():
            found = t.methods.get(name)
            have = found.schema if isinstance(found, Function) else found
            if have is None:
                return f"{what} '{t.name}' does not have method '{name}' but {other}'{self.name}' does.\n"
            if not have.is_subtype_of(want, as_method=True):
                return (
                    f"Method on {what.lower()} '{t.name}' (1) is not compatible with interface '{self.name}' (2)\n"
                    f"  (1) {have}\n  (2) {want}\n"
                )
        return None

    def _subtype(self, other: Type) -> bool:
        return isinstance(other, InterfaceType) and other.why_not(self) is None

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


class ScriptObject:
    """An instance of a class: attribute values by name, in the class's order.

    Tensors are whatever the caller puts in, as long as ``numpy.asarray`` takes them; submodules are ScriptObjects.
    ``runtime`` is whatever runs the object's methods keeps for it (sessions); it is not part of the object.
    """

    __slots__ = ("__weakref__", "attributes", "runtime", "type")

    def __init__(self, type: ClassType, attributes: dict[str, Any] | None = None) -> None:
        self.type = type
        self.attributes: dict[str, Any] = attributes if attributes is not None else {}
        self.runtime: dict[Function, Any] = {}

    # -- as ``module._c`` of torch ----------------------------------------------------------------------------------

    #: Makes what people call a method by; set by the package that runs programs.
    bound: ClassVar[Callable[[ScriptObject, Function], Any]]

    def hasattr(self, name: str) -> bool:
        """Whether the class declares the attribute."""
        return name in self.type.attributes

    def getattr(self, name: str) -> Any:
        """The value of an attribute. Raises RuntimeError when there is no such attribute."""
        if not self.hasattr(name):
            raise IRError(f"{self.type.name} does not have a field with name '{name}'")
        return self.attributes[name]

    def setattr(self, name: str, value: Any) -> None:
        """Set an attribute that the class declares; the value is not checked. Raises RuntimeError."""
        self.getattr(name)
        self.attributes[name] = value

    def _has_method(self, name: str) -> bool:
        return name in self.type.methods

    def _get_method(self, name: str) -> Any:
        function = self.type.find_method(name)
        if function is None:
            raise IRError(f"Method '{name}' is not defined.")
        return type(self).bound(self, function)

    # -- parts ------------------------------------------------------------------------------------------------------

    def submodules(self) -> Iterator[tuple[str, ScriptObject]]:
        """(name, module) of each direct submodule."""
        for name, a in self.type.attributes.items():
            v = self.attributes.get(name)
            if isinstance(v, ScriptObject) and v.type.is_module and isinstance(a.type, ClassType | InterfaceType):
                yield name, v

    def resolve(self, path: str) -> Any:
        """The value at a dotted path (``"encoder.layers.0.weight"``). Raises KeyError."""
        v: Any = self
        for part in path.split(".") if path else ():
            v = v.attributes[part]
        return v

    def _type(self) -> ClassType:
        """The class; as the next two, what TorchScript's tools ask of ``module._c``."""
        return self.type

    @property
    def qualified_name(self) -> str:
        return self.type.name

    def _method_names(self) -> list[str]:
        return list(self.type.methods)

    def __repr__(self) -> str:
        return f"<ScriptObject {self.type.name}>"


class PendingObject(ScriptObject):
    """A module whose class and values ``make`` gives when somebody first asks for them.

    Its class has no hooks, and nothing of Python stands behind it.
    """

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], ScriptObject]) -> None:
        self.make: Callable[[], ScriptObject] | None = (
            make  # the fields stay unset: asking for one comes to __getattr__
        )

    @property
    def is_pending(self) -> bool:
        """Whether nobody has asked yet."""
        return self.make is not None

    def __getattr__(self, name: str) -> Any:
        if name not in ("type", "attributes", "runtime") or self.make is None:
            raise AttributeError(name)
        made = self.make()
        self.make = None
        self.type, self.attributes, self.runtime = made.type, made.attributes, made.runtime
        return getattr(self, name)


def mangle(name: str, index: int) -> str:
    """The qualified name with torch's ``___torch_mangle_N`` before its last part (replacing an older one)."""
    parts = name.split(".")
    parts = [p for p in parts if not p.startswith("___torch_mangle_")]
    return ".".join([*parts[:-1], f"___torch_mangle_{index}", parts[-1]])


class CompilationUnit:
    """Owner of classes and functions by qualified name; :meth:`unique_name` mangles as torch does."""

    __slots__ = ("_mangle_index", "functions", "types")

    def __init__(self) -> None:
        self.types: dict[str, Type] = {}
        self.functions: dict[str, Function] = {}
        self._mangle_index = 0

    def unique_name(self, name: str) -> str:
        """``name`` if it is free here, else with the next free mangling number."""
        while name in self.types or name in self.functions:
            name = mangle(name, self._mangle_index)
            self._mangle_index += 1
        return name

    def add_type(self, name: str, type: Type) -> None:
        """Register a class, interface, enum or NamedTuple. Raises IRError when the name is taken."""
        if name in self.types:
            raise IRError(f"type '{name}' already defined")
        self.types[name] = type

    def add_function(self, function: Function) -> Function:
        """Register a function. Raises IRError when the name is taken."""
        if function.qualified_name in self.functions:
            raise IRError(f"function '{function.qualified_name}' already defined")
        self.functions[function.qualified_name] = function
        return function

    def get_functions(self) -> list[Function]:
        """All functions."""
        return list(self.functions.values())

    def find_function(self, name: str) -> Function | None:
        """The function of that qualified name; None when there is none."""
        return self.functions.get(name)
