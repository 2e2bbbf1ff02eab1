"""Planning scenes: what stands where, how large, how turned, in which light. Small tables, drawn on the CPU from one seed."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from .atlas import Atlas
from .vocabulary import Vocabulary


@dataclass(frozen=True)
class SceneSettings:
    """How scenes are composed. Sizes are shares of the picture's side."""

    objects: tuple[int, int] = (1, 8)
    smallest: float = 0.16
    largest: float = 0.55
    largest_in_crowd: float = 0.4
    same_noun: float = 0.3
    sibling: float = 0.25
    distractors: float = 0.08
    shapes: float = 0.0  # of all objects so many more are plain shapes
    heedless: float = 0.25  # of all objects so many are put anywhere, the others where they overlap least


@dataclass
class Plan:
    """B scenes of K objects, painted in order. Lengths are shares of the side; an absent object has look -1."""

    look: Tensor  # i64 [B,K] row of Atlas.looks
    centre: Tensor  # [B,K,2]
    size: Tensor  # [B,K] side of the drawing's square
    angle: Tensor  # [B,K] radians
    stretch: Tensor  # [B,K] height over width
    flip: Tensor  # [B,K] -1 or 1
    tint: Tensor  # [B,K,3] factor of each channel
    contrast: Tensor  # [B,K]
    light: Tensor  # [B,K,2] change of brightness along the drawing's axes
    shadow: Tensor  # [B,K,3] offset and strength; strength 0: none
    field: Tensor  # i64 [B] ground
    crop: Tensor  # [B,3] left, top, side of the part of the field that is used
    palette: Tensor  # [B,2,3] colours of the field's darkest and brightest point
    exposure: Tensor  # [B]
    blur: Tensor  # [B] weight of a 3x3 blur
    noise: Tensor  # [B] standard deviation

    def __len__(self) -> int:
        return len(self.look)

    @classmethod
    def joined(cls, plans: list[Plan]) -> Plan:
        """The scenes of all plans, in order."""
        return cls(**{f.name: torch.cat([getattr(plan, f.name) for plan in plans]) for f in fields(cls)})

    def rows(self, index: Tensor) -> Plan:
        """The scenes of these rows."""
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})


