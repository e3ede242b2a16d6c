"""Runs a program through torch or bridge, and writes down as text all that it shows.

``python -m support.programs bridge FILE`` runs in a process of its own, as a user would run the file: class names are mangled
by what was compiled before. The text has sections, ``=== KIND: NAME`` and then lines; the kinds are

- ``repr``, ``code``, ``graph``, ``inlined_graph``: of every captured module, submodule and function, compared byte for byte;
- ``loaded_repr``, ``loaded_code``, ``loaded_graph``: the same after saving as an archive and loading that;
- ``warnings``: the tracer's, with file name and line;
- ``printed``, ``values``: the results of every input as printed, and with seven digits; compared as numbers;
- ``output`` (of the tutorial): what the block printed;
- ``error``: the program ended here.

A program is a file that starts with ``import torch`` and has ``subjects()``, which yields ``(name, model, inputs)`` or
``(name, model, inputs, methods)``: inputs is a list of argument tuples, methods names further methods to look at.
"""

import ast
import contextlib
import difflib
import functools
import importlib
import importlib.util
import io
import math
import os
import re
import subprocess
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
RECORDED = TESTS / "goldens" / "torch"
TUTORIAL = TESTS / "tutorial" / "Intro_to_TorchScript_tutorial.py"
LOADED = ("loaded_repr", "loaded_code", "loaded_graph")
EXACT = ("output", "repr", "code", "graph", "inlined_graph", *LOADED, "warnings")
NUMERIC = ("printed", "values")


# -- Sections of text ------------------------------------------------------------------------------------------------


class Sections(dict[str, str]):
    """Texts by ``KIND: NAME``; printed and read as one file."""

    def __str__(self) -> str:
        return "".join(f"=== {name}\n{text}" + ("" if text.endswith("\n") else "\n\\\n") for name, text in self.items())

    @classmethod
    def parse(cls, text: str) -> "Sections":
        result = cls()
        for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
            name, _, body = part.partition("\n")
            result[name] = body.removesuffix("\n\\\n")
        return result

    def of_kind(self, *kinds: str) -> "Sections":
        return Sections((name, text) for name, text in self.items() if name.partition(":")[0] in kinds)


NUMBER = re.compile(r"(?<![\w.])-?(?:\d+\.\d*(?:e[-+]?\d+)?|\d+e[-+]?\d+)(?![\w.])")


def same_numbers(actual: str, expected: str, *, printed: bool) -> bool:
    """Whether two texts differ in floating-point numbers only, and there by rounding.

    A printed number may differ by one in its last digit; a value by one part in a hundred thousand.
    """
    blank = re.compile(r"\s+") if printed else re.compile(r"$^")  # a sign more or less moves columns
    shapes = [blank.sub(" ", NUMBER.sub("#", text)).replace("[ #", "[#") for text in (actual, expected)]
    if shapes[0] != shapes[1]:
        return False
    pairs = zip(NUMBER.findall(actual), NUMBER.findall(expected), strict=True)
    return all(close(mine, theirs, printed) for mine, theirs in pairs)


def close(actual: str, expected: str, printed: bool) -> bool:
    mine, theirs = float(actual), float(expected)
    if not printed:
        return math.isclose(mine, theirs, rel_tol=1e-5, abs_tol=1e-6)
    mantissa, _, exponent = expected.partition("e")
    digits = len(mantissa.partition(".")[2])
    return abs(mine - theirs) <= 1.01 * 10 ** (int(exponent or 0) - digits) + 1e-6 * abs(theirs)


# -- Looking at what a program made ----------------------------------------------------------------------------------


def normalise(text: str, program: Path) -> str:
    """Paths of the program become its name; places inside torch or bridge, which are not the user's, ``<library>``.

    A generator's address is left out, too.
    """
    text = re.sub(r"<[\w.]*\bGenerator object at 0x\w+>", "<Generator>", text.replace(str(program), program.name))
    return re.sub(r"(?<=# )/[^\s:]+:\d+:\d+", "<library>", text)


def guarded(read: Callable[[], object]) -> str:
    """The text, or the error in its place, so that one failure does not hide the sections after it."""
    try:
        return str(read())
    except Exception as error:
        return f"!! {type(error).__name__}: {error}"


