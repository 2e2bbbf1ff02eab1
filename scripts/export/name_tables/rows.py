"""What the tables of the name map are made of.

`{n}` and `{m}` stand for a number, `{p}` for weight or bias; the text of a match fills the same places in the sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Source:
    """How one parameter is made: `op` is copy, concat (dim 0), drop_first (index 0 of dim 1) or reshape (from `shape`)."""

    op: str
    names: tuple[str, ...]
    shape: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The form of names.json."""
        extra = {"source_shape": list(self.shape)} if self.shape else {}
        return {"op": self.op, "from": list(self.names), **extra}


@dataclass(frozen=True)
class Row:
    """One line of a part's table: the program's name and the two sources (SAM 3.1 has none in transformers), all without their prefixes."""

    program: str
    transformers: Source | None
    meta: Source


def same(program: str, transformers: str, meta: str) -> Row:
    """A tensor that is the same in the three files."""
    return Row(program, Source("copy", (transformers,)), Source("copy", (meta,)))


def of_meta(program: str, meta: str) -> Row:
    """A tensor of SAM 3.1, as it is in Meta's file."""
    return Row(program, None, Source("copy", (meta,)))


def fused(program: str, transformers: str, meta: str) -> Row:
    """Query, key and value projections: three tensors in transformers (`?` stands for q, k, v), one in Meta's file."""
    return Row(program, Source("concat", tuple(transformers.replace("?", c) for c in "qkv")), Source("copy", (meta,)))


@dataclass(frozen=True)
class Part:
    """The parameters under one prefix. `name` is the part of the model that they count for."""

    name: str
    program: str
    transformers: str
    meta: str
    rows: list[Row]


def attention(program: str, transformers: str, meta: str) -> list[Row]:
    """Projections of query, key and value in one parameter."""
    return [
        fused(f"{program}.in_proj.{{p}}", f"{transformers}.?_proj.{{p}}", f"{meta}.in_proj_{{p}}"),
        same(f"{program}.out_proj.{{p}}", f"{transformers}.o_proj.{{p}}", f"{meta}.out_proj.{{p}}"),
    ]


def split_attention(program: str, transformers: str, meta: str | None = None) -> list[Row]:
    """Projections of query, key and value on their own. Without `meta`, Meta's file names the module as transformers does."""
    meta = meta or transformers
    rows = [
        same(f"{program}.{c}_proj.{{p}}", f"{transformers}.{c}_proj.{{p}}", f"{meta}.{c}_proj.{{p}}") for c in "qkv"
    ]
    return rows + [same(f"{program}.out_proj.{{p}}", f"{transformers}.o_proj.{{p}}", f"{meta}.out_proj.{{p}}")]


def mlp3(program: str, transformers: str, meta: str | None = None) -> list[Row]:
    """A three-layer head of the tracker: transformers names the layers proj_in, layers.0, proj_out. `meta`: see `split_attention`."""
    meta = meta or transformers
    names = ("proj_in", "layers.0", "proj_out")
    return [
        same(f"{program}.layers.{i}.{{p}}", f"{transformers}.{name}.{{p}}", f"{meta}.layers.{i}.{{p}}")
        for i, name in enumerate(names)
    ]


def head(program: str, transformers: str, meta: str, depth: int) -> list[Row]:
    """A head of the detector: transformers names the layers layer1, layer2..."""
    return [
        same(f"{program}.layers.{i}.{{p}}", f"{transformers}.layer{i + 1}.{{p}}", f"{meta}.layers.{i}.{{p}}")
        for i in range(depth)
    ]


def feed_forward(program: str, transformers: str, meta: str) -> list[Row]:
    """Two layers that transformers names as we do."""
    return [same(f"{program}.fc{i}.{{p}}", f"{transformers}.fc{i}.{{p}}", f"{meta}.linear{i}.{{p}}") for i in (1, 2)]


def norms(layer: str, transformers: str, meta: str, count: int) -> list[Row]:
    """The layer norms of a layer, counted from 1."""
    return [
        same(f"{layer}.norm{i}.{{p}}", f"{transformers}.layer_norm{i}.{{p}}", f"{meta}.norm{i}.{{p}}")
        for i in range(1, count + 1)
    ]
