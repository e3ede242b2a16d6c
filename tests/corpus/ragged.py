import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Dict, List, NamedTuple, Optional, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class Bucketing(nn.Module):
    """Sequences by length into buckets; each bucket is padded to its own longest one and pooled."""

    def __init__(self):
        super().__init__()
        self.bounds: List[int] = [2, 4]
        self.fc = nn.Linear(1, 3)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        starts = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)[:-1]])
        out = torch.zeros(lengths.size(0), 3)
        low = 0
        for b in range(len(self.bounds) + 1):
            high = self.bounds[b] if b < len(self.bounds) else int(lengths.max())
            member = torch.nonzero((lengths > low) & (lengths <= high)).squeeze(1)
            if member.numel() > 0:
                longest = int(lengths[member].max())
                batch = torch.zeros(member.size(0), longest)
                for i in range(member.size(0)):
                    s, n = int(starts[member[i]]), int(lengths[member[i]])
                    batch[i, :n] = values[s : s + n]
                out[member] = self.fc(batch.unsqueeze(-1)).amax(dim=1)
            low = high
        return out


add(
    "bucketing",
    Bucketing,
    lambda: [
        (torch.randn(10), torch.tensor([1, 3, 2, 4])),
        (torch.randn(3), torch.tensor([1, 2])),
        (torch.randn(15), torch.tensor([6, 5, 3, 1])),
        (torch.randn(9), torch.tensor([9])),
    ],
)


def segment_means(values: Tensor, ids: Tensor, count: int) -> Tensor:
    """Means by segment; empty segments stay zero."""
    out = torch.zeros(count, values.size(1))
    for k in range(count):
        mask = ids == k
        if bool(mask.any()):
            out[k] = values[mask].mean(dim=0)
    return out


add(
    "segment_means",
    segment_means,
    lambda: [
        (torch.randn(5, 2), torch.tensor([0, 1, 1, 3, 0]), 4),
        (torch.randn(2, 3), torch.tensor([1, 1]), 2),
        (torch.randn(7, 1), torch.tensor([5, 4, 3, 2, 1, 0, 0]), 6),
        (torch.randn(0, 2), torch.zeros(0, dtype=torch.long), 3),
    ],
)


def run_lengths(x: Tensor) -> Tuple[Tensor, Tensor]:
    """Run-length encoding."""
    values: List[int] = []
    counts: List[int] = []
    for i in range(x.size(0)):
        v = int(x[i])
        if len(values) > 0 and values[-1] == v:
            counts[-1] += 1
        else:
            values.append(v)
            counts.append(1)
    return torch.tensor(values, dtype=torch.long), torch.tensor(counts, dtype=torch.long)


add(
    "run_lengths",
    run_lengths,
    lambda: [
        (torch.tensor([1, 1, 2, 2, 2, 3]),),
        (torch.tensor([4]),),
        (torch.tensor([1, 2, 1, 2, 2]),),
        (torch.zeros(6, dtype=torch.long),),
    ],
)


class Histogram(nn.Module):
    """A histogram with open ends, and the quantile that it gives."""

    def __init__(self):
        super().__init__()
        self.register_buffer("edges", torch.linspace(-2, 2, 9))

    def forward(self, x: Tensor, q: float) -> Tuple[Tensor, Tensor]:
        counts = torch.zeros(self.edges.size(0) + 1, dtype=torch.long)
        for i in range(x.numel()):
            b = int((x.view(-1)[i] >= self.edges).sum())
            counts[b] += 1
        wanted = q * x.numel()
        seen = 0
        k = 0
        while k < counts.size(0) - 1 and seen + int(counts[k]) < wanted:
            seen += int(counts[k])
            k += 1
        return counts, self.edges[min(k, self.edges.size(0) - 1)]


add(
    "histogram",
    Histogram,
    lambda: [
        (torch.randn(3, 4), 0.5),
        (torch.randn(20, 1), 0.9),
        (torch.full((2, 2), 7.0), 0.1),
        (torch.randn(1, 1), 0.0),
    ],
)


class DynamicPadding(nn.Module):
    """Windows with overlap; the last one is padded."""

    def __init__(self, size: int = 4, hop: int = 3):
        super().__init__()
        self.size, self.hop = size, hop
        self.conv = nn.Conv1d(1, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        frames: List[Tensor] = []
        start = 0
        while start == 0 or start + self.size - self.hop < x.size(0):
            frame = x[start : start + self.size]
            if frame.size(0) < self.size:
                frame = F.pad(frame, [0, self.size - frame.size(0)], value=0.5)
            frames.append(frame)
            start += self.hop
        return self.conv(torch.stack(frames).unsqueeze(1)).flatten(1)


add(
    "dynamic_padding",
    DynamicPadding,
    lambda: [(torch.randn(10),), (torch.randn(4),), (torch.randn(2),), (torch.randn(17),)],
)


class PackedPooling(nn.Module):
    """A list of sequences of any length: encoded one by one, the longest kept first."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 4, batch_first=True)

    def forward(self, xs: List[Tensor]) -> Tuple[Tensor, List[int]]:
        lengths: List[int] = []
        pooled: List[Tensor] = []
        for x in xs:
            y, h = self.rnn(x.unsqueeze(0))
            lengths.append(x.size(0))
            if x.size(0) > 2:
                pooled.append(y[0].mean(dim=0))
            else:
                pooled.append(h[-1, 0])
        order = torch.tensor(lengths).argsort(descending=True, stable=True)
        return torch.stack(pooled)[order], lengths


add(
    "packed_pooling",
    PackedPooling,
    lambda: [
        ([torch.randn(2, 3), torch.randn(5, 3)],),
        ([torch.randn(4, 3)],),
        ([torch.randn(1, 3), torch.randn(3, 3), torch.randn(3, 3), torch.randn(9, 3)],),
    ],
)


def merge_sorted(a: Tensor, b: Tensor) -> Tensor:
    """Merge of two sorted rows."""
    out = torch.zeros(a.size(0) + b.size(0))
    i, j, k = 0, 0, 0
    while i < a.size(0) and j < b.size(0):
        if a[i] <= b[j]:
            out[k] = a[i]
            i += 1
        else:
            out[k] = b[j]
            j += 1
        k += 1
    if i < a.size(0):
        out[k:] = a[i:]
    else:
        out[k:] = b[j:]
    return out


add(
    "merge_sorted",
    merge_sorted,
    lambda: [
        (torch.randn(4).sort()[0], torch.randn(3).sort()[0]),
        (torch.zeros(0), torch.randn(2).sort()[0]),
        (torch.tensor([5.0, 6.0]), torch.tensor([1.0])),
        (torch.tensor([1.0]), torch.tensor([5.0, 6.0, 7.0])),
    ],
)
