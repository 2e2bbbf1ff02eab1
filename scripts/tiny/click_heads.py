"""Training-only heads inside SAM's mask decoder: is this cell of the clicked object, and where is that object.

Masks alone teach a decoder of this size nothing for thousands of steps: it answers every click with all that is no ground.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch.nn.functional as F
from torch import Tensor, nn

from scripts.export.config import Sam3Config
from scripts.export.sam_mask_decoder import SamMaskDecoder

from .boxes import xyxy_to_cxcywh
from .clicks import Chosen
from .losses import focal

Layers = list[tuple[Tensor, Tensor]]  # tokens [n,T,C] and image [n,g*g,C] after each layer of the two-way transformer
# A cell belongs to the object, or does not, where its share is above or below these.
SURE, SURELY_NOT = 0.6, 0.3
# The mask tokens stand behind the object's and the estimate's.
MASK_TOKENS = slice(2, 6)


@contextmanager
def watched(decoder: SamMaskDecoder) -> Iterator[Layers]:
    """Collects what the layers of the decoder give, call by call."""
    seen: Layers = []
    hooks = [layer.register_forward_hook(lambda _m, _i, out: seen.append(out)) for layer in decoder.transformer.layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


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
        side = chosen.mask.shape[-1]
        share = F.avg_pool2d(chosen.mask.float().unsqueeze(1), side // self.grid).flatten(1)
        inside, known = (share > SURE).float(), ((share > SURE) | (share < SURELY_NOT)).float()
        box, count = xyxy_to_cxcywh(chosen.box).unsqueeze(1), inside.sum().clamp(min=1)
        there = chosen.mask.any((1, 2)).float()
        cell = place = 0.0
        for i, (tokens, image) in enumerate(seen):
            i %= len(self.cell)
            logits = self.cell[i](self.cell_norm[i](image)).squeeze(-1).float()
            cell = cell + (focal(logits, inside, 0.5) * known).sum() / count
            found = self.box[i](self.box_norm[i](tokens[:, MASK_TOKENS])).float().sigmoid()
            apart = (found - box).abs().sum(-1).mean(1)
            place = place + (apart * there).sum() / there.sum().clamp(min=1)
        return {f"{name}_cell": cell / len(seen), f"{name}_box": place / len(seen)}
