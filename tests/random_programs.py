"""Runs random programs on every way that programs go, and prints what fails, made small.

    python tests/random_programs.py --cases 10000 --seed 0 [--torch] [--size 12] [--no-reduce] [--show 7]

Exits with 1 when something failed. ``tests/test_random_programs.py`` runs some of these programs in the test suite.
"""

from __future__ import annotations

import argparse
import collections
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support.random_programs.check import check
from support.random_programs.program import RandomProgram, generate
from support.random_programs.reduce import reduced


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=12)
    parser.add_argument("--torch", action="store_true", help="compare with torch and torch.jit")
    parser.add_argument("--no-reduce", action="store_true")
    parser.add_argument("--show", type=int, help="print the program of this seed and what became of it")
    options = parser.parse_args()
    torch = None
    if options.torch:
        import torch

        torch.set_num_threads(1)
    if options.show is not None:
        program = generate(random.Random(options.show), options.size)
        print(program, check(program, torch), sep="\n")
        return 0
    return run(options, torch)


def run(options: Any, torch: Any) -> int:
    """All cases; the summary at the end."""
    counts: collections.Counter[str] = collections.Counter()
    causes: collections.Counter[str] = collections.Counter()
    invalid: collections.Counter[str] = collections.Counter()
    failures: dict[str, list[int]] = {}
    start = time.monotonic()
    for seed in range(options.seed, options.seed + options.cases):
        program = generate(random.Random(seed), options.size)
        found = check(program, torch)
        counts["cases"] += 1
        counts["invalid"] += found.invalid is not None
        counts["refused"] += bool(found.refused)
        counts["torch does not compile"] += found.uncompared is not None
        causes.update({re.sub(r"'[^']*'", "'…'", c)[:110] for c in found.refused})
        if found.invalid is not None:
            invalid[re.sub(r"\d+", "#", found.invalid)[:110]] += 1
        if found.failure is not None:
            kind = kind_of(found.failure)
            seeds = failures.setdefault(kind, [])
            seeds.append(seed)
            if len(seeds) == 1:
                shown = program if options.no_reduce else small(program, kind, torch)
                print(f"==== seed {seed}\n{shown}\n{check(shown, torch).failure}\n", flush=True)
    seconds = time.monotonic() - start
    print(dict(counts), f"{options.cases / seconds:.1f} programs a second")
    for title, table in (("refused", causes), ("invalid", invalid)):
        print(f"{title}:", *(f"{n:6d}  {c}" for c, n in table.most_common(25)), sep="\n")
    print("failed:", *(f"{len(s):6d}  {k}  seeds {s[:6]}" for k, s in failures.items()), sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
