"""The program: the whole of SAM 3 as one module whose methods are what the engine calls, and no others.

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
from .layers import pick_images
from .mask_decoder import MaskDecoder
from .memory_attention import MemoryAttention
from .memory_encoder import MemoryEncoder, ObjectPointer
from .neck import Neck
from .positions import cxcywh_to_xyxy, sine_map
from .prompt_encoder import PromptEncoder
from .sam_mask_decoder import SamMaskDecoder
from .scoring import DotProductScoring
from .text_encoder import TextEncoder
from .vision_encoder import VisionEncoder


class Sam3Program(nn.Module):
    """SAM 3. The order of the methods is the order in which a request meets them."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        self.memory_size = config.memory_size
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
        self.object_pointers = ObjectPointer(config)
        self.memory_encoder = MemoryEncoder(config)
        self.memory_attention = MemoryAttention(config)

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
        """ViT map -> the tracker's levels: fine [B,32,4g,4g], middle [B,64,2g,2g], coarse [B,256,g,g]."""
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
        fine, middle = pick_images(fine, img_idx), pick_images(middle, img_idx)
        return self.mask_decoder.embed_pixels(fine, middle, encoded, prompt, valid)

    @torch.jit.export
    def masks(self, pixels: Tensor, queries: Tensor) -> Tensor:
        """pixels [P,256,4g,4g], queries [P,Q,256] (any subset of them; Q may be 0) -> mask logits [P,Q,4g,4g]."""
        return self.mask_decoder.masks(pixels, queries)

    # ---- clicks, box and mask prompts

    @torch.jit.export
    def prompt_encode(self, points: Tensor, labels: Tensor, mask: Tensor, use_mask: Tensor) -> tuple[Tensor, Tensor]:
        """points fp32 [B,N,2] in input pixels, labels i64 [B,N], mask [B,1,4g,4g], use_mask bool [B] -> sparse [B,N+1,256], dense [B,256,g,g]."""
        return self.prompt_encoder(points, labels, mask, use_mask)

    @torch.jit.export
    def mask_decode(
        self, fine: Tensor, middle: Tensor, image: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """-> masks [B,4,4g,4g], IoU [B,4], tokens [B,4,256], object score logits [B,1]. fine, middle and image may have batch 1: one image, B prompts."""
        return self.sam_mask_decoder(
            fine, middle, image, self.prompt_encoder.dense_position(dense.shape[-1]), sparse, dense
        )

    # ---- video

    @torch.jit.export
    def object_pointer(self, token: Tensor, object_logit: Tensor) -> Tensor:
        """token [B,256], object_logit [B,1] -> [B,256]."""
        return self.object_pointers(token, object_logit)

    @torch.jit.export
    def mask_to_prompt(self, mask: Tensor) -> Tensor:
        """[B,1,16g,16g] -> [B,1,4g,4g]."""
        return self.object_pointers.mask_to_prompt(mask)

    @torch.jit.export
    def memory_encode(self, coarse: Tensor, mask: Tensor, object_logit: Tensor) -> Tensor:
        """coarse [B,256,g,g], mask [B,1,16g,16g] = 20 * probability - 10, object_logit [B,1] -> [B,64,g,g]."""
        return self.memory_encoder(coarse, mask, object_logit)

    @torch.jit.export
    def memory_attend(self, coarse: Tensor, memory: Tensor, memory_pos: Tensor, pointer_tokens: Tensor) -> Tensor:
        """coarse [B or 1,256,g,g] (1: B objects of one frame), memory [B,M*g*g+4K,64], memory_pos the same or batch 1 -> [B,256,g,g].

        pointer_tokens = 4K, an i64 scalar on the CPU (elsewhere reading it would stall).
        """
        return self.memory_attention(coarse, memory, memory_pos, int(pointer_tokens.item()))

    @torch.jit.export
    def pointer_tpos(self, offset: Tensor) -> Tensor:
        """offset fp32 [K] -> [K,64]."""
        return self.object_pointers.time_position(offset)

    @torch.jit.export
    def tracker_constants(self, g: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Tables and embeddings for a g x g grid, in the model's dtype, on its device.

        Returns the sine map of a memory frame [1,64,g,g], temporal embeddings [7,64], and the embeddings for no memory [1,256] and
        no object pointer [1,256].
        """
        m = self.memory_attention
        # Of the one that weights for clicks alone have as well.
        dtype, device = m.no_memory_embed.dtype, m.no_memory_embed.device
        memory_pos = sine_map(self.memory_size, g, device).to(dtype)
        return memory_pos, m.temporal_embed, m.no_memory_embed, self.object_pointers.no_object


# Parameters that no dtype may round: the frequencies of SAM's random Fourier features and the first boxes.
FP32_PARAMETERS = ("prompt_encoder.gaussian", "detr_decoder.reference_points.weight")


def build(config: Sam3Config, device: str = "cpu") -> Sam3Program:
    """The program in eager mode with empty fp32 parameters on `device` ("meta": no memory at all)."""
    with torch.device(device):
        program = Sam3Program(config)
    return program.eval().requires_grad_(False)


def script(program: Sam3Program) -> torch.jit.ScriptModule:
    """The program as TorchScript: no dtype, device, batch or image size is fixed in it."""
    return torch.jit.script(program)
