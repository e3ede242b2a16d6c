import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Dict, List, NamedTuple, Optional, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(10, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 3)
        )

    def forward(self, x):
        return self.net(x)


add("mlp", MLP, lambda: [(torch.randn(4, 10),), (torch.randn(1, 10),), (torch.randn(33, 10),)])


class BasicBlock(nn.Module):
    def __init__(self, cin: int, cout: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.down = None
        if stride != 1 or cin != cout:
            self.down = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.down is not None:
            identity = self.down(x)
        return F.relu(out + identity)


class ResNet18(nn.Module):
    def __init__(self, width: int = 16, classes: int = 10):
        super().__init__()
        w = width
        self.stem = nn.Sequential(
            nn.Conv2d(3, w, 7, 2, 3, bias=False), nn.BatchNorm2d(w), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        self.layers = nn.Sequential(
            BasicBlock(w, w),
            BasicBlock(w, w),
            BasicBlock(w, 2 * w, 2),
            BasicBlock(2 * w, 2 * w),
            BasicBlock(2 * w, 4 * w, 2),
            BasicBlock(4 * w, 4 * w),
            BasicBlock(4 * w, 8 * w, 2),
            BasicBlock(8 * w, 8 * w),
        )
        self.fc = nn.Linear(8 * w, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(self.stem(x))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


add(
    "resnet18_stack",
    ResNet18,
    lambda: [(torch.randn(2, 3, 64, 64),), (torch.randn(1, 3, 64, 64),), (torch.randn(5, 3, 64, 64),)],
)


class MHABlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.att = nn.MultiheadAttention(16, 4, batch_first=True)
        self.ln = nn.LayerNorm(16)

    def forward(self, q: Tensor, kv: Tensor) -> Tuple[Tensor, Optional[Tensor]]:
        y, w = self.att(q, kv, kv, need_weights=True)
        return self.ln(q + y), w


add(
    "mha_cross",
    MHABlock,
    lambda: [
        (torch.randn(2, 3, 16), torch.randn(2, 5, 16)),
        (torch.randn(1, 1, 16), torch.randn(1, 9, 16)),
        (torch.randn(4, 7, 16), torch.randn(4, 2, 16)),
    ],
)


class LSTMModule(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(6, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        y, (h, c) = self.rnn(x)
        return self.fc(y[:, -1]) + h.mean() + c.sum() * 0.1


add("lstm_module", LSTMModule, lambda: [(torch.randn(2, 5, 6),), (torch.randn(1, 1, 6),), (torch.randn(4, 19, 6),)])


class EmbedNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(20, 12, padding_idx=0)
        self.ln = nn.LayerNorm(12)
        self.register_buffer("pe", torch.randn(64, 12))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.emb(ids) * 12**0.5
        x = self.ln(x + self.pe[: ids.size(1)])
        mask = (ids != 0).unsqueeze(-1).to(x.dtype)
        return (x * mask).sum(1) / mask.sum(1).clamp(min=1.0)


add(
    "embedding_layernorm",
    EmbedNorm,
    lambda: [(torch.randint(0, 20, (2, 7)),), (torch.zeros(1, 3, dtype=torch.long),), (torch.randint(0, 20, (4, 40)),)],
)
