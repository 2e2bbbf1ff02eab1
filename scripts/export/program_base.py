"""What the programs of SAM 3 and SAM 3.1 have in common.

P prompts, B images (or objects, in the tracker's methods), T texts, N boxes or points, M memory frames, K pointers, Q queries are
free in every call; `img_idx` i64 [P] names the image of each prompt, so P need not be B. S is the side of the input, g = S / patch_size.
Tensors have the model's dtype unless fp32, i64 or bool is written. No method moves data to another device.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import Sam3Config
from .detr_decoder import DetrDecoder
from .detr_encoder import DetrEncoder
from .geometry_encoder import GeometryEncoder
from .mask_decoder import MaskDecoder
from .neck import Neck
from .positions import cxcywh_to_xyxy
from .prompt_encoder import PromptEncoder
from .sam_mask_decoder import SamMaskDecoder
from .scoring import DotProductScoring
from .text_encoder import TextEncoder
from .vision_encoder import VisionEncoder


class ProgramBase(nn.Module):
    """What the programs of SAM 3 and SAM 3.1 have in common: images, concept prompts and clicks, in the order in which a request meets them."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        self.vision_encoder = VisionEncoder(config)
        self.detector_neck = Neck(config)
        self.tracker_neck = Neck(config)
        self.text_encoder = TextEncoder(config)
        self.geometry_encoder = GeometryEncoder(config)
        self.detr_encoder = DetrEncoder(config)
        self.detr_decoder = DetrDecoder(config)
        self.scoring = DotProductScoring(config)
        self.mask_decoder = MaskDecoder(config)
        self.prompt_encoder = PromptEncoder(config)
        self.sam_mask_decoder = SamMaskDecoder(config)

    # ---- image

    # `vision_encoder` in steps, so that a caller can stop half-way: at the true size it is the longest call by far.

    @torch.jit.export
    def embed_patches(self, pixels: Tensor) -> Tensor:
        """Pixels [B,3,S,S] in -1..1 -> tokens [B,g*g,C], in an order that only `encode_layers` and `join_tokens` know."""
        return self.vision_encoder.embed(pixels)

    @torch.jit.export
    def encode_layers(self, tokens: Tensor, first: int, count: int) -> Tensor:
        """ViT layers `first` to `first + count - 1`: [B,g*g,C] -> [B,g*g,C]."""
        return self.vision_encoder.run_layers(tokens, first, count)

    @torch.jit.export
    def join_tokens(self, tokens: Tensor) -> Tensor:
        """Tokens after the last layer -> ViT map [B,C,g,g]."""
        return self.vision_encoder.join(tokens)

    @torch.jit.export
    def neck_detect(self, vit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ViT map -> the detector's levels: fine [B,256,4g,4g], middle [B,256,2g,2g], coarse [B,256,g,g]."""
        return self.detector_neck(vit)

    @torch.jit.export
    def neck_track(self, vit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ViT map -> the levels of clicks, in SAM 3 of the whole tracker: fine [B,32,4g,4g], middle [B,64,2g,2g], coarse [B,256,g,g]."""
        fine, middle, coarse = self.tracker_neck(vit)
        fine, middle = self.sam_mask_decoder.high_resolution(fine, middle)
        return fine, middle, coarse

    # ---- concept prompts

    @torch.jit.export
    def encode_text(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids i64 [T,32], mask bool [T,32] (id != 0) -> [T,32,256]."""
        return self.text_encoder(ids, mask)

    @torch.jit.export
    def encode_geometry(
        self, boxes: Tensor, labels: Tensor, valid: Tensor, coarse: Tensor, img_idx: Tensor
    ) -> tuple[Tensor, Tensor]:
        """boxes fp32 [P,N,4] cxcywh in 0..1, labels i64 [P,N], valid bool [P,N] -> [P,N+1,256], bool [P,N+1]. N may be 0."""
        return self.geometry_encoder(boxes, labels, valid, coarse, img_idx)

    @torch.jit.export
    def detect(
        self, coarse: Tensor, img_idx: Tensor, prompt: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """prompt [P,L,256] = text then geometry, valid bool [P,L].

        Returns logits fp32 [P,Q], boxes fp32 [P,Q,4] xyxy in 0..1, presence logits fp32 [P,1], queries [P,Q,256], encoded [P,g*g,256].
        The score of a query is sigmoid(logit) * sigmoid(presence).
        """
        encoded = self.detr_encoder(coarse, img_idx, prompt, valid)
        queries, boxes, presence = self.detr_decoder(
            encoded, self.detr_encoder.position(coarse), coarse.shape[-1], prompt, valid
        )
        return self.scoring(queries, prompt, valid), cxcywh_to_xyxy(boxes), presence.float(), queries, encoded

    @torch.jit.export
    def pixel_embed(
        self, fine: Tensor, middle: Tensor, img_idx: Tensor, encoded: Tensor, prompt: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pixel map [P,256,4g,4g] for `masks`, semantic logits [P,1,4g,4g]."""
        return self.mask_decoder.embed_pixels(fine, middle, img_idx, encoded, prompt, valid)

    @torch.jit.export
    def masks(self, pixels: Tensor, queries: Tensor) -> Tensor:
        """pixels [P,256,4g,4g], queries [P,Q,256] (any subset of them; Q may be 0) -> mask logits [P,Q,4g,4g]."""
        return self.mask_decoder.masks(pixels, queries)

    # ---- clicks, box and mask prompts

    @torch.jit.export
    def prompt_encode(self, points: Tensor, labels: Tensor, mask: Tensor, use_mask: Tensor) -> tuple[Tensor, Tensor]:
        """points fp32 [B,N,2] in input pixels, labels i64 [B,N], mask [B,1,4g,4g] (batch 0: nobody has one), use_mask bool [B] -> sparse [B,N+1,256], dense [B,256,g,g]."""
        return self.prompt_encoder(points, labels, mask, use_mask)

    @torch.jit.export
    def mask_decode(
        self, fine: Tensor, middle: Tensor, image: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """-> masks [B,4,4g,4g], IoU [B,4], tokens [B,4,256], object score logits [B,1]. fine, middle and image may have batch 1: one image, B prompts."""
        return self.sam_mask_decoder(
            fine, middle, image, self.prompt_encoder.dense_position(dense.shape[-1]), sparse, dense
        )

    @torch.jit.export
    def mask_to_prompt(self, mask: Tensor) -> Tensor:
        """[B,1,16g,16g] -> [B,1,4g,4g]."""
        return self.object_pointers.mask_to_prompt(mask)

    @torch.jit.export
    def pointer_tpos(self, offset: Tensor) -> Tensor:
        """offset fp32 [K] -> [K,memory_size]."""
        return self.object_pointers.time_position(offset)
