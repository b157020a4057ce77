"""The published semantic networks take photos of any size, at the sizes of their publishers."""

import numpy as np
import pytest
from PIL import Image
from semantic_builders import resized_as_published
from test_segmenter_contract import check

from cleanplate.errors import InputError, UnknownNameError, WeightsError
from cleanplate.hub import get_model
from cleanplate.hub.store import install
from cleanplate.labels import VOC_LABELS
from cleanplate.segmentation import create_segmenter

onnx = pytest.importorskip("onnx")

NAME = "lraspp_mobilenet_v3_large.coco_voc"


@pytest.fixture(scope="module")
def by_colour(tmp_path_factory):
    """Return a segmenter that takes red for a cat, blue for a person; grey is the background."""
    weight = np.zeros((21, 3, 1, 1), np.float32)
    weight[VOC_LABELS.index("cat") + 1, :, 0, 0] = (20, -20, -20)
    weight[VOC_LABELS.index("person") + 1, :, 0, 0] = (-20, -20, 20)
    bias = np.full(21, -9, np.float32)
    bias[0] = 0
    shape = ["n", 3, "h", "w"], ["n", 21, "h", "w"]
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, axes)
        for name, axes in zip(("rgb", "logits"), shape, strict=True)
    ]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["rgb", "weight", "bias"], ["logits"])],
        "colours",
        values[:1],
        values[1:],
        [
            onnx.numpy_helper.from_array(weight, "weight"),
            onnx.numpy_helper.from_array(bias, "bias"),
        ],
    )
    network = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10
    )
    folder = tmp_path_factory.mktemp("by_colour")
    onnx.save(network, folder / "colours.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLEANPLATE_HOME", str(folder / "home"))
        install(get_model(NAME), {"segment": folder / "colours.onnx"}, origin="own")
        return create_segmenter(NAME, device="cpu")


def input_sizes(segmenter, monkeypatch):
    """Return a list that fills with the sizes of the network's inputs."""
    shown, run = [], segmenter._networks["segment"].run
    monkeypatch.setattr(
        segmenter._networks["segment"],
        "run",
        lambda tensor: shown.append(tensor.shape[2:]) or run(tensor),
    )
    return shown


def grey_with(size_hw, *blots):
    """Return noise with a coloured rectangle for each (box, colour)."""
    noise = np.random.default_rng(5).integers(60, 200, size_hw).astype(np.uint8)
    image = np.repeat(noise[..., None], 3, axis=2)
    for (left, top, right, bottom), colour in blots:
        image[top:bottom, left:right] = colour
    return image


RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_classes_that_are_not_asked_for_and_the_background_compete_apart(by_colour):
    image = grey_with((96, 96), ((0, 0, 48, 48), RED), ((48, 0, 96, 48), BLUE))
    person, others, background = by_colour.probabilities(
        image, channels=[VOC_LABELS.index("person") + 1]
    )
    quarter = person.shape[0] // 4
    assert min(person[quarter, -quarter], others[quarter, quarter]) > 0.9
    assert max(person[quarter, quarter], others[quarter, -quarter]) < 0.1
    assert background[-quarter:].mean() > 0.5


def test_what_is_there_is_found_where_it_is(by_colour):
    image = grey_with((301, 455), ((40, 50, 140, 200), RED), ((200, 100, 260, 140), BLUE))
    cat, person = check(by_colour, image, ["person", "cat", "dog"])
    assert (cat.label, person.label) == ("cat", "person")
    np.testing.assert_allclose(cat.box_xyxy, (40, 50, 140, 200), atol=2)
    np.testing.assert_allclose(person.box_xyxy, (200, 100, 260, 140), atol=2)
    assert [x.label for x in check(by_colour, image, ["person"])] == ["person"]


