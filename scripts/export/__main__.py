"""Command line: `python -m scripts.export <command>`, from the root of the repository."""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from pathlib import Path

import torch

from .checkpoint import write_checkpoint
from .config import Sam3Config
from .kinds import KINDS, read_config
from .names import names_json
from .precision import precision_table
from .program import build, script
from .random_weights import random_program, save_weights
from .weight_files import WeightsError, open_weights

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def write_program(config: Sam3Config, out: Path) -> None:
    """Writes program.pt (no weights inside: its parameters are on the meta device) and names.json."""
    out.mkdir(parents=True, exist_ok=True)
    program = build(config, "meta")
    torch.jit.save(script(program), str(out / "program.pt"))
    (out / "names.json").write_text(json.dumps(names_json(program, config), indent=1) + "\n")


def write_random(config: Sam3Config, out: Path, seed: int, dtype: torch.dtype, tokenizer: str | None) -> None:
    """Writes a model folder in the form of the Hugging Face repository."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(config.to_dict(), indent=2) + "\n")
    save_weights(random_program(config, seed, dtype), config, out / "model.safetensors")
    if tokenizer:
        (out / "tokenizer.json").write_bytes(Path(tokenizer).read_bytes())


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    root = argparse.ArgumentParser(prog="python -m scripts.export", description="Exports SAM 3 for sam3-node.")
    commands = root.add_subparsers(dest="command", required=True)

    program = commands.add_parser("program", help="the network without weights: program.pt and names.json")
    program.add_argument("--config", help="config.json of the model (default: facebook/sam3)")
    program.add_argument("--kind", choices=KINDS, help="kind of the model, where its config.json does not tell")
    program.add_argument("--out", type=Path, required=True)

    checkpoint = commands.add_parser("checkpoint", help="network, weights, configuration and tokenizer in one .pt file")
    checkpoint.add_argument(
        "--weights",
        required=True,
        help="model.safetensors, model.safetensors.index.json, sam3.pt or sam3.1_multiplex.pt; they tell the kind",
    )
    checkpoint.add_argument("--config", help="config.json of the model (default: facebook/sam3)")
    checkpoint.add_argument("--tokenizer", help="tokenizer.json of the model")
    checkpoint.add_argument("--dtype", choices=DTYPES, default="float32")
    checkpoint.add_argument("--out", type=Path, required=True)

    random = commands.add_parser("random", help="a model folder with seeded random weights")
    random.add_argument("--config", help="config.json (default: facebook/sam3)")
    random.add_argument("--kind", choices=KINDS, help="kind of the model, where its config.json does not tell")
    random.add_argument("--tokenizer", help="tokenizer.json to copy into the folder")
    random.add_argument("--seed", type=int, default=0)
    random.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    random.add_argument("--out", type=Path, required=True)

    precision = commands.add_parser(
        "precision", help="errors of bfloat16 and float16 against float32, as a Markdown table"
    )
    precision.add_argument("--weights", help="weight file (default: random weights)")
    precision.add_argument("--config", help="config.json (default: facebook/sam3)")
    precision.add_argument("--kind", choices=KINDS, help="kind of the model, where its config.json does not tell")
    precision.add_argument("--input-size", type=int, help="side of the input in pixels (default: the model's)")
    return root


def main() -> int:
    """Runs one command; returns the exit code."""
    options = parser().parse_args()
    # torch announces that TorchScript gets no new features; it is what LibTorch loads, so the notice is no news here.
    warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
    start = time.perf_counter()
    try:
        weights = open_weights(options.weights) if getattr(options, "weights", None) else None
        config = read_config(options.config, weights, KINDS.get(getattr(options, "kind", None)))
        if options.command == "precision":
            print(precision_table(config, weights, options.input_size or config.image_size))
            return 0
        if options.command == "program":
            write_program(config, options.out)
        elif options.command == "checkpoint":
            dtype = DTYPES[options.dtype]
            write_checkpoint(config, weights, dtype, options.config, options.tokenizer, options.out)
        else:
            write_random(config, options.out, options.seed, DTYPES[options.dtype], options.tokenizer)
    except (WeightsError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.command}: {options.out} ({time.perf_counter() - start:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
