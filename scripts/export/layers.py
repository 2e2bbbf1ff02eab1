"""Layers that several parts of SAM 3 share. Shapes: B batch, N or L tokens, C channels, H heads, D channels of a head."""

from __future__ import annotations

import math
from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cpu_kernels import attention, linear, linear_relu, masked_attention


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B,N,C] -> [B,H,N,C/H] (a view)."""
    return x.unflatten(-1, [heads, x.shape[-1] // heads]).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """[B,H,N,D] -> [B,N,H*D]."""
    return x.transpose(1, 2).flatten(2)


def key_mask(valid: Tensor, dtype: torch.dtype) -> Tensor:
    """Valid keys bool [B,L] -> a mask for scaled_dot_product_attention, additive [B,1,1,L]: of a bool one every call makes such a one."""
    return torch.where(valid, 0.0, -math.inf).to(dtype)[:, None, None, :]


def pick_images(maps: Tensor, img_idx: Tensor) -> Tensor:
    """maps [B,C,H,W], img_idx i64 [P] -> [P,C,H,W], channels last as the maps are (index_select alone would change the layout);
    the one image of one prompt is not copied."""
    if maps.shape[0] == 1 and img_idx.shape[0] == 1:
        return maps
    return maps.permute(0, 2, 3, 1).index_select(0, img_idx).permute(0, 3, 1, 2)


class Linear(nn.Linear):
    """nn.Linear in the form that is fastest on the device."""

    def forward(self, input: Tensor) -> Tensor:
        """[...,in] -> [...,out]."""
        return linear(input, self.weight, self.bias)


class Attention(nn.Module):
    """Multi-head attention with separate query, key and value projections (the tracker's form, after SAM 1 and 2).

    `kv_dim` is the width of keys and values, `inner_dim` the width inside (SAM's decoder halves it).
    """

    def __init__(self, dim: int, heads: int, kv_dim: Optional[int] = None, inner_dim: Optional[int] = None):
        super().__init__()
        inner, kv = inner_dim or dim, kv_dim or dim
        self.heads = heads
        self.q_proj = Linear(dim, inner)
        self.k_proj = Linear(kv, inner)
        self.v_proj = Linear(kv, inner)
        self.out_proj = Linear(inner, dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query [B,N,dim], key and value [B,L,kv_dim] -> [B,N,dim]."""
        q = split_heads(self.q_proj(query), self.heads)
        k = split_heads(self.k_proj(key), self.heads)
        v = split_heads(self.v_proj(value), self.heads)
        return self.out_proj(merge_heads(attention(q, k, v)))


class FusedAttention(nn.Module):
    """Multi-head attention whose three input projections are one matrix (the detector's form, torch.nn.MultiheadAttention's layout).

    One matrix multiplication for queries, keys and values where their inputs are the same tensor, two where two of them are.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.dim = dim
        self.in_proj = Linear(dim, 3 * dim)
        self.out_proj = Linear(dim, dim)

    def _project(self, x: Tensor, first: int, count: int) -> Tensor:
        """`count` of the projections q, k, v from the `first` on: [B,N,C] -> [B,N,count*C]."""
        start, stop = first * self.dim, (first + count) * self.dim
        return linear(x, self.in_proj.weight[start:stop], self.in_proj.bias[start:stop])

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Optional[Tensor]) -> Tensor:
        """What `out_proj` projects."""
        q, k, v = split_heads(q, self.heads), split_heads(k, self.heads), split_heads(v, self.heads)
        if mask is None:
            return merge_heads(attention(q, k, v))
        return merge_heads(masked_attention(q, k, v, mask))

    def self_attention(self, x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """Queries, keys and values from `x` [B,N,C]."""
        q, k, v = self._project(x, 0, 3).chunk(3, dim=-1)
        return self.out_proj(self._attend(q, k, v, mask))

    def attend_self_with_position(self, x: Tensor, position: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """`self_attention_with_position` before `out_proj`."""
        q, k = self._project(x + position, 0, 2).chunk(2, dim=-1)
        return self._attend(q, k, self._project(x, 2, 1), mask)

    def self_attention_with_position(self, x: Tensor, position: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """Queries and keys from `x + position`, values from `x` (both [B,N,C] or broadcastable)."""
        return self.out_proj(self.attend_self_with_position(x, position, mask))

    def attend_cross(self, query: Tensor, memory: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """`cross_attention` before `out_proj`."""
        k, v = self._project(memory, 1, 2).chunk(2, dim=-1)
        return self._attend(self._project(query, 0, 1), k, v, mask)

    def cross_attention(self, query: Tensor, memory: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """Queries from `query` [B,N,C], keys and values from `memory` [B,L,C]."""
        return self.out_proj(self.attend_cross(query, memory, mask))

    def cross_attention_with_keys(
        self, query: Tensor, keys: Tensor, memory: Tensor, mask: Optional[Tensor] = None
    ) -> Tensor:
        """Queries from `query`, keys from `keys` (the memory with its positions), values from `memory`."""
        k, v = self._project(keys, 1, 1), self._project(memory, 2, 1)
        return self.out_proj(self._attend(self._project(query, 0, 1), k, v, mask))


class FeedForward(nn.Module):
    """Linear, ReLU, Linear: the feed-forward block of the transformer layers with ReLU."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.fc2 = Linear(hidden, dim)

    def hidden(self, x: Tensor) -> Tensor:
        """What `fc2` projects: [...,dim] -> [...,hidden]."""
        return linear_relu(x, self.fc1.weight, self.fc1.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[...,dim] -> [...,dim]."""
        return self.fc2(self.hidden(x))


class MLP(nn.Module):
    """`depth` linear layers with ReLU between them: the small heads."""

    def __init__(self, dim: int, hidden: int, out: int, depth: int):
        super().__init__()
        widths = [dim] + [hidden] * (depth - 1) + [out]
        self.layers = nn.ModuleList(Linear(a, b) for a, b in zip(widths[:-1], widths[1:]))
        self.depth = depth

    def forward(self, x: Tensor) -> Tensor:
        """[...,dim] -> [...,out]."""
        for i, layer in enumerate(self.layers):
            if i == self.depth - 1:
                x = layer(x)
            elif x.device.type == "cpu":  # few rows, for which `linear` has the faster product
                x = F.relu(layer(x))
            else:
                x = linear_relu(x, layer.weight, layer.bias)
        return x


class LayerNorm2d(nn.Module):
    """LayerNorm over the channels of [B,C,H,W], eps 1e-6 (SAM's)."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,H,W] -> [B,C,H,W]."""
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return x.permute(0, 3, 1, 2)
