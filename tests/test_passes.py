"""Passes: each against what torch's makes of the same graph, with the verifier after it; and what torch cannot show."""

import difflib
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from support.graphs import World, programs, rebuild, recorded, renumbered

from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, FunctionType
from bridge.ir.errors import IRError, VerifyError
from bridge.ir.graph import Graph
from bridge.ir.parser import parse_graph
from bridge.ir.passes.aliases import AliasAnalysis, is_mutable_type
from bridge.ir.passes.base import graph_pass
from bridge.ir.passes.canonicalize import canonicalize, canonicalize_outputs
from bridge.ir.passes.common_subexpression import eliminate_common_subexpressions
from bridge.ir.passes.constant_pooling import pool_constants
from bridge.ir.passes.constant_propagation import propagate_constants, propagate_constants_of_immutable_types
from bridge.ir.passes.dead_code import eliminate_dead_code
from bridge.ir.passes.inline import inline, inlined_graph
from bridge.ir.passes.lower_tuples import lower_all_tuples, lower_simple_tuples
from bridge.ir.passes.peephole import simplify
from bridge.ir.printer import print_graph

PASSES: dict[str, Callable[[Graph], Any]] = {
    "dead_code": eliminate_dead_code,
    "lower_all_tuples": lower_all_tuples,
    "constant_pooling": pool_constants,
    "constant_propagation_immutable": propagate_constants_of_immutable_types,
    "constant_propagation": propagate_constants,
    "cse": eliminate_common_subexpressions,
    "peephole": simplify,
}


@pytest.fixture(autouse=True)
def _verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_VERIFY", "1")


def _assert_same(wanted: str, got: str) -> None:
    a, b = renumbered(wanted), renumbered(got)
    assert a == b, "\n".join(difflib.unified_diff(a.splitlines(), b.splitlines(), "torch", "bridge", lineterm="", n=1))


def _untyped_ifs(text: str) -> str:
    """torch leaves ``Tensor`` as the type of what an ``if`` gives out after its tuples were flattened."""
    return re.sub(r"(%\S+) : [^%]*?(?=, %| = prim::If)", r"\1", text) if "prim::If" in text else text


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("program", programs())
def test_as_torch(program: str, name: str) -> None:
    for record in recorded():
        wanted = record["passes"].get(name, record["graph"])
        if record["program"] != program or wanted.startswith("error"):
            continue
        g, _ = rebuild(record)
        PASSES[name](g)
        got = print_graph(g)
        if name == "lower_all_tuples":
            wanted, got = _untyped_ifs(wanted), _untyped_ifs(got)
        _assert_same(wanted, got)


@cache
def _world() -> World:
    return World()


@pytest.mark.parametrize("program", programs())
def test_inlined_as_torch(program: str) -> None:
    for record in recorded():
        wanted = record["passes"].get("inline")
        if record["program"] == program and not record.get("inlined") and wanted and not wanted.startswith("error"):
            assert print_graph(inlined_graph(_world().find(record["qualified"]))) == wanted


# -- one thing at a time -----------------------------------------------------------------------------------------------


def _run(run: Callable[[Graph], Any], text: str) -> str:
    g = parse_graph(text)
    run(g)
    return print_graph(g)


LOOP = """\
graph(%n : int, %x : Tensor):
  %t : bool = prim::Constant[value=1]()
  %one : int = prim::Constant[value=1]()
  %a : Tensor, %b : Tensor = prim::Loop(%n, %t, %x, %x)
    block0(%i : int, %p : Tensor, %q : Tensor):
      %r : Tensor = aten::add(%q, %x, %one)
      -> (%t, %p, %r)
  return (%b, %a)
""".replace(", %x : Tensor)", ",\n      %x : Tensor)", 1)

