"""Subjects of archives with types of their own, for ``record_archives.py``: only read here, never run by the project."""

# Written as programs for TorchScript are:
# ruff: noqa: UP006, UP007, UP035, UP045, B007, PERF102
import enum
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

import torch


class Pair(NamedTuple):
    left: torch.Tensor
    count: int


class Mode(enum.Enum):
    ADD = 1
    SUB = 2


@torch.jit.script
class Counter:
    def __init__(self, start: int):
        self.value = start

    def up(self, by: int) -> int:
        self.value += by
        return self.value


@torch.jit.interface
class Step(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pass


class Double(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


class Named(torch.nn.Module):
    pair: Pair

    def __init__(self):
        super().__init__()
        self.pair = Pair(torch.ones(2), 3)

    def forward(self, x, other: Optional[Pair] = None) -> Pair:
        if other is None:
            return Pair(x + self.pair.left, self.pair.count)
        return other


class Enums(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.mode = Mode.SUB

    def forward(self, x):
        if self.mode == Mode.ADD:
            return x + self.mode.value
        return x - self.mode.value


class Counting(torch.nn.Module):
    def forward(self, x):
        counter = Counter(1)
        n = counter.up(2)
        return x * n + counter.value


class Interfaced(torch.nn.Module):
    step: Step

    def __init__(self):
        super().__init__()
        self.step = Double()

    def forward(self, x):
        return self.step.forward(x)


class Containers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.by_name = torch.nn.ModuleDict({"a": Double(), "b": torch.nn.Linear(2, 2)})
        self.seq = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
        self.scales = torch.nn.ParameterList([torch.ones(2), torch.zeros(2)])

    def forward(self, x):
        for name, module in self.by_name.items():
            x = module(x)
        for p in self.scales:
            x = x + p
        return self.seq(x)


class Values(torch.nn.Module):
    nested: Dict[str, List[Tuple[int, Optional[float]]]]
    either: Union[int, str]
    some: List[Optional[torch.Tensor]]
    device: torch.device

    def __init__(self):
        super().__init__()
        self.nested = {"a": [(1, None), (2, 0.5)], "b": []}
        self.either = "ünï"
        self.some = [None, torch.ones(2)]
        self.device = torch.device("cpu")
        self.kind = torch.float16
        self.point = 1 + 2j

    def forward(self, x):
        y = x.to(self.device)
        for t in self.some:
            if t is not None:
                y = y + t
        if isinstance(self.either, str):
            y = y + len(self.either)
        for n, factor in self.nested["a"]:
            if factor is not None:
                y = y * factor + n
        return y


class Texts(torch.nn.Module):
    def forward(self, x, name: str = "grüß"):
        if name == "grüß":
            x = x + 1.5e-7
        assert x.dim() > 0, "empty: \t'ä'"
        print(name, x.size(0))
        return x


class Hooked(torch.nn.Module):
    def forward(self, x):
        return -x


def before(self, given: Tuple[torch.Tensor]) -> Tuple[torch.Tensor]:
    return (given[0] + 1,)


def subjects():
    torch.manual_seed(0)
    yield "named", torch.jit.script(Named()), []
    yield "enums", torch.jit.script(Enums()), []
    yield "counting", torch.jit.script(Counting()), []
    yield "interfaced", torch.jit.script(Interfaced()), []
    yield "containers", torch.jit.script(Containers()), []
    yield "values", torch.jit.script(Values()), []
    yield "texts", torch.jit.script(Texts()), []
    hooked = Hooked()
    hooked.register_forward_pre_hook(before)
    yield "hooked", torch.jit.script(hooked), []
