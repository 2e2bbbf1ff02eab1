"""Command line: `python -m scripts.tiny <command>`, from the root of the repository."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

import torch

from scripts.export.config import Sam3Config

from . import sprites
from .calibrate import calibrate
from .curves import draw_curves
from .export import WEIGHTS, mean_of, program_of, write_model
from .measure import BOXES_ONLY, evaluate
from .model import CONFIG
from .phases import FILE as PHASES
from .phases import read_phases
from .pictures import sheet
from .team import together
from .trainer import CHECKPOINT, LOG, Trainer
from .vocabulary import Vocabulary
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
    train.add_argument("--model", type=Path, help="a new run starts with the weights of this finished model")
    train.add_argument("--phase", help="start this phase anew, with the weights as they are")
    train.add_argument(
        "--phases", type=Path, default=PHASES, help="the phases (default: those for a CPU; phases-gpu.json)"
    )
    train.add_argument("--minutes", type=float, help="stop after these minutes; the same command goes on later")
    train.add_argument("--device", default="cpu")
    train.add_argument("--threads", type=int, default=1)
    train.add_argument("--seed", type=int, default=1)
    train.add_argument("--fp32", action="store_true", help="without bfloat16 autocast")

    evaluate = commands.add_parser("evaluate", help="all numbers, through the Node library, as a Markdown table")
    evaluate.add_argument("--model", default="demo", help="a model folder, or a name that the library knows")
    evaluate.add_argument("--seed", type=int, default=1)
    evaluate.add_argument("--scenes", type=int, default=200)
    evaluate.add_argument("--clips", type=int, default=20)

    measure = commands.add_parser("measure", help="quick numbers of a run on held-out scenes, in Python")
    measure.add_argument("--run", type=Path, required=True, help="folder of the run")
    measure.add_argument("--seed", type=int, default=1)
    measure.add_argument("--scenes", type=int, default=200)
    measure.add_argument("--hand", choices=("trained", "held-out"), default="trained", help="whose drawings are shown")
    measure.add_argument("--exemplars", action="store_true", help="ask with one positive box instead of words")
    measure.add_argument("--pictures", type=Path, help="writes a contact sheet here (PNG)")
    measure.add_argument("--device", default="cpu")
    measure.add_argument("--threads", type=int, default=1)

    export = commands.add_parser("export", help="the run's averaged weights as a model, for the repository to keep")
    export.add_argument("--run", type=Path, required=True)
    export.add_argument("--out", type=Path, default=WEIGHTS)

    average = commands.add_parser("average", help="the mean of the weights of finished models, as a model")
    average.add_argument("models", type=Path, nargs="+", help="folders that `export` wrote")
    average.add_argument("--out", type=Path, required=True)

    calibrate = commands.add_parser("calibrate", help="a finished model whose scores keep absent shapes below 0.5")
    calibrate.add_argument("model", type=Path, help="a folder that `export` wrote")
    calibrate.add_argument("--out", type=Path, required=True)
    calibrate.add_argument("--scenes", type=int, default=400)
    calibrate.add_argument("--seed", type=int, default=11)

    commands.add_parser("examples", help="the pictures of examples/")
    commands.add_parser("fixtures", help="what the tests need: held-out scenes, and what is true of them")

    curves = commands.add_parser("curves", help="the curves of a run as an SVG")
    curves.add_argument("--run", type=Path, required=True)
    curves.add_argument("--out", type=Path, required=True)
    return root


@together()
def train(options: argparse.Namespace) -> None:
    """Trains to the end of the phases, with an evaluation every half hour."""
    device = torch.device(options.device)
    phases, world = read_phases(options.phases), World.open(device)
    trainer = Trainer(world, CONFIG, phases, options.out, options.seed, not options.fp32, options.model)
    if options.phase:
        trainer.begin(options.phase)
    held_out = World.open(device, held_out=True)

    def measured(run: Trainer) -> dict[str, float]:
        return evaluate(held_out, run.averaged(), CONFIG, count=60) if run.phase.kind == "detector" else {}

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: trainer.stop())
    trainer.run(evaluate=measured, seconds=options.minutes * 60 if options.minutes else None)


def measure(options: argparse.Namespace) -> None:
    """Prints numbers of a run's averaged weights."""
    state = torch.load(options.run / CHECKPOINT, map_location=options.device)
    program = program_of(state).to(options.device)
    atlas = "atlas" if options.hand == "trained" else "held-out"
    world = World.open(torch.device(options.device), held_out=True, atlas=atlas)
    config = Sam3Config.from_dict(state["config"])
    if options.pictures:
        sheet(world, program, config, options.pictures, seed=options.seed)
    settings = BOXES_ONLY if options.exemplars else None
    numbers = evaluate(world, program, config, options.scenes, options.seed, settings=settings)
    about = {"phase": state["phase"], "step": state["step"], "core_minutes": round(state["seconds"] / 60, 1)}
    print(json.dumps(about | numbers))


def show(options: argparse.Namespace) -> None:
    """What is made of the finished model and of its world; this needs more than torch."""
    from .evaluation.report import report
    from .examples import write_examples
    from .fixtures import write_fixtures

    torch.set_num_threads(1)  # small steps, which would wait for one another
    if options.command == "examples":
        write_examples()
    elif options.command == "fixtures":
        write_fixtures()
    else:
        print(report(options.model, CONFIG.image_size, options.scenes, options.clips, options.seed))


def main() -> int:
    """Runs one command; returns the exit code."""
    options = parser().parse_args()
    try:
        if options.command == "sprites":
            sprites.make()
            return 0
        if options.command == "curves":
            draw_curves(options.run / LOG, options.out)
            return 0
        if options.command == "export":
            state = torch.load(options.run / CHECKPOINT, map_location="cpu")
            config = Sam3Config.from_dict(state["config"])
            write_model(program_of(state), config, Vocabulary.read(), options.out)
            return 0
        if options.command == "average":
            program, config = mean_of(options.models)
            write_model(program, config, Vocabulary.read(), options.out)
            return 0
        if options.command == "calibrate":
            program, config = mean_of([options.model])
            world = World.open_held_out()
            print(json.dumps(calibrate(world, program, config, options.scenes, options.seed)))
            write_model(program, config, Vocabulary.read(), options.out)
            return 0
        if options.command in ("examples", "fixtures", "evaluate"):
            show(options)
            return 0
        torch.set_num_threads(options.threads)
        torch.set_float32_matmul_precision(
            "high"
        )  # on a GPU: what autocast leaves in fp32 need not be exact to the last bit
        (train if options.command == "train" else measure)(options)
    except (FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
