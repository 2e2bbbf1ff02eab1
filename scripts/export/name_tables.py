"""The tables of the name map: where the parameters of each part come from in a transformers file and in Meta's file.

`{n}` and `{m}` stand for a number, `{p}` for weight or bias; the text of a match fills the same places in the sources.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .config import Sam3Config


@dataclass(frozen=True)
class Source:
    """How one parameter is made: `op` is copy, concat (dim 0), drop_first (index 0 of dim 1) or reshape (from `shape`)."""

    op: str
    names: tuple[str, ...]
    shape: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The form of names.json."""
        extra = {"source_shape": list(self.shape)} if self.shape else {}
        return {"op": self.op, "from": list(self.names), **extra}


@dataclass(frozen=True)
class Row:
    """One line of a part's table: the program's name and the two sources, all without their prefixes."""

    program: str
    transformers: Source
    meta: Source


def same(program: str, transformers: str, meta: str) -> Row:
    """A tensor that is the same in the three files."""
    return Row(program, Source("copy", (transformers,)), Source("copy", (meta,)))


def fused(program: str, transformers: str, meta: str) -> Row:
    """Query, key and value projections: three tensors in transformers (`?` stands for q, k, v), one in Meta's file."""
    return Row(program, Source("concat", tuple(transformers.replace("?", c) for c in "qkv")), Source("copy", (meta,)))


@dataclass(frozen=True)
class Part:
    """The parameters under one prefix. `name` is the part of the model that they count for."""

    name: str
    program: str
    transformers: str
    meta: str
    rows: list[Row] = field(default_factory=list)


def _attention(program: str, transformers: str, meta: str) -> list[Row]:
    return [
        fused(f"{program}.in_proj.{{p}}", f"{transformers}.?_proj.{{p}}", f"{meta}.in_proj_{{p}}"),
        same(f"{program}.out_proj.{{p}}", f"{transformers}.o_proj.{{p}}", f"{meta}.out_proj.{{p}}"),
    ]


def _split_attention(program: str, transformers: str, meta: str) -> list[Row]:
    rows = [
        same(f"{program}.{c}_proj.{{p}}", f"{transformers}.{c}_proj.{{p}}", f"{meta}.{c}_proj.{{p}}") for c in "qkv"
    ]
    return rows + [same(f"{program}.out_proj.{{p}}", f"{transformers}.o_proj.{{p}}", f"{meta}.out_proj.{{p}}")]


def _mlp3(program: str, transformers: str, meta: str) -> list[Row]:
    """A three-layer head of the tracker: transformers names the layers proj_in, layers.0, proj_out."""
    names = ("proj_in", "layers.0", "proj_out")
    return [
        same(f"{program}.layers.{i}.{{p}}", f"{transformers}.{name}.{{p}}", f"{meta}.layers.{i}.{{p}}")
        for i, name in enumerate(names)
    ]


def _head(program: str, transformers: str, meta: str, depth: int) -> list[Row]:
    """A head of the detector: transformers names the layers layer1, layer2..."""
    return [
        same(f"{program}.layers.{i}.{{p}}", f"{transformers}.layer{i + 1}.{{p}}", f"{meta}.layers.{i}.{{p}}")
        for i in range(depth)
    ]


def _feed_forward(program: str, transformers: str, meta: str) -> list[Row]:
    return [same(f"{program}.fc{i}.{{p}}", f"{transformers}.fc{i}.{{p}}", f"{meta}.linear{i}.{{p}}") for i in (1, 2)]


def _norms(layer: str, transformers: str, meta: str, count: int) -> list[Row]:
    return [
        same(f"{layer}.norm{i}.{{p}}", f"{transformers}.layer_norm{i}.{{p}}", f"{meta}.norm{i}.{{p}}")
        for i in range(1, count + 1)
    ]


def _neck() -> list[Row]:
    rows = [
        same("fine.deconv1.{p}", "0.scale_layers.0.{p}", "0.dconv_2x2_0.{p}"),
        same("fine.deconv2.{p}", "0.scale_layers.2.{p}", "0.dconv_2x2_1.{p}"),
        same("middle.deconv1.{p}", "1.scale_layers.0.{p}", "1.dconv_2x2.{p}"),
    ]
    for i, level in enumerate(("fine", "middle", "coarse")):
        rows.append(same(f"{level}.conv1x1.{{p}}", f"{i}.proj1.{{p}}", f"{i}.conv_1x1.{{p}}"))
        rows.append(same(f"{level}.conv3x3.{{p}}", f"{i}.proj2.{{p}}", f"{i}.conv_3x3.{{p}}"))
    return rows


