"""The kinds of model that there are, and how a configuration or a file of weights tells which one it belongs to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from .config import Sam3Config
from .multiplex_config import MultiplexConfig
from .weight_files import WeightFile


@dataclass(frozen=True)
class Kind:
    """One kind. `marks` are patterns for names of tensors that no other kind has."""

    name: str
    title: str
    config: type[Sam3Config]
    marks: tuple[str, ...]


SAM3 = Kind(
    "sam3", "SAM 3", Sam3Config, ("*.sam2_convs.*", "tracker.sam_prompt_encoder.*", "tracker_neck.*", "tracker_model.*")
)
MULTIPLEX = Kind(
    "sam3.1",
    "SAM 3.1 (Object Multiplex)",
    MultiplexConfig,
    ("*.interactive_convs.*", "*.propagation_convs.*", "tracker.model.*"),
)
KINDS = {kind.name: kind for kind in (SAM3, MULTIPLEX)}


def kind_of_config(config: Sam3Config) -> Kind:
    """The kind that a configuration is of."""
    return next(kind for kind in KINDS.values() if type(config) is kind.config)


def kind_of_weights(file: WeightFile) -> Kind | None:
    """The kind that a file of weights is of. None where nothing tells: the detectors of all kinds have the same tensors."""
    for kind in KINDS.values():
        if any(fnmatchcase(name, mark) for name in file.shapes() for mark in kind.marks):
            return kind
    return None


def read_config(path: str | Path | None, weights: WeightFile | None = None, kind: Kind | None = None) -> Sam3Config:
    """config.json at `path`, or the configuration of Meta's own model.

    The weights say of which kind it is; where they do not, `kind`, else the file itself, else it is SAM 3.

    Raises:
        ValueError: as Sam3Config.from_dict, or the file describes another kind than that of the weights.
    """
    about = json.loads(Path(path).read_text()) if path else None
    kind = (kind_of_weights(weights) if weights else None) or kind
    if kind is None:
        kind = MULTIPLEX if about and "multiplex" in about else SAM3
    elif about and "multiplex" in about and kind is not MULTIPLEX:
        raise ValueError(f"{path} is of {MULTIPLEX.title}, but {kind.title} is asked for: use the files of one model")
    return kind.config() if about is None else kind.config.from_dict(about)
