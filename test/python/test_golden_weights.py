"""The weight files of a set of goldens: both naming schemes bind equal tensors."""

from __future__ import annotations

import pytest
import torch
from conftest import golden_dir

from scripts.export.weight_files import open_weights
from scripts.export.weights import load

FILES = ("model.safetensors", "sam3.pt")


def test_weights_bind(config, eager):
    """All tensors of the program come from the file, and none is left."""
    for file in (golden_dir() / "model" / name for name in FILES):
        if file.is_file():
            assert load(config, open_weights(file)).state_dict().keys() == eager.state_dict().keys()


@pytest.mark.needs(*(f"model/{name}" for name in FILES))
def test_both_files_bind_equal_tensors(config):
    ours, meta = (load(config, open_weights(golden_dir() / "model" / name)).state_dict() for name in FILES)
    for name in ours:
        assert torch.equal(ours[name], meta[name]), name
