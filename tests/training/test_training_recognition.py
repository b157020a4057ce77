"""Candidates are collected from labelled photos; a tiny network learns to recognize objects."""

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from training.candidates import candidates_of, main, true_objects
from training.config import Recognition, RecognitionConfig, Run
from training.export import export_recognition
from training.recognition import RecognitionTrainer, WindowBatches, read_windows

pytestmark = pytest.mark.slow  # loads PyTorch

TINY = RecognitionConfig(
    run=Run(steps=60, batch=8, workers=0, precision="fp32"),
    recognition=Recognition(
        encoder="lcnet_035", size_px=64, encoder_rate=3e-3, decoder_rate=1e-2, held=2
    ),
)
CAT, DOG = 8, 12


class SeesRed:
    """A segmenter that takes red for cats."""

    def probabilities(self, part, size_hw):
        seen = cv2.resize(part, size_hw[::-1], interpolation=cv2.INTER_NEAREST)
        cells = np.zeros((21, *size_hw), np.float32)
        red = (seen[..., 0] > 150) & (seen[..., 1] < 100)
        cells[0], cells[CAT] = np.where(red, (0.5,), 0.9), np.where(red, 0.5, 0.0)
        return cells


def photo_with(*boxes):
    """Return a grey photo with red boxes, and its classes: a cat, then a dog."""
    photo = np.full((240, 300, 3), 128, np.uint8)
    classes = np.zeros((240, 300), np.uint8)
    for number, (left, top, right, bottom) in zip((CAT, DOG), boxes, strict=False):
        photo[top:bottom, left:right] = (200, 20, 20)
        classes[top:bottom, left:right] = number
    return photo, classes


def test_a_candidate_has_the_class_of_most_of_it():
    photo, classes = photo_with((20, 20, 80, 90), (180, 100, 260, 200))
    photo[200:230, 20:60] = (200, 20, 20)
    found = list(candidates_of(photo, classes, SeesRed(), np.random.default_rng(0)))
    assert all(one.found == CAT for one in found)
    assert {one.true for one in found} == {0, CAT, DOG}
    for one in found:
        left, top, right, bottom = one.box_xyxy
        assert one.mask[top:bottom, left:right].any()
        assert one.mask.sum() == one.mask[top:bottom, left:right].sum()


def test_what_is_unlabelled_is_no_candidate():
    photo, classes = photo_with((20, 20, 80, 90))
    classes[classes == CAT] = 255
    assert not list(candidates_of(photo, classes, SeesRed(), np.random.default_rng(0)))
    assert not list(true_objects(classes))


def test_true_objects_come_from_the_mask():
    _, classes = photo_with((20, 20, 80, 90), (180, 100, 260, 200))
    assert [(one.true, one.box_xyxy) for one in true_objects(classes)] == [
        (CAT, (20, 20, 80, 90)),
        (DOG, (180, 100, 260, 200)),
    ]


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    """Write candidates as the command does; dogs are red too, and taken for cats."""
    labelled, output = tmp_path_factory.mktemp("labelled"), tmp_path_factory.mktemp("candidates")
    for folder in ("images", "masks"):
        (labelled / folder).mkdir()
    for index in range(6):
        photo, classes = photo_with((20, 20, 80, 90), (180, 100, 260, 200))
        photo[100:200, 180:260] = photo[100:200, 180:260] - 5 * index
        cv2.imwrite(str(labelled / f"images/{index}.png"), photo[..., ::-1])
        cv2.imwrite(str(labelled / f"masks/{index}.png"), classes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.candidates.SemanticSegmenter", SeesRed)
        patch.setattr("training.candidates.create_segmenter", lambda _: SeesRed())
        patch.setattr(
            "sys.argv", ["x", "--labelled", str(labelled), "--output", str(output / "made")]
        )
        main()
    return list(read_windows(output / "made"))


def test_windows_are_read_as_they_were_written(windows):
    assert {one.true for one in windows} >= {CAT, DOG}
    assert {one.found for one in windows} == {0, CAT}
    rgb, mask = next(one for one in windows if one.found == 0 and one.true == CAT).read()
    assert rgb.shape == (192, 192, 3)
    assert (mask > 0.5).any()
    assert abs(rgb[mask > 0.99].mean(axis=0) - (200, 20, 20)).max() < 8


def test_a_batch_follows_from_seed_and_step(windows):
    batches = WindowBatches(windows, TINY)
    one, same, other = batches[3], batches[3], batches[4]
    assert torch.equal(one.rgb_mask, same.rgb_mask)
    assert not torch.equal(one.rgb_mask, other.rgb_mask)
    assert one.rgb_mask.shape == (8, 4, 64, 64)
    assert one.rgb_mask.min() >= 0
    assert one.rgb_mask.max() <= 1
    assert one.classes.shape == (8,)


def test_each_kind_of_candidate_is_needed(windows):
    for found in ({0}, {CAT}):
        with pytest.raises(ValueError, match="candidate"):
            WindowBatches([it for it in windows if it.found in found], TINY)


def test_it_learns_and_keeps_the_contract(windows, tmp_path):
    torch.manual_seed(0)
    trainer = RecognitionTrainer(TINY, torch.device("cpu"), pretrained=False)
    held = [p.clone() for p in trainer.network.encoder.conv_stem.parameters()]
    batches = WindowBatches(windows, TINY)
    both = batches[0], batches[1]
    losses = [trainer.step(both[step % 2], step)["loss"] for step in range(30)]
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    for before, after in zip(held, trainer.network.encoder.conv_stem.parameters(), strict=True):
        assert torch.equal(before, after)
    path = tmp_path / "objects.onnx"
    assert export_recognition(trainer.average, path) < 2e-2
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"rgb_mask": both[0].rgb_mask.numpy()})
    expected = trainer.average(both[0].rgb_mask)
    assert output.shape == expected.shape == (8, 21)
    np.testing.assert_allclose(output, expected.numpy(), atol=0.05)
