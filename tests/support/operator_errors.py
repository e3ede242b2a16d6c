"""Calls that torch refuses for their values or sizes: ``expression | arguments that fit | arguments that do not``.

What eager mode says is recorded by goldens/record_eager.py; ``test_operator_errors.py`` runs them in exported models, whose
sizes are free.
"""

from __future__ import annotations

import ast

_TABLE = """
F.avg_pool1d(a, 3)                              | ones(1, 2, 6) | ones(1, 2, 2)
F.avg_pool2d(a, 3)                              | ones(1, 2, 6, 6) | ones(1, 2, 2, 6)
F.avg_pool2d(a, 3, 1)                           | ones(2, 6, 6) | ones(2, 6, 2)
F.avg_pool3d(a, 3, 1, 1)                        | ones(1, 2, 6, 6, 6) | ones(1, 2, 6, 2, 6)
F.max_pool1d(a, 3, 2)                           | ones(2, 6) | ones(2, 2)
F.max_pool1d(a, 3, 2, 1)                        | ones(1, 2, 6) | ones(1, 2, 0)
F.max_pool2d(a, 3)                              | ones(1, 2, 6, 6) | ones(1, 2, 2, 6)
F.max_pool2d(a, 3)                              | ones(1, 2, 6, 6) | ones(1, 2, 0, 6)
F.max_pool2d(a, 3, 1, ceil_mode=True)           | ones(1, 2, 6, 6) | ones(1, 2, 2, 6)
F.max_pool2d(a, 2, 2, 1, 3)                     | ones(1, 2, 6, 6) | ones(1, 2, 1, 6)
F.max_pool3d(a, 3)                              | ones(1, 2, 6, 6, 6) | ones(1, 2, 6, 2, 6)
F.lp_pool2d(a, 2., 3)                           | ones(1, 2, 6, 6) | ones(1, 2, 2, 6)
F.adaptive_avg_pool1d(a, 3)                     | ones(1, 2, 6) | ones(1, 2, 0)
F.adaptive_avg_pool2d(a, 3)                     | ones(1, 2, 6, 6) | ones(1, 2, 0, 6)
F.conv2d(a, b)                                  | ones(1, 2, 6, 6), ones(4, 2, 3, 3) | ones(1, 2, 2, 6), ones(4, 2, 3, 3)
F.conv2d(a, b, stride=2)                        | ones(1, 2, 6, 6), ones(4, 2, 3, 3) | ones(1, 3, 6, 6), ones(4, 2, 3, 3)
F.unfold(a, 3)                                  | ones(1, 2, 6, 6) | ones(1, 2, 2, 6)
F.embedding(a, b)                               | tensor([1, 2]), ones(5, 3) | tensor([1, -1]), ones(5, 3)
F.embedding(a, b)                               | tensor([1, 2]), ones(5, 3) | tensor([1, 5]), ones(5, 3)
torch.gather(a, 1, b)                           | ones(2, 3), tensor([[0], [1]]) | ones(2, 3), tensor([[0], [-1]])
torch.index_select(a, 0, b)                     | ones(2, 3), tensor([0, 1]) | ones(2, 3), tensor([0, -1])
a[b]                                            | ones(2, 3), tensor([0, 1]) | ones(2, 3), tensor([0, 2])
a[b]                                            | ones(3, 3), tensor([True, False, True]) | ones(3, 3), tensor([False, True])
a[b]                                            | ones(2, 3), ones(2, 3) > 0 | ones(2, 3), ones(3, 2) > 0
a[:, b]                                         | ones(2, 3), tensor([True, False, True]) | ones(2, 3), tensor([True])
a.narrow(0, 1, 3)                               | ones(7, 3) | ones(2, 3)
a.narrow(0, -1, 1)                              | ones(7, 3) | ones(0, 3)
a.narrow(0, int(b), 2)                          | ones(7, 3), tensor(3) | ones(7, 3), tensor(6)
a.scatter(1, b, 1.0)                            | ones(2, 3), tensor([[0], [1]]) | ones(2, 3), tensor([[0], [-1]])
a.scatter_add(1, b, c)                          | ones(2, 3), tensor([[0], [1]]), ones(2, 1) | ones(2, 3), tensor([[0], [-1]]), ones(2, 1)
a.index_add(0, b, c)                            | ones(2, 3), tensor([0, 1]), ones(2, 3) | ones(2, 3), tensor([0, -1]), ones(2, 3)
a.index_add(0, b, c)                            | ones(2, 3), tensor([0, 1]), ones(2, 3) | ones(2, 3), tensor([0, 1]), ones(1, 3)
a.index_copy(0, b, c)                           | ones(2, 3), tensor([0, 1]), ones(2, 3) | ones(2, 3), tensor([0, -1]), ones(2, 3)
a.index_copy(0, b, c)                           | ones(2, 3), tensor([0, 1]), ones(2, 3) | ones(2, 3), tensor([0, 1]), ones(1, 3)
torch.arange(int(a))                            | tensor(3) | tensor(-1)
torch.arange(int(a), 0, -1)                     | tensor(3) | tensor(-1)
torch.arange(int(a), int(b), 2)                 | tensor(1), tensor(5) | tensor(5), tensor(1)
torch.repeat_interleave(a)                      | tensor([1, 0, 2]) | tensor([1, -1])
torch.repeat_interleave(a, b, 0)                | ones(2, 3), tensor([1, 0]) | ones(2, 3), tensor([1, -1])
F.one_hot(a, 4)                                 | tensor([0, 3]) | tensor([0, 4])
F.one_hot(a, 4)                                 | tensor([0, 3]) | tensor([0, -1])
F.cross_entropy(a, b)                           | ones(2, 3), tensor([0, 1]) | ones(2, 3), tensor([0, -1])
F.nll_loss(a, b)                                | ones(2, 3), tensor([0, -100]) | ones(2, 3), tensor([0, 3])
F.binary_cross_entropy(a, b)                    | ones(2, 3), ones(2, 3) | ones(2, 3) * 2, ones(2, 3)
a.reshape(b.size(0), 3)                         | ones(6), ones(2) | ones(6), ones(3)
a.view(b.size(0), b.size(1))                    | ones(6), ones(2, 3) | ones(6), ones(3, 3)
a.expand(1, 3)                                  | ones(1, 3) | ones(2, 3)
a.expand(b.size(0), 3)                          | ones(1, 3), ones(2) | ones(2, 3), ones(1)
a.expand(-1, 1)                                 | ones(2, 1) | ones(2, 3)
a.expand_as(b)                                  | ones(1, 3), ones(2, 3) | ones(2, 3), ones(1, 3)
torch.bmm(a, b)                                 | ones(2, 3, 4), ones(2, 4, 5) | ones(2, 3, 4), ones(1, 4, 5)
torch.bmm(a, b)                                 | ones(2, 3, 4), ones(2, 4, 5) | ones(1, 3, 4), ones(2, 4, 5)
torch.baddbmm(c, a, b)                          | ones(2, 3, 4), ones(2, 4, 5), ones(1, 5) | ones(1, 3, 4), ones(1, 4, 5), ones(2, 3, 5)
torch.addmm(c, a, b)                            | ones(3, 4), ones(4, 5), ones(5) | ones(1, 4), ones(4, 5), ones(3, 5)
torch.addmv(c, a, b)                            | ones(3, 4), ones(4), ones(3) | ones(1, 4), ones(4), ones(3)
a.clone().add_(b)                               | ones(2, 3), ones(2, 3) | ones(1, 3), ones(2, 3)
a.clone().copy_(b)                              | ones(2, 3), ones(2, 3) | ones(1, 3), ones(2, 3)
a.clone().masked_fill_(b, 1.0)                  | ones(3), tensor([True, False, True]) | ones(1), tensor([True, False, True])
a.unfold(0, 3, 1)                               | ones(3, 6) | ones(2, 5)
F.glu(a)                                        | ones(2, 4) | ones(2, 3)
torch.cross(a, b, dim=1)                        | ones(2, 3), ones(2, 3) | ones(2, 4), ones(2, 4)
"""

