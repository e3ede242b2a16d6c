"""Statements that steer: if, loops, break, continue, with, raise, assert, del."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

from bridge.importers.script import matching
from bridge.importers.script import tree as X
from bridge.importers.script.annotations import qualified_name
from bridge.importers.script.choices import Choice
from bridge.importers.script.conditions import Condition, Refinements
from bridge.importers.script.configured import Unknown, attributes_in, decided
from bridge.importers.script.core import EmitterCore
from bridge.importers.script.environment import Frame, as_simple, meaningful_name
from bridge.importers.script.errors import CompileError
from bridge.importers.script.library import FilterValue, library_call
from bridge.importers.script.matching import Named, insert_constant
from bridge.importers.script.modules import ModuleValue
from bridge.importers.script.sugared import BuiltinFunction, MethodValue, SugaredTuple, SugaredValue
from bridge.importers.script.sugared_classes import ExceptionMessage, ExceptionValue
from bridge.importers.script.unrolling import always_exits, has_exit, without_exits
from bridge.importers.script.values import IterableTree, SimpleValue
from bridge.ir import types as T
from bridge.ir.classes import ClassType
from bridge.ir.graph import Block, Value
from bridge.ir.source import SourceRange

__all__ = ["MAX_TRIPS", "ControlMixin"]

#: The trip count of a loop that only its condition ends.
MAX_TRIPS = (1 << 63) - 1


class ControlMixin(EmitterCore):
    """The part of the emitter for control flow."""

    # -- if ----------------------------------------------------------------------------------------------------

    def emit_if(self, s: X.If) -> None:
        if self.late:  # the other branch may give the variable of a loop a value, too
            for loop in _loops(s):
                if any(not self.frame.knows(name) for name in self.late.get(loop, ())):
                    self._late_variables(loop)
        self.branches(s.range, self.condition(s.cond), s.body, s.orelse, asks=not _is_of_literals(s.cond))

    def branches(
        self,
        range: SourceRange,
        condition: Condition,
        then: Sequence[X.Stmt],
        other: Sequence[X.Stmt],
        asks: bool = True,
    ) -> None:
        """Emit both branches, or the one that a static condition chooses, or one that ``asks`` what the module is built for."""
        refinements = condition.refinements
        static = self._configured(condition) if condition.static is None and asks else condition.static
        if static is not None:
            self.refine(range, refinements if static else refinements.not_())
            self.emit_statements(then if static else other)
            return
        attributes = attributes_in(condition.value) if asks else None
        if attributes is not None:
            self.configurable.append(attributes)
            self.inside_configurable += 1
        n = self.node("prim::If", [condition.value], 0, range)
        blocks = n.add_block(), n.add_block()
        frames = (
            self._branch(blocks[0], then, refinements, range),
            self._branch(blocks[1], other, refinements.not_(), range),
        )
        self.inside_configurable -= attributes is not None
        exits = blocks[0] in self.exit_blocks, blocks[1] in self.exit_blocks
        if all(exits):
            assert n.block is not None
            self.exit_blocks.add(n.block)
        self._join_refined(frames, exits)
        self._join_functions(range, condition.value, blocks, frames, exits)
        leaves = always_exits(then), always_exits(other)
        mutated = self._mutated(range, blocks, frames, exits, leaves)
        for name in sorted(mutated):
            if not any(exits):
                self._give_where_left(name, blocks, frames, leaves)
            self._join(range, name, blocks, frames, exits)

    def _configured(self, condition: Condition) -> bool | None:
        """Which branch the module is built for, where that is asked."""
        if not self.configured:
            return None
        try:
            return bool(decided(condition.value))
        except Unknown:
            return None

    def _branch(self, block: Block, body: Sequence[X.Stmt], refinements: Refinements, range: SourceRange) -> Frame:
        self.push(block)
        with self.graph.inserting(block):
            self.refine(X.merged(body[0].range, body) if body else range, refinements)
            self.emit_statements(body)
        return self.pop()

    def _join_refined(self, frames: tuple[Frame, Frame], exits: tuple[bool, bool]) -> None:
        """What is known of attributes behind both branches."""
        for name in {**frames[0].refined, **frames[1].refined}:
            known = [f.refined_type(name) for f, exit in zip(frames, exits, strict=True) if not exit]
            if known:
                self.frame.refined[name] = known[0] if all(t == known[0] for t in known) else None

    def _join_functions(
        self,
        range: SourceRange,
        test: Value,
        blocks: tuple[Block, Block],
        frames: tuple[Frame, Frame],
        exits: tuple[bool, bool],
    ) -> None:
        """Variables that are functions or modules: a variable tells which."""
        which = ""
        for name in {**frames[0].values, **frames[1].values}:
            both = [f.values.get(name) or self.frame.held(name) for f in frames]
            chosen = [
                b for b in both if b is not None and (b.is_function or isinstance(b, ModuleValue)) and b.kind != "set"
            ]
            if all(exits) or not meaningful_name(name) or len(chosen) != len([b for b in both if b is not None]):
                continue
            if exits[0] or exits[1]:
                left = both[1] if exits[0] else both[0]
                if left is not None:
                    self.frame.values[name] = left
            elif both[0] is not None and both[1] is not None:
                for i in (0, 1):
                    self._know_choice(range, both[i], blocks[1 - i], frames[i], frames[1 - i])
                if not which:
                    which = self.temporary("$which_")
                    self.frame.set_value(range, which, test)
                self.frame.values[name] = Choice([which], [both[0], both[1]])

    def _know_choice(
        self, range: SourceRange, chosen: SugaredValue | None, block: Block, mine: Frame, other: Frame
    ) -> None:
        """Give the variables that tell what one branch chose a value in the other branch, too."""
        for name in chosen.variables() if isinstance(chosen, Choice) else ():
            if name in mine.types and name not in other.types:
                with self.graph.inserting(block):
                    other.store(range, name, insert_constant(self.graph, False, range), T.BOOL)

    def _mutated(
        self,
        range: SourceRange,
        blocks: tuple[Block, Block],
        frames: tuple[Frame, Frame],
        exits: tuple[bool, bool],
        leaves: tuple[bool, bool],
    ) -> set[str]:
        """Variables assigned in a branch and defined after the other, too (or the other never gets that far)."""
        mutated: set[str] = set()
        for i, j, where in ((0, 1, "false"), (1, 0, "true")):
            for name in list(frames[i].types):
                with self.graph.inserting(blocks[j]):
                    if frames[j].find(name) is not None or exits[j] or (leaves[j] and not leaves[i]):
                        mutated.add(name)
                    else:
                        text = CompileError(
                            f"{name} is not defined in the {where} branch: assign it before the if", range
                        )
                        self.frame.explain(name, str(text))
                        if self.loop_status:
                            self.partial[name] = frames[i].types[name]
        return mutated

    def _give_where_left(
        self, name: str, blocks: tuple[Block, Block], frames: tuple[Frame, Frame], leaves: tuple[bool, bool]
    ) -> None:
        """A variable of one branch, in the other that ends with ``break`` or ``continue``: never used there."""
        for i in (0, 1):
            if leaves[i] and name not in frames[i].types and not self.frame.knows(name):
                type = frames[1 - i].types[name]
                with self.graph.inserting(blocks[i]):
                    frames[i].store(None, name, self.graph.insert(self.uninitialized(type)).output, type)

    def _join(
        self,
        range: SourceRange,
        name: str,
        blocks: tuple[Block, Block],
        frames: tuple[Frame, Frame],
        exits: tuple[bool, bool],
    ) -> None:
        values: list[Value | None] = [None, None]
        for i in (0, 1):
            if not exits[i]:
                with self.graph.inserting(blocks[i]):
                    values[i] = frames[i].value(name, range)
        if all(exits):
            return
        for i in (0, 1):
            if exits[i]:  # never used, but every path must define the variable
                other = values[1 - i]
                assert other is not None
                with self.graph.inserting(blocks[i]):
                    values[i] = self.graph.insert(self.uninitialized(other.type)).output
                    self.node("prim::Store", [values[i]], 0, None, name=name)  # type: ignore[list-item]
        a, b = values
        assert a is not None
        assert b is not None
        outer = self.frame.find(name)
        known = as_simple(outer) if outer is not None else None
        to_union = known is not None and (
            isinstance(known.type, T.UnionType | T.OptionalType) or known.type is T.NUMBER
        )
        unified = T.unify(a.type, b.type, to_union)
        if unified is None:
            error = CompileError(
                f"Type mismatch: {name} is set to type {a.type.annotation()} in the true branch and type "
                f"{b.type.annotation()} in the false branch: use two variables",
                range,
            )
            if frames[0].find_outside(name) is not None or frames[1].find_outside(name) is not None:
                raise error
            self.frame.explain(name, str(error))
            return
        self.frame.types[name] = unified

    # -- loops -------------------------------------------------------------------------------------------------

    def loop(
        self,
        range: SourceRange,
        body: Callable[[], None],
        iterable: SugaredValue | None,
        target: X.Expr | None,
        cond: X.Expr | None,
        place: X.Stmt | None = None,
    ) -> None:
        """``prim::Loop`` with its condition in a second block; the SSA pass gives it its final form."""
        trips = iterable.len(range, self) if iterable is not None else self.number(MAX_TRIPS, range)
        n = self.node("prim::Loop", (), 0, range)
        body_block, condition_block = n.add_block(), n.add_block()
        self.push(condition_block).conditional = True
        if cond is not None:
            with self.graph.inserting(condition_block):
                out = self.to_bool(cond.range, self.expr(cond))
        else:
            with self.graph.inserting(n):
                out = insert_constant(self.graph, True, range)
        condition_block.add_output(out)
        self.pop()
        n.add_input(trips)
        with self.in_loop("loop"):
            index = body_block.add_input("", T.INT)
            self.push(body_block).is_body = True
            with self.graph.inserting(body_block):
                if iterable is not None and target is not None:
                    element = iterable.getitem(range, self, index).as_value(range, self)
                    self.check_targets([target], range)
                    self.assign_each([target], [SimpleValue(element)], range, 1)
                body()
            frame = self.pop()
        if place is not None:
            for name, type in (self.partial | frame.types).items():
                if meaningful_name(name):
                    self.loop_variables[name] = place, type
            if not self.loop_status:
                self.partial.clear()

    def unrolled(self, range: SourceRange, body: Callable[[], None], iterable: SugaredValue, target: X.Expr) -> None:
        """The body once per element: the elements may have different types."""
        length = iterable.static_len()
        assert length is not None
        self.graph.notes.append(("loop unrolled", f"the loop runs {length} times, once for each element", range))
        with self.in_loop("unrolled"):
            for i in _count(length):
                index = self.number(i, range)
                element = iterable.getitem(range, self, index)
                self.assign_each([target], [element], target.range, 1)
                body()

    def for_each(self, target: X.Expr, iter: X.Expr, range: SourceRange, body: Callable[[], None]) -> None:
        iterable = self.sugared(iter, 1).iter(range, self)
        if isinstance(iterable, FilterValue):
            self._filtered(target, iterable, range, body)
        elif iterable.static_len() is None:
            self.loop(range, body, iterable, target, None)
        elif _limits(iterable):
            raise CompileError(
                "Can not iterate over a module list or tuple with a value that does not have a statically "
                "determinable length here: write a for statement",
                range,
            )
        else:
            self.unrolled(range, body, iterable, target)

    def _filtered(self, target: X.Expr, source: FilterValue, range: SourceRange, body: Callable[[], None]) -> None:
        """A loop over what a function chooses: over all, and the body in a branch."""
        items, function, given = (self.temporary(f"${n}_") for n in ("items", "function", "given"))
        self.frame.set(range, items, source.items)
        self.frame.values[function] = source.function
        element = X.Var(range, given)

        def chosen() -> None:
            self.assign_each([target], [self.sugared(element, 1)], range, 1)
            body()

        def inside() -> None:
            condition = self.condition(X.Apply(range, X.Var(range, function), [element], []))
            self.branches(range, condition, [X.Emit(range, chosen)], [])

        self.for_each(element, X.Var(range, items), range, inside)

    def _late_variables(self, s: X.Stmt) -> None:
        """Variables that the loop assigns first and that are used behind it: no value yet, and a flag that says so."""
        for name, type in self.late.get(s, {}).items():
            if name in self.late_names:  # of a loop around this one
                continue
            if name in getattr(s, "assured", ()):
                self.frame.store(s.range, name, self.graph.insert(self.uninitialized(type)).output, type)
                continue
            flag = self.temporary(f"$has_{name}_")
            self.frame.set_value(s.range, flag, insert_constant(self.graph, False, s.range))
            self.frame.store(s.range, name, self.graph.insert(self.uninitialized(type)).output, type)
            self.late_names[name] = flag, self.frame

    def emit_for(self, s: X.For) -> None:
        self._late_variables(s)
        iterable = self.sugared(s.iter, 1).iter(s.range, self)
        if isinstance(iterable, FilterValue):
            self._filtered(s.target, iterable, s.range, lambda: self.emit_statements(s.body))
        elif iterable.static_len() is None:
            self.loop(s.range, lambda: self.emit_statements(s.body), iterable, s.target, None, s)
        elif has_exit(s.body) or _limits(iterable):
            self._unrolled_with_exits(s, iterable)
        else:
            self.unrolled(s.range, lambda: self.emit_statements(s.body), iterable, s.target)

    def _unrolled_with_exits(self, s: X.For, iterable: SugaredValue) -> None:
        """As :meth:`unrolled`; what follows a ``break``, or the end of a list beside the modules, is in a branch that is not
        taken then."""
        range, length = s.range, iterable.static_len()
        assert length is not None
        broke, skip = self.temporary("$broke_"), self.temporary("$skip_")
        body = without_exits(s.body, broke, skip)
        breaks = has_exit(s.body, (X.Break,))
        hidden: set[str] = set()

        def once(i: int) -> None:
            element = iterable.getitem(range, self, self.number(i, range))
            self._bind(s.target, element, hidden)
            self.emit_statements(body)

        if breaks:
            self.frame.set_value(range, broke, insert_constant(self.graph, False, range))
        limit = self.temporary("$limit_") if _limits(iterable) else ""
        if isinstance(iterable, IterableTree) and limit:
            self.frame.set_value(range, limit, iterable.limit(range, self))
        with self.in_loop("unrolled"):
            for i in _count(length):
                tests: list[X.Expr] = [X.BinOp(range, "<", X.Const(range, i), X.Var(range, limit))] if limit else []
                if breaks and i:
                    tests.append(X.UnaryOp(range, "not", X.Var(range, broke)))
                if not tests:
                    once(i)
                else:
                    condition = self.condition(functools.reduce(lambda a, b: X.BinOp(range, "and", a, b), tests))
                    self.branches(range, condition, [X.Emit(range, functools.partial(once, i))], [])
                if self.frame.block in self.exit_blocks:
                    return
        for name in hidden:  # which one it is depends on where the loop ended
            self.frame.values.pop(name, None)
            self.frame.explain(name, f"{name} is what a loop over modules ended with")

    def _bind(self, target: X.Expr, element: SugaredValue, hidden: set[str]) -> None:
        """Assign the element of a round; what is no value is a variable of that round only (``hidden``)."""
        if isinstance(target, X.Var) and as_simple(element) is None and not isinstance(element, SugaredTuple):
            self.frame.values[target.name] = element
            hidden.add(target.name)
        elif isinstance(target, X.TupleLit | X.ListLit) and isinstance(element, SugaredTuple):
            for t, e in zip(target.elements, element.items, strict=True):
                self._bind(t, e, hidden)
        else:
            self.assign_each([target], [element], target.range, 1)

    def emit_while(self, s: X.While) -> None:
        self._late_variables(s)
        self.loop(s.range, lambda: self.emit_statements(s.body), None, None, s.cond, s)

    def _check_in_loop(self, range: SourceRange, what: str) -> None:
        if not self.loop_status:
            raise CompileError(f"SyntaxError: '{what}' outside loop", range)
        if self.loop_status == "unrolled":
            raise CompileError(
                "Because we emit iteration over modulelists or tuples as unrolled loops, we do not support break or "
                "continue inside the body of these loops",
                range,
            )

    def emit_break(self, s: X.Break) -> None:
        self._check_in_loop(s.range, "break")
        self.node("prim::BreakStmt", (), 0, s.range)

    def emit_continue(self, s: X.Continue) -> None:
        self._check_in_loop(s.range, "continue")
        self.node("prim::ContinueStmt", (), 0, s.range)

    # -- with, raise, assert, del ------------------------------------------------------------------------------

    def emit_with(self, s: X.With) -> None:
        entered: list[Value] = []
        for target, variable in s.items:
            value = self._context(target)
            n = self.node("prim::Enter", [value], 1, None)
            entered.append(value)
            if not isinstance(value.type, ClassType):
                raise CompileError("With item expression must return an object", target.range)
            n.output.type = self._check_context(value.type, target.range)
            if variable is not None:
                if not isinstance(variable, X.Var):
                    raise CompileError("the target of with must be a name", variable.range)
                self.frame.set_value(variable.range, variable.name, n.output)
        self.emit_statements(s.body)
        for value in reversed(entered):
            n = self.node("prim::Exit", (), 1, None)
            n.add_input(value)

    def _context(self, e: X.Expr) -> Value:
        """What ``with`` enters. ``set_grad_enabled`` is an operator, except here."""
        if isinstance(e, X.Apply):
            name = (qualified_name(e.callee) or "").rpartition(".")[2]
            callee = self.sugared(e.callee, 1) if name == "set_grad_enabled" else None
            if isinstance(callee, BuiltinFunction) and callee.name == "aten::set_grad_enabled":
                manager = getattr(self.resolver, "context_manager", None)
                found = manager(name, e.range) if manager is not None else None
                if found is not None:
                    keywords = self.keyword_arguments(e.keywords)
                    made: Value = found.call(e.range, self, self.arguments(e.inputs), keywords, 1).as_value(
                        e.range, self
                    )
                    return made
        return self.expr(e)

    def _check_context(self, t: ClassType, range: SourceRange) -> T.Type:
        """The type that ``__enter__`` returns."""
        enter, leave = t.find_method("__enter__"), t.find_method("__exit__")
        if enter is None or leave is None:
            raise CompileError(
                "Object returned by with item expression does not define __enter__ and __exit__ methods", range
            )
        if len(enter.schema.arguments) != 1:
            raise CompileError("__enter__ must have only one argument and one return value", range)
        if len(leave.schema.arguments) != 4:
            raise CompileError("__exit__ must have four arguments", range)
        for i, a in enumerate(leave.schema.arguments[1:], 1):
            if a.type is not T.ANY:
                raise CompileError(
                    f"argument {i} of __exit__ must have Any type; TorchScript does not currently support passing "
                    "exception type, value, or traceback to the __exit__ function.",
                    range,
                )
        return enter.schema.returns[0].type

    def emit_raise(self, s: X.Raise) -> None:
        value = self.sugared(s.value, 1)
        class_name: Value | None = None
        if isinstance(value, ExceptionMessage):
            message, class_name = value.message, value.class_name
        elif isinstance(value, ExceptionValue):
            message = insert_constant(self.graph, "", s.range)
        else:
            raise CompileError("exceptions must derive from BaseException", s.range)
        if message.type is not T.STR:
            message = matching.insert(self.graph, "aten::str", [message])
        args = [Named(message), Named(class_name)]
        matching.insert(self.graph, "prim::RaiseException", args, range=s.range)
        self.exit_blocks.add(self.frame.block)

    def emit_assert(self, s: X.Assert) -> None:
        condition = self.condition(s.test)
        message = s.message if s.message is not None else X.StringLit(s.range, "")
        error = X.Apply(s.range, X.Var(s.range, "AssertionError"), [message], [])
        self.branches(s.range, condition, [], [X.Raise(s.range, error)])

    def emit_import(self, s: X.Import) -> None:
        found = self.resolver.resolve_import(s.module, s.member, self, s.range)
        if found is None:
            what = s.module if s.member is None else f"{s.member} of {s.module}"
            raise CompileError(f"cannot import {what} in a program", s.range)
        self.frame.set(s.range, s.name, found)

    def emit_delete(self, s: X.Delete) -> None:
        for target in s.targets:
            if isinstance(target, X.Subscript):
                self._delete_item(s, target)
            elif isinstance(target, X.Var):
                self.frame.remove(target.name, target.range)
            else:
                raise CompileError(
                    "del statements are only supported for deleting list and dict items and variables", target.range
                )

    def _delete_item(self, s: X.Delete, target: X.Subscript) -> None:
        part = target.indices[0]
        if isinstance(part, X.SliceExpr) and part.step is None:
            value = self.expr(target.value)
            if isinstance(value.type, T.ListType):
                bounds = [
                    self.expr(e) if e is not None else self.number(n, s.range)
                    for e, n in ((part.start, 0), (part.end, MAX_TRIPS))
                ]
                library_call("slice_deleted", s.range, self, [value, *bounds])
                return
        if isinstance(part, X.SliceExpr):
            raise CompileError(
                "del statements only support deletion at a single index, slicing is not supported", target.range
            )
        base = self.sugared(target.value, 1)
        index = self.expr(target.indices[0])
        value = base.as_value(target.value.range, self)
        if isinstance(value.type, ClassType):
            if value.type.find_method("__delitem__") is None:
                raise CompileError("Class does not define __delitem__", target.range)
            MethodValue(value, ["__delitem__"]).call(s.range, self, [Named(index)], (), 0)
        else:
            n = self.node("aten::Delete", [value, index], 0, target.range)
            n.overload = _delete_overload(value.type)


def _is_of_literals(e: X.Expr) -> bool:
    """Whether a condition names nothing that could be another value: a comparison of numbers that stand there."""
    if isinstance(e, X.Apply):
        return isinstance(e.callee, X.Var) and not e.keywords and all(map(_is_of_literals, e.inputs))
    if isinstance(e, X.BinOp):
        return _is_of_literals(e.lhs) and _is_of_literals(e.rhs)
    if isinstance(e, X.UnaryOp):
        return _is_of_literals(e.operand)
    return isinstance(e, X.Literal | X.Const | X.StringLit)


def _loops(s: X.If) -> Iterator[X.Stmt]:
    """The loops that stand in a branch, not in another loop."""
    for inner in (*s.body, *s.orelse):
        if isinstance(inner, X.For | X.While):
            yield inner
        elif isinstance(inner, X.If):
            yield from _loops(inner)


def _delete_overload(t: T.Type) -> str:
    return f"Dict_{t.key}" if isinstance(t, T.DictType) else "t"


_count = range


def _limits(iterable: SugaredValue) -> bool:
    """Whether it has a known length, and less elements where a list beside modules ends earlier."""
    return isinstance(iterable, IterableTree) and bool(iterable.limits)
