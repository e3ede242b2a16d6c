"""Records from torch what the tests hold bridge to: ``python tests/goldens/record.py [PROGRAM…]`` (needs torch==2.13.0).

Writes ``goldens/torch/NAME.txt`` for the tutorial and every program of ``tests/variants``, and says which texts changed.
``--tutorial FILE`` first takes the tutorial's code and printed blocks from the page as its gallery rendered it.
"""

import argparse
import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from support.programs import RECORDED, TUTORIAL, Sections, normalise, sections

BLOCK = re.compile(
    r"^\.\. GENERATED FROM PYTHON SOURCE LINES (\d+)-(\d+)\n\n\.\. code-block:: default\n\n(?P<code>(?:\n|    .*\n)+?)\n\n\n\n\n"
    r"(?=\S)(?:\.\. rst-class:: sphx-glr-script-out\n\n \.\. code-block:: none\n\n(?P<output>(?:\n|    .*\n)+))?",
    re.MULTILINE,
)


def dedent(text: str) -> str:
    return re.sub("^    ", "", text, flags=re.MULTILINE)


def take_tutorial(page: Path) -> None:
    """Writes the code with every block at the lines it had, so that line numbers in graphs and warnings agree."""
    lines: list[str] = []
    expected = Sections()
    for number, block in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")), 1):
        lines += [""] * (int(block[1]) - 1 - len(lines)) + [f"# %% {number}"]
        lines += dedent(block["code"]).strip("\n").splitlines()
        output = dedent(block["output"] or "")
        shown = output.rstrip("\n")
        # The gallery ends an output with four line ends of its own.
        ending = output[len(shown) :]
        shown = normalise(re.sub(r"/\S*/(?=\w+\.py)", "", shown), TUTORIAL)
        shown = re.sub(r"^\d+\.\d+\.\d+\S*\n", "<version>\n", shown)
        expected[f"output: {number:02}"] = shown + "\n" * (len(ending) - 4)
    TUTORIAL.parent.mkdir(exist_ok=True)
    TUTORIAL.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (TUTORIAL.parent / "expected.txt").write_text(str(expected), encoding="utf-8")


def run_in_torch(program: Path) -> Sections:
    with tempfile.TemporaryDirectory() as folder:
        return sections("torch", program, Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="*", type=Path)
    parser.add_argument("--tutorial", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.tutorial:
        take_tutorial(options.tutorial)
    programs = [path.resolve() for path in options.programs] or [TUTORIAL, *sorted((TESTS / "variants").glob("*.py"))]
    RECORDED.mkdir(exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        everything = list(pool.map(run_in_torch, programs))
    failures = 0
    for program, found in zip(programs, everything, strict=True):
        target = RECORDED / f"{program.stem}.txt"
        if errors := found.of_kind("error"):
            failures += 1
            print(f"{program.name}: {errors}", file=sys.stderr)
            continue
        before = target.read_text(encoding="utf-8") if target.exists() else ""
        target.write_text(str(found), encoding="utf-8")
        print(f"{program.stem}: {len(found)} texts" + ("" if before == str(found) else ", changed"))
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
