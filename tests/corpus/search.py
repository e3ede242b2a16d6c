import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Dict, List, NamedTuple, Optional, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class BeamSearch(nn.Module):
    """Beam search over a small recurrent model, with a length penalty and finished beams kept aside."""

    def __init__(self, vocab: int = 7, d: int = 8, beams: int = 3, steps: int = 6):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        self.cell = nn.GRUCell(d, d)
        self.out = nn.Linear(d, vocab)
        self.vocab, self.beams, self.steps, self.eos = vocab, beams, steps, 1

    def forward(self, h: Tensor, penalty: float) -> Tuple[Tensor, Tensor]:
        states = h.unsqueeze(0).repeat(self.beams, 1)
        tokens = torch.zeros(self.beams, 1, dtype=torch.long)
        scores = torch.full((self.beams,), -1e9)
        scores[0] = 0.0
        best = torch.full((self.steps + 1,), -1, dtype=torch.long)
        best_score = torch.tensor(-1e9)
        for step in range(self.steps):
            states = self.cell(self.emb(tokens[:, -1]), states)
            logp = torch.log_softmax(self.out(states), dim=-1) + scores.unsqueeze(1)
            scores, flat = logp.view(-1).topk(self.beams)
            parent = torch.div(flat, self.vocab, rounding_mode="floor")
            token = flat % self.vocab
            tokens = torch.cat([tokens[parent], token.unsqueeze(1)], dim=1)
            states = states[parent]
            for b in range(self.beams):
                if int(token[b]) == self.eos:
                    final = scores[b] / (step + 1.0) ** penalty
                    if final > best_score:
                        best_score = final
                        best = torch.full((self.steps + 1,), -1, dtype=torch.long)
                        best[: step + 2] = tokens[b]
                    scores[b] = -1e9
            if bool((scores < -1e8).all()):
                break
        return best, best_score


add(
    "beam_search",
    BeamSearch,
    lambda: [(torch.randn(8), 0.6), (torch.randn(8) * 4, 0.0), (-torch.ones(8), 2.0), (torch.zeros(8), 1.0)],
)


class Viterbi(nn.Module):
    """The best path of a chain, with back pointers."""

    def __init__(self, tags: int = 4):
        super().__init__()
        self.transitions = nn.Parameter(torch.randn(tags, tags))
        self.start = nn.Parameter(torch.randn(tags))

    def forward(self, emissions: Tensor) -> Tuple[List[int], Tensor]:
        score = self.start + emissions[0]
        history: List[Tensor] = []
        for t in range(1, emissions.size(0)):
            total = score.unsqueeze(1) + self.transitions + emissions[t].unsqueeze(0)
            score, back = total.max(dim=0)
            history.append(back)
        best = int(score.argmax())
        path = [best]
        for i in range(len(history)):
            best = int(history[len(history) - 1 - i][best])
            path.append(best)
        path.reverse()
        return path, score.max()


add("viterbi", Viterbi, lambda: [(torch.randn(5, 4),), (torch.randn(1, 4),), (torch.randn(12, 4) * 3,)])


