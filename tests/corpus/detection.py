import math
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


def box_area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    area1 = box_area(boxes1)
    area2 = box_area(boxes2)
    lt = torch.max(boxes1[:, None, :2], boxes2[:, :2])
    rb = torch.min(boxes1[:, None, 2:], boxes2[:, 2:])
    wh = (rb - lt).clamp(min=0)
    inter = wh[:, :, 0] * wh[:, :, 1]
    return inter / (area1[:, None] + area2 - inter)


def soft_nms(boxes: Tensor, scores: Tensor, sigma: float = 0.5, thresh: float = 0.05) -> Tuple[Tensor, Tensor]:
    n = boxes.size(0)
    boxes = boxes.clone()
    scores = scores.clone()
    keep = torch.arange(n)
    for i in range(n):
        if i < n - 1:
            best = int(scores[i:].argmax()) + i
            if best != i:
                tmp = boxes[i].clone()
                boxes[i] = boxes[best]
                boxes[best] = tmp
                s = scores[i].clone()
                scores[i] = scores[best]
                scores[best] = s
                k = keep[i].clone()
                keep[i] = keep[best]
                keep[best] = k
            iou = box_iou(boxes[i : i + 1], boxes[i + 1 :])[0]
            scores[i + 1 :] *= torch.exp(-(iou * iou) / sigma)
    ok = scores > thresh
    return keep[ok], scores[ok]


def _boxes(n: int):
    xy = torch.rand(n, 2) * 8
    return torch.cat([xy, xy + 1 + torch.rand(n, 2) * 6], 1)


add(
    "soft_nms",
    soft_nms,
    lambda: [
        (_boxes(6), torch.rand(6)),
        (_boxes(1), torch.rand(1)),
        (_boxes(12), torch.rand(12)),
        (_boxes(3), torch.rand(3) * 0.1),
    ],
)


class MatrixNMS(nn.Module):
    """SOLO: matrix nms on masks."""

    def __init__(self, kernel: str = "gaussian", sigma: float = 2.0):
        super().__init__()
        self.kernel = kernel
        self.sigma = sigma

    def forward(self, masks: Tensor, labels: Tensor, scores: Tensor) -> Tensor:
        n = len(labels)
        if n == 0:
            return scores.new_zeros((0,))
        flat = masks.reshape(n, -1).float()
        inter = torch.mm(flat, flat.transpose(1, 0))
        areas = flat.sum(1).expand(n, n)
        iou = (inter / (areas + areas.transpose(1, 0) - inter)).triu(diagonal=1)
        same = (labels.expand(n, n) == labels.expand(n, n).transpose(1, 0)).triu(diagonal=1)
        decay_iou = iou * same
        comp, _ = decay_iou.max(0)
        comp = comp.expand(n, n).transpose(1, 0)
        if self.kernel == "gaussian":
            decay = torch.exp(-self.sigma * decay_iou**2) / torch.exp(-self.sigma * comp**2)
            coef, _ = decay.min(0)
        elif self.kernel == "linear":
            coef, _ = ((1 - decay_iou) / (1 - comp)).min(0)
        else:
            raise NotImplementedError(f"{self.kernel} kernel is not supported in matrix nms!")
        return scores * coef


add(
    "matrix_nms",
    MatrixNMS,
    lambda: [
        (torch.rand(4, 5, 5) > 0.4, torch.tensor([0, 1, 0, 1]), torch.rand(4)),
        (torch.zeros(0, 5, 5, dtype=torch.bool), torch.zeros(0, dtype=torch.long), torch.zeros(0)),
        (torch.rand(7, 3, 6) > 0.5, torch.randint(0, 3, (7,)), torch.rand(7)),
    ],
)


