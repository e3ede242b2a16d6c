"""Loops that decode: greedy and beam search, caches, states that begin as None."""

from typing import Dict, List, NamedTuple, Optional, Tuple

import bridge as torch
import bridge.nn.functional as F
from bridge import Tensor, nn
from loops.table import cases, ramp


class Greedy(nn.Module):
    """Grows a sequence with cat until the end token or the limit."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 5)
        self.out = nn.Linear(5, 7)

    def forward(self, start: Tensor, limit: int) -> Tensor:
        tokens = start
        for _ in range(limit):
            h = self.embed(tokens).mean(0)
            nxt = self.out(h).argmax()
            tokens = torch.cat([tokens, nxt.reshape(1)])
            if nxt.item() == 3:
                break
        return tokens


cases(
    Greedy,
    lambda: [(torch.tensor([1]), 4), (torch.tensor([1, 2, 6]), 0), (torch.tensor([5]), 9), (torch.tensor([0, 4]), 1)],
)


class GreedyList(nn.Module):
    """The same with a list of ints."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(6, 4)
        self.cell = nn.GRUCell(4, 4)
        self.out = nn.Linear(4, 6)

    def forward(self, h: Tensor, limit: int) -> List[int]:
        tokens: List[int] = [1]
        while len(tokens) < limit:
            x = self.embed(torch.tensor([tokens[-1]]))
            h = self.cell(x, h)
            token = int(self.out(h)[0].argmax())
            if token == 0:
                break
            tokens.append(token)
        return tokens


cases(GreedyList, lambda: [(ramp(1, 4), 5), (ramp(1, 4) * -3, 9), (ramp(1, 4), 0), (ramp(1, 4) * 9, 2)])


class Beam(nn.Module):
    """Beam search with tensors of scores."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(ramp(6, 6).log_softmax(-1))

    def forward(self, width: int, steps: int) -> Tuple[Tensor, Tensor]:
        scores = torch.zeros(1)
        seqs = torch.zeros(1, 1, dtype=torch.long)
        for _ in range(steps):
            total = scores.unsqueeze(1) + self.table[seqs[:, -1]]
            k = min(width, total.numel())
            best, flat = total.flatten().topk(k)
            rows = flat // 6
            seqs = torch.cat([seqs[rows], (flat % 6).unsqueeze(1)], dim=1)
            scores = best
        return seqs, scores


cases(Beam, lambda: [(3, 4), (1, 2), (2, 0), (9, 3)])


def beam_tuples(table: Tensor, width: int, steps: int) -> Tuple[List[int], float]:
    """Beam search over a list of tuples of a list and a number."""
    beams: List[Tuple[List[int], float]] = [([0], 0.0)]
    for _ in range(steps):
        scores: List[float] = []
        seqs: List[List[int]] = []
        for seq, score in beams:
            row = table[seq[-1]]
            for j in range(row.size(0)):
                scores.append(score + float(row[j]))
                seqs.append(seq + [j])
        order = torch.tensor(scores).argsort(descending=True)
        beams = []
        for i in range(min(width, len(scores))):
            at = int(order[i])
            beams.append((seqs[at], scores[at]))
    return beams[0]


cases(beam_tuples, lambda: [(ramp(3, 3), 2, 3), (ramp(3, 3) * -1, 1, 2), (ramp(4, 4), 3, 1), (ramp(2, 2), 2, 0)])


class Cache(NamedTuple):
    k: Tensor
    v: Tensor
    length: int


class Attend(nn.Module):
    """Attention over a cache that grows."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(4, 12)

    def step(self, x: Tensor, cache: Cache) -> Tuple[Tensor, Cache]:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        keys = torch.cat([cache.k, k], dim=0)
        values = torch.cat([cache.v, v], dim=0)
        weights = F.softmax(q @ keys.t() / 2.0, dim=-1)
        return weights @ values, Cache(keys, values, cache.length + 1)

    def forward(self, xs: Tensor) -> Tuple[Tensor, Tensor, int]:
        cache = Cache(torch.zeros(0, 4), torch.zeros(0, 4), 0)
        outs = []
        for i in range(xs.size(0)):
            y, cache = self.step(xs[i : i + 1], cache)
            outs.append(y)
        if len(outs) == 0:
            return xs, cache.k, cache.length
        return torch.cat(outs), cache.k, cache.length


cases(Attend, lambda: [(ramp(3, 4),), (ramp(1, 4),), (ramp(0, 4),), (ramp(6, 4),)])


