"""What this machine is, and a process that is stopped while something is timed."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def facts(device: str) -> dict[str, Any]:
    """Versions, and the GPU's name, memory and capability.

    Raises:
        SystemExit: this Python's torch does not reach the device.
    """
    import torch

    found = {
        "gpu": "cpu",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "driver": _driver(),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "libtorch": torch.__path__[0],
    }
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            raise SystemExit(f"This machine cannot run the check: torch {torch.__version__} sees no GPU.")
        seen = torch.cuda.get_device_properties(torch.device(device).index or 0)
        found["gpu"] = seen.name
        found["device"] = (
            f"{seen.name}: {seen.total_memory / 1e9:.1f} GB, compute capability {seen.major}.{seen.minor}, "
            f"{seen.multi_processor_count} multiprocessors."
        )
    return found


def _driver() -> str | None:
    if not shutil.which("nvidia-smi"):
        return None
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return asked.stdout.split("\n")[0].strip() or None


def library_path(libtorch: str) -> dict[str, str]:
    """The environment in which a program without Python finds NVIDIA's libraries, which pip puts beside torch."""
    beside = [str(folder) for folder in sorted((Path(libtorch).parent / "nvidia").glob("*/lib"))]
    known = os.environ.get("LD_LIBRARY_PATH")
    return {"LD_LIBRARY_PATH": ":".join([f"{libtorch}/lib", *beside, *([known] if known else [])])}


def child_environment() -> dict[str, str]:
    """For Python programs of our own: this interpreter's, from the root, without bytecode in the tree."""
    return {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p.endswith("site-packages")), "PYTHONUNBUFFERED": "1"}


@contextlib.contextmanager
def paused(pid_file: Path | None) -> Iterator[None]:
    """Stops the process whose number is in the file, and lets it go on afterwards; nothing where there is none."""
    pid = None
    if pid_file and pid_file.exists():
        with contextlib.suppress(ValueError, ProcessLookupError, PermissionError):
            pid = int(pid_file.read_text().split()[0])
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
