"""Values as pickles of an archive: the opcodes, their order and their memo numbers as torch writes them.

The format is pickle protocol 2 with the globals that torch's reader knows (``jit/serialization/pickler.cpp`` and
``unpickler.cpp``): objects are made by class name from a dict of their attributes, tensors from a storage and a shape,
lists and dicts carry their element types.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.exporters.python.tagged import annotation
from bridge.exporters.torchscript.opcodes import Opcodes
from bridge.exporters.torchscript.storages import Storages
from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, ScriptObject
from bridge.ir.dtypes import DType
from bridge.ir.errors import UnsupportedError

__all__ = ["Pickler"]

_LISTS: dict[T.Type, str] = {T.INT: "build_intlist", T.FLOAT: "build_doublelist", T.BOOL: "build_boollist"}


class Pickler:
    """Writes one value with :meth:`pickle`; ``storages`` then has the memory of its tensors, ``classes`` the classes of its
    objects in the order in which they were met.

    ``type_name`` gives the qualified name under which the archive holds a class or enum; ``run`` calls the ``__getstate__``
    that a class may have.
    """

    def __init__(
        self, type_name: Callable[[T.Type], str], run: Callable[[Function, list[Any]], Any] | None = None
    ) -> None:
        self._run = run
        self._states: dict[int, Any] = {}
        self._made: set[int] = set()  # what states made: tensors that only they hold need no memo number
        self.storages = Storages()
        self.classes: list[ClassType] = []
        self._type_name = type_name
        self._op = Opcodes()
        self._objects: dict[int, int] = {}
        self._storages: dict[tuple[str, str], int] = {}
        self._devices: dict[str, int] = {}
        self._seen: set[int] = set()
        self._repeated: set[int] = set()
        self._open: set[int] = set()
        self._where: list[str] = []

    def pickle(self, value: Any, type_: T.Type = T.ANY) -> bytes:
        """The bytes of a pickle of one value of a type.

        Raises UnsupportedError, naming the attribute, for what an archive cannot hold.
        """
        self._find_repeated(value)
        self._push(value, type_)
        self._op.raw(b".")
        return self._op.data()

    # -- values --------------------------------------------------------------------------------------------------------

    def _find_repeated(self, root: Any) -> None:
        """Find the lists and dicts that are met twice: only those need a memo number."""
        work = [root]
        while work:
            value = work.pop()
            if isinstance(value, list | dict | ScriptObject):
                if id(value) in self._seen:
                    self._repeated.add(id(value))
                    continue
                self._seen.add(id(value))
            if isinstance(value, ScriptObject):
                own = "__getstate__" in value.type.methods
                work.extend([self._state(value)] if own else value.attributes.values())
            elif isinstance(value, dict):
                work.extend(value.values())
            elif isinstance(value, list | tuple):
                work.extend(value)

    def _push(self, value: Any, type_: T.Type) -> None:
        if isinstance(value, ScriptObject | list | dict) or _is_tensor(value):
            known = self._objects.get(id(value))
            if known is not None:
                return self._op.get(known)
            if id(value) in self._open:
                raise self._error("contains itself")
            self._open.add(id(value))
            self._push_shared(value, type_)
            self._open.discard(id(value))
        else:
            self._push_plain(value, type_)
        return None

    def _push_shared(self, value: Any, type_: T.Type) -> None:
        type_ = _alternative(type_, value)
        if isinstance(value, ScriptObject):
            self._object(value)
        elif isinstance(value, list):
            self._list(value, type_)
        elif isinstance(value, dict):
            self._dict(value, type_)
        else:
            self._tensor(value)
        if id(value) in self._repeated or not (isinstance(value, list | dict) or id(value) in self._made):
            self._objects[id(value)] = self._op.put()

    def _push_plain(self, value: Any, type_: T.Type) -> None:
        type_ = _alternative(type_, value)
        if value is None:
            self._op.raw(b"N")
        elif isinstance(value, enum.Enum | T.EnumValue):
            self._enum(value, type_)
        elif type_ is T.DEVICE:
            self._device(str(value))
        elif isinstance(value, bool | np.bool_):
            self._op.raw(b"\x88" if value else b"\x89")
        elif isinstance(value, DType):
            self._op.integer(value.code)
        elif type_ is T.FLOAT or isinstance(value, float):
            self._op.real(value)
        elif isinstance(value, int | np.integer):
            if not -(1 << 63) <= value < 1 << 63:
                raise self._error(f"is {value}, which does not fit in 64 bits")
            self._op.integer(int(value))
        elif isinstance(value, str):
            self._op.string(value)
        elif isinstance(value, complex):
            self._op.name("builtins", "complex")
            self._op.real(value.real)
            self._op.real(value.imag)
            self._op.raw(b"\x86R")
        elif isinstance(value, tuple):
            self._tuple(value, type_)
        else:
            raise self._error(f"is a {type(value).__name__}, which an archive cannot hold")

    def _object(self, value: ScriptObject) -> None:
        cls = value.type
        self.classes.append(cls)
        if "__getstate__" in cls.methods:
            state = self._state(value)
            self._class_name(cls)
            self._op.raw(b")\x81")
            self._push(state, cls.methods["__getstate__"].schema.returns[0].type)
            if isinstance(state, tuple | list | dict) and id(state) not in self._objects:
                self._objects[id(state)] = self._op.put()
            self._op.raw(b"b")
            return
        self._class_name(cls)
        self._op.raw(b")\x81}(")
        for name, attribute in cls.attributes.items():
            self._where.append(name)
            if name not in value.attributes:
                raise self._error("has no value")
            self._op.string(name)
            self._push(value.attributes[name], attribute.type)
            self._where.pop()
        self._op.raw(b"ub")

    def _state(self, value: ScriptObject) -> Any:
        """What ``__getstate__`` of an object returns; called once, and kept, so that what it shares is shared."""
        if id(value) not in self._states:
            method = value.type.methods["__getstate__"]
            if self._run is None or "__setstate__" not in value.type.methods:
                raise self._error(
                    f"is a {value.type.name}, which has a '__getstate__' of its own and no '__setstate__'"
                )
            state = self._states[id(value)] = self._run(method, [value])
            held = {id(v) for v in value.attributes.values()}
            self._made |= {id(v) for v in (state if isinstance(state, tuple) else ()) if id(v) not in held}
        return self._states[id(value)]

    def _list(self, value: list[Any], type_: T.Type) -> None:
        element = type_.element if isinstance(type_, T.ListType) else _common(value)
        special = "build_tensorlist" if isinstance(element, T.TensorType) else _LISTS.get(element)
        self._op.name("torch.jit._pickle", special or "restore_type_tag")
        self._op.raw(b"(](" if special else b"](")
        self._items(value, [element] * len(value))
        if special:
            self._op.raw(b"etR")
        else:
            self._op.raw(b"e")
            self._tag(T.ListType(element))

    def _dict(self, value: dict[Any, Any], type_: T.Type) -> None:
        if not isinstance(type_, T.DictType):
            type_ = T.DictType(_common(list(value)), _common(list(value.values())))
        self._op.name("torch.jit._pickle", "restore_type_tag")
        self._op.raw(b"}(")
        for key, item in value.items():
            self._where.append(f"[{key!r}]")
            self._push(key, type_.key)
            self._push(item, type_.value)
            self._where.pop()
        self._op.raw(b"u")
        self._tag(type_)

    def _tag(self, type_: T.Type) -> None:
        self._op.string(annotation(type_, self._type_name))
        self._op.raw(b"\x86R")

    def _tuple(self, value: tuple[Any, ...], type_: T.Type) -> None:
        types: Sequence[T.Type] = type_.elements if isinstance(type_, T.TupleType) else [T.ANY] * len(value)
        if len(types) != len(value):
            raise self._error(f"has {len(value)} elements, and {type_.annotation()} has {len(types)}")
        closing = {0: b")", 1: b"\x85", 2: b"\x86", 3: b"\x87"}.get(len(value))
        if closing is None:
            self._op.raw(b"(")
        self._items(value, types)
        self._op.raw(closing or b"t")

    def _items(self, values: Sequence[Any], types: Sequence[T.Type]) -> None:
        for i, (item, type_) in enumerate(zip(values, types, strict=True)):
            self._where.append(f"[{i}]")
            self._push(item, type_)
            self._where.pop()

    def _tensor(self, value: Any) -> None:
        array = np.asarray(value.detach() if hasattr(value, "detach") else value)
        try:
            view = self.storages.view(array)
        except TypeError as e:
            raise self._error(str(e)) from None
        self._op.name("torch._utils", "_rebuild_tensor_v2")
        self._op.raw(b"(")
        self._storage(view.key, view.dtype, view.storage_numel)
        self._op.integer(view.offset)
        for numbers in (view.size, view.stride):
            self._op.raw(b"(")
            for n in numbers:
                self._op.integer(n)
            self._op.raw(b"t")
        self._op.raw(b"\x88" if getattr(value, "requires_grad", False) else b"\x89")
        self._op.name("collections", "OrderedDict")
        self._op.raw(b")RtR")

    def _storage(self, key: str, dtype: DType, numel: int) -> None:
        known = self._storages.get((key, dtype.label))
        if known is not None:
            return self._op.get(known)
        self._op.raw(b"(")
        self._op.string("storage")
        self._op.name("torch", f"{dtype.label}Storage")
        self._op.string(key)
        self._op.string("cpu")
        self._op.integer(numel)
        self._op.raw(b"tQ")
        self._storages[key, dtype.label] = self._op.put()
        return None

    def _enum(self, value: enum.Enum | T.EnumValue, type_: T.Type) -> None:
        if not isinstance(type_, T.EnumType):
            raise self._error(f"is {value!r}, and its declared type is {type_.annotation()}")
        self._class_name(type_)
        self._push(value.value, type_.value)
        self._op.raw(b"R")

    def _device(self, name: str) -> None:
        if name in self._devices:
            return self._op.get(self._devices[name])
        self._op.name("torch", "device")
        self._op.string(name)
        self._op.raw(b"\x85R")
        self._devices[name] = self._op.put()
        return None

    def _class_name(self, type_: T.Type) -> None:
        module, _, name = self._type_name(type_).rpartition(".")
        self._op.name(module, name)

    def _error(self, problem: str) -> UnsupportedError:
        place = ".".join(self._where).replace(".[", "[")
        return UnsupportedError(
            f"cannot save attribute '{place}': it {problem}" if place else f"cannot save: it {problem}"
        )


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "__array__") and not isinstance(value, np.generic)


def _alternative(type_: T.Type, value: Any) -> T.Type:
    """The member of an Optional or Union that a value belongs to; other types as they are."""
    if isinstance(type_, T.OptionalType):
        return T.NONE if value is None else _alternative(type_.element, value)
    if isinstance(type_, T.UnionType):
        kinds: dict[type, tuple[type, ...]] = {list: (T.ListType,), dict: (T.DictType,), tuple: (T.TupleType,)}
        wanted = kinds.get(type(value))
        for member in type_.members:
            if isinstance(member, wanted) if wanted else member == _inferred(value):
                return member
    return type_


def _inferred(value: Any) -> T.Type:
    simple: dict[type, T.Type] = {bool: T.BOOL, int: T.INT, float: T.FLOAT, complex: T.COMPLEX, str: T.STR}
    if value is None:
        return T.NONE
    if isinstance(value, ScriptObject):
        return value.type
    if _is_tensor(value):
        return T.TENSOR
    if isinstance(value, list):
        return T.ListType(_common(value))
    if isinstance(value, tuple):
        return T.TupleType(*map(_inferred, value))
    if isinstance(value, dict):
        return T.DictType(_common(list(value)), _common(list(value.values())))
    return simple.get(type(value), T.ANY)


def _common(values: Sequence[Any]) -> T.Type:
    """The type of the elements of a list that was declared as Any."""
    found: T.Type | None = None
    for value in values:
        found = _inferred(value) if found is None else T.unify(found, _inferred(value))
        if found is None:
            return T.ANY
    return found if found is not None else T.TENSOR
