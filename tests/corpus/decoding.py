import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Dict, List, NamedTuple, Optional, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class GreedyDecode(nn.Module):
    def __init__(self, vocab: int = 11, d: int = 12):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        self.cell = nn.GRUCell(d, d)
        self.out = nn.Linear(d, vocab)
        self.eos = 3
        self.max_len = 20

    def forward(self, h: Tensor) -> Tensor:
        tok = torch.zeros(h.size(0), dtype=torch.long)
        toks: List[Tensor] = []
        for _ in range(self.max_len):
            h = self.cell(self.emb(tok), h)
            tok = self.out(h).argmax(dim=-1)
            toks.append(tok)
            if bool((tok == self.eos).all()):
                break
        return torch.stack(toks, dim=1)


add(
    "greedy_decode",
    GreedyDecode,
    lambda: [
        (torch.randn(1, 12),),
        (torch.randn(1, 12) * 5,),
        (torch.randn(1, 12) * 20,),
        (torch.zeros(1, 12),),
        (-torch.ones(1, 12) * 3,),
    ],
)


class CTCGreedy(nn.Module):
    """Collapse repeats and drop blanks; ints in a list."""

    def __init__(self):
        super().__init__()
        self.blank = 0

    def forward(self, logits: Tensor) -> Tensor:
        best = logits.argmax(dim=-1)
        prev = -1
        out: List[int] = []
        for t in range(best.size(0)):
            k = int(best[t])
            if k != prev and k != self.blank:
                out.append(k)
            prev = k
        return torch.tensor(out, dtype=torch.long)


add(
    "ctc_greedy",
    CTCGreedy,
    lambda: [
        (F.one_hot(torch.tensor([0, 1, 1, 0, 2, 2, 3]), 4).float(),),
        (F.one_hot(torch.tensor([3, 3, 0, 3]), 4).float(),),
        (F.one_hot(torch.tensor([1, 2, 3, 2, 1, 0, 0, 1, 1]), 4).float(),),
        (F.one_hot(torch.tensor([0, 0, 0]), 4).float(),),
    ],
)


class KVCacheBuffer(nn.Module):
    """A fixed cache buffer written at a position; attends to the prefix."""

    def __init__(self, d: int = 8, max_len: int = 16):
        super().__init__()
        self.qkv = nn.Linear(d, 3 * d)
        self.register_buffer("k", torch.zeros(max_len, d))
        self.register_buffer("v", torch.zeros(max_len, d))

    def forward(self, x: Tensor, pos: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        p = int(pos)
        self.k[p] = k
        self.v[p] = v
        att = torch.softmax(self.k[: p + 1] @ q / 8**0.5, dim=0)
        return att @ self.v[: p + 1]


add(
    "kv_cache_buffer",
    KVCacheBuffer,
    lambda: [(torch.randn(8), torch.tensor(3)), (torch.randn(8), torch.tensor(0)), (torch.randn(8), torch.tensor(11))],
)
