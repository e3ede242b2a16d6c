"""Running exported models in plain onnxruntime, and the programs of tests/variants through it."""

import copy
import functools
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import bridge
from bridge.jit.running import interpret
from bridge.jit.values import match_arguments
from bridge.onnx.exporting import entry_of
from bridge.runtime.plans import Leaves
from bridge.tensor import Tensor

VARIANTS = Path(__file__).resolve().parent.parent / "variants"


def quiet():
    """Session options without warnings (an initializer that nothing reads)."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return options


def run_plain(model, arguments):
    """The outputs of a model in onnxruntime alone."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), quiet(), providers=["CPUExecutionProvider"])
    feeds = [a.detach().numpy() if isinstance(a, Tensor) else np.asarray(a) for a in arguments]
    return session.run(None, {i.name: a for i, a in zip(session.get_inputs(), feeds, strict=True)})


def loaded_graphs(program):
    """(name, graph) of every method of a loaded program."""
    modules = [m for _, m in program.named_modules()] if hasattr(program, "named_modules") else []
    for m in modules:
        for name, f in m._c.type.methods.items():
            yield name, f.graph


def nodes_of(model):
    """Every node of a model: of its graph, of subgraphs and of functions."""
    stack = [list(model.graph.node), *(list(f.node) for f in model.functions)]
    while stack:
        for node in stack.pop():
            yield node
            stack.extend(list(a.g.node) for a in node.attribute if a.HasField("g"))


class variants:
    """The programs of tests/variants, run by bridge in this process."""

    quiet = staticmethod(quiet)

    @staticmethod
    def names():
        return sorted(p.stem for p in VARIANTS.glob("*.py"))

    @staticmethod
    @functools.cache
    def subjects(name):
        """(name, captured program, inputs) of one file."""
        from support.programs import as_main

        path = VARIANTS / f"{name}.py"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree, names = as_main(path.read_text(encoding="utf-8"), path, "bridge")
            exec(compile(tree, str(path), "exec"), names)
            return [(s, m, i) for s, m, i, *_ in names["subjects"]() if hasattr(m, "graph")]

    @staticmethod
    def copied(arguments):
        with bridge.no_grad():
            return copy.deepcopy(arguments)

    @staticmethod
    def complete(model, arguments):
        """The arguments with the defaults of those left out, so that these are inputs of a model too."""
        owner, function = entry_of(model)
        return tuple(match_arguments(function.schema, variants.copied(arguments), {}, owner)[owner is not None :])

    @staticmethod
    def expected(model, arguments):
        """What the interpreter gives, or the error it raises."""
        owner, function = entry_of(model)
        try:
            with bridge.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                return interpret(function, match_arguments(function.schema, variants.copied(arguments), {}, owner))
        except Exception as error:
            return error

    @staticmethod
    def compare(model, session, arguments, example):
        """Assert that a session gives what the interpreter gives; arguments of other types than the example's are left out."""
        owner, function = entry_of(model)
        rows = []
        for given in (arguments, example):
            own = match_arguments(function.schema, variants.copied(given), {}, owner)[owner is not None :]
            leaves = Leaves(own, [v.type for v in function.graph.inputs][owner is not None :]).arrays
            kinds = [getattr(a, "dtype", "list") for a in leaves], [getattr(a, "ndim", 0) for a in leaves]
            rows.append((leaves, kinds, [v for v in own if v is None or isinstance(v, str)]))
        if rows[0][1:] != rows[1][1:]:
            return
        want = variants.expected(model, arguments)
        feed = {i.name: a for i, a in zip(session.get_inputs(), rows[0][0], strict=True)}
        for i in session.get_inputs():  # lists whose length the program fixes
            if i.shape and isinstance(i.shape[0], int) and len(feed[i.name]) != i.shape[0]:
                return
        if isinstance(want, Exception):
            with pytest.raises(Exception):  # noqa: B017, PT011
                session.run(None, feed)
        else:
            same(session.run(None, feed), want)


def same(got, want):
    """Assert that two results hold the same tensors and numbers."""
    a, b = list(leaves_of(got)), list(leaves_of(want))
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        if x.size or y.size:
            assert (x.shape, x.dtype) == (y.shape, y.dtype)
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


def leaves_of(value):
    """The tensors and numbers of a result as arrays; a list of numbers is one array."""
    if isinstance(value, Tensor):
        yield value.detach().numpy()
    elif isinstance(value, np.ndarray | np.generic | bool | int | float) or (
        isinstance(value, list) and value and isinstance(value[0], bool | int | float)
    ):
        yield np.asarray(value)
    elif isinstance(value, list) and not value:
        yield np.asarray([])
    elif isinstance(value, dict):
        for v in value.values():
            yield from leaves_of(v)
    elif isinstance(value, list | tuple):
        for v in value:
            yield from leaves_of(v)
