"""The vision encoder: a ViT with windowed and global attention and axial rotary positions ("Perception Encoder" trunk of SAM 3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .config import Sam3Config
from .cpu_kernels import attention, linear_gelu
from .fused import add_product, apply_rope, norm_of_sum, sums_in_place
from .kept_tables import KeptTables
from .layers import Linear
from .positions import AxialRope, axial_rope


class RopeAttention(nn.Module):
    """Self-attention with rotary positions; queries, keys and values come from one matrix multiplication."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)

    def attend(self, x: Tensor, rope: Tensor) -> Tensor:
        """What `proj` projects: x [B,N,C], rope complex64 [N,D/2] -> [B,N,C]."""
        qkv = self.qkv(x).unflatten(-1, [3, self.heads, x.shape[-1] // self.heads])
        qk = apply_rope(qkv[:, :, :2], rope[:, None, None])
        q, k, v = qk[:, :, 0].transpose(1, 2), qk[:, :, 1].transpose(1, 2), qkv[:, :, 2].transpose(1, 2)
        return attention(q, k, v).transpose(1, 2).flatten(2)

    def forward(self, x: Tensor, rope: Tensor) -> Tensor:
        """x [B,N,C], rope complex64 [N,D/2] -> [B,N,C]."""
        return self.proj(self.attend(x, rope))


class GeluMLP(nn.Module):
    """Linear, GELU (exact), Linear."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.fc2 = Linear(hidden, dim)

    def hidden(self, x: Tensor) -> Tensor:
        """What `fc2` projects: [...,dim] -> [...,hidden]."""
        return linear_gelu(x, self.fc1.weight, self.fc1.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[...,dim] -> [...,dim]."""
        return self.fc2(self.hidden(x))


class VisionLayer(nn.Module):
    """One pre-norm transformer layer. LayerNorm eps is 1e-5, as in Meta's file (transformers has 1e-6)."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.vision_width, eps=1e-5)
        self.attention = RopeAttention(config.vision_width, config.vision_heads)
        self.norm2 = nn.LayerNorm(config.vision_width, eps=1e-5)
        self.mlp = GeluMLP(config.vision_width, config.vision_mlp)

    def forward(self, x: Tensor, rope: Tensor) -> Tensor:
        """x [B,N,C]; attention runs inside blocks of rope.shape[0] consecutive tokens."""
        x = x + self.attention(self._blocks(self.norm1(x), rope), rope).view_as(x)
        return x + self.mlp(self.norm2(x))

    def add_to(self, x: Tensor, rope: Tensor, before_attention: Tensor, before_mlp: Tensor) -> None:
        """The same, in place, on a sum x [B,N,C] that lacks the biases of `attention.proj` and `mlp.fc2`, here and in the layers before:
        those are, added up, in `before_attention` and `before_mlp` [C]."""
        y = norm_of_sum(x, before_attention, self.norm1.weight, self.norm1.bias, 1e-5)
        add_product(x, self.attention.attend(self._blocks(y, rope), rope).view_as(x), self.attention.proj.weight)
        y = norm_of_sum(x, before_mlp, self.norm2.weight, self.norm2.bias, 1e-5)
        add_product(x, self.mlp.hidden(y), self.mlp.fc2.weight)

    def _blocks(self, x: Tensor, rope: Tensor) -> Tensor:
        return x.unflatten(1, [x.shape[1] // rope.shape[0], rope.shape[0]]).flatten(0, 1)


class VisionEncoder(nn.Module):
    """Image -> feature map of stride `patch_size`.

    Tokens are kept in window order from the first layer to the last: every operation but attention works on single tokens,
    window attention then works on consecutive tokens, and global attention only needs its rotary table in the same order.
    So the windows are cut once and joined once, not in every layer.
    """

    def __init__(self, config: Sam3Config):
        super().__init__()
        self.window = config.window_size
        self.head_dim = config.vision_width // config.vision_heads
        self.theta = config.rope_theta
        self.global_layers = list(config.global_layers)
        pretrain_grid = config.pretrain_image_size // config.patch_size
        self.patch_embed = nn.Conv2d(3, config.vision_width, config.patch_size, config.patch_size, bias=False)
        self.pos_embed = nn.Parameter(torch.empty(1, pretrain_grid * pretrain_grid, config.vision_width))
        self.pretrain_grid = pretrain_grid
        self.position_maps = KeptTables()
        self.local_rope = AxialRope(self.head_dim, self.theta)
        self.global_ropes = KeptTables()
        self.shifts = KeptTables()
        self.norm_pre = nn.LayerNorm(config.vision_width, eps=1e-5)
        self.layers = nn.ModuleList(VisionLayer(config) for _ in range(config.vision_layers))

    def _to_windows(self, x: Tensor) -> Tensor:
        """[B,g,g,C] -> [B,g*g,C], the tokens of one window after another."""
        n = x.shape[1] // self.window
        x = x.unflatten(2, [n, self.window]).unflatten(1, [n, self.window])
        return x.transpose(2, 3).flatten(1, 4)

    def _from_windows(self, x: Tensor, grid: int) -> Tensor:
        """[B,g*g,C] -> [B,g,g,C], the inverse of _to_windows."""
        n = grid // self.window
        x = x.unflatten(1, [n, n, self.window, self.window])
        return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def _position_map(self, grid: int) -> Tensor:
        """The learned position map, tiled (not resized) over the grid: [1,g,g,C]."""
        table = self.position_maps.find(grid, self.pos_embed.dtype, self.pos_embed.device)
        if table is None:
            p = self.pretrain_grid
            tiles = (grid + p - 1) // p
            made = self.pos_embed.unflatten(1, [p, p]).repeat(1, tiles, tiles, 1)[:, :grid, :grid]
            table = self.position_maps.keep(grid, made)
        return table

    def _global_rope(self, grid: int, device: torch.device) -> Tensor:
        """The rotary table of the whole grid in window order: complex64 [g*g,D/2]."""
        table = self.global_ropes.find(grid, torch.complex64, device)
        if table is None:
            made = axial_rope(grid, self.head_dim, self.theta, self.window / grid, device)
            made = self._to_windows(made.unflatten(0, [grid, grid]).unsqueeze(0)).squeeze(0)
            table = self.global_ropes.keep(grid, made)
        return table

    def embed(self, pixels: Tensor) -> Tensor:
        """Pixels [B,3,S,S] in -1..1 -> tokens [B,g*g,C] in window order; g = S / patch_size must be a multiple of the window."""
        x = self._patches(pixels)
        grid = x.shape[1]
        if grid != x.shape[2] or grid % self.window != 0:
            raise ValueError("the input must be square, its side a multiple of patch_size * window_size")
        return self._to_windows(self.norm_pre(x + self._position_map(grid)))

    def _patches(self, pixels: Tensor) -> Tensor:
        """Pixels [B,3,S,S] -> embedded patches [B,g,g,C]."""
        weight = self.patch_embed.weight
        size = weight.shape[-1]
        if not sums_in_place(pixels) or pixels.shape[-1] % size != 0 or pixels.shape[-2] % size != 0:
            return self.patch_embed(pixels).permute(0, 2, 3, 1)
        # As a product: cuDNN's convolution for patches of this size takes 0.3 ms an image on an H100, for 6 GFLOP.
        cut = pixels.unflatten(3, [pixels.shape[3] // size, size]).unflatten(2, [pixels.shape[2] // size, size])
        return cut.permute(0, 2, 4, 1, 3, 5).flatten(3) @ weight.flatten(1).t()

    def run_layers(self, x: Tensor, first: int, count: int) -> Tensor:
        """`count` layers from the `first` on: [B,g*g,C] -> [B,g*g,C], tokens in window order, short of some biases where sums are made in
        place."""
        local_rope = self.local_rope(self.window, x.device)
        global_rope = self._global_rope(self._grid(x), x.device)
        in_place = sums_in_place(x)
        shifts = self._shifts(x) if in_place else x
        if in_place:
            x = x.clone()
        for i, layer in enumerate(self.layers):
            if first <= i and i < first + count:
                rope = global_rope if i in self.global_layers else local_rope
                if in_place:
                    layer.add_to(x, rope, shifts[2 * i], shifts[2 * i + 1])
                else:
                    x = layer(x, rope)
        return x

    def _shifts(self, x: Tensor) -> Tensor:
        """What tokens lack that were summed in place, before each attention and MLP and at the end: [2*layers+1,C], as `x`."""
        table = self.shifts.find(0, x.dtype, x.device)
        if table is None:
            biases = [torch.zeros_like(self.norm_pre.bias)]
            for layer in self.layers:
                biases.append(layer.attention.proj.bias)
                biases.append(layer.mlp.fc2.bias)
            table = self.shifts.keep(0, torch.stack(biases).float().cumsum(0).to(x.dtype))
        return table

    def join(self, x: Tensor) -> Tensor:
        """Tokens [B,g*g,C] of the last layer -> map [B,C,g,g]."""
        if sums_in_place(x):
            x = x + self._shifts(x)[-1]
        return self._from_windows(x, self._grid(x)).permute(0, 3, 1, 2)

    def _grid(self, x: Tensor) -> int:
        return int(math.sqrt(x.shape[1]) + 0.5)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels [B,3,S,S] in -1..1 -> [B,C,g,g]: all three steps."""
        return self.join(self.run_layers(self.embed(pixels), 0, len(self.layers)))
