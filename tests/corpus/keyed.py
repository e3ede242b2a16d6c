import torch
import torch.nn as nn
from torch import Tensor
from typing import Dict, List, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


def of(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.long)


def mode(ids: Tensor) -> Tuple[int, int, List[int]]:
    """How often each number comes, in the order of first appearance; the most frequent one."""
    counts: Dict[int, int] = {}
    for i in range(ids.size(0)):
        k = int(ids[i])
        counts[k] = counts.get(k, 0) + 1
    best = -1
    most = 0
    for k, n in counts.items():
        if n > most:
            best = k
            most = n
    return best, len(counts), list(counts.keys())


add("mode", mode, lambda: [(of(3, 1, 3, 2, 3),), (of(),), (of(7),), (of(1, 2, 2, 1),)])


class ClassMeans(nn.Module):
    """Rows of a batch grouped by label: a dict of lists of positions."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, x: Tensor, labels: Tensor) -> Tuple[Tensor, List[int]]:
        groups: Dict[int, List[int]] = {}
        for i in range(labels.size(0)):
            k = int(labels[i].item())
            if k not in groups:
                groups[k] = []
            groups[k].append(i)
        z = self.fc(x)
        means: List[Tensor] = []
        sizes: List[int] = []
        for k in groups.keys():
            total = torch.zeros(4)
            for i in groups[k]:
                total = total + z[i]
            means.append(total / len(groups[k]))
            sizes.append(len(groups[k]))
        return torch.stack(means), sizes


add(
    "class_means",
    ClassMeans,
    lambda: [
        (torch.randn(5, 3), of(3, 1, 3, 2, 3)),
        (torch.randn(1, 3), of(0)),
        (torch.randn(6, 3), of(1, 1, 1, 1, 1, 1)),
        (torch.randn(3, 3), of(2, 1, 0)),
    ],
)


def distances(edges: Tensor, start: int) -> Tuple[List[int], List[int]]:
    """Breadth-first search over a graph of named nodes, with neighbours and distances in dicts."""
    near: Dict[int, List[int]] = {}
    for i in range(edges.size(0)):
        a, b = int(edges[i, 0]), int(edges[i, 1])
        if a not in near:
            near[a] = []
        if b not in near:
            near[b] = []
        near[a].append(b)
        near[b].append(a)
    far: Dict[int, int] = {start: 0}
    queue = [start]
    while len(queue) > 0:
        u = queue.pop(0)
        if u in near:
            for v in near[u]:
                if v not in far:
                    far[v] = far[u] + 1
                    queue.append(v)
    return list(far.keys()), list(far.values())


add(
    "distances",
    distances,
    lambda: [
        (torch.tensor([[10, 1], [1, 2], [10, 3], [3, 4], [4, 2]]), 10),
        (torch.tensor([[0, 1], [2, 3]]), 2),
        (torch.tensor([[0, 1], [2, 3]]), 7),
        (torch.zeros(0, 2, dtype=torch.long), 0),
    ],
)


def components(pairs: Tensor, n: int) -> Tuple[int, Tensor]:
    """Union-find whose parents are in a dict."""
    parent: Dict[int, int] = {}
    for i in range(n):
        parent[i] = i
    for i in range(pairs.size(0)):
        a, b = int(pairs[i, 0]), int(pairs[i, 1])
        while parent[a] != a:
            a = parent[a]
        while parent[b] != b:
            b = parent[b]
        if a != b:
            parent[a] = b
    names = torch.zeros(n, dtype=torch.long)
    roots = 0
    for k, v in parent.items():
        names[k] = v
        if k == v:
            roots += 1
    return roots, names


add(
    "components",
    components,
    lambda: [
        (torch.tensor([[0, 1], [1, 2]]), 5),
        (torch.tensor([[0, 1], [2, 3], [1, 3]]), 4),
        (torch.zeros(0, 2, dtype=torch.long), 3),
    ],
)


class TrackTable(nn.Module):
    """Boxes by track: a new detection updates its track, tracks that are not seen for long are dropped."""

    def forward(self, frames: Tensor, ids: Tensor, patience: int) -> Tuple[Tensor, List[int]]:
        boxes: Dict[int, Tensor] = {}
        seen: Dict[int, int] = {}
        for t in range(frames.size(0)):
            k = int(ids[t].item())
            if k in boxes:
                boxes[k] = boxes[k] * 0.5 + frames[t] * 0.5
            else:
                boxes[k] = frames[t]
            seen[k] = t
            gone: List[int] = []
            for old, last in seen.items():
                if t - last > patience:
                    gone.append(old)
            for old in gone:
                del boxes[old]
                seen.pop(old)
        total = torch.zeros(4)
        for box in boxes.values():
            total = total + box
        return total, list(seen.keys())


add(
    "track_table",
    TrackTable,
    lambda: [
        (torch.randn(6, 4), of(1, 2, 1, 1, 3, 1), 2),
        (torch.randn(4, 4), of(5, 5, 5, 5), 1),
        (torch.randn(4, 4), of(4, 3, 2, 1), 0),
    ],
)


def two_sum(x: Tensor, target: int) -> Tuple[int, int]:
    """The first two places whose numbers have that sum."""
    places: Dict[int, int] = {}
    for i in range(x.size(0)):
        v = int(x[i])
        if target - v in places:
            return places[target - v], i
        places[v] = i
    return -1, -1


add("two_sum", two_sum, lambda: [(of(3, 4, 2, 7), 9), (of(1, 2), 9), (of(5, 5), 10)])


def common_subsequence(a: List[int], b: List[int]) -> List[int]:
    """A table as a list of lists, filled and walked back."""
    table = [[0 for _ in range(len(b) + 1)] for _ in range(len(a) + 1)]
    for i in range(len(a)):
        for j in range(len(b)):
            if a[i] == b[j]:
                table[i + 1][j + 1] = table[i][j] + 1
            else:
                table[i + 1][j + 1] = max(table[i][j + 1], table[i + 1][j])
    found: List[int] = []
    i, j = len(a), len(b)
    while i > 0 and j > 0:
        if a[i - 1] == b[j - 1]:
            found.append(a[i - 1])
            i -= 1
            j -= 1
        elif table[i - 1][j] >= table[i][j - 1]:
            i -= 1
        else:
            j -= 1
    found.reverse()
    return found


add(
    "common_subsequence",
    common_subsequence,
    lambda: [([1, 2, 3, 4], [2, 4, 3]), ([1], [2]), ([5, 6, 7], [5, 6, 7])],
)


def bucket_sort(x: Tensor, n: int) -> Tuple[Tensor, List[int]]:
    """As many lists as run time says, filled at places that data says."""
    buckets: List[List[float]] = []
    for _ in range(n):
        buckets.append([])
    for i in range(x.size(0)):
        v = float(x[i])
        buckets[min(n - 1, int(v * n))].append(v)
    out: List[float] = []
    sizes: List[int] = []
    for bucket in buckets:
        bucket.sort()
        out.extend(bucket)
        sizes.append(len(bucket))
    return torch.tensor(out), sizes


add(
    "bucket_sort",
    bucket_sort,
    lambda: [
        (torch.tensor([0.75, 0.25, 0.5, 0.0]), 3),
        (torch.tensor([0.125, 0.875]), 5),
        (torch.tensor([0.5, 0.25, 0.75]), 1),
    ],
)
