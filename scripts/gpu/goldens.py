"""What the native tests need of the goldens: fixtures unpacked, a program, clips as raw pixels, texts as tokens.

As scripts/support/golden-set.mjs does it with Node. `python -m scripts.gpu.goldens FOLDER` makes them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .processes import ROOT

GOLDEN = ROOT / "test" / "fixtures" / "golden"
# Texts that tests ask for beside the recorded ones; `visual` stands for boxes without a text.
TEXTS = ["visual", "cat", "a red ellipse"]
CONTEXT = 32


def recordings() -> list[dict]:
    """The recorded videos of the set."""
    files = [GOLDEN / "cases" / f"{family}.json" for family in ("text_video", "tracker_video")]
    return [json.loads(file.read_text()) for file in files]


def token_rows(texts: list[str]) -> dict[str, list[int]]:
    """Each text as a row of the network's context; a longer one ends with the end token all the same."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(GOLDEN / "model" / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    rows = {}
    for text in texts:
        ids = tokenizer.encode(text).ids
        row = ids[:CONTEXT]
        row[-1] = ids[-1]
        rows[text] = row + [0] * (CONTEXT - len(row))
    return rows


def decode_clips(folder: Path) -> None:
    """Writes <clip>.rgb, all frames after each other."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for clip in {recording["clip"] for recording in recordings()}:
        frames = sorted((GOLDEN / "images" / clip).iterdir())
        (folder / f"{clip}.rgb").write_bytes(b"".join(Image.open(one).convert("RGB").tobytes() for one in frames))


def environment(folder: Path) -> dict[str, str]:
    """The variables that name them to the native tests."""
    names = {}
    for name in ("TEST", "GOLDEN"):
        names[f"SAM3_{name}_ROOT"] = str(GOLDEN)
        names[f"SAM3_{name}_PROGRAM"] = str(folder / "program")
        names[f"SAM3_{name}_CLIPS"] = str(folder / "clips")
    names["SAM3_GOLDEN31_ROOT"] = str(ROOT / "test" / "fixtures" / "golden31")
    (clip,) = (GOLDEN / "images").glob("clip_*x*")
    names["SAM3_GOLDEN31_CLIP"] = str(clip)
    return {**names, "SAM3_TEST_TOKENS": str(folder / "tokens.json")}


def main() -> None:
    folder = Path(sys.argv[1])
    subprocess.run([sys.executable, "scripts/make-fixtures.py", "unpack"], cwd=ROOT, check=True)
    config = str(GOLDEN / "model" / "config.json")
    export = [sys.executable, "-m", "scripts.export", "program", "--config", config, "--out", str(folder / "program")]
    subprocess.run(export, cwd=ROOT, check=True)
    decode_clips(folder / "clips")
    recorded = [run["prompt"].get("text_str") for one in recordings() for run in one["runs"] if run.get("prompt")]
    texts = TEXTS + [text for text in recorded if text is not None]
    (folder / "tokens.json").write_text(json.dumps(token_rows(texts)))


if __name__ == "__main__":
    main()
