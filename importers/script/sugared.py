"""What a name in a program can stand for while it is compiled: values, functions, types, namespaces, iterables.

A *sugared value* knows what using it means (calling it, taking an attribute, iterating…) and emits the nodes for that.
The classes mirror TorchScript's (``sugared_value.h``); modules are in :mod:`bridge.importers.script.modules`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from bridge.importers.script import matching
from bridge.importers.script.annotations import UNANNOTATED
from bridge.importers.script.errors import CompileError
from bridge.importers.script.matching import Named, insert_constant
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, FunctionType
from bridge.ir.graph import Value
from bridge.ir.schema import REQUIRED, Argument, Schema
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore

__all__ = [
    "BuiltinFunction", "BuiltinModule", "CastValue", "ClassValue", "ClosureValue", "ConstantTable", "ConstantValue",
    "EnvironmentResolver", "FunctionValue", "LegacyTensorConstructor",
    "MagicMethod", "MethodValue", "NamedTupleConstructor", "OpsValue", "PrintValue", "Resolver",
    "SpecialForm", "SugaredTuple", "SugaredValue", "TensorCast", "register_namespace",
    "source_environment",
]  # fmt: skip


class Resolver(Protocol):
    """Gives meaning to the names that a program does not define itself."""

    def resolve_value(self, name: str, m: EmitterCore, range: SourceRange) -> SugaredValue | None:
        """What a name stands for; None when it is unknown."""

    def resolve_type(self, name: str, range: SourceRange) -> T.Type | None:
        """The type of a (dotted) name in an annotation; None when it is unknown."""

    def resolve_import(
        self, module: str, member: str | None, m: EmitterCore, range: SourceRange
    ) -> SugaredValue | None:
        """What an import inside a function gives; None when it cannot be in a program."""


class SugaredValue:
    """Base: everything is refused."""

    __slots__ = ()

    kind = "value"
    #: Whether it is no value but may be passed to functions (then they are compiled for it).
    is_function = False
    #: Whether it is the same wherever its name stands: then the name is looked up once for a definition.
    is_fixed = False

    def as_value(self, range: SourceRange, m: EmitterCore) -> Value:
        """Use it as a first-class value."""
        raise CompileError(f"{self.kind} cannot be used as a value", range)

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        """``this.name``"""
        raise CompileError(f"attribute lookup is not defined on {self.kind}", range)

    def has_attr(self, range: SourceRange, m: EmitterCore, name: str) -> bool:
        raise CompileError(f"attribute lookup is not defined on {self.kind}", range)

    def set_attr(self, range: SourceRange, m: EmitterCore, name: str, value: Value) -> None:
        """``this.name = value``"""
        raise CompileError(f"attribute assignment is not defined on {self.kind}", range)

    def as_tuple(self, range: SourceRange, m: EmitterCore, size: int | None = None) -> Sequence[SugaredValue]:
        """Its elements, to unpack."""
        raise CompileError(f"{self.kind} cannot be used as a tuple", range)

    def as_tuple_value(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        raise CompileError(f"{self.kind} cannot be used as a tuplevalue", range)

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        """Call it. ``binders`` is the number of names that the result is assigned to."""
        raise CompileError(f"cannot call a {self.kind}", range)

    def iter(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        """What a loop over it iterates."""
        raise CompileError(f"{self.kind} cannot be used as an iterable", range)

    def static_len(self) -> int | None:
        """The number of elements when it is known now: then loops over it are unrolled."""
        return None

    def len(self, range: SourceRange, m: EmitterCore) -> Value:
        raise CompileError(f"'{self.kind}' object is not iterable", range)

    def getitem(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type | None = None) -> SugaredValue:
        raise CompileError(f"'{self.kind}' object is not subscriptable", range)


#: The last two TorchScript does not know, though every tensor has them.
_CASTS = {
    "byte": 0, "char": 1, "double": 7, "float": 6, "cfloat": 9, "cdouble": 10, "int": 3, "long": 4, "short": 2,
    "half": 5, "bool": 11, "bfloat16": 15,
}  # fmt: skip
_TENSOR_PROPERTIES = {
    **dict.fromkeys(
        "dtype device grad data shape is_cuda is_cpu is_xla is_xpu is_sparse is_sparse_csr is_mkldnn is_quantized "
        "is_vulkan is_ipu is_hpu is_mps is_mtia is_maia is_meta is_nested requires_grad layout T H ndim name "
        "itemsize nbytes".split(),
        "prim",
    ),
    **dict.fromkeys("is_leaf mT mH real imag".split(), "aten"),
}
_DEVICE_PROPERTIES = {"type": "prim", "index": "prim"}


class ConstantValue(SugaredValue):
    """A Python constant, made a node when it is used (``inf``, ``nan``…)."""

    __slots__ = ("constant",)
    kind = "constant"

    def __init__(self, constant: Any) -> None:
        self.constant = constant

    def as_value(self, range: SourceRange, m: EmitterCore) -> Value:
        return insert_constant(m.graph, self.constant, range)


class NoneResult(SugaredValue):
    """The result of print."""

    __slots__ = ()
    kind = "None"


class PrintValue(SugaredValue):
    """``print``"""

    __slots__ = ()
    kind = "print"

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        values = [a.get(m.graph) for a in args]
        for k in keywords:
            known, text = matching.constant_of(k.get(m.graph))
            if k.name not in ("sep", "end") or not known or not isinstance(text, str | None):
                raise CompileError(
                    "print doesn't accept any keyword arguments but sep and end, as constant text", range
                )
            if k.name == "end" and text not in ("\n", None):
                raise CompileError(
                    "what a program prints ends with its line: join the parts and print them once", range
                )
            if k.name == "sep" and text not in (" ", None) and len(values) > 1:
                values = [m.joined_text(values, text, range)]
        m.node("prim::Print", values, 0, range)
        return NoneResult()


class BuiltinFunction(SugaredValue):
    """An operator, bound to ``self`` when it was reached as a method."""

    __slots__ = ("name", "self_value")
    kind = "builtin"
    is_function = True

    def __init__(self, name: str, self_value: Named | None = None) -> None:
        self.name, self.self_value = name, self_value

    def bound_to(self, self_value: Named) -> BuiltinFunction:
        """The same operator as a method of another value."""
        return BuiltinFunction(self.name, self_value)

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        from bridge.importers.script.empties import starts_empty
        from bridge.importers.script.values import SimpleValue

        name = self.name
        if name == "aten::nonzero":
            name, keywords = _nonzero(m, keywords)
        try:
            return SimpleValue(matching.builtin_call(m.graph, range, name, args, keywords, self.self_value))
        except CompileError as e:
            this = [self.self_value] if self.self_value is not None else []
            raise starts_empty(e, name, [*this, *args], m) from None


def _nonzero(m: EmitterCore, keywords: Sequence[Named]) -> tuple[str, Sequence[Named]]:
    """The operator that ``nonzero`` is with its ``as_tuple``, which only Python's function has, and the other arguments."""
    for k in keywords:
        if k.name == "as_tuple":
            known, flag = matching.constant_of(k.get(m.graph))
            if known and isinstance(flag, bool):
                rest = [other for other in keywords if other is not k]
                return "aten::nonzero_numpy" if flag else "aten::nonzero", rest
    return "aten::nonzero", keywords


