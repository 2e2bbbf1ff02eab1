"""The small model: its sizes, and how its weights start."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.export.config import Sam3Config
from scripts.export.detr_decoder import DetrDecoder
from scripts.export.positions import sine_map
from scripts.export.program import Sam3Program, build
from scripts.export.sam_mask_decoder import SamMaskDecoder

# The position map is as large as the grid, so that positions are absolute: rotary ones alone cannot tell two equal objects apart.
CONFIG = Sam3Config(
    image_size=224,
    patch_size=14,
    pretrain_image_size=224,
    window_size=8,
    global_layers=(2, 4, 5),
    vision_width=192,
    vision_mlp=512,
    vision_layers=6,
    vision_heads=3,
    hidden_size=96,
    text_vocab=1024,
    text_context=32,
    text_width=96,
    text_mlp=256,
    text_layers=2,
    text_heads=3,
    geometry_layers=1,
    geometry_heads=3,
    geometry_mlp=192,
    encoder_layers=2,
    encoder_heads=3,
    encoder_mlp=256,
    decoder_layers=3,
    decoder_heads=6,
    decoder_mlp=256,
    num_queries=16,
    mask_heads=3,
    sam_layers=2,
    sam_heads=3,
    sam_mlp=256,
    iou_head_hidden=96,
    memory_size=48,  # divides hidden_size: object pointers are cut into memory tokens
    memory_layers=2,
    memory_mlp=192,
    fuser_layers=2,
    fuser_mlp=192,
)

# The first size of a reference box, as a share of the picture.
FIRST_BOX = 0.3
# How sharply prompts look at their place at first.
SHARPNESS = 1.5


def new_program(config: Sam3Config, seed: int) -> Sam3Program:
    """The network of scripts/export with weights from which training starts; every parameter is trainable."""
    program = build(config)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in program.named_parameters():
            _start(name, parameter)
        _start_position(program)
        _start_decoder(program.detr_decoder)
        _start_clicks(program.sam_mask_decoder)
    return program.requires_grad_(True).train()


def _start(name: str, p: Tensor) -> None:
    leaf = name.rsplit(".", 1)[-1]
    if name == "prompt_encoder.gaussian":
        nn.init.normal_(p)
    elif "query_embed" in name:
        nn.init.normal_(p, std=0.5)
    elif "fuser" in name and "scale" in leaf:
        nn.init.constant_(p, 0.1)
    elif "norm" in name and leaf == "weight":
        nn.init.ones_(p)
    elif leaf == "bias" or "box_head.layers.2" in name:
        nn.init.zeros_(p)
    elif "patch_embed" in name or "mask_embed" in name:
        nn.init.xavier_uniform_(p.flatten(1))
    elif "token_embed" in name:
        nn.init.normal_(p, std=0.1)
    elif "pos_embed" in name:
        nn.init.normal_(p, std=0.02)
    elif "embed" in name or ("token" in name and p.dim() == 2):
        nn.init.normal_(p, std=0.3)
    elif p.dim() == 4:
        nn.init.kaiming_uniform_(p, a=1)
    elif p.dim() >= 2:
        nn.init.xavier_uniform_(p)
    else:
        nn.init.zeros_(p)


def _start_position(program: Sam3Program) -> None:
    """The ViT's position map starts as sines, at 0.6 times the spread of the patch tokens of a picture with unit variance."""
    vision = program.vision_encoder
    spread = vision.patch_embed.weight.flatten(1).norm(dim=1).mean()
    sines = sine_map(vision.pos_embed.shape[-1], vision.pretrain_grid, torch.device("cpu"))
    vision.pos_embed.add_(0.6 * 0.5 * spread * sines.flatten(2).transpose(1, 2) / sines.std())


def _start_decoder(decoder: DetrDecoder) -> None:
    """Heads look inside the box and at its four edges from the first step: random ones look everywhere, and it takes them thousands of steps
    to find the box.

    Input of the bias MLPs: signed log distances of a cell to the low and to the high edge. Their hidden units 0 to 3 are made to be
    positive below the low edge, above the high one, above the low one, and below the high one.
    """
    inside, low, high, wide = (-30, -30, 0, 0), (-25, -25, -25, 0), (-25, -25, 0, -25), (-6, -6, 0, 0)
    plans = ((decoder.box_bias_x, (inside, low, high, inside, inside, wide)),)
    plans += ((decoder.box_bias_y, (inside, inside, inside, low, high, wide)),)
    for mlp, heads in plans:
        first, second = mlp.layers
        second.weight.mul_(0.3)
        first.weight[:4] = torch.tensor([[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, -1.0]])
        second.weight[:, :4] = 0
        for head, row in enumerate(heads[: len(second.weight)]):
            second.weight[head] = 0
            second.weight[head, :4] = torch.tensor(row, dtype=torch.float32)
    decoder.reference_points.weight.copy_(first_boxes(len(decoder.reference_points.weight)))


def _start_clicks(decoder: SamMaskDecoder) -> None:
    """From the first step the mask tokens take the place of the prompt over and look there.

    Positions are random Fourier features in tokens and picture, and their product falls off with distance: so queries and keys are projected
    by the same matrix. What the tokens hand each other at the start is themselves.
    """
    transformer = decoder.transformer
    attentions = [transformer.final_attn]
    for layer in transformer.layers:
        attentions += [layer.token_to_image, layer.image_to_token]
    for attention in attentions:
        attention.q_proj.weight.mul_(SHARPNESS)
        attention.k_proj.weight.copy_(attention.q_proj.weight)
    first = transformer.layers[0].self_attn
    for projection in (first.v_proj, first.out_proj):
        nn.init.eye_(projection.weight)
    for projection in (first.q_proj, first.k_proj):
        projection.weight.mul_(0.3)


def first_boxes(count: int) -> Tensor:
    """Logits of `count` boxes of one size spread evenly over the picture: [count,4] cxcywh."""
    side = max(1, round(count**0.5))
    number = torch.arange(count)
    rows = -(-count // side)
    x, y = (number % side + 0.5) / side, (number // side + 0.5) / rows
    size = torch.full((count,), FIRST_BOX)
    return torch.logit(torch.stack((x, y, size, size), 1))
