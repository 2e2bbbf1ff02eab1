"""Clips that are painted once, with what the frozen trunk sees in them: the tracker's training follows other windows of them each time."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from .phases import Phase
from .scenes import Scenes, seed_of
from .world import World


@dataclass
class Views:
    """B clips of T frames, the frames of one clip together; object k of a clip is the same thing in all its frames."""

    vision: Tensor  # the ViT's map [B*T,C,g,g]
    owner: Tensor  # u8 [B*T,S,S]: 0 the ground, k + 1 object k
    items: Tensor  # i64 [B*T,K] on the CPU: what object k is, -1 where it is not seen
    boxes: Tensor  # fp32 [B*T,K,4] xyxy in 0..1 around what is seen of it

    def rows(self, index: Tensor | slice) -> Views:
        """Some of the frames."""
        return Views(*(getattr(self, f.name)[index] for f in fields(self)))

    @classmethod
    def joined(cls, parts: list[Views]) -> Views:
        """All frames of all parts."""
        return cls(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)))


@torch.no_grad()
def view(encoder: nn.Module, scenes: Scenes) -> Views:
    """What the frozen trunk sees in scenes."""
    return Views(encoder(scenes.pixels), scenes.owner, scenes.items, scenes.boxes)


# Clips that are kept in memory are painted so many at once: on a GPU that costs little more than one.
TOGETHER = 32


class ClipBank:
    """`count` clips, painted when they are first asked for; painting and seeing a frame costs as much as following three objects in it.

    They are kept in `folder`, where processes that train together share them, or, without one, on the world's device (a clip of 24 frames
    of 224 x 224 pixels takes 3.6 MB there).
    """

    def __init__(self, world: World, encoder: nn.Module, phase: Phase, side: int, folder: Path | None, seed: int):
        self.world, self.encoder, self.side, self.seed = world, encoder, side, seed
        self.scenes, self.motion, self.count = phase.scenes, phase.motion, phase.bank
        self.kept: dict[int, Views] = {}
        self.folder = folder and self._folder_of_trunk(folder)

    def _folder_of_trunk(self, folder: Path) -> Path:
        # Those of another trunk or of other settings are kept apart.
        mark = hashlib.sha256(repr((self.scenes, self.motion, self.side, self.seed)).encode())
        for weight in self.encoder.state_dict().values():
            mark.update(weight.detach().cpu().float().numpy().tobytes())
        found = folder / mark.hexdigest()[:12]
        found.mkdir(parents=True, exist_ok=True)
        return found

    def clip(self, index: int) -> Views:
        """One clip with all its frames."""
        if not self.folder:
            if index not in self.kept:
                first, frames = index - index % TOGETHER, self.motion.frames
                seen = self._seen(first, TOGETHER)
                for i in range(TOGETHER):
                    self.kept[first + i] = seen.rows(slice(i * frames, (i + 1) * frames))
            return self.kept[index]
        path = self.folder / f"{index}.pt"
        if not path.is_file():
            seen = self._seen(index, 1)
            beside = path.with_suffix(f".{os.getpid()}")
            torch.save([getattr(seen, f.name) for f in fields(Views)], beside)
            beside.rename(path)
        return Views(*torch.load(path, mmap=True, map_location=self.world.device))

    def _seen(self, first: int, count: int) -> Views:
        """Clips from `first` on, newly painted."""
        # No seed of a step, of an evaluation or of another clip.
        seed = seed_of(self.seed, -(10**6) - first)
        seen = view(self.encoder, self.world.clips(self.scenes, self.motion, count, self.side, seed))
        return replace(seen, vision=seen.vision.bfloat16())

    def windows(self, clips: int, frames: int, rng: torch.Generator) -> Views:
        """`frames` frames of each of `clips` random clips: near or far apart, forwards or backwards. `rng` is of the CPU."""
        return Views.joined(
            [self._window(int(i), frames, rng) for i in torch.randint(self.count, (clips,), generator=rng)]
        )

    def _window(self, index: int, frames: int, rng: torch.Generator) -> Views:
        clip, total = self.clip(index), self.motion.frames

        def draw(below: int) -> int:
            return int(torch.randint(below, (1,), generator=rng))

        apart = 1 + draw((total - 1) // (frames - 1))
        start = draw(total - apart * (frames - 1))
        picked = start + apart * torch.arange(frames)
        if draw(2):
            picked = picked.flip(0)
        # Somebody must be there to be shown; on a clip's first frame all are.
        if (clip.items[picked[0]] < 0).all():
            picked = torch.arange(frames)
        return clip.rows(picked)