class CastValue(BuiltinFunction):
    """``int``, ``float``…: a call that keeps a value which has the type already."""

    __slots__ = ("type",)

    def __init__(self, type: T.Type, name: str) -> None:
        super().__init__(name)
        self.type = type

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        from bridge.importers.script.values import SimpleValue

        if len(args) == 1 and not keywords:
            zero = insert_constant(m.graph, 0)
            v = args[0].get(m.graph)
            if v.type.is_subtype_of(self.type):
                return SimpleValue(v)
            if isinstance(v.type, T.EnumType) and v.type.value is self.type and self.type is not T.STR:
                return SimpleValue(v).attr(range, m, "value")
            if self.type is T.BOOL and (v.type is T.STR or isinstance(v.type, T.ListType | T.DictType)):
                length = matching.insert(m.graph, "aten::len", [v], range=range)
                return SimpleValue(matching.insert(m.graph, "aten::gt", [length, zero], range=range))
        return super().call(range, m, args, keywords, binders)


class TensorCast(SugaredValue):
    """``x.float()``: ``aten::to`` with that element type."""

    __slots__ = ("code", "self_value")
    kind = "tensor cast"

    def __init__(self, code: int, self_value: Named) -> None:
        self.code, self.self_value = code, self_value

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        from bridge.importers.script.values import SimpleValue

        if args or keywords:
            raise CompileError("casts of a tensor take no arguments", range)
        dtype = Named(insert_constant(m.graph, self.code, range), "dtype")
        this = Named(self.self_value.value, "self")
        return SimpleValue(matching.builtin_call(m.graph, range, "aten::to", args, [this, dtype]))


