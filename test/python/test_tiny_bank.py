"""Clips that are kept, and processes that train together."""

from __future__ import annotations

import os
import socket

import pytest
import torch
from tiny_world import CONFIG, make_world
from torch import nn

from scripts.export.program import FP32_PARAMETERS
from scripts.tiny import team
from scripts.tiny.bank import ClipBank
from scripts.tiny.export import mean_of, write_model
from scripts.tiny.learner import Learner
from scripts.tiny.phases import Phase
from scripts.tiny.trainer import CLIPS, Trainer

FRAMES, WINDOW = 9, 3
LOSSES = {"click_mask": 1, "track_mask": 1, "track_iou": 3, "track_presence": 1}


@pytest.fixture(scope="module")
def world():
    return make_world()


def phase(**values) -> Phase:
    data = {"name": "tracker", "kind": "tracker", "steps": 2, "batch": 2, "learning_rate": 1e-3, "losses": LOSSES}
    kept = {"bank": 3, "window": WINDOW, "per_scene": 2, "motion": {"frames": FRAMES}, "scenes": {"objects": [2, 3]}}
    return Phase.of(data | kept | values)


def test_windows_are_frames_of_the_kept_clips(world, tmp_path):
    encoder = Learner(CONFIG, len(world.vocabulary.items), 1).program.vision_encoder
    bank = ClipBank(world, encoder, phase(), CONFIG.image_size, tmp_path, 7)
    clips = [bank.clip(i) for i in range(3)]
    assert not torch.equal(clips[0].owner, clips[1].owner)
    orders, strides = set(), set()
    for seed in range(20):
        windows = bank.windows(2, WINDOW, torch.Generator().manual_seed(seed))
        again = bank.windows(2, WINDOW, torch.Generator().manual_seed(seed))
        assert torch.equal(windows.vision, again.vision) and len(windows.items) == 2 * WINDOW
        for k in range(2):
            part = windows.rows(slice(k * WINDOW, (k + 1) * WINDOW))
            assert (part.items[0] >= 0).any(), "somebody is there to be shown"
            found = [[t for t in range(FRAMES) if torch.equal(clip.vision[t], part.vision[0])] for clip in clips]
            clip, first = next((c, f[0]) for c, f in zip(clips, found) if f)
            places = [next(t for t in range(FRAMES) if torch.equal(clip.vision[t], v)) for v in part.vision]
            steps = {b - a for a, b in zip(places, places[1:])}
            assert len(steps) == 1 and places[0] == first
            assert torch.equal(part.owner, clip.owner[places]) and torch.equal(part.items, clip.items[places])
            orders.add(max(steps) > 0)
            strides.add(abs(max(steps)))
    assert orders == {True, False} and strides == {1, 2, 3, 4}


def test_clips_are_painted_once_for_one_trunk(world, tmp_path):
    learner = Learner(CONFIG, len(world.vocabulary.items), 1)
    encoder, side = learner.program.vision_encoder, CONFIG.image_size
    bank = ClipBank(world, encoder, phase(), side, tmp_path, 7)
    first = bank.clip(2)
    file = bank.folder / "2.pt"
    painted = file.stat().st_mtime_ns
    again = ClipBank(world, encoder, phase(), side, tmp_path, 7)
    assert again.folder == bank.folder and torch.equal(again.clip(2).vision, first.vision)
    assert file.stat().st_mtime_ns == painted and [f.name for f in bank.folder.iterdir()] == ["2.pt"]
    assert ClipBank(world, encoder, phase(), side, tmp_path, 8).folder != bank.folder
    with torch.no_grad():
        encoder.pos_embed.add_(0.1)
    assert ClipBank(world, encoder, phase(), side, tmp_path, 7).folder != bank.folder


