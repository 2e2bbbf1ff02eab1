"""Training of the tracker: objects are shown on the first frame of a clip and found again on the others, as the engine does it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from scripts.export.program import Sam3Program

from .clicks import PADDING, Decoded, decode_prompt

# Pointers of at most this many frames are looked at; their places in time are shares of that.
MOST_POINTERS = 16


@dataclass
class Memory:
    """What is remembered of n objects, frame by frame; the first frame is the one they were shown on."""

    frames: list[Tensor] = field(default_factory=list)  # [n,g*g,memory]
    pointers: list[Tensor] = field(default_factory=list)  # [n,C]
    skipped: int = 0  # frames between the first and the second that are as if they had been followed and forgotten


def encode_memory(program: Sam3Program, image: Tensor, mask: Tensor, logit: Tensor) -> Tensor:
    """A frame's memory [n,g*g,memory] of image [n,C,g,g], mask logits of the memory encoder (20 * probability - 10) [n,h,w], object logit [n,1]."""
    side = 16 * image.shape[-1]
    mask = F.interpolate(mask.unsqueeze(1), size=(side, side), mode="bilinear", antialias=True, align_corners=False)
    return program.memory_encode(image, mask, logit).flatten(2).transpose(1, 2)


def recall(program: Sam3Program, memory: Memory, image: Tensor) -> Tensor:
    """Image features [n,C,g,g] of the next frame, conditioned on the memory."""
    grid = image.shape[-1]
    space, times, _, _ = program.tracker_constants(grid)
    space, now = space.flatten(2).transpose(1, 2)[0], len(memory.frames)
    # The first frame has the last place in time, whatever its distance; of the others the six before this one.
    tracked = range(max(1, now - len(times) + 1), now)
    frames = [(memory.frames[0], len(times) - 1), *((memory.frames[t], now - t - 1) for t in tracked)]
    recent = [0, *range(max(1, now - MOST_POINTERS + 1), now)]
    ago = [float(now + memory.skipped), *(float(now - t) for t in recent[1:])]
    offsets = torch.tensor(ago, device=image.device) / (MOST_POINTERS - 1)
    depth = space.shape[-1]
    split = image.shape[1] // depth
    pointers = torch.cat([memory.pointers[t].view(-1, split, depth) for t in recent], 1)
    dtype = frames[0][0].dtype
    tokens = torch.cat([*(f for f, _ in frames), pointers.to(dtype)], 1)
    places = [space + times[time] for _, time in frames]
    places.append(program.pointer_tpos(offsets).repeat_interleave(split, 0))
    position = torch.cat([p.to(dtype) for p in places], 0).unsqueeze(0)
    return program.memory_attend(image, tokens, position, torch.tensor(len(recent) * split))


def given_mask(program: Sam3Program, levels: tuple[Tensor, Tensor, Tensor], mask: Tensor) -> tuple[Tensor, Tensor]:
    """The pointer of a mask bool [n,S,S] that is given on the first frame, and its logits for the memory encoder [n,S,S]."""
    side = 16 * levels[2].shape[-1]
    wide = F.interpolate(mask.unsqueeze(1).float(), size=(side, side), mode="bilinear", antialias=True)
    prompt = program.mask_to_prompt(torch.where(wide > 0.5, 10.0, -10.0))
    shown = torch.ones(len(mask), dtype=torch.bool, device=mask.device)
    decoded = decode_prompt(program, levels, *no_points(mask), prompt, shown)
    pointer = program.object_pointer(decoded.tokens[:, 0], decoded.object_logits)
    return pointer, mask.float() * 20 - 10


def no_points(like: Tensor) -> tuple[Tensor, Tensor]:
    """The one padding point of objects without a prompt: xy [n,1,2], labels [n,1]."""
    count, device = len(like), like.device
    return torch.zeros(count, 1, 2, device=device), torch.full((count, 1), PADDING, device=device)


def follow(program: Sam3Program, memory: Memory, levels: tuple[Tensor, Tensor, Tensor]) -> Decoded:
    """Finds the remembered objects on the next frame, and remembers that frame."""
    fine, middle, image = levels
    decoded = decode_prompt(program, (fine, middle, recall(program, memory, image)), *no_points(image))
    mask, token = decoded.best()
    there = decoded.object_logits > 0
    seen = torch.where(there.unsqueeze(-1), mask.float(), -1024.0)
    memory.frames.append(encode_memory(program, image, seen.sigmoid() * 20 - 10, decoded.object_logits))
    memory.pointers.append(program.object_pointer(token, decoded.object_logits))
    return decoded
