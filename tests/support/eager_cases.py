"""Small programs for eager mode; what torch prints for each is recorded by goldens/record_eager.py.

A case is code that sees ``torch``. Its output is what it prints, then the repr of its last expression or the error.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import warnings
from typing import Any


def run_case(code: str, torch: Any) -> str:
    """The text that a case gives with this module as ``torch``."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    space: dict[str, Any] = {"torch": torch, "nn": torch.nn, "__name__": "__main__"}
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(tree, "<case>", "exec"), space)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), "<case>", "eval"), space)
                if value is not None:
                    print(repr(value))
        except Exception as error:
            kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins")
            print(f"{kind}: {error}")
        finally:
            torch.set_printoptions(profile="default")
    return re.sub(r"0x[0-9a-f]+", "0x…", out.getvalue())


def table(prefix: str, expressions: str) -> dict[str, str]:
    """One case per line."""
    return {f"{prefix}: {line}": line for line in map(str.strip, expressions.strip().splitlines()) if line}


CREATION = table(
    "creation",
    """
    torch.tensor([[1, 2], [3]])
    torch.tensor([torch.ones(1), torch.zeros(1, 1), torch.tensor(2.0)])
    torch.tensor([[torch.ones(1)], [torch.zeros(1, 1)]])
    torch.tensor([torch.ones(2), torch.ones(2)])
    torch.tensor([torch.ones(1, dtype=torch.int64), 2.5])
    torch.tensor("a")
    torch.tensor([1, "a"])
    torch.tensor(None)
    torch.tensor([1, 2.5, True]).dtype
    torch.tensor([]).dtype
    torch.tensor([True, False])
    torch.tensor([1 + 2j, 3])
    torch.tensor([[1, 2], [3, 4]], dtype=torch.float64)
    torch.tensor([1.9, -1.9], dtype=torch.int32)
    torch.tensor(300, dtype=torch.uint8)
    torch.tensor([torch.tensor(1), 2.5])
    torch.tensor(3.5, requires_grad=True)
    torch.tensor(2**70)
    torch.ones(2, 3, dtype=float)
    torch.ones([2, 3], dtype=torch.int32)
    torch.ones((2, 3), dtype=torch.bool)
    torch.zeros(2, 3, requires_grad=True)
    torch.full((2,), 3)
    torch.full((2,), 3.0)
    torch.arange(3), torch.arange(3.0), torch.arange(1, 10, 3), torch.arange(0, 1, 0.25)
    torch.linspace(0, 1, 5)
    torch.einsum(torch.ones(2, 3), [0, 1], torch.ones(3, 4), [1, 2], [0, 2]), torch.einsum(torch.ones(2, 3), [..., 30])
    torch.einsum(torch.ones(2, 3), [0, 77])
    torch.eye(3)
    torch.empty(0, 3)
    torch.zeros_like(torch.ones(2, dtype=torch.int8)), torch.ones_like(torch.zeros(2, 1)), torch.full_like(torch.zeros(2), 7)
    torch.tensor(3).new_tensor([1.5])
    torch.ones(2).new_zeros(2, 2), torch.ones(2).new_ones((1,)), torch.ones(2).new_full((2,), 3)
    torch.ones(2, device="cpu").device, torch.device("cuda:1").index, torch.device("cpu")
    torch.Tensor([1, 2]), torch.Tensor(2, 3).shape, torch.FloatTensor([1]).dtype, torch.LongTensor([1, 2])
    torch.as_tensor([1, 2]), torch.scalar_tensor(3)
    isinstance(torch.ones(2), torch.FloatTensor), isinstance(torch.ones(2), torch.LongTensor)
    """,
)

