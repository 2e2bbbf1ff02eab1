"""Losses that more than one part of the training uses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def focal(logits: Tensor, target: Tensor, alpha: float, gamma: float = 2.0) -> Tensor:
    """The focal loss of each element: well-judged ones count little; `alpha` weighs the positive ones."""
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    right = torch.where(target > 0.5, logits.sigmoid(), 1 - logits.sigmoid())
    return torch.where(target > 0.5, alpha, 1 - alpha) * (1 - right) ** gamma * entropy


def dice(logits: Tensor, target: Tensor) -> Tensor:
    """1 - Dice of masks [n,h,w]: [n]."""
    p = logits.sigmoid()
    return 1 - (2 * (p * target).sum((1, 2)) + 1) / (p.sum((1, 2)) + target.sum((1, 2)) + 1)


def balanced_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of masks [n,h,w], near the object (0.6) and far from it (0.4): a small object else drowns in ground. -> [n]."""
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    near = F.max_pool2d(F.max_pool2d(target.unsqueeze(1), 8), 3, 1, 1)  # up to two cells of eight away
    near = (F.interpolate(near, size=target.shape[1:], mode="nearest")[:, 0] > 0.1).float()
    mean_near = (entropy * near).sum((1, 2)) / near.sum((1, 2)).clamp(min=1)
    mean_far = (entropy * (1 - near)).sum((1, 2)) / (1 - near).sum((1, 2)).clamp(min=1)
    return 0.6 * mean_near + 0.4 * mean_far


def cell_centres(grid: int, device: torch.device) -> Tensor:
    """Centres xy of the cells of a grid x grid map, row by row: fp32 [g*g,2] in 0..1."""
    line = (torch.arange(grid, device=device) + 0.5) / grid
    return torch.stack((line.repeat(grid), line.repeat_interleave(grid)), -1)


def box_around(centres: Tensor, distances: Tensor) -> Tensor:
    """Boxes xyxy from log distances to the four edges, 0 meaning 0.15 of the picture: centres [N,2], distances [...,N,4]."""
    away = distances.float().clamp(-4, 3).exp() * 0.15
    return torch.cat((centres - away[..., :2], centres + away[..., 2:]), -1)