def parts(config: Sam3Config) -> list[Part]:
    """The tables of all parts."""
    layer, block = "layers.{n}", "transformer.resblocks.{n}"
    vision = Part(
        "vision_encoder",
        "vision_encoder.",
        "detector_model.vision_encoder.backbone.",
        "detector.backbone.vision_backbone.trunk.",
    )
    vision.rows.extend(
        [
            same("patch_embed.weight", "embeddings.patch_embeddings.projection.weight", "patch_embed.proj.weight"),
            Row("pos_embed", Source("copy", ("embeddings.position_embeddings",)), Source("drop_first", ("pos_embed",))),
            same("norm_pre.{p}", "layer_norm.{p}", "ln_pre.{p}"),
            *_norms(layer, layer, "blocks.{n}", 2),
            fused("layers.{n}.attention.qkv.{p}", "layers.{n}.attention.?_proj.{p}", "blocks.{n}.attn.qkv.{p}"),
            same("layers.{n}.attention.proj.{p}", "layers.{n}.attention.o_proj.{p}", "blocks.{n}.attn.proj.{p}"),
            same("layers.{n}.mlp.fc{m}.{p}", "layers.{n}.mlp.fc{m}.{p}", "blocks.{n}.mlp.fc{m}.{p}"),
        ]
    )
    text = Part("text_encoder", "text_encoder.", "detector_model.", "detector.backbone.language_backbone.")
    model, encoder = "text_encoder.text_model.", "encoder."
    text.rows.extend(
        [
            same("token_embed.weight", model + "embeddings.token_embedding.weight", encoder + "token_embedding.weight"),
            same("pos_embed", model + "embeddings.position_embedding.weight", encoder + "positional_embedding"),
            same("norm.{p}", model + "final_layer_norm.{p}", encoder + "ln_final.{p}"),
            same("proj.{p}", "text_projection.{p}", "resizer.{p}"),
            same(
                "layers.{n}.norm{m}.{p}",
                model + "encoder.layers.{n}.layer_norm{m}.{p}",
                encoder + block + ".ln_{m}.{p}",
            ),
            fused(
                "layers.{n}.attention.in_proj.{p}",
                model + "encoder.layers.{n}.self_attn.?_proj.{p}",
                encoder + block + ".attn.in_proj_{p}",
            ),
            same(
                "layers.{n}.attention.out_proj.{p}",
                model + "encoder.layers.{n}.self_attn.out_proj.{p}",
                encoder + block + ".attn.out_proj.{p}",
            ),
            same("layers.{n}.mlp.fc1.{p}", model + "encoder.layers.{n}.mlp.fc1.{p}", encoder + block + ".mlp.c_fc.{p}"),
            same(
                "layers.{n}.mlp.fc2.{p}", model + "encoder.layers.{n}.mlp.fc2.{p}", encoder + block + ".mlp.c_proj.{p}"
            ),
        ]
    )
    geometry = Part(
        "geometry_encoder", "geometry_encoder.", "detector_model.geometry_encoder.", "detector.geometry_encoder."
    )
    geometry.rows.extend(
        [
            same("label_embed.weight", "label_embed.weight", "label_embed.weight"),
            same("cls_embed.weight", "cls_embed.weight", "cls_embed.weight"),
            same("box_proj.{p}", "boxes_direct_project.{p}", "boxes_direct_project.{p}"),
            same("pool_proj.{p}", "boxes_pool_project.{p}", "boxes_pool_project.{p}"),
            same("pos_proj.{p}", "boxes_pos_enc_project.{p}", "boxes_pos_enc_project.{p}"),
            same("image_norm.{p}", "vision_layer_norm.{p}", "img_pre_norm.{p}"),
            same("final_proj.{p}", "final_proj.{p}", "final_proj.{p}"),
            same("norm.{p}", "prompt_layer_norm.{p}", "norm.{p}"),
            same("norm_out.{p}", "output_layer_norm.{p}", "encode_norm.{p}"),
            *_norms(layer, layer, "encode.{n}", 3),
            *_attention("layers.{n}.self_attn", "layers.{n}.self_attn", "encode.{n}.self_attn"),
            *_attention("layers.{n}.cross_attn", "layers.{n}.cross_attn", "encode.{n}.cross_attn_image"),
            *_feed_forward("layers.{n}.mlp", "layers.{n}.mlp", "encode.{n}"),
        ]
    )
    detr_encoder = Part(
        "detr_encoder", "detr_encoder.", "detector_model.detr_encoder.", "detector.transformer.encoder."
    )
    detr_encoder.rows.extend(
        [
            *_norms(layer, layer, layer, 3),
            *_attention("layers.{n}.self_attn", "layers.{n}.self_attn", "layers.{n}.self_attn"),
            *_attention("layers.{n}.cross_attn", "layers.{n}.cross_attn", "layers.{n}.cross_attn_image"),
            *_feed_forward("layers.{n}.mlp", "layers.{n}.mlp", "layers.{n}"),
        ]
    )
    detr_decoder = Part(
        "detr_decoder", "detr_decoder.", "detector_model.detr_decoder.", "detector.transformer.decoder."
    )
    detr_decoder.rows.extend(
        [
            *_attention("layers.{n}.self_attn", "layers.{n}.self_attn", "layers.{n}.self_attn"),
            *_attention("layers.{n}.prompt_attn", "layers.{n}.text_cross_attn", "layers.{n}.ca_text"),
            *_attention("layers.{n}.image_attn", "layers.{n}.vision_cross_attn", "layers.{n}.cross_attn"),
            same("layers.{n}.self_norm.{p}", "layers.{n}.self_attn_layer_norm.{p}", "layers.{n}.norm2.{p}"),
            same(
                "layers.{n}.prompt_norm.{p}", "layers.{n}.text_cross_attn_layer_norm.{p}", "layers.{n}.catext_norm.{p}"
            ),
            same("layers.{n}.image_norm.{p}", "layers.{n}.vision_cross_attn_layer_norm.{p}", "layers.{n}.norm1.{p}"),
            same("layers.{n}.mlp_norm.{p}", "layers.{n}.mlp_layer_norm.{p}", "layers.{n}.norm3.{p}"),
            *_feed_forward("layers.{n}.mlp", "layers.{n}.mlp", "layers.{n}"),
            *[
                same(f"{name}.weight", f"{name}.weight", f"{name}.weight")
                for name in ("query_embed", "reference_points", "presence_token")
            ],
            same("norm.{p}", "output_layer_norm.{p}", "norm.{p}"),
            same("presence_norm.{p}", "presence_layer_norm.{p}", "presence_token_out_norm.{p}"),
            *_head("box_head", "box_head", "bbox_embed", 3),
            *_head("presence_head", "presence_head", "presence_token_head", 3),
            *_head("ref_point_head", "ref_point_head", "ref_point_head", 2),
            *_head("box_bias_x", "box_rpb_embed_x", "boxRPB_embed_x", 2),
            *_head("box_bias_y", "box_rpb_embed_y", "boxRPB_embed_y", 2),
        ]
    )
    scoring = Part("scoring", "scoring.", "detector_model.dot_product_scoring.", "detector.dot_prod_scoring.")
    scoring.rows.extend(
        [
            *_head("prompt_mlp", "text_mlp", "prompt_mlp", 2),
            same("prompt_norm.{p}", "text_mlp_out_norm.{p}", "prompt_mlp.out_norm.{p}"),
            same("prompt_proj.{p}", "text_proj.{p}", "prompt_proj.{p}"),
            same("query_proj.{p}", "query_proj.{p}", "hs_proj.{p}"),
        ]
    )
    mask_decoder = Part("mask_decoder", "mask_decoder.", "detector_model.mask_decoder.", "detector.segmentation_head.")
    mask_decoder.rows.extend(
        [
            same("prompt_norm.{p}", "prompt_cross_attn_norm.{p}", "cross_attn_norm.{p}"),
            *_attention("prompt_attn", "prompt_cross_attn", "cross_attend_prompt"),
            same(
                "pixel_decoder.convs.{n}.{p}", "pixel_decoder.conv_layers.{n}.{p}", "pixel_decoder.conv_layers.{n}.{p}"
            ),
            same("pixel_decoder.norms.{n}.{p}", "pixel_decoder.norms.{n}.{p}", "pixel_decoder.norms.{n}.{p}"),
            same(
                "mask_embed.layers.{n}.{p}", "mask_embedder.layers.{n}.{p}", "mask_predictor.mask_embed.layers.{n}.{p}"
            ),
            same("instance_proj.{p}", "instance_projection.{p}", "instance_seg_head.{p}"),
            same("semantic_proj.{p}", "semantic_projection.{p}", "semantic_seg_head.{p}"),
        ]
    )
    return [
        vision,
        Part(
            "detector_neck",
            "detector_neck.",
            "detector_model.vision_encoder.neck.fpn_layers.",
            "detector.backbone.vision_backbone.convs.",
            _neck(),
        ),
        Part(
            "tracker_neck",
            "tracker_neck.",
            "tracker_neck.fpn_layers.",
            "detector.backbone.vision_backbone.sam2_convs.",
            _neck(),
        ),
        text,
        geometry,
        detr_encoder,
        detr_decoder,
        scoring,
        mask_decoder,
        *_tracker_parts(config),
    ]


