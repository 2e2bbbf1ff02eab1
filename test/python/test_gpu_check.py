"""The check on a GPU: what it does with steps, output of tests and traces, without a GPU."""

from __future__ import annotations

import json
import lzma
import sys
import time
from pathlib import Path

import pytest

from scripts.gpu import build as building
from scripts.gpu.compare import difference
from scripts.gpu.context import Check
from scripts.gpu.native_tests import counts, failures
from scripts.gpu.pack import size_of, travelling
from scripts.gpu.processes import Outcome, Worker, WorkerError, run
from scripts.gpu.report import Report, table
from scripts.gpu.steps import Clock, Result, Step, StepFailed, run_steps
from scripts.gpu.trace import summary

FACTS = {"gpu": "NVIDIA X 80GB", "torch": "2.11", "cuda": "13.0", "driver": None, "python": "3.12", "cores": 16}


def failing(clock: Clock, result: Result) -> None:
    result.lines.append("what was found before")
    raise StepFailed("two of three")


def passing(clock: Clock, result: Result) -> None:
    result.data["left"] = clock.left()


def slow(clock: Clock, result: Result) -> None:
    while clock.left() > 0:
        time.sleep(0.01)
    raise StepFailed("late")


def test_a_step_that_fails_is_told_and_the_others_run() -> None:
    written: list[list[str]] = []
    steps = [
        Step("first", 20, failing),
        Step("second", 20, passing),
        Step("third", 20, passing, ("first",)),
        Step("fourth", 0.05, slow),
    ]
    results = run_steps(steps, 60, lambda found: written.append(list(found)))
    assert [one.outcome for one in results.values()] == [
        "failed: two of three",
        "passed",
        "not begun: needs first",
        "cut off after 0 s: late",
    ]
    assert results["second"].data["left"] < 20
    assert [len(names) for names in written] == [1, 2, 3, 4]


def test_no_step_begins_without_time() -> None:
    assert run_steps([Step("late", 20, passing)], 1, lambda _: None)["late"].outcome == "not begun: no time left"


def test_the_report_says_what_was_cut_and_what_was_found(tmp_path: Path) -> None:
    report = Report(tmp_path, FACTS)
    report.write({"build": Result(seconds=61.2), "video": Result("cut off after 9 s: a", 9.0, {"ms": 3}, ["| a |"])})
    assert report.path.name.startswith("nvidia-x-80gb-20")
    text = report.path.with_suffix(".md").read_text()
    assert "| video | **cut off after 9 s: a** | 9 s |" in text
    assert "## Video\n\n| a |" in text
    steps = json.loads(report.path.with_suffix(".json").read_text())["steps"]
    assert [step["name"] for step in steps] == ["build", "video"]
    assert steps[1]["data"] == {"ms": 3}


def test_tables() -> None:
    assert table(["name", "ms"], [["a|b", 1.23456], ["c", None]]) == [
        "| name | ms |",
        "|---|---:|",
        "| a\\|b | 1.23 |",
        "| c |  |",
    ]


def test_a_program_is_stopped_at_its_limit_with_its_output(tmp_path: Path) -> None:
    script = "import time; print('begun', flush=True); time.sleep(60)"
    begun = time.monotonic()
    outcome = run([sys.executable, "-c", script], tmp_path / "log", 1.5)
    assert outcome.timed_out
    assert outcome.output == "begun\n"
    assert time.monotonic() - begun < 20


def test_a_worker_answers_and_its_end_is_an_error(tmp_path: Path) -> None:
    script = """import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    print("words of a library")
    print(json.dumps({"error": "no"} if asked.get("bad") else {"got": asked["n"]}), flush=True)
    if asked.get("end"): sys.exit("the reason")
"""
    with Worker([sys.executable, "-c", script], tmp_path / "log") as worker:
        assert worker.ask({"n": 1}, 20) == {"got": 1}
        with pytest.raises(WorkerError, match="no$"):
            worker.ask({"n": 1, "bad": True}, 20)
        worker.ask({"n": 1, "end": True}, 20)
        with pytest.raises(WorkerError, match="code 1: the reason"):
            worker.ask({"n": 1}, 20)


