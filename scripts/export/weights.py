"""Binding a weight file to the program, by the name map."""

from __future__ import annotations

from fnmatch import fnmatchcase

import torch
from torch import Tensor

from .config import Sam3Config
from .kinds import kind_of_config, kind_of_weights
from .name_tables import IGNORED, Source
from .names import Entry, entries
from .program import build
from .program_base import ProgramBase
from .weight_files import WeightFile, WeightsError


def assembled_shape(source: Source, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape that `source.op` makes of tensors of these shapes."""
    first = shapes[0]
    if source.op == "concat":
        return (sum(s[0] for s in shapes), *first[1:])
    if source.op == "drop_first":
        return (first[0], first[1] - 1, *first[2:])
    return first


def assemble(source: Source, tensors: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Applies `source.op`."""
    first = tensors[0]
    if source.op == "concat":
        return torch.cat(tensors, 0)
    if source.op == "drop_first":
        return first[:, 1:]
    return first.reshape(shape)


def check(config: Sam3Config, found: list[Entry], file: WeightFile) -> None:
    """Compares names and shapes of a file with what the program needs.

    Raises:
        WeightsError: the file is of the other kind of model; or lists every missing, unexpected and mis-shaped tensor.
    """
    wanted, got = kind_of_config(config), kind_of_weights(file)
    if got is not None and got != wanted:
        raise WeightsError(
            f"the weight file is of {got.title}, the configuration of {wanted.title}: use those of one model"
        )
    shapes = file.shapes()
    missing, wrong, used = [], [], set()
    for entry in found:
        source = entry.sources[file.naming]
        used.update(source.names)
        absent = [n for n in source.names if n not in shapes]
        missing.extend(absent)
        if absent:
            continue
        got = assembled_shape(source, [shapes[n] for n in source.names])
        expected = source.shape or entry.shape
        if got != expected or any(shapes[n][1:] != shapes[source.names[0]][1:] for n in source.names):
            listed = ", ".join(f"{n} {list(shapes[n])}" for n in source.names)
            wrong.append(f"{listed} should make {list(expected)}")
    unexpected = [
        n for n in shapes if n not in used and not any(fnmatchcase(n, pattern) for pattern in IGNORED[file.naming])
    ]
    problems = [("missing", missing), ("unexpected", unexpected), ("mis-shaped", wrong)]
    lines = [f"{len(names)} {what}: " + "; ".join(names) for what, names in problems if names]
    if lines:
        raise WeightsError("the weight file does not fit this SAM 3 configuration. " + ". ".join(lines))


def load(config: Sam3Config, file: WeightFile, dtype: torch.dtype = torch.float32) -> ProgramBase:
    """The program in eager mode with the weights of `file`, cast to `dtype` except where the map says fp32.

    Raises:
        WeightsError: the file does not fit (see check).
    """
    program = build(config, "meta")
    found = entries(program, config)
    check(config, found, file)
    state = {}
    for entry in found:
        source = entry.sources[file.naming]
        tensor = assemble(source, [file.read(n) for n in source.names], entry.shape)
        state[entry.name] = tensor.to(torch.float32 if entry.fp32 else dtype, copy=True).contiguous()
    program.load_state_dict(state, strict=True, assign=True)
    return program.requires_grad_(False)
