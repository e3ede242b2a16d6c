"""A reader for the pickles of archives that can build plain data and nothing else.

A pickle is a program for a stack machine. This machine knows the opcodes that torch writes (protocol 2), gives a meaning of its
own to the few globals they name, and refuses the rest: no name is ever imported, no callable called, no attribute set.
Everything it does is counted, so that a small file cannot ask for much memory or time. The opcodes are those of CPython's
``pickletools``; what torch writes with them was read from its ``jit/serialization/pickler.cpp``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

from bridge.importers.torchscript.records import DeviceRecord, EnumRecord, ObjectRecord, StorageRecord, TensorRecord
from bridge.ir.dtypes import DTYPES

__all__ = ["Budget", "PickleError", "unpickle"]


class PickleError(Exception):
    """Why a pickle was refused, in plain words; the caller adds the file and the entry."""


class Budget:
    """What one pickle may use."""

    opcodes = 10_000_000
    memo = 2_000_000
    #: values on the stack at once, and open marks
    stack = 4_000_000
    marks = 10_000
    #: how deep containers and objects may stand inside each other
    nesting = 500
    #: how many values it would be to write every shared value out wherever it appears
    expanded = 50_000_000
    dims = 64
    #: elements a tensor may show beyond those its storage has (by a stride of 0)
    broadcast = 1 << 28


_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*\Z", re.ASCII)
_DEVICE = re.compile(r"[a-z]{1,16}(:\d{1,3})?\Z", re.ASCII)
_INT64 = range(-(1 << 63), 1 << 63)
_STORAGES = {f"{d.label}Storage": d for d in DTYPES}


class _Global:
    """A name the pickle mentions: what to do when it is called (``reduce``) or instantiated (``is_class``)."""

    __slots__ = ("is_class", "name", "reduce")

    def __init__(
        self, name: str, reduce: Callable[[tuple[Any, ...]], Any] | None = None, is_class: bool = False
    ) -> None:
        self.name, self.reduce, self.is_class = name, reduce, is_class


class _Hooks:
    """``collections.OrderedDict()``, which torch writes as a tensor's (always empty) backward hooks."""


def unpickle(data: bytes, budget: type[Budget] = Budget) -> Any:
    """The value of a pickle: None, bool, int, float, complex, str, tuple, list, dict, and the records of :mod:`records`.

    Lists, dicts and records that the pickle shares are shared in the result. Raises :class:`PickleError` for anything that is
    not plain data as torch writes it, or over budget.
    """
    value = _Machine(data, budget).run()
    _check_shape(value, budget)
    return value


