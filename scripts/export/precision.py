"""Errors of bfloat16 and float16 against float32, method by method, as a Markdown table."""

from __future__ import annotations

import torch
from torch import Tensor

from .config import Sam3Config
from .multiplex_program import MultiplexProgram
from .program import FP32_PARAMETERS, Sam3Program, build
from .program_base import ProgramBase
from .random_weights import random_program
from .weight_files import WeightFile
from .weights import load


def precision_table(config: Sam3Config, weights: WeightFile | None, size: int) -> str:
    """Runs every method in the three dtypes on the same inputs; see run_all for what is fed where.

    Errors are relative: the root mean square of the difference over that of the fp32 result (logits, maps, tokens),
    but absolute where a value is itself a fraction: scores and IoUs in 0..1, boxes relative to the image.
    The last rows count mask pixels that change sides of zero.
    """
    reference = load(config, weights) if weights else random_program(config, 0, torch.float32)
    inputs = make_inputs(config, size)
    with torch.no_grad():
        want = run_all(reference, inputs, torch.float32)
        columns = [run_all(cast(reference, config, dtype), inputs, dtype) for dtype in (torch.bfloat16, torch.float16)]
    lines = ["| output | error | bfloat16 | float16 |", "|---|---|---|---|"]
    for name, (kind, exact) in want.items():
        errors = [error(kind, exact, column[name][1]) for column in columns]
        lines.append(f"| {name} | {kind} | " + " | ".join(f"{e:.2g}" for e in errors) + " |")
    return "\n".join(lines)


def cast(program: ProgramBase, config: Sam3Config, dtype: torch.dtype) -> ProgramBase:
    """A copy with parameters in `dtype`, but for those that no dtype may round."""
    copy = build(config, "meta")
    state = {name: p if name in FP32_PARAMETERS else p.to(dtype) for name, p in program.named_parameters()}
    copy.load_state_dict(state, strict=True, assign=True)
    return copy.requires_grad_(False)


def error(kind: str, exact: Tensor, got: Tensor) -> float:
    """One number for a table cell."""
    exact, got = exact.float(), got.float()
    if kind == "relative rms":
        return ((got - exact).pow(2).mean() / exact.pow(2).mean()).sqrt().item()
    if kind == "absolute max":
        return (got - exact).abs().max().item()
    return ((got > 0) != (exact > 0)).float().mean().item()


def make_inputs(config: Sam3Config, size: int) -> dict[str, Tensor]:
    """A smooth synthetic image, two texts, a box and a click."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 3, 12, 12, generator=generator) * 2 - 1
    pixels = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    ids = torch.randint(1, config.text_vocab, (2, config.text_context), generator=generator)
    ids[:, 6:] = 0
    grid = size // config.patch_size
    mask = torch.nn.functional.interpolate(
        torch.randn(1, 1, 6, 6, generator=generator), size=(16 * grid, 16 * grid), mode="bicubic"
    )
    return {"pixels": pixels, "ids": ids, "point": torch.tensor([[[0.4, 0.6]]]) * size, "mask": mask}


relative, absolute, flips = "relative rms", "absolute max", "share of pixels"


def run_object(
    program: Sam3Program, coarse: Tensor, mask: Tensor, token: Tensor, objects: Tensor
) -> dict[str, tuple[str, Tensor]]:
    """One step of SAM 3's memory. mask: probabilities [1,1,16g,16g]; token [1,C] and object logits [1,1] of the click."""
    memory = program.memory_encode(coarse, (mask * 20 - 10).to(coarse.dtype), objects)
    position = program.tracker_constants(coarse.shape[-1])[0].flatten(2).transpose(1, 2)
    attended = program.memory_attend(coarse, memory.flatten(2).transpose(1, 2), position, torch.tensor(0))
    return {
        "object_pointer": (relative, program.object_pointer(token, objects)),
        "memory_encode": (relative, memory),
        "memory_attend": (relative, attended),
    }


