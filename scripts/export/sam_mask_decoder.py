"""SAM's mask decoder: a two-way transformer between prompt tokens and the image, then masks, IoU estimates and an object score."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Sam3Config
from .layers import MLP, Attention, FeedForward, LayerNorm2d


class TwoWayLayer(nn.Module):
    """Tokens attend to themselves and to the image, then the image attends to the tokens. The first layer has no residual or positions in its self-attention."""

    def __init__(self, config: Sam3Config, first: bool):
        super().__init__()
        dim, heads, inner = config.hidden_size, config.sam_heads, config.hidden_size // config.sam_downsample
        self.first = first
        self.self_attn = Attention(dim, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.token_to_image = Attention(dim, heads, inner_dim=inner)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, config.sam_mlp)
        self.norm3 = nn.LayerNorm(dim)
        self.image_to_token = Attention(dim, heads, inner_dim=inner)
        self.norm4 = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, image: Tensor, token_pos: Tensor, image_pos: Tensor) -> tuple[Tensor, Tensor]:
        """tokens, token_pos [B,T,C]; image [B,g*g,C]; image_pos [1,g*g,C] -> new tokens and image."""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            query = tokens + token_pos
            tokens = tokens + self.self_attn(query, query, tokens)
        tokens = self.norm1(tokens)
        key = image + image_pos
        tokens = self.norm2(tokens + self.token_to_image(tokens + token_pos, key, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.image_to_token(key, tokens + token_pos, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """The layers, then a last attention from tokens to image."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        self.layers = nn.ModuleList(TwoWayLayer(config, i == 0) for i in range(config.sam_layers))
        self.final_attn = Attention(
            config.hidden_size, config.sam_heads, inner_dim=config.hidden_size // config.sam_downsample
        )
        self.final_norm = nn.LayerNorm(config.hidden_size)

    def forward(self, tokens: Tensor, image: Tensor, image_pos: Tensor) -> tuple[Tensor, Tensor]:
        """tokens [B,T,C], image [B,g*g,C], image_pos [1,g*g,C] -> new tokens and image."""
        token_pos = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_pos, image_pos)
        tokens = self.final_norm(tokens + self.final_attn(tokens + token_pos, image + image_pos, image))
        return tokens, image


class TokenMaskDecoder(nn.Module):
    """What the decoder of clicks and that of propagation (SAM 3.1) have in common: tokens of `slots` objects with `masks` masks each."""

    def __init__(self, config: Sam3Config, slots: int, masks: int):
        super().__init__()
        dim = config.hidden_size
        self.object_token = nn.Embedding(slots, dim)
        self.iou_token = nn.Embedding(slots, dim)
        self.mask_tokens = nn.Embedding(slots * masks, dim)
        self.transformer = TwoWayTransformer(config)
        self.conv_s0 = nn.Conv2d(dim, dim // 8, 1)
        self.conv_s1 = nn.Conv2d(dim, dim // 4, 1)
        self.upscale1 = nn.ConvTranspose2d(dim, dim // 4, 2, 2)
        self.upscale_norm = LayerNorm2d(dim // 4)
        self.upscale2 = nn.ConvTranspose2d(dim // 4, dim // 8, 2, 2)
        self.mask_mlps = nn.ModuleList(MLP(dim, dim, dim // 8, 3) for _ in range(masks))
        self.iou_head = MLP(dim, config.iou_head_hidden, masks, 3)
        self.object_head = MLP(dim, dim, 1, 3)

    def high_resolution(self, fine: Tensor, middle: Tensor) -> tuple[Tensor, Tensor]:
        """Skip features, computed once per image: [B,C,4g,4g], [B,C,2g,2g] -> [B,C/8,4g,4g], [B,C/4,2g,2g]."""
        return self.conv_s0(fine), self.conv_s1(middle)

    def run(
        self, tokens: Tensor, image: Tensor, image_pos: Tensor, fine: Tensor, middle: Tensor
    ) -> tuple[Tensor, Tensor]:
        """tokens [B,T,C], image [B,C,g,g], image_pos [1,C,g,g], fine and middle from high_resolution -> new tokens, pixels [B,C/8,4g,4g]."""
        grid = image.shape[-1]
        x, position = image.flatten(2).transpose(1, 2), image_pos.flatten(2).transpose(1, 2)
        tokens, x = self.transformer(tokens, x, position)
        x = x.transpose(1, 2).unflatten(2, [grid, grid])
        x = F.gelu(self.upscale_norm(self.upscale1(x) + middle))
        return tokens, F.gelu(self.upscale2(x) + fine)

    def mask_weights(self, mask_tokens: Tensor) -> Tensor:
        """Tokens [...,masks,C] -> what pixels are multiplied with [...,masks,C/8]: every mask of an object has a head of its own."""
        weights = []
        for i, mlp in enumerate(self.mask_mlps):
            weights.append(mlp(mask_tokens.select(-2, i)))
        return torch.stack(weights, -2)


class SamMaskDecoder(TokenMaskDecoder):
    """Four masks per prompt: number 0 for an unambiguous prompt, 1 to 3 for whole, part and subpart. The caller chooses."""

    def __init__(self, config: Sam3Config):
        super().__init__(config, 1, 4)
        self.iou_sigmoid = config.iou_sigmoid

    def forward(
        self, fine: Tensor, middle: Tensor, image: Tensor, image_pos: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Masks of B prompts.

        Args:
            fine, middle: [B or 1,C/8,4g,4g], [B or 1,C/4,2g,2g] from high_resolution; image: [B or 1,C,g,g]; image_pos: [1,C,g,g].
            sparse: [B,n,C] (n may be 0); dense: [B,C,g,g].

        Returns:
            mask logits [B,4,4g,4g], IoU estimates [B,4] (in 0..1 but for SAM 3.1), mask tokens [B,4,C], object score logits [B,1].
        """
        output_tokens = torch.cat((self.object_token.weight, self.iou_token.weight, self.mask_tokens.weight), 0)
        tokens = torch.cat((output_tokens.unsqueeze(0).expand(sparse.shape[0], -1, -1), sparse), 1)
        tokens, pixels = self.run(tokens, image + dense, image_pos, fine, middle)
        mask_tokens = tokens[:, 2:6]
        masks = self.mask_weights(mask_tokens) @ pixels.flatten(2)
        ious = self.iou_head(tokens[:, 1])
        if self.iou_sigmoid:
            ious = ious.sigmoid()
        return masks.unflatten(2, [pixels.shape[2], pixels.shape[3]]), ious, mask_tokens, self.object_head(tokens[:, 0])
