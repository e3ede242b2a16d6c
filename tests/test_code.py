"""``.code``: every recorded function prints as torch prints it; and the pieces that no recorded function has."""

import difflib
from typing import Any

import numpy as np
import pytest
from support.graphs import function, programs, recorded

from bridge.exporters.python import SourcePrinter, print_function
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, InterfaceType
from bridge.ir.errors import IRError
from bridge.ir.graph import Graph, Value
from bridge.ir.parser import parse_graph
from bridge.ir.schema import REQUIRED, Argument, Schema
from bridge.ir.source import Source, SourceRange


@pytest.mark.parametrize("program", programs())
def test_as_torch(program: str) -> None:
    for record in recorded():
        if record["program"] == program and not record.get("inlined"):
            got = print_function(function(record), method=record["method"])
            assert got == record["code"], "\n".join(
                difflib.unified_diff(record["code"].splitlines(), got.splitlines(), "torch", "bridge", lineterm="")
            )


def _function(text: str, names: dict[str, Any] | None = None, returns: T.Type = T.TENSOR) -> Function:
    g = parse_graph(text, names)
    arguments = [Argument(v.debug_name_base, T.unshaped(v.type)) for v in g.inputs]
    return Function("__torch__.f", g, Schema("f", "", arguments, [Argument("", returns)]))


def _code(text: str, names: dict[str, Any] | None = None, returns: T.Type = T.TENSOR) -> list[str]:
    return print_function(_function(text, names, returns)).splitlines()[1:]


BODIES: list[tuple[str, str, list[str]]] = [
    ("a name that is reserved", ("graph(%x : Tensor):\n  %is : Tensor = aten::relu(%x)\n"
     "  %y : Tensor = aten::add(%is, %is, %is)\n  return (%y)\n"),
     ["  is0 = torch.relu(x)", "  return torch.add(is0, is0, is0)"]),
    ("a name that is no identifier", ("graph(%x : Tensor):\n  %a.b-1.2 : Tensor = aten::relu(%x)\n"
     "  %y : Tensor = test::f(%a.b-1.2, %a.b-1.2)\n  return (%y)\n"),
     ["  a_b_1 = torch.relu(x)", "  return ops.test.f(a_b_1, a_b_1)"]),
    ("attributes of foreign operators", ("graph(%x : Tensor):\n"
     '  %y : Tensor = onnx::Gemm[alpha=0.5, transB=1, mode="a"](%x, %x)\n  return (%y)\n'),
     ['  y = ops.onnx.Gemm(x, x, alpha=0.5, transB=1, mode="a")', "  return y"]),
    ("an attribute that is no identifier", ("graph(%x : __torch__.M):\n"
     '  %_0 : Tensor = prim::GetAttr[name="0"](%x)\n  %y : Tensor = aten::add_(%_0, %_0, %_0)\n  return (%y)\n'),
     ['  _0 = getattr(x, "0")', "  return torch.add_(_0, _0, _0)"]),
    ("the wait for a future", "graph(%x : Future[Tensor]):\n  %y : Tensor = aten::wait(%x)\n  return (%y)\n",
     ["  return torch.wait(x)"]),
    ("unpacking to one value", "graph(%x : (Tensor)):\n  %y : Tensor = prim::TupleUnpack(%x)\n  return (%y)\n",
     ["  y, = x", "  return y"]),
    ("an empty branch", ("graph(%c : bool,\n      %x : Tensor):\n   = prim::If(%c)\n    block0():\n       = prim::Print(%x)\n"
     "      -> ()\n    block1():\n      -> ()\n  return (%x)\n"),
     ["  if c:", "    print(x)", "  else:", "    pass", "  return x"]),
    ("a container of modules", ("graph(%l : __torch__.L,\n      %i : int):\n"
     "  %m : __torch__.I = prim::ModuleContainerIndex(%l, %i)\n  return (%m)\n"),
     ["  m : __torch__.I = l[i]", "  return m"]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "text", "lines"), BODIES, ids=[b[0] for b in BODIES])
def test_one_body(what: str, text: str, lines: list[str]) -> None:
    code = _code(text)
    assert code[len(code) - len(lines) :] == lines


def test_a_long_chain_needs_no_recursion() -> None:
    g = Graph()
    y: Value = g.add_input("x")
    for _ in range(5000):
        y = g.add("aten::relu", y)
    g.add_output(y)
    f = Function("__torch__.f", g, Schema("f", "", [Argument("x", T.TENSOR)], [Argument("", T.TENSOR)]))
    text = print_function(f)
    assert text.startswith("def f(x: Tensor) -> Tensor:\n  _0 = torch.relu(")
    assert max(map(len, text.splitlines())) < 80


def test_a_loop_with_count_and_condition_is_refused() -> None:
    f = _function(
        "graph(%n : int,\n      %c : bool):\n   = prim::Loop(%n, %c)\n    block0(%i : int):\n      -> (%c)\n  return (%n)\n"
    )
    with pytest.raises(IRError, match="both a count and a condition"):
        print_function(f)


