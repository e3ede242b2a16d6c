"""Record what torch does with the programs in tests/corpus.

``python tests/goldens/record_corpus.py [FILE…]`` with torch installed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.corpus import RECORDED, behaviour, load
from support.scripts import imported_as_torch


def main() -> None:
    wanted = {Path(p).stem for p in sys.argv[1:]}
    RECORDED.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, object]] = {}
    with imported_as_torch("torch") as torch:
        torch.set_num_threads(1)
        for name, (path, program) in load("torch").items():
            if wanted and path.stem not in wanted:
                continue
            found.setdefault(path.stem, {})[name] = behaviour(torch, path, program)
    for stem, programs in found.items():
        rows = ",\n".join(f"{json.dumps(n)}: {json.dumps(b, separators=(',', ':'))}" for n, b in programs.items())
        (RECORDED / f"{stem}.json").write_text(f"{{\n{rows}\n}}\n", encoding="utf-8")
        refused = [n for n, b in programs.items() if "script_refused" in b]
        print(f"{stem}: {len(programs)} programs{', torch refuses ' if refused else ''}{', '.join(refused)}")


if __name__ == "__main__":
    main()
