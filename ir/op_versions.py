"""Operators whose meaning changed while TorchScript archives kept their spelling.

An archive states the version of the operators it was written for. One that uses an operator of this table must state at
least the version given here; one that states less means the operator as it was before.
"""

from __future__ import annotations

from bridge.ir.graph import Node

__all__ = ["meant_otherwise", "needed_version", "version_of"]

_SINCE = {
    "aten::div": 4,  # divided integers as integers before
    "aten::div_": 4,
    "aten::full": 5,  # took its dtype from the default type, not from the value, before
    "aten::linspace": 8,  # had a default number of steps before
    "aten::logspace": 9,
    "aten::gelu": 10,  # had no choice of approximation before
}
#: the overloads of those kinds that did not change
_UNCHANGED = {
    "aten::div.int",
    "aten::div.float",
    "aten::div.complex",
    "aten::div",
    "aten::full.names",
    "aten::full.names_out",
}
#: of the kinds above, those whose text meant something else, and did not only allow less
_OTHERWISE = {"aten::div", "aten::div_", "aten::full"}


def needed_version(node: Node) -> int:
    """The least version an archive with this node must state; 0 when every version will do."""
    since = _SINCE.get(node.kind, 0)
    return 0 if f"{node.kind}.{node.overload}".rstrip(".") in _UNCHANGED else since


def version_of(kind: str) -> int:
    """Since which version operators of that kind are what they are now; 0 for those that never changed."""
    return _SINCE.get(kind, 0)


def meant_otherwise(node: Node, version: int) -> bool:
    """Whether an archive of that version means something else by the node than programs do now."""
    return node.kind in _OTHERWISE and version < needed_version(node)
