"""Forward hooks of modules: compiled into the module's class, their signatures checked (``class_type.cpp``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bridge.importers.script import (
    CompileError,
    ModuleSelf,
    class_module,
    compile_function,
    parse_source,
    signature_of,
    tree,
)
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function
from bridge.ir.schema import Schema
from bridge.jit.functions import ScriptFunction
from bridge.jit.resolve import ClosureResolver, NamesResolver
from bridge.jit.sources import default_values, definition_of

if TYPE_CHECKING:
    from bridge.jit.concrete import ConcreteType

__all__ = ["attach_hooks", "call_with_hooks", "check_names", "define_hooks"]


def check_names(module: Any) -> None:
    """Raises RuntimeError when two hooks of a module have one name."""
    named: dict[str, Any] = {}
    for kind, hooks in (("Hook", module._forward_hooks), ("Pre-hook", module._forward_pre_hooks)):
        for hook in hooks.values():
            if named.setdefault(hook.__name__, hook) is not hook:
                raise RuntimeError(
                    f"{kind} '{hook.__name__}' on {type(module).__name__} has at least two different python definitions. "
                    "Please use unique names for all hooks."
                )


def define_hooks(concrete: ConcreteType, live: Callable[[], Any]) -> None:
    """Compile the hooks of a module into its class; ``live()`` is the module as they see it.

    Raises RuntimeError for a hook whose name is taken or whose signature does not fit, CompileError for its body.
    """
    t: ClassType = concrete.jit_type
    made: dict[Any, Function] = {}
    for pre, hooks in ((False, concrete.hooks), (True, concrete.pre_hooks)):
        into = t.pre_hooks if pre else t.hooks
        for index, hook in enumerate(hooks):
            if hook not in made:
                made[hook] = _define(t, hook, live)
            into.append(made[hook])
            declared = signature_of(definition_of(hook), ClosureResolver(hook), False, default_values(hook))
            if pre:
                _check_pre_hook(t, hook.__name__, declared)
            else:
                _check_hook(t, index, declared)
            try:
                made[hook].ensure_defined()
            except CompileError as e:
                what = _expected_of_pre_hook(t, hook.__name__) if pre else _expected_of_hook(t, index)
                raise RuntimeError(f"{e}\n{what}") from None


def _define(t: ClassType, hook: Any, live: Callable[[], Any]) -> Function:
    if hook.__name__ in t.methods:
        raise RuntimeError(
            f"Can't define hook: {hook.__name__} on class: {t.name} because a method or hook with that name already exists."
        )
    name = f"{t.name}.{hook.__name__}"
    return compile_function(
        definition_of(hook), ClosureResolver(hook), name, self=ModuleSelf(live()), defaults=default_values(hook)
    )


def attach_hooks(module: Any, t: ClassType) -> None:
    """Let calls of the module from Python run its compiled hooks."""
    for i, f in enumerate(t.pre_hooks):
        module._forward_pre_hooks[i] = ScriptFunction(f)
    for i, f in enumerate(t.hooks):
        module._forward_hooks[i] = ScriptFunction(f)


def call_with_hooks(t: ClassType) -> Function:
    """What calling a module of this class does, its hooks included: ``forward``'s arguments go through ``self(…)``."""
    arguments = _forward(t).arguments[1:]
    types = {f"_{i}": a.type for i, a in enumerate(arguments)}
    declared = ", ".join(["self", *(f"{a.name}: _{i}" for i, a in enumerate(arguments))])
    text = f"def forward({declared}):\n    return self({', '.join(a.name for a in arguments)})\n"
    (d,) = parse_source(text, f"<call of {_short(t)}>")
    assert isinstance(d, tree.Def)
    this = ModuleSelf(class_module(t))
    defaults = {a.name: a.default for a in arguments if a.has_default}
    return compile_function(d, NamesResolver({}, types), f"{t.name}.__call__", self=this, defaults=defaults)


# -- signatures --------------------------------------------------------------------------------------------------------


def _forward(t: ClassType) -> Schema:
    forward = t.find_method("forward")
    if forward is None:
        raise RuntimeError(f"Couldn't find method: 'forward' on class: '{t.name}'")
    forward.ensure_defined()
    return forward.schema


def _inputs(schema: Schema) -> str:
    return ", ".join(a.type.annotation() for a in schema.arguments[1:]) or "()"


def _short(t: ClassType) -> str:
    return t.name.rpartition(".")[2]


