"""Executing operators on tensors: the one road that every eager operation takes.

:func:`invoke` picks the overload for Python values (``bridge._resolve``), :func:`call` runs one overload: it unwraps
tensors, runs the kernel, wraps the results by the schema's alias annotations (a fresh tensor, a view, or ``self``),
records the call on the gradient tape and tells the tracer. What a call needs to know of its operator is worked out
once, in a :class:`Plan`.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge._overlap import check_overlap, write_in_order
from bridge._storage import owner_of
from bridge.autograd.grad_mode import state
from bridge.autograd.node import OpNode, named
from bridge.autograd.operators import on_the_tape
from bridge.ir.errors import UnsupportedError
from bridge.ir.overlaps import NOT_ELEMENTWISE
from bridge.ir.promotion import can_cast
from bridge.ir.registry import Operator, Unsupported, find
from bridge.ir.types import ListType, OptionalType, TensorType
from bridge.tensor import Tensor

__all__ = ["Plan", "call", "call_overload", "function", "invoke", "resolve", "tracer"]

#: The active tracer, or None. See ``bridge.jit.trace``.
tracer: Any = None

#: How a result is made: a new tensor, a view of argument ``n``, argument ``n`` itself, a list of tensors, anything else.
_FRESH, _VIEW, _SELF, _LIST, _VIEWS, _PLAIN = range(6)


class Plan:
    """What :func:`call` knows about an operator.

    ``tensors`` are (index, kind) of the tensor arguments, kind 0 for Tensor, 1 for Tensor?, 2 for lists; ``results``
    (how, index of the aliased argument) per result.
    """

    __slots__ = (
        "composite", "gradient", "kernel", "node_class", "operator", "records", "results", "schema", "single", "tensors",
        "written",
    )  # fmt: skip

    def __init__(self, operator: Operator) -> None:
        schema, taped = operator.schema, on_the_tape(operator)
        kernel = taped or operator.kernel
        if kernel is None:
            raise UnsupportedError(f"{schema.full_name} cannot be executed eagerly")
        self.operator, self.schema, self.kernel = operator, schema, kernel
        self.composite = operator.composite or taped is not None
        self.tensors = [(i, k) for i, a in enumerate(schema.arguments) if (k := _tensor_kind(a.type)) is not None]
        self.written = [i for i, a in enumerate(schema.arguments) if a.writes and isinstance(a.type, TensorType)]
        self.results = [_result_kind(operator, r) for r in schema.returns]
        self.single = len(schema.returns) == 1
        source = operator
        if operator.grad is None and self.written and schema.name.endswith("_"):
            functional = find(schema.name[:-1], schema.overload)
            source = functional if functional is not None else operator
        grad = source.grad
        self.records = grad is not None
        self.gradient: Callable[..., Any] | None = None if isinstance(grad, Unsupported) else grad
        self.node_class = named(source.grad_name or _node_name(schema.name), OpNode)
        if self.composite and operator.grad_name is not None:
            self.kernel = _one_node(kernel, self.node_class)


def _one_node(kernel: Callable[..., Any], node_class: Any) -> Callable[..., Any]:
    """A composite whose last steps go by the name that torch gives the node of the whole."""

    def run(*args: Any) -> Any:
        made = kernel(*args)
        for r in made if isinstance(made, list | tuple) else [made]:
            if isinstance(r, Tensor) and isinstance(r._grad_fn, OpNode):
                r._grad_fn.__class__ = node_class
        return made

    return run


def _tensor_kind(t: Any) -> int | None:
    if isinstance(t, TensorType):
        return 0
    if isinstance(t, OptionalType):
        return 1 if isinstance(t.element, TensorType) else (2 if _tensor_kind(t.element) == 2 else None)
    if isinstance(t, ListType):
        inner = t.element.element if isinstance(t.element, OptionalType) else t.element
        return 2 if isinstance(inner, TensorType) else None
    return None


def _result_kind(operator: Operator, r: Any) -> tuple[int, int]:
    kind = _tensor_kind(r.type)
    source = next((i for i, a in enumerate(operator.schema.arguments) if r.alias and a.alias == r.alias), -1)
    if kind == 2:
        if source < 0:  # split and its like declare their aliases as `Tensor(a -> *)`
            source = next((i for i, a in enumerate(operator.schema.arguments) if a.alias), -1)
        return (_VIEWS if source >= 0 else _LIST), source
    if kind is None:
        return _PLAIN, -1
    if source < 0:
        return _FRESH, -1
    return (_SELF if r.writes else _VIEW), source


def _node_name(name: str) -> str:
    return "".join(w[:1].upper() + w[1:] for w in name.split("::")[-1].strip("_").split("_")) + "Backward0"


_plans: dict[Operator, Plan] = {}


def plan_of(operator: Operator) -> Plan:
    """The plan of an operator."""
    plan = _plans.get(operator)
    if plan is None:
        plan = _plans[operator] = Plan(operator)
    return plan


def call(operator: Operator, args: Sequence[Any], traced: Sequence[Any] | None = None) -> Any:
    """Execute one overload. ``args`` are complete, in schema order: tensors, Python values, lists.

    ``traced`` are the arguments as the user gave them, for the tracer (default: ``args``). Raises RuntimeError for
    in-place operations that the tape does not allow, and whatever the kernel raises.
    """
    plan = _plans.get(operator)
    if plan is None:
        plan = plan_of(operator)
    if tracer is not None:
        return _call_traced(plan, args, args if traced is None else traced)
    if plan.composite:
        return plan.kernel(_ops, *args)
    return _execute(plan, args)


def _call_traced(plan: Plan, args: Sequence[Any], traced: Sequence[Any]) -> Any:
    global tracer
    steps = tracer.constituents(plan.operator, args)
    if steps is not None:
        return steps(_ops)
    active, tracer = tracer, None
    try:
        if active.execute is not None:
            result = active.execute(plan, args)
        else:
            result = plan.kernel(_ops, *args) if plan.composite else _execute(plan, args)
    finally:
        tracer = active
    replaced = active.record(plan.operator, list(traced), result)
    return result if replaced is None else replaced


def _execute(plan: Plan, args: Sequence[Any]) -> Any:
    arrays = list(args)
    requires = False
    for i, kind in plan.tensors:
        a = arrays[i]
        if kind == 2:
            if a is not None:
                arrays[i] = [v._array if isinstance(v, Tensor) else v for v in a]
                requires = requires or any(isinstance(v, Tensor) and v.requires_grad for v in a)
        elif isinstance(a, Tensor):
            arrays[i] = a._array
            if a._requires_grad or (a._view_of is not None and a.requires_grad):
                requires = True
    if plan.written:
        return _write(plan, args, arrays, requires and state.enabled)
    try:
        result = plan.kernel(*arrays)
    except ValueError as error:
        raise _shape_error(arrays, error) from None
    record = requires and plan.records and state.enabled
    if plan.single:
        how, source = plan.results[0]
        if how == _FRESH and not record:
            return Tensor._wrap(result if type(result) is np.ndarray else np.asarray(result))
        wrapped = _wrap(how, source, result, args, plan)
        if record and wrapped is not args[max(source, 0)]:
            _record(plan, args, wrapped if type(wrapped) is list else [wrapped])
        return wrapped
    if not plan.results:
        return ()
    wrapped_all = [_wrap(how, s, r, args, plan) for (how, s), r in zip(plan.results, result, strict=True)]
    if record:
        _record(plan, args, wrapped_all)
    return named_results(plan, wrapped_all)


def _shape_error(arrays: Sequence[Any], error: ValueError) -> Exception:
    """NumPy's complaint about shapes in torch's words; any other error as it is."""
    if "broadcast" not in str(error):
        return error
    shapes = [a.shape for a in arrays if isinstance(a, np.ndarray)]
    for a, b in itertools.pairwise(shapes):
        rank = max(len(a), len(b))
        for d in range(-1, -rank - 1, -1):
            m, n = (s[d] if -d <= len(s) else 1 for s in (a, b))
            if m != n and 1 not in (m, n):
                return RuntimeError(
                    f"The size of tensor a ({m}) must match the size of tensor b ({n}) at non-singleton dimension {rank + d}"
                )
    return RuntimeError(str(error))


def _wrap(how: int, source: int, result: Any, args: Sequence[Any], plan: Plan) -> Any:
    if how == _FRESH:
        return Tensor._wrap(result if type(result) is np.ndarray else np.asarray(result))
    if how == _PLAIN:
        return result
    if how == _VIEW:
        return _view_of(args[source], result, plan, args, None)
    if how == _SELF:
        return args[source]
    if how == _VIEWS:
        return [_view_of(args[source], r, plan, args, i) for i, r in enumerate(result)]
    return [Tensor._wrap(r) for r in result]


def _view_of(base: Tensor, array: Any, plan: Plan, args: Sequence[Any], index: int | None) -> Tensor:
    """The tensor for a result that the schema says may alias an argument."""
    if array is base._array:
        return base  # the kernel had nothing to do: no new tensor, no node
    t = Tensor._wrap(array)
    if array.size == 0 or np.may_share_memory(array, base._array):
        root = base if base._base is None else base._base
        t._base = root
        t._counter = base._share_counter()
        t._view_of = (base, plan.operator, args, index)
        if not state.enabled:
            t._view_mode = "no_grad"
    return t


def _record(plan: Plan, args: Sequence[Any], results: list[Any]) -> None:
    """Put a call on the tape."""
    differentiable = [r for r in results if isinstance(r, Tensor) and r._array.dtype.kind in "fcV"]
    if not differentiable:
        return
    node = plan.node_class(plan, args)
    tensors = [r for r in results if isinstance(r, Tensor)]
    node.save_results(tensors)
    for number, r in enumerate(tensors):
        if r._array.dtype.kind in "fcV":
            r._grad_fn, r._output_nr, r._requires_grad = node, number, True
            if r._view_of is not None:
                r._graph_version = r._version


def _write(plan: Plan, args: Sequence[Any], arrays: list[Any], record: bool) -> Any:
    """Run an operator that writes to an argument."""
    from bridge.autograd.views import check_inplace, rebase

    if plan.schema.name in _INPLACE_VIEWS:
        return _reshape_in_place(plan, args)

    targets = [args[i] for i in plan.written if isinstance(args[i], Tensor)]
    if record and not plan.records:
        record = False
    node: Any = None
    if state.enabled:
        for t in targets:
            check_inplace(t, record)
    shared: list[Any] = []
    if plan.schema.name not in _FILLING:
        for t in targets:
            others = [a._array for a in args if isinstance(a, Tensor) and a is not t]
            if plan.schema.name in _OVER_ITSELF:  # a value of one element is filled in
                check_overlap(t._array, [a for a in others if a.ndim], False)
            else:
                shared += check_overlap(t._array, others)
    if record:
        kept = list(args)
        for i in plan.written:
            kept[i] = _before_write(args[i])
        node = plan.node_class(plan, kept)
    try:
        if shared and len(targets) == 1 and not plan.schema.name.startswith(NOT_ELEMENTWISE):
            copies = plan.schema.name == "aten::copy_"
            result = write_in_order(plan.kernel, arrays, targets[0]._array, shared, copies)
        else:
            result = plan.kernel(*arrays)
    except ValueError as error:
        raise _shape_error(arrays, error) from None
    for t in targets:
        t._share_counter()[0] += 1
    if node is not None and targets:
        rebase(targets[0], node, plan)
    if plan.single:
        how, source = plan.results[0]
        return args[source] if how == _SELF else _wrap(how, source, result, args, plan)
    if not plan.results:
        return None
    results = result if isinstance(result, tuple) else (result,)
    return named_results(plan, [
        args[s] if how == _SELF else _wrap(how, s, r, args, plan)
        for (how, s), r in zip(plan.results, results, strict=True)
    ])  # fmt: skip


#: In-place operators that read no memory but what they write to, or numbers.
_FILLING = frozenset(f"aten::{n}_" for n in "fill zero set resize masked_fill index_fill".split())
#: In-place operators that take elements that are one; torch warns of these.
_OVER_ITSELF = frozenset(("aten::index_put_", "aten::_index_put_impl_"))

#: In-place operators that change the shape of a tensor and not its memory.
_INPLACE_VIEWS = frozenset(
    f"aten::{n}_" for n in ("squeeze", "unsqueeze", "t", "transpose", "swapaxes", "swapdims", "as_strided")
)


def _reshape_in_place(plan: Plan, args: Sequence[Any]) -> Tensor:
    """Give a tensor the shape, memory and history of a view of itself."""
    from bridge.autograd.views import check_inplace

    target: Tensor = args[0]
    if state.enabled:
        check_inplace(target, target.requires_grad)
    old = Tensor._wrap(target._array)
    old.__dict__.update({k: v for k, v in target.__dict__.items() if k not in ("grad", "_accumulator_node")})
    functional = find(plan.schema.name[:-1], plan.schema.overload)
    if functional is None:
        raise UnsupportedError(f"{plan.schema.full_name} cannot be executed eagerly")
    view = call(functional, [old, *args[1:]])
    if view._grad_fn is not None and view._grad_fn is not old._grad_fn:
        view._grad_fn.__class__ = plan.node_class  # torch names these nodes apart: SqueezeBackward4
    for name in (
        "_array",
        "_grad_fn",
        "_output_nr",
        "_requires_grad",
        "_counter",
        "_view_of",
        "_base",
        "_graph_version",
    ):
        setattr(target, name, getattr(view, name))
    target._share_counter()[0] += 1
    target._graph_version = target._share_counter()[0]
    return target


def _before_write(t: Tensor) -> Tensor:
    """The value that an in-place operator is about to overwrite, with its place in the graph."""
    old = Tensor._wrap(t._array.copy())
    old._grad_fn, old._output_nr, old._requires_grad = t.grad_fn, t._output_nr, t._requires_grad
    return old


_tuple_classes: dict[str, Any] = {}


def named_results(plan: Plan, values: list[Any]) -> tuple[Any, ...]:
    """Several results, as a tuple with the schema's names (``values``, ``indices``)."""
    names = [r.name for r in plan.schema.returns]
    if not all(names) or names[0] == "output":
        return tuple(values)
    name = plan.schema.name.split("::")[1]
    cls = _tuple_classes.get(name)
    if cls is None:
        from bridge.types import result_tuple

        cls = _tuple_classes[name] = result_tuple(name, names)
    return cls(values)  # type: ignore[no-any-return]


