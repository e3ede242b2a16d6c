"""What PyTorch does where an operator writes to memory that it reads, too: numbers that the eager mode and exported models share.

It goes through memory from the front to the back. Blocks of two vector registers are read before they are written, so that the
result hangs on the processor as soon as a row has a block.
"""

from __future__ import annotations

__all__ = ["BLOCK", "DIVIDED", "NOT_ELEMENTWISE", "WIDEST"]

#: Bytes of two vector registers: of the narrowest processor that torch has code for, and of the widest.
BLOCK, WIDEST = 64, 128

#: Elements from which on torch divides the work among threads.
DIVIDED = 32768

#: How the names of operators begin that read more than the element that they write.
NOT_ELEMENTWISE = tuple(f"aten::{n}" for n in "index _index scatter put masked addm addb baddbmm addr".split())
