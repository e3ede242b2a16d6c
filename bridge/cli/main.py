"""The commands. Each is a few lines: parse, call the Python function of that name, print."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import click
import numpy as np

from bridge.cli.console import show, show_python, working
from bridge.ir.printable import printable
from bridge.version import __version__


class _Commands(click.Group):
    """Turns every error into one clear message and a non-zero exit; ``--debug`` lets the traceback through."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        debug = "--debug" in (sys.argv[1:] if args is None else args)
        if not debug:
            warnings.showwarning = _warn
        try:
            code = super().main(args, *rest, **kwargs)
            sys.exit(code if isinstance(code, int) else 0)
        except click.exceptions.Abort:
            _fail("stopped", 130)
        except click.ClickException as e:
            e.show()
            sys.exit(e.exit_code)
        except BrokenPipeError:
            sys.exit(141)
        except Exception as e:
            if debug:
                raise
            _fail(say(e), 1)


def say(e: Exception) -> str:
    from bridge.ir.errors import BridgeError

    if isinstance(e, FileNotFoundError | IsADirectoryError | PermissionError) and e.filename:
        return f"{e.strerror}: {e.filename}"
    if isinstance(e, BridgeError | OSError | ValueError | TypeError | KeyError):
        return str(e) or type(e).__name__
    return f"{type(e).__name__}: {e}"


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"bridge: warning: {printable(str(message))}", file=sys.stderr)


def _fail(message: str, code: int) -> None:
    print(f"bridge: {printable(message)}", file=sys.stderr)
    sys.exit(code)


CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(cls=_Commands, context_settings=CONTEXT)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="bridge")
def main(debug: bool) -> None:
    """TorchScript rebuilt on ONNX: capture, convert, print and run models.

    \b
    Example:
      bridge tour
    """


def example(text: str) -> str:
    """A help epilogue that shows an example."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in text.splitlines())


input_option = click.option(
    "--input",
    "-i",
    "inputs",
    multiple=True,
    metavar="NAME=VALUE",
    help="An input: a .npy file (x=x.npy), random values (x=f32[3,4]) or a number (n=3). Repeatable.",
)
seed_option = click.option("--seed", default=0, show_default=True, help="Seed of the random values.")


@main.command(epilog=example("bridge tour\nbridge tour --output /tmp/tour"))
@click.option("--output", "-o", type=click.Path(file_okay=False, path_type=Path), default=Path("bridge-tour"),
              show_default=True, help="Where the files go.")  # fmt: skip
def tour(output: Path) -> None:
    """Show everything on a small recurrent model, in seconds."""
    from bridge.cli.tour import run_tour

    run_tour(output)


@main.command(
    epilog=example("bridge convert model.pt model.onnx --input x=f32[1,3,224,224]\nbridge convert model.onnx model.py")
)
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@input_option
@seed_option
@click.option("--opset", type=int, help="ONNX opset version to write (.onnx only).")
@click.option("--modules", type=click.Choice(["functions", "inline"]), default="functions", show_default=True,
              help="Submodules as model-local functions, or one flat graph (.onnx only).")  # fmt: skip
@click.option("--external-data", is_flag=True, help="Put the weights into one file beside the model (.onnx only).")
@click.option("--checksums", is_flag=True, help="Write checksums of external data (.onnx only).")
@click.option(
    "--report",
    is_flag=True,
    help="Write what is fixed in the model and what is free, as TARGET's .report.md (.onnx only).",
)
def convert(
    source: Path,
    target: Path,
    inputs: Sequence[str],
    seed: int,
    opset: int | None,
    modules: str,
    external_data: bool,
    checksums: bool,
    report: bool,
) -> None:
    """Read SOURCE and write it as TARGET; formats by extension (.onnx, .pt, .py)."""
    from bridge import formats
    from bridge.cli.inputs import parse_inputs

    values = parse_inputs(inputs, seed)
    with working(f"converting {source.name}") as progress:
        formats._known(target)
        module = formats.load(source)
        args = _arguments(module, values) if values else None
        written = formats.save(
            module,
            target,
            args=args,
            opset_version=opset,
            modules=modules,
            external_data=external_data or None,
            report=report,
            checksums=checksums,
            progress=progress,
        )
    for path in written:
        print(f"{path}  {path.stat().st_size:,} bytes")


@main.command(epilog=example("bridge code model.onnx\nbridge code model.onnx -o model.py"))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path),
              help="Write a Python file that can be imported, its weights beside it.")  # fmt: skip
@click.option("--module", "path", default="", help="Dotted path of one submodule, e.g. encoder.layers.0.")
def code(file: Path, output: Path | None, path: str) -> None:
    """Print a model as Python."""
    from bridge import formats

    with working(f"reading {file.name}"):
        if output is not None and output.suffix != ".py":
            raise click.BadParameter(f"'{output}' must end in .py", param_hint="--output")
        module = formats.load(file)
        if output is not None:
            written = formats.save(_submodule(module, path), output)
    if output is None and not path and _is_foreign(module):
        from bridge.onnx.python_file import python_source

        stem = "".join(c if c.isalnum() else "_" for c in file.stem)
        show_python(python_source(module, stem=stem, weights=f"{stem}.safetensors")[0])
        return
    if output is None:
        for name, m in _with_code(_submodule(module, path), path):
            show_python(f"# {name}\n{m.code}" if name else m.code)
        return
    for p in written:
        print(f"{p}  {p.stat().st_size:,} bytes")


def _is_foreign(module: Any) -> bool:
    """Whether a module is an ONNX model that we did not export: its text is that of the file that ``-o`` writes."""
    from bridge.jit import ScriptModule

    forward = module._c.type.find_method("forward") if isinstance(module, ScriptModule) else None
    return forward is not None and forward.graph.foreign is not None


@main.command(epilog=example("bridge graph model.pt\nbridge graph model.onnx --inlined"))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--module", "path", default="", help="Dotted path of one submodule.")
@click.option("--inlined", is_flag=True, help="With the submodules inlined.")
def graph(file: Path, path: str, inlined: bool) -> None:
    """Print a model's graph in TorchScript's notation."""
    from bridge import formats

    with working(f"reading {file.name}"):
        module = _submodule(formats.load(file), path)
    show(str(module.inlined_graph if inlined else module.graph))


@main.command(epilog=example("bridge run model.onnx --input x=f32[3,4] --output results"))
@click.argument("file", type=click.Path(path_type=Path))
@input_option
@seed_option
@click.option(
    "--output", "-o", type=click.Path(file_okay=False, path_type=Path), help="Write each result as .npy there."
)
@click.option(
    "--provider", "-p", "providers", multiple=True, help="onnxruntime execution provider, in order of preference."
)
def run(file: Path, inputs: Sequence[str], seed: int, output: Path | None, providers: Sequence[str]) -> None:
    """Run a model once and show or write its results."""
    from bridge import formats, no_grad, runtime
    from bridge.cli.inputs import parse_inputs

    values = parse_inputs(inputs, seed)
    with working(f"running {file.name}"), no_grad():
        module = formats.load(file)
        args = _arguments(module, values)
        if providers:
            with runtime.using(list(providers)):
                result = module(*args)
        else:
            result = module(*args)
    named = _named(module, result)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    for name, value in named:
        array = np.asarray(value.detach() if hasattr(value, "detach") else value)
        if output is None:
            show(f"{name} = {value}")
        else:
            np.save(output / f"{name}.npy", array)
            print(f"{output / name}.npy  {array.dtype} {list(array.shape)}")


@main.command(epilog=example("bridge providers"))
def providers() -> None:
    """List onnxruntime's execution providers on this machine."""
    from bridge import runtime

    for name in runtime.providers():
        print(name)


