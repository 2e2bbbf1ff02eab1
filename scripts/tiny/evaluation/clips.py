"""Words followed, and clicked objects followed, through held-out clips in which objects cross, leave and return."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..clips import ClipSettings
from ..measure import mask_iou, share
from ..plan import SceneSettings
from ..scenes import Scenes, seed_of
from ..vocabulary import Vocabulary
from ..world import World
from .asking import ClipQuestions, Library
from .images import deepest, pictures
from .rle import decode

SCENES = SceneSettings(objects=(2, 5), same_noun=0.4)
FRAMES = 30
# Texts, and clicked objects, of a clip.
TEXTS, CLICKED = 2, 3
# Masks with at least this IoU are of the same object.
SAME = 0.5


@dataclass
class FollowTally:
    """Counts over many objects."""

    overlaps: list[float] = field(default_factory=list)  # J of each object
    switches: int = 0
    returns: list[bool] = field(default_factory=list)  # whether an object that was away has its id again
    invented: int = 0  # ids that were never on an object that was asked for

    def add(self, found: list[dict[int, Tensor]], truth: Tensor) -> None:
        """One prompt: for each frame the masks bool [S,S] by id; truth bool [K,T,S,S], all clear where an object is not seen."""
        overlap = self._overlaps(found, truth)
        ids = sorted({i for frame in found for i in frame})
        seen = truth.any((2, 3))
        matched = [[self._owner(overlap[t], ids, k) for t in range(len(found))] for k in range(len(truth))]
        self.invented += len(set(ids) - {i for row in matched for i in row if i is not None})
        for k, row in enumerate(matched):
            had = [i for i in row if i is not None]
            self.switches += sum(a != b for a, b in zip(had, had[1:]))
            self._returns(row, seen[k].tolist())
        # J goes to one id for each object: the one with the most overlap over the whole clip, each id once.
        total = overlap.sum(0)
        free = set(range(len(ids)))
        for k in sorted(range(len(truth)), key=lambda k: -float(total[:, k].max()) if ids else 0.0):
            best = max(free, key=lambda i: float(total[i, k]), default=None)
            frames = overlap[seen[k], best, k] if best is not None else torch.zeros(1)
            if best is not None and float(total[best, k]) > 0:
                free.discard(best)
            self.overlaps.append(float(frames.mean()))

    def _overlaps(self, found: list[dict[int, Tensor]], truth: Tensor) -> Tensor:
        """IoU [T,ids,K] of every id and object on every frame."""
        ids = sorted({i for frame in found for i in frame})
        overlap = torch.zeros(len(found), len(ids), len(truth))
        for t, frame in enumerate(found):
            if frame:
                rows = torch.tensor([ids.index(i) for i in frame])
                overlap[t, rows] = mask_iou(torch.stack(list(frame.values())), truth[:, t])
        return overlap

    @staticmethod
    def _owner(overlap: Tensor, ids: list[int], k: int) -> int | None:
        if not ids or float(overlap[:, k].max()) < SAME:
            return None
        return ids[int(overlap[:, k].argmax())]

    def _returns(self, row: list[int | None], seen: list[bool]) -> None:
        """Compares the id of each stretch in which an object is seen with that of the stretch before."""
        stretches: list[list[int | None]] = []
        for t, there in enumerate(seen):
            if there and (t == 0 or not seen[t - 1]):
                stretches.append([])
            if there:
                stretches[-1].append(row[t])
        usual = [Counter(i for i in s if i is not None).most_common(1) for s in stretches]
        named = [u[0][0] if u else None for u in usual]
        self.returns += [before == after for before, after in zip(named, named[1:]) if before is not None]

    def numbers(self) -> dict[str, float]:
        """What is printed."""
        objects = max(1, len(self.overlaps))
        return {
            "j": sum(self.overlaps) / objects,
            "switches": self.switches / objects,
            "returned": share(self.returns),
            "returns": len(self.returns),
            "invented": self.invented / objects,
            "objects": len(self.overlaps),
        }


def _questions(world: World, clips: Scenes, clip: int) -> tuple[list[str], list[Tensor]]:
    """Nouns of what is seen on the first frame, most frequent first, and which objects each means: bool [K]."""
    items = clips.items.view(-1, FRAMES, clips.items.shape[1])[clip]
    ever = items.amax(0)
    nouns = [world.vocabulary.items[i].noun if i >= 0 else "" for i in items[0].tolist()]
    texts = [noun for noun, _ in Counter(n for n in nouns if n).most_common(TEXTS)]
    meant = [world.vocabulary.truth[ever][:, world.vocabulary.index[text]] for text in texts]
    return texts, meant


def absent_nouns(vocabulary: Vocabulary, items: Tensor, rng: random.Random) -> list[str]:
    """Two nouns of none of `items`: any, and one that is like something that is shown."""
    shown = vocabulary.truth[items.unique()].any(0)
    absent = [vocabulary.index[noun] for noun in sorted({i.noun for i in vocabulary.items if i.noun})]
    absent = [concept for concept in absent if not shown[concept]]
    like = [s for c in torch.nonzero(shown).flatten().tolist() for s in vocabulary.siblings[c] if s in absent]
    return [vocabulary.concepts[rng.choice(some)].name for some in (absent, like or absent)]


def _masks(clips: Scenes, clip: int) -> Tensor:
    """bool [K,T,S,S] of one clip; all clear where an object counts as not seen."""
    part = slice(clip * FRAMES, (clip + 1) * FRAMES)
    owner, items = clips.owner[part], clips.items[part]
    number = torch.arange(1, items.shape[1] + 1, dtype=torch.uint8).view(-1, 1, 1, 1)
    return (owner.unsqueeze(0) == number) & (items.t() >= 0)[:, :, None, None]


def clip_numbers(library: Library, world: World, side: int, count: int, seed: int) -> dict[str, dict[str, float]]:
    """Numbers of words that are followed, and of objects that are clicked on the first frame."""
    words, clicks = FollowTally(), FollowTally()
    gone: list[bool] = []
    silent: list[bool] = []
    for clip in range(count):
        number = seed_of(seed, -1 - clip)
        clips = world.clips(SCENES, ClipSettings(frames=FRAMES), 1, side, number)
        frames, masks = pictures(clips), _masks(clips, 0)
        texts, meant = _questions(world, clips, 0)
        absent = absent_nouns(world.vocabulary, clips.items, random.Random(number))
        shown = torch.nonzero(masks[:, 0].any((1, 2))).flatten().tolist()[:CLICKED]
        points = [{"points": [deepest(masks[k, 0])], "labels": [1]} for k in shown]
        asked = [ClipQuestions(frames, texts=texts + absent), ClipQuestions(frames, clicks=points)]
        by_words, by_clicks = library.ask_clips(asked)
        for prompt, objects in enumerate(meant):
            found = [{o["id"]: decode(o["mask"]) for o in f if o["promptIndex"] == prompt} for f in by_words]
            words.add(found, masks[objects])
        for prompt in range(len(texts), len(texts) + len(absent)):
            silent.append(not any(o["promptIndex"] == prompt for frame in by_words for o in frame))
        followed = [{o["id"]: decode(o["mask"]) for o in frame} for frame in by_clicks]
        clicks.add(followed, masks[shown])
        for i, k in enumerate(shown):
            away = [t for t in range(FRAMES) if not masks[k, t].any()]
            gone += [not followed[t][i].any() for t in away if i in followed[t]]
    found = words.numbers() | {"absent_silent": share(silent), "absent": len(silent)}
    return {"words": found, "clicks": clicks.numbers() | {"gone_empty": share(gone), "gone": len(gone)}}
