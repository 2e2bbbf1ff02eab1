"""A trained run as a model in the form of facebook/sam3, so that nothing in the library knows that it is special."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from scripts.export.config import Sam3Config
from scripts.export.program import FP32_PARAMETERS, Sam3Program, build
from scripts.export.random_weights import save_weights
from scripts.export.weight_files import open_weights
from scripts.export.weights import load

from .tokenizer import TinyTokenizer
from .vocabulary import ARTICLES, Vocabulary

# Rules of video sessions for this model, which is less sure than Meta's: something is followed from a score a little below the one from
# which it counts in an image. Every 16th frame makes no new first frames of what detections confirm: in training there is one, which was
# shown. By trial on held-out clips (README.md).
SESSIONS = {"score_threshold_detection": 0.2, "new_det_thresh": 0.45, "recondition_every_nth_frame": 0}

# What the repository keeps. `npm run setup demo-model` makes models/demo of it.
WEIGHTS = Path(__file__).with_name("weights")


def program_of(checkpoint: dict) -> Sam3Program:
    """The network with the averaged weights of a checkpoint, fp32, in eager mode."""
    program = build(Sam3Config.from_dict(checkpoint["config"]))
    with torch.no_grad():
        for name, parameter in program.named_parameters():
            parameter.copy_(checkpoint["average"][name])
    return program


def mean_of(models: list[Path]) -> tuple[Sam3Program, Sam3Config]:
    """The mean of the weights of finished models that one was trained from the other: often better than each of them."""
    config = Sam3Config.from_dict(json.loads((models[0] / "config.json").read_text()))
    loaded = [dict(load(config, open_weights(model / "model.safetensors")).named_parameters()) for model in models]
    program = build(config)
    with torch.no_grad():
        for name, parameter in program.named_parameters():
            parameter.copy_(torch.stack([one[name] for one in loaded]).mean(0))
    return program, config


def words_json(vocabulary: Vocabulary) -> str:
    """The words that the model knows, a line for each concept: people are sent there."""
    concepts = ",\n".join(f"    {json.dumps(c.all_words())}" for c in vocabulary.concepts)
    articles = json.dumps(ARTICLES)
    return f'{{\n  "format": "sam3-words/1",\n  "articles": {articles},\n  "words": [\n{concepts}\n  ]\n}}\n'


def write_model(program: Sam3Program, config: Sam3Config, vocabulary: Vocabulary, out: Path) -> None:
    """Writes config.json, model.safetensors (fp16), tokenizer.json and words.json."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(config.to_dict() | SESSIONS, indent=2) + "\n")
    tokenizer = TinyTokenizer(vocabulary.all_phrases(), config.text_vocab)
    (out / "tokenizer.json").write_text(json.dumps(tokenizer.to_json(), ensure_ascii=False) + "\n")
    (out / "words.json").write_text(words_json(vocabulary))
    halved = build(config)
    for (name, parameter), (_, trained) in zip(halved.named_parameters(), program.named_parameters()):
        parameter.data = trained.detach().to(torch.float32 if name in FP32_PARAMETERS else torch.float16)
    save_weights(halved, config, out / "model.safetensors")