class RetinaPost(nn.Module):
    """Per-image, per-level post-processing with box decoding and clipping."""

    def __init__(self, num_classes: int = 3, topk: int = 5, score_thresh: float = 0.5):
        super().__init__()
        self.num_classes = num_classes
        self.topk_candidates = topk
        self.score_thresh = score_thresh
        self.clip = math.log(1000.0 / 16)

    def decode(self, rel: Tensor, boxes: Tensor) -> Tensor:
        w = boxes[:, 2] - boxes[:, 0]
        h = boxes[:, 3] - boxes[:, 1]
        cx = boxes[:, 0] + 0.5 * w
        cy = boxes[:, 1] + 0.5 * h
        dx, dy, dw, dh = rel.unbind(1)
        dw = torch.clamp(dw, max=self.clip)
        dh = torch.clamp(dh, max=self.clip)
        pcx, pcy = dx * w + cx, dy * h + cy
        pw, ph = torch.exp(dw) * w, torch.exp(dh) * h
        return torch.stack((pcx - 0.5 * pw, pcy - 0.5 * ph, pcx + 0.5 * pw, pcy + 0.5 * ph), dim=1)

    def forward(
        self, logits: List[Tensor], regs: List[Tensor], anchors: List[Tensor], image_shape: Tuple[int, int]
    ) -> Dict[str, Tensor]:
        all_boxes: List[Tensor] = []
        all_scores: List[Tensor] = []
        all_labels: List[Tensor] = []
        for cls, reg, anc in zip(logits, regs, anchors):
            scores = torch.sigmoid(cls).flatten()
            keep = scores > self.score_thresh
            scores = scores[keep]
            idx = torch.where(keep)[0]
            k = min(idx.size(0), self.topk_candidates)
            scores, order = scores.topk(k)
            idx = idx[order]
            anchor_idx = torch.div(idx, self.num_classes, rounding_mode="floor")
            labels = idx % self.num_classes
            b = self.decode(reg[anchor_idx], anc[anchor_idx])
            h, w = image_shape
            b = torch.stack([b[:, 0].clamp(0, w), b[:, 1].clamp(0, h), b[:, 2].clamp(0, w), b[:, 3].clamp(0, h)], dim=1)
            all_boxes.append(b)
            all_scores.append(scores)
            all_labels.append(labels)
        boxes = torch.cat(all_boxes, dim=0)
        scores = torch.cat(all_scores, dim=0)
        labels = torch.cat(all_labels, dim=0)
        off = labels.to(boxes) * (boxes.max() + 1) if boxes.numel() > 0 else labels.to(boxes)
        nb = boxes + off[:, None]
        order = scores.argsort(descending=True)
        keep_l: List[int] = []
        alive = torch.ones(scores.size(0), dtype=torch.bool)
        for i in range(order.size(0)):
            j = int(order[i])
            if not alive[j]:
                continue
            keep_l.append(j)
            iou = box_iou(nb[j].unsqueeze(0), nb).squeeze(0)
            alive &= iou <= 0.5
        sel = torch.tensor(keep_l, dtype=torch.long)
        return {"boxes": boxes[sel], "scores": scores[sel], "labels": labels[sel]}


def _retina(n1, n2, m=1.0):
    return (
        [torch.randn(n1, 3) * m, torch.randn(n2, 3) * m],
        [torch.randn(n1, 4) * 0.3, torch.randn(n2, 4) * 0.3],
        [_boxes(n1), _boxes(n2)],
        (10, 12),
    )


add(
    "retina_post",
    RetinaPost,
    lambda: [
        _retina(6, 4),
        _retina(2, 1, 5.0),
        _retina(9, 20, 2.0),
        (
            [torch.full((3, 3), -9.0), torch.full((2, 3), -9.0)],
            [torch.randn(3, 4), torch.randn(2, 4)],
            [_boxes(3), _boxes(2)],
            (10, 12),
        ),
    ],
)


