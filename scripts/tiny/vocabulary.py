"""What the model knows: concepts, the phrases that mean them, and the drawings that show them. The data is vocabulary.json."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

FILE = Path(__file__).with_name("vocabulary.json")
# What may stand before a phrase.
ARTICLES = ["a", "an", "the", "all"]


@dataclass(frozen=True)
class Item:
    """One thing that can be painted: a drawing (`code`, in every hand) or a plain shape, in one colour or in its own.

    `repaint` names a drawing of another colour, of which this item is a recoloured copy. A distractor has no noun.
    """

    noun: str
    code: str
    colour: str | None = None
    repaint: str | None = None

    @property
    def is_shape(self) -> bool:
        """Whether the item is a plain shape, painted without a drawing."""
        return self.code == self.noun


@dataclass(frozen=True)
class Concept:
    """Something that can be asked for: its phrases in the singular, the usual one first."""

    name: str
    phrases: tuple[str, ...]
    plurals: tuple[str, ...]

    def all_words(self) -> list[str]:
        """Every phrase once, the usual name first."""
        return list(dict.fromkeys((*self.phrases, *self.plurals)))


def plural_of(phrase: str, irregular: dict[str, str]) -> str:
    """The plural of a noun phrase, by the usual rules of English where `irregular` does not say otherwise."""
    if phrase in irregular:
        return irregular[phrase]
    if phrase.endswith(("s", "x", "ch", "sh")):
        return phrase + "es"
    if phrase.endswith("y") and phrase[-2] not in "aeiou":
        return phrase[:-1] + "ies"
    return phrase + "s"


@dataclass(frozen=True)
class Vocabulary:
    """The items and concepts of one vocabulary file."""

    data: dict
    items: list[Item] = field(default_factory=list)
    concepts: list[Concept] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path = FILE) -> Vocabulary:
        """Reads a vocabulary file (the model's own by default)."""
        return cls.of(json.loads(path.read_text()))

    @classmethod
    def of(cls, data: dict) -> Vocabulary:
        """Expands the parsed content of a vocabulary file."""
        items, names = [], {}
        for noun, about in data["nouns"].items():
            names.setdefault(noun, list(about.get("synonyms", [])))
            for sprite in about["sprites"]:
                code, _, colour = sprite.partition("/")
                items.append(Item(noun, code, colour or None))
                if about.get("paint"):
                    items += [Item(noun, code, other, repaint=colour) for other in data["colours"] if other != colour]
        for shape in data["shapes"]:
            names.setdefault(shape, [])
            items += [Item(shape, shape, colour) for colour in data["colours"]]
        # Things without a name: nothing that can be asked for is true of them.
        items += [Item("", code) for code in data["distractors"]]
        for group in data["groups"]:
            names.setdefault(group, [])
        for item in items:
            if item.colour:
                coloured = f"{item.colour} {item.noun}"
                names.setdefault(coloured, [f"{item.colour} {s}" for s in names[item.noun] if " " not in s])
        irregular = dict(data["plurals"])
        for noun, about in data["nouns"].items():
            if "plural" in about:
                irregular[noun] = about["plural"]
        concepts = [
            Concept(name, (name, *more), tuple(plural_of(p, irregular) for p in (name, *more)))
            for name, more in names.items()
        ]
        return cls(data, items, concepts)

    @cached_property
    def index(self) -> dict[str, int]:
        """The number of each concept by its name."""
        return {concept.name: i for i, concept in enumerate(self.concepts)}

    @cached_property
    def truth(self) -> Tensor:
        """Which item shows which concept: bool [items + 1, concepts]; the last row, for "no item", is False."""
        table = torch.zeros(len(self.items) + 1, len(self.concepts), dtype=torch.bool)
        for i, item in enumerate(self.items):
            if not item.noun:
                continue
            names = [item.noun] + [g for g, members in self.data["groups"].items() if item.noun in members]
            if item.colour:
                names.append(f"{item.colour} {item.noun}")
            for name in names:
                table[i, self.index[name]] = True
        return table

    @cached_property
    def siblings(self) -> list[list[int]]:
        """For each concept those that a model takes for it: of the same group, of the same noun or the same colour, or named as confusable."""
        families = [
            *self.data["groups"].values(),
            list(self.data["groups"]),
            *self.data["confusable"],
            self.data["shapes"],
        ]
        coloured = [
            c.name.split(" ", 1)
            for c in self.concepts
            if c.name.split(" ", 1)[0] in self.data["colours"] and " " in c.name
        ]
        for colour in self.data["colours"]:
            families.append([f"{c} {n}" for c, n in coloured if c == colour])
        for noun in {n for _, n in coloured}:
            families.append([f"{c} {n}" for c, n in coloured if n == noun])
        found: list[set[int]] = [set() for _ in self.concepts]
        for family in families:
            numbers = {self.index[name] for name in family}
            for number in numbers:
                found[number] |= numbers - {number}
        return [sorted(s) for s in found]

    def phrase(self, concept: int, rng: random.Random) -> str:
        """A phrase for a concept as people type it: mostly the bare noun; else a synonym, a plural, an article."""
        about = self.concepts[concept]
        which = 0 if rng.random() < 0.6 else rng.randrange(len(about.phrases))
        kind = rng.random()
        if kind < 0.3:
            return about.plurals[which]
        if kind < 0.35:
            return "all " + about.plurals[which]
        phrase = about.phrases[which]
        if kind < 0.43:
            return "the " + phrase
        if kind < 0.52:
            return ("an " if phrase[0] in "aeiou" else "a ") + phrase
        return phrase

    def unknown_phrase(self, rng: random.Random) -> str:
        """A word that the model does not know: nothing in any scene is meant by it."""
        if rng.random() < 0.3:
            return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 9)))
        return rng.choice(self.data["unknown"])

    def all_phrases(self) -> list[str]:
        """Every noun phrase in singular and plural, without articles, and the articles."""
        return [p for c in self.concepts for p in (*c.phrases, *c.plurals)] + ARTICLES
