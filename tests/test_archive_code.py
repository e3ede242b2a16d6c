"""Archives whose program is hostile, wrong or of another version: parsed, never executed, refused with the file and the entry."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import sys
import zipfile
from pathlib import Path

import pytest

import bridge
from bridge.importers.torchscript import ArchiveError, read_archive

MODULE = """\
class M(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  def forward(self: __torch__.M,
    x: Tensor) -> Tensor:
"""
IDENTITY = MODULE + "    return x\n"
STATE = b"X\x08\x00\x00\x00training\x88"


def opcodes(state: bytes = STATE, name: bytes = b"__torch__\nM") -> bytes:
    return b"\x80\x02c" + name + b"\n)\x81}(" + state + b"ub."


def archive(path: Path, code: str | bytes = IDENTITY, **records: bytes | None) -> Path:
    """An archive with this source text. Records are given as ``data_pkl=…``; None leaves one out."""
    content: dict[str, bytes | None] = {
        "data.pkl": opcodes(),
        "code/__torch__.py": code.encode() if isinstance(code, str) else code,
        "constants.pkl": b"\x80\x02).",
        "version": b"3\n",
    }
    content |= {
        name.replace("__pkl", ".pkl").replace("debug_pkl", "code/__torch__.py.debug_pkl"): v
        for name, v in records.items()
    }
    with zipfile.ZipFile(path, "w") as z:
        for name, data in content.items():
            if data is not None:
                z.writestr(f"m/{name}", data)
    return path


def body(text: str) -> str:
    """The module with these lines as its ``forward``."""
    return MODULE + "".join(f"    {line}\n" for line in text.splitlines())


def refused(path: Path, message: str) -> None:
    before = sorted(os.listdir(path.parent))
    with pytest.raises(ArchiveError) as e:
        read_archive(path)
    assert str(e.value).startswith(f"{path}: "), str(e.value)
    assert message in str(e.value), str(e.value)
    assert sorted(os.listdir(path.parent)) == before


def test_plain_module(tmp_path: Path) -> None:
    m = bridge.jit.load(archive(tmp_path / "m.pt"))
    assert m.code == "def forward(self,\n    x: Tensor) -> Tensor:\n  return x\n"
    assert m.original_name == "M"


def test_shared_module_stays_shared(tmp_path: Path) -> None:
    outer = "class N(Module):\n  training : bool\n  a : __torch__.M\n  b : __torch__.M\n  def forward(self: __torch__.N,\n    x: Tensor) -> Tensor:\n    return x\n"
    inner = opcodes()[2:-1] + b"q\x00"
    state = STATE + b"X\x01\x00\x00\x00a" + inner + b"X\x01\x00\x00\x00bh\x00"
    path = archive(tmp_path / "m.pt", IDENTITY + outer, data__pkl=opcodes(state, b"__torch__\nN"))
    for _ in range(2):
        root = read_archive(path).root
        assert root.attributes["a"] is root.attributes["b"]
        bridge.jit.load(path).save(path)


PROGRAMS = {
    "reads a file": (body('return torch.from_file("/etc/passwd", None, 10)'), "aten::from_file, which reaches outside"),
    "reads a file as ops": (body('return ops.aten.from_file("/etc/passwd", None, 10)'), "aten::from_file, which reaches outside"),
    "writes a file": (body('ops.aten.save(x, "stolen")\nreturn x'), "aten::save, which reaches outside"),
    "writes in a branch": (body('if bool(x):\n  ops.aten.save(x, "stolen")\nelse:\n  pass\nreturn x'), "aten::save"),
    "remote call": (body('_0 = ops.prim.rpc_sync("w", x)\nreturn x'), "prim::rpc_sync, which reaches outside"),
    "extension": (body("return ops.c10d.broadcast(x)"), "code/__torch__.py: "),
    "Python": (body('return __import__("os").system("true")'), "code/__torch__.py: "),
    "eval": (body('return eval("1")'), "code/__torch__.py: "),
    "open": (body('return open("/etc/passwd")'), "code/__torch__.py: "),
    "attribute of a type": (body("return x.__class__.__subclasses__()"), "code/__torch__.py: "),
    "class namespace": (body("return __torch__.os.system(x)"), "code/__torch__.py: "),
    "statement": (IDENTITY + 'print("run")\n', "something else than classes and functions"),
    "assignment": (IDENTITY + "x = 1\n", "something else than classes and functions"),
    "statement in a class": (MODULE.replace("  training : bool\n", "  training : bool\n  print(1)\n") + "    return x\n", "code/__torch__.py: "),
    "default that is a call": (IDENTITY.replace("x: Tensor)", "x: int=open(1))"), "code/__torch__.py: "),
    "foreign base": (IDENTITY.replace("(Module)", "(object)"), "the base object"),
    "class in itself": (IDENTITY.replace("training : bool", "training : bool\n  inner : __torch__.M"), "Unknown type name '__torch__.M'"),
    "unknown type": (IDENTITY.replace("training : bool", "training : __torch__.N"), "code/__torch__.py: "),
    "attribute twice": (IDENTITY.replace("training : bool", "training : bool\n  training : bool"), "already exists"),
    "unknown name": (body("return y"), "code/__torch__.py: "),
    "wrong type": (body('return "x"'), "code/__torch__.py: "),
    "constant that is not there": (body("return torch.add(x, CONSTANTS.c7)"), "code/__torch__.py: "),
    "no Python": (body("return ]"), "code/__torch__.py: "),
    "no class": ("def f(x: Tensor) -> Tensor:\n  return x\n", "does not define"),
    "empty": ("", "does not define"),
    "nested brackets": (body("return " + "(" * 3000 + "x" + ")" * 3000), "code/__torch__.py: "),
    "nested calls": (body("return " + "torch.neg(" * 150 + "x" + ")" * 150), None),
    "long sum": (body("return " + "+".join(["x"] * 20_000)), "code/__torch__.py: "),
    "nested minus": (body("return " + "-" * 20_000 + "x"), "code/__torch__.py: "),
    "huge number": (body("return torch.add(x, " + "9" * 5000 + ")"), "code/__torch__.py: "),
    "setstate": (IDENTITY + "  def __setstate__(self: __torch__.M,\n    state: int) -> NoneType:\n    return None\n", "'__setstate__'"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "message"), PROGRAMS.values(), ids=PROGRAMS)
def test_program(code: str, message: str | None, tmp_path: Path) -> None:
    path = archive(tmp_path / "bad.pt", code)
    if message is None:
        read_archive(path)
    else:
        refused(path, message)


#: Programs of version 3, and for integers and floats what they gave then; with the operators of today, and printed as torch prints them.
OLD = {
    "by an int": ("return torch.div(x, 2)", [3, -2], [3.5, -2.5]),
    "by a tensor": ("return torch.div(x, torch.add(torch.mul(x, 0), 2))", [3, -2], [3.5, -2.5]),
    "by a float": ("return torch.div(x, 2.)", [3.5, -2.5], [3.5, -2.5]),
    "in place": ("return torch.div_(torch.mul(x, 1), 2)", [3, -2], [3.5, -2.5]),
    "written with a sign": ("return x / torch.tensor(2)", [3, -2], [3.5, -2.5]),
    "full": ("return torch.full([2], 3)", [3.0, 3.0], [3.0, 3.0]),
    "linspace": ("return torch.slice(torch.linspace(0, 99), 0, 3, 5)", [3.0, 4.0], [3.0, 4.0]),
    "linspace of so many": ("return torch.linspace(0, 1, 2, dtype=None)", [0.0, 1.0], [0.0, 1.0]),
    "logspace": ("return torch.slice(torch.logspace(0, 99, None, 2.), 0, 3, 5)", [8.0, 16.0], [8.0, 16.0]),
    "full with a dtype": ("return torch.full([2], 3, dtype=4)", [3, 3], [3, 3]),
}


@pytest.mark.parametrize(("text", "of_ints", "of_floats"), OLD.values(), ids=OLD)
def test_operators_as_older_archives_mean_them(
    text: str, of_ints: list[float], of_floats: list[float], tmp_path: Path
) -> None:
    old = bridge.jit.load(str(archive(tmp_path / "old.pt", body(text))))
    bridge.jit.save(old, str(tmp_path / "new.pt"))
    for module in (old, bridge.jit.load(str(tmp_path / "new.pt"))):
        for values, expected in (([7, -5], of_ints), ([7.0, -5.0], of_floats)):
            result = module(bridge.tensor(values)).tolist()
            assert (result, type(result[0])) == (expected, type(expected[0]))


@pytest.mark.parametrize("text", [t for t, *_ in OLD.values()], ids=OLD)
@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_older_archives_print_as_in_torch(text: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = str(archive(tmp_path / "old.pt", body(text)))
    assert bridge.jit.load(path).code == torch.jit.load(path).code


SET_STATE = IDENTITY + "  def __setstate__(self: __torch__.M,\n    state: int) -> NoneType:\n"
STATES = {
    "right": ("    self.training = True\n    return None\n", 7, None),
    "of another type": (
        "    self.training = True\n    return None\n",
        1.5,
        "whose state is not what its '__setstate__' takes",
    ),
    "nothing set": ("    return None\n", 7, "whose '__setstate__' leaves 'training' without a value"),
    "loop": ("    while True:\n      state = torch.add(state, 1)\n    return None\n", 7, "has a loop"),
    "writing": ('    torch.save(state, "stolen")\n    return None\n', 7, "reaches outside the program and is refused"),
    "raises": ('    ops.prim.RaiseException("no", None)\n    return None\n', 7, "raises RuntimeError: no"),
}


@pytest.mark.parametrize(("text", "state", "message"), STATES.values(), ids=STATES)
def test_state(text: str, state: object, message: str | None, tmp_path: Path) -> None:
    """``__setstate__`` is interpreted, as far as it is harmless, and only when the reader can."""
    pickled = b"\x80\x02c__torch__\nM\n)\x81" + pickle.dumps(state, 2)[2:-1] + b"b."
    path = archive(tmp_path / "m.pt", SET_STATE + text, data__pkl=pickled)
    refused(path, "'__setstate__' of its own")
    if message is None:
        assert bridge.jit.load(path).training is True
    else:
        with pytest.raises(ArchiveError) as e:
            bridge.jit.load(path)
        assert message in str(e.value)
    assert os.listdir(tmp_path) == ["m.pt"]


BOMBS = {
    "text": 'y = torch.mul("a", 1000000000000)\nreturn x',
    "power": "y = torch.pow(9, 999999999999)\nreturn torch.add(x, y)",
    "shift": "y = torch.__lshift__(1, 99999999999)\nreturn torch.add(x, y)",
    "negative power": "y = torch.pow(-9, 999999999999)\nreturn torch.add(x, y)",
    "padding": 'y = torch.ljust("a", 1000000000000, " ")\nreturn torch.add(x, torch.len(y))',
    "doubling": 'y = "aaaaaaaa"\n' + "y = torch.add(y, y)\n" * 60 + "return torch.add(x, torch.len(y))",
    "tensor": "y = torch.zeros([1000000000000])\nreturn x",
    "list": "y = torch.mul([1], 1000000000000)\nreturn x",
    "loop": "y = 0\nwhile True:\n  y = torch.add(y, 1)\nreturn x",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_nothing_is_computed_while_reading(text: str, tmp_path: Path) -> None:
    """What would fill the memory, or never end, is compiled or refused; either way at once."""
    path = archive(tmp_path / "m.pt", body(text))
    with contextlib.suppress(ArchiveError):
        read_archive(path)


RECORDS = {
    "version": ({"version": b"99\n"}, "version: says"),
    "version text": ({"version": b"three"}, "version: says"),
    "no version": ({"version": None}, "version: is missing"),
    "no data": ({"data__pkl": None}, "not a TorchScript archive"),
    "no constants": ({"constants__pkl": None}, "not a TorchScript archive"),
    "byte order": ({"byteorder": b"middle"}, "byteorder: "),
    "data is a list": ({"data__pkl": b"\x80\x02]."}, "data.pkl: does not hold a module"),
    "data of a foreign class": ({"data__pkl": opcodes(name=b"os\nsystem")}, "data.pkl: names os.system"),
    "data of an unknown class": ({"data__pkl": opcodes(name=b"__torch__\nN")}, "which the archive does not define"),
    "native class": ({"data__pkl": opcodes(name=b"__torch__.torch.classes.a\nB")}, "a native class"),
    "attribute missing": ({"data__pkl": opcodes(b"")}, "attribute 'training' has no value"),
    "attribute of another type": ({"data__pkl": opcodes(b"X\x08\x00\x00\x00trainingK\x01")}, "attribute 'training' is not the bool"),
    "state is a tuple": ({"data__pkl": b"\x80\x02c__torch__\nM\n)\x81)b."}, "data.pkl: "),
    "constants of objects": ({"constants__pkl": b"\x80\x02c__torch__\nM\n)\x81}b\x85."}, "constants.pkl: holds something else"),
    "constants is a dict": ({"constants__pkl": b"\x80\x02}."}, "constants.pkl: does not hold a tuple"),
    "foreign constants": ({"constants__pkl": pickle.dumps(sys.exit, 2)}, "constants.pkl: names "),
    "debug of nothing": ({"debug_pkl": b"\x80\x02N."}, "debug_pkl: "),
    "debug out of order": ({"debug_pkl": pickle.dumps(((9, (("a", "b", 1), 0, 0), 0), (1, (("a", "b", 1), 0, 0), 0)), 2)}, "out of order"),
    "debug outside": ({"debug_pkl": pickle.dumps(((0, (("a", "b", 1), 0, 99), 0),), 2)}, "outside its source"),
    "debug table": ({"debug_pkl": pickle.dumps(("FORMAT_WITH_STRING_TABLE", ("",), ((0, (([7], 0, 1), 0, 0), 0),)), 2)}, "not in its table"),
    "debug with code": ({"debug_pkl": pickle.dumps(os.getcwd, 2)}, "debug_pkl: names "),
}  # fmt: skip


@pytest.mark.parametrize(("records", "message"), RECORDS.values(), ids=RECORDS)
def test_records(records: dict[str, bytes | None], message: str, tmp_path: Path) -> None:
    refused(archive(tmp_path / "bad.pt", **records), message)


def test_not_utf8(tmp_path: Path) -> None:
    refused(archive(tmp_path / "bad.pt", IDENTITY.encode() + b"# \xff\n"), "code/__torch__.py: is not UTF-8")


def test_errors_show_the_line(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as e:
        read_archive(archive(tmp_path / "bad.pt", body('return torch.from_file("/etc/passwd", None, 10)')))
    assert 'return torch.from_file("/etc/passwd", None, 10)\n' in str(e.value)
    assert "^" in str(e.value)


def test_errors_do_not_reach_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as e:
        read_archive(archive(tmp_path / "bad.pt", body('return torch.from_file("\x1b[2J", None, 10)')))
    assert "\x1b" not in str(e.value)
    assert "\\x1b[2J" in str(e.value)


def test_file_object_that_is_no_archive() -> None:
    with pytest.raises(ArchiveError, match="is not a TorchScript archive"):
        bridge.jit.load(io.BytesIO(b"not an archive"))
