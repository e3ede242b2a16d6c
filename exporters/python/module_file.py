"""A program as a Python file that can be imported: classes whose methods are the program's code, and ``model()``.

The file names nothing that came from outside without making it an identifier or a quoted string first; weights are not
in it but in a dict that the caller stores beside it, and ``model()`` loads from there.
"""

from __future__ import annotations

import keyword
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bridge.exporters.python.file_printer import FilePrinter, text_literal
from bridge.exporters.python.literals import tensor_literal
from bridge.exporters.python.method_keys import method_key
from bridge.exporters.python.shared_classes import Draft, classes_of, is_module_list, list_call, marked
from bridge.exporters.python.tagged import annotation
from bridge.ir import dtypes
from bridge.ir.classes import ClassType, Function, FunctionType, ScriptObject
from bridge.ir.errors import UnsupportedError
from bridge.ir.graph import Graph
from bridge.ir.literals import literal
from bridge.ir.types import EnumType, EnumValue, TupleType, Type

__all__ = ["module_file"]

_HEADER = '''\
"""{title}

Printed by bridge {version}. The weights are in '{weights}' beside this file::

    import bridge, {stem}
    scripted = bridge.jit.script({stem}.model())
"""

import math
from pathlib import Path
from typing import Annotated, Any, Dict, List, NamedTuple, Optional, Tuple, Union

import bridge as torch
from bridge import Tensor, nn
from bridge.jit.printed import *

'''

_FOOTER = '''

def model() -> {root}:
    """The module, with its weights read from the file beside this one."""
    module = {root}()
    module.load_state_dict(torch.load_weights(Path(__file__).with_name({weights})), assign=True)
    return module.train({training})
'''


_FUNCTION_FOOTER = '''

def model() -> Any:
    """The function."""
    return {root}
'''


