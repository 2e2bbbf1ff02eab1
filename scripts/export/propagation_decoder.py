"""SAM 3.1's decoder of propagation: the masks of all objects of a bucket in one pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .multiplex_config import MultiplexConfig
from .positions import random_fourier_map
from .sam_mask_decoder import TokenMaskDecoder


class PropagationDecoder(TokenMaskDecoder):
    """Three masks for each of S slots: there is no ambiguity-free one. `gaussian`: see PromptEncoder; this is another matrix."""

    def __init__(self, config: MultiplexConfig):
        super().__init__(config, config.slots, 3)
        self.slots = config.slots
        self.gaussian = nn.Parameter(torch.empty(2, config.hidden_size // 2))
        self.valid_embed = nn.Parameter(torch.empty(config.slots, config.hidden_size))
        self.invalid_embed = nn.Parameter(torch.empty(config.slots, config.hidden_size))

    def dense_position(self, grid: int) -> Tensor:
        """Positions of the cell centres of a g x g map, in the model's dtype: [1,C,g,g]."""
        return random_fourier_map(self.gaussian, grid).to(self.valid_embed.dtype)

    def forward(
        self, fine: Tensor, middle: Tensor, image: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Masks of B buckets.

        Args:
            fine, middle: [1,C/8,4g,4g], [1,C/4,2g,2g] from high_resolution; image: [B,C,g,g], conditioned on the memory.
            valid: bool [B,S], False where a slot is empty or its object was removed.

        Returns:
            mask logits [B,S,3,4g,4g], IoU estimates [B,S,3] (no sigmoid), mask tokens [B,S,3,C], object score logits [B,S,1].
        """
        buckets, slots = valid.shape[0], self.slots
        state = torch.where(valid.unsqueeze(-1), self.valid_embed, self.invalid_embed)
        mask_tokens = self.mask_tokens.weight.unflatten(0, [slots, 3]) + state.unsqueeze(2)
        first = torch.cat((self.object_token.weight, self.iou_token.weight), 0)
        tokens = torch.cat((first.unsqueeze(0).expand(buckets, -1, -1), mask_tokens.flatten(1, 2)), 1)
        tokens, pixels = self.run(tokens, image, self.dense_position(image.shape[-1]), fine, middle)
        mask_tokens = tokens[:, 2 * slots :].unflatten(1, [slots, 3])
        masks = self.mask_weights(mask_tokens).flatten(1, 2) @ pixels.flatten(2)
        masks = masks.unflatten(1, [slots, 3]).unflatten(3, [pixels.shape[2], pixels.shape[3]])
        return masks, self.iou_head(tokens[:, slots : 2 * slots]), mask_tokens, self.object_head(tokens[:, :slots])
