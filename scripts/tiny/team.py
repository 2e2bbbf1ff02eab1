"""Several processes that train one network: each draws scenes of its own, and they step down the mean of their gradients."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import nn


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Joins the processes that torchrun started, and leaves them at the end; alone there is nothing to join.

    A process that ends without leaving may abort: its threads still listen to the others.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    dist.init_process_group("gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """This process's number, 0 for the one that logs and saves."""
    return dist.get_rank() if dist.is_initialized() else 0


def mean_gradients(parameters: list[nn.Parameter]) -> None:
    """Gives every process the mean of all gradients; a parameter that had no gradient anywhere keeps none."""
    if not dist.is_initialized():
        return
    had = torch.tensor([float(p.grad is not None) for p in parameters])
    flat = torch.cat([had, *((p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters)])
    dist.all_reduce(flat)
    had, *means = flat.split([len(parameters), *(p.numel() for p in parameters)])
    for p, any_had, mean in zip(parameters, had.tolist(), means):
        p.grad = mean.view_as(p) / dist.get_world_size() if any_had else None


def agree(*values: float) -> list[float]:
    """The largest of each value over all processes: what they must be of one mind about, such as when a phase ends."""
    if not dist.is_initialized():
        return list(values)
    largest = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return largest.tolist()
