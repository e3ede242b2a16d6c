"""Records from torch what the programs of ``support.failing`` say when they fail (needs torch==2.13.0)."""

import json
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from support.failing import told

TARGET = TESTS / "goldens" / "torch" / "failing.json"


def main() -> None:
    found = {name: text.splitlines() for name, text in told("torch").items()}
    TARGET.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(found)} programs")


if __name__ == "__main__":
    main()
