"""Programs whose branches were decided when they were exported take the arguments that these were decided for, no others."""

import pytest

import bridge as torch
import bridge.onnx
from bridge import Tensor


def ranks(x: Tensor, scale: float = 2.0):
    if x.dim() == 2:
        return x + scale
    return x * scale


def optional(x: Tensor, k: int | None):
    if k is None:
        return x
    return x * k


def pairs(x: tuple[Tensor, Tensor | None], names: list[str]):
    a, b = x
    if b is not None:
        a = a + b
    return a


ones, zeros = torch.ones, torch.zeros

#: program, example, arguments that fit, then arguments that do not with what is said of them
CASES = [
    (ranks, (ones(2, 3),), (zeros(4, 1),), [
        ((ones(3),), "argument 'x' is float32[3], but the program was exported for float32[x_dim0, x_dim1]"),
        ((ones(2, 3).double(),), "argument 'x' is float64[2, 3], but the program was exported for float32"),
        ((ones(2, 3), 3.0), "argument 'scale' is 3.0, but the program was exported for 2.0"),
    ]),
    (optional, (ones(3), None), (zeros(2), None), [
        ((ones(3), 3), "argument 'k' is 3, but the program was exported for None"),
    ]),
    (optional, (ones(3), 4), (zeros(2), 5), [
        ((ones(3), None), "argument 'k' is None, but the program was exported for an int"),
    ]),
    (pairs, ((ones(2), None), ["a"]), ((zeros(3), None), ["a"]), [
        (((ones(2), ones(2)), ["a"]), "argument 'x[1]' is a Tensor, but the program was exported for None"),
        (((ones(2), None), ["b"]), "argument 'names[0]' is 'b', but the program was exported for 'a'"),
        (((ones(2), None), ["a", "b"]), "argument 'names' is a list of 2, but the program was exported for one of 1"),
    ]),
]  # fmt: skip


@pytest.mark.parametrize("read_back", [False, True], ids=["exported", "read back"])
@pytest.mark.parametrize(("program", "example", "fits", "others"), CASES, ids=lambda v: getattr(v, "__name__", None))
def test_only_what_was_decided_for(program, example, fits, others, read_back, tmp_path):
    made = bridge.onnx.export(torch.jit.script(program), example)
    if read_back:
        made.save(tmp_path / "m.onnx")
        made = bridge.onnx.load(tmp_path / "m.onnx")
        assert bridge.onnx.export(made).model_proto.SerializeToString() == (tmp_path / "m.onnx").read_bytes()
    for args in (example, fits, example):
        assert torch.equal(made(*args), program(*args))
    for args, text in others:
        with pytest.raises(RuntimeError) as raised:
            made(*args)
        assert str(raised.value).startswith(text)
