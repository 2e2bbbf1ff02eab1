"""The goldens' model on the device in every dtype, against the CPU in float32."""

from __future__ import annotations

import numpy as np

from .context import Check
from .processes import WorkerError
from .report import table
from .steps import Clock, Result, StepFailed

# As test/lib/model/device.test.ts: how far a dtype may be off, as means over a result; float32 leaves room for another order of
# summation. Shares of the image's side (boxes) and of its pixels (masks).
LIMITS = {
    "float32": {"score": 2e-4, "box": 2e-4, "pixels": 1e-3},
    "float16": {"score": 0.006, "box": 0.002, "pixels": 0.005},
    "bfloat16": {"score": 0.06, "box": 0.01, "pixels": 0.02},
}
PICTURES = [(320, 240), (641, 427), (211, 512)]
TEXTS = ["cat", "visual", "a red ellipse"]


def pixels(runs: list[int]) -> np.ndarray:
    """COCO run lengths as one row of bits."""
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs)


def difference(ours: dict, reference: dict, width: int, height: int) -> dict[str, float]:
    """Means over the instances of a concept, each beside the one whose box is nearest."""
    side = np.array([width, height, width, height])
    boxes, others = (np.array(one["boxes"]).reshape(-1, 4) / side for one in (reference, ours))
    if not len(boxes) or len(boxes) != len(others):
        raise StepFailed(f"{len(others)} instances where the CPU finds {len(boxes)}")
    distance = np.abs(boxes[:, None] - others[None]).max(-1)
    nearest = distance.argmin(1)
    flipped, overlap = [], []
    for i, j in enumerate(nearest):
        a, b = pixels(reference["runs"][i]), pixels(ours["runs"][j])
        flipped.append((a != b).mean())
        overlap.append((a & b).sum() / max(1, (a | b).sum()) if (a | b).any() else 1.0)
    scores = np.abs(np.array(reference["scores"]) - np.array(ours["scores"])[nearest])
    return {
        "score": float(max(scores.mean(), abs(ours["presence"] - reference["presence"]))),
        "worst score": float(scores.max()),
        "box": float(distance.min(1).mean()),
        "pixels": float(np.mean(flipped)),
        "mask IoU": float(np.mean(overlap)),
    }


def compare(check: Check, clock: Clock, result: Result) -> None:
    """Scores, boxes and masks of every query, and of a click."""
    tasks = [
        {"kind": "outputs", "width": width, "height": height, "texts": check.tokens(*TEXTS)}
        for width, height in PICTURES
    ]

    def answers(device: str, dtype: str) -> list[dict]:
        with check.native(f"compare-{device.replace(':', '-')}-{dtype}") as worker:
            loaded = worker.ask(check.golden_model(device, dtype), clock.at_most(60))
            result.data.setdefault("loads", []).append({k: loaded[k] for k in ("device", "dtype", "ms", "free_bytes")})
            if not loaded["device"].startswith(device.split(":")[0]):
                raise StepFailed(f"asked for {device}, got {loaded['device']}")
            return [worker.ask(task, clock.at_most(60)) for task in tasks]

    reference = answers("cpu", "float32")
    rows, over = [], []
    for dtype, limits in LIMITS.items():
        try:
            ours = answers(check.device, dtype)
            found = [
                difference(a, b, *size)
                for mine, its, size in zip(ours, reference, PICTURES)
                for a, b in zip(mine["concepts"], its["concepts"])
            ]
            clicks = [
                float(np.abs(np.array(a["click"]["scores"]) - np.array(b["click"]["scores"])).max())
                for a, b in zip(ours, reference)
            ]
        except (WorkerError, StepFailed) as error:
            over.append(f"{dtype}: {error}")
            continue
        means = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
        worst = {key: max(one[key] for one in found) for key in limits}
        result.data[dtype] = {**means, "click score": max(clicks)}
        rows.append([dtype, *means.values(), max(clicks)])
        over += [f"{dtype}: {key} {worst[key]:.2g} > {limits[key]:.2g}" for key in limits if worst[key] > limits[key]]
    names = ["score", "worst score", "box", "pixels flipped", "mask IoU", "click score"]
    result.lines += table([f"{check.device} against the CPU in float32", *names], rows)
    if over:
        raise StepFailed("; ".join(over))
