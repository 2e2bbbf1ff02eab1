"""Scores of the object queries against the prompt."""

from __future__ import annotations

import math

from torch import Tensor, nn

from .config import Sam3Config
from .layers import MLP, Linear


class DotProductScoring(nn.Module):
    """Dot product of each query with the pooled prompt."""

    def __init__(self, config: Sam3Config):
        super().__init__()
        dim = config.hidden_size
        self.prompt_mlp = MLP(dim, config.decoder_mlp, dim, 2)
        self.prompt_norm = nn.LayerNorm(dim)
        self.prompt_proj = Linear(dim, dim)
        self.query_proj = Linear(dim, dim)
        self.scale = 1.0 / math.sqrt(dim)

    def forward(self, queries: Tensor, prompt: Tensor, valid: Tensor) -> Tensor:
        """queries [P,Q,C], prompt [P,L,C], valid bool [P,L] -> fp32 logits [P,Q] in -12..12."""
        prompt = self.prompt_norm(self.prompt_mlp(prompt) + prompt)
        weight = valid.to(prompt.dtype).unsqueeze(-1)
        pooled = (prompt * weight).sum(1) / weight.sum(1).clamp(min=1.0)
        logits = self.query_proj(queries) @ self.prompt_proj(pooled).unsqueeze(-1)
        return (logits.squeeze(-1).float() * self.scale).clamp(-12.0, 12.0)
