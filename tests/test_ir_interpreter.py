"""The interpreter: recorded programs give torch's results; control flow, objects, calls and errors one by one."""

from typing import Any

import numpy as np
import pytest
from support.graphs import World, decoded, recorded

from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, FunctionType, ScriptObject
from bridge.ir.errors import Error, IRError, UnsupportedError
from bridge.ir.graph import Graph
from bridge.ir.interpreter import prepare, run
from bridge.ir.interpreter_steps import make_exception, set_foreign
from bridge.ir.parser import parse_graph
from bridge.ir.registry import Operator
from bridge.ir.schema import Argument, Schema
from bridge.ir.source import Source, SourceRange
from bridge.ir.type_tests import is_instance


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True)
    if isinstance(a, float):
        return isinstance(b, float) and (a != a or abs(a - b) <= 1e-6 * max(1, abs(a)))  # noqa: PLR0124
    return type(a) is type(b) and a == b


RUNS = [(r, args, result) for r in recorded() for args, result in r.get("runs", ()) if len(args) == len(r["arguments"])]


@pytest.mark.parametrize(
    ("record", "args", "result"), RUNS, ids=[f"{r['program']}-{i}" for i, (r, *_) in enumerate(RUNS)]
)
def test_as_torch(record: dict[str, Any], args: list[Any], result: Any, world: World) -> None:
    f = world.find(record["qualified"])
    try:
        got = run(f.graph, [decoded(a) for a in args])[0]
    except UnsupportedError as e:
        if "there is no kernel" not in e.message:
            raise
        pytest.skip(e.message)
    assert _same(decoded(result), got)


# -- one thing at a time -----------------------------------------------------------------------------------------------


def _run(text: str, *inputs: Any) -> Any:
    return run(parse_graph(text.replace("; ", "\n  ").replace("graph(", "graph(", 1)), inputs)


CONSTANTS = "%t : bool = prim::Constant[value=1](); %one : int = prim::Constant[value=1]()"

BODIES: list[tuple[str, str, list[Any], list[Any]]] = [
    (
        "a counted loop",
        (
            f"graph(%n : int):\n  {CONSTANTS}; %s : int = prim::Loop(%n, %t, %one)\n    block0(%i : int, %p : int):\n"
            "      %q : int = aten::add(%p, %i)\n      -> (%t, %q)\n  return (%s)\n"
        ),
        [4],
        [7],
    ),
    (
        "a loop that swaps",
        (
            f"graph(%n : int):\n  {CONSTANTS}; %a : int, %b : int = prim::Loop(%n, %t, %n, %one)\n"
            "    block0(%i : int, %p : int, %q : int):\n      -> (%t, %q, %p)\n  return (%a, %b)\n"
        ),
        [3],
        [1, 3],
    ),
    (
        "an if",
        (
            "graph(%c : bool):\n  %r : str = prim::If(%c)\n    block0():\n"
            '      %a : str = prim::Constant[value="yes"]()\n      -> (%a)\n    block1():\n'
            '      %b : str = prim::Constant[value="no"]()\n      -> (%b)\n  return (%r)\n'
        ),
        [False],
        ["no"],
    ),
    (
        "tuples",
        (
            "graph(%x : int):\n  %one : int = prim::Constant[value=1](); %u : (int, int) = prim::TupleConstruct(%x, %one); "
            "%i : int = prim::TupleIndex(%u, %one); %v : (int) = prim::TupleSlice[beg=0, end=1](%u); "
            "%a : int, %b : int = prim::TupleUnpack(%u)\n  return (%i, %v, %a, %b)\n"
        ),
        [5],
        [1, (5,), 5, 1],
    ),
    (
        "lists and dicts",
        (
            'graph(%x : int):\n  %k : str = prim::Constant[value="k"](); %l : int[] = prim::ListConstruct(%x, %x); '
            "%a : int, %b : int = prim::ListUnpack(%l); %d : Dict(str, int) = prim::DictConstruct(%k, %x)\n"
            "  return (%l, %b, %d)\n"
        ),
        [5],
        [[5, 5], 5, {"k": 5}],
    ),
    (
        "isinstance and casts",
        (
            "graph(%x : Any):\n  %a : bool = prim::isinstance[types=[int, str]](%x); %b : int = prim::unchecked_cast(%x)\n"
            "  return (%a, %b)\n"
        ),
        [5],
        [True, 5],
    ),
    (
        "a fork is waited for",
        (
            "graph(%x : int):\n  %f : Future[int] = prim::fork_0(%x); %y : int = aten::wait(%f)\n  return (%y)\n"
            "with prim::fork_0 = graph(%y : int):\n  %z : int = aten::add(%y, %y)\n  return (%z)\n"
        ),
        [5],
        [10],
    ),
]


