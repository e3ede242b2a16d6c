"""The result of an export."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.ir.inner_tensors import inner_tensors, kept_place

if TYPE_CHECKING:
    from onnx import ModelProto

    from bridge.exporters.onnx.large import Arrays
    from bridge.exporters.onnx.report import Report
    from bridge.jit import ScriptFunction, ScriptModule

__all__ = ["OnnxProgram"]


class OnnxProgram:
    """An exported program.

    ``specialised`` is the program that it is exactly: the module (or function) whose ``.code`` an import of the model prints;
    the original itself unless exporting decided branches. ``report`` lists what was decided, fixed or dropped, each with its
    line.
    """

    def __init__(
        self,
        model: ModelProto,
        specialised: ScriptModule | ScriptFunction,
        report: Report,
        arrays: Arrays | None = None,
    ) -> None:
        self._model, self._arrays = model, arrays or {}
        #: Whether nothing of the model is, or is to be, elsewhere.
        self._whole = not self._arrays and not any(map(kept_place, inner_tensors(model)))
        self.specialised, self.report = specialised, report

    @property
    def model_proto(self) -> ModelProto:
        """The model with all its weights inside; changes of it are saved. Raises LoweringError over 2 GB: use :meth:`save`."""
        if not self._whole:
            from bridge.exporters.onnx.large import embedded

            self._model, self._arrays, self._whole = embedded(self._model, self._arrays), {}, True
        return self._model

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        external_data: bool | str | None = None,
        size_threshold: int = 1024,
        checksums: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Path]:
        """Write the model; returns the files, which are complete, or as they were before.

        ``external_data``: None leaves weights inside, in the files that the model was imported with, or, from 2 GB on, in one
        file beside it; True (or a file name relative to the model) puts all of ``size_threshold`` bytes and more into one file
        beside it, False all inside. ``checksums`` adds the SHA-1 of external data. ``progress`` is called with the bytes
        written and the bytes in all. Weights are written from where they are, one by one.

        Raises LoweringError for a location outside the model's folder or a model over 2 GB that is to be one file, OSError.
        """
        from bridge.exporters.onnx.large import save_model

        return save_model(
            self._model,
            self._arrays,
            path,
            external_data=external_data,
            size_threshold=size_threshold,
            checksums=checksums,
            progress=progress,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program that was exported."""
        return self.specialised(*args, **kwargs)

    def __repr__(self) -> str:
        graph = self._model.graph
        inputs = ", ".join(i.name for i in graph.input)
        outputs = ", ".join(o.name for o in graph.output)
        return f"<OnnxProgram {graph.name}({inputs}) -> {outputs}>"
