"""The program of SAM 3.1: up to S objects, a bucket, share one pass of the tracker. B counts buckets here, L layers of memory attention."""

from __future__ import annotations

import torch
from torch import Tensor

from .multiplex_config import MultiplexConfig
from .multiplex_memory import DecoupledMemoryAttention, MultiplexMemoryEncoder, MultiplexPointer
from .neck import Neck
from .program_base import ProgramBase
from .propagation_decoder import PropagationDecoder


class MultiplexProgram(ProgramBase):
    """SAM 3.1. An image has three necks: the detector's, that of clicks, and that of propagation."""

    def __init__(self, config: MultiplexConfig):
        super().__init__(config)
        self.propagation_neck = Neck(config)
        self.propagation_decoder = PropagationDecoder(config)
        self.object_pointers = MultiplexPointer(config)
        self.memory_encoder = MultiplexMemoryEncoder(config)
        self.memory_attention = DecoupledMemoryAttention(config)

    @torch.jit.export
    def neck_propagate(self, vit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ViT map -> the levels on which objects are followed: fine [B,32,4g,4g], middle [B,64,2g,2g], coarse [B,256,g,g]."""
        fine, middle, coarse = self.propagation_neck(vit)
        fine, middle = self.propagation_decoder.high_resolution(fine, middle)
        return fine, middle, coarse

    @torch.jit.export
    def memory_encode_mux(self, coarse: Tensor, masks: Tensor, object_logit: Tensor) -> Tensor:
        """coarse [1,256,g,g], masks [B,2*S,16g,16g] (see MultiplexMemoryEncoder), object_logit [B,S,1] -> [B,256,g,g]."""
        return self.memory_encoder(coarse, masks, object_logit)

    @torch.jit.export
    def project_frame(self, memory: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """memory [B,256,g,g] and coarse [1,256,g,g] of a stored frame -> keys, values [L,B,g*g,256], for as long as it is stored."""
        return self.memory_attention.project_frame(memory, coarse)

    @torch.jit.export
    def project_pointers(self, pointers: Tensor) -> tuple[Tensor, Tensor]:
        """pointers [B,S,256] of a stored frame -> keys, values [L,B,S,256], for as long as it is stored."""
        return self.memory_attention.project_pointers(pointers)

    @torch.jit.export
    def memory_attend_mux(self, coarse: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        """coarse [1,256,g,g], keys and values [L,B,T,256] of frames and pointers, position [1,T,256] -> [B,256,g,g]."""
        return self.memory_attention(coarse, keys, values, position)

    @torch.jit.export
    def track_decode_mux(
        self, fine: Tensor, middle: Tensor, image: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """image [B,256,g,g], valid bool [B,S] -> masks [B,S,3,4g,4g], IoU logits [B,S,3], tokens [B,S,3,256], object logits [B,S,1]."""
        return self.propagation_decoder(fine, middle, image, valid)

    @torch.jit.export
    def pointer_track(self, token: Tensor, object_logit: Tensor) -> Tensor:
        """A token of `track_decode_mux` [...,256], object_logit [...,1] -> [...,256]."""
        return self.object_pointers.track(token, object_logit)

    @torch.jit.export
    def pointer_click(self, token: Tensor, object_logit: Tensor) -> Tensor:
        """A token of `mask_decode` [...,256], object_logit [...,1] -> [...,256]."""
        return self.object_pointers.click(token, object_logit)

    @torch.jit.export
    def no_object_pointer(self, pointer: Tensor) -> Tensor:
        """What becomes of a pointer whose object is not there: an empty mask prompt applies it once more. [...,256] -> [...,256]."""
        return self.object_pointers.no_object_proj(pointer)

    @torch.jit.export
    def multiplex_constants(self, g: int) -> tuple[Tensor, Tensor]:
        """For a g x g grid, in the model's dtype: positions of a frame's keys by temporal row [7,g*g,256], embedding for no memory [1,256]."""
        return self.memory_attention.positions(g), self.memory_attention.no_memory_embed