def run_bucket(
    program: MultiplexProgram, vit: Tensor, mask: Tensor, token: Tensor, objects: Tensor
) -> dict[str, tuple[str, Tensor]]:
    """One step of SAM 3.1's memory, of a full bucket whose objects all have the click's mask and pointer."""
    slots = program.propagation_decoder.slots
    fine, middle, coarse = program.neck_propagate(vit)
    masks = (mask * 2 - 1).to(coarse.dtype).expand(-1, slots, -1, -1)
    logits = objects.expand(slots, 1).unsqueeze(0)
    pointer = program.pointer_click(token, objects)
    memory = program.memory_encode_mux(coarse, torch.cat((masks, torch.ones_like(masks)), 1), logits)
    parts = program.project_frame(memory, coarse), program.project_pointers(pointer.expand(1, slots, -1))
    keys, values = (torch.cat(both, 2) for both in zip(*parts))
    places = program.multiplex_constants(coarse.shape[-1])[0][-1:]
    offset = program.pointer_tpos(torch.ones(1)).unsqueeze(0).expand(1, slots, -1)
    attended = program.memory_attend_mux(coarse, keys, values, torch.cat((places, offset), 1))
    valid = torch.ones(1, slots, dtype=torch.bool)
    tracked, ious, tokens, logits = program.track_decode_mux(fine, middle, attended, valid)
    return {
        "neck_propagate, stride 14": (relative, coarse),
        "pointer_click": (relative, pointer),
        "memory_encode_mux": (relative, memory),
        "memory_attend_mux": (relative, attended),
        "track_decode_mux: logits": (relative, tracked),
        "track_decode_mux: IoU": (absolute, ious),
        "track_decode_mux: object logits": (absolute, logits),
        "pointer_track": (relative, program.pointer_track(tokens[:, :, 0], logits)),
        "tracked: pixels that flip": (flips, tracked),
    }


def run_all(program: ProgramBase, inputs: dict[str, Tensor], dtype: torch.dtype) -> dict[str, tuple[str, Tensor]]:
    """The whole image path, a click, and one step of memory, each fed with the results before it in the same dtype: errors accumulate."""
    ids, index = inputs["ids"], torch.zeros(2, dtype=torch.int64)
    boxes, labels = torch.tensor([[[0.4, 0.5, 0.3, 0.4]], [[0.6, 0.3, 0.2, 0.2]]]), torch.tensor([[1], [0]])
    vit = program.vision_encoder(inputs["pixels"].to(dtype))
    fine, middle, coarse = program.neck_detect(vit)
    text = program.encode_text(ids, ids != 0)
    tokens, token_valid = program.encode_geometry(boxes, labels, labels >= 0, coarse, index)
    prompt, valid = torch.cat((text, tokens), 1), torch.cat((ids != 0, token_valid), 1)
    logits, xyxy, presence, queries, encoded = program.detect(coarse, index, prompt, valid)
    pixel_map, semantic = program.pixel_embed(fine, middle, index, encoded, prompt, valid)
    masks = program.masks(pixel_map, queries)
    track_fine, track_middle, track_coarse = program.neck_track(vit)
    low = torch.zeros(1, 1, track_fine.shape[-2], track_fine.shape[-1], dtype=dtype)
    sparse, dense = program.prompt_encode(
        inputs["point"], torch.ones(1, 1, dtype=torch.int64), low, torch.zeros(1, dtype=torch.bool)
    )
    clicked, ious, mask_tokens, objects = program.mask_decode(track_fine, track_middle, track_coarse, sparse, dense)
    mask = inputs["mask"].sigmoid()
    if isinstance(program, MultiplexProgram):
        followed = run_bucket(program, vit, mask, mask_tokens[:, 0], objects)
    else:
        followed = run_object(program, track_coarse, mask, mask_tokens[:, 0], objects)
    return {
        "vision_encoder": (relative, vit),
        "neck_detect, stride 3.5": (relative, fine),
        "neck_detect, stride 14": (relative, coarse),
        "encode_text": (relative, text[ids != 0]),
        "encode_geometry": (relative, tokens),
        "detect: encoded image": (relative, encoded),
        "detect: queries": (relative, queries),
        "detect: scores": (absolute, logits.sigmoid() * presence.sigmoid()),
        "detect: boxes": (absolute, xyxy),
        "semantic logits": (relative, semantic),
        "masks: logits": (relative, masks),
        "mask_decode: logits": (relative, clicked),
        "mask_decode: IoU": (absolute, ious),
        **followed,
        "masks: pixels that flip": (flips, masks),
        "clicks: pixels that flip": (flips, clicked),
    }
