"""Photographs: nothing of the kind was trained on, so this is printed, and nothing is wanted of it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..measure import LOWEST_SCORE
from .asking import ImageQuestions, Library

# Photographs of scikit-image, the word, and a box around what it means, drawn by hand: xyxy in pixels.
PHOTOGRAPHS = (
    ("chelsea", "cat", (0, 0, 395, 300)),
    ("coffee", "cup", (77, 18, 479, 390)),
    ("camera", "camera", (259, 139, 327, 187)),
)


def box_iou(a: list[float], b: tuple[int, int, int, int]) -> float:
    """IoU of two boxes xyxy."""
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return shared / (area - shared)


def photograph_lines(library: Library, archive: Path) -> list[str]:
    """A line for each photograph of the archive: the best instance of its word, and how far its box is the right one."""
    questions = []
    with zipfile.ZipFile(archive) as opened:
        for name, word, _ in PHOTOGRAPHS:
            with opened.open(f"skimage/data/{name}.png") as file:
                pixels = np.array(Image.open(io.BytesIO(file.read())).convert("RGB"))
            prompt = {"text": word, "threshold": LOWEST_SCORE}
            questions.append(ImageQuestions(torch.from_numpy(pixels), [prompt]))
    lines = []
    for (name, word, truth), answer in zip(PHOTOGRAPHS, library.ask_images(questions)):
        found = answer["prompts"][0]
        said = f"score {found[0]['score']:.2f}, box IoU {box_iou(found[0]['box'], truth):.2f}" if found else "nothing"
        lines.append(f"{name}, “{word}”: {said}")
    return lines
