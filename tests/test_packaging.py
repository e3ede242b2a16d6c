"""The distribution: every module is in it once, it imports from anywhere, and importing it is cheap."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAPPED = ("exporters", "importers", "ir")
BUILD_FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def python(code: str, cwd: Path) -> str:
    return run(sys.executable, "-c", code, cwd=cwd)


def checkout(target: Path, *, links: bool) -> Path:
    """A copy of what packaging reads; without links they are small text files, as git leaves them on some systems."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("bridge", *MAPPED):
        shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=ignore)
    for name in BUILD_FILES:
        shutil.copy(ROOT / name, target / name)
    for name in () if links else MAPPED:
        (target / "bridge" / name).unlink()
        (target / "bridge" / name).write_text(f"../{name}")
    return target


def sources() -> set[str]:
    """Every file of the four folders, by the path that it should have in the wheel."""
    found = set()
    for folder in ("bridge", *MAPPED):
        for path in (ROOT / folder).rglob("*"):
            inside = path.relative_to(ROOT)
            # Python 3.13 follows links in rglob, earlier ones do not; the mapped folders are counted by themselves.
            linked = folder == "bridge" and inside.parts[1] in MAPPED
            if path.is_file() and path.suffix != ".pyc" and not linked:
                found.add(inside.as_posix() if folder == "bridge" else f"bridge/{inside.as_posix()}")
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel built from it."""
    folder = tmp_path_factory.mktemp("built")
    source = checkout(folder / "source", links=True)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), cwd=source)
    return folder


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as opened:
        return [name for name in opened.namelist() if ".dist-info/" not in name]


def test_every_file_is_in_the_wheel_once(built: Path) -> None:
    names = names_in(next(built.glob("*.whl")))
    assert [name for name, count in Counter(names).items() if count > 1] == []
    missing = sources() - set(names)
    assert not missing, (
        f"not in the wheel: {sorted(missing)}; a folder of modules needs an __init__.py, other files a line in package-data"
    )
    assert set(names) == sources()


def test_a_checkout_without_links_gives_the_same_wheel(built: Path, tmp_path: Path) -> None:
    source = checkout(tmp_path / "source", links=False)
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(tmp_path), cwd=source)
    assert sorted(names_in(next(tmp_path.glob("*.whl")))) == sorted(names_in(next(built.glob("*.whl"))))


def test_sdist_holds_the_sources_where_they_are(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as opened:
        names = Counter(member.name.partition("/")[2] for member in opened.getmembers() if not member.isdir())
    assert max(names.values()) == 1
    here = {name.removeprefix("bridge/") if name.split("/")[1] in MAPPED else name for name in sources()}
    assert here | set(BUILD_FILES) <= set(names)


def test_every_module_imports_from_another_folder(built: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as opened:
        opened.extractall(tmp_path / "site")
    (tmp_path / "ir.py").write_text("raise AssertionError('a user has an ir.py too')")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path / "site")!r})
import importlib, pathlib, pkgutil, bridge
assert pathlib.Path(bridge.__file__).is_relative_to({str(tmp_path)!r}), bridge.__file__
for module in pkgutil.walk_packages(bridge.__path__, "bridge."):
    if not module.name.endswith(".__main__"):
        print(importlib.import_module(module.name).__name__)
"""
    imported = python(code, tmp_path).split()
    assert {"bridge.ir", "bridge.exporters", "bridge.importers", "bridge.ir.passes"} <= set(imported)


def test_importing_bridge_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = set(python("import sys, bridge; print(*sys.modules)", tmp_path).split())
    heavy = {"onnx", "onnxruntime", "torch", "google.protobuf", "click", "rich", "bridge.exporters", "bridge.importers"}
    assert not loaded & heavy


def test_the_command_is_installed(tmp_path: Path) -> None:
    code = "from importlib.metadata import entry_points as e; print(*[s.value for s in e(group='console_scripts', name='bridge')])"
    assert python(code, tmp_path).strip() == "bridge.cli:main"


def test_version_is_the_distributions(tmp_path: Path) -> None:
    code = "import bridge, importlib.metadata as m; print(bridge.__version__ == m.version('scriptbridge'))"
    assert python(code, tmp_path).strip() == "True"


@pytest.mark.parametrize("name", MAPPED)
def test_a_mapped_package_refuses_its_bare_name(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert f"ImportError: import this package as 'bridge.{name}'" in done.stderr
