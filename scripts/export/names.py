"""Name maps: the tables expanded for one program. As JSON this is names.json, which the engine reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from torch import nn

from .config import Sam3Config
from .name_tables import IGNORED, Part, Row, Source, parts
from .program import FP32_PARAMETERS

FORMAT = "sam3-names/2"


def _pattern(template: str) -> re.Pattern[str]:
    text = re.escape(template)
    for key, expression in (("n", r"\d+"), ("m", r"\d+"), ("p", "weight|bias")):
        text = text.replace(rf"\{{{key}\}}", f"(?P<{key}>{expression})")
    return re.compile(text)


@dataclass(frozen=True)
class Entry:
    """One parameter of the program and its sources, fully named."""

    name: str
    shape: tuple[int, ...]
    part: str
    fp32: bool
    transformers: Source
    meta: Source


def entries(program: nn.Module, config: Sam3Config) -> list[Entry]:
    """Every parameter of `program`, in its order.

    Raises:
        LookupError: a parameter has no line in the tables (the network and the tables disagree).
    """
    tables = [(part, [(_pattern(row.program), row) for row in part.rows]) for part in parts(config)]
    found = []
    for name, parameter in program.named_parameters():
        found.append(_entry(name, tuple(parameter.shape), tables))
    return found


def _entry(name: str, shape: tuple[int, ...], tables: list[tuple[Part, list[tuple[re.Pattern[str], Row]]]]) -> Entry:
    for part, rows in tables:
        if not name.startswith(part.program):
            continue
        for pattern, row in rows:
            match = pattern.fullmatch(name[len(part.program) :])
            if match:
                groups = match.groupdict()
                sources = []
                for prefix, source in ((part.transformers, row.transformers), (part.meta, row.meta)):
                    sources.append(
                        Source(source.op, tuple(prefix + n.format(**groups) for n in source.names), source.shape)
                    )
                return Entry(name, shape, part.name, name in FP32_PARAMETERS, sources[0], sources[1])
    raise LookupError(f"no name map for the parameter {name}")


def names_json(program: nn.Module, config: Sam3Config) -> dict[str, Any]:
    """The content of names.json."""
    tensors = [
        {
            "name": e.name,
            "shape": list(e.shape),
            "part": e.part,
            "fp32": e.fp32,
            "transformers": e.transformers.to_json(),
            "meta": e.meta.to_json(),
        }
        for e in entries(program, config)
    ]
    return {
        "format": FORMAT,
        "architecture": config.architecture(),
        "config_checks": config.checks(),
        "tensors": tensors,
        "ignored": IGNORED,
    }
