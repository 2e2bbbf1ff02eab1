"""Tables of the image encoder, the two necks and the detector."""

from __future__ import annotations

from .rows import Part, Row, Source, attention, feed_forward, fused, head, norms, same

LAYER = "layers.{n}"


def vision_encoder() -> Part:
    """The ViT."""
    rows = [
        same("patch_embed.weight", "embeddings.patch_embeddings.projection.weight", "patch_embed.proj.weight"),
        Row("pos_embed", Source("copy", ("embeddings.position_embeddings",)), Source("drop_first", ("pos_embed",))),
        same("norm_pre.{p}", "layer_norm.{p}", "ln_pre.{p}"),
        *norms(LAYER, LAYER, "blocks.{n}", 2),
        fused("layers.{n}.attention.qkv.{p}", "layers.{n}.attention.?_proj.{p}", "blocks.{n}.attn.qkv.{p}"),
        same("layers.{n}.attention.proj.{p}", "layers.{n}.attention.o_proj.{p}", "blocks.{n}.attn.proj.{p}"),
        same("layers.{n}.mlp.fc{m}.{p}", "layers.{n}.mlp.fc{m}.{p}", "blocks.{n}.mlp.fc{m}.{p}"),
    ]
    name, vision = "vision_encoder", "detector_model.vision_encoder.backbone."
    return Part(name, "vision_encoder.", vision, "detector.backbone.vision_backbone.trunk.", rows)


def detector_neck() -> Part:
    """The neck whose levels the detector reads."""
    vision, backbone = "detector_model.vision_encoder.neck.", "detector.backbone.vision_backbone."
    return Part("detector_neck", "detector_neck.", vision + "fpn_layers.", backbone + "convs.", _neck())


def neck(name: str, meta: str) -> Part:
    """Another neck: the one whose levels the tracker reads; SAM 3.1 has two."""
    backbone = "detector.backbone.vision_backbone."
    return Part(name, f"{name}.", f"{name}.fpn_layers.", backbone + meta, _neck())


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


def text_encoder() -> Part:
    """CLIP's text encoder and the projection behind it."""
    text, layer = "text_encoder.text_model.", "text_encoder.text_model.encoder.layers.{n}."
    meta, block = "encoder.", "encoder.transformer.resblocks.{n}."
    rows = [
        same("token_embed.weight", text + "embeddings.token_embedding.weight", meta + "token_embedding.weight"),
        same("pos_embed", text + "embeddings.position_embedding.weight", meta + "positional_embedding"),
        same("norm.{p}", text + "final_layer_norm.{p}", meta + "ln_final.{p}"),
        same("proj.{p}", "text_projection.{p}", "resizer.{p}"),
        same("layers.{n}.norm{m}.{p}", layer + "layer_norm{m}.{p}", block + "ln_{m}.{p}"),
        fused("layers.{n}.attention.in_proj.{p}", layer + "self_attn.?_proj.{p}", block + "attn.in_proj_{p}"),
        same("layers.{n}.attention.out_proj.{p}", layer + "self_attn.out_proj.{p}", block + "attn.out_proj.{p}"),
        same("layers.{n}.mlp.fc1.{p}", layer + "mlp.fc1.{p}", block + "mlp.c_fc.{p}"),
        same("layers.{n}.mlp.fc2.{p}", layer + "mlp.fc2.{p}", block + "mlp.c_proj.{p}"),
    ]
    return Part("text_encoder", "text_encoder.", "detector_model.", "detector.backbone.language_backbone.", rows)


def geometry_encoder() -> Part:
    """The encoder of exemplar boxes."""
    rows = [
        same("label_embed.weight", "label_embed.weight", "label_embed.weight"),
        same("cls_embed.weight", "cls_embed.weight", "cls_embed.weight"),
        same("box_proj.{p}", "boxes_direct_project.{p}", "boxes_direct_project.{p}"),
        same("pool_proj.{p}", "boxes_pool_project.{p}", "boxes_pool_project.{p}"),
        same("pos_proj.{p}", "boxes_pos_enc_project.{p}", "boxes_pos_enc_project.{p}"),
        same("image_norm.{p}", "vision_layer_norm.{p}", "img_pre_norm.{p}"),
        same("final_proj.{p}", "final_proj.{p}", "final_proj.{p}"),
        same("norm.{p}", "prompt_layer_norm.{p}", "norm.{p}"),
        same("norm_out.{p}", "output_layer_norm.{p}", "encode_norm.{p}"),
        *norms(LAYER, LAYER, "encode.{n}", 3),
        *attention("layers.{n}.self_attn", "layers.{n}.self_attn", "encode.{n}.self_attn"),
        *attention("layers.{n}.cross_attn", "layers.{n}.cross_attn", "encode.{n}.cross_attn_image"),
        *feed_forward("layers.{n}.mlp", "layers.{n}.mlp", "encode.{n}"),
    ]
    hf, meta = "detector_model.geometry_encoder.", "detector.geometry_encoder."
    return Part("geometry_encoder", "geometry_encoder.", hf, meta, rows)


