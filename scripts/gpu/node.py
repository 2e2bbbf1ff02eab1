"""The Node tests on the device, where Node and node_modules are beside the tree and time is left."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys

from .context import Check
from .processes import ROOT, run
from .report import table
from .steps import Clock, Result, StepFailed

# What runs a model; other tests do not know of devices.
GOLDENS = ["test/lib/model/golden-image.test.ts", "test/lib/model/golden-clicks.test.ts"]
MODELS = ["test/lib/model/lifecycle.test.ts", "test/lib/model/bad-input.test.ts", "test/lib/video"]


def environment(check: Check) -> dict[str, str]:
    """This interpreter and its torch as they are: nothing is installed, tests of what is missing are left out by name."""
    missing = []
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        missing.append("ffmpeg")
    if not all(importlib.util.find_spec(name) for name in ("ftfy", "huggingface_hub", "pycocotools")):
        missing.append("python")
    if os.getuid() != 0:
        missing.append("root")
    return {
        "PATH": os.pathsep.join([str(ROOT / "node" / "bin"), os.environ["PATH"]]),
        "LIBTORCH": check.facts["libtorch"],
        "SAM3_PYTHON": sys.executable,
        "SAM3_ANY_TORCH": "1",
        "SAM3_OFFLINE": "1",
        "SAM3_TEST_DEVICE": check.device,
        "SAM3_TEST_WITHOUT": ",".join(missing),
    }


def node_tests(check: Check, clock: Clock, result: Result) -> None:
    """The comparison of every dtype, goldens and behaviour in float32, behaviour in bfloat16."""
    names = environment(check)
    node = shutil.which("node", path=names["PATH"])
    if not node or not (ROOT / "node_modules").is_dir():
        result.outcome = "not begun: no Node here"
        return
    vitest = [str(ROOT / "node_modules" / ".bin" / "vitest"), "run", "--maxWorkers=4"]
    runs = [("set-up", "", [node, "scripts/setup.mjs", "native", "lib", "program", "demo-model", "fixtures"])]
    for dtype in ["float32"] if check.quick else ["float32", "bfloat16", "float16"]:
        runs.append((f"comparison, {dtype}", dtype, [*vitest, "test/lib/model/device.test.ts"]))
    runs.append(("goldens and behaviour, float32", "float32", [*vitest, *GOLDENS, *([] if check.quick else MODELS)]))
    if not check.quick:
        runs.append(("behaviour, bfloat16", "bfloat16", [*vitest, *MODELS]))
    shown, wrong = [], []
    for name, dtype, command in runs:
        outcome = run(
            command, check.log(f"node-{name.split(',')[0]}"), clock.left(), {**names, "SAM3_TEST_DTYPE": dtype}
        )
        tests = re.findall(r"^\s+Tests\s+(.*)$", re.sub(r"\x1b\[[0-9;]*m", "", outcome.output), re.M)
        shown.append([name, tests[-1] if tests else outcome.tail(1)[:200], round(outcome.seconds)])
        if outcome.code != 0:
            wrong.append(f"{name} ({'cut off' if outcome.timed_out else outcome.code})")
            if name == "set-up":
                break
    result.lines += table(["tests", "outcome", "seconds"], shown)
    if wrong:
        raise StepFailed(", ".join(wrong))
