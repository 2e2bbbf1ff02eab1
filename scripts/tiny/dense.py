"""Training-only heads on every token of the ViT and of the neck: what do I show, which texts mean me, where is my object."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scripts.export.config import Sam3Config

from .boxes import xyxy_to_cxcywh
from .losses import box_around, cell_centres, focal
from .targets import TokenTargets


class DenseHeads(nn.Module):
    """Recognition is the slow part of this training, and only dense losses are many enough to teach it."""

    def __init__(self, config: Sam3Config, items: int):
        super().__init__()
        width, dim = config.vision_width, config.hidden_size
        self.items = items
        self.grid = config.grid
        self.item = nn.Linear(width, items + 1)
        self.norm = nn.LayerNorm(dim)
        self.image = nn.Linear(dim, dim)
        self.text = nn.Linear(dim, dim)
        self.scale = nn.Parameter(torch.tensor(2.3))
        self.bias = nn.Parameter(torch.tensor(-4.0))
        self.box = nn.Linear(dim, 4)
        self.place = nn.Linear(dim, 4)

    def forward(
        self, vit: Tensor, coarse: Tensor, text: Tensor, valid: Tensor, truth: Tensor, targets: TokenTargets
    ) -> dict[str, Tensor]:
        """Losses and two accuracies (not to be minimised: their names begin with "right").

        Args:
            vit: [B,C,g,g]; coarse: [B,c,g,g]; text: [T,L,c]; valid: bool [T,L], of one phrase for each concept.
            truth: bool [items + 1,T].
        """
        item = targets.item
        tokens, features = vit.flatten(2).transpose(1, 2), self.norm(coarse.flatten(2).transpose(1, 2))
        known, positive = item >= 0, (item >= 0) & (item < self.items)
        weight = torch.where(item == self.items, 0.15, 1.0) * known
        logits = self.item(tokens).float()
        each = F.cross_entropy(
            logits.flatten(0, 1), item.clamp(min=0).flatten(), reduction="none", label_smoothing=0.05
        ).view_as(weight)
        loss_item = (each * weight).sum() / weight.sum().clamp(min=1)

        pooled = (text * valid.unsqueeze(-1)).sum(1) / valid.sum(1, keepdim=True)
        alike = F.normalize(self.image(features).float(), dim=-1) @ F.normalize(self.text(pooled).float(), dim=-1).t()
        alike = alike * self.scale.exp() + self.bias
        wanted = truth[item.clamp(min=0)].float()
        count = positive.sum().clamp(min=1)
        loss_text = (focal(alike, wanted, 0.5) * known.unsqueeze(-1)).sum() / count

        around = box_around(cell_centres(self.grid, vit.device), self.box(features))
        loss_box = ((around - targets.box).abs().sum(-1) * positive).sum() / count
        placed = self.place(features).float().sigmoid()
        loss_place = ((placed - xyxy_to_cxcywh(targets.box)).abs().sum(-1) * positive).sum() / count
        with torch.no_grad():
            right_item = ((logits.argmax(-1) == item) & positive).sum() / count
            best = wanted.gather(-1, alike.argmax(-1, keepdim=True)).squeeze(-1)
            named = positive & wanted.any(-1)
            right_text = (best * named).sum() / named.sum().clamp(min=1)
        return {
            "item": loss_item, "text": loss_text, "box": loss_box, "place": loss_place,
            "right_item": right_item, "right_text": right_text,
        }  # fmt: skip
