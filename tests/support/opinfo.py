"""PyTorch's own operator samples (``op_db``) as programs of one line, and what becomes of each through ``bridge``.

Needs torch. ``benchmarks/operators.py`` runs them all; ``tests/test_opinfo_oracle.py`` a fixed few.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import linecache
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

import bridge
from bridge.ir.errors import BridgeError

__all__ = ["STAGES", "Case", "cases", "error_cases", "outcomes", "silent"]

#: What is measured, in order: eager, scripted and run, the text of the scripted program, exported and run elsewhere.
STAGES = ("eager", "script", "code", "onnx")

#: Operators whose results are random: only their types and shapes compare.
_RANDOM = frozenset(
    "bernoulli cauchy exponential geometric log_normal uniform normal rand randn rand_like randn_like randint randint_like "
    "randperm multinomial empty empty_like empty_permuted empty_strided new_empty new_empty_strided nn.functional.dropout "
    "nn.functional.dropout2d nn.functional.dropout3d nn.functional.alpha_dropout nn.functional.feature_alpha_dropout "
    "nn.functional.fractional_max_pool2d nn.functional.fractional_max_pool3d nn.functional.rrelu native_dropout_backward "
    "svd_lowrank pca_lowrank nn.functional.scaled_dot_product_attention_dropout".split()
)
#: Operators of which torch's float32 results are further from its own float64 ones than what is allowed here.
_INEXACT = frozenset("matrix_exp linalg.matrix_exp".split())
#: Operators that give eigenvectors or singular vectors, whose signs (or phases) nothing decides.
_VECTORS = frozenset("linalg.eig linalg.eigh linalg.svd svd".split())
#: Operators whose indices may be those of any of several equal elements.
_TIES = frozenset("topk sort msort argsort kthvalue median nanmedian mode".split())
_REFLECTED = {
    "__radd__": "+", "__rsub__": "-", "__rmul__": "*", "__rdiv__": "/", "__rmod__": "%", "__rpow__": "**",
    "__rand__": "&", "__ror__": "|", "__rxor__": "^", "__rmatmul__": "@",
}  # fmt: skip
_numbers = itertools.count()


class Unspeakable(Exception):
    """An argument that no literal of the language spells."""


class Case:
    """One call: its program's text (a function ``f`` of the tensors of the call) and those tensors."""

    def __init__(self, name: str, dtype: str, number: int, expression: str, arrays: list[np.ndarray[Any, Any]]) -> None:
        self.name, self.dtype, self.number, self.arrays = name, dtype, number, arrays
        arguments = ", ".join(f"x{i}: Tensor" for i in range(len(arrays)))
        self.source = f"def f({arguments}):\n    return {expression}\n"
        plain = name.partition("/")[0].partition(".method")[0].partition(".inplace")[0]
        self.random, self.ties, self.inexact = plain in _RANDOM, plain in _TIES, plain in _INEXACT
        self.vectors = plain.removeprefix("linalg.") if plain in _VECTORS else ""
        self.indices = plain == "argsort"

    def function(self, module: Any) -> Any:
        """The program, written for ``torch`` or ``bridge``."""
        file = f"<case {next(_numbers)}>"
        linecache.cache[file] = (len(self.source), None, self.source.splitlines(True), file)
        names: dict[str, Any] = {"torch": module, "Tensor": module.Tensor, "__name__": "cases"}
        exec(compile(self.source, file, "exec"), names)
        return names["f"]


# -- from samples to programs ------------------------------------------------------------------------------------------


