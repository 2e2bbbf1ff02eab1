"""The native tests on the device, in float32: several processes at once, each with a range of the cases."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import PackageNotFoundError, files

from .context import Check
from .goldens import environment
from .processes import Program, run
from .report import table
from .steps import Clock, Result, StepFailed

SHARDS = 8
RULE = re.compile(r"^={20,}$", re.M)


def failures(output: str) -> dict[str, list[str]]:
    """Cases that failed and the messages of each, from what doctest prints."""
    found: dict[str, list[str]] = {}
    for block in RULE.split(output):
        name = re.search(r"^TEST CASE:\s+(.+)$", block, re.M)
        errors = re.findall(r"^.*?(?:FATAL ERROR|ERROR): .*(?:\n[^\n]+){0,3}", block, re.M)
        if name and errors:
            shown = [re.sub(r"\s+", " ", re.sub(r"^\S*/", "", error)) for error in errors]
            found.setdefault(name.group(1).strip(), []).extend(shown)
    return found


def counts(output: str) -> tuple[int, int] | None:
    """Passed and failed cases of doctest's last line; None where it did not get so far."""
    line = re.search(r"test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed", output)
    return (int(line.group(1)), int(line.group(2))) if line else None


def finished(output: str) -> int:
    """Cases that ended, from the durations that doctest prints."""
    return len(re.findall(r"^\d+\.\d+ s: ", output, re.M))


def nvrtc() -> dict[str, str]:
    """NVIDIA's compiler for the tests, where pip has it without a torch for CUDA; beside such a one the engine finds it itself."""
    try:
        found = [file for file in files("nvidia-cuda-nvrtc-cu12") or [] if file.name == "libnvrtc.so.12"]
    except PackageNotFoundError:
        return {}
    return {"SAM3_NVRTC": str(found[0].locate())} if found else {}


def native_tests(check: Check, clock: Clock, result: Result) -> None:
    """Runs all cases; names those that fail, and says which range was cut off."""
    program = str(check.build / "sam3_native_tests")
    listed = run([program, "--count"], check.log("count"), clock.at_most(60), check.native_environment)
    total = re.search(r"(\d+)\s*$", listed.output.strip())
    if not total:
        raise StepFailed(f"the native tests do not start: {listed.tail(3)}")
    names = {
        **check.native_environment,
        **environment(check.scratch / "goldens"),
        **nvrtc(),
        "SAM3_TEST_DEVICE": check.device,
        "OMP_NUM_THREADS": "2",
        "OMP_WAIT_POLICY": "passive",
    }
    shards = SHARDS if check.facts["cores"] >= SHARDS else 2
    share = -(-int(total.group(1)) // shards)
    # Line by line, so that what was printed until a stop is there.
    unbuffered = ["stdbuf", "-oL"] if shutil.which("stdbuf") else []
    filters = ["--test-case=engine*"] if check.quick else []
    running = []
    for shard in range(shards):
        bounds = [f"--first={shard * share + 1}", f"--last={(shard + 1) * share}"]
        command = [*unbuffered, program, *filters, *bounds, "--duration=true", "--no-intro=true"]
        running.append(Program(command, check.log(f"native-tests-{shard}"), names))
    passed, failed, cut, wrong = 0, 0, [], {}
    end = clock.left() - 3
    for shard, program_run in enumerate(running):
        outcome = program_run.wait(min(end, clock.left() - 2))
        wrong |= failures(outcome.output)
        known = counts(outcome.output)
        if known and not outcome.timed_out:
            passed, failed = passed + known[0], failed + known[1]
        else:
            done = finished(outcome.output)
            passed += done
            cut.append(f"shard {shard}: {'cut off' if outcome.timed_out else f'exit code {outcome.code}'} after {done}")
    result.data = {"cases": int(total.group(1)), "passed": passed, "failed": failed, "cut": cut, "failures": wrong}
    result.lines += [f"{total.group(1)} cases: {passed} passed, {failed} failed. " + "; ".join(cut), ""]
    result.lines += table(["case", "first message"], [[name, text[0][:300]] for name, text in wrong.items()])
    if failed or wrong or cut:
        raise StepFailed(f"{passed} passed, {max(failed, len(wrong))} failed{', some cut off' if cut else ''}")
