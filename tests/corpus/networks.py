"""Graphs: messages along edges, shortest paths, sets, tries."""

import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class GATLayer(nn.Module):
    """Edge softmax with scatter, self loops added."""

    def __init__(self, i: int = 4, o: int = 3):
        super().__init__()
        self.lin = nn.Linear(i, o, bias=False)
        self.att = nn.Parameter(torch.randn(2 * o))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        n = x.size(0)
        loop = torch.arange(n).unsqueeze(0).repeat(2, 1)
        edge_index = torch.cat([edge_index, loop], dim=1)
        src, dst = edge_index[0], edge_index[1]
        h = self.lin(x)
        e = F.leaky_relu((torch.cat([h[src], h[dst]], -1) * self.att).sum(-1), 0.2)
        m = torch.full((n,), float("-inf")).scatter_reduce(0, dst, e, "amax", include_self=True)
        a = (e - m[dst]).exp()
        z = torch.zeros(n).scatter_add(0, dst, a)
        a = a / z[dst]
        return torch.zeros_like(h).index_add_(0, dst, h[src] * a[:, None])


_E = lambda *p: torch.tensor(p, dtype=torch.long).t().reshape(2, -1)


add(
    "gat",
    GATLayer,
    lambda: [
        (torch.randn(4, 4), _E([0, 1], [1, 2], [2, 3], [3, 0], [0, 2])),
        (torch.randn(1, 4), torch.zeros(2, 0, dtype=torch.long)),
        (torch.randn(3, 4), _E([0, 1])),
    ],
)


class PageRank(nn.Module):
    def forward(self, edge_index: Tensor, n: int, d: float = 0.85, tol: float = 1e-4) -> Tuple[Tensor, int]:
        out_deg = torch.bincount(edge_index[0], minlength=n).float()
        r = torch.full((n,), 1.0 / max(n, 1))
        it = 0
        while it < 100:
            share = torch.where(out_deg > 0, r / out_deg.clamp(min=1), torch.zeros(n))
            dangling = r[out_deg == 0].sum()
            new = torch.zeros(n).scatter_add_(0, edge_index[1], share[edge_index[0]])
            new = (1 - d) / n + d * (new + dangling / n)
            it += 1
            if float((new - r).abs().sum()) < tol:
                r = new
                break
            r = new
        return r, it


add(
    "pagerank",
    PageRank,
    lambda: [
        (_E([0, 1], [1, 2], [2, 0], [3, 0]), 4, 0.85, 1e-4),
        (_E([0, 0]), 1, 0.5, 1e-3),
        (torch.zeros(2, 0, dtype=torch.long), 3, 0.85, 1e-6),
    ],
)


class DijkstraDense(nn.Module):
    def forward(self, w: Tensor, s: int) -> Tuple[Tensor, Tensor]:
        n = w.size(0)
        dist = torch.full((n,), float("inf"))
        prev = torch.full((n,), -1, dtype=torch.long)
        done = torch.zeros(n, dtype=torch.bool)
        dist[s] = 0.0
        for _ in range(n):
            u = int(dist.masked_fill(done, float("inf")).argmin())
            if torch.isinf(dist[u]) or done[u]:
                break
            done[u] = True
            alt = dist[u] + w[u]
            better = (alt < dist) & ~done
            dist = torch.where(better, alt, dist)
            prev[better] = u
        return dist, prev


def _w(n):
    w = torch.rand(n, n)
    w[w > 0.6] = float("inf")
    return w


add(
    "dijkstra",
    DijkstraDense,
    lambda: [(_w(5), 0), (_w(1), 0), (torch.full((3, 3), float("inf")), 2), (torch.ones(4, 4), 1)],
)


class SetTransformerPool(nn.Module):
    """Segment softmax pooling over ragged sets; python loop over set ids."""

    def __init__(self):
        super().__init__()
        self.score = nn.Linear(3, 1)

    def forward(self, x: Tensor, ids: Tensor, n: int) -> Tensor:
        s = self.score(x).squeeze(-1)
        out = []
        for i in range(n):
            m = ids == i
            if not m.any():
                out.append(torch.zeros(x.size(1)))
            else:
                out.append((s[m].softmax(0).unsqueeze(-1) * x[m]).sum(0))
        return torch.stack(out) if n > 0 else torch.zeros(0, x.size(1))


add(
    "set_pool",
    SetTransformerPool,
    lambda: [
        (torch.randn(5, 3), torch.tensor([0, 0, 2, 2, 2]), 3),
        (torch.randn(1, 3), torch.tensor([0]), 1),
        (torch.randn(0, 3), torch.zeros(0, dtype=torch.long), 2),
        (torch.randn(2, 3), torch.tensor([0, 1]), 0),
    ],
)


class MedusaVerify(nn.Module):
    """Tree of candidates verified in one pass: ancestors by a while loop, best path length."""

    def forward(self, parents: Tensor, tokens: Tensor, argmax: Tensor) -> Tuple[Tensor, int]:
        n = parents.size(0)
        mask = torch.eye(n, dtype=torch.bool)
        depth = torch.zeros(n, dtype=torch.long)
        ok = torch.zeros(n, dtype=torch.bool)
        ok[0] = True
        for i in range(1, n):
            p = int(parents[i])
            mask[i] |= mask[p]
            depth[i] = depth[p] + 1
            ok[i] = ok[p] & (argmax[p] == tokens[i])
        best = int((depth * ok.long()).argmax())
        length = int(depth[best])
        path = torch.zeros(length + 1, dtype=torch.long)
        i, k = best, length
        while k >= 0:
            path[k] = i
            i = int(parents[i])
            k -= 1
        return path, length


add(
    "tree_verify",
    MedusaVerify,
    lambda: [
        (torch.tensor([-1, 0, 0, 1, 1, 3]), torch.tensor([5, 1, 2, 3, 4, 6]), torch.tensor([1, 3, 0, 6, 0, 0])),
        (torch.tensor([-1]), torch.tensor([1]), torch.tensor([0])),
        (torch.tensor([-1, 0]), torch.tensor([1, 9]), torch.tensor([2, 0])),
    ],
)


class PrefixTrie(nn.Module):
    """Constrained decoding: children tables as tensors, allowed mask at each step."""

    def __init__(self):
        super().__init__()
        self.register_buffer("child", torch.tensor([[1, 2, -1], [-1, 3, 4], [-1, -1, -1], [-1, -1, -1], [2, -1, -1]]))

    def forward(self, logits: Tensor) -> Tuple[Tensor, Tensor]:
        node = torch.zeros(logits.size(0), dtype=torch.long)
        alive = torch.ones(logits.size(0), dtype=torch.bool)
        toks: List[Tensor] = []
        for t in range(logits.size(1)):
            kids = self.child[node]
            allowed = kids >= 0
            alive = alive & allowed.any(-1)
            if not alive.any():
                break
            step = logits[:, t].masked_fill(~allowed, float("-inf"))
            tok = torch.where(alive, step.argmax(-1), torch.full_like(node, -1))
            node = torch.where(alive, kids.gather(1, tok.clamp(min=0)[:, None])[:, 0], node)
            toks.append(tok)
        if len(toks) == 0:
            return torch.zeros(logits.size(0), 0, dtype=torch.long), node
        return torch.stack(toks, 1), node


add(
    "trie_decode",
    PrefixTrie,
    lambda: [(torch.randn(2, 5, 3),), (torch.randn(1, 1, 3),), (torch.randn(3, 0, 3),), (-torch.randn(4, 7, 3),)],
)
