"""The forms that a GPU runs: residual sums in place, what prompts share computed once. Here on a CPU, in double precision, beside the plain forms."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from conftest import assert_close
from test_methods import Inputs

from scripts.export import detr_encoder, mask_decoder, vision_encoder
from scripts.export.mask_decoder import upsampling_kernel

GRID = 8


@pytest.fixture
def wide(eager):
    """The network in double precision: what is left of a difference is not rounding, but for angles and boxes, which are fp32 always."""
    return copy.deepcopy(eager).double()


@pytest.fixture
def both(monkeypatch):
    """Runs something in the plain form and in that of a GPU; the outputs in pairs."""

    def run(body):
        results = []
        for in_place in (False, True):
            for module in (vision_encoder, detr_encoder, mask_decoder):
                monkeypatch.setattr(module, "sums_in_place", lambda _, answer=in_place: answer)
            result = body()
            results.append(result if isinstance(result, tuple) else (result,))
        return zip(*results)

    return run


def inputs(config) -> Inputs:
    return Inputs(config, GRID, dtype=torch.float64)


def test_image_encoder(both, wide, config):
    (pixels,) = inputs(config).vision_encoder(2)

    def encode():
        tokens = wide.embed_patches(pixels)
        before = tokens.clone()
        for first in range(0, config.vision_layers, 3):
            tokens = wide.encode_layers(tokens, first, 3)
        assert torch.equal(wide.embed_patches(pixels), before)
        return wide.join_tokens(tokens)

    for plain, in_place in both(encode):
        assert not torch.equal(plain, in_place)  # another form was run
        assert_close(in_place, plain, 2e-6, "image encoder")


def test_a_step_of_the_image_encoder_changes_no_argument(both, wide, config):
    tokens, first, count = inputs(config).encode_layers(1, 0, 2)
    before = tokens.clone()
    list(both(lambda: wide.encode_layers(tokens, first, count)))
    assert torch.equal(tokens, before)


@pytest.mark.parametrize(("images", "prompts"), [(1, 1), (2, 3)])
def test_detector(both, wide, config, images, prompts):
    coarse, index, prompt, valid = inputs(config).detect(images, prompts, 9)
    before = coarse.clone()
    for i, (plain, in_place) in enumerate(both(lambda: wide.detect(coarse, index, prompt, valid))):
        # Boxes and their sines are fp32 in every dtype.
        assert_close(in_place, plain, 1e-4, f"detector, output {i}")
    assert torch.equal(coarse, before)


@pytest.mark.parametrize(("images", "prompts"), [(1, 1), (1, 4), (2, 2), (2, 5)])
def test_pixel_decoder(both, wide, config, images, prompts):
    arguments = inputs(config).pixel_embed(images, prompts, 9)
    for i, (plain, in_place) in enumerate(both(lambda: wide.pixel_embed(*arguments))):
        assert_close(in_place, plain, 1e-5, f"pixel decoder, output {i}")


def test_an_upsampling_convolution():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 5, 6, 7, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 5, 3, 3, generator=generator, dtype=torch.float64)
    want = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, padding=1)
    got = F.conv_transpose2d(x, upsampling_kernel(weight), stride=2, padding=1)
    assert_close(got, want, 1e-5, "upsampling kernel")
