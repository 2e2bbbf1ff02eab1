"""Operations for which the engine puts a kernel of its own where it has one for the device (native/kernels), call by call and by their names.

Here they are plain PyTorch operations: so a program runs with any LibTorch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .cpu_kernels import differentiates
from .layers import pick_images


def sums_in_place(x: Tensor) -> bool:
    """Whether a transformer adds to its residual sum where that lies (`add_product`): everywhere but on a CPU, where nothing is gained, and
    but for training: there it has gradients, or weights that autocast would round."""
    if not torch.jit.is_scripting():
        if torch.is_grad_enabled() or torch.is_autocast_enabled("cuda"):
            return False
    return x.device.type != "cpu"


def add_product(x: Tensor, a: Tensor, weight: Tensor) -> None:
    """x += a W^T as part of the product: x [...,out], contiguous, a [...,in].

    A product can add a vector or a matrix, not both: the bias is left to whoever reads `x`.
    """
    x.view(-1, x.shape[-1]).addmm_(a.flatten(0, -2), weight.t())


def norm_of_sum(x: Tensor, shift: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """LayerNorm of x + shift: x [...,C], shift [C] -> [...,C]."""
    return F.layer_norm(x + shift, weight.shape, weight, bias, eps)


def relu_of_norm(
    x: Tensor, other: Tensor, index: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
) -> Tensor:
    """ReLU of GroupNorm of x [P,C,H,W] + those of `other` [B,C,H,W] that `index` i64 [P] names; may overwrite `x`."""
    return F.relu(F.group_norm(x + pick_images(other, index), groups, weight, bias, eps))


def relu_of_shifted_norm(x: Tensor, shift: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
    """ReLU of GroupNorm of x [P,C,H,W] + shift [C]; may overwrite `x`."""
    return F.relu(F.group_norm(x + shift[:, None, None], groups, weight, bias, eps))


def apply_rope(x: Tensor, rope: Tensor) -> Tensor:
    """Turns neighbouring pairs of the last dimension of `x` [...,D] by `rope`, complex64, broadcastable to [...,D/2], in fp32.

    May overwrite `x`: one full-size temporary less, which for the vision encoder is worth more than the arithmetic.
    """
    pairs = x.float().unflatten(-1, [x.shape[-1] // 2, 2])
    if not torch.jit.is_scripting():
        if differentiates(x):
            return torch.view_as_real(torch.view_as_complex(pairs) * rope).flatten(-2).to(x.dtype)
    torch.view_as_complex(pairs).mul_(rope)
    return pairs.flatten(-2).to(x.dtype)
