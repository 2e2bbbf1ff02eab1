"""Reduce a set of goldens to the fixtures that the project tests itself with, and unpack them again.

    python scripts/make-fixtures.py pack --source DIR     # once, by whoever has the full set
    python scripts/make-fixtures.py unpack                # by the set-up, on every machine

What `pack` leaves out, and why nothing is lost for the tests:
- rows of the token embedding that no golden text uses become zero (they compress to nothing);
- Meta's `sam3.pt` holds the same numbers as `model.safetensors` under other names, so only a recipe is kept: for
  each of its tensors, which tensors of the other file hold the same bytes. The recipe is found by comparing bytes,
  independently of the name maps that the tests check with it. What the other file lacks is kept as data.
- of the videos, the runs that round memory to bfloat16 (`ref`) are left out where the same run exists in fp32, and
  mask logits are rounded to multiples of 2^-11, an eighth of the tolerance they are compared with;
- large files are gzipped; `unpack` writes the plain ones beside them (ignored by git).
"""

import argparse
import gzip
import hashlib
import json
import shutil
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

FIXTURES = Path(__file__).resolve().parent.parent / "test" / "fixtures" / "golden"
CASES = (
    "image.json",
    "image.safetensors",
    "interactive.json",
    "interactive.safetensors",
    "tokenizer.json",
    "heuristics.json",
)
VIDEO_CASES = ("tracker_video", "text_video")
MODEL_FILES = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
TOKEN_EMBEDDING = "detector_model.text_encoder.text_model.embeddings.token_embedding.weight"
# Start, end and padding, and the words that tests and documentation ask for besides the golden texts.
EXTRA_TEXTS = ("visual", "cup", "spoon", "dog", "person", "wheel", "car", "tree", "red", "a photo of the sky")
GZIP_ABOVE = 200_000
MASK_LOGITS = (".low_res", ".obj_low_res", ".trk_low_res", ".det_masks")
LOGIT_STEP = 2.0**-11


def used_token_ids(source: Path) -> list[int]:
    """Ids of every token that a golden case or one of EXTRA_TEXTS feeds to the text encoder."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(source / "model" / "tokenizer.json"))
    ids = {0, 49406, 49407}
    for text in EXTRA_TEXTS:
        ids.update(tokenizer.encode(text).ids)
    with safe_open(source / "cases" / "image.safetensors", "pt") as cases:
        for name in cases.keys():
            if name.endswith("token_ids"):
                ids.update(cases.get_tensor(name).flatten().tolist())
    return sorted(ids)


def digest(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def meta_recipe(meta: dict[str, torch.Tensor], transformers: dict[str, torch.Tensor]):
    """How to rebuild each tensor of `sam3.pt` from the transformers file, and the tensors that cannot be rebuilt."""
    by_digest: dict[str, str] = {}
    for name, tensor in transformers.items():
        by_digest.setdefault(digest(tensor), name)
    recipe, extra = {}, {}
    for name, tensor in meta.items():
        shape = list(tensor.shape)
        thirds = tensor.chunk(3) if tensor.dim() and tensor.shape[0] % 3 == 0 else ()
        if tensor.is_complex():
            extra[name] = torch.view_as_real(tensor).contiguous()
            recipe[name] = {"complex": True}
        elif digest(tensor) in by_digest:
            recipe[name] = {"from": [by_digest[digest(tensor)]], "shape": shape}
        elif thirds and all(digest(part) in by_digest for part in thirds):
            recipe[name] = {"from": [by_digest[digest(part)] for part in thirds], "shape": shape}
        elif tensor.dim() == 2 and digest(tensor.t()) in by_digest:
            recipe[name] = {"from": [by_digest[digest(tensor.t())]], "shape": shape, "transpose": True}
        else:
            extra[name] = tensor.contiguous()
            recipe[name] = {}
    return recipe, extra


def rebuild_meta(recipe: dict, transformers: dict[str, torch.Tensor], extra: dict[str, torch.Tensor]):
    """The state dict of Meta's file, bit for bit but for the zeroed token rows."""
    state = {}
    for name, how in recipe.items():
        if "from" not in how:
            state[name] = torch.view_as_complex(extra[name]) if how.get("complex") else extra[name]
            continue
        parts = [transformers[source] for source in how["from"]]
        if how.get("transpose"):
            state[name] = parts[0].t().contiguous()
        else:
            state[name] = torch.cat([part.reshape(-1) for part in parts]).reshape(how["shape"])
    return state


