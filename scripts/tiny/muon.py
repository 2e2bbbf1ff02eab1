"""torch's Muon with all matrices of one shape orthogonalised together: on a GPU its loop over 250 small matrices costs more than the network."""

from __future__ import annotations

import torch
from torch import Tensor


class Muon(torch.optim.Muon):
    """Steps as `torch.optim.Muon` does with `adjust_lr_fn="match_rms_adamw"` and Nesterov's momentum."""

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """One step of all parameters that have a gradient."""
        for group in self.param_groups:
            of_shape: dict[torch.Size, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    of_shape.setdefault(p.shape, []).append(p)
            for parameters in of_shape.values():
                self._step_alike(parameters, group)

    def _step_alike(self, parameters: list[Tensor], group: dict) -> None:
        grads = [p.grad for p in parameters]
        for p in parameters:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        buffers = [self.state[p]["momentum_buffer"] for p in parameters]
        momentum, rate = group["momentum"], group["lr"]
        torch._foreach_lerp_(buffers, grads, 1 - momentum)
        ahead = torch._foreach_lerp(grads, buffers, momentum)
        updates = orthogonalised(torch.stack(ahead), group["ns_coefficients"], group["ns_steps"], group["eps"])
        torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])
        scale = 0.2 * max(parameters[0].shape) ** 0.5
        torch._foreach_add_(parameters, list(updates.to(parameters[0].dtype).unbind(0)), alpha=-rate * scale)


def orthogonalised(matrices: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """Newton and Schulz's iteration in bf16: [n,a,b] -> [n,a,b] with singular values near 1 (Muon, Keller Jordan; the steps of torch.optim)."""
    a, b, c = coefficients
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.bfloat16()
    x = x.transpose(1, 2) if tall else x
    x = x / x.flatten(1).norm(dim=1).clamp(min=eps).view(-1, 1, 1)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        update = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, update, x, beta=a)
    return x.transpose(1, 2) if tall else x
