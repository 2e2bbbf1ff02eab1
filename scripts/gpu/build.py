"""The native programs, built against this Python's torch, or brought along; the models are made beside."""

from __future__ import annotations

import hashlib
import lzma
import re
import shutil
from pathlib import Path

from .context import Check
from .processes import ROOT, Program, run
from .steps import Clock, Result, StepFailed

TARGETS = ["sam3_native_bench", "sam3_native_tests"]
# Where scripts/gpu/pack puts what the machine may lack.
CARRIED = ROOT / ".gpu"
# ... and programs that were built before, for one version of torch from one state of the sources.
PROGRAMS = CARRIED / "bin"
BUILT_FOR = PROGRAMS / "built-for"
NATIVE = ("native", "bench/native", "test/native")


def native_sources(torch: str) -> str:
    """What the programs are built from and against."""
    files = [ROOT / "CMakeLists.txt", *(f for name in NATIVE for f in sorted((ROOT / name).rglob("*")) if f.is_file())]
    return f"{torch} {digest(files)}"


def configuration(libtorch: str | Path) -> list[str]:
    """CMake's options for the programs against a LibTorch."""
    return [f"-DLIBTORCH={libtorch}", "-DSAM3_NATIVE_TESTS=ON", f"-DDOCTEST_INCLUDE_DIR={CARRIED}"]


def digest(files: list[Path]) -> str:
    """SHA-256 of the files, one after another."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def sources() -> str:
    """What the models are made by."""
    files = [*sorted((ROOT / "scripts" / "export").glob("*.py")), Path(__file__).with_name("goldens.py")]
    return digest(files)


def begin_inputs(check: Check) -> None:
    """Starts what makes the models that are not there yet, beside the build."""

    def start(name: str, folder: Path, *arguments: str) -> None:
        stamp = folder / ".made"
        if not (stamp.is_file() and stamp.read_text() == sources()):
            check.inputs.append((name, folder, Program(check.python("-m", *arguments), check.log(name))))

    goldens = check.scratch / "goldens"
    start("goldens", goldens, "scripts.gpu.goldens", str(goldens))
    export = ("scripts.export",)
    config = ["--config", str(check.config)] if check.config else []
    start("program", check.program, *export, "program", *config, "--out", str(check.program))
    if not check.model:
        start("random weights", check.folder, *export, "random", *config, "--out", str(check.folder))


def end_goldens(check: Check, clock: Clock, result: Result) -> None:
    """Waits for what the tests need."""
    end_inputs([one for one in check.inputs if one[0] == "goldens"], clock, result)


def end_models(check: Check, clock: Clock, result: Result) -> None:
    """Waits for the model that is timed."""
    end_inputs([one for one in check.inputs if one[0] != "goldens"], clock, result)


def end_inputs(inputs: list[tuple[str, Path, Program]], clock: Clock, result: Result) -> None:
    """Waits for some of them, and stamps what they made."""
    failed = []
    for name, folder, program in inputs:
        outcome = program.wait(clock.left())
        result.data[name] = round(outcome.seconds, 1)
        if outcome.code == 0:
            (folder / ".made").write_text(sources())
        else:
            print(outcome.tail())
            failed.append(f"{name} ({'no time left' if outcome.timed_out else 'exit code ' + str(outcome.code)})")
    if failed:
        raise StepFailed(", ".join(failed))
    result.lines.append(", ".join(f"{name} {seconds} s" for name, seconds in result.data.items()) or "there already")


def build(check: Check, clock: Clock, result: Result) -> None:
    """Configures and compiles, or takes what was built for this torch; what fails is shown from its first error on."""
    if BUILT_FOR.is_file() and BUILT_FOR.read_text() == native_sources(check.facts["torch"]):
        for target in TARGETS:
            check.build.mkdir(parents=True, exist_ok=True)
            (check.build / target).write_bytes(lzma.decompress((PROGRAMS / f"{target}.xz").read_bytes()))
            (check.build / target).chmod(0o755)
        result.lines.append("brought along")
        return
    jobs = check.facts["cores"]
    options = configuration(check.facts["libtorch"])
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    configure = ["cmake", *generator, "-S", str(ROOT), "-B", str(check.build), *options]
    compile_all = ["cmake", "--build", str(check.build), "--parallel", str(jobs), "--target"]
    for name, command in [("configure", configure), *((target, [*compile_all, target]) for target in TARGETS)]:
        outcome = run(command, check.log(name), clock.left())
        result.data[name] = round(outcome.seconds, 1)
        if outcome.code != 0:
            errors = re.search(r"^.*(?:error|Error).*(?:\n.*){0,12}", outcome.output, re.M)
            print(errors.group() if errors else outcome.tail(20))
            what = "no time left" if outcome.timed_out else (errors.group().splitlines()[0][:300] if errors else "")
            if name == TARGETS[-1]:  # the bench is there, the tests alone are missing
                result.lines.append(f"The native tests do not build: {what}")
                return
            raise StepFailed(f"{name}: {what}")
    result.lines.append(", ".join(f"{name} {seconds} s" for name, seconds in result.data.items()))
