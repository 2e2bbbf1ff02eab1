"""Installs the drawings and photographs that scenes are made of, pinned, into a cache folder, and builds atlases from them.

Nothing of the packages is kept in the repository. Licences: NOTICE.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .atlas import MARGIN, SIDE, build_atlas
from .vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "tiny"

PACKAGES = {
    "@lobehub/fluent-emoji-3d": "1.1.0",  # Fluent Emoji, 3D (Microsoft, MIT)
    "@iconify-json/noto": "1.2.9",  # Noto Emoji (Google, Apache-2.0)
    "@iconify-json/fluent-emoji-flat": "1.2.6",  # Fluent Emoji, flat (Microsoft, MIT)
    "@iconify-json/twemoji": "1.2.5",  # Twemoji (CC-BY-4.0): evaluation only, no part of it reaches the weights
}
TRAINED_HANDS = ["fluent3d", "noto", "flat"]
HELD_OUT_HANDS = ["twemoji"]

# Photographs of scikit-image whose own note says CC0; those that show a concept (a cat, a cup, a camera) are left out.
PHOTOGRAPHS_OF = "scikit-image==0.26.0"
PHOTOGRAPHS = ("brick", "grass", "gravel")


def install(cache: Path) -> None:
    """Installs the pinned packages below `cache` (npm and pip, through their ordinary clients)."""
    folder = cache / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": PACKAGES}, indent=2) + "\n")
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True)
    wheels = cache / "wheels"
    if not list(wheels.glob("scikit_image-*.whl")):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels)]
        subprocess.run([*pip, PHOTOGRAPHS_OF], check=True)


def render(cache: Path, hand: str, codes: list[str], texture: int = SIDE) -> dict[tuple[str, str], Tensor]:
    """The drawings of one hand, for textures of `texture` pixels a side: fp32 [4,texture - 4,texture - 4] in 0..1 by hand and code point."""
    side, out = texture - 2 * MARGIN, cache / "drawings"
    script = Path(__file__).with_name("sprites.mjs")
    wanted = [f"{hand}:{code}" for code in codes]
    command = ["node", str(script), str(cache / "packages"), str(side), str(out), *wanted]
    subprocess.run(command, cwd=ROOT, check=True)
    found = {}
    for code in codes:
        pixels = np.fromfile(out / f"{hand}-{code}.rgba", np.uint8).reshape(side, side, 4)
        found[hand, code] = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    return found


def photograph_archive(cache: Path = CACHE) -> Path:
    """The package with the photographs; FileNotFoundError where `make` did not bring it."""
    wheels = sorted((cache / "wheels").glob("scikit_image-*.whl"))
    if not wheels:
        raise FileNotFoundError(f"{cache / 'wheels'}: no photographs; run `python -m scripts.tiny sprites` first")
    return wheels[0]


def photographs(cache: Path) -> Tensor:
    """The CC0 photographs as grey fields: u8 [n,512,512]."""
    from PIL import Image

    fields = []
    with zipfile.ZipFile(photograph_archive(cache)) as archive:
        for name in PHOTOGRAPHS:
            with archive.open(f"skimage/data/{name}.png") as file:
                fields.append(torch.from_numpy(np.array(Image.open(file).convert("L"))))
    return torch.stack(fields)


def make(cache: Path = CACHE) -> None:
    """Writes atlas.pt (trained hands), held-out.pt (the other hand) and photographs.pt below `cache`."""
    install(cache)
    vocabulary = Vocabulary.read()
    codes = sorted({item.code for item in vocabulary.items if not item.is_shape})
    for name, hands in (("atlas", TRAINED_HANDS), ("held-out", HELD_OUT_HANDS)):
        drawings = {}
        for hand in hands:
            drawings.update(render(cache, hand, codes))
        build_atlas(vocabulary, drawings, hands).save(cache / f"{name}.pt")
    torch.save(photographs(cache), cache / "photographs.pt")
