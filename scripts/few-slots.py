"""Make the model of few slots of a set of SAM 3.1 goldens: python scripts/few-slots.py MODEL OUT

MODEL has config.json, model.safetensors, and in s4.safetensors the tensors that replace those of the other where a bucket has few
slots; how many is told by their shapes. OUT gets a config.json and a model.safetensors.
"""

import json
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

model, out = map(Path, sys.argv[1:])
few = load_file(model / "s4.safetensors")
config = json.loads((model / "config.json").read_text())
(slots,) = {tensor.shape[0] for name, tensor in few.items() if name.endswith("output_valid_embed")}
config["multiplex"]["multiplex_count"] = slots
out.mkdir(parents=True, exist_ok=True)
(out / "config.json").write_text(json.dumps(config) + "\n")
save_file(load_file(model / "model.safetensors") | few, out / "model.safetensors")
