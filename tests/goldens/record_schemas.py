"""Record ir/schemas.txt: the schemas of torch's ATen and prim operators, overloads in torch's order.

The order matters: overload resolution takes the first match, and the tries before it decide the numbers of values.
Run with torch installed: ``python tests/goldens/record_schemas.py``.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch

NAMESPACES = ("aten", "prim", "cuda", "quantized", "torchvision")
TARGET = Path(__file__).parents[2] / "ir" / "schemas.txt"


def _shorter(match: re.Match[str]) -> str:
    return repr(float(match.group()))


def main() -> None:
    names = sorted({s.name for s in torch._C._jit_get_all_schemas() if s.name.partition("::")[0] in NAMESPACES})
    lines = []
    for name in names:
        for schema in torch._C._jit_get_schemas_for_operator(name):
            text = re.sub(r"(?<=[=\s\[-])\d+\.\d*(e[+-]?\d+)?", _shorter, str(schema))
            lines.append(text.replace("SymInt", "int"))
    TARGET.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} overloads of {len(names)} operators in {TARGET}")


if __name__ == "__main__":
    main()
