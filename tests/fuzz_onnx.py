"""Damaged ONNX models: ``python tests/fuzz_onnx.py --cases 20000 --seed 0``.

Every case is read, printed and written again in a process of bounded memory and time. What is refused must be refused with one of
the errors that reading promises; what is read must print as Python that parses, and come out as it went in. Prints what
failed, by kind, with the cases (``--only N`` runs one of them again); exit status 1 if anything did.
"""

from __future__ import annotations

import argparse
import ast
import collections
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

MEMORY, SECONDS = 4 << 30, 20


def check(data: bytes) -> str:
    """``refused``, ``same``, ``repaired`` (what was no sound model is written as far as it was understood) or ``other`` (a program of
    ours, so not written byte for byte). Raises what is a failure."""
    import onnx

    import bridge.onnx
    from bridge.ir.errors import BridgeError
    from bridge.onnx.loading import unread

    try:
        module = bridge.onnx.load(data)
    except BridgeError:
        return "refused"
    unseen = bridge.onnx.export(module).model_proto if unread(module) is not None else None
    for m in module.modules() if hasattr(module, "modules") else [module]:
        if hasattr(m, "_c") and "forward" not in m._c.type.methods:
            continue
        try:
            text = m.code
        except BridgeError:
            continue  # no form in Python, and it says so
        ast.parse(text)
    try:
        written = bridge.onnx.export(module).model_proto
    except BridgeError:
        return "refused"
    function = module._c.type.methods["forward"] if hasattr(module, "_c") else module._function
    if function.graph.foreign is None:
        return "other"
    original = onnx.ModelProto.FromString(data)
    original.DiscardUnknownFields()
    if unseen is not None and unseen.SerializeToString(deterministic=True) != original.SerializeToString(
        deterministic=True
    ):
        unseen.DiscardUnknownFields()
        if str(unseen) != str(original):
            raise AssertionError("came out other than it went in, before anybody looked")
    _name_metadata(original)
    _name_metadata(written)
    if written == original or str(written) == str(original):  # unknown fields deep inside stay out of the text
        return "same"
    try:
        onnx.checker.check_model(original)
    except Exception:
        return "repaired"  # it was no model
    raise AssertionError("came out other than it went in")


def _name_metadata(message: Any) -> None:
    """Write out the keys and values of metadata that are not: an entry without a key has the key ""."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for m in [value] if hasattr(value, "ListFields") else value:
                if m.DESCRIPTOR.name == "StringStringEntryProto" and type(m.key) is type(m.value) is str:
                    m.key, m.value = m.key, m.value
                _name_metadata(m)


class TooLong(BaseException):
    """A case took more than its time."""


def _alarm(*_: Any) -> None:
    raise TooLong


def run_case(seed: int, index: int, sound: dict[str, bytes]) -> tuple[str, str]:
    """(outcome, detail) of one case."""
    from support.model_mutations import damaged

    data = damaged(sound, random.Random(f"{seed}/{index}"))
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return check(data), ""
    except TooLong:
        return "FAILED", f"took more than {SECONDS} s"
    except Exception as e:
        frames = [f for f in traceback.extract_tb(e.__traceback__) if "fuzz_onnx" not in f.filename]
        at = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        ours = next((f for f in reversed(frames) if "/bridge/" in f.filename), None)
        through = f" through {Path(ours.filename).name}:{ours.lineno}" if ours is not None else ""
        return "FAILED", f"{type(e).__name__}{at}{through}: {str(e)[:100]}"
    finally:
        signal.alarm(0)


def _worker(seed: int, start: int, stop: int) -> None:
    """Run cases and print what came of each, a line of JSON before it and one after."""
    from support.model_mutations import seeds

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sound = seeds()
    for index in range(start, stop):
        print(json.dumps([index, None]), flush=True)  # said before, so that a crash has a name
        print(json.dumps([index, run_case(seed, index, sound)]), flush=True)


def fuzz(
    cases: int, seed: int, first: int = 0, say: bool = True
) -> tuple[collections.Counter[str], dict[str, list[int]]]:
    """Run the cases; returns the outcomes, and the numbers of failed cases by what went wrong."""
    outcomes: collections.Counter[str] = collections.Counter()
    failures: dict[str, list[int]] = {}
    at, end, began = first, first + cases, time.monotonic()
    while at < end:
        command = [sys.executable, __file__, "--worker", str(at), str(end), "--seed", str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                index, result = json.loads(line)
                at = index
                if result is None:
                    continue
                at, (outcome, detail) = index + 1, result
                outcomes[outcome] += 1
                if detail:
                    failures.setdefault(detail, []).append(index)
                if say and at % 1000 == 0:
                    print(f"{at - first} cases, {time.monotonic() - began:.0f} s, {dict(outcomes)}", flush=True)
        if at < end:
            outcomes["FAILED"] += 1
            failures.setdefault(f"the process ended with {process.returncode}", []).append(at)
            at += 1
    return outcomes, failures


def main() -> int:
    parse = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parse.add_argument("--cases", type=int, default=20_000)
    parse.add_argument("--seed", type=int, default=0)
    parse.add_argument("--only", type=int, help="run this case alone, and show its error")
    parse.add_argument("--worker", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parse.parse_args()
    if options.worker:
        _worker(options.seed, *options.worker)
        return 0
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if options.only is not None:
        from support.model_mutations import damaged, seeds

        print(check(damaged(seeds(), random.Random(f"{options.seed}/{options.only}"))))
        return 0
    outcomes, failures = fuzz(options.cases, options.seed)
    for detail, numbers in sorted(failures.items(), key=lambda pair: -len(pair[1])):
        print(f"{len(numbers):6}  {detail}  (cases {', '.join(map(str, numbers[:5]))})")
    print(dict(outcomes))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
