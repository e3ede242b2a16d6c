"""``python -m support.watched_ways FOLDER…``: every way of taking in the ``model.*`` of each folder, watched; prints, as JSON by folder,
what worked and what was asked of the world outside: connections, addresses, native libraries, providers, other processes."""

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Events of Python (``sys.addaudithook``) that reach outside.
OUTSIDE = ("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "ctypes.dlopen", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "webbrowser.")  # fmt: skip


class Watch:
    def __init__(self) -> None:
        import onnxruntime

        self.asked: list[str] = []
        sys.addaudithook(self._event)
        onnxruntime.SessionOptions.register_custom_ops_library = lambda _, path: self.asked.append(f"library {path}")
        onnxruntime.register_execution_provider_library = lambda *a: self.asked.append(f"provider library {a}")
        opened = onnxruntime.InferenceSession

        def session(source: Any, options: Any = None, providers: Any = None, **more: Any) -> Any:
            self.asked += [f"provider {p}" for p in providers or ["of any kind"] if p != "CPUExecutionProvider"]
            return opened(source, options, providers=providers, **more)

        onnxruntime.InferenceSession = session

    def _event(self, event: str, args: tuple[Any, ...]) -> None:
        if event.startswith(OUTSIDE) or (event == "open" and "://" in str(args[0])):
            self.asked.append(f"{event} {args}"[:200])


def mapped(folder: Path) -> list[str]:
    """Files of the folder that the process runs code from."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    return [line for line in lines if "x" in line.split()[1] and str(folder) in line]


def connections() -> list[str]:
    """The process's open connections."""
    fds = Path("/proc/self/fd")
    found = []
    for fd in fds.iterdir() if fds.exists() else ():
        try:
            target = os.readlink(fd)
        except OSError:
            continue
        if target.startswith("socket:"):
            found.append(target)
    return found


def every_way(path: Path) -> list[str]:
    """Takes the model in by every function and command; the names of those that took it."""
    import onnxruntime
    from click.testing import CliRunner

    import bridge
    from bridge.cli import main as program
    from bridge.ir.errors import BridgeError
    from bridge.runtime import open_session

    done: list[str] = []

    def attempt(name: str, action: Callable[[], Any]) -> None:
        try:
            action()
        except (BridgeError, RuntimeError, OSError, ValueError, NotImplementedError):
            return  # refused
        done.append(name)

    onnx = path.suffix == ".onnx"

    def load() -> Any:
        return bridge.onnx.load(path) if onnx else bridge.jit.load(path)

    x = bridge.ones(2, 2)
    attempt("load", load)
    attempt("code", lambda: load().code)
    attempt("call", lambda: load()(x))
    attempt("export", lambda: bridge.onnx.export(load(), f=path.with_name("again.onnx")))
    attempt("print", lambda: bridge.onnx.write_python(load(), path.with_name("printed.py")))
    if onnx:
        attempt("session", lambda: open_session(path))
        assert onnxruntime.get_available_providers()
    commands = [["inspect", path], ["code", path], ["graph", path], ["diff", path, path], ["run", path, "--input", "x=f32[2,2]"],
                ["verify", path, path], ["convert", path, path.with_name("c.onnx"), "--opset", "20"]]  # fmt: skip
    for command in commands:
        if CliRunner().invoke(program, [str(a) for a in command]).exit_code == 0:
            done.append(f"bridge {command[0]}")
    return done


def main() -> None:
    warnings.simplefilter("ignore")
    import bridge.jit
    import bridge.onnx  # noqa: F401

    watch = Watch()
    result = {}
    for folder in map(Path, sys.argv[1:]):
        before = set(connections())
        watch.asked = []
        (path,) = folder.glob("model.*")
        done = every_way(path)
        asked = [*watch.asked, *mapped(folder), *(c for c in connections() if c not in before)]
        result[folder.name] = {"done": done, "asked": asked}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
