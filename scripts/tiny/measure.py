"""How good the model is on scenes that it was not trained on: the program's own path, from pixels to masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from scripts.export.config import Sam3Config
from scripts.export.program import Sam3Program

from .plan import SceneSettings
from .prompts import Prompts, PromptSettings
from .scenes import Scenes, seed_of
from .steps import encode_prompts
from .vocabulary import Vocabulary
from .world import World

# How an absent thing can be confused: with something like it, with the same thing in another colour, with another plain shape.
TRAPS = ("sibling", "colour", "shape")
# Instances below this score count nowhere, as where average precision is cut off.
LOWEST_SCORE = 0.05
WORDS_ONLY = PromptSettings(per_scene=5, exemplar=0.0)
BOXES_ONLY = PromptSettings(per_scene=5, absent=0.0, unknown=0.0, exemplar=1.0, boxes_only=1.0, negative=0.0)


@dataclass
class Answer:
    """What the program says to one prompt: its instances, best first."""

    scores: Tensor  # fp32 [n]
    masks: Tensor  # bool [n,S,S]
    boxes: Tensor  # fp32 [n,4] xyxy in 0..1


def held_out(world: World, side: int, count: int, seed: int, batch: int) -> Iterator[tuple[Scenes, int]]:
    """Batches of scenes with the seeds of their prompts; another size of batches gives other scenes."""
    for first in range(0, count, batch):
        # Negative numbers of steps: no seed of a training.
        number = seed_of(seed, -1 - first)
        yield world.scenes(SceneSettings(), min(batch, count - first), side, number), number


@dataclass
class Detected:
    """What the network says to P prompts, before scores are made of it: N queries each."""

    levels: tuple[Tensor, Tensor]  # the finer maps of all scenes
    prompt: Tensor  # [P,L,C]
    valid: Tensor  # bool [P,L]
    logits: Tensor  # fp32 [P,N], of the queries
    boxes: Tensor  # [P,N,4] xyxy in 0..1
    presence: Tensor  # fp32 [P,1], the logits of the prompts
    queries: Tensor  # [P,N,C]
    encoded: Tensor  # [P,g*g,C], of the DETR encoder


@torch.no_grad()
def detect(world: World, program: Sam3Program, config: Sam3Config, scenes: Scenes, prompts: Prompts) -> Detected:
    """Asks all prompts at once, up to the detector."""
    fine, middle, coarse = program.neck_detect(program.vision_encoder(scenes.pixels))
    prompt, valid = encode_prompts(world, program, prompts, coarse, config.text_context)
    logits, found, presence, queries, encoded = program.detect(coarse, prompts.scene, prompt, valid)
    return Detected((fine, middle), prompt, valid, logits.float(), found, presence.float(), queries, encoded)


@torch.no_grad()
def ask(world: World, program: Sam3Program, config: Sam3Config, scenes: Scenes, prompts: Prompts) -> list[Answer]:
    """Asks all prompts at once, as the library does: score = sigmoid * sigmoid, logits enlarged to the picture, above 0."""
    seen = detect(world, program, config, scenes, prompts)
    scores = seen.logits.sigmoid() * seen.presence.sigmoid()
    pixels, _ = program.pixel_embed(*seen.levels, prompts.scene, seen.encoded, seen.prompt, seen.valid)
    side, answers = config.image_size, []
    for p, score in enumerate(scores):
        order = score.argsort(descending=True)
        order = order[score[order] > LOWEST_SCORE]
        masks = torch.zeros(0, side, side, dtype=torch.bool, device=score.device)
        if len(order):
            logits = program.masks(pixels[p : p + 1], seen.queries[p : p + 1, order]).float()
            masks = F.interpolate(logits, size=(side, side), mode="bilinear", align_corners=False)[0] > 0
        answers.append(Answer(score[order], masks, seen.boxes[p, order]))
    return answers


def mask_iou(a: Tensor, b: Tensor) -> Tensor:
    """bool [n,S,S] x [m,S,S] -> fp32 [n,m]."""
    x, y = a.flatten(1).float(), b.flatten(1).float()
    shared = x @ y.t()
    return shared / (x.sum(1, keepdim=True) + y.sum(1) - shared).clamp(min=1)


def share(answers: list[bool]) -> float:
    """How many are True, as a share."""
    return sum(answers) / max(1, len(answers))


def traps_of(vocabulary: Vocabulary, concept: int, shown: Tensor) -> frozenset[str]:
    """How what is shown, bool [concepts], could be taken for a concept that is not (-1: an unknown word)."""
    if concept < 0:
        return frozenset()
    data, name = vocabulary.data, vocabulary.concepts[concept].name
    colour, _, rest = name.partition(" ")
    coloured = colour in data["colours"] and rest in vocabulary.index
    noun = rest if coloured else name
    seen = {vocabulary.concepts[i].name for i in torch.nonzero(shown).flatten().tolist()}
    found = {
        "sibling": any(bool(shown[s]) for s in vocabulary.siblings[concept]),
        "colour": coloured and noun in seen,
        "shape": noun in data["shapes"] and noun not in seen and not seen.isdisjoint(data["shapes"]),
    }
    return frozenset(trap for trap, there in found.items() if there)


@dataclass
class Tally:
    """Counts over many prompts."""

    threshold: float
    hits: list[tuple[float, bool]] = field(default_factory=list)
    truths: int = 0
    right: int = 0
    wrong: int = 0
    overlaps: list[float] = field(default_factory=list)
    absent: dict[str, list[bool]] = field(default_factory=dict)

    def add(self, answer: Answer, truth: Tensor, traps: frozenset[str] = frozenset()) -> None:
        """One prompt: truth bool [m,S,S]; `traps`: how something in the scene could be taken for what is asked."""
        iou = mask_iou(answer.masks, truth) if len(truth) else torch.zeros(len(answer.scores), 0)
        free = torch.ones(len(truth), dtype=torch.bool)
        self.truths += len(truth)
        sure = answer.scores > self.threshold
        for row, score in enumerate(answer.scores.tolist()):
            best = torch.where(free, iou[row].cpu(), -1.0).max(0) if len(truth) else None
            hit = best is not None and float(best.values) >= 0.5
            if hit:
                free[best.indices] = False
            self.hits.append((score, hit))
            if score > self.threshold:
                self.right += hit
                self.wrong += not hit
                if hit:
                    self.overlaps.append(float(best.values))
        if not len(truth):
            for kind in ("any", *traps):
                self.absent.setdefault(kind, []).append(not bool(sure.any()))

    def average_precision(self) -> float:
        """The area under the curve of precision over recall, precision made to fall."""
        ranked = sorted(self.hits, key=lambda h: -h[0])
        hit = torch.tensor([float(h) for _, h in ranked])
        if not self.truths or not len(hit):
            return 0.0
        precision = hit.cumsum(0) / torch.arange(1, len(hit) + 1)
        precision = precision.flip(0).cummax(0).values.flip(0)
        return float((precision * hit).sum() / self.truths)

    def numbers(self) -> dict[str, float]:
        """What is printed and logged."""
        precision, recall = self.right / max(1, self.right + self.wrong), self.right / max(1, self.truths)
        values = {
            "mask_ap50": self.average_precision(),
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / max(1e-9, precision + recall),
            "mean_iou": sum(self.overlaps) / max(1, len(self.overlaps)),
            "absent_silent": share(self.absent.get("any", [])),
        }
        values |= {f"{trap}_confused": 1 - share(self.absent.get(trap, [True])) for trap in TRAPS}
        return {k: round(v, 4) for k, v in values.items()} | {"objects": self.truths}


def evaluate(
    world: World,
    program: Sam3Program,
    config: Sam3Config,
    count: int = 100,
    seed: int = 1,
    threshold: float = 0.5,
    settings: PromptSettings | None = None,
    batch: int = 10,
) -> dict[str, float]:
    """Numbers over `count` scenes of a seed; `world` should have held-out grounds."""
    settings = settings or WORDS_ONLY
    tally = Tally(threshold)
    for scenes, number in held_out(world, config.image_size, count, seed, batch):
        prompts = world.prompts(settings, scenes, number)
        masks = scenes.masks()
        shown = world.vocabulary.truth[scenes.items].any(1)
        for p, answer in enumerate(ask(world, program, config, scenes, prompts)):
            scene = int(prompts.scene[p])
            traps = traps_of(world.vocabulary, prompts.concept[p], shown[scene])
            tally.add(answer, masks[scene][prompts.answer[p]], traps)
    return tally.numbers()
