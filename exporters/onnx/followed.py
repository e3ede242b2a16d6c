"""Lists and dicts of tensors that the lowering follows element by element, so that it knows which tensor each of them is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bridge.exporters.onnx.same_tensor import earlier, repeated
from bridge.ir import types as T
from bridge.ir.graph import Node, Value
from bridge.ir.passes.constants import NOT_CONSTANT, constant_value

__all__ = ["CHANGES", "AtKeys", "holds_apart", "is_followed", "is_put_once", "takes_one", "values_at_keys"]

#: What makes a list or dict of elements that the lowering follows, as long as it is used as follows: by what only reads it,
#: wherever that is, and by what changes it at a known place, in the block that it was made in.
_BUILT = ("prim::ListConstruct", "prim::DictConstruct")
_READS = {"aten::cat", "aten::stack", "aten::len", "aten::__getitem__", "aten::__contains__", "prim::ListUnpack"}
#: Lists made of such lists (whose uses do not matter to those).
_PARTS = {"aten::slice", "aten::add", "aten::list", "aten::copy"}
CHANGES = {
    "aten::append", "aten::_set_item", "aten::insert", "aten::extend", "aten::reverse", "aten::pop", "aten::clear",
    "aten::add_",
}  # fmt: skip


def is_followed(v: Value) -> bool:
    """Whether the lowering knows what a list or dict holds wherever it is used."""
    if v.node.kind in _PARTS:
        if not isinstance(v.type, T.ListType) or not all(
            is_followed(x) if isinstance(x.type, T.ListType) else _is_constant(x) for x in v.node.inputs
        ):
            return False
    elif v.node.kind not in _BUILT:
        return False
    return all(_is_plain_use(use.user, v) for use in v.uses)


def _is_plain_use(user: Node, v: Value) -> bool:
    if user.kind in _READS or user.kind in _PARTS:
        return True
    if user.kind == "prim::TupleConstruct":
        return all(use.user.kind == "prim::Return" and _is_plain_use(use.user, user.output) for use in user.output.uses)
    if user.kind == "prim::Return":
        return user.block is not None and user.block.owner is None
    if user.kind == "aten::_set_item" and user.inputs[0] is v and _sets_what_is_there(user):
        return True
    if user.block is not v.node.block or user.kind not in CHANGES:
        return False
    if user.inputs[0] is not v:
        return user.kind in ("aten::extend", "aten::add_")
    if user.kind in ("aten::extend", "aten::add_"):
        return user.inputs[1].node.kind == "prim::ListConstruct" and len(user.inputs[1].uses) == 1
    return user.kind == "aten::append" or all(
        isinstance(x.type, T.TensorType | T.TupleType) or _is_constant(x) for x in user.inputs[1:]
    )


def _sets_what_is_there(put: Node) -> bool:
    """Whether ``d[k] = v`` puts what was taken out there (and written to): ``d[k] += 1``."""
    held, at, v = put.inputs
    before: Value | None = v
    while before is not None and before.node.kind != "aten::__getitem__":
        before = earlier(before)
    if before is None or before.node.inputs[0] is not held or before.node.block is not put.block:
        return False
    a, b = constant_value(at), constant_value(before.node.inputs[1])
    if at is before.node.inputs[1]:
        return True
    return a is not NOT_CONSTANT and type(a) is type(b) and a == b


def _is_constant(v: Value) -> bool:
    return constant_value(v) is not NOT_CONSTANT


def takes_one(n: Node) -> bool:
    """Whether a node takes elements out of a list at places that are known."""
    if n.kind == "aten::pop":
        return isinstance(n.inputs[0].type, T.ListType) and _is_constant(n.inputs[1])
    return n.kind == "prim::ListUnpack" or (n.kind == "aten::__getitem__" and _is_constant(n.inputs[1]))


def is_put_once(put: Node, into: Value) -> bool:
    """Whether what a statement puts into a list or dict is known to be there when the list is read, in the same round of a loop."""
    return is_followed(into) or (into.node.kind == "prim::DictConstruct" and put.block is into.node.block)


#: By key, what may be there; and whether that is known to the lowering as the tensor that it is.
AtKeys = dict[Any, list[tuple[Value, bool]]]


def holds_apart(v: Value, is_new: Callable[[Value], bool]) -> bool:
    """Whether a list of tensors has each tensor once, made for it, and only grows at its end: then a tensor that is taken out
    can be written back to its place (``Element``)."""
    if (
        v.node.kind != "prim::ListConstruct"
        or v.type != T.ListType(T.TENSOR)
        or len(set(v.node.inputs)) != len(v.node.inputs)
    ):
        return False
    if not all(is_new(x) and _is_put_in_once(x) for x in v.node.inputs):
        return False
    for user in (use.user for use in v.uses):
        if user.kind == "aten::append" and user.inputs[0] is v:
            x = user.inputs[1]
            if not is_new(x) or not _is_put_in_once(x) or repeated(user, user, x) is not None:
                return False
        elif user.kind == "aten::_set_item" and user.inputs[0] is v and _sets_what_is_there(user):
            continue
        elif user.kind in CHANGES or not (user.kind in _READS or _is_plain_use(user, v)):
            return False
    return True


def _is_put_in_once(x: Value) -> bool:
    return sum(use.user.kind in CHANGES or use.user.kind in _BUILT for use in x.uses) == 1


def values_at_keys(v: Value) -> AtKeys | None:
    """What a dict holds whose keys are all constants, and the same in every branch and loop; None for others."""
    n = v.node
    if n.kind != "prim::DictConstruct" or not all(map(_is_constant, n.inputs[::2])):
        return None
    found: AtKeys = {constant_value(k): [(x, True)] for k, x in zip(n.inputs[::2], n.inputs[1::2], strict=True)}
    sets = []
    for user in (use.user for use in v.uses):
        if user.kind == "aten::_set_item" and user.inputs[0] is v and _is_constant(user.inputs[1]):
            sets.append(user)
        elif user.kind in ("aten::__getitem__", "aten::__contains__"):
            if not _is_constant(user.inputs[1]):
                return None
        elif user.kind in CHANGES or not _is_plain_use(user, v):
            return None
    own = [put for put in sets if put.block is n.block]
    for put in sets:
        key, value = constant_value(put.inputs[1]), put.inputs[2]
        if put in own or _sets_what_is_there(put):
            found.setdefault(key, []).append((value, True))
            continue
        if key not in found and not any(o.is_before(put) and constant_value(o.inputs[1]) == key for o in own):
            return None  # a key that is there on some paths
        found.setdefault(key, []).append((value, False))
    return found
