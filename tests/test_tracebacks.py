"""What a program says that fails: the calls that led there, the source around each, and the error, as TorchScript words it."""

import functools
import json
from pathlib import Path

import pytest
from support.failing import FUNCTIONS, told

import bridge

RECORDED = json.loads((Path(__file__).parent / "goldens" / "torch" / "failing.json").read_text(encoding="utf-8"))


@functools.cache
def ours() -> dict[str, str]:
    return told("bridge")


@pytest.mark.parametrize("name", [*FUNCTIONS, "methods", "archive"])
@pytest.mark.filterwarnings("ignore::bridge.runtime.InterpreterWarning")
def test_failing_program(name: str) -> None:
    assert ours()[name].splitlines() == RECORDED[name]


def test_errors_keep_their_class_and_their_message() -> None:
    @bridge.jit.script
    def f(x: int) -> int:
        if x > 2:
            raise KeyError("k")
        return x

    with pytest.raises(KeyError) as e:
        f(3)
    assert isinstance(e.value, bridge.jit.Error)
    assert e.value.message == "k"
    assert str(e.value).endswith("builtins.KeyError: k\n")


def test_a_traced_program_names_the_line() -> None:
    f = bridge.jit.trace(lambda x: bridge.mm(x, x), bridge.ones(2, 2))
    with pytest.raises(
        RuntimeError, match=r"test_tracebacks\.py\(\d+\): .*\nRuntimeError: mat1 and mat2 shapes cannot be"
    ):
        f(bridge.ones(2, 3))
