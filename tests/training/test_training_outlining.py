"""What a segmenter finds is collected; a tiny network learns what it missed of an object."""

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from training.config import Outlines, OutlinesConfig, Run
from training.export import export_outlines
from training.found import UNKNOWN, collect, objects_of
from training.outlining import OutlineBatches, OutlinesTrainer, outline_loss, read_found

pytestmark = pytest.mark.slow  # loads PyTorch

TINY = OutlinesConfig(
    run=Run(steps=60, batch=4, workers=0, precision="fp32"),
    outlines=Outlines(
        encoder="lcnet_035",
        decoder_widths=(24, 16, 8),
        size_px=64,
        encoder_rate=3e-3,
        decoder_rate=1e-2,
    ),
)
CAT = 8


class SeesTheUpperHalf:
    """A segmenter that sees the upper half of each red box as a cat."""

    def probabilities(self, part, size_hw):
        upper = part[: len(part) * 6 // 10]
        seen = np.zeros(part.shape[:2], np.float32)
        seen[: len(upper)] = (upper[..., 0] > 90) & (upper[..., 1] < 60)
        cells = np.zeros((21, *size_hw), np.float32)
        cells[CAT] = 0.9 * cv2.resize(seen, size_hw[::-1], interpolation=cv2.INTER_AREA)
        cells[0] = 1 - cells[CAT]
        return cells


def photo_with(*boxes):
    """Return a grey photo with red boxes, and its classes: cats."""
    photo = np.full((200, 260, 3), 128, np.uint8)
    classes = np.zeros((200, 260), np.uint8)
    for left, top, right, bottom in boxes:
        photo[top:bottom, left:right] = (200, 20, 20)
        classes[top:bottom, left:right] = CAT
    return photo, classes


def test_each_object_comes_with_what_was_found_of_it():
    photo, classes = photo_with((60, 40, 120, 160))
    found = list(objects_of(photo, classes, SeesTheUpperHalf(), np.random.default_rng(0)))
    assert len(found) == 2  # of two passes
    for one in found:
        assert (one.truth == (classes == CAT)).all()
        assert 0.5 < (one.found & one.truth).sum() / one.truth.sum() < 0.8


def test_what_no_pass_finds_is_shown_complete():
    photo, classes = photo_with((60, 130, 120, 195))
    (one,) = objects_of(photo, classes, SeesTheUpperHalf(), np.random.default_rng(0))
    assert (one.found == one.truth).all()
    assert (one.truth == (classes == CAT)).all()


def test_small_objects_and_unlabelled_ones_are_left_out():
    photo, classes = photo_with((60, 40, 85, 65), (120, 40, 180, 100))
    classes[:, 110:] = np.where(classes[:, 110:] == CAT, 255, classes[:, 110:])
    assert not list(objects_of(photo, classes, SeesTheUpperHalf(), np.random.default_rng(0)))


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    labelled, output = tmp_path_factory.mktemp("labelled"), tmp_path_factory.mktemp("out") / "found"
    for folder in ("images", "masks"):
        (labelled / folder).mkdir()
    for index in range(4):
        photo, classes = photo_with((60 + 9 * index, 40, 120 + 9 * index, 160))
        classes[30:40, 60:120] = 255
        cv2.imwrite(str(labelled / f"images/{index}.png"), photo[..., ::-1])
        cv2.imwrite(str(labelled / f"masks/{index}.png"), classes)
    count = collect([labelled], SeesTheUpperHalf(), output)
    objects = read_found(output)
    assert len(objects) == count
    return objects


def test_what_is_written_is_read(objects):
    rgb, truth, found = objects[0].read()
    assert rgb.shape[:2] == truth.shape == found.shape
    assert set(np.unique(truth)) == {0, 1, UNKNOWN}
    assert np.abs(rgb[truth == 1].mean(axis=0) - (200, 20, 20)).max() < 8
    assert found[truth == 1].mean() > 0.5


def test_a_batch_follows_from_seed_and_step(objects):
    batches = OutlineBatches(objects, TINY)
    one, same, other = batches[3], batches[3], batches[4]
    assert torch.equal(one.rgb_mask, same.rgb_mask)
    assert not torch.equal(one.rgb_mask, other.rgb_mask)
    assert one.rgb_mask.shape == (4, 4, 64, 64)
    assert one.truth.shape == one.known.shape == (4, 32, 32)
    assert one.rgb_mask.min() >= 0
    assert one.rgb_mask.max() <= 1
    assert set(one.rgb_mask[:, 3].unique().tolist()) == {0, 1}
    assert one.truth.any(2).any(1).all()


def test_no_objects_are_an_error():
    with pytest.raises(ValueError, match=r"training\.found"):
        OutlineBatches([], TINY)


def test_what_is_unknown_counts_for_nothing():
    truth, known = torch.zeros(1, 12, 12), torch.ones(1, 12, 12)
    known[:, :, 6:] = 0
    right = torch.full((1, 12, 12), -9.0)
    wrong_beyond = right.clone()
    wrong_beyond[:, :, 6:] = 9
    same = outline_loss(right, truth, known, truth, 0.5)
    assert torch.allclose(outline_loss(wrong_beyond, truth, known, truth, 0.5), same)
    assert outline_loss(-right, truth, known, truth, 0.5) > same + 1


def test_it_learns_and_keeps_the_contract(objects, tmp_path):
    torch.manual_seed(0)
    trainer = OutlinesTrainer(TINY, torch.device("cpu"), pretrained=False)
    batches = OutlineBatches(objects, TINY)
    both = batches[0], batches[1]
    losses = [trainer.step(both[step % 2], step)["loss"] for step in range(30)]
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    path = tmp_path / "outlines.onnx"
    assert export_outlines(trainer.average, path) < 2e-2
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"rgb_mask": np.zeros((2, 4, 64, 96), np.float32)})
    assert output.shape == (2, 1, 32, 48)
    assert 0 <= output.min() <= output.max() <= 1
