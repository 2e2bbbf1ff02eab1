"""Weights as fine-tuning leaves them behind, made from a whole model. `python weight_layouts.py META HF OUT` writes into OUT.

META is Meta's sam3.pt, HF the folder of the same weights for transformers. OUT/values gets layouts with the true numbers;
those of transformers are written by save_pretrained itself. OUT/shapes gets many more, whose tensors have the true shapes but
share one number each, so that a file is small. Prints nothing.
"""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Weights = dict[str, Tensor]


def under(prefix: str, weights: Weights) -> Weights:
    """The same tensors with a prefix before every name."""
    return {prefix + name: tensor for name, tensor in weights.items()}


def below(prefix: str, weights: Weights) -> Weights:
    """The tensors whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def replaced(old: str, new: str, weights: Weights) -> Weights:
    """The same tensors with a part of every name replaced."""
    return {name.replace(old, new): tensor for name, tensor in weights.items()}


def training(weights: object, key: str = "model") -> dict[str, object]:
    """What a trainer keeps beside the weights."""
    moments = {i: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2)} for i in range(3)}
    optimizer = {"state": moments, "param_groups": [{"lr": 1e-4, "params": [0, 1, 2]}]}
    return {key: weights, "optimizer": optimizer, "epoch": 19, "loss": {"core": 0.1}, "scaler": None}


def image_model(meta: Weights) -> Weights:
    """The state_dict of Meta's image model, as its trainer saves it."""
    return {name: tensor for name, tensor in below("detector.", meta).items() if "sam2_convs" not in name}


def image_model_with(tracker: str, meta: Weights) -> Weights:
    """Meta's image model with the tracker under that name."""
    return below("detector.", meta) | under(tracker, below("tracker.", meta))


def write_shapes(meta: Weights, hf: Weights, out: Path) -> None:
    """The many layouts, by name."""
    image, detector = image_model(meta), below("detector_model.", hf)
    lora = {
        name.replace(".weight", ".base_layer.weight") if "q_proj" in name else name: tensor
        for name, tensor in under("base_model.model.", detector).items()
    }
    lora["base_model.model.detr_decoder.layers.0.self_attn.q_proj.lora_A.default.weight"] = torch.zeros(4, 8)
    half = {name: tensor.half() for name, tensor in image.items() if tensor.is_floating_point()}
    mixed = {name: tensor.bfloat16() if i % 2 else tensor for i, (name, tensor) in enumerate(hf.items())}
    layouts: dict[str, object] = {
        "meta": meta,
        "older_names": under("sam3_model.", below("detector.", meta))
        | under("sam2_predictor.", below("tracker.", meta)),
        "trainer_image": training(image),
        "image_with_tracker": image_model_with("tracker.", meta),
        "image_with_clicks": training(image_model_with("inst_interactive_predictor.model.", meta)),
        "detector_only": {name: tensor for name, tensor in meta.items() if name.startswith("detector.")},
        "nested": {"detector": below("detector.", meta), "tracker": below("tracker.", meta)},
        "ddp": training(under("module.", meta)),
        "compiled_ddp": under("_orig_mod.module.", meta),
        "fsdp": under("_fsdp_wrapped_module.", replaced("blocks.", "blocks._fsdp_wrapped_module.", image)),
        "checkpointed": replaced(".attn.", "._checkpoint_wrapped_module.attn.", image),
        "lightning": training(under("model.", image), "state_dict"),
        "lightning_own_name": training(under("segmenter.net.", meta), "state_dict"),
        **{
            f"key_{key}": training(image, key) for key in ("state_dict", "model_state_dict", "module", "net", "weights")
        },
        "ema_only": {"model": None, "ema": meta},
        "ema_beside": {"model": image, "model_ema": {"module": image, "decay": 0.99}, "best": 3},
        "averaged": under("module.", meta) | {"n_averaged": torch.tensor(5)},
        "two_sets": {"student": image, "other": image_model(dict(meta))},
        "half": dict(list(image.items())[: len(image) // 2]),
        "half_precision": half,
        "hf": hf,
        "hf_mixed": mixed,
        "hf_detector_ddp": training(under("module.", detector), "model_state_dict"),
        "hf_older_text": replaced("text_encoder.text_model.", "text_encoder.", detector),
        "lora": lora,
        "adapter": {name: tensor for name, tensor in lora.items() if "lora_" in name},
        "shadow_params": {"decay": 0.99, "shadow_params": list(image.values())},
        "other_model": {"bert.embeddings.weight": torch.zeros(2, 2)},
        "deeper": image | {"transformer.decoder.layers.99.norm1.weight": torch.zeros(8)},
    }

    def small(value: object) -> object:
        if isinstance(value, Tensor):
            return value.new_zeros(()).expand(value.shape)
        if isinstance(value, dict):
            return {key: small(item) for key, item in value.items()}
        return [small(item) for item in value] if isinstance(value, list) else value

    for i, (name, layout) in enumerate(layouts.items()):
        torch.save(small(layout), out / f"{name}.pt", pickle_protocol=2 + i % 4)
    torch.save(image["dot_prod_scoring.hs_proj.bias"], out / "legacy.pt", _use_new_zipfile_serialization=False)


def write_values(meta: Weights, hf: Weights, hf_folder: str, out: Path) -> None:
    """The few layouts with their numbers, each in a folder of its own."""
    from transformers import Sam3Model, Sam3TrackerModel, Sam3TrackerVideoModel

    for name in ("trainer", "lightning", "shards", "pickled"):
        (out / name).mkdir()
    torch.save(training(image_model(meta)), out / "trainer/checkpoint.pt")
    average = {name: tensor * 1.5 if tensor.is_floating_point() else tensor for name, tensor in meta.items()}
    both = under("model.module._orig_mod.", meta) | under("ema_model.module.", average)
    torch.save({"state_dict": both | {"ema_model.n_averaged": torch.tensor(7)}}, out / "lightning/last.ckpt")

    shards = [dict(list(hf.items())[i::2]) for i in range(2)]
    index = {}
    for i, shard in enumerate(shards, 1):
        file = f"pytorch_model-0000{i}-of-00002.bin"
        torch.save(shard, out / "shards" / file)
        index |= dict.fromkeys(shard, file)
    (out / "shards/pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))

    for kind in (Sam3Model, Sam3TrackerModel, Sam3TrackerVideoModel):
        model = kind.from_pretrained(hf_folder)
        model.save_pretrained(out / kind.__name__)
        if kind is Sam3Model:
            torch.save(model, out / "pickled/model.pt")
        else:
            save_file(dict(model.state_dict()), out / f"{kind.__name__}.safetensors")


def main() -> None:
    """Writes everything."""
    warnings.filterwarnings("ignore")
    meta_path, hf_folder, out = sys.argv[1:]
    shutil.rmtree(out, ignore_errors=True)
    for folder in ("values", "shapes"):
        (Path(out) / folder).mkdir(parents=True)
    meta = torch.load(meta_path, weights_only=True)
    hf = load_file(f"{hf_folder}/model.safetensors")
    write_shapes(meta, hf, Path(out) / "shapes")
    write_values(meta, hf, hf_folder, Path(out) / "values")


if __name__ == "__main__":
    main()
