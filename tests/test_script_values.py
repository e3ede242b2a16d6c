"""What crosses between Python and a program: lists, dicts, class instances, futures, exceptions."""

import typing
import warnings
from typing import Any, Optional

import pytest

import bridge as torch
from bridge import nn

pytestmark = pytest.mark.filterwarnings("ignore::bridge.runtime.executor.InterpreterWarning")


@torch.jit.script
class Counter:
    def __init__(self, start: int, names: list[str]):
        self.count = start
        self.names = names

    def step(self) -> int:
        self.count += 1
        return self.count


@torch.jit.script
def step_twice(c: Counter) -> int:
    c.step()
    return c.step()


@torch.jit.script
def make(start: int) -> Counter:
    return Counter(start, ["a"])


@torch.jit.script
def all_of(cs: list[Counter]) -> int:
    total = 0
    for c in cs:
        total += c.count
    return total


def test_instances_go_in_as_copies_and_come_out_as_the_class() -> None:
    c = Counter(3, ["x"])
    assert step_twice(c) == 5
    assert c.count == 3
    assert all_of([c, c]) == 6
    made = make(7)
    assert type(made) is Counter
    assert (made.count, made.names) == (7, ["a"])
    assert made.step() == 8


def test_an_instance_that_lacks_an_attribute() -> None:
    c = Counter(1, [])
    del c.names
    with pytest.raises(
        RuntimeError, match=r"Tried to cast object to type __torch__.*Counter but object was missing attribute names"
    ):
        step_twice(c)
    c.names = [1]
    with pytest.raises(RuntimeError, match=r"Could not cast attribute 'names' to type List\[str\]"):
        step_twice(c)


class Settings:
    def __init__(self, scale: float):
        self.scale = scale

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale


class Holder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.settings = Settings(2.5)
        self.sizes = [1, 2]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(3)
        return self.settings.apply(x) + len(self.sizes)


def test_a_module_holds_an_instance() -> None:
    m = torch.jit.script(Holder())
    assert m(torch.ones(1)).item() == 5.5
    assert m(torch.ones(1)).item() == 6.5
    assert type(m.settings) is Settings
    m.sizes.append(0)  # a copy
    assert m.sizes == [1, 2, 3, 3]


@torch.jit.script
def push(values: list[int], table: dict[str, int]) -> int:
    values.append(len(table))
    table["new"] = 1
    return len(values)


