"""Scenes and prompts of the small model: reproducible, with exact masks and true answers."""

from __future__ import annotations

import random

import pytest
import torch
from tiny_world import CONFIG, make_world

from scripts.tiny.atlas import SIDE, hsv_to_rgb, rgb_to_hsv
from scripts.tiny.plan import SceneSettings
from scripts.tiny.prompts import NO_TEXT, PromptSettings
from scripts.tiny.scenes import SEEN_SHARE
from scripts.tiny.targets import soft_masks, token_targets
from scripts.tiny.vocabulary import Vocabulary

CROWD = SceneSettings(objects=(5, 8))


@pytest.fixture(scope="module")
def world():
    return make_world()


def test_equal_seeds_give_equal_scenes(world):
    first, again, other = (world.scenes(CROWD, 3, 112, seed) for seed in (7, 7, 8))
    assert torch.equal(first.pixels, again.pixels) and torch.equal(first.owner, again.owner)
    assert torch.equal(first.items, again.items) and torch.equal(first.boxes, again.boxes)
    assert not torch.equal(first.pixels, other.pixels)


def test_plain_shapes_may_be_more_than_others(world):
    """A share of all objects, on top of those that are shapes anyway."""

    def shapes(share: float) -> float:
        settings = SceneSettings(objects=(5, 8), same_noun=0, sibling=0, shapes=share)
        items = world.scenes(settings, 60, 112, 4).items
        nouns = [world.vocabulary.items[i].noun for i in items[items >= 0].tolist()]
        return sum(noun in world.vocabulary.data["shapes"] for noun in nouns) / len(nouns)

    usual = shapes(0)
    assert 0.2 < usual < 0.45 and abs(shapes(0.5) - (0.5 + usual / 2)) < 0.1 and shapes(1) == 1


def test_heedless_objects_hide_each_other(world):
    """Of the same number of objects less is seen where they are put anywhere."""

    def seen(share: float) -> float:
        scenes = world.scenes(SceneSettings(objects=(6, 6), largest_in_crowd=0.5, heedless=share), 24, 112, 6)
        return float((scenes.owner > 0).float().mean())

    assert seen(1) < seen(0.25) < seen(0)


def test_a_scene_does_not_depend_on_its_batch_of_rows(world):
    planner = world._planner(CROWD)
    plan = planner.draw(4, torch.Generator().manual_seed(3))
    plan.noise.zero_()
    rng = torch.Generator().manual_seed(0)
    together = world.painter.paint(plan, 112, rng)
    alone = world.painter.paint(plan.rows(torch.tensor([2])), 112, rng)
    assert torch.equal(together.owner[2], alone.owner[0])
    torch.testing.assert_close(together.pixels[2], alone.pixels[0], atol=2 / 127, rtol=0)


def test_later_objects_hide_earlier_ones(world):
    """Painted alone, each object covers a mask; what is seen of it among the others is that mask less those painted after it."""
    plan = world._planner(CROWD).draw(6, torch.Generator().manual_seed(5))
    rng = torch.Generator().manual_seed(0)
    whole = []
    for k in range(plan.look.shape[1]):
        alone = plan.rows(torch.arange(len(plan)))
        alone.look = torch.where(torch.arange(plan.look.shape[1]) == k, plan.look, -1)
        whole.append(world.painter.paint(alone, 112, rng, drop_hidden=False).masks()[:, k])
    scenes = world.painter.paint(plan, 112, rng, drop_hidden=False)
    seen = scenes.masks()
    assert (seen.sum(1) <= 1).all() and (seen.sum((1, 2, 3)) > 0).all()
    hidden = 0
    for k, mask in enumerate(whole):
        later = torch.stack(whole[k + 1 :]).any(0) if k + 1 < len(whole) else torch.zeros_like(mask)
        assert torch.equal(seen[:, k], mask & ~later)
        hidden += int((mask & later).sum())
    assert hidden > 0, "the scenes of this test must overlap"


def test_boxes_are_tight_and_hidden_objects_are_left_out(world):
    plan = world._planner(CROWD).draw(16, torch.Generator().manual_seed(9))
    scenes = world.painter.paint(plan, 112, torch.Generator().manual_seed(0))
    everything = world.painter.paint(plan, 112, torch.Generator().manual_seed(0), drop_hidden=False)
    for mask, item, box in zip(scenes.masks().flatten(0, 1), scenes.items.flatten(), scenes.boxes.flatten(0, 1)):
        if item >= 0:
            y, x = torch.nonzero(mask, as_tuple=True)
            edges = torch.tensor([x.min(), y.min(), x.max() + 1, y.max() + 1]) / 112
            assert torch.equal(box, edges)
    assert (scenes.items >= 0).sum() < (everything.items >= 0).sum()
    size = plan.size.square() * plan.stretch * 112 * 112
    share = scenes.masks().sum((2, 3)) / (size * world.painter.coverage[world.atlas.looks[plan.look, 0]])
    assert share[scenes.items >= 0].min() > SEEN_SHARE * 0.8


