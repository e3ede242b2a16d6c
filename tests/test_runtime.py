"""Calls of programs: on onnxruntime, one session per kind of arguments, never stale, with gradients, or in the interpreter."""

import warnings

import numpy as np
import pytest
from support import onnx_modules as M
from support.onnx_runs import same, variants

import bridge as torch
from bridge import runtime
from bridge.jit.running import MISS
from bridge.runtime import executor


@pytest.fixture
def counted(monkeypatch):
    """The sessions that are opened while a test runs."""
    from bridge.runtime import sessions as module

    opened = []
    original = module.open_session

    def open_session(*args, **kwargs):
        opened.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(module, "open_session", open_session)
    return opened


def test_one_session_per_signature(counted):
    s = torch.jit.script(M.Gate())
    with torch.no_grad():
        for shape in ((3000,), (5000,), (50, 50), (60, 60)):  # smaller ones need no session
            np.testing.assert_array_equal(s(torch.ones(shape)).numpy(), np.ones(shape))
        s(torch.ones(3000, dtype=torch.float64))
    assert len(counted) == 3


@pytest.mark.parametrize("program", variants.names())
def test_variants_as_in_the_interpreter(program):
    for _name, model, inputs in variants.subjects(program):
        for arguments in inputs:
            want = variants.expected(model, arguments)
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore", runtime.InterpreterWarning)
                if isinstance(want, Exception):
                    with pytest.raises(Exception):  # noqa: B017, PT011
                        model(*variants.copied(arguments))
                    continue
                got = model(*variants.copied(arguments))
            assert type(got) is type(want)
            same(got, want)


def in_place(p):
    p.add_(1)


def by_data(p):
    p.data.add_(1)


def by_numpy(p):
    p.detach().numpy()[...] += 1


def by_new_data(p):
    p.data = p.data + 1


def by_view(p):
    p.detach()[0].add_(1)


@pytest.mark.parametrize("write", [in_place, by_data, by_numpy, by_new_data, by_view])
def test_changed_parameters_are_seen(write):
    eager = torch.nn.Linear(4, 4)
    s = torch.jit.script(eager)
    x = torch.rand(2, 4)
    with torch.no_grad():
        s(x)
        for _ in range(3):
            write(s.weight)
            np.testing.assert_allclose(s(x).numpy(), (x @ s.weight.t() + s.bias).numpy(), atol=1e-5)


def test_replaced_parameters_are_seen():
    s = torch.jit.script(torch.nn.Linear(4, 4))
    x = torch.rand(2, 4)
    with torch.no_grad():
        s(x)
        s.weight = torch.nn.Parameter(torch.zeros(4, 4))
        np.testing.assert_array_equal(s(x).numpy(), np.broadcast_to(s.bias.detach().numpy(), (2, 4)))
        s.load_state_dict({"weight": torch.ones(4, 4), "bias": torch.zeros(4)})
        np.testing.assert_allclose(s(x)[:, 0].numpy(), x.sum(1).numpy(), atol=1e-6)


def test_changed_attributes_are_seen():
    s = torch.jit.script(M.Static())
    x = torch.ones(3)
    with torch.no_grad():
        assert s(x).tolist() == [2.0] * 3
        s.eval()
        assert s(x).tolist() == [1.0] * 3
        s.train()
        assert s(x).tolist() == [2.0] * 3
    drop = torch.jit.script(M.Dropped())
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", runtime.InterpreterWarning)
        torch.manual_seed(0)
        assert 0.0 in drop(torch.ones(100)).tolist()
        drop.eval()
        assert drop(x).tolist() == [1.0] * 3
        drop.scale = 3.0
        assert drop(x).tolist() == [3.0] * 3


def test_gradients_are_those_of_eager():
    torch.manual_seed(1)
    eager = M.Loop()
    s = torch.jit.script(eager)
    xs = torch.randn(5, 3, 4)
    got = s(xs)[0]
    assert got.requires_grad
    assert "TanhBackward0" in str(got)
    got.sum().backward()
    mine = [p.grad.clone() for p in s.parameters()]
    for p in s.parameters():
        p.grad = None
    eager(xs)[0].sum().backward()
    for a, p in zip(mine, eager.parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), p.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_gradient_after_a_write_is_refused():
    s = torch.jit.script(torch.nn.Linear(4, 4))
    y = s(torch.rand(2, 4))
    with torch.no_grad():
        s.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_shapes_that_change_in_a_loop():
    """The state's rank grows with the first iteration, so that the list of states is no scan output."""
    s = torch.jit.script(M.Collect())
    xs = torch.randn(6, 3, 4)
    with torch.no_grad():
        same(s(xs), variants.expected(s, (xs,)))
        same(s(xs[0]), variants.expected(s, (xs[0],)))


