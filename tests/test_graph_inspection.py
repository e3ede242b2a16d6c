"""Graphs are looked at and changed under TorchScript's names, beside our own."""

from __future__ import annotations

import types
from typing import Any

import pytest

import bridge
from bridge.ir.errors import IRError
from bridge.ir.parser import parse_graph

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


def clipped(x, k: int, names: list[str], limit: float = 2.5):
    for i in range(k):
        if limit > 2.0:
            x = x + i
        else:
            x = x * 3
    return x, len(names)


#: What to ask of a compiled function, and the answer of PyTorch.
QUESTIONS: list[tuple[str, Any]] = [
    ("[v.debugName() for v in g.inputs()]", ["x.1", "k.1", "names.1", "limit.1"]),
    ("[v.type().kind() for v in g.inputs()]", ["TensorType", "IntType", "ListType", "FloatType"]),
    ("[v.type().annotation_str for v in g.inputs()]", ["Tensor", "int", "List[str]", "float"]),
    ("list(g.inputs())[2].type().getElementType().str()", "str"),
    ("next(g.inputs()).node().kind()", "prim::Param"),
    ("[n.kind() for n in g.nodes() if n.kind() != 'prim::Constant']", ["prim::Loop", "aten::len", "prim::TupleConstruct"]),
    ("g.findNode('aten::add').schema()", "aten::add.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor"),
    ("g.findNode('aten::add', recurse=False)", None),
    ("g.findNode('prim::Loop').schema()", "(no schema)"),
    ("[len(list(n.blocks())) for n in g.findAllNodes('prim::If')]", [2]),
    ("g.findNode('prim::If').inputsSize()", 1),
    ("g.findNode('prim::If').outputsSize()", 1),
    ("g.findNode('prim::If').findNode('aten::mul').kind()", "aten::mul"),
    ("g.findNode('prim::If').input().node().kind()", "aten::gt"),
    ("g.findNode('prim::If').output().isCompleteTensor()", False),
    ("[o.debugName() for o in next(g.findNode('prim::If').blocks()).outputs()]", ["x.5"]),
    ("[n.kind() for n in next(g.findNode('prim::Loop').blocks()).nodes()]", ["aten::gt", "prim::If"]),
    ("[u.user.kind() for u in g.findNode('aten::len').output().uses()]", ["prim::TupleConstruct"]),
    ("g.findNode('aten::add').inputsAt(0).type().dim()", None),
    ("sorted(str(c.output().toIValue()) for c in g.findAllNodes('prim::Constant'))", ["1", "2.0", "3", "True"]),
    ("sorted(c.kindOf('value') for c in g.findAllNodes('prim::Constant'))", ["f", "i", "i", "i"]),
    ("g.return_node().kind()", "prim::Return"),
    ("[v.debugName() for v in g.return_node().inputs()] == [v.debugName() for v in g.outputs()]", True),
    ("str(g.copy()) == str(g.copy().copy())", True),
    ("g.lint()", None),
    ("repr(g) == str(g) == g.str()", True),
    ("g.str(print_source_ranges=False).count('# ') < str(g).count('# ')", True),
    ("g.findNode('prim::TupleConstruct').output().type().elements()[1].kind()", "IntType"),
    ("len(next(g.inputs()).uses()), next(g.inputs()).uses()[0].user.kind()", (1, "prim::Loop")),
    ("g.findNode('aten::add').matches('aten::add.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor')", True),
    ("g.findNode('aten::add').matches('aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor')", False),
    ("g.findNode('aten::mul').matches('aten::add.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor')", False),
    ("next(g.findNode('prim::If').blocks()).owningNode().kind()", "prim::If"),
]  # fmt: skip


def ask(torch: Any, question: str) -> Any:
    # A function of its own each time: names of values are counted up over a program.
    twin = types.FunctionType(clipped.__code__, clipped.__globals__, "clipped", clipped.__defaults__)
    twin.__annotations__ = dict(clipped.__annotations__)
    scripted = torch.jit.script(twin)  # the graph lives as long as this
    graph = scripted.graph
    return eval(question, {"g": graph})


@pytest.mark.parametrize(("question", "answer"), QUESTIONS, ids=[q for q, _ in QUESTIONS])
def test_questions(question: str, answer: Any) -> None:
    assert ask(bridge, question) == answer


@pytest.mark.oracle
def test_questions_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    assert [ask(torch, q) for q, _ in QUESTIONS] == [a for _, a in QUESTIONS]


FREE_TEXT = """
    graph(%x : Tensor, %c: bool):
        # what the second branch gives is the argument
        %1 : int = prim::Constant[value=1]()  # one
        %y : Tensor = prim::If(%c)
            block0():
                %2 : Tensor = aten::add(%x, %x, %1)
                -> (%2)
            block1():
                -> (%x)
        %l : Tensor[] = prim::ListConstruct(%x,%y)

        return (%y, %l)
"""


