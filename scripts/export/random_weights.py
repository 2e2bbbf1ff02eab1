"""Random weights: for benchmarks at the true size.

Plain random weights make every query score alike and every mask all set, all clear or a checkerboard. So kernels are smooth, and
after drawing, the heads are centred and scaled on a synthetic image: scores, boxes, masks and IoUs then vary as those of a trained
model do (without meaning anything).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from .config import Sam3Config
from .multiplex_program import MultiplexProgram
from .name_tables import namings, unused_transformers
from .names import Entry, entries
from .program import FP32_PARAMETERS, build
from .program_base import ProgramBase
from .sam_mask_decoder import TokenMaskDecoder
from .weight_files import write_safetensors


def random_program(config: Sam3Config, seed: int, dtype: torch.dtype) -> ProgramBase:
    """The program in eager mode with calibrated random weights in `dtype`."""
    generator = torch.Generator().manual_seed(seed)
    program = build(config, "meta")
    state = {}
    for name, parameter in program.named_parameters():
        state[name] = _draw(name, parameter.shape, generator).to(torch.float32 if name in FP32_PARAMETERS else dtype)
    program.load_state_dict(state, strict=True, assign=True)
    program.requires_grad_(False)
    _calibrate(program, config, generator, dtype)
    return program


def _draw(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    noise = torch.randn(shape, generator=generator)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "gaussian" or name.endswith("reference_points.weight"):
        return noise
    if "norm" in name and leaf == "weight":
        return 1.0 + 0.1 * noise
    if len(shape) == 1 or "embed" in name or "token" in name:
        return noise * (1.0 if "query_embed" in name or "token_embed" in name else 0.1)
    if len(shape) == 4 and shape[-1] > 1:
        noise = _smooth_kernel(shape[-1]) * torch.randn(shape[:2] + (1, 1), generator=generator)
    fan_in = shape[0] if "deconv" in name or "upscale" in name else shape.numel() // shape[0]
    # What all queries of a prompt receive alike must not drown what tells them apart.
    gain = 0.4 if "detr_decoder.layers" in name and ("out_proj" in name or "fc2" in name) else 1.0
    return gain * noise / fan_in**0.5


def _smooth_kernel(side: int) -> Tensor:
    """A kernel [side,side] of mean square 1: flat where kernels do not overlap (2 and 4), else falling off to the edges."""
    line = torch.ones(side) if side in (2, 4) else torch.hann_window(side + 2, periodic=False)[1:-1]
    kernel = torch.outer(line, line)
    return kernel / kernel.square().mean().sqrt()


@torch.no_grad()
def _calibrate(program: ProgramBase, config: Sam3Config, generator: torch.Generator, dtype: torch.dtype) -> None:
    """Centres and scales the heads on two synthetic images, each with eight prompts, at the smallest input size."""
    images, prompts, grid = 2, 16, config.window_size
    size = config.patch_size * grid
    coarse = torch.rand(images, 3, 6, 6, generator=generator) * 2 - 1
    pixels = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").to(dtype)
    ids = torch.randint(1, config.text_vocab, (prompts, config.text_context), generator=generator)
    valid = torch.arange(config.text_context).unsqueeze(0).expand(prompts, -1) < 6
    vit = program.vision_encoder(pixels)
    fine, middle, coarse = program.neck_detect(vit)
    text = program.encode_text(ids, valid)
    index = torch.arange(prompts) % images
    no_boxes = torch.zeros(prompts, 0, dtype=torch.int64)
    tokens, token_valid = program.encode_geometry(torch.zeros(prompts, 0, 4), no_boxes, no_boxes.bool(), coarse, index)
    prompt, prompt_valid = torch.cat((text, tokens), 1), torch.cat((valid, token_valid), 1)

    scoring = program.scoring
    _, _, presence, queries, encoded = program.detect(coarse, index, prompt, prompt_valid)
    # Scores must differ between the queries of one prompt: the score head is made blind to what all of them share.
    _project_out(scoring.query_proj, queries.float().mean(1))
    gain = 2.5 / scoring(queries, prompt, prompt_valid).std().item()
    scoring.query_proj.weight.mul_(gain)
    head = program.detr_decoder.presence_head.layers[-1]
    head.bias.add_((2.0 - presence.mean()).to(dtype))

    pixel_map, _ = program.pixel_embed(fine, middle, index, encoded, prompt, prompt_valid)
    decoder = program.mask_decoder
    _project_out(decoder.instance_proj, pixel_map.float().mean((2, 3)))
    gain = 6.0 / program.masks(pixel_map, queries).float().std().item()
    decoder.mask_embed.layers[-1].weight.mul_(gain)
    decoder.mask_embed.layers[-1].bias.mul_(gain)
    # A trained model's masks cover a part of the image: opposite offsets along one direction lower every logit by 3, half a deviation.
    direction = torch.nn.functional.normalize(torch.randn(config.hidden_size, generator=generator), dim=0).to(dtype)
    decoder.mask_embed.layers[-1].bias.sub_(direction * 3.0**0.5)
    decoder.instance_proj.bias.add_(direction * 3.0**0.5)

    _calibrate_clicks(program, vit[:1], size, generator, dtype)
    if isinstance(program, MultiplexProgram):
        _calibrate_propagation(program, vit[:1])


def _project_out(layer: torch.nn.Module, shared: Tensor) -> None:
    """Makes a linear layer or 1x1 convolution map every vector of `shared` [n,C] to zero."""
    basis = torch.linalg.qr(shared.t().contiguous()).Q
    weight = layer.weight.flatten(1).float()
    layer.weight.copy_((weight - weight @ basis @ basis.t()).view_as(layer.weight))
    layer.bias.zero_()


def _calibrate_clicks(
    program: ProgramBase, vit: Tensor, size: int, generator: torch.Generator, dtype: torch.dtype
) -> None:
    """Scales mask logits, IoUs and object scores of sixteen clicks on one image."""
    fine, middle, coarse = program.neck_track(vit)
    count, low_resolution = 16, fine.shape[-1]
    points = torch.rand(count, 1, 2, generator=generator) * size
    labels = torch.ones(count, 1, dtype=torch.int64)
    no_mask = torch.zeros(count, dtype=torch.bool)
    sparse, dense = program.prompt_encode(
        points, labels, torch.zeros(count, 1, low_resolution, low_resolution, dtype=dtype), no_mask
    )
    masks, _, _, objects = program.mask_decode(fine, middle, coarse, sparse, dense)
    _scale_heads(program.sam_mask_decoder, masks, objects)


def _calibrate_propagation(program: MultiplexProgram, vit: Tensor) -> None:
    """The same of the objects of a full bucket."""
    valid = torch.ones(1, program.propagation_decoder.slots, dtype=torch.bool)
    masks, _, _, objects = program.track_decode_mux(*program.neck_propagate(vit), valid)
    _scale_heads(program.propagation_decoder, masks.flatten(0, 1), objects)


def _scale_heads(decoder: TokenMaskDecoder, masks: Tensor, objects: Tensor) -> None:
    """masks [B,masks,h,w] and objects, as `decoder` gives them now."""
    for i, mlp in enumerate(decoder.mask_mlps):
        gain = 6.0 / masks[:, i].float().std().item()
        mlp.layers[-1].weight.mul_(gain)
        mlp.layers[-1].bias.mul_(gain)
    decoder.iou_head.layers[-1].weight.mul_(2.0)
    bias = decoder.object_head.layers[-1].bias
    bias.add_((3.0 - objects.mean()).to(bias.dtype))


def named_tensors(program: ProgramBase, found: list[Entry], naming: str) -> Iterator[tuple[str, Tensor]]:
    """The weights under the names of a scheme: the inverse of the name map, one tensor at a time."""
    state = program.state_dict()
    for entry in found:
        source, tensor = entry.sources[naming], state[entry.name]
        if source.op == "concat":
            pieces = tensor.chunk(len(source.names), 0)
        elif source.op == "drop_first":
            pieces = [torch.nn.functional.pad(tensor, (0, 0, 1, 0))]
        else:
            pieces = [tensor.reshape(source.shape or entry.shape)]
        yield from zip(source.names, pieces)


def transformers_tensors(program: ProgramBase, config: Sam3Config, found: list[Entry]) -> Iterator[tuple[str, Tensor]]:
    """The weights under transformers names, unused tensors included."""
    state = program.state_dict()
    yield from named_tensors(program, found, "transformers")
    dtype = program.text_encoder.pos_embed.dtype
    for name, shape in unused_transformers(config).items():
        shared = name.endswith("shared_image_embedding.positional_embedding")
        yield name, state["prompt_encoder.gaussian"] if shared else torch.zeros(shape, dtype=dtype)


def save_weights(program: ProgramBase, config: Sam3Config, path: Path) -> None:
    """Writes model.safetensors: in the form of a Hugging Face repository, or with Meta's names where no other are known (SAM 3.1)."""
    found = entries(program, config)

    def tensors() -> Iterator[tuple[str, Tensor]]:
        if "transformers" in namings(config):
            return transformers_tensors(program, config, found)
        return named_tensors(program, found, "meta")

    write_safetensors(path, tensors(), {name: (tuple(t.shape), t.dtype) for name, t in tensors()})
