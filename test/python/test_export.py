"""The export of the true configuration, the commands, and the count of parameters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
import torch
from conftest import OWN_GOLDENS, ROOT

from scripts.export.config import Sam3Config
from scripts.export.name_tables import unused_transformers
from scripts.export.names import names_json
from scripts.export.program import build

SMALL = Sam3Config.from_file(OWN_GOLDENS / "model" / "config.json")

# Parameters per part of facebook/sam3 as transformers counts them: unused ones included, SAM's random frequencies (a buffer there) not.
COUNTS = {
    "vision_encoder": 446_236_672,
    "detector_neck": 7_802_112,
    "tracker_neck": 7_802_112,
    "text_encoder": 353_724_672,
    "geometry_encoder": 8_083_456,
    "detr_encoder": 9_472_512,
    "detr_decoder": 11_575_093,
    "mask_decoder": 2_298_881,
    "scoring": 1_182_976,
    "tracker": 11_743_362,
}
UNUSED_PARTS = {
    "detector_model.vision_encoder.neck": "detector_neck",
    "tracker_neck": "tracker_neck",
    "detector_model.text_encoder": "text_encoder",
    "detector_model.mask_decoder": "mask_decoder",
    "tracker_model": "tracker",
}


def run(*arguments: str) -> subprocess.CompletedProcess:
    """Runs the command line as a user does."""
    command = [sys.executable, "-m", "scripts.export", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def numel(shape) -> int:
    return int(torch.Size(shape).numel())


def test_parameter_counts():
    config = Sam3Config()
    counts = dict.fromkeys(COUNTS, 0)
    for tensor in names_json(build(config, "meta"), config)["tensors"]:
        if tensor["name"] != "prompt_encoder.gaussian":
            counts[tensor["part"]] += numel(tensor["shape"])
    for name, shape in unused_transformers(config).items():
        if "shared_image_embedding" not in name:
            part = next(part for prefix, part in UNUSED_PARTS.items() if name.startswith(prefix))
            counts[part] += numel(shape)
    assert counts == COUNTS
    assert sum(counts.values()) == 859_921_848


def test_export_of_the_true_configuration(tmp_path):
    start = time.perf_counter()
    result = run("program", "--out", str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert time.perf_counter() - start < 60
    assert (tmp_path / "program.pt").stat().st_size < 5_000_000
    program = torch.jit.load(tmp_path / "program.pt")
    names = json.loads((tmp_path / "names.json").read_text())
    assert names["format"] == "sam3-names/2"
    assert names["architecture"]["image_size"] == 1008 and names["architecture"]["text_vocab"] == 49408
    shapes = {name: list(p.shape) for name, p in program.named_parameters()}
    assert shapes == {t["name"]: t["shape"] for t in names["tensors"]}
    assert all(p.device.type == "meta" for p in program.parameters())
    assert not list(program.buffers())


def test_operators_of_the_oldest_libtorch(program, multiplex_program):
    """The programs need no operator but those with which SAM 3's was loaded and run by LibTorch 2.7.0, the oldest supported."""
    known = set((ROOT / "test" / "python" / "libtorch-2.7-operators.txt").read_text().split())
    new = {name for one in (program, multiplex_program) for name in torch.jit.export_opnames(one)} - known
    assert not new, f"check that LibTorch 2.7.0 has {sorted(new)}, then add them to libtorch-2.7-operators.txt"


def test_true_configuration_on_meta():
    """The shapes of the image path at the input sizes a user may choose, without computing anything."""
    config = Sam3Config()
    program = build(config, "meta")
    for size in (336, 672, 1008, 1344):
        grid = size // 14
        vit = program.vision_encoder(torch.empty(1, 3, size, size, device="meta"))
        assert vit.shape == (1, 1024, grid, grid)
        fine, middle, coarse = program.neck_detect(vit)
        assert [tuple(f.shape) for f in (fine, middle, coarse)] == [(1, 256, n * grid, n * grid) for n in (4, 2, 1)]
        prompt, valid = torch.empty(2, 33, 256, device="meta"), torch.empty(2, 33, device="meta", dtype=torch.bool)
        index = torch.zeros(2, dtype=torch.int64, device="meta")
        logits, boxes, presence, queries, encoded = program.detect(coarse, index, prompt, valid)
        assert (logits.shape, boxes.shape, presence.shape) == ((2, 200), (2, 200, 4), (2, 1))
        pixels, semantic = program.pixel_embed(fine, middle, index, encoded, prompt, valid)
        assert program.masks(pixels, queries).shape == (2, 200, 4 * grid, 4 * grid)
        assert semantic.shape == (2, 1, 4 * grid, 4 * grid)


