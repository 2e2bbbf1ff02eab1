"""Words, exemplar boxes and clicks on held-out scenes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from scripts.export.positions import cxcywh_to_xyxy

from ..clicks import choose_objects
from ..measure import LOWEST_SCORE, Answer, Tally, held_out, mask_iou, traps_of
from ..prompts import NO_TEXT, Prompts, PromptSettings
from ..scenes import Scenes
from ..world import World
from .asking import ImageQuestions, Library
from .rle import decode

# Scenes that one process of Node is asked about.
BATCH = 50
# Objects of a scene that are clicked on.
CLICKED = 3
# A first answer below this IoU is one that a second click has to repair.
POOR = 0.75


def pictures(scenes: Scenes) -> Tensor:
    """u8 [B,S,S,3]."""
    return ((scenes.pixels + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu()


def question(prompts: Prompts, p: int) -> dict:
    """A prompt as `segment` takes it."""
    boxes = cxcywh_to_xyxy(prompts.boxes[p][prompts.valid[p]]).tolist()
    labels = prompts.labels[p][prompts.valid[p]].tolist()
    asked = {"threshold": LOWEST_SCORE, "normalized": True}
    asked["boxes"] = [{"box": box, "label": label} for box, label in zip(boxes, labels)]
    return asked if prompts.texts[p] == NO_TEXT else asked | {"text": prompts.texts[p]}


def to_answer(instances: list[dict], side: int) -> Answer:
    """What the library found, as `Tally` takes it."""
    masks = [decode(one["mask"]) for one in instances]
    stacked = torch.stack(masks) if masks else torch.zeros(0, side, side, dtype=torch.bool)
    boxes = torch.tensor([one["box"] for one in instances]).view(-1, 4) / side
    return Answer(torch.tensor([one["score"] for one in instances]), stacked, boxes)


def prompt_numbers(
    library: Library, world: World, side: int, count: int, seed: int, settings: PromptSettings
) -> dict[str, float]:
    """Numbers of words or of exemplars over `count` scenes, at the library's own threshold."""
    tally = Tally(threshold=0.5)
    for scenes, number in held_out(world, side, count, seed, BATCH):
        prompts = world.prompts(settings, scenes, number)
        images = [ImageQuestions(pixels) for pixels in pictures(scenes)]
        for p, scene in enumerate(prompts.scene.tolist()):
            images[scene].prompts.append(question(prompts, p))
        answers = [iter(found["prompts"]) for found in library.ask_images(images)]
        masks, shown = scenes.masks(), world.vocabulary.truth[scenes.items].any(1)
        for p, scene in enumerate(prompts.scene.tolist()):
            traps = traps_of(world.vocabulary, prompts.concept[p], shown[scene])
            tally.add(to_answer(next(answers[scene]), side), masks[scene][prompts.answer[p]], traps)
    return tally.numbers()


def deepest(mask: Tensor) -> list[float]:
    """The middle of a pixel that is farthest from the edge of a mask bool [S,S]: where a person would click."""
    layer = mask.float()[None, None]
    last = layer
    while layer.any():
        last = layer
        layer = 1 - F.max_pool2d(F.pad(1 - layer, (1, 1, 1, 1), value=1.0), 3, 1)
    y, x = torch.nonzero(last[0, 0])[0].tolist()
    return [x + 0.5, y + 0.5]


def click_numbers(library: Library, world: World, side: int, count: int, seed: int) -> dict[str, float]:
    """One click into the middle of an object, and a second one into the middle of what is wrong then."""
    first, second = [], []
    for scenes, number in held_out(world, side, count, seed, BATCH):
        chosen = choose_objects(scenes, CLICKED, torch.Generator().manual_seed(number))
        images = [ImageQuestions(pixels) for pixels in pictures(scenes)]
        clicks = [{"points": [deepest(mask)], "labels": [1]} for mask in chosen.mask]
        owners = chosen.scene.tolist()

        def ask(prompts: list[dict], images=images, owners=owners) -> list[Tensor]:
            for image in images:
                image.clicks = [prompt for prompt, owner in zip(prompts, owners) if images[owner] is image]
            answers = [iter(found["clicks"]) for found in library.ask_images(images)]
            return [decode(next(answers[owner])["mask"]) for owner in owners]

        once = ask(clicks)
        corrections = []
        for click, answer, truth in zip(clicks, once, chosen.mask):
            wrong = answer != truth
            x, y = deepest(wrong if wrong.any() else truth)
            label = int(truth[int(y), int(x)])
            corrections.append({"first": click, "points": [*click["points"], [x, y]], "labels": [1, label]})
        for found, answers in ((first, once), (second, ask(corrections))):
            found += [float(mask_iou(a[None], t[None])) for a, t in zip(answers, chosen.mask)]
    poor = [i for i, iou in enumerate(first) if iou < POOR]
    return {
        "one_click_iou": sum(first) / len(first),
        "second_click_iou": sum(second) / len(second),
        "poor": len(poor) / len(first),
        "poor_repaired_iou": sum(second[i] for i in poor) / max(1, len(poor)),
        "objects": len(first),
    }