class MagicMethod(SugaredValue):
    """A function that a class may define for itself (``len`` → ``__len__``); otherwise ``base``."""

    __slots__ = ("base", "name")
    is_function = True

    def __init__(self, name: str, base: SugaredValue) -> None:
        self.name, self.base = name, base

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        from bridge.importers.script.values import SimpleValue

        if args:
            if self.name == "__len__" and not args[0].is_value:
                return SimpleValue(args[0].sugared.len(range, m))
            first = args[0].get(m.graph)
            if self.name == "__len__" and isinstance(first.type, T.TupleType) and m.template is not None:
                return SimpleValue(insert_constant(m.graph, len(first.type.elements), range))
            if isinstance(first.type, ClassType):
                method = SimpleValue(first).attr(range, m, self.name)
                return method.call(range, m, args[1:], keywords, binders)
            args = [Named(first, args[0].name, args[0].range), *args[1:]]
        return self.base.call(range, m, args, keywords, binders)


class SpecialForm(SugaredValue):
    """A call with evaluation rules of its own: ``range``, ``isinstance``, ``annotate``… See emitter forms."""

    __slots__ = ("form",)
    kind = "special form"
    is_function = True

    def __init__(self, form: str) -> None:
        self.form = form


class LegacyTensorConstructor(SpecialForm):
    """``torch.LongTensor(…)`` and its siblings."""

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        super().__init__("LegacyTypedConstructor")
        self.code = code


class SugaredTuple(SugaredValue):
    """Several sugared values; loops over it are unrolled."""

    __slots__ = ("items",)
    kind = "Tuple"

    @property
    def is_function(self) -> bool:  # type: ignore[override]
        """Whether something in it is."""
        return any(i.is_function for i in self.items)

    def len(self, range: SourceRange, m: EmitterCore) -> Value:
        return insert_constant(m.graph, len(self.items), range)

    def __init__(self, items: Sequence[SugaredValue]) -> None:
        self.items = list(items)

    def as_tuple(self, range: SourceRange, m: EmitterCore, size: int | None = None) -> Sequence[SugaredValue]:
        return self.items

    def as_value(self, range: SourceRange, m: EmitterCore) -> Value:
        return matching.make_tuple(m.graph, [i.as_value(range, m) for i in self.items])

    def getitem(self, range: SourceRange, m: EmitterCore, index: Value, hint: T.Type | None = None) -> SugaredValue:
        from bridge.importers.script.choices import by_index

        known, i = matching.constant_of(index)
        if not known and index.type is T.INT and self.items:
            return by_index(self.items, index, range, m)
        if not known or not isinstance(i, int):
            raise CompileError(
                "Expected integer literal for index but got a variable or non-integer. ModuleList/Sequential indexing is only "
                "supported with integer literals. For example, 'i = 4; self.layers[i](x)' will fail because i is not a "
                "literal. Enumeration is supported, e.g. 'for index, v in enumerate(self): out = v(inp)'",
                range,
            )
        at = i + len(self.items) if i < 0 else i
        if not 0 <= at < len(self.items):
            raise CompileError(f"Index {i} out of range of length {len(self.items)}", range)
        return self.items[at]

    def iter(self, range: SourceRange, m: EmitterCore) -> SugaredValue:
        return self

    def static_len(self) -> int | None:
        return len(self.items)