class _Spelling:
    """Spells argument values; tensors become parameters."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray[Any, Any]] = []

    def of(self, v: Any) -> str:
        if isinstance(v, torch.Tensor):
            return self._tensor(v)
        if isinstance(v, float) and not math.isfinite(v):
            return f"float('{v}')"
        if v is None or isinstance(v, bool | int | float | str):
            return repr(v)
        if v is Ellipsis:
            return "..."
        if isinstance(v, list | tuple):
            inside = ", ".join(map(self.of, v))
            plain = isinstance(v, list) or (v and all(isinstance(x, int | float) for x in v))
            return f"[{inside}]" if plain else f"({inside}{',' if len(v) == 1 else ''})"
        if isinstance(v, torch.dtype | torch.memory_format | torch.layout):
            return str(v)
        if isinstance(v, torch.device):
            return repr(str(v))
        raise Unspeakable(type(v).__name__)

    def key(self, v: Any) -> str:
        """What stands between the brackets of an index."""
        if isinstance(v, slice):
            parts = ["" if p is None else self.of(p) for p in (v.start, v.stop, v.step)]
            return ":".join(parts if v.step is not None else parts[:2])
        if isinstance(v, tuple):
            return ", ".join(map(self.key, v)) or "()"
        return self.of(v)

    def _tensor(self, t: torch.Tensor) -> str:
        if (
            t.layout is not torch.strided
            or t.device.type != "cpu"
            or t.is_quantized
            or t.is_complex()
            or t.dtype is torch.bfloat16
        ):
            raise Unspeakable(str(t.layout))
        if t.ndim > 64:  # more than NumPy has
            raise Unspeakable(str(t.ndim))
        self.arrays.append(np.ascontiguousarray(t.detach().numpy()).reshape(t.shape))
        return f"x{len(self.arrays) - 1}"


def _path(op: Any) -> str | None:
    """Where torch has the function of that name."""
    found: Any = torch
    for part in op.name.split("."):
        found = getattr(found, part, None)
    return None if found is None else f"torch.{op.name}"


def _expression(op: Any, sample: Any, spell: _Spelling, how: str) -> str:
    name, args = op.name, list(sample.args)
    if name == "__getitem__":
        return f"{spell.of(sample.input)}[{spell.key(args[0])}]"
    if name in _REFLECTED:
        first, second = spell.of(sample.input), spell.of(args[0])
        return f"{second} {_REFLECTED[name]} {first}"
    if name in ("T", "H", "mT", "mH"):
        return f"{spell.of(sample.input)}.{name}"
    path = _path(op)
    first = spell.of(sample.input)
    rest = [spell.of(v) for v in args] + [f"{k}={spell.of(v)}" for k, v in sample.kwargs.items()]
    if how == "inplace":
        return f"{first}.clone().{name}_({', '.join(rest)})"
    if how == "method" or path is None:
        return f"{first}.{name}({', '.join(rest)})"
    return f"{path}({', '.join([first, *rest])})"


def _forms(op: Any, dtype: str) -> list[tuple[str, float]]:
    """How the operator is called, and which share of the samples is called so."""
    forms = [("", 1.0)]
    if dtype == "float32" and _path(op) is not None and "." not in op.name:
        forms += [
            (h, 0.25) for h, v in (("method", op.method_variant), ("inplace", op.inplace_variant)) if v is not None
        ]
    return forms


def cases(names: Sequence[str], dtypes: Sequence[str], limit: int, forms: bool = True) -> Iterator[Case]:
    """Up to ``limit`` samples of each operator and element type, spread over the samples that there are."""
    from torch.testing._internal.common_methods_invocations import op_db

    wanted = set(names)
    for op in op_db:
        name = f"{op.name}/{op.variant_test_name}" if op.variant_test_name else op.name
        if wanted and name not in wanted and op.name not in wanted:
            continue
        for dtype in dtypes:
            if getattr(torch, dtype) in op.supported_dtypes("cpu"):
                yield from _of_operator(op, name, dtype, limit if dtype == dtypes[0] else max(limit // 3, 1), forms)


def _of_operator(op: Any, name: str, dtype: str, limit: int, forms: bool) -> Iterator[Case]:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            samples = list(op.sample_inputs("cpu", getattr(torch, dtype)))
        except Exception:  # samples that another package or machine would make
            return
    for how, share in _forms(op, dtype) if forms else [("", 1.0)]:
        count = max(int(limit * share), 1)
        step = max(len(samples) / count, 1.0)
        for i in sorted({int(k * step) for k in range(min(count, len(samples)))}):
            spell = _Spelling()
            try:
                text = _expression(op, samples[i], spell, how)
            except Unspeakable:
                continue
            yield Case(f"{name}{'.' + how if how else ''}", dtype, i, text, spell.arrays)


def error_cases(names: Sequence[str]) -> Iterator[Case]:
    """The calls of each operator that torch refuses, as its own tests list them."""
    from torch.testing._internal.common_methods_invocations import op_db

    for op in op_db:
        if op.error_inputs_func is None or (names and op.name not in names):
            continue
        name = f"{op.name}/{op.variant_test_name}" if op.variant_test_name else op.name
        torch.manual_seed(0)
        samples: list[Any] = []
        with warnings.catch_warnings(), contextlib.suppress(Exception):  # samples of another package or machine
            warnings.simplefilter("ignore")
            samples = [e.sample_input for e in op.error_inputs("cpu")]
        for i, sample in enumerate(samples):
            spell = _Spelling()
            with contextlib.suppress(Unspeakable, SyntaxError):
                text = _expression(op, sample, spell, "")
                compile(text, "<call>", "eval")
                yield Case(name, "error", i, text, spell.arrays)


def silent(case: Case) -> list[str]:
    """The stages at which a call that torch refuses gives a result: eager mode; scripted and exported, which TorchScript refuses too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, ours = case.function(torch), case.function(bridge)
        found: list[str] = []
        given = [torch.from_numpy(a.copy()) for a in case.arrays]
        if _gives(lambda: theirs(*given)):
            return found
        if _gives(lambda: ours(*_inputs(case))):
            found.append("eager")
        try:
            program = bridge.jit.script(ours)
        except Exception:
            return found
        if _gives(lambda: torch.jit.script(theirs)(*given)):
            return found
        if _gives(lambda: program(*_inputs(case))):
            found.append("script")
        return found + ["onnx"] * _gives(lambda: _exported(program, case, raising=True))


