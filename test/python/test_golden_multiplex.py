"""The modules of SAM 3.1 against the recorded outputs of Meta's reference: 2e-4, mask logits 2e-3."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from conftest import Golden, assert_close, golden, multiplex_golden_dir

from scripts.export.kinds import read_config
from scripts.export.multiplex_memory import turn_heads
from scripts.export.program import script
from scripts.export.weight_files import Safetensors, open_weights
from scripts.export.weights import load

VALUE, LOGIT = 2e-4, 2e-3


@pytest.fixture(scope="module")
def cases() -> Golden:
    return golden("modules", multiplex_golden_dir())


class Overlaid:
    """Weights of which some are those of another file."""

    def __init__(self, below, above):
        self.naming = below.naming
        self._files = (above, below)

    def shapes(self):
        return self._files[1].shapes() | self._files[0].shapes()

    def read(self, name):
        return next(file for file in self._files if name in file.shapes()).read(name)


@pytest.fixture(scope="module")
def programs(multiplex_program, multiplex_config):
    """The program by the number of its slots: that of the set, and the one that s4.safetensors makes of it."""
    model = multiplex_golden_dir() / "model"
    config = read_config(model / "config.json")
    few = type(config)(**{**config.__dict__, "slots": 4})
    weights = Overlaid(open_weights(model / "model.safetensors"), Safetensors([model / "s4.safetensors"]))
    return {multiplex_config.slots: multiplex_program, 4: script(load(few, weights))}


@pytest.fixture(scope="module")
def levels(cases, multiplex_program):
    """The maps of the detector, of clicks and of propagation, by frame."""
    found = {}
    for key in cases.tensors.shapes():
        if key.startswith("frames_u8."):
            frame = int(key.split(".")[1])
            pixels = ((cases[key] / 255).half() - 0.5) / 0.5
            vit = multiplex_program.vision_encoder(pixels.float().unsqueeze(0))
            necks = multiplex_program.neck_detect, multiplex_program.neck_track, multiplex_program.neck_propagate
            found[frame] = [neck(vit) for neck in necks]
    assert found
    return found


def names(cases: Golden, module: str) -> list[tuple[int, str]]:
    """Slots and key prefix of the cases of a module, e.g. "memenc"."""
    found = {re.match(rf"s(\d+)\.{module}\.\w+\.", key) for key in cases.tensors.shapes()}
    listed = sorted({(int(match[1]), match[0]) for match in found if match})
    assert listed
    return listed


def compare(cases: Golden, key: str, actual: torch.Tensor, tolerance: float) -> None:
    """With the recorded tensor, or with the sample of it."""
    if key in cases:
        assert_close(actual, cases[key], tolerance, key)
    else:
        index = torch.arange(64) * actual.numel() // 64
        assert_close(actual.flatten()[index], cases[f"{key}.sample64"], tolerance, key)


def test_necks(cases, levels):
    for frame, (detector, clicks, propagation) in levels.items():
        recorded = {f"det{i}": detector[i] for i in range(3)}
        recorded |= {"int_s0": clicks[0], "int_s1": clicks[1], "int2": clicks[2]}
        recorded |= {"prop_s0": propagation[0], "prop_s1": propagation[1], "prop2": propagation[2]}
        if f"necks.{frame}.det2" in cases:
            for name, actual in recorded.items():
                compare(cases, f"necks.{frame}.{name}", actual[0], VALUE)


def test_positions(cases, multiplex_eager, multiplex_config):
    program, grid = multiplex_eager, cases["pos2"].shape[-1]
    assert_close(program.propagation_decoder.dense_position(grid)[0], cases["prop_dense_pe"], 1e-5, "of propagation")
    assert_close(program.prompt_encoder.dense_position(grid)[0], cases["int_dense_pe"], 1e-5, "of clicks")
    place = cases["pos2"].flatten(1).t() + program.memory_attention.temporal_embed.unsqueeze(1)
    rope = program.memory_attention.rope(grid, torch.device("cpu"))
    turned = turn_heads(place.contiguous(), multiplex_config.memory_heads, rope)
    assert_close(program.multiplex_constants(grid)[0], turned, 1e-5, "of memory frames")


def test_detector(cases, levels, multiplex_program):
    tested = 0
    while f"detect.{tested}.meta" in cases.about:
        key, program = f"detect.{tested}.", multiplex_program
        tested += 1
        fine, middle, coarse = levels[cases.about[key + "meta"]["frame"]][0]
        ids, index, none = cases[key + "token_ids"].unsqueeze(0), torch.zeros(1, dtype=torch.int64), torch.zeros(1, 0)
        text = program.encode_text(ids, ids != 0)
        assert_close(text[0][ids[0] != 0], cases[key + "text_features"][ids[0] != 0], VALUE, key + "text")
        tokens, valid = program.encode_geometry(torch.zeros(1, 0, 4), none.long(), none.bool(), coarse, index)
        prompt, valid = torch.cat((text, tokens), 1), torch.cat((ids != 0, valid), 1)
        logits, boxes, presence, queries, encoded = program.detect(coarse, index, prompt, valid)
        joint = torch.logit((logits.sigmoid() * presence.sigmoid()).clamp(1e-3, 1 - 1e-3)).clamp(-10, 10)
        assert_close(joint[0], cases[key + "joint_logits"], VALUE, key + "logits")
        assert_close(presence[0], cases[key + "presence_logit"], VALUE, key + "presence")
        assert_close(boxes[0], cases[key + "boxes_xyxy"], VALUE, key + "boxes")
        masks = program.masks(program.pixel_embed(fine, middle, index, encoded, prompt, valid)[0], queries)
        assert_close(masks[0, :2], cases[key + "mask_logits.first2"], LOGIT, key + "masks")
    assert tested


def bucket_of(cases: Golden, key: str, size: int, slots: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Masks and object scores as the memory encoder takes them, by the assignments of a case."""
    about, scores = cases.about[key + "meta"], cases[key + "obj_scores"]
    low = F.interpolate(cases[key + "low_res"].unsqueeze(1), (size, size), mode="bilinear", align_corners=False)
    shown = low.squeeze(1).sigmoid() * 2 - 1
    buckets = len(about["assignments"])
    masks, logits = torch.zeros(buckets, 2 * slots, size, size), torch.zeros(buckets, slots, 1)
    for b, assigned in enumerate(about["assignments"]):
        for s, object_index in enumerate(assigned):
            if object_index >= 0:
                masks[b, s], logits[b, s] = shown[object_index], scores[object_index]
                masks[b, slots + s] = float(object_index in about["conditioning_objects"])
    return masks, logits


