"""What the steps of one check share: options, facts, folders."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .machine import library_path
from .processes import ROOT, Program, Worker


@dataclass
class Check:
    """`scratch` holds what is made on the way, and is kept: a second check finds its models and its build."""

    device: str
    quick: bool
    facts: dict[str, Any]
    scratch: Path
    model: Path | None
    pause: Path | None
    inputs: list[tuple[str, Path, Program]] = field(default_factory=list)

    @property
    def build(self) -> Path:
        return self.scratch / "build"

    @property
    def on_gpu(self) -> bool:
        return self.device.startswith("cuda")

    @property
    def small(self) -> bool:
        """On a CPU a network of the sizes of the goldens stands for the true one."""
        return not self.on_gpu

    @property
    def config(self) -> Path | None:
        """The network that is timed; None: the true one."""
        if self.model:
            return self.model / "config.json"
        return ROOT / "test" / "fixtures" / "golden" / "model" / "config.json" if self.small else None

    @property
    def folder(self) -> Path:
        """The model that is timed: config.json and model.safetensors."""
        return self.model or self.scratch / ("small" if self.small else "random")

    @property
    def program(self) -> Path:
        return self.scratch / ("small-program" if self.small else "program")

    @property
    def native_environment(self) -> dict[str, str]:
        return library_path(self.facts["libtorch"])

    def python(self, *arguments: str) -> list[str]:
        return [sys.executable, *arguments]

    def log(self, name: str) -> Path:
        return self.scratch / "logs" / f"{name}.log"

    def native(self, name: str, **environment: str) -> Worker:
        names = {**self.native_environment, **environment}
        return Worker([str(self.build / "sam3_native_bench")], self.log(name), names)

    def timed_model(self, device: str, dtype: str) -> dict[str, Any]:
        """The first request to a worker: the model at the size that is timed."""
        return {
            "program": str(self.program / "program.pt"),
            "names": str(self.program / "names.json"),
            "weights": str(self.folder / "model.safetensors"),
            "folder": str(self.folder),
            "device": device,
            "dtype": dtype,
        }

    def golden_model(self, device: str, dtype: str) -> dict[str, Any]:
        """The same for the goldens' model."""
        program = self.scratch / "goldens" / "program"
        return {
            "program": str(program / "program.pt"),
            "names": str(program / "names.json"),
            "weights": str(ROOT / "test" / "fixtures" / "golden" / "model" / "model.safetensors"),
            "device": device,
            "dtype": dtype,
        }

    def tokens(self, *texts: str) -> list[list[int]]:
        known = json.loads((self.scratch / "goldens" / "tokens.json").read_text())
        return [known[text] for text in texts]
