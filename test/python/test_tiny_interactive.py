"""Clicks and clips of the small model: prompts that mean what they should, objects that move, and steps that learn."""

from __future__ import annotations

import pytest
import torch
from tiny_world import CONFIG, make_world

from scripts.tiny.clicks import (
    CORNER,
    INSIDE,
    Decoded,
    answer_losses,
    choose_objects,
    correction,
    first_points,
    points_in,
)
from scripts.tiny.clips import ClipSettings
from scripts.tiny.learner import Learner, Optimizers
from scripts.tiny.phases import Phase
from scripts.tiny.plan import SceneSettings
from scripts.tiny.steps import STEPS
from scripts.tiny.tracking import Memory, encode_memory, follow, given_mask, recall
from scripts.tiny.trainer import Trainer

CLICKS = {"click_mask": 1, "click_iou": 3, "click_presence": 0.2}
TRACKER = {**CLICKS, "track_mask": 1, "track_iou": 3, "track_presence": 1}
SCENES = SceneSettings(objects=(3, 5))


@pytest.fixture(scope="module")
def world():
    return make_world()


def phase(kind: str, **values) -> Phase:
    losses = CLICKS if kind == "clicks" else TRACKER
    data = {"name": kind, "kind": kind, "steps": 4, "batch": 2, "learning_rate": 2e-3, "losses": losses, "per_scene": 2}
    return Phase.of({**data, "motion": {"frames": 3}, "scenes": {"objects": [2, 3]}, **values})


def test_first_prompts_and_corrections(world):
    scenes = world.scenes(SCENES, 8, 112, 3)
    chosen = choose_objects(scenes, 2, torch.Generator().manual_seed(1))
    assert torch.equal(chosen.mask, scenes.masks()[chosen.scene, chosen.thing]) and (chosen.mask.sum((1, 2)) > 0).all()
    assert (scenes.items[chosen.scene, chosen.thing] >= 0).all()
    kinds = set()
    for seed in range(30):
        rng = torch.Generator().manual_seed(seed)
        points, labels = first_points(chosen, rng)
        kinds.add((points.shape[1], int(labels[0, 0])))
        if labels[0, 0] == INSIDE:
            x, y = points.long().unbind(-1)
            rows = torch.arange(len(points)).unsqueeze(1)
            assert chosen.mask[rows, y, x].all()
        else:
            near = (points.flatten(1) / 112 - chosen.box).abs()
            assert near.max() < 0.2
        shown = chosen.mask.roll(9, 2)
        point, label = correction(shown, chosen.mask, rng)
        x, y = point[:, 0].long().unbind(-1)
        rows = torch.arange(len(point))
        assert (shown[rows, y, x] != chosen.mask[rows, y, x]).all()
        assert torch.equal(label[:, 0] == 1, chosen.mask[rows, y, x])
    assert kinds == {(1, INSIDE), (2, INSIDE), (2, CORNER)}


def test_points_deep_inside():
    masks = torch.zeros(200, 112, 112, dtype=torch.bool)
    masks[:, 30:90, 20:70] = True

    def depth(middle: float) -> torch.Tensor:
        x, y = points_in(masks, torch.Generator().manual_seed(2), middle).unbind(-1)
        return torch.stack((x - 20, 69 - x, y - 30, 89 - y)).amin(0)

    assert depth(0).min() == 0 and depth(0).float().median() < 10
    assert depth(1).min() >= 0 and depth(1).float().median() > 10
    assert ((depth(1) < 4).float().mean()) < 0.1
    empty = points_in(torch.zeros(3, 112, 112, dtype=torch.bool), torch.Generator().manual_seed(1), 1.0)
    assert empty.shape == (3, 2) and ((empty >= 0) & (empty < 112)).all()


