"""What the tests on meaning need: held-out scenes with questions, and what is true of them and of the examples."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from .evaluation.images import pictures
from .evaluation.rle import encode
from .examples import FILE, paint_examples
from .measure import WORDS_ONLY
from .plan import SceneSettings
from .scenes import Scenes, seed_of
from .sprites import CACHE, ROOT
from .world import World

FOLDER = ROOT / "test" / "fixtures" / "demo"
SEED, SCENES, SIDE = 77, 14, 224


def _visible(masks: Tensor) -> list[dict | None]:
    """Masks bool [n,S,S] as run lengths; None for one without a pixel."""
    return [encode(mask) if mask.any() else None for mask in masks]


def _scenes(world: World, out: Path) -> list[dict]:
    """Scenes as PNG, each with its objects and five questions."""
    from PIL import Image

    scenes = world.scenes(SceneSettings(), SCENES, SIDE, seed_of(SEED, -1))
    prompts = world.prompts(WORDS_ONLY, scenes, seed_of(SEED, -1))
    masks, described = scenes.masks(), []
    for b, pixels in enumerate(pictures(scenes)):
        Image.fromarray(pixels.numpy()).save(out / f"{b}.png", optimize=True)
        there = [k for k, item in enumerate(scenes.items[b].tolist()) if item >= 0]
        asked = [p for p, scene in enumerate(prompts.scene.tolist()) if scene == b]
        questions = [
            {"text": prompts.texts[p], "objects": [i for i, k in enumerate(there) if prompts.answer[p, k]]}
            for p in asked
        ]
        described.append({"file": f"{b}.png", "objects": _visible(masks[b, there]), "questions": questions})
    return described


def _examples(painted: dict[str, Scenes]) -> dict:
    """What each object of the example scene and clip is, and its mask, for the clip on every frame."""
    data = json.loads(FILE.read_text())
    scene, clip = (painted[name].masks() for name in ("scene", "clip"))
    shown = {name: [o["shows"] for o in data[name]["objects"]] for name in ("scene", "clip")}
    still = [{"shows": name, "mask": mask} for name, mask in zip(shown["scene"], _visible(scene[0]))]
    moving = [{"shows": name, "masks": _visible(clip[:, k])} for k, name in enumerate(shown["clip"])]
    return {"scene": still, "clip": moving}


def write_fixtures(out: Path = FOLDER, cache: Path = CACHE) -> None:
    """Writes the scenes, and truth.json."""
    out.mkdir(parents=True, exist_ok=True)
    truth = {"scenes": _scenes(World.open_held_out(), out), **_examples(paint_examples(cache))}
    (out / "truth.json").write_text(json.dumps(truth, separators=(",", ":")) + "\n")