# -- by name --------------------------------------------------------------------------------------------------------


def invoke(name: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> Any:
    """Call ``"aten::add"`` with Python values: picks the overload as torch's argument parser does.

    Raises TypeError when no overload takes the arguments, AttributeError when there is no such operator.
    """
    operator, values, traced = resolve(name, args, kwargs)
    result = call(operator, values, traced)
    return tuple(result) if type(result) is list else result


def call_overload(full_name: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> Any:
    """Call one overload by its full name with positional arguments; what is missing takes its default."""
    operator = find(full_name)
    if operator is None:
        raise AttributeError(f"there is no operator {full_name}")
    if kwargs or len(args) < len(operator.schema.arguments):
        args = operator.complete(args, kwargs)
    return call(operator, args)


def _ops(name: str, *args: Any) -> Any:
    """What composite kernels call other operators with."""
    return call_overload(name, args)


def function(name: str, known_as: str | None = None) -> Callable[..., Any]:
    """The Python function of ``"aten::add"``, as found at ``bridge.add``. Its ``__operator__`` is that name, or the name that
    programs know it by."""

    def run(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            return invoke_function(name, args, kwargs)
        operator, values, traced = resolve(name, args, None)
        result = call(operator, values, traced)
        return tuple(result) if type(result) is list else result

    run.__name__ = run.__qualname__ = name.split("::")[1]
    run.__module__ = "bridge"
    run.__operator__ = known_as or name  # type: ignore[attr-defined]
    return run


def invoke_function(name: str, args: Sequence[Any], kwargs: dict[str, Any], method: bool = False) -> Any:
    """As :func:`invoke`, with what torch's functions take beside the schema: ``out=``, ``requires_grad=``, ``as_tuple=``."""
    kwargs = dict(kwargs)
    if name == "aten::nonzero" and kwargs.pop("as_tuple", False):
        name = "aten::nonzero_numpy"
    out = kwargs.pop("out", None)
    requires = kwargs.pop("requires_grad", False) if "requires_grad" in kwargs else False
    if isinstance(out, Tensor) and name.removeprefix("aten::") in _ACCUMULATE and kwargs.get("dtype") is None:
        kwargs["dtype"] = out.dtype
    operator, values, traced = resolve(name, args, kwargs, method)
    result = call(operator, values, traced)
    if requires:
        result.requires_grad_(True)
    if out is not None:
        asked = kwargs.get("dtype") if operator.schema.name.removeprefix("aten::") in _FILLS else None
        if asked is not None and asked is not out.dtype:
            raise RuntimeError(f"dtype {asked.label} does not match dtype of out parameter ({out.dtype.label})")
        if isinstance(result, tuple):
            return type(result)([_store(o, r, operator, values) for o, r in zip(out, result, strict=True)])
        return _store(out, result, operator, values)
    return tuple(result) if type(result) is list else result


_C_NAMES = {"float32": "float", "float64": "double", "int64": "long int", "int32": "int", "int16": "short int", "int8": "signed char",
            "uint8": "unsigned char", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "complex64": "c10::complex<float>",
            "complex128": "c10::complex<double>"}  # fmt: skip
#: Operators whose ``out`` has exactly the result's element type; that of the others may be a wider one.
_EXACT_OUT = frozenset(
    "addbmm addmm addmv alias_copy all any amax amin aminmax argmax argmin avg_pool2d avg_pool3d baddbmm bmm bucketize cross cummax cummin diag diagonal_copy diff dot expand_copy frexp gather heaviside histc index_add "
    "index_copy index_reduce index_select inner isin isneginf isposinf kthvalue linalg_cholesky linalg_cholesky_ex linalg_cross linalg_det "
    "linalg_eigh linalg_eigvalsh linalg_inv linalg_inv_ex linalg_lu linalg_lu_factor linalg_lu_solve linalg_matrix_norm linalg_multi_dot linalg_norm linalg_qr linalg_slogdet "
    "linalg_solve linalg_solve_ex linalg_solve_triangular linalg_svd linalg_svdvals linalg_vecdot linalg_vector_norm linear log_sigmoid log_softmax logcumsumexp masked_select matmul max.dim min.dim mm mode msort "
    "multinomial mv nan_to_num nanquantile narrow_copy norm permute_copy qr quantile renorm scatter scatter_add scatter_reduce searchsorted signbit slice_scatter softmax sort squeeze_copy svd t_copy take "
    "take_along_dim tensordot topk transpose_copy triangular_solve tril triu unfold_copy unsqueeze_copy vdot view_copy".split()
)

#: What adds up in the element type of ``out``.
_ACCUMULATE = frozenset("cumprod cumsum prod sum".split())
_EXACT_UNARY = frozenset("abs ceil floor frac gelu hardshrink neg round sgn sign softplus softshrink trunc".split())
_FILLS = frozenset("arange empty eye full linspace logspace ones rand randint randn randperm zeros".split())


def _resize(out: Tensor, shape: tuple[int, ...]) -> None:
    """Give ``out`` memory of the shape of the result."""
    if out._array.size:
        if owner_of(out._array) is not out._array or len(out._share_counter()) != 1:
            raise RuntimeError(
                f"out= is a view of shape {list(out._array.shape)}, or has views; to be resized to {list(shape)} it must have no "
                "elements, or memory of its own"
            )
        warnings.warn(
            f"An output with one or more elements was resized since it had shape {list(out._array.shape)}, which does not match the "
            f"required output shape {list(shape)}. This behavior is deprecated, and in a future PyTorch release outputs will not be "
            "resized unless they have zero elements. You can explicitly reuse an out tensor t by resizing it, inplace, to zero "
            "elements with t.resize_(0).",
            UserWarning,
            stacklevel=5,
        )
    out._array = np.empty(shape, out._array.dtype)


def _store(out: Tensor, value: Tensor, operator: Operator, args: Sequence[Any]) -> Tensor:
    if value.requires_grad or (out.requires_grad and state.enabled):
        raise RuntimeError("functions with out=... arguments don't support automatic differentiation, but one of the "
                           "arguments requires grad.")  # fmt: skip
    made, wanted, name = value.dtype, out.dtype, operator.schema.name.removeprefix("aten::")
    if made is not wanted and name in _EXACT_UNARY:
        raise RuntimeError(f"Found dtype {wanted.label} but expected {made.label}")
    if made is not wanted and name == "where":
        raise RuntimeError(f"Expected out type to be {made.label} but got {wanted.label}")
    if made is not wanted and not _EXACT_OUT.isdisjoint((name, f"{name}.{operator.schema.overload}")):
        names = [_C_NAMES.get(d.name, d.name) for d in (made, wanted)]
        raise RuntimeError(f"Expected out tensor to have dtype {names[0]}, but got {names[1]} instead")
    if made.kind != "b" and not can_cast(made, wanted):
        raise RuntimeError(f"result type {made.label} can't be cast to the desired output type {wanted.label}")
    if out._array.shape != value._array.shape:
        _resize(out, value._array.shape)
    check_overlap(out._array, [a._array for a in args if isinstance(a, Tensor) and a is not out])
    out.copy_(value)
    return out


from bridge._resolve import resolve  # (it needs Tensor, which needs this module)