CASES: list[tuple[str, Callable[[Graph], Any], str, list[str], list[str]]] = [
    # (what, pass, graph, texts that must be there afterwards, texts that must not)
    ("outputs are ordered by their use", canonicalize_outputs, LOOP,
     ["%b : Tensor, %a : Tensor = prim::Loop", "block0(%i : int, %q : Tensor, %p : Tensor)", "-> (%t, %r, %p)"], []),
    ("what a loop does not change is used directly", propagate_constants_of_immutable_types, LOOP,
     ["%b : Tensor = prim::Loop(%n, %t, %x)", "return (%b, %x)"], ["%p"]),
    ("a loop of no turns goes away", propagate_constants_of_immutable_types,
     LOOP.replace("Loop(%n,", "Loop(%zero,").replace("  %t :", "  %zero : int = prim::Constant[value=0]()\n  %t :"),
     ["return (%x, %x)"], ["prim::Loop"]),
    ("a tuple that is taken apart at once", lower_simple_tuples,
     ("graph(%a : int,\n      %b : int):\n  %t : (int, int) = prim::TupleConstruct(%a, %b)\n"
     "  %c : int, %d : int = prim::TupleUnpack(%t)\n  return (%d)\n"),
     ["return (%b)"], ["Tuple"]),
    ("a write to what is needed later stays", eliminate_dead_code,
     ("graph():\n  %s : int[] = prim::ListConstruct()\n  %n : NoneType = prim::Constant()\n"
     "  %x : Tensor = aten::zeros(%s, %n, %n, %n, %n)\n  %one : int = prim::Constant[value=1]()\n"
     "  %y : Tensor = aten::add_(%x, %one, %one)\n  %z : Tensor = aten::add(%x, %one, %one)\n  return (%x)\n"),
     ["aten::add_"], ["aten::add("]),
    ("a write to what nobody needs goes", eliminate_dead_code,
     ("graph(%x : Tensor):\n  %n : NoneType = prim::Constant()\n  %one : int = prim::Constant[value=1]()\n"
     "  %c : Tensor = aten::clone(%x, %n)\n  %y : Tensor = aten::add_(%c, %one, %one)\n  return (%x)\n"),
     ["return (%x)"], ["aten::"]),
    ("a write to an input stays", eliminate_dead_code,
     ("graph(%x : Tensor):\n  %one : int = prim::Constant[value=1]()\n"
     "  %y : Tensor = aten::add_(%x, %one, %one)\n  return (%one)\n"),
     ["aten::add_"], []),
    ("random numbers are not merged", eliminate_common_subexpressions,
     ("graph(%s : int[],\n      %n : NoneType):\n  %a : Tensor = aten::rand(%s, %n, %n, %n, %n)\n"
     "  %b : Tensor = aten::rand(%s, %n, %n, %n, %n)\n  return (%a, %b)\n"),
     ["%a : Tensor = aten::rand", "%b : Tensor = aten::rand"], []),
    ("negative zero is another number", pool_constants,
     ("graph():\n  %a : float = prim::Constant[value=0.]()\n  %b : float = prim::Constant[value=-0.]()\n"
     "  %c : float = prim::Constant[value=0.]()\n  return (%a, %b, %c)\n"),
     ["return (%a, %b, %a)"], []),
    ("numbers that are no numbers are not merged", pool_constants,
     ("graph():\n  %a : float = prim::Constant[value=nan]()\n  %b : float = prim::Constant[value=nan]()\n"
     "  return (%a, %b)\n"),
     ["return (%a, %b)"], []),
    ("an operator that raises is left to raise", propagate_constants_of_immutable_types,
     ("graph():\n  %a : int = prim::Constant[value=1]()\n  %b : int = prim::Constant[value=0]()\n"
     "  %c : int = aten::floordiv(%a, %b)\n  return (%c)\n"),
     ["aten::floordiv"], []),
    ("an unknown operator counts as pure", eliminate_dead_code,
     "graph(%x : Tensor):\n  %y : Tensor = onnx::Relu(%x)\n  %z : Tensor = onnx::Abs(%x)\n  return (%z)\n",
     ["onnx::Abs"], ["onnx::Relu"]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "run", "text", "there", "gone"), CASES, ids=[c[0] for c in CASES])
