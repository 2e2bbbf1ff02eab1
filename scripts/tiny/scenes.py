"""Painting planned scenes: pixels, and which object is seen in each of them. The same code on a CPU and on a GPU."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from .atlas import Atlas
from .plan import Plan, Planner

# Sides of the textures that an object is painted from: a small copy is made from a small texture.
SMALLEST_TEXTURE = 16
# An object of which less than this share is seen is left out of its scene.
SEEN_SHARE = 0.4
# ... and one of fewer pixels, as a share of the picture, is nobody's truth.
SEEN_PIXELS = 0.001


@dataclass
class Scenes:
    """B painted scenes of K objects; everything but `items` on the device of the atlas."""

    pixels: Tensor  # fp32 [B,3,S,S] in -1..1
    owner: Tensor  # u8 [B,S,S]: 0 the ground, k + 1 object k
    items: Tensor  # i64 [B,K] on the CPU: what object k is, -1 none
    boxes: Tensor  # fp32 [B,K,4] xyxy in 0..1 around what is seen of it

    def masks(self) -> Tensor:
        """What is seen of each object: bool [B,K,S,S]."""
        number = torch.arange(1, self.items.shape[1] + 1, device=self.owner.device, dtype=torch.uint8)
        return self.owner.unsqueeze(1) == number.view(1, -1, 1, 1)


@dataclass
class Placed:
    """Windows of n pictures, w x w pixels each, and where in a drawing their pixels lie."""

    pixels: tuple[Tensor, Tensor, Tensor]  # index of picture, row and column: [n,1,1], [n,w,1], [n,1,w]
    grid: Tensor  # [n,w,w,2] along and down the drawing, -1..1


class Painter:
    """Paints plans with the textures of an atlas on grounds u8 [n,320,320]."""

    def __init__(self, atlas: Atlas, fields: Tensor, device: torch.device):
        self.looks = atlas.looks
        textures = atlas.textures.float() / 255
        self.side = textures.shape[-1]
        levels = range((self.side // SMALLEST_TEXTURE).bit_length())
        self.levels = [F.avg_pool2d(textures, 2**level).half().to(device) for level in levels]
        self.fields = fields.to(device)
        self.device = device
        self.coverage = atlas.coverage()

    def paint(self, plan: Plan, side: int, rng: torch.Generator, drop_hidden: bool = True) -> Scenes:
        """Paints `plan` at side x side pixels. `rng` is of the painter's device: it draws the noise."""
        look = self._without_hidden(plan) if drop_hidden else plan.look
        canvas = self._ground(plan, side)
        owner = torch.zeros(len(plan), side, side, dtype=torch.uint8, device=self.device)
        for k in range(look.shape[1]):
            for level, rows in self._by_level(plan, look, k, side):
                self._paint_object(canvas, owner, plan, rows, k, level)
        pixels = self._finish(canvas.permute(0, 3, 1, 2), plan, rng)
        return self._described(pixels, owner, look)

    def _paint_object(self, canvas: Tensor, owner: Tensor, plan: Plan, rows: Tensor, k: int, level: int) -> None:
        """Paints object k of these scenes, and its shadow, on canvas [B,S,S,3] and owner [B,S,S]."""
        side = canvas.shape[1]
        cast = rows[plan.shadow[rows, k, 2] > 0]
        if len(cast):
            at = self._place(plan, cast, k, side, shadow=True)
            strength = plan.shadow[cast, k, 2].to(self.device).view(-1, 1, 1, 1)
            # The smallest texture: a soft edge for nothing.
            dark = self._texture(plan, cast, k, at, -1, alpha_only=True) * strength
            canvas[at.pixels] *= 1 - dark.permute(0, 2, 3, 1)
        at = self._place(plan, rows, k, side)
        sampled = self._texture(plan, rows, k, at, level)
        alpha = sampled[:, 3:]
        colour = self._lit(sampled[:, :3], alpha, plan, rows, k, at)
        alpha = alpha.permute(0, 2, 3, 1)
        canvas[at.pixels] = canvas[at.pixels] * (1 - alpha) + colour.permute(0, 2, 3, 1)
        owner[at.pixels] = torch.where(alpha[..., 0] > 0.5, k + 1, owner[at.pixels])

    def _without_hidden(self, plan: Plan) -> Tensor:
        """`plan.look` with -1 for objects that the later ones hide, judged on a coarse picture of 56 x 56."""
        side, most = 56, plan.look.shape[1]
        owner = torch.zeros(len(plan), side, side, dtype=torch.uint8, device=self.device)
        for k in range(most):
            for level, rows in self._by_level(plan, plan.look, k, side):
                at = self._place(plan, rows, k, side)
                alpha = self._texture(plan, rows, k, at, level, alpha_only=True)[:, 0]
                owner[at.pixels] = torch.where(alpha > 0.5, k + 1, owner[at.pixels])
        seen = count_owners(owner.flatten(1).unsqueeze(1), most)[:, 0, 1:].cpu() / side**2
        whole = self.coverage[self.looks[plan.look.clamp(min=0), 0]] * plan.size.square() * plan.stretch
        return torch.where(seen >= SEEN_SHARE * whole, plan.look, -1)

    def _by_level(self, plan: Plan, look: Tensor, k: int, side: int) -> list[tuple[int, Tensor]]:
        """The scenes that have an object k, by the texture that its size asks for: the smallest that need not be enlarged."""
        most = len(self.levels) - 2
        level = torch.log2(self.side / (plan.size[:, k] * side)).floor().clamp(0, most)
        rows = [torch.nonzero((look[:, k] >= 0) & (level == i)).squeeze(1) for i in range(most + 1)]
        return [(i, r) for i, r in enumerate(rows) if len(r)]

    def _place(self, plan: Plan, rows: Tensor, k: int, side: int, shadow: bool = False) -> Placed:
        """The window of each picture that object k (or its shadow) can touch, and where in its drawing each pixel lies."""
        size, centre, angle = plan.size[rows, k], plan.centre[rows, k], plan.angle[rows, k]
        if shadow:
            centre = centre + plan.shadow[rows, k, :2] * size.unsqueeze(1)
        window = min(side, int(float(size.max()) * side * 1.6) + 2)
        corner = (centre * side - window / 2).round().clamp(0, side - window)
        along, down = 2 * plan.flip[rows, k] / size, 2 / (size * plan.stretch[rows, k])
        columns = [*centre.unbind(1), angle.cos() * along, angle.sin() * along, angle.cos() * down, angle.sin() * down]
        columns = torch.stack([*columns, *corner.unbind(1)]).to(self.device).unsqueeze(-1)
        x0, y0, cos_u, sin_u, cos_v, sin_v, left, top = columns
        step = torch.arange(window, device=self.device)
        x, y = left.long() + step, top.long() + step
        dx, dy = (x + 0.5) / side - x0, (y + 0.5) / side - y0
        u = (cos_u * dx).unsqueeze(1) + (sin_u * dy).unsqueeze(2)
        v = (cos_v * dy).unsqueeze(2) - (sin_v * dx).unsqueeze(1)
        pixels = (rows.to(self.device).view(-1, 1, 1), y.unsqueeze(2), x.unsqueeze(1))
        return Placed(pixels, torch.stack((u, v), -1))

    def _texture(self, plan: Plan, rows: Tensor, k: int, at: Placed, level: int, alpha_only: bool = False) -> Tensor:
        """Object k in its windows: [n,4,w,w] colour times alpha, or only alpha [n,1,w,w]."""
        textures = self.levels[level][:, 3:] if alpha_only else self.levels[level]
        texture = textures[self.looks[plan.look[rows, k], 0].to(self.device)].float()
        return F.grid_sample(texture, at.grid, align_corners=False)

    def _lit(self, colour: Tensor, alpha: Tensor, plan: Plan, rows: Tensor, k: int, at: Placed) -> Tensor:
        """Tint, contrast and light of object k: [n,3,w,w] colour times alpha."""
        values = torch.cat((plan.light[rows, k], plan.contrast[rows, k].unsqueeze(1), plan.tint[rows, k]), 1)
        values = values.to(self.device)[:, :, None, None]
        slope = 1 + (values[:, 0] * at.grid[..., 0] + values[:, 1] * at.grid[..., 1]).clamp(-0.3, 0.3)
        contrast, tint = values[:, 2:3], values[:, 3:]
        colour = (colour * contrast + alpha * (0.5 - 0.5 * contrast)) * tint * slope.unsqueeze(1)
        return torch.minimum(colour.clamp(min=0), alpha)

    def _ground(self, plan: Plan, side: int) -> Tensor:
        """[B,side,side,3]."""
        field = self.fields[plan.field.to(self.device)].unsqueeze(1).float() / 255
        crop = plan.crop.to(self.device)
        line = (torch.arange(side, device=self.device) + 0.5) / side
        x = (crop[:, 0:1] + crop[:, 2:] * line) * 2 - 1
        y = (crop[:, 1:2] + crop[:, 2:] * line) * 2 - 1
        grid = torch.stack((x.unsqueeze(1).expand(-1, side, -1), y.unsqueeze(2).expand(-1, -1, side)), -1)
        tone = F.grid_sample(field, grid, align_corners=False, padding_mode="border")
        dark, bright = plan.palette.to(self.device).unbind(1)
        return dark[:, None, None] + tone[:, 0].unsqueeze(-1) * (bright - dark)[:, None, None]

    def _finish(self, canvas: Tensor, plan: Plan, rng: torch.Generator) -> Tensor:
        """Exposure, blur and noise; rounded to 8 bits as a decoded picture is."""
        blurred = torch.nonzero(plan.blur > 0).squeeze(1)
        if len(blurred):
            rows, weight = blurred.to(self.device), plan.blur[blurred].to(self.device).view(-1, 1, 1, 1)
            soft = F.avg_pool2d(F.pad(canvas[rows], (1, 1, 1, 1), mode="replicate"), 3, 1)
            canvas[rows] = torch.lerp(canvas[rows], soft, weight)
        noisy = torch.nonzero(plan.noise > 0).squeeze(1)
        if len(noisy):
            rows, deviation = noisy.to(self.device), plan.noise[noisy].to(self.device).view(-1, 1, 1, 1)
            canvas[rows] += torch.randn(canvas[rows].shape, generator=rng, device=self.device) * deviation
        canvas = canvas * plan.exposure.to(self.device).view(-1, 1, 1, 1)
        return (canvas.clamp(0, 1) * 255).round() / 127.5 - 1

    def _described(self, pixels: Tensor, owner: Tensor, look: Tensor) -> Scenes:
        side, objects = owner.shape[-1], look.shape[1]
        columns = count_owners(owner.transpose(1, 2), objects)[:, :, 1:]
        rows = count_owners(owner, objects)[:, :, 1:]
        boxes = torch.stack((*_span(columns), *_span(rows)), -1)[..., [0, 2, 1, 3]] / side
        enough = (rows.sum(1) >= SEEN_PIXELS * side * side).cpu()
        items = self.looks[look.clamp(min=0), 1]
        return Scenes(pixels, owner, torch.where((look >= 0) & enough, items, -1), boxes)


