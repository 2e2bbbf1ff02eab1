"""The programs: the whole of SAM 3 as one module whose methods are what the engine calls, and no others.

Its methods are those of program_base.py, where the letters of the shapes are explained, and those of objects in a video.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .config import Sam3Config
from .memory_attention import MemoryAttention
from .memory_encoder import MemoryEncoder, ObjectPointer
from .multiplex_config import MultiplexConfig
from .multiplex_program import MultiplexProgram
from .positions import sine_map
from .program_base import ProgramBase


class Sam3Program(ProgramBase):
    """SAM 3: every object has memories of its own."""

    def __init__(self, config: Sam3Config):
        super().__init__(config)
        self.memory_size = config.memory_size
        self.object_pointers = ObjectPointer(config)
        self.memory_encoder = MemoryEncoder(config)
        self.memory_attention = MemoryAttention(config)

    @torch.jit.export
    def object_pointer(self, token: Tensor, object_logit: Tensor) -> Tensor:
        """token [B,256], object_logit [B,1] -> [B,256]."""
        return self.object_pointers(token, object_logit)

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
FP32_PARAMETERS = ("prompt_encoder.gaussian", "detr_decoder.reference_points.weight", "propagation_decoder.gaussian")


def build(config: Sam3Config, device: str = "cpu") -> ProgramBase:
    """The program of the configuration's kind, in eager mode, with empty fp32 parameters on `device` ("meta": no memory at all)."""
    kind = MultiplexProgram if isinstance(config, MultiplexConfig) else Sam3Program
    with torch.device(device):
        program = kind(config)
    return program.eval().requires_grad_(False)


def script(program: ProgramBase) -> torch.jit.ScriptModule:
    """The program as TorchScript: no dtype, device, batch or image size is fixed in it."""
    return torch.jit.script(program)
