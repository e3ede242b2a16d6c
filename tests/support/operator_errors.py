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
