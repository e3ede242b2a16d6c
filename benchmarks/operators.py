"""PyTorch's own operator samples through bridge: eager, scripted, text, ONNX. Needs torch.

    python benchmarks/operators.py [names…] [--limit 8] [--out table.tsv] [--failures]

Each sample becomes a program of one line. A row of the table is operator, element type, sample, stage, outcome; what is
printed are the counts by stage, and with ``--failures`` each distinct outcome other than ``ok``, with its program.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.opinfo import STAGES, Case, cases, outcomes

DTYPES = ("float32", "int64", "bool", "float64", "float16", "int32", "uint8")


class _TooLong(Exception):
    pass


def _too_long(*_: Any) -> None:
    raise _TooLong


def rows(
    names: list[str], dtypes: list[str], limit: int, part: int = 0, parts: int = 1
) -> Iterator[tuple[Case, dict[str, str]]]:
    """The cases that torch takes, each with its outcomes; of ``parts`` shares the one numbered ``part``."""
    signal.signal(signal.SIGALRM, _too_long)
    groups = itertools.groupby(cases(names, dtypes, limit), key=lambda c: c.name.partition(".")[0])
    for number, (_, group) in enumerate(groups):
        if number % parts != part:
            continue
        for case in group:
            signal.alarm(30)
            try:
                found = outcomes(case)
            except _TooLong:
                found = dict.fromkeys(STAGES, "WRONG: takes more than 30 seconds")
            finally:
                signal.alarm(0)
            if found is not None:
                yield case, found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="operators as op_db names them; all when there are none")
    parser.add_argument(
        "--limit", type=int, default=8, help="samples of the first element type (a third of the others)"
    )
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--part", default="0/1", help="which share of the operators, as 0/2")
    parser.add_argument("--out", type=Path, help="write all rows there")
    parser.add_argument("--failures", action="store_true", help="print what is not ok")
    chosen = parser.parse_args()
    part, parts = map(int, chosen.part.split("/"))
    counts: dict[str, collections.Counter[str]] = {s: collections.Counter() for s in STAGES}
    out = chosen.out.open("w") if chosen.out else None
    seen: set[tuple[str, str]] = set()
    for case, found in rows(chosen.names, chosen.dtypes.split(","), chosen.limit, part, parts):
        for stage, outcome in found.items():
            counts[stage][outcome.partition(":")[0]] += 1
            if out:
                print(case.name, case.dtype, case.number, stage, outcome, case.source.splitlines()[1].strip()[:300],
                      "; ".join(f"{a.dtype}{list(a.shape)}" for a in case.arrays), sep="\t", file=out, flush=True)  # fmt: skip
            if chosen.failures and outcome not in ("ok", "-") and (case.name, stage + outcome[:60]) not in seen:
                seen.add((case.name, stage + outcome[:60]))
                shapes = "; ".join(f"{a.dtype}{list(a.shape)}" for a in case.arrays)
                print(
                    f"{case.name} {case.dtype}#{case.number} {stage} {outcome}\n    {case.source.splitlines()[1].strip()}  # {shapes}"
                )
    for stage, counter in counts.items():
        print(f"{stage:7}", "  ".join(f"{k} {v}" for k, v in sorted(counter.items())))


if __name__ == "__main__":
    main()
