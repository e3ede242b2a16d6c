"""In-place forms of operators that other files declare: the result is cast to self's type and written into it."""

from __future__ import annotations

from bridge.ir.ops._declare import in_place
from bridge.ir.registry import find, run, unsupported

__all__: list[str] = []

_NAMES = (
    "eq.Tensor eq.Scalar ne.Tensor ne.Scalar lt.Tensor lt.Scalar le.Tensor le.Scalar gt.Tensor gt.Scalar ge.Tensor ge.Scalar "
    "addmm addmv baddbmm cumsum cumprod copysign.Tensor copysign.Scalar ldexp.Tensor xlogy.Tensor nextafter gcd digamma "
    "erfinv i0 index_reduce heaviside rad2deg deg2rad sinc put addr addbmm renorm embedding_renorm"
).split()


def _declare() -> None:
    for name in _NAMES:
        o = find(f"aten::{name}")
        assert o is not None, name
        samples = None if o.samples is None else lambda make=o.samples: list(make())[:1]
        overload = "" if name == "ldexp.Tensor" else None
        composite, kernel = o.composite, o.kernel
        if composite:
            assert kernel is not None
            o.composite, o.kernel = False, lambda *args, k=kernel: k(run, *args)
        try:
            new = in_place(o, samples, overload)
        finally:
            o.composite, o.kernel = composite, kernel
        if composite:
            new.grad = unsupported(f"the gradient of {o.name[6:]} in place is not written; use {o.name[6:]}")
        elif name.partition(".")[0] in _COMPARISONS:
            both = name.endswith("Tensor")
            new.grad = lambda c, g, n=1 + both: (c.op("aten::zeros_like", g), None)[:n]
            new.grad_name = f"{name[:2].capitalize()}Backward{int(both)}"


#: A comparison written into its operand: nothing flows back.
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
_declare()