class BuiltinModule(SugaredValue):
    """A namespace of operators: ``torch`` in printed programs."""

    __slots__ = ("namespace",)
    kind = "builtin module"

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        if name == "autograd":
            return self
        return BuiltinFunction(f"{self.namespace}::{name}")


_namespaces: dict[str, SugaredValue] = {}


def register_namespace(name: str, value: SugaredValue) -> None:
    """Make ``ops.<name>`` of printed programs this value (e.g. ``ops.onnx``)."""
    _namespaces[name] = value


class OpsValue(SugaredValue):
    """``ops`` of printed programs: ``ops.prim.NumToTensor``, ``ops.onnx.Conv``."""

    __slots__ = ()
    kind = "ops"

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        return _namespaces.get(name) or BuiltinModule(name)


class ConstantTable(SugaredValue):
    """``CONSTANTS`` of printed programs: ``CONSTANTS.c0`` is the first of the tensors."""

    __slots__ = ("constants",)
    kind = "CONSTANTS"

    def __init__(self, constants: Sequence[Any]) -> None:
        self.constants = constants

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        digits = name[1:]
        if not name.startswith("c") or not digits.isdigit() or int(digits) >= len(self.constants):
            raise CompileError(f"there is no constant '{name}' ({len(self.constants)} constants)", range)
        return ConstantValue(self.constants[int(digits)])


class ClassValue(SugaredValue):
    """A script class as a value: calling it makes an object."""

    __slots__ = ("type",)
    is_function = True

    def __init__(self, type: ClassType) -> None:
        self.type = type

    @property
    def kind(self) -> str:  # type: ignore[override]
        return str(self.type)

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        from bridge.importers.script.values import SimpleValue

        this = m.node("prim::CreateObject", (), 1, range).output
        this.type = self.type
        python = self.type.python_class
        if self.type.find_method("__init__") is None and python is not None and python.__init__ is object.__init__:
            if args or keywords:
                raise CompileError(f"{self.type.name.rpartition('.')[2]}() takes no arguments", range)
            return SimpleValue(this)
        if self.type.find_method("__init__") is None:
            raise CompileError(f"Class {self.type.name} does not have an __init__ function defined", range)
        MethodValue(this, ["__init__"]).call(range, m, args, keywords, binders)
        return SimpleValue(this)

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        for hook in (*self.type.hooks, *self.type.pre_hooks):
            if hook.name == name:
                return FunctionValue(hook)
        if name != "__new__":
            raise CompileError(f"Tried to lookup unknown attribute on class {self.type.annotation()}", range)
        return SpecialForm("CreateObject")


class NamedTupleConstructor(SugaredValue):
    """A NamedTuple class: calling it makes a tuple."""

    __slots__ = ("type",)

    def __init__(self, type: T.TupleType) -> None:
        self.type = type

    @property
    def kind(self) -> str:  # type: ignore[override]
        return str(self.type)

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        from bridge.importers.script.values import SimpleValue

        t = self.type
        defaults = [REQUIRED] * (len(t.fields) - len(t.defaults)) + list(t.defaults)
        arguments = [Argument(n, e, d) for n, e, d in zip(t.fields, t.elements, defaults, strict=True)]
        for a in arguments:
            a.inferred = a.type is UNANNOTATED
        name = (t.name or "").rpartition(".")[2]
        match = matching.match_schema(Schema(name, "", arguments, ()), range, m.graph, args, keywords)
        value = matching.make_tuple(m.graph, match.inputs, t)
        value.node.range = range
        return SimpleValue(value)


class FunctionValue(SugaredValue):
    """A compiled function, or several overloads of one."""

    __slots__ = ("functions",)
    kind = "function"
    is_function = True

    def __init__(self, functions: Function | Sequence[Function]) -> None:
        self.functions = [functions] if isinstance(functions, Function) else list(functions)

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        from bridge.importers.script.values import SimpleValue

        for f in self.functions:
            _check_defined(f, range, "function")
        index, match = matching.match_schemas([f.schema for f in self.functions], range, m.graph, args, keywords)
        f = self.functions[index]
        if f.qualified_name in _RENORMALISING:
            _tell_of_max_norm(f, match.inputs, range)
        constant = m.node("prim::Constant", (), 1, None, name=f.name).output
        constant.type = FunctionType(f)
        result = m.node("prim::CallFunction", [constant, *match.inputs], 1, range).output
        result.type = match.returns[0]
        return SimpleValue(result)


