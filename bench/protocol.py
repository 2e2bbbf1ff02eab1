"""The Python side of the benchmark's protocol (bench/worker.mjs): one JSON request a line, one JSON answer a line."""

import json
import os
import sys
import time
from pathlib import Path

STARTED = time.perf_counter()


def memory_mb(field: str) -> float:
    """A line of /proc/self/status, as VmRSS."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


class Reference:
    """A model of transformers. Requests name its methods, and their arguments; `load` sets `torch` and `device`."""

    def synchronize(self) -> None:
        if self.device.startswith("cuda"):
            self.torch.cuda.synchronize()

    def memory(self) -> dict:
        """Peak and present resident memory, and the GPU's peak; starts a new peak."""
        answer = {"peakMb": memory_mb("VmHWM"), "residentMb": memory_mb("VmRSS")}
        Path("/proc/self/clear_refs").write_text("5")
        if self.device.startswith("cuda"):
            answer["gpuPeakMb"] = self.torch.cuda.max_memory_allocated() / 2**20
            self.torch.cuda.reset_peak_memory_stats()
        return answer


def serve(reference: Reference) -> None:
    """Answers requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")  # whatever the libraries print goes to stderr, the answers alone to stdout
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        operation = request.pop("op")
        try:
            answer = getattr(reference, operation)(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
