"""Asks the Node library: pictures and questions go into a folder, one process of Node answers all of them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from torch import Tensor

from ..sprites import ROOT

ANSWER = Path(__file__).with_name("answer.mjs")


@dataclass
class ImageQuestions:
    """A picture u8 [S,S,3], prompts as `segment` takes them and clicks as `predict` does."""

    pixels: Tensor
    prompts: list[dict] = field(default_factory=list)
    clicks: list[dict] = field(default_factory=list)


@dataclass
class ClipQuestions:
    """Frames u8 [T,S,S,3], and either texts that are followed or clicks on the first frame."""

    frames: Tensor
    texts: list[str] = field(default_factory=list)
    clicks: list[dict] = field(default_factory=list)


@dataclass
class Library:
    """The built library with one model: a folder or a name that it knows."""

    model: str
    dtype: str

    def ask_images(self, questions: list[ImageQuestions]) -> list[dict]:
        """For each picture {"prompts": lists of found instances, "clicks": one each}; an instance has a score and a mask."""
        return self._run(questions, [])["images"]

    def ask_clips(self, questions: list[ClipQuestions]) -> list[list[list[dict]]]:
        """For each clip and frame the objects: id, promptIndex, mask."""
        return self._run([], questions)["clips"]

    def milliseconds(self, pixels: Tensor, runs: int) -> float:
        """For one picture and one text, on all cores: the median of `runs`."""
        return self._run([ImageQuestions(pixels)], [], runs)["ms"]

    def _run(self, images: list[ImageQuestions], clips: list[ClipQuestions], runs: int = 0) -> dict:
        with TemporaryDirectory(prefix="sam3-tiny-") as scratch:
            folder = Path(scratch)
            asked = {"model": self.model, "dtype": self.dtype, "images": [], "clips": []}
            for i, image in enumerate(images):
                file = folder / f"{i}.png"
                Image.fromarray(image.pixels.numpy()).save(file, compress_level=1)
                asked["images"].append({"file": str(file), "prompts": image.prompts, "clicks": image.clicks})
            for i, clip in enumerate(clips):
                frames = folder / f"clip{i}"
                frames.mkdir()
                for t, frame in enumerate(clip.frames):
                    Image.fromarray(frame.numpy()).save(frames / f"{t:03}.png", compress_level=1)
                asked["clips"].append({"folder": str(frames), "texts": clip.texts, "clicks": clip.clicks})
            if runs:
                asked["timed"] = [asked["images"][0]["file"], runs]
            (folder / "questions.json").write_text(json.dumps(asked))
            command = ["node", str(ANSWER), str(folder / "questions.json"), str(folder / "answers.json")]
            subprocess.run(command, cwd=ROOT, check=True)
            return json.loads((folder / "answers.json").read_text())
