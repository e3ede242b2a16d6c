"""Enums, NamedTuples, unions and constants: what programs do with them, and what is said when they do not fit."""

import cmath
import collections
import enum
import io
import math
from typing import Any, NamedTuple, Union

import pytest

import bridge as torch
from bridge import nn
from bridge.jit.annotations import BroadcastingList2

pytestmark = pytest.mark.filterwarnings("ignore::bridge.runtime.executor.InterpreterWarning")


class Level(enum.Enum):
    LOW = 1
    MID = 2
    HIGH = 3


class Mixed(enum.Enum):
    A = "a"
    B = 2


class Heavy(enum.Enum):
    A = torch.ones(1)


@torch.jit.script
def others(level: Level) -> list[int]:
    found: list[int] = []
    for one in Level:
        if one != level:
            found.append(one.value)
    return found


@torch.jit.script
def is_level(x: Any) -> bool:
    return isinstance(x, Level)


def test_enums() -> None:
    assert others(Level.LOW) == [2, 3]
    assert others(Level.HIGH) == [1, 2]
    assert is_level(Level.MID)
    assert not is_level(2)
    assert torch.jit.script(Level) is Level


def test_enums_that_have_no_type() -> None:
    def mixed(x: Mixed) -> bool:
        return x == Mixed.A

    def heavy(x: Heavy) -> bool:
        return x == Heavy.A

    with pytest.raises(RuntimeError, match="Could not unify type list"):
        torch.jit.script(mixed)
    with pytest.raises(RuntimeError, match="Cannot create Enum with value type 'Tensor'"):
        torch.jit.script(heavy)


class Sized(NamedTuple):
    data: torch.Tensor
    size: int


Pair = collections.namedtuple("Pair", ["left", "right"])


@torch.jit.script
def pair(x: torch.Tensor) -> list[Pair]:
    return [Pair(x, x + 1)]


@torch.jit.script
def total(s: Sized) -> torch.Tensor:
    return s.data * s.size


def test_named_tuples() -> None:
    (found,) = pair(torch.ones(1))
    assert (found._fields, found.right.item()) == (("left", "right"), 2)
    with pytest.raises(RuntimeError, match=r"instead found type 'Sized \(aka NamedTuple\(data, size\)\)'"):
        total(Sized("no", 2))


@torch.jit.script
class Tag:
    def __init__(self) -> None:
        self.text = ""


@torch.jit.script
class Ranked:
    def __init__(self, rank: int):
        self.rank = rank

    def __lt__(self, other: "Ranked") -> bool:
        return self.rank < other.rank


@torch.jit.script
def ranks(items: list[Ranked], down: bool) -> tuple[list[int], list[int]]:
    up = sorted(items)
    items.sort(down)
    return [i.rank for i in up], [i.rank for i in items]


@torch.jit.script
def unordered(items: list[Tag]) -> int:
    return len(sorted(items))


def test_instances_are_sorted_by_their_order() -> None:
    assert ranks([Ranked(2), Ranked(3), Ranked(1)], True) == ([1, 2, 3], [3, 2, 1])
    with pytest.raises(RuntimeError, match="must define a __lt__ method"):
        unordered([Tag(), Tag()])


class Limited(nn.Module):
    limit: torch.jit.Final[int]

    def __init__(self) -> None:
        super().__init__()
        self.limit = 4

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(max=self.limit)

    @torch.jit.ignore
    def in_python(self, x: int) -> int:
        return x + self.limit


def test_constants_and_ignored_methods_are_there() -> None:
    m = torch.jit.script(Limited())
    assert m.in_python(1) == 5
    buffer = io.BytesIO()
    torch.jit.save(m, buffer)
    buffer.seek(0)
    for one in (m, torch.jit.load(buffer)):
        assert one.limit == 4
        with pytest.raises(RuntimeError, match="Can't set constant 'limit' which has value:4"):
            one.limit = 5


REFUSED: list[tuple[str, str]] = [
    (
        "def f():\n    d: Dict[int, str] = dict([('a', 1)])\n    return d",
        "did not match the type of an actual key type `str`",
    ),
    (
        "def f():\n    d: Dict[str, int] = {'a': 'b'}\n    return d",
        "the type of values given by the dict literal is str",
    ),
    ("def f():\n    d: Dict[str, int] = {1: 1}\n    return d", "the type of keys given by the dict literal is int"),
    ("def f(x: Dict[List[int], str]) -> int:\n    return 1", "Cannot create dict for key type"),
    (
        "def f(x, dim):\n    return x.div(x, rounding_mode=dim)",
        "Inferred the value for argument 'rounding_mode' to be of type 'Tensor'",
    ),
]


@pytest.mark.parametrize(("source", "text"), REFUSED)
def test_refused(source: str, text: str) -> None:
    with pytest.raises(RuntimeError, match=text):
        torch.jit.CompilationUnit(source).f  # noqa: B018


