import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Dict, List, NamedTuple, Optional, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class DictOutput(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(6, 6)
        self.cls = nn.Linear(6, 3)
        self.box = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Dict[str, Tensor]:
        z = F.relu(self.body(x))
        out = {"logits": self.cls(z), "boxes": self.box(z).sigmoid()}
        if z.sum() > 4.0:
            out["feat"] = z * 2
        else:
            out["feat"] = z
        return out


add("dict_output", DictOutput, lambda: [(torch.randn(2, 6),), (torch.randn(2, 6) * 6,), (torch.zeros(5, 6),)])


class OptionalOutput(nn.Module):
    """The aux head is None unless the input is hard."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.aux = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tuple[Tensor, Optional[Tensor]]:
        y = self.fc(x)
        extra: Optional[Tensor] = None
        if y.std() > 1.0:
            extra = self.aux(y)
        return y, extra


add(
    "optional_output",
    OptionalOutput,
    lambda: [(torch.randn(3, 4) * 9,), (torch.randn(3, 4) * 0.1,), (torch.randn(3, 4) * 20,)],
)


class ListInput(nn.Module):
    """A list of tensors of various lengths -> padded batch, pooled."""

    def forward(self, xs: List[Tensor]) -> Tuple[Tensor, Tensor]:
        longest = 0
        for x in xs:
            if x.size(0) > longest:
                longest = x.size(0)
        rows: List[Tensor] = []
        for x in xs:
            rows.append(F.pad(x, (0, longest - x.size(0))))
        batch = torch.stack(rows)
        return batch, batch.sum(dim=1)


add(
    "list_input",
    ListInput,
    lambda: [
        ([torch.randn(3), torch.randn(5), torch.randn(2)],),
        ([torch.randn(6), torch.randn(2), torch.randn(4)],),
        ([torch.randn(4), torch.randn(7)],),
        ([torch.randn(2) for _ in range(5)],),
    ],
)
