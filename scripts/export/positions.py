"""Position encodings and box arithmetic. All of it runs in fp32 whatever the model's dtype; callers cast at the end."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .kept_tables import KeptTables


def sine_frequencies(dim: int, device: torch.device) -> Tensor:
    """The divisors 10000^(2*floor(i/2)/dim), i < dim: fp32 [dim]."""
    i = torch.arange(dim, device=device)
    return 10000.0 ** (2.0 * (i // 2).float() / dim)


def sine_encoding(x: Tensor, frequencies: Tensor) -> Tensor:
    """Sine and cosine, interleaved, of positions in 0..1 (scaled by 2 pi): fp32 [...] and sine_frequencies(dim) -> fp32 [...,dim]."""
    angle = (x * (2.0 * math.pi)).unsqueeze(-1) / frequencies
    return torch.stack((angle[..., 0::2].sin(), angle[..., 1::2].cos()), dim=-1).flatten(-2)


class SineEncoding(nn.Module):
    """`sine_encoding` to `dim` numbers."""

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim
        self.frequencies = KeptTables()

    def forward(self, x: Tensor) -> Tensor:
        """fp32 [...] -> fp32 [...,dim]."""
        frequencies = self.frequencies.find(self.dim, torch.float32, x.device)
        if frequencies is None:
            frequencies = self.frequencies.keep(self.dim, sine_frequencies(self.dim, x.device))
        return sine_encoding(x, frequencies)


def sine_map(channels: int, grid: int, device: torch.device) -> Tensor:
    """The normalised sine position map of a square feature map: fp32 [1,channels,grid,grid]; the first half encodes y, the second x."""
    half = channels // 2
    step = torch.arange(1, grid + 1, device=device).float() / (grid + 1e-6)
    line = sine_encoding(step, sine_frequencies(half, device)).t()
    y = line.unsqueeze(2).expand(half, grid, grid)
    x = line.unsqueeze(1).expand(half, grid, grid)
    return torch.cat((y, x), 0).unsqueeze(0)


def random_fourier(xy: Tensor, gaussian: Tensor) -> Tensor:
    """SAM's random Fourier features of positions in 0..1: fp32 [...,2], frequencies [2,C/2] -> fp32 [...,C]."""
    angle = (2.0 * xy - 1.0) @ gaussian.float() * (2.0 * math.pi)
    return torch.cat((angle.sin(), angle.cos()), -1)


def random_fourier_map(gaussian: Tensor, grid: int) -> Tensor:
    """`random_fourier` of the cell centres of a grid x grid map: fp32 [1,C,grid,grid]."""
    center = (torch.arange(grid, device=gaussian.device).float() + 0.5) / grid
    xy = torch.stack((center.unsqueeze(0).expand(grid, grid), center.unsqueeze(1).expand(grid, grid)), -1)
    return random_fourier(xy, gaussian).permute(2, 0, 1).unsqueeze(0)


class SinePositions(nn.Module):
    """The positions of `sine_map` for the tokens of a feature map of `channels`."""

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        self.tables = KeptTables()

    def forward(self, image: Tensor) -> Tensor:
        """For `image` [B,C,g,g], in its dtype: [1,g*g,channels]."""
        grid = image.shape[-1]
        table = self.tables.find(grid, image.dtype, image.device)
        if table is None:
            made = sine_map(self.channels, grid, image.device).to(image.dtype)
            table = self.tables.keep(grid, made.flatten(2).transpose(1, 2).contiguous())
        return table


def temporal_encoding(offset: Tensor, dim: int) -> Tensor:
    """Sines then cosines of temporal offsets (not interleaved, no 2 pi): fp32 [K] -> fp32 [K,dim]."""
    half = dim // 2
    angle = offset.unsqueeze(-1) / sine_frequencies(half, offset.device)
    return torch.cat((angle.sin(), angle.cos()), dim=-1)


def axial_rope(grid: int, head_dim: int, theta: float, scale: float, device: torch.device) -> Tensor:
    """Axial 2-D rotary embedding of a square grid: complex64 [grid*grid, head_dim/2].

    The first half of the pairs turns with x, the second with y; `scale` multiplies the coordinates
    (global layers of the ViT squeeze their grid into the window that the frequencies were trained for).
    """
    pairs = head_dim // 4
    frequency = 1.0 / (theta ** (torch.arange(0, head_dim // 2, 2, device=device).float() / (head_dim // 2)))
    position = torch.arange(grid, device=device).float() * scale
    angle = position.unsqueeze(-1) * frequency
    x = angle.unsqueeze(0).expand(grid, grid, pairs)
    y = angle.unsqueeze(1).expand(grid, grid, pairs)
    angle = torch.cat((x, y), dim=-1).flatten(0, 1)
    return torch.polar(torch.ones_like(angle), angle)


class AxialRope(nn.Module):
    """`axial_rope` of square grids with coordinates as they are."""

    def __init__(self, head_dim: int, theta: float):
        super().__init__()
        self.head_dim = head_dim
        self.theta = theta
        self.tables = KeptTables()

    def forward(self, grid: int, device: torch.device) -> Tensor:
        """complex64 [grid*grid, head_dim/2]."""
        table = self.tables.find(grid, torch.complex64, device)
        if table is None:
            table = self.tables.keep(grid, axial_rope(grid, self.head_dim, self.theta, 1.0, device))
        return table


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """Centre and size to corners: [...,4] -> [...,4]."""
    center, half = boxes[..., :2], boxes[..., 2:] * 0.5
    return torch.cat((center - half, center + half), dim=-1)


def inverse_sigmoid(x: Tensor) -> Tensor:
    """Logit of `x`, with x and 1-x held at 1e-3 or above (the reference's eps)."""
    x = x.clamp(0.0, 1.0)
    return torch.log(x.clamp(min=1e-3) / (1.0 - x).clamp(min=1e-3))