_EAGER = """
F.max_pool1d(ones(1, 2, 2), 3, return_indices=True)
F.max_pool2d(ones(2, 0, 6), 3)
F.max_pool2d(ones(1, 0, 6, 6), 3)
F.max_pool2d(ones(0, 2, 6, 6), 3)
F.max_pool2d(ones(6, 6), 3)
F.max_pool2d(ones(1, 2, 6, 6), 3, padding=2)
F.max_pool2d(ones(1, 2, 6, 6), 2, 0)
F.max_pool2d(ones(1, 2, 6, 6), 2, 1, 0, 0)
F.max_pool2d(ones(1, 2, 6, 6), 2, 1, -1)
F.max_pool1d(ones(1, 2, 6), 3, padding=2)
F.max_pool1d(ones(1, 2, 6), 2, -1)
F.max_pool1d(ones(6), 3)
F.max_pool1d(ones(0, 2, 6), 3).shape
F.avg_pool1d(ones(0, 2, 6), 3)
F.avg_pool1d(ones(1, 2, 6), 3, padding=2)
F.avg_pool2d(ones(1, 0, 6, 6), 3)
F.avg_pool2d(ones(1, 2, 6, 6), 2, 0)
F.avg_pool3d(ones(2, 2, 6, 6), 3)
F.adaptive_avg_pool2d(ones(0, 2, 3, 6), 3)
F.adaptive_max_pool2d(ones(0, 2, 3, 6), 1)
F.adaptive_max_pool2d(ones(1, 2, 0, 6), 3)
F.adaptive_max_pool1d(ones(1, 2, 0), 3)
F.layer_norm(ones(2, 3), [3], ones(1))
F.layer_norm(ones(2, 3), [3], ones(3), ones(1))
F.group_norm(ones(2, 4, 3), 2, ones(1))
F.batch_norm(ones(2, 4), ones(3), ones(3))
F.batch_norm(ones(2, 3), ones(3), ones(3), ones(1))
F.prelu(ones(2, 4), ones(3))
F.prelu(ones(2, 1), ones(4))
F.unfold(ones(1, 2, 2, 6), 3, 2, 1, 2)
F.pad(ones(1, 2, 1), [2, 2], 'circular')
F.pad(ones(1, 2, 3), [-2, -2])
F.pad(ones(1, 2, 2), [2, 1], 'reflect')
F.pad(arange(4.0).reshape(1, 1, 4), [-4, 5], 'replicate')
F.conv_transpose2d(ones(1, 2, 1, 6), ones(2, 4, 3, 3), padding=2)
F.conv_transpose1d(ones(1, 2, 0), ones(2, 4, 3))
ones(2, 4).sum_to_size(1, 3)
torch.addr(ones(3, 4), ones(1), ones(4))
"""

#: What the expressions see besides their arguments.
NAMES = """
F = torch.nn.functional
ones, zeros, arange, tensor = torch.ones, torch.zeros, torch.arange, torch.tensor
"""


def arguments(text: str) -> list[str]:
    """The names of arguments that are written so: a, b, and so on."""
    made = ast.parse(f"({text},)", mode="eval").body
    assert isinstance(made, ast.Tuple)
    return list("abcde"[: len(made.elts)])


#: expression, arguments that fit, arguments that do not.
ROWS = [[cell.strip() for cell in line.split(" | ")] for line in _TABLE.strip().splitlines()]

EAGER = {
    **{
        f"errors: {expression} of {bad}": f"{NAMES}{', '.join(arguments(bad))}, = {bad},\n{expression}"
        for expression, _, bad in ROWS
    },
    **{f"errors: {line}": f"{NAMES}{line}" for line in _EAGER.strip().splitlines()},
}
