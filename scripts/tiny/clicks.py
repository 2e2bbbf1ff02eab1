"""Training of the interactive path on the frozen trunk: a click, a box or some clicks, then a correction where the answer is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from scripts.export.program import Sam3Program

from .bank import Views
from .losses import balanced_entropy, dice
from .scenes import Scenes

# Labels of points as the prompt encoder takes them.
PADDING, OUTSIDE, INSIDE, CORNER, OPPOSITE_CORNER = -1, 0, 1, 2, 3
# How deep inside a mask a pixel lies is judged on so many cells a side.
CELLS = 28
# How much earlier those come that are wanted rather than others: 0 not at all, 1 always.
PREFERENCE = 0.75


@dataclass
class Chosen:
    """n objects of scenes."""

    scene: Tensor  # i64 [n]
    thing: Tensor  # i64 [n]
    mask: Tensor  # bool [n,S,S] what is seen of them
    box: Tensor  # fp32 [n,4] xyxy in 0..1

    def rows(self, index: Tensor | slice) -> Chosen:
        """Some of the objects."""
        return Chosen(self.scene[index], self.thing[index], self.mask[index], self.box[index])


def choose_objects(
    scenes: Scenes | Views, per_scene: int, rng: torch.Generator, rather: Tensor | None = None
) -> Chosen:
    """Up to `per_scene` objects of each scene, mostly such as are wanted rather than others: bool [B,K]. `rng` is of the CPU."""
    order = torch.rand(scenes.items.shape, generator=rng)
    if rather is not None:
        order = torch.where(rather, order * (1 - PREFERENCE), order)
    order = order.masked_fill(scenes.items < 0, 2.0)
    picked = order.argsort(1)[:, :per_scene]
    scene = torch.arange(len(picked)).unsqueeze(1).expand_as(picked)[order.gather(1, picked) < 2]
    thing = picked[order.gather(1, picked) < 2]
    device = scenes.owner.device
    scene, thing = scene.to(device), thing.to(device)
    mask = scenes.owner[scene] == (thing + 1).view(-1, 1, 1)
    return Chosen(scene, thing, mask, scenes.boxes[scene, thing])


def points_in(masks: Tensor, rng: torch.Generator, middle: float = 0.5) -> Tensor:
    """A pixel of each mask bool [n,S,S] (of the picture where it is empty): xy fp32 [n,2]. `rng` is of the masks' device.

    Any pixel, or, for a share `middle` of the masks, one that lies deep inside: people click there.
    """
    count, side = len(masks), masks.shape[-1]
    seen = masks.float().unsqueeze(1)
    around = F.avg_pool2d(F.avg_pool2d(seen, side // CELLS), 3, 1, 1)
    around = F.interpolate(around, size=(side, side), mode="nearest") * seen
    deep = (around / around.amax((2, 3), keepdim=True).clamp(min=1e-6)).pow(6)
    use_deep = torch.rand(count, 1, 1, 1, generator=rng, device=masks.device) < middle
    weight = torch.where(use_deep, deep, seen).flatten(1)
    weight = torch.where(weight.any(1, keepdim=True), weight, 1.0)
    index = torch.multinomial(weight, 1, generator=rng).squeeze(1)
    return torch.stack((index % side, index // side), -1).float()


def first_points(chosen: Chosen, rng: torch.Generator, boxes: float = 0.25, more: float = 0.2) -> tuple[Tensor, Tensor]:
    """The first prompt of all objects: mostly a click, sometimes a box (its corners moved a little) or two clicks.

    One kind for all, as many points for each as the library would pass: padding is a token too.

    Returns:
        points xy fp32 [n,1 or 2,2] in pixels, labels i64 [n,1 or 2].
    """
    count, side, device = len(chosen.mask), chosen.mask.shape[-1], chosen.mask.device
    kind = float(torch.rand(1, generator=rng, device=device))
    if kind < boxes:
        size = (chosen.box[:, 2:] - chosen.box[:, :2]).repeat(1, 2)
        moved = chosen.box + size * 0.04 * torch.randn(count, 4, generator=rng, device=device)
        labels = torch.tensor([CORNER, OPPOSITE_CORNER], device=device).expand(count, 2)
        return (moved.clamp(0, 1) * side).view(count, 2, 2), labels
    number = 2 if kind < boxes + more else 1
    points = torch.stack([points_in(chosen.mask, rng) for _ in range(number)], 1)
    return points, torch.full((count, number), INSIDE, device=device)


def correction(masks: Tensor, truth: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """A click where masks bool [n,S,S] are wrong: xy [n,1,2], labels i64 [n,1]."""
    wrong = masks != truth
    # A perfect answer is confirmed.
    where = torch.where(wrong.any((1, 2), keepdim=True), wrong, truth)
    points = points_in(where, rng)
    x, y = points.long().unbind(-1)
    inside = truth[torch.arange(len(truth), device=truth.device), y, x]
    return points.unsqueeze(1), inside.long().unsqueeze(1)


# Of first answers, as shares, these are made worse before they are corrected: what the decoder answers here is mostly good, and
# then a correction teaches nothing about those that are not.
WORST, CUT, JOINED = 0.2, 0.15, 0.15


@dataclass
class Decoded:
    """What SAM's mask decoder says about n objects."""

    masks: Tensor  # [n,4,4g,4g] logits
    iou: Tensor  # [n,4]
    tokens: Tensor  # [n,4,C]
    object_logits: Tensor  # [n,1]

    def choice(self) -> Tensor:
        """Which of the four is answered: the one of the best estimate among the three of an ambiguous prompt, i64 [n]."""
        return self.iou[:, 1:].argmax(1) + 1

    def best(self) -> tuple[Tensor, Tensor]:
        """The mask that is answered, and its token: [n,4g,4g], [n,C]."""
        choice = self.choice()
        rows = torch.arange(len(choice), device=choice.device)
        return self.masks[rows, choice], self.tokens[rows, choice]


