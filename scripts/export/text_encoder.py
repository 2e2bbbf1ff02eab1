"""The text encoder: a causal CLIP-style transformer, projected to the detector's width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import Sam3Config
from .cpu_kernels import causal_attention
from .layers import Linear, merge_heads, split_heads
from .vision_encoder import GeluMLP


class CausalAttention(nn.Module):
    """Causal self-attention with one input projection."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.in_proj = Linear(dim, 3 * dim)
        self.out_proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[T,L,C] -> [T,L,C]."""
        q, k, v = self.in_proj(x).chunk(3, dim=-1)
        q, k, v = split_heads(q, self.heads), split_heads(k, self.heads), split_heads(v, self.heads)
        return self.out_proj(merge_heads(causal_attention(q, k, v)))


class TextLayer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.text_width)
        self.attention = CausalAttention(config.text_width, config.text_heads)
        self.norm2 = nn.LayerNorm(config.text_width)
        self.mlp = GeluMLP(config.text_width, config.text_mlp)

    def forward(self, x: Tensor) -> Tensor:
        """[T,L,C] -> [T,L,C]."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class TextEncoder(nn.Module):
    """Token ids -> one feature per token. Padding needs no attention mask: it comes last and attention is causal."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        self.token_embed = nn.Embedding(config.text_vocab, config.text_width)
        self.pos_embed = nn.Parameter(torch.empty(config.text_context, config.text_width))
        self.layers = nn.ModuleList(TextLayer(config) for _ in range(config.text_layers))
        self.norm = nn.LayerNorm(config.text_width)
        self.proj = Linear(config.text_width, config.hidden_size)

    def forward(self, ids: Tensor, valid: Tensor) -> Tensor:
        """ids i64 [T,L], valid bool [T,L] (id != 0) -> [T,L,hidden]; the features of padding are zero."""
        x = self.token_embed(ids) + self.pos_embed[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return self.proj(self.norm(x)) * valid.unsqueeze(-1).to(x.dtype)
