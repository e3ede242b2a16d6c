"""Records archives that torch wrote, and what torch makes of them: ``python tests/goldens/record_archives.py`` (needs torch==2.13.0).

Writes ``goldens/archives/NAME.pt`` for every subject of ``tests/variants/archives.py`` and ``archive_types.py``, and ``expected.txt`` with the text and
the results of each archive as torch loads it. The archives name the files that the program was run from, which is why the
program, and torch itself, are run from a folder of no account.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from support.archives import GOLDEN_ARCHIVES, PROGRAM, RECORDED_AS, look_at_archives

TYPES = Path(__file__).with_name("archive_types.py")
WRITE = """
import sys, torch, importlib
for name, model, inputs, *methods in importlib.import_module(sys.argv[2]).subjects():
    model.save(sys.argv[1] + "/" + name + ".pt")
"""


def main() -> None:
    import torch

    folder = RECORDED_AS.parent
    folder.mkdir()
    try:
        (folder / "lib").symlink_to(Path(torch.__file__).parent.parent)
        shutil.rmtree(GOLDEN_ARCHIVES, ignore_errors=True)
        GOLDEN_ARCHIVES.mkdir()
        environment = {**os.environ, "PYTHONPATH": str(folder / "lib"), "PYTHONDONTWRITEBYTECODE": "1"}
        for program in (PROGRAM, TYPES):
            shutil.copy(program, folder)
            command = [sys.executable, "-c", WRITE, str(GOLDEN_ARCHIVES), program.stem]
            subprocess.run(command, cwd=folder, env=environment, check=True)
    finally:
        shutil.rmtree(folder)
    found = look_at_archives("torch", sorted(GOLDEN_ARCHIVES.glob("*.pt")), RECORDED_AS)
    (GOLDEN_ARCHIVES / "expected.txt").write_text(str(found), encoding="utf-8")
    print(f"{len(list(GOLDEN_ARCHIVES.glob('*.pt')))} archives, {len(found)} texts")


if __name__ == "__main__":
    main()