def store(source: Path, target: Path) -> None:
    """Copy a file, gzipped (with no time stamp, so that the bytes are the same every time) if it is large."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.stat().st_size < GZIP_ABOVE:
        if source != target:
            shutil.copyfile(source, target)
        return
    with open(source, "rb") as plain, open(f"{target}.gz", "wb") as file:
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=9, mtime=0) as packed:
            shutil.copyfileobj(plain, packed)


def reduce_video(source: Path, name: str, target: Path) -> None:
    """The cases of one video file, less what the module's text says."""
    cases = json.loads((source / f"{name}.json").read_text())
    in_fp32 = {run["name"] for run in cases["runs"] if run["variant"] == "fp32"}
    cases["runs"] = [run for run in cases["runs"] if run["variant"] == "fp32" or run["name"] not in in_fp32]
    (target / f"{name}.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")

    everything = load_file(source / f"{name}.safetensors")
    kept = {}
    for key, tensor in everything.items():
        run, variant, *_ = f"{key}..".split(".")
        whole = key.removesuffix(".summary").removesuffix(".sample64")
        if (variant == "ref" and run in in_fp32) or (whole != key and whole in everything):
            continue
        kept[key] = (tensor / LOGIT_STEP).round() * LOGIT_STEP if key.endswith(MASK_LOGITS) else tensor
    save_file(kept, target / f"{name}.safetensors")


def pack(source: Path, target: Path) -> None:
    transformers = load_file(source / "model" / "model.safetensors")
    meta = torch.load(source / "model" / "sam3.pt", map_location="cpu", weights_only=True)
    recipe, extra = meta_recipe(meta, transformers)
    embedding = transformers[TOKEN_EMBEDDING]
    kept = torch.zeros(embedding.shape[0], 1)
    kept[used_token_ids(source)] = 1
    transformers[TOKEN_EMBEDDING] = embedding * kept

    model = target / "model"
    model.mkdir(parents=True, exist_ok=True)
    plain = model / "model.safetensors"
    save_file(transformers, plain, metadata={"format": "pt"})
    store(plain, plain)
    (model / "sam3.recipe.json").write_text(json.dumps(recipe, indent=0) + "\n")
    save_file(extra, model / "sam3.extra.safetensors")
    for name in MODEL_FILES:
        store(source / "model" / name, model / name)
    for name in CASES:
        store(source / "cases" / name, target / "cases" / name)
    for name in VIDEO_CASES:
        reduce_video(source / "cases", name, target / "cases")
        for kind in ("json", "safetensors"):
            store(target / "cases" / f"{name}.{kind}", target / "cases" / f"{name}.{kind}")
    for image in sorted((source / "images").rglob("*.*")):
        shutil.copyfile(image, _made(target / "images" / image.relative_to(source / "images")))


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def unpack(target: Path) -> None:
    for packed in sorted(target.rglob("*.gz")):
        with gzip.open(packed, "rb") as file, open(packed.with_suffix(""), "wb") as plain:
            shutil.copyfileobj(file, plain)
    model = target / "model"
    recipe = json.loads((model / "sam3.recipe.json").read_text())
    state = rebuild_meta(recipe, load_file(model / "model.safetensors"), load_file(model / "sam3.extra.safetensors"))
    torch.save(state, model / "sam3.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("pack", "unpack"))
    parser.add_argument("--source", type=Path, help="pack: the folder of the full goldens")
    parser.add_argument("--out", type=Path, default=FIXTURES, help="the folder of the fixtures")
    args = parser.parse_args()
    if args.command == "pack":
        if args.source is None:
            parser.error("pack needs --source")
        pack(args.source, args.out)
    unpack(args.out)


if __name__ == "__main__":
    main()
