"""Python source, live or printed by TorchScript, → IR.

``parse_source`` makes trees of a text, ``compile_function`` and ``define_methods`` compile them; names get their meaning from
a :class:`Resolver`. Nothing is executed. ``bridge.jit.script`` feeds it from live objects.
"""

from bridge.importers.script.annotations import parse_type, signature_of
from bridge.importers.script.compile import clean_up, compile_function, define_class, define_methods, is_compiling
from bridge.importers.script.errors import CompileError, FrontendError, NotSupportedError
from bridge.importers.script.frontend import parse_def, parse_expression, parse_source
from bridge.importers.script.modules import ConcreteModule, ModuleSelf, ModuleValue, Self, SimpleSelf, class_module
from bridge.importers.script.sugared import (
    BuiltinFunction,
    BuiltinModule,
    ClassValue,
    ConstantTable,
    ConstantValue,
    EnvironmentResolver,
    FunctionValue,
    LegacyTensorConstructor,
    MethodValue,
    NamedTupleConstructor,
    OpsValue,
    Resolver,
    SpecialForm,
    SugaredTuple,
    SugaredValue,
    register_namespace,
    source_environment,
)
from bridge.importers.script.sugared_classes import EnumClass, ExceptionValue, SliceClass
from bridge.importers.script.values import SimpleValue

__all__ = [
    "BuiltinFunction", "BuiltinModule", "ClassValue", "CompileError", "ConcreteModule", "ConstantTable",
    "ConstantValue", "EnumClass", "EnvironmentResolver", "ExceptionValue", "FrontendError", "FunctionValue",
    "LegacyTensorConstructor", "MethodValue", "ModuleSelf", "ModuleValue", "NamedTupleConstructor",
    "NotSupportedError", "OpsValue", "Resolver", "Self", "SimpleSelf", "SimpleValue", "SliceClass", "SpecialForm",
    "SugaredTuple", "SugaredValue", "class_module", "clean_up", "compile_function", "define_class",
    "define_methods", "is_compiling", "parse_def", "parse_expression", "parse_source", "parse_type",
    "register_namespace", "signature_of", "source_environment",
]  # fmt: skip