def test_no_gradient_where_none_is_needed():
    s = torch.jit.script(torch.nn.Linear(4, 4))
    with torch.no_grad():
        assert not s(torch.rand(2, 4)).requires_grad
    for p in s.parameters():
        p.requires_grad_(False)
    assert s(torch.rand(2, 4)).grad_fn is None


def split(a, b):
    return a.relu(), b.relu(), (b > 0).float(), b.argmax().float(), torch.ones_like(b), torch.full([2], b.sum().item())


def written(a, b):
    c = torch.zeros(2)
    d = c[:1]
    e = a * 1
    c[0] = b[0]
    return c, d + 0, e, (a, (b + a, a + 1))


def carried(a, b):
    c, d = a, a + 1
    for _ in range(3):
        d = d + c
        if bool(c.sum() > 100):
            c = c + b
    return c + 1, d, a * 2


def listed(a, b):
    many = [a]
    many.append(b)
    return many[0] * 1, torch.stack([a, a]), torch.stack(many)


class OneOfTwo(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.taught, self.fixed = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
        self.fixed.requires_grad_(False)
        self.register_buffer("shift", torch.ones(2))

    def forward(self, a, b):
        return self.taught(a), self.fixed(a), self.fixed(b), a + self.shift


def leaves(value):
    return [t for v in value for t in leaves(v)] if isinstance(value, tuple) else [value]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (split, [False, True, False, False, False, False]),
        (written, [True, True, False, False, True, False]),
        (carried, [True, True, False]),  # by the other branch, perhaps
        (listed, [True, False, True]),
        (OneOfTwo, [True, False, True, False]),
    ],
)
def test_results_that_nothing_with_a_gradient_reaches_have_none(program, expected):
    f = torch.jit.script(program() if isinstance(program, type) else program)
    for _ in range(2):
        found = f(torch.ones(2), torch.ones(2, requires_grad=True))
        assert [t.requires_grad for t in leaves(found)] == expected


class Shares(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, x):
        return x * self.weight, self.seen[1:], self.weight, self.seen


VIEWS = {
    "view": lambda x: x.view(-1),
    "transposed, of a size": lambda x: x.view([x.size(1), x.size(0)]).t(),
    "nothing to convert": lambda x: x.to(torch.float32),
    "itself": lambda x: (x.contiguous(), x * 2),
    "a row beside a sum": lambda x: (x[1], x.sum()),
    "detached": lambda x: x.detach(),
}


@pytest.mark.parametrize("name", VIEWS)
def test_results_that_are_views_of_an_argument_share_its_memory(name):
    f, x = torch.jit.trace(VIEWS[name], (torch.ones(2, 3),)), torch.ones(2, 3)
    result, expected = f(x), VIEWS[name](x)
    result, expected = (leaves(r)[0] for r in (result, expected))
    assert (result is x) == (expected is x)
    assert result.stride() == expected.stride()
    result.add_(1)
    assert expected.tolist() == result.tolist()
    assert x.sum().item() == 6 + result.numel()


@torch.jit.script
def first(rows: dict[str, list[torch.Tensor]]) -> torch.Tensor:
    return rows["a"][0]


def test_results_that_are_parts_of_arguments_and_attributes():
    x = torch.ones(2, requires_grad=True)
    assert first({"a": [x]}) is x
    m = torch.jit.script(Shares())
    y, part, weight, seen = m(torch.ones(2))
    y.sum().backward()
    assert m.weight.grad.tolist() == [1, 1]
    part.add_(1)
    assert (m.seen.tolist(), seen.tolist()) == ([0, 1, 1], [0, 1, 1])
    assert weight.data_ptr() == m.weight.data_ptr()
    assert (y.requires_grad, part.requires_grad, weight.is_leaf) == (True, False, True)


def asked(x):
    return x * 2 if x.requires_grad else x * 3


def test_a_program_sees_what_requires_a_gradient():
    f, x = torch.jit.script(asked), torch.ones(1)
    with torch.no_grad():
        assert [f(x).item(), f(x.clone().requires_grad_()).item()] == [3, 2]


def test_results_are_themselves():
    cell = torch.jit.script(M.Cell())
    with torch.no_grad():
        a, b = cell(torch.rand(3, 4), torch.rand(3, 4))
    assert a is b


def _ints(counts: list[int], x: torch.Tensor, y: torch.Tensor):
    return x, y + len(counts)


