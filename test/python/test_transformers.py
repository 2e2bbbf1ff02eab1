"""The program against transformers on the same random weights, part by part, at sizes other than the goldens' too.

transformers differs from Meta in three places (see below); there its modules are given Meta's numerics before they are compared.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
import transformers
from conftest import assert_close

from scripts.export.config import Sam3Config
from scripts.export.names import entries
from scripts.export.positions import sine_map
from scripts.export.program import build, script
from scripts.export.random_weights import random_program, transformers_tensors

SCORE, BOX, MASK = 2e-5, 1e-5, 5e-4

TINY = Sam3Config(
    image_size=168, pretrain_image_size=56, window_size=4, global_layers=(1, 3), vision_width=64, vision_mlp=128, vision_layers=4, vision_heads=2,
    hidden_size=64, text_vocab=1000, text_width=64, text_mlp=128, text_layers=2, text_heads=4, geometry_layers=2, geometry_heads=4, geometry_mlp=96,
    encoder_layers=2, encoder_heads=4, encoder_mlp=96, decoder_layers=3, decoder_heads=4, decoder_mlp=96, num_queries=17, mask_heads=4,
    sam_mlp=80, iou_head_hidden=48, memory_layers=2, memory_mlp=96, fuser_mlp=72,
)  # fmt: skip


def reference_model(config: Sam3Config, program) -> torch.nn.Module:
    """transformers' Sam3VideoModel of that configuration, with the program's weights and Meta's numerics."""
    model = transformers.Sam3VideoModel(transformers.Sam3VideoConfig.from_dict(config.to_dict())).eval()
    state = dict(transformers_tensors(program, config, entries(build(config, "meta"), config)))
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and not [n for n in missing if "rotary" not in n and "position_ids" not in n], (
        missing,
        unexpected,
    )
    for module in model.detector_model.vision_encoder.backbone.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-5  # transformers has 1e-6 in the ViT
    model.detector_model.detr_decoder.clamp_presence_logit_max_val = 1e9  # Meta discards the result of its clamp
    return model


@pytest.fixture(scope="module", params=[168, 112], ids=["default_size", "smaller_size"])
def pair(request):
    """Configuration, scripted program, reference. The program is built for 168 and run at 112 too; transformers is built for each."""
    program = random_program(TINY, 3, torch.float32)
    size = request.param
    at_size = Sam3Config(**{**TINY.__dict__, "image_size": size})
    return at_size, script(program), reference_model(at_size, program)


def image_maps(pair, count: int):
    """Neck maps of random images and transformers' own."""
    config, program, model = pair
    pixels = (
        torch.rand(count, 3, config.image_size, config.image_size, generator=torch.Generator().manual_seed(5)) * 2 - 1
    )
    return pixels, program.vision_encoder(pixels)


def token_ids(count: int) -> torch.Tensor:
    """Token ids with different lengths; 0 is padding."""
    ids = torch.randint(1, 900, (count, 32), generator=torch.Generator().manual_seed(6))
    for i in range(count):
        ids[i, 4 + 3 * i :] = 0
    return ids


def test_vision(pair):
    _, program, model = pair
    pixels, vit = image_maps(pair, 2)
    expected = model.detector_model.vision_encoder(pixels)
    assert_close(vit.flatten(2).transpose(1, 2), expected.last_hidden_state, 1e-4, "ViT")
    for name, got, want in zip("012", program.neck_detect(vit), expected.fpn_hidden_states):
        assert_close(got, want, 1e-4, f"f{name}")
    levels = model.tracker_neck.fpn_layers
    decoder = model.tracker_model.mask_decoder
    wanted = decoder.conv_s0(levels[0](vit)), decoder.conv_s1(levels[1](vit)), levels[2](vit)
    for name, got, want in zip("012", program.neck_track(vit), wanted):
        assert_close(got, want, 1e-4, f"t{name}")


def test_text(pair):
    _, program, model = pair
    ids = token_ids(3)
    features = model.detector_model.get_text_features(
        input_ids=ids, attention_mask=(ids != 0).long(), return_dict=True
    ).pooler_output
    assert_close(program.encode_text(ids, ids != 0)[ids != 0], features[ids != 0], SCORE, "text")


