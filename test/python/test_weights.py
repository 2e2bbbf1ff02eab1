"""Weight files: misfits are listed, self-contained checkpoints come back whole."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from conftest import OWN_GOLDENS

from scripts.export.checkpoint import write_checkpoint
from scripts.export.config import Sam3Config
from scripts.export.names import entries
from scripts.export.program import build, script
from scripts.export.weight_files import Safetensors, WeightsError, open_weights, write_safetensors
from scripts.export.weights import check, load


def model_file(name: str) -> Path:
    """A weight file of the project's own goldens."""
    return OWN_GOLDENS / "model" / name


@pytest.fixture(scope="module")
def config() -> Sam3Config:
    """Their configuration."""
    return Sam3Config.from_file(model_file("config.json"))


@pytest.fixture(scope="module")
def program(config):
    """The program with their weights."""
    return script(load(config, open_weights(model_file("model.safetensors"))))


class Changed:
    """A weight file with some tensors left out, added or changed."""

    def __init__(self, file, change):
        self.naming = file.naming
        self._tensors = {name: file.read(name) for name in file.shapes()}
        change(self._tensors)

    def shapes(self):
        return {name: tuple(t.shape) for name, t in self._tensors.items()}

    def read(self, name):
        return self._tensors[name]


@pytest.fixture(scope="module")
def safetensors():
    return open_weights(model_file("model.safetensors"))


def test_meta_file_under_model(config, safetensors, tmp_path):
    flat = torch.load(model_file("sam3.pt"), weights_only=True)
    torch.save({"model": flat}, tmp_path / "sam3.pt")
    assert open_weights(tmp_path / "sam3.pt").shapes() == {name: tuple(t.shape) for name, t in flat.items()}


def test_every_source_is_used_once(config):
    found = entries(build(config, "meta"), config)
    for kind in ("transformers", "meta"):
        names = [name for entry in found for name in entry.sources[kind].names]
        assert len(names) == len(set(names))


def test_misfits_are_all_listed(config, safetensors):
    def change(tensors):
        del tensors["detector_model.detr_decoder.query_embed.weight"]
        del tensors["tracker_model.no_object_pointer"]
        tensors["detector_model.surprise"] = torch.zeros(3)
        tensors["detector_model.text_projection.bias"] = torch.zeros(7)

    with pytest.raises(WeightsError) as caught:
        load(config, Changed(safetensors, change))
    message = str(caught.value)
    assert "2 missing" in message and "query_embed" in message and "no_object_pointer" in message
    assert "1 unexpected: detector_model.surprise" in message
    assert "1 mis-shaped" in message and "text_projection.bias [7] should make [128]" in message


def test_misshaped_pieces_of_a_fused_matrix(config, safetensors):
    def change(tensors):
        name = "detector_model.vision_encoder.backbone.layers.0.attention.k_proj.weight"
        tensors[name] = tensors[name][:, :-1]

    with pytest.raises(WeightsError, match="1 mis-shaped"):
        check(config, entries(build(config, "meta"), config), Changed(safetensors, change))


def test_fp32_parameters_are_not_rounded(config, safetensors):
    program = load(config, safetensors, torch.bfloat16)
    kept = {name for name, p in program.named_parameters() if p.dtype == torch.float32}
    assert kept == {"prompt_encoder.gaussian", "detr_decoder.reference_points.weight"}


def test_sharded(config, safetensors, tmp_path):
    names = sorted(safetensors.shapes())
    weight_map = {}
    for i, part in enumerate((names[::2], names[1::2])):
        shard = f"model-{i + 1:05d}-of-00002.safetensors"
        layout = {n: (safetensors.shapes()[n], safetensors.read(n).dtype) for n in part}
        write_safetensors(tmp_path / shard, ((n, safetensors.read(n)) for n in part), layout)
        weight_map |= dict.fromkeys(part, shard)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    sharded = load(config, open_weights(tmp_path / "model.safetensors.index.json")).state_dict()
    for name, tensor in load(config, safetensors).state_dict().items():
        assert torch.equal(tensor, sharded[name])


@pytest.mark.parametrize("weights", ["model.safetensors", "sam3.pt"])
def test_checkpoint_round_trip(config, program, tmp_path, weights):
    """Everything is in the file, and it computes what the program with bound weights computes."""
    base = OWN_GOLDENS / "model"
    tokenizer = base / "tokenizer.json"
    out = tmp_path / "checkpoint.pt"
    write_checkpoint(
        config, open_weights(model_file(weights)), torch.float32, str(base / "config.json"), str(tokenizer), out
    )
    extra = {"sam3.json": "", "config.json": "", "tokenizer.json": ""}
    loaded = torch.jit.load(out, _extra_files=extra)
    texts = {k: v.decode() if isinstance(v, bytes) else v for k, v in extra.items()}
    about = json.loads(texts["sam3.json"])
    assert about == {
        "format": "sam3-checkpoint/2",
        "dtype": "float32",
        "architecture": config.architecture(),
        "fp32": ["prompt_encoder.gaussian", "detr_decoder.reference_points.weight"],
    }
    assert (
        texts["config.json"] == (base / "config.json").read_text() and texts["tokenizer.json"] == tokenizer.read_text()
    )
    ids = torch.zeros(1, 32, dtype=torch.int64)
    ids[0, :3] = torch.tensor([49406, 2368, 49407])
    pixels = torch.rand(1, 3, config.image_size, config.image_size)
    assert torch.equal(loaded.encode_text(ids, ids != 0), program.encode_text(ids, ids != 0))
    assert torch.equal(loaded.vision_encoder(pixels), program.vision_encoder(pixels))


def header(entries: dict) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 4,
        struct.pack("<Q", 1 << 40) + b"{}",
        struct.pack("<Q", 2) + b"{]",
        header({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}) + b"\x00" * 8,
        header({"a": {"dtype": "F32", "shape": [4], "data_offsets": [8, 16]}}) + b"\x00" * 16,
        header({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}) + b"\x00" * 4,
    ],
    ids=["empty", "short", "long_header", "no_json", "truncated", "wrong_length", "foreign_dtype"],
)
def test_corrupt_safetensors(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError):
        Safetensors([path])


def test_foreign_pickle(tmp_path):
    torch.save({"model": [1, 2, 3]}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="no SAM 3 checkpoint"):
        open_weights(tmp_path / "other.pt")
