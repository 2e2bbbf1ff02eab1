"""Tables of the five modules that count as the tracker."""

from __future__ import annotations

from ..config import Sam3Config
from .rows import Part, Row, Source, mlp3, norms, same, split_attention


def prompt_encoder(meta: str = "tracker.sam_prompt_encoder.") -> Part:
    """Points, boxes and masks as prompts."""
    meta_points = Source("concat", tuple(f"point_embeddings.{i}.weight" for i in range(4)))
    rows = [
        same("gaussian", "shared_embedding.positional_embedding", "pe_layer.positional_encoding_gaussian_matrix"),
        Row("point_embed.weight", Source("copy", ("point_embed.weight",)), meta_points),
        same("not_a_point_embed.weight", "not_a_point_embed.weight", "not_a_point_embed.weight"),
        same("no_mask_embed.weight", "no_mask_embed.weight", "no_mask_embed.weight"),
        same("mask_prompt.conv1.{p}", "mask_embed.conv1.{p}", "mask_downscaling.0.{p}"),
        same("mask_prompt.norm1.{p}", "mask_embed.layer_norm1.{p}", "mask_downscaling.1.{p}"),
        same("mask_prompt.conv2.{p}", "mask_embed.conv2.{p}", "mask_downscaling.3.{p}"),
        same("mask_prompt.norm2.{p}", "mask_embed.layer_norm2.{p}", "mask_downscaling.4.{p}"),
        same("mask_prompt.conv3.{p}", "mask_embed.conv3.{p}", "mask_downscaling.6.{p}"),
    ]
    return Part("tracker", "prompt_encoder.", "tracker_model.prompt_encoder.", meta, rows)


def sam_mask_decoder(meta: str = "tracker.sam_mask_decoder.", program: str = "sam_mask_decoder.") -> Part:
    """Masks of clicks; in SAM 3.1 those of followed objects too."""
    layer = "transformer.layers.{n}"
    final_attn, final_norm = "transformer.final_attn", "transformer.final_norm.{p}"
    rows = [
        same("object_token.weight", "obj_score_token.weight", "obj_score_token.weight"),
        same("iou_token.weight", "iou_token.weight", "iou_token.weight"),
        same("mask_tokens.weight", "mask_tokens.weight", "mask_tokens.weight"),
        *split_attention(f"{layer}.self_attn", f"{layer}.self_attn"),
        *split_attention(f"{layer}.token_to_image", f"{layer}.cross_attn_token_to_image"),
        *split_attention(f"{layer}.image_to_token", f"{layer}.cross_attn_image_to_token"),
        *norms(layer, layer, layer, 4),
        same(f"{layer}.mlp.fc1.{{p}}", f"{layer}.mlp.proj_in.{{p}}", f"{layer}.mlp.lin1.{{p}}"),
        same(f"{layer}.mlp.fc2.{{p}}", f"{layer}.mlp.proj_out.{{p}}", f"{layer}.mlp.lin2.{{p}}"),
        *split_attention(final_attn, "transformer.final_attn_token_to_image"),
        same(final_norm, "transformer.layer_norm_final_attn.{p}", "transformer.norm_final_attn.{p}"),
        same("conv_s{n}.{p}", "conv_s{n}.{p}", "conv_s{n}.{p}"),
        same("upscale1.{p}", "upscale_conv1.{p}", "output_upscaling.0.{p}"),
        same("upscale_norm.{p}", "upscale_layer_norm.{p}", "output_upscaling.1.{p}"),
        same("upscale2.{p}", "upscale_conv2.{p}", "output_upscaling.3.{p}"),
        *mlp3("mask_mlps.{n}", "output_hypernetworks_mlps.{n}"),
        *mlp3("iou_head", "iou_prediction_head"),
        *mlp3("object_head", "pred_obj_score_head"),
    ]
    return Part("tracker", program, "tracker_model.mask_decoder.", meta, rows)


