"""The commands that look at models and compare them: ``inspect``, ``diff``, ``verify``, ``extract``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from bridge.cli.console import show, working
from bridge.cli.main import example, input_option, main, seed_option

__all__ = ["diff", "extract", "inspect", "verify"]

FILE = click.Path(path_type=Path)
rtol_option = click.option("--rtol", type=float, default=1e-3, show_default=True, help="Relative tolerance.")
atol_option = click.option("--atol", type=float, default=1e-5, show_default=True, help="Absolute tolerance.")


@main.command(
    epilog=example(
        "bridge inspect model.onnx\nbridge inspect model.onnx --provider CUDA\nbridge inspect model.pt --json"
    )
)
@click.argument("file", type=FILE)
@click.option("--provider", "-p", help="Also list the nodes that this execution provider does not take (.onnx only).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(file: Path, provider: str | None, as_json: bool) -> None:
    """Show what a model holds: inputs, outputs, operators, opsets, weights, hierarchy."""
    from bridge import tools

    with working(f"reading {file.name}"):
        found = tools.inspect(file, provider)
    show(json.dumps(found.as_dict(), indent=2) if as_json else str(found))


@main.command(epilog=example("bridge diff before.onnx after.onnx\nbridge diff model.pt model.onnx"))
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option("--rtol", type=float, default=0.0, show_default=True, help="Relative tolerance for weights.")
@click.option("--atol", type=float, default=0.0, show_default=True, help="Absolute tolerance for weights.")
def diff(a: Path, b: Path, rtol: float, atol: float) -> int:
    """Tell in what two models differ, module by module and by meaning. Exit status 0: in nothing, 1: they differ, 2: trouble."""
    from bridge import tools

    try:
        with working(f"comparing {a.name} and {b.name}"):
            found = tools.diff(a, b, rtol=rtol, atol=atol)
    except Exception as e:
        raise Trouble(e) from e
    for d in found:
        show(str(d))
    return 1 if found else 0


@main.command(epilog=example("bridge verify model.pt model.onnx --input x=f32[2,3]\nbridge verify model.onnx\n"
                             "bridge verify a.onnx b.onnx --reproduce case"))  # fmt: skip
@click.argument("a", type=FILE)
@click.argument("b", type=FILE, required=False)
@input_option
@seed_option
@rtol_option
@atol_option
@click.option("--reproduce", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
              help="Write the node that deviates first there, as a model with its inputs.")  # fmt: skip
def verify(
    a: Path, b: Path | None, inputs: Sequence[str], seed: int, rtol: float, atol: float, reproduce: Path | None
) -> int:
    """Run the same inputs through two models; on a mismatch, name the first value that deviates.

    Without B, an .onnx file is compared with its own program in the interpreter. Exit status 0: equal, 1: they differ, 2: trouble.
    """
    from bridge import tools
    from bridge.cli.inputs import parse_inputs

    try:
        values = parse_inputs(inputs, seed)
        with working(f"running {a.name}"):
            found = tools.verify(a, b, values or None, seed=seed, rtol=rtol, atol=atol, reproduction=reproduce)
    except click.ClickException:
        raise
    except Exception as e:
        raise Trouble(e) from e
    show(str(found))
    return 0 if found.passed else 1


@main.command(epilog=example("bridge extract model.onnx encoder.onnx --module encoder --input x=f32[2,3]\n"
                             "bridge extract model.onnx part.onnx --from h --to y"))  # fmt: skip
@click.argument("source", type=FILE)
@click.argument("target", type=FILE)
@click.option("--module", "path", default="", help="Dotted path of the submodule to extract.")
@click.option(
    "--from", "starts", multiple=True, metavar="NAME", help="A value that the part takes as input. Repeatable."
)
@click.option("--to", "ends", multiple=True, metavar="NAME", help="A value that the part gives. Repeatable.")
@input_option
@seed_option
def extract(
    source: Path, target: Path, path: str, starts: Sequence[str], ends: Sequence[str], inputs: Sequence[str], seed: int
) -> None:
    """Write a submodule, or the nodes between values of an .onnx file, as a model of its own."""
    from bridge import tools
    from bridge.cli.inputs import parse_inputs

    values = list(parse_inputs(inputs, seed).values()) or None
    with working(f"reading {source.name}"):
        written = tools.extract(source, target, module=path, inputs=starts, outputs=ends, args=values)
    for p in written:
        print(f"{p}  {p.stat().st_size:,} bytes")


class Trouble(click.ClickException):
    """What went wrong where an exit status of 1 is an answer: status 2, as diff has it."""

    exit_code = 2

    def __init__(self, cause: Exception) -> None:
        from bridge.cli.main import say

        super().__init__(say(cause))

    def show(self, file: object = None) -> None:
        from bridge.ir.printable import printable

        click.echo(f"bridge: {printable(self.message)}", err=True)