def detr_encoder() -> Part:
    """The image attends to the prompt."""
    rows = [
        *norms(LAYER, LAYER, LAYER, 3),
        *attention("layers.{n}.self_attn", "layers.{n}.self_attn", "layers.{n}.self_attn"),
        *attention("layers.{n}.cross_attn", "layers.{n}.cross_attn", "layers.{n}.cross_attn_image"),
        *feed_forward("layers.{n}.mlp", "layers.{n}.mlp", "layers.{n}"),
    ]
    return Part("detr_encoder", "detr_encoder.", "detector_model.detr_encoder.", "detector.transformer.encoder.", rows)


def detr_decoder() -> Part:
    """The queries become boxes."""
    rows = [
        *attention("layers.{n}.self_attn", "layers.{n}.self_attn", "layers.{n}.self_attn"),
        *attention("layers.{n}.prompt_attn", "layers.{n}.text_cross_attn", "layers.{n}.ca_text"),
        *attention("layers.{n}.image_attn", "layers.{n}.vision_cross_attn", "layers.{n}.cross_attn"),
        same("layers.{n}.self_norm.{p}", "layers.{n}.self_attn_layer_norm.{p}", "layers.{n}.norm2.{p}"),
        same("layers.{n}.prompt_norm.{p}", "layers.{n}.text_cross_attn_layer_norm.{p}", "layers.{n}.catext_norm.{p}"),
        same("layers.{n}.image_norm.{p}", "layers.{n}.vision_cross_attn_layer_norm.{p}", "layers.{n}.norm1.{p}"),
        same("layers.{n}.mlp_norm.{p}", "layers.{n}.mlp_layer_norm.{p}", "layers.{n}.norm3.{p}"),
        *feed_forward("layers.{n}.mlp", "layers.{n}.mlp", "layers.{n}"),
        *[
            same(f"{e}.weight", f"{e}.weight", f"{e}.weight")
            for e in ("query_embed", "reference_points", "presence_token")
        ],
        same("norm.{p}", "output_layer_norm.{p}", "norm.{p}"),
        same("presence_norm.{p}", "presence_layer_norm.{p}", "presence_token_out_norm.{p}"),
        *head("box_head", "box_head", "bbox_embed", 3),
        *head("presence_head", "presence_head", "presence_token_head", 3),
        *head("ref_point_head", "ref_point_head", "ref_point_head", 2),
        *head("box_bias_x", "box_rpb_embed_x", "boxRPB_embed_x", 2),
        *head("box_bias_y", "box_rpb_embed_y", "boxRPB_embed_y", 2),
    ]
    return Part("detr_decoder", "detr_decoder.", "detector_model.detr_decoder.", "detector.transformer.decoder.", rows)


def scoring() -> Part:
    """Queries against prompts."""
    rows = [
        *head("prompt_mlp", "text_mlp", "prompt_mlp", 2),
        same("prompt_norm.{p}", "text_mlp_out_norm.{p}", "prompt_mlp.out_norm.{p}"),
        same("prompt_proj.{p}", "text_proj.{p}", "prompt_proj.{p}"),
        same("query_proj.{p}", "query_proj.{p}", "hs_proj.{p}"),
    ]
    return Part("scoring", "scoring.", "detector_model.dot_product_scoring.", "detector.dot_prod_scoring.", rows)


def mask_decoder() -> Part:
    """Masks of queries, and the semantic map."""
    convs, pixel_norms = "pixel_decoder.conv_layers.{n}.{p}", "pixel_decoder.norms.{n}.{p}"
    rows = [
        same("prompt_norm.{p}", "prompt_cross_attn_norm.{p}", "cross_attn_norm.{p}"),
        *attention("prompt_attn", "prompt_cross_attn", "cross_attend_prompt"),
        same("pixel_decoder.convs.{n}.{p}", convs, convs),
        same(pixel_norms, pixel_norms, pixel_norms),
        same("mask_embed.layers.{n}.{p}", "mask_embedder.layers.{n}.{p}", "mask_predictor.mask_embed.layers.{n}.{p}"),
        same("instance_proj.{p}", "instance_projection.{p}", "instance_seg_head.{p}"),
        same("semantic_proj.{p}", "semantic_projection.{p}", "semantic_seg_head.{p}"),
    ]
    return Part("mask_decoder", "mask_decoder.", "detector_model.mask_decoder.", "detector.segmentation_head.", rows)