def test_constants_are_collected_once() -> None:
    g = Graph()
    a = g.constant(np.ones(2, np.float32))
    b = g.constant(np.ones(2, np.float32))
    c = g.constant(np.ones(2, np.float64))
    d = g.constant("é")
    g.add_output(g.add("test::f", a, b, c, d))
    f = Function("__torch__.f", g, Schema("f", "", [], [Argument("", T.TENSOR)]))
    constants: list[Any] = []
    assert print_function(f, constants).splitlines()[1:] == [
        "  _0 = ops.test.f(CONSTANTS.c0, CONSTANTS.c0, CONSTANTS.c1, CONSTANTS.c2)",
        "  return _0",
    ]
    assert [getattr(v, "dtype", v) for v in constants] == [np.float32, np.float64, "é"]


def test_defaults_of_arguments() -> None:
    g = Graph()
    arguments = [
        Argument("x", T.TENSOR), Argument("n", T.INT, 3), Argument("s", T.STR, "a"), Argument("f", T.FLOAT, 0.1),
        Argument("k", T.ListType(T.INT), 2, size=2), Argument("o", T.optional(T.INT), None),
    ]  # fmt: skip
    for a in arguments:
        g.add_input(a.name, a.type)
    g.add_output(g.inputs[0])
    f = Function("__torch__.f", g, Schema("f", "", arguments, [Argument("", T.TENSOR)]))
    assert print_function(f) == (
        'def f(x: Tensor,\n    n: int=3,\n    s: str="a",\n    f: float=0.10000000000000001,\n    k: List[int]=[2, 2],\n'
        "    o: Optional[int]=None) -> Tensor:\n  return x\n"
    )
    assert arguments[0].default is REQUIRED


# -- classes and archives ----------------------------------------------------------------------------------------------


def _module() -> ClassType:
    inner = ClassType("__torch__.nn.Inner", is_module=True)
    m = ClassType("__torch__.M", is_module=True)
    m.add_attribute("0", inner)
    m.add_attribute("weight", T.TENSOR, is_parameter=True)
    m.add_attribute("seen", T.TENSOR, is_buffer=True)
    m.add_attribute("training", T.BOOL)
    m.constants["sizes"] = (1, 2)
    g = parse_graph(
        "graph(%self : __torch__.M,\n      %x : Tensor):\n"
        '  %_0 : __torch__.nn.Inner = prim::GetAttr[name="0"](%self)\n'
        '  %y : Tensor = prim::CallMethod[name="forward"](%_0, %x)\n  return (%y)\n',
        {"__torch__.M": m, "__torch__.nn.Inner": inner},
    )
    node = next(iter(g.nodes))
    node.range = SourceRange(Source("self.a(x)", "m.py", 3), 0, 6)
    arguments = [Argument("self", m), Argument("x", T.TENSOR)]
    m.add_method(Function("__torch__.M.forward", g, Schema("forward", "", arguments, [Argument("", T.TENSOR)])))
    return m


def test_a_module_class() -> None:
    dependencies: list[Any] = []
    p = SourcePrinter([], dependencies)
    m = _module()
    p.print_type(m)
    assert p.text == (
        "class M(Module):\n"
        '  __parameters__ = ["weight", ]\n'
        '  __buffers__ = ["seen", ]\n'
        "  __annotations__ = []\n"
        '  __annotations__["0"] = __torch__.nn.Inner\n'
        "  weight : Tensor\n"
        "  seen : Tensor\n"
        "  training : bool\n"
        "  sizes : Final[Tuple[int, int]] = (1, 2)\n"
        "  def forward(self: __torch__.M,\n"
        "    x: Tensor) -> Tensor:\n"
        '    _0 = getattr(self, "0")\n'
        "    return (_0).forward(x, )\n"
    )
    assert dependencies == [m.attributes["0"].type, m]
    assert p.ranges[0] == (0, None)
    offset = p.text.index("getattr")
    assert [r.file_line_col() for at, r in p.ranges if r is not None and at <= offset] == [("m.py", 3, 0)]
    # The method of a class prints without the type of self.
    assert print_function(m.methods["forward"]).startswith("def forward(self,\n    x: Tensor)")


def test_types_may_be_renamed() -> None:
    p = SourcePrinter(type_name=lambda t: f"renamed.{t.name}" if isinstance(t, ClassType) else None)
    p.print_type(_module())
    assert '__annotations__["0"] = renamed.__torch__.nn.Inner' in p.text
    assert "def forward(self: renamed.__torch__.M," in p.text


def test_other_named_types() -> None:
    interface = InterfaceType("__torch__.I", is_module=True)
    arguments = [Argument("self", interface), Argument("x", T.TENSOR)]
    interface.methods["forward"] = Schema("forward", "", arguments, [Argument("", T.TENSOR)])
    p = SourcePrinter()
    p.print_type(interface)
    p.print_type(T.TupleType(T.TENSOR, T.ListType(T.INT), name="__torch__.P", fields=["a", "b"]))
    p.print_type(T.EnumType("__torch__.Color", T.STR, [("RED", "r")]))
    p.print_type(T.EnumType("__torch__.Level", T.FLOAT, [("LOW", 1.0)]))
    assert p.text == (
        "class I(ModuleInterface):\n  def forward(self, x: Tensor) -> Tensor:\n    pass\n"
        "class P(NamedTuple):\n  a : Tensor\n  b : List[int]\n"
        'class Color(Enum):\n  RED = "r"\n'
        "class Level(Enum):\n  LOW = 1.\n"
    )
    with pytest.raises(IRError, match="has no definition"):
        p.print_type(T.INT)
