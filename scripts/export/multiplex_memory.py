"""SAM 3.1's memory: S objects of a bucket are encoded together, and a frame attends to what is kept of earlier frames.

What an earlier frame gives to the attention (keys and values of every layer) never changes: it is projected once, when the frame is
stored. Only its place in time is added later.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .cpu_kernels import attention, linear_gelu
from .fused import apply_rope
from .layers import MLP, Linear, merge_heads, split_heads
from .memory_attention import RopeCrossAttention
from .memory_encoder import MemoryFuser, PointerBase
from .multiplex_config import MultiplexConfig
from .positions import axial_rope, sine_map


class MultiplexMemoryEncoder(MemoryFuser):
    """Image features + the masks of a bucket's slots -> memory features of the bucket."""

    def __init__(self, config: MultiplexConfig):
        widths = [config.mask_channels * 4**i for i in range(1, 5)]
        super().__init__(config, [2 * config.slots, *widths])
        self.no_object_embed = nn.Parameter(torch.empty(config.slots, config.hidden_size))

    def forward(self, image: Tensor, mask: Tensor, object_logit: Tensor) -> Tensor:
        """image [1,C,g,g], mask [B,2*S,16g,16g], object_logit [B,S,1] -> [B,C,g,g].

        Channels of the mask: 2 * probability - 1 of each slot (0 where it is empty), then 1 for each slot whose object this frame
        conditions. Every slot without a visible object (logit <= 0, empty ones too) adds its embedding.
        """
        absent = (object_logit <= 0).squeeze(-1).to(image.dtype) @ self.no_object_embed
        return self.fuse(image, mask) + absent[:, :, None, None]