def object_pointers() -> Part:
    """What a frame's mask token becomes in memory."""
    rows = [
        *mlp3("proj", "object_pointer_proj", "obj_ptr_proj"),
        same("no_object", "no_object_pointer", "no_obj_ptr"),
        same("time_proj.{p}", "temporal_positional_encoding_projection_layer.{p}", "obj_ptr_tpos_proj.{p}"),
        same("mask_downsample.{p}", "mask_downsample.{p}", "mask_downsample.{p}"),
    ]
    return Part("tracker", "object_pointers.", "tracker_model.", "tracker.", rows)


def memory_encoder(prefix: str = "tracker.") -> Part:
    """What a frame and its mask become in memory."""
    encoder, sampler = "memory_encoder.", "memory_encoder.mask_downsampler."
    meta, meta_sampler = "maskmem_backbone.", "maskmem_backbone.mask_downsampler.encoder."
    fuser, meta_fuser = encoder + "memory_fuser.layers.{n}.", meta + "fuser.layers.{n}."
    rows: list[Row] = []
    for i in range(4):
        ours, layer = f"mask_downsampler.{{}}s.{i}.{{{{p}}}}", f"{sampler}layers.{i}."
        rows += [
            same(ours.format("conv"), layer + "conv.{p}", f"{meta_sampler}{3 * i}.{{p}}"),
            same(ours.format("norm"), layer + "layer_norm.{p}", f"{meta_sampler}{3 * i + 1}.{{p}}"),
        ]
    rows += [
        same("mask_downsampler.proj.{p}", sampler + "final_conv.{p}", meta_sampler + "12.{p}"),
        same("image_proj.{p}", encoder + "feature_projection.{p}", meta + "pix_feat_proj.{p}"),
        same("fuser.{n}.dwconv.{p}", fuser + "depthwise_conv.{p}", meta_fuser + "dwconv.{p}"),
        same("fuser.{n}.norm.{p}", fuser + "layer_norm.{p}", meta_fuser + "norm.{p}"),
        same("fuser.{n}.fc{m}.{p}", fuser + "pointwise_conv{m}.{p}", meta_fuser + "pwconv{m}.{p}"),
        same("fuser.{n}.scale", fuser + "scale", meta_fuser + "gamma"),
        same("out_proj.{p}", encoder + "projection.{p}", meta + "out_proj.{p}"),
        same("no_object_embed", "occlusion_spatial_embedding_parameter", "no_obj_embed_spatial"),
    ]
    return Part("tracker", "memory_encoder.", "tracker_model.", prefix, rows)


def memory_attention(config: Sam3Config) -> Part:
    """A frame attends to the memory."""
    layer, hf, meta = "layers.{n}.", "memory_attention.layers.{n}.", "transformer.encoder.layers.{n}."
    times, none = (config.memory_frames, 1, 1, config.memory_size), (1, 1, config.hidden_size)

    def reshaped(program: str, transformers: str, meta: str, shape: tuple[int, ...]) -> Row:
        return Row(program, Source("reshape", (transformers,), shape), Source("reshape", (meta,), shape))

    rows = [
        *split_attention(layer + "self_attn", hf + "self_attn", meta + "self_attn"),
        *split_attention(layer + "memory_attn", hf + "cross_attn_image", meta + "cross_attn_image"),
        *norms("layers.{n}", "memory_attention.layers.{n}", "transformer.encoder.layers.{n}", 3),
        same(layer + "fc{m}.{p}", hf + "linear{m}.{p}", meta + "linear{m}.{p}"),
        same("norm.{p}", "memory_attention.layer_norm.{p}", "transformer.encoder.norm.{p}"),
        reshaped("temporal_embed", "memory_temporal_positional_encoding", "maskmem_tpos_enc", times),
        reshaped("no_memory_embed", "no_memory_embedding", "no_mem_embed", none),
    ]
    return Part("tracker", "memory_attention.", "tracker_model.", "tracker.", rows)
