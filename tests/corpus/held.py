"""Modules that hold objects of Python, what is scripted only where it is traced, frames that overlap, images in one batch."""

import math
from dataclasses import dataclass
from typing import List, Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


@dataclass
class GenerationConfig:
    max_length: int = 8
    min_length: int = 2
    eos_token_id: int = 1
    pad_token_id: int = 0
    temperature: float = 1.0
    do_sample: bool = False
    suppress: Tuple[int, ...] = (3,)


class ConfiguredGenerator(nn.Module):
    """A config object decides at build time; the unfinished mask decides at run time."""

    def __init__(self, config: GenerationConfig, vocab=9, d=6):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(vocab, d)
        self.wpe = nn.Embedding(32, d)
        self.q, self.k, self.v = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)
        self.head = nn.Linear(d, vocab, bias=False)
        self.head.weight = self.wte.weight
        self.d = d

    def attend(self, x: Tensor, past: Optional[Tuple[Tensor, Tensor]]) -> Tuple[Tensor, Tuple[Tensor, Tensor]]:
        q, k, v = self.q(x), self.k(x), self.v(x)
        if past is not None:
            k = torch.cat((past[0], k), dim=-2)
            v = torch.cat((past[1], v), dim=-2)
        w = q @ k.transpose(-1, -2) / math.sqrt(self.d)
        nq, nk = w.size(-2), w.size(-1)
        causal = torch.ones(nk, nk, dtype=torch.bool).tril()[nk - nq : nk, :nk]
        w = w.masked_fill(~causal, torch.finfo(w.dtype).min).softmax(-1)
        return x + w @ v, (k, v)

    def forward(self, ids: Tensor, uniform: Optional[Tensor] = None) -> Tensor:
        cfg = self.config
        past: Optional[Tuple[Tensor, Tensor]] = None
        unfinished = torch.ones(ids.shape[0], dtype=torch.long)
        cur = ids
        step = 0
        while True:
            start = ids.size(1) - cur.size(1)
            pos = torch.arange(start, ids.size(1)).unsqueeze(0)
            h, past = self.attend(self.wte(cur) + self.wpe(pos), past)
            logits = self.head(h)[:, -1, :]
            for s in cfg.suppress:
                logits[:, s] = -float("inf")
            if ids.shape[-1] < cfg.min_length:
                logits[:, cfg.eos_token_id] = -float("inf")
            if cfg.do_sample and uniform is not None:
                probs = (logits / cfg.temperature).softmax(-1)
                tok = (probs.cumsum(-1) < uniform[:, step : step + 1]).sum(-1)
                tok = tok.clamp(max=logits.size(-1) - 1)
            else:
                tok = torch.argmax(logits, dim=-1)
            tok = tok * unfinished + cfg.pad_token_id * (1 - unfinished)
            ids = torch.cat([ids, tok[:, None]], dim=-1)
            cur = tok[:, None]
            unfinished = unfinished.mul((tok != cfg.eos_token_id).long())
            step += 1
            if unfinished.max() == 0 or ids.shape[-1] >= cfg.max_length:
                break
        return ids


add(
    "configured_generator",
    None,
    lambda: [
        (torch.tensor([[2, 4], [5, 6]]), None),
        (torch.tensor([[7]]), None),
        (torch.tensor([[2, 4, 5], [1, 7, 8], [4, 4, 4]]), None),
    ],
    make=lambda: ConfiguredGenerator(GenerationConfig()),
)
add(
    "configured_sampler",
    None,
    lambda: [(torch.tensor([[2, 4], [5, 6]]), torch.rand(2, 8)), (torch.tensor([[7]]), torch.rand(1, 8))],
    make=lambda: ConfiguredGenerator(GenerationConfig(do_sample=True, temperature=0.8, suppress=())),
)


class Scaler:
    def __init__(self, size: int):
        self.shift = torch.ones(size)
        self.factor = 2.0

    def apply(self, x: Tensor) -> Tensor:
        return x * self.factor + self.shift


class Scaled(nn.Module):
    """Holds an object with a tensor and a method."""

    def __init__(self):
        super().__init__()
        self.scaler = Scaler(3)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            x = self.scaler.apply(x)
        return x - self.scaler.shift


add("scaled", Scaled, lambda: [(torch.randn(2, 3),), (torch.ones(1, 3),), (-torch.ones(1, 3),)])


@torch.jit.script_if_tracing
def loop_if_traced(x: Tensor, n: Tensor) -> Tensor:
    for i in range(int(n)):
        x = x * 0.5 + float(i)
    return x


class PartlyScripted(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3)

    def forward(self, x: Tensor, n: Tensor) -> Tensor:
        y = self.a(x)
        if torch.jit.is_scripting():
            y = y + 0.0
        elif torch.jit.is_tracing():
            y = y * 1.0
        return loop_if_traced(y, n)


add(
    "partly_scripted",
    PartlyScripted,
    lambda: [
        (torch.randn(2, 3), torch.tensor(2)),
        (torch.randn(1, 3), torch.tensor(0)),
        (torch.randn(4, 3), torch.tensor(5)),
    ],
)


