"""What training is given so that it learns from what goes wrong: poor first answers, hidden objects, memories that have drifted."""

from __future__ import annotations

import pytest
import torch
from tiny_world import CONFIG, make_world

from scripts.tiny.bank import Views
from scripts.tiny.click_heads import MemoryHeads
from scripts.tiny.clicks import Chosen, Decoded, choose_objects, worse_answers
from scripts.tiny.interactive_steps import hidden, tracker_step
from scripts.tiny.learner import Learner
from scripts.tiny.phases import Phase
from scripts.tiny.trainer import CHECKPOINT, Trainer

LOSSES = {"click_mask": 1, "track_mask": 1, "track_iou": 3, "track_presence": 1, "track_recalled": 1}


@pytest.fixture(scope="module")
def world():
    return make_world()


def phase(**values) -> Phase:
    data = {"name": "tracker", "kind": "tracker", "steps": 4, "batch": 2, "learning_rate": 1e-3, "losses": LOSSES}
    return Phase.of({**data, "per_scene": 2, "motion": {"frames": 6}, "scenes": {"objects": [2, 3]}, **values})


def test_some_first_answers_are_worse_before_they_are_corrected():
    """Two objects side by side in each of 100 scenes; of the decoder's four masks the second is empty, the others are right."""
    count, side = 200, 28
    mask = torch.zeros(count, 4 * side, 4 * side, dtype=torch.bool)
    mask[0::2, 40:80, 8:48] = True
    mask[1::2, 40:80, 64:104] = True
    box = torch.tensor([[8.0, 40, 48, 80], [64.0, 40, 104, 80]]).repeat(count // 2, 1) / (4 * side)
    chosen = Chosen(torch.arange(count) // 2, torch.arange(count) % 2, mask, box)
    solid = torch.nn.functional.avg_pool2d(mask.float().unsqueeze(1), 4)
    masks = (solid * 20 - 10).repeat(1, 4, 1, 1)
    masks[:, 1] = -10.0
    decoded = Decoded(
        masks, torch.tensor([0.0, 0.1, 0.9, 0.2]).repeat(count, 1), torch.zeros(count, 4, 8), torch.ones(count, 1)
    )
    answers = worse_answers(decoded, chosen, torch.Generator().manual_seed(4))
    assert torch.equal(answers, worse_answers(decoded, chosen, torch.Generator().manual_seed(4)))
    shown, truth = answers > 0, solid[:, 0] > 0.5
    missing, extra = (truth & ~shown).sum((1, 2)), (shown & ~truth).sum((1, 2))
    area, neighbour = truth.sum((1, 2)), truth[torch.arange(count) ^ 1]
    worst, joined = missing == area, (extra > 0) & (missing == 0)
    cut = (missing > 0) & ~worst
    assert torch.equal(shown[joined], truth[joined] | neighbour[joined])
    assert (missing[cut] / area[cut] - 0.5).abs().max() < 0.2 and (extra[cut] == 0).all()
    assert 25 < worst.sum() < 60 and 15 < cut.sum() < 50 and 15 < joined.sum() < 50
    untouched = ~(worst | joined | cut)
    assert torch.equal(answers[untouched], masks[untouched, 2]) and untouched.float().mean() > 0.35


def test_a_lone_object_is_joined_with_nothing():
    mask = torch.zeros(40, 112, 112, dtype=torch.bool)
    mask[:, 40:80, 8:48] = True
    chosen = Chosen(
        torch.arange(40), torch.zeros(40, dtype=torch.long), mask, torch.tensor([[8.0, 40, 48, 80]]).repeat(40, 1) / 112
    )
    logits = torch.nn.functional.avg_pool2d(mask.float().unsqueeze(1), 4).repeat(1, 4, 1, 1) * 20 - 10
    decoded = Decoded(logits, torch.ones(40, 4), torch.zeros(40, 4, 8), torch.ones(40, 1))
    shown = worse_answers(decoded, chosen, torch.Generator().manual_seed(1)) > 0
    assert not (shown & (logits[:, 0] < 0)).any()


def test_objects_that_get_hidden_are_followed_rather():
    """One clip of four frames and four objects: 0 stays, 1 shrinks to a quarter, 2 is gone once, 3 comes later."""
    owner = torch.zeros(4, 16, 16, dtype=torch.uint8)
    owner[:, :4, :8] = 1
    owner[:, 4:8, :8] = 2
    owner[2, 4:8, 2:8] = 0
    owner[:, 8:12, :8] = 3
    owner[1, 8:12] = 0
    owner[2:, 12:, :8] = 4
    items = torch.zeros(4, 4, dtype=torch.long)
    items[:2, 3] = -1
    clip = Views(torch.zeros(4, 1, 1, 1), owner, items, torch.zeros(4, 4, 4))
    rather = hidden(clip, 4)
    assert rather.tolist() == [[False, True, True, False]]
    first = clip.rows(slice(0, 1))
    picks = [choose_objects(first, 2, torch.Generator().manual_seed(s), rather).thing.tolist() for s in range(200)]
    assert all(3 not in picked for picked in picks)
    assert 0.6 < sum(0 not in picked for picked in picks) / 200 < 1
    plain = [choose_objects(first, 2, torch.Generator().manual_seed(s)).thing.tolist() for s in range(200)]
    assert 0.2 < sum(0 not in picked for picked in plain) / 200 < 0.45


@pytest.mark.parametrize("bf16", [False, True])
def test_what_is_learned_after_frames_that_are_only_followed(world, bf16):
    """All weights of the tracker learn all the same, rounded ones too; the losses are those of the last frames only."""
    learner = Learner(CONFIG, len(world.vocabulary.items), 1)
    calls = []
    hook = learner.memory.register_forward_hook(lambda *_: calls.append(1))
    settings = phase(blind=4)
    lengths = set()
    with torch.enable_grad():
        for seed in range(8):
            calls.clear()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                losses = tracker_step(world, learner, settings, seed)
            lengths.add(len(calls))
            learner.zero_grad()
            sum(weight * losses[name] for name, weight in settings.losses.items()).backward()
            for name, parameter in learner.named_parameters():
                if name.startswith(("program.memory_attention.layers", "program.memory_encoder.fuser", "memory.")):
                    assert parameter.grad is not None and parameter.grad.abs().sum() > 0, (name, len(calls))
    hook.remove()
    assert lengths <= {1, 2, 3, 4, 5} and len(lengths) > 2


def test_memory_heads_know_the_cells_of_an_object():
    heads = MemoryHeads(CONFIG)
    mask = torch.zeros(2, 112, 112, dtype=torch.bool)
    mask[:, 28:84, 28:84] = True
    with torch.no_grad():
        for cell, norm in zip(heads.cell, heads.norm):
            cell.weight.copy_(torch.eye(1, CONFIG.hidden_size) * 4)
            cell.bias.zero_()
            norm.weight.fill_(1)
    share = torch.nn.functional.avg_pool2d(mask.float().unsqueeze(1), 112 // CONFIG.grid).flatten(2).transpose(1, 2)
    features = (share * 2 - 1).repeat(1, 1, CONFIG.hidden_size)
    features[..., 1:] *= -1
    layers = [features] * CONFIG.memory_layers
    assert heads(layers, mask) < 0.01 < 1 < heads([-x for x in layers], mask)


def test_a_checkpoint_from_before_a_head_was_added_goes_on(world, tmp_path):
    run = Trainer(world, CONFIG, [phase(steps=1)], tmp_path, bf16=False)
    with torch.enable_grad():
        run.run()
    state = torch.load(tmp_path / CHECKPOINT)
    kept = state["learner"]
    state["learner"] = {n: w for n, w in kept.items() if not n.startswith("memory.")}
    torch.save(state, tmp_path / CHECKPOINT)
    again = Trainer(world, CONFIG, [phase()], tmp_path, bf16=False)
    assert again.optimizers is None and again.total == 1
    for name, weight in again.learner.state_dict().items():
        assert name.startswith("memory.") or torch.equal(weight, kept[name])
    with torch.enable_grad():
        again.run(stop_after=1)
    state["learner"] = {n: w for n, w in kept.items() if not n.startswith("program.memory_attention.norm")}
    torch.save(state, tmp_path / CHECKPOINT)
    with pytest.raises(RuntimeError, match="memory_attention.norm"):
        Trainer(world, CONFIG, [phase()], tmp_path, bf16=False)
