"""The detector's mask decoder (MaskFormer's form): pixel decoder, mask embedder, semantic head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Sam3Config
from .fused import relu_of_norm, relu_of_shifted_norm, sums_in_place
from .kept_tables import KeptTables
from .layers import MLP, FusedAttention, key_mask, pick_images


def upsampling_kernel(weight: Tensor) -> Tensor:
    """The kernel of conv_transpose2d with stride 2 and padding 1 that is a nearest upsampling by 2 and then conv2d with `weight` [O,I,3,3]
    and padding 1: [I,O,4,4]."""
    kernel = weight.float()
    for dim in (2, 3):
        first, second, third = kernel.select(dim, 0), kernel.select(dim, 1), kernel.select(dim, 2)
        kernel = torch.stack((third, second + third, first + second, first), dim)
    return kernel.to(weight.dtype).transpose(0, 1).contiguous()


class PixelDecoder(nn.Module):
    """Top-down pathway: upsample (nearest), add the finer map, convolve, normalise.

    The weight files hold a third stage that no path uses: three maps need two stages.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(dim, dim, 3, padding=1) for _ in range(2))
        self.norms = nn.ModuleList(nn.GroupNorm(8, dim) for _ in range(2))
        self.kernels = KeptTables()

    def forward(self, coarse: Tensor, middle: Tensor, fine: Tensor, img_idx: Tensor) -> Tensor:
        """coarse [P,C,g,g]; of B images, of which img_idx i64 [P] names each prompt's, middle [B,C,2g,2g], fine [B,C,4g,4g] -> [P,C,4g,4g]."""
        if img_idx.shape[0] > fine.shape[0] and sums_in_place(coarse):
            return self._shared(coarse, middle, fine, img_idx)
        finer = [pick_images(middle, img_idx), pick_images(fine, img_idx)]
        x = coarse
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            # Not F.interpolate: scripted, it names every kind of resizing that this torch has, and an older LibTorch refuses that.
            size = [2 * x.shape[2], 2 * x.shape[3]]
            x = torch.ops.aten.upsample_nearest2d(x, size, 2.0, 2.0) + finer[i]
            if sums_in_place(x):
                # The bias is the norm's matter: a convolution on a GPU adds it in a kernel of its own.
                x, bias = F.conv2d(x, conv.weight, padding=1), conv.bias
                assert bias is not None  # TorchScript types it as optional
                x = relu_of_shifted_norm(x, bias, norm.weight, norm.bias, norm.num_groups, norm.eps)
            else:
                x = F.relu(norm(conv(x)))
        return x

    def _shared(self, coarse: Tensor, middle: Tensor, fine: Tensor, img_idx: Tensor) -> Tensor:
        """The same for more prompts than images: conv(a + b) = conv(a) + conv(b), and the finer map's part is computed once per image.

        What is left for each prompt reads the small map: upsampling and convolution are together one transposed convolution of 4 x 4 with
        stride 2, in which each pixel sums 4 products instead of 9.
        """
        finer = [middle, fine]
        x = coarse
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            kernel = self.kernels.find(i, conv.weight.dtype, conv.weight.device)
            if kernel is None:
                kernel = self.kernels.keep(i, upsampling_kernel(conv.weight))
            x = F.conv_transpose2d(x, kernel, stride=2, padding=1)
            x = relu_of_norm(x, conv(finer[i]), img_idx, norm.weight, norm.bias, norm.num_groups, norm.eps)
        return x


class MaskDecoder(nn.Module):
    """Instance masks are dot products of query embeddings with a map of pixel embeddings."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim = config.hidden_size
        self.prompt_norm = nn.LayerNorm(dim)
        self.prompt_attn = FusedAttention(dim, config.mask_heads)
        self.pixel_decoder = PixelDecoder(dim)
        self.mask_embed = MLP(dim, dim, dim, 3)
        self.instance_proj = nn.Conv2d(dim, dim, 1)
        self.semantic_proj = nn.Conv2d(dim, 1, 1)

    def embed_pixels(
        self, fine: Tensor, middle: Tensor, img_idx: Tensor, encoded: Tensor, prompt: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pixel map and semantic logits of P prompts.

        Args:
            fine, middle: neck maps [B,C,4g,4g], [B,C,2g,2g]; img_idx i64 [P]: the image of each prompt; encoded: DETR encoder output [P,g*g,C].
            prompt: [P,L,C]; valid: bool [P,L].

        Returns:
            pixel map [P,C,4g,4g] (for `masks` only), semantic logits [P,1,4g,4g].
        """
        encoded = encoded + self.prompt_attn.cross_attention(
            self.prompt_norm(encoded), prompt, key_mask(valid, encoded.dtype)
        )
        coarse = encoded.unflatten(1, [middle.shape[2] // 2, middle.shape[3] // 2]).permute(0, 3, 1, 2)
        pixels = self.pixel_decoder(coarse, middle, fine, img_idx)
        return pixels, self.semantic_proj(pixels)

    def masks(self, pixels: Tensor, queries: Tensor) -> Tensor:
        """pixels [P,C,h,w], queries [P,Q,C] -> mask logits [P,Q,h,w].

        The 1x1 instance projection is applied to the few queries (transposed) instead of to every pixel: q.(Wp + b) = (qW).p + q.b.
        """
        bias = self.instance_proj.bias
        assert bias is not None  # TorchScript types the bias of a convolution as optional
        embedding = self.mask_embed(queries)
        projected = embedding @ self.instance_proj.weight.flatten(1)
        offset = embedding @ bias.unsqueeze(-1)
        # One product per prompt: a batched product would first copy the pixel map, which is channels-last.
        masks = torch.stack(
            [torch.addmm(offset[i], projected[i], pixels[i].flatten(1)) for i in range(pixels.shape[0])]
        )
        return masks.unflatten(-1, [pixels.shape[2], pixels.shape[3]])
