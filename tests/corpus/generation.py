from typing import Dict, List, Optional, Tuple
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class LogitsWarper(nn.Module):
    """HF-like: repetition penalty, temperature, top-k, top-p; returns filtered log-probs."""

    def __init__(self, top_k: int = 5, top_p: float = 0.8, temperature: float = 0.7, penalty: float = 1.3):
        super().__init__()
        self.top_k = top_k
        self.top_p = top_p
        self.temperature = temperature
        self.penalty = penalty
        self.filter_value = -float("inf")
        self.min_tokens_to_keep = 1

    def forward(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        score = torch.gather(scores, 1, input_ids)
        score = torch.where(score < 0, score * self.penalty, score / self.penalty)
        scores = scores.scatter(1, input_ids, score)
        scores = scores / self.temperature
        if self.top_k > 0:
            top_k = min(self.top_k, scores.size(-1))
            indices_to_remove = scores < torch.topk(scores, top_k)[0][..., -1, None]
            scores = scores.masked_fill(indices_to_remove, self.filter_value)
        if self.top_p < 1.0:
            sorted_logits, sorted_indices = torch.sort(scores, descending=False)
            cumulative_probs = sorted_logits.softmax(dim=-1).cumsum(dim=-1)
            sorted_indices_to_remove = cumulative_probs <= (1 - self.top_p)
            sorted_indices_to_remove[..., -self.min_tokens_to_keep :] = 0
            indices_to_remove = sorted_indices_to_remove.scatter(1, sorted_indices, sorted_indices_to_remove)
            scores = scores.masked_fill(indices_to_remove, self.filter_value)
        return F.log_softmax(scores, dim=-1)


add(
    "logits_warper",
    LogitsWarper,
    lambda: [
        (torch.randint(0, 12, (2, 4)), torch.randn(2, 12)),
        (torch.randint(0, 4, (1, 1)), torch.randn(1, 4)),
        (torch.randint(0, 30, (3, 9)), torch.randn(3, 30) * 4),
    ],
)


class NoRepeatNGram(nn.Module):
    """Ban tokens that would complete an n-gram that was seen."""

    def __init__(self, ngram_size: int = 2):
        super().__init__()
        self.n = ngram_size

    def forward(self, ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.clone()
        cur_len = ids.size(1)
        if cur_len + 1 < self.n:
            return scores
        for b in range(ids.size(0)):
            prefix = ids[b, cur_len - self.n + 1 :]
            for i in range(cur_len - self.n + 1):
                window = ids[b, i : i + self.n - 1]
                if torch.equal(window, prefix):
                    scores[b, ids[b, i + self.n - 1]] = -float("inf")
        return scores


add(
    "no_repeat_ngram",
    NoRepeatNGram,
    lambda: [
        (torch.tensor([[1, 2, 3, 1], [2, 2, 2, 2]]), torch.randn(2, 5)),
        (torch.tensor([[0]]), torch.randn(1, 3)),
        (torch.randint(0, 3, (3, 8)), torch.randn(3, 4)),
    ],
)


class Seq2SeqBeam(nn.Module):
    """fairseq-like batched beam search with a length penalty."""

    def __init__(self, vocab: int = 7, d: int = 6, beam: int = 3, max_len: int = 6):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        self.rnn = nn.GRU(d, d, batch_first=True)
        self.proj = nn.Linear(d, vocab)
        self.beam, self.max_len, self.eos, self.bos, self.vocab = beam, max_len, 2, 1, vocab
        self.lenpen = 0.8

    def step(self, tok: Tensor, h: Tensor) -> Tuple[Tensor, Tensor]:
        y, h = self.rnn(self.emb(tok).unsqueeze(1), h)
        return F.log_softmax(self.proj(y[:, -1]), dim=-1), h

    def forward(self, enc: Tensor) -> Tuple[Tensor, Tensor]:
        bsz = enc.size(0)
        k = self.beam
        h = enc.repeat_interleave(k, dim=0).unsqueeze(0)
        tokens = torch.full((bsz * k, 1), self.bos, dtype=torch.long)
        scores = torch.full((bsz, k), -1e9)
        scores[:, 0] = 0.0
        finished = torch.zeros(bsz * k, dtype=torch.bool)
        lengths = torch.ones(bsz * k, dtype=torch.long)
        for t in range(self.max_len):
            lp, h = self.step(tokens[:, -1], h)
            pad = torch.full_like(lp, -1e9)
            pad[:, self.eos] = 0.0
            lp = torch.where(finished.unsqueeze(1), pad, lp)
            cand = scores.view(-1, 1) + lp
            cand = cand.view(bsz, k * self.vocab)
            scores, idx = cand.topk(k, dim=1)
            beam_id = idx.div(self.vocab, rounding_mode="trunc")
            tok = idx.fmod(self.vocab)
            flat = (beam_id + torch.arange(bsz).unsqueeze(1) * k).view(-1)
            tokens = torch.cat([tokens.index_select(0, flat), tok.view(-1, 1)], dim=1)
            h = h.index_select(1, flat)
            finished = finished[flat] | (tok.view(-1) == self.eos)
            lengths = lengths[flat] + (~finished).long()
            if finished.all():
                break
        norm = scores / lengths.view(bsz, k).float().pow(self.lenpen)
        best = norm.argmax(dim=1)
        out = tokens.view(bsz, k, -1)[torch.arange(bsz), best]
        return out, norm.gather(1, best.unsqueeze(1)).squeeze(1)


add("seq2seq_beam", Seq2SeqBeam, lambda: [(torch.randn(2, 6),), (torch.randn(1, 6) * 4,), (torch.randn(4, 6) * 10,)])


class GPTAttention(nn.Module):
    def __init__(self, d: int, heads: int):
        super().__init__()
        self.c_attn = nn.Linear(d, 3 * d)
        self.c_proj = nn.Linear(d, d)
        self.num_heads = heads
        self.register_buffer("bias", torch.tril(torch.ones(32, 32, dtype=torch.bool)).view(1, 1, 32, 32))

    def _split_heads(self, x: Tensor) -> Tensor:
        new_shape = x.size()[:-1] + (self.num_heads, x.size(-1) // self.num_heads)
        return x.view(new_shape).permute(0, 2, 1, 3)

    def forward(self, x: Tensor, layer_past: Optional[Tuple[Tensor, Tensor]] = None, use_cache: bool = False):
        q, k, v = self.c_attn(x).split(x.size(-1), dim=2)
        q, k, v = self._split_heads(q), self._split_heads(k), self._split_heads(v)
        if layer_past is not None:
            k = torch.cat((layer_past[0], k), dim=-2)
            v = torch.cat((layer_past[1], v), dim=-2)
        present = (k, v) if use_cache else None
        w = torch.matmul(q, k.transpose(-1, -2)) / (v.size(-1) ** 0.5)
        ql, kl = q.size(-2), k.size(-2)
        mask = self.bias[:, :, kl - ql : kl, :kl]
        w = torch.where(mask, w, torch.full([], -1e4, dtype=w.dtype))
        a = torch.matmul(F.softmax(w, dim=-1), v)
        a = a.permute(0, 2, 1, 3).contiguous()
        a = a.view(a.size()[:-2] + (a.size(-2) * a.size(-1),))
        return self.c_proj(a), present


class GPT(nn.Module):
    """HF GPT2-like, untyped returns, past as tuple of tuples."""

    def __init__(self, vocab: int = 11, d: int = 8, layers: int = 2):
        super().__init__()
        self.wte = nn.Embedding(vocab, d)
        self.wpe = nn.Embedding(32, d)
        self.h = nn.ModuleList([GPTAttention(d, 2) for _ in range(layers)])
        self.ln = nn.ModuleList([nn.LayerNorm(d) for _ in range(layers)])
        self.ln_f = nn.LayerNorm(d)

    def forward(self, ids: Tensor, past: Optional[List[Tuple[Tensor, Tensor]]] = None):
        past_len = past[0][0].size(-2) if past is not None else 0
        pos = torch.arange(past_len, past_len + ids.size(-1), dtype=torch.long).unsqueeze(0)
        x = self.wte(ids) + self.wpe(pos)
        presents: List[Tuple[Tensor, Tensor]] = []
        for i, (blk, ln) in enumerate(zip(self.h, self.ln)):
            a, present = blk(ln(x), layer_past=past[i] if past is not None else None, use_cache=True)
            x = x + a
            if present is not None:
                presents.append(present)
        logits = self.ln_f(x) @ self.wte.weight.t()
        return logits, presents


add(
    "gpt_past",
    GPT,
    lambda: [
        (torch.randint(0, 11, (1, 1)), [(torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4)) for _ in range(2)]),
        (torch.randint(0, 11, (2, 3)), [(torch.randn(2, 2, 5, 4), torch.randn(2, 2, 5, 4)) for _ in range(2)]),
    ],
)


class GenLoop(nn.Module):
    """Greedy generation with prefill and cache in lists."""

    def __init__(self):
        super().__init__()
        self.d = 6
        self.emb = nn.Embedding(9, 6)
        self.layers = nn.ModuleList([nn.Linear(6, 18) for _ in range(2)])
        self.head = nn.Linear(6, 9)

    def decode(self, x: Tensor, kc: List[Tensor], vc: List[Tensor]) -> Tuple[Tensor, List[Tensor], List[Tensor]]:
        nk: List[Tensor] = []
        nv: List[Tensor] = []
        for i, layer in enumerate(self.layers):
            q, k, v = layer(x).chunk(3, -1)
            if len(kc) > 0:
                k = torch.cat([kc[i], k], 0)
                v = torch.cat([vc[i], v], 0)
            att = torch.softmax(q @ k.t() / self.d**0.5, -1)
            x = x + att @ v
            nk.append(k)
            nv.append(v)
        return x, nk, nv

    def forward(self, prompt: Tensor, max_new: int) -> List[int]:
        out: List[int] = []
        kc: List[Tensor] = []
        vc: List[Tensor] = []
        x, kc, vc = self.decode(self.emb(prompt), kc, vc)
        tok = self.head(x[-1]).argmax()
        while len(out) < max_new:
            out.append(int(tok))
            if int(tok) == 0:
                break
            x, kc, vc = self.decode(self.emb(tok.view(1)), kc, vc)
            tok = self.head(x[-1]).argmax()
        return out


add("gen_loop", GenLoop, lambda: [(torch.tensor([1, 2, 3]), 4), (torch.tensor([5]), 9), (torch.tensor([5, 8]), 0)])


class SpeculativeDecode(nn.Module):
    """Draft k tokens, verify with the target, accept a prefix."""

    def __init__(self, vocab: int = 6, k: int = 3):
        super().__init__()
        self.draft = nn.Linear(vocab, vocab)
        self.target = nn.Linear(vocab, vocab)
        self.vocab, self.k = vocab, k

    def forward(self, start: int, total: int) -> Tuple[Tensor, int]:
        toks = [start]
        rounds = 0
        while len(toks) < total:
            proposal: List[int] = []
            cur = toks[-1]
            for _ in range(self.k):
                one = F.one_hot(torch.tensor(cur), self.vocab).float()
                cur = int(self.draft(one).argmax())
                proposal.append(cur)
            prefix = torch.tensor([toks[-1]] + proposal)
            best = self.target(F.one_hot(prefix, self.vocab).float()).argmax(-1)
            n = 0
            while n < self.k and int(best[n]) == proposal[n]:
                n += 1
            toks.extend(proposal[:n])
            toks.append(int(best[n]))
            rounds += 1
        return torch.tensor(toks[:total]), rounds


add("speculative_decode", SpeculativeDecode, lambda: [(0, 5), (3, 1), (5, 12)])


class BPETokenizer(nn.Module):
    """Merge the best pair repeatedly by rank table."""

    def __init__(self, n: int = 10):
        super().__init__()
        torch.manual_seed(3)
        r = torch.randint(0, 100, (n, n))
        self.register_buffer("ranks", torch.where(r < 40, r, torch.full_like(r, 1000)))
        self.register_buffer("merged", torch.arange(n * n).view(n, n) % n)

    def forward(self, ids: List[int]) -> List[int]:
        word = [i for i in ids]
        while len(word) > 1:
            best_rank = 1000
            best_i = -1
            for i in range(len(word) - 1):
                r = int(self.ranks[word[i], word[i + 1]])
                if r < best_rank:
                    best_rank = r
                    best_i = i
            if best_i < 0:
                break
            m = int(self.merged[word[best_i], word[best_i + 1]])
            word = word[:best_i] + [m] + word[best_i + 2 :]
        return word


add("bpe_merge", BPETokenizer, lambda: [([1, 2, 3, 4, 5],), ([7],), ([1, 1, 1, 1, 9, 8, 7, 6, 5, 4, 3, 2],)])


class PointerNet(nn.Module):
    """Decode a permutation: mask visited cities."""

    def __init__(self, d: int = 4):
        super().__init__()
        self.enc = nn.LSTM(2, d, batch_first=True)
        self.cell = nn.LSTMCell(2, d)
        self.w1, self.w2 = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.v = nn.Parameter(torch.randn(d))
        self.start = nn.Parameter(torch.zeros(2))

    def forward(self, pts: Tensor) -> Tuple[Tensor, Tensor]:
        b, n, _ = pts.shape
        ctx, (h, c) = self.enc(pts)
        h, c = h[0], c[0]
        inp = self.start.expand(b, -1)
        visited = torch.zeros(b, n, dtype=torch.bool)
        tour: List[Tensor] = []
        logp = torch.zeros(b)
        for _ in range(n):
            h, c = self.cell(inp, (h, c))
            u = torch.tanh(self.w1(ctx) + self.w2(h).unsqueeze(1)) @ self.v
            u = u.masked_fill(visited, float("-inf"))
            p = F.log_softmax(u, dim=1)
            nxt = p.argmax(1)
            logp += p.gather(1, nxt[:, None])[:, 0]
            visited = visited.scatter(1, nxt[:, None], True)
            inp = pts[torch.arange(b), nxt]
            tour.append(nxt)
        return torch.stack(tour, 1), logp


add("pointer_net", PointerNet, lambda: [(torch.rand(2, 4, 2),), (torch.rand(1, 1, 2),), (torch.rand(3, 7, 2),)])


class RotaryLlama(nn.Module):
    def __init__(self, d: int = 8, heads: int = 4, kv_heads: int = 2, base: float = 10000.0):
        super().__init__()
        self.nh, self.nkv, self.hd = heads, kv_heads, d // heads
        self.q_proj = nn.Linear(d, d, bias=False)
        self.k_proj = nn.Linear(d, self.nkv * self.hd, bias=False)
        self.v_proj = nn.Linear(d, self.nkv * self.hd, bias=False)
        inv = 1.0 / (base ** (torch.arange(0, self.hd, 2).float() / self.hd))
        self.register_buffer("inv_freq", inv, persistent=False)

    def rotate_half(self, x):
        x1 = x[..., : x.shape[-1] // 2]
        x2 = x[..., x.shape[-1] // 2 :]
        return torch.cat((-x2, x1), dim=-1)

    def apply_rope(self, q, k, cos, sin):
        return q * cos + self.rotate_half(q) * sin, k * cos + self.rotate_half(k) * sin

    def repeat_kv(self, x: Tensor, n: int) -> Tensor:
        b, h, s, d = x.shape
        if n == 1:
            return x
        return x[:, :, None, :, :].expand(b, h, n, s, d).reshape(b, h * n, s, d)

    def forward(self, x: Tensor, cache: Optional[Dict[str, Tensor]] = None) -> Tuple[Tensor, Dict[str, Tensor]]:
        b, s, _ = x.shape
        past = cache["k"].size(2) if cache is not None else 0
        q = self.q_proj(x).view(b, s, self.nh, self.hd).transpose(1, 2)
        k = self.k_proj(x).view(b, s, self.nkv, self.hd).transpose(1, 2)
        v = self.v_proj(x).view(b, s, self.nkv, self.hd).transpose(1, 2)
        t = torch.arange(past, past + s, dtype=torch.float32)
        freqs = torch.outer(t, self.inv_freq)
        emb = torch.cat((freqs, freqs), dim=-1)
        q, k = self.apply_rope(q, k, emb.cos(), emb.sin())
        if cache is not None:
            k = torch.cat([cache["k"], k], dim=2)
            v = torch.cat([cache["v"], v], dim=2)
        new_cache = {"k": k, "v": v}
        k = self.repeat_kv(k, self.nh // self.nkv)
        v = self.repeat_kv(v, self.nh // self.nkv)
        mask = torch.full((s, k.size(2)), float("-inf")).triu(diagonal=past + 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return y.transpose(1, 2).reshape(b, s, -1), new_cache


add(
    "rotary_llama_cache",
    RotaryLlama,
    lambda: [
        (torch.randn(1, 1, 8), {"k": torch.randn(1, 2, 4, 2), "v": torch.randn(1, 2, 4, 2)}),
        (torch.randn(2, 3, 8), {"k": torch.randn(2, 2, 6, 2), "v": torch.randn(2, 2, 6, 2)}),
    ],
)
