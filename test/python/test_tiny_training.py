"""Training of the small model: the network of scripts/export itself, with steps that learn, runs that resume, and weights that the export reads."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_world import CONFIG, make_world

from scripts.export.config import Sam3Config
from scripts.export.cpu_kernels import attention, causal_attention, linear, linear_gelu, linear_relu, masked_attention
from scripts.export.fused import apply_rope
from scripts.export.positions import axial_rope
from scripts.export.program import build, script
from scripts.export.weight_files import open_weights
from scripts.export.weights import load
from scripts.tiny.boxes import assign, generalized_iou, xyxy_to_cxcywh
from scripts.tiny.detector import decode
from scripts.tiny.export import program_of, write_model
from scripts.tiny.learner import Learner, Optimizers
from scripts.tiny.muon import Muon
from scripts.tiny.phases import FILE, Phase, read_phases
from scripts.tiny.steps import STEPS, encode_prompts
from scripts.tiny.trainer import CHECKPOINT, LOG, Trainer

DENSE = {"item": 1, "text": 1, "box": 2, "place": 2}
DETECTOR = {
    **DENSE, "asked": 2, "asked_box": 2, "asked_place": 5, "score": 2, "query_box": 5, "query_giou": 2, "presence": 1, "semantic": 1,
    "mask_entropy": 5, "mask_dice": 2,
}  # fmt: skip


def phase(kind: str, **values) -> Phase:
    losses = DENSE if kind == "dense" else DETECTOR
    defaults = {
        "name": kind,
        "kind": kind,
        "steps": 4,
        "batch": 3,
        "learning_rate": 2e-3,
        "warmup": 1,
        "losses": losses,
    }
    return Phase.of({**defaults, "scenes": {"objects": [2, 4]}, **values})


@pytest.fixture(scope="module")
def world():
    return make_world()


@pytest.fixture(autouse=True)
def gradients():
    with torch.enable_grad():
        yield


@pytest.mark.parametrize("kind", ["dense", "detector"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_steps_learn_one_batch(world, kind, optimizer):
    learner = Learner(CONFIG, len(world.vocabulary.items), 1)
    settings = phase(kind, optimizer=optimizer)
    optimizers = Optimizers(learner.trained(settings), settings)
    totals = []
    for _ in range(12):
        losses = STEPS[kind](world, learner, settings, 5)
        total = sum(weight * losses[name] for name, weight in settings.losses.items())
        assert torch.isfinite(total)
        optimizers.step(total, 2e-3)
        totals.append(total.item())
    assert totals[-1] < 0.8 * totals[0], totals
    trained = learner.trained(settings)
    unmoved = [n for n, p in trained if p.grad is None]
    assert not unmoved, f"no gradient reaches {unmoved}"


def test_a_run_that_was_stopped_goes_on_the_same(world, tmp_path):
    phases = [phase("dense", steps=2), phase("detector", steps=3, optimizer="muon")]
    whole = Trainer(world, CONFIG, phases, tmp_path / "whole", bf16=False)
    whole.run(log_every=1)
    for steps in (1, 2, 2):  # stops inside each phase and between them
        part = Trainer(world, CONFIG, phases, tmp_path / "parts", bf16=False)
        part.run(stop_after=steps, log_every=1)
    for name, weight in whole.average.weights.items():
        assert torch.equal(weight, part.average.weights[name]), name
    logs = [[json.loads(line) for line in (tmp_path / n / LOG).read_text().splitlines()] for n in ("whole", "parts")]
    assert [(e["phase"], e["step"]) for e in logs[0]] == [
        ("dense", 1),
        ("dense", 2),
        *[("detector", i) for i in (1, 2, 3)],
    ]
    timed = ("core_minutes",)
    assert [{k: v for k, v in e.items() if k not in timed} for e in logs[0]] == [
        {k: v for k, v in e.items() if k not in timed} for e in logs[1]
    ]
    assert (tmp_path / "parts" / "dense.pt").is_file() and not list((tmp_path / "parts").glob("*.part"))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_trunk_turns_more_slowly(world, optimizer):
    learner = Learner(CONFIG, len(world.vocabulary.items), 1)
    made = [
        Optimizers(learner.trained(phase("detector")), phase("detector", optimizer=optimizer, trunk_rate=r))
        for r in (1, 0.25)
    ]
    made[1].load_state_dict(made[0].state_dict())  # as when a phase is changed while it runs
    made[1].step(sum(p.square().sum() for _, p in learner.trained(phase("detector"))), 0.01)
    rates = {}
    for group in (g for o in made[1].all for g in o.param_groups):
        for parameter in group["params"]:
            rates[id(parameter)] = group["lr"]
    for name, parameter in learner.trained(phase("detector")):
        trunk = name.startswith(
            ("program.vision_encoder", "program.text_encoder", "program.detector_neck.coarse", "dense")
        )
        assert rates[id(parameter)] == pytest.approx(0.0025 if trunk else 0.01), name


def test_training_decodes_as_the_program_does(world):
    """The first group of queries is the program's, whatever other groups stand beside it."""
    with torch.no_grad():
        learner = Learner(CONFIG, len(world.vocabulary.items), 3)
        program = learner.program
        scenes = world.scenes(phase("dense").scenes, 2, CONFIG.image_size, 1)
        prompts = world.prompts(phase("dense").prompts, scenes, 1)
        fine, middle, coarse = program.neck_detect(program.vision_encoder(scenes.pixels))
        prompt, valid = encode_prompts(world, learner.program, prompts, coarse)
        logits, boxes, presence, queries, encoded = program.detect(coarse, prompts.scene, prompt, valid)
        decoder = program.detr_decoder
        groups = [(decoder.query_embed.weight, decoder.reference_points.weight.sigmoid().unsqueeze(0))]
        groups.append((torch.randn(5, CONFIG.hidden_size), torch.rand(1, 5, 4)))
        position = program.detr_encoder.position(coarse)
        found, presences = decode(decoder, encoded, position, CONFIG.grid, prompt, valid, groups)
        got_queries, got_boxes = found[0][-1]
        torch.testing.assert_close(got_queries, queries, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(got_boxes, xyxy_to_cxcywh(boxes), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(presences[-1], presence, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(program.scoring(got_queries, prompt, valid), logits, atol=1e-5, rtol=1e-5)


def test_trained_weights_in_the_export_format(world, tmp_path):
    run = Trainer(world, CONFIG, [phase("dense", steps=1)], tmp_path / "run", bf16=False)
    run.run()
    program = program_of(torch.load(tmp_path / "run" / CHECKPOINT))
    write_model(program, CONFIG, world.vocabulary, tmp_path / "model")
    files = {p.name: p for p in (tmp_path / "model").iterdir()}
    assert set(files) == {"config.json", "model.safetensors", "tokenizer.json", "words.json"}
    words = json.loads(files["words.json"].read_text())
    assert (
        ["mouse", "mice"] in words["words"] and ["red car", "red cars"] in words["words"] and "the" in words["articles"]
    )
    config = Sam3Config.from_file(tmp_path / "model" / "config.json")
    assert config == CONFIG
    with torch.no_grad():
        loaded = load(config, open_weights(tmp_path / "model" / "model.safetensors"))
        scenes = world.scenes(phase("dense").scenes, 1, CONFIG.image_size, 4)
        expected, got = program.vision_encoder(scenes.pixels), script(loaded).vision_encoder(scenes.pixels)
        torch.testing.assert_close(got, expected, atol=2e-2, rtol=2e-2)
    start = dict(Learner(CONFIG, len(world.vocabulary.items), 1).program.named_parameters())
    assert not torch.equal(program.vision_encoder.pos_embed, start["vision_encoder.pos_embed"])


def test_programs_know_nothing_of_training():
    """What autograd needs is decided in Python: no trace of it reaches a program."""
    program = script(build(CONFIG, "meta"))
    for method in (
        "embed_patches",
        "encode_layers",
        "encode_text",
        "encode_geometry",
        "detect",
        "pixel_embed",
        "memory_attend",
    ):
        graph = str(getattr(program, method).inlined_graph)
        assert "grad" not in graph, method


def test_differentiable_forms_are_the_same_functions():
    rng = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 9, 8, generator=rng) for _ in range(3))
    mask = torch.rand(2, 1, 1, 9, generator=rng) > 0.3
    bias = torch.randn(2, 3, 9, 9, generator=rng)
    x, weight, b = torch.randn(4, 8, generator=rng), torch.randn(6, 8, generator=rng), torch.randn(6, generator=rng)
    rope = axial_rope(3, 8, 100.0, 1.0, torch.device("cpu"))
    cases = [
        (attention, (q, k, v)),
        (lambda *a: masked_attention(*a, mask), (q, k, v)),
        (lambda *a: masked_attention(*a, bias), (q, k, v)),
        (causal_attention, (q, k, v)),
        *((f, (x, weight, b)) for f in (linear, linear_gelu, linear_relu)),
        (lambda a: apply_rope(a, rope), (q,)),
    ]
    for function, arguments in cases:
        plain = function(*(a.clone() for a in arguments))
        inputs = [a.clone().requires_grad_() for a in arguments]
        recorded = function(*inputs)
        torch.testing.assert_close(recorded.detach(), plain, atol=1e-5, rtol=1e-5)
        recorded.square().sum().backward()
        assert all(i.grad is not None and i.grad.abs().sum() > 0 for i in inputs)
        torch.testing.assert_close(inputs[0].detach(), arguments[0], atol=0, rtol=0)


def test_assignment():
    cost = torch.tensor([[[1.0, 5.0], [2.0, 1.5], [9.0, 9.0], [3.0, 4.0]]] * 2)
    wanted = torch.tensor([[True, True], [False, True]])
    assert assign(cost, wanted).tolist() == [[0, 1, -1, -1], [-1, 1, -1, -1]]
    twice = assign(cost, wanted, 2)
    assert ((twice == 0).sum(1) == torch.tensor([2, 0])).all() and ((twice == 1).sum(1) == 2).all()
    assert (assign(cost, torch.zeros(2, 2, dtype=torch.bool)) == -1).all()


def test_generalized_iou():
    a = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.2, 0.2]])
    b = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.8, 0.8, 1.0, 1.0]])
    assert generalized_iou(a, b).tolist() == pytest.approx([1.0, -0.92])