def render(value: Any) -> str:
    """A result with seven digits, with the shapes and dtypes that ``repr`` leaves out."""
    if isinstance(value, bool | int | str) or value is None:
        return repr(value)
    if isinstance(value, float):
        return (
            "0."
            if value == 0
            else f"{value:.7g}"
            if "." in f"{value:.7g}" or "e" in f"{value:.7g}"
            else f"{value:.7g}."
        )
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}({', '.join(map(render, value))})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{render(k)}: {render(v)}" for k, v in value.items()) + "}"
    dtype = str(value.dtype).rpartition(".")[2]
    return f"{dtype}{list(value.shape)}{render_items(value.detach().tolist())}"


def render_items(items: Any) -> str:
    return f"[{' '.join(map(render_items, items))}]" if isinstance(items, list) else render(items)


def is_captured(torch: Any, value: object) -> bool:
    return isinstance(value, torch.jit.ScriptModule | torch.jit.ScriptFunction)


def has_graph(part: Any) -> bool:
    """A module that a trace never called, or that has no `forward`, has neither graph nor code."""
    try:
        return part.graph is not None
    except (AttributeError, RuntimeError):
        return False


def look_at(name: str, captured: Any, methods: tuple[str, ...], program: Path) -> Sections:
    """``repr``, code and graphs of a captured function, or of a module and all modules in it."""
    result = Sections()
    parts = [(name, captured)]
    if hasattr(captured, "named_modules"):
        result[f"repr: {name}"] = guarded(lambda: repr(captured))
        parts = [(f"{name}.{path}".rstrip("."), part) for path, part in captured.named_modules()]
    parts += [(f"{name} {method}()", getattr(captured, method, None)) for method in methods]
    for path, part in parts:
        for kind in ("code", "graph", "inlined_graph") if has_graph(part) else ():
            result[f"{kind}: {path}"] = guarded(
                lambda part=part, kind=kind: normalise(str(getattr(part, kind)), program)
            )
    return result


def look_at_loaded(torch: Any, name: str, captured: Any, methods: tuple[str, ...], program: Path) -> Sections:
    """What `look_at` shows of the program once it went through an archive in the current folder."""
    try:
        torch.jit.save(captured, "program.pt")
        loaded = torch.jit.load("program.pt")
    except Exception as error:
        return Sections({f"loaded_code: {name}": f"!! {type(error).__name__}: {error}"})
    found = look_at(name, loaded, methods, program).of_kind("repr", "code", "graph")
    return Sections((f"loaded_{section}", text) for section, text in found.items())


def call(torch: Any, name: str, model: Any, inputs: list[tuple[Any, ...]]) -> Sections:
    result = Sections()
    # torch's optimiser would change `grad_fn` from the second call on.
    plain = torch.jit.optimized_execution(False) if torch.__name__ == "torch" else contextlib.nullcontext()
    with plain:
        for index, arguments in enumerate(inputs):
            try:
                value = model(*arguments)
            except Exception as error:
                value = f"!! {type(error).__name__}: {error}" if torch.__name__ != "torch" else "raised"
            result[f"printed: {name} {index}"] = repr(value)
            result[f"values: {name} {index}"] = guarded(lambda value=value: render(value))
    return result


@contextlib.contextmanager
def tracer_warnings(program: Path) -> Iterator[list[str]]:
    """Collects the tracer's warnings as the gallery prints them; hides the others, which differ between the two."""
    found: list[str] = []

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
        if category.__name__ == "TracerWarning":
            found.append(normalise(f"{filename}:{lineno}: {category.__name__}:\n\n{message}\n\n", program))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield found


# -- Running -----------------------------------------------------------------------------------------------------


def as_main(source: str, program: Path, module: str) -> tuple[ast.Module, dict[str, Any]]:
    """The parsed program with ``import torch`` meaning `module`, and the globals of a main program for it."""
    tree = ast.parse(source, str(program))
    for node in tree.body:
        if isinstance(node, ast.Import) and node.names[0].name == "torch":
            node.names[0].name, node.names[0].asname = module, "torch"
    main = types.ModuleType("__main__")
    main.__file__ = str(program)
    sys.modules["__main__"] = main
    return tree, main.__dict__


