"""Forward hooks of scripted modules."""

import copy
import io
from typing import Any

import numpy as np
import pytest

import bridge as torch
from bridge import nn, runtime

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
    for exported, expected in ((scripted, 13.0**4), (scripted.forward, 4.0)):
        session = runtime.open_session(torch.onnx.export(exported, (x,)).model_proto.SerializeToString())
        assert session.run(None, {"x": x.numpy()})[0].item() == expected


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([2.0, 3.0]))

    def forward(self, x: torch.Tensor, y: torch.Tensor | None = None, k: int = 2) -> torch.Tensor:
        return (x if y is None else x + y) * k


Given = tuple[torch.Tensor, torch.Tensor | None, int]


def one_more(self: Any, input: Given) -> Given:
    return (input[0] * self.scale, input[1], input[2] + 1)


def by_sign(self: Any, input: Given, output: torch.Tensor) -> torch.Tensor:
    if output.sum() > 0:
        return output * output
    return output - self.scale


def test_hooks_see_the_module_and_all_arguments() -> None:
    m = Scaled()
    m.register_forward_pre_hook(one_more)
    m.register_forward_hook(by_sign)
    scripted = torch.jit.script(m)
    program = torch.onnx.export(scripted, (torch.ones(2), torch.ones(2), 1))
    session = runtime.open_session(program.model_proto.SerializeToString())
    for x in (torch.tensor([1.0, -2.0]), torch.tensor([4.0, 5.0])):
        y = x + 10
        for sign in (1, -1):
            given = (sign * x, sign * y, 3)
            expected = m(*given).detach().numpy()
            with torch.no_grad():
                assert scripted(*given).numpy().tolist() == expected.tolist()
            feed = {"x": given[0].numpy(), "y": given[1].numpy(), "k": np.array(3)}
            assert session.run(None, feed)[0].tolist() == expected.tolist()
    hook = next(iter(scripted._forward_pre_hooks.values()))
    assert hook(scripted, (x, y, 3))[1] is y


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
