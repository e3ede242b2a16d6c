"""The nodes of the tape: what a result remembers about how it was computed.

A :class:`Node` takes gradients with respect to the results of one operation and gives those with respect to its
arguments. ``edges`` says where these go: pairs of a node and the number of its result, or None. Nodes of operators
(:class:`OpNode`) are also the ``ctx`` that gradient formulas get: ``ctx["self"]``, ``ctx.result``, ``ctx.needs[…]``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from bridge._dispatch import Plan
    from bridge.tensor import Tensor

__all__ = ["AccumulateGrad", "Edge", "Metadata", "Node", "OpNode", "Removable", "edge_of", "named"]

Edge = "tuple[Node, int] | None"
#: Shape and NumPy dtype of a result, which its gradient must have.
Metadata = tuple[tuple[int, ...], "np.dtype[Any]"]

_sequence = itertools.count()
_FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
    "after calling backward."
)


_FLAT = np.dtype(np.float32)


def _names(text: str) -> frozenset[str]:
    return frozenset(f"aten::{n}" for n in text.split())


#: Operators whose formula is right for complex numbers as it is.
_OWN = _names(
    "abs angle conj _conj conj_physical real imag view_as_real view_as_complex complex polar sgn norm linalg_vector_norm "
) | frozenset(
    f"aten::fft_{kind}{many}" for kind in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft") for many in ("", "2", "n")
)
#: Operators without a complex derivative, whose formula is one for real numbers.
_NO_DERIVATIVE = _names(
    "linalg_cholesky linalg_cholesky_ex cholesky linalg_qr qr linalg_svd svd linalg_svdvals linalg_eigh linalg_eigvalsh "
    "linalg_eig linalg_eigvals linalg_pinv pinverse linalg_lstsq vdot"
)


class Removable:
    """What registering a hook returns: :meth:`remove` takes it away. Also a context manager."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Any], *more: dict[int, Any]) -> None:
        self.id = next(Removable._ids)
        self._dicts = (hooks, *more)

    def remove(self) -> None:
        """Take the hook away; twice is harmless."""
        for d in self._dicts:
            d.pop(self.id, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Node:
    """One step of the backward pass."""

    # Defaults on the class keep making a node cheap: most never get a hook.
    _metadata: dict[str, Any] | None = None
    pre_hooks: dict[int, Callable[..., Any]] | None = None
    post_hooks: dict[int, Callable[..., Any]] | None = None
    tensor_hooks: dict[int, dict[int, Callable[..., Any]]] | None = None
    retain: dict[int, Callable[[Tensor], None]] | None = None
    #: Which edges lead to a gradient that is asked for; None: all that are there.
    asked: Sequence[bool] | None = None

    def __init__(self, edges: Sequence[tuple[Node, int] | None] = ()) -> None:
        self.edges = edges
        self.outputs: list[Metadata] = []
        self.sequence = next(_sequence)

    def apply(self, grads: list[Any]) -> Sequence[Any]:
        """Gradients for ``edges`` from gradients of the results (None where there is none)."""
        raise NotImplementedError

    def release(self) -> None:
        """Forget saved values; the node has run and must not run again."""

    # -- what users see ---------------------------------------------------------------------------------------------

    def name(self) -> str:
        """The node's name, ``AddBackward0``."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The nodes that the gradients go to, each with the number of its result."""
        return tuple((None, 0) if e is None else e for e in self.edges)

    @property
    def metadata(self) -> dict[str, Any]:
        """A dictionary for the user's notes."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    def register_hook(self, hook: Callable[[Any, Any], Any]) -> Removable:
        """Call ``hook(grad_inputs, grad_outputs)`` after the node has run; what it returns replaces ``grad_inputs``."""
        if self.post_hooks is None:
            self.post_hooks = {}
        handle = Removable(self.post_hooks)
        self.post_hooks[handle.id] = hook
        return handle

    def register_prehook(self, hook: Callable[[Any], Any]) -> Removable:
        """Call ``hook(grad_outputs)`` before the node runs; what it returns replaces them."""
        if self.pre_hooks is None:
            self.pre_hooks = {}
        handle = Removable(self.pre_hooks)
        self.pre_hooks[handle.id] = hook
        return handle

    def hooks_of(self, number: int) -> dict[int, Callable[..., Any]]:
        """The hooks on the gradient of result ``number`` (``Tensor.register_hook``)."""
        if self.tensor_hooks is None:
            self.tensor_hooks = {}
        return self.tensor_hooks.setdefault(number, {})

    def _sequence_nr(self) -> int:
        return self.sequence

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


_classes: dict[tuple[str, type[Node]], type[Node]] = {}


def named(name: str, base: type[Node]) -> Any:
    """The subclass of ``base`` with that class name, which is what texts show (``grad_fn=<TanhBackward0>``)."""
    cls = _classes.get((name, base))
    if cls is None:
        cls = _classes[name, base] = type(name, (base,), {"__module__": base.__module__})
    return cls


class AccumulateGrad(Node):
    """Adds what arrives to the ``grad`` of a leaf."""

    def __init__(self, variable: Tensor) -> None:
        super().__init__()
        self.variable = variable
        self.sequence = 1 << 62  # leaves come first
        self.outputs = [(variable._array.shape, variable._array.dtype)]

    def apply(self, grads: list[Any]) -> Sequence[Any]:
        from bridge.autograd.grad_mode import state

        grad, leaf = grads[0], self.variable
        if grad is None:
            return ()
        if leaf.grad is None:
            # without a graph the gradient can be handed over, unless its memory is somebody else's
            if state.enabled and grad._requires_grad:
                leaf.grad = grad
            else:
                leaf.grad = type(grad)._wrap(np.array(grad._array, copy=True))
        elif state.enabled and grad._requires_grad:
            leaf.grad = leaf.grad + grad
        else:
            np.add(leaf.grad._array, grad._array, out=leaf.grad._array, casting="unsafe")
            leaf.grad._share_counter()[0] += 1
        hooks = leaf.__dict__.get("_post_accumulate_grad_hooks")
        if hooks:
            for hook in list(hooks.values()):
                hook(leaf)
        return ()


def edge_of(tensor: Any) -> tuple[Node, int] | None:
    """Where the gradient of a value goes: its ``grad_fn``, the accumulator of a leaf, or nowhere (None)."""
    if not getattr(tensor, "_requires_grad", False) and (
        getattr(tensor, "_view_of", None) is None or not tensor.requires_grad
    ):
        return None
    node = tensor.grad_fn
    if node is not None:
        return node, tensor._output_nr
    return tensor._accumulator(), 0


class _Freed:
    """Stands for a saved value after the node has run."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype


class _Needs:
    """``ctx.needs["other"]``: whether the gradient for that argument is asked for."""

    __slots__ = ("node",)

    def __init__(self, node: OpNode) -> None:
        self.node = node

    def __getitem__(self, name: str) -> bool:
        return self.node.asks(name)


class OpNode(Node):
    """The node of one operator call; at the same time the ``ctx`` of its gradient formula."""

    def __init__(self, plan: Plan, args: Sequence[Any]) -> None:
        """A node for a call with these arguments; they are kept, with their versions, for the formula."""
        kept = list(args)
        versions: dict[int, Any] = {}
        edges: list[Any] = []
        for i, kind in plan.tensors:
            a = kept[i]
            if kind == 2:
                kept[i] = a = list(a or ())
                versions[i] = [_version(v) for v in a]
                edges += [edge_of(v) for v in a]
            else:
                versions[i] = _version(a)
                edges.append(edge_of(a))
        self.edges, self.outputs, self.sequence = edges, [], next(_sequence)
        self.plan, self._args, self._versions = plan, kept, versions
        self._results: list[Any] = []

    def save_results(self, results: Sequence[Tensor]) -> None:
        """Remember the results for formulas that use them (arrays, not tensors: those would be a cycle)."""
        self._results = [(r._array, r._share_counter(), r._version) for r in results]
        self.outputs = [(r._array.shape, r._array.dtype) for r in results]

    def apply(self, grads: list[Any]) -> Sequence[Any]:
        plan = self.plan
        if len(self.outputs) > 1:
            from bridge.tensor import Tensor

            grads = [
                Tensor._wrap(np.zeros(shape, dtype)) if g is None else g
                for g, (shape, dtype) in zip(grads, self.outputs, strict=True)
            ]
        grad = plan.gradient
        if grad is None:
            raise RuntimeError(f"derivative for {plan.operator.name} is not implemented")
        found = self._of_complex(grad, grads) if self._is_complex(grads) else grad(self, *grads)
        if not isinstance(found, list | tuple):
            found = (found,)
        flat: list[Any] = []
        for (index, kind), g in zip(plan.tensors, found, strict=True):
            if kind == 2:
                n = len(self._args[index])
                flat.extend([None] * n if g is None else g)
            else:
                flat.append(g)
        return flat

    def _is_complex(self, grads: list[Any]) -> bool:
        """Whether the call has complex tensors, and its formula is one for real numbers."""
        if self.plan.operator.name in _OWN:
            return False
        if any(g is not None and g._array.dtype.kind == "c" for g in grads):
            return True
        return any(dtype.kind == "c" for _, dtype in self.outputs) or any(
            not isinstance(a, _Freed) and getattr(getattr(a, "_array", None), "dtype", _FLAT).kind == "c"
            for a in self._args
        )

    def _of_complex(self, grad: Callable[..., Any], grads: list[Any]) -> list[Any]:
        """A formula for real numbers holds for complex ones where the operator has a complex derivative: that derivative is
        conjugated in the gradient. Raises RuntimeError for operators that have none."""
        name = self.plan.operator.name
        if name in _NO_DERIVATIVE or any(dtype.kind != "c" for _, dtype in self.outputs):
            raise RuntimeError(f"the derivative for {name} of complex tensors is not supported")
        found = grad(self, *[None if g is None else g.conj() for g in grads])

        def back(g: Any) -> Any:
            if isinstance(g, list | tuple):
                return [back(x) for x in g]
            return None if g is None else g.conj()

        made = back(found if isinstance(found, list | tuple) else (found,))
        assert isinstance(made, list)
        return made

    def release(self) -> None:
        self._args = [_freed(a) for a in self._args]
        self._results = [_Freed(a.shape, a.dtype) if isinstance(a, _Freed) else _Freed(a[0].shape, a[0].dtype)
                         for a in self._results]  # fmt: skip

    # -- the ctx of formulas ----------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        """The value of an argument; tensors that were changed since refuse to be read (their shape does not)."""
        index = self.plan.schema.index[name]
        value, version = self._args[index], self._versions.get(index)
        if type(version) is list:
            return [self._checked(v, w) for v, w in zip(value, version, strict=True)]
        return self._checked(value, version)

    def _checked(self, value: Any, version: Any) -> Any:
        if isinstance(value, _Freed):
            return _stale(value.shape, value.dtype, _FREED)
        if version is not None and value._version != version:
            return _stale(value._array.shape, value._array.dtype, _modified(value, version, None))
        return value

    @property
    def args(self) -> Mapping[str, int]:
        """The names of the arguments (for ``"dim" in ctx.args``)."""
        return self.plan.schema.index

    @property
    def result(self) -> Tensor:
        """The result."""
        return self.results[0]

    @property
    def results(self) -> list[Tensor]:
        """All results, in order."""
        from bridge.tensor import Tensor

        found = []
        for number, saved in enumerate(self._results):
            if isinstance(saved, _Freed):
                found.append(_stale(saved.shape, saved.dtype, _FREED))
                continue
            array, counter, version = saved
            t = Tensor._wrap(array)
            t._counter = counter
            if counter[0] != version:
                text = _modified(t, version, f"output {number} of {self.name()}")
                found.append(_stale(array.shape, array.dtype, text))
                continue
            t._grad_fn, t._output_nr, t._requires_grad = self, number, True
            found.append(t)
        return found

    @property
    def needs(self) -> _Needs:
        return _Needs(self)

    def asks(self, name: str) -> bool:
        """Whether the gradient for an argument (any tensor of a list) is asked for."""
        wanted = self.plan.schema.index[name]
        at = 0
        for index, kind in self.plan.tensors:
            n = len(self._args[index]) if kind == 2 else 1
            if index == wanted:
                return any(
                    e is not None and (self.asked is None or self.asked[i])
                    for i, e in enumerate(self.edges[at : at + n], at)
                )
            at += n
        return False

    def op(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call any operator by name."""
        from bridge._dispatch import call_overload, invoke
        from bridge.ir.registry import find

        if find(name) is not None:
            return call_overload(name, args, kwargs)
        return invoke(name, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_saved_"):
            what = name[len("_saved_") :]
            if what in self.plan.schema.index:
                return self[what]
            if what == "result":
                return self.result
        raise AttributeError(f"'{self.name()}' object has no attribute '{name}'")


def _version(value: Any) -> Any:
    """The version of a tensor; None for what is none (a number in a tensor's place)."""
    counter = getattr(value, "_counter", _NO_COUNTER)
    return None if counter is _NO_COUNTER else (0 if counter is None else counter[0])


_NO_COUNTER: Any = object()


def _freed(value: Any) -> Any:
    if type(value) is list:
        return [_freed(v) for v in value]
    array = getattr(value, "_array", None)
    return _Freed(array.shape, array.dtype) if array is not None else value


def _modified(value: Tensor, version: int, what: str | None) -> str:
    from bridge.ir.dtypes import by_numpy

    if what is None and value._grad_fn is not None:
        what = f"output {value._output_nr} of {value._grad_fn.name()}"
    which = f", which is {what.removesuffix('Backward0')}," if what else ""
    return (
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[torch.{by_numpy(value._array.dtype).label}Tensor {list(value._array.shape)}]{which} is at version "
        f"{value._version}; expected version {version} instead. Hint: enable anomaly detection to find the operation that "
        "failed to compute its gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False)."
    )


_stale_class: Any = None


def _stale(shape: tuple[int, ...], dtype: np.dtype[Any], why: str) -> Any:
    """A tensor of that shape and dtype whose values refuse to be read."""
    global _stale_class
    if _stale_class is None:
        from bridge.tensor import Tensor

        class Stale(Tensor):
            @property
            def _array(self) -> Any:  # type: ignore[override]
                raise RuntimeError(self.__dict__["_why"])

            @property
            def shape(self) -> Any:
                return self.__dict__["_meta"]._array.shape

            @property
            def dtype(self) -> Any:
                return self.__dict__["_meta"].dtype

            @property
            def ndim(self) -> int:
                return len(self.shape)

            def dim(self) -> int:
                return len(self.shape)

            def size(self, dim: int | None = None) -> Any:
                return self.__dict__["_meta"].size(dim)

            def numel(self) -> int:
                return int(self.__dict__["_meta"].numel())

        _stale_class = Stale
    from bridge.tensor import Tensor

    t = object.__new__(_stale_class)
    t.__dict__["_why"] = why
    t.__dict__["_meta"] = Tensor._wrap(np.broadcast_to(np.zeros((), dtype), shape))
    return t
