"""Programs written against PyTorch, each with arguments: compiled from the live objects by both compilers."""

import enum
from collections import OrderedDict
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Kind(enum.Enum):
    LOW = 1
    HIGH = 2


class Pair(NamedTuple):
    first: Tensor
    count: int


class Counter:
    def __init__(self, start: int) -> None:
        self.n = start

    def add(self, by: int) -> int:
        self.n += by
        return self.n


@torch.jit.interface
class Scale(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pass


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


class Interfaced(nn.Module):
    scale: Scale

    def __init__(self) -> None:
        super().__init__()
        self.scale = Double()

    def forward(self, x: Tensor) -> Tensor:
        return self.scale.forward(x)


@torch.jit.ignore
def outside(x: Tensor, n: int) -> Tensor:
    return torch.from_numpy(x.detach().numpy() * n)


class Marked(nn.Module):
    __constants__ = ("size",)
    slope: torch.jit.Final[float]

    def __init__(self) -> None:
        super().__init__()
        self.size, self.slope, self.names = 3, 0.25, {"a": 1}

    @torch.jit.ignore
    def in_python(self, x: Tensor) -> list[Tensor]:
        assert isinstance(x, torch.Tensor)
        return [x, x + self.size]

    @torch.jit.unused
    def never(self, x: Tensor) -> Tensor:
        return undefined(x)  # type: ignore[name-defined]  # noqa: F821

    @torch.jit.export
    def other(self, x: Tensor) -> Tensor:
        return x - self.slope

    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_scripting():
            x = self.never(x)
        return self.in_python(x)[1] + outside(x, self.size) * self.names["a"]


class Containers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.ReLU()])
        self.named = nn.ModuleDict({"a": nn.Tanh(), "b": nn.Sequential(nn.Linear(3, 3), nn.Sigmoid())})
        self.weights = nn.ParameterList([nn.Parameter(torch.ones(3)), nn.Parameter(torch.zeros(3))])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        for layer in self.layers:
            x = layer(x)
        found = {}
        for name, layer in self.named.items():
            found[name] = layer(x)
        for w in self.weights:
            x = x + w
        found["x"] = x
        return found


class Holder(nn.Module):
    """Modules and functions that PyTorch has scripted and traced are parts of the program."""

    def __init__(self) -> None:
        super().__init__()
        self.scripted = torch.jit.script(Double())
        self.traced = torch.jit.trace(nn.Linear(3, 2), torch.ones(1, 3))
        self.act = torch.jit.script(halved)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.traced(self.scripted(x)))


def halved(x: Tensor) -> Tensor:
    return x / 2 if bool(x.sum() > 0) else x


class Hooked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Double()
        self.inner.register_forward_hook(after)
        self.inner.register_forward_pre_hook(before)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def before(self: Any, input: tuple[Tensor]) -> tuple[Tensor]:
    return (input[0] + 1,)


def after(self: Any, input: tuple[Tensor], result: Tensor) -> Tensor:
    return result - 1


@torch.jit._overload
def told(x: int) -> int: ...


@torch.jit._overload
def told(x: Tensor) -> Tensor: ...  # noqa: F811


def told(x):  # noqa: F811
    return x + 1


def overloaded(x: Tensor) -> tuple[Tensor, int]:
    return told(x), told(2)


def library(x: Tensor, mode: str = "nearest") -> tuple[Tensor, Tensor, int, Tensor]:
    y, at = F.max_pool2d(x, 2, return_indices=True)
    z = F.interpolate(torch.cat([y, y], 1), scale_factor=2.0, mode=mode)
    with torch.no_grad():
        z = F.gelu(z).to(torch.float64)
    t = torch.jit.annotate(list[int], [])
    t.append(x.size(0))
    return z, at, t[0], torch.zeros(2, dtype=torch.int32, device=x.device)


def classes(x: Tensor, n: int = 2) -> tuple[Pair, bool, int]:
    c = Counter(n)
    for _ in range(3):
        c.add(n)
    kind = Kind.HIGH if c.n > 2 else Kind.LOW
    future = torch.jit.fork(halved, x)
    return Pair(torch.jit.wait(future), c.n), kind == Kind.HIGH, n


