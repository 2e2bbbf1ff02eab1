"""Kinds of model: which one a file of weights or a configuration is of, and what is said of those that do not go together."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from conftest import OWN_GOLDENS, OWN_MULTIPLEX_GOLDENS, ROOT

from scripts.export.config import Sam3Config
from scripts.export.kinds import MULTIPLEX, SAM3, kind_of_weights, read_config
from scripts.export.multiplex_config import MultiplexConfig
from scripts.export.names import names_json
from scripts.export.precision import precision_table
from scripts.export.program import build
from scripts.export.random_weights import random_program, save_weights
from scripts.export.weight_files import Safetensors, WeightsError, open_weights, write_safetensors
from scripts.export.weights import load

MODEL, MODEL_31 = OWN_GOLDENS / "model", OWN_MULTIPLEX_GOLDENS / "model"
CHECKPOINT = MODEL_31 / "sam3.1_multiplex.pt"


@pytest.fixture(scope="module")
def config():
    return read_config(MODEL_31 / "config.json")


@pytest.fixture(scope="module")
def state(config):
    """The weights of the goldens, bound by the names of model.safetensors."""
    return load(config, open_weights(MODEL_31 / "model.safetensors")).state_dict()


def test_weights_tell_the_kind(config):
    for name in ("model.safetensors", "sam3.pt"):
        assert kind_of_weights(open_weights(MODEL / name)) is SAM3
    for name in ("model.safetensors", "sam3.1_multiplex.pt"):
        file = open_weights(MODEL_31 / name)
        assert kind_of_weights(file) is MULTIPLEX and file.naming == "meta"
    assert type(read_config(MODEL / "config.json")) is Sam3Config
    assert type(config) is MultiplexConfig and config.slots == 16


def test_config_without_multiplex():
    """The config.json of facebook/sam3.1 describes SAM 3's tracker: the sizes of 3.1's are not read from it."""
    file = open_weights(CHECKPOINT)
    found = read_config(MODEL / "config.json", file)
    assert type(found) is MultiplexConfig
    assert (found.slots, found.memory_size, found.memory_heads, found.hidden_size) == (16, 256, 8, 128)
    assert read_config(None, file) == MultiplexConfig()


@pytest.mark.parametrize(
    "form", ["flat", "under model", "older prefixes", "older prefixes as safetensors"], ids=lambda form: form
)
def test_forms_of_the_checkpoint(form, config, state, tmp_path):
    tensors = torch.load(CHECKPOINT, weights_only=True)
    path = tmp_path / "weights.pt"
    if "older" in form:
        prefixes = {"detector.": "sam3_model.", "tracker.": "sam2_predictor."}
        tensors = {
            next(new + name[len(old) :] for old, new in prefixes.items() if name.startswith(old)): tensor
            for name, tensor in tensors.items()
            if not tensor.is_complex()
        }
    if "safetensors" in form:
        path = tmp_path / "weights.safetensors"
        layout = {name: (tuple(t.shape), t.dtype) for name, t in tensors.items()}
        write_safetensors(path, tensors.items(), layout)
    else:
        torch.save({"model": tensors} if form == "under model" else tensors, path)
    found = load(config, open_weights(path)).state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_weights_of_the_other_kind(config):
    with pytest.raises(WeightsError, match=r"weight file is of SAM 3\.1 .*configuration of SAM 3:"):
        load(read_config(MODEL / "config.json"), open_weights(CHECKPOINT))
    with pytest.raises(WeightsError, match=r"weight file is of SAM 3, the configuration of SAM 3\.1"):
        load(config, open_weights(MODEL / "sam3.pt"))


def test_half_matching_weights(config, tmp_path):
    """No head is left as it was made: whatever the file lacks is named."""
    tensors = torch.load(CHECKPOINT, weights_only=True)
    kept = {name: tensor for name, tensor in tensors.items() if "interactive" not in name}
    torch.save(kept, tmp_path / "half.pt")
    with pytest.raises(WeightsError) as caught:
        load(config, open_weights(tmp_path / "half.pt"))
    absent = [name for name in tensors if name not in kept]
    assert f"{len(absent)} missing" in str(caught.value)
    assert all(name in str(caught.value) for name in absent)


def test_other_number_of_slots(config):
    with pytest.raises(WeightsError, match=r"output_valid_embed \[16, 32\] should make \[8, 32\]"):
        load(MultiplexConfig(**{**config.__dict__, "slots": 8}), open_weights(CHECKPOINT))


def test_config_round_trip(config):
    for one in (MultiplexConfig(), config):
        assert MultiplexConfig.from_dict(one.to_dict()) == one
    about = config.to_dict()
    about["multiplex"]["mask_downsampler_input_multiplier"] = 1
    with pytest.raises(ValueError, match="mask_downsampler_input_multiplier = 1"):
        MultiplexConfig.from_dict(about)


# Parameters of the tracker of sam3.1_multiplex.pt, by module of the program.
COUNTS = {
    "memory_encoder": 3_931_120 + 16 * 256,
    "memory_attention": 6_841_856 + 7 * 256 + 256,
    "propagation_decoder": 4_093_988 + 2 * 16 * 256 + 2 * 128,
    "sam_mask_decoder": 4_215_109,
    "prompt_encoder": 6_476,
    "tracker_neck": 6_949_632,
    "propagation_neck": 6_949_632,
}
TRACKER = 19_629_494


def test_parameter_counts():
    """Of facebook/sam3.1, as Meta's code counts them."""
    config = MultiplexConfig()
    names = names_json(build(config, "meta"), config)
    counts: dict[str, int] = {}
    for tensor in names["tensors"]:
        module = tensor["name"].split(".")[0]
        counts[module] = counts.get(module, 0) + int(torch.Size(tensor["shape"]).numel())
    assert {module: counts[module] for module in COUNTS} == COUNTS
    tracker = [module for module in COUNTS if "neck" not in module] + ["object_pointers"]
    assert sum(counts[module] for module in tracker) == TRACKER
    assert names["architecture"]["slots"] == 16
    assert all("transformers" not in tensor for tensor in names["tensors"])