class _File:
    """What is put into one file: names, classes, functions, arrays."""

    def __init__(self) -> None:
        self.taken = {
            "Annotated",
            "Any",
            "NamedTuple",
            "Path",
            "Tensor",
            "math",
            "model",
            "nn",
            "ops",
            "stored",
            "torch",
        }
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.constants: dict[str, np.ndarray[Any, Any]] = {}
        self.opsets: dict[str, int] = {}
        #: Class and function definitions in order; classes by their text without the name, so that equal ones are one.
        self.definitions: list[str] = []
        self.classes: dict[str, str] = {}
        self.functions: dict[Function, str] = {}
        #: How each module is made, by the identity of the object; numbers are marked.
        self.made: dict[int, str] = {}
        self.tuples: dict[str, str] = {}
        self.enums: dict[str, str] = {}
        #: Classes of objects that are no modules; those that are being printed have no name yet.
        self.scripted: dict[ClassType, str | None] = {}
        #: The texts of methods, also by what they hang on.
        self.texts: dict[Any, str] = {}
        #: By function, what a model calls inputs and results.
        self.file_names: dict[Function, dict[str, str]] = {}

    def name(self, qualified: str) -> str:
        """A new Python name after the last part of a qualified name."""
        base = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in qualified.rpartition(".")[2])
        if not base or base[0].isdigit() or keyword.iskeyword(base):
            base = f"_{base}"
        found, n = base, 1
        while found in self.taken:
            found, n = f"{base}_{n}", n + 1
        self.taken.add(found)
        return found

    # -- modules -----------------------------------------------------------------------------------------------------

    def module(self, root: ScriptObject) -> str:
        """Add the classes of a module and of those in it; returns the name of its class."""
        levels: list[list[tuple[ScriptObject, str]]] = []
        _by_height(root, "", levels)
        for level in levels:
            drafts = [self._draft(obj, path) for obj, path in level]
            for (obj, _), made in zip(level, self._calls(drafts), strict=True):
                self.made[id(obj)] = made
        return self.made[id(root)].partition("(")[0]

    def _draft(self, obj: ScriptObject, path: str) -> Draft:
        """The text of a module's class, in which numbers of ``__init__`` are marked; the modules in it have theirs."""
        if is_module_list(obj.type):
            calls = [self.made[id(child)] for _, child in sorted(obj.submodules(), key=lambda c: int(c[0]))]
            return Draft("", list_call(calls))
        lines = []
        for name, a in obj.type.attributes.items():
            value = obj.attributes.get(name)
            if (a.is_parameter or a.is_buffer) and value is not None:
                self.arrays[path + name] = np.asarray(getattr(value, "_array", value))
            child = self.made.get(id(value), "") if isinstance(value, ScriptObject) else ""
            member = f"{self._enum(value.type)}.{value.name}" if isinstance(value, EnumValue) else ""
            made = _attribute(name, value, a.is_parameter, a.is_buffer, child, member)
            lines += [f"        {part}" for part in made.split("\n") if part]
        lines += [f"        self.{name} = {_value(value)}" for name, value in obj.type.constants.items()]
        methods = []
        for method in obj.type.methods.values():
            methods += ["", self.method(method, alone=not path)]
        forward = obj.type.methods.get("forward")
        said = _said(forward.graph, self.file_names.get(forward, {})) if forward is not None else ""
        return Draft(obj.type.name, "\n".join(lines), "\n".join(methods), said)

    def _calls(self, drafts: Sequence[Draft]) -> list[str]:
        """How the modules are made, after their classes: those that differ in numbers alone share one."""
        groups: dict[tuple[str, str], list[Draft]] = {}
        for d in drafts:
            if d.name:
                groups.setdefault(d.shape(), []).append(d)
        names: dict[int, str] = {}
        for alike in groups.values():
            for text, calls in classes_of(alike):
                if text not in self.classes:
                    name = self.classes[text] = self.name(alike[0].name)
                    self.definitions.append(f"class {name}(nn.Module):\n{text}\n")
                names.update((key, f"{self.classes[text]}({call})") for key, call in calls.items())
        return [names.get(id(d), d.body) for d in drafts]

    def method(self, function: Function, first: bool = True, alone: bool = False) -> str:
        """The ``def`` of a method as it stands in its class (or, without ``first``, of a function) after everything that it mentions.

        ``alone``: no other has its text, so that none is looked for.
        """
        if first and function in self.texts:
            return self.texts[function]
        self.opsets.update(function.graph.opsets)
        key = method_key(function) if first and not alone else None
        if key is not None and key in self.texts:
            return self.texts[key]
        printer = FilePrinter(self.type_name, self.function, self.constants)
        text = printer.print_method(function, is_method=first).rstrip("\n")
        if first:
            text = textwrap.indent(text, "    ")
        self.file_names[function] = printer.file_names
        if key is not None:
            self.texts[key] = self.texts[function] = text
        return text

    def function(self, function: Function) -> str:
        """The name of a function that is called; its definition is added."""
        if function.qualified_name in _PRINTED:
            return function.name
        if function not in self.functions:
            self.functions[function] = self.name(function.qualified_name)
            text = self.method(function, first=False)
            head = f"def {function.name}("
            assert text.startswith(head)
            self.definitions.append(f"def {self.functions[function]}({text[len(head) :]}\n")
        return self.functions[function]

    def type_name(self, t: Type) -> str | None:
        """The name of a class; NamedTuples are added. Raises UnsupportedError for other classes."""
        if isinstance(t, TupleType) and t.name:
            if t.name not in self.tuples:
                self.tuples[t.name] = self.name(t.name)
                fields = zip(t.fields, t.elements, strict=True)
                lines = [f"    {f}: {annotation(e, self.type_name)}" for f, e in fields]
                self.definitions.append("\n".join([f"class {self.tuples[t.name]}(NamedTuple):", *lines]) + "\n")
            return self.tuples[t.name]
        if isinstance(t, EnumType):
            return self._enum(t)
        if isinstance(t, FunctionType):
            return self.function(t.function)
        if isinstance(t, ClassType) and t.is_module:
            return None
        if isinstance(t, ClassType):
            return self._scripted(t)
        raise UnsupportedError(f"{t} has no form in a Python file yet")

    def _enum(self, t: EnumType) -> str:
        """The name of an enum; its definition is added."""
        if t.name not in self.enums:
            made = self.enums[t.name] = self.name(t.name)
            lines = [f"    {name} = {literal(value)}" for name, value in t.members]
            self.definitions.append("\n".join([f"class {made}(Enum):", *(lines or ["    pass"])]) + "\n")
        return self.enums[t.name]

    def _scripted(self, t: ClassType) -> str:
        """The name of a class of objects; its definition is added."""
        if t not in self.scripted:
            self.scripted[t] = None
            methods = [self.method(m) for m in t.methods.values()]
            made = self.scripted[t] = self.name(t.name)
            self.definitions.append(f"class {made}:\n" + "\n\n".join(methods or ["    pass"]) + "\n")
        found = self.scripted[t]
        if found is None:
            raise UnsupportedError(f"{t}, whose methods name the class itself, has no form in a Python file yet")
        return found


#: What the class of a model says whose statements are the nodes that they came from.
_OPSET = "    onnx_opset = ops  # exported, each statement is one node of these versions\n"


_RECORDS = "    onnx_records = stored.file_records  # what else the model says: names inside, texts, what nobody uses\n"


def _said(graph: Graph, names: Mapping[str, str]) -> str:
    """What the class of a model says of exporting it, before its methods."""
    lines = []
    if graph.exact:
        lines.append(_OPSET)
        if graph.exact != "nodes":
            lines.append(f"    onnx_constants = {text_literal(graph.exact)}\n")
        if graph.written:
            lines.append("    onnx_attributes = {  # what nodes say even where it goes without saying\n")
            for op_type, written in sorted(graph.written.items()):
                lines.append(f"        {text_literal(op_type)}: {text_literal(' '.join(sorted(written)))},\n")
            lines.append("    }\n")
    if names:
        lines.append("    onnx_names = {  # what the model calls inputs and results\n")
        lines += [f"        {text_literal(here)}: {text_literal(name)},\n" for here, name in names.items()]
        lines.append("    }\n")
    if graph.records:
        lines.append(_RECORDS)
    return "".join([*lines, "\n"]) if lines else ""