class Remembers(nn.Module):
    """Has Python methods."""

    last: torch.Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.last = None
        self.layers = nn.ModuleList([nn.ReLU(), nn.Sequential(nn.ReLU())])

    @torch.jit.ignore
    def remember(self, x: torch.Tensor) -> torch.Tensor:
        self.last = x + 1
        return x + len(self.layers)

    @staticmethod
    def doubled(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Calls them."""
        return Remembers.doubled(self.remember(x))


@torch.jit.ignore
def any_number(x, *rest):  # type: ignore[no-untyped-def]
    return rest[-1] if rest else x


@torch.jit.script
def varied(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return any_number(x), any_number(x, x + 1, x + 2)


@torch.jit.ignore
def lies() -> torch.Tensor:
    return (1, 2)  # type: ignore[return-value]


@torch.jit.script
def believes() -> torch.Tensor:
    return lies()


class Unfinished(nn.Module):
    def __init__(self) -> None:
        self.x = 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Selfless(nn.Module):
    @torch.jit.ignore
    def helper():  # type: ignore[misc]
        return 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.helper()


def test_calls_of_python() -> None:
    m = torch.jit.script(Remembers())
    assert m(torch.ones(1)).item() == 6
    assert m.last.item() == 2
    assert m.forward.__doc__ == "Calls them."
    assert [layer.original_name for layer in m.layers] == ["ReLU", "Sequential"]
    assert m.layers[-1][0].original_name == "ReLU"
    assert [t.item() for t in varied(torch.ones(1))] == [1, 3]
    with pytest.raises(
        RuntimeError, match="expected value of type Tensor for return value but instead got value of type tuple"
    ):
        believes()
    with pytest.raises(
        RuntimeError, match=r"Unfinished' has not been initialized, did you forget to call 'super\(\)'\?"
    ):
        torch.jit.script(Unfinished())
    with pytest.raises(RuntimeError, match="Non-static method does not have a self argument"):
        torch.jit.script(Selfless())


@torch.jit.script
def ordered(items: list[Any]) -> list[Any]:
    items.sort()
    return items


@torch.jit.script
def unordered_tuples() -> list[tuple[dict[int, int], int]]:
    items = [({1: 2}, 3)]
    items.sort()
    return items


def test_what_has_no_order() -> None:
    with pytest.raises(RuntimeError, match="are not sortable"):
        unordered_tuples()
    assert ordered([(2, "b"), (2, "a")]) == [(2, "a"), (2, "b")]
    with pytest.raises(
        RuntimeError, match=r"Only values of same type can be compared. Found Tuple\[int\] and Tuple\[str\]"
    ):
        ordered([(1,), ("a",)])
    with pytest.raises(RuntimeError, match="are not sortable"):
        ordered([{1: 2}, {1: 3}])


@torch.jit.script
def padded(size: BroadcastingList2[int], by: BroadcastingList2[float] = 1.0) -> tuple[list[int], list[float]]:
    return size, by


@torch.jit.script
def numbers(a: float, b: float) -> tuple[float, float]:
    return math.atan(a), divmod(a, b)[1]


@torch.jit.script
def angle(a: float) -> float:
    return math.atan(a)


def test_numbers() -> None:
    assert padded(3) == ([3, 3], [1.0, 1.0])
    assert padded([1, 2], 2.5) == ([1, 2], [2.5, 2.5])
    assert angle(math.inf) == math.pi / 2
    assert angle(-math.inf) == -math.pi / 2
    assert numbers(-1.5, 2.0)[1] == 0.5
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        numbers(1.0, 0.0)


@torch.jit.script
def kind_of(x: list[str] | list[int] | dict[str, int]) -> int:
    if torch.jit.isinstance(x, list[str]):
        return 1
    if torch.jit.isinstance(x, list[int]):
        return 2
    return 3


@torch.jit.script
def filled(n: int) -> list[str] | list[torch.Tensor]:
    found: list[str] | list[torch.Tensor] = [torch.arange(n)]
    if torch.jit.isinstance(found, list[torch.Tensor]):
        found.append(torch.tensor(n))
    return found


def test_lists_of_a_union_are_told_apart() -> None:
    assert [kind_of(x) for x in (["a"], [1], {"a": 1})] == [1, 2, 3]
    assert [t.tolist() for t in filled(2)] == [[0, 1], 2]


def scripted_inside() -> Any:
    number = int

    @torch.jit.script
    class Inside:
        def __init__(self, n: number):
            self.n = n

        def get(self) -> number:
            return self.n

    return Inside


def test_a_class_sees_the_names_around_it() -> None:
    inside = scripted_inside()

    def f(n: int) -> int:
        return inside(n).get()

    assert torch.jit.script(f)(3) == 3


@torch.jit.script
def complex_numbers(a: complex, x: torch.Tensor) -> tuple[complex, float, complex]:
    return cmath.exp(a), cmath.phase(a), complex(x, 2.0)


def test_complex_numbers() -> None:
    exp, phase, made = complex_numbers(1 + 2j, torch.tensor(3.0))
    assert abs(exp - cmath.exp(1 + 2j)) < 1e-12
    assert (phase, made) == (cmath.phase(1 + 2j), 3 + 2j)


def test_empty_containers_are_shared_too() -> None:
    assert not torch.jit.script([])
    assert not torch.jit.script({})


class Settings(NamedTuple):
    name: str = "it's"
    table: dict[str, int] = {"a": 1}  # noqa: RUF012
    ratio: float = 1e10
    on: bool = True
    sizes: list[int] | None = None


def same_settings(s: Settings) -> Settings:
    return s


@torch.jit.script
def of_many(x: Union[int, complex, float], y: Union[int, float]) -> Union[int, complex, float]:  # noqa: PYI041, UP007
    return x


def test_types_as_graphs_show_them() -> None:
    """As torch prints them."""
    assert str(torch.jit.script(same_settings).graph).splitlines()[0] == (
        "graph(%s.1 : NamedTuple(name : str = it's, table : Dict(str, int) = {a: 1}, ratio : float = 10000000000., "
        "on : bool = True, sizes : int[]? = None)):"
    )
    assert str(of_many.graph).splitlines()[:2] == ["graph(%x.1 : Scalar,", "      %y : Union(float, int)):"]
    assert of_many(3, 1.5) == 3


Untyped = collections.namedtuple("Untyped", ["value"])


def test_fields_without_types_are_tensors() -> None:
    def make() -> Any:
        return Untyped(1)

    with pytest.raises(RuntimeError) as e:
        torch.jit.script(make)
    assert "Expected a value of type 'Tensor (inferred)' for argument 'value' but instead found type 'int'." in str(
        e.value
    )


def test_a_number_of_any_kind_is_asked_for_its_kind_when_it_runs() -> None:
    def kind(x: Union[int, float, complex]) -> int:  # noqa: PYI041, UP007
        if isinstance(x, float):
            return 1
        if isinstance(x, int):
            return 2
        return 3

    scripted = torch.jit.script(kind)
    assert [scripted(1.5), scripted(2), scripted(2j)] == [1, 2, 3]


def test_tensors_are_keys_by_identity() -> None:
    def f(x: torch.Tensor, d: dict[torch.Tensor, int]) -> tuple[int, bool, bool, int]:
        d[x] = 5
        e = {x: 1}
        e[x] = e[x] + 2
        return d[x] + e[x], x in d, x.clone() in d, len(d)

    x = torch.ones(2)
    assert torch.jit.script(f)(x, {torch.zeros(2): 1}) == (8, True, False, 2)


class Weight:
    def __init__(self, kilos: int) -> None:
        self.kilos = kilos

    def __lt__(self, other: "Weight") -> bool:
        return self.kilos < other.kilos


def test_objects_inside_tuples_are_sorted() -> None:
    def f() -> tuple[list[int], list[int]]:
        pairs = [(1, Weight(12)), (1, Weight(11)), (0, Weight(20))]
        ordered = sorted(pairs)
        pairs.sort(reverse=True)
        return [p[1].kilos for p in ordered], [p[1].kilos for p in pairs]

    assert torch.jit.script(f)() == ([20, 11, 12], [12, 11, 20])


class WithIgnored(nn.Module):
    __jit_ignored_attributes__ = ["slow"]  # noqa: RUF012

    @property
    def slow(self) -> int:
        raise ValueError("not to be called")

    @torch.jit.ignore
    def kind(self) -> str:
        return type(self.slow).__name__

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


def test_ignored_properties_are_not_called() -> None:
    m = torch.jit.script(WithIgnored())
    assert (m(torch.ones(1)).item(), m.kind()) == (2.0, "property")


def first_of(x: list[int] | dict[str, int]) -> int:
    return x[0] if isinstance(x, list) else x["foo"]


def total_of(x: list[float] | torch.Tensor | int) -> float:
    if isinstance(x, int):
        return float(x)
    return float(x.sum()) if isinstance(x, torch.Tensor) else sum(x)


def lengths_of(x: dict[str, int | list[int]]) -> int:
    n = 0
    for v in x.values():
        n += v if isinstance(v, int) else len(v)
    return n


def last_of(x: dict[str, torch.Tensor] | list[torch.Tensor] | tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    if isinstance(x, list):
        return x[-1]
    return x[1] if isinstance(x, tuple) else x["a"]


@pytest.mark.parametrize(
    ("program", "argument"),
    [
        (first_of, [1, 2]), (first_of, {"foo": 4, "bar": 2}), (total_of, [1.5, 2.0]), (total_of, torch.ones(2)), (total_of, 4),
        (lengths_of, {"a": 1, "b": [2, 3]}), (last_of, [torch.ones(2), torch.zeros(3)]), (last_of, (torch.ones(2), torch.zeros(3))),
        (last_of, {"a": torch.ones(2), "b": torch.zeros(3)}),
    ],
)  # fmt: skip
def test_arguments_of_unions_are_what_they_are(program: Any, argument: Any) -> None:
    scripted, expected = torch.jit.script(program), program(argument)
    assert [str(scripted(argument)) for _ in range(2)] == [str(expected)] * 2