def test_config_round_trip():
    for config in (Sam3Config(), SMALL):
        assert Sam3Config.from_dict(config.to_dict()) == config


def test_config_is_read_by_transformers():
    import transformers

    config = transformers.Sam3VideoConfig.from_dict(Sam3Config().to_dict())
    default = transformers.Sam3VideoConfig()
    for part in ("detector_config", "tracker_config"):
        ours, theirs = getattr(config, part).to_dict(), getattr(default, part).to_dict()
        assert {k: v for k, v in ours.items() if k != "transformers_version"} == {
            k: v for k, v in theirs.items() if k != "transformers_version"
        }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "sam2_video"}, "sam2_video"),
        ({"detector_config": {"text_config": {"hidden_act": "quick_gelu"}}}, "quick_gelu"),
    ],
)
def test_foreign_config(change, message):
    with pytest.raises(ValueError, match=message):
        Sam3Config.from_dict({"model_type": "sam3_video", **change})


def test_config_of_a_part():
    """What save_pretrained of a part writes stands for the same network."""
    whole = SMALL.to_dict()
    detector, tracker = whole["detector_config"], whole["tracker_config"]
    assert Sam3Config.from_dict(detector) == Sam3Config.from_dict({"detector_config": detector})
    assert Sam3Config.from_dict(detector).vision_width == SMALL.vision_width
    for kind in ("sam3_tracker", "sam3_tracker_video"):
        found = Sam3Config.from_dict(tracker | {"model_type": kind})
        assert (found.vision_width, found.sam_mlp, found.memory_layers) == (
            SMALL.vision_width,
            SMALL.sam_mlp,
            SMALL.memory_layers,
        )
        assert found.text_width == Sam3Config().text_width


def test_random_weights(tmp_path):
    """Complete folder, equal bytes each time, scores on both sides of the threshold, masks that cover part of the image."""
    folder, again = tmp_path / "random", tmp_path / "again"
    inputs = ("--config", str(OWN_GOLDENS / "model" / "config.json"))
    inputs += ("--tokenizer", str(OWN_GOLDENS / "model" / "tokenizer.json"))
    for out in (folder, again):
        result = run("random", *inputs, "--out", str(out))
        assert result.returncode == 0, result.stderr
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert (folder / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
    from scripts.export.weight_files import open_weights
    from scripts.export.weights import load

    program = load(SMALL, open_weights(folder / "model.safetensors"))
    pixels = torch.nn.functional.interpolate(
        torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(1)) * 2 - 1,
        size=(SMALL.image_size,) * 2,
        mode="bicubic",
    )
    ids = torch.zeros(3, 32, dtype=torch.int64)
    ids[:, :4] = torch.tensor([[49406, 320, 1929, 49407], [49406, 2368, 1615, 49407], [49406, 533, 9, 49407]])
    fine, middle, coarse = program.neck_detect(program.vision_encoder(pixels))
    index = torch.zeros(3, dtype=torch.int64)
    none = torch.zeros(3, 0, dtype=torch.int64)
    tokens, token_valid = program.encode_geometry(torch.zeros(3, 0, 4), none, none.bool(), coarse, index)
    prompt, valid = torch.cat((program.encode_text(ids, ids != 0), tokens), 1), torch.cat((ids != 0, token_valid), 1)
    logits, _, presence, queries, encoded = program.detect(coarse, index, prompt, valid)
    scores = logits.sigmoid() * presence.sigmoid()
    assert (scores > 0.5).any(1).all() and (scores < 0.5).any(1).all()
    pixel_map, _ = program.pixel_embed(fine, middle, index, encoded, prompt, valid)
    cover = (program.masks(pixel_map, queries) > 0).float().mean((2, 3))
    assert ((cover > 0.02) & (cover < 0.98)).float().mean() > 0.8


def test_command_line_errors(tmp_path):
    result = run("checkpoint", "--weights", str(tmp_path / "none.safetensors"), "--out", str(tmp_path / "x.pt"))
    assert result.returncode == 1 and "no weight file" in result.stderr and "Traceback" not in result.stderr