def _gives(run: Callable[[], Any]) -> bool:
    try:
        run()
    except Exception:
        return False
    return True


# -- what becomes of a program -----------------------------------------------------------------------------------------


def outcomes(case: Case) -> dict[str, str] | None:
    """``ok``, ``refused: why``, ``WRONG: how`` or ``-`` (torch has none) by stage; None where torch refuses the call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = case.function(torch)
        torch.manual_seed(0)
        try:
            wanted = _plain(theirs(*[torch.from_numpy(a.copy()) for a in case.arrays]))
            again = _plain(theirs(*[torch.from_numpy(a.copy()) for a in case.arrays]))  # with other random numbers
        except (Exception, Unspeakable):
            return None
        compare = _same_types if case.random or _same(again, wanted) != "ok" else _same
        if case.ties:
            compare = functools.partial(_same_values, case)
        if case.vectors:
            compare = functools.partial(_same_vectors, case)
        ours = case.function(bridge)

        def check(found: list[Any], scripted: bool = False) -> str:
            said = compare(found, wanted)
            others = _other_results(case, theirs, scripted) if said != "ok" else []
            return "ok" if any(compare(found, w) == "ok" for w in others) else said

        outcome = {"eager": _stage(lambda: check(_plain(ours(*_inputs(case)))))}
        outcome |= _scripted(case, theirs, ours, check)
        return {s: outcome.get(s, "-") for s in STAGES}


def _other_results(case: Case, theirs: Any, scripted: bool) -> Iterator[list[Any]]:
    """What torch says too: TorchScript, where its own results are others; in half precision what comes out of float32,
    because onnxruntime does not round between operators, and likewise of float32 where torch itself rounds too much."""
    programs, kinds = [theirs], [case.arrays]
    if scripted:
        with contextlib.suppress(Exception):
            programs.append(torch.jit.script(theirs))
    narrow, wide = (np.float16, np.float32) if case.dtype == "float16" else (np.float32, np.float64)
    if case.dtype == "float16" or case.inexact:
        kinds.append([a.astype(wide) if a.dtype == narrow else a for a in case.arrays])
    for program, arrays in itertools.product(programs, kinds):
        torch.manual_seed(0)
        with contextlib.suppress(Exception):
            made = _plain(program(*[torch.from_numpy(a.copy()) for a in arrays]))
            yield [m.astype(narrow) if arrays is not case.arrays and m.dtype == wide else m for m in made]


def _scripted(case: Case, theirs: Any, ours: Any, check: Any) -> dict[str, str]:
    try:
        code = torch.jit.script(theirs).code
    except Exception:
        code = None
    try:
        program = bridge.jit.script(ours)
    except Exception as error:
        return {} if code is None else {"script": f"refused: {_line(error)}"}
    found = {"script": _stage(lambda: check(_plain(program(*_inputs(case))), True))}
    if code is not None:
        mine, theirs_ = _unnumbered(program.code), _unnumbered(code)
        found["code"] = "ok" if mine == theirs_ else "WRONG: " + _difference(mine, theirs_)
    found["onnx"] = _stage(lambda: check(_exported(program, case), True))
    return found


def _inputs(case: Case) -> list[Any]:
    return [bridge.from_numpy(a.copy()) for a in case.arrays]


def _stage(run: Callable[[], str]) -> str:
    try:
        return run()
    except (BridgeError, NotImplementedError, AttributeError, TypeError) as error:
        return f"refused: {_line(error)}"
    except Exception as error:
        return f"WRONG: raises {type(error).__name__}: {_line(error)}"


def _line(error: BaseException) -> str:
    obstacles = getattr(error, "obstacles", None)
    if obstacles:
        return "; ".join(o.message for o in obstacles)[:300]
    lines = [x.strip(" -") for x in str(error).strip().splitlines() if x.strip()]
    return lines[0][:200] if lines else type(error).__name__


def _exported(program: Any, case: Case, raising: bool = False) -> Any:
    model = bridge.onnx.export(program, tuple(_inputs(case)))
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = ort.InferenceSession(model.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    outs = session.run(None, dict(zip(names, case.arrays, strict=True)))
    tells = "error" in [o.name for o in session.get_outputs()]
    assert not (raising and tells and outs[-1].size), "raised"
    found = outs[: len(outs) - tells]
    return [x for v in found for x in (v if isinstance(v, list) else [v])]


def _plain(v: Any) -> list[Any]:
    """The arrays and numbers of a result, flat."""
    if isinstance(v, torch.Tensor | bridge.Tensor):
        if isinstance(v, torch.Tensor):
            if v.layout is not torch.strided or v.is_quantized:
                raise Unspeakable
            v = v.detach().resolve_conj().resolve_neg()
        else:
            v = v.detach().resolve_conj()
        return [np.asarray(v.numpy())]
    if isinstance(v, list | tuple):
        return [x for w in v for x in _plain(w)]
    if v is None or isinstance(v, bool | int | float | complex):
        return [] if v is None else [np.asarray(v)]
    raise Unspeakable


_TOLERANCE = {"float32": (5e-4, 5e-5), "complex64": (5e-4, 5e-5), "float16": (3e-2, 6e-2), "float64": (1e-6, 1e-7), "complex128": (1e-6, 1e-7)}  # fmt: skip


def _same_types(found: list[Any], wanted: list[Any]) -> str:
    if len(found) != len(wanted):
        return f"WRONG: {len(found)} results for {len(wanted)}"
    for f, w in zip(found, wanted, strict=True):
        if f.dtype != w.dtype or f.shape != w.shape:
            return f"WRONG: {f.dtype}{list(f.shape)} for {w.dtype}{list(w.shape)}"
    return "ok"


def _same_values(case: Case, found: list[Any], wanted: list[Any]) -> str:
    """Indices may be those of any of several equal elements."""
    types, x = _same_types(found, wanted), case.arrays[0]
    if types != "ok":
        return types
    if case.indices and x.ndim:
        picked = [[np.take_along_axis(x, v[0], d) for d in range(x.ndim)] for v in (found, wanted)]
        ordered = [d for d in range(x.ndim) if _is_sorted(picked[1][d], d)]
        return _same([picked[0][d] for d in ordered], [picked[1][d] for d in ordered])
    return _same(*([x for x in v if x.dtype != np.int64 or len(v) == 1] for v in (found, wanted)))


def _same_vectors(case: Case, found: list[Any], wanted: list[Any]) -> str:
    """Values are the same; vectors are as long as torch's, and give the matrix, or are what it only stretches."""
    types = _same_types(found, wanted)
    if types != "ok" or not wanted[1].size or _same(found, wanted) == "ok":
        return types
    if case.vectors == "svd":
        return _same_factors(case, found, wanted)
    matrix = case.arrays[0].astype(np.float64)
    if case.vectors == "eigh":  # which reads one triangle
        matrix = np.triu(matrix) if "UPLO='U'" in case.source else np.tril(matrix)
        matrix = matrix + np.swapaxes(matrix, -1, -2) - matrix * np.eye(matrix.shape[-1])
    values, vectors = found
    sizes = [np.linalg.norm(v, axis=-2) for v in (vectors, wanted[1])]
    return next(
        (said for said in (_same([a], [b]) for a, b in (
            (values, wanted[0]), sizes, ((matrix @ vectors).astype(vectors.dtype), vectors * values[..., None, :])
        )) if said != "ok"), "ok",
    )  # fmt: skip


