"""Training-only heads inside SAM's mask decoder and the memory attention: is this cell of the object that is meant, and where is that object.

Masks alone teach a decoder of this size nothing for thousands of steps: it answers every click with all that is no ground.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch.nn.functional as F
from torch import Tensor, nn

from scripts.export.config import Sam3Config

from .boxes import xyxy_to_cxcywh
from .clicks import Chosen
from .losses import focal

Cells = tuple[
    Tensor, Tensor, Tensor
]  # which cells are an object's, which are judged (fp32 [n,g*g]), how many are theirs, at least 1
Layers = list[tuple[Tensor, Tensor]]  # tokens [n,T,C] and image [n,g*g,C] after each layer of the two-way transformer
# A cell belongs to the object, or does not, where its share is above or below these.
SURE, SURELY_NOT = 0.6, 0.3
# The mask tokens stand behind the object's and the estimate's.
MASK_TOKENS = slice(2, 6)


@contextmanager
def watched(layers: nn.ModuleList) -> Iterator[list]:
    """Collects what layers give, call by call."""
    seen: list = []
    hooks = [layer.register_forward_hook(lambda _m, _i, out: seen.append(out)) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def cells_of(masks: Tensor, grid: int) -> Cells:
    """The cells of masks bool [n,S,S]."""
    share = F.avg_pool2d(masks.float().unsqueeze(1), masks.shape[-1] // grid).flatten(1)
    inside, known = (share > SURE).float(), ((share > SURE) | (share < SURELY_NOT)).float()
    return inside, known, inside.sum().clamp(min=1)


def cell_loss(head: nn.Linear, norm: nn.LayerNorm, image: Tensor, cells: Cells) -> Tensor:
    """How wrong a head is about the cells of an object: features [n,g*g,C] of one layer."""
    inside, known, count = cells
    logits = head(norm(image)).squeeze(-1).float()
    return (focal(logits, inside, 0.5) * known).sum() / count


class ClickHeads(nn.Module):
    """One pair of heads for each layer of the decoder."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim, layers = config.hidden_size, config.sam_layers
        self.grid = config.grid
        self.cell_norm = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers))
        self.cell = nn.ModuleList(nn.Linear(dim, 1) for _ in range(layers))
        self.box_norm = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers))
        self.box = nn.ModuleList(nn.Linear(dim, 4) for _ in range(layers))

    def forward(self, seen: Layers, chosen: Chosen, name: str = "click") -> dict[str, Tensor]:
        """Losses of one or more calls of the decoder about the objects `chosen`, their names beginning with `name`."""
        cells = cells_of(chosen.mask, self.grid)
        box = xyxy_to_cxcywh(chosen.box).unsqueeze(1)
        there = chosen.mask.any((1, 2)).float()
        cell = place = 0.0
        for i, (tokens, image) in enumerate(seen):
            i %= len(self.cell)
            cell = cell + cell_loss(self.cell[i], self.cell_norm[i], image, cells)
            found = self.box[i](self.box_norm[i](tokens[:, MASK_TOKENS])).float().sigmoid()
            apart = (found - box).abs().sum(-1).mean(1)
            place = place + (apart * there).sum() / there.sum().clamp(min=1)
        return {f"{name}_cell": cell / len(seen), f"{name}_box": place / len(seen)}


class MemoryHeads(nn.Module):
    """One head for each layer of the memory attention: the decoder gets no other prompt in a frame that is followed."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim, layers = config.hidden_size, config.memory_layers
        self.grid = config.grid
        self.norm = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers))
        self.cell = nn.ModuleList(nn.Linear(dim, 1) for _ in range(layers))

    def forward(self, seen: list[Tensor], masks: Tensor) -> Tensor:
        """The loss of one call of the memory attention, its layers' features [n,g*g,C], about masks bool [n,S,S]."""
        cells, heads = cells_of(masks, self.grid), zip(self.cell, self.norm, seen, strict=True)
        return sum(cell_loss(*head, cells) for head in heads) / len(seen)
