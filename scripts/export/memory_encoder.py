"""The tracker's memory: encoding a frame and its mask into memory features, and the object pointer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Sam3Config
from .cpu_kernels import linear_gelu
from .layers import MLP, LayerNorm2d, Linear
from .positions import temporal_encoding


class MaskDownsampler(nn.Module):
    """Mask at 16 x the feature resolution -> feature map: four strided convolutions between these numbers of channels, then 1x1."""

    def __init__(self, dim: int, channels: list[int]):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(channels[:-1], channels[1:]))
        self.norms = nn.ModuleList(LayerNorm2d(c) for c in channels[1:])
        self.proj = nn.Conv2d(channels[-1], dim, 1)

    def forward(self, mask: Tensor) -> Tensor:
        """[B,channels,16g,16g] -> [B,C,g,g]."""
        x = mask
        for conv, norm in zip(self.convs, self.norms):
            x = F.gelu(norm(conv(x)))
        return self.proj(x)


class FuserBlock(nn.Module):
    """A ConvNeXt block."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = LayerNorm2d(dim)
        self.fc1 = Linear(dim, hidden)
        self.fc2 = Linear(hidden, dim)
        self.scale = nn.Parameter(torch.empty(dim))

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,g,g] -> [B,C,g,g]."""
        y = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)
        y = self.scale * self.fc2(linear_gelu(y, self.fc1.weight, self.fc1.bias))
        return x + y.permute(0, 3, 1, 2)


class MemoryFuser(nn.Module):
    """Image features + masks in `mask_channels` (and what the downsampler makes of them) -> fused features."""

    def __init__(self, config: Sam3Config, mask_channels: list[int]):
        super().__init__()
        dim = config.hidden_size
        self.mask_downsampler = MaskDownsampler(dim, mask_channels)
        self.image_proj = nn.Conv2d(dim, dim, 1)
        self.fuser = nn.ModuleList(FuserBlock(dim, config.fuser_mlp) for _ in range(config.fuser_layers))

    def fuse(self, image: Tensor, mask: Tensor) -> Tensor:
        """image [B or 1,C,g,g], mask [B,channels,16g,16g] -> [B,C,g,g]."""
        x = self.image_proj(image) + self.mask_downsampler(mask)
        for block in self.fuser:
            x = block(x)
        return x


class MemoryEncoder(MemoryFuser):
    """Image features + mask -> memory features."""

    def __init__(self, config: Sam3Config):
        super().__init__(config, [1, 4, 16, 64, 256])
        self.out_proj = nn.Conv2d(config.hidden_size, config.memory_size, 1)
        self.no_object_embed = nn.Parameter(torch.empty(1, config.memory_size))

    def forward(self, image: Tensor, mask: Tensor, object_logit: Tensor) -> Tensor:
        """image [B,C,g,g], mask [B,1,16g,16g] (20 * probability - 10), object_logit [B,1] -> [B,memory,g,g].

        An object that is not visible (logit <= 0) gets a learned embedding added.
        """
        x = self.fuse(image, mask)
        absent = (object_logit <= 0).to(x.dtype) * self.no_object_embed
        return self.out_proj(x) + absent[:, :, None, None]


class PointerBase(nn.Module):
    """What the pointers of SAM 3 and SAM 3.1 have in common; both make `time_proj` and `mask_downsample`."""

    def time_position(self, offset: Tensor) -> Tensor:
        """Temporal offsets fp32 [K] (frames / (maximum - 1)) -> [K,memory]."""
        return self.time_proj(temporal_encoding(offset.float(), self.dim).to(self.time_proj.weight.dtype))

    def mask_to_prompt(self, mask: Tensor) -> Tensor:
        """A user's mask [B,1,16g,16g] -> mask prompt [B,1,4g,4g]."""
        return self.mask_downsample(mask)


class ObjectPointer(PointerBase):
    """A token that stands for an object in later frames."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim = config.hidden_size
        self.dim = dim
        self.proj = MLP(dim, dim, dim, 3)
        self.no_object = nn.Parameter(torch.empty(1, dim))
        self.time_proj = Linear(dim, config.memory_size)
        self.mask_downsample = nn.Conv2d(1, 1, 4, 4)

    def forward(self, token: Tensor, object_logit: Tensor) -> Tensor:
        """token [B,C], object_logit [B,1] -> [B,C]; a learned pointer where the object is not visible (logit <= 0)."""
        return torch.where(object_logit > 0, self.proj(token), self.no_object)
