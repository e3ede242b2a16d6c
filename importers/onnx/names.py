"""Names of a file as names of Python: whatever a file says, these are identifiers."""

from __future__ import annotations

import functools
import keyword
import re

__all__ = ["attribute_name", "child_class", "identifier"]


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
    """The class of a submodule after its name: ``conv_block`` → ``ConvBlock``; ``layers.0`` → ``Layers0``."""
    name = "".join(w[0].upper() + w[1:] for w in part.split("_") if w)
    return name if name and not name[0].isdigit() else parent.rpartition(".")[2] + name


@functools.lru_cache(1 << 14)
def attribute_name(part: str) -> str:
    """The attribute that a part of an initializer's dotted name becomes."""
    clean = re.sub(r"\W", "_", part, flags=re.ASCII)
    taken = clean in _RESERVED or not clean or clean.startswith("_") or keyword.iskeyword(clean)
    return f"{clean}_" if taken else clean
