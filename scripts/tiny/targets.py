"""What a painted scene teaches each token and each prompt."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .scenes import Scenes, count_owners

# A token belongs to an object that covers more than this of it, to the ground where the ground covers more than that.
OBJECT_SHARE, GROUND_SHARE = 0.5, 0.85


@dataclass
class TokenTargets:
    """For each of g*g tokens of B scenes; N = g*g."""

    thing: Tensor  # i64 [B,N]: 0 ground, k + 1 object k, -1 neither
    item: Tensor  # i64 [B,N]: what it shows, `items` (their number) for the ground, -1 unknown
    box: Tensor  # fp32 [B,N,4] xyxy of its object, zeros elsewhere


def token_targets(scenes: Scenes, grid: int, items: int) -> TokenTargets:
    """The targets of a grid x grid map; `items` is the number of items in the vocabulary."""
    most, thing = _shares(scenes, grid).max(-1)
    clear = most > torch.where(thing == 0, GROUND_SHARE, OBJECT_SHARE)
    thing = torch.where(clear, thing, -1)
    count = len(scenes.items)
    of_thing = torch.cat((torch.full((count, 1), items), scenes.items), 1).to(thing.device)
    item = torch.where(clear, of_thing.gather(1, thing.clamp(min=0)), -1)
    boxes = F.pad(scenes.boxes, (0, 0, 1, 0))
    box = boxes.gather(1, thing.clamp(min=0).unsqueeze(-1).expand(-1, -1, 4))
    return TokenTargets(thing, item, box)


def soft_masks(scenes: Scenes, side: int) -> Tensor:
    """The share of each cell of a side x side map that an object covers: fp32 [B,K,side,side]; `side` divides the picture's."""
    return _shares(scenes, side)[:, :, 1:].transpose(1, 2).unflatten(2, (side, side))


def _shares(scenes: Scenes, cells: int) -> Tensor:
    """The share of each cell that belongs to the ground and to each object: fp32 [B,cells*cells,K+1]."""
    batch, side, _ = scenes.owner.shape
    width = side // cells
    owner = scenes.owner.view(batch, cells, width, cells, width).transpose(2, 3).reshape(batch, cells * cells, -1)
    return count_owners(owner, scenes.items.shape[1]) / width**2
