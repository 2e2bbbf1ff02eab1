"""The geometry encoder: exemplar boxes of a prompt -> tokens that stand beside the text tokens."""

from __future__ import annotations

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Sam3Config
from .kept_tables import KeptTables
from .layers import FeedForward, FusedAttention, Linear, key_mask
from .positions import SineEncoding, SinePositions, cxcywh_to_xyxy


def roi_weights(low: Tensor, high: Tensor, size: int, bins: int) -> Tensor:
    """Pooling weights of RoIAlign along one axis: edges fp32 [...] in cells -> fp32 [...,bins,size].

    Bilinear sampling is separable, so RoIAlign(aligned=False, sampling_ratio=-1) is two small matrix products with these weights:
    exact, no extra operator, any number of boxes. Samples are the adaptive ceil(width/bins) per bin of the reference kernel;
    the bound on their number covers boxes up to twice as wide as the image.
    """
    width = (high - low).clamp(min=1.0)[..., None, None]
    bin_width = width / bins
    count = torch.ceil(bin_width)
    bin_index = torch.arange(bins, device=low.device).float().unsqueeze(-1)
    sample_index = torch.arange((2 * size) // bins + 1, device=low.device).float()
    position = low[..., None, None] + bin_index * bin_width + (sample_index + 0.5) * bin_width / count
    used = (sample_index < count) & (position >= -1.0) & (position <= float(size))
    cell = torch.arange(size, device=low.device).float()
    weight = (1.0 - (cell - position.clamp(0.0, float(size - 1)).unsqueeze(-1)).abs()).clamp(min=0.0)
    return (weight * used.unsqueeze(-1).float()).sum(-2) / count


class GeometryLayer(nn.Module):
    """Pre-norm layer: self-attention among the box tokens, cross-attention to the image, feed-forward."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim = config.hidden_size
        self.norm1 = nn.LayerNorm(dim)
        self.self_attn = FusedAttention(dim, config.geometry_heads)
        self.norm2 = nn.LayerNorm(dim)
        self.cross_attn = FusedAttention(dim, config.geometry_heads)
        self.norm3 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, config.geometry_mlp)

    def forward(self, x: Tensor, mask: Optional[Tensor], image: Tensor, keys: Tensor) -> Tensor:
        """x [P,N,C], mask [P,1,1,N], image [P,g*g,C], keys: the same with its positions -> [P,N,C]."""
        x = x + self.self_attn.self_attention(self.norm1(x), mask)
        x = x + self.cross_attn.cross_attention_with_keys(self.norm2(x), keys, image)
        return x + self.mlp(self.norm3(x))


class GeometryEncoder(nn.Module):
    """Box token = coordinates + pooled features + position + label; a CLS token follows the last box, also where there is none.

    (transformers leaves the CLS token out of prompts without boxes; Meta's code does not, and scores depend on it.)
    """

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim = config.hidden_size
        self.dim = dim
        self.bins = config.roi_size
        self.sines = SineEncoding(dim // 2)
        self.positions = SinePositions(dim)
        self.lone_tokens = KeptTables()
        self.label_embed = nn.Embedding(2, dim)
        self.cls_embed = nn.Embedding(1, dim)
        self.box_proj = Linear(4, dim)
        self.pool_proj = nn.Conv2d(dim, dim, config.roi_size)
        self.pos_proj = Linear(dim + 2, dim)
        self.image_norm = nn.LayerNorm(dim)
        self.final_proj = Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(GeometryLayer(config) for _ in range(config.geometry_layers))
        self.norm_out = nn.LayerNorm(dim)

    def _pool(self, boxes: Tensor, image: Tensor) -> Tensor:
        """RoIAlign and its 7x7 projection: boxes fp32 [P,N,4] cxcywh in 0..1, image [P,C,g,g] -> [P,N,C]."""
        prompts, count, grid = boxes.shape[0], boxes.shape[1], image.shape[-1]
        edges = cxcywh_to_xyxy(boxes) * float(grid)
        weight_x = roi_weights(edges[..., 0], edges[..., 2], grid, self.bins)
        weight_y = roi_weights(edges[..., 1], edges[..., 3], grid, self.bins)
        normed = self.image_norm(image.permute(0, 2, 3, 1)).float()
        rows = weight_y.flatten(1, 2) @ normed.flatten(2)
        rows = rows.view(prompts, count, self.bins, grid, self.dim)
        pooled = torch.einsum("pnxj,pnyjc->pncyx", weight_x, rows).to(image.dtype)
        return F.linear(pooled.flatten(2), self.pool_proj.weight.flatten(1), self.pool_proj.bias)

    def forward(
        self, boxes: Tensor, labels: Tensor, valid: Tensor, image: Tensor, img_idx: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Boxes of P prompts, padded on the right to N (N may be 0).

        Args:
            boxes: fp32 [P,N,4], cxcywh relative to the image.
            labels: i64 [P,N], 1 positive, 0 negative.
            valid: bool [P,N], False = padding.
            image: [B,C,g,g], the coarsest map of the detector's neck.
            img_idx: i64 [P], the image of each prompt.

        Returns:
            tokens [P,N+1,C] and their validity bool [P,N+1].
        """
        if boxes.shape[1] == 0:
            all_valid = torch.ones([valid.shape[0], 1], dtype=torch.bool, device=valid.device)
            return self._without_boxes(image).index_select(0, img_idx), all_valid
        dtype, prompts, count = image.dtype, boxes.shape[0], boxes.shape[1]
        boxes = boxes.float()
        image = image.index_select(0, img_idx)
        center = torch.cat((self.sines(boxes[..., 1]), self.sines(boxes[..., 0])), -1)
        position = torch.cat((center, boxes[..., 3:4], boxes[..., 2:3]), -1)
        tokens = (
            self.box_proj(boxes.to(dtype))
            + self._pool(boxes, image)
            + self.pos_proj(position.to(dtype))
            + self.label_embed(labels)
        )
        tokens = tokens * valid.unsqueeze(-1).to(dtype)
        # The CLS token takes the first free place, so that valid tokens stay together.
        used = valid.sum(1, keepdim=True)
        cls = self.cls_embed.weight.unsqueeze(0).expand(prompts, 1, self.dim)
        tokens = torch.cat((tokens, torch.zeros_like(cls)), 1).scatter(
            1, used.unsqueeze(-1).expand(prompts, 1, self.dim), cls
        )
        token_valid = torch.arange(count + 1, device=boxes.device).unsqueeze(0) <= used
        x = self.norm(self.final_proj(tokens))
        return self._look(x, key_mask(token_valid, dtype), image), token_valid

    def _look(self, x: Tensor, mask: Optional[Tensor], image: Tensor) -> Tensor:
        """The layers: x [B,N,C], mask [B,1,1,N], image [B,C,g,g] -> [B,N,C]."""
        features = image.flatten(2).transpose(1, 2)
        keys = features + self.positions(image)
        for layer in self.layers:
            x = layer(x, mask, features, keys)
        return self.norm_out(x)

    def _without_boxes(self, image: Tensor) -> Tensor:
        """The CLS token alone, which is the same for all prompts of an image: image [B,C,g,g] -> [B,1,C]."""
        x = self.lone_tokens.find(1, image.dtype, image.device)
        if x is None:
            x = self.lone_tokens.keep(1, self.norm(self.final_proj(self.cls_embed.weight)).unsqueeze(0))
        return self._look(x.expand(image.shape[0], -1, -1), None, image)
