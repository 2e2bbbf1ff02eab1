"""Shared fixtures: the goldens (outputs of Meta's reference on tiny random weights) and the exported program with their weights."""

from __future__ import annotations

import json
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.export.config import Sam3Config  # noqa: E402
from scripts.export.kinds import read_config  # noqa: E402
from scripts.export.program import script  # noqa: E402
from scripts.export.weight_files import Safetensors, open_weights  # noqa: E402
from scripts.export.weights import load  # noqa: E402

warnings.filterwarnings("ignore", message=".*torch.jit.*")
# The models of the tests are tiny: a second thread costs more than it brings.
torch.set_num_threads(1)
torch.set_grad_enabled(False)


LEFT_OUT = pytest.StashKey[list[str]]()
OWN_GOLDENS = ROOT / "test" / "fixtures" / "golden"
OWN_MULTIPLEX_GOLDENS = ROOT / "test" / "fixtures" / "golden31"


def replayed(variable: str, own: Path) -> Path:
    """The set of goldens that is replayed: the one that the variable of the environment names, else the project's own."""
    named = os.environ.get(variable)
    if named and not (Path(named) / "cases").is_dir():
        raise pytest.UsageError(f"{variable}={named}: no set of goldens (cases/, model/) is there.")
    if not (own / "model" / "model.safetensors").is_file():
        raise pytest.UsageError(f"The goldens in {own} are not unpacked. Run: npm run setup fixtures")
    return Path(named) if named else own


def golden_dir() -> Path:
    """The replayed set of SAM 3."""
    return replayed("SAM3_GOLDEN", OWN_GOLDENS)


def multiplex_golden_dir() -> Path:
    """The replayed set of SAM 3.1."""
    return replayed("SAM3_GOLDEN31", OWN_MULTIPLEX_GOLDENS)


def left_out(needed: str) -> str | None:
    """Names what the set has not of `cases/image.json`, or of `cases/image.json:batch`, a part of that file."""
    name, _, part = needed.partition(":")
    file = golden_dir() / name
    if not file.is_file():
        return name
    if part and part not in json.loads(file.read_text()):
        return f"{part} in {name}"
    return None


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "needs(*parts): files of the set of goldens, or parts of them, that a test replays"
    )


def pytest_collection_modifyitems(config, items):
    """Takes out, and names, tests of what the set leaves out. The project's own set has something for every test."""
    missing: dict[str, list] = {}
    for item in items:
        needs = [part for marker in item.iter_markers("needs") for part in marker.args]
        absent = [what for what in map(left_out, needs) if what]
        if absent:
            missing.setdefault(", ".join(absent), []).append(item)
    if missing and golden_dir() == OWN_GOLDENS:
        raise pytest.UsageError(f"The goldens in {OWN_GOLDENS} have no {', '.join(missing)}.")
    without = [item for listed in missing.values() for item in listed]
    config.hook.pytest_deselected(items=without)
    items[:] = [item for item in items if item not in without]
    config.stash[LEFT_OUT] = [f"{what}: {', '.join(item.name for item in listed)}" for what, listed in missing.items()]


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(LEFT_OUT, []):
        terminalreporter.write_line(f"the set in {golden_dir()} has no {line}")


@dataclass(frozen=True)
class Golden:
    """One family of recorded cases: tensors by key, and the JSON that describes the cases."""

    tensors: Safetensors
    about: dict

    def __getitem__(self, key: str) -> torch.Tensor:
        return self.tensors.read(key)

    def __contains__(self, key: str) -> bool:
        return key in self.tensors.shapes()


def golden(family: str, root: Path | None = None) -> Golden:
    """Cases of one family of a set (that of SAM 3), e.g. "image"."""
    base = (root or golden_dir()) / "cases" / family
    return Golden(Safetensors([base.with_suffix(".safetensors")]), json.loads(base.with_suffix(".json").read_text()))


def weight_file(root: Path):
    """The weights of a set: those of transformers where it has them, else Meta's."""
    model = root / "model"
    return open_weights(model / ("model.safetensors" if (model / "model.safetensors").is_file() else "sam3.pt"))


def normalised(pixels_u8: torch.Tensor) -> torch.Tensor:
    """Network input of the reference: times the fp32 reciprocal of 255, mean and standard deviation 0.5."""
    return (pixels_u8 * torch.tensor(1 / 255, dtype=torch.float32) - 0.5) / 0.5


@pytest.fixture(scope="session")
def config() -> Sam3Config:
    """The configuration of the goldens."""
    return Sam3Config.from_file(golden_dir() / "model" / "config.json")


@pytest.fixture(scope="session")
def eager(config):
    """The program in eager mode with the weights of the goldens."""
    return load(config, weight_file(golden_dir()))


@pytest.fixture(scope="session")
def program(eager):
    """The same as TorchScript."""
    return script(eager)


@pytest.fixture(scope="session")
def multiplex_config() -> Sam3Config:
    """The configuration of SAM 3.1's goldens."""
    return read_config(multiplex_golden_dir() / "model" / "config.json")


@pytest.fixture(scope="session")
def multiplex_eager(multiplex_config):
    """The program of SAM 3.1 in eager mode with the weights of its goldens."""
    return load(multiplex_config, open_weights(multiplex_golden_dir() / "model" / "model.safetensors"))


@pytest.fixture(scope="session")
def multiplex_program(multiplex_eager):
    """The same as TorchScript."""
    return script(multiplex_eager)


def assert_close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float, what: str) -> None:
    """Equal shapes, and no element further apart than `tolerance`."""
    assert actual.shape == expected.shape, f"{what}: {tuple(actual.shape)} instead of {tuple(expected.shape)}"
    difference = (actual.float() - expected.float()).abs().max().item() if expected.numel() else 0.0
    assert difference <= tolerance, f"{what}: differs by {difference:.2e}, allowed {tolerance:.0e}"
