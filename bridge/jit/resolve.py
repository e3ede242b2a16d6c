"""What names in live programs stand for: Python objects → sugared values (``python_sugared_value.cpp``)."""

from __future__ import annotations

import builtins
import dataclasses
import enum
import functools
import importlib
import inspect
import math
import types
import typing
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bridge import _awaits, futures
from bridge.importers.script import (
    BuiltinFunction,
    CompileError,
    ConstantValue,
    EnumClass,
    ExceptionValue,
    FrontendError,
    FunctionValue,
    LegacyTensorConstructor,
    NamedTupleConstructor,
    SimpleValue,
    SliceClass,
    SpecialForm,
    SugaredValue,
    matching,
)
from bridge.importers.script.library import OrBuiltin, functools_member, norm_function
from bridge.importers.script.limits import LimitsOf
from bridge.importers.script.statics import CapturedDict
from bridge.importers.script.sugared import ClassValue, SugaredTuple
from bridge.importers.script.templates import BoundTemplate
from bridge.ir import types as T
from bridge.ir.classes import Capture, ClassType
from bridge.ir.dtypes import default_dtype
from bridge.ir.interpreter_steps import raised_as
from bridge.ir.schemas import schemas_of
from bridge.ir.source import SourceRange
from bridge.ir.value_text import short_text
from bridge.jit import decorators, script_classes
from bridge.jit.annotations import (
    fresh_enum_type,
    named_tuple_classes,
    named_tuple_type,
    try_annotation,
)
from bridge.jit.functions import ScriptFunction
from bridge.jit.live_functions import live_function, template_of
from bridge.jit.names import public_module, python_cu, qualified_name
from bridge.pytorch.names import boolean_dispatch, legacy_constructor, special_form
from bridge.pytorch.programs import is_program, taken_over
from bridge.pytorch.tensors import foreign_code, is_torch_tensor, plain

if TYPE_CHECKING:
    from bridge.importers.script.core import EmitterCore
    from bridge.importers.script.matching import Named
from bridge.jit.bases import is_module_class
from bridge.jit.callbacks import Callback, closure_names, is_module, python_schema
from bridge.jit.operator_names import OPERATOR_MODULES, PYTHON_IN_TORCH, builtin_name

__all__ = ["ClosureResolver", "NamesResolver", "python_to_sugared"]


_MISSING = object()


