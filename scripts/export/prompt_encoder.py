"""SAM's prompt encoder: clicks, box corners and mask prompts of the interactive path."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Sam3Config
from .kept_tables import KeptTables
from .layers import LayerNorm2d
from .positions import random_fourier, random_fourier_map


class MaskPrompt(nn.Module):
    """Mask logits at 4 x the feature resolution -> dense embedding."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        channels = config.mask_input_channels
        self.conv1 = nn.Conv2d(1, channels // 4, 2, 2)
        self.norm1 = LayerNorm2d(channels // 4)
        self.conv2 = nn.Conv2d(channels // 4, channels, 2, 2)
        self.norm2 = LayerNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, config.hidden_size, 1)

    def forward(self, mask: Tensor) -> Tensor:
        """[B,1,4g,4g] -> [B,C,g,g]."""
        x = F.gelu(self.norm1(self.conv1(mask)))
        return self.conv3(F.gelu(self.norm2(self.conv2(x))))


class PromptEncoder(nn.Module):
    """Points -> sparse tokens, mask -> dense embedding. `gaussian` (the random frequencies) stays fp32 in every dtype."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        self.patch_size = config.patch_size
        self.dense_positions = KeptTables()
        self.gaussian = nn.Parameter(torch.empty(2, config.hidden_size // 2))
        self.point_embed = nn.Embedding(4, config.hidden_size)
        self.not_a_point_embed = nn.Embedding(1, config.hidden_size)
        self.mask_prompt = MaskPrompt(config)
        self.no_mask_embed = nn.Embedding(1, config.hidden_size)

    def dense_position(self, grid: int) -> Tensor:
        """Positions of the cell centres of a g x g map, in the model's dtype: [1,C,g,g]."""
        dtype, device = self.point_embed.weight.dtype, self.gaussian.device
        table = self.dense_positions.find(grid, dtype, device)
        if table is None:
            table = self.dense_positions.keep(grid, random_fourier_map(self.gaussian, grid).to(dtype))
        return table

    def forward(self, points: Tensor, labels: Tensor, mask: Tensor, use_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Prompts of B objects.

        Args:
            points: fp32 [B,N,2], pixels (x, y) of the S x S input; N may be 0.
            labels: i64 [B,N]: 1 foreground, 0 background, 2 and 3 the corners of a box, -1 padding.
            mask: [B,1,4g,4g] logits, or batch 0 where no object has one; use_mask: bool [B], False where the object has no mask prompt.

        Returns:
            sparse [B,N+1,C] (a padding token ends it, as in the reference), dense [B,C,g,g].
        """
        dtype = self.point_embed.weight.dtype
        size = mask.shape[-1] // 4 * self.patch_size
        points = F.pad((points.float() + 0.5) / size, (0, 0, 0, 1))
        labels = F.pad(labels, (0, 1), value=-1.0).unsqueeze(-1)
        typed = random_fourier(points, self.gaussian) + self.point_embed(labels.squeeze(-1).clamp(min=0)).float()
        sparse = torch.where(labels < 0, self.not_a_point_embed.weight.float(), typed).to(dtype)
        no_mask = self.no_mask_embed.weight.view(1, -1, 1, 1)
        if mask.shape[0] == 0:
            grid = mask.shape[-1] // 4
            return sparse, no_mask.expand(sparse.shape[0], -1, grid, grid)
        dense = torch.where(use_mask.view(-1, 1, 1, 1), self.mask_prompt(mask.to(dtype)), no_mask)
        return sparse, dense