def test_a_frozen_trunk_stays_as_it_is(world, tmp_path):
    run = Trainer(world, CONFIG, [phase(trunk_rate=0)], tmp_path, bf16=False)
    before = {n: p.clone() for n, p in run.learner.program.named_parameters()}
    with torch.enable_grad():
        run.run()
    assert any((tmp_path / CLIPS).glob("*/*.pt"))
    changed = {n for n, p in run.learner.program.named_parameters() if not torch.equal(p, before[n])}
    assert any(n.startswith("memory_attention.") for n in changed)
    assert not any(n.startswith(("tracker_neck.", "vision_encoder.")) for n in changed)


def member(rank: int, port: int, out: str) -> None:
    """One of two processes."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with team.together():
        parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(1))]
        parameters[0].grad = torch.tensor([1.0, 2.0]) * (rank + 1)
        if rank:
            parameters[1].grad = torch.ones(3)
        team.mean_gradients(parameters)
        grads = [p.grad for p in parameters]
        torch.save([grads, team.agree(float(rank), 5.0 - rank), team.rank()], f"{out}/{rank}.pt")
    assert not torch.distributed.is_initialized(), "it has left: else it may abort when it ends"


def test_two_processes_step_down_the_mean_of_their_gradients(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(member, (port, str(tmp_path)), nprocs=2)
    for rank in range(2):
        (first, second, none), agreed, number = torch.load(tmp_path / f"{rank}.pt")
        assert first.tolist() == [1.5, 3.0] and second.tolist() == [0.5, 0.5, 0.5] and none is None
        assert agreed == [1.0, 5.0] and number == rank


def test_alone_nothing_is_shared():
    lonely = nn.Parameter(torch.zeros(2))
    lonely.grad = torch.ones(2)
    team.mean_gradients([lonely])
    assert lonely.grad.tolist() == [1, 1] and team.agree(3.0) == [3.0] and team.rank() == 0


def test_without_a_folder_clips_stay_in_memory(world, monkeypatch):
    encoder = Learner(CONFIG, len(world.vocabulary.items), 1).program.vision_encoder
    monkeypatch.setattr("scripts.tiny.bank.TOGETHER", 2)
    bank = ClipBank(world, encoder, phase(), CONFIG.image_size, None, 7)
    third = bank.clip(2)
    assert sorted(bank.kept) == [2, 3] and bank.clip(2) is third
    assert len(third.items) == FRAMES and third.vision.dtype == torch.bfloat16
    assert not torch.equal(bank.clip(3).owner, third.owner)
    windows = bank.windows(2, WINDOW, torch.Generator().manual_seed(3))
    assert len(windows.items) == 2 * WINDOW and windows.items.device.type == "cpu"


def test_a_new_run_starts_with_a_finished_model(world, tmp_path):
    first = Trainer(world, CONFIG, [phase(trunk_rate=0)], tmp_path / "first", bf16=False)
    write_model(first.averaged(), CONFIG, world.vocabulary, tmp_path / "model")
    second = Trainer(world, CONFIG, [phase()], tmp_path / "second", 99, False, tmp_path / "model")
    for name, weight in first.learner.program.named_parameters():
        halved = weight if name in FP32_PARAMETERS else weight.half().float()
        assert torch.equal(second.average.weights[name], halved), name
        assert torch.equal(second.learner.program.get_parameter(name), halved) and weight.requires_grad
    with torch.enable_grad():
        second.take_step()
    second.save()
    again = Trainer(world, CONFIG, [phase()], tmp_path / "second", 99, False, tmp_path / "model")
    assert again.total == 1, "a run that has begun goes on"


def test_the_mean_of_two_models(world, tmp_path):
    models = []
    for seed in (1, 2):
        run = Trainer(world, CONFIG, [phase()], tmp_path / f"run{seed}", seed, bf16=False)
        write_model(run.averaged(), CONFIG, world.vocabulary, tmp_path / f"model{seed}")
        models.append(tmp_path / f"model{seed}")
    found, config = mean_of(models)
    assert config == CONFIG
    first, second = (dict(mean_of([model])[0].named_parameters()) for model in models)
    for name, weight in found.named_parameters():
        assert torch.allclose(weight, (first[name] + second[name]) / 2), name