class NamesResolver:
    """Resolves names in tables of Python objects, then in ``typing`` and ``builtins``."""

    def __init__(self, names: Mapping[str, Any], own: Mapping[str, T.Type] | None = None) -> None:
        self.names, self.own = names, own or {}

    def class_attribute(self, cls: Any, name: str, m: EmitterCore, range: SourceRange) -> SugaredValue | None:
        """What an attribute of a Python class is as a constant; None for one that is none."""
        found = inspect.getattr_static(cls, name, _MISSING)
        if found is _MISSING or isinstance(found, enum.Enum):
            return None if found is _MISSING else python_to_sugared(found, m, range)
        if isinstance(found, staticmethod):
            return python_to_sugared(found.__func__, m, range)
        if inspect.isroutine(found) or isinstance(found, property | types.MemberDescriptorType):
            return None
        return captured(found, m, range)

    def context_manager(self, name: str, range: SourceRange) -> SugaredValue | None:
        """The class that ``with`` makes of a function of the library (``set_grad_enabled``)."""
        from bridge.jit import context_managers

        cls = getattr(context_managers, name)
        t = script_classes.class_type_of(cls, range)
        return PythonClassValue(t, cls) if t is not None else None

    def named_tuple_member(
        self, t: T.TupleType, name: str, this: SugaredValue, m: EmitterCore, range: SourceRange
    ) -> SugaredValue | None:
        """A method, a property or a constant of a NamedTuple class; None when it has no such."""
        cls = named_tuple_classes.get(t.name or "")
        found = next((vars(c)[name] for c in getattr(cls, "__mro__", ()) if c is not tuple and name in vars(c)), None)
        given = matching.Named(this.as_value(range, m), "", range)
        if isinstance(found, property) and found.fget is not None:
            return template_of(found.fget).call(range, m, [given], [])
        if inspect.isfunction(found) and not name.startswith("_"):
            return BoundTemplate(template_of(found), given)
        if isinstance(found, staticmethod):
            return python_to_sugared(found.__func__, m, range)
        return None if found is None else captured(found, m, range)

    def module_class(self, name: str) -> ClassType | None:
        """What ``isinstance(self.layer, name)`` asks for where that is a class of modules: it tells the Python class only."""
        cls = self.find(name)
        if not inspect.isclass(cls) or not is_module_class(cls):
            return None
        return ClassType(qualified_name(cls), True, cls)

    def new_function_name(self, base: str) -> str:
        """A qualified name that no function has yet."""
        return python_cu.unique_name(base)

    def find(self, dotted: str) -> Any:
        """The Python object of a dotted name."""
        first, *rest = dotted.split(".")
        obj = self.names.get(first, _MISSING)
        if obj is _MISSING:
            obj = getattr(typing, first, _MISSING)
        if obj is _MISSING:
            obj = getattr(builtins, first, _MISSING)
        for part in rest:
            if obj is _MISSING:
                break
            obj = getattr(obj, part, _MISSING)
        return obj

    def resolve_value(self, name: str, m: EmitterCore, range: SourceRange) -> SugaredValue | None:
        if name in self.own:
            t = self.own[name]
            if not isinstance(t, ClassType):
                return None
            return PythonClassValue(t, t.python_class) if isinstance(t.python_class, type) else ClassValue(t)
        obj = self.find(name)
        if obj is _MISSING:
            return None
        found = captured(obj, m, range)
        if found is None:
            return python_to_sugared(obj, m, range)
        m.captures.append(Capture(name, _shown(obj), range))
        return found

    def resolve_import(
        self, module: str, member: str | None, m: EmitterCore, range: SourceRange
    ) -> SugaredValue | None:
        try:
            found: Any = importlib.import_module(module)
            if member is not None:
                found = getattr(found, member)
        except (ImportError, AttributeError) as e:
            raise CompileError(str(e), range) from None
        return captured(found, m, range) or python_to_sugared(found, m, range)

    def resolve_type(self, name: str, range: SourceRange) -> T.Type | None:
        if name in self.own:
            return self.own[name]
        obj = self.find(name)
        if obj is _MISSING or obj is None or obj in (list, tuple):
            return None
        try:
            return try_annotation(obj, self.names)
        except RuntimeError as e:
            if isinstance(obj, str):  # a text that names no type is just a text
                return None
            if isinstance(e, CompileError) and e.range is not None:
                raise
            kind = raised_as(ValueError, CompileError) if isinstance(e, ValueError) else CompileError
            raise kind(e.message if isinstance(e, CompileError) else str(e), range) from None


class ClosureResolver(NamesResolver):
    """Resolves the names that a function can see."""

    def __init__(self, fn: Any, own: Mapping[str, T.Type] | None = None) -> None:
        super().__init__(closure_names(fn), own)

    @property
    def defining_class(self) -> type | None:
        """The class in whose body the function is written, where ``super()`` is used in it."""
        return self.names.get("__class__")


# -- objects -----------------------------------------------------------------------------------------------------------


class PythonModuleValue(SugaredValue):
    """A Python module: attributes are looked up now; numbers in it count as constants."""

    __slots__ = ("module",)

    def __init__(self, module: types.ModuleType) -> None:
        self.module = module

    @property
    def kind(self) -> str:  # type: ignore[override]
        return f"python module '{self.module.__name__}'"

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        prefix = OPERATOR_MODULES.get(self.module.__name__)
        member = getattr(self.module, name, _MISSING)
        if prefix is not None and schemas_of(f"aten::{prefix}{name}"):
            callable_member = callable(member) and not isinstance(member, types.ModuleType)
            special = name in PYTHON_IN_TORCH and inspect.isfunction(member) and builtin_name(member) is None
            if member is _MISSING or (callable_member and not special and not inspect.isclass(member)):
                found = BuiltinFunction(f"aten::{prefix}{name}")
                return OrBuiltin(found, norm_function) if found.name == "aten::norm" else found
        if member is _MISSING:
            raise CompileError(f"object has no attribute {name}: module '{public_module(self.module.__name__)}'", range)
        return python_to_sugared(member, m, range, is_constant=True)

    def has_attr(self, range: SourceRange, m: EmitterCore, name: str) -> bool:
        return hasattr(self.module, name)


