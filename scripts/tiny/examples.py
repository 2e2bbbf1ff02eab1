"""The example pictures of the repository: a scene and a clip, composed by hand from what the model was taught. The data is examples.json.

Drawn larger than what is trained on, from drawings of their own size, on grounds that no training sees.
"""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import torch
from torch import Tensor

from .atlas import Atlas, build_atlas
from .grounds import make_fields
from .plan import Plan
from .scenes import Painter, Scenes
from .sprites import CACHE, ROOT, TRAINED_HANDS, render
from .vocabulary import Vocabulary
from .world import HELD_OUT_GROUNDS

FILE = Path(__file__).with_name("examples.json")
TEXTURE = 256
FRAME_QUALITY, SCENE_QUALITY = 80, 90
# Frames a second, and VP9's constant quality.
CLIP_RATE, CLIP_QUALITY = 10, 26


def _atlas(vocabulary: Vocabulary, data: dict, cache: Path) -> tuple[Atlas, dict[str, int]]:
    """Large textures of the drawings that the examples use, and the row of `looks` of each."""
    wanted = {o["drawing"] for about in data.values() for o in about["objects"]}
    codes = {drawing.split("/")[1] for drawing in wanted}
    items = [item for item in vocabulary.items if item.code in codes and item.repaint is None]
    drawings = {}
    for hand in TRAINED_HANDS:
        drawings.update(render(cache, hand, sorted(codes), TEXTURE))
    atlas = build_atlas(Vocabulary(vocabulary.data, items), drawings, TRAINED_HANDS)
    places = zip(atlas.hands.tolist(), atlas.looks[:, 1].tolist())
    return atlas, {f"{TRAINED_HANDS[hand]}/{items[item].code}": row for row, (hand, item) in enumerate(places)}


def _along(path: list[list[float]], time: float) -> tuple[float, float]:
    """Where a path of (time, x, y) is at a time, going at an even pace from point to point."""
    if time <= path[0][0]:
        return path[0][1], path[0][2]
    for (t0, x0, y0), (t1, x1, y1) in zip(path, path[1:]):
        if time <= t1:
            share = (time - t0) / (t1 - t0)
            return x0 + (x1 - x0) * share, y0 + (y1 - y0) * share
    return path[-1][1], path[-1][2]


def _plan(about: dict, rows: dict[str, int]) -> Plan:
    """The plan of a scene, or of all frames of a clip."""
    frames, objects, ground = about.get("frames", 1), about["objects"], about["ground"]
    times = [t / max(1, frames - 1) for t in range(frames)]

    def each(values: list) -> Tensor:
        """One value for each object, the same on every frame."""
        return torch.tensor([values]).expand(frames, *torch.tensor(values).shape).clone()

    def whole(value: list | float | int) -> Tensor:
        return torch.tensor(value).expand(frames, *torch.tensor(value).shape).clone()

    centres = [[_along(o.get("path") or [[0, *o["at"]]], time) for o in objects] for time in times]
    # What goes sways a little, what rolls turns by so many radians for a side of the picture.
    turns = [
        [
            o.get("turn", 0.0) + o.get("roll", 0.0) * x + (0.05 * math.sin(12 * time + k) if "path" in o else 0.0)
            for k, (o, (x, _)) in enumerate(zip(objects, places))
        ]
        for time, places in zip(times, centres)
    ]
    return Plan(
        look=each([rows[o["drawing"]] for o in objects]),
        centre=torch.tensor(centres),
        size=each([o["size"] for o in objects]),
        angle=torch.tensor(turns),
        stretch=each([1.0] * len(objects)),
        flip=each([-1.0 if o.get("flip") else 1.0 for o in objects]),
        tint=each([[1.0] * 3] * len(objects)),
        contrast=each([1.0] * len(objects)),
        light=each([[0.04, -0.08]] * len(objects)),
        shadow=each([[0.03, 0.05, 0.35]] * len(objects)),
        field=whole(ground["field"]),
        crop=whole(ground["crop"]),
        palette=whole(ground["palette"]),
        exposure=whole(1.0),
        blur=whole(0.0),
        noise=whole(0.0),
    )


def paint_examples(cache: Path = CACHE) -> dict[str, Scenes]:
    """The scene, and the clip as one scene for each frame."""
    data, vocabulary = json.loads(FILE.read_text()), Vocabulary.read()
    atlas, rows = _atlas(vocabulary, data, cache)
    device = torch.device("cpu")
    painter = Painter(atlas, make_fields(HELD_OUT_GROUNDS, torch.load(cache / "photographs.pt")), device)
    rng = torch.Generator().manual_seed(1)
    return {
        name: painter.paint(_plan(about, rows), about["side"], rng, drop_hidden=False) for name, about in data.items()
    }


def write_examples(out: Path = ROOT / "examples", cache: Path = CACHE) -> None:
    """Writes scene.jpg, the frames of the clip, clip/00.jpg and so on, and clip.webm, which is made of them."""
    from PIL import Image

    painted = paint_examples(cache)
    pictures = {name: ((s.pixels + 1) * 127.5).round().byte().permute(0, 2, 3, 1) for name, s in painted.items()}
    (out / "clip").mkdir(parents=True, exist_ok=True)
    Image.fromarray(pictures["scene"][0].numpy()).save(out / "scene.jpg", quality=SCENE_QUALITY, optimize=True)
    for t, frame in enumerate(pictures["clip"]):
        Image.fromarray(frame.numpy()).save(out / "clip" / f"{t:02}.jpg", quality=FRAME_QUALITY, optimize=True)
    frames = ["-framerate", str(CLIP_RATE), "-i", str(out / "clip" / "%02d.jpg")]
    vp9 = ["-c:v", "libvpx-vp9", "-b:v", "0", "-crf", str(CLIP_QUALITY), "-deadline", "best", "-map_metadata", "-1"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *frames, *vp9, str(out / "clip.webm")], check=True)
