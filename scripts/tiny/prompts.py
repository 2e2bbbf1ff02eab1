"""What is asked of a scene: phrases that name some, one or none of its objects, exemplar boxes, and which objects are the answer."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from .boxes import xyxy_to_cxcywh
from .scenes import Scenes
from .vocabulary import Vocabulary

# The text of a prompt that consists of exemplar boxes only, as in Meta's code.
NO_TEXT = "visual"


@dataclass(frozen=True)
class PromptSettings:
    """How prompts are drawn; shares of all prompts."""

    per_scene: int = 4
    absent: float = 0.35
    hard: float = 0.5  # share of absent prompts that ask for a sibling of something present
    unknown: float = 0.04  # words that the model does not know
    exemplar: float = 0.15
    boxes_only: float = 0.5  # share of exemplar prompts without text
    negative: float = 0.3  # share of exemplar prompts with a negative box as well


@dataclass
class Prompts:
    """P prompts about B scenes of K objects."""

    scene: Tensor  # i64 [P]
    texts: list[str]
    concept: list[int]  # -1: an unknown word, or boxes only
    answer: Tensor  # bool [P,K]: the objects that are asked for
    boxes: Tensor  # fp32 [P,N,4] exemplars cxcywh in 0..1
    labels: Tensor  # i64 [P,N] 1 positive, 0 negative
    valid: Tensor  # bool [P,N]


class Prompter:
    """Draws prompts. Boxes and answers are on the device of the scenes."""

    def __init__(self, vocabulary: Vocabulary, settings: PromptSettings):
        self.vocabulary = vocabulary
        self.settings = settings
        # As sets and lists: thousands of questions a second are drawn one by one.
        self.concepts_of = [frozenset(torch.nonzero(row).squeeze(1).tolist()) for row in vocabulary.truth]

    def draw(self, scenes: Scenes, rng: random.Random) -> Prompts:
        """`per_scene` prompts for each scene."""
        s, found = self.settings, Prompts([], [], [], [], [], [], [])
        boxes = xyxy_to_cxcywh(scenes.boxes).tolist()
        for b, items in enumerate(scenes.items.tolist()):
            shown = [self.concepts_of[item] for item in items]  # item -1 is the empty last row
            present = frozenset().union(*shown)
            for _ in range(s.per_scene):
                concept, text = self._words(present, rng)
                answer = [concept in concepts for concepts in shown]
                exemplars: list[tuple[int, int]] = []
                if any(answer) and rng.random() < s.exemplar:
                    concept, text, answer, exemplars = self._exemplar(concept, text, answer, items, rng)
                found.scene.append(b)
                found.texts.append(text)
                found.concept.append(concept)
                found.answer.append(answer)
                found.boxes.append([boxes[b][k] for k, _ in exemplars])
                found.labels.append([label for _, label in exemplars])
        return self._packed(found, scenes.boxes.device)

    def _words(self, present: frozenset[int], rng: random.Random) -> tuple[int, str]:
        """A concept that is shown, or is not, and a phrase for it."""
        s, count = self.settings, len(self.vocabulary.concepts)
        if rng.random() < s.unknown:
            return -1, self.vocabulary.unknown_phrase(rng)
        if present and rng.random() > s.absent:
            concept = rng.choice(sorted(present))
            return concept, self.vocabulary.phrase(concept, rng)
        siblings = [c for known in sorted(present) for c in self.vocabulary.siblings[known] if c not in present]
        if siblings and rng.random() < s.hard:
            concept = rng.choice(siblings)
        else:
            concept = rng.choice([c for c in range(count) if c not in present])
        return concept, self.vocabulary.phrase(concept, rng)

    def _exemplar(self, concept: int, text: str, answer: list[bool], items: list[int], rng: random.Random):
        """Adds boxes: one of the answer's objects, and perhaps one of what is not meant.

        Without text the answer is whatever has the noun and the colour of the boxed object. With a group's name, a negative box takes
        the objects of that noun out of the answer.
        """
        s, known = self.settings, self.vocabulary.items
        alike = [(known[i].noun, known[i].colour) if i >= 0 else None for i in items]
        meant = [k for k, wanted in enumerate(answer) if wanted]
        chosen = rng.choice(meant)
        exemplars = [(chosen, 1)]
        if rng.random() < s.boxes_only:
            concept, text = -1, NO_TEXT
            answer = [a is not None and a == alike[chosen] for a in alike]
        elif rng.random() < s.negative:
            others = [k for k in meant if alike[k] != alike[chosen]]
            if others:
                excluded = rng.choice(others)
                answer = [wanted and a != alike[excluded] for wanted, a in zip(answer, alike)]
                return concept, text, answer, rng.choice(([(excluded, 0)], [*exemplars, (excluded, 0)]))
        outside = [k for k, a in enumerate(alike) if a is not None and not answer[k]]
        if outside and rng.random() < s.negative:
            exemplars.append((rng.choice(outside), 0))
        return concept, text, answer, exemplars

    def _packed(self, found: Prompts, device: torch.device) -> Prompts:
        count, most = len(found.texts), max((len(b) for b in found.boxes), default=0)
        empty = [0.0] * 4
        boxes = torch.tensor([[*rows, *[empty] * (most - len(rows))] for rows in found.boxes]).view(count, most, 4)
        labels = torch.tensor([[*marks, *[-1] * (most - len(marks))] for marks in found.labels], dtype=torch.long)
        labels = labels.view(count, most)
        moved = torch.tensor(found.scene), torch.tensor(found.answer), boxes, labels.clamp(min=0), labels >= 0
        scene, answer, boxes, labels, valid = (t.to(device, non_blocking=True) for t in moved)
        return Prompts(scene, found.texts, found.concept, answer, boxes, labels, valid)