def test_random_weights(config, tmp_path):
    """A file with Meta's names that can be read again; followed objects are there and their masks cover part of the image."""
    program = random_program(config, 0, torch.float32)
    save_weights(program, config, tmp_path / "model.safetensors")
    file = Safetensors([tmp_path / "model.safetensors"])
    assert kind_of_weights(file) is MULTIPLEX
    found, drawn = load(config, file).state_dict(), program.state_dict()
    assert all(torch.equal(found[name], drawn[name]) for name in drawn)
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(3)) * 2 - 1
    pixels = torch.nn.functional.interpolate(coarse, size=(config.image_size,) * 2, mode="bicubic")
    levels = program.neck_propagate(program.vision_encoder(pixels))
    masks, _, _, objects = program.track_decode_mux(*levels, torch.ones(1, config.slots, dtype=torch.bool))
    cover = (masks > 0).float().mean((3, 4))
    assert (objects > 0).float().mean() > 0.5 and ((cover > 0.02) & (cover < 0.98)).float().mean() > 0.8


def test_precision_table(config):
    table = precision_table(config, open_weights(CHECKPOINT), config.image_size).splitlines()
    rows = {cells[1].strip(): float(cells[3]) for cells in (line.split("|") for line in table[2:])}
    for name in ("memory_encode_mux", "memory_attend_mux", "track_decode_mux: logits", "pointer_track"):
        assert 0 < rows[name] < 0.2, name


def rows_of(lines):
    """Of a table of errors: bfloat16 and float16 by output."""
    cells = [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith("| ")]
    return {row[1]: (float(row[3]), float(row[4])) for row in cells if row[1] != "output"}


def test_precision_that_the_readme_states(config):
    """Other machines add up in another order: what is stated holds within a factor of two."""
    readme = (ROOT / "scripts/export/README.md").read_text()
    stated = rows_of(readme.split("tiny SAM 3.1 at 168 x 168")[1].split("## ")[0].splitlines())
    assert len(stated) == 9
    table = precision_table(config, open_weights(CHECKPOINT), config.image_size)
    measured = rows_of(table.splitlines())
    for output, errors in stated.items():
        for error, found in zip(errors, measured[output], strict=True):
            assert error / 2 < found < error * 2, (output, error, found)


def test_command_line(tmp_path):
    """The configuration tells which program is written; what does not go together is an error of one line."""
    command = [sys.executable, "-m", "scripts.export"]
    out = tmp_path / "program"
    written = [*command, "program", "--config", str(MODEL_31 / "config.json"), "--out", str(out)]
    subprocess.run(written, cwd=ROOT, check=True, capture_output=True)
    assert json.loads((out / "names.json").read_text())["architecture"]["slots"] == 16
    assert hasattr(torch.jit.load(out / "program.pt"), "track_decode_mux")
    wrong = [*command, "checkpoint", "--weights", str(MODEL / "sam3.pt"), "--config", str(MODEL_31 / "config.json")]
    result = subprocess.run([*wrong, "--out", str(tmp_path / "x.pt")], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and "is of SAM 3.1" in result.stderr and "Traceback" not in result.stderr
