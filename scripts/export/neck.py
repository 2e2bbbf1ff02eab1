"""The feature pyramid neck ("simple FPN" of ViTDet): one ViT map -> maps of stride 3.5, 7 and 14 pixels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .config import Sam3Config


class FineLevel(nn.Module):
    """4 x upsampling: two transposed convolutions with GELU between, then 1x1 and 3x3."""

    def __init__(self, dim: int, out: int):
        super().__init__()
        self.deconv1 = nn.ConvTranspose2d(dim, dim // 2, 2, 2)
        self.deconv2 = nn.ConvTranspose2d(dim // 2, dim // 4, 2, 2)
        self.conv1x1 = nn.Conv2d(dim // 4, out, 1)
        self.conv3x3 = nn.Conv2d(out, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B,dim,g,g] -> [B,out,4g,4g]."""
        return self.conv3x3(self.conv1x1(self.deconv2(F.gelu(self.deconv1(x)))))


class MiddleLevel(nn.Module):
    """2 x upsampling: one transposed convolution, then 1x1 and 3x3."""

    def __init__(self, dim: int, out: int):
        super().__init__()
        self.deconv1 = nn.ConvTranspose2d(dim, dim // 2, 2, 2)
        self.conv1x1 = nn.Conv2d(dim // 2, out, 1)
        self.conv3x3 = nn.Conv2d(out, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B,dim,g,g] -> [B,out,2g,2g]."""
        return self.conv3x3(self.conv1x1(self.deconv1(x)))


class CoarseLevel(nn.Module):
    """The ViT's own resolution: 1x1 and 3x3."""

    def __init__(self, dim: int, out: int):
        super().__init__()
        self.conv1x1 = nn.Conv2d(dim, out, 1)
        self.conv3x3 = nn.Conv2d(out, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B,dim,g,g] -> [B,out,g,g]."""
        return self.conv3x3(self.conv1x1(x))


class Neck(nn.Module):
    """Three levels; the fourth of the weight files (stride 28) is used by no path of SAM 3 and is left out."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim, out = config.vision_width, config.hidden_size
        self.fine = FineLevel(dim, out)
        self.middle = MiddleLevel(dim, out)
        self.coarse = CoarseLevel(dim, out)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ViT map [B,C,g,g] -> [B,out,4g,4g], [B,out,2g,2g], [B,out,g,g]."""
        return self.fine(x), self.middle(x), self.coarse(x)
