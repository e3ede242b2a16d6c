"""The verifier accepts what torch makes (see test_ir_text) and names what is broken."""

from collections.abc import Callable

import pytest

from bridge.ir import types as T
from bridge.ir.errors import VerifyError
from bridge.ir.graph import Graph, Node, Use
from bridge.ir.parser import parse_graph
from bridge.ir.source import Source, SourceRange
from bridge.ir.verifier import verify

GRAPH = """\
graph(%x : Tensor,
      %c : bool,
      %n : int):
  %one : int = prim::Constant[value=1]()
  %y : Tensor = aten::add(%x, %x, %one)
  %z : Tensor = prim::If(%c)
    block0():
      %t : Tensor = aten::relu(%y)
      -> (%t)
    block1():
      -> (%x)
  %l : Tensor = prim::Loop(%n, %c, %z)
    block0(%i : int, %p : Tensor):
      %q : Tensor = aten::add(%p, %x, %one)
      -> (%c, %q)
  %u : (Tensor, int) = prim::TupleConstruct(%l, %n)
  %a : Tensor, %b : int = prim::TupleUnpack(%u)
  return (%a)
"""


def _node(g: Graph, name: str) -> Node:
    v = g.value(name)
    assert v is not None
    return v.node


def _foreign_value(g: Graph) -> None:
    _node(g, "y").replace_input(0, Graph().add_input("w"))


def _lost_use(g: Graph) -> None:
    x = g.inputs[0]
    x._uses.pop(Use(_node(g, "y"), 1))


def _extra_use(g: Graph) -> None:
    g.inputs[0]._uses[Use(_node(g, "t"), 0)] = None


def _use_before(g: Graph) -> None:
    _node(g, "y").move_after(_node(g, "z"))


def _use_of_inner(g: Graph) -> None:
    t = g.value("t")
    assert t is not None
    g.return_node.replace_input(0, t)


def _same_number(g: Graph) -> None:
    _node(g, "y").output.unique = g.inputs[0].unique


def _free_number(g: Graph) -> None:
    _node(g, "y").output.unique = g._next_unique


def _stale_name(g: Graph) -> None:
    g._names["gone"] = Graph().add_input("v")


def _shared_name(g: Graph) -> None:
    _node(g, "y").output._name = "x"


def _broken_links(g: Graph) -> None:
    n = _node(g, "y")
    assert n.next is not None
    n.next.prev = n.prev


def _wrong_order(g: Graph) -> None:
    _node(g, "y")._position = 1 << 60


def _wrong_block(g: Graph) -> None:
    _node(g, "y").block = None


def _branch_result(g: Graph) -> None:
    _node(g, "z").blocks[1].return_node.remove_input(0)


def _branch_type(g: Graph) -> None:
    _node(g, "z").output.type = T.INT


def _branch_parameter(g: Graph) -> None:
    _node(g, "z").blocks[0].add_input()


def _third_branch(g: Graph) -> None:
    _node(g, "z").add_block()


def _condition(g: Graph) -> None:
    g.inputs[1].type = T.TENSOR


def _loop_arity(g: Graph) -> None:
    _node(g, "l").blocks[0].add_input()


def _loop_body(g: Graph) -> None:
    _node(g, "l").blocks[0].return_node.remove_input(1)


def _loop_count(g: Graph) -> None:
    _node(g, "l").blocks[0].inputs[0].type = T.FLOAT


def _loop_type(g: Graph) -> None:
    _node(g, "q").output.type = T.STR


def _no_value(g: Graph) -> None:
    _node(g, "one").attributes.clear()


def _tuple_arity(g: Graph) -> None:
    _node(g, "u").remove_input(1)


def _unpacked_arity(g: Graph) -> None:
    _node(g, "a").add_output()


def _kind(g: Graph) -> None:
    _node(g, "y").kind = "add"


BREAKS: list[tuple[Callable[[Graph], None], str]] = [
    (_foreign_value, "%w is not defined before its use here"),
    (_lost_use, "the use of %x is not in its list of uses"),
    (_extra_use, "%x lists a use that is none"),
    (_use_before, "%y is not defined before its use here"),
    (_use_of_inner, "%t is not defined before its use here"),
    (_same_number, "the number 0 of %y is not its own"),
    (_free_number, "of %y is not its own"),
    (_stale_name, "the name 'gone' belongs to a value that is not in the graph"),
    (_shared_name, "the name %x is not the value's own"),
    (_broken_links, "the order of nodes is broken"),
    (_wrong_order, "the order of nodes is broken"),
    (_wrong_block, "is used by a aten::add that is in no block"),
    (_branch_result, "a branch gives 0 values, the if has 1 outputs"),
    (_branch_type, "the result %t of type Tensor cannot become %z of type int"),
    (_branch_parameter, "a branch has parameters"),
    (_third_branch, "prim::If has 2 blocks, not 3"),
    (_condition, "the condition %c must be bool, not Tensor"),
    (_loop_arity, "the loop's inputs, outputs and parameters do not fit together"),
    (_loop_body, "the loop's body gives 1 values, not 2"),
    (_loop_count, "the iteration number %i must be int, not float"),
    (_loop_type, "the next value %q of type str cannot become %p of type Tensor"),
    (_no_value, "a constant of type int has no value"),
    (_tuple_arity, r"1 values make no \(Tensor, int\)"),
    (_unpacked_arity, r"a \(Tensor, int\) has not 3 elements"),
    (_kind, "'add' is no kind of node"),
]


@pytest.mark.parametrize(("destroy", "message"), BREAKS, ids=[b.__name__[1:] for b, _ in BREAKS])
def test_what_is_broken_is_named(destroy: Callable[[Graph], None], message: str) -> None:
    g = parse_graph(GRAPH)
    verify(g)
    destroy(g)
    with pytest.raises(VerifyError, match=message):
        verify(g)


def test_the_users_line_is_shown() -> None:
    g = parse_graph(GRAPH)
    n = _node(g, "z")
    n.range = SourceRange(Source("if c:\n    pass", "model.py", 7), 0, 5)
    n.blocks[1].return_node.remove_input(0)
    with pytest.raises(VerifyError) as e:
        verify(g)
    assert str(e.value).endswith("model.py:7:1\nif c:\n^^^^^")


def test_subgraphs_are_looked_into() -> None:
    g = parse_graph(
        "graph(%x : Tensor):\n  %1 : Future[Tensor] = prim::fork_0(%x)\n  return (%1)\n"
        "with prim::fork_0 = graph(%y : Tensor):\n  %1 : Tensor = aten::relu(%y)\n  return (%1)\n"
    )
    verify(g)
    fork = next(iter(g.nodes))
    inner: Graph = fork["Subgraph"]
    inner.add_input("more")
    with pytest.raises(VerifyError, match="the forked graph does not take what it is given"):
        verify(g)
