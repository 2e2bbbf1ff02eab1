"""A stand-in world for the tests of scripts/tiny: drawings made from noise, so that no package with real ones is needed."""

from __future__ import annotations

import torch

from scripts.export.config import Sam3Config
from scripts.tiny.atlas import MARGIN, SIDE, build_atlas
from scripts.tiny.grounds import make_fields
from scripts.tiny.vocabulary import Vocabulary
from scripts.tiny.world import World

VOCABULARY = {
    "nouns": {
        "dog": {"sprites": ["d1", "d2"], "synonyms": ["puppy"]},
        "mouse": {"sprites": ["m1"], "plural": "mice"},
        "bus": {"sprites": ["b1"]},
        "car": {"sprites": ["c1/red"], "paint": True},
        "star": {"sprites": ["s1/red"]},
    },
    "distractors": ["x1"],
    "groups": {"animal": ["dog", "mouse"], "vehicle": ["bus", "car"]},
    "shapes": ["circle", "star"],
    "colours": {"red": 0.0, "blue": 0.6},
    "plurals": {},
    "unknown": ["teapot"],
    "confusable": [["bus", "circle"]],
}

# As the trained one in kind, in sizes that one core trains in a fraction of a second.
CONFIG = Sam3Config(
    image_size=112,
    pretrain_image_size=112,
    window_size=4,
    global_layers=(1,),
    vision_width=32,
    vision_mlp=64,
    vision_layers=2,
    vision_heads=1,
    hidden_size=32,
    text_vocab=640,
    text_context=16,
    text_width=32,
    text_mlp=64,
    text_layers=1,
    text_heads=1,
    geometry_layers=1,
    geometry_heads=2,
    geometry_mlp=64,
    encoder_layers=1,
    encoder_heads=2,
    encoder_mlp=64,
    decoder_layers=2,
    decoder_heads=2,
    decoder_mlp=64,
    num_queries=9,
    mask_heads=2,
    sam_layers=1,
    sam_heads=2,
    sam_mlp=64,
    iou_head_hidden=32,
    memory_size=32,
    memory_layers=1,
    memory_mlp=64,
    fuser_layers=1,
    fuser_mlp=64,
)


def drawing(code: str) -> torch.Tensor:
    """A blob with colours of its own: fp32 [4,124,124]."""
    side = SIDE - 2 * MARGIN
    rng = torch.Generator().manual_seed(sum(map(ord, code)))
    colour = torch.rand(1, 3, 4, 4, generator=rng)
    colour = torch.nn.functional.interpolate(colour, size=(side, side), mode="bilinear")[0]
    line = torch.linspace(-1, 1, side)
    alpha = (line.square().unsqueeze(0) + line.square().unsqueeze(1) < 0.9).float()
    return torch.cat((colour, alpha[None]), 0)


def make_world(hands: int = 2) -> World:
    """The stand-in world on the CPU."""
    vocabulary = Vocabulary.of(VOCABULARY)
    names = [f"hand{i}" for i in range(hands)]
    codes = {item.code for item in vocabulary.items if not item.is_shape}
    atlas = build_atlas(vocabulary, {(name, code): drawing(code + name) for name in names for code in codes}, names)
    return World(vocabulary, atlas, make_fields(3, None, 12), torch.device("cpu"), CONFIG.text_vocab)