class Log(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.seen = [0]
        self.named = {"a": 1}
        self.nested = [[1], [2]]

    def add(self, to: list[int]) -> list[int]:
        to.append(9)
        return to

    @torch.jit.export
    def by_method(self, x: torch.Tensor) -> torch.Tensor:
        self.add(self.seen)
        return x + len(self.seen)

    @torch.jit.export
    def by_branch(self, x: torch.Tensor) -> torch.Tensor:
        chosen = self.seen
        if x.sum() > 0:
            chosen = self.nested[0]
        for _ in range(2):
            chosen.append(3)
        return x + len(self.seen) + len(self.nested[0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.named["b"] = 2
        return x + len(self.named)


def test_containers_of_a_module_that_its_methods_change() -> None:
    m, eager = torch.jit.script(Log()), Log()
    for x in (torch.ones(1), -torch.ones(1), torch.ones(1)):
        for name in ("forward", "by_method", "by_branch"):
            assert getattr(m, name)(x).item() == getattr(eager, name)(x).item()
            assert (m.seen, m.named, m.nested) == (eager.seen, eager.named, eager.nested)
    with pytest.raises(Exception, match="the dict 'named' of the module is changed here"):
        torch.onnx.export(m, (torch.ones(1),))


def test_plain_containers_are_copied_and_scripted_ones_shared() -> None:
    values, table = [5], {"a": 1}
    assert push(values, table) == 2
    assert (values, table) == ([5], {"a": 1})
    shared_values, shared_table = torch.jit.script(values), torch.jit.script(table)
    assert push(shared_values, shared_table) == 2
    assert (shared_values, shared_table) == ([5, 1], {"a": 1, "new": 1})


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (lambda v, t: v.append("x"), TypeError),
        (lambda v, t: v.extend([1, "x"]), TypeError),
        (lambda v, t: v.insert(0, "x"), TypeError),
        (lambda v, t: v.__setitem__(0, "x"), TypeError),
        (lambda v, t: v.count("x"), TypeError),
        (lambda v, t: v.remove("x"), TypeError),
        (lambda v, t: "x" in v, TypeError),
        (lambda v, t: t.__setitem__("a", "x"), TypeError),
        (lambda v, t: t.__setitem__(1, 1), TypeError),
        (lambda v, t: t.__delitem__(1), TypeError),
        (lambda v, t: 1 in t, KeyError),
    ],
)
def test_scripted_containers_keep_their_types(write: Any, error: type[Exception]) -> None:
    values, table = torch.jit.script([5]), torch.jit.script({"a": 1})
    with pytest.raises(error):
        write(values, table)
    assert (values, table) == ([5], {"a": 1})


def test_types_in_comments_of_a_text() -> None:
    unit = torch.jit.CompilationUnit(
        """
        def add(a, b=2):
            # type: (int, int) -> int
            rest = []  # type: ignore
            return a + b
        """
    )
    assert unit.add(3) == 5
    assert "%a.1 : int" in str(unit.add.graph)


class Overflow(ValueError):
    pass


@torch.jit.script
def refuse(n: int) -> int:
    if n > 5:
        raise Overflow(f"{n} is too much")
    return [4, 2][n]


def test_what_a_program_raises() -> None:
    for kind in (torch.jit.Error, ValueError, Overflow):
        with pytest.raises(kind, match="9 is too much"):
            refuse(9)
    for kind in (RuntimeError, IndexError):  # an operator's
        with pytest.raises(kind, match="out of range"):
            refuse(3)


def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@torch.jit.script
def later(x: torch.Tensor, n: int) -> torch.Tensor:
    futures = torch.jit.annotate(list[torch.jit.Future[torch.Tensor]], [])
    for _ in range(n):
        futures.append(torch.jit._fork(double, x))
    total = x
    for f in futures:
        total = total + torch.jit._wait(f)
    return total


def test_futures() -> None:
    assert later(torch.ones(1), 3).item() == 7
    f: Any = torch.futures.Future()
    after = f.then(lambda done: done.wait() + 1)
    assert not after.done()
    f.set_result(3)
    assert (f.value(), after.wait()) == (3, 4)
    with pytest.raises(RuntimeError, match="completed Future"):
        f.set_result(4)
    assert [g.wait() for g in torch.futures.collect_all([f, after]).wait()] == [3, 4]


@torch.jit.script
def unwrapped(x: int | None) -> int:
    return torch.jit._unwrap_optional(x) + 1


def test_unwrap_optional() -> None:
    assert unwrapped(2) == 3
    with pytest.raises(Exception, match="Unwrapping null optional"):
        unwrapped(None)
    with pytest.raises(AssertionError, match="Unwrapping null optional"):
        torch.jit._unwrap_optional(None)


@pytest.mark.parametrize(
    ("bare", "text"),
    [
        (
            vars(typing)["List"],
            r"Attempted to use List without a contained type. Please add a contained type, e.g. List\[int\]",
        ),
        (vars(typing)["Tuple"], r"Attempted to use Tuple without a contained type."),
        (Optional, r"Attempted to use Optional without a contained type."),
        (
            vars(typing)["Dict"],
            r"Attempted to use Dict without contained types. Please add contained type, e.g. Dict\[int, int\]",
        ),
        (torch.jit.Future, r"Attempted to use Future without a contained type."),
    ],
)
def test_containers_without_what_they_contain(bare: Any, text: str) -> None:
    def f(x: Any) -> bool:
        return torch.jit.isinstance(x, bare)

    with pytest.raises(RuntimeError, match=text):
        f([1])
    with pytest.raises(RuntimeError, match=text):
        torch.jit.script(f)


def test_isinstance_of_no_type() -> None:
    with pytest.raises(RuntimeError, match="must be a type or a tuple of types"):
        torch.jit.isinstance(1, typing.cast("Any", [int, str]))


@torch.jit.script
def pick(x: torch.Tensor, i: int) -> torch.Tensor:
    return x[i]


def test_what_fails_on_onnxruntime_is_said_in_our_words() -> None:
    with pytest.raises(IndexError, match=r"select\(\): index 4 out of range for tensor of size \[3\] at dimension 0"):
        pick(torch.ones(3), 4)


@torch.jit.script
def changed() -> tuple[list[int], dict[str, int], int]:
    a = [4, 1, 2, 1]
    b = a
    a.remove(1)
    a.sort()
    table = {"x": 1}
    table.update({"y": 2})
    return b, table, len(a)


@torch.jit.script
def without(a: torch.Tensor, b: torch.Tensor) -> list[torch.Tensor]:
    found = [a, b, a]
    found.remove(a)
    return found


@torch.jit.script
def looked_up(table: dict[int, int], key: int) -> tuple[int, bool, int, dict[int, int]]:
    table[key] = table.get(key, 9) + 1
    return table.get(key, -1), key in table, table.setdefault(key + 100, 5), table


@torch.jit.script
def repeated(a: torch.Tensor, n: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return a.repeat_interleave(n), torch.repeat_interleave(n)


def test_containers_that_are_written_to() -> None:
    assert changed() == ([1, 2, 4], {"x": 1, "y": 2}, 3)
    assert [t.item() for t in without(torch.ones(1), torch.zeros(1))] == [0, 1]
    assert looked_up({1: 2, 3: 4}, 3) == (5, True, 5, {1: 2, 3: 5, 103: 5})
    assert looked_up({1: 2}, 3) == (10, True, 5, {1: 2, 3: 10, 103: 5})
    first, second = repeated(torch.tensor([5, 7]), torch.tensor([2, 1]))
    assert (first.tolist(), second.tolist()) == ([5, 5, 7], [0, 0, 1])


@torch.jit.script
def fails(table: dict[str, int], n: int) -> int:
    return divmod(n, 0)[0] if n > 0 else table["missing"]


def test_errors_of_operators() -> None:
    with pytest.raises(RuntimeError, match="KeyError: missing"):
        fails({}, 0)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: integer division or modulo by zero"):
        fails({}, 1)


@torch.jit.script
def partly_recorded(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, bool]:
    with torch.autograd.profiler.record_function("outside"), torch.no_grad():
        z = x * y
        inside = torch.is_grad_enabled()
    return z, x + y, inside


def test_no_grad_in_a_program() -> None:
    x = torch.ones(2, requires_grad=True)
    z, total, inside = partly_recorded(x, torch.ones(2))
    assert (z.requires_grad, total.requires_grad, inside) == (False, True, False)
    assert torch.is_grad_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert partly_recorded(torch.ones(2), torch.ones(2))[0].tolist() == [1, 1]


@torch.jit.script
def floats(x: torch.Tensor) -> list[float]:
    found: list[float] = x.tolist()
    return found


@torch.jit.script
def ints(x: torch.Tensor) -> list[int]:
    found: list[int] = x.tolist()
    return found


@torch.jit.script
def least(xs: list[int]) -> tuple[int, int]:
    return min(xs), max(xs)


@torch.jit.script
def in_order(xs: list[torch.Tensor]) -> list[torch.Tensor]:
    return sorted(xs)


@torch.jit.script
def text(kind: int, s: str) -> str:
    if kind == 0:
        return "%d" % s  # noqa: UP031
    if kind == 1:
        return "%c" % s  # noqa: UP031
    return "%s %" % s  # noqa: F501


def test_what_does_not_fit_while_running() -> None:
    assert floats(torch.ones(2)) == [1, 1]
    with pytest.raises(RuntimeError, match="dimension must match for tolist"):
        floats(torch.ones(2, 2))
    with pytest.raises(RuntimeError, match=r"element type must match for tolist\(\): Long vs Float"):
        ints(torch.ones(2))
    assert least([2, 1, 3]) == (1, 3)
    with pytest.raises(RuntimeError):
        least([])
    assert [t.item() for t in in_order([torch.tensor(3), torch.tensor(1)])] == [1, 3]
    for kind, message in enumerate(
        ("%d requires a number", "%c requires an int or char", "Incomplete format specifier")
    ):
        with pytest.raises(RuntimeError, match=message):
            text(kind, "ab")


@torch.jit.script
def history(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, bool]:
    return x.detach() * 2, x.data, x.requires_grad


def test_what_a_program_says_of_gradients() -> None:
    x = torch.ones(1, requires_grad=True)
    doubled, data, needed = history(x)
    assert (doubled.requires_grad, needed) == (False, True)
    assert history(torch.ones(1))[2] is False
    assert x.where(x > 2, torch.zeros(1)).item() == 0
    assert data.item() == 1


def empty_ints() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    none: list[int] = []
    flags: list[bool] = []
    return torch.tensor(none), torch.as_tensor([none, none]), torch.tensor(flags)


def ragged() -> torch.Tensor:
    return torch.tensor([[1, 2], [3]])


def of_none() -> torch.Tensor:
    return torch.tensor([None])


def turned(x: torch.Tensor) -> torch.Tensor:
    return x.t()


def decided(x: torch.Tensor) -> bool:
    return bool(x)


@pytest.mark.parametrize("interpreted", [False, True])
def test_tensors_of_empty_lists_have_the_declared_type(interpreted: bool) -> None:
    from bridge.jit.running import interpreted as through_interpreter

    scripted = torch.jit.script(empty_ints)
    found = through_interpreter(scripted)() if interpreted else scripted()
    assert [(t.dtype, tuple(t.shape)) for t in found] == [
        (torch.int64, (0,)),
        (torch.int64, (2, 0)),
        (torch.bool, (0,)),
    ]


@pytest.mark.parametrize(
    ("f", "args", "text"),
    [
        (ragged, (), "Expected sequence of length 2 at dim 1 (got 1)"),
        (of_none, (), "Input must be of ints, floats, or bools, got NoneType"),
        (turned, (torch.zeros(2, 2, 2),), "t() expects a tensor with <= 2 dimensions, but self is 3D"),
        (decided, (torch.zeros(2),), "Boolean value of Tensor with more than one value is ambiguous"),
        (decided, (torch.zeros(0),), "Boolean value of Tensor with no values is ambiguous"),
    ],
)
def test_what_operators_refuse_in_a_program(f: Any, args: Any, text: str) -> None:
    with pytest.raises(RuntimeError) as e:
        torch.jit.script(f)(*args)
    assert text in str(e.value)


@torch.jit.script
def has_items(xs: Optional[list[int]]) -> int:  # noqa: UP045
    found = 0
    if isinstance(xs, (int, (float,), list, str)):
        found += 1
    if isinstance(xs, list):
        found += len(xs)
    return found


def test_a_list_that_may_be_none() -> None:
    assert (has_items([3, 4]), has_items(None)) == (3, 0)


def fresh(x: torch.Tensor) -> torch.Tensor:
    nn.init.normal_(x, 1.0, 2.0)
    nn.init.xavier_uniform_(x)
    return nn.init.constant_(x, 0.5) + nn.init.uniform_(x)


def test_initialisers_in_a_program() -> None:
    torch.manual_seed(3)
    expected = fresh(torch.ones(2, 3))
    torch.manual_seed(3)
    assert torch.equal(torch.jit.script(fresh)(torch.ones(2, 3)), expected)


class Labelled(torch.jit.ScriptModule):
    def __init__(self) -> None:
        super().__init__()
        self.size = 3

    @torch.jit.script_method
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Grows."""
        return x * self.size


def test_the_object_behind_a_module() -> None:
    m = Labelled()
    assert m.forward.__doc__ == "Grows."
    assert (m._c.hasattr("size"), m._c.hasattr("sizes"), m._c.getattr("size")) == (True, False, 3)
    assert (m._c._has_method("forward"), m._c._has_method("backward")) == (True, False)
    m._c.setattr("size", 4)
    assert m._c._get_method("forward")(torch.ones(1)).item() == 4.0
    with pytest.raises(RuntimeError, match="does not have a field with name 'sizes'"):
        m._c.getattr("sizes")
    with pytest.raises(RuntimeError, match="Method 'backward' is not defined"):
        m._c._get_method("backward")


def test_functions_of_a_unit() -> None:
    unit = torch.jit.CompilationUnit(
        "def one(x):\n    def more(y):\n        return y + 1\n    return more(x)\ndef two(x):\n    return one(one(x))\n"
    )
    assert [f.name for f in unit.get_functions()] == ["one", "two"]
    assert unit.find_function("three") is None
    assert unit.find_function("two")(torch.zeros(1)).item() == 2.0


def test_break_of_an_inner_function() -> None:
    with pytest.raises(RuntimeError, match="'break' outside loop\n<string>:4:13"):
        torch.jit.CompilationUnit(
            "def f(x):\n    for i in range(3):\n        def g():\n            break\n    return x\n"
        )


def test_nothing_is_compiled_when_compiling_is_off() -> None:
    torch.jit._state.disable()
    try:
        assert torch.jit.script(turned) is turned
        assert torch.jit.trace(turned, (torch.ones(2, 2),)) is turned
    finally:
        torch.jit._state.enable()
    assert torch.jit.script(turned) is not turned


@torch.jit._overload
def scaled(x: int, by: str = "two") -> int: ...


@torch.jit._overload
def scaled(x: float, by: float = 2.0) -> float:  # noqa: F811
    pass


def scaled(x: Any, by: Any = 2.0) -> Any:  # noqa: F811
    return x * by if isinstance(by, float) else x + len(by)


@torch.jit.script
def scaled_both(x: float, n: int) -> tuple[float, float, int]:
    return scaled(x), scaled(x, 3.0), scaled(n, "abc")


def test_defaults_of_overloads_are_those_that_fit() -> None:
    assert scaled_both(1.5, 2) == (3.0, 4.5, 5)


def test_overloads_that_are_no_declarations() -> None:
    with pytest.raises(
        RuntimeError, match=r"Only `pass` statement or `\.\.\.` can be the body of overload declaration"
    ):

        @torch.jit._overload
        def longer(x: str) -> str:
            return x + "0"


class Unfinished(nn.Module):
    @torch.jit._overload_method
    def forward(self, x: int) -> int:
        pass

    @torch.jit._overload_method
    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: F811
        pass


def test_overloads_without_an_implementation() -> None:
    with pytest.raises(RuntimeError, match='Implementation for the method "forward" is missing'):
        torch.jit.script(Unfinished())


@torch.jit.script
def places(s: str, sub: str, start: int, end: int) -> tuple[int, int, int, bool, bool]:
    return (
        s.find(sub, start, end),
        s.rfind(sub, start, end),
        s.count(sub, start, end),
        s.startswith(sub, start, end),
        s.endswith(sub, start, end),
    )


@pytest.mark.parametrize(("start", "end"), [(-20, 20), (-20, -3), (-4, 9), (3, -20), (0, -2), (2, 2)])
@pytest.mark.parametrize("sub", ["", "e", "he", "re"])
def test_parts_of_strings_as_in_python(sub: str, start: int, end: int) -> None:
    s = "hello there"
    place = (sub, start, end)
    expected = (s.find(*place), s.rfind(*place), s.count(*place), s.startswith(*place), s.endswith(*place))
    assert places(s, *place) == expected
