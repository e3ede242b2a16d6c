"""Forward hooks of scripted modules."""

import copy
import io
from typing import Any

import pytest

import bridge as torch
from bridge import nn

pytestmark = pytest.mark.filterwarnings("ignore::bridge.runtime.executor.InterpreterWarning")


class Plus(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


def doubles(self: Any, input: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    return (input[0] * 2,)


def squares(self: Any, input: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
    return output * output


def test_hooks_of_the_outermost_module_run() -> None:
    m = Plus()
    for _ in range(2):
        m.register_forward_pre_hook(doubles)
        m.register_forward_hook(squares)
    scripted = torch.jit.script(m)
    x = torch.tensor([3.0])
    assert scripted(x).item() == m(x).item() == 13.0**4
    assert scripted.forward(x).item() == 4
    buffer = io.BytesIO()
    torch.jit.save(scripted, buffer)
    buffer.seek(0)
    assert torch.jit.load(buffer)(x).item() == copy.deepcopy(scripted)(x).item() == 13.0**4
    with pytest.raises(RuntimeError, match="hooks of the outermost module, Plus"):
        torch.onnx.export(scripted, (x,))
    assert torch.onnx.export(scripted.forward, (x,)) is not None


def _wrong_inner(self: Any, input: tuple[int]) -> None: ...
def _too_many(self: Any, input: tuple[torch.Tensor], more: int) -> None: ...
def _no_tuple(self: Any, input: torch.Tensor) -> None: ...
def _wrong_result(self: Any, input: tuple[torch.Tensor]) -> int:
    return 1


def _no_annotation(self: Any, input: tuple[torch.Tensor]):  # type: ignore[no-untyped-def]
    return input


def _two(self: Any, input: tuple[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return input[0], input[0]


def _wrong_output(self: Any, input: tuple[torch.Tensor], output: int) -> int:
    return output


@pytest.mark.parametrize(
    ("hook", "text"),
    [
        (
            _wrong_inner,
            r"Pre-hook '_wrong_inner' on module 'Plus' has the wrong inner types for the input tuple argument",
        ),
        (_too_many, "was expected to only have exactly 2 inputs but it had 3 inputs"),
        (_no_tuple, "expected the input argument to be typed as a Tuple but found type: 'Tensor' instead"),
        (_wrong_result, "returned the wrong type of: 'int'"),
        (_no_annotation, "is missing a return annotation"),
        (_two, "The returned tuple contains the wrong number of contained types"),
        (_wrong_output, "Hook '_wrong_output' on module 'Plus' has the wrong type for the output argument"),
    ],
)
def test_hooks_that_do_not_fit(hook: Any, text: str) -> None:
    m = Plus()
    (m.register_forward_hook if hook is _wrong_output else m.register_forward_pre_hook)(hook)
    with pytest.raises(RuntimeError, match=text):
        torch.jit.script(m)
