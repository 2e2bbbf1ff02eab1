"""Tables of what SAM 3.1 has in the place of SAM 3's tracker. Only Meta's file is named: transformers has no such model."""

from __future__ import annotations

from ..config import Sam3Config
from . import detector, tracker
from .rows import Part, Row, Source, norms, of_meta

PREFIX = "tracker.model."


def parts(config: Sam3Config) -> list[Part]:
    """The tables of the necks that are not the detector's, and of all that counts as the tracker."""
    return [
        detector.neck("tracker_neck", "interactive_convs."),
        detector.neck("propagation_neck", "propagation_convs."),
        tracker.prompt_encoder(PREFIX + "interactive_sam_prompt_encoder."),
        tracker.sam_mask_decoder(PREFIX + "interactive_sam_mask_decoder."),
        tracker.sam_mask_decoder(PREFIX + "sam_mask_decoder.", "propagation_decoder."),
        _slot_states(),
        _object_pointers(),
        tracker.memory_encoder(PREFIX),
        _memory_attention(config),
    ]


def _slot_states() -> Part:
    """What the decoder of propagation has beside that of clicks."""
    rows = [
        of_meta("gaussian", "image_pe_layer.positional_encoding_gaussian_matrix"),
        of_meta("valid_embed", "output_valid_embed"),
        of_meta("invalid_embed", "output_invalid_embed"),
    ]
    return Part("tracker", "propagation_decoder.", "", PREFIX, rows)


def _object_pointers() -> Part:
    """What a frame's mask token becomes in memory."""
    rows = [
        of_meta("track_proj.layers.{n}.{p}", "obj_ptr_proj.layers.{n}.{p}"),
        of_meta("click_proj.layers.{n}.{p}", "interactive_obj_ptr_proj.layers.{n}.{p}"),
        of_meta("no_object_proj.{p}", "no_obj_ptr_linear.{p}"),
        of_meta("time_proj.{p}", "obj_ptr_tpos_proj.{p}"),
        of_meta("mask_downsample.{p}", "interactive_mask_downsample.{p}"),
    ]
    return Part("tracker", "object_pointers.", "", PREFIX, rows)


def _memory_attention(config: Sam3Config) -> Part:
    """A frame attends to the memory."""
    layer, encoder = "layers.{n}.", "transformer.encoder."
    times, none = (config.memory_frames, 1, 1, config.memory_size), (1, 1, config.hidden_size)
    rows = [
        *[of_meta(f"{layer}self_attn.{c}_proj.{{p}}", f"{encoder}{layer}self_attn_{c}_proj.{{p}}") for c in _ATTENTION],
        *[
            of_meta(f"{layer}memory_attn.{c}_proj.{{p}}", f"{encoder}{layer}cross_attn_{c}_proj.{{p}}")
            for c in _ATTENTION
        ],
        *[
            of_meta(f"{layer}memory_attn.image_{c}_proj.{{p}}", f"{encoder}{layer}image_cross_attn_{c}_proj.{{p}}")
            for c in "qk"
        ],
        *norms("layers.{n}", "", encoder + "layers.{n}", 3),
        of_meta(layer + "fc{m}.{p}", encoder + layer + "linear{m}.{p}"),
        of_meta("norm.{p}", encoder + "norm.{p}"),
        Row("temporal_embed", None, Source("reshape", ("maskmem_tpos_enc",), times)),
        Row("no_memory_embed", None, Source("reshape", ("interactivity_no_mem_embed",), none)),
    ]
    return Part("tracker", "memory_attention.", "", PREFIX, rows)


_ATTENTION = ("q", "k", "v", "out")