class _Machine:
    def __init__(self, data: bytes, budget: type[Budget]) -> None:
        self.data, self.at, self.budget = data, 0, budget
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks below each open mark
        self.depth = 0  # values in them
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, StorageRecord] = {}
        self.globals: dict[tuple[str, str], _Global] = {}

    def run(self) -> Any:
        if self.data[:2] != b"\x80\x02":
            raise PickleError("is not a pickle of protocol 2")
        self.at = 2
        for _ in range(self.budget.opcodes):
            if self.at >= len(self.data):
                raise PickleError("ends before its STOP")
            code = self.data[self.at]
            self.at += 1
            if code == 0x2E:  # STOP
                return self.result()
            handler = _OPCODES.get(code)
            if handler is None:
                raise PickleError(
                    f"uses opcode {bytes([code])!r} at byte {self.at - 1}, which archives have no use for"
                )
            handler(self)
            if self.depth + len(self.stack) > self.budget.stack:
                raise PickleError(f"holds more than {self.budget.stack} values at once")
        raise PickleError(f"has more than {self.budget.opcodes} steps")

    def result(self) -> Any:
        if self.outer or len(self.stack) != 1:
            raise PickleError("does not end with one value")
        if self.at != len(self.data):
            raise PickleError(f"has {len(self.data) - self.at} bytes after its end")
        return self.plain(self.stack[0])

    # -- reading and the stack -----------------------------------------------------------------------------------------

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise PickleError(f"asks for {count} bytes at byte {self.at} and has {len(self.data) - self.at}")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + 1024)
        if end < 0:
            raise PickleError(f"has a name without an end at byte {self.at}")
        raw = self.take(end + 1 - self.at)[:-1]
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise PickleError(f"has a name that is not UTF-8 at byte {self.at}") from None

    def pop(self) -> Any:
        if not self.stack:
            raise PickleError(f"takes a value from an empty stack at byte {self.at - 1}")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack:
            raise PickleError(f"needs a value on an empty stack at byte {self.at - 1}")
        return self.stack[-1]

    def mark(self) -> None:
        if len(self.outer) >= self.budget.marks:
            raise PickleError(f"opens more than {self.budget.marks} containers inside each other")
        self.outer.append(self.stack)
        self.depth += len(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        if not self.outer:
            raise PickleError(f"closes a container that is not open at byte {self.at - 1}")
        items, self.stack = self.stack, self.outer.pop()
        self.depth -= len(self.stack)
        return items

    def plain(self, value: Any) -> Any:
        """``value``, if it may stand inside data: not a global, and not an object whose state is still missing."""
        if isinstance(value, _Global | StorageRecord | _Hooks):
            raise PickleError(f"uses {_describe(value)} as a value")
        return value

    # -- containers ----------------------------------------------------------------------------------------------------

    def tuple_of(self, items: list[Any]) -> None:
        # Arguments of the rebuild functions may hold a storage or the hooks; what they may be is checked there, and
        # that none of them ends up in the result, at the end.
        self.stack.append(tuple(items))

    def fixed_tuple(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.tuple_of(items[::-1])

    def extend_list(self, items: list[Any]) -> None:
        target = self.top()
        if type(target) is not list:
            raise PickleError(f"appends to {_describe(target)}, which is not a list")
        target.extend(map(self.plain, items))

    def set_items(self, target: Any, items: list[Any]) -> None:
        if type(target) is not dict:
            raise PickleError(f"sets an item of {_describe(target)}, which is not a dict")
        if len(items) % 2:
            raise PickleError("has a dict key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, int, float, bool, complex):
                raise PickleError(f"uses {_describe(key)} as a dict key")
            target[key] = self.plain(value)

    # -- memo ----------------------------------------------------------------------------------------------------------

    def put(self, index: int) -> None:
        if index >= self.budget.memo:
            raise PickleError(f"memorises a value under {index}; at most {self.budget.memo} are kept")
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise PickleError(f"recalls value {index}, which it has not memorised")
        self.stack.append(self.memo[index])

    # -- numbers and strings -------------------------------------------------------------------------------------------

    def long1(self) -> None:
        length = self.number("<B")
        if length > 8:
            raise PickleError(f"has an integer of {length} bytes; a program's integers have at most 8")
        self.stack.append(int.from_bytes(self.take(length), "little", signed=True))

    def text(self) -> None:
        raw = self.take(self.number("<I"))
        try:
            self.stack.append(raw.decode("utf-8"))
        except UnicodeDecodeError:
            raise PickleError(f"has a string that is not UTF-8 at byte {self.at - len(raw)}") from None

    # -- globals and what is made with them ------------------------------------------------------------------------------

    def global_name(self) -> None:
        module, name = self.line(), self.line()
        known = self.globals.get((module, name))
        if known is None:
            known = self.globals[module, name] = self.resolve(module, name)
        self.stack.append(known)

    def resolve(self, module: str, name: str) -> _Global:
        full = f"{module}.{name}"
        if module == "torch" and name in _STORAGES:
            return _Global(full)
        reduce = _FUNCTIONS.get((module, name))
        if reduce is not None:
            return _Global(full, lambda args: reduce(self, args))
        if (
            (module == "__torch__" or module.startswith("__torch__."))
            and _NAME.match(module)
            and _NAME.match(name)
            and "." not in name
        ):
            return _Global(full, lambda args: _enum(self, full, args), is_class=True)
        raise PickleError(f"names {ascii(full)[1:-1]}, which is not something an archive may hold")

    def reduce(self) -> None:
        args, function = self.pop(), self.pop()
        if not isinstance(function, _Global) or function.reduce is None:
            raise PickleError(f"calls {_describe(function)}, which is not a function that archives use")
        if isinstance(args, tuple) or function.is_class:
            self.stack.append(function.reduce(args))
        else:
            raise PickleError(f"calls {function.name} without a tuple of arguments")

    def new_object(self) -> None:
        args, cls = self.pop(), self.pop()
        if not isinstance(cls, _Global) or not cls.is_class or args != ():
            raise PickleError(f"makes an object of {_describe(cls)}, which is not a class of the archive")
        self.stack.append(ObjectRecord(cls.name))

    def build(self) -> None:
        state, target = self.pop(), self.top()
        if not isinstance(target, ObjectRecord) or target.built:
            raise PickleError(f"sets the state of {_describe(target)}, which is not a new object of the archive")
        target.state, target.built = self.plain(state), True

    def persistent(self) -> None:
        parts = self.pop()
        if not (isinstance(parts, tuple) and len(parts) == 5 and parts[0] == "storage"):
            raise PickleError("has a persistent id that is not a tensor's storage")
        _, kind, key, device, numel = parts
        dtype = _STORAGES.get(kind.name.removeprefix("torch.")) if isinstance(kind, _Global) else None
        if dtype is None:
            raise PickleError(f"has a storage of {_describe(kind)}, which is not an element type")
        if not isinstance(key, str) or not _KEY.match(key) or ".." in key:
            raise PickleError("has a storage whose key is not a plain name")
        if not isinstance(device, str) or not _DEVICE.match(device):
            raise PickleError(f"has storage {key} on something that is not a device")
        if type(numel) is not int or numel < 0 or numel * dtype.itemsize not in _INT64:
            raise PickleError(f"has storage {key} of an impossible size")
        record = StorageRecord(key, dtype, numel, device)
        known = self.storages.setdefault(key, record)
        if known.nbytes != record.nbytes:
            raise PickleError(f"gives storage {key} two different sizes")
        self.stack.append(known if known == record else record)


# -- the functions an archive may call ---------------------------------------------------------------------------------


def _integers(value: Any, what: str) -> tuple[int, ...]:
    if not isinstance(value, tuple) or any(type(n) is not int or n < 0 for n in value):
        raise PickleError(f"has a tensor whose {what} is not a tuple of integers from 0 up")
    return value


def _tensor(machine: _Machine, args: tuple[Any, ...]) -> TensorRecord:
    """``torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)``."""
    if not 6 <= len(args) <= 7 or not isinstance(args[0], StorageRecord) or not isinstance(args[5], _Hooks):
        raise PickleError("rebuilds a tensor from something else than a storage and its shape")
    storage, offset, requires_grad = args[0], args[1], args[4]
    size, stride = _integers(args[2], "size"), _integers(args[3], "stride")
    if type(offset) is not int or offset < 0 or type(requires_grad) is not bool:
        raise PickleError(f"has a tensor in storage {storage.key} with an impossible offset or gradient flag")
    if len(size) != len(stride) or len(size) > machine.budget.dims:
        raise PickleError(f"has a tensor in storage {storage.key} with {len(size)} sizes and {len(stride)} strides")
    numel = 1
    for n in size:
        numel *= n
        if numel > _INT64.stop:
            raise PickleError(f"has a tensor in storage {storage.key} with more elements than can be counted")
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if numel else offset - 1
    if last >= storage.numel:
        raise PickleError(
            f"has a tensor that reaches element {last} of storage {storage.key}, which has {storage.numel}"
        )
    if numel > storage.numel + machine.budget.broadcast:
        raise PickleError(f"has a tensor in storage {storage.key} that repeats {storage.numel} elements to {numel}")
    return TensorRecord(storage, offset, size, stride, requires_grad)


def _parameter(machine: _Machine, args: tuple[Any, ...]) -> TensorRecord:
    """``torch._utils._rebuild_parameter(data, requires_grad, hooks)``."""
    if (
        len(args) != 3
        or not isinstance(args[0], TensorRecord)
        or type(args[1]) is not bool
        or not isinstance(args[2], _Hooks)
    ):
        raise PickleError("rebuilds a parameter from something else than a tensor")
    t = args[0]
    return TensorRecord(t.storage, t.offset, t.size, t.stride, args[1], is_parameter=True)


def _refused_tensor(what: str) -> Callable[[_Machine, tuple[Any, ...]], Any]:
    def refuse(machine: _Machine, args: tuple[Any, ...]) -> Any:
        raise PickleError(f"holds a {what} tensor, which is not supported")

    return refuse


def _list(kind: type) -> Callable[[_Machine, tuple[Any, ...]], list[Any]]:
    """``torch.jit._pickle.build_…list(items)``: the list itself, whose elements must be of ``kind``."""

    def build(machine: _Machine, args: tuple[Any, ...]) -> list[Any]:
        if len(args) != 1 or type(args[0]) is not list or any(type(item) is not kind for item in args[0]):
            raise PickleError(f"has a list of {kind.__name__} with something else in it")
        return args[0]

    return build


def _tagged(machine: _Machine, args: tuple[Any, ...]) -> Any:
    """``torch.jit._pickle.restore_type_tag(value, type)``: the attribute's declared type says the same again."""
    if len(args) != 2 or type(args[0]) not in (list, dict) or type(args[1]) is not str:
        raise PickleError("tags something that is not a list or a dict")
    return args[0]


def _hooks(machine: _Machine, args: tuple[Any, ...]) -> _Hooks:
    if args != ():
        raise PickleError("makes an OrderedDict that is not empty")
    return _Hooks()


def _device(machine: _Machine, args: tuple[Any, ...]) -> DeviceRecord:
    if not (1 <= len(args) <= 2) or not isinstance(args[0], str) or not all(type(a) is int for a in args[1:]):
        raise PickleError("makes a device of something that is not its name")
    name = ":".join(map(str, args))
    if not _DEVICE.match(name):
        raise PickleError("makes a device of something that is not its name")
    return DeviceRecord(name)


def _complex(machine: _Machine, args: tuple[Any, ...]) -> complex:
    if len(args) != 2 or any(type(a) is not float for a in args):
        raise PickleError("makes a complex number of something that is not two floats")
    return complex(*args)


def _enum(machine: _Machine, name: str, value: Any) -> EnumRecord:
    if isinstance(value, tuple) and len(value) == 1:  # the form that Python's own pickler writes
        value = value[0]
    if type(value) not in (int, float, str):
        raise PickleError(f"has a member of {name} that is {_describe(value)}")
    return EnumRecord(name, value)


_FUNCTIONS: dict[tuple[str, str], Callable[[_Machine, tuple[Any, ...]], Any]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_qtensor"): _refused_tensor("quantized"),
    ("torch._utils", "_rebuild_sparse_tensor"): _refused_tensor("sparse"),
    ("torch.jit._pickle", "build_intlist"): _list(int),
    ("torch.jit._pickle", "build_doublelist"): _list(float),
    ("torch.jit._pickle", "build_boollist"): _list(bool),
    ("torch.jit._pickle", "build_tensorlist"): _list(TensorRecord),
    ("torch.jit._pickle", "restore_type_tag"): _tagged,
    ("collections", "OrderedDict"): _hooks,
    ("torch", "device"): _device,
    ("builtins", "complex"): _complex,
}

_OPCODES: dict[int, Callable[[_Machine], None]] = {
    ord("("): _Machine.mark,
    ord(")"): lambda m: m.stack.append(()),
    ord("t"): lambda m: m.tuple_of(m.pop_mark()),
    0x85: lambda m: m.fixed_tuple(1),
    0x86: lambda m: m.fixed_tuple(2),
    0x87: lambda m: m.fixed_tuple(3),
    ord("]"): lambda m: m.stack.append([]),
    ord("a"): lambda m: m.extend_list([m.pop()]),
    ord("e"): lambda m: m.extend_list(m.pop_mark()),
    ord("}"): lambda m: m.stack.append({}),
    ord("s"): lambda m: _set_item(m),
    ord("u"): lambda m: _set_items(m),
    ord("N"): lambda m: m.stack.append(None),
    0x88: lambda m: m.stack.append(True),
    0x89: lambda m: m.stack.append(False),
    ord("K"): lambda m: m.stack.append(m.number("<B")),
    ord("M"): lambda m: m.stack.append(m.number("<H")),
    ord("J"): lambda m: m.stack.append(m.number("<i")),
    ord("G"): lambda m: m.stack.append(m.number(">d")),
    0x8A: _Machine.long1,
    ord("X"): _Machine.text,
    ord("c"): _Machine.global_name,
    ord("R"): _Machine.reduce,
    0x81: _Machine.new_object,
    ord("b"): _Machine.build,
    ord("Q"): _Machine.persistent,
    ord("q"): lambda m: m.put(m.number("<B")),
    ord("r"): lambda m: m.put(m.number("<I")),
    ord("h"): lambda m: m.get(m.number("<B")),
    ord("j"): lambda m: m.get(m.number("<I")),
}


def _set_item(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items(machine.top(), [key, value])


def _set_items(machine: _Machine) -> None:
    items = machine.pop_mark()
    machine.set_items(machine.top(), items)


def _describe(value: Any) -> str:
    if isinstance(value, _Global):
        return value.name
    if isinstance(value, ObjectRecord | EnumRecord):
        return f"a {value.type_name}"
    names = {StorageRecord: "a storage", TensorRecord: "a tensor", _Hooks: "an OrderedDict", DeviceRecord: "a device"}
    return names.get(type(value), f"a {type(value).__name__}" if value is not None else "None")


# -- the result as a whole ---------------------------------------------------------------------------------------------


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple):
        return list(value)
    return [value.state] if isinstance(value, ObjectRecord) else []


def _check_shape(root: Any, budget: type[Budget]) -> None:
    """Refuse a result that contains itself, is nested too deeply, would be huge written out, or holds a machine part."""
    #: id → (depth, expanded size) of containers that are done; None while inside one
    seen: dict[int, tuple[int, int] | None] = {}
    work: list[tuple[Any, list[Any]]] = [(root, _children(root))]
    path: list[tuple[int, int]] = [(0, 1)]
    seen[id(root)] = None
    while work:
        value, children = work[-1]
        if children:
            _visit(children.pop(), seen, work, path, budget)
            continue
        work.pop()
        depth, size = path.pop()
        # An object is written out once wherever it is shared; only plain containers multiply.
        seen[id(value)] = (depth, 1 if isinstance(value, ObjectRecord) else size)
        if path:
            _account(path, (depth, 1 if isinstance(value, ObjectRecord) else size), budget)


def _visit(
    child: Any,
    seen: dict[int, tuple[int, int] | None],
    work: list[tuple[Any, list[Any]]],
    path: list[tuple[int, int]],
    budget: type[Budget],
) -> None:
    if isinstance(child, _Global | StorageRecord | _Hooks):
        raise PickleError(f"uses {_describe(child)} as a value")
    if isinstance(child, ObjectRecord) and not child.built:
        raise PickleError(f"makes {_describe(child)} and never sets its state")
    if not isinstance(child, list | tuple | dict | ObjectRecord):
        _account(path, (0, 1), budget)
    elif id(child) not in seen:
        if len(work) > budget.nesting:
            raise PickleError(f"nests values more than {budget.nesting} deep")
        seen[id(child)] = None
        work.append((child, _children(child)))
        path.append((0, 1))
    else:
        known = seen[id(child)]
        if known is None:
            raise PickleError("holds a value that contains itself")
        _account(path, known, budget)


def _account(path: list[tuple[int, int]], child: tuple[int, int], budget: type[Budget]) -> None:
    depth, size = path[-1]
    depth, size = max(depth, child[0] + 1), size + child[1]
    if depth > budget.nesting:
        raise PickleError(f"nests values more than {budget.nesting} deep")
    if size > budget.expanded:
        raise PickleError("repeats shared values so often that it cannot be written out")
    path[-1] = depth, size
