from typing import List, Optional, Tuple
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class RNNTGreedy(nn.Module):
    """NeMo-like: max symbols per frame."""

    def __init__(self):
        super().__init__()
        self.blank_idx = 4
        self.emb = nn.Embedding(5, 8, padding_idx=4)
        self.lstm = nn.LSTM(8, 8)
        self.enc_proj = nn.Linear(6, 8)
        self.out = nn.Linear(8, 5)
        self.max_symbols: Optional[int] = 3

    def predict(
        self, y: Optional[Tensor], state: Optional[Tuple[Tensor, Tensor]]
    ) -> Tuple[Tensor, Tuple[Tensor, Tensor]]:
        if y is None:
            g = torch.zeros(1, 1, 8)
        else:
            g = self.emb(y).view(1, 1, -1)
        out, hid = self.lstm(g, state)
        return out, hid

    def forward(self, x: Tensor, out_len: Tensor) -> Tuple[Tensor, List[int]]:
        hidden: Optional[Tuple[Tensor, Tensor]] = None
        label: List[int] = []
        timestamps: List[int] = []
        f_all = self.enc_proj(x)
        for time_idx in range(int(out_len)):
            f = f_all[time_idx].view(1, 1, -1)
            not_blank = True
            symbols_added = 0
            while not_blank and (self.max_symbols is None or symbols_added < self.max_symbols):
                if len(label) == 0:
                    last: Optional[Tensor] = None
                else:
                    last = torch.tensor([label[-1]], dtype=torch.long)
                g, hidden_prime = self.predict(last, hidden)
                logp = torch.log_softmax(self.out(torch.relu(f + g)), dim=-1)[0, 0]
                v, k = logp.max(0)
                k_i = int(k.item())
                if k_i == self.blank_idx:
                    not_blank = False
                else:
                    label.append(k_i)
                    timestamps.append(time_idx)
                    hidden = hidden_prime
                symbols_added += 1
        return torch.tensor(label, dtype=torch.long), timestamps


add(
    "rnnt_greedy",
    RNNTGreedy,
    lambda: [
        (torch.randn(5, 6), torch.tensor(5)),
        (torch.randn(8, 6) * 9, torch.tensor(3)),
        (torch.randn(4, 6) * 4, torch.tensor(0)),
        (torch.randn(9, 6) * 20, torch.tensor(9)),
    ],
)


class CTCPrefixBeam(nn.Module):
    """Prefix beam search with dict of str keys is refused; here lists of lists."""

    def __init__(self, beam_size: int = 3, blank: int = 0):
        super().__init__()
        self.beam_size = beam_size
        self.blank = blank

    def _find(self, prefixes: List[List[int]], p: List[int]) -> int:
        for i, q in enumerate(prefixes):
            if q == p:
                return i
        return -1

    def forward(self, log_probs: Tensor) -> Tuple[List[int], Tensor]:
        T, C = log_probs.shape
        NEG = -1e30
        prefixes: List[List[int]] = [torch.jit.annotate(List[int], [])]
        pb: List[float] = [0.0]
        pnb: List[float] = [NEG]
        for t in range(T):
            nxt: List[List[int]] = []
            nb: List[float] = []
            nnb: List[float] = []
            for i in range(len(prefixes)):
                prefix = prefixes[i]
                for c in range(C):
                    p = float(log_probs[t, c])
                    if c == self.blank:
                        j = self._find(nxt, prefix)
                        if j < 0:
                            nxt.append(prefix)
                            nb.append(NEG)
                            nnb.append(NEG)
                            j = len(nxt) - 1
                        nb[j] = float(
                            torch.logaddexp(
                                torch.tensor(nb[j]), torch.logaddexp(torch.tensor(pb[i]), torch.tensor(pnb[i])) + p
                            )
                        )
                        continue
                    last = prefix[-1] if len(prefix) > 0 else -1
                    ext = prefix + [c]
                    j = self._find(nxt, ext)
                    if j < 0:
                        nxt.append(ext)
                        nb.append(NEG)
                        nnb.append(NEG)
                        j = len(nxt) - 1
                    if c == last:
                        nnb[j] = float(torch.logaddexp(torch.tensor(nnb[j]), torch.tensor(pb[i] + p)))
                        k = self._find(nxt, prefix)
                        if k < 0:
                            nxt.append(prefix)
                            nb.append(NEG)
                            nnb.append(NEG)
                            k = len(nxt) - 1
                        nnb[k] = float(torch.logaddexp(torch.tensor(nnb[k]), torch.tensor(pnb[i] + p)))
                    else:
                        nnb[j] = float(
                            torch.logaddexp(
                                torch.tensor(nnb[j]), torch.logaddexp(torch.tensor(pb[i]), torch.tensor(pnb[i])) + p
                            )
                        )
            total = torch.logaddexp(torch.tensor(nb), torch.tensor(nnb))
            _, order = total.sort(descending=True)
            keep = min(self.beam_size, len(nxt))
            prefixes = [nxt[int(order[k])] for k in range(keep)]
            pb = [nb[int(order[k])] for k in range(keep)]
            pnb = [nnb[int(order[k])] for k in range(keep)]
        return prefixes[0], torch.logaddexp(torch.tensor(pb[0]), torch.tensor(pnb[0]))


