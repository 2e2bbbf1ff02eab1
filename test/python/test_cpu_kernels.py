"""The CPU forms of attention and of activations equal the plain operations."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from scripts.export.cpu_kernels import attention, block_attention, linear_gelu, linear_relu


@pytest.mark.parametrize("shape", [(2, 3, 24, 24, 8), (1, 2, 50, 33, 16), (3, 1, 7, 70, 4), (1, 1, 1, 1, 4)])
@pytest.mark.parametrize("block", [1, 40, 300, 1 << 20])
def test_blocks_are_exact(shape, block):
    """In fp32 the blocks give what the fused kernel gives, whatever their size."""
    batch, heads, rows, keys, dim = shape
    q, k, v = (
        torch.randn(batch, heads, rows, dim),
        torch.randn(batch, heads, keys, dim),
        torch.randn(batch, heads, keys, dim),
    )
    torch.testing.assert_close(
        block_attention(q, k, v, block, 1), F.scaled_dot_product_attention(q, k, v), atol=2e-6, rtol=1e-5
    )


@pytest.mark.parametrize("rows", [5, 1000])
def test_values_of_another_width(rows):
    """As memory attention uses it: one head, more keys than queries, values of few channels."""
    q, k, v = torch.randn(1, 1, 40, 32), torch.randn(1, 1, 90, 32), torch.randn(1, 1, 90, 8)
    want = torch.softmax(q @ k.transpose(2, 3) / 32**0.5, -1) @ v
    torch.testing.assert_close(block_attention(q, k, v, 1, rows), want, atol=2e-6, rtol=1e-5)


def test_blocks_take_strided_heads():
    packed = torch.randn(2, 30, 3, 4, 8)
    q, k, v = (packed[:, :, i].transpose(1, 2) for i in range(3))
    torch.testing.assert_close(
        block_attention(q, k, v, 64, 1), F.scaled_dot_product_attention(q, k, v), atol=2e-6, rtol=1e-5
    )


def test_bfloat16_attention_near_fp32():
    q, k, v = (torch.randn(1, 4, 200, 32) for _ in range(3))
    got = attention(q.bfloat16(), k.bfloat16(), v.bfloat16()).float()
    want = F.scaled_dot_product_attention(q, k, v)
    assert ((got - want).pow(2).mean() / want.pow(2).mean()).sqrt() < 0.02


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fused_activations(dtype):
    x, weight, bias = torch.randn(2, 5, 16).to(dtype), torch.randn(24, 16).to(dtype), torch.randn(24).to(dtype)
    plain = F.linear(x.float(), weight.float(), bias.float())
    tolerance = 1e-5 if dtype == torch.float32 else 4e-2
    torch.testing.assert_close(linear_gelu(x, weight, bias).float(), F.gelu(plain), atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(linear_relu(x, weight, bias).float(), F.relu(plain), atol=tolerance, rtol=tolerance)