def test_token_targets(world):
    scenes = world.scenes(CROWD, 4, 112, 3)
    targets = token_targets(scenes, 8, len(world.vocabulary.items))
    shares = soft_masks(scenes, 8)
    assert torch.allclose(shares.sum((2, 3)) * 14 * 14, scenes.masks().sum((2, 3)).float())
    b, n = torch.nonzero(targets.thing > 0, as_tuple=True)
    k = targets.thing[b, n] - 1
    assert (shares.flatten(2)[b, k, n] > 0.5).all() and len(b) > 20
    assert torch.equal(targets.item[b, n], scenes.items[b, k])
    assert torch.equal(targets.box[b, n], scenes.boxes[b, k])
    assert (shares.sum(1).flatten(1)[targets.thing == 0] < 0.15).all()


def test_vocabulary(world):
    v = world.vocabulary
    names = [c.name for c in v.concepts]
    assert {"dog", "animal", "vehicle", "red car", "blue car", "red star", "blue circle"} <= set(names)
    assert "puppy" in v.concepts[v.index["dog"]].phrases and "mice" in v.concepts[v.index["mouse"]].plurals
    assert "buses" in v.concepts[v.index["bus"]].plurals
    for i, item in enumerate(v.items):
        meant = {names[c] for c in torch.nonzero(v.truth[i]).flatten().tolist()}
        expected = {item.noun} if item.noun else set()
        expected |= {"animal"} if item.noun in ("dog", "mouse") else set()
        expected |= {"vehicle"} if item.noun in ("bus", "car") else set()
        expected |= {f"{item.colour} {item.noun}"} if item.colour else set()
        assert meant == expected, item
    assert not v.truth[-1].any()
    assert v.index["mouse"] in v.siblings[v.index["dog"]]
    assert v.index["blue car"] in v.siblings[v.index["red car"]]


def test_prompts_tell_the_truth(world):
    """Every phrase of a concept has the same answer; absent and unknown ones have none; boxes are those of the objects they stand for."""
    v = world.vocabulary
    settings = PromptSettings(per_scene=12, exemplar=0.4, unknown=0.1)
    meaning = {p: c for c, about in enumerate(v.concepts) for p in (*about.phrases, *about.plurals)}
    kinds = dict.fromkeys(("present", "absent", "unknown", "boxes", "negative"), 0)
    for seed in range(8):
        scenes = world.scenes(CROWD, 4, 112, seed)
        prompts = world.prompts(settings, scenes, seed)
        again = world.prompts(settings, scenes, seed)
        assert prompts.texts == again.texts and torch.equal(prompts.answer, again.answer)
        for p, text in enumerate(prompts.texts):
            items = scenes.items[prompts.scene[p]]
            answer, labels = prompts.answer[p], prompts.labels[p][prompts.valid[p]]
            kinds["negative"] += int((labels == 0).any())
            if text == NO_TEXT:
                kinds["boxes"] += 1
                shown = {(v.items[i].noun, v.items[i].colour) for i in items[answer].tolist()}
                assert len(shown) == 1 and (labels == 1).any()
                continue
            bare = text.removeprefix("the ").removeprefix("all ").removeprefix("an ").removeprefix("a ")
            if prompts.concept[p] < 0:
                kinds["unknown"] += 1
                assert bare not in meaning and not answer.any()
                continue
            assert meaning[bare] == prompts.concept[p]
            truth = v.truth[items, prompts.concept[p]]
            kinds["present" if truth.any() else "absent"] += 1
            if (labels == 0).any():
                assert not (answer & ~truth).any()
            else:
                assert torch.equal(answer, truth)
        rows, n = torch.nonzero(prompts.valid & (prompts.labels == 1), as_tuple=True)
        for p, box in zip(rows.tolist(), prompts.boxes[rows, n]):
            centre, half = box[:2], box[2:] / 2
            corners = torch.cat((centre - half, centre + half))
            inside = scenes.boxes[prompts.scene[p]][prompts.answer[p]]
            assert (inside - corners).abs().amax(1).min() < 1e-6
    assert min(kinds.values()) > 5, kinds


def test_tokenizer_is_what_the_library_reads(world):
    tokenizers = pytest.importorskip("tokenizers")
    import json

    v = Vocabulary.read()
    from scripts.tiny.tokenizer import TinyTokenizer

    ours = TinyTokenizer(v.all_phrases(), 1024)
    theirs = tokenizers.Tokenizer.from_str(json.dumps(ours.to_json()))
    texts = [*v.all_phrases(), *v.data["unknown"], "Red  Circle", "don't, 42 cups!", "naïve café", "an"]
    for text in texts:
        assert tuple(theirs.encode(text).ids) == ours.encode(text), text
    assert max(len(ours.encode(p)) for p in v.all_phrases()) <= 6, "known words are single tokens"
    rng = random.Random(0)
    ids, valid = ours.rows([v.phrase(c, rng) for c in range(len(v.concepts))], 32)
    assert (ids[~valid] == 0).all() and (ids[valid] != 0).all()
    assert ours.rows(["x " * 40], 32)[0].shape == (1, 32)


def test_hues(world):
    rgb = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(hsv_to_rgb(rgb_to_hsv(rgb)), rgb, atol=1e-5, rtol=0)
    v = world.vocabulary
    blue = next(i for i, item in enumerate(v.items) if item.noun == "circle" and item.colour == "blue")
    looks = (world.atlas.looks[:, 1] == blue).nonzero().flatten()
    assert len(looks) == 1 and world.atlas.textures.shape[-1] == SIDE
    assert CONFIG.text_vocab == len(world.tokenizer.ids)
