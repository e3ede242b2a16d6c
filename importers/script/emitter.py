"""Trees → IR: the walk over one definition.

The structure follows TorchScript's ``ir_emitter.cpp``, because the order in which nodes are made decides value numbers and
names, which are part of a graph's text. The class is put together from the files of this folder by subject.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.importers.script import matching
from bridge.importers.script import tree as X
from bridge.importers.script.annotations import hints_of, signature_of
from bridge.importers.script.assign import AssignMixin
from bridge.importers.script.choices import ChoiceMixin
from bridge.importers.script.conditions import ConditionMixin
from bridge.importers.script.control import ControlMixin
from bridge.importers.script.core import Definition, EmitterCore
from bridge.importers.script.environment import meaningful_name
from bridge.importers.script.errors import CompileError
from bridge.importers.script.expressions import ExpressionMixin
from bridge.importers.script.formats import FormatMixin
from bridge.importers.script.forms import FormMixin
from bridge.importers.script.literals import LiteralMixin
from bridge.importers.script.modules import Self
from bridge.importers.script.more_operators import OperatorMixin
from bridge.importers.script.statics import StaticDict
from bridge.importers.script.subscripts import SubscriptMixin
from bridge.importers.script.sugared import SugaredValue
from bridge.importers.script.templates import Template
from bridge.ir import types as T
from bridge.ir.graph import Block, Value
from bridge.ir.schema import Argument, Schema

__all__ = ["Emitter"]


class Emitter(
    AssignMixin,
    ChoiceMixin,
    ConditionMixin,
    ControlMixin,
    ExpressionMixin,
    FormMixin,
    FormatMixin,
    LiteralMixin,
    OperatorMixin,
    SubscriptMixin,
):
    """Emits one definition into ``function.graph``; the result is not in SSA form yet."""

    # -- definitions -------------------------------------------------------------------------------------------

    def run(self, d: X.Def, self_: Self | None, defaults: Mapping[str, Any] | None) -> Schema:
        """Emit the definition into the graph; returns its schema."""
        block = self.graph.block
        self.definitions.append(Definition())
        self.push(block)
        self.locals = d.locals
        if self_ is not None and not d.params:
            raise CompileError("methods must have a self argument", d.range)
        schema = self.emit_def(d, self_, block, defaults)
        return schema

    def emit_def(self, d: X.Def, self_: Self | None, block: Block, defaults: Mapping[str, Any] | None) -> Schema:
        schema = signature_of(d, self.resolver, self_ is not None, defaults)
        definition = self.definitions[-1]
        if schema.returns:
            definition.declared = schema.returns[0].type
        arguments = self.emit_parameters(d, self_, schema, block)
        self.graph.output_hints = hints_of(d.returns)
        self.emit_statements(d.body)
        self._implicit_return(d, block)
        assert definition.merged is not None
        # Until the SSA pass finds the real one, a value of the right type stands for the result.
        block.add_output(self.graph.insert(self.uninitialized(definition.merged)).output)
        return Schema(d.name, "", arguments, [Argument("", definition.merged)])

    def emit_inner(self, d: X.Def, block: Block) -> Value:
        """Emit the body of a definition without parameters into the block of a closure; returns what stands for its result."""
        definition = Definition()
        self.definitions.append(definition)
        self.emit_statements(d.body)
        self._implicit_return(d, block)
        self.definitions.pop()
        assert definition.merged is not None
        return self.graph.insert(self.uninitialized(definition.merged)).output

    def run_template(
        self, template: Template, caller: EmitterCore, given: Sequence[tuple[X.Param, SugaredValue]]
    ) -> Schema:
        """Emit a template for what a call in ``caller`` gives its parameters; returns the schema of the plain function."""
        d, block = template.definition, self.graph.block
        self.definitions.append(Definition())
        self.push(block)
        self.template, self.caller, self.nonlocals = template, caller, d.nonlocals
        self.locals = d.locals - set(d.nonlocals)
        definition = self.definitions[-1]
        if d.returns is not None and not d.nonlocals:
            definition.declared = self.type_of(d.returns)
        for p, value in given:
            brought = self.bring_in(value, p.name)
            if isinstance(brought, StaticDict):
                brought.home = self
            self.frame.set(p.range, p.name, brought)
        for name in d.nonlocals:
            before = self.outer_value(name, d.range)
            if before is None:
                raise CompileError(f"{name} has no value yet where {d.name} is called: assign it before", d.range)
            self.frame.set(d.range, name, before)
        self.emit_statements(d.body)
        self._implicit_return(d, block)
        assert definition.merged is not None
        block.add_output(self.graph.insert(self.uninitialized(definition.merged)).output)
        return Schema(self.function.name, "", self.arguments_made, [Argument("", definition.merged)])

    def emit_parameters(self, d: X.Def, self_: Self | None, schema: Schema, block: Block) -> list[Argument]:
        params = d.params
        arguments: list[Argument] = []
        if self_ is not None:
            first, params = params[0], params[1:]
            value = block.add_input()
            value.set_debug_name(first.name)
            self.this = self_.sugared(value)
            self.frame.set(first.range, first.name, self.this)
            arguments.append(Argument(first.name, value.type))
        for p, argument in zip(params, schema.arguments, strict=True):
            value = block.add_input()
            if meaningful_name(p.name):
                value.set_debug_name(p.name)
            if d.name == "__setstate__" and self_ is not None and p.type is None:
                argument = Argument(p.name, self._state_type(d, self_))
            arguments.append(argument)
            value.type = argument.type
            for hint in hints_of(p.type):
                self.graph.input_hints[p.name] = hint
            self.frame.set_value(p.range, p.name, value)
        return arguments

    def _state_type(self, d: X.Def, self_: Self) -> T.Type:
        get = self_.type.find_method("__getstate__")
        if get is None:
            raise CompileError(
                "`__setstate__` defined but not `__getstate__`. You must have both defined on a ScriptModule to "
                "customize serialization.\nDid you forget to use `@torch.jit.export`?",
                d.range,
            )
        get.ensure_defined()
        return get.schema.returns[0].type

    def _implicit_return(self, d: X.Def, block: Block) -> None:
        definition = self.definitions[-1]
        if block not in self.exit_blocks:
            if definition.declared is not None and definition.declared is not T.NONE:
                raise CompileError(
                    "Function was not annotated as having type None, but does not return along all paths: return a value at "
                    "its end, too",
                    d.range,
                )
            self.emit_return(X.Return(d.range, X.Literal(d.range, None)))
        elif definition.merged is None:
            definition.merged = definition.declared or T.NONE

    # -- statements --------------------------------------------------------------------------------------------

    def emit_statements(self, body: Sequence[X.Stmt]) -> None:
        for s in body:
            _STATEMENTS[type(s)](self, s)
            if self.frame.block in self.exit_blocks:  # what follows cannot be reached
                return

    def emit_expr_stmt(self, s: X.ExprStmt) -> None:
        self.sugared(s.value, 0)

    def emit_pass(self, s: X.Pass) -> None:
        pass

    def emit_return(self, s: X.Return) -> None:
        definition = self.definitions[-1]
        type = definition.declared
        value = self.expr(s.value, type)
        if self.nonlocals:
            value = matching.make_tuple(self.graph, [value, *(self.frame.value(n, s.range) for n in self.nonlocals)])
        if type is not None:
            value = matching.convert(self.graph, s.range, type, value, True)
            if not value.type.is_subtype_of(type):
                raise CompileError(
                    f"Return value was annotated as having type {type.annotation()} but is actually of type "
                    f"{value.type.annotation()}",
                    s.range,
                )
        else:
            before = definition.merged or value.type
            type = T.unify(before, value.type)
            if type is None:
                raise CompileError(
                    f"Previous return statement returned a value of type {before.annotation()} but this return statement "
                    f"returns a value of type {value.type.annotation()}: return values of one type, or annotate the "
                    "return type as a Union of both",
                    s.range,
                )
        definition.merged = type
        if type is T.ANY and value.type is not T.ANY:
            value = self.unchecked_cast(value, type)
        self.node("prim::ReturnStmt", [value], 0, None)
        self.exit_blocks.add(self.frame.block)


_STATEMENTS: dict[type, Callable[[Emitter, Any], None]] = {
    X.If: Emitter.emit_if, X.While: Emitter.emit_while, X.For: Emitter.emit_for, X.Assign: Emitter.emit_assign,
    X.AugAssign: Emitter.emit_aug_assign, X.ExprStmt: Emitter.emit_expr_stmt, X.Raise: Emitter.emit_raise,
    X.Assert: Emitter.emit_assert, X.Return: Emitter.emit_return, X.Continue: Emitter.emit_continue,
    X.Break: Emitter.emit_break, X.Pass: Emitter.emit_pass, X.Delete: Emitter.emit_delete, X.With: Emitter.emit_with,
    X.Emit: lambda _, s: s.action(), X.Import: Emitter.emit_import,
}  # fmt: skip