class EditDistance(nn.Module):
    """Levenshtein distance of two integer sequences, with two rolling rows."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        previous = torch.arange(b.size(0) + 1)
        for i in range(a.size(0)):
            current = torch.zeros_like(previous)
            current[0] = i + 1
            for j in range(b.size(0)):
                if a[i] == b[j]:
                    current[j + 1] = previous[j]
                else:
                    current[j + 1] = 1 + min(int(previous[j]), int(previous[j + 1]), int(current[j]))
            previous = current
        return previous[-1]


add(
    "edit_distance",
    EditDistance,
    lambda: [
        (torch.tensor([1, 2, 3, 4]), torch.tensor([1, 3, 4])),
        (torch.tensor([5]), torch.tensor([5, 5, 5, 5, 5])),
        (torch.tensor([7, 8, 9]), torch.tensor([7, 8, 9])),
        (torch.zeros(0, dtype=torch.long), torch.tensor([1, 2])),
    ],
)


class TransducerGreedy(nn.Module):
    """Greedy decoding of a transducer: at most two symbols per frame, blank moves on."""

    def __init__(self, vocab: int = 5, d: int = 6):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        self.predict = nn.GRUCell(d, d)
        self.joint = nn.Linear(2 * d, vocab)
        self.blank, self.per_frame, self.d = 0, 2, d

    def forward(self, frames: Tensor) -> Tuple[Tensor, Tensor]:
        hidden = torch.zeros(1, self.d)
        symbols: List[int] = []
        last = torch.zeros(1, dtype=torch.long)
        hidden = self.predict(self.emb(last), hidden)
        t = 0
        emitted = 0
        while t < frames.size(0):
            logits = self.joint(torch.cat([frames[t].unsqueeze(0), hidden], dim=1))
            k = int(logits.argmax(dim=1))
            if k != self.blank and emitted < self.per_frame:
                symbols.append(k)
                last = torch.full((1,), k, dtype=torch.long)
                hidden = self.predict(self.emb(last), hidden)
                emitted += 1
            else:
                t += 1
                emitted = 0
        return torch.tensor(symbols, dtype=torch.long), hidden


add(
    "transducer_greedy",
    TransducerGreedy,
    lambda: [(torch.randn(6, 6) * 4,), (torch.randn(1, 6),), (torch.randn(15, 6) * 9,), (torch.zeros(3, 6),)],
)


class SpeculativeAccept(nn.Module):
    """Accept drafted tokens while the uniform numbers allow it; else take one from the corrected distribution."""

    def forward(self, target: Tensor, draft: Tensor, tokens: Tensor, uniform: Tensor) -> Tuple[Tensor, int]:
        accepted = 0
        out: List[Tensor] = []
        for i in range(tokens.size(0)):
            k = tokens[i]
            ratio = target[i, k] / draft[i, k]
            if uniform[i] <= ratio:
                out.append(k)
                accepted += 1
            else:
                rest = (target[i] - draft[i]).clamp(min=0.0)
                total = rest.sum()
                if total > 0:
                    rest = rest / total
                else:
                    rest = target[i]
                out.append(torch.searchsorted(rest.cumsum(0), uniform[i]).clamp(max=rest.size(0) - 1))
                break
        else:
            out.append(target[-1].argmax())
        return torch.stack(out), accepted


def _distributions(n: int, sharp: float):
    return torch.softmax(torch.randn(n + 1, 6) * sharp, 1), torch.softmax(torch.randn(n + 1, 6), 1)


add(
    "speculative_accept",
    SpeculativeAccept,
    lambda: [
        (*_distributions(4, 1.0), torch.tensor([1, 0, 3, 2]), torch.rand(4)),
        (*_distributions(4, 1.0), torch.tensor([1, 0, 3, 2]), torch.zeros(4)),
        (*_distributions(2, 6.0), torch.tensor([5, 0]), torch.ones(2) * 0.99),
        (*_distributions(7, 2.0), torch.tensor([5, 0, 1, 1, 2, 3, 4]), torch.rand(7) * 0.3),
    ],
)


class NucleusSampling(nn.Module):
    """Top-p sampling with the random numbers given."""

    def __init__(self):
        super().__init__()
        self.p = 0.8
        self.emb = nn.Embedding(9, 9)

    def forward(self, first: Tensor, uniform: Tensor, temperature: float = 1.0) -> Tensor:
        token = first
        out = [token]
        for i in range(uniform.size(0)):
            logits = self.emb(token) / temperature
            probs, order = torch.softmax(logits, -1).sort(descending=True)
            below = probs.cumsum(-1) - probs
            kept = torch.where(below < self.p, probs, torch.zeros_like(probs))
            kept = kept / kept.sum()
            pick = int((kept.cumsum(-1) < uniform[i]).sum())
            token = order[min(pick, order.size(0) - 1)]
            if token == 0:
                break
            out.append(token)
        return torch.stack(out)


add(
    "nucleus_sampling",
    NucleusSampling,
    lambda: [
        (torch.tensor(2), torch.rand(5)),
        (torch.tensor(7), torch.rand(1)),
        (torch.tensor(3), torch.rand(20)),
        (torch.tensor(1), torch.zeros(3)),
    ],
)


class CTCLoss(nn.Module):
    """The forward algorithm of CTC in log space, for one sequence."""

    def forward(self, logp: Tensor, target: Tensor) -> Tensor:
        n = target.size(0)
        extended = torch.zeros(2 * n + 1, dtype=torch.long)
        extended[1::2] = target
        alpha = torch.full((2 * n + 1,), float("-inf"))
        alpha[0] = logp[0, 0]
        if n > 0:
            alpha[1] = logp[0, extended[1]]
        for t in range(1, logp.size(0)):
            new = alpha.clone()
            for s in range(2 * n + 1):
                value = alpha[s]
                if s > 0:
                    value = torch.logaddexp(value, alpha[s - 1])
                if s > 1 and s % 2 == 1 and bool(extended[s] != extended[s - 2]):
                    value = torch.logaddexp(value, alpha[s - 2])
                new[s] = value + logp[t, extended[s]]
            alpha = new
        if n == 0:
            return -alpha[0]
        return -torch.logaddexp(alpha[-1], alpha[-2])


add(
    "ctc_forward",
    CTCLoss,
    lambda: [
        (torch.log_softmax(torch.randn(6, 4), 1), torch.tensor([1, 2, 2])),
        (torch.log_softmax(torch.randn(2, 4), 1), torch.tensor([3])),
        (torch.log_softmax(torch.randn(9, 4), 1), torch.tensor([1, 3, 1, 2])),
        (torch.log_softmax(torch.randn(3, 4), 1), torch.zeros(0, dtype=torch.long)),
    ],
)


class GreedyWithCache(nn.Module):
    """Decoder with a growing cache of keys and values, and stop words."""

    def __init__(self, vocab: int = 10, d: int = 8):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        self.q, self.k, self.v = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)
        self.out = nn.Linear(d, vocab)
        self.stops: List[int] = [4, 8]

    def step(self, token: Tensor, keys: Tensor, values: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        x = self.emb(token).unsqueeze(0)
        keys = torch.cat([keys, self.k(x)])
        values = torch.cat([values, self.v(x)])
        weights = torch.softmax(self.q(x) @ keys.t() / keys.size(1) ** 0.5, dim=-1)
        return self.out(weights @ values)[0], keys, values

    def forward(self, prompt: Tensor, limit: int) -> Tuple[Tensor, Tensor]:
        keys, values = torch.zeros(0, 8), torch.zeros(0, 8)
        logits = torch.zeros(10)
        for i in range(prompt.size(0)):
            logits, keys, values = self.step(prompt[i], keys, values)
        made: List[int] = []
        while len(made) < limit:
            token = logits.argmax()
            made.append(int(token))
            if int(token) in self.stops:
                break
            logits, keys, values = self.step(token, keys, values)
        return torch.tensor(made, dtype=torch.long), keys


add(
    "greedy_with_cache",
    GreedyWithCache,
    lambda: [
        (torch.tensor([1, 2, 3]), 5),
        (torch.tensor([9]), 1),
        (torch.tensor([0, 0, 7, 5, 6]), 12),
        (torch.tensor([3, 2]), 0),
    ],
)
