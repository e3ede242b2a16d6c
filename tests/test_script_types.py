"""Enums, NamedTuples, interfaces and constants: what programs do with them, and what is said when they do not fit."""

import collections
import enum
import io
from typing import Any, NamedTuple

import pytest

import bridge as torch
from bridge import nn

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


@torch.jit.interface
class Step(nn.Module):
    def step(self, x: torch.Tensor) -> torch.Tensor:
        pass


@torch.jit.interface
class Named:
    def label(self) -> str:
        pass


@torch.jit.interface
class NamedAndSized:
    def label(self) -> str:
        pass

    def size(self) -> int:
        pass


class One(nn.Module):
    def step(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Two(nn.Module):
    @torch.jit.export
    def step(self, x: torch.Tensor) -> torch.Tensor:
        return x + 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Plain(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Other(nn.Module):
    @torch.jit.export
    def step(self, x: int) -> int:
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Outer(nn.Module):
    part: Step

    def __init__(self) -> None:
        super().__init__()
        self.part = One()
        self.fixed = Two()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.part.step(x) + self.fixed(x)


def test_parts_of_an_interface_are_exchanged() -> None:
    m = torch.jit.script(Outer())
    assert m(torch.ones(1)).item() == 3
    m.part = torch.jit.script(Two())
    assert m(torch.ones(1)).item() == 4
    with pytest.raises(
        RuntimeError, match=r"is not compatible with interface __torch__.*Step\nMethod on class '__torch__"
    ):
        m.part = torch.jit.script(Other())
    with pytest.raises(RuntimeError, match="does not have method 'step' but"):
        m.part = torch.jit.script(Plain())
    with pytest.raises(
        RuntimeError, match=r"Expected a value of type '__torch__.*Two \(.*\)' for field 'fixed', but found"
    ):
        m.fixed = torch.jit.script(Plain())


@torch.jit.script
def label_of(x: Named) -> str:
    return x.label()


@torch.jit.script
def wider(x: NamedAndSized) -> str:
    return label_of(x)


@torch.jit.script
class Tag:
    def label(self) -> str:
        return "tag"

    def size(self) -> int:
        return 3


def test_interfaces() -> None:
    assert wider(Tag()) == "tag"

    def narrower(x: Named) -> NamedAndSized:
        return x

    with pytest.raises(
        RuntimeError, match=r"annotated as having type __torch__.*NamedAndSized but is actually of type"
    ):
        torch.jit.script(narrower)
    with pytest.raises(RuntimeError, match="does not support inheritance yet"):
        torch.jit.interface(type("Wider", (Step,), {}))

    def steps(s: Step, x: torch.Tensor) -> torch.Tensor:
        return s.step(x)

    with pytest.raises(RuntimeError, match="only ScriptModule class can be subtype of module interface"):
        torch.jit.script(steps)(Tag(), torch.ones(1))


@torch.jit.interface
class Layer(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pass


class Chosen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.items = nn.ModuleList([Plain()])
        self.named = nn.ModuleDict({"one": Plain()})

    def forward(self, x: torch.Tensor, key: str) -> torch.Tensor:
        layer: Layer = self.named[key]
        return layer.forward(x)


def test_a_module_of_a_container_by_name() -> None:
    m = torch.jit.script(Chosen())
    assert m(torch.ones(1), "one").item() == 1
    with pytest.raises(RuntimeError, match="KeyError: two"):
        m(torch.ones(1), "two")


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