def _rows(counts: list[list[int]], x: torch.Tensor, y: torch.Tensor):
    return x, y + len(counts)


def _mixed(counts: list[int] | None, pairs: list[tuple[int, torch.Tensor]], x: torch.Tensor, y: torch.Tensor):
    return x, y + len(pairs)


def _some(xs: list[int | None], ys: list[torch.Tensor | None]):
    return xs + xs, len(ys), ys


@pytest.mark.filterwarnings("ignore::bridge.runtime.executor.InterpreterWarning")
def test_lists_that_may_hold_none():
    s, one = torch.jit.script(_some), torch.ones(1)
    for xs, ys in (
        ([], []),
        ([5], [one]),
        ([5, 6], [None]),
        ([None, 5], [one, None]),
        ([5, None], [None, one]),
        ([1], []),
    ):
        doubled, count, same_ys = s(xs, ys)
        assert (doubled, count) == (xs + xs, len(ys))
        assert [y is z for y, z in zip(same_ys, ys, strict=True)] == [True] * count


@pytest.mark.filterwarnings("ignore::bridge.runtime.executor.InterpreterWarning")
@pytest.mark.parametrize(
    ("program", "lists"),
    [
        (_ints, [([],), ([1, 2],), ([],)]),
        (_rows, [([],), ([[]],), ([[1], []],)]),
        (_mixed, [(None, []), ([], []), ([4], [(1, torch.ones(1))]), (None, [(2, torch.zeros(1))])]),
    ],
)
def test_arguments_that_are_given_back_are_found_behind_lists(program, lists):
    s = torch.jit.script(program)
    x, y = torch.tensor([1.0]), torch.tensor([20.0])
    for given in lists:
        first, second = s(*given, x, y)
        assert first is x
        assert second.item() == 20 + len(given[-1])


