"""One training step of each kind of phase: scenes in, losses out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from scripts.export.program import Sam3Program

from .detector import REPEATS, Asked, Decoded, decode, group_losses, matched, shaken
from .interactive_steps import click_step, tracker_step
from .learner import Learner
from .losses import balanced_entropy, dice
from .phases import Phase
from .prompts import Prompts
from .scenes import Scenes, seed_of
from .targets import TokenTargets, soft_masks, token_targets
from .world import World

# Texts are padded to the longest of a step: features of padding are zero and masked, so the rest of the context is only cost.
CONTEXT = 16


def dense_step(world: World, learner: Learner, phase: Phase, seed: int) -> dict[str, Tensor]:
    """Recognition on every token, without prompts."""
    scenes = world.scenes(phase.scenes, phase.batch, learner.config.image_size, seed)
    targets = token_targets(scenes, learner.config.grid, len(world.vocabulary.items))
    vit = learner.program.vision_encoder(scenes.pixels)
    coarse = learner.program.detector_neck.coarse(vit)
    return _dense_losses(world, learner, vit, coarse, targets, seed)


def _dense_losses(
    world: World, learner: Learner, vit: Tensor, coarse: Tensor, targets: TokenTargets, seed: int
) -> dict[str, Tensor]:
    ids, valid = world.tokens(world.concept_phrases(seed), CONTEXT)
    text = learner.program.encode_text(ids, valid)
    return learner.dense(vit, coarse, text, valid, world.truth, targets)


def detector_step(world: World, learner: Learner, phase: Phase, seed: int) -> dict[str, Tensor]:
    """Boxes, scores and masks of prompts, beside the dense losses."""
    program, heads, config = learner.program, learner.detector, learner.config
    scenes = world.scenes(phase.scenes, phase.batch, config.image_size, seed)
    prompts = world.prompts(phase.prompts, scenes, seed)
    targets = token_targets(scenes, config.grid, len(world.vocabulary.items))
    rng = torch.Generator().manual_seed(seed_of(seed, 1))
    asked = asked_of(scenes, prompts)

    vit = program.vision_encoder(scenes.pixels)
    fine, middle, coarse = program.neck_detect(vit)
    losses = _dense_losses(world, learner, vit, coarse, targets, seed)
    prompt, valid = encode_prompts(world, program, prompts, coarse)
    encoded = program.detr_encoder(coarse, prompts.scene, prompt, valid)
    losses |= heads.token_losses(encoded, asked, targets, prompts.scene)

    decoder = program.detr_decoder
    first, noised = shaken(asked, rng)
    groups = [
        (decoder.query_embed.weight, decoder.reference_points.weight.sigmoid().unsqueeze(0)),
        (heads.many_query, heads.many_reference.sigmoid().unsqueeze(0)),
        (heads.noised_query.expand(first.shape[1], -1), first),
    ]
    position = program.detr_encoder.position(coarse)
    found, presences = decode(decoder, encoded, position, config.grid, prompt, valid, groups)
    one, many, denoised = ([Decoded(q, b, program.scoring(q, prompt, valid)) for q, b in layers] for layers in found)
    given, given_many = matched(one, asked, 1), matched(many, asked, REPEATS)
    parts = [
        group_losses(one, asked, given, 1, phase.score_alpha),
        group_losses(many, asked, given_many, REPEATS, phase.score_alpha),
        group_losses(denoised, asked, [noised] * len(denoised), 1, phase.score_alpha),
    ]
    losses |= {name: sum(p[name] for p in parts) for name in parts[0]}
    present = asked.answer.any(1, keepdim=True).float()
    losses["presence"] = sum(F.binary_cross_entropy_with_logits(p, present) for p in presences)

    chosen = _masked_prompts(prompts, asked, phase.masked_prompts, rng)
    pixels, semantic = program.pixel_embed(
        fine, middle, prompts.scene[chosen], encoded[chosen], prompt[chosen], valid[chosen]
    )
    truth = soft_masks(scenes, config.image_size // 2)[prompts.scene[chosen]]
    picks = [(one[-1], given[-1], 5, 1.0), (many[-1], given_many[-1], 3, 1.0), (one[-2], given[-2], 2, 0.5)]
    losses |= _mask_losses(learner, pixels, semantic, truth, asked.answer[chosen], chosen, picks, rng)
    with torch.no_grad():
        iou_free = one[-1].logits.sigmoid() * presences[-1].sigmoid()
        losses["right_score"] = (iou_free * (given[-1] >= 0)).sum() / asked.answer.sum().clamp(min=1)
    return losses


def asked_of(scenes: Scenes, prompts: Prompts) -> Asked:
    """The truth of prompts."""
    exists = (scenes.items >= 0).to(scenes.boxes.device)
    return Asked(prompts.answer, scenes.boxes[prompts.scene], exists[prompts.scene])


def encode_prompts(
    world: World, program: Sam3Program, prompts: Prompts, coarse: Tensor, context: int = CONTEXT
) -> tuple[Tensor, Tensor]:
    """Text and exemplars as the detector takes them: tokens [P,L,C] and their validity."""
    ids, valid = world.tokens(prompts.texts, context)
    text = program.encode_text(ids, valid)
    boxes, boxes_valid = program.encode_geometry(prompts.boxes, prompts.labels, prompts.valid, coarse, prompts.scene)
    return torch.cat((text, boxes.to(text.dtype)), 1), torch.cat((valid, boxes_valid), 1)


def _masked_prompts(prompts: Prompts, asked: Asked, per_scene: int, rng: torch.Generator) -> Tensor:
    """The prompts whose masks are learned: up to `per_scene` with an answer for each scene, and one without in all."""
    answered, scene = asked.answer.any(1).cpu(), prompts.scene.cpu()
    order = torch.randperm(len(scene), generator=rng)
    chosen, used, absent = [], {}, None
    for p in order.tolist():
        if not answered[p]:
            absent = p if absent is None else absent
        elif used.get(int(scene[p]), 0) < per_scene:
            used[int(scene[p])] = used.get(int(scene[p]), 0) + 1
            chosen.append(p)
    if absent is not None:
        chosen.append(absent)
    return torch.tensor(sorted(chosen), device=prompts.scene.device)


def _mask_losses(
    learner: Learner,
    pixels: Tensor,
    semantic: Tensor,
    truth: Tensor,
    answer: Tensor,
    chosen: Tensor,
    picks: list[tuple[Decoded, Tensor, int, float]],
    rng: torch.Generator,
) -> dict[str, Tensor]:
    """Losses of instance masks and of the semantic map of n prompts.

    Args:
        pixels, semantic: of `pixel_embed`; truth: fp32 [n,K,s,s], the share of each cell; answer: bool [n,K]; chosen: i64 [n].
        picks: queries to draw masks of: the group, the object of each query, how many a prompt at most, their weight.
    """
    side = truth.shape[-1]
    union = (truth * answer[:, :, None, None]).sum(1).clamp(max=1)
    logits = _enlarged(semantic, side)[:, 0]
    entropy = F.binary_cross_entropy_with_logits(logits, union, reduction="none").mean((1, 2))
    losses = {"semantic": (2 * entropy + dice(logits, union)).mean()}

    rows, queries, objects, weights = [], [], [], []
    for decoded, given, most, weight in picks:
        row, query = torch.nonzero(given[chosen] >= 0, as_tuple=True)
        order = torch.randperm(len(row), generator=rng).to(row.device)
        row, query = row[order], query[order]
        # At most `most` of each prompt: the rank of a query among those of its prompt.
        rank = (row.unsqueeze(0) == row.unsqueeze(1)).tril(-1).sum(1)
        row, query = row[rank < most], query[rank < most]
        rows.append(row)
        queries.append(decoded.queries[chosen[row], query])
        objects.append(given[chosen[row], query])
        weights.append(torch.full((len(row),), weight, device=row.device))
    row, object_, weight = torch.cat(rows), torch.cat(objects), torch.cat(weights)
    if len(row) == 0:
        zero = semantic.float().sum() * 0
        return losses | {"mask_entropy": zero, "mask_dice": zero}
    rank = (row.unsqueeze(0) == row.unsqueeze(1)).tril(-1).sum(1)
    padded = torch.zeros(len(chosen), int(rank.max()) + 1, pixels.shape[1], dtype=queries[0].dtype, device=row.device)
    padded = padded.index_put((row, rank), torch.cat(queries))
    masks = _enlarged(learner.program.masks(pixels, padded)[row, rank].unsqueeze(1), side)[:, 0]
    target = truth[row, object_]
    total = weight.sum()
    losses["mask_entropy"] = (balanced_entropy(masks, target) * weight).sum() / total
    losses["mask_dice"] = (dice(masks, target) * weight).sum() / total
    return losses


def _enlarged(logits: Tensor, side: int) -> Tensor:
    """Logits [n,1,h,w] as the library enlarges them: fp32 [n,1,side,side]."""
    return F.interpolate(logits.float(), size=(side, side), mode="bilinear", align_corners=False)


STEPS = {"dense": dense_step, "detector": detector_step, "clicks": click_step, "tracker": tracker_step}