def test_phases_name_only_what_steps_give(world):
    phases = read_phases()
    assert [p.kind for p in phases][:2] == ["dense", "detector"]
    learner = Learner(CONFIG, len(world.vocabulary.items), 1)
    for entry in {p.kind: p for p in phases}.values():
        losses = STEPS[entry.kind](world, learner, phase(entry.kind), 1)
        assert set(entry.losses) <= set(losses)
    for entry in phases:
        assert entry.rate(0) < entry.rate(entry.warmup) and entry.rate(entry.steps) < 0.05 * entry.learning_rate


def test_muon_steps_as_torch_does():
    torch.manual_seed(0)
    shapes = [(24, 24)] * 3 + [(40, 16)] * 2 + [(16, 40)]
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    settings = {"lr": 0.01, "weight_decay": 0.05, "adjust_lr_fn": "match_rms_adamw"}
    optimizers = Muon(ours, **settings), torch.optim.Muon(theirs, **settings)
    for _ in range(4):
        for own, other in zip(ours, theirs):
            own.grad = torch.randn_like(own)
            other.grad = own.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for own, other in zip(ours, theirs):
        torch.testing.assert_close(own, other, atol=1e-6, rtol=0)


def test_scenes_painted_ahead_are_those_of_their_seeds(world, tmp_path):
    settings = phase("dense").scenes
    alone = [world.scenes(settings, 3, CONFIG.image_size, seed) for seed in (7, 8)]
    world.paint_ahead(settings, 3, CONFIG.image_size, [7, 8])
    for one, seed in zip(alone, (7, 8)):
        ahead = world.scenes(settings, 3, CONFIG.image_size, seed)
        assert torch.equal(one.owner, ahead.owner) and torch.equal(one.items, ahead.items)
    # A run that stops among them goes on as if it had not.
    phases = [phase("dense", steps=5, ahead=3)]
    whole = Trainer(world, CONFIG, phases, tmp_path / "whole", bf16=False)
    whole.run()
    for steps in (2, 3):
        part = Trainer(world, CONFIG, phases, tmp_path / "parts", bf16=False)
        part.run(stop_after=steps)
    assert all(torch.equal(w, part.average.weights[n]) for n, w in whole.average.weights.items())


def test_a_phase_may_be_as_long_as_the_time_that_is_lent(world, tmp_path):
    run = Trainer(world, CONFIG, [phase("dense", steps=0, minutes=0.03)], tmp_path, bf16=False)
    run.run()
    assert run.step > 1 and 1.8 <= run.elapsed < 1.8 + 5
    assert run.phase.rate(run.step, run.elapsed) == pytest.approx(2e-3 * 0.02)
    assert all(p.minutes > 0 for p in read_phases(FILE.with_name("phases-gpu.json")))