class PasteMasks(nn.Module):
    """torchvision paste_masks_in_image."""

    def expand_boxes(self, boxes: Tensor, scale: float) -> Tensor:
        w_half = (boxes[:, 2] - boxes[:, 0]) * 0.5
        h_half = (boxes[:, 3] - boxes[:, 1]) * 0.5
        x_c = (boxes[:, 2] + boxes[:, 0]) * 0.5
        y_c = (boxes[:, 3] + boxes[:, 1]) * 0.5
        w_half *= scale
        h_half *= scale
        boxes_exp = torch.zeros_like(boxes)
        boxes_exp[:, 0] = x_c - w_half
        boxes_exp[:, 2] = x_c + w_half
        boxes_exp[:, 1] = y_c - h_half
        boxes_exp[:, 3] = y_c + h_half
        return boxes_exp

    def paste_one(self, mask: Tensor, box: Tensor, im_h: int, im_w: int) -> Tensor:
        TO_REMOVE = 1
        w = max(int(box[2] - box[0] + TO_REMOVE), 1)
        h = max(int(box[3] - box[1] + TO_REMOVE), 1)
        mask = mask.expand((1, 1, -1, -1))
        mask = F.interpolate(mask, size=(h, w), mode="bilinear", align_corners=False)
        mask = mask[0][0]
        im_mask = torch.zeros((im_h, im_w), dtype=mask.dtype, device=mask.device)
        x_0 = max(int(box[0]), 0)
        x_1 = min(int(box[2]) + 1, im_w)
        y_0 = max(int(box[1]), 0)
        y_1 = min(int(box[3]) + 1, im_h)
        im_mask[y_0:y_1, x_0:x_1] = mask[
            (y_0 - int(box[1])) : (y_1 - int(box[1])), (x_0 - int(box[0])) : (x_1 - int(box[0]))
        ]
        return im_mask

    def forward(self, masks: Tensor, boxes: Tensor, img_shape: Tuple[int, int], padding: int = 1) -> Tensor:
        M = masks.shape[-1]
        scale = float(M + 2 * padding) / M
        padded = F.pad(masks, (padding,) * 4)
        boxes = self.expand_boxes(boxes, scale).to(dtype=torch.int64)
        im_h, im_w = img_shape
        res = [self.paste_one(m[0], b, im_h, im_w) for m, b in zip(padded, boxes)]
        if len(res) > 0:
            ret = torch.stack(res, dim=0)[:, None]
        else:
            ret = masks.new_empty((0, 1, im_h, im_w))
        return ret


add(
    "paste_masks",
    PasteMasks,
    lambda: [
        (torch.rand(2, 1, 4, 4), _boxes(2), (14, 15)),
        (torch.rand(1, 1, 4, 4), _boxes(1), (8, 9)),
        (torch.rand(3, 1, 6, 6), _boxes(3), (16, 16)),
    ],
)


class RoIAlign(nn.Module):
    def __init__(self, out_size: int = 2, scale: float = 0.5, sampling: int = 2):
        super().__init__()
        self.out_size, self.scale, self.sampling = out_size, scale, sampling

    def bilinear(self, feat: Tensor, y: Tensor, x: Tensor) -> Tensor:
        _, H, W = feat.shape
        y = y.clamp(0, H - 1)
        x = x.clamp(0, W - 1)
        y0 = y.floor().long()
        x0 = x.floor().long()
        y1 = (y0 + 1).clamp(max=H - 1)
        x1 = (x0 + 1).clamp(max=W - 1)
        ly, lx = y - y0, x - x0
        hy, hx = 1.0 - ly, 1.0 - lx
        return (
            feat[:, y0, x0] * hy * hx
            + feat[:, y0, x1] * hy * lx
            + feat[:, y1, x0] * ly * hx
            + feat[:, y1, x1] * ly * lx
        )

    def forward(self, feat: Tensor, rois: Tensor) -> Tensor:
        n = rois.shape[0]
        c = feat.shape[1]
        out = feat.new_zeros((n, c, self.out_size, self.out_size))
        s = self.sampling * self.out_size
        for k in range(n):
            box = rois[k, 1:] * self.scale
            bi = rois[k, 0].long()
            bw = torch.clamp(box[2] - box[0], min=1.0)
            bh = torch.clamp(box[3] - box[1], min=1.0)
            ys = box[1] + (torch.arange(s, dtype=feat.dtype) + 0.5) * bh / s
            xs = box[0] + (torch.arange(s, dtype=feat.dtype) + 0.5) * bw / s
            yy, xx = torch.meshgrid(ys, xs, indexing="ij")
            v = self.bilinear(feat[bi], yy.reshape(-1), xx.reshape(-1)).view(c, s, s)
            out[k] = F.avg_pool2d(v.unsqueeze(0), self.sampling)[0]
        return out


add(
    "roi_align",
    RoIAlign,
    lambda: [
        (torch.randn(2, 3, 8, 8), torch.cat([torch.tensor([[0.0], [1.0]]), _boxes(2)], 1)),
        (torch.randn(1, 2, 5, 9), torch.cat([torch.zeros(4, 1), _boxes(4)], 1)),
        (torch.randn(1, 2, 5, 9), torch.zeros(0, 5)),
    ],
)


