"""Grounds: grey fields (procedural, or crops of CC0 photographs), each scene colours one with a palette of its own."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 320
COUNT = 240


def _noise(octaves: list[tuple[int, float]], rng: torch.Generator) -> Tensor:
    """Sums smooth noise of (cells along a side, weight): fp32 [320,320] in 0..1."""
    total = torch.zeros(SIDE, SIDE)
    for cells, weight in octaves:
        coarse = torch.rand(1, 1, cells, cells, generator=rng)
        total += weight * F.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic", align_corners=False)[0, 0]
    return _stretch(total)


def _stretch(x: Tensor) -> Tensor:
    return (x - x.min()) / (x.max() - x.min()).clamp(min=1e-6)


def _field(kind: str, rng: torch.Generator, photographs: Tensor) -> Tensor:
    """One field fp32 [320,320] in 0..1."""
    line = torch.arange(SIDE) / SIDE
    x, y = line.unsqueeze(0).expand(SIDE, SIDE), line.unsqueeze(1).expand(SIDE, SIDE)
    r = torch.rand(4, generator=rng).tolist()
    turn = r[0] * 2 * math.pi
    along = math.cos(turn) * x + math.sin(turn) * y
    if kind == "flat":
        return torch.full((SIDE, SIDE), r[0])
    if kind == "gradient":
        return _stretch(along)
    if kind == "clouds":
        return _noise([(3, 1.0), (6, 0.5), (12, 0.25)], rng)
    if kind == "speckle":
        return _noise([(8, 1.0), (32, 0.6), (100, 0.5)], rng)
    if kind == "grass":
        return _noise([(10, 0.4), (60, 0.6), (160, 1.0)], rng)
    if kind == "wood":
        rings = 0.5 + 0.5 * torch.sin(2 * math.pi * ((4 + 14 * r[1]) * along + 3 * _noise([(3, 1.0), (5, 0.4)], rng)))
        return _stretch(0.6 * rings + 0.4 * _noise([(4, 1.0), (160, 0.3)], rng))
    if kind == "cloth":
        a = (torch.sin(2 * math.pi * (3 + int(r[1] * 30)) * x) > 0).float()
        b = (torch.sin(2 * math.pi * (3 + int(r[2] * 30)) * y) > 0).float()
        return _stretch(a + 0.5 * b + 0.1 * _noise([(160, 1.0)], rng))
    if kind == "tiles":
        n = 2 + int(r[1] * 6)
        joint = ((x * n % 1) < 0.05) | ((y * n % 1) < 0.05)
        tone = torch.rand(n, n, generator=rng).repeat_interleave(math.ceil(SIDE / n), 0)
        tone = tone.repeat_interleave(math.ceil(SIDE / n), 1)[:SIDE, :SIDE]
        return _stretch(0.3 * tone + 0.15 * _noise([(20, 1.0), (80, 0.5)], rng) + joint.float() * (r[2] - 0.5))
    if kind == "photograph":
        photo = photographs[int(r[1] * len(photographs))]
        side = int(photo.shape[-1] * (0.35 + 0.6 * r[2]))
        left, top = (int(v * (photo.shape[-1] - side + 1)) for v in torch.rand(2, generator=rng).tolist())
        crop = photo[top : top + side, left : left + side].float()[None, None]
        return _stretch(F.interpolate(crop, size=(SIDE, SIDE), mode="bilinear", antialias=True)[0, 0])
    raise ValueError(f"no ground is called {kind!r}")


KINDS = (
    "flat",
    "gradient",
    "clouds",
    "clouds",
    "speckle",
    "grass",
    "wood",
    "cloth",
    "tiles",
    "photograph",
    "photograph",
)


def make_fields(seed: int, photographs: Tensor | None, count: int = COUNT) -> Tensor:
    """`count` fields u8 [count,320,320]; without photographs (u8 [n,512,512]) only procedural ones."""
    rng = torch.Generator().manual_seed(seed)
    kinds = [k for k in KINDS if photographs is not None or k != "photograph"]
    none = torch.zeros(0)
    fields = [_field(kinds[i % len(kinds)], rng, none if photographs is None else photographs) for i in range(count)]
    return (torch.stack(fields) * 255).round().to(torch.uint8)
