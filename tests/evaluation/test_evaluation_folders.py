"""Folders of clean plates are measured, whatever made them; what cannot be is reported."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cleanplate.errors import InputError
from cleanplate.evaluation.features import FeatureExtractor
from cleanplate.evaluation.folders import Sources, evaluate_folders
from cleanplate.evaluation.scoring import FillScorer
from cleanplate.evaluation.sheets import sheet_of, tiles_of, with_hole
from cleanplate.evaluation.summary import figures_of, mean_figures, table_lines


@pytest.fixture(scope="module")
def features() -> FeatureExtractor:
    return FeatureExtractor(device="cpu")


@pytest.fixture
def hole() -> np.ndarray:
    mask = np.zeros((128, 160), np.bool_)
    mask[36:92, 48:112] = True
    return mask


@pytest.fixture
def truth(gravel) -> np.ndarray:
    return np.ascontiguousarray(gravel[:128, :160])


@pytest.fixture
def folders(tmp_path, truth, hole) -> Path:
    """Make a red box on gravel, filled well, badly and not at all; the mask and the truth."""
    before = np.where(hole[..., None], np.uint8((200, 20, 20)), truth)
    grey = np.where(hole[..., None], np.uint8(truth.mean()), truth)
    pictures = {
        "photos": {"good": before, "bad": before, "same": before},
        "results": {"good": truth, "bad": grey, "same": before},
        "truth": {"good": truth, "bad": truth, "same": truth},
    }
    for folder, by_name in pictures.items():
        for name, picture in by_name.items():
            path = tmp_path / folder / "sub" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
    for name in ("good", "bad", "same"):
        mask = hole if name != "same" else np.zeros_like(hole)
        path = tmp_path / "masks" / "sub" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    return tmp_path


def evaluate(folder: Path, features, *parts: str, **options):
    sources = Sources(**{part: folder / part for part in ("results", *parts)})
    found = [one for one, _ in evaluate_folders(sources, features, **options)]
    return {one.name.removeprefix("sub/").removesuffix(".png"): one for one in found}


@pytest.mark.slow
def test_a_better_fill_scores_better_on_every_figure(folders, features):
    found = evaluate(folders, features, "masks", "truth")
    good, bad = (figures_of(found[name]) for name in ("good", "bad"))
    assert good["perceptual"] == 0 < bad["perceptual"]
    assert good["psnr_db"] > bad["psnr_db"]
    assert good["ssim"] == pytest.approx(1)
    assert bad["ssim"] < 0.5
    assert good["similarity"] > bad["similarity"] + 0.05
    assert bad["sharpness"] < 0.1
    assert good["sharpness"] > 0.8
    assert found["same"].mask_share == 0
    assert figures_of(found["same"]) == {}


@pytest.mark.slow
def test_without_masks_what_changed_is_the_hole(folders, features, hole):
    found = evaluate(folders, features, "photos")
    assert found["good"].mask_share == pytest.approx(hole.mean(), rel=0.15)
    assert found["same"].mask_share == 0
    assert found["good"].truth is None
    assert found["good"].no_reference is not None


def test_a_result_encoded_again_is_unchanged(folders, features):
    for path in (folders / "results" / "sub").glob("*.png"):
        with Image.open(folders / "photos" / "sub" / path.name) as before:
            before.save(path.with_suffix(".jpg"), quality=95, subsampling=0)
        path.unlink()
    found = evaluate(folders, features, "photos")
    assert {one.mask_share for one in found.values()} == {0.0}


@pytest.mark.slow
def test_what_is_still_there_is_found_again(folders, features, hole, fake_segmenter):
    box = np.zeros((*hole.shape, 3), np.uint8)
    box[hole] = (220, 0, 0)
    Image.fromarray(box).save(folders / "results" / "sub" / "bad.png")
    found = evaluate(
        folders, features, "masks", segmenter=fake_segmenter, labels=("person",), min_score=0.5
    )
    assert found["bad"].remaining == ("person",)
    assert found["bad"].remaining_share == pytest.approx(1, abs=0.05)
    assert (found["good"].remaining, found["good"].remaining_share) == ((), 0)


@pytest.mark.parametrize(
    ("break_it", "match"),
    [
        (lambda folder: (folder / "masks/sub/bad.png").unlink(), "bad.png.*it has no mask"),
        (lambda folder: (folder / "truth/sub/bad.png").unlink(), "bad.png: no such photo"),
        (
            lambda folder: Image.new("RGB", (9, 5)).save(folder / "truth/sub/bad.png"),
            "is 9 x 5 px, its result 160 x 128 px",
        ),
        (lambda folder: (folder / "results/sub/bad.png").write_bytes(b"x"), "bad.png"),
    ],
)
@pytest.mark.slow
def test_one_that_cannot_be_measured_is_reported_and_the_others_are(
    folders, features, break_it, match
):
    break_it(folders)
    found = evaluate(folders, features, "masks", "truth")
    assert found["good"].error is None
    error = found["bad"].error
    assert error is not None
    assert re.search(match, error)


def test_sources_that_say_too_little_are_refused(tmp_path, features):
    results = tmp_path / "results"
    with pytest.raises(InputError, match=r"--masks.*--photos"):
        list(evaluate_folders(Sources(results=results), features))
    with pytest.raises(InputError, match="results: no such folder"):
        list(evaluate_folders(Sources(results=results, masks=tmp_path), features))
    results.mkdir()
    with pytest.raises(InputError, match="results: contains no photos"):
        list(evaluate_folders(Sources(results=results, masks=tmp_path), features))


@pytest.mark.slow
def test_means_come_with_intervals(folders, features):
    found = list(evaluate(folders, features, "masks", "truth").values())
    means = mean_figures(found)
    mean, low, high = means["ssim"]
    assert low <= mean <= high
    assert mean == pytest.approx(
        np.mean([figures_of(one)["ssim"] for one in found if one.truth is not None])
    )
    lines = table_lines(found)
    assert len(lines) == 2 + len(means)
    assert any(line.startswith("| SSIM to the truth | ") for line in lines)
    assert "remaining_share" not in means


def test_without_truth_there_is_no_distance_to_it(truth, hole, features):
    scorer = FillScorer(hole, features)
    assert scorer.against_truth(truth) is None
    assert scorer.without_truth(truth).similarity > 0.8


def test_sheets_show_the_hole_and_its_surroundings(truth, hole):
    tiles = tiles_of({"a": truth, "hole": with_hole(truth, hole)}, hole, tile_px=120)
    assert tiles[0].shape == tiles[1].shape
    assert max(tiles[0].shape) <= 120 + 30
    assert np.count_nonzero((tiles[1] == 255).all(axis=2)) > 500
    sheet = sheet_of([tiles, tiles[:1]])
    assert sheet.shape == (2 * tiles[0].shape[0], 2 * tiles[0].shape[1], 3)
    whole = tiles_of({"a": truth}, np.zeros_like(hole), tile_px=130)[0]
    assert whole.shape[1] == 134


def test_names_with_brackets_and_files_beside_photos_are_found(folders, features):
    for path in (folders / "results/sub").glob("*.png"):
        path.rename(path.with_name(f"{path.stem} [1].png"))
    for path in (folders / "photos/sub").glob("*.png"):
        with Image.open(path) as before:
            before.save(path.with_name(f"{path.stem} [1].bmp"))
        path.with_name(f"{path.stem} [1].xmp").write_text("<x/>")
        path.unlink()
    assert {one.error for one in evaluate(folders, features, "photos").values()} == {None}
