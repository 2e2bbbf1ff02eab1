"""The engine's own kernels (native/kernels) beside LibTorch's operators alone, in turns."""

from __future__ import annotations

from typing import Any

from .context import Check
from .machine import paused
from .report import table
from .steps import Clock, Result, StepFailed
from .throughput import segment_task

SHAPES = [(8, 1), (8, 8), (1, 1)]


def own_kernels(check: Check, clock: Clock, result: Result) -> None:
    """Milliseconds an image in bfloat16; says why where they are not used."""
    times: dict[str, dict[str, list[float]]] = {}
    with paused(check.pause), check.native("kernels-on") as on, check.native("kernels-off", SAM3_KERNELS="off") as off:
        model = check.timed_model(check.device, "bfloat16")
        loaded = {name: worker.ask(model, clock.at_most(60)) for name, worker in (("on", on), ("off", off))}
        why = result.data["why not"] = loaded["on"]["without_kernels"]
        for images, texts in SHAPES[:1] if check.quick else SHAPES:
            task = segment_task(check, images, texts)
            of_shape: dict[str, list[float]] = times.setdefault(task["name"], {"on": [], "off": []})
            for _ in range(2):
                of_shape["on"].append(on.ask(task, clock.at_most(30))["ms"])
                of_shape["off"].append(off.ask(task, clock.at_most(30))["ms"])
    result.data["ms"] = times
    result.data["load ms"] = {name: one["ms"] for name, one in loaded.items()}
    rows: list[list[Any]] = [
        [name, min(one["on"]), min(one["off"]), min(one["off"]) / min(one["on"])] for name, one in times.items()
    ]
    result.lines += table(["images x texts", "on, ms an image", "off", "times as fast"], rows)
    if why and check.on_gpu:
        raise StepFailed(f"the kernels are not used: {why}")
