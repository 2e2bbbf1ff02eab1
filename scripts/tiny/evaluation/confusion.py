"""Plain shapes that a scene lacks but has others of, and things in a colour that it lacks: what a small model takes for what it shows."""

from __future__ import annotations

import random

from ..measure import held_out, share
from ..scenes import Scenes
from ..vocabulary import Vocabulary
from ..world import World
from .asking import ImageQuestions, Library
from .images import BATCH, pictures

# Scores above this are an answer, as by default in the library.
THRESHOLD = 0.5


def absent_shapes(vocabulary: Vocabulary, items: list[int]) -> list[str]:
    """The shapes that none of a scene's objects has, where one of them has a shape."""
    seen = {vocabulary.items[i].noun for i in items if i >= 0}
    shapes = vocabulary.data["shapes"]
    return [shape for shape in shapes if shape not in seen] if seen & set(shapes) else []


def absent_colours(vocabulary: Vocabulary, items: list[int], rng: random.Random) -> list[str]:
    """For every noun that a scene shows in some colour, the noun in one in which it does not."""
    shown = {(vocabulary.items[i].noun, vocabulary.items[i].colour) for i in items if i >= 0}
    found = []
    for noun in sorted({noun for noun, colour in shown if colour}):
        others = [c for c in vocabulary.data["colours"] if (noun, c) not in shown and f"{c} {noun}" in vocabulary.index]
        found += [f"{rng.choice(others)} {noun}"] if others else []
    return found


def confusion_numbers(library: Library, world: World, side: int, count: int, seed: int) -> dict[str, float]:
    """How many of the questions about `count` scenes, as a share, are answered by something, and how many there are."""
    wrong: dict[str, list[bool]] = {"shape": [], "colour": []}
    for scenes, number in held_out(world, side, count, seed, BATCH):
        asked = _questions(world.vocabulary, scenes, random.Random(number))
        images = [
            ImageQuestions(pixels, [{"text": text, "threshold": THRESHOLD} for _, text in questions])
            for pixels, questions in zip(pictures(scenes), asked)
        ]
        for questions, found in zip(asked, library.ask_images(images)):
            for (kind, _), instances in zip(questions, found["prompts"]):
                wrong[kind].append(len(instances) > 0)
    shares = {kind: share(answered) for kind, answered in wrong.items()}
    return shares | {f"{kind}_asked": len(answered) for kind, answered in wrong.items()}


def _questions(vocabulary: Vocabulary, scenes: Scenes, rng: random.Random) -> list[list[tuple[str, str]]]:
    """For each scene what is asked of it, and of which kind it is."""
    return [
        [
            *(("shape", text) for text in absent_shapes(vocabulary, items)),
            *(("colour", text) for text in absent_colours(vocabulary, items, rng)),
        ]
        for items in scenes.items.tolist()
    ]