@pytest.mark.parametrize(
    "size_hw",
    [(1, 1), (1, 2), (3, 1), (8, 600), (600, 8), (1, 700), (33, 31), (301, 97), (64, 1804)],
)
@pytest.mark.slow
def test_the_contract_is_kept_at_any_size(by_colour, astronaut, size_hw):
    check(by_colour, np.array(Image.fromarray(astronaut).resize(size_hw[::-1])), VOC_LABELS)
    check(by_colour, np.zeros((*size_hw, 3), np.uint8), VOC_LABELS[3:7])
    found = check(by_colour, np.full((*size_hw, 3), RED, np.uint8), VOC_LABELS)
    if size_hw[0] * size_hw[1] > 32:  # smaller photos have too few cells
        assert [(x.label, x.area_px) for x in found] == [("cat", size_hw[0] * size_hw[1])]


def test_views_read_only_and_fortran_arrays_are_accepted(by_colour, astronaut):
    check(by_colour, astronaut[3:200, 11:300], ["person", "dog"])
    check(by_colour, np.asfortranarray(astronaut[:90, :120]), VOC_LABELS)
    assert by_colour.segment(astronaut, []) == []


def test_it_says_what_it_is(by_colour):
    assert (by_colour.name, by_colour.labels) == (NAME, VOC_LABELS)
    assert by_colour.provider == "CPUExecutionProvider"


def test_other_labels_and_arrays_are_refused(by_colour, cat):
    with pytest.raises(UnknownNameError, match=r"unknown label 'dragon'; known: .*person"):
        by_colour.segment(cat, ["person", "dragon"])
    with pytest.raises(InputError, match="image must be"):
        by_colour.segment(cat.astype(np.float32), ["person"])


@pytest.mark.parametrize("size_hw", [(1000, 1000), (600, 800)])
def test_a_photo_of_up_to_1000_px_takes_one_pass(by_colour, monkeypatch, size_hw):
    shown = input_sizes(by_colour, monkeypatch)
    check(by_colour, grey_with(size_hw, ((40, 50, 140, 200), RED)), VOC_LABELS)
    assert shown == [resized_as_published(np.zeros((*size_hw, 3), np.uint8)).shape[:2]]


@pytest.mark.slow
def test_a_large_photo_without_candidates_takes_one_pass(by_colour, monkeypatch):
    shown = input_sizes(by_colour, monkeypatch)
    assert by_colour.segment(grey_with((1800, 2600)), VOC_LABELS) == []
    assert shown == [(520, 751)]


def test_candidate_regions_of_a_large_photo_take_finer_passes(by_colour, monkeypatch):
    shown = input_sizes(by_colour, monkeypatch)
    image = grey_with((1800, 2600), ((2001, 701, 2061, 741), RED))
    (cat,) = check(by_colour, image, ["cat"])
    np.testing.assert_allclose(cat.box_xyxy, (2001, 701, 2061, 741), atol=4)
    assert len(shown) == 3  # at 751, 1502 and 3004 px
    assert sum(height * width for height, width in shown[1:]) < 300_000


@pytest.mark.slow
def test_finer_passes_are_bounded_however_many_candidates_there_are(by_colour, monkeypatch):
    shown = input_sizes(by_colour, monkeypatch)
    blots = [
        ((x, y, x + 40, y + 40), RED) for x in range(20, 2500, 120) for y in range(20, 1700, 120)
    ]
    assert len(check(by_colour, grey_with((1800, 2600), *blots), ["cat"])) == len(blots)
    assert 300_000 < sum(height * width for height, width in shown[1:]) <= 1024 * 1024


@pytest.mark.parametrize(
    ("size_hw", "shown_hw"),
    [
        ((100, 400), (520, 2080)),
        ((100, 401), (518, 2080)),
        ((1, 700), (32, 2080)),
        ((3000, 90), (2080, 62)),
        ((1, 1), (520, 520)),
    ],
)
def test_the_input_for_narrow_photos_is_bounded(size_hw, shown_hw):
    assert resized_as_published(np.zeros((*size_hw, 3), np.uint8)).shape[:2] == shown_hw


def test_a_network_with_too_few_channels_for_its_labels_is_named(by_colour, monkeypatch):
    run = by_colour._networks["segment"].run
    monkeypatch.setattr(by_colour._networks["segment"], "run", lambda tensor: run(tensor)[:, :5])
    with pytest.raises(WeightsError, match=rf"{NAME}: the network returns 5 channels, .* need 21"):
        by_colour.segment(np.zeros((64, 64, 3), np.uint8), ["dog"])