class PythonValue(SugaredValue):
    """A Python object that has no meaning of its own in a program; functions marked ``ignore`` can be called."""

    __slots__ = ("this", "value")

    def __init__(self, value: Any, this: Any = None) -> None:
        self.value, self.this = value, this

    @property
    def kind(self) -> str:  # type: ignore[override]
        return f"python value of type '{type(self.value).__name__}'"

    def as_value(self, range: SourceRange, m: EmitterCore) -> Any:
        raise CompileError(
            f"{self.kind} cannot be used as a value. Perhaps it is a closed over global variable? If so, please consider "
            "passing it in as an argument or use a local variable instead.",
            range,
        )

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        constant = getattr(m.resolver, "class_attribute", None)
        if inspect.isclass(self.value) and constant is not None:
            found: SugaredValue | None = constant(self.value, name, m, range)
            if found is not None:
                return found
        if inspect.isclass(self.value) and isinstance(inspect.getattr_static(self.value, name, None), staticmethod):
            return python_to_sugared(getattr(self.value, name), m, range)
        return super().attr(range, m, name)

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        if inspect.isclass(self.value) and self.value.__module__ != "builtins":
            raise FrontendError(
                f"Cannot instantiate class '{self.value.__name__}' in a script function: it is marked as left to Python, or is "
                "not a class that can be compiled",
                range,
            )
        if not inspect.isroutine(self.value) and not is_module(self.value):
            raise CompileError(f"cannot call a {self.kind}: it is not a function that can be compiled", range)
        if self.this is not None:
            args = [matching.Named(self.this, "self"), *args]
        schema = python_schema(self.value, len(args), binders, range, self.this)
        match = matching.match_schema(schema, range, m.graph, args, keywords)
        if decorators.should_drop(self.value):
            text = matching.insert_constant(
                m.graph, "This Python function is annotated to be ignored and cannot be run"
            )
            matching.insert(m.graph, "prim::RaiseException", [text], range=range)
            return SimpleValue(m.graph.insert(m.uninitialized(match.returns[0])).output)
        held = Callback(self.value, [v.type for v in match.inputs], match.returns[0])
        n = m.node(
            "prim::PythonOp",
            match.inputs,
            1,
            range,
            name=getattr(self.value, "__name__", type(self.value).__name__),
            callable=held,
        )
        n.output.type = match.returns[0]
        return SimpleValue(n.output)


class PythonClassValue(ClassValue):
    """A live script class: static methods and class attributes are found in Python."""

    __slots__ = ("python",)

    def __init__(self, type: ClassType, python: type) -> None:
        super().__init__(type)
        self.python = python

    def attr(self, range: SourceRange, m: EmitterCore, name: str) -> SugaredValue:
        member = getattr(self.python, name, None)
        if isinstance(inspect.getattr_static(self.python, name, None), classmethod):
            return ClassMethod(self, member.__func__)  # type: ignore[union-attr]
        if member is not None and name != "__new__":
            return captured(member, m, range) or python_to_sugared(member, m, range)
        return super().attr(range, m, name)

    def has_attr(self, range: SourceRange, m: EmitterCore, name: str) -> bool:
        return hasattr(self.python, name)


class Replace(SugaredValue):
    """``dataclasses.replace``: a new object of the same class."""

    __slots__ = ()
    kind = "function"
    is_function = True

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        this = args[0].get(m.graph) if len(args) == 1 else None
        t = this.type if this is not None else None
        cls = t.python_class if isinstance(t, ClassType) else None
        if (
            this is None
            or not isinstance(t, ClassType)
            or not isinstance(cls, type)
            or not dataclasses.is_dataclass(cls)
        ):
            raise CompileError("replace takes an object of a dataclass, and fields by name", range)
        new = {k.name: k for k in keywords}
        for f in dataclasses.fields(cls):
            if f.init and f.name not in new:
                new[f.name] = matching.Named(m.get_attr(this, f.name), f.name, range)
        return PythonClassValue(t, cls).call(range, m, [], list(new.values()), binders)


class ClassMethod(SugaredValue):
    """A class method, reached through its class: compiled for each call, the class being its first argument."""

    __slots__ = ("fn", "owner")
    kind = "class method"
    is_function = True

    def __init__(self, owner: PythonClassValue, fn: Any) -> None:
        self.owner, self.fn = owner, fn

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        this = matching.Named(None, "", range, sugared=self.owner, m=m)
        return template_of(self.fn).call(range, m, [this, *args], keywords)


class BooleanDispatch(SugaredValue):
    """One of two functions, by the constant value of a flag among the arguments (``return_indices=…``)."""

    __slots__ = ("choice",)
    kind = "boolean dispatch"

    def __init__(self, choice: Mapping[str, Any]) -> None:
        self.choice = choice

    def call(
        self, range: SourceRange, m: EmitterCore, args: Sequence[Named], keywords: Sequence[Named], binders: int
    ) -> SugaredValue:
        index, name = self.choice["index"], self.choice["arg_name"]
        flag: Any = self.choice["default"]
        given = args[index] if index < len(args) else next((k for k in keywords if k.name == name), None)
        if given is not None:
            known, flag = matching.constant_of(given.get(m.graph))
            if not known or not isinstance(flag, bool):
                raise CompileError(f"Argument '{name}' for boolean dispatch was not constant", range)
        fn = self.choice["if_true" if flag else "if_false"]
        return python_to_sugared(fn, m, range).call(range, m, args, keywords, binders)


