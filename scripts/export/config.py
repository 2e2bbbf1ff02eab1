"""The architecture of a SAM 3 model, read from the config.json of a whole model, of its detector or of its tracker."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar


def at(path: str, default: Any) -> Any:
    """A dataclass field whose value stands at `path` (dot separated) in config.json; a missing entry means `default`."""
    return field(default=default, metadata={"path": path})


_VIT = "detector_config.vision_config.backbone_config."
_TEXT = "detector_config.text_config."
_TRACKER = "tracker_config."


@dataclass(frozen=True)
class Sam3Config:
    """Sizes of every part. The defaults are those of facebook/sam3 (transformers leaves defaults out of config.json)."""

    # Whether the decoder of clicks gives IoUs in 0..1, not their logits
    iou_sigmoid: ClassVar[bool] = True

    # Vision encoder (ViT) and necks
    image_size: int = at(_VIT + "image_size", 1008)
    patch_size: int = at(_VIT + "patch_size", 14)
    pretrain_image_size: int = at(_VIT + "pretrain_image_size", 336)
    window_size: int = at(_VIT + "window_size", 24)
    global_layers: tuple[int, ...] = at(_VIT + "global_attn_indexes", (7, 15, 23, 31))
    rope_theta: float = at(_VIT + "rope_parameters.rope_theta", 10000.0)
    vision_width: int = at(_VIT + "hidden_size", 1024)
    vision_mlp: int = at(_VIT + "intermediate_size", 4736)
    vision_layers: int = at(_VIT + "num_hidden_layers", 32)
    vision_heads: int = at(_VIT + "num_attention_heads", 16)
    hidden_size: int = at("detector_config.vision_config.fpn_hidden_size", 256)
    # Text encoder
    text_vocab: int = at(_TEXT + "vocab_size", 49408)
    text_context: int = at(_TEXT + "max_position_embeddings", 32)
    text_width: int = at(_TEXT + "hidden_size", 1024)
    text_mlp: int = at(_TEXT + "intermediate_size", 4096)
    text_layers: int = at(_TEXT + "num_hidden_layers", 24)
    text_heads: int = at(_TEXT + "num_attention_heads", 16)
    # Detector
    geometry_layers: int = at("detector_config.geometry_encoder_config.num_layers", 3)
    geometry_heads: int = at("detector_config.geometry_encoder_config.num_attention_heads", 8)
    geometry_mlp: int = at("detector_config.geometry_encoder_config.intermediate_size", 2048)
    roi_size: int = at("detector_config.geometry_encoder_config.roi_size", 7)
    encoder_layers: int = at("detector_config.detr_encoder_config.num_layers", 6)
    encoder_heads: int = at("detector_config.detr_encoder_config.num_attention_heads", 8)
    encoder_mlp: int = at("detector_config.detr_encoder_config.intermediate_size", 2048)
    decoder_layers: int = at("detector_config.detr_decoder_config.num_layers", 6)
    decoder_heads: int = at("detector_config.detr_decoder_config.num_attention_heads", 8)
    decoder_mlp: int = at("detector_config.detr_decoder_config.intermediate_size", 2048)
    num_queries: int = at("detector_config.detr_decoder_config.num_queries", 200)
    mask_heads: int = at("detector_config.mask_decoder_config.num_attention_heads", 8)
    # Tracker: prompt encoder and mask decoder (clicks), memory (video)
    mask_input_channels: int = at(_TRACKER + "prompt_encoder_config.mask_input_channels", 16)
    sam_layers: int = at(_TRACKER + "mask_decoder_config.num_hidden_layers", 2)
    sam_heads: int = at(_TRACKER + "mask_decoder_config.num_attention_heads", 8)
    sam_mlp: int = at(_TRACKER + "mask_decoder_config.mlp_dim", 2048)
    sam_downsample: int = at(_TRACKER + "mask_decoder_config.attention_downsample_rate", 2)
    iou_head_hidden: int = at(_TRACKER + "mask_decoder_config.iou_head_hidden_dim", 256)
    memory_size: int = at(_TRACKER + "memory_encoder_output_channels", 64)
    memory_frames: int = at(_TRACKER + "num_maskmem", 7)
    memory_layers: int = at(_TRACKER + "memory_attention_num_layers", 4)
    memory_heads: int = at(_TRACKER + "memory_attention_num_attention_heads", 1)
    memory_mlp: int = at(_TRACKER + "memory_attention_feed_forward_hidden_size", 2048)
    fuser_layers: int = at(_TRACKER + "memory_fuser_num_layers", 2)
    fuser_mlp: int = at(_TRACKER + "memory_fuser_intermediate_dim", 1024)

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> Sam3Config:
        """Reads a parsed config.json: of a whole model, or what save_pretrained of a part of it writes.

        What the config of a part does not say of the others is as in facebook/sam3.

        Raises:
            ValueError: the model is no SAM 3 model, or has a feature that this network does not have.
        """
        config = _whole(config)
        values = {}
        for f in fields(cls):
            value = _lookup(config, f.metadata["path"], f.default)
            values[f.name] = tuple(value) if isinstance(value, list) else value
        for path, expected in cls.fixed().items():
            found = _lookup(config, path, expected)
            if found != expected:
                raise ValueError(f"config.json has {path} = {found!r}; this network is written for {expected!r} only")
        return cls(**values)

    @classmethod
    def from_file(cls, path: str | Path) -> Sam3Config:
        """Reads config.json at `path` (see from_dict)."""
        return cls.from_dict(json.loads(Path(path).read_text()))

    def to_dict(self) -> dict[str, Any]:
        """The config.json of this architecture, readable by transformers and by from_dict."""
        config: dict[str, Any] = {
            "architectures": ["Sam3VideoModel"],
            "model_type": "sam3_video",
            "low_res_mask_size": 4 * self.grid,
        }
        for path, value in self._derived().items():
            _store(config, path, value)
        for path, value in self.fixed().items():
            _store(config, path, value)
        for f in fields(self):
            value = getattr(self, f.name)
            _store(config, f.metadata["path"], list(value) if isinstance(value, tuple) else value)
        # The tracker has a copy of the vision configuration: the trunk is shared, only the neck is its own.
        config["tracker_config"]["vision_config"] = json.loads(json.dumps(config["detector_config"]["vision_config"]))
        return config

    def _derived(self) -> dict[str, Any]:
        """Entries that transformers needs and that follow from other sizes."""
        grid, hidden = self.grid, self.hidden_size
        derived: dict[str, Any] = {"detector_config.model_type": "sam3", _TRACKER + "model_type": "sam3_tracker_video"}
        vision = "detector_config.vision_config."
        derived[vision + "model_type"] = "sam3_vision_model"
        derived[vision + "backbone_feature_sizes"] = [[4 * grid, 4 * grid], [2 * grid, 2 * grid], [grid, grid]]
        derived[_VIT + "model_type"] = "sam3_vit_model"
        for part in ("geometry_encoder", "detr_encoder", "detr_decoder", "mask_decoder"):
            derived[f"detector_config.{part}_config.hidden_size"] = hidden
        derived[_TEXT + "model_type"] = "clip_text_model"
        derived[_TEXT + "projection_dim"] = 512
        derived[_TEXT + "bos_token_id"] = self.text_vocab - 2
        derived[_TEXT + "eos_token_id"] = self.text_vocab - 1
        derived[_TRACKER + "image_size"] = self.image_size
        derived[_TRACKER + "prompt_encoder_config.hidden_size"] = hidden
        derived[_TRACKER + "prompt_encoder_config.image_size"] = self.image_size
        derived[_TRACKER + "prompt_encoder_config.patch_size"] = self.patch_size
        derived[_TRACKER + "mask_decoder_config.hidden_size"] = hidden
        derived[_TRACKER + "memory_attention_hidden_size"] = hidden
        derived[_TRACKER + "memory_attention_rope_feat_sizes"] = [grid, grid]
        derived[_TRACKER + "memory_encoder_hidden_size"] = hidden
        derived[_TRACKER + "mask_downsampler_embed_dim"] = hidden
        derived[_TRACKER + "memory_fuser_embed_dim"] = hidden
        return derived

    @classmethod
    def fixed(cls) -> dict[str, Any]:
        """What the network takes for granted, and where config.json would say otherwise."""
        return FIXED

    @property
    def grid(self) -> int:
        """Patches along one side at the default input size (72 for facebook/sam3)."""
        return self.image_size // self.patch_size

    def architecture(self) -> dict[str, int]:
        """The sizes that the engine needs, as they stand in names.json and in a self-contained checkpoint."""
        keys = (
            "image_size",
            "patch_size",
            "window_size",
            "vision_width",
            "vision_layers",
            "hidden_size",
            "num_queries",
            "decoder_heads",
            "text_context",
            "text_vocab",
            "memory_size",
        )
        return {key: getattr(self, key) for key in keys}

    def checks(self) -> dict[str, Any]:
        """Entries of config.json that the shapes of the weights cannot show and that the program was built for."""
        names = (
            "image_size",
            "patch_size",
            "window_size",
            "global_layers",
            "rope_theta",
            "vision_heads",
            "text_heads",
            "geometry_heads",
            "roi_size",
        )
        names += ("encoder_heads", "decoder_heads", "mask_heads", "sam_heads", "memory_heads")
        by_name = {f.name: f for f in fields(self)}
        checks = {by_name[n].metadata["path"]: getattr(self, n) for n in names}
        return {
            path: list(value) if isinstance(value, tuple) else value
            for path, value in {**checks, **self.fixed()}.items()
        }


FIXED: dict[str, Any] = {
    _VIT + "num_channels": 3,
    _VIT + "hidden_act": "gelu",
    _VIT + "layer_scale_init_value": None,
    "detector_config.vision_config.scale_factors": [4.0, 2.0, 1.0, 0.5],
    _TEXT + "hidden_act": "gelu",
    "detector_config.geometry_encoder_config.hidden_act": "relu",
    "detector_config.detr_encoder_config.hidden_act": "relu",
    "detector_config.detr_decoder_config.hidden_act": "relu",
    "detector_config.mask_decoder_config.num_upsampling_stages": 3,
    _TRACKER + "mask_decoder_config.num_multimask_outputs": 3,
    _TRACKER + "mask_decoder_config.iou_head_depth": 3,
    _TRACKER + "memory_attention_downsample_rate": 1,
    _TRACKER + "memory_attention_feed_forward_hidden_act": "relu",
    _TRACKER + "mask_downsampler_stride": 2,
    _TRACKER + "mask_downsampler_total_stride": 16,
    _TRACKER + "memory_fuser_kernel_size": 7,
}


def _whole(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a whole model, in which that of a part has its place."""
    kind = config.get("model_type", "sam3_video")
    if kind == "sam3_video" or "detector_config" in config:
        return config
    if kind == "sam3":
        return {"detector_config": config}
    if kind in ("sam3_tracker", "sam3_tracker_video"):
        # The image encoder is the detector's as well.
        return {"tracker_config": config, "detector_config": {"vision_config": config.get("vision_config", {})}}
    raise ValueError(
        f"config.json describes a {kind!r} model; use one of SAM 3 (sam3_video, sam3, sam3_tracker, sam3_tracker_video)"
    )


def _lookup(config: dict[str, Any], path: str, default: Any) -> Any:
    node: Any = config
    for key in path.split("."):
        if not isinstance(node, dict) or key not in node:
            return default
        node = node[key]
    return node


def _store(config: dict[str, Any], path: str, value: Any) -> None:
    *parents, leaf = path.split(".")
    for key in parents:
        config = config.setdefault(key, {})
    config[leaf] = value