def test_what_onnx_cannot_express_runs_in_the_interpreter_and_says_so():
    s = torch.jit.script(M.Says())
    with pytest.warns(runtime.InterpreterWarning, match=r"onnx_modules\.py:\d+"):
        s(torch.ones(2), "a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s(torch.ones(2), "a")  # said once


def test_steady_calls_take_the_short_way():
    s = torch.jit.script(M.Gate())
    x = torch.ones(3)
    with torch.no_grad():
        s(x)
        slow = executor._slow
        try:
            executor._slow = None
            s(x)
        finally:
            executor._slow = slow


def _grows(xs: list[torch.Tensor], by: dict[str, list[int]], x: torch.Tensor) -> tuple[torch.Tensor, int]:
    xs.append(x)
    return torch.stack(xs).sum(0), by["a"][0] + len(by["a"])


def test_lists_are_looked_at_with_every_call():
    s, x = torch.jit.script(_grows), torch.ones(2)
    slow, asked = executor._slow, []

    def counted(*args):
        asked.append(1)
        return slow(*args)

    try:
        executor._slow = counted
        with torch.no_grad():
            for n in (2, 2, 2, 3, 3):
                xs, by = [x] * n, {"a": [n, 5]}
                total, number = s(xs, by, x)
                assert (total.tolist(), number, len(xs), by) == ([n + 1.0] * 2, n + 2, n, {"a": [n, 5]})
            assert len(asked) <= 2
            with pytest.raises(RuntimeError, match=r"List\[int\]"):
                s([x, x], {"a": [1, "b"]}, x)
            with pytest.raises(RuntimeError, match=r"List\[Tensor\]"):
                s([x, 1], {"a": [1, 2]}, x)
            with pytest.warns(runtime.InterpreterWarning, match="different data type"):
                assert s([x, x.double()], {"a": [1, True]}, x)[1] == 3
    finally:
        executor._slow = slow


class _Weighted(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))

    def forward(
        self,
        x: torch.Tensor,
        by: dict[str, tuple[torch.Tensor, int]],
        k: list[int],
        xs: list[torch.Tensor],
        o: float | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        t, n = by["a"]
        assert len(k) < 4
        o = 0.5 if o is None else o
        return x * t * n * k[0] + self.weight + o, x


def _given(**changes):
    x = torch.ones(2)
    usual = {"x": x, "by": {"a": (x, 2)}, "k": [3], "xs": [x], "o": 1.5}
    return [*(usual | changes).values()]


@pytest.mark.parametrize(
    "other",
    [
        {"x": torch.ones(2).double()},
        {"x": torch.ones(3, 1)},
        {"x": torch.ones(2).requires_grad_()},
        {"x": torch.nn.Parameter(torch.ones(2))},
        {"by": {"a": (torch.ones(2), 5)}},
        {"by": {"b": (torch.ones(2), 5), "a": (torch.ones(1), 7)}},
        {"k": [4]},
        {"k": [4, 5]},
        {"k": [5, 5, 5, 5]},
        {"k": [True]},
        {"k": []},
        {"xs": [torch.ones(2), torch.ones(3, 1)]},
        {"xs": [torch.ones(2), 1]},
        {"o": None},
        {"o": 2},
        {"x": torch.ones(3)},
    ],
)
def test_steady_calls_look_at_their_arguments(other):
    """What comes after calls of one kind gives what it gives alone."""

    def told(script, arguments):
        try:
            out, same = script(*arguments)
        except (RuntimeError, AssertionError) as error:
            return str(error).splitlines()[-1]
        return out.tolist(), out.dtype, out.requires_grad, same

    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            s, fresh, x = torch.jit.script(_Weighted()), torch.jit.script(_Weighted()), torch.ones(2)
            for p in (*s.parameters(), *fresh.parameters()):
                p.requires_grad_(grad and "o" in other)
            for _ in range(4):
                assert s(*_given(x=x))[1] is x
            entry = s._c.runtime[s._c.type.find_method("forward")]
            assert entry.quick is not None
            arguments = _given(**other)
            assert told(s, arguments) == told(fresh, arguments)
            s.weight = torch.nn.Parameter(torch.zeros(2), requires_grad=False)
            assert s(*_given())[0].tolist() == [7.5, 7.5]


def test_arguments_that_do_not_fit_get_torchs_words():
    s = torch.jit.script(M.Gate())
    with pytest.raises(RuntimeError, match="missing value for argument 'x'"):
        s()
    with pytest.raises(RuntimeError, match="expected at most 2 argument"):
        s(torch.ones(1), torch.ones(1))


def test_providers():
    assert "CPUExecutionProvider" in runtime.providers()
    with pytest.raises(runtime.ProviderError, match="no execution provider 'Abacus'"), runtime.using(["Abacus"]):
        pass
    s = torch.jit.script(M.Gate())
    with runtime.using(["CPU"]), torch.no_grad():
        assert s(torch.ones(2)).tolist() == [1.0, 1.0]


def test_a_provider_that_does_not_take_part_is_an_error(monkeypatch):
    """A session that silently falls back is told apart by the providers it reports."""
    import onnxruntime

    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    import onnx

    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Neg", ["x"], ["y"])], "g",
        [onnx.helper.make_tensor_value_info("x", 1, [1])], [onnx.helper.make_tensor_value_info("y", 1, [1])],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnxruntime warns of it, and goes on
        with pytest.raises(runtime.ProviderError, match="does not take part"):
            runtime.open_session(model.SerializeToString(), ["CUDA"])


class _Momentum(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.nn.Buffer(torch.zeros(2))

    def forward(self, x: torch.Tensor, by: float = 0.5, times: int | None = None) -> torch.Tensor:
        self.mean.mul_(by).add_(x.sum(0))
        return torch.softmax(self.mean if times is None else self.mean * times, 0)


def test_steady_calls_with_defaults_and_buffers():
    s, eager = torch.jit.script(_Momentum()), _Momentum()
    entry = None
    with torch.no_grad():
        for n, more in enumerate([(), (), (), (0.25,), (0.25,), (), (0.5, 3), (0.5, 3), (0.5, 3), ()]):
            x, version = torch.ones(3, 2) * n, s.mean._version
            if n == 8:  # what is written to may not be read from meanwhile
                x = (s.mean[None], eager.mean[None])
            a, b = x if isinstance(x, tuple) else (x, x)
            assert torch.allclose(s(a, *more), eager(b, *more))
            assert torch.allclose(s.mean, eager.mean)
            assert s.mean._version > version
            entry = s._c.runtime[s._c.type.find_method("forward")]
        assert entry.quick((torch.ones(3, 2), 0.5)) is MISS
        assert entry.quick((torch.ones(3, 2), 2, 3, 4)) is MISS
        s(torch.ones(3, 2))
        assert entry.quick((torch.ones(3, 2),)) is not MISS


def _halved(n: int, by: int = 2) -> int:
    return n // by


def test_defaults_of_programs_of_numbers():
    s = torch.jit.script(_halved)
    assert [s(9), s(9), s(9, 3), s(9), s(n=8), s(8, by=4)] == [4, 4, 3, 4, 4, 2]
    with pytest.raises(RuntimeError, match="missing value for argument 'n'"):
        s()
    with pytest.raises(RuntimeError, match=r"division by (0|zero)"):
        s(1, 0)
