"""Photos by `--preset published`, with networks that say what the photo's colours say."""

import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cleanplate.batch import Job, MaskFiles, Published, plan_photos
from cleanplate.batch.execution.steps import process_photo
from cleanplate.batch.records.settings import describe_settings, job_of, settings_in_words
from cleanplate.errors import InputError
from cleanplate.hub import get_model
from cleanplate.inpainting import create_inpainter, fill_as_published
from cleanplate.inpainting.models.edgeconnect import PublishedEdgeConnectInpainter
from cleanplate.options import RemovalOptions
from cleanplate.remover import Remover
from cleanplate.segmentation import find_as_published
from cleanplate.segmentation.models.semantic import SemanticSegmenter

PERSON = 15


@pytest.fixture
def segmenter():
    """Return a segmenter that takes what is redder than it is green for a person."""

    def run(rgb):
        logits = np.zeros((1, 21, *rgb.shape[2:]), np.float32)
        logits[0, PERSON] = rgb[0, 0] - rgb[0, 1] - 0.5
        return logits

    made = SemanticSegmenter.__new__(SemanticSegmenter)
    made._model = get_model("deeplabv3_resnet101.coco_voc")
    made._networks = {"segment": SimpleNamespace(run=run, provider="CUDAExecutionProvider")}
    return made


@pytest.fixture
def inpainter():
    """Return EdgeConnect whose edges are a quarter, and whose colour is blue by the edges."""

    def fill(planes):
        return np.concatenate([np.zeros_like(planes[:, :2]), planes[:, 3:]], axis=1)

    made = PublishedEdgeConnectInpainter.__new__(PublishedEdgeConnectInpainter)
    made._name = "edgeconnect.places2"
    made._networks = {
        "edges": SimpleNamespace(run=lambda planes: np.full_like(planes[:, :1], 0.25)),
        "fill": SimpleNamespace(run=fill, input_shapes=[(1, 4, "H", "W")], provider="x"),
    }
    return made


@pytest.fixture
def process(tmp_path, segmenter, inpainter):
    """Return a function that processes one photo with a red object; with its source's pixels."""
    photo = np.full((300, 400, 3), (90, 120, 100), np.uint8)
    photo[100:200, 150:250] = (220, 20, 20)
    Image.fromarray(photo).save(tmp_path / "a.png")
    remover = Remover(segmenter=segmenter, inpainter=inpainter)

    def run(classes=("person",), job=None, **how):
        plan = plan_photos([tmp_path / "a.png"], tmp_path / "out")
        options = RemovalOptions(classes=classes)
        job = Job(options=options, published=Published(**how), **(job or {}))
        return process_photo(plan.photos[0], remover, job).result, photo

    return run


def test_the_photo_keeps_its_size_and_all_pixels_beside_the_hole(process, tmp_path):
    result, photo = process()
    assert (result.status, [it.label for it in result.found]) == ("removed", ["person"])
    filled = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    changed = (filled != photo).any(axis=2)
    assert changed[105:195, 155:245].all()
    margin = 3 * 2 + 1  # three squares, where a Lanczos window of the mask is above 0
    assert not changed[: 100 - margin].any()
    assert not changed[:, : 150 - margin].any()
    np.testing.assert_array_equal(filled[150, 200], (0, 0, 64))  # no texture over it
    assert result.mask_area_px == pytest.approx(np.count_nonzero(changed), rel=0.02)


def test_the_published_size_is_a_square(process, tmp_path):
    process(as_published_size=True)
    square = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    assert square.shape == (256, 256, 3)
    assert tuple(square[128, 128]) == (0, 0, 64)
    assert tuple(square[10, 10]) == (90, 120, 100)


def test_without_an_object_nothing_is_written_where_that_is_wished(process, tmp_path):
    result, _ = process(job={"untouched": "skip"}, classes=["cat"], as_published_size=True)
    assert (result.status, result.kept_by, result.notes) == ("untouched", "skip", ())
    assert not (tmp_path / "out").exists()
    process(classes=["cat"], as_published_size=True)
    assert np.asarray(Image.open(tmp_path / "out" / "a.png")).shape == (256, 256, 3)


def test_what_the_networks_are_given_is_saved(process, tmp_path):
    process(save_intermediate=tmp_path / "steps")
    masked, edges = (
        np.asarray(Image.open(tmp_path / "steps" / f"a_{it}.png")) for it in ("masked", "edges")
    )
    assert (masked.shape, edges.shape) == ((256, 256, 3),) * 2
    assert (masked[128, 128] == 255).all()
    assert (edges == 191).all()


def test_edges_of_the_users_are_followed(process, tmp_path):
    (tmp_path / "lines").mkdir()
    Image.new("L", (400, 300), 255).save(tmp_path / "lines" / "a.png")
    process(edges=MaskFiles(tmp_path / "lines"))
    filled = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    np.testing.assert_array_equal(filled[150, 200], (0, 0, 255))


def test_edges_that_are_missing_are_a_failure(process, tmp_path):
    (tmp_path / "lines").mkdir()
    result, _ = process(edges=MaskFiles(tmp_path / "lines"))
    assert result.status == "failed"
    assert "a.png" in result.error
    assert not (tmp_path / "out" / "a.png").exists()


@pytest.mark.parametrize(
    ("provider", "size_hw"),
    [("CPUExecutionProvider", (680, 906)), ("CUDAExecutionProvider", (400, 533))],
)
def test_the_size_at_which_objects_are_found_depends_on_the_device(segmenter, provider, size_hw):
    segmenter._networks["segment"].provider = provider
    photo = np.full((300, 400, 3), (250, 0, 0), np.uint8)
    objects, (instance,) = find_as_published(photo, ("person",), segmenter)
    assert objects.shape == size_hw
    assert instance.area_px == 300 * 400


def test_many_small_objects_take_no_mask_of_the_photo_each(segmenter):
    photo = np.zeros((1200, 1200, 3), np.uint8)
    for y, x in np.ndindex(20, 20):
        photo[y * 60 : y * 60 + 30, x * 60 : x * 60 + 30, 0] = 250
    tracemalloc.start()
    _, instances = find_as_published(photo, ("person",), segmenter)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(instances) == 400
    assert peak < 200 * photo.shape[0] * photo.shape[1]


def test_other_models_are_refused(segmenter, inpainter, fake_segmenter):
    photo = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(InputError, match=r"fake.*--segmenter deeplabv3_resnet101"):
        find_as_published(photo, ("person",), fake_segmenter)
    with pytest.raises(InputError, match=r"telea.*--inpainter edgeconnect\.places2"):
        fill_as_published(photo, np.ones((64, 64), np.bool_), create_inpainter("telea"))


def test_settings_are_recorded_and_can_be_done_again(tmp_path, remover):
    how = Published(canny_sigma=3.0, as_published_size=True, save_intermediate=tmp_path)
    job = Job(published=how)
    assert job_of(describe_settings(job)).published == how
    other = replace(job, published=replace(how, canny_sigma=2.0))
    assert settings_in_words(job, remover) != settings_in_words(other, remover)
    assert "effects.lite0" in settings_in_words(Job(), remover)
    assert "effects.lite0" not in settings_in_words(job, remover)
