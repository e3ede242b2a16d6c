"""What the compiler says about programs that it refuses: ``tests/script_errors/errors.txt`` and the recorded texts.

A block of the file is ``=== name`` and the source of a program whose ``f`` is scripted. ``python -m support.script_errors``
(in tests/) writes tests/goldens/script_errors.txt; read what it changes. ``--unreached`` lists instead what the compiler can
raise and no program of the table makes it raise.
"""

import ast
import re
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

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
    text = text.replace(str(folder / f"feature{number}.py"), "program.py").replace(f"feature{number}.", "program.")
    first = PRELUDE.count("\n")
    for line in range(1, source.count("\n") + 1):
        text = text.replace(f"program.py:{line + first}:", f"program.py:{line}:")
    # Which classes of one name there are before depends on what ran before.
    return "\n".join(line.rstrip() for line in re.sub(r"___torch_mangle_\d+\.", "", text).splitlines())


def recorded() -> dict[str, str]:
    blocks = RECORDED.read_text(encoding="utf-8").split("=== ")[1:]
    return {name.strip(): text.strip("\n") for name, _, text in (b.partition("\n") for b in blocks)}


def unreached() -> list[str]:
    """The ``raise`` statements of the compiler that no program of the table gets to."""
    import bridge.importers.script

    folder = Path(bridge.importers.script.__file__).resolve().parent
    raises = {
        (str(path), n.lineno): f"{path.name}:{n.lineno}: {ast.unparse(n.exc)}"
        for path in sorted(folder.glob("*.py"))
        for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call)
    }
    reached: set[tuple[str, int]] = set()
    own: dict[str, str] = {}

    def look(frame: Any, event: str, argument: Any) -> Any:
        file = own.setdefault(frame.f_code.co_filename, str(Path(frame.f_code.co_filename).resolve()))
        if event == "line":
            reached.add((file, frame.f_lineno))
        return look if file.startswith(str(folder)) else None

    sys.settrace(look)
    try:
        with tempfile.TemporaryDirectory() as made:
            for i, (_, source) in enumerate(programs()):
                refusal(source, i, Path(made))
    finally:
        sys.settrace(None)
    return [text for place, text in raises.items() if place not in reached]


def main() -> None:
    if "--unreached" in sys.argv:
        sys.stdout.write("\n".join(unreached()) + "\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        texts = [f"=== {name}\n{refusal(s, i, Path(folder))}\n" for i, (name, s) in enumerate(programs())]
    RECORDED.write_text("\n".join(texts), encoding="utf-8")
    sys.stdout.write(f"{len(texts)} recorded\n")


if __name__ == "__main__":
    main()
