"""Every method of the exported program, reloaded from disk, at sizes other than the first: equal to eager mode; and all of it on the meta device."""

from __future__ import annotations

import copy
import io
from dataclasses import dataclass

import pytest
import torch
from conftest import assert_close

from scripts.export.config import Sam3Config
from scripts.export.positions import axial_rope
from scripts.export.program import FP32_PARAMETERS, build, script


def reload(program) -> torch.jit.ScriptModule:
    """The program after saving and loading, as the engine gets it."""
    buffer = io.BytesIO()
    torch.jit.save(program, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


@dataclass(frozen=True)
class Model:
    """A program of one kind, with its configuration."""

    config: Sam3Config
    eager: torch.nn.Module
    reloaded: torch.jit.ScriptModule


@pytest.fixture(scope="module")
def reloaded(program):
    return reload(program)


@pytest.fixture(scope="module")
def models(config, eager, reloaded, multiplex_config, multiplex_eager, multiplex_program) -> dict[str, Model]:
    """One model of each kind."""
    multiplex = Model(multiplex_config, multiplex_eager, reload(multiplex_program))
    return {"sam3": Model(config, eager, reloaded), "sam3.1": multiplex}


class Inputs:
    """Random arguments for every method; C hidden width, g grid."""

    def __init__(self, config, grid: int, device: str = "cpu", dtype: torch.dtype = torch.float32):
        self.config, self.g, self.device, self.dtype = config, grid, device, dtype
        self.generator = torch.Generator().manual_seed(grid)

    def randn(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator).to(self.device, self.dtype)

    def index(self, images: int, prompts: int) -> torch.Tensor:
        return (torch.arange(prompts) % images).to(self.device)

    def valid(self, rows: int, columns: int) -> torch.Tensor:
        valid = torch.ones(rows, columns, dtype=torch.bool)
        if columns > 8:
            valid[:, 5:8] = False
        return valid.to(self.device)

    def maps(self, images: int) -> tuple[torch.Tensor, ...]:
        c, g = self.config.hidden_size, self.g
        return self.randn(images, c, 4 * g, 4 * g), self.randn(images, c, 2 * g, 2 * g), self.randn(images, c, g, g)

    def vision_encoder(self, images: int) -> tuple:
        side = self.g * self.config.patch_size
        return (self.randn(images, 3, side, side),)

    embed_patches = vision_encoder

    def encode_layers(self, images: int, first: int, count: int) -> tuple:
        return self.randn(images, self.g * self.g, self.config.vision_width), first, count

    def join_tokens(self, images: int) -> tuple:
        return (self.randn(images, self.g * self.g, self.config.vision_width),)

    def neck_detect(self, images: int) -> tuple:
        return (self.randn(images, self.config.vision_width, self.g, self.g),)

    neck_track = neck_detect

    def encode_text(self, texts: int) -> tuple:
        ids = torch.randint(1, self.config.text_vocab, (texts, 32), generator=self.generator)
        ids[:, 7:] = 0
        return ids.to(self.device), (ids != 0).to(self.device)

    def encode_geometry(self, images: int, prompts: int, boxes: int) -> tuple:
        box = torch.rand(prompts, boxes, 4, generator=self.generator) * 0.4 + 0.3
        valid = torch.ones(prompts, boxes, dtype=torch.bool)
        if boxes > 1:
            valid[0, -1] = False
        labels = torch.randint(0, 2, (prompts, boxes), generator=self.generator)
        d = self.device
        return box.to(d), labels.to(d), valid.to(d), self.maps(images)[2], self.index(images, prompts)

    def detect(self, images: int, prompts: int, length: int) -> tuple:
        c = self.config.hidden_size
        return (
            self.maps(images)[2],
            self.index(images, prompts),
            self.randn(prompts, length, c),
            self.valid(prompts, length),
        )

    def pixel_embed(self, images: int, prompts: int, length: int) -> tuple:
        encoded = self.randn(prompts, self.g * self.g, self.config.hidden_size)
        _, index, *prompt = self.detect(images, prompts, length)
        return *self.maps(images)[:2], index, encoded, *prompt

    def masks(self, prompts: int, queries: int) -> tuple:
        return self.maps(prompts)[0], self.randn(prompts, queries, self.config.hidden_size)

    def prompt_encode(self, objects: int, points: int) -> tuple:
        xy = torch.rand(objects, points, 2, generator=self.generator) * self.g * self.config.patch_size
        labels = torch.randint(-1, 4, (objects, points), generator=self.generator)
        use = torch.arange(objects) % 2 == 0
        return (
            xy.to(self.device),
            labels.to(self.device),
            self.randn(objects, 1, 4 * self.g, 4 * self.g),
            use.to(self.device),
        )

    def mask_decode(self, objects: int, tokens: int, images: int) -> tuple:
        c, g = self.config.hidden_size, self.g
        fine, middle = self.randn(images, c // 8, 4 * g, 4 * g), self.randn(images, c // 4, 2 * g, 2 * g)
        return fine, middle, self.randn(images, c, g, g), self.randn(objects, tokens, c), self.randn(objects, c, g, g)

    def object_pointer(self, objects: int) -> tuple:
        return self.randn(objects, self.config.hidden_size), self.randn(objects, 1)

    def mask_to_prompt(self, objects: int) -> tuple:
        return (self.randn(objects, 1, 16 * self.g, 16 * self.g),)

    def memory_encode(self, objects: int) -> tuple:
        return self.maps(objects)[2], self.randn(objects, 1, 16 * self.g, 16 * self.g), self.randn(objects, 1)

    def memory_attend(self, objects: int, frames: int, pointer_tokens: int) -> tuple:
        length = frames * self.g * self.g + pointer_tokens
        memory = (
            self.randn(objects, length, self.config.memory_size),
            self.randn(objects, length, self.config.memory_size),
        )
        return self.maps(objects)[2], *memory, torch.tensor(pointer_tokens)

    def pointer_tpos(self, pointers: int) -> tuple:
        return (torch.rand(pointers, generator=self.generator).to(self.device),)

    def tracker_constants(self) -> tuple:
        return (self.g,)

    # ---- SAM 3.1

    neck_propagate = neck_detect
    multiplex_constants = tracker_constants

    def memory_encode_mux(self, buckets: int) -> tuple:
        slots = self.config.slots
        masks = self.randn(buckets, 2 * slots, 16 * self.g, 16 * self.g)
        return self.maps(1)[2], masks, self.randn(buckets, slots, 1)

    def project_frame(self, buckets: int) -> tuple:
        return self.maps(buckets)[2], self.maps(1)[2]

    def project_pointers(self, buckets: int) -> tuple:
        return (self.randn(buckets, self.config.slots, self.config.hidden_size),)

    def memory_attend_mux(self, buckets: int, tokens: int) -> tuple:
        size = (self.config.memory_layers, buckets, tokens, self.config.hidden_size)
        return self.maps(1)[2], self.randn(*size), self.randn(*size), self.randn(1, tokens, self.config.hidden_size)

    def track_decode_mux(self, buckets: int) -> tuple:
        fine, middle, image, *_ = self.mask_decode(1, 0, 1)
        return fine, middle, self.maps(buckets)[2], self.valid(buckets, self.config.slots)

    def pointer_track(self, *shape: int) -> tuple:
        return self.randn(*shape, self.config.hidden_size), self.randn(*shape, 1)

    pointer_click = pointer_track

    def no_object_pointer(self, *shape: int) -> tuple:
        return (self.randn(*shape, self.config.hidden_size),)


# Per method: the sizes of several calls. The first is run first; the others must not depend on it.
SHARED = {
    "vision_encoder": [(2,), (1,), (3,)],
    "embed_patches": [(2,), (1,)],
    "encode_layers": [(2, 0, 1), (1, 1, 2), (1, 3, 8), (1, 0, 0)],
    "join_tokens": [(2,), (1,)],
    "neck_detect": [(2,), (1,)],
    "neck_track": [(2,), (1,)],
    "encode_text": [(2,), (1,), (6,)],
    "encode_geometry": [(2, 3, 2), (1, 1, 0), (1, 4, 3), (3, 1, 7), (1, 1, 1)],
    "detect": [(2, 3, 34), (1, 1, 32), (1, 6, 33), (3, 2, 40)],
    "pixel_embed": [(2, 3, 34), (1, 1, 33), (1, 4, 36)],
    "masks": [(2, 5), (1, 20), (3, 1), (1, 0)],
    "prompt_encode": [(2, 3), (1, 1), (5, 7), (3, 0)],
    "mask_decode": [(2, 4, 2), (1, 2, 1), (7, 9, 1), (2, 0, 2)],
    "mask_to_prompt": [(2,), (5,)],
    "pointer_tpos": [(5,), (1,), (20,)],
}
SIZES = {
    "sam3": SHARED
    | {
        "object_pointer": [(2,), (9,)],
        "memory_encode": [(2,), (1,), (6,)],
        "memory_attend": [(2, 2, 6), (1, 1, 2), (2, 7, 32), (3, 3, 0)],
        "tracker_constants": [()],
    },
    "sam3.1": SHARED
    | {
        "neck_propagate": [(2,), (1,)],
        "memory_encode_mux": [(2,), (1,), (3,)],
        "project_frame": [(2,), (1,)],
        "project_pointers": [(2,), (1,)],
        "memory_attend_mux": [(2, 80), (1, 16), (3, 300)],
        "track_decode_mux": [(2,), (1,), (4,)],
        "pointer_track": [(2, 16), (1,), (9,)],
        "pointer_click": [(2,), (9,)],
        "no_object_pointer": [(2,), (2, 16)],
        "multiplex_constants": [()],
    },
}
# The first kind covers what both have: only what is its own is asked of the second.
CALLS = [("sam3", method) for method in SIZES["sam3"]]
CALLS += [("sam3.1", method) for method in SIZES["sam3.1"] if method not in SHARED]


@pytest.mark.parametrize("kind", SIZES)
def test_every_method(kind, models):
    assert set(SIZES[kind]) == set(models[kind].reloaded._c._method_names()) | {"vision_encoder"}


def as_tuple(result) -> tuple[torch.Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize(("kind", "method"), CALLS)
def test_same_as_eager_at_other_sizes(kind, method, models):
    reloaded, eager = models[kind].reloaded, models[kind].eager
    for grid in (12, 8, 4):
        inputs = Inputs(models[kind].config, grid)
        for size in SIZES[kind][method]:
            arguments = getattr(inputs, method)(*size)
            # apply_rope may overwrite its input, never an argument of a method.
            copies = [a.clone() if isinstance(a, torch.Tensor) else a for a in arguments]
            got, want = as_tuple(getattr(reloaded, method)(*arguments)), as_tuple(getattr(eager, method)(*copies))
            for a, b in zip(arguments, copies):
                assert not isinstance(a, torch.Tensor) or torch.equal(a, b), f"{method} changed an argument"
            for i, (g, w) in enumerate(zip(got, want)):
                assert_close(g, w, 1e-4, f"{method}{size} grid {grid} output {i}")


def test_image_in_steps(reloaded, config):
    """The steps that can be stopped between give the bytes of the whole."""
    (pixels,) = Inputs(config, 12).vision_encoder(2)
    tokens = reloaded.embed_patches(pixels)
    for first in range(0, config.vision_layers, 3):
        tokens = reloaded.encode_layers(tokens, first, 3)
    assert torch.equal(reloaded.join_tokens(tokens), reloaded.vision_encoder(pixels))


def test_tables_are_made_once(reloaded, eager, config):
    """A program keeps what follows from a size alone, by size and dtype; the module that is trained keeps nothing."""
    positions = reloaded.detr_encoder.position
    images = [torch.zeros(1, config.hidden_size, grid, grid) for grid in (5, 6, 5)]
    first, other, again = (positions(image) for image in images)
    assert again.data_ptr() == first.data_ptr()
    assert other.shape == (1, 36, config.hidden_size)
    half = positions(images[0].to(torch.bfloat16))
    assert torch.equal(half, first.to(torch.bfloat16))
    own = eager.detr_encoder.position
    assert torch.equal(own(images[0]), first)
    assert not own.tables.kept


def test_one_frame_for_all_objects(reloaded, config):
    """Image features and positions with batch 1 stand for those of every object."""
    coarse, memory, memory_pos, tokens = Inputs(config, 8).memory_attend(3, 4, 8)
    coarse, memory_pos = coarse[:1], memory_pos[:1]
    want = reloaded.memory_attend(coarse.expand(3, -1, -1, -1), memory, memory_pos.expand(3, -1, -1), tokens)
    assert_close(reloaded.memory_attend(coarse, memory, memory_pos, tokens), want, 1e-5, "memory attention")
    mask, logit = Inputs(config, 8).memory_encode(3)[1:]
    want = reloaded.memory_encode(coarse.expand(3, -1, -1, -1), mask, logit)
    assert_close(reloaded.memory_encode(coarse, mask, logit), want, 1e-5, "memory encoder")


def test_both_forms_of_memory_attention(eager, config):
    """Values summed before they are projected (CPU) against projected before they are summed (GPU; here float64, which has no CPU form)."""
    attention = eager.memory_attention.layers[0].memory_attn
    wide = copy.deepcopy(attention).double()
    rope = axial_rope(8, config.hidden_size // config.memory_heads, config.rope_theta, 1.0, torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(2, 64, config.hidden_size, generator=generator)
    key, value = torch.randn(2, 2, 3 * 64 + 8, config.memory_size, generator=generator)
    want = wide(query.double(), key.double(), value.double(), rope, 8)
    assert_close(attention(query, key, value, rope, 8), want, 1e-4, "attention")


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_meta_device(dtype, kind, models):
    """Nothing is pinned to the CPU: with all tensors on the meta device every method runs and stays there."""
    config = models[kind].config
    program = build(config, "meta")
    for parameter in program.parameters():
        parameter.data = parameter.data.to(dtype)
    program = script(program)
    inputs = Inputs(config, 8, "meta", dtype)
    for method, sizes in SIZES[kind].items():
        for size in sizes:
            for tensor in as_tuple(getattr(program, method)(*getattr(inputs, method)(*size))):
                assert tensor.device.type == "meta", method


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_low_precision(dtype, kind, models):
    """Only parameters are cast: results have the documented dtypes and stay near those of fp32."""
    config, eager = models[kind].config, models[kind].eager
    low = build(config, "meta")
    state = {n: p if n in FP32_PARAMETERS else p.to(dtype) for n, p in eager.named_parameters()}
    low.load_state_dict(state, assign=True)
    low = script(low.requires_grad_(False))
    for method, sizes in SIZES[kind].items():
        half, full = Inputs(config, 8, "cpu", dtype), Inputs(config, 8)
        arguments, same = getattr(half, method)(*sizes[0]), getattr(full, method)(*sizes[0])
        got, want = as_tuple(getattr(low, method)(*arguments)), as_tuple(getattr(eager, method)(*same))
        for i, (g, w) in enumerate(zip(got, want)):
            fp32_output = method == "detect" and i < 3
            assert g.dtype == (torch.bool if w.dtype == torch.bool else torch.float32 if fp32_output else dtype), (
                f"{method} output {i}"
            )
            # Of few numbers that are nearly equal the deviation is smaller than what rounding leaves of their size.
            spread = w.float().std().item() + 0.1 * w.float().mean().abs().item() + 1e-3
            assert (g.float() - w.float()).abs().mean().item() < 0.1 * spread, f"{method} output {i}"


def test_wrong_input_size(reloaded, config):
    for side in (config.patch_size * 6, config.patch_size * 3):
        with pytest.raises(torch.jit.Error, match="multiple of patch_size"):
            reloaded.vision_encoder(torch.zeros(1, 3, side, side))
