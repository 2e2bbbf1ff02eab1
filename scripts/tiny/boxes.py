"""Box arithmetic and the assignment of queries to objects, batched, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from scripts.export.positions import cxcywh_to_xyxy


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """Corners to centre and size: [...,4] -> [...,4]."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat(((low + high) / 2, high - low), -1)


def generalized_iou(a: Tensor, b: Tensor) -> Tensor:
    """GIoU of boxes xyxy, broadcast: [...,4] x [...,4] -> [...]."""
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    area_a, area_b = ((x[..., 2:] - x[..., :2]).clamp(min=0).prod(-1) for x in (a, b))
    union = area_a + area_b - shared
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    return shared / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)


def matching_cost(logits: Tensor, boxes: Tensor, truth: Tensor) -> Tensor:
    """Cost of giving object k to query q: logits [P,Q], boxes cxcywh [P,Q,4], truth xyxy [P,K,4] -> [P,Q,K]."""
    distance = (boxes.unsqueeze(2) - xyxy_to_cxcywh(truth).unsqueeze(1)).abs().sum(-1)
    overlap = generalized_iou(cxcywh_to_xyxy(boxes).unsqueeze(2), truth.unsqueeze(1))
    return 5 * distance - 2 * overlap - 2 * logits.sigmoid().unsqueeze(2)


def assign(cost: Tensor, wanted: Tensor, repeats: int = 1) -> Tensor:
    """Gives every wanted object up to `repeats` queries of its own, the cheapest pair first: cost [P,Q,K], wanted bool [P,K] -> i64 [P,Q], -1 none.

    Greedy, not optimal: it needs no copy to the host, and queries settle on an object all the same.
    """
    prompts, queries, objects = cost.shape
    taken = torch.full((prompts, queries), -1, dtype=torch.long, device=cost.device)
    if objects == 0:
        return taken
    left = wanted.long() * repeats
    cost = cost.detach().float()
    rows = torch.arange(prompts, device=cost.device)
    for _ in range(min(queries, repeats * int(wanted.sum(1).max()) if prompts else 0)):
        blocked = (taken >= 0).unsqueeze(2) | (left <= 0).unsqueeze(1)
        best, flat = cost.masked_fill(blocked, float("inf")).flatten(1).min(1)
        query, thing = flat // objects, flat % objects
        found = best < float("inf")
        taken[rows, query] = torch.where(found, thing, taken[rows, query])
        left[rows, thing] -= found.long()
    return taken