def test_one_case(what: str, run: Callable[[Graph], Any], text: str, there: list[str], gone: list[str]) -> None:
    got = _run(run, text)
    for piece in there:
        assert piece in got
    for piece in gone:
        assert piece not in got


def test_canonicalize_numbers_from_zero() -> None:
    g = parse_graph("graph(%7 : int,\n      %k : int):\n  %12 : int = aten::add(%7, %k)\n  return (%12)\n")
    assert "%0 : int" in print_graph(canonicalize(g, keep_names=False))
    assert "%2 : int = aten::add(%0, %k)" in print_graph(canonicalize(g))


def test_recursion_is_refused() -> None:
    f = Function("__torch__.f")
    g = Graph()
    x = g.add_input("x")
    c = g.add("prim::Constant", type=FunctionType(f), name="f")
    g.add_output(g.add("prim::CallFunction", c, x))
    f.graph = g
    with pytest.raises(IRError, match="'f' is called recursively"):
        inline(g.copy())


def test_verifier_names_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    @graph_pass
    def breaks(graph: Graph) -> None:
        next(iter(graph.nodes)).output._uses.clear()

    text = "graph(%x : Tensor):\n  %y : Tensor = aten::relu(%x)\n  return (%y)\n"
    with pytest.raises(VerifyError, match="after the pass breaks: the use of %y is not in its list of uses"):
        breaks(parse_graph(text))
    monkeypatch.delenv("BRIDGE_VERIFY")
    breaks(parse_graph(text))


MUTABLE = [
    (T.TENSOR, True), (T.INT, False), (T.STR, False), (T.ListType(T.INT), True), (T.optional(T.INT), False),
    (T.optional(T.TENSOR), True), (T.TupleType(T.INT, T.STR), False), (T.TupleType(T.INT, T.TENSOR), True),
    (T.UnionType(T.INT, T.STR), False), (T.ANY, True), (ClassType("M"), True), (T.FutureType(T.INT), False),
]  # fmt: skip


@pytest.mark.parametrize(("t", "mutable"), MUTABLE, ids=[str(m[0]) for m in MUTABLE])
def test_mutable_types(t: T.Type, mutable: bool) -> None:
    assert is_mutable_type(t) is mutable


def test_aliases() -> None:
    g = parse_graph(
        "graph(%x : Tensor):\n  %0 : int = prim::Constant[value=0]()\n  %v : Tensor = aten::select(%x, %0, %0)\n"
        "  %n : NoneType = prim::Constant()\n  %c : Tensor = aten::clone(%x, %n)\n  %w : Tensor = aten::t(%c)\n"
        "  %d : Tensor = aten::add_(%w, %0, %0)\n  return (%v)\n".replace("%0", "%zero")
    )
    value = {v.debug_name: v for n in g.all_nodes() for v in n.outputs} | {"x": g.inputs[0]}
    a = AliasAnalysis(g)
    assert a.may_alias([value["v"]], [value["x"]])
    assert not a.may_alias([value["c"]], [value["x"]])
    assert a.may_alias([value["w"]], [value["c"]])
    assert a.has_writers(value["c"])
    assert not a.has_writers(value["x"])
    assert not a.writes_to_wildcard(value["d"].node)
    assert not a.safe_to_merge([value["c"]], [value["x"]])


def test_passes_are_linear_enough() -> None:
    """A long chain with writes goes through every pass (a quadratic one would not come back)."""
    g = Graph()
    y = g.add_input("x")
    for i in range(3000):
        one = g.constant(1)
        y = g.add("aten::add_" if i % 40 == 0 else "aten::add", y, g.inputs[0], one)
    g.add_output(y)
    for run in [*PASSES.values(), canonicalize_outputs, lower_simple_tuples]:
        if run is not lower_all_tuples:
            run(g)
    assert sum(n.kind == "prim::Constant" for n in g.nodes) == 1