def _expected_of_pre_hook(t: ClassType, name: str) -> str:
    forward = _forward(t)
    arguments, inputs = forward.arguments, _inputs(forward)
    single = ""
    if len(arguments) == 2 and not isinstance(arguments[1].type, T.TupleType):
        single = f", '{arguments[1].type.annotation()}',"
    return (
        f"This error occurred while scripting the forward pre-hook '{name}' on module '{_short(t)}'. If you did not want to "
        f"script this pre-hook remove it from the original NN module before scripting. Pre-hooks for module '{_short(t)}' are "
        f"expected to have the following signature: {name}(self, input: Tuple[{inputs}]) with a return type of either "
        f"'None'{single} or 'Tuple[{inputs}]'."
    )


def _previous(t: ClassType, index: int) -> T.Type:
    """What the hook with this index gets as output."""
    if index == 0:
        return _forward(t).returns[0].type
    t.hooks[index - 1].ensure_defined()
    return t.hooks[index - 1].schema.returns[0].type


def _expected_of_hook(t: ClassType, index: int) -> str:
    name, inputs = t.hooks[index].name, _inputs(_forward(t))
    return (
        f"This error occurred while scripting the forward hook '{name}' on module {_short(t)}. If you did not want to script "
        "this hook remove it from the original NN module before scripting. This hook was expected to have the following "
        f"signature: {name}(self, input: Tuple[{inputs}], output: {_previous(t, index).annotation()}). The type of the output "
        "arg is the returned type from either the forward method or the previous hook if it exists. Note that hooks can "
        "return anything, but if the hook is on a submodule the outer module is expecting the same return type as the "
        "submodule's forward."
    )


def _check_input(t: ClassType, schema: Schema, who: str, expected: str) -> None:
    given, wanted = schema.arguments[1].type, [a.type for a in _forward(t).arguments[1:]]
    if not isinstance(given, T.TupleType):
        raise RuntimeError(  # noqa: TRY004 (torch's)
            f"{who}expected the input argument to be typed as a Tuple but found type: '{given.annotation()}' instead.\n"
            f"{expected}\n"
        )
    problem = None
    if not wanted and given.elements:
        problem = "was expecting Tuple[()] as the input type"
    elif len(wanted) != len(given.elements):
        problem = "has the wrong number of contained types for the input argument's Tuple"
    elif list(given.elements) != wanted:
        problem = "has the wrong inner types for the input tuple argument"
    if problem is not None:
        raise RuntimeError(f"{who}{problem}. Received type: '{given.annotation()}'.\n{expected}\n")


def _check_count(schema: Schema, count: int, who: str, expected: str) -> None:
    if len(schema.arguments) != count:
        raise RuntimeError(
            f"{who}was expected to only have exactly {count} inputs but it had {len(schema.arguments)} inputs. {expected}\n"
        )


def _check_pre_hook(t: ClassType, name: str, schema: Schema) -> None:
    who, expected = f"Pre-hook '{name}' on module '{_short(t)}' ", _expected_of_pre_hook(t, name)
    _check_count(schema, 2, who, expected)
    _check_input(t, schema, who, expected)
    if not schema.returns:
        raise RuntimeError(
            f"{who}is missing a return annotation. Return annotations are required, please add one.\n{expected}\n"
        )
    given, wanted = schema.returns[0].type, [a.type for a in _forward(t).arguments[1:]]
    if given is T.NONE:
        return
    wrong = f"{who}returned the wrong type of: '{given.annotation()}'."
    if len(wanted) == 1 and wanted[0] == given:
        if isinstance(given, T.TupleType):
            raise RuntimeError(
                f"{wrong} When forward has a single tuple input argument, the return needs to be 'None' or a nested tuple "
                f"containing forward's input tuple argument as in: 'Tuple[{given.annotation()}]'.\n{expected}\n"
            )
        return
    if not isinstance(given, T.TupleType):
        raise RuntimeError(f"{wrong}{expected}\n")  # noqa: TRY004 (torch's)
    if not wanted and given.elements:
        raise RuntimeError(
            f"{wrong} Was expecting either 'None' or 'Tuple[()]' since forward had no arguments.\n{expected}\n"
        )
    if len(wanted) != len(given.elements):
        raise RuntimeError(f"{wrong} The returned tuple contains the wrong number of contained types.\n{expected}\n")
    if list(given.elements) != wanted:
        raise RuntimeError(f"{wrong} The returned tuple contains the wrong inner types.\n{expected}\n")


def _check_hook(t: ClassType, index: int, schema: Schema) -> None:
    who, expected = f"Hook '{t.hooks[index].name}' on module '{_short(t)}' ", _expected_of_hook(t, index)
    _check_count(schema, 3, who, expected)
    _check_input(t, schema, who, expected)
    given, wanted = schema.arguments[2].type, _previous(t, index)
    if given != wanted:
        raise RuntimeError(
            f"{who}has the wrong type for the output argument. Received type: '{given.annotation()}'. Expected type: "
            f"'{wanted.annotation()}'.\n{expected}\n"
        )
