"""``Tensor``: a NumPy array with torch's semantics, and a place on the gradient tape.

The array is ``_array``; views of a tensor are NumPy views of its array. Operators come from the registry: a method that is
not written here is looked up as ``aten::name`` on first use and then stays on the class. What stands here is what is no
operator (sizes, conversions to Python, the tape's own methods) or needs more than one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bridge._storage import Storage
from bridge.autograd.node import AccumulateGrad, Node, Removable
from bridge.ir.dtypes import DType, by_name, by_numpy
from bridge.ir.inspection import set_tensor_maker
from bridge.types import Size, device, dtype_of, layout, strided

__all__ = ["Tensor"]

_CPU = device("cpu")
_new = object.__new__


class Tensor:
    """A multi-dimensional array of one element type. Made by ``bridge.tensor``, ``zeros``… rather than by this class."""

    # Defaults on the class keep construction cheap: an instance holds only what differs.
    _array: np.ndarray[Any, Any]
    _requires_grad = False
    _grad_fn: Node | None = None
    _output_nr = 0
    _counter: list[int] | None = None
    _base: Tensor | None = None
    _view_of: tuple[Tensor, Any, Sequence[Any], int | None] | None = None
    _view_mode: str | None = None
    _graph_version = 0
    _lazy_grad: Callable[[], Any] | None = None
    _accumulator_node: AccumulateGrad | None = None
    _hooks: dict[int, Callable[..., Any]] | None = None
    _retains_grad = False
    _is_parameter = False
    grad: Tensor | None = None
    names: Any = None
    _padding: Tensor | None = None  # which steps count, of sequences of lengths of their own (is_nested)
    is_cuda = is_sparse = is_quantized = is_meta = is_mkldnn = is_xpu = is_mps = is_nested = False
    is_cpu = True
    __array_priority__ = 1000

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        from bridge._creation import legacy_tensor

        t = _new(cls)
        t._array = legacy_tensor(args, kwargs)
        return t

    @staticmethod
    def _wrap(array: np.ndarray[Any, Any]) -> Tensor:
        """The tensor of an array, which it shares."""
        t = _new(Tensor)
        t._array = array
        return t

    if TYPE_CHECKING:  # installed from a table below

        def __neg__(self) -> Any: ...
        def __add__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...
        def __matmul__(self, other: Any) -> Any: ...
        def __pow__(self, other: Any) -> Any: ...
        def __lt__(self, other: Any) -> Any: ...
        def __gt__(self, other: Any) -> Any: ...

    # -- sizes and layout --------------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The sizes of the dimensions."""
        if _dispatch.tracer is not None:
            return self.size()  # type: ignore[no-any-return]
        return Size(self._array.shape)

    def size(self, dim: int | None = None) -> Any:
        """All sizes, or the one of a dimension. While tracing they are 0-d tensors, so that they stay symbolic."""
        if _dispatch.tracer is not None:
            from bridge._tracing import size

            return size(self, dim)
        if dim is None:
            return Size(self._array.shape)
        try:
            return self._array.shape[dim]
        except IndexError:
            n = max(self._array.ndim, 1)
            if self._array.ndim == 0 and dim in (0, -1):
                raise IndexError("Dimension specified as 0 but tensor has no dimensions") from None
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
            ) from None

    def dim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    ndimension = dim

    @property
    def ndim(self) -> int:
        return self._array.ndim

    def numel(self) -> Any:
        """The number of elements (a 0-d tensor while tracing)."""
        if _dispatch.tracer is not None:
            return _dispatch.tracer.numel_of(self)
        return self._array.size

    nelement = numel

    def stride(self, dim: int | None = None) -> Any:
        """The strides, in elements."""
        _frozen("stride", self)
        strides = tuple(s // self._array.itemsize for s in self._array.strides)
        return strides if dim is None else strides[dim]

    def storage_offset(self) -> int:
        """How many elements of the storage come before the first one of this tensor."""
        return (self.data_ptr() - self.untyped_storage().data_ptr()) // self._array.itemsize

    def storage(self) -> Storage:
        """The memory that this tensor and its views share, counted in elements."""
        return Storage(self._array, self._array.itemsize)

    def untyped_storage(self) -> Storage:
        """The memory that this tensor and its views share, counted in bytes."""
        return Storage(self._array, 1)

    def data_ptr(self) -> int:
        """The address of the first element."""
        return int(self._array.__array_interface__["data"][0])

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether the elements lie in memory in the order of the indices."""
        if memory_format is not None and memory_format.name.startswith("channels_last"):
            order = (0, *range(2, self._array.ndim), 1)
            return self._array.transpose(order).flags.c_contiguous
        return self._array.flags.c_contiguous

    def element_size(self) -> int:
        """Bytes per element."""
        return self._array.itemsize

    itemsize = property(element_size)

    @property
    def nbytes(self) -> int:
        return self._array.nbytes

    @property
    def dtype(self) -> DType:
        """The element type."""
        return by_numpy(self._array.dtype)

    @property
    def device(self) -> device:
        return _CPU

    @property
    def layout(self) -> layout:
        return strided

    def get_device(self) -> int:
        return -1

    def is_floating_point(self) -> bool:
        return self.dtype.kind == "f"

    def is_complex(self) -> bool:
        return self.dtype.kind == "c"

    def is_signed(self) -> bool:
        return self.dtype.is_signed

    def is_inference(self) -> bool:
        return False

    def is_shared(self) -> bool:
        return False

    def is_pinned(self) -> bool:
        return False

    def is_set_to(self, tensor: Tensor) -> bool:
        """Whether both are the same view of the same memory."""
        same = bool(self._array.shape == tensor._array.shape and self._array.strides == tensor._array.strides)
        return same and self.data_ptr() == tensor.data_ptr()

    def is_same_size(self, other: Tensor) -> bool:
        return bool(self._array.shape == other._array.shape)

    @property
    def T(self) -> Tensor:
        """The dimensions in reverse order."""
        return _dispatch.invoke("aten::numpy_T", (self,))  # type: ignore[no-any-return]

    @property
    def mT(self) -> Tensor:
        """The last two dimensions exchanged."""
        return self.transpose(-2, -1)  # type: ignore[no-any-return]

    @property
    def mH(self) -> Tensor:
        """The last two dimensions exchanged, complex numbers conjugated."""
        return self.mT.conj() if self.is_complex() else self.mT

    @property
    def H(self) -> Tensor:
        """:attr:`mH` of a matrix."""
        return self.mH

    # -- the tape ----------------------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        return self._requires_grad or (self._view_of is not None and self.grad_fn is not None)

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        value = bool(value)
        if value and self._array.dtype.kind not in "fcV":
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if not value and not self.is_leaf:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
                "subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        self._requires_grad = value

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Change ``requires_grad`` in place; returns the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor, or None for a leaf."""
        if self._lazy_grad is not None:
            self._replay_lazy()
        elif self._view_of is not None and is_stale(self):
            return history_of_view(self)
        return self._grad_fn

    def _replay_lazy(self) -> None:
        make, self._lazy_grad = self._lazy_grad, None
        assert make is not None
        found = make()
        if isinstance(found, Tensor):
            self._grad_fn, self._output_nr = found.grad_fn, found._output_nr
            self._requires_grad = found._requires_grad
        else:
            self._grad_fn = found

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made by the user and not by a recorded operation."""
        return self._lazy_grad is None and self.grad_fn is None

    @property
    def output_nr(self) -> int:
        return self._output_nr

    @property
    def _version(self) -> int:
        """How often the memory was written to by in-place operations."""
        return self._counter[0] if self._counter is not None else 0

    def _share_counter(self) -> list[int]:
        if self._counter is None:
            self._counter = [0]
        return self._counter

    def _expose(self) -> None:
        """Note (by a second entry of the counter) that the memory may be written to without being counted."""
        counter = self._share_counter()
        if len(counter) == 1:
            counter.append(1)

    def _accumulator(self) -> AccumulateGrad:
        node = self._accumulator_node
        if node is None:
            node = self._accumulator_node = AccumulateGrad(self)
            if self._hooks is not None:
                node.tensor_hooks = {0: self._hooks}
        node.outputs = [(self._array.shape, self._array.dtype)]
        return node

    @property
    def data(self) -> Tensor:
        """The same memory, off the tape, with a version counter of its own."""
        self._expose()
        return Tensor._wrap(self._array[...])

    @data.setter
    def data(self, new: Tensor) -> None:
        if not isinstance(new, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(new).__name__}")
        self._array = new._array

    def detach(self) -> Tensor:
        """The same memory, off the tape."""
        from bridge._tracing import detached

        return detached(self)

    def detach_(self) -> Tensor:
        """Take this tensor off the tape: it becomes a leaf that requires no grad."""
        if self._view_of is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead")
        self._grad_fn, self._output_nr, self._requires_grad, self._lazy_grad = None, 0, False, None
        from bridge._tracing import noted_detached

        return noted_detached(self)

    def backward(
        self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
    ) -> None:
        """Add the derivatives of this tensor to the ``grad`` of the leaves. See ``bridge.autograd.backward``."""
        from bridge.autograd import backward

        backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Removable:
        """Call ``hook(grad)`` when the gradient of this tensor is known; what it returns replaces it."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        node = self.grad_fn
        if node is not None:
            hooks = node.hooks_of(self._output_nr)
        else:
            hooks = self._accumulator().hooks_of(0)
            self._hooks = hooks
        handle = Removable(hooks)
        hooks[handle.id] = hook
        return handle

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> Removable:
        """Call ``hook(tensor)`` after ``grad`` of this leaf has been added to."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if not self.is_leaf:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        hooks = self.__dict__.setdefault("_post_accumulate_grad_hooks", {})
        handle = Removable(hooks)
        hooks[handle.id] = hook
        return handle

    def retain_grad(self) -> None:
        """Keep the gradient in ``grad`` although this is no leaf."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        node = self.grad_fn
        if node is None or self._retains_grad:
            return
        self._retains_grad = True

        def keep(grad: Tensor) -> None:
            self.grad = grad if self.grad is None else _dispatch.invoke("aten::add", (self.grad, grad))

        if node.retain is None:
            node.retain = {}
        node.retain[self._output_nr] = keep

    @property
    def retains_grad(self) -> bool:
        return self._retains_grad

    # -- to Python ---------------------------------------------------------------------------------------------------

    def item(self) -> Any:
        """The only element as a Python number. Raises RuntimeError when there is not exactly one."""
        _frozen("number", self)
        return self._scalar()

    def _scalar(self) -> Any:
        if self._array.size != 1:
            raise RuntimeError(f"a Tensor with {self._array.size} elements cannot be converted to Scalar")
        found = self._array.item()
        return float(found) if self._array.dtype.kind == "V" else found

    def tolist(self) -> Any:
        """The elements as (nested lists of) Python numbers."""
        _frozen("list", self)
        return self._array.tolist()

    def __bool__(self) -> bool:
        _frozen("boolean", self)
        if self._array.size != 1:
            if self._array.size == 0:
                raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(self._array.item())

    def __int__(self) -> int:
        _frozen("integer", self)
        return int(self._scalar())

    def __float__(self) -> float:
        _frozen("float", self)
        return float(self._scalar())

    def __complex__(self) -> complex:
        _frozen("complex", self)
        return complex(self._scalar())

    def __index__(self) -> int:
        _frozen("index", self)
        if self._array.dtype.kind not in "iub" or self._array.size != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self._array.item())

    def __len__(self) -> int:
        _frozen("len", self)
        if self._array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self._array)

    def __iter__(self) -> Iterator[Tensor]:
        if self._array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        _frozen("iter", self)
        return iter(self.unbind(0))

    def __reversed__(self) -> Tensor:
        return self if self._array.ndim == 0 else self.flip(0)

    def __contains__(self, element: Any) -> bool:
        if isinstance(element, Tensor | int | float | complex):
            return bool(_dispatch.invoke("aten::any", (_dispatch.invoke("aten::eq", (self, element)),)))
        raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """The array itself: memory is shared. Raises RuntimeError for a tensor that requires grad."""
        if self.requires_grad and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        _frozen("numpy", self)
        self._expose()
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = self.numpy()
        return array if dtype is None and not copy else np.array(array, dtype=dtype, copy=copy)

    def __dlpack__(self, *, stream: Any = None, **options: Any) -> Any:
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        self._expose()
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0

    # -- element types -----------------------------------------------------------------------------------------------

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """The tensor in another dtype (or like another tensor): itself when nothing changes. Only the CPU is a device."""
        from bridge._tracing import convert

        return convert(self, args, kwargs)

    def type(self, dtype: Any = None) -> Any:
        """The legacy type name (``torch.FloatTensor``), or the tensor converted to a dtype."""
        if dtype is None:
            return f"torch.{self.dtype.label}Tensor"
        if isinstance(dtype, str):
            label = dtype.removeprefix("torch.").removesuffix("Tensor")
            dtype = next((d for d in map(by_name, CASTS.values()) if d.label == label), None)
            if dtype is None:
                raise ValueError(f"invalid type: '{label}'")
        return self.to(dtype_of(dtype))

    def cpu(self) -> Tensor:
        """The tensor itself; what a trace records of it is a conversion, as in torch."""
        from bridge import _dispatch

        if _dispatch.tracer is None:
            return self
        options = [self, self.dtype.code, 0, "cpu", None, False, False, None]
        return _dispatch.call_overload("aten::to.dtype_layout", options)  # type: ignore[no-any-return]

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Tensor:
        raise RuntimeError("Tensors live on the CPU; choose an execution provider for captured programs instead")

    def where(self, condition: Any, other: Any) -> Tensor:
        """The elements of this tensor where the condition holds, those of ``other`` elsewhere."""
        from bridge._dispatch import function

        return function("aten::where")(condition, self, other)  # type: ignore[no-any-return]

    def new_tensor(self, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        """A new tensor with a copy of the data, of this tensor's element type unless told otherwise."""
        from bridge._creation import tensor

        wanted = self.dtype if dtype is None else dtype
        return tensor(data, dtype=wanted, device=device, requires_grad=requires_grad, _what="new_tensor")

    # -- Python's protocols --------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        return getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        setitem(self, key, value)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        from bridge._printing import tensor_text

        return tensor_text(self)

    def __format__(self, spec: str) -> str:
        if self._array.ndim == 0 and type(self) is Tensor:
            _frozen("format", self)
            return format(self._scalar(), spec)
        return object.__format__(self, spec)

    def __hash__(self) -> int:
        return id(self)

    def __dir__(self) -> list[str]:
        from bridge._resolve import method_names
        from bridge.ir.registry import all_operators

        names = {o.schema.name.split("::")[1] for o in all_operators() if o.schema.name.startswith("aten::")}
        return sorted({*object.__dir__(self), *(n for n in names if method_names(f"aten::{n}"))})

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        from bridge._creation import deep_copy

        return deep_copy(self, memo)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        from bridge._creation import rebuild

        extra = {k: v for k, v in self.__dict__.items() if not k.startswith("_") and k != "grad"}
        return rebuild, (type(self), np.asarray(self._array), self._requires_grad and self.is_leaf, extra)

    def norm(self, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
        """The norm of order ``p`` (a number, ``fro`` or ``nuc``) over ``dim``, or of all elements."""
        result: Tensor = importlib.import_module("bridge.functional").norm(self, p, dim, keepdim, dtype=dtype)
        return result

    def unique(
        self, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
    ) -> Any:
        """The different elements (or slices along ``dim``) in order; see :func:`bridge.unique`."""
        return importlib.import_module("bridge.functional").unique(self, sorted, return_inverse, return_counts, dim)

    def unique_consecutive(
        self, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
    ) -> Any:
        """The elements that differ from the one before; see :func:`bridge.unique_consecutive`."""
        found = importlib.import_module("bridge.functional").unique_consecutive
        return found(self, return_inverse, return_counts, dim)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        method = _method(name)
        if method is None:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        setattr(Tensor, name, method)
        return getattr(self, name)


def _frozen(what: str, tensor: Tensor) -> None:
    """Tell an active tracer that a value leaves the graph."""
    if _dispatch.tracer is not None:
        _dispatch.tracer.frozen(what, tensor)


def _method(name: str) -> Any:
    """The method for ``aten::name``, or None."""
    from bridge._namespaces import alias
    from bridge._resolve import method_names

    full = f"aten::{alias(name)}"
    if not method_names(full):
        full = f"aten::{name}"  # linalg_det, which det stands for, has no self
        if not method_names(full):
            return None
    call, resolve, with_keywords = _dispatch.call, _dispatch.resolve, _dispatch.invoke_function

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            return with_keywords(full, (self, *args), kwargs, True)
        operator, values, traced = resolve(full, (self, *args), None, True)
        result = call(operator, values, traced)
        return tuple(result) if type(result) is list else result

    method.__name__, method.__qualname__, method.__module__ = name, f"Tensor.{name}", "bridge"
    method.__operator__ = f"aten::{name}"  # type: ignore[attr-defined]
    return method


from bridge import _dispatch  # (these need the class)
from bridge._indexing import getitem, setitem
from bridge._operators import CASTS
from bridge.autograd.views import history_of_view, is_stale

set_tensor_maker(Tensor._wrap)