def test_memory_encoder(cases, levels, programs):
    for slots, key in names(cases, "memenc"):
        coarse = levels[cases.about[key + "meta"]["frame"]][2][2]
        masks, logits = bucket_of(cases, key, 16 * coarse.shape[-1], slots)
        compare(cases, key + "features", programs[slots].memory_encode_mux(coarse, masks, logits), VALUE)


def test_memory_attention(cases, levels, programs, multiplex_config):
    heads = multiplex_config.memory_heads
    for slots, key in names(cases, "memattn"):
        about, program = cases.about[key + "meta"], programs[slots]
        coarse = levels[about["frame"]][2][2]
        grid = coarse.shape[-1]
        memory, image, place = (cases[key + part].float() for part in ("memory", "memory_image", "pos"))
        rope = program.memory_attention.rope(grid, torch.device("cpu"))
        parts, places = [], []
        for frame in range(about["M"]):
            rows = slice(frame * grid * grid, (frame + 1) * grid * grid)
            maps = (part[:, rows].transpose(1, 2).unflatten(2, [grid, grid]) for part in (memory, image))
            parts.append(program.project_frame(*maps))
            places.append(turn_heads(place[rows].unsqueeze(0).clone(), heads, rope))
        pointers = about["M"] * grid * grid
        if about["K"]:
            parts.append(program.project_pointers(memory[:, pointers:]))
            places.append(place[pointers:].unsqueeze(0))
        keys, values = (torch.cat(both, 2) for both in zip(*parts))
        out = program.memory_attend_mux(coarse, keys, values, torch.cat(places, 1))
        assert_close(out, cases[key + "out"], VALUE, key)


def test_propagation_decoder(cases, levels, programs):
    for slots, key in names(cases, "propdec"):
        about = cases.about[key + "meta"]
        fine, middle, _ = levels[about["frame"]][2]
        masks, ious, tokens, objects = programs[slots].track_decode_mux(
            fine, middle, cases[key + "pix"].float(), cases[key + "valid"].bool()
        )
        assert_close(ious, cases[key + "iou"], VALUE, key + "iou")
        assert_close(tokens, cases[key + "tokens"], VALUE, key + "tokens")
        assert_close(objects, cases[key + "obj"], VALUE, key + "obj")
        if key + "masks" in cases:
            assert_close(masks[:, : about["masks_slots_kept"]], cases[key + "masks"], LOGIT, key + "masks")
        sampled = masks.flatten(0, 1).flatten(1)
        index = torch.arange(64) * sampled.shape[1] // 64
        assert_close(sampled[:, index], cases[key + "masks.sample64"], LOGIT, key + "samples")