def test_a_right_answer_costs_little():
    truth = torch.zeros(2, 56, 56)
    truth[:, 10:30, 20:40] = 1
    logits = torch.nn.functional.avg_pool2d((truth * 40 - 20).unsqueeze(1), 2).expand(-1, 4, -1, -1)
    visible, logit = torch.tensor([True, True]), torch.full((2, 1), 9.0)
    good = answer_losses(Decoded(logits, torch.ones(2, 4), torch.zeros(2, 4, 8), logit), truth, visible, "click")
    bad = answer_losses(Decoded(-logits, torch.ones(2, 4), torch.zeros(2, 4, 8), -logit), truth, visible, "click")
    assert good["right_click"] == 1 and good["click_mask"] < 0.1 and good["click_iou"] < 0.01
    assert all(bad[k] > 10 * good[k] for k in ("click_mask", "click_iou", "click_presence"))
    hidden = answer_losses(Decoded(-logits, torch.ones(2, 4), torch.zeros(2, 4, 8), -logit), truth, ~visible, "click")
    assert hidden["click_mask"] == 0 and hidden["click_presence"] < 0.01


def test_the_mask_that_is_answered_learns_although_another_is_right():
    truth = torch.zeros(1, 56, 56)
    truth[:, 10:30, 20:40] = 1
    right = torch.nn.functional.avg_pool2d(truth.unsqueeze(1) * 40 - 20, 2)
    logits = torch.cat((right, right, -right, right), 1).requires_grad_()
    seen, logit = torch.tensor([True]), torch.full((1, 1), 9.0)

    def pull(answered: int) -> list[float]:
        iou = torch.full((1, 4), 0.5)
        iou[0, answered] = 0.9
        with torch.enable_grad():
            loss = answer_losses(Decoded(logits, iou, torch.zeros(1, 4, 8), logit), truth, seen, "click")["click_mask"]
        return torch.autograd.grad(loss, logits)[0].abs().sum((0, 2, 3)).tolist()

    assert pull(2)[2] > 10 * pull(1)[2] > 0
    assert pull(2)[1] < 0.01 * pull(2)[2]


def test_clips_move_the_same_objects(world):
    motion = ClipSettings(frames=9)
    clips = world.clips(SCENES, motion, 12, 112, 5)
    again = world.clips(SCENES, motion, 12, 112, 5)
    assert torch.equal(clips.pixels, again.pixels) and torch.equal(clips.items, again.items)
    items = clips.items.view(12, 9, -1)
    known = items.amax(1, keepdim=True)
    assert ((items == known) | (items == -1)).all(), "object k is one thing in all frames"
    seen = (items >= 0).int()
    returned = (seen[:, 0] > 0) & (seen[:, -1] > 0) & (seen.amin(1) == 0) & (known[:, 0] >= 0)
    assert returned.sum() >= 3, "some leave and come back"
    centres = (clips.boxes[:, :, :2] + clips.boxes[:, :, 2:]).view(12, 9, -1, 2) / 2
    always = seen.amin(1) > 0
    moved = (centres[:, 0] - centres[:, -1]).norm(dim=-1)[always]
    assert (moved > 0.02).float().mean() > 0.8
    # Two cross: each ends near where the other began.
    swapped = (centres[:, -1, 0] - centres[:, 0, 1]).norm(dim=-1) + (centres[:, -1, 1] - centres[:, 0, 0]).norm(dim=-1)
    assert (swapped[always[:, 0] & always[:, 1]] < 0.2).any()


@pytest.mark.parametrize("kind", ["clicks", "tracker"])
def test_steps_learn_one_batch(world, kind):
    with torch.enable_grad():
        learner = Learner(CONFIG, len(world.vocabulary.items), 1)
        settings = phase(kind)
        optimizers = Optimizers(learner.trained(settings), settings)
        before = {n: p.clone() for n, p in learner.program.named_parameters()}
        totals = []
        for _ in range(10):
            losses = STEPS[kind](world, learner, settings, 5)
            total = sum(weight * losses[name] for name, weight in settings.losses.items())
            optimizers.step(total, 2e-3)
            totals.append(total.item())
    assert totals[-1] < 0.85 * totals[0], totals
    assert set(settings.losses) <= set(losses)
    trained = {n.removeprefix("program.") for n, _ in learner.trained(settings) if n.startswith("program.")}
    for name, parameter in learner.program.named_parameters():
        if name not in trained:
            assert torch.equal(parameter, before[name]), name
    idle = {n for n in trained if torch.equal(dict(learner.program.named_parameters())[n], before[n])}
    # What only other prompts or absent objects use may have had no turn in one batch.
    assert not {
        n
        for n in idle
        if "mask_prompt" not in n and "embed" not in n and "no_object" not in n and "mask_downsample" not in n
    }