@pytest.mark.parametrize(("what", "text", "inputs", "outputs"), BODIES, ids=[b[0] for b in BODIES])
def test_one_body(what: str, text: str, inputs: list[Any], outputs: list[Any]) -> None:
    assert _run(text, *inputs) == outputs


def test_list_constants_are_new_in_every_run() -> None:
    g = parse_graph("graph():\n  %l : int[] = prim::Constant[value=[1, 2]]()\n  return (%l)\n")
    first = run(g, [])[0]
    first.append(3)
    assert run(g, []) == [[1, 2]]


def test_printing(capsys: pytest.CaptureFixture[str]) -> None:
    _run(
        "graph(%x : float,\n      %y : Tensor):\n   = prim::Print(%x, %y)\n  return (%x)\n", 1.0, np.ones(1, np.float32)
    )
    assert capsys.readouterr().out == "1.  1\n[ CPUFloatType{1} ]\n"


# -- objects and calls -------------------------------------------------------------------------------------------------


def _counter() -> ClassType:
    t = ClassType("__torch__.Counter")
    t.add_attribute("n", T.INT)
    for name, body in {
        "__init__": '   = prim::SetAttr[name="n"](%self, %by)\n  %none : NoneType = prim::Constant()\n  return (%none)\n',
        "add": '  %n : int = prim::GetAttr[name="n"](%self)\n  %m : int = aten::add(%n, %by)\n'
        '   = prim::SetAttr[name="n"](%self, %m)\n  return (%m)\n',
    }.items():
        g = parse_graph(f"graph(%self : __torch__.Counter,\n      %by : int):\n{body}", {"__torch__.Counter": t})
        t.add_method(Function(f"__torch__.Counter.{name}", g))
    return t


def test_objects() -> None:
    t = _counter()
    g = parse_graph(
        "graph(%x : int):\n  %c : __torch__.Counter = prim::CreateObject()\n"
        '  %i : NoneType = prim::CallMethod[name="__init__"](%c, %x)\n'
        '  %a : int = prim::CallMethod[name="add"](%c, %x)\n  return (%a, %c)\n',
        {"__torch__.Counter": t},
    )
    total, made = run(g, [4])
    assert total == 8
    assert isinstance(made, ScriptObject)
    assert made.attributes == {"n": 8}


def test_with_statements() -> None:
    t = _counter()
    for name, count in {"__enter__": 0, "__exit__": 3}.items():
        extra = "".join(f",\n      %a{i} : Any" for i in range(count))
        g = parse_graph(
            f"graph(%self : __torch__.Counter{extra}):\n  %one : int = prim::Constant[value=1]()\n"
            '  %r : int = prim::CallMethod[name="add"](%self, %one)\n  return (%r)\n',
            {"__torch__.Counter": t},
        )
        t.add_method(Function(f"__torch__.Counter.{name}", g))
    text = (
        "graph(%c : __torch__.Counter,\n      %s : str):\n  %v : int = prim::Enter(%c)\n"
        "   = prim::RaiseException(%s, %s)\n  %e : Tensor = prim::Exit(%c)\n  return (%v)\n"
    )
    counter = ScriptObject(t, {"n": 5})
    names = {"__torch__.Counter": t}
    assert run(parse_graph(text.replace("   = prim::RaiseException(%s, %s)\n", ""), names), [counter, ""]) == [6]
    assert counter.attributes == {"n": 7}
    with pytest.raises(ValueError, match=r"builtins\.ValueError"):
        run(parse_graph(text, names), [counter, "builtins.ValueError"])
    assert counter.attributes == {"n": 9}  # left, although it raised


def test_recursion() -> None:
    f = Function("__torch__.f")
    text = (
        'graph(%n : int):\n  %f : Function = prim::Constant[name="f"]()\n  %one : int = prim::Constant[value=1]()\n'
        "  %c : bool = aten::le(%n, %one)\n  %r : int = prim::If(%c)\n    block0():\n      -> (%one)\n    block1():\n"
        "      %m : int = aten::sub(%n, %one)\n      %p : int = prim::CallFunction(%f, %m)\n"
        "      %q : int = aten::mul(%n, %p)\n      -> (%q)\n  return (%r)\n"
    )
    f.graph = parse_graph(text, {"f": f})
    assert run(f.graph, [5]) == [120]


def test_operators_go_to_the_caller() -> None:
    g = parse_graph(
        "graph(%x : Tensor,\n      %n : int):\n  %c : Tensor = prim::Constant[value={2}]()\n"
        "  %m : int = aten::add(%n, %n)\n  %y : Tensor = aten::mul(%x, %c)\n  return (%y, %m)\n"
    )
    called = []

    def call(o: Operator, args: list[Any]) -> Any:
        called.append((o.schema.full_name, args))
        return "result"

    assert run(g, ["x", 3], call, lambda a: f"tensor {a}") == ["result", 6]
    assert called == [("aten::mul.Tensor", ["x", "tensor 2"])]


