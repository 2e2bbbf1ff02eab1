"""Masks to run lengths beside pycocotools: the same masks, which it is given at their full size as bytes, and encodes.

python -m bench.masks PROGRAM        PROGRAM: sam3_native_bench
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from pycocotools import mask as coco

SIDE = 288
WIDTH, HEIGHT = 3840, 2160
SHARES = (0.02, 0.5)
ROUNDS = 15


def full_size(share: float) -> np.ndarray:
    """The mask that bench/native/mask_task.cc traces, column by column in memory as pycocotools wants it: [HEIGHT,WIDTH] of 0 and 1."""
    at = (torch.arange(SIDE) + 0.5) / SIDE - 0.5
    logits = (share / math.pi - (at.square().unsqueeze(0) + at.square().unsqueeze(1))) * 100
    large = F.interpolate(logits[None, None], (HEIGHT, WIDTH), mode="bilinear", align_corners=False)[0, 0]
    return np.asfortranarray((large > 0).numpy().astype(np.uint8))


def times_of(work) -> float:
    work()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def main() -> None:
    torch.set_num_threads(1)
    tasks = [json.dumps({"share": share, "width": WIDTH, "height": HEIGHT, "repeats": ROUNDS}) for share in SHARES]
    answers = subprocess.run([sys.argv[1], "masks"], input="\n".join(tasks), capture_output=True, text=True, check=True)
    print(f"A mask at {WIDTH} x {HEIGHT} on one thread, ms:\n")
    print(
        "| of the picture | from logits to runs | pycocotools' encode of the full-size mask | with the resize before it |\n|---|---:|---:|---:|"
    )
    for share, line in zip(SHARES, answers.stdout.splitlines()):
        ours, mask = json.loads(line), full_size(share)
        if abs(int(coco.area(coco.encode(mask))) - ours["area"]) > 1e-4 * ours["area"]:
            raise SystemExit(f"The masks differ: {coco.area(coco.encode(mask))} and {ours['area']} pixels.")
        encode, both = times_of(partial(coco.encode, mask)), times_of(lambda share=share: coco.encode(full_size(share)))
        print(f"| {share:.0%} | {ours['ms']:.2f} | {encode:.2f} | {both:.1f} |")


if __name__ == "__main__":
    main()
