"""Clips: the objects of one scene over several frames, drifting, crossing each other, leaving the picture and coming back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .plan import Plan, Planner


@dataclass(frozen=True)
class ClipSettings:
    """How objects move. Shares of all objects; the rest drifts."""

    frames: int = 6
    cross: float = 0.4  # to the place of the next object, which goes to the place of this one
    leave: float = 0.3  # out of the picture and back
    drift: float = 0.3  # the longest way of the others, as a share of the side


def draw_clips(planner: Planner, settings: ClipSettings, count: int, rng: torch.Generator) -> Plan:
    """`count` clips: a plan of count * frames scenes, the frames of one clip after another. Object k is the same thing in all of them."""
    frames = settings.frames
    start = planner.draw(count, rng)
    most = start.look.shape[1]
    plan = start.rows(torch.arange(count).repeat_interleave(frames))
    time = torch.linspace(0, 1, frames).view(1, frames, 1)

    def spread(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, most, generator=rng)

    kind = torch.rand(count, most, generator=rng)
    # Pairs (0,1), (2,3), ... cross together, so that both arrive where the other was.
    partner = torch.arange(most) ^ 1
    partner = torch.where(partner < most, partner, torch.arange(most))
    both = (start.look >= 0) & (start.look[:, partner] >= 0)
    crosses = (kind[:, torch.minimum(partner, torch.arange(most))] < settings.cross) & both
    leaves = ~crosses & (kind > 1 - settings.leave)
    heading = spread(-math.pi, math.pi)
    direction = torch.stack((heading.cos(), heading.sin()), -1)
    here, there = start.centre.unsqueeze(1), start.centre[:, partner].unsqueeze(1)
    away = 1 - (2 * time - 1).abs()
    reach = spread(0.0, settings.drift)
    drifted = here + direction * ((time - 0.5) * reach).unsqueeze(-1)
    crossed = here + (there - here) * time.unsqueeze(-1)
    # To the edge of the picture and out of sight.
    edge = torch.where(direction > 0, 1 - here, here) / direction.abs().clamp(min=1e-3)
    gone = here + direction * (away * (edge.amin(-1) + start.size.unsqueeze(1))).unsqueeze(-1)
    centre = torch.where(crosses[:, None, :, None], crossed, torch.where(leaves[:, None, :, None], gone, drifted))
    plan.centre = centre.flatten(0, 1)
    turn = spread(-0.6, 0.6) * time
    plan.angle = (start.angle.unsqueeze(1) + turn).flatten(0, 1)
    plan.size = (start.size.unsqueeze(1) * spread(-0.25, 0.25).mul(time - 0.5).exp()).flatten(0, 1)
    return plan
