"""Scores that mean something at the library's threshold: a plain shape that a scene lacks stays below 0.5.

A score is sigmoid(logit of the query) * sigmoid(presence logit of the prompt). A small network that is not sure whether a heart is a circle
says with 0.6 that a circle is there. One number less on all presence logits keeps such answers below 0.5; nothing that is found moves, and
what is found for one prompt keeps its order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from scripts.export.config import Sam3Config
from scripts.export.program import Sam3Program

from .evaluation.confusion import THRESHOLD, absent_shapes
from .measure import detect, held_out
from .prompts import Prompts
from .scenes import Scenes
from .world import World

# No more of the absent shapes, as a share, may get an answer. The wanted figure is 0.05; other scenes are not these.
CONFUSED = 0.04
# By so much presence logits are moved at once, and at most.
STEP, LONGEST = 0.125, 4.0
BATCH = 25


@dataclass
class Answers:
    """What the network says to each shape that a scene lacks where it shows others."""

    query: Tensor  # fp32 [n], 0..1: its surest query
    presence: Tensor  # fp32 [n]: its presence logit

    def confused(self, moved: float = 0.0) -> float:
        """How many, as a share, get an answer where presence logits are moved by so much."""
        return float((self.query * (self.presence + moved).sigmoid() > THRESHOLD).float().mean())


def asked(world: World, program: Sam3Program, config: Sam3Config, count: int, seed: int) -> Answers:
    """All such questions about `count` scenes. Raises ValueError where there is none."""
    query, presence = [], []
    for scenes, _ in held_out(world, config.image_size, count, seed, BATCH):
        questions = _absent(world, scenes)
        if questions.texts:
            seen = detect(world, program, config, scenes, questions)
            query.append(seen.logits.sigmoid().amax(1))
            presence.append(seen.presence.flatten())
    if not query:
        raise ValueError(f"{count} scenes show no plain shape: ask for more")
    return Answers(torch.cat(query), torch.cat(presence))


def _absent(world: World, scenes: Scenes) -> Prompts:
    pairs = [(s, t) for s, items in enumerate(scenes.items.tolist()) for t in absent_shapes(world.vocabulary, items)]
    rows, objects = len(pairs), scenes.items.shape[1]
    return Prompts(
        torch.tensor([scene for scene, _ in pairs], dtype=torch.long, device=scenes.pixels.device),
        [text for _, text in pairs],
        [world.vocabulary.index[text] for _, text in pairs],
        torch.zeros(rows, objects, dtype=torch.bool),
        torch.zeros(rows, 0, 4),
        torch.zeros(rows, 0, dtype=torch.long),
        torch.zeros(rows, 0, dtype=torch.bool),
    )


def calibrate(world: World, program: Sam3Program, config: Sam3Config, count: int, seed: int) -> dict[str, float]:
    """Moves the presence logits of the program by the first multiple of STEP that is enough; by how much, and the shares before and after.

    `world` should have held-out grounds. Raises ValueError where LONGEST is not enough: then the scores do not tell shapes apart.
    """
    answers = asked(world, program, config, count, seed)
    before = after = answers.confused()
    moved = 0.0
    while after > CONFUSED:
        if moved <= -LONGEST:
            raise ValueError(f"{after:.2f} of the absent shapes get an answer with presence logits less by {LONGEST}")
        moved -= STEP
        after = answers.confused(moved)
    with torch.no_grad():
        program.detr_decoder.presence_head.layers[-1].bias.add_(moved)
    return {"moved": moved, "before": before, "after": after}
