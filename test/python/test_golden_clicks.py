"""Clicks, boxes and mask prompts against the recorded outputs of Meta's interactive predictor."""

from __future__ import annotations

import pytest
import torch
from conftest import Golden, assert_close, golden, normalised

pytestmark = pytest.mark.needs("cases/interactive.json", "cases/image.json")
LOGIT, SCORE = 5e-4, 2e-5


@pytest.fixture(scope="module")
def clicks() -> Golden:
    return golden("interactive")


@pytest.fixture(scope="module")
def tracked(program):
    """Tracker features by image name."""
    images, done = golden("image"), {}

    def get(image: str):
        if image not in done:
            done[image] = program.neck_track(program.vision_encoder(normalised(images[f"img.{image}.pixels_u8"])[None]))
        return done[image]

    return get


def prompts_of(case: dict, size: int):
    """Points and labels as the program takes them: box corners first, as labels 2 and 3, scaled to the input."""
    width, height = case["image_wh"] if case.get("normalize_coords", True) else (1, 1)
    scale = torch.tensor([size / width, size / height])
    boxes = torch.tensor(case["box"], dtype=torch.float32).reshape(-1, 2, 2) if case.get("box") is not None else None
    points = torch.tensor(case["point_coords"], dtype=torch.float32) if case.get("point_coords") is not None else None
    labels = torch.tensor(case["point_labels"]) if points is not None else None
    if points is not None and points.dim() == 2:
        points, labels = points[None], labels[None]
    count = len(boxes) if boxes is not None else len(points) if points is not None else 1
    corners = torch.tensor([[2, 3]]).expand(count, 2)
    all_points = [p for p in (boxes, points) if p is not None]
    all_labels = [label for p, label in ((boxes, corners), (points, labels)) if p is not None]
    if not all_points:
        return torch.zeros(1, 0, 2), torch.zeros(1, 0, dtype=torch.int64)
    return torch.cat(all_points, 1) * scale, torch.cat(all_labels, 1)


def test_clicks(clicks, program, tracked, config):
    tested = 0
    for case in clicks.about["cases"]:
        name = case["name"]
        if f"{name}.all_low_res_logits" not in clicks:
            continue
        tested += 1
        fine, middle, coarse = tracked(case["image"])
        no_memory = program.tracker_constants(coarse.shape[-1])[2]
        image = coarse + no_memory[:, :, None, None]
        points, labels = prompts_of(case, clicks.about["image_size"])
        count, grid = points.shape[0], coarse.shape[-1]
        mask, use_mask = torch.zeros(count, 1, 4 * grid, 4 * grid), torch.zeros(count, dtype=torch.bool)
        if case.get("mask_input_from"):
            source, which = case["mask_input_from"]
            mask, use_mask = clicks[f"{source}.low_res"][which][None, None], torch.ones(1, dtype=torch.bool)
        sparse, dense = program.prompt_encode(points, labels, mask, use_mask)
        if points.shape[1] == 0:
            sparse = sparse[:, :0]
        assert_close(sparse, clicks[f"{name}.sparse_embeddings"], 1e-4, f"{name} sparse")
        masks, ious, _, objects = program.mask_decode(fine, middle, image, sparse, dense)
        assert_close(masks, clicks[f"{name}.all_low_res_logits"], LOGIT, f"{name} masks")
        assert_close(ious, clicks[f"{name}.all_ious"], SCORE, f"{name} IoU")
        assert_close(objects, clicks[f"{name}.object_score_logits"], 2 * SCORE, f"{name} object score")
    assert tested


def test_positions(clicks, program):
    grid = clicks["dense_pe"].shape[-1]
    assert_close(program.prompt_encoder.dense_position(grid)[0], clicks["dense_pe"], 1e-5, "dense positions")