def _uniform(rng: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(*shape, generator=rng)


def _hues_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """[...] each -> [...,3]."""
    n = torch.tensor([5.0, 3.0, 1.0])
    k = (n + hue.unsqueeze(-1) * 6) % 6
    return value.unsqueeze(-1) * (1 - saturation.unsqueeze(-1) * torch.minimum(k, 4 - k).clamp(0, 1))


class Planner:
    """Draws plans for one vocabulary and atlas."""

    def __init__(self, vocabulary: Vocabulary, atlas: Atlas, field_count: int, settings: SceneSettings):
        self.settings = settings
        self.field_count = field_count
        items = vocabulary.items
        nouns = sorted({item.noun for item in items})
        groups = vocabulary.data["groups"].values()
        families = [set(g) for g in (*groups, *vocabulary.data["confusable"], vocabulary.data["shapes"])]
        item_of_look = atlas.looks[:, 1].tolist()
        self.noun_of_look = torch.tensor([nouns.index(items[i].noun) for i in item_of_look])
        of_noun = torch.zeros(len(nouns), len(item_of_look))
        for look, i in enumerate(item_of_look):
            # Every colour of a noun as often as the others, in every hand as often as in the others.
            rivals = sum(items[j].colour == items[i].colour and items[j].noun == items[i].noun for j in item_of_look)
            of_noun[self.noun_of_look[look], look] = 1.0 / rivals
        of_noun /= of_noun.sum(1, keepdim=True)
        self.of_noun = of_noun
        kin = torch.eye(len(nouns), dtype=torch.bool)
        for a, first in enumerate(nouns):
            for b, second in enumerate(nouns):
                kin[a, b] |= any(first in f and second in f for f in families)
        self.of_kin = (kin.float() / kin.sum(1, keepdim=True)) @ of_noun
        share = torch.tensor([1.0 if noun else 0.0 for noun in nouns])
        named = settings.distractors if "" in nouns else 0.0
        share *= (1 - named) / share.sum()
        if "" in nouns:
            share[nouns.index("")] = named
        plain = torch.tensor([noun in vocabulary.data["shapes"] for noun in nouns])
        share = share * (1 - settings.shapes) + settings.shapes * plain / plain.sum().clamp(min=1)
        self.any_look = share @ of_noun
        hues, drawn = vocabulary.data["colours"], torch.full((len(item_of_look),), -1.0)
        for look, i in enumerate(item_of_look):
            if items[i].is_shape:
                drawn[look] = hues[items[i].colour]
        self.hue_of_look = drawn

    def draw(self, count: int, rng: torch.Generator) -> Plan:
        """`count` scenes."""
        s, most = self.settings, self.settings.objects[1]
        number = torch.randint(s.objects[0], most + 1, (count,), generator=rng)
        number = torch.minimum(number, torch.randint(s.objects[0], most + 1, (count,), generator=rng) + 1)
        present = torch.arange(most) < number.unsqueeze(1)
        look = self._looks(count, most, rng)
        top = torch.where(number <= 3, s.largest, s.largest_in_crowd).unsqueeze(1)
        size = s.smallest * (top / s.smallest) ** torch.rand(count, most, generator=rng)
        field = torch.randint(self.field_count, (count,), generator=rng)
        side = _uniform(rng, 0.45, 1.0, count)
        corner = torch.rand(count, 2, generator=rng) * (1 - side).unsqueeze(1)
        palette = torch.rand(count, 2, 3, generator=rng)
        # Many grounds are nearly of one colour, some are light as paper.
        near, vivid = _uniform(rng, 0.05, 1.0, count, 1), torch.rand(count, 1, 1, generator=rng)
        palette = torch.lerp(palette.mean(-1, keepdim=True), palette, vivid)
        palette[:, 1] = palette[:, 0] + (palette[:, 1] - palette[:, 0]) * near
        pale = torch.rand(count, 1, 1, generator=rng) < 0.2
        palette = torch.where(pale, 0.8 + 0.2 * palette, palette)
        turn = torch.randn(count, most, generator=rng) * 0.24
        wild = torch.rand(count, most, generator=rng) < 0.2
        turn = torch.where(wild, _uniform(rng, -1.05, 1.05, count, most), turn)
        noisy = torch.rand(count, generator=rng) < 0.35
        blurred = torch.rand(count, generator=rng) < 0.25
        return Plan(
            look=torch.where(present, look, -1),
            centre=self._centres(present, size, rng),
            size=size,
            angle=turn,
            stretch=_uniform(rng, 0.9, 1.1, count, most),
            flip=torch.randint(2, (count, most), generator=rng) * 2.0 - 1,
            tint=self._tints(look, rng),
            contrast=_uniform(rng, 0.8, 1.15, count, most),
            light=_uniform(rng, -0.15, 0.15, count, most, 2),
            shadow=self._shadows(count, most, rng),
            field=field,
            crop=torch.cat((corner, side.unsqueeze(1)), 1),
            palette=palette,
            exposure=_uniform(rng, 0.8, 1.15, count),
            blur=torch.where(blurred, torch.rand(count, generator=rng), torch.zeros(())),
            noise=torch.where(noisy, _uniform(rng, 0.005, 0.035, count), torch.zeros(())),
        )

    def _looks(self, count: int, most: int, rng: torch.Generator) -> Tensor:
        """Looks i64 [count,most]: often of the noun of an object before, or of its kin."""
        s = self.settings
        look = torch.multinomial(self.any_look, count * most, replacement=True, generator=rng).view(count, most)
        kind = torch.rand(count, most, generator=rng)
        for k in range(1, most):
            before = torch.randint(k, (count, 1), generator=rng)
            noun = self.noun_of_look[look.gather(1, before).squeeze(1)]
            same = torch.multinomial(self.of_noun[noun], 1, generator=rng).squeeze(1)
            kin = torch.multinomial(self.of_kin[noun], 1, generator=rng).squeeze(1)
            drawn = torch.where(kind[:, k] < s.same_noun + s.sibling, kin, look[:, k])
            look[:, k] = torch.where(kind[:, k] < s.same_noun, same, drawn)
        return look

    def _centres(self, present: Tensor, size: Tensor, rng: torch.Generator) -> Tensor:
        """Centres [B,K,2]: of five tries the one that overlaps least, or, for the heedless, just the first."""
        count, most, tries = *size.shape, 5
        centre = torch.zeros(count, most, 2)
        for k in range(most):
            margin = 0.3 * size[:, k].view(-1, 1, 1)
            candidates = margin + torch.rand(count, tries, 2, generator=rng) * (1 - 2 * margin)
            overlap = torch.zeros(count, tries)
            for j in range(k):
                apart = (candidates - centre[:, None, j]).norm(dim=-1)
                reach = (0.42 * (size[:, k] + size[:, j])).unsqueeze(1)
                overlap += (reach - apart).clamp(min=0) * present[:, j, None] / size[:, j, None]
            overlap[torch.rand(count, generator=rng) < self.settings.heedless] = 0
            centre[:, k] = candidates[torch.arange(count), overlap.argmin(1)]
        return centre

    def _tints(self, look: Tensor, rng: torch.Generator) -> Tensor:
        """Factors [B,K,3]: a shape's colour, and a light of slightly changing brightness and hue."""
        hue = self.hue_of_look[look]
        shape = look.shape
        noise = torch.randn(shape, generator=rng) * 0.012
        # Orange and yellow are only themselves when they are bright.
        warm = (hue > 0.04) & (hue < 0.2)
        low = torch.where(warm, 0.85, 0.6)
        value = low + (1 - low) * torch.rand(shape, generator=rng)
        saturation = _uniform(rng, 0.7, 1.0, *shape)
        colour = _hues_to_rgb((hue + noise) % 1, saturation, value)
        light = _uniform(rng, 0.78, 1.15, *shape, 1) * _uniform(rng, 0.94, 1.06, *shape, 3)
        return torch.where((hue < 0).unsqueeze(-1), light, colour * _uniform(rng, 0.94, 1.06, *shape, 3))

    def _shadows(self, count: int, most: int, rng: torch.Generator) -> Tensor:
        offset = _uniform(rng, -0.08, 0.1, count, most, 2)
        strength = _uniform(rng, 0.2, 0.55, count, most, 1)
        cast = torch.rand(count, most, 1, generator=rng) < 0.45
        return torch.cat((offset, strength * cast), -1)