def test_graph_texts_as_people_write_them() -> None:
    graph = parse_graph(FREE_TEXT)
    assert str(graph) == (
        "graph(%x : Tensor,\n      %c : bool):\n  %1 : int = prim::Constant[value=1]()\n  %y : Tensor = prim::If(%c)\n"
        "    block0():\n      %2 : Tensor = aten::add(%x, %x, %1)\n      -> (%2)\n    block1():\n      -> (%x)\n"
        "  %l : Tensor[] = prim::ListConstruct(%x, %y)\n  return (%y, %l)\n"
    )
    assert str(parse_graph(str(graph))) == str(graph)


def test_graphs_are_changed() -> None:
    graph = parse_graph("graph(%x : Tensor):\n  %y : Tensor = aten::relu(%x)\n  return (%y)\n")
    relu = graph.findNode("aten::relu")
    assert relu is not None
    tanh = graph.create("aten::tanh", [next(graph.inputs())], 1)
    tanh.insertBefore(relu)
    relu.replaceAllUsesWith(tanh)
    relu.destroy()
    flag = graph.insertConstant(7)
    flag.setDebugName("seven")
    graph.registerOutput(flag)
    graph.addInput("extra").setType(flag.type())
    assert str(graph) == (
        "graph(%x : Tensor,\n      %extra : int):\n  %2 : Tensor = aten::tanh(%x)\n  %seven : int = prim::Constant[value=7]()\n"
        "  return (%2, %seven)\n"
    )
    graph.eraseOutput(1)
    graph.eraseInput(1)
    graph.lint()
    assert len(list(graph.inputs())) == len(list(graph.outputs())) == 1


def test_uses_have_an_order() -> None:
    """As PyTorch says of this graph."""
    graph = parse_graph(
        "graph(%x : Tensor, %y : Tensor):\n  %a : Tensor = aten::relu(%x)\n  %b : Tensor = aten::neg(%y)\n"
        "  %c : Tensor = aten::cat(%x, %y)\n  return (%a, %b, %c)\n"
    )
    uses = [u for v in graph.inputs() for u in v.uses()]  # type: ignore[operator]
    assert [[int(a.isAfter(b)) for b in uses] for a in uses] == [[0, 0, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0], [1, 1, 1, 0]]


def multiplied(torch: Any) -> str:
    """A product of a number as a sum, by the graph of another function."""

    def repeated(x: torch.Tensor, y: int):
        out = x
        for _ in range(y - 1):
            out = out + x
        return out

    def f(x):
        return x * 4

    inserted, scripted = torch.jit.script(repeated).graph, torch.jit.script(f)
    g = scripted.graph
    mul = g.findNode("aten::mul")
    with g.insert_point_guard(mul):
        (out,) = g.insertGraph(inserted, list(mul.inputs()))
        with g.insert_point_guard(g.findNode("prim::Loop")):
            g.insertConstant("in front")
    mul.output().replaceAllUsesWith(out)
    mul.destroy()
    g.makeMultiOutputIntoTuple()
    g.lint()
    with torch.jit._hide_source_ranges():
        text = repr(g)
    assert "# " in str(g)
    assert scripted(torch.ones(2))[0].tolist() == [4.0, 4.0]
    return text


def test_graphs_are_put_into_graphs() -> None:
    found = [n.partition(" = ")[2] for n in multiplied(bridge).splitlines() if "in front" in n or "%out :" in n]
    assert found == ['prim::Constant[value="in front"]()', "prim::Loop(%15, %13, %x.1)"]


@pytest.mark.oracle
def test_graphs_are_put_into_graphs_as_by_pytorch() -> None:
    assert multiplied(bridge) == multiplied(pytest.importorskip("torch"))


def test_attributes_of_nodes() -> None:
    node = parse_graph('graph():\n  %1 : str = prim::Constant[value="a"]()\n  return (%1)\n').findNode("prim::Constant")
    assert node is not None
    assert (node.s("value"), node.kindOf("value"), node.attributeNames(), node.hasAttribute("x")) == (
        "a",
        "s",
        ["value"],
        False,
    )
    with pytest.raises(IRError, match="required keyword attribute 'value' has the wrong type"):
        node.i("value")
    with pytest.raises(IRError, match="required keyword attribute 'x' is undefined"):
        node.i("x")
    node.i_("axis", 2).f_("scale", 0.5).is_("dims", [1, 2])
    assert (node.i("axis"), node.f("scale"), node.is_("dims"), node.kindOf("dims")) == (2, 0.5, [1, 2], "is")
    constant = parse_graph(
        "graph():\n  %1 : Long(2, strides=[1]) = prim::Constant[value= 4  5 [ CPULongType{2} ]]()\n  return (%1)\n"
    )
    value = constant.findAllNodes("prim::Constant")[0].t("value")
    assert isinstance(value, bridge.Tensor)
    assert value.tolist() == [4, 5]
    assert next(constant.outputs()).toIValue().tolist() == [4, 5]
    assert next(constant.outputs()).type().sizes() == [2]
    assert next(constant.outputs()).type().scalarType() == "Long"