def _submodule(module: Any, path: str) -> Any:
    from bridge.ir.errors import BridgeError
    from bridge.tools.extraction import submodule

    try:
        return submodule(module, path)
    except BridgeError as e:
        raise click.BadParameter(str(e), param_hint="--module") from e


def _with_code(module: Any, path: str) -> list[tuple[str, Any]]:
    """(dotted path, module) of every module with code, each class once, outermost first."""
    found: list[tuple[str, Any]] = []
    seen: set[str] = set()
    for name, m in module.named_modules():
        try:
            text = m.code
        except (AttributeError, RuntimeError):
            continue  # a container has no forward
        if text not in seen:
            seen.add(text)
            found.append((".".join(filter(None, (path, name))), m))
    return found


def _arguments(module: Any, values: dict[str, Any]) -> list[Any]:
    """The values in the order of the forward method's arguments. Raises click.BadParameter naming what is off."""
    arguments = module._c.type.methods["forward"].schema.arguments[1:]
    names = [a.name for a in arguments]
    unknown = [n for n in values if n not in names]
    if unknown:
        raise click.BadParameter(f"no input named '{unknown[0]}' (there are: {', '.join(names)})", param_hint="--input")
    missing = [a.name for a in arguments if a.name not in values and not a.has_default]
    if missing:
        raise click.BadParameter(
            f"no value for input '{missing[0]}' (the inputs are: {', '.join(names)})", param_hint="--input"
        )
    return [values.get(a.name, a.default) for a in arguments]


def _named(module: Any, result: Any) -> list[tuple[str, Any]]:
    """(name, tensor or number) of each result: the model's own names where it has them, else ``output_0``…"""
    flat = _flatten(result, "output")
    info = module._c.type.methods["forward"].graph.foreign
    names = list(info.outputs) if info is not None else []
    if len(names) != len(flat):
        return flat
    clean = ["".join(c if c.isalnum() or c in "._-" else "_" for c in n).lstrip(".") or "_" for n in names]
    if len(set(clean)) != len(clean):
        return flat
    return [(name, value) for name, (_, value) in zip(clean, flat, strict=True)]


def _flatten(value: Any, name: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [pair for k, v in value.items() for pair in _flatten(v, f"{name}_{k}")]
    if isinstance(value, tuple | list):
        return [pair for i, v in enumerate(value) for pair in _flatten(v, f"{name}_{i}")]
    return [] if value is None else [(name, value)]