#: Library functions whose ``max_norm`` TorchScript loses: what would change the weight counts as unused there.
_RENORMALISING = frozenset(f"__torch__.torch.nn.functional.{name}" for name in ("embedding", "embedding_bag"))


def _tell_of_max_norm(f: Function, inputs: Sequence[Value], range: SourceRange) -> None:
    for argument, value in zip(f.schema.arguments, inputs, strict=True):
        if argument.name == "max_norm" and value.type is T.FLOAT:
            warnings.warn(
                f"max_norm of {f.name} has no effect in scripted programs, as in TorchScript: rows stay as they are. Trace the "
                f"module, or renormalise the weight before.\n{range.highlight()}",
                stacklevel=2,
            )


def _check_defined(f: Function, range: SourceRange, what: str) -> None:
    from bridge.importers.script.compile import is_compiling

    if is_compiling(f):
        raise CompileError(
            f"{what} '{f.name}' is called recursively. Recursive calls are not supported: write a loop", range
        )
    f.ensure_defined()


class MethodValue(SugaredValue):
    """A method (or overloads of one) of an object."""

    __slots__ = ("names", "this")
    kind = "method"
    is_function = True

    def __init__(self, this: Value, names: Sequence[str]) -> None:
        self.this, self.names = this, list(names)

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        from bridge.importers.script.values import SimpleValue

        with_self = [Named(self.this), *args]
        schemas = []
        for name in self.names:
            if isinstance(self.this.type, ClassType):
                f = self.this.type.methods[name]
                _check_defined(f, range, "method")
                schemas.append(f.schema)
            else:
                schemas.append(self.this.type.methods[name])  # type: ignore[attr-defined]
        index, match = matching.match_schemas(schemas, range, m.graph, with_self, keywords)
        result = m.node("prim::CallMethod", match.inputs, 1, range, name=self.names[index]).output
        result.type = match.returns[0]
        return SimpleValue(result)


class ClosureValue(SugaredValue):
    """The body of a fork, before it is lifted into a graph of its own."""

    __slots__ = ("value",)
    kind = "closure"

    def __init__(self, value: Value) -> None:
        self.value = value

    def as_value(self, range: SourceRange, m: EmitterCore) -> Value:
        return self.value


class EnvironmentResolver:
    """A :class:`Resolver` over tables."""

    __slots__ = ("types", "values")

    def __init__(
        self, values: Mapping[str, SugaredValue] | None = None, types: Mapping[str, T.Type] | None = None
    ) -> None:
        self.values, self.types = values or {}, types or {}

    def resolve_value(self, name: str, m: EmitterCore, range: SourceRange) -> SugaredValue | None:
        return self.values.get(name)

    def resolve_type(self, name: str, range: SourceRange) -> T.Type | None:
        return self.types.get(name)

    def resolve_import(
        self, module: str, member: str | None, m: EmitterCore, range: SourceRange
    ) -> SugaredValue | None:
        return None


def source_environment(constants: Sequence[Any] = ()) -> dict[str, SugaredValue]:
    """The names of printed programs (archives): ``torch``, ``ops``, ``CONSTANTS``, ``annotate``, ``inf``…"""
    return {
        "torch": BuiltinModule("aten"),
        "ops": OpsValue(),
        "CONSTANTS": ConstantTable(constants),
        "fork": SpecialForm("fork"),
        "awaitable": SpecialForm("awaitable"),
        "annotate": SpecialForm("annotate"),
        "unchecked_cast": SpecialForm("unchecked_cast"),
        "uninitialized": SpecialForm("Uninitialized"),
        "inf": ConstantValue(float("inf")),
        "nan": ConstantValue(float("nan")),
        "infj": ConstantValue(complex(0, float("inf"))),
        "nanj": ConstantValue(complex(0, float("nan"))),
    }
