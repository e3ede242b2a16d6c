"""What is known of the values of a model of ONNX operators while its nodes are followed in order: element types and sizes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, known_numpy
from bridge.ir.element_types import ElementTypes
from bridge.ir.node_shapes import Sizes, fixed, result_sizes

__all__ = ["Facts"]


class Facts:
    """Facts of values by any key. What nobody told is None."""

    def __init__(self, types: ElementTypes) -> None:
        self.types = types
        self.dtypes: dict[Hashable, DType | None] = {}
        self.sizes: dict[Hashable, Sizes | None] = {}
        #: What a loop starts with no elements: its other sizes may be anything then, which Concat overlooks and torch does not.
        self.hollow: set[Hashable] = set()

    def tell(self, key: Hashable, dtype: DType | None, dims: Sequence[Any] | None) -> None:
        """Note what is known of a value; names of free sizes say nothing."""
        self.dtypes[key], self.sizes[key] = dtype, fixed(dims)

    def tell_array(self, key: Hashable, array: np.ndarray[Any, Any]) -> None:
        """Note a constant or weight."""
        self.tell(key, known_numpy(array.dtype), array.shape)

    def same(self, key: Hashable, *others: Hashable) -> None:
        """Note of a value what holds for each of the others."""
        first, *rest = others
        dtype, sizes = self.dtypes.get(first), self.sizes.get(first)
        for other in rest:
            dtype = dtype if self.dtypes.get(other) is dtype else None
            sizes = sizes if self.sizes.get(other) == sizes else None
        self.dtypes[key], self.sizes[key] = dtype, sizes
        if not self.hollow.isdisjoint(others):
            self.hollow.add(key)

    def carried(self, key: Hashable, start: Hashable) -> None:
        """Note a value that a loop carries: its element type stays, its sizes need not."""
        if start in self.hollow or 0 in (self.sizes.get(start) or ()):
            self.hollow.add(key)
        self.dtypes[key], self.sizes[key] = self.dtypes.get(start), None

    def node(
        self,
        op_type: str,
        domain: str,
        version: int,
        inputs: Sequence[Hashable],
        constants: Sequence[np.ndarray[Any, Any] | None],
        attributes: Mapping[str, Any],
        outputs: Sequence[Hashable],
    ) -> None:
        """Note the results of a node."""
        given = [self.dtypes.get(k) for k in inputs]
        found = self.types.results(op_type, domain, version, given, attributes, len(outputs))
        self.dtypes.update(zip(outputs, found, strict=True))
        if not domain:
            shapes = [self.sizes.get(k) for k in inputs]
            self.sizes.update(
                zip(outputs, result_sizes(op_type, shapes, constants, attributes, len(outputs)), strict=True)
            )
