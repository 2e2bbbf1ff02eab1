"""Where a GPU's time goes: one call of the engine as it runs, and the program stage by stage beside a model of it."""

from __future__ import annotations

import json
from typing import Any

from .context import Check
from .machine import child_environment, paused
from .processes import WorkerError, run
from .report import table
from .steps import Clock, Result, StepFailed
from .throughput import rows, segment_task
from .trace import summary

# Predicted for an H100 at the true size in bfloat16, ms an image, by counting bytes (3.0 TB/s) and products
# (670 TFLOP/s): for 8 images with one text, 8 with 8 texts, and one with one text. Without the engine's own kernels, as Python
# runs the program: bench/limits.py --without-kernels.
PREDICTED = {
    "encode_image": (12.31, 12.31, 12.31),
    "neck_detect": (0.35, 0.35, 0.35),
    "encode_text": (0.09, 0.33, 0.65),
    "encode_geometry": (0.03, 0.03, 0.13),
    "detect": (0.76, 5.06, 1.60),
    "pixel_embed": (0.39, 2.17, 0.40),
}
PREDICTED_SHAPES = [(8, 1), (8, 8), (1, 1)]


def timeline(check: Check, clock: Clock, result: Result) -> None:
    """Traces single calls of the engine: kernels, copies, waits, and the gaps in which the GPU had nothing to do."""
    size = (1200, 800) if check.on_gpu else (300, 200)
    clip = {"kind": "video", "width": size[0], "height": size[1], "frames": 10}
    once = {"warmups": 0, "least": 1, "repeats": 1}
    tasks: dict[str, dict[str, Any]] = {
        "1 image, 1 text": segment_task(check, 1, 1),
        "8 images, 1 text": segment_task(check, 8, 1),
        "1 image, 8 texts": segment_task(check, 1, 8),
        "1 click": {"kind": "predict", "prompts": 1},
        "10 frames, 4 clicked": {**clip, "objects": 4},
        "10 frames, one text": {**clip, "objects": 4, "texts": rows(1)},
    }
    if check.quick:
        tasks = dict(list(tasks.items())[:1])
    shown: list[list[Any]] = []
    wrong, gaps = [], []
    with paused(check.pause), check.native("timeline") as worker:
        worker.ask(check.timed_model(check.device, "bfloat16"), clock.at_most(90))
        for number, (name, task) in enumerate(tasks.items()):
            path = check.scratch / f"trace-{number}.json"
            try:
                if task["kind"] != "video":
                    worker.ask({**task, "seconds": 0.2}, clock.at_most(30))
                answer = worker.ask({**task, **once, "trace": str(path)}, clock.at_most(30))
                one = summary(path)
            except (WorkerError, OSError, ValueError) as error:
                wrong.append(f"{name}: {error}")
                if worker.process.poll() is not None:
                    break
                continue
            result.data[name] = {**one, "ms": answer["ms"]}
            copies = ", ".join(f"{count} {what}" for what, count in sorted(one["memcpy"].items()))
            waits = sum(one["waits"].values())
            row = [
                name,
                one["kernels"],
                one["busy_ms"],
                one["span_ms"],
                copies,
                waits,
                one["wait_ms"],
                one["allocations"],
            ]
            shown.append(row)
            gaps += [[name, *gap] for gap in one["gaps"][:3]]
    head = ["call", "kernels", "busy ms", "first to last ms", "copies", "waits", "ms waited", "allocations"]
    result.lines += table(head, shown)
    result.lines += ["", "The longest times without work, inside a call:", ""]
    result.lines += table(["call", "ms", "after", "before"], gaps)
    for name, one in list(result.data.items())[:2]:
        result.lines += ["", f"Longest kernels, {name}:", "", *table(["kernel", "ms", "launches"], one["top"][:10])]
    if wrong:
        raise StepFailed("; ".join(wrong))


def stages(check: Check, clock: Clock, result: Result) -> None:
    """The program alone, in Python, stage by stage."""
    job = {
        "program": str(check.program / "program.pt"),
        "folder": str(check.folder),
        "device": check.device,
        "dtype": "bfloat16",
        "size": 0,
        "shapes": PREDICTED_SHAPES if check.on_gpu and not check.quick else [(1, 1)],
        "objects": [1, 16] if check.on_gpu and not check.quick else [1],
    }
    with paused(check.pause):
        command = check.python("-m", "scripts.gpu.stages", json.dumps(job))
        outcome = run(command, check.log("stages"), clock.left(), child_environment())
    found = [json.loads(line) for line in outcome.output.splitlines() if line.startswith('{"')]
    result.data["stages"] = found
    shown: list[list[Any]] = []
    for one in found:
        images, shape = one.get("images", 1), (one.get("images"), one.get("texts"))
        predicted = PREDICTED.get(one["stage"]) if shape in PREDICTED_SHAPES and check.on_gpu else None
        what = f"{shape[0]} x {shape[1]}" if shape[0] else f"{one['objects']} objects"
        kernel_ms = one.get("kernel_ms")
        shown.append(
            [
                what,
                one["stage"],
                one["ms"] / images,
                kernel_ms / images if kernel_ms is not None else None,
                predicted[PREDICTED_SHAPES.index(shape)] if predicted else None,
                one.get("kernels"),
            ]
        )
    head = ["images x texts", "stage", "ms an image", "kernels alone", "predicted", "kernels"]
    result.lines += table(head, shown)
    for one in found[:1] if check.on_gpu else []:
        result.lines += ["", f"Longest kernels of {one['stage']}:", ""]
        result.lines += table(["kernel", "ms", "launches"], one.get("top", []))
    if outcome.code != 0:
        raise StepFailed("no time left" if outcome.timed_out else outcome.tail(3).replace("\n", " / "))