OPERATORS = table(
    "operators",
    """
    torch.tensor([1, 2]) + torch.tensor([1, 2, 3])
    torch.ones(2, 3) + torch.ones(3, 1)
    torch.tensor(3.0) * 2, torch.tensor(3) * 2.5, torch.tensor([3]) * 2.5
    torch.tensor([3], dtype=torch.int32) * torch.tensor(2)
    torch.tensor([1.0], dtype=torch.float16) * torch.tensor(2.0, dtype=torch.float64)
    torch.tensor([3]).add_(2.5)
    torch.tensor([3.0]).add_(torch.ones(2))
    torch.tensor([True, False]) & torch.tensor([True, True])
    ~torch.tensor([True, False])
    torch.tensor([5, -7]) // 2, torch.tensor([5, -7]) % 3, torch.tensor([5.0, -7]) % -3
    torch.tensor([5, -7]) ** 2
    torch.tensor([5, -7]) ** -1
    2 ** torch.tensor([5.0, -7]), 5 // torch.tensor([2, 3]), 5 - torch.tensor([2, 3]), 5 / torch.tensor([2, 3])
    7 % torch.tensor([4, 3]), 1 / torch.tensor([4.0, 3])
    torch.tensor([1, 2]) << 2
    abs(torch.tensor([-2, 3])), -torch.tensor([1.0])
    torch.tensor([1.0, 2]) @ torch.tensor([1.0, 2, 3])
    torch.ones(2, 3) @ torch.ones(2, 3)
    torch.ones(2, 3) @ torch.ones(3)
    torch.ones(2) == None
    torch.ones(2) != "a"
    torch.ones(2) == torch.tensor([1, 2])
    3 in torch.ones(2), 1 in torch.ones(2)
    torch.ones(2) + "a"
    torch.ones(2).add("a")
    torch.tanh(3)
    torch.ones(2).sum(3)
    torch.ones(2, 3).view(4)
    torch.where(torch.tensor([True, False]), 1.0, 2.0)
    torch.clamp(torch.tensor([1.0, 5.0]), max=2), torch.tensor([1.0, 5.0]).clamp(min=2)
    torch.sum(torch.ones(2, 3), dim=1, keepdim=True), torch.sum(input=torch.ones(2, 3), axis=1)
    torch.ones(2, 3).mean((0, 1)), torch.ones(2, 3).sum(dtype=torch.float64), torch.ones(3, dtype=torch.int32).sum()
    torch.ones(3, dtype=torch.int32).mean()
    torch.ones(2, 3).max(), torch.ones(2, 3).max(dim=1)
    torch.cat((torch.ones(2), torch.zeros(2)), dim=0), torch.stack([torch.ones(2), torch.zeros(2)], dim=1)
    torch.cat((torch.ones(2), torch.zeros(2, 1)))
    torch.ones(4, 3).split([1, 3]), torch.ones(2, 3).chunk(2, 1), torch.ones(2, 2).unbind()
    torch.equal(torch.ones(2), torch.ones(2)), torch.isnan(torch.tensor([1.0, float("nan")]))
    torch.result_type(torch.tensor([1]), 2.5), torch.promote_types(torch.int8, torch.uint8)
    torch.add(torch.ones(2), 1, alpha=2), torch.ones(2).add(other=1)
    torch.add(torch.ones(2), torch.ones(2), out=torch.zeros(2))
    torch.ones(2, requires_grad=True).add(1, out=torch.zeros(2)) if False else None
    """,
)

SHAPES = table(
    "shapes",
    """
    torch.rand(2, 3).shape, torch.rand(2, 3).size() + (1,), torch.rand(2, 3).size(1), torch.Size([1, 2]).numel()
    torch.tensor([1.5]).size(1)
    torch.ones(3).expand(2, 3).stride(), torch.ones(2, 3, 4).permute(2, 0, 1).stride()
    torch.ones(2, 3, 4).transpose(0, 1).reshape(-1).shape, torch.ones(2, 3).T.is_contiguous(), torch.ones(2, 3, 4).mT.shape
    torch.ones(2).squeeze_(), torch.ones(2, 1).squeeze_(1).shape, torch.ones(2, 3).unsqueeze_(1).shape
    torch.ones(2, 3).t_().shape, torch.ones(2, 3).fill_(5), torch.ones(2, 3).zero_()
    torch.ones(2, 3).copy_(torch.tensor([1, 2, 3]))
    torch.ones(2, 3).repeat(2, 1).shape, torch.ones(2, 3).numel(), torch.ones(2, 3).element_size(), torch.ones(2, 3).dim()
    torch.arange(12).view(3, 4)[1:, 1].storage_offset(), torch.arange(12).view(3, 4)[1:, 1].stride()
    torch.broadcast_shapes((2, 1), (3,)), torch.Size((2, 3))[1:], torch.Size((2,)) * 2, (1,) + torch.Size((2,))
    torch.ones(2, 3).view(-1, 2).shape, torch.ones(2, 3).view((3, 2)).shape, torch.ones(2, 3).reshape(6).shape
    torch.ones(2, 3).flatten().shape, torch.ones(2, 1, 3).squeeze(1).shape, torch.ones(2, 3).unsqueeze(-1).shape
    """,
)