def _constant(obj: Any, m: EmitterCore, range: SourceRange) -> SugaredValue | None:
    """A Python value that may be a constant of the program."""
    obj = obj if is_torch_tensor(obj) else plain(obj)
    if obj is None or (isinstance(obj, bool | int | float | complex | str) and not isinstance(obj, enum.Enum)):
        return SimpleValue(matching.insert_constant(m.graph, obj, range))
    if type(obj).__name__ == "device" and type(obj).__module__ == "bridge.types":
        return SimpleValue(matching.insert_constant(m.graph, str(obj), None, T.DEVICE))
    if type(obj).__module__ in ("bridge.ir.dtypes", "bridge.types") and isinstance(getattr(obj, "code", None), int):
        return SimpleValue(matching.insert_constant(m.graph, obj.code, range))
    foreign = foreign_code(obj)
    if foreign is not None:
        return SimpleValue(matching.insert_constant(m.graph, foreign, range))
    if isinstance(obj, tuple):
        items = [python_to_sugared(v, m, range, True).as_value(range, m) for v in obj]
        return SimpleValue(matching.make_tuple(m.graph, items))
    return None


def _shown(obj: Any) -> str:
    """A captured value in a few words."""
    if hasattr(obj, "dtype") and hasattr(obj, "shape"):
        return f"{str(obj.dtype).rpartition('.')[2]} tensor of shape {tuple(obj.shape)}"
    text = repr(obj)
    return (
        text
        if len(text) <= 60
        else f"{type(obj).__name__} of {len(obj)}"
        if hasattr(obj, "__len__")
        else text[:57] + "…"
    )


def captured(obj: Any, m: EmitterCore, range: SourceRange) -> SugaredValue | None:
    """As :func:`_captured`; the program's graph notes what was taken."""
    from bridge.tensor import Tensor

    found = _captured(obj, m, range)
    if found is not None and isinstance(plain(obj), bool | int | float | complex | str | list | tuple | Tensor):
        m.graph.notes.append(("value captured", f"'{range.text()}' is {short_text(plain(obj))}", range))
    return found


def _captured(obj: Any, m: EmitterCore, range: SourceRange) -> SugaredValue | None:
    """A value from outside the program, as it is while compiling: numbers, strings, tensors, tuples and lists of them.

    None for what is no such value. A list is a new one wherever it is named, so a program may read it only; see
    ``importers/script/captures.py`` for what holds it to that.
    """
    from bridge.tensor import Tensor

    obj = plain(obj)
    if isinstance(obj, Tensor):
        constant = matching.insert_constant(m.graph, obj.detach()._array.copy(), range)
        m.captured.append(constant.node)
        return SimpleValue(constant)
    if isinstance(obj, list | tuple) and obj and all(map(_is_function, obj)):
        return SugaredTuple([python_to_sugared(v, m, range) for v in obj])
    if isinstance(obj, list) and obj:
        items = [_captured(v, m, range) for v in obj]
        values = [v.as_value(range, m) for v in items if v is not None]
        element = T.unify_all([v.type for v in values]) if len(values) == len(items) else None
        if element is None:
            return None
        node = m.node("prim::ListConstruct", values, 1, range)
        node.output.type = T.ListType(element)
        m.captured.append(node)
        return SimpleValue(node.output)
    if type(obj) in (dict, OrderedDict):
        return CapturedDict(obj, lambda v, m, range: captured(v, m, range) or python_to_sugared(v, m, range))
    if isinstance(obj, tuple) and type(obj) is tuple:
        parts = [_captured(v, m, range) for v in obj]
        if any(p is None for p in parts):
            return None
        return SimpleValue(matching.make_tuple(m.graph, [p.as_value(range, m) for p in parts if p is not None]))
    return None if isinstance(obj, tuple) else _constant(obj, m, range)


def _is_function(obj: Any) -> bool:
    return inspect.isroutine(obj) or isinstance(obj, ScriptFunction) or type(obj) is functools.partial


