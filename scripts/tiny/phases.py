"""The phases of the training, which are data: phases.json."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

from .clips import ClipSettings
from .plan import SceneSettings
from .prompts import PromptSettings

FILE = Path(__file__).with_name("phases.json")


@dataclass(frozen=True)
class Phase:
    """One part of the training.

    A phase ends after `steps`, or, where `minutes` are given, after those of wall time: on a machine that is lent for a time only.
    `ahead`: the scenes of so many steps are painted at once, which on a GPU costs little more than one.
    `trunk_rate`: the learning rate of what was trained before, as a share of that of the rest.
    `bank`: so many clips are painted once and kept with what the trunk sees in them; each step follows `window` frames of some (`bank.py`).
    `blind`: up to so many more, after the first, are only followed: what is learned then starts from memories as imperfect as they become.
    `heads_only`: the heads of training learn, and the network that is exported stays as it is: before it is trained again with new heads.
    `prepare`: what is done with the weights before it (`Trainer.begin`). `per_scene`: objects of a scene that are clicked on. The learning rate rises over `warmup` steps and falls along a cosine to `floor` of its height.
    """

    name: str
    kind: str
    batch: int
    learning_rate: float
    losses: dict[str, float]
    steps: int = 0
    minutes: float = 0.0
    ahead: int = 1
    warmup: int = 100
    floor: float = 0.02
    optimizer: str = "adamw"
    weight_decay: float = 0.05
    trunk_rate: float = 1.0
    heads_only: bool = False
    ema: float = 0.998
    score_alpha: float = 0.35
    masked_prompts: int = 1
    prepare: tuple[str, ...] = ()
    per_scene: int = 4
    bank: int = 0
    window: int = 0
    blind: int = 0
    scenes: SceneSettings = field(default_factory=SceneSettings)
    prompts: PromptSettings = field(default_factory=PromptSettings)
    motion: ClipSettings = field(default_factory=ClipSettings)

    @classmethod
    def of(cls, data: dict) -> Phase:
        """Reads one entry of phases.json."""
        values = dict(data)
        values["prepare"] = tuple(values.get("prepare", ()))
        if "scenes" in values:
            scenes = {k: tuple(v) if isinstance(v, list) else v for k, v in values["scenes"].items()}
            values["scenes"] = SceneSettings(**scenes)
        if "prompts" in values:
            values["prompts"] = PromptSettings(**values["prompts"])
        if "motion" in values:
            values["motion"] = ClipSettings(**values["motion"])
        return cls(**values)

    def done(self, step: int, seconds: float) -> float:
        """The share of the phase that is over after so many steps and seconds: 1 at its end."""
        return min(1.0, seconds / (60 * self.minutes) if self.minutes else step / self.steps)

    def rate(self, step: int, seconds: float = 0.0) -> float:
        """The learning rate of a step that begins after `seconds` of the phase."""
        warm = min(1.0, (step + 1) / self.warmup)
        cosine = 0.5 + 0.5 * math.cos(math.pi * self.done(step, seconds))
        return self.learning_rate * warm * (self.floor + (1 - self.floor) * cosine)


def read_phases(path: Path = FILE) -> list[Phase]:
    """The phases in their order."""
    return [Phase.of(entry) for entry in json.loads(path.read_text())]