def decode_prompt(
    program: Sam3Program,
    levels: tuple[Tensor, Tensor, Tensor],
    points: Tensor,
    labels: Tensor,
    mask: Tensor | None = None,
    use_mask: Tensor | None = None,
) -> Decoded:
    """Levels fine, middle and image features, one row for each object; mask logits [n,1,4g,4g] of an earlier answer, where `use_mask`."""
    fine, middle, image = levels
    if mask is None or use_mask is None:
        mask = torch.zeros(len(points), 1, fine.shape[-1], fine.shape[-1], device=points.device)
        use_mask = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    sparse, dense = program.prompt_encode(points, labels, mask, use_mask)
    return Decoded(*program.mask_decode(fine, middle, image, sparse, dense))


def worse_answers(decoded: Decoded, chosen: Chosen, rng: torch.Generator) -> Tensor:
    """First answers [n,4g,4g] logits as they go into a correction: some are the worst of the four, some are cut along a line through the object, some take in another object of the scene. `rng` is of the masks' device."""
    answer = decoded.best()[0].detach().float()
    count, side, device = len(answer), answer.shape[-1], answer.device
    solid = F.interpolate(chosen.mask.float().unsqueeze(1), size=(side, side), mode="area")[:, 0] > 0.5
    four, truth = decoded.masks.detach() > 0, solid.unsqueeze(1)
    right = (four & truth).sum((2, 3)) / (four | truth).sum((2, 3)).clamp(min=1)
    worst = decoded.masks.detach().float()[torch.arange(count, device=device), right.argmin(1)]

    line = (torch.arange(side, device=device) + 0.5) / side
    middle = (chosen.box[:, :2] + chosen.box[:, 2:]) / 2
    angle = torch.rand(count, generator=rng, device=device) * 6.2832
    across = (line - middle[:, :1]) * angle.cos().unsqueeze(1)
    down = (line - middle[:, 1:]) * angle.sin().unsqueeze(1)
    cut = torch.where(across.unsqueeze(1) + down.unsqueeze(2) > 0, answer, answer.clamp(max=-8.0))

    others = (chosen.scene.unsqueeze(0) == chosen.scene.unsqueeze(1)).float().fill_diagonal_(0)
    other = torch.multinomial(others + 1e-9, 1, generator=rng).squeeze(1)
    there = (solid[other] & (others.sum(1) > 0).view(-1, 1, 1)).float()
    joined = torch.maximum(answer, there * 16 - 8)

    kind = torch.rand(count, 1, 1, generator=rng, device=device)
    for made, below in ((joined, WORST + CUT + JOINED), (cut, WORST + CUT), (worst, WORST)):
        answer = torch.where(kind < below, made, answer)
    return answer


def answer_losses(decoded: Decoded, truth: Tensor, visible: Tensor, name: str) -> dict[str, Tensor]:
    """Losses of one answer, their names beginning with `name`: truth fp32 [n,s,s], the share of each cell; visible bool [n]: whether there is a mask to be right about."""
    side, count = truth.shape[-1], visible.sum().clamp(min=1)
    logits = F.interpolate(decoded.masks.float(), size=(side, side), mode="bilinear", align_corners=False)
    four = truth.unsqueeze(1).expand(-1, 4, -1, -1).flatten(0, 1)
    entropy = balanced_entropy(logits.flatten(0, 1), four).view(-1, 4)
    overlap = dice(logits.flatten(0, 1), four).view(-1, 4)
    each = 5 * entropy + 2 * overlap
    answered = decoded.choice().unsqueeze(1)
    # Mask 0 answers an unambiguous prompt, one of the others an ambiguous one: the best one learns, and the one that is answered, since
    # the estimate is often wrong about which is best; the rest learns a little, so that none is lost.
    mask = each[:, 0] + 0.5 * each[:, 1:].min(1).values + each.gather(1, answered)[:, 0] + 0.05 * each[:, 1:].mean(1)
    with torch.no_grad():
        shown, solid = logits > 0, four.view_as(logits) > 0.5
        iou = (shown & solid).sum((2, 3)) / (shown | solid).sum((2, 3)).clamp(min=1)
    estimate = (decoded.iou.float() - iou).square().mean(1)
    presence = F.binary_cross_entropy_with_logits(decoded.object_logits.float().squeeze(1), visible.float())
    chosen = iou.gather(1, answered).squeeze(1)
    return {
        f"{name}_mask": (mask * visible).sum() / count,
        f"{name}_iou": (estimate * visible).sum() / count,
        f"{name}_presence": presence,
        f"right_{name}": (chosen * visible).sum() / count,
    }