def python_to_sugared(obj: Any, m: EmitterCore, range: SourceRange, is_constant: bool = False) -> SugaredValue:
    """What a Python object means in a program. Raises CompileError for what cannot be there at all."""
    if is_constant:
        constant = _constant(obj, m, range)
        if constant is not None:
            return constant
    if is_program(obj):
        obj = taken_over(obj)
    if isinstance(obj, ScriptFunction):
        return FunctionValue(obj._function)
    if isinstance(obj, types.ModuleType):
        return PythonModuleValue(obj)
    form = _special_forms().get(id(obj))
    if form is not None:
        return form
    theirs = special_form(obj)
    if theirs is not None:
        return SpecialForm(theirs)
    code = legacy_constructor(obj)
    if code is not None:
        return LegacyTensorConstructor(code)
    namespace = _operator_namespace(obj)
    if namespace is not None:
        return namespace
    if is_module(obj) and (hasattr(obj, "_c") or "_actual_script_module" in obj.__dict__):
        raise CompileError("Cannot call a ScriptModule that is not a submodule of the caller", range)
    operator = builtin_name(obj)
    if operator is not None:
        return BuiltinFunction(operator)
    if inspect.isclass(obj):
        limits = obj.__name__ in ("finfo", "iinfo") and obj.__module__ in ("torch", "bridge.types")
        return LimitsOf(obj.__name__) if limits else _class(obj, m, range)
    if isinstance(obj, enum.Enum):
        return SimpleValue(matching.insert_constant(m.graph, T.EnumValue(fresh_enum_type(type(obj)), obj.name), range))
    if inspect.isbuiltin(obj):
        raise CompileError(f"Python builtin {obj} is currently not supported in Torchscript", range)
    if inspect.isfunction(obj) and obj.__module__ == "bridge.jit.printed" and obj.__name__ in _PRINTED:
        return SpecialForm(_PRINTED[obj.__name__])
    if inspect.isfunction(obj) or inspect.ismethod(obj):
        return _function(obj, m, range)
    if isinstance(obj, float) and obj == math.inf:
        return ConstantValue(obj)
    return PythonValue(obj)


_forms: dict[int, SugaredValue] = {}
#: What the compiler makes itself of the names of printed programs.
_PRINTED = {"annotate": "annotate", "unchecked_cast": "unchecked_cast", "uninitialized": "Uninitialized"}


def _special_forms() -> dict[int, SugaredValue]:
    if not _forms:
        _forms[id(futures.fork)] = SpecialForm("fork")
        _forms[id(_awaits._awaitable)] = SpecialForm("awaitable")
        _forms[id(decorators.annotate)] = SpecialForm("annotate")
        _forms[id(decorators.isinstance_)] = SpecialForm("isinstance")
        _forms[id(slice)] = SliceClass()
        _forms[id(dataclasses.replace)] = Replace()
        for container in (deque, defaultdict, Counter):
            _forms[id(container)] = SpecialForm(container.__name__)
        for function in (functools.reduce, functools.partial):
            form = functools_member(function.__name__)
            assert form is not None
            _forms[id(function)] = form
    return _forms


def _operator_namespace(obj: Any) -> SugaredValue | None:
    """What is found in ``bridge.ops`` or ``torch.ops``."""
    if type(obj).__module__.startswith(("bridge.ops", "torch._ops")):
        from bridge.ops.script import namespace_value

        return namespace_value(obj)
    return None


def _class(cls: type, m: EmitterCore, range: SourceRange) -> SugaredValue:
    if issubclass(cls, BaseException):
        module = "" if cls.__module__ == "builtins" else cls.__module__
        return ExceptionValue(cls.__name__, f"{module or 'builtins'}.{cls.__name__}")
    from bridge.tensor import Tensor

    code = default_dtype().code if cls is Tensor else getattr(cls, "__tensor_alias__", None)
    if isinstance(code, int):
        return LegacyTensorConstructor(code)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return NamedTupleConstructor(named_tuple_type(cls))
    if issubclass(cls, enum.Enum):
        return EnumClass(fresh_enum_type(cls))
    if schemas_of(f"aten::{cls.__name__}") and cls.__module__.startswith("bridge."):
        return BuiltinFunction(f"aten::{cls.__name__}")  # torch.device("cpu")
    t = script_classes.class_type_of(cls, range)
    return PythonClassValue(t, cls) if t is not None else PythonValue(cls)


def _function(fn: Any, m: EmitterCore, range: SourceRange) -> SugaredValue:
    from bridge.jit.script import compile_overloads, script_function

    choice = getattr(fn, "__boolean_dispatch__", None) or boolean_dispatch(fn)
    if choice is not None:
        return BooleanDispatch(choice)
    if inspect.isfunction(fn):
        overloads = compile_overloads(fn)
        if overloads:
            return FunctionValue(overloads)
        if not decorators.is_ignored(fn):
            return live_function(fn, lambda: script_function(fn, called_at=range))
    return PythonValue(fn)