CONVERSIONS = table(
    "conversions",
    """
    torch.tensor([1, 2]).item()
    bool(torch.tensor([1, 2]))
    bool(torch.tensor([]))
    bool(torch.tensor([[0.0]])), int(torch.tensor(3.7)), float(torch.tensor(3)), complex(torch.tensor(2))
    [1, 2, 3][torch.tensor(1)]
    [1, 2, 3][torch.tensor(1.0)]
    len(torch.tensor(1))
    list(torch.tensor(1))
    len(torch.ones(3, 2)), [t.shape for t in torch.ones(2, 3)]
    torch.tensor([1.0, 2]).tolist(), torch.tensor(3).tolist(), torch.ones(2, 1, dtype=torch.bool).tolist()
    torch.tensor([1.0, 2, 3], requires_grad=True).numpy()
    torch.ones(2, 3).__array__().shape, torch.ones(2).numpy()
    f"{torch.tensor(3.14159):.2f} {torch.tensor([1.0])}"
    torch.ones(2, 3).to(torch.int32).dtype, torch.ones(2, 3).long().type(), torch.ones(2, 3).type(torch.float64)
    torch.ones(2).to("cpu", torch.float64), torch.ones(2).to(torch.ones(1, dtype=torch.int8)), torch.ones(2).half()
    torch.tensor([1, 2, 3]).requires_grad_()
    torch.float32, torch.get_default_dtype(), torch.finfo(torch.float32), torch.iinfo(torch.int32), torch.finfo(torch.float16).eps
    torch.float16.is_floating_point, torch.int8.is_signed, torch.complex64.is_complex, torch.int64.itemsize
    torch.strided, torch.contiguous_format, torch.ones(2).layout, torch.ones(2).dtype
    """,
)

INDEXING = table(
    "indexing",
    """
    torch.tensor(1.5)[0]
    torch.tensor([1.5])[1]
    torch.tensor([[1.5]])[0, 1]
    torch.tensor([[1.5]])[0, 0, 0]
    torch.arange(12.0).view(3, 4)[:, 1], torch.arange(12.0).view(3, 4)[-1, ::2], torch.arange(12.0).view(3, 4)[None, ..., 0]
    torch.arange(5)[[0, 2]], torch.arange(5)[torch.tensor([4, 0])], torch.arange(5)[torch.arange(5) > 2]
    torch.arange(12).view(3, 4)[1:, [0, 1]], torch.arange(12).view(3, 4)[[0, 1], [1, 2]]
    torch.arange(12).view(3, 4)[torch.tensor([[0], [2]]), torch.tensor([1, 3])]
    torch.arange(5)[::-1]
    torch.arange(5)["a"]
    torch.arange(5)[torch.tensor(2)], torch.arange(5)[torch.tensor(2):], torch.arange(4).view(2, 2)[True].shape
    torch.arange(5)[torch.tensor([7])]
    torch.arange(6)[[0.1, 1.9, -2.5]], torch.arange(6).view(3, 2)[[0.5, 1.0], [0, 1]]
    torch.arange(5)[[1j]]
    torch.arange(24).view(2, 3, 4)[:, [0, 1], :2].shape, torch.arange(24).view(2, 3, 4)[[0], :, [1]].shape
    """,
) | {
    "indexing: assign": """
x = torch.zeros(3, 4)
x[0] = 1
x[1, 2:] = torch.tensor([5, 6])
x[:, 0] += 10
x[x > 9] = -1
x[[0, 2], 3] = 7
x[-1] = torch.tensor([[1.0, 2, 3, 4]])
x[..., 1] = 3.5
x
""",
    "indexing: assign shape": "x = torch.zeros(3, 4)\nx[0] = torch.ones(3)",
    "indexing: assign bool": "x = torch.zeros(2, 2)\nx[True] = 3\nx[torch.tensor([True, False])] = torch.ones(2)\nx",
    "indexing: views alias": "x = torch.zeros(2, 3)\nv = x[1]\nv += 1\nx.t()[0] = 5\nx, v",
}
