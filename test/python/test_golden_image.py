"""The image path against the recorded outputs of Meta's reference: fp32, scores 2e-5, boxes 1e-5, mask logits 5e-4."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from conftest import Golden, assert_close, golden, normalised

pytestmark = pytest.mark.needs("cases/image.json")
SCORE, BOX, MASK = 2e-5, 1e-5, 5e-4


@pytest.fixture(scope="module")
def cases() -> Golden:
    return golden("image")


@pytest.fixture(scope="module")
def features(cases, program):
    """Neck maps by image name, computed once."""
    done: dict[str, tuple[torch.Tensor, ...]] = {}

    def get(image: str) -> tuple[torch.Tensor, ...]:
        if image not in done:
            done[image] = program.neck_detect(program.vision_encoder(normalised(cases[f"img.{image}.pixels_u8"])[None]))
        return done[image]

    return get


def summary_close(cases: Golden, key: str, actual: torch.Tensor, tolerance: float) -> None:
    """Compares a map with its recorded samples, and in full where it was recorded in full."""
    if key in cases:
        assert_close(actual, cases[key], tolerance, key)
    if f"{key}.sample64" in cases:
        index = torch.arange(64) * actual.numel() // 64
        assert_close(actual.flatten()[index], cases[f"{key}.sample64"], tolerance, f"{key}.sample64")


def prompt_of(cases: Golden, program, ids: torch.Tensor, boxes: list, coarse: torch.Tensor):
    """Text and geometry tokens of one prompt."""
    text_valid = ids != 0
    text = program.encode_text(ids[None], text_valid[None])
    box = torch.tensor([b for b, _ in boxes], dtype=torch.float32).reshape(1, -1, 4)
    label = torch.tensor([label for _, label in boxes], dtype=torch.int64).reshape(1, -1)
    tokens, token_valid = program.encode_geometry(
        box, label, torch.ones_like(label, dtype=torch.bool), coarse, torch.zeros(1, dtype=torch.int64)
    )
    return torch.cat((text, tokens), 1), torch.cat((text_valid[None], token_valid), 1)


def test_pixels_normalised(cases):
    found = [k for k in cases.tensors.shapes() if k.endswith(".pixels")]
    for key in found:
        assert torch.equal(normalised(cases[key + "_u8"]), cases[key])


def test_image_features(cases, program):
    images = [i for i in cases.about["images"] if f"img.{i}.pixels_u8" in cases]
    assert images
    for image in images:
        vit = program.vision_encoder(normalised(cases[f"img.{image}.pixels_u8"])[None])
        summary_close(cases, f"img.{image}.vit", vit[0], 2e-4)
        for names, maps in (("f0 f1 f2", program.neck_detect(vit)), ("t0 t1 t2", program.neck_track(vit))):
            for name, tensor in zip(names.split(), maps):
                summary_close(cases, f"img.{image}.{name}", tensor[0], 1e-4)


def test_prompts(cases, program, features):
    tested = 0
    for case in cases.about["cases"]:
        key = f"case.{case['name']}."
        if key + "pred_logits" not in cases:
            continue
        tested += 1
        fine, middle, coarse = features(case["image"])
        index = torch.zeros(1, dtype=torch.int64)
        prompt, valid = prompt_of(cases, program, cases[key + "token_ids"], case["boxes"] or [], coarse)
        real = valid[0]
        assert torch.equal(~real, cases[key + "prompt_pad_mask"].bool()), key
        assert_close(prompt[0][real], cases[key + "prompt"][real], 1e-4, key + "prompt")
        logits, xyxy, presence, queries, encoded = program.detect(coarse, index, prompt, valid)
        scores = logits.sigmoid() * presence.sigmoid()
        assert_close(logits[0], cases[key + "pred_logits"], 10 * SCORE, key + "pred_logits")
        assert_close(presence[0], cases[key + "presence_logit"], SCORE, key + "presence")
        assert_close(scores[0], cases[key + "joint_scores"], SCORE, key + "scores")
        center, size = (xyxy[0, :, :2] + xyxy[0, :, 2:]) / 2, xyxy[0, :, 2:] - xyxy[0, :, :2]
        assert_close(torch.cat((center, size), -1), cases[key + "pred_boxes_cxcywh"], BOX, key + "boxes")
        pixels, semantic = program.pixel_embed(fine, middle, index, encoded, prompt, valid)
        assert_close(semantic[0], cases[key + "semantic_seg"], MASK, key + "semantic")
        keep = cases[key + "keep"].bool()
        assert torch.equal(scores[0] > case["threshold"], keep), key
        masks = program.masks(pixels, queries[:, keep])
        stored = cases[key + "mask_logits_kept"]
        assert_close(masks[0, : stored.shape[0]], stored, MASK, key + "masks")
        if key + "mask_logits_all" in cases:
            assert_close(program.masks(pixels, queries)[0], cases[key + "mask_logits_all"], MASK, key + "all masks")
        check_final_masks(cases, case, key, masks[0])
    assert tested


def check_final_masks(cases: Golden, case: dict, key: str, masks: torch.Tensor) -> None:
    """Binary masks at the size of the image, but for pixels whose logit is within 1e-3 of zero."""
    if key + "final_masks.bits" not in cases:
        return
    about = cases.about["images"][case["image"]]
    height, width = about["height"], about["width"]
    bits = cases[key + "final_masks.bits"]
    for mask, packed in zip(masks, bits):
        logits = F.interpolate(mask[None, None], size=(height, width), mode="bilinear", align_corners=False)[0, 0]
        expected = (packed[:, None] >> torch.arange(7, -1, -1)) & 1
        expected = expected.flatten()[: height * width].view(height, width).bool()
        wrong = (logits > 0) != expected
        assert not (wrong & (logits.abs() > 1e-3)).any(), key + "final masks"


def tokens_of(cases: Golden, text: str) -> torch.Tensor:
    """Those of a case with this text; "visual" is what cases without one ask for."""
    case = next(case for case in cases.about["cases"] if (case["text"] or "visual") == text)
    return cases[f"case.{case['name']}.token_ids"]


@pytest.mark.needs("cases/image.json:batch")
def test_batch(cases, program, features):
    """Several prompts on several images in one call: B != P, boxes padded."""
    about = cases.about["batch"]
    maps = [features(image) for image in about["images"]]
    fine, middle, coarse = (torch.cat([m[i] for m in maps]) for i in range(3))
    ids = torch.stack([tokens_of(cases, text) for text in about["texts"]])
    index, text_index = torch.tensor(about["img_ids"]), torch.tensor(about["text_ids"])
    prompts, most = len(index), max(len(b) for b in about["boxes"].values())
    boxes, labels = torch.zeros(prompts, most, 4), torch.zeros(prompts, most, dtype=torch.int64)
    box_valid = torch.zeros(prompts, most, dtype=torch.bool)
    for i, listed in about["boxes"].items():
        for j, (box, label) in enumerate(listed):
            boxes[int(i), j], labels[int(i), j], box_valid[int(i), j] = torch.tensor(box), label, True
    text = program.encode_text(ids, ids != 0)[text_index]
    tokens, token_valid = program.encode_geometry(boxes, labels, box_valid, coarse, index)
    prompt, valid = torch.cat((text, tokens), 1), torch.cat((ids[text_index] != 0, token_valid), 1)
    assert torch.equal(~valid, cases["batch.prompt_pad_mask"].bool())
    assert_close(prompt[valid], cases["batch.prompt"][valid], 1e-4, "batch prompt")
    logits, xyxy, presence, queries, encoded = program.detect(coarse, index, prompt, valid)
    assert_close(logits.sigmoid() * presence.sigmoid(), cases["batch.joint_scores"], SCORE, "batch scores")
    size = xyxy[..., 2:] - xyxy[..., :2]
    assert_close(torch.cat((xyxy[..., :2] + size / 2, size), -1), cases["batch.pred_boxes_cxcywh"], BOX, "batch boxes")
    pixels, semantic = program.pixel_embed(fine, middle, index, encoded, prompt, valid)
    assert_close(semantic, cases["batch.semantic_seg"], MASK, "batch semantic")
    top = cases["batch.pred_logits"].topk(3, dim=1).indices
    chosen = queries.gather(1, top[..., None].expand(-1, -1, queries.shape[-1]))
    assert_close(program.masks(pixels, chosen), cases["batch.mask_logits_top3"], MASK, "batch masks")
