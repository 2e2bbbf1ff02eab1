"""Scores of shapes that are not shown are moved below a threshold, by no more than that takes."""

from __future__ import annotations

import pytest
import torch
from tiny_world import CONFIG, make_world

from scripts.tiny import calibrate as module
from scripts.tiny.calibrate import CONFUSED, STEP, asked, calibrate
from scripts.tiny.learner import Learner

SCENES, SEED = 30, 5


@pytest.fixture
def untrained(monkeypatch):
    """A network that has learned nothing: its queries are sure by 0.45, of everything, whatever is shown."""
    monkeypatch.setattr(module, "THRESHOLD", 0.2)
    world = make_world()
    program = Learner(CONFIG, len(world.vocabulary.items), 2).program
    bias = program.detr_decoder.presence_head.layers[-1].bias
    with torch.no_grad():
        bias.fill_(1.0)
    return world, program, bias


def test_presence_is_moved_as_far_as_it_takes(untrained):
    world, program, bias = untrained
    assert asked(world, program, CONFIG, SCENES, SEED).confused() == 1
    kept = {name: value.clone() for name, value in program.named_parameters() if value is not bias}
    told = calibrate(world, program, CONFIG, SCENES, SEED)
    assert told["before"] == 1 and told["after"] <= CONFUSED
    assert told["moved"] % STEP == 0 and float(bias) == 1 + told["moved"]
    assert asked(world, program, CONFIG, SCENES, SEED).confused() == told["after"]
    assert all(torch.equal(value, kept[name]) for name, value in program.named_parameters() if value is not bias)
    with torch.no_grad():
        bias.add_(STEP)
    assert asked(world, program, CONFIG, SCENES, SEED).confused() > CONFUSED, "one step less is not enough"


def test_what_is_below_already_stays(untrained):
    world, program, bias = untrained
    with torch.no_grad():
        bias.fill_(-3.0)
    assert calibrate(world, program, CONFIG, SCENES, SEED) == {"moved": 0.0, "before": 0.0, "after": 0.0}
    assert float(bias) == -3


def test_scores_that_tell_nothing_apart_are_refused(untrained, monkeypatch):
    world, program, _ = untrained
    monkeypatch.setattr(module, "LONGEST", 2 * STEP)
    with pytest.raises(ValueError, match="1.00 of the absent shapes get an answer"):
        calibrate(world, program, CONFIG, SCENES, SEED)
    monkeypatch.setattr(module, "absent_shapes", lambda *_: [])
    with pytest.raises(ValueError, match="show no plain shape"):
        calibrate(world, program, CONFIG, 2, SEED)
