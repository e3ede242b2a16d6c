"""Loops that index, slice, mask and write into tensors, and make tensors of sizes that are data."""

from collections import deque
from typing import Deque, List, Tuple

import bridge as torch
import bridge.nn.functional as F
from bridge import Tensor, nn
from loops.table import cases, ramp


def dtw(a: Tensor, b: Tensor) -> Tensor:
    """A table filled cell by cell."""
    n = a.size(0)
    m = b.size(0)
    cost = torch.full((n + 1, m + 1), float("inf"))
    cost[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            d = (a[i - 1] - b[j - 1]).abs()
            cost[i, j] = d + torch.min(cost[i - 1, j], torch.min(cost[i, j - 1], cost[i - 1, j - 1]))
    return cost[n, m]


cases(dtw, lambda: [(ramp(4), ramp(3)), (ramp(1), ramp(5)), (ramp(0), ramp(0)), (ramp(3), ramp(0))])


def edit_distance(a: Tensor, b: Tensor) -> int:
    """The same with ints and rows."""
    previous = [j for j in range(b.size(0) + 1)]
    for i in range(a.size(0)):
        current = [i + 1]
        for j in range(b.size(0)):
            change = previous[j] + (0 if int(a[i]) == int(b[j]) else 1)
            current.append(min(min(current[j] + 1, previous[j + 1] + 1), change))
        previous = current
    return previous[-1]


cases(
    edit_distance,
    lambda: [
        (torch.tensor([1, 2, 3]), torch.tensor([1, 3])),
        (torch.zeros(0, dtype=torch.long), torch.tensor([1, 3])),
        (torch.tensor([1]), torch.zeros(0, dtype=torch.long)),
        (torch.tensor([5, 6, 7, 8]), torch.tensor([6, 7, 9, 8, 1])),
    ],
)


def cumulative(x: Tensor) -> Tensor:
    out = torch.zeros_like(x)
    total = torch.zeros(())
    for i in range(x.size(0)):
        total = total + x[i]
        out[i] = total
    return out


cases(cumulative, lambda: [(ramp(4),), (ramp(0),), (ramp(1),)])


def masked(x: Tensor, n: int) -> Tensor:
    for i in range(n):
        x = x.masked_fill(x > 1.0, 0.0)
        x = torch.where(x < 0, x * 0.5, x + 0.4)
    return x


cases(masked, lambda: [(ramp(5), 3), (ramp(5), 0), (ramp(4), 6)])


def index_put(x: Tensor, at: Tensor) -> Tensor:
    out = torch.zeros(x.size(0), 4)
    for i in range(at.size(0)):
        out[:, int(at[i])] += x[:, 0]
        out[i % out.size(0)] = out[i % out.size(0)] * 2
    out[out > 3] = -1.0
    return out


cases(
    index_put,
    lambda: [
        (ramp(3, 2), torch.tensor([0, 2, 2])),
        (ramp(3, 2), torch.zeros(0, dtype=torch.long)),
        (ramp(1, 1), torch.tensor([3])),
    ],
)


def write_slices(x: Tensor, width: int) -> Tensor:
    y = x.clone()
    for i in range(0, x.size(0), width):
        y[i : i + width] = y[i : i + width].flip(0)
        y[i : i + 1, 0] = i
    return y


cases(write_slices, lambda: [(ramp(5, 2), 2), (ramp(4, 3), 4), (ramp(0, 2), 2), (ramp(3, 1), 1)])


def bubble(x: Tensor) -> Tuple[Tensor, int]:
    """Sorts in place, swapping through clones."""
    y = x.clone()
    swaps = 0
    for i in range(y.size(0)):
        for j in range(y.size(0) - 1 - i):
            if bool(y[j] > y[j + 1]):
                t = y[j].clone()
                y[j] = y[j + 1]
                y[j + 1] = t
                swaps += 1
    return y, swaps


cases(bubble, lambda: [(ramp(5),), (ramp(0),), (ramp(1),), (torch.arange(4.0),)])


def factories(x: Tensor, n: int) -> Tensor:
    """zeros, ones, full, arange, eye of sizes that are data."""
    total = torch.zeros(x.size(0))
    for i in range(n):
        total = total + torch.arange(x.size(0)) * i + torch.ones(x.size(0)) + torch.full((x.size(0),), 0.5)
        grid = torch.eye(i + 1)
        total = total + grid.sum() + torch.zeros(i, 2).size(0)
    return total


cases(factories, lambda: [(ramp(3), 2), (ramp(0), 2), (ramp(3), 0), (ramp(1), 4)])


def rows(x: Tensor) -> Tensor:
    total = torch.zeros(x.size(1))
    for i, row in enumerate(x):
        if i % 2 == 0:
            total += row
        else:
            total -= row * i
    return total


cases(rows, lambda: [(ramp(4, 2),), (ramp(0, 2),), (ramp(1, 3),)])


def power_iteration(a: Tensor, n: int) -> Tuple[Tensor, float]:
    v = torch.ones(a.size(0))
    value = 0.0
    for _ in range(n):
        w = a @ v
        norm = w.norm()
        if float(norm) < 1e-6:
            return v, 0.0
        v = w / norm
        value = float(v @ (a @ v))
    return v, value


cases(power_iteration, lambda: [(ramp(3, 3), 3), (ramp(2, 2), 0), (torch.zeros(2, 2), 4)])


def windows(x: Tensor, size: int, step: int) -> Tensor:
    out: List[Tensor] = []
    start = 0
    while start + size <= x.size(0):
        out.append(x[start : start + size])
        start += step
    if len(out) == 0:
        return torch.zeros(0, size)
    return torch.stack(out)


cases(windows, lambda: [(ramp(7), 3, 2), (ramp(2), 3, 1), (ramp(4), 1, 1), (ramp(9), 4, 5)])


def conv_loop(x: Tensor, w: Tensor) -> Tensor:
    n = x.size(0) - w.size(0) + 1
    out = torch.empty(max(n, 0))
    for i in range(n):
        acc = torch.zeros(())
        for j in range(w.size(0)):
            acc = acc + x[i + j] * w[j]
        out[i] = acc
    return out


cases(conv_loop, lambda: [(ramp(6), ramp(3)), (ramp(2), ramp(3)), (ramp(4), ramp(1))])


def nms(boxes: Tensor, scores: Tensor, limit: float) -> Tensor:
    """Greedy suppression."""
    order = scores.argsort(descending=True)
    keep: List[int] = []
    alive = torch.ones(scores.size(0), dtype=torch.bool)
    for k in range(order.size(0)):
        i = int(order[k])
        if not bool(alive[i]):
            continue
        keep.append(i)
        low = torch.maximum(boxes[i, :2], boxes[:, :2])
        high = torch.minimum(boxes[i, 2:], boxes[:, 2:])
        inter = (high - low).clamp(min=0).prod(1)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        iou = inter / (areas[i] + areas - inter)
        alive = alive & (iou <= limit)
    return torch.tensor(keep)


def boxes(n):
    low = ramp(n, 2).abs()
    return torch.cat([low, low + 0.5], dim=1)


cases(nms, lambda: [(boxes(4), ramp(4), 0.1), (boxes(6), ramp(6), 0.9), (boxes(1), ramp(1), 0.5)])


def kmeans(x: Tensor, centers: Tensor, steps: int) -> Tuple[Tensor, Tensor]:
    which = torch.zeros(x.size(0), dtype=torch.long)
    for _ in range(steps):
        d = ((x.unsqueeze(1) - centers.unsqueeze(0)) ** 2).sum(-1)
        which = d.argmin(1)
        new = torch.zeros_like(centers)
        for k in range(centers.size(0)):
            mask = which == k
            if bool(mask.any()):
                new[k] = x[mask].mean(0)
            else:
                new[k] = centers[k]
        if bool((new - centers).abs().max() < 1e-4):
            break
        centers = new
    return centers, which


cases(kmeans, lambda: [(ramp(6, 2), ramp(2, 2), 4), (ramp(6, 2), ramp(3, 2), 0), (ramp(3, 2), ramp(3, 2), 9)])


def image_rows(x: Tensor) -> Tensor:
    """Two loops over an image."""
    out = torch.zeros_like(x)
    for i in range(1, x.size(0) - 1):
        for j in range(1, x.size(1) - 1):
            patch = x[i - 1 : i + 2, j - 1 : j + 2]
            out[i, j] = patch.max() - patch.mean()
    return out


cases(image_rows, lambda: [(ramp(4, 5),), (ramp(2, 2),), (ramp(3, 3),)])


def prefix_until(x: Tensor, stop: float) -> Tensor:
    n = 0
    for v in x:
        if float(v) > stop:
            break
        n += 1
    return x[:n]


cases(prefix_until, lambda: [(ramp(6), 0.9), (ramp(6), 5.0), (ramp(6), -5.0), (ramp(0), 0.0)])


def packed(lengths: Tensor) -> Tensor:
    """A mask made row by row."""
    top = int(lengths.max())
    mask = torch.zeros(lengths.size(0), top, dtype=torch.bool)
    for i in range(lengths.size(0)):
        mask[i, : int(lengths[i])] = True
    return mask


cases(packed, lambda: [(torch.tensor([2, 3]),), (torch.tensor([0]),), (torch.tensor([1, 4, 2]),)])


def histogram(x: Tensor, bins: int) -> Tensor:
    out = torch.zeros(bins, dtype=torch.long)
    for v in x:
        at = min(max(int(v * bins), 0), bins - 1)
        out[at] += 1
    return out


cases(histogram, lambda: [(ramp(6).abs(), 4), (ramp(0), 2), (ramp(9), 3)])


class Smoother(nn.Module):
    """A moving average kept in a buffer, written in a loop under a condition."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, xs: Tensor, limit: int) -> Tensor:
        for x in xs:
            if int(self.steps) >= limit:
                break
            self.mean.mul_(0.9).add_(x * 0.1)
            self.steps.add_(1)
        return self.mean * 2


cases(Smoother, lambda: [(ramp(4, 3), 3), (ramp(0, 3), 3), (ramp(2, 3), 9)])


def gathered(x: Tensor, at: Tensor) -> Tensor:
    out: List[Tensor] = []
    for i in range(at.size(0)):
        out.append(x.index_select(0, at[i].reshape(1)).squeeze(0))
    return torch.stack(out)


cases(
    gathered,
    lambda: [
        (ramp(4, 2), torch.tensor([1, 3])),
        (ramp(4, 2), torch.tensor([0])),
        (ramp(2, 2), torch.tensor([1, 1, 0])),
    ],
)


def chunks(x: Tensor, n: int) -> Tensor:
    total = torch.zeros(())
    for part in torch.split(x, n):
        total = total + part.sum() * part.size(0)
    return total


cases(chunks, lambda: [(ramp(5), 2), (ramp(4), 4), (ramp(3), 1)])


def softmax_by_hand(x: Tensor) -> Tensor:
    """Online softmax."""
    top = torch.full((), -1e30)
    total = torch.zeros(())
    for v in x:
        new = torch.maximum(top, v)
        total = total * torch.exp(top - new) + torch.exp(v - new)
        top = new
    return torch.exp(x - top) / total


cases(softmax_by_hand, lambda: [(ramp(5),), (ramp(1) * 40,), (ramp(0),)])


def scan_matrix(a: Tensor, xs: Tensor) -> Tuple[Tensor, Tensor]:
    """A linear recurrence with the sequence of states."""
    h = torch.zeros(a.size(0))
    states = torch.zeros(xs.size(0), a.size(0))
    for t in range(xs.size(0)):
        h = a @ h + xs[t]
        states[t] = h
    return h, states


cases(scan_matrix, lambda: [(ramp(2, 2), ramp(3, 2)), (ramp(2, 2), ramp(0, 2)), (ramp(3, 3), ramp(5, 3))])


def one_hot(at: Tensor, n: int) -> Tensor:
    out = torch.zeros(at.size(0), n)
    for i in range(at.size(0)):
        out[i, at[i]] = 1.0
    return out


cases(one_hot, lambda: [(torch.tensor([0, 2]), 3), (torch.zeros(0, dtype=torch.long), 2), (torch.tensor([1, 1, 0]), 2)])


class Conv(nn.Module):
    """A loop that halves an image as long as it is large."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tuple[Tensor, int]:
        n = 0
        while x.size(2) > 2 and x.size(3) > 2:
            x = F.max_pool2d(torch.relu(self.conv(x)), 2)
            n += 1
        return x, n


cases(Conv, lambda: [(ramp(1, 1, 8, 8),), (ramp(1, 1, 2, 5),), (ramp(2, 1, 16, 12),)])


def ignored(scores: Tensor, labels: Tensor, none: int) -> Tensor:
    return F.nll_loss(scores, labels, ignore_index=none)


cases(
    ignored,
    lambda: (
        [(ramp(5, 4), torch.tensor([1, 2, 1, 0, 2]), n) for n in (2, 0, -100)]
        + [(ramp(2, 3), torch.tensor([-7, 1]), -7)]
    ),
)


def mirrored(image: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(image, grid, padding_mode="reflection", align_corners=True)


cases(
    mirrored,
    lambda: [(ramp(*size), ramp(size[0], 3, 2, 2) * 1.5) for size in ((1, 2, 3, 4), (2, 1, 1, 1), (1, 1, 1, 5))],
)


def answered(x: Tensor) -> Tuple[List[Tensor], Tensor]:
    """Flags of rows, written at the end of an iteration that may not come that far."""
    words: List[Tensor] = []
    done = torch.zeros(x.size(0), dtype=torch.bool)
    for t in range(x.size(1)):
        for i in range(x.size(0)):
            if done[i]:
                continue
            for j, token in enumerate(x[i, t]):
                words.append(token)
                if j == 2:
                    break
            done[i] = len(words) > 4
    return words, done


cases(answered, lambda: [(ramp(2, 3, 4),), (ramp(3, 1, 2),), (ramp(1, 0, 2),), (ramp(3, 5, 1),)])


def repeated(x: Tensor, counts: Tensor) -> Tensor:
    """One count for all, or one for each."""
    return torch.repeat_interleave(x, counts, dim=1)


cases(repeated, lambda: [(ramp(2, 3), torch.tensor(c)) for c in ([2, 0, 1], [2], [0], [1, 0], [1, 1, 1])])


def sizes_as_values(x: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Tensors of numbers that the sizes are, or that follow from them."""
    h, w = x.shape[0], x.shape[1]
    return (
        torch.tensor([h, w]),
        torch.tensor([[h, w], [w, 1]]),
        torch.full((2,), h),
        torch.tensor([h * w, h // 2]),
        torch.as_tensor([w, 2]),
    )


cases(sizes_as_values, lambda: [(ramp(3, 4),), (ramp(1, 2),), (ramp(0, 5),)])


def graduated(x: Tensor, a: Tensor, n: int) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        torch.linspace(-1.0, 1.0, x.size(0)),
        torch.linspace(0, x.size(0), n, dtype=torch.float64),
        torch.linspace(a, 3, n),
        torch.linspace(0, 10, n, dtype=torch.int64),
    )


cases(
    graduated,
    lambda: (
        [(ramp(4), torch.tensor(0.5), 3), (ramp(1), torch.tensor(2.0), 1), (ramp(0), torch.tensor(2.0), 0)]
        + [(ramp(2), torch.tensor(1.0), -1)]
    ),
)


def unfolded(x: Tensor, size: int, step: int) -> Tuple[Tensor, Tensor]:
    return x.unfold(1, size, step), x.unfold(0, x.size(0), 1)


cases(unfolded, lambda: [(ramp(2, 7), 3, 2), (ramp(1, 4), 4, 1), (ramp(3, 5), 1, 3), (ramp(2, 3), 4, 1)])


def largest_of_windows(x: Tensor, size: int) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """The largest and smallest of parts, some of which hold what is not a number, in a loop and before it."""
    found, where = x.amax(0), x.argmax(1)
    lows: List[Tensor] = [x.min()]
    at: List[Tensor] = []
    for i in range(x.size(0)):
        part = x[i : i + size]
        values, indices = part.max(0)
        at.append(torch.cat([indices, part.argmin(1)[:1], part.argmax().reshape(1)]))
        found = torch.minimum(found, values)
        lows.append(part.amin())
    return found, where, torch.stack(lows), torch.stack(at)


def odd(*rows: int) -> Tensor:
    """Numbers, infinities, and what is not a number, in these rows."""
    x = ramp(4, 3) - 5.0
    x[1, 2] = float("inf")
    x[2, 0] = -float("inf")
    for row in rows:
        x[row, 1] = float("nan")
    return x


cases(largest_of_windows, lambda: [(odd(), 2), (odd(1), 2), (odd(0, 2), 1), (odd(1, 2, 3), 3), (-odd(1), 4)])


def repeats(rows: Tensor, last: Tensor) -> Tuple[int, bool, bool]:
    """How many parts are equal to another of perhaps another size, or of no elements."""
    count = 0
    for i in range(rows.size(0) + 1):
        if torch.equal(rows[i:], last):
            count += 1
        if torch.equal(rows[i : i + 1, 0], last[0]):
            count += 10
    return count, bool((rows[:, :0] > 0).all()), bool((last == rows[:1]).any())


cases(repeats, lambda: [(ramp(3, 2), ramp(3, 2)), (ramp(3, 1), ramp(1, 1)), (ramp(2, 3), ramp(1, 3) + 3)])


def out_into_parts(x: Tensor, y: Tensor) -> Tensor:
    """Results that go into parts of a tensor, whose sizes only run time knows."""
    out = torch.zeros(x.size(0), 6)
    torch.add(x, y, out=out[:, :3])
    torch.mul(x, y, out=out[:, 3:])
    row = out[0]
    torch.maximum(out, -out, out=out)
    row.add_(1)
    return out


cases(out_into_parts, lambda: [(ramp(4, 3), -ramp(4, 3)), (ramp(2, 3), ramp(1, 3))])


def frames_by_strides(x: Tensor) -> Tensor:
    """Overlapping frames of a signal whose length only run time knows."""
    padded = F.pad(x.flatten(), (2, 2))
    n = (padded.size(0) - 4) // 2 + 1
    return padded.as_strided((n, 4), (2, 1)) * torch.hann_window(4)


cases(frames_by_strides, lambda: [(ramp(4, 3),), (ramp(1, 5),)])


def strides_of_what_is_turned(x: Tensor) -> Tensor:
    """Memory that is in another order is nothing that ONNX knows."""
    return (x.t() + 1).as_strided((2,), (1,))


cases(strides_of_what_is_turned, lambda: [(ramp(4, 3),)], refused="lie in order")


def last_seen(x: Tensor) -> Tensor:
    """Annotated queues, and element types that are worked out."""
    queue: Deque[int] = deque()
    queue.append(0)
    seen: List[int] = []
    while len(queue) > 0:
        i = queue.popleft()
        seen.append(i)
        for j in range(i + 1, x.size(0)):
            if bool(x[i, 0] < x[j, 0]) and len(queue) < 3:
                queue.append(j)
    kind = torch.promote_types(x.dtype, torch.float64)
    return torch.tensor(seen).to(kind if torch.can_cast(torch.int64, kind) else x.dtype)


cases(last_seen, lambda: [(ramp(4, 3),), (ramp(2, 2),)])


def complex_sizes(z: Tensor, r: Tensor, n: float) -> Tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Complex numbers and real ones that broadcast, each of which may be the larger."""
    c = torch.view_as_complex(z)
    made = [c + r, r * c / 2, r / c, c * n + 2.0, torch.where(r > 0, c, c * 2j), torch.complex(r, r[:1]) * c]
    parts = torch.cat([torch.view_as_real(m).sum(0) for m in made])
    rows = torch.view_as_real(torch.fft.rfft(r, dim=-1) @ torch.fft.fft(c, n=3).t()[:2, :1])
    return parts, rows, c.abs(), torch.polar(c.abs(), r[:1]).imag, torch.angle(c)


cases(
    complex_sizes,
    lambda: [
        (ramp(3, 2, 2) + 1.0, ramp(3, 2) - 2.5, 1.5),
        (ramp(1, 2, 2) * 1e12 + 1e-12, ramp(3, 2) + 1.0, 2.0),
        (ramp(4, 1, 2) - 3.0, ramp(1, 2) + 1.0, 0.0),
        (ramp(1, 1, 2) * 1e-12, ramp(2, 3) - 2.5, -1.0),
    ],
)


def magnitudes(z: Tensor) -> Tensor:
    return torch.view_as_complex(z).abs()


cases(magnitudes, lambda: [(torch.tensor([[3.0, 4.0], [1e30, -1e30], [1e-30, 1e-30], [float("-inf"), 1.0]]),)])
