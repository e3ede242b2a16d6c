import math
from typing import Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


def rotations(dim: int, end: int, theta: float = 10000.0) -> Tensor:
    freqs = 1.0 / (theta ** (torch.arange(0, dim, 2)[: dim // 2].float() / dim))
    angles = torch.outer(torch.arange(end).float(), freqs)
    return torch.polar(torch.ones_like(angles), angles)


class ComplexRotaryAttention(nn.Module):
    """Rotary embeddings as products of complex numbers, which are a buffer of the module."""

    def __init__(self, dim: int = 16, heads: int = 2):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.register_buffer("freqs_cis", rotations(dim // heads, 32))

    def rotate(self, x: Tensor, freqs: Tensor) -> Tensor:
        x_ = torch.view_as_complex(x.float().reshape(x.shape[0], x.shape[1], self.heads, -1, 2))
        freqs = freqs.view(1, x_.shape[1], 1, x_.shape[3])
        return torch.view_as_real(x_ * freqs).flatten(3).type_as(x)

    def forward(self, x: Tensor, start: int) -> Tensor:
        batch, length, dim = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).unbind(2)
        freqs = self.freqs_cis[start : start + length]
        q, k = self.rotate(q, freqs), self.rotate(k, freqs)
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
        return y.transpose(1, 2).reshape(batch, length, dim)


add(
    "rope_complex",
    ComplexRotaryAttention,
    lambda: [(torch.randn(2, 5, 16), 0), (torch.randn(1, 9, 16), 3), (torch.randn(3, 1, 16), 31)],
)


class LogMel(nn.Module):
    """The features of a speech recogniser: magnitudes of a spectrogram, mel bands, logarithms within a range."""

    def __init__(self, n_fft: int = 16, hop: int = 4, bands: int = 5):
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("window", torch.hann_window(n_fft))
        self.register_buffer("filters", torch.rand(bands, n_fft // 2 + 1))

    def forward(self, wave: Tensor) -> Tensor:
        spectrum = torch.stft(wave, self.n_fft, self.hop, window=self.window, return_complex=True)
        power = spectrum[..., :-1].abs() ** 2
        mel = torch.clamp(self.filters @ power, min=1e-10).log10()
        mel = torch.maximum(mel, mel.max() - 8.0)
        return (mel + 4.0) / 4.0


add("log_mel", LogMel, lambda: [(torch.randn(2, 64),), (torch.randn(1, 101),), (torch.randn(3, 40),)])


class GriffinLim(nn.Module):
    """A signal for magnitudes: the phases are found step by step, with momentum."""

    def __init__(self, n_fft: int = 16, hop: int = 4, momentum: float = 0.5):
        super().__init__()
        self.n_fft, self.hop, self.momentum = n_fft, hop, momentum
        self.register_buffer("window", torch.hann_window(n_fft))

    def forward(self, magnitude: Tensor, steps: int) -> Tensor:
        angles = torch.ones_like(magnitude, dtype=torch.complex64)
        before = torch.zeros_like(angles)
        for _ in range(steps):
            wave = torch.istft(magnitude * angles, self.n_fft, self.hop, window=self.window)
            rebuilt = torch.stft(wave, self.n_fft, self.hop, window=self.window, return_complex=True)
            angles = rebuilt - before * (self.momentum / (1 + self.momentum))
            angles = angles / (angles.abs() + 1e-6)
            before = rebuilt
        return torch.istft(magnitude * angles, self.n_fft, self.hop, window=self.window)


add("griffin_lim", GriffinLim, lambda: [(torch.rand(2, 9, 12), 3), (torch.rand(1, 9, 20), 1), (torch.rand(1, 9, 7), 0)])


class SpectralConvolution(nn.Module):
    """A Fourier neural operator: some frequencies are mixed, by complex weights, and the others dropped."""

    def __init__(self, channels: int = 3, modes: int = 4):
        super().__init__()
        self.modes = modes
        self.weight = nn.Parameter(torch.view_as_complex(torch.randn(channels, channels, modes, 2)) / channels)
        self.skip = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        frequencies = torch.fft.rfft(x)
        out = torch.zeros_like(frequencies)
        out[:, :, : self.modes] = torch.einsum("bix,iox->box", frequencies[:, :, : self.modes], self.weight)
        return F.gelu(torch.fft.irfft(out, n=x.size(-1)) + self.skip(x))


add(
    "fourier_operator",
    SpectralConvolution,
    lambda: [(torch.randn(2, 3, 16),), (torch.randn(1, 3, 21),), (torch.randn(1, 3, 7),)],
)


def band_pass(image: Tensor, low: float, high: float) -> Tuple[Tensor, Tensor]:
    """Keep a ring of frequencies of an image."""
    h, w = image.shape[-2:]
    spectrum = torch.fft.fftshift(torch.fft.fft2(image, norm="ortho"), dim=(-2, -1))
    y = torch.arange(h).float() - h // 2
    x = torch.arange(w).float() - w // 2
    radius = torch.sqrt(y[:, None] ** 2 + x[None, :] ** 2)
    spectrum = spectrum * ((radius >= low) & (radius <= high))
    kept = torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1)), norm="ortho")
    return kept.real, torch.log1p(spectrum.abs())


add(
    "band_pass",
    band_pass,
    lambda: [(torch.randn(2, 8, 6), 1.0, 3.0), (torch.randn(1, 5, 7), 0.0, 2.5), (torch.randn(1, 4, 4), 0.5, 9.0)],
)


def julia(points: Tensor, c: Tensor, limit: int) -> Tuple[Tensor, Tensor]:
    """Steps after which z² + c leaves a disc; the loop ends when all points have left."""
    z = torch.view_as_complex(points)
    constant = torch.view_as_complex(c)
    steps = torch.zeros(z.shape, dtype=torch.long)
    inside = torch.ones_like(steps, dtype=torch.bool)
    for _ in range(limit):
        z = torch.where(inside, z * z + constant, z)
        inside = inside & (z.abs() < 2.0)
        if not inside.any():
            break
        steps += inside.long()
    return steps, torch.view_as_real(z)


add(
    "julia",
    julia,
    lambda: [
        (torch.randn(3, 4, 2), torch.tensor([-0.8, 0.156]), 12),
        (torch.randn(2, 5, 2) * 3, torch.tensor([0.3, 0.5]), 5),
        (torch.zeros(1, 1, 2), torch.tensor([0.0, 0.0]), 3),
    ],
)


class PhaseVocoder(nn.Module):
    """A spectrogram in another tempo: magnitudes between frames, phases that go on."""

    def __init__(self, n_fft: int = 16, hop: int = 4):
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("window", torch.hann_window(n_fft))
        self.register_buffer("advance", torch.linspace(0, math.pi * hop, n_fft // 2 + 1)[:, None])

    def forward(self, wave: Tensor, rate: float) -> Tensor:
        s = torch.stft(wave, self.n_fft, self.hop, window=self.window, return_complex=True)
        times = torch.arange(0, s.size(-1), rate)
        s = F.pad(torch.view_as_real(s), [0, 0, 0, 2])
        s = torch.view_as_complex(s.contiguous())
        first, second = s.index_select(-1, times.long()), s.index_select(-1, (times + 1).long())
        phase = torch.angle(second) - torch.angle(first) - self.advance
        phase = phase - 2 * math.pi * torch.round(phase / (2 * math.pi)) + self.advance
        phase = torch.cat([torch.angle(s[..., :1]), phase[..., :-1]], -1).cumsum(-1)
        alpha = times % 1.0
        magnitude = alpha * second.abs() + (1 - alpha) * first.abs()
        return torch.istft(torch.polar(magnitude, phase), self.n_fft, self.hop, window=self.window)


add(
    "phase_vocoder",
    PhaseVocoder,
    lambda: [(torch.randn(1, 64), 1.5), (torch.randn(2, 50), 0.8), (torch.randn(1, 81), 2.0)],
)
