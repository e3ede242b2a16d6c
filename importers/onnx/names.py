"""Names of a file as names of Python: whatever a file says, these are identifiers."""

from __future__ import annotations

import functools
import keyword
import re

from bridge.ir.graph import Value

__all__ = ["argument_name", "attribute_name", "child_class", "identifier", "short_name"]

#: Longer names lose what they begin with.
_LONG_NAME = 32


def identifier(name: str) -> str:
    """A Python identifier like the name, no keyword and not ``self``; "" when nothing of it is left."""
    clean = re.sub(r"\W", "_", name, flags=re.ASCII)
    if not clean.strip("_"):
        return ""
    if clean[0].isdigit():
        return f"_{clean}" if len(clean) > 1 and not clean.isdigit() else ""
    return f"{clean}_" if keyword.iskeyword(clean) or clean in ("self", "torch", "ops", "annotate") else clean


#: What every module has already: attributes of these names would hide it.
_RESERVED = frozenset(
    """
    T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval
    extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia
    named_buffers named_children named_modules named_parameters parameters register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory
    state_dict to to_empty train training type xpu zero_grad
    """.split()
)


@functools.lru_cache(1 << 14)
def child_class(parent: str, part: str) -> str:
    """The class of a submodule after its name: ``conv_block`` → ``ConvBlock``; ``layers.0`` → ``Layer``, ``conv.0`` → ``Conv_0``."""
    name = "".join(w[0].upper() + w[1:] for w in part.split("_") if w)
    if name and not name[0].isdigit():
        return name
    outer = parent.rpartition(".")[2]
    several = len(outer) > 3 and outer[-1] == "s" and outer[-2] != "s" and name.isdigit()
    return outer[:-1] if several else f"{outer}_{name}"


@functools.lru_cache(1 << 14)
def attribute_name(part: str) -> str:
    """The attribute that a part of an initializer's dotted name becomes."""
    clean = re.sub(r"\W", "_", part, flags=re.ASCII)
    taken = clean in _RESERVED or not clean or clean.startswith("_") or keyword.iskeyword(clean)
    return f"{clean}_" if taken else clean


def argument_name(name: str) -> str:
    """A name for an argument of a method."""
    return identifier(name) or "x"


def short_name(v: Value, numbered: bool = True) -> str:
    """The last part of a value's path: ``/encoder/layers.0/Conv_output_0`` → ``conv``; without the number that it may end in."""
    short = _short(v.export_name or v.debug_name_base, v.node.kind)
    return short if numbered else _NUMBERED.sub("", short) or short


_SEPARATOR = re.compile(r"/|__|::")
_OUTPUT = re.compile(r"_(output|outputs)_0$|:0$")
_LETTER = re.compile(r"[A-Za-z]")
_OTHER = re.compile(r"[^0-9A-Za-z]+")
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LAST_NUMBER = re.compile(r"_(\d+)$")
_NUMBERED = re.compile(r"_?\d+$")


def _short(name: str, kind: str) -> str:
    return _spelled(_SEPARATOR.split(name)[-1], kind.rpartition("::")[2], "::" in name)


@functools.lru_cache(1 << 14)
def _spelled(part: str, operator: str, qualified: bool) -> str:
    """The last part of a path as a name; after the operator where it says nothing."""
    part = _OUTPUT.sub("", part).rpartition(".")[2]
    if not _LETTER.search(part) or qualified:
        part = operator
    part = _OTHER.sub("_", part).strip("_")
    part = _WORD.sub("_", part).lower()
    if len(part) > _LONG_NAME:
        part = re.sub(r"^[^_]*_", "", part[-_LONG_NAME:])
    return _LAST_NUMBER.sub(r"\1", part) if not part[:1].isdigit() else f"v{part}"