def run_program(module: str, program: Path) -> Sections:
    """All sections of one program."""
    torch = importlib.import_module(module)
    tree, names = as_main(program.read_text(encoding="utf-8"), program, module)
    result = Sections()
    with tracer_warnings(program) as found:
        try:
            exec(compile(tree, str(program), "exec"), names)
            subjects = []
            for name, model, inputs, *methods in names["subjects"]():
                subjects.append((name, model, inputs))
                if found:
                    result[f"warnings: {name}"] = "".join(found)
                    found.clear()
                if is_captured(torch, model):
                    result.update(look_at(name, model, *methods or [()], program=program))
                    result.update(look_at_loaded(torch, name, model, *methods or [()], program=program))
            # Afterwards, as torch keeps what a call without its optimiser made of a function, and would inline that.
            for name, model, inputs in subjects:
                result.update(call(torch, name, model, inputs))
        except Exception as error:
            result["error: program"] = f"{type(error).__name__}: {error}"
    return result


def run_tutorial(module: str) -> Sections:
    """Runs the tutorial block by block; ``output: NUMBER`` is what the block printed, with the value of a last expression."""
    result = Sections()
    tree, names = as_main(TUTORIAL.read_text(encoding="utf-8"), TUTORIAL, module)
    marks = [
        n for n, line in enumerate(TUTORIAL.read_text(encoding="utf-8").splitlines(), 1) if line.startswith("# %%")
    ]
    seen: dict[str, object] = {}
    for number, (start, end) in enumerate(zip(marks, [*marks[1:], math.inf], strict=True), 1):
        body = [node for node in tree.body if start < node.lineno < end]
        try:
            result[f"output: {number:02}"] = run_block(body, names)
        except Exception as error:
            result[f"error: {number:02}"] = f"{type(error).__name__}: {error}"
            break
        for name, value in list(names.items()):
            if seen.get(name) is not value and is_captured(names["torch"], value):
                seen[name] = value
                result.update(look_at(f"{number:02} {name}", value, (), TUTORIAL))
    return result


def run_block(body: list[ast.stmt], names: dict[str, Any]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), tracer_warnings(TUTORIAL) as found:
        last = body[-1]
        value = None
        exec(compile(ast.Module(body[:-1], []), str(TUTORIAL), "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), str(TUTORIAL), "eval"), names)
        else:
            exec(compile(ast.Module([last], []), str(TUTORIAL), "exec"), names)
    shown = "".join(found) + out.getvalue() + ("" if value is None else f"\n{value!r}")
    return normalise(shown, TUTORIAL).replace(f"{names['torch'].__version__}\n", "<version>\n")


# -- What the tests call ---------------------------------------------------------------------------------------------


@functools.cache
def sections(module: str, program: Path, folder: Path) -> Sections:
    """The sections of a program run by `module` in a process of its own, working in `folder`."""
    # The bridge that the tests see, installed or not, is the one that runs.
    seen = importlib.util.find_spec("bridge")
    assert seen is not None
    assert seen.origin is not None
    paths = [str(TESTS), str(Path(seen.origin).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "support.programs", module, str(program)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        return Sections({"error: program": done.stderr[-4000:]})
    return Sections.parse(done.stdout)


def recorded(program: Path) -> Sections:
    """What torch did with the program when `goldens/record.py` ran."""
    return Sections.parse((RECORDED / f"{program.stem}.txt").read_text(encoding="utf-8"))


def differences(found: Sections, expected: Sections, *kinds: str) -> str:
    """What differs in the sections of these kinds, as diffs; empty where nothing does."""
    report = [f"the program ended with {text}" for text in found.of_kind("error").values()]
    mine, theirs = found.of_kind(*kinds), expected.of_kind(*kinds)
    for name in [*theirs, *(name for name in mine if name not in theirs)]:
        actual, wanted = mine.get(name, "(missing)"), theirs.get(name, "(nothing)")
        kind = name.partition(":")[0]
        if actual == wanted or (kind in NUMERIC and same_numbers(actual, wanted, printed=kind == "printed")):
            continue
        lines = difflib.unified_diff(wanted.splitlines(), actual.splitlines(), "expected", "found", lineterm="", n=30)
        report.append("\n".join([f"=== {name}", *lines]))
    return "\n\n".join(report)


def main() -> None:
    module, program = sys.argv[1], Path(sys.argv[2])
    text = str(run_tutorial(module) if program == TUTORIAL else run_program(module, program))
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