def count_owners(owner: Tensor, objects: int) -> Tensor:
    """How many pixels of each line belong to whom: owner u8 [B,L,n] -> fp32 [B,L,objects + 1]."""
    batch, lines, _ = owner.shape
    classes = objects + 1
    line = torch.arange(batch * lines, device=owner.device).view(batch, lines, 1) * classes
    counts = torch.bincount((owner + line).flatten(), minlength=batch * lines * classes)
    return counts.view(batch, lines, classes).float()


def _span(counts: Tensor) -> tuple[Tensor, Tensor]:
    """First and last + 1 line with anything in it: [B,L,K] -> [B,K] each, zeros where there is none."""
    there = (counts > 0).int()
    any_line = there.amax(1)
    first = there.argmax(1)
    last = there.shape[1] - there.flip(1).argmax(1)
    return (first * any_line).float(), (last * any_line).float()


def seed_of(seed: int, step: int) -> int:
    """One seed for each step of a run: a step's scenes can be drawn again without those before."""
    return (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + 1) % (1 << 63)


def draw_scenes(planner: Planner, painter: Painter, wanted: list[tuple[int, int]], side: int) -> list[Scenes]:
    """Scenes of side x side pixels for each (count, seed), painted in one go; their noise follows from the first seed."""
    plans = [planner.draw(count, torch.Generator().manual_seed(seed)) for count, seed in wanted]
    noise = torch.Generator(painter.device).manual_seed(wanted[0][1])
    painted = painter.paint(Plan.joined(plans), side, noise)
    parts = [getattr(painted, f.name).split([len(plan) for plan in plans]) for f in fields(painted)]
    return [Scenes(*part) for part in zip(*parts)]
