"""A tiny network learns to divide touching objects, from boxes and class masks."""

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from training.components import ComponentBatches, read_components
from training.config import Instances, InstancesConfig, Run
from training.export import export_instances
from training.instances import InstancesTrainer, centre_loss, offset_loss

pytestmark = pytest.mark.slow  # loads PyTorch

TINY = InstancesConfig(
    run=Run(steps=60, batch=4, workers=0, precision="fp32"),
    instances=Instances(
        encoder="lcnet_035",
        decoder_widths=(16, 8),
        size_px=64,
        decoder_rate=1e-2,
        encoder_rate=3e-3,
    ),
)
CAT, PERSON = 8, 15


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make photos of a cat, of two that touch, and the same of people; and one without boxes."""
    folder = tmp_path_factory.mktemp("labelled")
    for part in ("images", "masks", "boxes"):
        (folder / part).mkdir()
    for number, label in ((CAT, "cat"), (PERSON, "person")):
        for count in (1, 2):
            name = f"{label}{count}"
            photo = np.full((80, 120, 3), 180, np.uint8)
            classes = np.zeros((80, 120), np.uint8)
            boxes = [(20, 10, 50, 70), (45, 15, 80, 70)][:count]
            for n, (left, top, right, bottom) in enumerate(boxes):
                photo[top:bottom, left:right] = (40, 200 * n, 200)
                classes[top:bottom, left:right] = number
            lines = "".join(f"{label} {' '.join(map(str, box))}\n" for box in boxes)
            cv2.imwrite(str(folder / "images" / f"{name}.png"), photo)
            cv2.imwrite(str(folder / "masks" / f"{name}.png"), classes)
            (folder / "boxes" / f"{name}.txt").write_text(lines)
    return folder


@pytest.fixture(scope="module")
def components(folder):
    return read_components(folder)


@pytest.fixture(scope="module")
def batches(components):
    return ComponentBatches(components, TINY)


@pytest.fixture
def trainer():
    torch.manual_seed(0)
    return InstancesTrainer(TINY, torch.device("cpu"), pretrained=False)


def test_a_pixel_in_one_box_is_that_objects_and_in_two_unknown(components):
    pair = next(it for it in components if it.photo.stem == "cat2")
    assert (pair.label, pair.boxes) == ("cat", ((20, 10, 50, 70), (45, 15, 80, 70)))
    assert [pair.numbers[40, x] for x in (10, 30, 47, 60)] == [0, 1, 255, 2]


def test_objects_without_a_box_are_not_learnt_from(folder, components, tmp_path):
    assert len(components) == 4
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    for part in ("images", "masks"):
        (tmp_path / part).symlink_to(folder / part)
    for path in (folder / "boxes").iterdir():
        (boxes / path.name).write_text(path.read_text().splitlines()[0])
    assert sorted(it.photo.stem for it in read_components(tmp_path)) == ["cat1", "person1"]


def test_a_batch_follows_from_seed_and_step(batches):
    one, same, other = batches[3], batches[3], batches[4]
    assert torch.equal(one.rgb_mask, same.rgb_mask)
    assert not torch.equal(one.rgb_mask, other.rgb_mask)
    assert one.rgb_mask.shape == (4, 4, 64, 64)
    assert one.heat.shape == (4, 16, 16)
    assert one.rgb_mask.min() >= 0
    assert one.rgb_mask.max() <= 1


def test_groups_are_shown_and_single_objects(batches):
    shown = torch.cat([batches[step].candidates for step in range(12)])
    counts = shown.any(3).any(2).sum(1)
    assert {1, 2} <= set(counts.tolist())
    assert counts.max() > 2


def test_it_learns(batches, trainer):
    both = batches[0], batches[1]
    losses = [trainer.step(both[step % 2], step)["loss"] for step in range(30)]
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])


def test_what_was_trained_keeps_the_contract(trainer, tmp_path):
    path = tmp_path / "instances.onnx"
    assert export_instances(trainer.average, path) < 2e-2
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"rgb_mask": np.zeros((2, 4, 64, 96), np.float32)})
    assert output.shape == (2, 3, 16, 24)
    assert 0 <= output[:, 0].min() <= output[:, 0].max() <= 1


def test_a_cell_of_two_boxes_may_point_to_either_centre():
    centres = torch.tensor([[[0.125, 0.5], [0.875, 0.5]]])
    candidates = torch.ones(1, 2, 1, 4, dtype=torch.bool)
    candidates[0, :, :, 3] = False  # of no object
    votes = torch.tensor([0.125, 0.875, 0.125, 0.4])
    offsets = torch.stack([votes - torch.tensor([0.125, 0.375, 0.625, 0.875]), torch.zeros(4)])
    assert offset_loss(offsets[None, :, None], centres, candidates) < 1e-6
    candidates[0, 1] = False
    assert offset_loss(offsets[None, :, None], centres, candidates) > 0.01


def test_the_cell_of_a_centre_counts_and_those_near_it_hardly():
    heat = torch.tensor([[[1.0, 0.8, 0.0]]])
    right = centre_loss(torch.tensor([[[0.99, 0.5, 0.01]]]), heat)
    assert right < 0.01
    assert centre_loss(torch.tensor([[[0.3, 0.5, 0.01]]]), heat) > 0.3
    assert centre_loss(torch.tensor([[[0.99, 0.5, 0.7]]]), heat) > 0.3