class FPN(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.ModuleDict({"c3": nn.Conv2d(4, 6, 1), "c4": nn.Conv2d(8, 6, 1), "c5": nn.Conv2d(16, 6, 1)})
        self.layer = nn.ModuleDict({k: nn.Conv2d(6, 6, 3, padding=1) for k in ("c3", "c4", "c5")})

    def forward(self, x: Dict[str, Tensor]) -> Dict[str, Tensor]:
        results: Dict[str, Tensor] = {}
        last: Optional[Tensor] = None
        lats: List[Tensor] = []
        for name, m in self.inner.items():
            lats.append(m(x[name]))
        feats: List[Tensor] = []
        for i in range(len(lats) - 1, -1, -1):
            lat = lats[i]
            if last is not None:
                lat = lat + F.interpolate(last, size=lat.shape[-2:], mode="nearest")
            feats.insert(0, lat)
            last = lat
        i = 0
        for name, m in self.layer.items():
            results[name] = m(feats[i])
            i += 1
        results["pool"] = F.max_pool2d(results["c5"], 1, 2, 0)
        return results


add(
    "fpn",
    FPN,
    lambda: [
        ({"c3": torch.randn(1, 4, 8, 8), "c4": torch.randn(1, 8, 4, 4), "c5": torch.randn(1, 16, 2, 2)},),
        ({"c3": torch.randn(2, 4, 7, 9), "c4": torch.randn(2, 8, 4, 5), "c5": torch.randn(2, 16, 2, 3)},),
    ],
)


class ConnectedComponents(nn.Module):
    """Label propagation until no change."""

    def forward(self, mask: Tensor) -> Tuple[Tensor, int]:
        h, w = mask.shape
        lab = torch.arange(1, h * w + 1, dtype=torch.float32).view(1, 1, h, w) * mask
        n = 0
        while True:
            new = F.max_pool2d(lab, kernel_size=3, stride=1, padding=1) * mask
            n += 1
            if torch.equal(new, lab):
                break
            lab = new
        ids = torch.unique(lab[lab > 0])
        return lab.view(h, w).to(torch.int64), ids.numel()


add(
    "connected_components",
    ConnectedComponents,
    lambda: [
        ((torch.rand(6, 6) > 0.5).float(),),
        ((torch.rand(3, 9) > 0.7).float(),),
        (torch.zeros(4, 4),),
        (torch.ones(2, 7),),
    ],
)


@dataclass
class DetCfg:
    stride: int = 4
    num: int = 3
    thresh: float = 0.3


class CenterNet(nn.Module):
    """Peaks by max-pool, top-k, gather offsets (CornerNet/CenterNet)."""

    def __init__(self, cfg: DetCfg = DetCfg()):
        super().__init__()
        self.cfg = cfg
        self.stride = cfg.stride
        self.k = cfg.num
        self.heat = nn.Conv2d(3, 2, 3, padding=1)
        self.wh = nn.Conv2d(3, 2, 1)

    def _gather_feat(self, feat: Tensor, ind: Tensor) -> Tensor:
        dim = feat.size(2)
        ind = ind.unsqueeze(2).expand(ind.size(0), ind.size(1), dim)
        return feat.gather(1, ind)

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        heat = torch.sigmoid(self.heat(x))
        hmax = F.max_pool2d(heat, (3, 3), stride=1, padding=1)
        heat = heat * (hmax == heat).float()
        b, c, h, w = heat.size()
        k = min(self.k, h * w)
        s, ind = torch.topk(heat.view(b, c, -1), k)
        ind = ind % (h * w)
        ys = (ind // w).float()
        xs = (ind % w).int().float()
        s2, ind2 = torch.topk(s.view(b, -1), k)
        cls = (ind2 / k).int()
        ind = self._gather_feat(ind.view(b, -1, 1), ind2).view(b, k)
        ys = self._gather_feat(ys.view(b, -1, 1), ind2).view(b, k, 1)
        xs = self._gather_feat(xs.view(b, -1, 1), ind2).view(b, k, 1)
        wh = self.wh(x).permute(0, 2, 3, 1).contiguous().view(b, -1, 2)
        wh = self._gather_feat(wh, ind)
        boxes = (
            torch.cat(
                [xs - wh[..., 0:1] / 2, ys - wh[..., 1:2] / 2, xs + wh[..., 0:1] / 2, ys + wh[..., 1:2] / 2], dim=2
            )
            * self.stride
        )
        return boxes, s2, cls


add(
    "centernet", CenterNet, lambda: [(torch.randn(1, 3, 6, 6),), (torch.randn(2, 3, 4, 9),), (torch.randn(1, 3, 1, 2),)]
)
