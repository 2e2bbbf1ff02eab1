"""Scores that mean something at the library's threshold: a plain shape that a scene lacks stays below 0.5.

A score is sigmoid(logit of the query) * sigmoid(presence logit of the prompt). A small network that is not sure whether a heart is a circle
says with 0.6 that a circle is there. One number less on all presence logits keeps such answers below 0.5; nothing that is found moves, and
what is found for one prompt keeps its order.
"""

from __future__ import annotations

import torch

from scripts.export.config import Sam3Config
from scripts.export.program import Sam3Program

from .evaluation.confusion import THRESHOLD, absent_shapes
from .evaluation.images import held_out
from .measure import ask
from .prompts import Prompts
from .scenes import Scenes
from .world import World

# No more of the absent shapes, as a share, may get an answer. The wanted figure is 0.05; other scenes are not these.
CONFUSED = 0.04
# By so much presence logits are moved at once, and at most.
STEP, LONGEST = 0.125, 4.0
BATCH = 25


def confused(world: World, program: Sam3Program, config: Sam3Config, count: int, seed: int) -> float:
    """Of the shapes that `count` scenes lack where they show others: how many, as a share, get an answer."""
    wrong, asked = 0, 0
    for scenes, _ in held_out(world, config.image_size, count, seed, BATCH):
        questions = _absent(world, scenes)
        if questions.texts:
            answers = ask(world, program, config, scenes, questions)
            wrong += sum(bool((answer.scores > THRESHOLD).any()) for answer in answers)
            asked += len(answers)
    if not asked:
        raise ValueError(f"{count} scenes show no plain shape: ask for more")
    return wrong / asked


def _absent(world: World, scenes: Scenes) -> Prompts:
    asked = [(s, t) for s, items in enumerate(scenes.items.tolist()) for t in absent_shapes(world.vocabulary, items)]
    rows, objects = len(asked), scenes.items.shape[1]
    return Prompts(
        torch.tensor([scene for scene, _ in asked], dtype=torch.long, device=scenes.pixels.device),
        [text for _, text in asked],
        [world.vocabulary.index[text] for _, text in asked],
        torch.zeros(rows, objects, dtype=torch.bool),
        torch.zeros(rows, 0, 4),
        torch.zeros(rows, 0, dtype=torch.long),
        torch.zeros(rows, 0, dtype=torch.bool),
    )


def calibrate(world: World, program: Sam3Program, config: Sam3Config, count: int, seed: int) -> dict[str, float]:
    """Moves the presence logits of the program by the first multiple of STEP that is enough; by how much, and the shares before and after.

    `world` should have held-out grounds. Raises ValueError where LONGEST is not enough: then the scores do not tell shapes apart.
    """
    bias = program.detr_decoder.presence_head.layers[-1].bias
    before = after = confused(world, program, config, count, seed)
    moved = 0.0
    while after > CONFUSED:
        if moved <= -LONGEST:
            raise ValueError(f"{after:.2f} of the absent shapes get an answer with presence logits less by {LONGEST}")
        moved -= STEP
        with torch.no_grad():
            bias.sub_(STEP)
        after = confused(world, program, config, count, seed)
    return {"moved": moved, "before": before, "after": after}
