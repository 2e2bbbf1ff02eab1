"""Shared fixtures: the goldens (outputs of Meta's reference on tiny random weights) and the exported program with their weights."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.export.config import Sam3Config  # noqa: E402
from scripts.export.program import script  # noqa: E402
from scripts.export.weight_files import Safetensors  # noqa: E402
from scripts.export.weights import load  # noqa: E402

warnings.filterwarnings("ignore", message=".*torch.jit.*")
# The models of the tests are tiny: a second thread costs more than it brings.
torch.set_num_threads(1)
torch.set_grad_enabled(False)


def golden_dir() -> Path:
    """The complete set of goldens where it lies beside the checkout, else the part of it that is kept in the repository."""
    complete = ROOT.parent / "shared" / "golden" / "public"
    return complete if complete.is_dir() else ROOT / "test" / "fixtures" / "golden"


@dataclass(frozen=True)
class Golden:
    """One family of recorded cases: tensors by key, and the JSON that describes the cases."""

    tensors: Safetensors
    about: dict

    def __getitem__(self, key: str) -> torch.Tensor:
        return self.tensors.read(key)

    def __contains__(self, key: str) -> bool:
        return key in self.tensors.shapes()


def golden(family: str) -> Golden:
    """Cases of one family, e.g. "image"; skips the test where the fixtures leave the family out."""
    base = golden_dir() / "cases" / family
    if not base.with_suffix(".safetensors").is_file():
        pytest.skip(f"no goldens of the family {family}")
    return Golden(Safetensors([base.with_suffix(".safetensors")]), json.loads(base.with_suffix(".json").read_text()))


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
    return load(config, Safetensors([golden_dir() / "model" / "model.safetensors"]))


@pytest.fixture(scope="session")
def program(eager):
    """The same as TorchScript."""
    return script(eager)


def assert_close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float, what: str) -> None:
    """Equal shapes, and no element further apart than `tolerance`."""
    assert actual.shape == expected.shape, f"{what}: {tuple(actual.shape)} instead of {tuple(expected.shape)}"
    difference = (actual.float() - expected.float()).abs().max().item() if expected.numel() else 0.0
    assert difference <= tolerance, f"{what}: differs by {difference:.2e}, allowed {tolerance:.0e}"
