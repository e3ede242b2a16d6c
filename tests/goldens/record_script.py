"""Record what torch's compiler makes of the programs in tests/script_programs and tests/script_features.

``python tests/goldens/record_script.py [FILE…]`` with torch installed. What torch refuses is left out.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.features import RECORDED as FEATURES_RECORDED
from support.features import features, run_feature
from support.scripts import PROGRAMS, RECORDED, collect


def main() -> None:
    paths = [Path(p).resolve() for p in sys.argv[1:]] or sorted(PROGRAMS.glob("*.py"))
    RECORDED.mkdir(parents=True, exist_ok=True)
    for path in paths:
        texts = collect(path, "torch")
        accepted = {name: t for name, t in texts.items() if "error" not in t}
        for name, t in texts.items():
            if "error" in t:
                print(f"{path.name}: torch refuses {name}: {t['error'][:300]}")
        (RECORDED / f"{path.stem}.json").write_text(json.dumps(accepted, indent=1) + "\n", encoding="utf-8")
        print(f"{path.name}: {len(accepted)} recorded")
    if len(sys.argv) > 1:
        return
    with tempfile.TemporaryDirectory() as folder:
        found = {f.name: run_feature(f, i, Path(folder), "torch") for i, f in enumerate(features())}
    found = {name: texts for name, texts in found.items() if "error" not in texts}
    FEATURES_RECORDED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"features: {len(found)} of them recorded")


if __name__ == "__main__":
    main()