def test_failures_of_doctest_by_case() -> None:
    output = """[doctest] doctest version is "2.4.9"
===============================================================================
/a/b/engine_test.cc:12:
TEST CASE:  engine: concepts

/a/b/engine_test.cc:13: ERROR: CHECK( x == "cpu" ) is NOT correct!
  values: CHECK( cuda:0 == cpu )

0.100 s: engine: concepts
===============================================================================
/a/b/other_test.cc:12:
TEST CASE:  other

/a/b/other_test.cc:13: MESSAGE: near tie

===============================================================================
[doctest] test cases:  5 |  4 passed | 1 failed | 0 skipped
"""
    found = failures(output)
    assert list(found) == ["engine: concepts"]
    assert "values: CHECK( cuda:0 == cpu )" in found["engine: concepts"][0]
    assert counts(output) == (4, 1)
    assert counts("cut") is None


def test_masks_are_compared_with_the_instance_nearest() -> None:
    one = {"boxes": [0, 0, 2, 2, 5, 5, 9, 9], "scores": [0.9, 0.5], "presence": 0.5, "runs": [[0, 4, 96], [90, 10]]}
    other = {"boxes": [5, 5, 9, 9, 0, 0, 2, 2], "scores": [0.6, 0.5], "presence": 0.5, "runs": [[90, 10], [1, 4, 95]]}
    found = difference(other, one, 10, 10)
    assert found["box"] == 0
    assert found["pixels"] == pytest.approx(0.01)
    assert found["mask IoU"] == pytest.approx((3 / 5 + 1) / 2)
    assert found["worst score"] == pytest.approx(0.4)


def test_a_trace_is_summed_up(tmp_path: Path) -> None:
    def event(cat: str, name: str, ts: float, dur: float) -> dict:
        return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur}

    events = [
        event("kernel", "gemm", 1000, 2000),
        event("kernel", "gemm", 2500, 1500),  # beside the first
        event("kernel", "norm", 9000, 1000),
        event("gpu_memcpy", "Memcpy HtoD (Pageable -> Device)", 0, 500),
        event("cuda_runtime", "cudaStreamSynchronize", 0, 700),
        event("cpu_op", "aten::mm", 0, 9),
        {"ph": "M", "name": "process_name"},
    ]
    (tmp_path / "t.json").write_text(json.dumps({"traceEvents": events}))
    found = summary(tmp_path / "t.json")
    assert (found["kernels"], found["kernel_ms"], found["busy_ms"], found["span_ms"]) == (3, 4.5, 4.5, 10.0)
    assert found["memcpy"] == {"HtoD pageable": 1}
    assert found["waits"] == {"cudaStreamSynchronize": 1}
    assert found["gaps"][0] == [5.0, "gemm", "norm"]
    assert found["top"][0] == ["gemm", 3.5, 2]


def test_programs_that_were_built_before_are_for_one_torch_and_one_state_of_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(building, "PROGRAMS", tmp_path / "bin")
    monkeypatch.setattr(building, "BUILT_FOR", tmp_path / "bin" / "built-for")
    compiled: list[list[str]] = []
    done = Outcome(0, "", 1.0)
    monkeypatch.setattr(building, "run", lambda command, *_: compiled.append(command) or done)
    for target in building.TARGETS:
        (tmp_path / "bin" / f"{target}.xz").write_bytes(lzma.compress(b"#!/bin/sh\necho brought\n"))
    (tmp_path / "bin" / "built-for").write_text(building.native_sources("2.11.0+cu130"))

    def build(torch: str) -> Result:
        facts = {**FACTS, "torch": torch, "libtorch": "/torch"}
        result = Result()
        building.build(Check("cuda", False, facts, tmp_path / torch, None, None), Clock(time.monotonic() + 60), result)
        return result

    assert build("2.11.0+cu130").lines == ["brought along"] and not compiled
    program = tmp_path / "2.11.0+cu130" / "build" / building.TARGETS[0]
    assert run([str(program)], tmp_path / "log", 20).output == "brought\n"
    build("2.12.0+cu130")
    assert [command[-1] for command in compiled[1:]] == building.TARGETS
    monkeypatch.setattr(building, "NATIVE", ("bench/native",))
    compiled.clear()
    build("2.11.0+cu130")
    assert compiled


def test_what_travels_is_counted(tmp_path: Path) -> None:
    import subprocess

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("kept/\n")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a").write_bytes(b"x" * 100)
    (tmp_path / "new").write_bytes(b"x" * 10)
    assert size_of(tmp_path / "kept") == 100
    assert travelling(tmp_path, [Path("kept")]) == {"the tree": 10 + 6, "kept": 100}
