"""Steps with a limit of time each: one that fails, or takes too long, does not stop the others."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# Seconds without which no step begins.
LEAST = 5.0


class StepFailed(Exception):
    """What a step found wrong, in one line; what it measured before is kept."""


@dataclass
class Result:
    """What a step leaves: JSON for the report, and Markdown lines to be shown."""

    outcome: str = "passed"
    seconds: float = 0.0
    data: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


class Clock:
    """The time of one step, inside that of the whole check."""

    def __init__(self, end: float):
        self.end = end

    def left(self) -> float:
        return self.end - time.monotonic()

    def at_most(self, seconds: float) -> float:
        return max(0.1, min(seconds, self.left()))


@dataclass(frozen=True)
class Step:
    """`run` gets the step's clock and the result to fill in; what it raises is the outcome."""

    name: str
    limit: float
    run: Callable[[Clock, Result], None]
    needs: tuple[str, ...] = ()


def run_steps(steps: list[Step], limit: float, written: Callable[[dict[str, Result]], None]) -> dict[str, Result]:
    """Runs the steps in order within `limit` seconds; `written` is called after each with all results so far."""
    results: dict[str, Result] = {}
    end = time.monotonic() + limit
    for step in steps:
        result = results[step.name] = Result()
        begun = time.monotonic()
        missing = [name for name in step.needs if name in results and not results[name].outcome.startswith("passed")]
        if missing:
            result.outcome = f"not begun: needs {', '.join(missing)}"
        elif end - begun < LEAST:
            result.outcome = "not begun: no time left"
        else:
            clock = Clock(min(end, begun + step.limit))
            print(f"== {step.name} (at most {clock.left():.0f} s)", flush=True)
            try:
                step.run(clock, result)
            except StepFailed as failure:
                result.outcome = f"failed: {failure}"
            except Exception as error:
                traceback.print_exc()
                result.outcome = f"failed: {type(error).__name__}: {error}"
            if clock.left() <= 0 and result.outcome != "passed":
                result.outcome = f"cut off after {step.limit:.0f} s: {result.outcome.removeprefix('failed: ')}"
        result.seconds = time.monotonic() - begun
        print(f"   {result.outcome} ({result.seconds:.1f} s)", *result.lines, sep="\n   ", flush=True)
        written(results)
    return results
