"""onnxruntime sessions and the execution providers that run them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError

__all__ = ["ProviderError", "chosen", "open_session", "providers", "using"]

CPU = "CPUExecutionProvider"

#: Below this many bytes of weights one thread is enough, and a session opens in a fraction of a millisecond.
_SMALL = 4 << 20

Provider = str | tuple[str, Mapping[str, Any]]


class ProviderError(BridgeError):
    """An execution provider that was asked for is not there or does not take part."""


def providers() -> list[str]:
    """The execution providers of the installed onnxruntime, by priority."""
    import onnxruntime

    return list(onnxruntime.get_available_providers())


_chosen: ContextVar[tuple[Provider, ...]] = ContextVar("bridge_providers", default=(CPU,))


def chosen() -> tuple[Provider, ...]:
    """The providers that calls use now."""
    return _chosen.get()


@contextmanager
def using(names: Sequence[Provider] | str | None) -> Iterator[None]:
    """For a ``with`` block, run programs on these providers, in order of preference (None or empty: the CPU).

    Short names do (``"CUDA"``). Raises ProviderError for one that is not installed.
    """
    wanted: Sequence[Provider] = [names] if isinstance(names, str) else names or [CPU]
    token = _chosen.set(tuple(full_name(n) for n in wanted))
    try:
        yield
    finally:
        _chosen.reset(token)


def full_name(provider: Provider) -> Provider:
    name, options = (provider, None) if isinstance(provider, str) else provider
    known = providers()
    found = next((k for k in known if name.lower() in (k.lower(), k.lower().removesuffix("executionprovider"))), None)
    if found is None:
        raise ProviderError(f"there is no execution provider '{name}' here; available: {', '.join(known)}")
    return found if options is None else (found, options)


def open_session(
    model: bytes | str | os.PathLike[str],
    providers: Sequence[Provider] | str | None = None,
    *,
    weights: Mapping[str, np.ndarray[Any, Any]] | None = None,
    size: int | None = None,
    quiet: bool = False,
) -> Any:
    """An ``onnxruntime.InferenceSession``.

    ``weights`` are the values of initializers that the model leaves to its host; their memory is used, not copied. ``size``
    is how many bytes of weights the model has (threads are started for large ones only). ``quiet`` keeps onnxruntime from
    printing failures, for a host that handles them. Raises ProviderError when a
    provider that was asked for is not installed or runs nothing, and BridgeError when onnxruntime refuses the model.
    """
    import onnxruntime

    asked_for: Sequence[Provider]
    if providers is None:
        asked_for = chosen()
    else:
        asked_for = [providers] if isinstance(providers, str) else providers
    wanted = [full_name(p) for p in asked_for]
    names = [p if isinstance(p, str) else p[0] for p in wanted]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4 if quiet else 3  # what it warns of (an initializer without use) is known here
    if size is not None and size < _SMALL:
        options.intra_op_num_threads = 1
    held = _share(options, weights or {})
    source = model if isinstance(model, bytes) else os.fspath(model)
    asked = wanted if CPU in names else [*wanted, CPU]
    try:
        session = onnxruntime.InferenceSession(source, options, providers=asked)
    except Exception as error:  # onnxruntime's errors have no common base but this
        raise BridgeError(f"onnxruntime refused the model: {error}") from error
    missing = [n for n in names if n not in session.get_providers()]
    if missing:
        raise ProviderError(
            f"{', '.join(missing)} does not take part in this session (it runs on {', '.join(session.get_providers())})"
        )
    session._bridge_weights = held  # their memory must live as long as the session
    return session


def _share(options: Any, weights: Mapping[str, np.ndarray[Any, Any]]) -> list[Any]:
    """Give initializers to the session without a copy."""
    from onnxruntime import OrtValue
    from onnxruntime.capi.onnxruntime_pybind11_state import OrtValue as Raw

    names, values = list(weights), []
    held: list[Any] = []
    for array in weights.values():
        array = array if array.flags.c_contiguous else array.copy(order="C")
        if array.size and array.flags.writeable and array.dtype.kind in "fiu":
            raw = Raw.from_dlpack(array.__dlpack__())
        elif array.dtype.kind == "V" or array.dtype.name == "bfloat16":
            raw = Raw.ortvalue_from_numpy_with_onnx_type(array, 16)
        else:
            raw = OrtValue.ortvalue_from_numpy(array)._ortvalue
        values.append(OrtValue(raw))
        held += [array, values[-1]]
    if names:
        options.add_external_initializers(names, values)
    return held
