"""The model of what a GPU needs: that it counts what there is to count."""

import pytest
import torch
import torch.nn.functional as F

from bench.limits import LEAST, Count, count, largest, table

BYTES, FLOPS = 1e12, 1e14


def counted(body):
    counter = Count(BYTES, FLOPS)
    counter.stage = "all"
    with torch.inference_mode(), counter:
        body()
    return counter.stages["all"]


def meta(*shape, dtype=torch.bfloat16):
    return torch.empty(*shape, dtype=dtype, device="meta")


def test_a_product_takes_its_arithmetic_or_its_bytes():
    x, weight = meta(4096, 4096), meta(4096, 4096)
    product = counted(lambda: F.linear(x, weight))
    assert product.operators == 1
    assert product.flops == 2 * 4096**3
    assert product.bytes == 3 * 2 * 4096**2
    assert product.seconds == pytest.approx(product.flops / FLOPS)
    thin = counted(lambda: F.linear(meta(16, 4096), weight))
    assert thin.seconds == pytest.approx(thin.bytes / BYTES)
    assert thin.least < thin.seconds


def test_views_cost_nothing_and_expanded_elements_are_there_once():
    x, row = meta(1024, 1024), meta(1, 1024)
    assert counted(lambda: x.view(-1).unflatten(0, (1024, 1024)).transpose(0, 1)[:10]).operators == 0
    added = counted(lambda: x + row.expand(1024, 1024))
    assert added.bytes == 2 * (2 * 1024**2 + 1024)


def test_a_small_kernel_takes_what_a_launch_takes():
    assert counted(lambda: meta(3) + 1).seconds == LEAST


def test_attention_is_one_kernel():
    counter = Count(BYTES, FLOPS)
    counter.stage = "all"
    q, k = meta(2, 8, 100, 64), meta(1, 8, 50, 64)
    assert counter.attention(q, k, k).shape == (2, 8, 100, 64)
    assert counter.stages["all"].operators == 1
    assert counter.stages["all"].flops == 2 * 2 * 8 * 100 * 50 * 128


def test_a_product_that_applies_gelu_writes_its_result_once():
    counter = Count(BYTES, FLOPS)
    counter.stage = "all"
    x, weight, bias = meta(2, 100, 64), meta(256, 64), meta(256)
    assert counter.linear_gelu(x, weight, bias).shape == (2, 100, 256)
    assert counter.stages["all"].operators == 1
    assert counter.stages["all"].flops == 2 * 2 * 100 * 64 * 256
    assert counter.stages["all"].bytes == 2 * (x.numel() + weight.numel() + bias.numel() + 2 * 100 * 256)


def test_a_product_that_adds_to_its_result_reads_it_too():
    x, a, weight = meta(4096, 64), meta(4096, 256), meta(64, 256)
    product = counted(lambda: x.addmm_(a, weight.t()))
    assert product.flops == 2 * 4096 * 256 * 64
    assert product.bytes == 2 * (2 * x.numel() + a.numel() + weight.numel())


def test_the_engines_kernels():
    """One kernel each where LibTorch has several, in the encoders of image and prompts: 32 layers, and 6."""
    with_kernels, without = (count(3.0e12, 670e12, images=1, texts=2, kernels=used) for used in (True, False))
    encoder, plain = with_kernels["image encoder"], without["image encoder"]
    # Queries and keys of 5184 tokens of 1024 channels, read and written once; the rest of the time is one table.
    assert encoder.by_operator["apply_rope"] == pytest.approx(32 * 2 * 2 * 2 * 5184 * 1024 / 3.0e12, rel=0.07)
    assert "mul_" in plain.by_operator and "mul_" not in encoder.by_operator
    # To fp32 and back, the product, sums before each norm and GELU by itself are gone.
    assert plain.operators - encoder.operators == 32 * 2 + 64 + 32
    assert "gelu" in plain.by_operator and "gelu" not in encoder.by_operator
    assert encoder.seconds < 0.75 * plain.seconds
    assert encoder.flops == plain.flops
    for stage in ("detector", "pixel decoder"):
        assert with_kernels[stage].bytes < without[stage].bytes
    assert with_kernels["neck"] == without["neck"]


def test_tables_are_counted_once():
    """What a program keeps it makes before the count begins."""
    stages = count(3.0e12, 670e12, images=1, texts=1)
    assert not {"polar", "cumsum"} & {name for stage in stages.values() for name in stage.by_operator}


def test_the_program_by_stage():
    one = count(3.0e12, 670e12, images=1, texts=1)
    assert list(one) == ["image encoder", "neck", "text", "geometry", "detector", "pixel decoder", "masks"]
    assert 5.0e12 < one["image encoder"].flops < 6.0e12  # 5.4 TFLOP an image, docs/performance.md
    for stage in one.values():
        assert stage.seconds >= stage.least
        assert stage.seconds == pytest.approx(sum(stage.by_operator.values()))
    faster = count(6.0e12, 670e12, images=1, texts=1)
    assert sum(s.seconds for s in faster.values()) < sum(s.seconds for s in one.values())
    page = table(one, 1).splitlines()
    assert len(page) == 2 + len(one) + 1
    assert page[-1].startswith("| all |")
    assert "image encoder: linear" in largest(one, 1, 3)
