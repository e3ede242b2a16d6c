"""Graph texts and literals: what torch prints, printed the same and read back."""

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.graphs import programs, rebuild, recorded

from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, FunctionType, InterfaceType
from bridge.ir.dtypes import by_name
from bridge.ir.errors import IRError, ParseError
from bridge.ir.graph import Block, Graph, Value
from bridge.ir.literals import literal, quoted
from bridge.ir.parser import parse_graph, parse_type
from bridge.ir.printer import print_graph, print_node, type_text
from bridge.ir.source import Source, SourceRange
from bridge.ir.tensor_text import OpaqueTensor, read_tensor, stream_text, tensor_text
from bridge.ir.value_text import value_text
from bridge.ir.verifier import verify


@pytest.mark.parametrize("program", programs())
def test_recorded_graphs_survive_parsing(program: str) -> None:
    seen = set()
    for record in recorded():
        if record["program"] != program:
            continue
        for name, text in {"": record["graph"], **record["passes"]}.items():
            if not text.startswith("error") and text not in seen:
                seen.add(text)
                g = parse_graph(text)
                if name != "lower_all_tuples":  # which leaves wrong types in torch
                    verify(g)
                assert print_graph(g) == text


def test_copies_and_names() -> None:
    for record in recorded()[:40]:
        g, _ = rebuild(record)
        copy = g.copy()
        verify(copy)
        # Names stay, numbers start again.
        named = [v.debug_name for n in g.all_nodes() for v in n.outputs if v.has_debug_name]
        assert [v.debug_name for n in copy.all_nodes() for v in n.outputs if v.has_debug_name] == named


# -- literals ----------------------------------------------------------------------------------------------------------