def _by_height(obj: ScriptObject, path: str, levels: list[list[tuple[ScriptObject, str]]]) -> int:
    """Put an object, with its path, behind those that are in it: ``levels`` are those that need nothing, those that need them…"""
    height = max((_by_height(child, f"{path}{name}.", levels) + 1 for name, child in obj.submodules()), default=0)
    while len(levels) <= height:
        levels.append([])
    levels[height].append((obj, path))
    return height


#: Functions of bridge.jit.printed, which the file imports.
_PRINTED = ("__torch__.torch.jit.printed.stacked",)


def module_file(
    root: ScriptObject | Function, *, stem: str, weights: str, title: str, version: str, stored: bool
) -> tuple[str, dict[str, np.ndarray[Any, Any]], dict[str, np.ndarray[Any, Any]]]:
    """The text of the file, the weights by ``state_dict`` name, and the constants that the text calls ``stored.NAME``.

    Classes come before those that use them; modules that are alike share one. ``stored`` says whether attributes of nodes are
    stored beside the file. Raises UnsupportedError for what Python source cannot hold.
    """
    file = _File()
    name = file.function(root) if isinstance(root, Function) else file.module(root)
    beside = _one_line(weights)
    parts = [_HEADER.format(title=_one_line(title), version=version, weights=beside, stem=_one_line(stem))]
    if file.opsets:
        versions = ", ".join(f"{text_literal(domain)}: {v}" for domain, v in file.opsets.items())
        parts.append(f"ops = torch.ops.opset({{{versions}}})\n")
    if stored or file.constants:
        parts.append(f"stored = torch.ops.stored(Path(__file__).with_name({text_literal(weights)}))\n")
    parts += [f"\n\n{text}" for text in file.definitions]
    if isinstance(root, Function):
        parts.append(_FUNCTION_FOOTER.format(root=name))
    else:
        training = bool(root.attributes.get("training", False))
        parts.append(_FOOTER.format(root=name, weights=text_literal(weights), training=training))
    return "".join(parts), file.arrays, file.constants


_SKIPPED = ("training", "_is_full_backward_hook")


def _attribute(name: str, value: Any, is_parameter: bool, is_buffer: bool, child: str, member: str) -> str:
    """The statement of ``__init__`` that makes one attribute; "" for those that nn.Module makes. ``child``: how a module is made,
    ``member``: of an enum, its text."""
    if name in _SKIPPED:
        return ""
    usual = name.isidentifier() and name.isascii() and not keyword.iskeyword(name) and not name.startswith("_")
    quoted = text_literal(name)
    if child:
        return f"self.{name} = {child}" if usual else f"self.add_module({quoted}, {child})"
    if is_parameter or is_buffer:
        register = "register_parameter" if is_parameter else "register_buffer"
        if value is None:
            return f"self.{register}({quoted}, None)"
        made = _empty(np.asarray(getattr(value, "_array", value)))
        if is_buffer:
            return f"self.register_buffer({quoted}, {made})"
        grad = "" if getattr(value, "requires_grad", False) else ", requires_grad=False"
        made = f"nn.Parameter({made}{grad})"
        return f"self.{name} = {made}" if usual else f"self.register_parameter({quoted}, {made})"
    text = member or _value(value)
    return f"self.{name} = {text}" if usual else f"setattr(self, {quoted}, {text})"


def _empty(array: np.ndarray[Any, Any]) -> str:
    """``torch.empty(3, 4)``: the place of a tensor that is loaded later. Raises UnsupportedError for ONNX's newest types."""
    dtype = dtypes.known_numpy(array.dtype)
    if dtype is None:
        raise UnsupportedError(f"a tensor of type {array.dtype} has no form in Python")
    size = ", ".join(map(marked, array.shape)) if array.shape else "[]"
    return f"torch.empty({size})" if dtype.name == "float32" else f"torch.empty({size}, dtype=torch.{dtype.name})"


def _value(value: Any) -> str:
    """A plain attribute's value as source. Raises UnsupportedError."""
    if isinstance(value, str):
        return text_literal(value)
    if value is None or isinstance(value, bool | int):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if np.isfinite(value) else f'float("{value}")'
    if isinstance(value, list | tuple):
        inside = ", ".join(map(_value, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_value(k)}: {_value(v)}" for k, v in value.items()) + "}"
    if hasattr(value, "__array__"):
        literal = tensor_literal(np.asarray(getattr(value, "_array", value)))
        if literal is not None:
            return literal
    raise UnsupportedError(f"an attribute of type {type(value).__name__} cannot be written as Python source")


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace('"', "'")
