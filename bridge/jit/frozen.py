"""``freeze``: a module with its weights and attributes as constants in its methods, and what uses that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bridge.ir.classes import Function, ScriptObject
from bridge.ir.graph import Graph, Use
from bridge.ir.node_schema import schema_of
from bridge.ir.passes.common_subexpression import eliminate_common_subexpressions
from bridge.ir.passes.constant_pooling import pool_constants
from bridge.ir.passes.constant_propagation import propagate_constants
from bridge.ir.passes.dead_code import eliminate_dead_code
from bridge.ir.passes.lower_tuples import lower_simple_tuples
from bridge.ir.passes.peephole import simplify
from bridge.jit.folding import fold_batch_norms
from bridge.jit.freezing import Freezer, nodes_of
from bridge.jit.functions import ScriptFunction
from bridge.jit.modules import RecursiveScriptModule, ScriptModule, wrap

__all__ = ["export_opnames", "freeze", "optimize_for_inference", "run_frozen_optimizations"]

_Key = tuple[int, str]


def freeze(
    mod: ScriptModule, preserved_attrs: Sequence[str] | None = None, optimize_numerics: bool = True
) -> RecursiveScriptModule:
    """A copy of a module in eval mode in which submodules are inlined and attributes are constants.

    ``forward`` and the methods in ``preserved_attrs`` are kept; so are attributes named there, and those that a method
    changes. With ``optimize_numerics`` dropout is taken out, and batch normalisation goes into the layer before it. Raises RuntimeError for what is no ScriptModule, or trains.
    """
    if not isinstance(mod, ScriptModule):
        raise RuntimeError(  # noqa: TRY004 (torch's)
            "Freezing expects a ScriptModule as input. Please use torch.jit.script or torch.jit.trace to script your "
            "'nn.Module'."
        )
    if getattr(mod, "training", False):
        raise RuntimeError(
            "Freezing is currently only implemented for modules in eval mode. Please call .eval() on your module before "
            "freezing."
        )
    return wrap(Freezer(mod._c, list(preserved_attrs or ())).run(lambda g: _simplify(g, optimize_numerics)))


def optimize_for_inference(mod: ScriptModule, other_methods: Sequence[str] | None = None) -> RecursiveScriptModule:
    """:func:`freeze`, unless that has been done."""
    return freeze(mod.eval(), other_methods)


def run_frozen_optimizations(
    mod: ScriptModule, optimize_numerics: bool = True, preserved_methods: Sequence[str] | None = None
) -> None:
    """Simplify the methods of a frozen module once more."""
    for f in mod._c.type.methods.values():
        _simplify(f.graph, optimize_numerics)


def export_opnames(m: Any) -> list[str]:
    """The operators that a module's methods use, those of submodules and functions too; sorted."""
    found: set[str] = set()
    functions = [m._function] if isinstance(m, ScriptFunction) else list(_methods(m._c))
    seen: set[Function] = set()
    while functions:
        f = functions.pop()
        if f in seen:
            continue
        seen.add(f)
        for n in f.graph.all_nodes():
            if n.kind == "prim::CallFunction":
                functions.append(n.inputs[0].type.function)  # type: ignore[attr-defined]
            schema = schema_of(n) if n.kind.startswith("aten::") else None
            if schema is not None:
                found.add(schema.full_name)
    return sorted(found)


def _methods(held: ScriptObject) -> Iterator[Function]:
    yield from held.type.methods.values()
    for _, sub in held.submodules():
        yield from _methods(sub)


def _simplify(graph: Graph, numerics: bool) -> None:
    propagate_constants(graph)
    for n in [n for n in nodes_of(graph.block) if n.kind == "aten::detach"]:
        if all(map(_only_computes, n.output.uses)):  # gradients end at constants anyway
            n.output.replace_all_uses_with(n.input)
            n.destroy()
    if numerics:
        _drop_dropout(graph)
    lower_simple_tuples(graph)
    simplify(graph)
    propagate_constants(graph)
    eliminate_common_subexpressions(graph)
    eliminate_dead_code(graph)
    pool_constants(graph)
    if numerics:
        fold_batch_norms(graph)
        eliminate_dead_code(graph)


def _only_computes(use: Use) -> bool:
    """Whether a use asks for a tensor's values, and not which tensor it is."""
    return use.user.kind.startswith("aten::") and use.user.kind not in ("aten::__is__", "aten::__isnot__")


def _drop_dropout(graph: Graph) -> None:
    for n in list(nodes_of(graph.block)):
        if n.kind.rpartition("::")[2] in ("dropout", "feature_dropout", "alpha_dropout") and len(n.inputs) == 3:
            train = n.inputs[2].node
            if train.kind == "prim::Constant" and not train["value"]:
                n.output.replace_all_uses_with(n.inputs[0])
