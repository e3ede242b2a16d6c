"""What models are built and trained with beside modules."""

from bridge.nn.utils import rnn as rnn

__all__ = ["rnn"]