def test_new_heads_learn_before_the_network(world, tmp_path):
    losses = {**TRACKER, "click_cell": 1, "track_recalled": 1}
    heads = phase("tracker", name="heads", heads_only=True, losses=losses, warmup=1)
    run = Trainer(world, CONFIG, [heads, phase("tracker", losses=losses)], tmp_path, bf16=False)
    before = {n: p.clone() for n, p in run.learner.named_parameters()}

    def changed() -> set[str]:
        return {n.split(".")[0] for n, p in run.learner.named_parameters() if not torch.equal(p, before[n])}

    with torch.enable_grad():
        run.run(stop_after=4)
        assert changed() == {"clicks", "memory"}
        run.run(stop_after=2)
    assert run.phase.name == "tracker" and changed() == {"clicks", "memory", "program"}


def test_phases_begin_from_the_average(world, tmp_path):
    phases = [phase("clicks", prepare=["average", "copy_neck", "unit_tracker_neck"])]
    run = Trainer(world, CONFIG, phases, tmp_path, bf16=False)
    for weight in run.average.weights.values():
        weight.add_(0.5)
    run.begin("clicks")
    program = run.learner.program
    assert torch.equal(program.vision_encoder.pos_embed, run.average.weights["vision_encoder.pos_embed"])
    for own, other in zip(program.tracker_neck.modules(), program.detector_neck.modules()):
        if isinstance(own, torch.nn.Conv2d) and own.kernel_size == (1, 1):
            assert torch.equal(own.weight, other.weight)
    pixels = world.scenes(SCENES, 16, CONFIG.image_size, 9).pixels
    for level in program.tracker_neck(program.vision_encoder(pixels)):
        assert 0.8 < level.std() < 1.2
    with pytest.raises(ValueError, match="nothing is called"):
        Trainer(world, CONFIG, [phase("clicks", prepare=["magic"])], tmp_path / "b").begin("clicks")
    with pytest.raises(ValueError, match="'tracks': there are clicks"):
        Trainer(world, CONFIG, [phase("clicks")], tmp_path / "c").begin("tracks")


def test_memory_grows_and_keeps_the_latest_frames(world):
    """As many frames and pointers are looked at as the engine would: the first, and the six before."""
    learner = Learner(CONFIG, len(world.vocabulary.items), 1)
    program, seen = learner.program, []
    scenes = world.scenes(SCENES, 1, CONFIG.image_size, 2)
    fine, middle, coarse = program.neck_track(program.vision_encoder(scenes.pixels))
    mask = scenes.masks()[0, :1]
    attend = program.memory_attention.forward

    def spy(image, tokens, position, pointers):
        seen.append((tokens.shape[1], position.shape, pointers))
        return attend(image, tokens, position, pointers)

    program.memory_attention.forward = spy
    pointer, logits = given_mask(program, (fine, middle, coarse), mask)
    memory = Memory([encode_memory(program, coarse, logits, torch.full((1, 1), 10.0))], [pointer])
    for _ in range(9):
        follow(program, memory, (fine, middle, coarse))
    cells = CONFIG.grid**2
    assert [(n - p) // cells for n, _, p in seen] == [1, 2, 3, 4, 5, 6, 7, 7, 7]
    assert [p for _, _, p in seen] == list(range(1, 10)) and all(shape[1] == n for n, shape, _ in seen)
    assert recall(program, memory, coarse).shape == coarse.shape
