"""The DETR encoder: image tokens attend to each other and to the prompt."""

from __future__ import annotations

from torch import Tensor, nn

from .config import Sam3Config
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


class DetrEncoder(nn.Module):
    """Fuses an image with each prompt asked of it."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        self.position = SinePositions(config.hidden_size)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))

    def forward(self, image: Tensor, img_idx: Tensor, prompt: Tensor, valid: Tensor) -> Tensor:
        """image [B,C,g,g], img_idx i64 [P], prompt [P,L,C], valid bool [P,L] -> [P,g*g,C]."""
        position = self.position(image)
        mask = key_mask(valid, image.dtype)
        x = image.flatten(2).transpose(1, 2)
        for i, layer in enumerate(self.layers):
            x = layer.attend_image(x, position)
            if i == 0:
                # Until here nothing depends on the prompt: the first self-attention runs once per image, not per prompt.
                x = x.index_select(0, img_idx)
            x = layer.attend_prompt(x, prompt, mask)
        return x
