import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Dict, List, NamedTuple, Optional, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class NMS(nn.Module):
    """Greedy non-maximum suppression with a score threshold."""

    def __init__(self, overlap: float = 0.5, score: float = 0.3):
        super().__init__()
        self.overlap, self.score = overlap, score

    def forward(self, boxes: Tensor, scores: Tensor) -> Tensor:
        order = scores.argsort(descending=True)
        keep: List[int] = []
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        while order.numel() > 0:
            i = int(order[0])
            if scores[i] < self.score:
                break
            keep.append(i)
            rest = order[1:]
            low = torch.max(boxes[rest, :2], boxes[i, :2])
            high = torch.min(boxes[rest, 2:], boxes[i, 2:])
            inter = (high - low).clamp(min=0).prod(dim=1)
            iou = inter / (area[rest] + area[i] - inter)
            order = rest[iou <= self.overlap]
        return torch.tensor(keep, dtype=torch.long)


def _boxes(n: int):
    corner = torch.rand(n, 2)
    return torch.cat([corner, corner + 0.2 + torch.rand(n, 2)], 1)


add(
    "nms",
    NMS,
    lambda: [
        (_boxes(5), torch.rand(5)),
        (_boxes(1), torch.ones(1)),
        (_boxes(12), torch.rand(12) * 0.5 + 0.5),
        (_boxes(3), torch.zeros(3)),
        (_boxes(0), torch.zeros(0)),
    ],
)


class Pyramid(nn.Module):
    """Halve an image until it is small; a feature per level."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tuple[Tensor, List[Tensor]]:
        levels: List[Tensor] = []
        while x.size(-1) > 2 and x.size(-2) > 2:
            y = torch.relu(self.conv(x))
            levels.append(y.mean(dim=(2, 3)))
            x = F.avg_pool2d(x, 2)
        return x, levels


add("pyramid", Pyramid, lambda: [(torch.randn(1, 1, 16, 16),), (torch.randn(2, 1, 5, 9),), (torch.randn(1, 1, 2, 8),)])


class ProgressiveResize(nn.Module):
    """Upsample towards a target size, refine at each step."""

    def __init__(self):
        super().__init__()
        self.refine = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor, target: int) -> Tensor:
        while x.size(-1) < target:
            size = min(2 * x.size(-1), target)
            x = F.interpolate(x, size=[size, size], mode="bilinear", align_corners=False)
            x = x + torch.tanh(self.refine(x))
        return x


add(
    "progressive_resize",
    ProgressiveResize,
    lambda: [(torch.randn(1, 2, 3, 3), 8), (torch.randn(2, 2, 4, 4), 4), (torch.randn(1, 2, 2, 2), 17)],
)


class FloodFill(nn.Module):
    """Grow a region from a seed until it stops changing."""

    def forward(self, image: Tensor, row: int, column: int) -> Tuple[Tensor, int]:
        level = image[row, column]
        region = torch.zeros_like(image, dtype=torch.bool)
        region[row, column] = True
        rounds = 0
        while True:
            wide = F.max_pool2d(region.float()[None, None], 3, stride=1, padding=1)[0, 0] > 0
            grown = wide & ((image - level).abs() < 0.5)
            rounds += 1
            if bool((grown == region).all()):
                break
            region = grown
        return region, rounds


add(
    "flood_fill",
    FloodFill,
    lambda: [
        (torch.tensor([[1.0, 1, 0], [0, 1, 0], [0, 1, 1]]), 0, 0),
        (torch.zeros(4, 5), 1, 2),
        (torch.eye(6), 0, 5),
        (torch.tensor([[3.0]]), 0, 0),
    ],
)


class TileInference(nn.Module):
    """An image in tiles of at most four by four; overlapping results are averaged."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out, weight = torch.zeros_like(x), torch.zeros_like(x)
        height, width = x.size(2), x.size(3)
        for top in range(0, height, 3):
            for left in range(0, width, 3):
                tile = x[:, :, top : top + 4, left : left + 4]
                out[:, :, top : top + 4, left : left + 4] += self.conv(tile)
                weight[:, :, top : top + 4, left : left + 4] += 1
        return out / weight


add(
    "tile_inference",
    TileInference,
    lambda: [(torch.randn(1, 1, 6, 7),), (torch.randn(1, 1, 2, 3),), (torch.randn(2, 1, 9, 4),)],
)


class AnchorMatch(nn.Module):
    """Each target takes its best free anchor."""

    def forward(self, anchors: Tensor, targets: Tensor) -> Tensor:
        taken = torch.zeros(anchors.size(0), dtype=torch.bool)
        match = torch.full((targets.size(0),), -1, dtype=torch.long)
        for t in range(targets.size(0)):
            distance = (anchors - targets[t]).pow(2).sum(-1)
            distance = distance.masked_fill(taken, float("inf"))
            best = distance.argmin()
            if distance[best] == float("inf"):
                break
            match[t] = best
            taken[best] = True
        return match


add(
    "anchor_match",
    AnchorMatch,
    lambda: [
        (torch.randn(5, 2), torch.randn(3, 2)),
        (torch.randn(2, 2), torch.randn(4, 2)),
        (torch.randn(6, 4), torch.randn(1, 4)),
        (torch.randn(3, 2), torch.zeros(0, 2)),
    ],
)


def _resampled(table: Tensor, new: List[int], old: Optional[List[int]] = None, first: int = 1) -> Tensor:
    """A table of positions for a grid of another size, the way image models keep theirs."""
    count = table.shape[1]
    if new[0] * new[1] + first == count:
        if old is not None and old[0] == new[0] and old[1] == new[1]:
            return table
        if old is None and new[0] == new[1]:
            return table
    if old is None:
        side = int((count - first) ** 0.5)
        old = [side, side]
    prefix, rest = table[:, :first], table[:, first:]
    width = rest.shape[-1]
    grid = rest.reshape(1, old[0], old[1], -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=new, mode="bicubic", antialias=True)
    return torch.cat([prefix, grid.permute(0, 2, 3, 1).reshape(1, -1, width)], dim=1)


class PatchPositions(nn.Module):
    """Patches of images of any size, with a learned table of positions that is resampled where the grid is another one."""

    def __init__(self, square: bool = False):
        super().__init__()
        self.patch = nn.Conv2d(1, 4, 2, stride=2)
        self.first = nn.Parameter(torch.randn(1, 1, 4))
        self.table = nn.Parameter(torch.randn(1, 17, 4))
        self.grid: Optional[Tuple[int, int]] = None if square else (2, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x)
        height, width = x.shape[-2:]
        grid = self.grid
        old = [grid[0], grid[1]] if grid is not None else None
        table = _resampled(self.table, [height, width], old)
        x = torch.cat([self.first.expand(x.shape[0], -1, -1), x.flatten(2).transpose(1, 2)], dim=1)
        return x + table


class SquarePatchPositions(PatchPositions):
    """The same, its own grid not told."""

    def __init__(self):
        super().__init__(square=True)


for name, program in (("patch_positions", PatchPositions), ("patch_positions_square", SquarePatchPositions)):
    add(
        name,
        program,
        lambda: [
            (torch.randn(2, 1, 8, 8),),
            (torch.randn(1, 1, 4, 16),),
            (torch.randn(1, 1, 2, 6),),
            (torch.randn(1, 1, 10, 12),),
        ],
    )
