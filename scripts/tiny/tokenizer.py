"""A byte-pair encoding of our own in CLIP's format: small, as the vocabulary is; every other word falls into pieces."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

END_OF_WORD = "</w>"
START, END = "<|startoftext|>", "<|endoftext|>"
# CLIP's words: contractions, runs of letters, single digits, runs of anything else.
SPLIT = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|[^\s\w]+|_+")


def byte_symbols() -> list[str]:
    """A printable character for each byte, in CLIP's order: "!" comes first, so that the id of padding, 0, is its own."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in printable]
    order = {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(others)}}
    return list(order.values())


def _symbol_of_byte() -> dict[int, str]:
    printable = {ord(s): s for s in byte_symbols() if ord(s) < 256}
    others = iter(s for s in byte_symbols() if ord(s) >= 256)
    return {b: printable[b] if b in printable else next(others) for b in range(256)}


SYMBOLS = _symbol_of_byte()


def _pieces(word: str) -> list[str]:
    pieces = [SYMBOLS[b] for b in word.encode()]
    pieces[-1] += END_OF_WORD
    return pieces


def _join(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    joined, i = [], 0
    while i < len(pieces):
        if i + 1 < len(pieces) and (pieces[i], pieces[i + 1]) == pair:
            joined.append(pieces[i] + pieces[i + 1])
            i += 2
        else:
            joined.append(pieces[i])
            i += 1
    return joined


def learn_merges(phrases: list[str], most: int) -> list[tuple[str, str]]:
    """Up to `most` merges: the most frequent pair each time (the first in the alphabet of equals), until every word is one piece."""
    count = Counter(word for phrase in phrases for word in WORDS.findall(phrase))
    words = {word: _pieces(word) for word in count}
    merges = []
    while len(merges) < most:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, pieces in words.items():
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += count[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = {word: _join(pieces, best) for word, pieces in words.items()}
    return merges


class TinyTokenizer:
    """Encodes phrases as the library does with the tokenizer.json of `to_json`."""

    def __init__(self, phrases: list[str], size: int):
        """`size` ids, special tokens included; merges are learned from `phrases`."""
        symbols = byte_symbols()
        base = [*symbols, *(s + END_OF_WORD for s in symbols)]
        self.merges = learn_merges(phrases, size - len(base) - 2)
        tokens = [*base, *(a + b for a, b in self.merges)]
        tokens += [f"<|unused{i}|>" for i in range(size - 2 - len(tokens))]
        self.ids = {token: i for i, token in enumerate([*tokens, START, END])}
        self.rank = {pair: i for i, pair in enumerate(self.merges)}
        self.encode = lru_cache(maxsize=None)(self._encode)

    def _encode(self, text: str) -> tuple[int, ...]:
        ids = [self.ids[START]]
        for word in WORDS.findall(text.lower()):
            pieces = _pieces(word)
            while len(pieces) > 1:
                best = min(zip(pieces, pieces[1:]), key=lambda pair: self.rank.get(pair, len(self.rank)))
                if best not in self.rank:
                    break
                pieces = _join(pieces, best)
            ids += [self.ids[p] for p in pieces]
        return (*ids, self.ids[END])

    def rows(self, texts: list[str], context: int) -> tuple[Tensor, Tensor]:
        """ids i64 [T,L] and which are no padding, bool [T,L]; L is the longest row, at most `context`, cut as the library cuts."""
        rows = [self.encode(t) for t in texts]
        rows = [r if len(r) <= context else (*r[: context - 1], r[-1]) for r in rows]
        length = max(map(len, rows))
        ids = torch.tensor([[*r, *[0] * (length - len(r))] for r in rows])
        return ids, ids != 0

    def to_json(self) -> dict[str, Any]:
        """The content of tokenizer.json, in the form of CLIP's."""

        def special(content: str) -> dict[str, Any]:
            flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
            return {"id": self.ids[content], "content": content, **flags, "special": True}

        spaces = {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}
        split = {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Removed", "invert": True}
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [special(START), special(END)],
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, spaces, {"type": "Lowercase"}]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
            "post_processor": {
                "type": "RobertaProcessing",
                "sep": [END, self.ids[END]],
                "cls": [START, self.ids[START]],
                "trim_offsets": False,
                "add_prefix_space": False,
            },
            "decoder": {**byte_level, "add_prefix_space": True},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": END,
                "continuing_subword_prefix": "",
                "end_of_word_suffix": END_OF_WORD,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": self.ids,
                "merges": [list(pair) for pair in self.merges],
            },
        }
