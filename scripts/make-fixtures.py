"""Reduce the sets of goldens (SAM 3, SAM 3.1) to the fixtures that the project tests itself with, and unpack them again.

    python scripts/make-fixtures.py pack --source DIR     # once, by whoever has a full set; its model tells which one it is
    python scripts/make-fixtures.py unpack                # by the set-up, on every machine

What `pack` leaves out, and why nothing is lost for the tests:
- rows of the token embedding that no golden text uses become zero (they compress to nothing);
- Meta's `sam3.pt` (`sam3.1_multiplex.pt`) holds the same numbers as `model.safetensors`, so only a recipe is kept: for
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

FIXTURES = Path(__file__).resolve().parent.parent / "test" / "fixtures"
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
# Of the set of SAM 3.1, whose model.safetensors has Meta's names.
MULTIPLEX_CASES = ("modules", "tracker", "video")
MULTIPLEX_FILES = ("config.json", "s4.safetensors")
# Recorded mask logits (others are inputs, and stay exact).
MULTIPLEX_LOGITS = {
    "modules": (".masks", ".all_masks", ".first2"),
    "tracker": ("low_res", "low_res.sample64"),
    "video": ("low_res.sample64",),
}
TOKEN_EMBEDDINGS = (
    "detector_model.text_encoder.text_model.embeddings.token_embedding.weight",
    "detector.backbone.language_backbone.encoder.token_embedding.weight",
)
# Start, end and padding, and the words that tests and documentation ask for besides the golden texts.
EXTRA_TEXTS = (
    "visual",
    "<text placeholder>",
    "cup",
    "spoon",
    "dog",
    "person",
    "wheel",
    "car",
    "tree",
    "red",
    "a photo of the sky",
)
GZIP_ABOVE = 200_000
MASK_LOGITS = (".low_res", ".obj_low_res", ".trk_low_res", ".det_masks")
LOGIT_STEP = 2.0**-11


def used_token_ids(cases: Path, tokenizer_json: Path, texts: tuple[str, ...]) -> list[int]:
    """Ids of every token that a case of the safetensors file `cases` or one of `texts` feeds to the text encoder."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    ids = {0, 49406, 49407}
    for text in texts:
        ids.update(tokenizer.encode(text).ids)
    with safe_open(cases, "pt") as cases:
        for name in cases.keys():
            if name.endswith("token_ids"):
                ids.update(cases.get_tensor(name).flatten().tolist())
    return sorted(ids)


def digest(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def meta_recipe(meta: dict[str, torch.Tensor], transformers: dict[str, torch.Tensor]):
    """How to rebuild each tensor of Meta's file from the other, and the tensors that cannot be rebuilt."""
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


def pack_weights(source: Path, name: str, token_ids: list[int], model: Path) -> None:
    """model.safetensors, and the recipe of Meta's `name`.pt."""
    weights = load_file(source / "model" / "model.safetensors")
    meta = torch.load(source / "model" / f"{name}.pt", map_location="cpu", weights_only=True)
    recipe, extra = meta_recipe(meta, weights)
    (embedding,) = (key for key in TOKEN_EMBEDDINGS if key in weights)
    kept = torch.zeros(weights[embedding].shape[0], 1)
    kept[token_ids] = 1
    weights[embedding] = weights[embedding] * kept

    model.mkdir(parents=True, exist_ok=True)
    plain = model / "model.safetensors"
    save_file(weights, plain, metadata={"format": "pt"})
    store(plain, plain)
    (model / f"{name}.recipe.json").write_text(json.dumps(recipe, indent=0) + "\n")
    save_file(extra, model / f"{name}.extra.safetensors")


def pack_multiplex(source: Path, target: Path) -> None:
    """The set of SAM 3.1. Its clip and its tokenizer are those of the set of SAM 3."""
    modules = source / "cases" / "modules.safetensors"
    tokenizer = FIXTURES / "golden" / "model" / "tokenizer.json"
    runs = json.loads((source / "cases" / "video.json").read_text()).values()
    texts = tuple(op["text"] for run in runs for op in run["ops"] if "text" in op)
    ids = used_token_ids(modules, tokenizer, EXTRA_TEXTS + texts)
    pack_weights(source, "sam3.1_multiplex", ids, target / "model")
    for name in MULTIPLEX_FILES:
        store(source / "model" / name, target / "model" / name)
    shutil.copyfile(source / "cases" / "heuristics.json", _made(target / "cases" / "heuristics.json"))
    for name in MULTIPLEX_CASES:
        shutil.copyfile(source / "cases" / f"{name}.json", target / "cases" / f"{name}.json")
        plain = target / "cases" / f"{name}.safetensors"
        tensors = load_file(source / "cases" / f"{name}.safetensors")
        about = target / "cases" / f"{name}.json"
        about.write_text(json.dumps(json.loads(about.read_text()), separators=(",", ":")) + "\n")
        store(about, about)
        if name != "modules":  # of modules, samples cover slots that the whole beside them leaves out
            tensors = {
                key: tensor
                for key, tensor in tensors.items()
                if not (key.endswith(".sample64") and key.removesuffix(".sample64") in tensors)
            }
        for key in tensors:
            if key.endswith(MULTIPLEX_LOGITS[name]):
                tensors[key] = (tensors[key] / LOGIT_STEP).round() * LOGIT_STEP
        save_file(tensors, plain)
        store(plain, plain)


def pack(source: Path, target: Path) -> None:
    """The set of SAM 3."""
    cases, tokenizer = source / "cases" / "image.safetensors", source / "model" / "tokenizer.json"
    model = target / "model"
    pack_weights(source, "sam3", used_token_ids(cases, tokenizer, EXTRA_TEXTS), model)
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
    (file,) = model.glob("*.recipe.json")
    name = file.name.removesuffix(".recipe.json")
    extra = load_file(model / f"{name}.extra.safetensors")
    state = rebuild_meta(json.loads(file.read_text()), load_file(model / "model.safetensors"), extra)
    torch.save(state, model / f"{name}.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("pack", "unpack"))
    parser.add_argument("--source", type=Path, help="pack: the folder of a full set of goldens")
    args = parser.parse_args()
    if args.command == "unpack":
        for folder in ("golden", "golden31"):
            unpack(FIXTURES / folder)
        return
    if args.source is None:
        parser.error("pack needs --source")
    if (args.source / "model" / "sam3.1_multiplex.pt").is_file():
        pack_multiplex(args.source, FIXTURES / "golden31")
        unpack(FIXTURES / "golden31")
    else:
        pack(args.source, FIXTURES / "golden")
        unpack(FIXTURES / "golden")


if __name__ == "__main__":
    main()
