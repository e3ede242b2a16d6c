"""What the command prints and how: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bridge.ir.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

PATIENCE = 1.0  # seconds before anything is shown


@contextmanager
def working(what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows a spinner with ``what`` when the block takes longer than a second and stderr is a terminal.

    Gives a function to call with what is done and what there is in all; it shows the share.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    console = _console(stderr=True)
    status = console.status(what)
    timer = threading.Timer(PATIENCE, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda done, total: status.update(f"{what}: {done / max(total, 1):.0%}")
    finally:
        timer.cancel()
        timer.join()
        status.stop()


def show_python(text: str) -> None:
    """Print Python source, coloured when stdout is a terminal."""
    if not sys.stdout.isatty():
        print(text, end="" if text.endswith("\n") else "\n")
        return
    from rich.syntax import Syntax

    _console().print(Syntax(printable(text), "python", background_color="default", word_wrap=False))


def show(text: str) -> None:
    """Print text that came out of a file: control characters are escaped when stdout is a terminal."""
    print(printable(text) if sys.stdout.isatty() else text)


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)
