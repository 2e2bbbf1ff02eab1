"""The exported program stage by stage on a device, under torch's profiler: `python -m scripts.gpu.stages JOB`.

JOB is JSON: program (program.pt), folder (config.json, model.safetensors), device, dtype, shapes [[images, texts], ...],
size (side of the input, 0: the model's own). Prints one line of JSON for each stage of each shape.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from scripts.export.config import Sam3Config
from scripts.export.names import entries
from scripts.export.program import build
from scripts.export.weight_files import open_weights
from scripts.export.weights import load

Stage = tuple[str, Callable[[], Any]]


def scripted(job: dict[str, Any]) -> tuple[torch.jit.ScriptModule, Sam3Config]:
    """program.pt with the folder's weights, as the engine binds them."""
    config = Sam3Config.from_file(str(Path(job["folder"]) / "config.json"))
    weights = open_weights(str(Path(job["folder"]) / "model.safetensors"))
    eager = load(config, weights, getattr(torch, job["dtype"])).to(job["device"])
    module = torch.jit.load(job["program"], map_location="meta")
    state = eager.state_dict()
    for entry in entries(build(config, "meta"), config):
        owner, _, leaf = entry.name.rpartition(".")
        target = module
        for part in owner.split(".") if owner else []:
            target = getattr(target, part)
        setattr(target, leaf, torch.nn.Parameter(state[entry.name], requires_grad=False))
    return module.eval(), config


def image_stages(program: Any, config: Sam3Config, job: dict[str, Any], images: int, texts: int) -> Iterator[Stage]:
    """The stages of one segment call, each with the results of those before it."""
    device, dtype = job["device"], getattr(torch, job["dtype"])
    side, pairs = job["size"] or config.image_size, images * texts
    made: dict[str, Any] = {}

    def stage(name: str, call: Callable[[], Any]) -> Stage:
        def run() -> Any:
            made[name] = call()
            return made[name]

        return name, run

    pixels = torch.rand(images, 3, side, side, device=device).mul(2).sub(1).to(dtype)
    ids = torch.zeros(texts, config.text_context, dtype=torch.int64, device=device)
    ids[:, 0], ids[:, 1], ids[:, 2] = 49406, torch.arange(texts, device=device) + 1000, 49407
    index = torch.arange(images, device=device).repeat_interleave(texts)
    no_boxes = torch.zeros(pairs, 0, 4, device=device)
    no_labels = torch.zeros(pairs, 0, dtype=torch.int64, device=device)
    yield stage("encode_image", lambda: program.vision_encoder(pixels))
    yield stage("neck_detect", lambda: program.neck_detect(made["encode_image"]))
    yield stage("encode_text", lambda: program.encode_text(ids, ids != 0))
    fine, middle, coarse = made["neck_detect"]
    yield stage(
        "encode_geometry", lambda: program.encode_geometry(no_boxes, no_labels, no_labels.bool(), coarse, index)
    )
    tokens, token_valid = made["encode_geometry"]
    prompt = torch.cat((made["encode_text"].repeat(images, 1, 1), tokens), 1)
    valid = torch.cat(((ids != 0).repeat(images, 1), token_valid), 1)
    yield stage("detect", lambda: program.detect(coarse, index, prompt, valid))
    queries, encoded = made["detect"][3], made["detect"][4]
    yield stage("pixel_embed", lambda: program.pixel_embed(fine, middle, index, encoded, prompt, valid))
    yield stage("masks", lambda: program.masks(made["pixel_embed"][0], queries[:, :10]))


def tracker_stages(program: Any, config: Sam3Config, job: dict[str, Any], objects: int) -> Iterator[Stage]:
    """The stages of one tracked frame with a full memory: 7 frames and 16 pointers for each object."""
    device, dtype = job["device"], getattr(torch, job["dtype"])
    side = job["size"] or config.image_size
    grid = side // config.patch_size
    made: dict[str, Any] = {}
    vit = program.vision_encoder(torch.rand(1, 3, side, side, device=device).to(dtype))
    pointers = 16 * (config.hidden_size // config.memory_size)
    memory = torch.randn(objects, 7 * grid * grid + pointers, config.memory_size, device=device).to(dtype)
    position = torch.randn(1, memory.shape[1], config.memory_size, device=device).to(dtype)
    points = torch.zeros(objects, 0, 2, device=device)
    labels = torch.zeros(objects, 0, dtype=torch.int64, device=device)
    low = torch.zeros(objects, 1, 4 * grid, 4 * grid, device=device).to(dtype)
    unused = torch.zeros(objects, dtype=torch.bool, device=device)
    large = torch.randn(objects, 1, 16 * grid, 16 * grid, device=device).to(dtype)
    seen = torch.ones(objects, 1, device=device).to(dtype)

    def stage(name: str, call: Callable[[], Any]) -> Stage:
        def run() -> Any:
            made[name] = call()
            return made[name]

        return name, run

    yield stage("neck_track", lambda: program.neck_track(vit))
    fine, middle, coarse = made["neck_track"]
    yield stage("memory_attend", lambda: program.memory_attend(coarse, memory, position, torch.tensor(pointers)))
    yield stage("prompt_encode", lambda: program.prompt_encode(points, labels, low, unused))
    attended = made["memory_attend"]
    yield stage("mask_decode", lambda: program.mask_decode(fine, middle, attended, *made["prompt_encode"]))
    yield stage("memory_encode", lambda: program.memory_encode(coarse, large, seen))


def measure(name: str, run: Callable[[], Any], device: str) -> dict[str, Any]:
    """Milliseconds of one run (with its gaps), of its kernels alone, their number, and the longest of them."""
    gpu = device.startswith("cuda")

    def wait() -> None:
        if gpu:
            torch.cuda.synchronize()

    for _ in range(2):
        run()
    wait()
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        run()
        wait()
        times.append((time.perf_counter() - begun) * 1e3)
    answer = {"stage": name, "ms": sorted(times)[1]}
    if not gpu:
        return answer
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        run()
        wait()
    kernels = [one for one in profiler.events() if one.device_type == torch.autograd.DeviceType.CUDA]
    totals: dict[str, list[float]] = {}
    for kernel in kernels:
        entry = totals.setdefault(kernel.name[:160], [0.0, 0])
        entry[0] += kernel.time_range.elapsed_us() / 1e3
        entry[1] += 1
    top = sorted(([key, ms, count] for key, (ms, count) in totals.items()), key=lambda row: -row[1])[:12]
    return {**answer, "kernel_ms": sum(ms for ms, _ in totals.values()), "kernels": len(kernels), "top": top}


def main() -> None:
    job = json.loads(sys.argv[1])
    torch.set_grad_enabled(False)
    # As the engine runs it.
    torch._C._jit_set_profiling_mode(False)
    with torch.inference_mode(), torch.jit.optimized_execution(False):
        program, config = scripted(job)
        for images, texts in job["shapes"]:
            for name, run in image_stages(program, config, job, images, texts):
                print(json.dumps({"images": images, "texts": texts, **measure(name, run, job["device"])}), flush=True)
        for objects in job["objects"]:
            for name, run in tracker_stages(program, config, job, objects):
                print(json.dumps({"objects": objects, **measure(name, run, job["device"])}), flush=True)


if __name__ == "__main__":
    main()
