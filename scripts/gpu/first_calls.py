"""What a size of batch costs when it is met for the first time, with and without cuDNN's attention.

cuDNN builds a plan for each new shape, on the host; flash attention has none.
"""

from __future__ import annotations

from typing import Any

from .context import Check
from .machine import paused
from .report import table
from .steps import Clock, Result
from .throughput import segment_task

SIZES = [(8, 1), (1, 1), (2, 1), (3, 1), (1, 2)]
# LibTorch's own switch, of 2.11 and later.
BACKENDS = {"as it is": {}, "without cuDNN's attention": {"TORCH_CUDNN_SDPA_DEPRIORITIZED": "1"}}


def first_calls(check: Check, clock: Clock, result: Result) -> None:
    """Milliseconds of the first and of later calls of each size, in bfloat16, and the device's share of the later ones."""
    rows: list[list[Any]] = []
    for backend, environment in BACKENDS.items():
        with paused(check.pause), check.native("first-calls", **environment) as worker:
            worker.ask(check.timed_model(check.device, "bfloat16"), clock.at_most(60))
            for images, texts in SIZES[: 2 if check.quick else None]:
                first = worker.ask(segment_task(check, images, texts, warmups=0, least=1, repeats=1), clock.at_most(30))
                later = worker.ask(segment_task(check, images, texts, seconds=0.5, warmups=1), clock.at_most(30))
                result.data[f"{backend}, {images}x{texts}"] = {"first": first, "later": later}
                row = [backend, images, texts, first["ms"] * images, later["ms"] * images]
                rows.append([*row, later["device_ms"] * images])
    result.lines += table(["attention", "images", "texts", "first call, ms", "later", "the device's part"], rows)
