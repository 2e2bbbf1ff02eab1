"""Reading a trace of Chrome's format, as the profiler writes it: what was launched, copied and waited for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


def summary(path: Path, top: int = 40) -> dict[str, Any]:
    """Counts, busy milliseconds of the device, and the kernels that take longest (name, ms, launches)."""
    events = json.loads(path.read_text(errors="replace"))["traceEvents"]
    events = [event for event in events if event.get("ph") == "X" and "dur" in event]
    device = sorted((e["ts"], e["ts"] + e["dur"], e) for e in events if e.get("cat") in DEVICE) if events else []
    kernels = [e for e in events if e.get("cat") == "kernel"]
    copies = Counter(_direction(e["name"]) for e in events if e.get("cat") == "gpu_memcpy")
    runtime = [e for e in events if e.get("cat") in ("cuda_runtime", "cuda_driver")]
    times: Counter[str] = Counter()
    launches: Counter[str] = Counter()
    for kernel in kernels:
        times[kernel["name"]] += kernel["dur"]
        launches[kernel["name"]] += 1
    found = {
        "kernels": len(kernels),
        "kernel_ms": sum(times.values()) / 1e3,
        "busy_ms": _union([(begin, end) for begin, end, _ in device]) / 1e3,
        "span_ms": (max(end for _, end, _ in device) - device[0][0]) / 1e3 if device else 0.0,
        "memcpy": dict(copies),
        "memset": sum(e.get("cat") == "gpu_memset" for e in events),
        "waits": dict(Counter(e["name"] for e in runtime if e["name"] in WAITS)),
        "wait_ms": sum(e["dur"] for e in runtime if e["name"] in WAITS) / 1e3,
        "allocations": sum(e["name"] in ("cudaMalloc", "cudaFree", "cudaHostAlloc") for e in runtime),
        "gaps": _gaps(device),
        "top": [[name[:160], ms / 1e3, launches[name]] for name, ms in times.most_common(top)],
    }
    return found


def _direction(name: str) -> str:
    """`Memcpy HtoD (Pageable -> Device)` -> `HtoD pageable`."""
    words = name.replace("Memcpy ", "")
    return f"{words.split(' ')[0]}{' pageable' if 'Pageable' in words else ''}"


def _union(spans: list[tuple[float, float]]) -> float:
    total, last = 0.0, float("-inf")
    for begin, end in spans:
        total += max(0.0, end - max(begin, last))
        last = max(last, end)
    return total


def _gaps(device: list[tuple[float, float, dict]], count: int = 6) -> list[list[Any]]:
    """The longest times in which the device had nothing to do: ms, after what, before what."""
    found, last, before = [], None, ""
    for begin, end, event in device:
        if last is not None and begin > last:
            found.append([(begin - last) / 1e3, before[:80], event["name"][:80]])
        if last is None or end > last:
            last, before = end, event["name"]
    return sorted(found, key=lambda gap: -gap[0])[:count]
