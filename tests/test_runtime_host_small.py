"""Programs of a few operators on small tensors run as Python functions, and give what the interpreter gives."""

from typing import Any

import pytest

import bridge
from bridge import Tensor, nn
from bridge.jit.running import interpreted
from bridge.runtime import executor


def gate(x: Tensor) -> Tensor:
    return x if x.sum() > 0 else -x


def anything(x: Any, k: int | float = 2) -> Tensor:  # noqa: PYI041
    if isinstance(k, int):
        k = k + 1
    return x * k + 0.5 if isinstance(x, Tensor) else bridge.zeros(3)


def pair(x: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    if isinstance(x, Tensor):
        return x
    a, b = x
    return a if bool((a - b).sum() > 0) else b


def reductions(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.max() - 1.0, x.mean()


def integers(x: Tensor, n: int) -> tuple[Tensor, int]:
    return (x * n + 3).sum(), x.size(0) + n


def rows(x: Tensor) -> Tensor:
    return bridge.relu(x[0] * x[1:].sum())


def functions(x: Tensor) -> Tensor:
    return bridge.tanh(x).abs() if x.dim() > 1 else x.exp().sqrt()


def checked(x: Tensor, n: int) -> Tensor:
    if n <= 0:
        raise ValueError("n must be positive")
    return bridge.ones([n, 2]) * x.sum()


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = 0.5

    def forward(self, x: Tensor) -> Tensor:
        return bridge.sigmoid(x) * self.scale


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        bridge.manual_seed(3)
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.relu(self.first(x))
        if y.sum() > 1:
            return self.second(y)
        return y @ self.first.weight


def bounded(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x.clamp(min=0.25, max=0.5), x.clamp(max=inf), x.clamp(2, 1).clone()


class Weights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(bridge.tensor([1.0, -2.0]))
        self.register_buffer("b", bridge.tensor([0.5, 1.0]))

    def forward(self, x: Tensor) -> Tensor:
        if x.abs().max() < 1e-3:
            return bridge.zeros_like(x)
        return self.w if x.mean() > 5 else bridge.where(x > self.w, x, self.b)


nan, inf = float("nan"), float("inf")
F, D, I, S = bridge.float32, bridge.float64, bridge.int64, bridge.int32
PROGRAMS: dict[str, tuple[Any, list[tuple[Any, ...]]]] = {
    "gate": (gate, [([[1.0, 2]],), ([-1.0],), ([nan, 1.0],), ([],), ([[2]], I), ([-2, 1], S), ([1.0], D)]),
    "anything": (anything, [([1.0, 2],), ([1.0], 3), ([2.0], 1.5), ([3, 4], I), ([1e30], 1e30), ([inf], 0), ([True, False], None)]),
    "reductions": (reductions, [([1.0, -2, 5],), ([[nan, 1.0]],), ([],), ([1.0], D)]),
    "integers": (integers, [([1, 2], 3, I), ([1, 2], 3, S), ([2**62], 4, I), ([1], 2**40, S), ([1.5], 2)]),
    "rows": (rows, [([[1.0, -2], [3.0, 4.0], [nan, 1]],), ([[1.0]],), ([],), ([1.0, 2.0, 4.0],)]),
    "functions": (functions, [([1.0, -2],), ([[1.0, nan, -inf]],), ([1000.0],), (2.0,)]),
    "checked": (checked, [([1.0], 2), ([1.0], 0), ([1.0], 3)]),
    "layers": (Layers, [([1.0, 2.0],), ([[-1.0, 1.0], [3.0, 4.0]],), ([[nan, 1.0]],), ([1.0],), ([0.0, 0.0],)]),
    "bounded": (bounded, [([1.0, 0.3, -2.0, nan],), ([[inf, -inf]], D), (1.0,), ([],), ([1], I)]),
    "weights": (Weights, [([1.0, -3.0],), ([9.0, 8.0],), ([0.0, 0.0],), ([nan, 1.0],), ([[1.0, 2.0], [-1.0, -5.0]],), ([],), ([1.0, 2.0, 3.0],)]),
    "scaled": (Scaled, [([0.0, -1.0, nan],), ([[1000.0]],), (1.0,)]),
}  # fmt: skip


def _arguments(given: tuple[Any, ...]) -> list[Any]:
    dtype = given[-1] if given[-1] in (F, D, I, S) else None
    first, *rest = given
    return [bridge.tensor(first, dtype=dtype), *(v for v in rest if v is not dtype and v is not None)]


def _told(call: Any, arguments: Any) -> Any:
    try:
        out = call(*arguments)
    except (RuntimeError, ValueError) as error:
        return str(error).splitlines()[-1]
    return [
        (v.dtype, v.shape, v.tolist()) if isinstance(v, Tensor) else v for v in (out if type(out) is tuple else [out])
    ]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple) and type(a) is type(b):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == pytest.approx(b, rel=1e-6, nan_ok=True) if isinstance(a, float) else a == b


@pytest.mark.parametrize("name", PROGRAMS)
def test_gives_what_the_interpreter_gives(name: str) -> None:
    program, sets = PROGRAMS[name]
    script = bridge.jit.script(program() if isinstance(program, type) else program)
    method = script.forward if isinstance(program, type) else script
    owner = getattr(method, "owner", None)
    for given in sets:
        arguments = _arguments(given)
        expected = _told(interpreted(method), arguments)
        with bridge.no_grad():
            for _ in range(3):
                assert _same(_told(script, arguments), expected)
    entry = owner.runtime if owner is not None else {None: method._function.runtime}
    assert any(p is not None for e in entry.values() for p in e.hosts.values())


def test_arguments_that_are_given_back_are_themselves() -> None:
    x, y = bridge.ones(2), bridge.zeros(2)
    with bridge.no_grad():
        assert bridge.jit.script(gate)(x) is x
        script = bridge.jit.script(pair)
        assert script((x, y)) is x
        assert script((y, x)) is x
        assert script(y) is y


def test_results_that_are_written_to_an_argument() -> None:
    def program(a: Tensor, b: Tensor) -> Tensor:
        e = 2 * a
        bridge.add(a + b, b, out=e)
        return e

    a, b = bridge.tensor([1.0, 2.0]), bridge.tensor([0.5, 0.25])
    assert bridge.jit.script(program)(a, b).tolist() == program(a, b).tolist() == [2.0, 2.5]


def test_large_tensors_go_to_onnxruntime_and_small_ones_never() -> None:
    """Else what a program gives for a small tensor would depend on what it was called with before."""
    script = bridge.jit.script(gate)
    run, ran = executor._run, []

    def counted(*args: Any) -> Any:
        ran.append(1)
        return run(*args)

    try:
        executor._run = counted
        for n in (2, 5000, 2, 5000, 5000, 2):
            script(-bridge.ones(n))
            small = script(-bridge.ones(3))
        assert 0 < len(ran) <= 3
        assert small.tolist() == [1.0] * 3
    finally:
        executor._run = run


def test_a_weight_that_is_given_back_is_itself() -> None:
    module = bridge.jit.script(Weights())
    with bridge.no_grad():
        for _ in range(3):
            assert module(bridge.tensor([9.0, 8.0])) is module.w
            module(bridge.tensor([1.0, -3.0]))[0] = 7
        module.b[0] = -1.0
        assert module(bridge.tensor([0.5, -3.0])).tolist() == [-1.0, 1.0]
        module.w = nn.Parameter(bridge.tensor([0.0, 0.0]))
        assert module(bridge.tensor([0.5, -3.0])).tolist() == [0.5, 1.0]
        assert module.b.tolist() == [-1.0, 1.0]


def test_gradients_go_another_way() -> None:
    x = bridge.tensor([-1.0, -2.0], requires_grad=True)
    script = bridge.jit.script(gate)
    script(-bridge.ones(2))
    script(x).sum().backward()
    assert x.grad.tolist() == [-1.0, -1.0]


def test_attributes_are_read_with_each_call() -> None:
    script, x = bridge.jit.script(Scaled()), bridge.zeros(1)
    for scale in (0.5, 2.0, 4.0):
        script.scale = scale
        assert script(x).tolist() == [scale / 2]
