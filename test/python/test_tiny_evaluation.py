"""The measures of clicks and clips, and the masks that come back from the library."""

from __future__ import annotations

import random

import pytest
import torch

from scripts.tiny.evaluation.clips import FollowTally, absent_nouns
from scripts.tiny.evaluation.confusion import absent_colours, absent_shapes
from scripts.tiny.evaluation.images import deepest, question
from scripts.tiny.evaluation.photographs import box_iou
from scripts.tiny.evaluation.rle import decode, encode
from scripts.tiny.prompts import NO_TEXT, Prompts
from scripts.tiny.sprites import photograph_archive
from scripts.tiny.vocabulary import Vocabulary

SIDE = 20


def square(x: int, y: int, side: int = 6) -> torch.Tensor:
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[y : y + side, x : x + side] = True
    return mask


def test_rle_is_that_of_coco():
    from pycocotools import mask as coco

    rng = torch.Generator().manual_seed(1)
    masks = [torch.rand(37, 53, generator=rng) > 0.5, torch.rand(300, 260, generator=rng) > 0.98]
    masks += [torch.zeros(5, 7, dtype=torch.bool), torch.ones(5, 7, dtype=torch.bool), square(3, 4)]
    for mask in masks:
        expected = coco.encode(mask.numpy().astype("uint8", order="F"))
        assert encode(mask) == {"size": list(mask.shape), "counts": expected["counts"].decode()}
        assert torch.equal(decode(encode(mask)), mask)


def test_deepest():
    """The middle of the thickest part, not of the whole."""
    bar = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    bar[9, :] = True
    assert deepest(bar | square(1, 7, 5)) == [3.5, 9.5]
    corner = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    corner[:9, :9] = True
    assert deepest(corner) == [4.5, 4.5], "the edge of the picture is an edge"


def test_questions_are_those_of_segment():
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.4], [0.1, 0.1, 0.1, 0.1]]])
    labels, valid = torch.tensor([[1, 0]]), torch.tensor([[True, True]])
    answer = torch.zeros(1, 2, dtype=torch.bool)
    words = Prompts(torch.tensor([0]), ["red cars"], [0], answer, boxes, labels, valid)
    asked = question(words, 0)
    assert asked["text"] == "red cars" and asked["normalized"] and asked["threshold"] < 0.1
    assert [b["label"] for b in asked["boxes"]] == [1, 0]
    assert asked["boxes"][0]["box"] == pytest.approx([0.4, 0.3, 0.6, 0.7])
    words.texts = [NO_TEXT]
    assert "text" not in question(words, 0)


def test_what_is_asked_for_though_it_is_not_there():
    vocabulary = Vocabulary.read()

    def numbers(*things: str) -> list[int]:
        """Items by colour and noun; one that is not seen in between."""
        named = {
            f"{item.colour} {item.noun}" if item.colour else item.noun: i for i, item in enumerate(vocabulary.items)
        }
        return [-1, *(named[thing] for thing in things)]

    assert absent_shapes(vocabulary, numbers("red circle", "blue star", "dog")) == ["square", "triangle", "heart"]
    assert absent_shapes(vocabulary, numbers("dog", "red car")) == [], "no shape that could be taken for one"
    every = [f"{colour} car" for colour in vocabulary.data["colours"]]
    for seed in range(20):
        rng = random.Random(seed)
        asked = absent_colours(vocabulary, numbers("dog", "red circle", "blue circle", "red book"), rng)
        assert [text.split()[1] for text in asked] == ["book", "circle"]
        assert not {"red circle", "blue circle", "red book"} & set(asked)
        assert set(asked) <= set(vocabulary.index), "books are not made in every colour"
        assert absent_colours(vocabulary, numbers(*every), rng) == []


def test_what_no_frame_of_a_clip_shows():
    vocabulary = Vocabulary.read()
    dog = next(i for i, item in enumerate(vocabulary.items) if item.noun == "dog")
    animals = set(vocabulary.data["groups"]["animal"]) - {"dog"}
    for seed in range(20):
        items = torch.tensor([[dog, -1], [-1, -1]])
        any_noun, like = absent_nouns(vocabulary, items, random.Random(seed))
        assert any_noun in vocabulary.data["nouns"] or any_noun in vocabulary.data["shapes"]
        assert any_noun != "dog" and like in animals


def follow(found: list[dict[int, torch.Tensor]], truth: list[list[torch.Tensor | None]]) -> dict[str, float]:
    tally = FollowTally()
    empty = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    tally.add(found, torch.stack([torch.stack([empty if m is None else m for m in row]) for row in truth]))
    return tally.numbers()


def test_following():
    a, b, nowhere = square(0, 0), square(10, 10), square(0, 14, 3)
    right = follow([{4: a, 7: b}, {4: a, 7: b}], [[a, a], [b, b]])
    assert right == {"j": 1.0, "switches": 0.0, "returned": 0.0, "returns": 0, "invented": 0.0, "objects": 2}
    swapped = follow([{4: a, 7: b}, {4: b, 7: a}], [[a, a], [b, b]])
    assert swapped["switches"] == 1.0 and swapped["j"] == pytest.approx(0.5)
    invented = follow([{4: a}, {4: a, 9: nowhere}], [[a, a]])
    assert invented["invented"] == 1.0 and invented["j"] == 1.0
    assert follow([{}, {}], [[a, a]])["j"] == 0.0
    half = square(0, 0, 4)
    assert follow([{1: half}, {1: a}], [[a, a]])["j"] == pytest.approx((16 / 36 + 1) / 2)


def test_what_returns_has_its_id_or_not():
    a, b = square(0, 0), square(8, 8)
    same = follow([{1: a}, {}, {1: b}], [[a, None, b]])
    assert (same["returns"], same["returned"], same["switches"], same["j"]) == (1, 1.0, 0.0, 1.0)
    other = follow([{1: a}, {}, {2: b}], [[a, None, b]])
    assert (other["returns"], other["returned"], other["switches"], other["j"]) == (1, 0.0, 1.0, 0.5)
    lost = follow([{1: a}, {}, {}], [[a, None, b]])
    assert (lost["returns"], lost["returned"]) == (1, 0.0)
    never = follow([{}, {}, {2: b}], [[a, None, b]])
    assert never["returns"] == 0, "what was not found before cannot lose its id"


def test_box_iou():
    assert box_iou([0.0, 0.0, 10.0, 10.0], (0, 0, 10, 10)) == 1
    assert box_iou([0.0, 0.0, 10.0, 10.0], (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert box_iou([0.0, 0.0, 1.0, 1.0], (5, 5, 6, 6)) == 0


def test_a_missing_photograph_names_the_command_that_brings_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="scripts.tiny sprites"):
        photograph_archive(tmp_path)
