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
        self.truth = vocabulary.truth

    def draw(self, scenes: Scenes, rng: random.Random) -> Prompts:
        """`per_scene` prompts for each scene."""
        s, found = self.settings, Prompts([], [], [], [], [], [], [])
        boxes = xyxy_to_cxcywh(scenes.boxes).cpu()
        for b, items in enumerate(scenes.items):
            shown = self.truth[items]  # [K,concepts]; item -1 is the empty last row
            for _ in range(s.per_scene):
                concept, text = self._words(shown.any(0), rng)
                answer = shown[:, concept] if concept >= 0 else torch.zeros(len(items), dtype=torch.bool)
                exemplars: list[tuple[int, int]] = []
                if answer.any() and rng.random() < s.exemplar:
                    concept, text, answer, exemplars = self._exemplar(concept, text, answer, items, rng)
                found.scene.append(b)
                found.texts.append(text)
                found.concept.append(concept)
                found.answer.append(answer)
                found.boxes.append([boxes[b, k] for k, _ in exemplars])
                found.labels.append([label for _, label in exemplars])
        return self._packed(found, scenes.boxes.device)

    def _words(self, present: Tensor, rng: random.Random) -> tuple[int, str]:
        """A concept that is shown, or is not, and a phrase for it."""
        s, names = self.settings, self.vocabulary.concepts
        if rng.random() < s.unknown:
            return -1, self.vocabulary.unknown_phrase(rng)
        shown = torch.nonzero(present).squeeze(1).tolist()
        if shown and rng.random() > s.absent:
            concept = rng.choice(shown)
            return concept, self.vocabulary.phrase(concept, rng)
        siblings = [c for known in shown for c in self.vocabulary.siblings[known] if not present[c]]
        if siblings and rng.random() < s.hard:
            concept = rng.choice(siblings)
        else:
            concept = rng.choice([c for c in range(len(names)) if not present[c]])
        return concept, self.vocabulary.phrase(concept, rng)

    def _exemplar(self, concept: int, text: str, answer: Tensor, items: Tensor, rng: random.Random):
        """Adds boxes: one of the answer's objects, and perhaps one of what is not meant.

        Without text the answer is whatever has the noun and the colour of the boxed object. With a group's name, a negative box takes
        the objects of that noun out of the answer.
        """
        s, known = self.settings, self.vocabulary.items
        alike = [(known[i].noun, known[i].colour) if i >= 0 else None for i in items.tolist()]
        chosen = rng.choice(torch.nonzero(answer).squeeze(1).tolist())
        exemplars = [(chosen, 1)]
        if rng.random() < s.boxes_only:
            concept, text = -1, NO_TEXT
            answer = torch.tensor([a is not None and a == alike[chosen] for a in alike])
        elif rng.random() < s.negative:
            others = [k for k in torch.nonzero(answer).squeeze(1).tolist() if alike[k] != alike[chosen]]
            if others:
                excluded = rng.choice(others)
                answer = answer & torch.tensor([a != alike[excluded] for a in alike])
                return concept, text, answer, rng.choice(([(excluded, 0)], [*exemplars, (excluded, 0)]))
        outside = [k for k, a in enumerate(alike) if a is not None and not answer[k]]
        if outside and rng.random() < s.negative:
            exemplars.append((rng.choice(outside), 0))
        return concept, text, answer, exemplars

    def _packed(self, found: Prompts, device: torch.device) -> Prompts:
        count, most = len(found.texts), max((len(b) for b in found.boxes), default=0)
        boxes, labels = torch.zeros(count, most, 4), torch.zeros(count, most, dtype=torch.long)
        valid = torch.zeros(count, most, dtype=torch.bool)
        for p, (rows, marks) in enumerate(zip(found.boxes, found.labels)):
            for n, (box, mark) in enumerate(zip(rows, marks)):
                boxes[p, n], labels[p, n], valid[p, n] = box, mark, True
        scene, answer = torch.tensor(found.scene), torch.stack(found.answer)
        moved = [t.to(device) for t in (scene, answer, boxes, labels, valid)]
        return Prompts(moved[0], found.texts, found.concept, *moved[1:])
