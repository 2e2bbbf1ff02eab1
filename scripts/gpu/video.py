"""Videos at the true size: clicked objects and a text, milliseconds for each frame, beside transformers' tracker."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from .context import Check
from .machine import child_environment, paused
from .processes import ROOT, Worker, WorkerError
from .report import table
from .steps import Clock, Result, StepFailed
from .throughput import rows

STAGES = ["encode", "detect", "attend", "decode", "memory", "associate", "output"]
SIZE = (1200, 800)
FRAMES = 12
# Seconds that the reference needs at least.
ENOUGH = 15


def make_clip(folder: Path, frames: int, size: tuple[int, int]) -> Path:
    """JPEG frames of a photograph with a camera that moves over it."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    photo = Image.open(ROOT / "examples" / "coffee.jpg").convert("RGB")
    photo = photo.resize((size[0] + 8 * frames, size[1] + 8 * frames))
    for i in range(frames):
        photo.crop((8 * i, 4 * i, 8 * i + size[0], 4 * i + size[1])).save(folder / f"{i:05d}.jpg", quality=90)
    return folder


def reference_frames(check: Check, clock: Clock, objects: int, frames: int, size: tuple[int, int]) -> list[float]:
    """Milliseconds of each frame of Sam3TrackerVideoModel with clicked objects."""
    clip = make_clip(check.scratch / "clip", frames, size)
    points = [[(i % 8 * 2 + 1) * size[0] / 16, (i // 8 * 2 + 1) * size[1] / 16] for i in range(objects)]
    command = check.python("-m", "bench.video.reference")
    with Worker(command, check.log(f"video-reference-{objects}"), child_environment()) as worker:
        model = {"model": str(check.folder), "device": check.device, "dtype": "bfloat16", "threads": 4}
        worker.ask({"op": "load", "kind": "clicks", **model}, clock.at_most(60))
        start = {"op": "start", "clip": str(clip), "objects": objects, "points": points, "text": "", "options": {}}
        worker.ask(start, clock.at_most(30))
        return [worker.ask({"op": "frame"}, clock.at_most(30))["ms"] for _ in range(frames)]


def video(check: Check, clock: Clock, result: Result) -> None:
    """Ours first, then the reference; the frames with a full memory count, from the eighth on."""
    size, frames = (SIZE, FRAMES) if check.on_gpu else ((300, 200), 4)
    common = {"kind": "video", "width": size[0], "height": size[1], "frames": frames}
    tasks: list[tuple[str, dict[str, Any]]] = [
        (f"{n} clicked", {**common, "objects": n}) for n in ([1] if check.quick else [1, 16, 64])
    ]
    tasks.append(("one text, up to 10 objects", {**common, "objects": 10, "texts": rows(1)}))
    shown, stages, wrong = [], [], []
    with paused(check.pause):
        with check.native("video") as ours:
            ours.ask(check.timed_model(check.device, "bfloat16"), clock.at_most(90))
            ours.ask({**common, "frames": 3, "objects": 1}, clock.at_most(60))  # warms up
            for name, task in tasks:
                try:
                    answer = ours.ask(task, clock.at_most(60))
                except WorkerError as error:
                    wrong.append(f"{name}: {error}")
                    continue
                result.data[name] = answer
                shown.append([name, answer["ms"], answer["masks"], None])
                stages.append([name, *(one / frames for one in answer["stages"])])
        for row, objects in zip(shown, [1] if check.quick else [1, 16]):
            if clock.left() < ENOUGH:
                wrong.append(f"transformers, {objects} objects: no time left")
                continue
            try:
                ms = reference_frames(check, clock, objects, frames, size)
                row[3] = statistics.median(ms[min(7, frames // 2) :])
                result.data[f"{row[0]}, reference"] = ms
            except WorkerError as error:
                wrong.append(f"transformers, {objects} objects: {error}")
    head = ["video", "ours, ms a frame", "masks of a frame", "transformers, ms a frame"]
    result.lines += table(head, shown)
    result.lines += ["", "Host time of each stage, ms a frame, all frames:", "", *table(["video", *STAGES], stages)]
    if wrong:
        raise StepFailed("; ".join(wrong))