def test_clicks(cases, levels, multiplex_program):
    program, prefix = multiplex_program, "interdec."
    listed = sorted({key.split(".")[1] for key in cases.about if key.startswith(prefix)})
    assert listed
    for name in listed:
        key = f"{prefix}{name}."
        fine, middle, coarse = levels[cases.about[key + "meta"]["frame"]][1]
        image = coarse + program.multiplex_constants(coarse.shape[-1])[1][:, :, None, None]
        assert_close(image, cases[prefix + "pix"], VALUE, "image without memory")
        given = key + "mask_input" in cases
        mask = cases[key + "mask_input"] if given else torch.zeros(1, 1, *[4 * coarse.shape[-1]] * 2)
        sparse, dense = program.prompt_encode(
            cases[key + "points"], cases[key + "labels"].long(), mask, torch.tensor([given])
        )
        assert_close(sparse, cases[key + "sparse"], VALUE, key + "sparse")
        if given:
            assert_close(dense, cases[key + "dense"], VALUE, key + "dense")
        masks, ious, tokens, objects = program.mask_decode(fine, middle, image, sparse, dense)
        assert_close(ious, cases[key + "all_iou"], VALUE, key + "iou")
        assert_close(tokens, cases[key + "all_tokens"], VALUE, key + "tokens")
        assert_close(objects, cases[key + "obj"], VALUE, key + "obj")
        index = torch.arange(64) * masks[0, 0].numel() // 64
        assert_close(masks[0].flatten(1)[:, index], cases[key + "all_masks.sample64"], LOGIT, key + "samples")
        chosen = int(ious[0, 1:].argmax()) + 1 if cases.about[key + "meta"]["multimask"] else None
        if chosen:
            pointer = program.pointer_click(tokens[:, chosen], objects)
            assert_close(masks[:, chosen : chosen + 1], cases[key + "low_res"], LOGIT, key + "mask")
            assert_close(pointer, cases[key + "obj_ptr"], VALUE, key + "pointer")


def test_mask_prompts(cases, levels, multiplex_program):
    """A mask becomes a prompt, and the pointer of the object; the pointer of an empty one is changed once more."""
    program, size = multiplex_program, cases.about["maskprompt.meta"]["mask_size"]
    bits = (cases["maskprompt.bits"].unsqueeze(-1) >> torch.arange(7, -1, -1)) & 1
    masks = bits.flatten(1)[:, : size * size].view(-1, 1, size, size).float()
    prompts = program.mask_to_prompt(masks)
    assert_close(prompts, cases["maskprompt.downsample"], VALUE, "prompts")
    fine, middle, coarse = levels[cases.about["maskprompt.meta"]["frame"]][1]
    image = coarse + program.multiplex_constants(coarse.shape[-1])[1][:, :, None, None]
    count = len(masks)
    sparse, dense = program.prompt_encode(
        torch.zeros(count, 1, 2), -torch.ones(count, 1, dtype=torch.int64), prompts, torch.ones(count, dtype=torch.bool)
    )
    _, _, tokens, objects = program.mask_decode(fine, middle, image, sparse, dense)
    assert_close(objects, cases["maskprompt.sam_obj"], VALUE, "object scores")
    pointers = program.pointer_click(tokens[:, 0], objects)
    assert_close(pointers, cases["maskprompt.sam_ptr_before_second_no_object"], VALUE, "pointers of the decoder")
    empty = ~(masks > 0).flatten(1).any(1, keepdim=True)
    assert empty.any() and not empty.all()
    pointers = torch.where(empty, program.no_object_pointer(pointers), pointers)
    assert_close(pointers, cases["maskprompt.obj_ptr"], VALUE, "pointers")


def test_pointers(cases, multiplex_program):
    program, token = multiplex_program, cases["ptr.token"]
    there = torch.ones(len(token), 1)
    assert_close(program.pointer_track(token, there), cases["ptr.track"], VALUE, "of propagation")
    assert_close(program.pointer_click(token, there), cases["ptr.click"], VALUE, "of a click")
    assert_close(program.no_object_pointer(token), cases["ptr.no_object"], VALUE, "of no object")
    gone = program.no_object_pointer(cases["ptr.track"])
    assert_close(program.pointer_track(token, -there), gone, VALUE, "of an object that is not visible")
    offsets = torch.tensor(cases.about["ptr.tpos_offsets"])
    for key, frames in (("ptr.tpos", 16), ("ptr.tpos_max8", 8)):
        assert_close(program.pointer_tpos(offsets / (frames - 1)), cases[key], VALUE, key)