def _tracker_parts(config: Sam3Config) -> list[Part]:
    """The five modules that count as the tracker."""
    prompt = Part("tracker", "prompt_encoder.", "tracker_model.prompt_encoder.", "tracker.sam_prompt_encoder.")
    point_rows = Source("concat", tuple(f"point_embeddings.{i}.weight" for i in range(4)))
    prompt.rows.extend(
        [
            same("gaussian", "shared_embedding.positional_embedding", "pe_layer.positional_encoding_gaussian_matrix"),
            Row("point_embed.weight", Source("copy", ("point_embed.weight",)), point_rows),
            same("not_a_point_embed.weight", "not_a_point_embed.weight", "not_a_point_embed.weight"),
            same("no_mask_embed.weight", "no_mask_embed.weight", "no_mask_embed.weight"),
            same("mask_prompt.conv1.{p}", "mask_embed.conv1.{p}", "mask_downscaling.0.{p}"),
            same("mask_prompt.norm1.{p}", "mask_embed.layer_norm1.{p}", "mask_downscaling.1.{p}"),
            same("mask_prompt.conv2.{p}", "mask_embed.conv2.{p}", "mask_downscaling.3.{p}"),
            same("mask_prompt.norm2.{p}", "mask_embed.layer_norm2.{p}", "mask_downscaling.4.{p}"),
            same("mask_prompt.conv3.{p}", "mask_embed.conv3.{p}", "mask_downscaling.6.{p}"),
        ]
    )
    decoder = Part("tracker", "sam_mask_decoder.", "tracker_model.mask_decoder.", "tracker.sam_mask_decoder.")
    two_way = "transformer.layers.{n}"
    decoder.rows.extend(
        [
            same("object_token.weight", "obj_score_token.weight", "obj_score_token.weight"),
            same("iou_token.weight", "iou_token.weight", "iou_token.weight"),
            same("mask_tokens.weight", "mask_tokens.weight", "mask_tokens.weight"),
            *_split_attention(f"{two_way}.self_attn", f"{two_way}.self_attn", f"{two_way}.self_attn"),
            *_split_attention(
                f"{two_way}.token_to_image",
                f"{two_way}.cross_attn_token_to_image",
                f"{two_way}.cross_attn_token_to_image",
            ),
            *_split_attention(
                f"{two_way}.image_to_token",
                f"{two_way}.cross_attn_image_to_token",
                f"{two_way}.cross_attn_image_to_token",
            ),
            *_norms(two_way, two_way, two_way, 4),
            same(f"{two_way}.mlp.fc1.{{p}}", f"{two_way}.mlp.proj_in.{{p}}", f"{two_way}.mlp.lin1.{{p}}"),
            same(f"{two_way}.mlp.fc2.{{p}}", f"{two_way}.mlp.proj_out.{{p}}", f"{two_way}.mlp.lin2.{{p}}"),
            *_split_attention(
                "transformer.final_attn",
                "transformer.final_attn_token_to_image",
                "transformer.final_attn_token_to_image",
            ),
            same(
                "transformer.final_norm.{p}", "transformer.layer_norm_final_attn.{p}", "transformer.norm_final_attn.{p}"
            ),
            same("conv_s{n}.{p}", "conv_s{n}.{p}", "conv_s{n}.{p}"),
            same("upscale1.{p}", "upscale_conv1.{p}", "output_upscaling.0.{p}"),
            same("upscale_norm.{p}", "upscale_layer_norm.{p}", "output_upscaling.1.{p}"),
            same("upscale2.{p}", "upscale_conv2.{p}", "output_upscaling.3.{p}"),
            *_mlp3("mask_mlps.{n}", "output_hypernetworks_mlps.{n}", "output_hypernetworks_mlps.{n}"),
            *_mlp3("iou_head", "iou_prediction_head", "iou_prediction_head"),
            *_mlp3("object_head", "pred_obj_score_head", "pred_obj_score_head"),
        ]
    )
    pointer = Part("tracker", "object_pointers.", "tracker_model.", "tracker.")
    pointer.rows.extend(
        [
            *_mlp3("proj", "object_pointer_proj", "obj_ptr_proj"),
            same("no_object", "no_object_pointer", "no_obj_ptr"),
            same("time_proj.{p}", "temporal_positional_encoding_projection_layer.{p}", "obj_ptr_tpos_proj.{p}"),
            same("mask_downsample.{p}", "mask_downsample.{p}", "mask_downsample.{p}"),
        ]
    )
    memory = Part("tracker", "memory_encoder.", "tracker_model.", "tracker.")
    sampler, backbone = "memory_encoder.mask_downsampler", "maskmem_backbone.mask_downsampler.encoder"
    for i in range(4):
        memory.rows.append(
            same(f"mask_downsampler.convs.{i}.{{p}}", f"{sampler}.layers.{i}.conv.{{p}}", f"{backbone}.{3 * i}.{{p}}")
        )
        memory.rows.append(
            same(
                f"mask_downsampler.norms.{i}.{{p}}",
                f"{sampler}.layers.{i}.layer_norm.{{p}}",
                f"{backbone}.{3 * i + 1}.{{p}}",
            )
        )
    fuser, meta_fuser = "memory_encoder.memory_fuser.layers.{n}", "maskmem_backbone.fuser.layers.{n}"
    memory.rows.extend(
        [
            same("mask_downsampler.proj.{p}", f"{sampler}.final_conv.{{p}}", f"{backbone}.12.{{p}}"),
            same("image_proj.{p}", "memory_encoder.feature_projection.{p}", "maskmem_backbone.pix_feat_proj.{p}"),
            same("fuser.{n}.dwconv.{p}", f"{fuser}.depthwise_conv.{{p}}", f"{meta_fuser}.dwconv.{{p}}"),
            same("fuser.{n}.norm.{p}", f"{fuser}.layer_norm.{{p}}", f"{meta_fuser}.norm.{{p}}"),
            same("fuser.{n}.fc{m}.{p}", f"{fuser}.pointwise_conv{{m}}.{{p}}", f"{meta_fuser}.pwconv{{m}}.{{p}}"),
            same("fuser.{n}.scale", f"{fuser}.scale", f"{meta_fuser}.gamma"),
            same("out_proj.{p}", "memory_encoder.projection.{p}", "maskmem_backbone.out_proj.{p}"),
            same("no_object_embed", "occlusion_spatial_embedding_parameter", "no_obj_embed_spatial"),
        ]
    )
    attention = Part("tracker", "memory_attention.", "tracker_model.", "tracker.")
    hf, meta = "memory_attention", "transformer.encoder"
    temporal_shape = (config.memory_frames, 1, 1, config.memory_size)
    no_memory_shape = (1, 1, config.hidden_size)
    attention.rows.extend(
        [
            *_split_attention("layers.{n}.self_attn", hf + ".layers.{n}.self_attn", meta + ".layers.{n}.self_attn"),
            *_split_attention(
                "layers.{n}.memory_attn", hf + ".layers.{n}.cross_attn_image", meta + ".layers.{n}.cross_attn_image"
            ),
            *_norms("layers.{n}", hf + ".layers.{n}", meta + ".layers.{n}", 3),
            same("layers.{n}.fc{m}.{p}", hf + ".layers.{n}.linear{m}.{p}", meta + ".layers.{n}.linear{m}.{p}"),
            same("norm.{p}", hf + ".layer_norm.{p}", meta + ".norm.{p}"),
            Row(
                "temporal_embed",
                Source("reshape", ("memory_temporal_positional_encoding",), temporal_shape),
                Source("reshape", ("maskmem_tpos_enc",), temporal_shape),
            ),
            Row(
                "no_memory_embed",
                Source("reshape", ("no_memory_embedding",), no_memory_shape),
                Source("reshape", ("no_mem_embed",), no_memory_shape),
            ),
        ]
    )
    return [prompt, decoder, pointer, memory, attention]


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
