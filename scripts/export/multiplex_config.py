"""The architecture of SAM 3.1 (Object Multiplex), where it is not that of SAM 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .config import Sam3Config, at


@dataclass(frozen=True)
class MultiplexConfig(Sam3Config):
    """Sizes of every part. The defaults are those of facebook/sam3.1."""

    iou_sigmoid: ClassVar[bool] = False

    # Objects that share one pass of the tracker
    slots: int = at("multiplex.multiplex_count", 16)
    # The first convolution of the masks has four times as many
    mask_channels: int = at("multiplex.mask_downsampler_starting_channels", 4)
    # As wide as everything else, with heads
    memory_size: int = at("tracker_config.memory_encoder_output_channels", 256)
    memory_heads: int = at("tracker_config.memory_attention_num_attention_heads", 8)

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> MultiplexConfig:
        """Reads a parsed config.json. One that has no `multiplex`, as in facebook/sam3.1, describes SAM 3's tracker: its defaults are taken.

        Raises:
            ValueError: as Sam3Config.from_dict.
        """
        if "multiplex" not in config:
            config = {key: value for key, value in config.items() if key != "tracker_config"}
        return super().from_dict(config)

    @classmethod
    def fixed(cls) -> dict[str, Any]:
        """What the network takes for granted."""
        fixed = {
            **super().fixed(),
            "multiplex.mask_downsampler_input_multiplier": 2,
            "multiplex.iou_prediction_use_sigmoid": cls.iou_sigmoid,
            "tracker_config.memory_attention_feed_forward_hidden_act": "gelu",
        }
        # Older files list a fourth level, which the three necks have not.
        del fixed["detector_config.vision_config.scale_factors"]
        return fixed

    def architecture(self) -> dict[str, int]:
        """The sizes that the engine needs."""
        return {**super().architecture(), "slots": self.slots}
