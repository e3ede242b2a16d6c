"""What people do with programs from Python: share objects, call with the wrong arguments, ask for what a module has."""

from __future__ import annotations

import types
from typing import Any, Dict  # noqa: UP035

import pytest

import bridge
from bridge import Tensor, nn
from bridge.nn.utils import parametrize

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::bridge.runtime.executor.InterpreterWarning"),
]


def account(torch: Any) -> Any:
    class Account:
        def __init__(self, total: int):
            self.total = total
            self.log = [total]

        def add(self, n: int):
            self.total += n

        def of(self, x: Tensor):
            return x * self.total

        @property
        def doubled(self) -> int:
            return self.total * 2

    Account.__module__ = __name__  # (found by its name)
    Account.of.__annotations__["x"] = torch.Tensor
    return Account


def spend(a: Account, n: int):  # noqa: F821
    a.add(n)
    a.log.append(n)
    return a.doubled


def shared(torch: Any) -> list[Any]:
    """An instance is shared: both sides see what the other writes."""
    cls = account(torch)
    names = {**globals(), "Account": cls}
    program = types.FunctionType(spend.__code__, names, "spend")
    program.__annotations__ = {"a": cls, "n": int}
    made, script = torch.jit.script(cls(3)), torch.jit.script(program)
    found = [type(made).__name__, script(made, 4), made.total, made.log]
    made.total = 10
    return [*found, made.doubled, made.of(torch.ones(1)).tolist()]


def test_objects_are_shared() -> None:
    assert shared(bridge) == ["RecursiveScriptClass", 14, 7, [3, 4], 20, [10.0]]


@pytest.mark.oracle
def test_objects_are_shared_as_in_pytorch() -> None:
    assert shared(pytest.importorskip("torch")) == shared(bridge)


def test_an_object_of_a_program_as_a_part_of_a_module() -> None:
    class Model(nn.Module):
        def __init__(self, part: Any):
            super().__init__()
            self.part = part

        def forward(self, x: Tensor) -> Tensor:
            return self.part.of(x)

    made = bridge.jit.script(account(bridge)(3))
    assert bridge.jit.script(Model(made))(bridge.ones(1)).tolist() == [3.0]


def by_keyword(x, k: int = 2):
    return x * k


class Keywords:
    """A module of the library given."""

    def __new__(cls, torch: Any) -> Any:
        class Named(torch.nn.Module):  # type: ignore[name-defined, misc]
            def forward(self, *, n: int, d: str):
                return n, d

        return torch.jit.script(Named())


#: Calls, of a module ``m``, a function ``s`` and operators, that are refused, and the first line of what PyTorch says.
REFUSED = {
    "m(3, 'a')": "forward() takes 1 positional argument(s) but 3 was/were given.  Declaration: forward(__torch__.",
    "m(3, d='a')": "forward() takes 1 positional argument(s) but 2 was/were given.  Declaration: forward(__torch__.",
    "s(torch.ones(2), torch.ones(2))": "by_keyword() Expected a value of type 'int' for argument 'k' but instead found type 'Tensor'.",
    "torch.ops.aten.add.Tensor(torch.ones(1), torch.ones(1), 2)": "aten::add() takes 2 positional argument(s) but 3 was/were given.",
    "torch.ops.aten.add(torch.ones(1), torch.ones(1), 2)": "Overloaded torch operator invoked from Python failed to match any schema:",
    "torch.ops.aten.add(torch.ones(1))": "Overloaded torch operator invoked from Python failed to match any schema:",
    "torch.jit.script(type(p))": "Type '<class ",
}


def refusal(torch: Any, call: str) -> str:
    names = {"torch": torch, "m": Keywords(torch), "p": torch.nn.Linear(1, 1)}
    twin = types.FunctionType(by_keyword.__code__, globals(), "by_keyword", by_keyword.__defaults__)
    twin.__annotations__ = {"k": int}
    with pytest.raises(RuntimeError) as e:
        eval(call, names | {"s": torch.jit.script(twin)})
    return str(e.value).splitlines()[0]


@pytest.mark.parametrize("call", REFUSED)
def test_calls_that_are_refused(call: str) -> None:
    assert refusal(bridge, call).startswith(REFUSED[call])


@pytest.mark.oracle
@pytest.mark.parametrize("call", REFUSED)
def test_calls_that_pytorch_refuses(call: str) -> None:
    assert refusal(pytest.importorskip("torch"), call).startswith(REFUSED[call])


def test_a_module_with_a_state_of_its_own() -> None:
    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.saved = False
            self.part = nn.Linear(1, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.part(x)

        @bridge.jit.export
        def _save_to_state_dict(self, destination: Dict[str, Tensor], prefix: str, keep_vars: bool):  # noqa: UP006
            self.saved = True

    script = bridge.jit.script(Counted())
    assert not script.saved
    assert list(script.state_dict()) == ["part.weight", "part.bias"]
    assert script.saved


def test_names_of_a_list_of_modules() -> None:
    script = bridge.jit.script(nn.Sequential(nn.Linear(1, 1)))
    assert {"__add__", "append", "insert", "forward"} <= set(dir(script))
    assert {"weight", "forward"} <= set(dir(bridge.jit.script(nn.Linear(1, 1))))


@pytest.mark.parametrize("name", ["relu", "relu.default"])
def test_operators_are_traced(name: str) -> None:
    function: Any = bridge.ops.aten
    for part in name.split("."):
        function = getattr(function, part)
    assert "return torch.relu(" in bridge.jit.trace(function, (bridge.ones(2),)).code


def test_cached_parametrizations_are_not_traced() -> None:
    class Twice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2

    model = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Twice())
    x = bridge.ones(1, 2)
    traced = bridge.jit.trace(model, x)
    with parametrize.cached():
        assert bridge.equal(traced(x), model(x))
        with pytest.raises(RuntimeError, match="Cannot trace a model while caching parametrizations"):
            bridge.jit.trace(model, x)


def test_settings_that_change_nothing() -> None:
    before = bridge.jit.set_fusion_strategy([("STATIC", 2)])
    assert bridge.jit.set_fusion_strategy(before) == [("STATIC", 2)]
    bridge.jit.enable_onednn_fusion(True)
    assert bridge.jit.onednn_fusion_enabled()
    bridge.jit.enable_onednn_fusion(False)


def recurrent_types(torch: Any) -> list[str]:
    """Layers that are alike share a class, also those of another program."""
    return [str(torch.jit.script(torch.nn.LSTM(3, 2))._c._type()) for _ in range(2)]


def test_recurrent_layers_share_a_class() -> None:
    first, second = recurrent_types(bridge)
    assert first == second


@pytest.mark.oracle
def test_recurrent_layers_share_a_class_as_in_pytorch() -> None:
    first, second = recurrent_types(pytest.importorskip("torch"))
    assert first == second
