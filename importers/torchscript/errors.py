"""The error that every refusal of an archive raises."""

from __future__ import annotations

from bridge.ir.errors import BridgeError

__all__ = ["ArchiveError"]


class ArchiveError(BridgeError):
    """A TorchScript archive cannot be read: damaged, hostile, or using what is not supported.

    ``path`` is the file, ``entry`` the record inside it (``data.pkl``, ``code/__torch__.py``…) or None when the file as a
    whole is meant; the message names both.
    """

    def __init__(self, path: str, entry: str | None, problem: str) -> None:
        self.path, self.entry, self.problem = path, entry, problem
        super().__init__(": ".join(_printable(part) for part in (path, entry, problem) if part))


def _printable(text: str) -> str:
    """The text without what a terminal would act on; names and source lines come from the file."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
