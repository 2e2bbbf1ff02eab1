"""Everything that scenes and prompts are drawn from."""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from .atlas import Atlas
from .clips import ClipSettings, draw_clips
from .grounds import make_fields
from .plan import Planner, SceneSettings
from .prompts import Prompter, Prompts, PromptSettings
from .scenes import Painter, Scenes, draw_scenes
from .sprites import CACHE
from .tokenizer import TinyTokenizer
from .vocabulary import Vocabulary

# Held-out scenes have other seeds than those of training, which count up from their run's; and grounds of their own.
TRAINING_GROUNDS, HELD_OUT_GROUNDS = 1, 2


class World:
    """A vocabulary with its drawings, grounds and tokenizer, on one device."""

    def __init__(
        self, vocabulary: Vocabulary, atlas: Atlas, fields: Tensor, device: torch.device, text_vocab: int = 1024
    ):
        self.vocabulary = vocabulary
        self.atlas = atlas
        self.device = device
        self.painter = Painter(atlas, fields, device)
        self.tokenizer = TinyTokenizer(vocabulary.all_phrases(), text_vocab)
        self.truth = vocabulary.truth.to(device)
        self._painted: dict[tuple[SceneSettings, int, int, int], Scenes] = {}
        self._planner = lru_cache(lambda s: Planner(vocabulary, atlas, len(fields), s))
        self._prompter = lru_cache(lambda s: Prompter(vocabulary, s))

    @classmethod
    def open(cls, device: torch.device, held_out: bool = False, atlas: str = "atlas", cache: Path = CACHE) -> World:
        """The world of the sprites that `python -m scripts.tiny sprites` made.

        Raises:
            FileNotFoundError: it was not run yet.
        """
        if not (cache / f"{atlas}.pt").is_file():
            raise FileNotFoundError(f"{cache / atlas}.pt is missing; make it with `python -m scripts.tiny sprites`")
        grounds = HELD_OUT_GROUNDS if held_out else TRAINING_GROUNDS
        fields = make_fields(grounds, torch.load(cache / "photographs.pt"))
        return cls(Vocabulary.read(), Atlas.load(cache / f"{atlas}.pt"), fields, device)

    @classmethod
    def open_held_out(cls, atlas: str = "atlas") -> World:
        """What is measured on, on the CPU: grounds of its own, and drawings of the trained hands or of the "held-out" one."""
        return cls.open(torch.device("cpu"), held_out=True, atlas=atlas)

    def scenes(self, settings: SceneSettings, count: int, side: int, seed: int) -> Scenes:
        """`count` scenes of side x side pixels; equal seeds give equal scenes."""
        painted = self._painted.pop((settings, count, side, seed), None)
        return painted or draw_scenes(self._planner(settings), self.painter, [(count, seed)], side)[0]

    def paint_ahead(self, settings: SceneSettings, count: int, side: int, seeds: list[int]) -> None:
        """Paints what `scenes` will be asked for with these seeds, all at once: on a GPU a thousand scenes take little longer than a hundred."""
        drawn = draw_scenes(self._planner(settings), self.painter, [(count, seed) for seed in seeds], side)
        self._painted = {(settings, count, side, seed): scenes for seed, scenes in zip(seeds, drawn)}

    def clips(self, settings: SceneSettings, motion: ClipSettings, count: int, side: int, seed: int) -> Scenes:
        """`count` clips as count * frames scenes; object k of a clip is the same thing in all its frames, `items` says where it is seen."""
        plan = draw_clips(self._planner(settings), motion, count, torch.Generator().manual_seed(seed))
        return self.painter.paint(plan, side, torch.Generator(self.device).manual_seed(seed), drop_hidden=False)

    def prompts(self, settings: PromptSettings, scenes: Scenes, seed: int) -> Prompts:
        """Prompts about `scenes`; equal seeds give equal prompts."""
        return self._prompter(settings).draw(scenes, random.Random(seed))

    def concept_phrases(self, seed: int) -> list[str]:
        """One phrase for each concept."""
        rng = random.Random(seed)
        return [self.vocabulary.phrase(c, rng) for c in range(len(self.vocabulary.concepts))]

    def tokens(self, texts: list[str], context: int) -> tuple[Tensor, Tensor]:
        """ids i64 [T,L] and their validity bool [T,L], on the world's device; L is no longer than the longest text needs."""
        ids, valid = self.tokenizer.rows(texts, context)
        return ids.to(self.device), valid.to(self.device)
