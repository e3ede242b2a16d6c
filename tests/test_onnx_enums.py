"""Members of enums that data chooses, in exported models: compared, looked up, passed on, kept in lists, objects and attributes."""

import importlib.util
import sys
from enum import Enum

import numpy as np
import onnxruntime
import pytest

import bridge as torch
import bridge.onnx
from bridge import Tensor, nn
from bridge.onnx import ExportError


class Color(Enum):
    RED = 1
    BLUE = 2
    GREEN = 5


class Mode(Enum):
    A = "a"
    B = "b"


class Rate(Enum):
    LOW = 0.5
    HIGH = 1.5


def by_value(x: Tensor, n: int):
    kind = Color.RED if x.sum() > 15 else Color.BLUE
    if kind == Color.RED:
        x = x + 1
    return x * kind.value


def by_name(x: Tensor, n: int):
    rate = Rate.LOW
    if n > 1:
        rate = Rate.HIGH
    if rate.name == "LOW":
        x = x + 2
    return x * rate.value


def texts(x: Tensor, n: int):
    mode = Mode.A if n > 1 else Mode.B
    if mode.value == "a":
        return x
    return x + 1


def scaled(x: Tensor, kind: Color) -> Tensor:
    if kind == Color.RED:
        return x * 2
    elif kind is Color.BLUE:
        return x * 3
    return x * 4


def passed_on(x: Tensor, n: int):
    kind = Color.GREEN
    if n > 2:
        kind = Color.RED
    elif n > 0:
        kind = Color.BLUE
    return scaled(x, kind)


def found_early(x: Tensor) -> Color:
    for i in range(3):
        if x[0, i] > 1:
            return Color.GREEN
    return Color.BLUE


def states(x: Tensor, n: int):
    state, k = Color.RED, 0
    for _ in range(n):
        if state == Color.RED:
            state = Color.BLUE
            k += 1
        elif state != Color.GREEN:
            state = Color.GREEN
            k += 10
        else:
            state = found_early(x)
    return k, state.value


def listed(x: Tensor, n: int):
    seen: list[Color] = []
    pairs: list[tuple[Color, int]] = []
    for i in range(n):
        seen.append(Color.RED if i % 2 == 0 else Color.BLUE)
        pairs.append((seen[-1], i))
    total = 0
    for c in seen:
        if c == Color.RED:
            total += 100
    for c, i in pairs:
        total += c.value * i
    return total, Color.BLUE in seen


def optional(x: Tensor, n: int):
    kind: Color | None = None
    if n > 1:
        kind = Color.RED
    if kind is not None:
        if kind == Color.RED:
            return x + 1
    return x


def each(x: Tensor, n: int):
    a = Color.RED if n > 1 else Color.BLUE
    b = Color.RED if n > 2 else Color.BLUE
    for c in Color:
        if c == a:
            x = x + c.value
    return x, a == b, a is not b


class Machine:
    def __init__(self, color: Color):
        self.color = color

    def step(self) -> None:
        if self.color == Color.RED:
            self.color = Color.BLUE
        else:
            self.color = Color.RED


def in_objects(x: Tensor, n: int):
    machine = Machine(Color.RED)
    for _ in range(n):
        machine.step()
    return machine.color.value


class Module(nn.Module):
    def __init__(self):
        super().__init__()
        self.kind = Color.RED

    def forward(self, x: Tensor, n: int):
        state = {"last": self.kind}
        if n > 2:
            state["last"] = Color.GREEN
        for _ in range(n):
            if state["last"] == self.kind:
                state["last"] = Color.BLUE
        return x * state["last"].value


PROGRAMS = [by_value, by_name, texts, passed_on, states, listed, optional, each, in_objects, Module]


def flat(v):
    if isinstance(v, tuple):
        return [y for x in v for y in flat(x)]
    return [np.asarray(v)]


def check(found, expected):
    for a, b in zip(found, flat(expected), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_members_that_data_chooses(program, tmp_path, monkeypatch):
    python = program() if isinstance(program, type) else program
    x = torch.arange(6).reshape(2, 3).to(torch.float32)
    made = bridge.onnx.export(torch.jit.script(python), (x, 1))
    session = onnxruntime.InferenceSession(made.model_proto.SerializeToString())
    back = bridge.onnx.load(made.model_proto)
    assert back.code == made.specialised.code
    path = tmp_path / f"printed_{program.__name__}.py"
    bridge.onnx.write_python(back, path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    monkeypatch.setitem(sys.modules, path.stem, module := importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    printed = torch.jit.script(module.model())
    names = [i.name for i in session.get_inputs()]
    for n in range(5):
        given = {"x": (x * (1 + n % 2)), "n": n}
        expected = python(**given)
        check(session.run(None, {k: np.asarray(given[k]) for k in names}), expected)
        for way in (back, module.model(), printed):
            check(flat(way(*given.values())), expected)


def test_a_member_is_no_result():
    def program(x: Tensor):
        return Color.RED if x.sum() > 0 else Color.BLUE

    with pytest.raises(ExportError, match=r"no members of an enum that data chooses \(return .value\)"):
        bridge.onnx.export(program, (torch.ones(2),))