class OptionalCache(nn.Module):
    """A cache that is None before the first step, as a tuple."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 3)

    def step(self, x: Tensor, past: Optional[Tuple[Tensor, Tensor]]) -> Tuple[Tensor, Tuple[Tensor, Tensor]]:
        k = self.lin(x)
        v = k * 2
        if past is not None:
            k = torch.cat([past[0], k])
            v = torch.cat([past[1], v])
        return (k * v).sum(0), (k, v)

    def forward(self, xs: Tensor) -> Tensor:
        past: Optional[Tuple[Tensor, Tensor]] = None
        out = torch.zeros(3)
        for x in xs:
            out, past = self.step(x.unsqueeze(0), past)
        return out


cases(OptionalCache, lambda: [(ramp(4, 3),), (ramp(1, 3),), (ramp(0, 3),)])


class LayerCaches(nn.Module):
    """A cache per layer, in a list of tuples that each step replaces."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(2)])

    def forward(self, xs: Tensor) -> Tensor:
        caches: List[Tensor] = [torch.zeros(0, 3), torch.zeros(0, 3)]
        last = torch.zeros(3)
        for t in range(xs.size(0)):
            h = xs[t]
            for n, layer in enumerate(self.layers):
                caches[n] = torch.cat([caches[n], layer(h).unsqueeze(0)])
                h = torch.tanh(caches[n].sum(0))
            last = h
        return last


cases(LayerCaches, lambda: [(ramp(3, 3),), (ramp(0, 3),), (ramp(5, 3),)])


class Memory(nn.Module):
    """A buffer that is written to slice by slice."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(6, 2))
        self.register_buffer("count", torch.zeros(1, dtype=torch.long))

    def forward(self, xs: Tensor) -> Tensor:
        for i in range(xs.size(0)):
            at = int(self.count[0]) % 6
            self.seen[at : at + 1] = xs[i]
            self.count += 1
        return self.seen.sum(0) + self.count


cases(Memory, lambda: [(ramp(2, 2),), (ramp(0, 2),), (ramp(9, 2),)])


def ctc(logits: Tensor, blank: int) -> List[int]:
    """Collapses repeats and blanks."""
    best = logits.argmax(-1)
    out: List[int] = []
    previous = -1
    for i in range(best.size(0)):
        token = int(best[i])
        if token != previous and token != blank:
            out.append(token)
        previous = token
    return out


cases(ctc, lambda: [(ramp(6, 4), 0), (ramp(6, 4), 2), (ramp(0, 4), 0), (ramp(9, 3), 1)])


def viterbi(scores: Tensor, transitions: Tensor) -> Tuple[Tensor, List[int]]:
    """Back pointers in a list of tensors, read backwards."""
    history: List[Tensor] = []
    total = scores[0]
    for t in range(1, scores.size(0)):
        both = total.unsqueeze(1) + transitions + scores[t].unsqueeze(0)
        total, where = both.max(dim=0)
        history.append(where)
    best = int(total.argmax())
    path = [best]
    for i in range(len(history) - 1, -1, -1):
        best = int(history[i][best])
        path.append(best)
    path.reverse()
    return total, path


cases(viterbi, lambda: [(ramp(4, 3), ramp(3, 3)), (ramp(1, 3), ramp(3, 3)), (ramp(7, 3), ramp(3, 3) * -2)])


def sample_until(p: Tensor, limit: int) -> Tuple[Tensor, int, bool]:
    """Several ways to stop."""
    total = torch.zeros(())
    n = 0
    done = False
    while not done:
        total = total + p[n % p.size(0)]
        n += 1
        if total > 10:
            done = True
        elif n >= limit:
            break
        elif float(total) < -5.0:
            return total * 0, n, done
    return total, n, done


cases(
    sample_until,
    lambda: [
        (torch.tensor([1.0, 2.0]), 20),
        (torch.tensor([1.0]), 3),
        (torch.tensor([-3.0, 1.0]), 50),
        (torch.tensor([4.0]), 0),
    ],
)


class DictState(nn.Module):
    """State in a dict of tensors with constant keys."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 3)

    def forward(self, xs: Tensor) -> Dict[str, Tensor]:
        state = {"h": torch.zeros(3), "c": torch.ones(3)}
        for i in range(xs.size(0)):
            h = torch.tanh(self.lin(xs[i]) + state["h"])
            state["c"] = state["c"] * h
            state["h"] = h
            if bool(h.sum() > 1.0):
                state["c"] = state["c"] + 1
        return state


cases(DictState, lambda: [(ramp(3, 3),), (ramp(0, 3),), (ramp(8, 3) * 2,)])


class Speculative(nn.Module):
    """An outer loop of rounds with an inner loop that accepts a prefix."""

    def forward(self, draft: Tensor, target: Tensor, width: int) -> Tuple[List[int], int]:
        out: List[int] = []
        at = 0
        rounds = 0
        while at < draft.size(0):
            rounds += 1
            accepted = 0
            for j in range(width):
                if at + j >= draft.size(0):
                    break
                if int(draft[at + j]) != int(target[at + j]):
                    break
                out.append(int(draft[at + j]))
                accepted += 1
            if accepted < width and at + accepted < draft.size(0):
                out.append(int(target[at + accepted]))
                accepted += 1
            at += accepted
        return out, rounds


cases(
    Speculative,
    lambda: [
        (torch.tensor([1, 2, 3, 4, 5]), torch.tensor([1, 2, 9, 4, 5]), 2),
        (torch.tensor([1, 2, 3]), torch.tensor([3, 2, 1]), 3),
        (torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), 2),
    ],
)
