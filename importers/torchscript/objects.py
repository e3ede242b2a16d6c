"""Records of a pickle as values of a program: each checked against the type that the archive's source declares for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.importers.torchscript.errors import ArchiveError
from bridge.importers.torchscript.records import DeviceRecord, EnumRecord, ObjectRecord, TensorRecord
from bridge.importers.torchscript.sources import Sources
from bridge.importers.torchscript.storages import Storages
from bridge.ir import types as T
from bridge.ir.classes import Attribute, ClassType, InterfaceType, ScriptObject

__all__ = ["Objects"]

_PLAIN: dict[T.Type, type] = {
    T.INT: int,
    T.FLOAT: float,
    T.BOOL: bool,
    T.STR: str,
    T.COMPLEX: complex,
    T.NONE: type(None),
}


class _Mismatch(Exception):
    """A value is not of the declared type."""


class Objects:
    """Makes the values of one pickle. What the pickle shares (objects, tensors, lists, dicts) is shared among the values."""

    def __init__(
        self,
        path: str,
        entry: str,
        sources: Sources,
        storages: Storages,
        make_tensor: Callable[[np.ndarray[Any, Any], bool, bool], Any],
        set_state: Callable[[ScriptObject, Any], None] | None = None,
    ) -> None:
        self._set_state = set_state
        self._path, self._entry, self._sources, self._storages = path, entry, sources, storages
        self._make_tensor = make_tensor
        self._made: dict[int, tuple[T.Type, Any]] = {}
        self._kept: list[Any] = []  # the records, so that an id stays theirs
        self._where: list[str] = []

    def object(self, record: ObjectRecord) -> ScriptObject:
        """The object of a record and everything it holds.

        Raises :class:`ArchiveError`, naming the attribute, for values that are not of their declared type.
        """
        known = self._made.get(id(record))
        if known is not None:
            return known[1]  # type: ignore[no-any-return]
        cls = self._class(record.type_name)
        if "__setstate__" in cls.methods:
            return self._with_state(record, cls)
        if not isinstance(record.state, dict):
            raise self._error(f"is a {cls.name}, and its attributes are not in a dict")
        result = ScriptObject(cls)
        self._remember(record, cls, result)
        for name, attribute in cls.attributes.items():
            self._where.append(name)
            if name not in record.state:
                raise self._error("has no value")
            result.attributes[name] = self._attribute(record.state[name], attribute)
            self._where.pop()
        return result

    def _with_state(self, record: ObjectRecord, cls: ClassType) -> ScriptObject:
        """An object whose class sets its attributes itself, from what its ``__getstate__`` returned."""
        method = cls.methods["__setstate__"]
        if self._set_state is None or len(method.schema.arguments) != 2:
            raise self._error(f"is a {cls.name} with a '__setstate__' of its own, which is not supported")
        result = ScriptObject(cls)
        self._remember(record, cls, result)
        try:
            state = self._value(record.state, method.schema.arguments[1].type)
        except _Mismatch:
            raise self._error(f"is a {cls.name} whose state is not what its '__setstate__' takes") from None
        self._set_state(result, state)
        for name, attribute in cls.attributes.items():
            if name not in result.attributes and isinstance(attribute.type, T.OptionalType):
                result.attributes[name] = None
            elif name not in result.attributes:
                raise self._error(f"is a {cls.name} whose '__setstate__' leaves '{name}' without a value")
        return result

    def _class(self, name: str) -> ClassType:
        found = self._sources.find_type(name)
        if not isinstance(found, ClassType):
            why = (
                "a native class, which is not supported"
                if ".torch.classes." in name
                else "which the archive does not define"
            )
            raise self._error(f"is a {name}, {why}")
        return found

    def _attribute(self, value: Any, attribute: Attribute) -> Any:
        try:
            if attribute.is_parameter and isinstance(value, TensorRecord):
                return self._tensor(value, is_parameter=True)
            return self._value(value, attribute.type)
        except _Mismatch:
            raise self._error(f"is not the {attribute.type.annotation()} that it was declared as") from None

    # -- values by declared type ---------------------------------------------------------------------------------------

    def _value(self, value: Any, type_: T.Type) -> Any:
        plain = _PLAIN.get(type_) if isinstance(type_, T.SimpleType) else None
        if plain is not None:
            if type(value) is not plain:
                raise _Mismatch
            return value
        if isinstance(value, list | dict):
            return self._container(value, type_)
        if isinstance(type_, T.OptionalType):
            return None if value is None else self._value(value, type_.element)
        if isinstance(type_, T.UnionType):
            return self._member(value, type_.members)
        if isinstance(value, TensorRecord) and isinstance(type_, T.TensorType | T.SimpleType):
            return self._tensor(value, is_parameter=False)
        if isinstance(value, DeviceRecord) and type_ in (T.DEVICE, T.ANY):
            return value.name
        if isinstance(value, EnumRecord):
            return self._enum(value, type_)
        if isinstance(value, ObjectRecord):
            return self._instance(value, type_)
        if isinstance(value, tuple) and isinstance(type_, T.TupleType) and len(value) == len(type_.elements):
            return tuple(map(self._value, value, type_.elements))
        if type_ is T.ANY:
            return tuple(self._value(v, T.ANY) for v in value) if isinstance(value, tuple) else value
        raise _Mismatch

    def _container(self, value: Any, type_: T.Type) -> Any:
        """A list or dict; one that the pickle shares is made once, and must have one type."""
        if isinstance(type_, T.OptionalType):
            return self._container(value, type_.element)
        if isinstance(type_, T.UnionType):
            return self._member(value, type_.members)
        known = self._made.get(id(value))
        if known is not None:
            if known[0] != type_:
                raise _Mismatch
            return known[1]
        made: Any
        if isinstance(value, list) and (type_ is T.ANY or isinstance(type_, T.ListType)):
            element = type_.element if isinstance(type_, T.ListType) else T.ANY
            made = [self._value(v, element) for v in value]
        elif isinstance(value, dict) and (type_ is T.ANY or isinstance(type_, T.DictType)):
            key, item = (type_.key, type_.value) if isinstance(type_, T.DictType) else (T.ANY, T.ANY)
            made = {self._value(k, key): self._value(v, item) for k, v in value.items()}
        else:
            raise _Mismatch
        self._remember(value, type_, made)
        return made

    def _member(self, value: Any, members: Sequence[T.Type]) -> Any:
        for member in members:
            try:
                return self._value(value, member)
            except _Mismatch:
                continue
        raise _Mismatch

    def _instance(self, value: ObjectRecord, type_: T.Type) -> ScriptObject:
        made = self.object(value)
        if type_ is T.ANY or made.type is type_:
            return made
        if isinstance(type_, InterfaceType) and type_.covers(made.type):
            return made
        raise _Mismatch

    def _enum(self, value: EnumRecord, type_: T.Type) -> T.EnumValue:
        found = self._sources.find_type(value.type_name)
        if isinstance(found, T.EnumType) and type_ in (found, T.ANY):
            for name, member in found.members:
                if type(member) is type(value.value) and member == value.value:
                    return T.EnumValue(found, name)
        raise _Mismatch

    def _tensor(self, record: TensorRecord, is_parameter: bool) -> Any:
        known = self._made.get(id(record))
        if known is None or (is_parameter and known[0] is T.TENSOR):
            made = self._make_tensor(self._storages.array(record), record.requires_grad, is_parameter)
            self._remember(record, T.ANY if is_parameter else T.TENSOR, made)
            return made
        return known[1]

    def _remember(self, record: Any, type_: T.Type, made: Any) -> None:
        self._made[id(record)] = type_, made
        self._kept.append(record)

    def _error(self, problem: str) -> ArchiveError:
        place = ".".join(self._where)
        return ArchiveError(
            self._path, self._entry, f"attribute '{place}' {problem}" if place else f"the module {problem}"
        )
