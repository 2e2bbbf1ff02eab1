"""All numbers as Markdown tables, for docs/demo-model.md."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..measure import BOXES_ONLY, WORDS_ONLY, held_out
from ..sprites import photograph_archive
from ..world import World
from .asking import Library
from .clips import FRAMES, clip_numbers
from .confusion import confusion_numbers
from .images import click_numbers, pictures, prompt_numbers
from .photographs import photograph_lines

DTYPES = ("float32", "bfloat16")
# Runs whose median is the time of an image.
TIMED = 30


@dataclass(frozen=True)
class Row:
    """One number: where it is found, what it is called, what is wanted of it."""

    key: tuple[str, str]
    title: str
    wanted: str = ""
    digits: int = 2

    def cells(self, columns: list[dict[str, dict[str, float]]]) -> str:
        """The row of the table."""
        part, name = self.key
        values = [f"{c[part][name]:.{self.digits}f}" if part in c else "" for c in columns]
        return f"| {self.title} | {self.wanted} | {' | '.join(values)} |"


ROWS = (
    Row(("words", "mask_ap50"), "words: mask AP50", "≥ 0.85"),
    Row(("words", "mean_iou"), "words: mean IoU of what is found", "≥ 0.85"),
    Row(("words", "precision"), "words: precision at 0.5"),
    Row(("words", "recall"), "words: recall at 0.5"),
    Row(("words", "f1"), "words: F1 at 0.5"),
    Row(("words", "absent_silent"), "absent words answered by nothing", "≥ 0.95"),
    Row(("words", "sibling_confused"), "absent, and something like it is shown: confused"),
    Row(("confusion", "colour"), "absent, and shown in another colour: confused", "≤ 0.05"),
    Row(("confusion", "shape"), "absent shape, and another one is shown: confused", "≤ 0.05"),
    Row(("exemplars", "mask_ap50"), "exemplar box alone: mask AP50", "≥ 0.7"),
    Row(("clicks", "one_click_iou"), "one click: mean IoU", "≥ 0.85"),
    Row(("clicks", "second_click_iou"), "and a second click: mean IoU", "more"),
    Row(("clicks", "poor"), "objects with IoU below 0.75 after one click"),
    Row(("clicks", "poor_repaired_iou"), "their mean IoU after a second", "≥ 0.75"),
    Row(("followed words", "j"), "clips, words: J", "≥ 0.8"),
    Row(("followed words", "switches"), "clips, words: changes of id per object", "≤ 0.1"),
    Row(("followed words", "returned"), "clips, words: objects that return with their id", "≥ 0.8"),
    Row(("followed words", "invented"), "clips, words: invented objects per object"),
    Row(("followed words", "absent_silent"), "clips, absent words: nothing is followed"),
    Row(("followed clicks", "j"), "clips, one click on the first frame: J"),
    Row(("followed clicks", "gone_empty"), "clips, one click: nothing shown while the object is gone"),
    Row(("speed", "ms"), "an image and a word, ms", "< 150", 0),
)


def measure(library: Library, side: int, scenes: int, clips: int, seed: int, whole: bool) -> dict:
    """All numbers of one dtype; without `whole` those of words and of speed only."""
    world = World.open_held_out()
    found = {"words": prompt_numbers(library, world, side, scenes, seed, WORDS_ONLY)}
    found["confusion"] = confusion_numbers(library, world, side, scenes, seed)
    batch, _ = next(held_out(world, side, 1, seed, 1))
    found["speed"] = {"ms": library.milliseconds(pictures(batch)[0], TIMED)}
    if whole:
        found["exemplars"] = prompt_numbers(library, world, side, scenes, seed, BOXES_ONLY)
        found["clicks"] = click_numbers(library, world, side, scenes, seed)
        followed = clip_numbers(library, world, side, clips, seed)
        found |= {f"followed {kind}": numbers for kind, numbers in followed.items()}
    return found


def report(model: str, side: int, scenes: int, clips: int, seed: int) -> str:
    """The tables."""
    archive = photograph_archive()  # what is missing is said now, not after minutes
    libraries = [Library(model, dtype) for dtype in DTYPES]
    columns = [measure(one, side, scenes, clips, seed, whole=i == 0) for i, one in enumerate(libraries)]
    first = columns[0]
    lines = [
        f"Seed {seed}: {scenes} scenes of {side} x {side} pixels with {first['words']['objects']} objects asked for by words, "
        f"{first['confusion']['colour_asked']} colours and {first['confusion']['shape_asked']} shapes that are not shown, "
        f"{first['clicks']['objects']} clicked ones, {clips} clips of {FRAMES} frames with {first['followed words']['objects']} "
        f"objects, {first['followed words']['returns']} times gone and back, {first['followed words']['absent']} words that no frame shows; {os.cpu_count()} cores.",
        "",
        f"| | wanted | {' | '.join(DTYPES)} |",
        f"|---|---:|{'---:|' * len(DTYPES)}",
        *[row.cells(columns) for row in ROWS],
    ]
    other = World.open_held_out("held-out")
    hand = prompt_numbers(libraries[0], other, side, scenes, seed, WORDS_ONLY)
    lines += [
        "",
        "Drawings of a hand that was never trained on: "
        f"mask AP50 {hand['mask_ap50']:.2f}, mean IoU {hand['mean_iou']:.2f}, F1 {hand['f1']:.2f}, absent words answered by "
        f"nothing {hand['absent_silent']:.2f}.",
        "",
        f"Photographs: {'; '.join(photograph_lines(libraries[0], archive))}.",
    ]
    return "\n".join(lines) + "\n"
