"""Records what torch prints for the cases of eager mode: ``python tests/goldens/record_eager.py`` (needs torch)."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from support.eager_cases import run_case
from support.eager_programs import GROUPS


def main() -> None:
    for group, cases in GROUPS.items():
        found = {name: run_case(code, torch).splitlines() for name, code in cases.items()}
        path = Path(__file__).parent / "torch" / "eager" / f"{group}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(path, len(found))


if __name__ == "__main__":
    main()
