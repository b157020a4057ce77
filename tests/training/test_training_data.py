"""Holes, crops and pairs: within their limits, and the same for the same step."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training.config import Crops, EdgeConnectConfig, Holes, Run, Segmentation, SegmenterConfig
from training.holes import make_hole
from training.pack import SQUARE_PX, pack_photos, pack_silhouettes
from training.pairs import IGNORED, LabelledBatches, Pair, find_pairs
from training.photos import Batches, Photos, batches_from, load_silhouettes
from training.teach import label_photo, teach, voc_numbers

from cleanplate.labels import VOC_LABELS
from cleanplate.types import Instance

pytestmark = pytest.mark.slow  # loads PyTorch

CONFIG = EdgeConnectConfig(
    run=Run(steps=4, batch=3, workers=0),
    crops=Crops(size_px=64, late_size_px=96, late_from=0.75),
    holes=Holes(late_most_share=0.6),
)


@given(seed=st.integers(0, 2**32), size=st.sampled_from([48, 64, 100]))
def test_holes_are_neither_too_small_nor_too_large(seed, size):
    circle = np.zeros((40, 40), np.uint8)
    cv2.circle(circle, (20, 20), 14, 1, -1)
    settings = Holes()
    hole = make_hole(np.random.default_rng(seed), size, settings, [circle > 0])
    again = make_hole(np.random.default_rng(seed), size, settings, [circle > 0])
    assert (hole.shape, hole.dtype) == ((size, size), np.bool_)
    assert settings.least_share <= hole.mean() <= settings.most_share
    np.testing.assert_array_equal(hole, again)


def test_holes_avoid_what_is_in_front(silhouettes):
    foreground = np.zeros((64, 64), np.float32)
    foreground[:, 32:] = 1
    settings = Holes(least_foreground=1.0)
    plain, avoiding = [], []
    for seed in range(60):
        for kept, given_ in ((plain, None), (avoiding, foreground)):
            rng = np.random.default_rng(seed)
            hole = make_hole(rng, 64, settings, silhouettes, foreground=given_)
            kept.append(foreground[hole].mean())
    assert np.mean(avoiding) < 0.6 * np.mean(plain)


def test_a_batch_is_a_function_of_its_step(photo_folder, silhouettes):
    batches = Batches(Photos([photo_folder]), silhouettes, CONFIG)
    first, again, other = batches[0], batches[0], batches[1]
    for one, two in zip(vars_of(first), vars_of(again), strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(first.rgb, other.rgb)
    assert first.rgb.shape == (3, 3, 64, 64)
    assert first.hole.shape == first.edges.shape == (3, 1, 64, 64)
    assert 0 <= first.rgb.min() <= first.rgb.max() <= 1
    assert set(first.hole.unique().tolist()) == set(first.edges.unique().tolist()) == {0.0, 1.0}
    assert batches[3].rgb.shape == (3, 3, 96, 96)


def vars_of(batch):
    return batch.rgb, batch.hole, batch.edges


def test_going_on_gives_the_batches_that_would_have_come(photo_folder, silhouettes):
    batches = Batches(Photos([photo_folder]), silhouettes, CONFIG)
    (last,) = list(batches_from(batches, 3, workers=0))
    assert torch.equal(last.rgb, batches[3].rgb)


def test_a_folder_without_photos_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no photos in"):
        Photos([tmp_path])


def test_a_folder_of_broken_photos_is_an_error(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no photo")
    with pytest.raises(ValueError, match="20 photos in a row cannot be read"):
        Batches(Photos([tmp_path]), [], CONFIG)[0]


# --- packs and teachers


class BoxSegmenter:
    """Sees a person in the left half of everything."""

    name, provider, labels = "box", "NumPy", ("person", "dragon")

    def segment(self, image, labels):
        height, width = image.shape[0], image.shape[1] // 2
        mask = np.ones((height, width), np.bool_)
        return [Instance(1, "person", 0.9, (0, 0, width, height), mask)]


def test_packed_photos_are_read_with_their_foreground(photo_folder, tmp_path):
    kept, foreground = pack_photos(Photos([photo_folder]), BoxSegmenter())
    assert kept.shape[1:] == (SQUARE_PX, SQUARE_PX, 3)
    assert len(kept) >= 4, "a long photo gives two squares"
    np.save(tmp_path / "photos.npy", kept)
    np.save(tmp_path / "foreground.npy", foreground)
    photos = Photos([tmp_path / "photos.npy"])
    photo, front = photos.read(0)
    np.testing.assert_array_equal(photo, kept[0])
    assert front[:, :30].mean() == 1
    assert front[:, 40:].mean() == 0
    assert Batches(photos, [], CONFIG)[0].rgb.shape == (3, 3, 64, 64)


def test_packed_outlines_are_read_back(photo_folder, tmp_path):
    outlines = pack_silhouettes(Photos([photo_folder]), BoxSegmenter())
    np.save(tmp_path / "s.npy", outlines)
    shapes = load_silhouettes(tmp_path / "s.npy")
    assert len(shapes) == 3
    assert all(shape.shape == (256, 256) and 0.05 < shape.mean() < 0.4 for shape in shapes)
    assert load_silhouettes(None) == []


def test_a_teacher_labels_what_it_is_sure_of(photo_folder, tmp_path):
    assert voc_numbers(BoxSegmenter()) == {"person": VOC_LABELS.index("person") + 1}
    assert teach([photo_folder], tmp_path, BoxSegmenter()) == 3
    assert teach([photo_folder], tmp_path, BoxSegmenter()) == 0, "done before"
    pairs = find_pairs(tmp_path)
    assert [pair.mask.stem for pair in pairs] == ["cat_cat", "coffee_coffee", "rocket_rocket"]
    photo, classes = pairs[0].read()
    assert photo.shape[:2] == classes.shape
    assert set(np.unique(classes)) == {0, 15, IGNORED}
    assert (classes[:, : photo.shape[1] // 2 - 4] == 15).all()


def test_what_a_teacher_doubts_is_ignored():
    class Doubtful(BoxSegmenter):
        def segment(self, image, labels):
            (one,) = super().segment(image, labels)
            return [Instance(1, one.label, 0.4, one.box_xyxy, one.mask)]

    classes = label_photo(np.zeros((20, 40, 3), np.uint8), Doubtful(), {"person": 15})
    assert set(np.unique(classes)) == {0, IGNORED}


@pytest.fixture
def pairs(tmp_path, cat) -> list[Pair]:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    classes = np.zeros(cat.shape[:2], np.uint8)
    classes[60:, 100:300] = 8
    cv2.imwrite(str(tmp_path / "images" / "a.jpg"), cat[..., ::-1])
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), classes)
    cv2.imwrite(str(tmp_path / "masks" / "lonely.png"), classes)
    return find_pairs(tmp_path)


def test_masks_of_more_than_8_bits_are_refused(pairs):
    cv2.imwrite(str(pairs[0].mask), np.full((10, 10), 300, np.uint16))
    with pytest.raises(ValueError, match=r"a\.png has pixels of uint16; give 8 bits"):
        pairs[0].read()


def test_labelled_batches_are_crops_with_their_classes(pairs):
    config = SegmenterConfig(
        run=Run(steps=2, batch=4, workers=0), segmentation=Segmentation(crop_px=64)
    )
    batches = LabelledBatches(pairs, [], config)
    batch = batches[0]
    assert batch.rgb.shape == (4, 3, 64, 64)
    assert batch.classes.shape == (4, 64, 64)
    assert set(batch.classes.unique().tolist()) <= {0, 8, IGNORED}
    assert 8 in batch.classes
    assert torch.equal(batch.rgb, batches[0].rgb)


def test_pairs_that_are_none_are_refused(pairs, tmp_path):
    with pytest.raises(ValueError, match="no pairs of images"):
        LabelledBatches([], [], SegmenterConfig())
    pairs[0].photo.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"a\.jpg cannot be read"):
        pairs[0].read()