def roi_align(maps: torch.Tensor, boxes: tuple[torch.Tensor, ...], size: int) -> torch.Tensor:
    """RoIAlign as torchvision defines it (aligned=False, sampling_ratio=-1), sample by sample: torchvision itself is not needed."""
    height, width = maps.shape[-2:]

    def sample(feature: torch.Tensor, y: float, x: float) -> torch.Tensor:
        if y < -1 or y > height or x < -1 or x > width:
            return torch.zeros(feature.shape[0])
        y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
        y0, x0 = int(y), int(x)
        y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
        dy, dx = y - y0, x - x0
        top = feature[:, y0, x0] * (1 - dx) + feature[:, y0, x1] * dx
        return top * (1 - dy) + (feature[:, y1, x0] * (1 - dx) + feature[:, y1, x1] * dx) * dy

    pooled = []
    for feature, listed in zip(maps, boxes):
        for left, top, right, bottom in listed.tolist():
            bin_w, bin_h = max(right - left, 1.0) / size, max(bottom - top, 1.0) / size
            nx, ny = math.ceil(bin_w), math.ceil(bin_h)
            out = torch.zeros(feature.shape[0], size, size)
            for i in range(size):
                for j in range(size):
                    ys = [top + i * bin_h + (a + 0.5) * bin_h / ny for a in range(ny)]
                    xs = [left + j * bin_w + (b + 0.5) * bin_w / nx for b in range(nx)]
                    out[:, i, j] = sum(sample(feature, y, x) for y in ys for x in xs) / (nx * ny)
            pooled.append(out)
    return torch.stack(pooled)


def test_detection(pair, monkeypatch):
    """Three prompts with exemplar boxes on two images; transformers takes one image per prompt, so its images are repeated."""
    from transformers.models.sam3 import modeling_sam3

    monkeypatch.setattr(
        modeling_sam3, "torchvision", SimpleNamespace(ops=SimpleNamespace(roi_align=roi_align)), raising=False
    )
    config, program, model = pair
    detector = model.detector_model
    pixels, vit = image_maps(pair, 2)
    index = torch.tensor([1, 0, 1])
    fine, middle, coarse = program.neck_detect(vit)
    ids = token_ids(3)
    generator = torch.Generator().manual_seed(8)
    boxes = torch.rand(3, 2, 4, generator=generator) * 0.5 + 0.2
    labels = torch.tensor([[1, 0], [1, 1], [0, 1]])
    box_valid = torch.tensor([[True, True], [True, False], [True, True]])
    text = program.encode_text(ids, ids != 0)
    tokens, token_valid = program.encode_geometry(boxes, labels, box_valid, coarse, index)
    prompt, valid = torch.cat((text, tokens), 1), torch.cat((ids != 0, token_valid), 1)
    logits, xyxy, presence, queries, encoded = program.detect(coarse, index, prompt, valid)
    pixel_map, semantic = program.pixel_embed(fine, middle, index, encoded, prompt, valid)
    masks = program.masks(pixel_map, queries)
    labels = labels.masked_fill(~box_valid, -10)
    expected = detector(
        pixel_values=pixels[index],
        input_ids=ids,
        attention_mask=(ids != 0).long(),
        input_boxes=boxes,
        input_boxes_labels=labels,
    )
    assert_close(
        logits.sigmoid() * presence.sigmoid(),
        expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid(),
        SCORE,
        "scores",
    )
    assert_close(xyxy, expected.pred_boxes, BOX, "boxes")
    assert_close(masks, expected.pred_masks, MASK, "masks")
    assert_close(semantic, expected.semantic_seg, MASK, "semantic")


