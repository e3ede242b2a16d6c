"""The result of an export."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bridge.ir.files import replacing

if TYPE_CHECKING:
    from onnx import ModelProto

    from bridge.exporters.onnx.report import Report
    from bridge.jit import ScriptFunction, ScriptModule

__all__ = ["OnnxProgram"]


class OnnxProgram:
    """An exported program.

    ``model_proto`` is the model. ``specialised`` is the program that it is exactly: the module (or function) whose ``.code`` an
    import of the model prints; the original itself unless exporting decided branches. ``report`` lists what was decided,
    fixed or dropped, each with its line.
    """

    def __init__(self, model_proto: ModelProto, specialised: ScriptModule | ScriptFunction, report: Report) -> None:
        self.model_proto, self.specialised, self.report = model_proto, specialised, report

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model; the file is complete or as it was before. Raises OSError."""
        data = self.model_proto.SerializeToString()
        with replacing(path) as file:
            file.write(data)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program that was exported."""
        return self.specialised(*args, **kwargs)

    def __repr__(self) -> str:
        graph = self.model_proto.graph
        inputs = ", ".join(i.name for i in graph.input)
        outputs = ", ".join(o.name for o in graph.output)
        return f"<OnnxProgram {graph.name}({inputs}) -> {outputs}>"
