"""A tiny network for effects learns from made scenes, and runs in the package."""

import shutil

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from training.config import Effects, EffectsConfig, Run
from training.effects import EffectsTrainer, effects_loss
from training.export import export_effects
from training.pairs import IGNORED
from training.photos import Photos
from training.scenes import EffectsBatches, read_labelled
from training.unet import UNet

pytestmark = pytest.mark.slow  # loads PyTorch

TINY = EffectsConfig(
    run=Run(steps=60, batch=4, workers=0, precision="fp32"),
    effects=Effects(
        encoder="lcnet_035",
        decoder_widths=(16, 16, 8, 8, 8),
        size_px=64,
        decoder_rate=1e-2,
        encoder_rate=3e-3,
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make photos of a box on a lit floor, with its shadow on the right."""
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    for part in ("photos", "objects", "effects"):
        (folder / part).mkdir()
    for number in range(3):
        photo = np.full((120, 160, 3), 180, np.uint8)
        mask, cast = np.zeros((2, 120, 160), np.uint8)
        top, left = rng.integers(30, 50, 2)
        mask[top : top + 40, left : left + 25] = 255
        cast[top + 28 : top + 40, left + 25 : left + 65] = 255
        photo[cast > 0] //= 2
        photo[mask > 0] = (40, 40, 200)
        for part, pixels in (("photos", photo), ("objects", mask), ("effects", cast)):
            cv2.imwrite(str(folder / part / f"{number}.png"), pixels)
    return folder


@pytest.fixture(scope="module")
def batches(folder):
    return EffectsBatches(read_labelled(folder), Photos([folder / "photos"]), TINY)


@pytest.fixture
def trainer():
    torch.manual_seed(0)
    return EffectsTrainer(TINY, torch.device("cpu"), pretrained=False)


def test_a_batch_follows_from_seed_and_step(batches):
    one, same, other = batches[3], batches[3], batches[4]
    assert torch.equal(one.rgb_mask, same.rgb_mask)
    assert not torch.equal(one.rgb_mask, other.rgb_mask)
    assert one.rgb_mask.shape == (4, 4, 64, 64)
    assert one.rgb_mask.min() >= 0
    assert one.rgb_mask.max() <= 1
    assert set(one.effects.unique().tolist()) <= {0, 1, IGNORED}


def test_windows_show_objects_with_effects_and_without(batches):
    effects = torch.cat([batches[step].effects for step in range(12)])
    shown = (effects == 1).sum((1, 2)) > 0
    assert 0.2 < shown.float().mean() < 0.95
    masks = torch.cat([batches[step].rgb_mask[:, 3] for step in range(12)])
    assert (effects[masks > 0] == IGNORED).all()


def test_it_learns(batches, trainer):
    both = batches[0], batches[1]
    losses = [trainer.step(both[step % 2], step)["loss"] for step in range(30)]
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])


def test_what_was_trained_keeps_the_contract(trainer, tmp_path):
    path = tmp_path / "effects.onnx"
    assert export_effects(trainer.average, path) < 2e-2
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (effect,) = session.run(None, {"rgb_mask": np.zeros((2, 4, 64, 96), np.float32)})
    assert effect.shape == (2, 1, 64, 96)
    assert effect.min() >= 0
    assert effect.max() <= 1


def test_an_encoder_whose_padding_depends_on_the_size_is_exported(tmp_path):
    network = UNet("tf_efficientnet_lite0", (8, 8, 8, 8, 8), pretrained=False)
    assert export_effects(network, tmp_path / "effects.onnx") < 2e-2
    graph = onnx.load(tmp_path / "effects.onnx").graph
    assert not {"Pad", "BatchNormalization"} & {node.op_type for node in graph.node}


def test_pixels_that_do_not_count_change_no_loss():
    truth = torch.zeros(1, 16, 16, dtype=torch.long)
    truth[:, 4:8] = 1
    truth[:, 12:] = IGNORED
    logits = torch.where(truth == 1, 9.0, -9.0)
    right = effects_loss(logits, truth, 1.0)
    assert right < 0.01
    other = logits.clone()
    other[:, 12:] = 9.0
    assert torch.equal(effects_loss(other, truth, 1.0), right)
    other[:, :2] = 9.0
    assert effects_loss(other, truth, 1.0) > 1


def test_folders_that_do_not_fit_are_refused(folder, tmp_path):
    bad = shutil.copytree(folder, tmp_path / "bad")
    cv2.imwrite(str(bad / "effects" / "1.png"), np.zeros((5, 5), np.uint8))
    with pytest.raises(ValueError, match=r"1\.png.*one size"):
        read_labelled(bad)
    (bad / "photos" / "0.png").unlink()
    with pytest.raises(ValueError, match=r"0\.png"):
        read_labelled(bad)
