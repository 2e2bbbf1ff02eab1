"""Programs that are run with a limit of time, and workers that answer JSON lines."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Outcome:
    """How a program ended: exit code (None: stopped at its limit), what it printed, seconds."""

    code: int | None
    output: str
    seconds: float

    @property
    def timed_out(self) -> bool:
        return self.code is None

    def tail(self, lines: int = 12) -> str:
        return "\n".join(self.output.strip().splitlines()[-lines:])


def _end(process: subprocess.Popen, grace: float = 3.0) -> None:
    """Stops a process and what it started: asked first, then forced."""
    for sign, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            pass
        try:
            process.wait(patience)
            return
        except subprocess.TimeoutExpired:
            continue


class Program:
    """A program that runs beside others; its output goes to a file, so that no pipe can fill up."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None):
        self.log, self.begun = log, time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, limit: float) -> Outcome:
        """Its end, or what it printed until `limit` seconds from now."""
        try:
            code: int | None = self.process.wait(max(0.1, limit))
        except subprocess.TimeoutExpired:
            _end(self.process)
            code = None
        return Outcome(code, self.log.read_text(errors="replace"), time.monotonic() - self.begun)


def run(command: list[str], log: Path, limit: float, env: dict[str, str] | None = None) -> Outcome:
    """Runs a program to its end or to its limit."""
    return Program(command, log, env).wait(limit)


class WorkerError(RuntimeError):
    """A worker ended, answered with an error or did not answer in time."""


class Worker:
    """A process that answers each JSON line with one JSON line."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None):
        log.parent.mkdir(parents=True, exist_ok=True)
        self.name, self.log, self.answers = Path(command[-1]).name, log, queue.Queue()
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **(env or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            if line.startswith("{"):  # libraries have words of their own
                self.answers.put(line)
        self.answers.put(None)

    def ask(self, request: dict, limit: float) -> dict:
        """The answer to one request.

        Raises:
            WorkerError: with the worker's own words where it has any.
        """
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.answers.get(timeout=max(0.1, limit))
        except queue.Empty:
            self.close()
            raise WorkerError(f"{self.name}: no answer in {limit:.0f} s") from None
        except BrokenPipeError:
            line = None
        if line is None:
            code = self.process.wait(10)
            words = self.log.read_text(errors="replace").strip().splitlines()[-4:]
            raise WorkerError(f"{self.name} ended with code {code}: " + " / ".join(words))
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        if self.process.poll() is None:
            _end(self.process, grace=1.0)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