add(
    "ctc_prefix_beam",
    CTCPrefixBeam,
    lambda: [
        (torch.randn(4, 3).log_softmax(-1),),
        (torch.randn(1, 3).log_softmax(-1),),
        ((torch.randn(6, 4) * 3).log_softmax(-1),),
    ],
)


class ChainCRF(nn.Module):
    """pytorch-crf: batch_first=False, mask, normalizer and viterbi."""

    def __init__(self, num_tags: int = 4):
        super().__init__()
        self.num_tags = num_tags
        self.start_transitions = nn.Parameter(torch.empty(num_tags))
        self.end_transitions = nn.Parameter(torch.empty(num_tags))
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags))
        nn.init.uniform_(self.start_transitions, -0.1, 0.1)
        nn.init.uniform_(self.end_transitions, -0.1, 0.1)
        nn.init.uniform_(self.transitions, -0.1, 0.1)

    def _compute_score(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        seq_length, batch_size = tags.shape
        mask = mask.float()
        score = self.start_transitions[tags[0]]
        score += emissions[0, torch.arange(batch_size), tags[0]]
        for i in range(1, seq_length):
            score += self.transitions[tags[i - 1], tags[i]] * mask[i]
            score += emissions[i, torch.arange(batch_size), tags[i]] * mask[i]
        seq_ends = mask.long().sum(dim=0) - 1
        last_tags = tags[seq_ends, torch.arange(batch_size)]
        score += self.end_transitions[last_tags]
        return score

    def _compute_normalizer(self, emissions: Tensor, mask: Tensor) -> Tensor:
        seq_length = emissions.size(0)
        score = self.start_transitions + emissions[0]
        for i in range(1, seq_length):
            broadcast_score = score.unsqueeze(2)
            broadcast_emissions = emissions[i].unsqueeze(1)
            next_score = broadcast_score + self.transitions + broadcast_emissions
            next_score = torch.logsumexp(next_score, dim=1)
            score = torch.where(mask[i].unsqueeze(1), next_score, score)
        score += self.end_transitions
        return torch.logsumexp(score, dim=1)

    def _viterbi_decode(self, emissions: Tensor, mask: Tensor) -> List[List[int]]:
        seq_length, batch_size = mask.shape
        score = self.start_transitions + emissions[0]
        history: List[Tensor] = []
        for i in range(1, seq_length):
            broadcast_score = score.unsqueeze(2)
            broadcast_emission = emissions[i].unsqueeze(1)
            next_score = broadcast_score + self.transitions + broadcast_emission
            next_score, indices = next_score.max(dim=1)
            score = torch.where(mask[i].unsqueeze(1), next_score, score)
            history.append(indices)
        score += self.end_transitions
        seq_ends = mask.long().sum(dim=0) - 1
        best_tags_list: List[List[int]] = []
        for idx in range(batch_size):
            _, best_last_tag = score[idx].max(dim=0)
            best_tags = [int(best_last_tag.item())]
            for hist in history[: int(seq_ends[idx])][::-1]:
                best_last_tag = hist[idx][best_tags[-1]]
                best_tags.append(int(best_last_tag.item()))
            best_tags.reverse()
            best_tags_list.append(best_tags)
        return best_tags_list

    def forward(
        self, emissions: Tensor, tags: Tensor, mask: Optional[Tensor] = None, reduction: str = "sum"
    ) -> Tuple[Tensor, List[List[int]]]:
        if mask is None:
            mask = torch.ones_like(tags, dtype=torch.bool)
        if reduction not in ("none", "sum", "mean", "token_mean"):
            raise ValueError(f"invalid reduction: {reduction}")
        if not bool(mask[0].all()):
            raise ValueError("mask of the first timestep must all be on")
        llh = self._compute_score(emissions, tags, mask) - self._compute_normalizer(emissions, mask)
        if reduction == "none":
            out = llh
        elif reduction == "sum":
            out = llh.sum()
        elif reduction == "mean":
            out = llh.mean()
        else:
            out = llh.sum() / mask.float().sum()
        return out, self._viterbi_decode(emissions, mask)


def _crf_inputs():
    res = []
    for T, B, lens in ((4, 2, (4, 2)), (1, 1, (1,)), (6, 3, (6, 1, 3))):
        m = torch.arange(T).unsqueeze(1) < torch.tensor(lens).unsqueeze(0)
        res.append((torch.randn(T, B, 4), torch.randint(0, 4, (T, B)), m))
    res.append((torch.randn(2, 2, 4), torch.randint(0, 4, (2, 2)), torch.tensor([[True, False], [True, True]])))
    return res


add("chain_crf", ChainCRF, _crf_inputs)


class StreamingConv(nn.Module):
    """Causal conv with a cache in a dict (silero/kaldi like)."""

    def __init__(self, channels: int = 3, kernel: int = 3, layers: int = 2):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv1d(channels, channels, kernel) for _ in range(layers)])
        self.pad = kernel - 1

    def init_state(self, batch: int) -> List[Tensor]:
        return [torch.zeros(batch, 3, self.pad) for _ in range(len(self.convs))]

    def forward(self, chunks: List[Tensor], state: Optional[List[Tensor]] = None) -> Tuple[Tensor, List[Tensor]]:
        if state is None:
            state = self.init_state(chunks[0].size(0))
        outs: List[Tensor] = []
        for chunk in chunks:
            x = chunk
            new_state: List[Tensor] = []
            for i, conv in enumerate(self.convs):
                full = torch.cat([state[i], x], dim=2)
                new_state.append(full[:, :, -self.pad :])
                x = x + F.silu(conv(full))
            state = new_state
            outs.append(x)
        return torch.cat(outs, dim=2), state


add(
    "streaming_conv",
    StreamingConv,
    lambda: [
        ([torch.randn(2, 3, 4), torch.randn(2, 3, 5)],),
        ([torch.randn(1, 3, 4)],),
        ([torch.randn(2, 3, 2), torch.randn(2, 3, 3), torch.randn(2, 3, 9)],),
    ],
)


add(
    "streaming_conv_state",
    StreamingConv,
    lambda: [
        ([torch.randn(2, 3, 4), torch.randn(2, 3, 5)], [torch.randn(2, 3, 2), torch.randn(2, 3, 2)]),
        ([torch.randn(1, 3, 4)], [torch.randn(1, 3, 2), torch.randn(1, 3, 2)]),
    ],
)