def ordered(x: Tensor) -> dict[str, Tensor]:
    found = OrderedDict([("a", x)])
    found["b"] = x.relu()
    assert isinstance(x, torch.Tensor)
    return found


_x = torch.linspace(-1, 2, 6).reshape(2, 3)


class Packets(nn.Module):
    """Operators by their names."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.aten.norm(x, 2, [1], True) + torch.ops.aten.relu(x)


PROGRAMS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "interface": (Interfaced, (_x,)),
    "ignore, unused, export, constants": (Marked, (_x,)),
    "containers": (Containers, (_x,)),
    "programs of torch.jit inside": (Holder, (_x,)),
    "hooks": (Hooked, (_x,)),
    "overloads": (lambda: overloaded, (_x,)),
    "functions of the library": (lambda: library, (torch.randn(1, 2, 4, 4),)),
    "classes, enums, tuples, futures": (lambda: classes, (_x,)),
    "dicts": (lambda: ordered, (_x,)),
    "operators by name": (Packets, (_x,)),
}

_image, _steps = torch.randn(2, 4, 6, 6), torch.randn(5, 2, 4)
#: Layers, each with the arguments of a call.
LAYERS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "Linear": (lambda: nn.Linear(4, 3), (_steps,)),
    "Bilinear": (lambda: nn.Bilinear(4, 4, 2), (_steps, _steps)),
    "Conv1d": (lambda: nn.Conv1d(2, 3, 3, padding="same"), (_steps,)),
    "Conv2d": (lambda: nn.Conv2d(4, 6, 3, stride=2, groups=2, padding_mode="circular", padding=1), (_image,)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 2, 3, stride=2), (_image,)),
    "BatchNorm2d in training": (lambda: nn.BatchNorm2d(4).train(), (_image,)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (_image,)),
    "LayerNorm": (lambda: nn.LayerNorm(4), (_steps,)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4, affine=True), (_image,)),
    "Embedding": (lambda: nn.Embedding(9, 4, padding_idx=0), (torch.tensor([[0, 3], [8, 1]]),)),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(9, 4), (torch.tensor([[0, 3], [8, 1]]),)),
    "MaxPool2d": (lambda: nn.MaxPool2d(2, ceil_mode=True, return_indices=True), (_image,)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((3, 2)), (_image,)),
    "LPPool2d": (lambda: nn.LPPool2d(2, 3), (_image,)),
    "Upsample": (lambda: nn.Upsample(scale_factor=2.0, mode="bilinear"), (_image,)),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), (_image,)),
    "LSTM": (lambda: nn.LSTM(4, 3, 2, bidirectional=True), (_steps,)),
    "GRU": (lambda: nn.GRU(4, 3, batch_first=True), (_steps,)),
    "RNN": (lambda: nn.RNN(4, 3, nonlinearity="relu"), (_steps, torch.zeros(1, 2, 3))),
    "LSTMCell": (lambda: nn.LSTMCell(4, 3), (_steps[0],)),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(4, 2), (_steps, _steps, _steps)),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), (_steps,)),
    "TransformerDecoderLayer": (lambda: nn.TransformerDecoderLayer(4, 2, 8).eval(), (_steps, _steps)),
    "CrossEntropyLoss": (
        lambda: nn.CrossEntropyLoss(label_smoothing=0.1), (_steps[0], torch.tensor([1, 3])),
    ),
    "SmoothL1Loss": (lambda: nn.SmoothL1Loss(), (_steps, _steps.flip(0))),
    "Softmax": (lambda: nn.Softmax(dim=-1), (_steps,)),
    "PReLU": (lambda: nn.PReLU(4), (_image,)),
    "PReLU of a number": (lambda: nn.PReLU(), (torch.tensor(-2.0),)),
    "Dropout": (lambda: nn.Dropout(0.3).eval(), (_steps,)),
}  # fmt: skip