def _same_factors(case: Case, found: list[Any], wanted: list[Any]) -> str:
    left, values, right = found
    right = right if "torch.linalg" in case.source else np.swapaxes(right, -1, -2)
    n = values.shape[-1]
    product = (left[..., :n] * values[..., None, :]) @ right[..., :n, :]
    units = [np.swapaxes(left, -1, -2) @ left, right @ np.swapaxes(right, -1, -2)]
    ones = [np.broadcast_to(np.eye(u.shape[-1], dtype=u.dtype), u.shape) for u in units]
    return _same([product, values, *units], [case.arrays[0], wanted[1], *ones])


def _is_sorted(x: Any, d: int) -> bool:
    first, second = np.take(x, range(x.shape[d] - 1), d), np.take(x, range(1, x.shape[d]), d)
    return bool((first <= second).all() or (first >= second).all())


def _same(found: list[Any], wanted: list[Any]) -> str:
    types = _same_types(found, wanted)
    if types != "ok":
        return types
    for f, w in zip(found, wanted, strict=True):
        rtol, atol = _TOLERANCE.get(w.dtype.name, (0.0, 0.0))
        wide = (f, w) if w.dtype.kind not in "f" else (f.astype(np.float64), w.astype(np.float64))
        if not np.allclose(*wide, rtol=rtol, atol=atol, equal_nan=True):
            return f"WRONG: values, e.g. {_example(*wide, rtol, atol)}"
    return "ok"


def _example(f: Any, w: Any, rtol: float, atol: float) -> str:
    at = np.argwhere(~np.isclose(f, w, rtol=rtol, atol=atol, equal_nan=True))[0]
    return f"{f[tuple(at)]} for {w[tuple(at)]}"


def _unnumbered(code: str) -> str:
    """Code without the numbers that tell copies of one function apart: they count what was compiled before."""
    return re.sub(r"___torch_mangle_\d+\.", "", code)


def _difference(found: str, wanted: str) -> str:
    pairs = itertools.zip_longest(found.splitlines(), wanted.splitlines())
    return next((f"{f} | {w}" for f, w in pairs if f != w), "")[:300]
