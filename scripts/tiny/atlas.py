"""The atlas: every drawing as one texture, and which item looks like which texture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .vocabulary import Vocabulary

SIDE = 128
MARGIN = 2


@dataclass
class Atlas:
    """Textures u8 [T,4,s,s], colour times alpha, with a transparent edge; `looks` i64 [L,2] = (texture, item); `hands` i64 [L], -1 for plain shapes."""

    textures: Tensor
    looks: Tensor
    hands: Tensor
    hand_names: list[str]

    def save(self, path: Path) -> None:
        """Writes the atlas to one file."""
        torch.save(self.__dict__, path)

    @classmethod
    def load(cls, path: Path) -> Atlas:
        """Reads an atlas that `save` wrote."""
        return cls(**torch.load(path))

    def coverage(self) -> Tensor:
        """The share of its square that each texture covers: fp32 [T]."""
        return (self.textures[:, 3] > 127).float().mean((1, 2))


def textures_of(rgba: Tensor) -> Tensor:
    """Pictures fp32 [N,4,s,s] in 0..1, not multiplied -> textures u8 [N,4,s + 4,s + 4]."""
    multiplied = torch.cat((rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]), 1)
    return (F.pad(multiplied, (MARGIN, MARGIN, MARGIN, MARGIN)) * 255).round().to(torch.uint8)


def shape_mask(shape: str, side: int) -> Tensor:
    """A plain shape as alpha fp32 [side,side]."""
    fine = 8
    line = (torch.arange(side * fine) + 0.5) / (side * fine) * 2 - 1
    x, y = line.unsqueeze(0), line.unsqueeze(1)
    radius, angle = (x.square() + y.square()).sqrt(), torch.atan2(x.expand(len(line), -1), -y.expand(-1, len(line)))
    if shape == "circle":
        inside = radius < 1
    elif shape == "square":
        inside = torch.maximum(x.abs(), y.abs()) < 0.88
    elif shape == "triangle":
        inside = (y < 0.8) & (x.abs() < (y + 0.95) * 0.57)
    elif shape == "star":
        # Distance of the edge from the centre, from a tip (1) to a notch (0.42), along one tenth of the turn.
        tenth = torch.pi / 5
        turn = (angle.abs() % (2 * tenth) - tenth).abs()
        a, b = torch.tensor([torch.cos(torch.tensor(tenth)), torch.sin(torch.tensor(tenth))]), torch.tensor([0.42, 0.0])
        px, py = radius * turn.cos(), radius * turn.sin()
        inside = (a[0] - b[0]) * (py - b[1]) - (a[1] - b[1]) * (px - b[0]) > 0
    elif shape == "heart":
        u, v = x * 1.2, -y * 1.2 + 0.12
        inside = (u.square() + v.square() - 1) ** 3 - u.square() * v**3 < 0
    else:
        raise ValueError(f"no plain shape is called {shape!r}")
    return F.avg_pool2d(inside.float()[None, None], fine)[0, 0]


def rgb_to_hsv(rgb: Tensor) -> Tensor:
    """fp32 [...,3,H,W] in 0..1 -> hue, saturation, value in 0..1."""
    value, which = rgb.max(-3)
    spread = value - rgb.min(-3).values
    r, g, b = rgb.unbind(-3)
    sector = torch.stack(((g - b), (b - r), (r - g)), -3).gather(-3, which.unsqueeze(-3)).squeeze(-3)
    hue = (sector / spread.clamp(min=1e-6) + which * 2) / 6 % 1
    return torch.stack((hue, spread / value.clamp(min=1e-6), value), -3)


def hsv_to_rgb(hsv: Tensor) -> Tensor:
    """The inverse of rgb_to_hsv."""
    hue, saturation, value = hsv.unbind(-3)
    channels = []
    for n in (5, 3, 1):
        k = (n + hue * 6) % 6
        channels.append(value * (1 - saturation * torch.minimum(k, 4 - k).clamp(0, 1)))
    return torch.stack(channels, -3)


def repaint(rgba: Tensor, hue_from: float, hue_to: float) -> Tensor:
    """Turns the pixels of one colour of a drawing fp32 [4,H,W] into another colour."""
    hsv = rgb_to_hsv(rgba[:3])
    away = (hsv[0] - hue_from + 0.5) % 1 - 0.5
    of_colour = (away.abs() < 0.12) & (hsv[1] > 0.25)
    hue = torch.where(of_colour, (hue_to + 0.4 * away) % 1, hsv[0])
    return torch.cat((hsv_to_rgb(torch.stack((hue, hsv[1], hsv[2]))), rgba[3:]), 0)


def build_atlas(vocabulary: Vocabulary, drawings: dict[tuple[str, str], Tensor], hand_names: list[str]) -> Atlas:
    """The atlas of a vocabulary.

    Args:
        drawings: by hand and code point, fp32 [4,s,s] in 0..1; every item that is no plain shape needs one of each hand.
    """
    pictures, looks, hands = [], [], []
    side = next(iter(drawings.values())).shape[-1]
    colours = vocabulary.data["colours"]
    shapes: dict[str, int] = {}
    for number, item in enumerate(vocabulary.items):
        if item.is_shape:
            if item.noun not in shapes:
                shapes[item.noun] = len(pictures)
                alpha = shape_mask(item.noun, side)
                pictures.append(torch.cat((torch.ones(3, *alpha.shape), alpha[None]), 0))
            looks.append((shapes[item.noun], number))
            hands.append(-1)
            continue
        for hand, name in enumerate(hand_names):
            picture = drawings[name, item.code]
            if item.repaint:
                picture = repaint(picture, colours[item.repaint], colours[item.colour])
            looks.append((len(pictures), number))
            hands.append(hand)
            pictures.append(picture)
    return Atlas(textures_of(torch.stack(pictures)), torch.tensor(looks), torch.tensor(hands), list(hand_names))
