"""Channels of groups in turn."""

from __future__ import annotations

from bridge.nn import functional as F
from bridge.nn.modules.module import Module
from bridge.tensor import Tensor

__all__ = ["ChannelShuffle"]


class ChannelShuffle(Module):
    """The channels of ``groups`` groups, one of each in turn."""

    __constants__ = ["groups"]  # noqa: RUF012
    groups: int

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer."""
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
