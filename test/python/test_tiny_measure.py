"""The measures of the small model count what they say."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
import torch
from tiny_world import CONFIG, make_world

from scripts.tiny.curves import draw_curves
from scripts.tiny.learner import Learner
from scripts.tiny.measure import Answer, Tally, ask, evaluate, mask_iou, traps_of
from scripts.tiny.pictures import sheet
from scripts.tiny.plan import SceneSettings
from scripts.tiny.prompts import PromptSettings


def squares(*boxes: tuple[int, int, int, int]) -> torch.Tensor:
    masks = torch.zeros(len(boxes), 20, 20, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes):
        mask[y0:y1, x0:x1] = True
    return masks


def answer(scores: list[float], masks: torch.Tensor) -> Answer:
    return Answer(torch.tensor(scores), masks, torch.zeros(len(scores), 4))


def test_mask_iou():
    a, b = squares((0, 0, 10, 10)), squares((0, 0, 10, 10), (5, 0, 15, 10), (12, 12, 14, 14))
    assert mask_iou(a, b)[0].tolist() == pytest.approx([1.0, 1 / 3, 0.0])


def test_tally():
    truth = squares((0, 0, 10, 10), (10, 10, 20, 20))
    tally = Tally(0.5)
    # Right, a second of the same object, one nowhere near, and a right one that is not sure enough.
    found = squares((0, 0, 10, 9), (0, 0, 10, 10), (0, 12, 5, 18), (10, 10, 20, 20))
    tally.add(answer([0.9, 0.8, 0.7, 0.4], found), truth)
    tally.add(answer([0.6], squares((0, 0, 3, 3))), truth[:0], frozenset({"sibling", "colour"}))
    tally.add(answer([0.2], squares((0, 0, 3, 3))), truth[:0], frozenset({"sibling"}))
    tally.add(answer([], squares()), truth[:0])
    numbers = tally.numbers()
    assert numbers["precision"] == pytest.approx(1 / 4) and numbers["recall"] == pytest.approx(1 / 2)
    assert numbers["mean_iou"] == pytest.approx(0.9)
    assert numbers["absent_silent"] == pytest.approx(2 / 3, abs=1e-4) and numbers["sibling_confused"] == 0.5
    assert numbers["colour_confused"] == 1 and numbers["shape_confused"] == 0
    # Ranked 0.9 hit, 0.8, 0.7, 0.6 misses, 0.4 hit: precision 1 up to recall 1/2, then 2/5.
    assert numbers["mask_ap50"] == pytest.approx((1 + 2 / 5) / 2)


def test_traps():
    """What an absent thing could be confused with, by what is shown: a red car, and a blue star."""
    vocabulary = make_world().vocabulary
    seen = {"car", "red car", "vehicle", "star", "blue star"}
    shown = torch.tensor([c.name in seen for c in vocabulary.concepts])

    def traps(name: str) -> set[str]:
        return set(traps_of(vocabulary, vocabulary.index[name], shown))

    assert traps("blue car") == {"sibling", "colour"} and traps("red star") == {"sibling", "colour"}
    assert traps("circle") == {"sibling", "shape"} and traps("bus") == {"sibling"} and traps("mouse") == set()
    assert traps_of(vocabulary, -1, shown) == frozenset()


def test_perfect_answers_score_one():
    tally, truth = Tally(0.5), squares((0, 0, 10, 10), (10, 10, 20, 20))
    for _ in range(3):
        tally.add(answer([0.9, 0.8], truth), truth)
    assert [tally.numbers()[k] for k in ("mask_ap50", "precision", "recall", "f1", "mean_iou")] == [1.0] * 5


def test_evaluation_and_pictures(tmp_path):
    world = make_world()
    program = Learner(CONFIG, len(world.vocabulary.items), 1).program
    numbers = evaluate(world, program, CONFIG, count=4, seed=3, batch=3)
    assert numbers == evaluate(world, program, CONFIG, count=4, seed=3, batch=3)
    assert numbers["objects"] > 0 and numbers["mask_ap50"] < 0.3
    sheet(world, program, CONFIG, tmp_path / "sheet.png", rows=2)
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_asking_is_the_program():
    """Answers come best first, with masks of the picture's size, and none below the lowest score."""
    world = make_world()
    program = Learner(CONFIG, len(world.vocabulary.items), 2).program
    scenes = world.scenes(SceneSettings(), 2, CONFIG.image_size, 1)
    prompts = world.prompts(PromptSettings(per_scene=2, exemplar=0.5), scenes, 1)
    answers = ask(world, program, CONFIG, scenes, prompts)
    assert len(answers) == 4
    for a in answers:
        assert (a.scores > 0.05).all() and (a.scores.diff() <= 0).all() and len(a.scores) == len(a.boxes)
        assert a.masks.shape == (len(a.scores), 112, 112) and a.masks.dtype == torch.bool
    program.detr_decoder.presence_head.layers[-1].bias.data.fill_(-20)
    silent = ask(world, program, CONFIG, scenes, prompts)
    assert [(len(a.scores), a.masks.shape) for a in silent] == [(0, (0, 112, 112))] * 4


def test_curves_show_every_number_of_a_log(tmp_path):
    entries = [
        {"phase": "dense", "step": 25, "total": 25, "core_minutes": 1.0, "norm": 9.0, "rate": 0.1, "item": 4.0},
        {"phase": "dense", "step": 50, "total": 50, "core_minutes": 2.0, "norm": 9.0, "rate": 0.1, "item": 2.0},
        {
            "phase": "detector",
            "step": 25,
            "total": 75,
            "core_minutes": 4.0,
            "norm": 9.0,
            "rate": 0.1,
            "item": 1.0,
            "score": 3.0,
        },
        {
            "phase": "detector",
            "step": 25,
            "total": 75,
            "core_minutes": 4.0,
            "evaluation": {"mask_ap50": 0.5, "objects": 7},
        },
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(e) + "\n" for e in entries))
    draw_curves(tmp_path / "log.jsonl", tmp_path / "curves.svg")
    svg = ElementTree.parse(tmp_path / "curves.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    titles = [t.text for t in svg.iter(space + "text")]
    for title in ("rate (0.1)", "item (1)", "score (3)", "evaluation mask_ap50 (0.5)"):
        assert title in titles
    lines = [
        [tuple(map(float, p.split(","))) for p in line.get("points").split()] for line in svg.iter(space + "polyline")
    ]
    item = lines[1]
    assert [b[0] > a[0] for a, b in zip(item, item[1:])] == [True, True]
    assert [b[1] > a[1] for a, b in zip(item, item[1:])] == [True, True], "a falling loss goes down the picture"
