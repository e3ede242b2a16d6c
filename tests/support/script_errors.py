"""What the compiler says about programs that it refuses: ``tests/script_errors/errors.txt`` and the recorded texts.

A block of the file is ``=== name`` and the source of a program whose ``f`` is scripted. ``python -m support.script_errors``
(in tests/) writes tests/goldens/script_errors.txt; read what it changes.
"""

import sys
import tempfile
import warnings
from pathlib import Path

from support.features import PRELUDE, Feature, load_feature
from support.scripts import imported_as_torch

ERRORS = Path(__file__).parent.parent / "script_errors" / "errors.txt"
RECORDED = Path(__file__).parent.parent / "goldens" / "script_errors.txt"


def programs() -> list[tuple[str, str]]:
    found = []
    for block in ERRORS.read_text(encoding="utf-8").split("=== ")[1:]:
        name, _, source = block.partition("\n")
        found.append((name.strip(), source.strip() + "\n"))
    return found


def refusal(source: str, number: int, folder: Path) -> str:
    """Class and text of the error, with the line numbers as if the program stood alone in its file."""
    with warnings.catch_warnings(), imported_as_torch("bridge") as torch:
        warnings.simplefilter("ignore")
        try:
            module = load_feature(Feature("", source, "f()"), number, folder)
        except SyntaxError as e:
            return f"SyntaxError: {e}"
        try:
            torch.jit.script(module.f)
        except Exception as e:
            text = f"{type(e).__name__}: {e}"
        else:
            return "compiles"
    text = text.replace(str(folder / f"feature{number}.py"), "program.py")
    first = PRELUDE.count("\n")
    for line in range(1, source.count("\n") + 1):
        text = text.replace(f"program.py:{line + first}:", f"program.py:{line}:")
    return "\n".join(line.rstrip() for line in text.splitlines())


def recorded() -> dict[str, str]:
    blocks = RECORDED.read_text(encoding="utf-8").split("=== ")[1:]
    return {name.strip(): text.strip("\n") for name, _, text in (b.partition("\n") for b in blocks)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        texts = [f"=== {name}\n{refusal(s, i, Path(folder))}\n" for i, (name, s) in enumerate(programs())]
    RECORDED.write_text("\n".join(texts), encoding="utf-8")
    sys.stdout.write(f"{len(texts)} recorded\n")


if __name__ == "__main__":
    main()