def test_clicks(pair):
    config, program, model = pair
    tracker = model.tracker_model
    grid = config.grid
    _, vit = image_maps(pair, 1)
    fine, middle, coarse = program.neck_track(vit)
    generator = torch.Generator().manual_seed(9)
    points = torch.rand(3, 2, 2, generator=generator) * config.image_size
    labels = torch.tensor([[1, 0], [2, 3], [1, -1]])
    mask = torch.randn(3, 1, 4 * grid, 4 * grid, generator=generator)
    for use_mask in (torch.zeros(3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)):
        sparse, dense = program.prompt_encode(points, labels, mask, use_mask)
        want_sparse, want_dense = tracker.prompt_encoder(
            points[:, None], labels[:, None], None, mask if use_mask.all() else None
        )
        assert_close(sparse, want_sparse[:, 0], SCORE, "sparse")
        assert_close(dense, want_dense.expand_as(dense), SCORE, "dense")
        masks, ious, tokens, objects = program.mask_decode(fine, middle, coarse, sparse, dense)
        image_pe = tracker.get_image_wide_positional_embeddings()
        assert_close(program.prompt_encoder.dense_position(grid), image_pe, SCORE, "dense positions")
        expand = [t.expand(3, -1, -1, -1) for t in (fine, middle, coarse)]
        want = tracker.mask_decoder(expand[2], image_pe.expand(3, -1, -1, -1), want_sparse, dense, True, expand[:2])
        assert_close(masks[:, 1:], want[0][:, 0], MASK, "masks")
        assert_close(ious[:, 1:], want[1][:, 0], SCORE, "IoU")
        assert_close(tokens[:, 1:], want[2][:, 0], MASK, "tokens")
        assert_close(objects, want[3][:, 0], MASK, "object scores")


def test_pointers_and_prompts(pair):
    config, program, model = pair
    tracker = model.tracker_model
    generator = torch.Generator().manual_seed(10)
    token, logit = torch.randn(3, config.hidden_size, generator=generator), torch.tensor([[1.0], [-1.0], [0.0]])
    seen = (logit > 0).float()
    want = seen * tracker.object_pointer_proj(token) + (1 - seen) * tracker.no_object_pointer
    assert_close(program.object_pointer(token, logit), want, SCORE, "pointer")
    mask = torch.rand(2, 1, 16 * config.grid, 16 * config.grid, generator=generator)
    assert_close(program.mask_to_prompt(mask), tracker.mask_downsample(mask), SCORE, "mask prompt")
    from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import get_1d_sine_pe

    offset = torch.tensor([0.0, 0.2, 1.0])
    want = tracker.temporal_positional_encoding_projection_layer(get_1d_sine_pe(offset, config.hidden_size))
    assert_close(program.pointer_tpos(offset), want, SCORE, "temporal positions")


def test_memory(pair):
    config, program, model = pair
    tracker, grid, width = model.tracker_model, config.grid, config.hidden_size
    generator = torch.Generator().manual_seed(11)
    image = torch.randn(2, width, grid, grid, generator=generator)
    mask = torch.rand(2, 1, 16 * grid, 16 * grid, generator=generator) * 20 - 10
    logit = torch.tensor([[2.0], [-2.0]])
    features, position = tracker.memory_encoder(image, mask)
    want = (
        features
        + (logit <= 0).float()[..., None, None] * tracker.occlusion_spatial_embedding_parameter[..., None, None]
    )
    assert_close(program.memory_encode(image, mask, logit), want, 1e-4, "memory encoder")
    assert_close(program.tracker_constants(grid)[0].expand_as(position), position, SCORE, "memory positions")
    image_pos = sine_map(width, grid, image.device)
    for frames, pointers in ((1, 0), (1, 4), (3, 8)):
        length = frames * grid * grid + pointers
        memory = torch.randn(2, length, config.memory_size, generator=generator)
        memory_pos = torch.randn(2, length, config.memory_size, generator=generator)
        got = program.memory_attend(image, memory, memory_pos, torch.tensor(pointers))
        want = tracker.memory_attention(
            current_vision_features=image.flatten(2).permute(2, 0, 1),
            memory=memory.transpose(0, 1),
            current_vision_position_embeddings=image_pos.expand(2, -1, -1, -1).flatten(2).permute(2, 0, 1),
            memory_posision_embeddings=memory_pos.transpose(0, 1),
            num_object_pointer_tokens=pointers,
        )
        want = (
            want.reshape(grid * grid, 2, width)
            if want.shape[0] == grid * grid
            else want.reshape(2, grid * grid, width).transpose(0, 1)
        )
        assert_close(
            got,
            want.permute(1, 2, 0).unflatten(2, [grid, grid]),
            1e-4,
            f"memory attention, {frames} frames, {pointers} pointer tokens",
        )
