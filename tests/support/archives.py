"""Archives written by torch and read by bridge, and the other way round, each in a process of its own.

``python -m support.archives save bridge PROGRAM`` writes ``NAME.pt`` for each subject of a program into the current folder;
``python -m support.archives load torch PROGRAM FILE…`` prints the texts, and the results on fixed inputs, of archives;
``python -m support.archives compare torch FOLDER…`` prints the texts, and the results on the program's own inputs, of the archives
in folders that are called as the programs.
"""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.programs import TESTS, Sections, as_main, call, is_captured, look_at, tracer_warnings

GOLDEN_ARCHIVES = TESTS / "goldens" / "archives"
PROGRAM = TESTS / "variants" / "archives.py"
#: where the program stood when torch wrote the golden archives; their debug ranges say so
RECORDED_AS = Path("/tmp/recorded/archives.py")


def inputs_for(torch: Any, name: str) -> list[tuple[Any, ...]]:
    """Inputs that do not come from a random generator, so that both sides have the same."""

    def ramp(*shape: int) -> Any:
        count = 1
        for n in shape:
            count *= n
        return torch.tensor([((i * 7) % 11 - 5) / 4.0 for i in range(count)]).reshape(shape)

    if name in ("wrap", "loop", "loop_eval"):
        return [(ramp(n, 3, 4),) for n in (1, 6, 2)] + [(torch.zeros(0, 3, 4),)]
    if name == "added":
        return [(ramp(3), 4, 0.5)]
    if name in ("attributes", "kinds", "twice", "stack", "methods", "packed"):
        return [(ramp(2, 2),), (ramp(3, 2),)]
    return [(ramp(2, 2),)] if name == "shift" else []


def look_at_archives(module: str, archives: list[Path], program: Path) -> Sections:
    """Texts and results of archives as ``module`` loads them."""
    command = ["load", module, str(program), *map(str, archives)]
    return Sections.parse(_run(command, TESTS))


def write_archives(module: str, program: Path, folder: Path) -> list[Path]:
    """The archives that ``module`` writes of a program's subjects. Raises AssertionError with the end of what it printed."""
    _run(["save", module, str(program)], folder)
    return sorted(folder.glob("*.pt"))


def compare_archives(module: str, folders: list[Path]) -> dict[str, Sections]:
    """Texts and results, by program, of all archives in folders that are called as the programs (in one process)."""
    found = Sections.parse(_run(["compare", module, *map(str, folders)], TESTS))
    result: dict[str, Sections] = {folder.name: Sections() for folder in folders}
    for section, text in found.items():
        kind, _, rest = section.partition(": ")
        program, _, name = rest.partition("/")
        result[program][f"{kind}: {name}"] = text
    return result


def _run(arguments: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]), "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "support.archives", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def load(module: str, program: Path, archives: list[Path]) -> Sections:
    torch = importlib.import_module(module)
    result = Sections()
    for path in archives:
        loaded = torch.jit.load(str(path))
        result.update(texts(path.stem, loaded, program))
        result.update(call(torch, path.stem, loaded, inputs_for(torch, path.stem)).of_kind("values"))
        state = {
            key: (list(value.shape), str(value.dtype), value.requires_grad)
            for key, value in loaded.state_dict(keep_vars=True).items()
        }
        result[f"state: {path.stem}"] = f"{state} {loaded.training}\n"
    return result


def texts(name: str, loaded: Any, program: Path) -> Sections:
    found = look_at(name, loaded, (), program).of_kind("repr", "code", "graph")
    return Sections((f"loaded_{section}", text) for section, text in found.items())


def compare(module: str, folders: list[Path]) -> Sections:
    torch = importlib.import_module(module)
    result = Sections()
    for folder in folders:
        program = TESTS / "variants" / f"{folder.name}.py"
        for name, model, inputs, *_ in run(module, program):
            path = folder / f"{name}.pt"
            if isinstance(model, torch.jit.ScriptFunction):  # archives lose the defaults of functions
                arguments = model.schema.arguments
                inputs = [(*given, *(a.default_value for a in arguments[len(given) :])) for given in inputs]
            if path.exists():
                loaded = torch.jit.load(str(path))
                found = texts(name, loaded, program) | call(torch, name, loaded, inputs).of_kind("values")
                result.update((section.replace(": ", f": {folder.name}/", 1), text) for section, text in found.items())
    return result


def run(module: str, program: Path) -> Iterator[Any]:
    """The subjects of a program."""
    tree, names = as_main(program.read_text(encoding="utf-8"), program, module)
    with tracer_warnings(program):
        exec(compile(tree, str(program), "exec"), names)
        yield from names["subjects"]()


def save(module: str, program: Path) -> None:
    torch = importlib.import_module(module)
    for name, model, *_ in run(module, program):
        if is_captured(torch, model):
            torch.jit.save(model, f"{name}.pt")


if __name__ == "__main__":
    action, by, *rest = sys.argv[1:]
    paths = list(map(Path, rest))
    if action == "save":
        save(by, paths[0])
    else:
        sys.stdout.write(str(load(by, paths[0], paths[1:]) if action == "load" else compare(by, paths)))