def test_foreign_operators() -> None:
    set_foreign("test_twice", lambda n: lambda x: (x, x))
    assert _run("graph(%x : Tensor):\n  %a : Tensor, %b : Tensor = test_twice::F(%x)\n  return (%b, %a)\n", 1) == [1, 1]


# -- errors ------------------------------------------------------------------------------------------------------------

EXCEPTIONS: list[tuple[str, str | None, type[Exception], str]] = [
    ("no", "builtins.ValueError", ValueError, "no"),
    ("no", None, RuntimeError, "no"),
    ("AssertionError: no", None, AssertionError, "no"),
    ("no", "nowhere.Odd", RuntimeError, "Odd: no"),
    ("no", "builtins.print", RuntimeError, "print: no"),
    ("no", "builtins.SystemExit", RuntimeError, "SystemExit: no"),
    ("no", "builtins.UnicodeDecodeError", RuntimeError, "UnicodeDecodeError: no"),
]


@pytest.mark.parametrize(("message", "name", "kind", "text"), EXCEPTIONS, ids=[str(e[1]) for e in EXCEPTIONS])
def test_exceptions(message: str, name: str | None, kind: type[Exception], text: str) -> None:
    e = make_exception(message, name)
    assert isinstance(e, kind)
    assert isinstance(e, Error)
    assert type(e).__name__ == kind.__name__
    assert str(e) == text


def test_errors_name_the_line() -> None:
    g = parse_graph("graph(%x : int,\n      %y : int):\n  %z : int = aten::floordiv(%x, %y)\n  return (%z)\n")
    next(iter(g.nodes)).range = SourceRange(Source("z = x // y", "model.py", 3), 4, 10)
    with pytest.raises(Exception, match="zero") as e:
        run(g, [1, 0])
    assert e.value.__notes__ == ["in aten::floordiv, at model.py:3:5\nz = x // y\n    ^^^^^^"]


def test_what_cannot_run() -> None:
    with pytest.raises(UnsupportedError, match="there is no kernel for odd::op of \\(Tensor\\)"):
        _run("graph(%x : Tensor):\n  %y : Tensor = odd::op(%x)\n  return (%y)\n", 1)
    with pytest.raises(IRError, match="the graph takes 1 inputs, not 0"):
        _run("graph(%x : Tensor):\n  return (%x)\n")
    with pytest.raises(RuntimeError, match="Expected 2 elements in a list but found 1"):
        _run("graph(%x : int[]):\n  %a : int, %b : int = prim::ListUnpack(%x)\n  return (%a)\n", [1])


def test_programs_are_prepared_once() -> None:
    g = parse_graph("graph(%x : int):\n  %y : int = aten::add(%x, %x)\n  return (%y)\n")
    first = prepare(g)
    assert prepare(g) is first
    g.return_node.replace_input(0, g.add("aten::mul", g.inputs[0], g.inputs[0], type=T.INT))
    assert run(g, [5]) == [25]


INSTANCES: list[tuple[Any, T.Type, T.Type, bool]] = [
    (1, T.ANY, T.INT, True),
    (True, T.ANY, T.INT, False),
    (1.0, T.ANY, T.INT, False),
    (None, T.ANY, T.NONE, True),
    ("cpu", T.DEVICE, T.DEVICE, True),
    ("cpu", T.STR, T.DEVICE, False),
    ([1], T.ListType(T.INT), T.ListType(T.INT), True),
    ([1], T.ListType(T.INT), T.ListType(T.FLOAT), False),
    ([1], T.ANY, T.ListType(T.INT), True),
    ([], T.ListType(T.INT), T.VarType("AnyList"), True),
    ((1, "a"), T.ANY, T.TupleType(T.INT, T.STR), True),
    ((1, "a"), T.ANY, T.TupleType(T.INT), False),
    ({"a": 1}, T.ANY, T.DictType(T.STR, T.INT), True),
    (np.zeros(1), T.ANY, T.TENSOR, True),
    (np.zeros(1), T.ANY, T.optional(T.TENSOR), True),
    (3, T.ANY, T.UnionType(T.STR, T.INT), True),
]


@pytest.mark.parametrize(("value", "declared", "t", "expected"), INSTANCES)
def test_isinstance(value: Any, declared: T.Type, t: T.Type, expected: bool) -> None:
    assert is_instance(value, declared, [t]) is expected


def test_function_constants_need_no_value() -> None:
    f = Function("__torch__.f", Graph(), Schema("f", "", [], [Argument("", T.NONE)]))
    g = Graph()
    g.add_output(g.add("prim::Constant", type=FunctionType(f), name="f"))
    assert run(g, []) == [f]
