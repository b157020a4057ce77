"""What may be an effect is proposed as parts, judged, and becomes data to train on."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from training.config import Effects, EffectsConfig, Run
from training.pairs import IGNORED
from training.photos import Photos
from training.scenes import UNKNOWN, EffectsBatches, read_labelled

from training import judging

pytestmark = pytest.mark.slow  # loads PyTorch

BOX, SHADOW, DARK = np.s_[40:80, 60:90], np.s_[68:80, 90:130], np.s_[20:40, 20:50]


@pytest.fixture
def labelled(tmp_path):
    """Make a photo of a box with a shadow, and a dark patch that is none."""
    photo, classes = np.full((120, 160, 3), 180, np.uint8), np.zeros((120, 160), np.uint8)
    classes[BOX] = 7
    photo[SHADOW] = photo[DARK] = 70
    photo[BOX] = (40, 40, 200)
    for folder, pixels in (("images", photo), ("masks", classes)):
        (tmp_path / "labelled" / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "labelled" / folder / "0.png"), pixels)
    return tmp_path / "labelled"


@pytest.fixture
def darkness(monkeypatch):
    """Put what takes dark grey for a shadow in place of the network; the patch is less sure."""

    def look(image, mask, box):
        probability = (image.max(axis=2) < 100).astype(np.float32) * 0.9
        probability[DARK] *= 0.2
        return np.s_[:, :], probability

    monkeypatch.setattr(judging, "EffectsDetector", lambda: SimpleNamespace(look=look))


def test_parts_are_numbered_from_the_likely_to_the_doubtful():
    mask, probability = np.zeros((120, 160), bool), np.zeros((120, 160), np.float32)
    mask[BOX] = True
    probability[SHADOW], probability[DARK], probability[100:103, 10:13] = 0.9, 0.2, 0.9
    probability[60:68, 90:100] = 0.2  # around the shadow, and joined to it
    parts = judging.parts_of(probability, mask)
    assert set(np.unique(parts)) == {0, 1, 2}, "three px are no part"
    assert (parts[SHADOW] == 1).all()
    assert (parts[30, 25:45] == 2).all()
    assert not parts[mask].any()


def test_what_was_judged_can_be_trained_on(labelled, darkness, tmp_path):
    parts = tmp_path / "parts"
    assert judging.propose([labelled], parts) == 1
    (sheet,) = (parts / "sheets").glob("*.png")
    assert len(np.unique(cv2.imread(str(sheet)).reshape(-1, 3), axis=0)) > 4
    (parts / "judged.txt").write_text("0 | 1 | | \n")
    assert judging.collect(parts, tmp_path / "some") == 1
    (one,) = read_labelled(tmp_path / "some")
    assert one.effects[SHADOW].all()
    assert not one.effects[DARK].any()
    assert not one.known[DARK].any(), "not judged"
    assert not one.known[:10].any(), "there may be more"
    (parts / "judged.txt").write_text("00000 | 1 | 2 | all\n")
    judging.collect(parts, tmp_path / "all")
    (one,) = read_labelled(tmp_path / "all")
    assert one.known.all()
    assert one.effects.sum() == one.effects[SHADOW].sum()


@pytest.mark.parametrize(
    "line", ["0 | 1 | 2", "0 | one | | all", "0 | 1 | 2 | some", "x | | | all"]
)
def test_a_line_that_says_something_else_is_named(labelled, darkness, tmp_path, line):
    judging.propose([labelled], tmp_path / "parts")
    (tmp_path / "parts" / "judged.txt").write_text(f"0 | | | all\n{line}\n")
    with pytest.raises(ValueError, match=r"judged\.txt, line 2"):
        judging.collect(tmp_path / "parts", tmp_path / "out")


def test_unknown_pixels_count_for_nothing(labelled, darkness, tmp_path):
    judging.propose([labelled], tmp_path / "parts")
    (tmp_path / "parts" / "judged.txt").write_text("0 | | | ")
    judging.collect(tmp_path / "parts", tmp_path / "out")
    config = EffectsConfig(
        run=Run(steps=4, batch=2, workers=0), effects=Effects(size_px=64, labelled_share=1)
    )
    batches = EffectsBatches(
        read_labelled(tmp_path / "out"), Photos([tmp_path / "out" / "photos"]), config
    )
    assert (batches[0].effects == IGNORED).all()
    assert cv2.imread(str(tmp_path / "out/effects/00000.png"), 0).max() == UNKNOWN
