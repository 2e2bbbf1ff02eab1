"""Self-contained checkpoints: program, weights, configuration and tokenizer in one TorchScript file."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from .config import Sam3Config
from .program import FP32_PARAMETERS, script
from .weight_files import WeightFile
from .weights import load

FORMAT = "sam3-checkpoint/2"


def write_checkpoint(
    config: Sam3Config,
    file: WeightFile,
    dtype: torch.dtype,
    config_path: str | None,
    tokenizer_path: str | None,
    out: Path,
) -> None:
    """Writes `out`; its extra files are sam3.json, config.json and tokenizer.json.

    sam3.json says format, dtype, architecture, and which parameters stay fp32 when the engine casts to another dtype.

    Raises:
        WeightsError: the weights do not fit the configuration.
    """
    program = load(config, file, dtype)
    about = {
        "format": FORMAT,
        "dtype": str(dtype).removeprefix("torch."),
        "architecture": config.architecture(),
        "fp32": [name for name in FP32_PARAMETERS if name in dict(program.named_parameters())],
    }
    text = Path(config_path).read_text() if config_path else json.dumps(config.to_dict(), indent=2)
    extra = {"sam3.json": json.dumps(about), "config.json": text}
    if tokenizer_path:
        extra["tokenizer.json"] = Path(tokenizer_path).read_text()
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.save(script(program), str(out), _extra_files=extra)
