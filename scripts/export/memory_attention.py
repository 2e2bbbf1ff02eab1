"""Memory attention: the features of a frame attend to the memories of earlier frames and to object pointers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import Sam3Config
from .cpu_kernels import attention, block_attention, differentiates, linear_relu
from .fused import apply_rope
from .layers import Linear, merge_heads, split_heads
from .positions import AxialRope, SinePositions


def turn(x: Tensor, rope: Tensor) -> None:
    """Rotary positions of whole frames, in place: x [L,D], L a multiple of the frame; rope complex64 [frame,D/2].

    Frame by frame: what is turned in fp32 then stays in the cache.
    """
    for frame in x.split(rope.shape[0]):
        turned = apply_rope(frame, rope)
        if x.dtype != torch.float32:
            frame.copy_(turned)


class RopeCrossAttention(nn.Module):
    """Attention with rotary positions on queries and on the image-like keys; object pointers, last, are not turned."""

    def __init__(self, dim: int, kv_dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj = Linear(dim, dim)
        self.k_proj = Linear(kv_dim, dim)
        self.v_proj = Linear(kv_dim, dim)
        self.out_proj = Linear(dim, dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, rope: Tensor, pointers: int) -> Tensor:
        """query [B or 1,N,C]; key, value [B,M*N+pointers,kv_dim]; rope complex64 [N,D/2] -> [B,N,C]."""
        q = apply_rope(split_heads(self.q_proj(query), self.heads), rope)
        by_object = (
            q.device.type == "cpu" and self.heads == 1 and (q.dtype == torch.bfloat16 or q.dtype == torch.float32)
        )
        if not torch.jit.is_scripting():
            by_object = by_object and not differentiates(q, key)  # it writes in place
        if by_object:
            return self.by_object(q, key, value, rope, pointers)
        k = split_heads(self.k_proj(key), self.heads)
        turned = key.shape[1] - pointers
        frames = turned // rope.shape[0]
        k = torch.cat((apply_rope(k[:, :, :turned], rope.repeat(frames, 1)), k[:, :, turned:]), 2)
        v = split_heads(self.v_proj(value), self.heads)
        q = q.expand(k.shape[0], -1, -1, -1)
        return self.out_proj(merge_heads(attention(q, k, v)))

    def by_object(self, q: Tensor, key: Tensor, value: Tensor, rope: Tensor, pointers: int) -> Tensor:
        """The same for one head on a CPU: turned q [B or 1,1,N,C] -> [B,N,C].

        Values are projected after they are summed: the weights of a row add to 1, so sum_i a_i (W m_i + b) = W (sum_i a_i m_i) + b, and the
        second product of the attention has kv_dim columns instead of C. One object after the other: only its keys are held, in the cache.
        """
        attended = torch.empty([key.shape[0], q.shape[2], value.shape[2]], dtype=q.dtype, device=q.device)
        for i in range(key.shape[0]):
            k = self.k_proj(key[i])
            turn(k[: k.shape[0] - pointers], rope)
            j = i if q.shape[0] > 1 else 0
            attended[i] = block_attention(q[j : j + 1], k[None, None], value[None, None, i])[0, 0]
        return self.out_proj(self.v_proj(attended))


class MemoryAttentionLayer(nn.Module):
    """Pre-norm layer: self-attention, attention to the memory, feed-forward."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim, heads = config.hidden_size, config.memory_heads
        self.norm1 = nn.LayerNorm(dim)
        self.self_attn = RopeCrossAttention(dim, dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.memory_attn = RopeCrossAttention(dim, config.memory_size, heads)
        self.norm3 = nn.LayerNorm(dim)
        self.fc1 = Linear(dim, config.memory_mlp)
        self.fc2 = Linear(config.memory_mlp, dim)

    def forward(self, x: Tensor, key: Tensor, value: Tensor, rope: Tensor, pointers: int) -> Tensor:
        """x [B or 1,g*g,C]; key, value [B,L,memory] -> [B,g*g,C]."""
        y = self.norm1(x)
        x = x + self.self_attn(y, y, y, rope, 0)
        x = x + self.memory_attn(self.norm2(x), key, value, rope, pointers)
        return x + self.fc2(linear_relu(self.norm3(x), self.fc1.weight, self.fc1.bias))


class MemoryAttention(nn.Module):
    """The layers, and the learned embeddings that place a memory in time."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim = config.hidden_size
        self.position = SinePositions(dim)
        self.rope = AxialRope(dim // config.memory_heads, config.rope_theta)
        self.layers = nn.ModuleList(MemoryAttentionLayer(config) for _ in range(config.memory_layers))
        self.norm = nn.LayerNorm(dim)
        self.temporal_embed = nn.Parameter(torch.empty(config.memory_frames, config.memory_size))
        self.no_memory_embed = nn.Parameter(torch.empty(1, dim))

    def forward(self, image: Tensor, memory: Tensor, memory_pos: Tensor, pointers: int) -> Tensor:
        """Features of B objects, conditioned on their memories.

        Args:
            image: [B,C,g,g], or [1,C,g,g] where all objects are of one frame: what does not depend on the object is then computed once.
            memory: [B,M*g*g+pointers,memory], M frames in row-major order, then the pointers cut into tokens.
            memory_pos: positions of the same shape, or with batch 1 where all objects have the same; added to the keys only.
            pointers: number of pointer tokens at the end.

        Returns:
            [B,C,g,g].
        """
        grid = image.shape[-1]
        x = image.flatten(2).transpose(1, 2) + 0.1 * self.position(image)
        rope = self.rope(grid, image.device)
        key = memory + memory_pos
        for layer in self.layers:
            x = layer(x, key, memory, rope, pointers)
        return self.norm(x).transpose(1, 2).unflatten(2, [grid, grid])
