"""The training loop: phases one after another, resumable at any moment, with a log and a moving average."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from scripts.export.config import Sam3Config
from scripts.export.program import Sam3Program
from scripts.export.weight_files import open_weights
from scripts.export.weights import load

from .bank import ClipBank
from .export import program_of
from .learner import Average, Learner, Optimizers
from .phases import Phase
from .scenes import seed_of
from .steps import STEPS
from .team import agree, rank
from .world import World

CHECKPOINT, LOG, CLIPS = "checkpoint.pt", "log.jsonl", "clips"
# A step that took longer was stopped in between: the rest does not count as time of its phase. Seconds.
LONGEST_STEP = 5.0
# Apart from one another by this are the seeds of processes that train together.
MEMBER = 1_000_003


class Trainer:
    """One run in one folder, from nothing or, where the folder is new and a `model` is named, from that one's weights. What a step does follows from the run's seed and its number alone, so a run that was stopped goes on as if it had not been."""

    def __init__(
        self,
        world: World,
        config: Sam3Config,
        phases: list[Phase],
        out: Path,
        seed: int = 1,
        bf16: bool = True,
        model: Path | None = None,
    ):
        self.world, self.phases, self.out, self.seed, self.bf16 = world, phases, out, seed, bf16
        self.learner = Learner(config, len(world.vocabulary.items), seed).to(world.device)
        self.average = Average(self.learner.program)
        self.phase, self.step = phases[0], 0
        self.total = 0  # steps of all phases: what seeds count by
        self.seconds = 0.0  # of the processor, in all phases
        self.elapsed = 0.0  # wall time of the steps of this phase, seconds
        self.painted: tuple[str, int] | None = None  # the phase and the first step of the scenes that are painted ahead
        self.optimizers: Optimizers | None = None
        self.stopping = False
        out.mkdir(parents=True, exist_ok=True)
        if (out / CHECKPOINT).is_file():
            self._load(torch.load(out / CHECKPOINT, map_location=world.device))
        elif model:
            self._start_from(model)

    def begin(self, name: str) -> None:
        """Goes to the start of a phase and prepares the weights as it wants them.

        "average": what no later phase trains is kept as it will be exported; "copy_neck": the tracker starts with the detector's neck;
        "unit_neck", "unit_tracker_neck": features are brought to the scale of positions.
        """
        self._enter(name)
        for deed in self.phase.prepare:
            if deed == "average":
                self.average.into(self.learner.program)
            elif deed == "copy_neck":
                self.learner.copy_neck()
            elif deed in ("unit_neck", "unit_tracker_neck"):
                side, seed = self.learner.config.image_size, seed_of(self.seed, self.total)
                pixels = self.world.scenes(self.phase.scenes, 16, side, seed).pixels
                program = self.learner.program
                self.learner.unit_neck(program.detector_neck if deed == "unit_neck" else program.tracker_neck, pixels)
            else:
                raise ValueError(f"phases.json: nothing is called {deed!r}")
        # Parts that the phase before did not train are averaged at their start: that is soon forgotten.
        self.average.steps = 0

    def _enter(self, name: str) -> None:
        named = {phase.name: phase for phase in self.phases}
        if name not in named:
            raise ValueError(f"no phase is called {name!r}: there are {', '.join(named)}")
        self.phase, self.step, self.elapsed, self.optimizers = named[name], 0, 0.0, None
        self.learner.bank = None

    def run(
        self,
        save_every: float = 300,
        log_every: int = 25,
        stop_after: int | None = None,
        seconds: float | None = None,
        evaluate: Callable[[Trainer], dict] | None = None,
        evaluate_every: float = 1800,
    ) -> None:
        """Trains to the end of the last phase, or for `stop_after` steps or `seconds`. `evaluate` gives numbers for the log, none where a phase has none."""
        begun_at = saved = measured = time.perf_counter()
        sums: dict[str, torch.Tensor] = {}
        counted, begun = 0, time.process_time()
        while not self._stopped() and (stop_after is None or stop_after > 0):
            if self.phase.done(self.step, self.elapsed) >= 1:
                if not self._next_phase():
                    break
                sums, counted = {}, 0
            for name, value in self.take_step().items():
                sums[name] = sums.get(name, 0.0) + value
            counted += 1
            stop_after = None if stop_after is None else stop_after - 1
            now = time.perf_counter()
            if seconds is not None and now - begun_at > seconds:
                self.stop()
            if self.step % log_every == 0:
                self.seconds += time.process_time() - begun
                begun = time.process_time()
                self._log({k: float(v) / counted for k, v in sums.items()})
                sums, counted = {}, 0
            if now - saved > save_every:
                self.save()
                saved = now
            if evaluate and now - measured > evaluate_every:
                if numbers := evaluate(self):
                    self._log({"evaluation": numbers})
                measured = time.perf_counter()
        self.save()

    def stop(self) -> None:
        """Ends `run` after the present step; it saves and returns."""
        self.stopping = True

    def _stopped(self) -> bool:
        """Whether any of the processes that train together was asked to stop; brings their clocks together."""
        self.elapsed, stopping = agree(self.elapsed, float(self.stopping))
        return bool(stopping)

    def take_step(self) -> dict[str, torch.Tensor]:
        """One step of the present phase: its losses and the norm of the gradient, still on the device."""
        phase, begun = self.phase, time.perf_counter()
        if self.optimizers is None:
            self.optimizers = Optimizers(self.learner.trained(phase), phase)
        seed = self._seed(self.total)
        if phase.ahead > 1:
            self._paint_ahead()
        if phase.bank and not self.learner.bank:
            self.learner.bank = self.bank()
        with torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.bf16):
            losses = STEPS[phase.kind](self.world, self.learner, phase, seed)
        total = sum(weight * losses[name] for name, weight in phase.losses.items())
        norm = self.optimizers.step(total, phase.rate(self.step, self.elapsed))
        self.average.update(self.learner.program, phase.ema)
        self.step += 1
        self.total += 1
        self.elapsed += min(time.perf_counter() - begun, LONGEST_STEP)
        return {"norm": norm} | {k: v.detach() for k, v in losses.items()}

    def _seed(self, step: int) -> int:
        """The seed of a step, counted over all phases, in this process."""
        return seed_of(self.seed + MEMBER * rank(), step)

    def bank(self) -> ClipBank:
        """The clips that the present phase follows again and again."""
        phase, config = self.phase, self.learner.config
        folder = self.out / CLIPS if self.world.device.type == "cpu" else None
        return ClipBank(self.world, self.learner.program.vision_encoder, phase, config.image_size, folder, self.seed)

    def _paint_ahead(self) -> None:
        """Paints the scenes of this step and of those after it, where it is the first of `ahead` steps, or a stopped run goes on among them."""
        phase, first = self.phase, self.total - self.step % self.phase.ahead
        if self.painted != (phase.name, first):
            self.painted = (phase.name, first)
            seeds = [self._seed(first + i) for i in range(phase.ahead)]
            self.world.paint_ahead(phase.scenes, phase.batch, self.learner.config.image_size, seeds)

    def averaged(self) -> Sam3Program:
        """The network with the averaged weights, as it would be exported."""
        return program_of({"config": self.learner.config.to_dict(), "average": self.average.weights}).to(
            self.world.device
        )

    def _next_phase(self) -> bool:
        """Keeps the weights that a phase ends with and goes to the next; False after the last."""
        self.save(self.out / f"{self.phase.name}.pt")
        index = self.phases.index(self.phase) + 1
        if index == len(self.phases):
            return False
        self.begin(self.phases[index].name)
        return True

    def save(self, path: Path | None = None) -> None:
        """Writes the checkpoint; a stop half-way leaves the one before."""
        if rank() > 0:
            return
        path = path or self.out / CHECKPOINT
        state = {
            "learner": self.learner.state_dict(),
            "average": self.average.weights,
            "average_steps": self.average.steps,
            "optimizers": self.optimizers.state_dict() if self.optimizers else None,
            "phase": self.phase.name,
            "step": self.step,
            "total": self.total,
            "seconds": self.seconds,
            "elapsed": self.elapsed,
            "config": self.learner.config.to_dict(),
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, path)

    def _load(self, state: dict) -> None:
        # Heads that an older checkpoint does not know start as they were drawn, and its optimizers anew.
        heads = {n: w for n, w in self.learner.state_dict().items() if not n.startswith("program.")}
        self.learner.load_state_dict(heads | state["learner"])
        self.average.weights, self.average.steps = state["average"], state["average_steps"]
        self.total, self.seconds = state["total"], state["seconds"]
        self._enter(state["phase"])
        self.step, self.elapsed = state["step"], state.get("elapsed", 0.0)
        if state["optimizers"] and heads.keys() <= state["learner"].keys():
            self.optimizers = Optimizers(self.learner.trained(self.phase), self.phase)
            self.optimizers.load_state_dict(state["optimizers"])

    def _start_from(self, model: Path) -> None:
        """Starts with the weights of a finished model; the heads of training start as they were drawn."""
        state = load(self.learner.config, open_weights(model / "model.safetensors")).state_dict()
        self.learner.program.load_state_dict(state)
        self.average = Average(self.learner.program)

    def _log(self, values: dict) -> None:
        if rank() > 0:
            return
        entry = {
            "phase": self.phase.name,
            "step": self.step,
            "total": self.total,
            "core_minutes": round(self.seconds / 60, 2),
        }
        entry |= {"rate": self.phase.rate(self.step, self.elapsed)} | values
        rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in entry.items()}
        with (self.out / LOG).open("a") as file:
            file.write(json.dumps(rounded) + "\n")
