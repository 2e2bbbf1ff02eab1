"""A trained run as a model folder in the form of facebook/sam3, so that nothing in the library knows that it is special."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from scripts.export.config import Sam3Config
from scripts.export.names import names_json
from scripts.export.program import FP32_PARAMETERS, Sam3Program, build, script
from scripts.export.random_weights import save_transformers

from .tokenizer import TinyTokenizer


def program_of(checkpoint: dict) -> Sam3Program:
    """The network with the averaged weights of a checkpoint, fp32, in eager mode."""
    program = build(Sam3Config.from_dict(checkpoint["config"]))
    with torch.no_grad():
        for name, parameter in program.named_parameters():
            parameter.copy_(checkpoint["average"][name])
    return program


def write_model(program: Sam3Program, config: Sam3Config, tokenizer: TinyTokenizer, out: Path) -> None:
    """Writes config.json, model.safetensors (fp16), tokenizer.json, program.pt and names.json."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(config.to_dict(), indent=2) + "\n")
    (out / "tokenizer.json").write_text(json.dumps(tokenizer.to_json(), ensure_ascii=False) + "\n")
    halved = build(config)
    for (name, parameter), (_, trained) in zip(halved.named_parameters(), program.named_parameters()):
        parameter.data = trained.detach().to(torch.float32 if name in FP32_PARAMETERS else torch.float16)
    save_transformers(halved, config, out / "model.safetensors")
    empty = build(config, "meta")
    torch.jit.save(script(empty), str(out / "program.pt"))
    (out / "names.json").write_text(json.dumps(names_json(empty, config), indent=1) + "\n")
