"""Records from torch what tracing the programs of ``support.traces`` gives (needs torch==2.13.0)."""

import json
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from support.traces import CASES, run

TARGET = TESTS / "goldens" / "torch" / "traces.json"


def main() -> None:
    found = {name: run(name, "torch") for name in CASES}
    TARGET.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(found)} cases, {sum(t.startswith('!!') for t in found.values())} of them errors")


if __name__ == "__main__":
    main()
