"""One training step of the interactive path and of the tracker: on the frozen trunk, so only what stands behind it has gradients."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from scripts.export.program import Sam3Program

from .click_heads import watched
from .clicks import Chosen, answer_losses, choose_objects, correction, decode_prompt, first_points
from .learner import Learner
from .phases import Phase
from .scenes import Scenes, seed_of
from .tracking import Memory, follow, given_mask, remember
from .world import World

Levels = tuple[Tensor, Tensor, Tensor]


def click_step(world: World, learner: Learner, phase: Phase, seed: int) -> dict[str, Tensor]:
    """A first prompt for some objects, and one correction."""
    config = learner.config
    scenes = world.scenes(phase.scenes, phase.batch, config.image_size, seed)
    chosen = choose_objects(scenes, phase.per_scene, torch.Generator().manual_seed(seed_of(seed, 1)))
    rng = torch.Generator(world.device).manual_seed(seed_of(seed, 2))
    levels = _levels(learner.program, scenes.pixels)
    return _clicked(learner, [x[chosen.scene] for x in levels], chosen, rng)[0]


def _levels(program: Sam3Program, pixels: Tensor) -> Levels:
    with torch.no_grad():
        vit = program.vision_encoder(pixels)
    return program.neck_track(vit)


def _clicked(learner: Learner, levels: list[Tensor], chosen: Chosen, rng: torch.Generator):
    """The losses of a first prompt and of a correction, and what was answered first; `levels` have a row for each object."""
    with watched(learner.program.sam_mask_decoder) as seen:
        losses, first = _answers(learner.program, levels, chosen, rng)
    return losses | learner.clicks(seen, chosen), first


def _answers(program: Sam3Program, levels: list[Tensor], chosen: Chosen, rng: torch.Generator):
    fine, middle, coarse = levels
    image = coarse + program.memory_attention.no_memory_embed.view(1, -1, 1, 1)
    side = chosen.mask.shape[-1]
    truth = F.avg_pool2d(chosen.mask.float().unsqueeze(1), 2)[:, 0]
    visible = chosen.mask.any((1, 2))
    points, labels = first_points(chosen, rng)
    first = decode_prompt(program, (fine, middle, image), points, labels)
    losses = answer_losses(first, truth, visible, "click")
    answer = first.best()[0].detach().float()
    shown = F.interpolate(answer.unsqueeze(1), size=(side, side), mode="bilinear", align_corners=False)[:, 0] > 0
    more, more_labels = correction(shown, chosen.mask, rng)
    points, labels = torch.cat((points, more), 1), torch.cat((labels, more_labels), 1)
    use_mask = torch.rand(len(points), generator=rng, device=points.device) < 0.6
    second = decode_prompt(program, (fine, middle, image), points, labels, answer.clamp(-32, 32).unsqueeze(1), use_mask)
    again = answer_losses(second, truth, visible, "click")
    losses = {name: (losses[name] + again[name]) / 2 for name in losses} | {
        "right_first": losses["right_click"],
        "right_second": again["right_click"],
    }
    return losses, first


def tracker_step(world: World, learner: Learner, phase: Phase, seed: int) -> dict[str, Tensor]:
    """Clips: objects are clicked on or given as masks on the first frame, and followed."""
    program, config, frames = learner.program, learner.config, phase.motion.frames
    clips = world.clips(phase.scenes, phase.motion, phase.batch, config.image_size, seed)
    rng = torch.Generator(world.device).manual_seed(seed_of(seed, 2))
    start = _frame(clips, 0, frames)
    chosen = choose_objects(start, phase.per_scene, torch.Generator().manual_seed(seed_of(seed, 1)))
    levels = _levels(program, clips.pixels)

    def of_frame(t: int) -> list[Tensor]:
        return [x[t::frames][chosen.scene] for x in levels]

    memory = Memory()
    losses, first = _clicked(learner, of_frame(0), chosen, rng)
    image = of_frame(0)[2]
    if torch.rand(1, generator=torch.Generator().manual_seed(seed_of(seed, 3))) < 0.6:
        pointer, mask = given_mask(program, tuple(of_frame(0)), chosen.mask)
        sure = torch.full((len(mask), 1), 10.0, device=mask.device)
        remember(program, memory, image, mask, pointer, sure)
    else:
        mask, token = first.best()
        pointer = program.object_pointer(token, first.object_logits)
        remember(program, memory, image, (mask > 0).float() * 20 - 10, pointer, first.object_logits)
    parts = []
    for t in range(1, frames):
        with watched(program.sam_mask_decoder) as seen:
            decoded = follow(program, memory, tuple(of_frame(t)))
        owner = clips.owner[t::frames][chosen.scene]
        mask = owner == (chosen.thing + 1).view(-1, 1, 1)
        visible = (clips.items[t::frames].to(mask.device)[chosen.scene, chosen.thing] >= 0) & mask.any((1, 2))
        there = Chosen(chosen.scene, chosen.thing, mask, clips.boxes[t::frames][chosen.scene, chosen.thing])
        truth = F.avg_pool2d(mask.float().unsqueeze(1), 2)[:, 0]
        parts.append(answer_losses(decoded, truth, visible, "track") | learner.clicks(seen, there, "track"))
    return losses | {name: torch.stack([p[name] for p in parts]).mean() for name in parts[0]}


def _frame(clips: Scenes, t: int, frames: int) -> Scenes:
    """Frame t of every clip."""
    return Scenes(clips.pixels[t::frames], clips.owner[t::frames], clips.items[t::frames], clips.boxes[t::frames])
