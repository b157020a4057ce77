"""A tiny EdgeConnect learns, goes on exactly where it was stopped, and runs in the package."""

import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training.checkpoints import load_checkpoint, restore
from training.config import (
    Crops,
    Discriminators,
    EdgeConnectConfig,
    Edges,
    Fill,
    Optimiser,
    Run,
    as_dict,
    from_dict,
)
from training.edgeconnect import Trainer, edge_input, fill_input
from training.export import export_edgeconnect, load_generator
from training.loop import train
from training.networks import Discriminator, Generator, edges_of
from training.photos import Batches, Photos
from training.sheets import write_sheet

from cleanplate.hub.install import import_model
from cleanplate.inpainting.models.edgeconnect import EdgeConnectInpainter
from training import losses

pytestmark = pytest.mark.slow  # loads PyTorch

TINY = EdgeConnectConfig(
    run=Run(
        steps=6, batch=2, workers=0, precision="fp32", compile=False,
        sample_every=100, checkpoint_every=3, log_every=100,
    ),
    optimiser=Optimiser(rate=2e-3, warm_up_steps=1, fall_share=0.01),
    crops=Crops(size_px=64, late_size_px=64),
    edges=Edges(width=8, dilations=(2, 1)),
    fill=Fill(width=8, dilations=(2, 1)),
    discriminators=Discriminators(edge_width=8, fill_width=8, penalty_every=2),
)  # fmt: skip


class TinyFeatures(torch.nn.Module):
    """Averages in place of a classification network."""

    def forward(self, rgb):
        return [torch.nn.functional.avg_pool2d(rgb, size) for size in (2, 4)]


@pytest.fixture
def batches(photo_folder, silhouettes) -> Batches:
    return Batches(Photos([photo_folder]), silhouettes, TINY)


def trainer_for(config: EdgeConnectConfig) -> Trainer:
    torch.manual_seed(0)
    return Trainer(config, torch.device("cpu"), TinyFeatures())


@pytest.mark.parametrize("sees_mask", [False, True])
def test_inputs_are_what_the_package_feeds(batches, sees_mask):
    batch = batches[0]
    planes = edge_input(batch)
    inside = batch.hole[:, 0] > 0
    assert planes.shape == (2, 3, 64, 64)
    assert (planes[:, 0][inside] == 1).all()
    assert (planes[:, 1][inside] == 0).all()
    assert torch.equal(planes[:, 2], batch.hole[:, 0])
    planes = fill_input(batch, batch.edges, sees_mask)
    assert planes.shape == (2, 5 if sees_mask else 4, 64, 64)
    assert (planes[:, :3].permute(0, 2, 3, 1)[inside] == 1).all()


def test_losses_fall_on_one_batch(batches):
    trainer = trainer_for(replace(TINY, run=replace(TINY.run, steps=60)))
    batch = batches[0]
    reported = [trainer.step(batch, step) for step in range(36)]
    for name in ("edge_all", "known"):
        first, last = (
            np.mean([one[name] for one in part]) for part in (reported[:3], reported[-3:])
        )
        assert last < 0.8 * first, name
    assert all(np.isfinite(value) for one in reported for value in one.values())


@pytest.mark.parametrize("networks", ["both", "edges", "fill"])
def test_only_the_named_networks_are_trained(batches, networks):
    trainer = trainer_for(replace(TINY, networks=networks))
    before = {name: net.state_dict()["encoder.0.weight"].clone() for name, net in
              trainer.networks.items() if name in ("edges", "fill")}  # fmt: skip
    for step in range(2):
        trainer.step(batches[0], step)
    for name, weight in before.items():
        changed = not torch.equal(weight, trainer.networks[name].state_dict()["encoder.0.weight"])
        assert changed == (networks in ("both", name)), name


def test_a_run_goes_on_exactly_where_it_was_stopped(batches, tmp_path):
    whole = trainer_for(TINY)

    def show(path: Path) -> None:
        write_sheet(path, whole, batches[0])

    assert train(whole, batches, tmp_path / "whole", show=show) == 6
    begun = trainer_for(TINY)
    assert train(begun, batches, tmp_path / "cut", stop=3) == 3
    content = load_checkpoint(tmp_path / "cut" / "checkpoint.pt", torch.device("cpu"))
    config = from_dict(EdgeConnectConfig, content["config"])
    assert config == TINY
    torch.manual_seed(99)
    resumed = Trainer(config, torch.device("cpu"), TinyFeatures())
    step = restore(content, resumed.parts)
    assert step == 3
    assert train(resumed, batches, tmp_path / "cut", start=step) == 6
    for name, network in whole.networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, resumed.networks[name].state_dict()[key]), (name, key)
    for name, average in whole.averages.items():
        for key, value in average.state_dict().items():
            assert torch.equal(value, resumed.averages[name].state_dict()[key]), (name, key)
    assert (tmp_path / "whole" / "sample_000006.jpg").stat().st_size > 1000
    assert list((tmp_path / "whole" / "logs").iterdir())


