"""Random programs: Python, the interpreter, onnxruntime, archives and reimports agree; what is not exported is refused.

Ten thousand of them: ``python tests/random_programs.py --cases 10000``.
"""

import importlib.util
import random
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from support.random_programs import aliases
from support.random_programs.check import check
from support.random_programs.found import found
from support.random_programs.program import RandomProgram, generate

FOUND = found()
TORCH = importlib.util.find_spec("torch") is not None


def _torch() -> Any:
    if not TORCH:
        return None
    import torch

    return torch


@st.composite
def programs(draw: st.DrawFn, size: int = 8) -> RandomProgram:
    """Random programs that hypothesis can make smaller."""
    return generate(draw(st.randoms(use_true_random=False)), size)


@pytest.mark.parametrize("name", FOUND)
def test_program_that_failed_once(name: str) -> None:
    result = check(FOUND[name])
    assert (result.failure, result.invalid) == (None, None)


#: What torch.jit computes otherwise than torch without it, where bridge agrees with the latter.
TORCH_JIT_DIFFERS = {
    "a write to what a loop without an iteration was given",
    "operators that give back the tensor they got",
}


@pytest.mark.oracle
@pytest.mark.parametrize("name", FOUND)
def test_program_that_failed_once_as_in_torch(name: str) -> None:
    result = check(FOUND[name], _torch())
    assert result.failure is None
    if name in TORCH_JIT_DIFFERS:
        assert (result.invalid or "").startswith("torch.jit differs from Python")
    else:
        assert result.invalid is None


@pytest.mark.parametrize("part", range(10))
def test_programs_of_fixed_seeds(part: int) -> None:
    refused = 0
    for seed in range(600_000 + 20 * part, 600_000 + 20 * part + 20):
        program = generate(random.Random(seed))
        result = check(program, thorough=seed % 3 == 0)
        assert result.failure is None, f"seed {seed}\n{program}\n{result.failure}"
        refused += bool(result.refused)
    assert refused < 7


@pytest.mark.parametrize("part", range(6))
def test_writes_to_memory_of_several_names(part: int) -> None:
    for name, program in list(aliases.programs(96).items())[part::6]:
        result = check(program, thorough=False)
        assert result.failure is None, f"{name}\n{program}\n{result.failure}"


@pytest.mark.oracle
@pytest.mark.parametrize("part", range(6))
def test_writes_to_memory_of_several_names_as_in_torch(part: int) -> None:
    for name, program in list(aliases.programs(300, seed=1).items())[part::6]:
        result = check(program, _torch(), thorough=False)
        assert result.failure is None, f"{name}\n{program}\n{result.failure}"


@hypothesis.settings(
    max_examples=10, deadline=None, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(programs())
def test_programs_that_hypothesis_draws(program: RandomProgram) -> None:
    result = check(program, thorough=False)
    assert result.failure is None, result.failure


def test_a_wrong_result_is_found() -> None:
    program = FOUND["a conversion to another element type is a tensor of its own"]
    wrong = RandomProgram(program.text.replace("return", "return torch.rand(1),"), program.calls)
    assert "expected" in str(check(wrong).failure)
