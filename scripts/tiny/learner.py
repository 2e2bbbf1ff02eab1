"""The program with the heads that only training has, and its optimizers."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from scripts.export.config import Sam3Config

from .dense import DenseHeads
from .detector import DetectorHeads
from .model import new_program
from .phases import Phase

# Parts of the program that a kind of phase trains; the rest is left alone.
PARTS = {
    "dense": ("vision_encoder", "detector_neck.coarse", "text_encoder"),
    "detector": (
        "vision_encoder", "detector_neck", "text_encoder", "geometry_encoder", "detr_encoder", "detr_decoder", "scoring",
        "mask_decoder",
    ),
}  # fmt: skip
HEADS = {"dense": ("dense",), "detector": ("dense", "detector")}


class Learner(nn.Module):
    """What is trained: the network of scripts/export, and heads that are thrown away afterwards."""

    def __init__(self, config: Sam3Config, items: int, seed: int):
        super().__init__()
        self.config = config
        self.program = new_program(config, seed)
        self.dense = DenseHeads(config, items)
        self.detector = DetectorHeads(config)

    def trained(self, kind: str) -> list[tuple[str, nn.Parameter]]:
        """The parameters of a kind of phase, by name."""
        prefixes = [f"program.{part}." for part in PARTS[kind]] + [f"{head}." for head in HEADS[kind]]
        return [(n, p) for n, p in self.named_parameters() if n.startswith(tuple(prefixes))]


def is_matrix_of_layer(name: str, parameter: Tensor) -> bool:
    """Whether Muon may step along it: a matrix inside a transformer layer."""
    return (
        parameter.dim() == 2
        and ".layers." in name
        and "norm" not in name
        and "bias_" not in name
        and "_head" not in name
    )


class Optimizers:
    """AdamW for all, or Muon for the matrices of transformer layers and AdamW for the rest."""

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], phase: Phase):
        named = list(parameters)
        self.parameters = [p for _, p in named]
        turned = [p for n, p in named if phase.optimizer == "muon" and is_matrix_of_layer(n, p)]
        chosen = {id(p) for p in turned}
        rest = [p for p in self.parameters if id(p) not in chosen]
        groups = [
            {"params": [p for p in rest if p.dim() > 1], "weight_decay": phase.weight_decay},
            {"params": [p for p in rest if p.dim() <= 1], "weight_decay": 0.0},
        ]
        self.all: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=phase.learning_rate, betas=(0.9, 0.98))]
        if turned:
            self.all.append(
                torch.optim.Muon(
                    turned,
                    lr=phase.learning_rate,
                    weight_decay=phase.weight_decay,
                    adjust_lr_fn="match_rms_adamw",
                )
            )

    def step(self, loss: Tensor, rate: float, largest_norm: float = 1.0) -> float:
        """One step down the gradient of `loss`, clipped; returns the norm of the gradient."""
        for optimizer in self.all:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = rate
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self.parameters, largest_norm))
        for optimizer in self.all:
            optimizer.step()
        return norm

    def state_dict(self) -> list[dict]:
        """The state of each optimizer."""
        return [o.state_dict() for o in self.all]

    def load_state_dict(self, states: list[dict]) -> None:
        """Continues from `state_dict`."""
        for optimizer, state in zip(self.all, states, strict=True):
            optimizer.load_state_dict(state)


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
