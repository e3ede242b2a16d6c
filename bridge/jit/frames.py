"""Who called: the Python frame that an operation came from, as torch's tracer sees it.

torch's operators are native code; the frame that runs is the user's, or that of one of the few parts of torch that are
Python (``torch.nn``, some methods of Tensor). Here everything is Python, so frames of this package are skipped, except
those that stand for torch's Python code. Value names come from a frame's local variables, so this decides what a traced
value is called.
"""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any

import bridge
from bridge import pytorch
from bridge.ir.source import SourceRange

__all__ = ["Caller", "calling", "calling_torch", "is_internal", "level_outside", "machinery", "user_frame"]

_PACKAGE = os.path.dirname(os.path.abspath(bridge.__file__)) + os.sep
#: The folders of the mapped packages when the project is run from its checkout (links are resolved by Python).
_FOLDERS = tuple(
    {os.path.realpath(_PACKAGE + p) + os.sep for p in ("ir", "exporters", "importers")} | {_PACKAGE}
)  # fmt: skip
_NN = _PACKAGE + "nn" + os.sep
_FUNCTIONAL = _PACKAGE + "functional.py"
#: The command's demonstration models are a user's programs.
_PROGRAMS = _PACKAGE + "cli" + os.sep

#: Functions of torch.nn.functional that are native code there.
_NATIVE_FUNCTIONAL = frozenset(
    "adaptive_avg_pool1d avg_pool1d avg_pool2d avg_pool3d bilinear celu_ channel_shuffle conv1d conv2d conv3d conv_tbc "
    "conv_transpose1d conv_transpose2d conv_transpose3d cosine_similarity elu_ gelu hardshrink hardtanh_ leaky_relu_ "
    "linear logsigmoid one_hot pairwise_distance pdist pixel_shuffle pixel_unshuffle prelu relu_ rrelu_ "
    "scaled_dot_product_attention selu_ softplus softshrink threshold_".split()
)

#: Methods and functions that are Python code in torch, outside torch.nn: their variables are ``self``, numbers and
#: sequences, so that no value gets a name from them.
_PYTHON_METHODS = frozenset("__contains__ __iter__ __len__ __reversed__ _rfloordiv _rtruediv".split())
_PYTHON_OPERATORS = frozenset(
    "aten::" + n
    for n in (
        "block_diag broadcast_tensors cartesian_prod cdist chain_matmul einsum istft linalg_vector_norm meshgrid norm "
        "split split_with_sizes stft tensordot unflatten unique unique_consecutive _unique2"
    ).split()
)
#: Calling a program's module goes through torch.nn.Module there.
_MODULE_CALLS = frozenset({"RecursiveScriptModule.__call__", "TopLevelTracedModule.__call__"})
#: Of Python's operators on tensors: those with the operands exchanged, and these.
_PYTHON_OPERATIONS = frozenset({"aten::rsub", "aten::pow", "aten::pow_", "aten::floor_divide"})

#: Where PyTorch keeps the methods of its tensors that are Python, and those of them that only show a tensor.
_METHODS = os.sep + "_tensor.py"
_SHOWING = frozenset({"__format__", "__repr__"})

_USER, _LIBRARY, _NATIVE, _TORCH = range(4)
_kinds: dict[str, int] = {}


def _kind(filename: str) -> int:
    kind = _kinds.get(filename)
    if kind is None:
        full = os.path.abspath(filename)
        if full.startswith(_NN):
            kind = _LIBRARY
        else:
            kind = _NATIVE if full.startswith(_FOLDERS) and not full.startswith(_PROGRAMS) else _foreign_kind(full)
        _kinds[filename] = kind
    return kind


def _foreign_kind(full: str) -> int:
    torch = pytorch.library()
    folder = None if torch is None else os.path.dirname(os.path.abspath(torch.__file__)) + os.sep
    return _TORCH if folder is not None and full.startswith(folder) else _USER


def _is_python(frame: FrameType) -> bool:
    """Whether torch would have a Python frame here."""
    kind = _kind(frame.f_code.co_filename)
    if kind in (_USER, _TORCH) or frame.f_code.co_qualname == "script_if_tracing.<locals>.wrapper":
        return True
    if kind == _LIBRARY:
        return not (frame.f_code.co_name in _NATIVE_FUNCTIONAL and frame.f_code.co_filename.endswith("functional.py"))
    return False