class DecoupledCrossAttention(nn.Module):
    """Attention to the memory whose queries and keys are sums: of what is followed, and of the bare image."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj = Linear(dim, dim)
        self.k_proj = Linear(dim, dim)
        self.v_proj = Linear(dim, dim)
        self.out_proj = Linear(dim, dim)
        self.image_q_proj = Linear(dim, dim)
        self.image_k_proj = Linear(dim, dim)

    def frame_keys(self, memory: Tensor, image: Tensor, rope: Tensor) -> Tensor:
        """memory [B,N,C] and image [1,N,C] of a frame, rope complex64 [N,D/2] -> turned keys [B,N,C]."""
        return turn_heads(self.k_proj(memory) + self.image_k_proj(image), self.heads, rope)

    def pointer_keys(self, pointers: Tensor) -> Tensor:
        """Pointers have no image: its projection leaves the bias. [B,n,C] -> [B,n,C]."""
        return self.k_proj(pointers) + self.image_k_proj.bias

    def forward(self, x: Tensor, image: Tensor, keys: Tensor, values: Tensor, rope: Tensor) -> Tensor:
        """x [B or 1,N,C], image [1,N,C], keys and values [B,T,C] as they are attended to -> [B,N,C]."""
        q = apply_rope(split_heads(self.q_proj(x) + self.image_q_proj(image), self.heads), rope)
        q = q.expand(keys.shape[0], -1, -1, -1)
        attended = attention(q, split_heads(keys, self.heads), split_heads(values, self.heads))
        return self.out_proj(merge_heads(attended))


def turn_heads(x: Tensor, heads: int, rope: Tensor) -> Tensor:
    """Rotary positions of a frame on every head: x [B,N,C] (may be overwritten), rope complex64 [N,D/2] -> [B,N,C]."""
    return merge_heads(apply_rope(split_heads(x, heads), rope))


class DecoupledMemoryLayer(nn.Module):
    """Pre-norm layer: self-attention, attention to the memory, feed-forward."""

    def __init__(self, config: MultiplexConfig):
        super().__init__()
        dim, heads = config.hidden_size, config.memory_heads
        self.norm1 = nn.LayerNorm(dim)
        self.self_attn = RopeCrossAttention(dim, dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.memory_attn = DecoupledCrossAttention(dim, heads)
        self.norm3 = nn.LayerNorm(dim)
        self.fc1 = Linear(dim, config.memory_mlp)
        self.fc2 = Linear(config.memory_mlp, dim)

    def forward(self, x: Tensor, image: Tensor, keys: Tensor, values: Tensor, rope: Tensor) -> Tensor:
        """x [B or 1,N,C], image [1,N,C], keys and values [B,T,C] -> [B,N,C]."""
        y = self.norm1(x)
        x = x + self.self_attn(y, y, y, rope, 0)
        x = x + self.memory_attn(self.norm2(x), image, keys, values, rope)
        return x + self.fc2(linear_gelu(self.norm3(x), self.fc1.weight, self.fc1.bias))


class DecoupledMemoryAttention(nn.Module):
    """The layers, and the learned embeddings that place a memory in time. N = g * g; L layers."""

    def __init__(self, config: MultiplexConfig):
        super().__init__()
        dim = config.hidden_size
        self.dim = dim
        self.heads = config.memory_heads
        self.theta = config.rope_theta
        self.layers = nn.ModuleList(DecoupledMemoryLayer(config) for _ in range(config.memory_layers))
        self.norm = nn.LayerNorm(dim)
        self.temporal_embed = nn.Parameter(torch.empty(config.memory_frames, dim))
        self.no_memory_embed = nn.Parameter(torch.empty(1, dim))

    def rope(self, grid: int, device: torch.device) -> Tensor:
        """Rotary positions of a frame: complex64 [N,D/2]."""
        return axial_rope(grid, self.dim // self.heads, self.theta, 1.0, device)

    def positions(self, grid: int) -> Tensor:
        """What is added to the keys of a frame, by its row of the temporal embeddings: [rows,N,C], turned as the keys are."""
        device = self.temporal_embed.device
        place = sine_map(self.dim, grid, device).flatten(2).transpose(1, 2)
        placed = place.contiguous() + self.temporal_embed.float().unsqueeze(1)
        return turn_heads(placed, self.heads, self.rope(grid, device)).to(self.temporal_embed.dtype)

    def project_frame(self, memory: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """memory [B,C,g,g], image [1,C,g,g] of a stored frame -> keys, values [L,B,N,C]."""
        rope = self.rope(image.shape[-1], image.device)
        memory, image = memory.flatten(2).transpose(1, 2), image.flatten(2).transpose(1, 2)
        keys, values = [], []
        for layer in self.layers:
            keys.append(layer.memory_attn.frame_keys(memory, image, rope))
            values.append(layer.memory_attn.v_proj(memory))
        return torch.stack(keys), torch.stack(values)

    def project_pointers(self, pointers: Tensor) -> tuple[Tensor, Tensor]:
        """pointers [B,n,C] -> keys, values [L,B,n,C]."""
        keys, values = [], []
        for layer in self.layers:
            keys.append(layer.memory_attn.pointer_keys(pointers))
            values.append(layer.memory_attn.v_proj(pointers))
        return torch.stack(keys), torch.stack(values)

    def forward(self, image: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        """Features of B buckets, conditioned on their memories.

        Args:
            image: [1,C,g,g]: what does not depend on the bucket is computed once.
            keys, values: [L,B,T,C] from project_frame and project_pointers, in any order.
            position: [1,T,C], added to the keys of all layers.

        Returns:
            [B,C,g,g].
        """
        grid = image.shape[-1]
        rope = self.rope(grid, image.device)
        place = sine_map(self.dim, grid, image.device).to(image.dtype)
        x = (image + 0.1 * place).flatten(2).transpose(1, 2)
        bare = image.flatten(2).transpose(1, 2)
        for i, layer in enumerate(self.layers):
            x = layer(x, bare, keys[i] + position, values[i], rope)
        return self.norm(x).transpose(1, 2).unflatten(2, [grid, grid])


class MultiplexPointer(PointerBase):
    """Tokens that stand for objects in later frames. An object that is not visible (logit <= 0) has its own pointer, changed."""

    def __init__(self, config: MultiplexConfig):
        super().__init__()
        dim = config.hidden_size
        self.dim = dim
        self.track_proj = MLP(dim, dim, dim, 3)
        self.click_proj = MLP(dim, dim, dim, 3)
        self.no_object_proj = Linear(dim, dim)
        self.time_proj = Linear(dim, dim)
        self.mask_downsample = nn.Conv2d(1, 1, 4, 4)

    def track(self, token: Tensor, object_logit: Tensor) -> Tensor:
        """Of a token of the decoder of propagation: token [...,C], object_logit [...,1] -> [...,C]."""
        pointer = self.track_proj(token)
        return torch.where(object_logit > 0, pointer, self.no_object_proj(pointer))

    def click(self, token: Tensor, object_logit: Tensor) -> Tensor:
        """Of a token of the decoder of clicks: token [...,C], object_logit [...,1] -> [...,C]."""
        pointer = self.click_proj(token)
        return torch.where(object_logit > 0, pointer, self.no_object_proj(pointer))
