"""Operations that a CPU does faster in another form. Everywhere else they are the plain PyTorch operations.

Measured at the true size on AVX512-BF16 cores without AMX. One thread, bf16: one global ViT layer's attention 1424 -> 510 ms, one
windowed layer's 164 -> 72 ms, one DETR encoder layer's 411 -> 180 ms; Linear + GELU 1024 -> 4736 for 5184 tokens 134 -> 119 ms.
One thread, fp32: 1361 -> 870, 165 -> 97 and 374 -> 250 ms: oneDNN's products are about twice as fast as MKL's on AMD's cores.
"""

from __future__ import annotations

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor

# Shorter blocks read all the keys for too little work: 36,352 keys of the memory with 57 rows at a time take 1.4 times as long.
MINIMUM_ROWS = 128


def differentiates(x: Tensor, weight: Optional[Tensor] = None) -> bool:
    """Whether autograd records what is done with these. Never asked inside a program: whoever runs one only infers."""
    needed = x.requires_grad or (weight is not None and weight.requires_grad)
    return torch.is_grad_enabled() and needed


def differentiable_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Optional[Tensor] = None, causal: bool = False
) -> Tensor:
    """The plain operations, for training: the derivative of the CPU's fused kernel takes two to six times as long as theirs, and those
    of a GPU want masks of their own kind.

    q [B,H,N,D], k and v [B,H,L,D]; mask bool (False: not seen) or additive, broadcastable to [B,H,N,L].
    """
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.to(q.dtype)
    if q.device.type != "cpu" and mask is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if causal:
        mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e4) if mask.dtype == torch.bool else scores + mask
    return torch.softmax(scores, -1) @ v


def masked_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(D) + mask) v; mask bool (False: not seen) or additive, broadcastable to [B,H,N,L]."""
    if not torch.jit.is_scripting():
        if differentiates(q):
            return differentiable_attention(q, k, v, mask)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`attention` in which no query sees a later key."""
    if not torch.jit.is_scripting():
        if differentiates(q):
            return differentiable_attention(q, k, v, causal=True)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(D)) v: q [B,H,N,D], k and v [B,H,L,D] -> [B,H,N,D]."""
    if not torch.jit.is_scripting():
        if differentiates(q):
            return differentiable_attention(q, k, v)
    if q.device.type == "cpu" and (q.dtype == torch.bfloat16 or _fuses(q)):
        return block_attention(q, k, v)
    return F.scaled_dot_product_attention(q, k, v)


def block_attention(
    q: Tensor, k: Tensor, v: Tensor, scores_per_block: int = 1 << 21, rows: int = MINIMUM_ROWS
) -> Tensor:
    """The same, block by block, as matrix products: without AMX the CPU's fused attention kernel does not use the bf16 units well.

    q [B,H,N,D], k [B,H,L,D], v [B,H,L,E] -> [B,H,N,E]; k and v may be those of one batch element, and so may q.
    `scores_per_block` are computed at a time, or those of `rows` queries where that is more: 2^21 bf16 numbers are 4 MB, which stay in
    the cache from the first product to the second. In bf16, scores are rounded (the fused kernel keeps them fp32); over the whole vision
    encoder the error does not change by it.
    """
    batch, heads, queries, dim = q.shape
    keys = k.shape[2]
    row_step = min(queries, max(rows, scores_per_block // keys))
    head_step = max(1, scores_per_block // (row_step * keys))
    # One contiguous [N,D] matrix per head: products of other layouts copy them in every block.
    q, k, v = (q * dim**-0.5).flatten(0, 1).contiguous(), k.flatten(0, 1), v.flatten(0, 1)
    out = torch.empty([batch * heads, queries, v.shape[2]], dtype=q.dtype, device=q.device)
    if _fuses(q) and (head_step == 1 or q.dtype == torch.float32):
        for h in range(batch * heads):
            _attend_head(q[h], k[h], v[h], row_step, out[h])
        return out.view(batch, heads, queries, v.shape[2])
    k, v = k.contiguous().transpose(1, 2), v.contiguous()
    for h in range(0, batch * heads, head_step):
        for r in range(0, queries, row_step):
            scores = torch.bmm(q[h : h + head_step, r : r + row_step], k[h : h + head_step])
            out[h : h + head_step, r : r + row_step] = torch.bmm(torch.softmax(scores, -1), v[h : h + head_step])
    return out.view(batch, heads, queries, v.shape[2])


def _attend_head(q: Tensor, k: Tensor, v: Tensor, row_step: int, out: Tensor) -> None:
    """One head with oneDNN's products: scaled q [N,D], k [L,D], v [L,E] -> out [N,E]."""
    k, v = k.contiguous(), v.t().contiguous()
    if q.shape[0] > row_step:
        # In oneDNN's own layout, once instead of in every block.
        k = torch.ops.mkldnn._reorder_linear_weight(k, row_step)
        v = torch.ops.mkldnn._reorder_linear_weight(v, row_step)
    for r in range(0, q.shape[0], row_step):
        scores = torch.ops.mkldnn._linear_pointwise(q[r : r + row_step], k, None, "none", [], "")
        out[r : r + row_step] = torch.ops.mkldnn._linear_pointwise(torch.softmax(scores, -1), v, None, "none", [], "")


def _fuses(x: Tensor) -> bool:
    """Whether oneDNN has fast products for `x`, which can also apply an activation while the product is still in registers."""
    known = x.dtype == torch.bfloat16 or x.dtype == torch.float32
    return x.device.type == "cpu" and known and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W^T + b: [...,in] -> [...,out]. In bf16 PyTorch itself takes oneDNN's product; in fp32 MKL's, which is the faster one for few rows only."""
    if not torch.jit.is_scripting():
        if differentiates(x, weight):  # oneDNN's products have no derivative
            return F.linear(x, weight, bias)
    if x.dtype == torch.float32 and x.numel() >= 256 * x.shape[-1] and _fuses(x):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return F.linear(x, weight, bias)


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """GELU(x W^T + b), the exact GELU: [...,in] -> [...,out]."""
    if not torch.jit.is_scripting():
        if differentiates(x, weight):
            return F.gelu(F.linear(x, weight, bias))
    if _fuses(x):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu", [], "none")
    return F.gelu(F.linear(x, weight, bias))


def linear_relu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """ReLU(x W^T + b): [...,in] -> [...,out]."""
    if not torch.jit.is_scripting():
        if differentiates(x, weight):
            return F.relu(F.linear(x, weight, bias))
    if _fuses(x):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "relu", [], "")
    if x.device.type != "cpu":
        # A GPU's product applies the activation by itself.
        rows = torch.ops.aten._addmm_activation(bias, x.flatten(0, -2), weight.t())
        return rows.unflatten(0, x.shape[:-1])
    return F.relu(F.linear(x, weight, bias))
