"""Training of the detector: the forward pass over every decoder layer, with groups of queries that only training has."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scripts.export.config import Sam3Config
from scripts.export.detr_decoder import DetrDecoder
from scripts.export.layers import key_mask
from scripts.export.positions import cxcywh_to_xyxy, inverse_sigmoid

from .boxes import assign, generalized_iou, matching_cost, xyxy_to_cxcywh
from .losses import box_around, cell_centres, focal
from .model import first_boxes
from .targets import TokenTargets

# The one-to-many group: this many queries, each object five times.
MANY, REPEATS = 32, 5
# Denoising queries that start from a random box instead of a shaken one.
STRAY = 8


@dataclass
class Asked:
    """The truth of P prompts about scenes of K objects."""

    answer: Tensor  # bool [P,K]
    boxes: Tensor  # fp32 [P,K,4] xyxy of all objects
    exists: Tensor  # bool [P,K]


@dataclass
class Decoded:
    """A group of queries after one layer."""

    queries: Tensor  # [P,Q,C]
    boxes: Tensor  # fp32 [P,Q,4] cxcywh
    logits: Tensor  # fp32 [P,Q]


class DetectorHeads(nn.Module):
    """Queries of the extra groups, and heads on every encoded token: am I asked for, and where is my object."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim = config.hidden_size
        self.grid = config.grid
        self.many_query = nn.Parameter(torch.randn(MANY, dim) * 0.5)
        self.many_reference = nn.Parameter(first_boxes(MANY))
        self.noised_query = nn.Parameter(torch.randn(1, dim) * 0.5)
        self.norm = nn.LayerNorm(dim)
        self.token = nn.Linear(dim, 5)
        self.place = nn.Linear(dim, 4)
        nn.init.zeros_(self.token.bias)
        nn.init.constant_(self.token.bias[:1], -2.0)

    def token_losses(self, encoded: Tensor, asked: Asked, targets: TokenTargets, scene: Tensor) -> dict[str, Tensor]:
        """Losses of the encoded tokens [P,N,C]; `targets` of the scenes, `scene` i64 [P]."""
        thing, box = targets.thing[scene], targets.box[scene]
        known = (thing >= 0).float()
        wanted = F.pad(asked.answer, (1, 0)).gather(1, thing.clamp(min=0)).float() * known
        count = wanted.sum().clamp(min=1)
        tokens = self.norm(encoded)
        head = self.token(tokens).float()
        around = box_around(cell_centres(self.grid, encoded.device), head[..., 1:])
        placed = self.place(tokens).float().sigmoid()
        return {
            "asked": (focal(head[..., 0], wanted, 0.5) * known).sum() / count,
            "asked_box": ((around - box).abs().sum(-1) * wanted).sum() / count,
            "asked_place": ((placed - xyxy_to_cxcywh(box)).abs().sum(-1) * wanted).sum() / count,
        }


def decode(
    decoder: DetrDecoder,
    image: Tensor,
    image_pos: Tensor,
    grid: int,
    prompt: Tensor,
    valid: Tensor,
    groups: list[tuple[Tensor, Tensor]],
) -> tuple[list[list[tuple[Tensor, Tensor]]], list[Tensor]]:
    """Runs the layers of the decoder over several groups of queries at once. Groups do not see each other; the presence token belongs to the first.

    References carry no gradient from one layer to the next.

    Args:
        groups: content [n,C] and first boxes [P or 1,n,4] cxcywh in 0..1 of each group.

    Returns:
        for each group and layer the normed queries [P,n,C] and boxes fp32 [P,n,4] cxcywh; for each layer the presence logits fp32 [P,1].
    """
    prompts, dtype = image.shape[0], image.dtype
    sizes = [len(content) for content, _ in groups]
    x = torch.cat([decoder.presence_token.weight, *(content for content, _ in groups)], 0)
    x = x.unsqueeze(0).expand(prompts, -1, -1)
    boxes = torch.cat([first.expand(prompts, -1, -1) for _, first in groups], 1).float()
    group = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(image.device)
    group = F.pad(group, (1, 0))
    apart, prompt_mask = group.unsqueeze(0) == group.unsqueeze(1), key_mask(valid, dtype)
    found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in groups]
    presences = []
    image_keys = image + image_pos
    for layer in decoder.layers:
        with torch.autocast(image.device.type, enabled=False):
            bias = decoder.box_bias(boxes, grid, torch.float32)
        position = decoder.query_position(boxes, dtype)
        x = layer(x, position, prompt, prompt_mask, image, image_keys, bias, apart)
        queries = decoder.norm(x[:, 1:])
        new = (decoder.box_head(queries).float() + inverse_sigmoid(boxes)).sigmoid()
        for out, q, b in zip(found, queries.split(sizes, 1), new.split(sizes, 1)):
            out.append((q, b))
        presences.append(decoder.presence_head(decoder.presence_norm(x[:, :1])).squeeze(-1).float())
        boxes = new.detach()
    return found, presences


def shaken(asked: Asked, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """First boxes of the denoising queries: every object of the scene shaken, and random ones. `rng` is of the CPU.

    Returns:
        boxes fp32 [P,K+STRAY,4] cxcywh; i64 [P,K+STRAY]: the object that a query is to find, -1 none. Objects that are not asked for
        are to be refused: near misses are the best of the negative examples.
    """
    prompts, objects = asked.answer.shape
    device = asked.boxes.device
    noise = torch.rand(prompts, objects + STRAY, 4, generator=rng).to(device)
    stray = torch.cat((0.1 + 0.8 * noise[..., :2], 0.1 + 0.4 * noise[..., 2:]), -1)
    box = xyxy_to_cxcywh(asked.boxes)
    noise = noise[:, :objects] * 2 - 1
    near = torch.cat(
        (box[..., :2] + 0.35 * noise[..., :2] * box[..., 2:], box[..., 2:] * (0.45 * noise[..., 2:]).exp()), -1
    )
    first = torch.cat((torch.where(asked.exists.unsqueeze(-1), near, stray[:, :objects]), stray[:, objects:]), 1)
    number = torch.arange(objects, device=device).expand(prompts, -1)
    return first.clamp(0.01, 0.99), F.pad(torch.where(asked.answer, number, -1), (0, STRAY), value=-1)


def group_losses(
    layers: list[Decoded], asked: Asked, given: list[Tensor], repeats: int, alpha: float
) -> dict[str, Tensor]:
    """Losses of one group, summed over its layers; `given` i64 [P,Q] says which object each query is to find, -1 none."""
    count = (asked.answer.sum() * repeats).clamp(min=1)
    score = box = giou = torch.zeros((), device=count.device)
    for out, assigned in zip(layers, given):
        has = assigned >= 0
        score = score + focal(out.logits, has.float(), alpha).sum() / count
        rows, queries = torch.nonzero(has, as_tuple=True)
        predicted, truth = out.boxes[rows, queries], asked.boxes[rows, assigned[rows, queries]]
        box = box + (predicted - xyxy_to_cxcywh(truth)).abs().sum() / count
        giou = giou + (1 - generalized_iou(cxcywh_to_xyxy(predicted), truth)).sum() / count
    return {"score": score, "query_box": box, "query_giou": giou}


def matched(layers: list[Decoded], asked: Asked, repeats: int) -> list[Tensor]:
    """The object of each query after every layer: i64 [P,Q] each."""
    costs = torch.cat([matching_cost(o.logits.detach(), o.boxes.detach(), asked.boxes) for o in layers], 0)
    return list(assign(costs, asked.answer.repeat(len(layers), 1), repeats).chunk(len(layers), 0))
