"""The DETR decoder: object queries -> boxes and features, with a presence token that says whether the concept is there at all."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor, nn

from .config import Sam3Config
from .kept_tables import KeptTables
from .layers import MLP, FeedForward, FusedAttention, key_mask
from .positions import SineEncoding, cxcywh_to_xyxy, inverse_sigmoid


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
        image_keys: Tensor,
        box_bias: Tensor,
        query_mask: Optional[Tensor] = None,
    ) -> Tensor:
        """x, query_pos [P,1+Q,C]; prompt [P,L,C]; image [P,g*g,C], image_keys: the same with its positions; box_bias
        [P,heads,1+Q,g*g] -> [P,1+Q,C].

        `query_mask` bool [1+Q,1+Q] keeps groups of queries apart, which only training has.
        """
        x = self.attend_queries(x, query_pos, query_mask)
        return self.attend_rest(x, query_pos, prompt, prompt_mask, image, image_keys, box_bias)

    def attend_queries(self, x: Tensor, query_pos: Tensor, query_mask: Optional[Tensor] = None) -> Tensor:
        """The self-attention step: x, query_pos [P,1+Q,C] -> [P,1+Q,C]."""
        return self.self_norm(x + self.self_attn.self_attention_with_position(x, query_pos, query_mask))

    def attend_rest(
        self,
        x: Tensor,
        query_pos: Tensor,
        prompt: Tensor,
        prompt_mask: Tensor,
        image: Tensor,
        image_keys: Tensor,
        box_bias: Tensor,
    ) -> Tensor:
        """The other steps: x [P,1+Q,C]; query_pos and box_bias may have batch 1 -> [P,1+Q,C]."""
        x = self.prompt_norm(x + self.prompt_attn.cross_attention(x + query_pos, prompt, prompt_mask))
        x = self.image_norm(x + self.image_attn.cross_attention_with_keys(x + query_pos, image_keys, image, box_bias))
        return self.mlp_norm(x + self.mlp(x))


class DetrDecoder(nn.Module):
    """Refines the boxes of the queries layer by layer. Boxes and sines are fp32 in every dtype."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim, heads = config.hidden_size, config.decoder_heads
        self.dim = dim
        self.sines = SineEncoding(dim // 2)
        self.zeros = KeptTables()
        self.cells = KeptTables()
        self.first_boxes = KeptTables()
        self.first_queries = KeptTables()
        self.first_positions = KeptTables()
        self.first_biases = KeptTables()
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
        sine = self.sines(boxes)
        sine = torch.cat((sine[:, :, 1], sine[:, :, 0], sine[:, :, 2], sine[:, :, 3]), -1)
        none = self._zeros(self.dim, dtype, boxes.device).expand(boxes.shape[0], 1, -1)
        return torch.cat((none, self.ref_point_head(sine.to(dtype))), 1)

    def _zeros(self, count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        zeros = self.zeros.find(count, dtype, device)
        if zeros is None:
            zeros = self.zeros.keep(count, torch.zeros([count], dtype=dtype, device=device))
        return zeros

    def _edge_distances(self, boxes: Tensor, grid: int) -> Tensor:
        """Signed log distances of the cells of each axis to the two box edges on it: boxes fp32 [P,Q,4] cxcywh -> fp32 [2,P,Q,g,2], x then y."""
        cell = self.cells.find(grid, torch.float32, boxes.device)
        if cell is None:
            cell = self.cells.keep(grid, torch.arange(grid, device=boxes.device).float() / grid)
        edges = cxcywh_to_xyxy(boxes).unflatten(-1, [2, 2]).permute(3, 0, 1, 2).contiguous()
        delta = (cell.unsqueeze(-1) - edges.unsqueeze(-2)) * 8.0
        return torch.sign(delta) * torch.log2(delta.abs() + 1.0) / 3.0  # 3 = log2(8)

    def box_bias(self, boxes: Tensor, grid: int, dtype: torch.dtype) -> Tensor:
        """boxes fp32 [P,Q,4] cxcywh -> additive attention bias [P,heads,1+Q,g*g]; the row of the presence token, first, is zero.

        The biases of the axes are brought into the layout of the result while they are small, so that the sum is the only full-size operation.
        """
        distances = self._edge_distances(boxes, grid).to(dtype)
        x = self.box_bias_x(distances[0]).permute(0, 3, 1, 2)
        y = self.box_bias_y(distances[1]).permute(0, 3, 1, 2)
        none = self._zeros(grid, dtype, boxes.device).expand(x.shape[0], x.shape[1], 1, -1)
        y, x = torch.cat((none, y), 2), torch.cat((none, x), 2)
        return (y.unsqueeze(-1) + x.unsqueeze(-2)).flatten(-2)

    def _first(self, grid: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What does not depend on image or prompt: the boxes [1,Q,4] that all begin with, their positions [1,1+Q,C] and bias
        [1,heads,1+Q,g*g], and the queries [1,1+Q,C] after the first layer's self-attention."""
        boxes = self.first_boxes.find(grid, torch.float32, device)
        position = self.first_positions.find(grid, dtype, device)
        bias = self.first_biases.find(grid, dtype, device)
        x = self.first_queries.find(grid, dtype, device)
        if boxes is None or position is None or bias is None or x is None:
            boxes = self.first_boxes.keep(grid, self.reference_points.weight.float().sigmoid().unsqueeze(0))
            position = self.first_positions.keep(grid, self.query_position(boxes, dtype))
            bias = self.first_biases.keep(grid, self.box_bias(boxes, grid, dtype))
            x = torch.cat((self.presence_token.weight, self.query_embed.weight), 0).unsqueeze(0)
            x = self.first_queries.keep(grid, self.layers[0].attend_queries(x, position))
        return boxes, position, bias, x

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
        prompt_mask, image_keys = key_mask(valid, dtype), image + image_pos
        boxes, position, bias, x = self._first(grid, dtype, image.device)
        x = x.expand(prompts, -1, -1)
        queries = x[:, 1:]
        for i, layer in enumerate(self.layers):
            if i > 0:
                position, bias = self.query_position(boxes, dtype), self.box_bias(boxes, grid, dtype)
                x = layer.attend_queries(x, position)
            x = layer.attend_rest(x, position, prompt, prompt_mask, image, image_keys, bias)
            queries = self.norm(x[:, 1:])
            boxes = (self.box_head(queries).float() + inverse_sigmoid(boxes)).sigmoid()
        presence = self.presence_head(self.presence_norm(x[:, :1])).squeeze(-1)
        return queries, boxes, presence