def _is_anonymous(frame: FrameType) -> bool:
    """Whether a frame of this package stands for Python code of torch."""
    code = frame.f_code
    if code.co_name in _PYTHON_METHODS or code.co_qualname in _MODULE_CALLS:
        return True
    if code.co_qualname == "_binary.<locals>.method":
        return bool(frame.f_locals["swapped"]) or frame.f_locals["full"] in _PYTHON_OPERATIONS
    return False


def _names_values(frame: FrameType) -> bool:
    """Whether a frame of this package has the variables of torch's function."""
    code = frame.f_code
    if code.co_qualname == "_binary.<locals>.method":
        return bool(frame.f_locals["full"] == "aten::floor_divide")
    return code.co_filename == _FUNCTIONAL


class Caller:
    """The calling frame. ``shown`` is the frame whose line is recorded: of a library method that is Python in torch, that
    method's own. ``naming`` is the frame of this package whose variables name values as those of torch's function do."""

    __slots__ = ("frame", "naming", "shown")

    def __init__(self, frame: FrameType, shown: FrameType, naming: FrameType | None = None) -> None:
        self.frame, self.shown, self.naming = frame, shown, naming

    def name_of(self, value: Any) -> str:
        """The local variable that holds the value, "" for none and for ``self``."""
        naming = self.frame if self.frame is self.shown else self.naming
        for name, held in naming.f_locals.items() if naming is not None else ():
            if held is value:
                return name if name != "self" else ""
        return ""

    def range(self) -> SourceRange:
        """File and line; behind a line of this package, the user's."""
        file, line = self.shown.f_code.co_filename, self.shown.f_lineno
        if _kind(file) == _USER:
            return SourceRange.at(file, line)
        frame: FrameType | None = self.frame
        while frame is not None and _kind(frame.f_code.co_filename) != _USER:
            frame = frame.f_back
        user = None if frame is None else SourceRange.at(frame.f_code.co_filename, frame.f_lineno)
        return SourceRange.at(file, line, user)


def calling(operator: str = "") -> Caller:
    """The innermost frame that is Python code in torch; ``operator`` is what it called (``aten::split``)."""
    frame: FrameType | None = sys._getframe(1)
    last = frame
    anonymous, naming = operator in _PYTHON_OPERATORS, None
    while frame is not None and not _is_python(frame):
        anonymous = anonymous or _is_anonymous(frame)
        if naming is None and _names_values(frame):
            naming = frame
        last, frame = frame, frame.f_back
    assert last is not None
    if frame is None:
        return Caller(last, last)
    return Caller(frame, last if anonymous or naming is not None else frame, naming)


def calling_torch(frame: FrameType | None = None) -> Caller:
    """The innermost frame outside this package, for code that runs on PyTorch: its Python frames are there. ``frame`` is
    where to begin."""
    frame = frame or sys._getframe(1)
    last = frame
    while frame is not None and (
        _kind(frame.f_code.co_filename) not in (_USER, _TORCH)
        or frame.f_code.co_name == "handle_torch_function"  # a function that hands itself over is the one that calls
        or frame.f_code.co_filename.endswith("_tensor_str.py")  # showing a tensor names nothing
    ):
        last, frame = frame, frame.f_back
    found = frame or last
    assert found is not None
    return Caller(found, found)


def machinery() -> Caller:
    """The tracer itself as the caller: what it adds around the traced code has its line, as in torch."""
    here = sys._getframe(1)
    return Caller(calling().frame, here)


def user_frame() -> tuple[FrameType | None, bool]:
    """The innermost frame that is the user's, or None when library code came to the decision itself.

    What torch.nn decides about its arguments it may decide; torch does not warn of that either. But what a method of
    PyTorch's tensors that is written in Python does (``x.split(tensor)``, ``2. in x``) the user asked for: the second result
    tells that torch would say nothing, since the line is its own.
    """
    frame: FrameType | None = sys._getframe(1)
    hidden = False
    while frame is not None:
        if _is_python(frame):
            kind = _kind(frame.f_code.co_filename)
            if kind == _USER:
                return frame, hidden
            if kind != _TORCH or not frame.f_code.co_filename.endswith(_METHODS) or frame.f_code.co_name in _SHOWING:
                return None, False
            hidden = True
        frame = frame.f_back
    return None, False


def is_internal(filename: str) -> bool:
    """Whether a file belongs to this package (or to PyTorch)."""
    return _kind(filename) != _USER


def level_outside() -> int:
    """The ``stacklevel`` of the first frame outside this package, for a warning that the caller issues."""
    level, frame = 1, sys._getframe(1)
    while frame is not None and is_internal(frame.f_code.co_filename):
        level += 1
        frame = frame.f_back  # type: ignore[assignment]
    return level