FLOATS = [
    (0.0, "0."), (-0.0, "-0."), (1.0, "1."), (-3.0, "-3."), (0.1, "0.10000000000000001"), (1e10, "10000000000"),
    (9999999999.0, "9999999999."), (1e20, "1e+20"), (1e-5, "1.0000000000000001e-05"), (2.5, "2.5"),
    (math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan"), (1 / 3, "0.33333333333333331"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), FLOATS)
def test_floats(value: float, text: str) -> None:
    assert literal(value) == text


VALUES: list[tuple[Any, T.Type | None, str]] = [
    (None, None, "None"),
    (True, None, "True"),
    (3, None, "3"),
    (1 + 2j, None, "1.+2.j"),
    (complex(-0.5, -1e-3), None, "-0.5-0.001j"),
    ("cpu", T.DEVICE, 'torch.device("cpu")'),
    ("a'b", None, '"a\\\'b"'),
    ([1, 2], T.ListType(T.INT), "[1, 2]"),
    ([], T.ListType(T.INT), "annotate(List[int], [])"),
    ([None, 1], T.ListType(T.optional(T.INT)), "annotate(List[Optional[int]], [None, 1])"),
    ((1,), None, "(1,)"),
    ((1, 2.0), None, "(1, 2.)"),
    ({"a": 1}, None, '{"a": 1}'),
    ({}, T.DictType(T.STR, T.INT), "annotate(Dict[str, int],{})"),
    (T.EnumValue(T.EnumType("__torch__.Color", T.INT, [("RED", 1)]), "RED"), None, "__torch__.Color.RED"),
]


@pytest.mark.parametrize(("value", "type", "text"), VALUES, ids=[v[2] for v in VALUES])
def test_literals(value: Any, type: T.Type | None, text: str) -> None:
    assert literal(value, type) == text


def test_what_has_no_text_is_refused() -> None:
    with pytest.raises(IRError, match="Graph has no text"):
        literal(Graph())


QUOTED = [
    ("", '""'), ("plain", '"plain"'), ('"\\', '"\\"\\\\"'), ("\n\t\r\a\b\f\v", '"\\n\\t\\r\\a\\b\\f\\v"'),
    ("é", '"\\0)+\\/.)"'), ("\x01\x7f", '"\\001\\177"'), ("\0", '"\\000"'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), QUOTED)
def test_quoted_strings(text: str, expected: str) -> None:
    assert quoted(text) == expected


@pytest.mark.oracle
@pytest.mark.parametrize("text", [q[0] for q in QUOTED])
def test_quoted_strings_are_torchs(text: str) -> None:
    torch = pytest.importorskip("torch")
    g = torch._C.Graph()
    n = g.create("prim::Constant")
    n.s_("value", text)
    g.insertNode(n)
    assert f"value={quoted(text)}]" in str(g)


SHOWN = [
    (1.0, "1."), (1e20, "1e+20"), (0.5, "0.5"), (True, "True"), ("a", "a"), ([1.0, "b"], "[1., b]"), ((1,), "(1,)"),
    ({"k": None}, "{k: None}"), (np.array([1.5, 2], np.float32), " 1.5000\n 2.0000\n[ CPUFloatType{2} ]"),
    (np.array(2, np.int64), "2\n[ CPULongType{} ]"), (1 - 1j, "1.-1.j"),
    (T.EnumValue(T.EnumType("__torch__.a.Color", T.INT, [("RED", 1)]), "RED"), "Enum<Color.RED>"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), SHOWN, ids=[s[1] for s in SHOWN])
def test_printed_values(value: Any, text: str) -> None:
    assert value_text(value) == text


# -- tensors -----------------------------------------------------------------------------------------------------------

TENSORS: list[tuple[Any, str]] = [
    (np.float32(1.5), "{1.5}"),
    (np.array([[True]]), "{1}"),
    (np.array(1 + 2j, np.complex64), "{(1,2)}"),
    (np.array([1, 2, 3]), " 1  2  3 [ CPULongType{3} ]"),
    (np.array([], np.float32), "[ CPUFloatType{0} ]"),
    (np.array([1, 2, 3.5], np.float32), " 1.0000  2.0000  3.5000 [ CPUFloatType{3} ]"),
    (np.array([-1, -200]), "  -1 -200 [ CPULongType{2} ]"),
    (np.array([1e-7, 2e-7], np.float32), "1e-07 *  1.0000  2.0000 [ CPUFloatType{2} ]"),
    (np.array([np.nan, 1.5, np.inf], np.float32), "    nan  1.5000     inf [ CPUFloatType{3} ]"),
    (np.ones((1, 2, 1, 2), np.float32), "(1,1,.,.) =   1  1  (1,2,.,.) =   1  1 [ CPUFloatType{1,2,1,2} ]"),
    (np.zeros(11), "<Tensor>"),
]


@pytest.mark.parametrize(("array", "text"), TENSORS, ids=[t[1] for t in TENSORS])
def test_tensors(array: Any, text: str) -> None:
    assert tensor_text(array) == text


def test_tensors_are_read_back() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        shape = tuple(rng.integers(1, 4, rng.integers(1, 4)))
        array = (rng.standard_normal(shape) * 10.0 ** rng.integers(-8, 8)).astype(np.float32)
        if array.size == 1 or array.size > 10:
            continue
        text = tensor_text(array)
        again = read_tensor(text)
        assert tensor_text(again) == text
        np.testing.assert_allclose(np.asarray(again), array, rtol=1e-3, atol=max(np.abs(array).max() * 1e-3, 1e-4))


def test_a_tensor_without_elements_stays_unknown() -> None:
    assert parse_graph("graph():\n  %0 : Tensor = prim::Constant[value=<Tensor>]()\n  return (%0)\n")
    with pytest.raises(IRError, match="no elements"):
        np.asarray(OpaqueTensor())
    with pytest.raises(ParseError, match="not the text of a tensor"):
        read_tensor("1 2 3")


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_tensor_texts_are_torchs(capfd: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    random.seed(0)
    torch.manual_seed(0)
    for _ in range(300):
        shape = [random.randint(1, 4) for _ in range(random.randint(1, 4))]
        t = torch.randn(shape, dtype=random.choice([torch.float, torch.double])) * 10 ** random.randint(-12, 12)
        t = t.round() if random.random() < 0.3 else t
        g = torch._C.Graph()
        n = g.create("prim::Constant")
        n.t_("value", t)
        g.insertNode(n)
        assert f"[value={tensor_text(t.numpy())}]" in str(g)

    @torch.jit.script
    def show(x):  # type: ignore[no-untyped-def]
        print(x)

    wide = torch.arange(60.0).reshape(2, 30) * 1e7
    show(wide)
    assert capfd.readouterr().out == stream_text(wide.numpy()) + "\n"


# -- types -------------------------------------------------------------------------------------------------------------

_POINT = T.TupleType(T.TENSOR, T.INT, name="__torch__.P", fields=["a", "b"])
_FLOAT32 = by_name("float32")
TYPES: list[tuple[T.Type, str]] = [
    (T.TENSOR, "Tensor"),
    (T.TensorType(_FLOAT32), "FloatTensor"),
    (T.TensorType(_FLOAT32, [2, None]), "Float(2, *)"),
    (T.TensorType(_FLOAT32, [2, 3], [3, 1], False, "cpu"), "Float(2, 3, strides=[3, 1], requires_grad=0, device=cpu)"),
    (T.TensorType(by_name("int64"), [], None, False, "cpu"), "Long(requires_grad=0, device=cpu)"),
    (T.TensorType(None, None, None, True), "Tensor(requires_grad=1)"),
    (T.TensorType(_FLOAT32, ["batch", 3]), "Float(batch, 3)"),
    (T.ListType(T.optional(T.INT)), "int?[]"),
    (T.TupleType(T.TENSOR, T.TupleType()), "(Tensor, ())"),
    (T.DictType(T.STR, T.ListType(T.TENSOR)), "Dict(str, Tensor[])"),
    (T.FutureType(T.TENSOR), "Future[Tensor]"),
    (T.UnionType(T.INT, T.STR), "Union(int, str)"),
    (_POINT, "NamedTuple(a : Tensor, b : int)"),
    (T.ListType(_POINT), "NamedTuple(a : Tensor, b : int)[]"),
    (T.DictType(T.INT, _POINT), "Dict(int, __torch__.P)"),
    (T.EnumType("__torch__.Color", T.INT, []), "Enum<__torch__.Color>"),
    (ClassType("__torch__.M"), "__torch__.M"),
    (InterfaceType("__torch__.I"), "InterfaceType<I>"),
    (FunctionType(Function("__torch__.f")), "Function"),
]


@pytest.mark.parametrize(("t", "text"), TYPES, ids=[t[1] for t in TYPES])
def test_types(t: T.Type, text: str) -> None:
    assert type_text(t) == text
    names = {
        n.name: n for n in t.walk() if isinstance(n, T.TupleType | T.EnumType | ClassType | InterfaceType) if n.name
    }
    again = parse_type(text, names)  # type: ignore[arg-type]
    assert type_text(again) == text
    if not isinstance(t, FunctionType) and text != "Dict(int, __torch__.P)":
        assert again == t


# -- nodes -------------------------------------------------------------------------------------------------------------


def test_every_kind_of_attribute() -> None:
    g = Graph()
    x = g.add_input("x")
    inner = Graph()
    inner.add_output(inner.add_input("y"))
    n = g.insert(g.create("test::all", [x], 2, i=1, f=0.5, b=True, s="a\n", c=1j, t=np.ones(2, np.float32), ty=T.INT,
                          tys=[T.INT, T.TENSOR], ints=[1, 2], floats=[0.5], strings=["a"], g=inner, none=[]))  # fmt: skip
    n.scope = "__module.a"
    n.range = SourceRange(Source("", "file.py", 3, 4), 0, 0)
    g.add_output(n.outputs[0])
    assert print_node(n) == (
        '%1 : Tensor, %2 : Tensor = test::all[i=1, f=0.5, b=1, s="a\\n", c=0.+1.j, t= 1  1 [ CPUFloatType{2} ], ty=int, '
        'tys=[int, Tensor], ints=[1, 2], floats=[0.5], strings=["a"], g=<Graph>, none=annotate(List[Tensor], [])](%x), '
        "scope: __module.a # file.py:3:4"
    )


def test_subgraphs_and_python_calls() -> None:
    text = (
        "graph(%x : Tensor):\n"
        "  %1 : Future[Tensor] = prim::fork_0(%x)\n"
        "  %2 : Tensor = aten::wait(%1)\n"
        "  %3 : Tensor = ^ignored[]()(%2)\n"
        "  return (%3)\n"
        "with prim::fork_0 = graph(%y : Tensor):\n"
        "  %1 : Tensor = aten::relu(%y)\n"
        "  return (%1)\n"
    )
    g = parse_graph(text)
    assert [n.kind for n in g.nodes] == ["prim::fork", "aten::wait", "prim::PythonOp"]
    assert print_graph(g) == text


def test_names_are_given() -> None:
    relu = Function("__torch__.torch.nn.functional.relu")
    text = (
        "graph(%self : __torch__.M, %p : NamedTuple(a : Tensor, b : int)):\n"
        '  %2 : Function = prim::Constant[name="relu"]()\n'
        "  %3 : Enum<__torch__.Color> = prim::Constant[value=__torch__.Color.RED]()\n"
        '  %w : Tensor = prim::GetAttr[name="w"](%self)\n'
        "  %5 : Tensor = prim::CallFunction(%2, %w)\n"
        "  return (%5)\n"
    ).replace(", %p", ",\n      %p")
    color = T.EnumType("__torch__.Color", T.INT, [("RED", 1)])
    module = ClassType("__torch__.M", is_module=True)
    g = parse_graph(text, {"relu": relu, "__torch__.Color": color, "__torch__.P": _POINT, "__torch__.M": module})
    assert g.inputs[0].type is module
    assert g.inputs[1].type is _POINT
    call = next(n for n in g.nodes if n.kind == "prim::CallFunction")
    assert call.inputs[0].type == FunctionType(relu)
    placeholder = parse_graph(text).inputs[0].type
    assert isinstance(placeholder, ClassType)
    assert list(placeholder.attributes) == ["w"]


BROKEN = [
    ("graph(%x):\n  %y = aten::relu(%z)\n  return (%x)\n", r"line 2, column 21: %z is not defined here"),
    ("graph(%x):\n  %x = aten::relu(%x)\n  return (%x)\n", r"line 2, column 5: %x is defined twice"),
    ("graph(%x : Tensr[):\n  return (%x)\n", r"line 1, column 17: expected"),
    ("graph(%x):\n  return (%x)\nmore\n", r"line 3, column 1: unexpected text after the graph"),
    ("graph(%x):\n  %y : int = prim::Constant[value=oops]()\n  return (%y)\n", r"'oops' is not a value"),
    ("nothing", "line 1, column 1: expected 'graph\\('"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=[b[1] for b in BROKEN])
def test_broken_texts(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse_graph(text)


# -- generated graphs --------------------------------------------------------------------------------------------------

_SCALARS = st.sampled_from([T.INT, T.FLOAT, T.BOOL, T.STR, T.TENSOR, T.DEVICE, T.NUMBER, T.COMPLEX, T.ANY])
_ANY_TYPE = st.recursive(
    st.one_of(_SCALARS, st.sampled_from([t for t, _ in TYPES if isinstance(t, T.TensorType)])),
    lambda inner: st.one_of(
        inner.map(T.ListType), inner.map(T.optional), st.lists(inner, max_size=3).map(lambda e: T.TupleType(*e)),
        st.tuples(st.sampled_from([T.INT, T.STR]), _SCALARS).map(lambda kv: T.DictType(*kv)), inner.map(T.FutureType),
    ),
    max_leaves=4,
)  # fmt: skip
_CONSTANT: st.SearchStrategy[Any] = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), st.text(max_size=8), st.complex_numbers(),
    st.lists(st.integers(-9, 9), min_size=1, max_size=3), st.lists(st.floats(-1, 1), min_size=1, max_size=3),
)  # fmt: skip
_NAME = st.from_regex(r"[a-z_][a-z0-9_]{0,5}(\.[0-9]{1,2})?", fullmatch=True)


def _fill(draw: st.DrawFn, block: Block, values: list[Value], depth: int) -> None:
    g = block.graph
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(
            st.sampled_from(["aten::f", "prim::Constant", "prim::If"] if depth else ["aten::f", "prim::Constant"])
        )
        inputs = draw(st.lists(st.sampled_from(values), max_size=3)) if values and kind == "aten::f" else []
        n = g.create(kind, inputs, draw(st.integers(0, 2)) if kind == "aten::f" else 1)
        if kind == "prim::Constant":
            n["value"] = draw(_CONSTANT)
            v = n["value"]
            n.output.type = T.ListType(T.FLOAT if isinstance(v[0], float) else T.INT) if isinstance(v, list) else {
                bool: T.BOOL, int: T.INT, float: T.FLOAT, str: T.STR, complex: T.COMPLEX}[type(v)]  # fmt: skip
        else:
            for o in n.outputs:
                o.type = draw(_ANY_TYPE)
        for o in n.outputs:
            if draw(st.booleans()):
                o.set_debug_name(draw(_NAME))
        if draw(st.booleans()):
            n.range = SourceRange(Source("", "dir/a file.py", draw(st.integers(1, 99)), draw(st.integers(0, 9))), 0, 0)
        if draw(st.booleans()):
            n.scope = "__module.a/__module.a.b"
        block.append(n)
        if kind == "prim::If":
            for _ in range(2):
                b = n.add_block()
                _fill(draw, b, list(values), depth - 1)
                b.add_output(draw(st.sampled_from(values))) if values else None
        values.extend(n.outputs)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    g = Graph()
    for _ in range(draw(st.integers(0, 3))):
        g.add_input(draw(st.one_of(st.just(""), _NAME)), draw(_ANY_TYPE))
    values = list(g.inputs)
    _fill(draw, g.block, values, 2)
    for v in draw(st.lists(st.sampled_from(values), max_size=2)) if values else ():
        g.add_output(v)
    return g


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_printing_and_parsing_is_the_identity(g: Graph) -> None:
    text = print_graph(g)
    assert print_graph(parse_graph(text)) == text
