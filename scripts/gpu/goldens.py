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
MULTIPLEX = ROOT / "test" / "fixtures" / "golden31"
# Texts that tests ask for beside the recorded ones; `visual` stands for boxes without a text, in videos of SAM 3.1 the other one does.
TEXTS = ["visual", "<text placeholder>", "cat", "a red ellipse"]
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


def multiplex_clip() -> Path:
    """The folder of the clip of SAM 3.1's recordings."""
    (clip,) = (GOLDEN / "images").glob("clip_*x*")
    return clip


def multiplex_texts() -> list[str]:
    """The texts of the recordings of SAM 3.1."""
    runs = json.loads((MULTIPLEX / "cases" / "video.json").read_text())
    return [op["text"] for run in runs.values() for op in run["ops"] if "text" in op]


def decode_clip(frames: Path, file: Path) -> None:
    """All frames after each other, as raw pixels."""
    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"".join(Image.open(one).convert("RGB").tobytes() for one in sorted(frames.iterdir())))


def environment(folder: Path) -> dict[str, str]:
    """The variables that name them to the native tests."""
    names = {}
    for name in ("TEST", "GOLDEN"):
        names[f"SAM3_{name}_ROOT"] = str(GOLDEN)
        names[f"SAM3_{name}_PROGRAM"] = str(folder / "program")
        names[f"SAM3_{name}_CLIPS"] = str(folder / "clips")
    names["SAM3_GOLDEN31_ROOT"] = str(MULTIPLEX)
    names["SAM3_GOLDEN31_CLIP"] = str(multiplex_clip())
    names["SAM3_GOLDEN31_PROGRAMS"] = str(folder / "multiplex")
    return {**names, "SAM3_TEST_TOKENS": str(folder / "tokens.json")}


def export_multiplex(folder: Path) -> None:
    """The programs of SAM 3.1: for the slots of its model, and for few."""
    model, few = MULTIPLEX / "model", folder / "few"
    subprocess.run([sys.executable, "scripts/few-slots.py", str(model), str(few)], cwd=ROOT, check=True)
    for name, config in (("all", model / "config.json"), ("few", few / "config.json")):
        export(config, folder / name)


def export(config: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "scripts.export", "program", "--config", str(config), "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)


def main() -> None:
    folder = Path(sys.argv[1])
    subprocess.run([sys.executable, "scripts/make-fixtures.py", "unpack"], cwd=ROOT, check=True)
    export(GOLDEN / "model" / "config.json", folder / "program")
    export_multiplex(folder / "multiplex")
    for clip in {recording["clip"] for recording in recordings()}:
        decode_clip(GOLDEN / "images" / clip, folder / "clips" / f"{clip}.rgb")
    decode_clip(multiplex_clip(), folder / "multiplex" / "clip.rgb")
    recorded = [run["prompt"].get("text_str") for one in recordings() for run in one["runs"] if run.get("prompt")]
    texts = TEXTS + multiplex_texts() + [text for text in recorded if text is not None]
    (folder / "tokens.json").write_text(json.dumps(token_rows(texts)))


if __name__ == "__main__":
    main()
