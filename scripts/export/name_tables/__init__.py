"""The tables of the name map: where the parameters of each part come from in a transformers file and in Meta's file."""

from __future__ import annotations

from ..config import Sam3Config
from ..multiplex_config import MultiplexConfig
from . import detector, multiplex, tracker
from .rows import Part, Row, Source

__all__ = ["IGNORED", "Part", "Row", "Source", "namings", "parts", "unused_transformers"]


def parts(config: Sam3Config) -> list[Part]:
    """The tables of all parts of a model of the configuration's kind."""
    return [
        detector.vision_encoder(),
        detector.detector_neck(),
        detector.text_encoder(),
        detector.geometry_encoder(),
        detector.detr_encoder(),
        detector.detr_decoder(),
        detector.scoring(),
        detector.mask_decoder(),
        *(multiplex.parts(config) if isinstance(config, MultiplexConfig) else _tracker(config)),
    ]


def _tracker(config: Sam3Config) -> list[Part]:
    return [
        detector.neck("tracker_neck", "sam2_convs."),
        tracker.prompt_encoder(),
        tracker.sam_mask_decoder(),
        tracker.object_pointers(),
        tracker.memory_encoder(),
        tracker.memory_attention(config),
    ]


def namings(config: Sam3Config) -> tuple[str, ...]:
    """The naming schemes that weight files of this kind use."""
    return ("meta",) if isinstance(config, MultiplexConfig) else ("transformers", "meta")


# What the weight files hold and no path of SAM 3 uses.
IGNORED = {
    "transformers": [
        "detector_model.vision_encoder.neck.fpn_layers.3.*",
        "tracker_neck.fpn_layers.3.*",
        "detector_model.text_encoder.text_projection.weight",
        "detector_model.mask_decoder.pixel_decoder.conv_layers.2.*",
        "detector_model.mask_decoder.pixel_decoder.norms.2.*",
        "tracker_model.no_memory_positional_encoding",
        "tracker_model.shared_image_embedding.positional_embedding",
        "*.rotary_emb.*",
        "*.position_ids",
    ],
    "meta": [
        "*.freqs_cis*",
        "detector.backbone.vision_backbone.convs.3.*",
        "detector.backbone.vision_backbone.sam2_convs.3.*",
        "detector.backbone.language_backbone.encoder.text_projection",
        "detector.geometry_encoder.points_*",
        "detector.segmentation_head.pixel_decoder.conv_layers.2.*",
        "detector.segmentation_head.pixel_decoder.norms.2.*",
        "tracker.no_mem_pos_enc",
    ],
}


def unused_transformers(config: Sam3Config) -> dict[str, tuple[int, ...]]:
    """Shapes of the unused tensors of a transformers file, for writing a complete one and for counting parameters."""
    dim, out = config.vision_width, config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {}
    for neck in ("detector_model.vision_encoder.neck.", "tracker_neck."):
        level = f"{neck}fpn_layers.3."
        shapes |= {
            level + "proj1.weight": (out, dim, 1, 1),
            level + "proj1.bias": (out,),
            level + "proj2.weight": (out, out, 3, 3),
            level + "proj2.bias": (out,),
        }
    decoder = "detector_model.mask_decoder.pixel_decoder."
    shapes |= {decoder + "conv_layers.2.weight": (out, out, 3, 3), decoder + "conv_layers.2.bias": (out,)}
    shapes |= {decoder + "norms.2.weight": (out,), decoder + "norms.2.bias": (out,)}
    shapes["detector_model.text_encoder.text_projection.weight"] = (512, config.text_width)
    shapes["tracker_model.no_memory_positional_encoding"] = (1, 1, out)
    shapes["tracker_model.shared_image_embedding.positional_embedding"] = (2, out // 2)
    return shapes