def measurements(x: Tensor, limit: float) -> Tuple[Tensor, Tensor]:
    """Numbers that are collected while they are tensors, and become one at the end."""
    seen: List[Tensor] = []
    for row in x:
        norm = row.pow(2).sum().sqrt()
        if norm > limit:
            continue
        seen.append(norm)
    return torch.tensor(seen), torch.tensor(seen, dtype=torch.float64)


add(
    "measurements", measurements, lambda: [(torch.randn(4, 3), 2.0), (torch.randn(1, 2), 9.0), (torch.randn(5, 1), 0.5)]
)


class OverlapAdd(nn.Module):
    """Streaming: input of any size in, whole frames out, rest kept in an attribute."""

    def __init__(self, frame=4, hop=2):
        super().__init__()
        self.frame, self.hop = frame, hop
        self.rest = torch.zeros(0)
        self.tail = torch.zeros(frame - hop)
        self.register_buffer("win", torch.hann_window(frame))

    def forward(self, x: Tensor) -> Tensor:
        buf = torch.cat((self.rest, x))
        outs: List[Tensor] = []
        pos = 0
        while pos + self.frame <= buf.numel():
            fr = buf[pos : pos + self.frame] * self.win
            spec = fr.flip(0) * 0.5 + fr
            spec[: self.frame - self.hop] += self.tail
            outs.append(spec[: self.hop])
            self.tail = spec[self.hop :]
            pos += self.hop
        self.rest = buf[pos:]
        if not outs:
            return x.new_empty(0)
        return torch.cat(outs)


add(
    "overlap_add",
    OverlapAdd,
    lambda: [(torch.randn(5),), (torch.randn(2),), (torch.randn(9),), (torch.randn(0),), (torch.randn(1),)],
)


class DetectionTransform(nn.Module):
    """Images of different sizes are normalised, resized and put into one batch."""

    def __init__(self, min_size=6, max_size=9, divisor=4):
        super().__init__()
        self.min_size, self.max_size, self.divisor = min_size, max_size, divisor
        self.image_mean = [0.5, 0.4, 0.3]
        self.image_std = [0.2, 0.3, 0.4]

    def normalize(self, image: Tensor) -> Tensor:
        if not image.is_floating_point():
            raise TypeError(
                f"Expected input images to be of floating type (in range [0, 1]), but found type {image.dtype} instead"
            )
        dtype, device = image.dtype, image.device
        mean = torch.as_tensor(self.image_mean, dtype=dtype, device=device)
        std = torch.as_tensor(self.image_std, dtype=dtype, device=device)
        return (image - mean[:, None, None]) / std[:, None, None]

    def resize(self, image: Tensor) -> Tensor:
        im_shape = torch.tensor(image.shape[-2:])
        min_size = torch.min(im_shape).to(dtype=torch.float32)
        max_size = torch.max(im_shape).to(dtype=torch.float32)
        scale = torch.min(self.min_size / min_size, self.max_size / max_size)
        return F.interpolate(
            image[None], scale_factor=scale.item(), mode="bilinear", recompute_scale_factor=True, align_corners=False
        )[0]

    def max_by_axis(self, the_list: List[List[int]]) -> List[int]:
        maxes = the_list[0]
        for sublist in the_list[1:]:
            for index, item in enumerate(sublist):
                maxes[index] = max(maxes[index], item)
        return maxes

    def batch_images(self, images: List[Tensor]) -> Tensor:
        size = self.max_by_axis([list(img.shape) for img in images])
        stride = float(self.divisor)
        size = list(size)
        size[1] = int(math.ceil(float(size[1]) / stride) * stride)
        size[2] = int(math.ceil(float(size[2]) / stride) * stride)
        shape = [len(images)] + size
        batched = images[0].new_full(shape, 0)
        for i in range(batched.shape[0]):
            img = images[i]
            batched[i, : img.shape[0], : img.shape[1], : img.shape[2]].copy_(img)
        return batched

    def forward(self, images: List[Tensor]) -> Tuple[Tensor, List[int]]:
        images = [img for img in images]
        for i in range(len(images)):
            image = images[i]
            if image.dim() != 3:
                raise ValueError(f"images is expected to be a list of 3d tensors of shape [C, H, W], got {image.shape}")
            image = self.normalize(image)
            image = self.resize(image)
            images[i] = image
        sizes: List[int] = []
        for img in images:
            s = img.shape[-2:]
            torch._assert(len(s) == 2, f"expected 2, got {s}")
            sizes.append(s[0] * 1000 + s[1])
        return self.batch_images(images), sizes


add(
    "detection_transform",
    DetectionTransform,
    lambda: [
        ([torch.rand(3, 5, 7), torch.rand(3, 8, 4)],),
        ([torch.rand(3, 12, 6)],),
        ([torch.rand(3, 6, 6), torch.rand(3, 3, 9), torch.rand(3, 5, 5)],),
    ],
)
