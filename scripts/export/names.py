"""Name maps: the tables expanded for one program. As JSON this is names.json, which the engine reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from torch import nn

from .config import Sam3Config
from .name_tables import IGNORED, Part, Row, Source, namings, parts
from .program import FP32_PARAMETERS

FORMAT = "sam3-names/2"


def _pattern(template: str) -> re.Pattern[str]:
    text = re.escape(template)
    for key, expression in (("n", r"\d+"), ("m", r"\d+"), ("p", "weight|bias")):
        text = text.replace(rf"\{{{key}\}}", f"(?P<{key}>{expression})")
    return re.compile(text)


@dataclass(frozen=True)
class Entry:
    """One parameter of the program and its source in each naming scheme, fully named."""

    name: str
    shape: tuple[int, ...]
    part: str
    fp32: bool
    sources: dict[str, Source]


def entries(program: nn.Module, config: Sam3Config) -> list[Entry]:
    """Every parameter of `program`, in its order.

    Raises:
        LookupError: a parameter has no line in the tables (the network and the tables disagree).
    """
    tables = [(part, [(_pattern(row.program), row) for row in part.rows]) for part in parts(config)]
    found = []
    for name, parameter in program.named_parameters():
        found.append(_entry(name, tuple(parameter.shape), tables, namings(config)))
    return found


def _entry(
    name: str,
    shape: tuple[int, ...],
    tables: list[tuple[Part, list[tuple[re.Pattern[str], Row]]]],
    schemes: tuple[str, ...],
) -> Entry:
    for part, rows in tables:
        if not name.startswith(part.program):
            continue
        for pattern, row in rows:
            match = pattern.fullmatch(name[len(part.program) :])
            if match:
                groups = match.groupdict()
                sources = {}
                for scheme in schemes:
                    prefix, source = getattr(part, scheme), getattr(row, scheme)
                    names = tuple(prefix + n.format(**groups) for n in source.names)
                    sources[scheme] = Source(source.op, names, source.shape)
                return Entry(name, shape, part.name, name in FP32_PARAMETERS, sources)
    raise LookupError(f"no name map for the parameter {name}")


def names_json(program: nn.Module, config: Sam3Config) -> dict[str, Any]:
    """The content of names.json."""
    tensors = [
        {
            "name": e.name,
            "shape": list(e.shape),
            "part": e.part,
            "fp32": e.fp32,
            **{scheme: source.to_json() for scheme, source in e.sources.items()},
        }
        for e in entries(program, config)
    ]
    return {
        "format": FORMAT,
        "architecture": config.architecture(),
        "config_checks": config.checks(),
        "tensors": tensors,
        "ignored": {scheme: IGNORED[scheme] for scheme in namings(config)},
    }
