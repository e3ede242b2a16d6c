"""Runs random programs on every way that programs go, and prints what fails, made small.

    python tests/random_programs.py --cases 10000 --seed 0 [--jobs 2] [--torch] [--size 12] [--no-reduce] [--show 7]

It says every half minute how far it is, can be stopped at any time (Ctrl-C: it sums up what it has run) and ends with one line.
Several runs may go side by side over other seeds. Exits with 1 when something failed. ``tests/test_random_programs.py`` runs
some of these programs in the test suite.
"""

from __future__ import annotations

import argparse
import collections
import gc
import multiprocessing
import random
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support.random_programs.check import Result, check
from support.random_programs.program import RandomProgram, generate
from support.random_programs.reduce import reduced

#: Every so many programs run in onnxruntime also where another way has run them there already.
EVERYTHING = 5
PAUSE = 30.0


def kind_of(failure: str) -> str:
    """A failure without what is particular to the program: which ones are the same."""
    first = failure.split("\n")[0]
    first = re.sub(r"call \d+", "call", first)
    first = re.sub(r"'[^']*'|\d+(\.\d+)?|<[^>]*>|array\(.*", "_", first)
    return first[:90]


def small(program: RandomProgram, kind: str, torch: Any) -> RandomProgram:
    """The program without what the failure does not need."""

    def fails(text: str) -> bool:
        found = check(RandomProgram(text, program.calls, program.is_module), torch).failure
        return found is not None and kind_of(found) == kind

    return RandomProgram(reduced(program.text, fails), program.calls, program.is_module)


def _torch(wanted: bool) -> Any:
    if not wanted:
        return None
    import torch

    torch.set_num_threads(1)
    return torch


def _one(task: tuple[int, int, bool]) -> tuple[int, Result]:
    """One seed, in a process of its own or in this one."""
    seed, size, with_torch = task
    return seed, check(generate(random.Random(seed), size), _torch(with_torch), everything=seed % EVERYTHING == 0)


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one says when to end
    gc.set_threshold(100_000, 50, 50)


@contextmanager
def _results(options: argparse.Namespace) -> Iterator[Iterator[tuple[int, Result]]]:
    """What each seed gives, as it comes."""
    tasks = [(s, options.size, options.torch) for s in range(options.seed, options.seed + options.cases)]
    if options.jobs < 2:
        gc.set_threshold(100_000, 50, 50)
        yield map(_one, tasks)
        return
    # A new process now and then, so that what a library keeps of every program does not pile up.
    with multiprocessing.get_context("spawn").Pool(options.jobs, _start, maxtasksperchild=100) as pool:
        yield pool.imap_unordered(_one, tasks, chunksize=10)


class Summary:
    """What has become of the programs so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.begin = options, time.monotonic()
        self.told = self.begin
        self.counts: collections.Counter[str] = collections.Counter()
        self.causes: collections.Counter[str] = collections.Counter()
        self.invalid: collections.Counter[str] = collections.Counter()
        self.failures: dict[str, list[int]] = {}

    def add(self, seed: int, found: Result) -> None:
        self.counts["run"] += 1
        self.counts["invalid"] += found.invalid is not None
        self.counts["refused"] += bool(found.refused)
        self.counts["not compiled by torch"] += found.uncompared is not None
        self.causes.update({re.sub(r"'[^']*'", "'…'", c)[:110] for c in found.refused})
        if found.invalid is not None:
            self.invalid[re.sub(r"\d+", "#", found.invalid)[:110]] += 1
        if found.failure is not None:
            self._failed(seed, found.failure)
        if time.monotonic() - self.told >= PAUSE:
            self.told = time.monotonic()
            print(self.line(), flush=True)

    def _failed(self, seed: int, failure: str) -> None:
        kind = kind_of(failure)
        seeds = self.failures.setdefault(kind, [])
        seeds.append(seed)
        if len(seeds) > 1:
            return
        torch = _torch(self.options.torch)
        shown = generate(random.Random(seed), self.options.size)
        if not self.options.no_reduce:
            shown = small(shown, kind, torch)
        print(f"==== seed {seed}\n{shown}\n{check(shown, torch).failure}\n", flush=True)

    def line(self) -> str:
        """All of it in one line."""
        run = self.counts["run"]
        failed = sum(map(len, self.failures.values()))
        first, last = self.options.seed, self.options.seed + self.options.cases - 1
        parts = [f"{run} of {self.options.cases} programs (seeds {first} to {last}): {failed} failed"]
        parts += [f"{self.counts[k]} {k} ({100 * self.counts[k] / max(run, 1):.1f} %)" for k in ("refused", "invalid")]
        if self.options.torch:
            parts.append(f"{self.counts['not compiled by torch']} not compiled by torch")
        return f"{', '.join(parts)}; {run / max(time.monotonic() - self.begin, 1e-9):.1f} a second"

    def tables(self) -> None:
        """Why programs were refused or say nothing, and what failed."""
        for title, table in (("refused", self.causes), ("invalid", self.invalid)):
            print(f"{title}:", *(f"{n:6d}  {c}" for c, n in table.most_common(25)), sep="\n")
        print("failed:", *(f"{len(s):6d}  {k}  seeds {s[:6]}" for k, s in self.failures.items()), sep="\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--torch", action="store_true", help="compare with torch and torch.jit")
    parser.add_argument("--no-reduce", action="store_true")
    parser.add_argument("--show", type=int, help="print the program of this seed and what became of it")
    options = parser.parse_args()
    if options.show is not None:
        program = generate(random.Random(options.show), options.size)
        print(program, check(program, _torch(options.torch)), sep="\n")
        return 0
    summary = Summary(options)
    try:
        with _results(options) as results:
            for seed, found in results:
                summary.add(seed, found)
    except KeyboardInterrupt:
        print("stopped", flush=True)
    summary.tables()
    print(summary.line())
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
