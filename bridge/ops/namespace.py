"""``ops.<domain>.<Operator>``: looking an operator up and calling it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bridge.ops import schemas

if TYPE_CHECKING:
    from bridge.ir.types import Type

__all__ = ["Namespace", "OnnxOp"]


class Namespace:
    """The operators at chosen versions; attributes are operators (capitalised) or deeper domains.

    ``path`` is the domain so far: () at the top, ("onnx",) for the default domain, ("com", "microsoft")…
    """

    __slots__ = ("_cache", "path", "versions")

    def __init__(self, versions: dict[str, int], path: tuple[str, ...] = ()) -> None:
        self.versions, self.path = versions, path
        self._cache: dict[str, Any] = {}

    @property
    def domain_name(self) -> str:
        """The ONNX domain of this namespace (``""`` for ``ops.onnx``)."""
        return "" if self.path == ("onnx",) else ".".join(self.path)

    def domain(self, name: str) -> Namespace:
        """The operators of a domain by its exact name."""
        return Namespace(self.versions, ("onnx",) if name == "" else (name,))

    def operator(self, name: str) -> OnnxOp:
        """The operator of that exact name in this domain. Raises AttributeError when ONNX's own domain has none."""
        domain = self.domain_name
        version = self.versions.get(domain)
        if version is None:
            version = schemas.default_version(domain)
        if domain == "" and not schemas.is_known(name, "", version):
            raise AttributeError(f"ONNX has no operator '{name}' in opset {version}")
        return OnnxOp(domain, name, version, self.versions)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = self._cache.get(name)
        if found is None:
            found = self._cache[name] = self._find(name)
        return found

    def _find(self, name: str) -> Any:
        if self.path and (name[:1].isupper() or self.domain_name in self.versions):
            deeper = f"{self.domain_name}.{name}"
            if not any(d == deeper or d.startswith(f"{deeper}.") for d in self.versions):
                return self.operator(name)
        if not self.path and name in ("aten", "prim"):
            from bridge.ops.operators import OperatorNamespace

            return OperatorNamespace(name)
        return Namespace(self.versions, (*self.path, name))

    def __dir__(self) -> list[str]:
        return [*schemas.known_ops(self.domain_name), "domain", "operator"] if self.path else ["onnx", "domain"]

    def __repr__(self) -> str:
        return f"<ONNX operators {'.'.join(self.path) or self.versions}>"


class OnnxOp:
    """One operator at one version of its domain. Call it with tensors and attributes.

    ``outputs=N`` asks for N results (default 1): one is returned as it is, more as a tuple. ``versions`` are those of the
    other domains, which the operator's definition may use.
    """

    __slots__ = ("domain", "op_type", "version", "versions")

    def __init__(self, domain: str, op_type: str, version: int, versions: Mapping[str, int] | None = None) -> None:
        self.domain, self.op_type, self.version = domain, op_type, version
        self.versions = versions if versions is not None else {}

    @property
    def kind(self) -> str:
        """The IR kind of its nodes."""
        return f"{self.domain or 'onnx'}::{self.op_type}"

    def result_types(self, inputs: Sequence[Type], attributes: Mapping[str, Any], count: int) -> list[Type]:
        """The IR types of ``count`` results for inputs of these types: Tensor, ``List[Tensor]``, ``Optional[…]``…"""
        from bridge.importers.onnx.schemas import result_types

        return result_types(self.op_type, self.domain, self.version, inputs, attributes, count)

    def __call__(self, /, *args: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Run the operator on onnxruntime. Inputs are tensors, lists of tensors or None (omitted).

        Raises TypeError for inputs that are no tensors and attributes that the operator does not have, and what
        onnxruntime raises for arguments it refuses.
        """
        from bridge.ops.eager import run_operator

        return run_operator(self, args, outputs, attributes)

    def __repr__(self) -> str:
        return f"<ONNX operator {self.kind}, opset {self.version}>"
