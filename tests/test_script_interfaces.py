"""Interfaces: modules and classes behind them, exchanged and refused."""

from typing import Any

import pytest

import bridge as torch
from bridge import nn

pytestmark = pytest.mark.filterwarnings("ignore::bridge.runtime.executor.InterpreterWarning")


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


@torch.jit.interface
class Whole(nn.Module):
    def step(self, x: torch.Tensor) -> torch.Tensor:
        pass

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pass


class Layered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    @property
    def size(self) -> int:
        return 1

    def step(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) * 0 + self.size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.step(x) + 1


class OfStep(nn.Module):
    part: Step

    def __init__(self) -> None:
        super().__init__()
        self.part = Layered()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.part.step(x)


class OfWhole(OfStep):
    part: Whole

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.part.forward(x)


@pytest.mark.parametrize("order", [(OfStep, OfWhole, Layered), (Layered, OfWhole, OfStep), (OfWhole, Layered, OfStep)])
def test_modules_of_one_class_serve_several_interfaces(order: Any) -> None:
    """Each asks for methods of its own; what another asked for before does not matter."""
    expected = {OfStep: 1, OfWhole: 2, Layered: 2}
    assert [torch.jit.script(m())(torch.ones(1, 1)).item() for m in order] == [expected[m] for m in order]


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
