"""`scripts/gpu-check`: see --help."""

from __future__ import annotations

import argparse
import functools
import signal
import sys
from pathlib import Path

from .build import begin_inputs, build, end_goldens, end_models
from .compare import compare
from .context import Check
from .first_calls import first_calls
from .kernels import stages, timeline
from .machine import facts
from .native_tests import native_tests
from .node import node_tests
from .own_kernels import own_kernels
from .pack import pack
from .processes import ROOT
from .report import Report
from .steps import Clock, Result, Step, StepFailed, run_steps
from .throughput import throughput
from .video import video


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="scripts/gpu-check",
        description="Builds the engine against this Python's torch (>= 2.7), runs the native tests on the device in "
        "float32, compares all dtypes with the CPU, times images and videos against transformers, and shows where the "
        "device's time goes. Needs torch, transformers, tokenizers, Pillow, CMake and g++; neither network nor Node. "
        "Where Node and node_modules are beside it, the Node tests follow. The report is written after every step.",
    )
    made.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (to check this script itself)")
    made.add_argument("--quick", action="store_true", help="leave out what takes longest")
    made.add_argument("--limit", type=float, default=480, help="seconds in all (480)")
    made.add_argument("--only", help="steps, by the first words of their names, with commas between")
    made.add_argument("--skip", help="steps to leave out, likewise")
    made.add_argument("--model", type=Path, help="folder with config.json and model.safetensors (random weights)")
    made.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="folder of the report")
    made.add_argument(
        "--pause-pid", type=Path, help="file with the number of a process to stop while something is timed"
    )
    made.add_argument(
        "--pack", nargs="*", type=Path, metavar="FOLDER", help="only prepare .gpu/ and say what must travel"
    )
    made.add_argument(
        "--libtorch",
        type=Path,
        help="with --pack: torch folder of a wheel of that machine's version, to build for it here",
    )
    made.add_argument("--scratch", type=Path, help="folder to work in, kept (default: build/gpu)")
    return made


def engine_loads(check: Check, clock: Clock, result: Result) -> None:
    """The goldens' model on the device: does the engine start there at all?"""
    with check.native("engine") as worker:
        loaded = worker.ask(check.golden_model(check.device, "float32"), clock.left())
        result.data = loaded
        answer = worker.ask({"kind": "segment", "texts": check.tokens("cat"), "repeats": 2}, clock.left())
    if not loaded["device"].startswith(check.device.split(":")[0]):
        raise StepFailed(f"asked for {check.device}, got {loaded['device']}")
    result.lines.append(
        f"Devices: {loaded['devices']}. The goldens' model is ready on {loaded['device']} after "
        f"{loaded['ms'] / 1e3:.1f} s; {answer['masks']:.0f} masks of one image in {answer['ms']:.1f} ms."
    )


def steps_of(check: Check) -> list[Step]:
    """In order of worth, once what they need is there."""
    named = [
        ("build", 240, build, ()),
        ("goldens", 90, end_goldens, ()),
        ("engine starts on the device", 60, engine_loads, ("build", "goldens")),
        ("comparison of dtypes", 60, compare, ("build", "goldens")),
        ("native tests", 100, native_tests, ("build", "goldens")),
        ("models", 90, end_models, ()),
        ("throughput", 130, throughput, ("build", "models")),
        ("own kernels on and off", 60, own_kernels, ("build", "models")),
        ("timeline of the engine", 60, timeline, ("build", "models")),
        ("stages of the program", 75, stages, ("models",)),
        ("first calls", 60, first_calls, ("build", "models")),
        ("video", 90, video, ("build", "models")),
        ("Node tests", 300, node_tests, ("build",)),
    ]
    return [Step(name, limit, functools.partial(run, check), needs) for name, limit, run, needs in named]


def chosen(steps: list[Step], only: str | None, skip: str | None) -> list[Step]:
    """The steps that are asked for, and what they need."""

    def matches(step: Step, words: str) -> bool:
        return any(step.name.lower().startswith(one.strip().lower()) for one in words.split(","))

    left = [step for step in steps if not (skip and matches(step, skip))]
    kept = [step for step in left if not only or matches(step, only)]
    if not kept:
        raise SystemExit("No step is left. Steps: " + ", ".join(step.name for step in steps))
    needed = {name for step in kept for name in step.needs}
    return [step for step in left if step in kept or step.name in needed]


def main() -> int:
    """Runs the steps; 1 where one failed."""
    options = parser().parse_args()
    if options.pack is not None:
        return pack(options.pack, options.libtorch, (options.scratch or ROOT / "build" / "gpu") / "carried")
    # A stop from outside takes the way of an error, so that what runs beside is ended and the report is there.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    known = facts(options.device)
    scratch = (options.scratch or ROOT / "build" / "gpu").resolve()
    check = Check(options.device, options.quick, known, scratch, options.model, options.pause_pid)
    print(f"== {known['gpu']}, torch {known['torch']}, CUDA {known['cuda']}, {known['cores']} cores", flush=True)
    report = Report(options.out, known)
    try:
        steps = chosen(steps_of(check), options.only, options.skip)
        begin_inputs(check)
        results = run_steps(steps, options.limit, report.write)
    finally:
        for *_, program in check.inputs:
            program.wait(0.1)
    print("\n".join(["", *report.markdown(results)]))
    return 0 if all(one.outcome.startswith(("passed", "not begun: no Node")) for one in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
