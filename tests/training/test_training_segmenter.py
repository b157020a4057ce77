"""A tiny DeepLabV3+ learns, goes on exactly where it was stopped, and runs in the package."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from training.checkpoints import load_checkpoint, restore
from training.config import Run, Segmentation, SegmenterConfig, from_dict
from training.export import export_segmenter
from training.loop import train
from training.pairs import LabelledBatches, find_pairs
from training.segmenter import (
    SegmenterTrainer,
    hardest_cross_entropy,
    intersection_over_union,
)

from cleanplate.hub.install import import_model
from cleanplate.segmentation import create_segmenter

pytestmark = pytest.mark.slow  # loads PyTorch

TINY = SegmenterConfig(
    run=Run(steps=4, batch=2, workers=0, precision="fp32", checkpoint_every=2, log_every=100),
    segmentation=Segmentation(
        encoder="mobilenetv3_small_050", decoder_width=16, crop_px=64, decoder_rate=1e-2
    ),
)


@pytest.fixture(scope="module")
def batches(tmp_path_factory) -> LabelledBatches:
    """Make photos with a bright square of class 15 on dark noise."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for number in range(3):
        photo = rng.integers(0, 60, (80, 96, 3)).astype(np.uint8)
        classes = np.zeros((80, 96), np.uint8)
        top, left = rng.integers(5, 30, 2)
        photo[top : top + 40, left : left + 40] += 170
        classes[top : top + 40, left : left + 40] = 15
        cv2.imwrite(str(folder / "images" / f"{number}.png"), photo)
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), classes)
    return LabelledBatches(find_pairs(folder), [], TINY)


def trainer_for(config: SegmenterConfig) -> SegmenterTrainer:
    torch.manual_seed(0)
    return SegmenterTrainer(config, torch.device("cpu"), pretrained=False)


def test_it_learns(batches):
    trainer = trainer_for(replace(TINY, run=replace(TINY.run, steps=80)))
    both = batches[0], batches[1]
    losses = [trainer.step(both[step % 2], step)["loss"] for step in range(36)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_a_run_goes_on_exactly_where_it_was_stopped(batches, tmp_path):
    whole = trainer_for(TINY)
    assert train(whole, batches, tmp_path / "whole") == 4
    begun = trainer_for(TINY)
    train(begun, batches, tmp_path / "cut", stop=2)
    content = load_checkpoint(tmp_path / "cut" / "checkpoint.pt", torch.device("cpu"))
    torch.manual_seed(99)
    resumed = SegmenterTrainer(
        from_dict(SegmenterConfig, content["config"]), torch.device("cpu"), pretrained=False
    )
    step = restore(content, resumed.parts)
    assert (step, train(resumed, batches, tmp_path / "cut", start=step)) == (2, 4)
    for key, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[key]), key
    for key, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[key]), key


def test_what_was_trained_runs_in_the_package(tmp_path, cat):
    trainer = trainer_for(TINY)
    path = tmp_path / "deeplabv3plus.onnx"
    assert export_segmenter(trainer.average, path) < 2e-2
    import_model("deeplabv3plus.own", [path])
    segmenter = create_segmenter("deeplabv3plus.own", device="cpu")
    found = segmenter.segment(cat[:96, :128], segmenter.labels)
    assert all(instance.label in segmenter.labels for instance in found)


def test_only_the_hardest_pixels_count():
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 0, 0, 0] = 9  # right and sure
    logits[0, 1, 1, 1] = 9  # wrong and sure
    classes = torch.zeros(1, 2, 2, dtype=torch.long)
    assert hardest_cross_entropy(logits, classes, 0.25) == pytest.approx(9, abs=0.01)
    assert hardest_cross_entropy(logits, classes, 1.0) == pytest.approx(
        (9 + 2 * np.log(2)) / 4, abs=0.01
    )
    ignored = torch.full_like(classes, 255)
    assert hardest_cross_entropy(logits, ignored, 0.5) == 0


def test_intersection_over_union_counts_what_is_shown(batches):
    class Oracle(torch.nn.Module):
        """Knows that class 15 is bright."""

        def forward(self, rgb):
            logits = torch.zeros(1, 21, *rgb.shape[2:])
            bright = rgb.mean(1, keepdim=True)[:, 0] > 0.4
            logits[:, 15][bright] = 9
            logits[:, 0][~bright] = 9
            return logits

    pairs = batches._labelled
    each = intersection_over_union(Oracle(), pairs, 21, torch.device("cpu"))
    assert each[15] > 0.9
    assert each[0] > 0.95
    assert np.isnan(each[7])
