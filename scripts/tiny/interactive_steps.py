"""One training step of the interactive path and of the tracker: on the frozen trunk, so only what stands behind it has gradients."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from scripts.export.program import Sam3Program

from .bank import Views, view
from .click_heads import watched
from .clicks import Chosen, answer_losses, choose_objects, correction, decode_prompt, first_points, worse_answers
from .learner import Learner
from .phases import Phase
from .scenes import seed_of
from .tracking import Memory, encode_memory, follow, given_mask
from .world import World

Levels = tuple[Tensor, Tensor, Tensor]
# Of the objects of a clip, as a share, these are clicked on.
CLICKED = 0.4
# Clips, as a share, that go on as if up to so many frames had passed after the first: pointers from long ago are seen otherwise never.
LATE, LONGEST_SKIP = 0.5, 24


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
    with watched(learner.program.sam_mask_decoder.transformer.layers) as seen:
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
    answer = worse_answers(first, chosen, rng)
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
    program = learner.program
    draw = torch.Generator().manual_seed(seed_of(seed, 1))
    blind = int(torch.randint(phase.blind + 1, (1,), generator=draw))
    clips = _views(world, learner, phase, blind, seed, draw)
    frames = len(clips.items) // phase.batch
    blind = min(blind, frames - 2)
    rng = torch.Generator(world.device).manual_seed(seed_of(seed, 2))
    frame = [clips.rows(slice(t, None, frames)) for t in range(frames)]
    chosen = choose_objects(frame[0], phase.per_scene, draw, hidden(clips, frames))
    chosen = chosen.rows(torch.randperm(len(chosen.mask), generator=draw).to(world.device))
    with torch.set_grad_enabled(torch.is_grad_enabled() and phase.trunk_rate > 0):
        levels = program.neck_track(clips.vision)

    def of_frame(t: int) -> list[Tensor]:
        return [x[t::frames][chosen.scene] for x in levels]

    losses, memory = _shown(learner, of_frame(0), chosen, rng)
    if torch.rand(1, generator=draw) < LATE:
        memory.skipped = int(torch.randint(1, LONGEST_SKIP, (1,), generator=draw))
    for t in range(1, blind + 1):
        # Cut off afterwards, not computed without gradients: autocast would keep weights that it rounded there, and they would learn nothing.
        follow(program, memory, tuple(of_frame(t)))
        memory.frames[-1], memory.pointers[-1] = memory.frames[-1].detach(), memory.pointers[-1].detach()
    parts, decoder_layers = [], program.sam_mask_decoder.transformer.layers
    for t in range(blind + 1, frames):
        with watched(decoder_layers) as seen, watched(program.memory_attention.layers) as recalled:
            decoded = follow(program, memory, tuple(of_frame(t)))
        now = frame[t]
        mask = now.owner[chosen.scene] == (chosen.thing + 1).view(-1, 1, 1)
        visible = (now.items.to(mask.device)[chosen.scene, chosen.thing] >= 0) & mask.any((1, 2))
        there = Chosen(chosen.scene, chosen.thing, mask, now.boxes[chosen.scene, chosen.thing])
        truth = F.avg_pool2d(mask.float().unsqueeze(1), 2)[:, 0]
        losses_here = answer_losses(decoded, truth, visible, "track") | learner.clicks(seen, there, "track")
        parts.append(losses_here | {"track_recalled": learner.memory(recalled, mask)})
    return losses | {name: torch.stack([p[name] for p in parts]).mean() for name in parts[0]}


def hidden(clips: Views, frames: int) -> Tensor:
    """Which objects of clips are gone on one of their `frames`, or seen by less than half of what is seen on the first: bool [B,K] on the CPU.

    Those are the ones that get lost: in a clip of plain drift the first frame's place is as good as a memory.
    """
    seen = torch.stack([(clips.owner == k + 1).sum((1, 2)) for k in range(clips.items.shape[1])], 1)
    seen = seen.view(-1, frames, seen.shape[1])
    return (seen.amin(1) < seen[:, 0] / 2).cpu()


def _views(world: World, learner: Learner, phase: Phase, blind: int, seed: int, draw: torch.Generator) -> Views:
    """The clips of a step: windows of kept ones, or new ones."""
    if learner.bank:
        kept = learner.bank.windows(phase.batch, phase.window + blind, draw)
        return replace(kept, vision=kept.vision.to(learner.program.vision_encoder.pos_embed.dtype))
    clips = world.clips(phase.scenes, phase.motion, phase.batch, learner.config.image_size, seed)
    return view(learner.program.vision_encoder, clips)


def _shown(learner: Learner, levels: list[Tensor], chosen: Chosen, rng: torch.Generator):
    """The first frame: the losses of the clicks, and what is remembered of all objects; the first CLICKED of them are clicked on, the others given as masks."""
    program, clicked = learner.program, max(1, round(CLICKED * len(chosen.mask)))
    left, right = slice(clicked), slice(clicked, None)
    losses, first = _clicked(learner, [x[left] for x in levels], chosen.rows(left), rng)
    mask, token = first.best()
    frames = [encode_memory(program, levels[2][left], (mask > 0).float() * 20 - 10, first.object_logits)]
    pointers = [program.object_pointer(token, first.object_logits)]
    if clicked < len(chosen.mask):
        pointer, mask = given_mask(program, tuple(x[right] for x in levels), chosen.mask[right])
        sure = torch.full((len(mask), 1), 10.0, device=mask.device)
        frames.append(encode_memory(program, levels[2][right], mask, sure))
        pointers.append(pointer)
    return losses, Memory([torch.cat(frames)], [torch.cat([p.float() for p in pointers])])
