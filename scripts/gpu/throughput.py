"""Images a second at the true size, against transformers' Sam3Model in turns, on the same weights and device."""

from __future__ import annotations

from typing import Any

from .context import Check
from .machine import child_environment, paused
from .processes import Worker, WorkerError
from .report import table
from .steps import Clock, Result, StepFailed

# Images and texts of a call.
SHAPES = [(8, 1), (1, 1), (8, 8), (1, 8), (32, 1), (32, 8)]


def rows(count: int) -> list[list[int]]:
    """Texts as tokens: start, one word, end; the workers put a fresh word in each round."""
    return [[49406, 1000 + i, 49407] + [0] * 29 for i in range(count)]


# Seconds that must be left for a shape, so that what comes after has some too.
ENOUGH = 45

# What the engine's own clock says of the device.
BUSY = ["ms of the device", "device busy"]


def busy_of(answer: dict[str, Any]) -> list[Any]:
    """The columns of BUSY; empty for what is not counted."""
    return [answer.get("device_ms"), f"{answer['busy']:.0%}" if "busy" in answer else None]


def segment_task(check: Check, images: int, texts: int, **more: Any) -> dict[str, Any]:
    """Rounds until some seconds are over; on a CPU smaller pictures."""
    size = {"width": 1200, "height": 800} if check.on_gpu else {"width": 300, "height": 200}
    task = {"kind": "segment", "name": f"{images}x{texts}", "images": images, "texts": rows(texts), **size}
    return {**task, "seconds": 1.5, "repeats": 20, "warmups": 2, **more}


def throughput(check: Check, clock: Clock, result: Result) -> None:
    """bfloat16 against transformers, then calls that wait together, clicks and float16."""
    shapes = SHAPES[:2] if check.quick else SHAPES
    measured: list[list[Any]] = []
    wrong = []
    command = check.python("-m", "scripts.gpu.reference")
    with (
        paused(check.pause),
        check.native("throughput") as ours,
        Worker(command, check.log("reference"), child_environment()) as reference,
    ):
        model = check.timed_model(check.device, "bfloat16")
        result.data["load"] = ours.ask(model, clock.at_most(90))
        result.lines.append(
            f"Model ready in {result.data['load']['ms'] / 1e3:.1f} s, {result.data['load']['parameters'] / 1e6:.0f} M parameters."
        )
        try:
            result.data["reference load"] = reference.ask({"op": "load", **model}, clock.at_most(90))
        except WorkerError as error:
            wrong.append(str(error))
        result.lines += ["", "Milliseconds for each image, medians; texts are new in every call.", ""]
        done = result.data["images"] = {}
        for images, texts in shapes:
            if clock.left() < ENOUGH:
                result.lines.insert(-1, f"No time was left for {images} images with {texts} texts.")
                continue
            task = segment_task(check, images, texts)
            mine: list[dict[str, Any]] = []
            its: list[float] = []
            try:
                for _ in range(2):
                    mine.append(ours.ask(task, clock.at_most(40)))
                    if "reference load" in result.data:
                        try:
                            its.append(reference.ask({"op": "segment", **task, "warmups": 1}, clock.at_most(40))["ms"])
                        except WorkerError as error:
                            wrong.append(f"{task['name']}: {error}")
            except WorkerError as error:
                wrong.append(f"{task['name']}: {error}")
            if not mine:
                break
            best, other = min(mine, key=lambda answer: answer["ms"]), min(its) if its else None
            done[task["name"]] = {"ours": mine, "reference": its}
            ratio = other / best["ms"] if other else None
            measured.append([images, texts, best["ms"], 1e3 / best["ms"], *busy_of(best), other, ratio])
        head = ["images", "texts", "ours, ms an image", "images/s", *BUSY, "transformers, ms an image", "times as fast"]
        result.lines += table(head, measured)
        reference.close()
        many = {"calls": 8, "instances": 50} if check.on_gpu else {"calls": 2}
        more = {
            # The pipeline's own case: batches of 8 follow each other, and the device should never wait for the host.
            "calls of 8 images that wait together, 50 masks an image": segment_task(
                check, 8, 1, warmups=1, least=1, **many
            ),
            "8 calls of one image, one text": segment_task(check, 1, 1, calls=8),
            "32 calls of one image, one text": segment_task(check, 1, 1, calls=32),
            "one click on an encoded image": {"kind": "predict", "prompts": 1},
            "16 clicks on an encoded image": {"kind": "predict", "prompts": 16},
        }
        others = []
        try:
            for name, task in list(more.items())[: 4 if check.quick else None]:
                answer = ours.ask(task, clock.at_most(30))
                done[name] = answer
                others.append([name, answer["ms"], answer.get("batches"), *busy_of(answer)])
        except WorkerError as error:
            wrong.append(str(error))
        ours.close()
        try:
            with check.native("throughput-float16") as half:
                half.ask(check.timed_model(check.device, "float16"), clock.at_most(60))
                done["float16"] = half.ask(segment_task(check, 8, 1), clock.at_most(30))
                others.append(["float16, 8 images, one text", done["float16"]["ms"], None, *busy_of(done["float16"])])
        except WorkerError as error:
            wrong.append(str(error))
        result.lines += ["", *table(["also", "ms", "batches", *BUSY], others)]
    if wrong:
        raise StepFailed("; ".join(wrong))
