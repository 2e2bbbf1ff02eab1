"""Contact sheets: scenes, and beside each what the model answers to some prompts. For looking at a training, not for the documentation."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from scripts.export.config import Sam3Config
from scripts.export.program import Sam3Program

from .measure import WORDS_ONLY, ask
from .plan import SceneSettings
from .scenes import seed_of
from .world import World

COLOURS = torch.tensor([[230, 60, 60], [60, 200, 80], [70, 110, 240], [240, 190, 40], [200, 70, 220], [50, 210, 220]])


def sheet(
    world: World,
    program: Sam3Program,
    config: Sam3Config,
    path: Path,
    rows: int = 8,
    seed: int = 1,
    threshold: float = 0.5,
) -> None:
    """Writes a PNG: a row for each scene of a held-out seed; green text: as it should be, red: not so."""
    from PIL import Image, ImageDraw

    scenes = world.scenes(SceneSettings(), rows, config.image_size, seed_of(seed, -1))
    prompts = world.prompts(WORDS_ONLY, scenes, seed_of(seed, -1))
    answers = ask(world, program, config, scenes, prompts)
    side, columns = config.image_size, 6
    out = Image.new("RGB", (columns * (side + 4), rows * (side + 18)))
    draw = ImageDraw.Draw(out)
    pixels = ((scenes.pixels + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu()
    for b in range(rows):
        out.paste(Image.fromarray(pixels[b].numpy()), (0, b * (side + 18) + 14))
        for column, p in enumerate(torch.nonzero(prompts.scene == b).flatten().tolist(), 1):
            answer, wanted = answers[p], int(prompts.answer[p].sum())
            sure = answer.scores > threshold
            x, y = column * (side + 4), b * (side + 18)
            out.paste(Image.fromarray(_painted(pixels[b], answer.masks[sure]).numpy()), (x, y + 14))
            for i, box in enumerate((answer.boxes[sure] * side).tolist()):
                shifted = [box[0] + x, box[1] + y + 14, max(box[2], box[0]) + x, max(box[3], box[1]) + y + 14]
                draw.rectangle(shifted, outline=tuple(COLOURS[i % len(COLOURS)].tolist()))
            best = " ".join(f"{s:.2f}" for s in answer.scores[:4].tolist())
            colour = (120, 255, 120) if int(sure.sum()) == wanted else (255, 120, 120)
            draw.text((x, y + 1), f"{prompts.texts[p]} ({wanted}) {best}", fill=colour)
    out.save(path)


def _painted(pixels: Tensor, masks: Tensor) -> Tensor:
    picture = pixels.float()
    for i, mask in enumerate(masks.cpu()):
        picture[mask] = 0.4 * picture[mask] + 0.6 * COLOURS[i % len(COLOURS)]
    return picture.round().byte()