@pytest.mark.parametrize("sees_mask", [False, True])
def test_what_was_trained_runs_in_the_package(tmp_path, cat, sees_mask):
    config = replace(TINY, fill=replace(TINY.fill, sees_mask=sees_mask))
    trainer = trainer_for(config)
    differences = export_edgeconnect(trainer.averages, sees_mask, tmp_path)
    assert max(differences.values()) < 1e-2
    files = [tmp_path / f"edgeconnect_{role}.onnx" for role in ("edges", "fill")]
    import_model("edgeconnect.own", files)
    inpainter = EdgeConnectInpainter("edgeconnect.own", device="cpu")
    mask = np.zeros(cat.shape[:2], np.bool_)
    mask[100:160, 120:200] = True
    filled = inpainter.inpaint(cat, mask)
    np.testing.assert_array_equal(filled[~mask], cat[~mask])
    assert (filled[mask] != cat[mask]).any()

    again = Generator(5 if sees_mask else 4, 3, 8, (2, 1))
    load_generator(again, files[1])
    planes = torch.rand(1, 5 if sees_mask else 4, 64, 64)
    with torch.no_grad():
        apart = (again(planes) - trainer.averages["fill"](planes)).abs().max()
    assert apart < 2e-2


def test_a_generator_that_sees_the_mask_starts_from_one_that_did_not(tmp_path):
    old = Generator(4, 3, 8, (1,))
    trainer_free = {"edges": Generator(3, 1, 8, (1,)), "fill": old}
    export_edgeconnect(trainer_free, False, tmp_path)
    new = Generator(5, 3, 8, (1,))
    load_generator(new, tmp_path / "edgeconnect_fill.onnx")
    planes = torch.rand(1, 5, 32, 32)
    with torch.no_grad():
        assert (new(planes) - old(planes[:, :4])).abs().max() < 2e-2
    with pytest.raises(ValueError, match="is not of this architecture"):
        load_generator(Generator(4, 3, 16, (1,)), tmp_path / "edgeconnect_fill.onnx")


def test_networks_must_be_known():
    with pytest.raises(ValueError, match="networks must be both, edges or fill, got 'all'"):
        trainer_for(replace(TINY, networks="all"))


# --- losses


def test_a_discriminator_is_content_when_it_is_right():
    touched = torch.tensor([[[[1.0, 0.0]]]])
    right = losses.hinge_discriminator(
        torch.full((1, 1, 1, 2), 2.0), torch.tensor([[[[-2.0, 2.0]]]]), touched
    )
    wrong = losses.hinge_discriminator(
        torch.full((1, 1, 1, 2), -1.0), torch.tensor([[[[1.0, -1.0]]]]), touched
    )
    assert right == 0
    assert wrong == 2 + 2 + 0.5 * 2


def test_only_patches_that_touch_the_hole_count_for_the_generator():
    touched = torch.tensor([[[[1.0, 0.0]]]])
    assert losses.hinge_generator(torch.tensor([[[[3.0, 100.0]]]]), touched) == -3
    hole = torch.zeros(1, 1, 8, 8)
    hole[..., 0, 0] = 1
    assert losses.touched_patches(hole, (2, 2)).tolist() == [[[[1, 0], [0, 0]]]]


def test_balance_makes_edges_count():
    edges = torch.zeros(1, 1, 10, 10)
    edges[..., :5] = torch.eye(10)[:, :5]
    hole = torch.ones_like(edges)
    none_drawn = torch.full_like(edges, -6.0)
    plain, _ = losses.edge_cross_entropy(none_drawn, edges, hole, 0.0)
    balanced, _ = losses.edge_cross_entropy(none_drawn, edges, hole, 1.0)
    assert balanced > 5 * plain


def test_penalty_is_the_squared_gradient():
    class Linear(torch.nn.Module):
        def forward(self, x):
            return 3 * x, []

    real = torch.rand(2, 1, 4, 4)
    assert losses.gradient_penalty(Linear(), real) == pytest.approx(9 * 16)


def test_equal_features_are_at_no_distance():
    maps = [torch.rand(1, 4, 8, 8), torch.rand(1, 2, 4, 4)]
    for loss in (losses.matching, losses.perceptual, losses.style):
        assert loss(maps, maps) == 0
        assert loss(maps, [one + 1 for one in maps]) > 0


def test_networks_have_their_shapes():
    generator = Generator(3, 1, 8, (2, 4))
    assert generator(torch.rand(2, 3, 32, 48)).shape == (2, 1, 32, 48)
    drawn = edges_of(generator(torch.rand(1, 3, 32, 32)))
    assert 0 <= drawn.min() <= drawn.max() <= 1
    logits, maps = Discriminator(3, 8)(torch.rand(2, 3, 64, 64))
    assert logits.shape[:2] == (2, 1)
    assert len(maps) == 4


# --- the command


def test_the_command_trains_exports_and_writes_a_card(photo_folder, tmp_path, monkeypatch, capsys):
    config = tmp_path / "tiny.toml"
    config.write_text(
        "[run]\nsteps = 2\nbatch = 1\nworkers = 0\nprecision = 'fp32'\ncompile = false\n"
        "[crops]\nsize_px = 64\nlate_size_px = 64\n[edges]\nwidth = 4\ndilations = [1]\n"
        "[fill]\nwidth = 4\ndilations = [1]\n[discriminators]\nedge_width = 4\nfill_width = 4\n"
    )
    words = ["", "--config", config, "--photos", photo_folder, "--output", tmp_path / "run"]
    monkeypatch.setattr(sys, "argv", [str(word) for word in (*words, "--device", "cpu")])
    monkeypatch.delitem(sys.modules, "training.edgeconnect")
    with np.errstate():
        runpy.run_module("training.edgeconnect", run_name="__main__")
    assert "4 photos, from step 0 to 2 on cpu" in capsys.readouterr().out
    card = (tmp_path / "run" / "card.md").read_text()
    assert "| `edgeconnect_fill.onnx` | " in card
    assert "| steps | 2 |" in card
    assert as_dict(TINY)["networks"] in card
