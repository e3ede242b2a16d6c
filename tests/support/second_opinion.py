"""The interpreter as a second opinion on what onnxruntime computes, wherever a test runs a model of ours.

``conftest.py`` puts :class:`Session` in the place of ``onnxruntime.InferenceSession``.
"""

import functools
import os
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest

import bridge
import bridge.onnx
from bridge.exporters.onnx.hierarchy import CLASSES
from bridge.ir import types as T
from bridge.jit.running import interpret
from bridge.jit.values import match_arguments
from bridge.onnx.exporting import entry_of
from bridge.tensor import Tensor
from support.onnx_runs import leaves_of, loaded_graphs, nodes_of

__all__ = ["Session"]

_NUMBERS = (T.INT, T.FLOAT, T.BOOL)
#: What gives other numbers in every run.
_RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
#: Larger models take longer to load than they tell.
_MANY = 120


class Session(onnxruntime.InferenceSession):
    """A session; the first runs of a model that bridge exported are compared with what the interpreter makes of the program that
    the model loads as.

    Not compared are models with random numbers, those of more than 120 nodes, runs that are given a module's state, arguments that
    are several inputs or strings, and of the outputs what a module keeps (``…_updated``) and whether optional results are
    there. Where the model tells an exception, the interpreter raises.
    """

    #: Runs that were compared in this process.
    compared = 0

    def __init__(self, path_or_bytes, *args, **options):
        super().__init__(path_or_bytes, *args, **options)
        self._second = path_or_bytes
        self._left = 3

    def run(self, output_names, input_feed, run_options=None):
        results = super().run(output_names, input_feed, run_options)
        if self._left and not output_names:
            self._left -= 1
            program = self._program
            if program is not None:
                outputs = dict(zip((o.name for o in self.get_outputs()), results, strict=True))
                compare(program, input_feed, outputs)
        return results

    @functools.cached_property
    def _program(self):
        """The model as bytes when it is one of ours that can be compared, else None."""
        data = self._second
        if not isinstance(data, bytes):
            path = os.fspath(data)
            if os.path.getsize(path) > 1 << 20:
                return None
            with open(path, "rb") as f:
                data = f.read()
        if len(data) > 1 << 20 or CLASSES.encode() not in data:
            return None
        model = onnx.load_from_string(data)
        if any(t.data_location == t.EXTERNAL for t in model.graph.initializer):
            return None
        nodes = list(nodes_of(model))
        random = any(n.op_type in _RANDOM or (n.op_type == "Dropout" and len(n.input) > 2) for n in nodes)
        return None if random or len(nodes) > _MANY else model


def _is_number(t):
    return t in _NUMBERS or (isinstance(t, T.UnionType) and all(m in _NUMBERS for m in t.members))


def compare(model, feed, results):
    """Assert that the interpreter gives what onnxruntime gave for these inputs by name."""
    state = {t.name for t in model.graph.initializer}
    names = [i.name for i in model.graph.input if i.name not in state]
    feeds = [np.asarray(feed[n]) for n in names if n in feed and not isinstance(feed[n], list)]
    if state & set(feed) or len(feeds) != len(names) or any(f.dtype.kind not in "biuf" for f in feeds):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = bridge.onnx.load(model)
    owner, function = entry_of(loaded)
    own = function.schema.arguments[owner is not None :]
    graphs = [function.graph, *(g for _, g in loaded_graphs(loaded))]
    if len(own) != len(feeds) or any(n.kind.startswith("onnx::") for g in graphs for n in g.all_nodes()):
        return  # inputs that are parts of one argument; programs that are known by their nodes alone
    if any(
        f.size != 1 if _is_number(a.type) else isinstance(a.type, T.ListType) for a, f in zip(own, feeds, strict=True)
    ):
        return
    Session.compared += 1
    given = [f.item() if _is_number(a.type) else Tensor._wrap(f.copy()) for a, f in zip(own, feeds, strict=True)]
    raised = results.pop("error", None)
    with bridge.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call = match_arguments(function.schema, given, {}, owner)
        if raised is not None and raised.size:
            with pytest.raises(Exception):  # noqa: B017, PT011
                interpret(function, call)
            return
        found = list(leaves_of(interpret(function, call)))
    absent = {n.removesuffix("_present") for n, r in results.items() if n.endswith("_present") and not r}
    shown = [r for n, r in results.items() if not n.endswith(("_updated", "_present")) and n not in absent]
    leaves = [a for r in shown for a in (r if isinstance(r, list) else [r]) if a is not None]
    if len(found) != len(leaves):  # a list may be one tensor to the model
        found, leaves = ([np.concatenate([np.ravel(x).astype(np.float64) for x in (*v, [])])] for v in (found, leaves))
    for mine, theirs in zip(found, leaves, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)
