"""What a trace cannot record, said at the user's line. The texts are torch's (torch/csrc/jit/frontend/tracer.cpp)."""

from __future__ import annotations

import warnings

from bridge import _dispatch
from bridge.ir.source import SourceRange
from bridge.jit.frames import level_outside, user_frame

__all__ = ["STRICT", "FrozenWarning", "TracerWarning", "warn", "warn_frozen", "warn_replaced"]

_DATAFLOW = (
    " might cause the trace to be incorrect. We can't record the data flow of Python values, so this value will be "
    "treated as a constant in the future. This means that the trace might not generalize to other inputs!"
)
_CONSTRUCTOR = (
    " results are registered as constants in the trace. You can safely ignore this warning if you use this function to "
    "create tensors out of constant variables that would be the same every time you call this function. In any other "
    "case, this might cause the trace to be incorrect."
)
STRICT = (
    " might cause the trace to be incorrect, this is only valid if the container structure does not change based on the "
    "module's inputs. Consider using a constant container instead (e.g. for `list`, use a `tuple` instead. for `dict`, "
    "use a `NamedTuple` instead). If you absolutely need this and know the side effects, pass strict=False to trace() to "
    "allow this behavior."
)

_TEXTS = {
    kind: f"Converting a tensor to a {what}{_DATAFLOW}"
    for kind, what in {
        "boolean": "Python boolean", "integer": "Python integer", "float": "Python float", "index": "Python index",
        "complex": "Python complex", "number": "Python number", "list": "Python list", "numpy": "NumPy array",
    }.items()
}  # fmt: skip
_TEXTS["stride"] = "Reading a tensor's strides" + _DATAFLOW
_TEXTS["argument"] = "Passing a tensor where a script function takes a Python number" + _DATAFLOW
_TEXTS["data"] = (
    "A tensor that shares memory with a traced one, but was made behind the tracer's back (`.data`), is treated as a "
    "constant. This means that the trace might not generalize to other inputs!"
)
_REPLACED = (
    "'{name}' of {owner} was replaced by another tensor while the module was traced, which the trace does not do: the value "
    "stays what it is. Write into the tensor instead (`self.{name}.copy_(…)`)."
)
_TEXTS["iter"] = (
    "Iterating over a tensor might cause the trace to be incorrect. Passing a tensor of different shape won't change the "
    "number of iterations executed (and might lead to errors or silently give incorrect results)."
)
_TEXTS["len"] = (
    "Using len to get tensor shape might cause the trace to be incorrect. Recommended usage would be tensor.shape[0]. "
    "Passing a tensor of different shape might lead to errors or silently give incorrect results."
)


class TracerWarning(Warning):
    """A trace froze something that may be different for other inputs."""


class FrozenWarning(TracerWarning):
    """A frozen decision of which torch's tracer says nothing: ``range(x.size(0))``, ``torch.equal(x, y)``…"""


#: What torch freezes silently.
_SILENT = frozenset({"index", "stride", "data", "argument"})


def warn(message: str, category: type[Warning] = TracerWarning) -> None:
    """Issue a warning at the line of the user's code that runs; nothing when library code decided for itself."""
    frame, hidden = user_frame()
    if frame is None:
        return
    if hidden:
        category = FrozenWarning
    if _dispatch.tracer is not None:
        place = SourceRange.at(frame.f_code.co_filename, frame.f_lineno)
        _dispatch.tracer.graph.notes.append(("frozen by the trace", message.partition(". ")[0], place))
    warnings.warn_explicit(
        message,
        category if _dispatch.tracer is None else _dispatch.tracer.category(category),
        frame.f_code.co_filename,
        frame.f_lineno,
        frame.f_globals.get("__name__", "<unknown>"),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )


def warn_replaced(name: str, owner: str) -> None:
    """Warn that traced code put another tensor in the place of one of a module."""
    warnings.warn(_REPLACED.format(name=name, owner=owner), FrozenWarning, stacklevel=level_outside())


def warn_frozen(kind: str) -> None:
    """Warn of a value that becomes a constant: ``"boolean"``, ``"index"``, ``"iter"``… or ``"torch.tensor"``…"""
    text = _TEXTS.get(kind)
    if text is None:
        text = kind + (_CONSTRUCTOR if kind.startswith("torch.") else _DATAFLOW)
    warn(text, FrozenWarning if kind in _SILENT else TracerWarning)
