"""``ops.aten``: TorchScript's own operators by name and overload, called eagerly, compiled and traced."""

import pytest

import bridge as torch

X, Y = torch.tensor([-1.0, 2.0]), torch.tensor([3.0, 4.0])

CALLS = [
    (lambda x, y: torch.ops.aten.relu(x), [0.0, 2.0], "aten::relu"),
    (lambda x, y: torch.ops.aten.relu.default(x), [0.0, 2.0], "aten::relu"),
    (lambda x, y: torch.ops.aten.add(x, y, alpha=2), [5.0, 10.0], "aten::add"),
    (lambda x, y: torch.ops.aten.add.Tensor(x, y), [2.0, 6.0], "aten::add"),
    (lambda x, y: torch.ops.aten.mul.Scalar(x, 3), [-3.0, 6.0], "aten::mul"),
    (lambda x, y: torch.ops.aten.cat.default([x, y], 0), [-1.0, 2.0, 3.0, 4.0], "aten::cat"),
]


@pytest.mark.parametrize(("f", "expected", "kind"), CALLS)
def test_calls(f, expected, kind) -> None:
    assert f(X, Y).tolist() == expected
    traced = torch.jit.trace(f, (X, Y))
    assert traced(X, Y).tolist() == expected
    assert traced.graph.findNode(kind) is not None


def compiled(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten.relu(torch.ops.aten.add.Tensor(x, y)) * torch.ops.aten.sum(y)


def test_a_program_calls_them() -> None:
    scripted = torch.jit.script(compiled)
    assert scripted(X, Y).tolist() == [14.0, 42.0]
    assert [n.kind() for n in scripted.graph.nodes() if n.kind() != "prim::Constant"] == [
        "aten::add", "aten::relu", "aten::sum", "aten::mul",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: torch.ops.aten.relu(X, Y),
            r"aten::relu\(\) expected at most 1 argument\(s\) but received 2 argument\(s\)",
        ),
        (lambda: torch.ops.aten.relu(), r"aten::relu\(\) is missing value for argument 'self'"),
        (lambda: torch.ops.aten.type_as(X), r"aten::type_as\(\) is missing value for argument 'other'"),
        (lambda: torch.ops.aten.add.Tensor(X, "a"), "Expected a value of type 'Tensor' for argument 'other'"),
    ],
)
def test_wrong_calls(call, text) -> None:
    with pytest.raises(RuntimeError, match=text):
        call()


def test_names() -> None:
    assert "Tensor" in torch.ops.aten.add.overloads()
    assert str(torch.ops.aten.relu.default) == "aten.relu.default"
    with pytest.raises(AttributeError, match="has no attribute 'no_such_operator'"):
        torch.ops.aten.no_such_operator  # noqa: B018
    with pytest.raises(AttributeError, match="has no overload name 'Nothing'"):
        torch.ops.aten.add.Nothing  # noqa: B018
