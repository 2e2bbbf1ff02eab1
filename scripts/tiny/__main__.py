"""Command line: `python -m scripts.tiny <command>`, from the root of the repository."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from . import sprites
from .model import CONFIG
from .phases import read_phases
from .trainer import Trainer
from .world import World


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    root = argparse.ArgumentParser(
        prog="python -m scripts.tiny", description="The small SAM 3 that the package embeds."
    )
    commands = root.add_subparsers(dest="command", required=True)
    commands.add_parser("sprites", help="installs the drawings (npm, pip) and builds the atlases in build/tiny")

    train = commands.add_parser("train", help="trains, or goes on where the run in --out stopped")
    train.add_argument("--out", type=Path, required=True, help="folder of the run: checkpoint.pt, log.jsonl")
    train.add_argument("--phase", help="start this phase anew, with the weights as they are")
    train.add_argument("--device", default="cpu")
    train.add_argument("--threads", type=int, default=1)
    train.add_argument("--seed", type=int, default=1)
    train.add_argument("--fp32", action="store_true", help="without bfloat16 autocast")
    return root


def main() -> int:
    """Runs one command; returns the exit code."""
    options = parser().parse_args()
    try:
        if options.command == "sprites":
            sprites.make()
            return 0
        torch.set_num_threads(options.threads)
        world = World.open(torch.device(options.device))
        trainer = Trainer(world, CONFIG, read_phases(), options.out, options.seed, not options.fp32)
        if options.phase:
            trainer.begin(options.phase)
        trainer.run()
    except (FileNotFoundError, StopIteration) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
