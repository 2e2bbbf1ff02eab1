"""The DETR decoder: object queries -> boxes and features, with a presence token that says whether the concept is there at all."""

from __future__ import annotations

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Sam3Config
from .layers import MLP, FeedForward, FusedAttention, key_mask
from .positions import cxcywh_to_xyxy, inverse_sigmoid, sine_encoding


class DecoderLayer(nn.Module):
    """Post-norm layer: self-attention, attention to the prompt, attention to the image biased by the boxes, feed-forward."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim, heads = config.hidden_size, config.decoder_heads
        self.self_attn = FusedAttention(dim, heads)
        self.self_norm = nn.LayerNorm(dim)
        self.prompt_attn = FusedAttention(dim, heads)
        self.prompt_norm = nn.LayerNorm(dim)
        self.image_attn = FusedAttention(dim, heads)
        self.image_norm = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, config.decoder_mlp)
        self.mlp_norm = nn.LayerNorm(dim)

    def forward(
        self,
        x: Tensor,
        query_pos: Tensor,
        prompt: Tensor,
        prompt_mask: Tensor,
        image: Tensor,
        image_pos: Tensor,
        box_bias: Tensor,
        query_mask: Optional[Tensor] = None,
    ) -> Tensor:
        """x, query_pos [P,1+Q,C]; prompt [P,L,C]; image [P,g*g,C]; box_bias [P,heads,1+Q,g*g] -> [P,1+Q,C].

        `query_mask` bool [1+Q,1+Q] keeps groups of queries apart, which only training has.
        """
        x = self.self_norm(x + self.self_attn.self_attention_with_position(x, query_pos, query_mask))
        x = self.prompt_norm(x + self.prompt_attn.cross_attention(x + query_pos, prompt, prompt_mask))
        x = self.image_norm(
            x + self.image_attn.cross_attention_with_position(x + query_pos, image, image_pos, box_bias)
        )
        return self.mlp_norm(x + self.mlp(x))


class DetrDecoder(nn.Module):
    """Refines the boxes of the queries layer by layer. Boxes and sines are fp32 in every dtype."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim, heads = config.hidden_size, config.decoder_heads
        self.dim = dim
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.query_embed = nn.Embedding(config.num_queries, dim)
        self.reference_points = nn.Embedding(config.num_queries, 4)
        self.presence_token = nn.Embedding(1, dim)
        self.norm = nn.LayerNorm(dim)
        self.box_head = MLP(dim, dim, 4, 3)
        self.presence_norm = nn.LayerNorm(dim)
        self.presence_head = MLP(dim, dim, 1, 3)
        self.ref_point_head = MLP(2 * dim, dim, dim, 2)
        self.box_bias_x = MLP(2, dim, heads, 2)
        self.box_bias_y = MLP(2, dim, heads, 2)

    def query_position(self, boxes: Tensor, dtype: torch.dtype) -> Tensor:
        """boxes fp32 [P,Q,4] cxcywh -> [P,1+Q,C]; the presence token, first, has no position."""
        sine = sine_encoding(boxes, self.dim // 2)
        sine = torch.cat((sine[:, :, 1], sine[:, :, 0], sine[:, :, 2], sine[:, :, 3]), -1)
        return F.pad(self.ref_point_head(sine.to(dtype)), (0, 0, 1, 0))

    def _edge_distances(self, low: Tensor, high: Tensor, grid: int) -> Tensor:
        """Signed log distances of the cells of one axis to two box edges: edges fp32 [P,Q] in 0..1 -> fp32 [P,Q,g,2]."""
        cell = torch.arange(grid, device=low.device).float() / grid
        delta = torch.stack((cell - low.unsqueeze(-1), cell - high.unsqueeze(-1)), -1) * 8.0
        return torch.sign(delta) * torch.log2(delta.abs() + 1.0) / 3.0  # 3 = log2(8)

    def box_bias(self, boxes: Tensor, grid: int, dtype: torch.dtype) -> Tensor:
        """boxes fp32 [P,Q,4] cxcywh -> additive attention bias [P,heads,1+Q,g*g]; the row of the presence token, first, is zero.

        The biases of the axes are brought into the layout of the result while they are small, so that the sum is the only full-size operation.
        """
        edges = cxcywh_to_xyxy(boxes)
        y = self.box_bias_y(self._edge_distances(edges[..., 1], edges[..., 3], grid).to(dtype))
        x = self.box_bias_x(self._edge_distances(edges[..., 0], edges[..., 2], grid).to(dtype))
        y, x = F.pad(y.permute(0, 3, 1, 2), (0, 0, 1, 0)), F.pad(x.permute(0, 3, 1, 2), (0, 0, 1, 0))
        return (y.unsqueeze(-1) + x.unsqueeze(-2)).flatten(-2)

    def forward(
        self, image: Tensor, image_pos: Tensor, grid: int, prompt: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Decodes P prompts.

        Args:
            image: encoder output [P,g*g,C]; image_pos [1,g*g,C]; grid: g.
            prompt: [P,L,C]; valid: bool [P,L].

        Returns:
            queries [P,Q,C] (normed, for scores and masks), boxes fp32 [P,Q,4] cxcywh in 0..1, presence logits [P,1]
            (not clamped: the reference discards the result of its clamp).
        """
        prompts, dtype = image.shape[0], image.dtype
        prompt_mask = key_mask(valid)
        x = torch.cat((self.presence_token.weight, self.query_embed.weight), 0).unsqueeze(0).expand(prompts, -1, -1)
        boxes = self.reference_points.weight.float().sigmoid().unsqueeze(0).expand(prompts, -1, -1)
        queries = x[:, 1:]
        for layer in self.layers:
            x = layer(
                x,
                self.query_position(boxes, dtype),
                prompt,
                prompt_mask,
                image,
                image_pos,
                self.box_bias(boxes, grid, dtype),
            )
            queries = self.norm(x[:, 1:])
            boxes = (self.box_head(queries).float() + inverse_sigmoid(boxes)).sigmoid()
        presence = self.presence_head(self.presence_norm(x[:, :1])).squeeze(-1)
        return queries, boxes, presence
