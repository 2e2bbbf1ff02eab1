"""The DETR encoder: image tokens attend to each other and to the prompt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import Sam3Config
from .fused import add_product, norm_of_sum, sums_in_place
from .kept_tables import KeptTables
from .layers import FeedForward, FusedAttention, key_mask
from .positions import SinePositions


class EncoderLayer(nn.Module):
    """Pre-norm layer: self-attention with positions, cross-attention to the prompt, feed-forward."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim = config.hidden_size
        self.norm1 = nn.LayerNorm(dim)
        self.self_attn = FusedAttention(dim, config.encoder_heads)
        self.norm2 = nn.LayerNorm(dim)
        self.cross_attn = FusedAttention(dim, config.encoder_heads)
        self.norm3 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, config.encoder_mlp)

    def attend_image(self, x: Tensor, position: Tensor) -> Tensor:
        """The self-attention step: x [B,g*g,C], position [1,g*g,C] -> [B,g*g,C]."""
        return x + self.self_attn.self_attention_with_position(self.norm1(x), position)

    def attend_prompt(self, x: Tensor, prompt: Tensor, mask: Tensor) -> Tensor:
        """The cross-attention and feed-forward steps: x [P,g*g,C], prompt [P,L,C], mask [P,1,1,L] -> [P,g*g,C]."""
        x = x + self.cross_attn.cross_attention(self.norm2(x), prompt, mask)
        return x + self.mlp(self.norm3(x))

    def add_image(self, x: Tensor, position: Tensor, before: Tensor) -> None:
        """`attend_image` in place, on a sum that lacks the biases `before` [C] (see `DetrEncoder`)."""
        y = norm_of_sum(x, before, self.norm1.weight, self.norm1.bias, 1e-5)
        add_product(x, self.self_attn.attend_self_with_position(y, position), self.self_attn.out_proj.weight)

    def add_prompt(self, x: Tensor, prompt: Tensor, mask: Tensor, before: Tensor, before_mlp: Tensor) -> None:
        """`attend_prompt` in place, likewise."""
        y = norm_of_sum(x, before, self.norm2.weight, self.norm2.bias, 1e-5)
        add_product(x, self.cross_attn.attend_cross(y, prompt, mask), self.cross_attn.out_proj.weight)
        y = norm_of_sum(x, before_mlp, self.norm3.weight, self.norm3.bias, 1e-5)
        add_product(x, self.mlp.hidden(y), self.mlp.fc2.weight)


class DetrEncoder(nn.Module):
    """Fuses an image with each prompt asked of it."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        self.position = SinePositions(config.hidden_size)
        self.shifts = KeptTables()
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))

    def forward(self, image: Tensor, img_idx: Tensor, prompt: Tensor, valid: Tensor) -> Tensor:
        """image [B,C,g,g], img_idx i64 [P], prompt [P,L,C], valid bool [P,L] -> [P,g*g,C]."""
        position = self.position(image)
        mask = key_mask(valid, image.dtype)
        x = image.flatten(2).transpose(1, 2)
        in_place = sums_in_place(x)
        shifts = self._shifts(x) if in_place else x
        for i, layer in enumerate(self.layers):
            if i == 0:
                # Until here nothing depends on the prompt: the first self-attention runs once per image, not per prompt.
                x = layer.attend_image(x, position).index_select(0, img_idx)
            elif in_place:
                layer.add_image(x, position, shifts[3 * i])
            else:
                x = layer.attend_image(x, position)
            if in_place:
                layer.add_prompt(x, prompt, mask, shifts[3 * i + 1], shifts[3 * i + 2])
            else:
                x = layer.attend_prompt(x, prompt, mask)
        return x + shifts[-1] if in_place else x

    def _shifts(self, x: Tensor) -> Tensor:
        """The biases that `x` lacks where it is summed in place, before each of the three steps of each layer and at the end:
        [3*layers+1,C], as `x`. The first step has added its own."""
        table = self.shifts.find(0, x.dtype, x.device)
        if table is None:
            none = torch.zeros_like(self.layers[0].norm1.bias)
            biases = [none]
            for i, layer in enumerate(self.layers):
                biases.append(layer.self_attn.out_proj.bias if i > 0 else none)
                biases.append(layer.cross_attn.out_proj.bias)
                biases.append(layer.mlp.fc2.bias)
            table = self.shifts.keep(0, torch.stack(biases).float().cumsum(0).to(x.dtype))
        return table
