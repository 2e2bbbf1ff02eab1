"""The program with the heads that only training has, and its optimizers."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from scripts.export.config import Sam3Config
from scripts.export.neck import Neck

from .bank import ClipBank
from .click_heads import ClickHeads, MemoryHeads
from .dense import DenseHeads
from .detector import DetectorHeads
from .model import new_program
from .muon import Muon
from .phases import Phase
from .team import mean_gradients

# Parts of the program that a kind of phase trains; the rest is left alone.
DETECTOR = (
    "vision_encoder", "detector_neck", "text_encoder", "geometry_encoder", "detr_encoder", "detr_decoder", "scoring", "mask_decoder",
)  # fmt: skip
# Not prompt_encoder.gaussian: the frequencies of random Fourier features stay as they were drawn.
CLICKS = (
    "tracker_neck", "prompt_encoder.point_embed", "prompt_encoder.not_a_point_embed", "prompt_encoder.mask_prompt",
    "prompt_encoder.no_mask_embed", "sam_mask_decoder", "memory_attention.no_memory_embed",
)  # fmt: skip
PARTS = {
    "dense": ("vision_encoder", "detector_neck.coarse", "text_encoder"),
    "detector": DETECTOR,
    "clicks": CLICKS,
    "tracker": (*CLICKS, "object_pointers", "memory_encoder", "memory_attention"),
}
HEADS = {"dense": ("dense",), "detector": ("dense", "detector"), "clicks": ("clicks",), "tracker": ("clicks", "memory")}


class Learner(nn.Module):
    """What is trained: the network of scripts/export, and heads that are thrown away afterwards."""

    def __init__(self, config: Sam3Config, items: int, seed: int):
        super().__init__()
        self.config = config
        self.program = new_program(config, seed)
        self.dense = DenseHeads(config, items)
        self.detector = DetectorHeads(config)
        self.clicks = ClickHeads(config)
        self.memory = MemoryHeads(config)
        self.bank: ClipBank | None = None

    def trained(self, phase: Phase) -> list[tuple[str, nn.Parameter]]:
        """The parameters that a phase trains, by name; nothing of the trunk where its rate is 0."""
        program = () if phase.heads_only else PARTS[phase.kind]
        parts = [part for part in program if phase.trunk_rate or not f"program.{part}.".startswith(TRUNK)]
        names = [f"program.{part}" for part in parts] + list(HEADS[phase.kind])
        starts = tuple(f"{name}." for name in names)
        return [(n, p) for n, p in self.named_parameters() if n in names or n.startswith(starts)]

    @torch.no_grad()
    def copy_neck(self) -> None:
        """The tracker's neck starts as the detector's."""
        for own, other in zip(self.program.tracker_neck.parameters(), self.program.detector_neck.parameters()):
            own.copy_(other)

    @torch.no_grad()
    def unit_neck(self, neck: Neck, pixels: Tensor) -> None:
        """Scales a neck so that each of its maps has a spread of 1 on these pictures.

        Dense losses do not see the scale of the features, and it grows; positions of spread 0.7 added to features of spread 14 say nothing.
        """
        vit = self.program.vision_encoder(pixels)
        for level in (neck.fine, neck.middle, neck.coarse):
            spread = level(vit).std()
            level.conv3x3.weight.div_(spread)
            level.conv3x3.bias.div_(spread)


def is_matrix_of_layer(name: str, parameter: Tensor) -> bool:
    """Whether Muon may step along it: a matrix inside a transformer layer."""
    return (
        parameter.dim() == 2
        and ".layers." in name
        and "norm" not in name
        and "bias_" not in name
        and "_head" not in name
    )


# What has been trained before, or copied from what was: phases may turn it more slowly than what is new to them. At the full rate the
# features of the tracker's neck grow tenfold in some hundred steps, and the positions of clicks drown in them.
TRUNK = (
    "program.vision_encoder.",
    "program.text_encoder.",
    "program.detector_neck.coarse.",
    "program.tracker_neck.",
    "dense.",
)


class Optimizers:
    """AdamW for all, or Muon for the matrices of transformer layers and AdamW for the rest."""

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], phase: Phase):
        named = list(parameters)
        self.parameters = [p for _, p in named]
        turned, plain = [], []
        for trunk in (False, True):
            scale = phase.trunk_rate if trunk else 1.0
            part = [(n, p) for n, p in named if n.startswith(TRUNK) == trunk]
            by_muon = {n for n, p in part if phase.optimizer == "muon" and is_matrix_of_layer(n, p)}
            rest = [p for n, p in part if n not in by_muon]
            turned.append({"params": [p for n, p in part if n in by_muon], "scale": scale})
            decay = phase.weight_decay
            plain.append({"params": [p for p in rest if p.dim() > 1], "weight_decay": decay, "scale": scale})
            plain.append({"params": [p for p in rest if p.dim() <= 1], "weight_decay": 0.0, "scale": scale})
        plain, turned = ([g for g in groups if g["params"]] for groups in (plain, turned))
        rate = phase.learning_rate
        fused = self.parameters[0].is_cuda
        self.all: list[torch.optim.Optimizer] = [torch.optim.AdamW(plain, lr=rate, betas=(0.9, 0.98), fused=fused)]
        if turned:
            self.all.append(Muon(turned, lr=rate, weight_decay=phase.weight_decay, adjust_lr_fn="match_rms_adamw"))

    def step(self, loss: Tensor, rate: float, largest_norm: float = 1.0) -> Tensor:
        """One step down the gradient of `loss`, clipped; returns the norm of the gradient."""
        for optimizer in self.all:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["scale"]
        loss.backward()
        mean_gradients(self.parameters)
        norm = nn.utils.clip_grad_norm_(self.parameters, largest_norm)
        for optimizer in self.all:
            optimizer.step()
        return norm

    def state_dict(self) -> list[dict]:
        """The state of each optimizer."""
        return [o.state_dict() for o in self.all]

    def load_state_dict(self, states: list[dict]) -> None:
        """Continues from `state_dict`; rates and decays are those of the phase as it is now."""
        for optimizer, state in zip(self.all, states, strict=True):
            wanted = [{k: group[k] for k in ("scale", "weight_decay")} for group in optimizer.param_groups]
            optimizer.load_state_dict(state)
            for group, values in zip(optimizer.param_groups, wanted):
                group.update(values)


class Average:
    """The moving average of the program's weights: what is evaluated and exported."""

    def __init__(self, program: nn.Module):
        self.weights = {n: p.detach().clone() for n, p in program.named_parameters()}
        self.steps = 0

    @torch.no_grad()
    def update(self, program: nn.Module, decay: float) -> None:
        """After a step; the first steps count for more, so that the start is forgotten."""
        self.steps += 1
        decay = min(decay, (1 + self.steps) / (10 + self.steps))
        now = [p.detach() for _, p in program.named_parameters()]
        torch._foreach_lerp_(list(self.weights.values()), now, 1 - decay)

    @torch.no_grad()
    def into(self, program: nn.Module) -> None:
        """Puts the averaged weights into `program`: a phase that trains only some parts starts from what is exported of the others."""
        for name, parameter in program.named_parameters():
            parameter.copy_(self.weights[name])
