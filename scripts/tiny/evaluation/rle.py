"""COCO's run-length encoding as text, in which the library gives its masks."""

from __future__ import annotations

import torch
from torch import Tensor


def runs_of(mask: Tensor) -> list[int]:
    """The lengths of alternating runs of 0 and 1 of a mask bool [H,W], column by column, zeros first."""
    flat = mask.t().flatten()
    change = torch.nonzero(flat[1:] != flat[:-1]).squeeze(1) + 1
    ends = [0, *change.tolist(), len(flat)]
    lengths = [b - a for a, b in zip(ends, ends[1:])]
    return [0, *lengths] if bool(flat[0]) else lengths


def encode(mask: Tensor) -> dict:
    """{"size": [H, W], "counts": text} of a mask bool [H,W]."""
    runs, text = runs_of(mask), []
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        more = True
        while more:
            chunk = value & 0x1F
            value >>= 5
            more = value != -1 if chunk & 0x10 else value != 0
            text.append(chr((chunk | 0x20 if more else chunk) + 48))
    return {"size": list(mask.shape), "counts": "".join(text)}


def decode(rle: dict) -> Tensor:
    """The inverse of `encode`: bool [H,W]."""
    height, width = rle["size"]
    runs: list[int] = []
    value, shift = 0, 0
    for character in rle["counts"]:
        chunk = ord(character) - 48
        value |= (chunk & 0x1F) << shift
        shift += 5
        if chunk & 0x20:
            continue
        if chunk & 0x10:
            value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value, shift = 0, 0
    bits = torch.arange(len(runs)).remainder(2).bool()
    return bits.repeat_interleave(torch.tensor(runs)).view(width, height).t()
