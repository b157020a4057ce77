"""RF-DETR-Seg: a checkpoint of random weights, imported and compared with transformers."""

import argparse

import numpy as np
import pytest

from cleanplate.errors import InputError, UnknownNameError, WeightsError
from cleanplate.hub import get_model
from cleanplate.labels import COCO_IDS, COCO_LABELS
from cleanplate.segmentation import create_segmenter
from cleanplate.segmentation.models.rfdetr import RfDetrSegmenter
from registered_interface import check_interface

NAME = "rfdetr_seg_nano.coco"
SIDE, QUERIES = 312, 100


class Answers:
    """A network with prepared answers: (query, category id, logit, mask on the grid)."""

    def __init__(self, *answers) -> None:
        self.logits = np.full((1, QUERIES, 91), -8, np.float32)
        self.masks = np.full((1, QUERIES, SIDE // 4, SIDE // 4), -4, np.float32)
        for query, category, logit, (left, top, right, bottom) in answers:
            self.logits[0, query, category] = logit
            self.masks[0, query, top:bottom, left:right] = 4
        self.given = []

    def run_all(self, pixels):
        self.given.append(pixels)
        return [self.logits, self.masks]


def with_answers(*answers):
    segmenter = RfDetrSegmenter.__new__(RfDetrSegmenter)
    segmenter._model = get_model(NAME)
    segmenter._networks = {"segment": Answers(*answers)}
    return segmenter


PHOTO = np.zeros((390, 780, 3), np.uint8)  # 5 px a cell down, 10 across


def test_the_photo_is_a_normalised_square_whatever_its_aspect():
    segmenter = with_answers()
    image = np.full((90, 130, 3), (255, 102, 0), np.uint8)
    assert segmenter.segment(image, ["person"]) == []
    (pixels,) = segmenter._networks["segment"].given
    assert (pixels.shape, pixels.dtype) == ((1, 3, SIDE, SIDE), np.float32)
    expected = [(1 - 0.485) / 0.229, (0.4 - 0.456) / 0.224, -0.406 / 0.225]
    np.testing.assert_allclose(pixels.mean(axis=(0, 2, 3)), expected, atol=1e-4)


def test_columns_are_category_ids_and_masks_are_enlarged_to_the_photo():
    segmenter = with_answers(
        (3, COCO_IDS["toothbrush"], 3, (10, 20, 30, 40)),
        (7, COCO_IDS["person"], 1, (40, 5, 60, 70)),
    )
    found = segmenter.segment(PHOTO, ["person", "toothbrush"])
    assert [(x.id, x.label) for x in found] == [(1, "person"), (2, "toothbrush")]
    assert [round(x.score, 3) for x in found] == [0.731, 0.953]
    assert found[0].box_xyxy == (400, 25, 600, 350)
    assert found[1].box_xyxy == (100, 100, 300, 200)
    assert all(x.mask.mean() > 0.97 for x in found)


@pytest.mark.parametrize(("logit", "count"), [(-0.01, 0), (0.01, 1)])
def test_an_object_is_more_likely_than_not(logit, count):
    segmenter = with_answers((0, COCO_IDS["dog"], logit, (10, 10, 20, 20)))
    assert len(segmenter.segment(PHOTO, ["dog"])) == count


def test_classes_that_were_not_asked_and_ids_of_none_are_not_found():
    segmenter = with_answers((0, COCO_IDS["dog"], 5, (0, 0, 9, 9)), (1, 12, 5, (20, 20, 40, 40)))
    assert segmenter.segment(PHOTO, ["cat", "stop sign", "parking meter"]) == []
    assert [x.label for x in segmenter.segment(PHOTO, COCO_LABELS)] == ["dog"]


def test_people_who_touch_are_several_and_one_found_twice_is_one():
    person = COCO_IDS["person"]
    segmenter = with_answers(
        (0, person, 3, (10, 10, 30, 60)),
        (1, person, 2, (30, 10, 50, 60)),
        (2, person, 1, (11, 10, 30, 60)),
    )
    found = segmenter.segment(PHOTO, ["person"])
    assert len(found) == 2
    assert found[0].box_xyxy[0] == 100 or found[1].box_xyxy[0] == 100


def test_an_empty_mask_is_no_object_and_a_full_one_the_photo():
    segmenter = with_answers((0, 1, 5, (0, 0, 0, 0)), (1, 1, 4, (0, 0, SIDE // 4, SIDE // 4)))
    (found,) = segmenter.segment(PHOTO, ["person"])
    assert found.box_xyxy == (0, 0, 780, 390)
    assert found.mask.all()


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 300), (300, 2), (33, 31), (700, 500)])
def test_any_size_will_do(size_hw):
    segmenter = with_answers((0, 1, 5, (0, 0, 78, 78)), (1, 1, 4, (70, 0, 78, 9)))
    found = segmenter.segment(np.zeros((*size_hw, 3), np.uint8), ["person"])
    assert found[0].box_xyxy == (0, 0, size_hw[1], size_hw[0])


def test_other_labels_and_arrays_are_refused():
    segmenter = with_answers()
    assert segmenter.segment(PHOTO, []) == []
    with pytest.raises(UnknownNameError, match=r"unknown label 'dragon'; known: .*airplane"):
        segmenter.segment(PHOTO, ["dragon"])
    with pytest.raises(InputError, match="image must be"):
        segmenter.segment(PHOTO[..., 0], ["person"])


# --- from a checkpoint of the published format


def saved(config, folder):
    """Return a network of random weights and its file, as the package `rfdetr` writes it."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import load_file

    torch.manual_seed(0)
    network = transformers.RfDetrForInstanceSegmentation(config).eval()
    with torch.no_grad():  # some of its own are zero
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        network.model.class_embed.bias.add_(4)  # or nothing would be found
    network.save_pretrained(folder)  # under the names of `rfdetr`
    state = load_file(folder / "model.safetensors") | {"_kp_active_mask": torch.zeros(91)}
    options = argparse.Namespace(num_classes=90, resolution=SIDE, class_names=None)
    torch.save({"model": state, "args": options}, folder / "rf-detr-seg-n-ft.pth")
    return network, folder / "rf-detr-seg-n-ft.pth"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    pytest.importorskip("torch")
    from cleanplate.hub.convert import rfdetr

    return saved(rfdetr._configure(rfdetr._SIZES[NAME], SIDE), tmp_path_factory.mktemp("rfdetr"))


@pytest.fixture
def shallow(tmp_path, monkeypatch):
    """Return a network of fewer layers and its file, and let these be the published ones."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from cleanplate.hub.convert import rfdetr

    config = rfdetr._configure(rfdetr._SIZES[NAME], SIDE)
    config.decoder_layers = 1
    config.backbone_config = transformers.RfDetrDinov2Config(
        hidden_size=96,
        num_attention_heads=6,
        num_hidden_layers=2,
        image_size=SIDE,
        patch_size=12,
        num_windows=1,
        out_features=["stage1", "stage2"],
    )
    monkeypatch.setattr(rfdetr, "_configure", lambda size, side: config)
    monkeypatch.setattr(rfdetr, "_DRAWN", 3)
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "home"))
    return saved(config, tmp_path)


@pytest.mark.slow
def test_names_are_those_of_the_published_files(checkpoint):
    import torch

    with torch.serialization.safe_globals([argparse.Namespace]):
        names = set(torch.load(checkpoint[1], weights_only=True)["model"])
    assert {
        "transformer.decoder.layers.0.self_attn.in_proj_weight",
        "backbone.0.encoder.encoder.encoder.layer.0.attention.attention.query.weight",
        "backbone.0.projector.stages.0.0.cv1.conv.weight",
        "segmentation_head.blocks.3.dwconv.weight",
        "refpoint_embed.weight",
    } <= names
    assert len(names) == 545


@pytest.mark.slow
def test_the_whole_way_is_what_transformers_computes(shallow, astronaut):
    import torch
    import transformers

    from cleanplate.hub.install import import_model

    network, path = shallow
    manifest = import_model(NAME, [path], own_weights=True)
    assert manifest.largest_difference["segment"] < 1e-3
    check_interface(NAME)
    segmenter = create_segmenter(NAME, device="cpu")

    image = astronaut[:300, :451].copy()
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    pixels = torch.nn.functional.interpolate(pixels, (SIDE, SIDE), mode="bilinear") / 255
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    pixels = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(3, 1, 1)
    with torch.no_grad():
        expected = network(pixels)
    logits, masks = segmenter._networks["segment"].run_all(pixels.numpy())
    np.testing.assert_allclose(logits, expected.logits.numpy(), atol=1e-3)
    np.testing.assert_allclose(masks, expected.pred_masks.numpy(), atol=1e-2)

    np.testing.assert_allclose(segmenter._input(image), pixels.numpy(), atol=1e-4)

    # What it returns is what transformers finds, less what surer objects cover.
    segmenter._input = lambda image: pixels.numpy()
    (result,) = transformers.RfDetrImageProcessor().post_process_instance_segmentation(
        expected, target_sizes=[image.shape[:2]], return_binary_maps=True, top_k=QUERIES * 91
    )
    label_of = {number: label for label, number in COCO_IDS.items()}
    found = segmenter.segment(image, COCO_LABELS)
    assert found
    maps, infos = result["segmentation"].numpy() > 0, result["segments_info"]
    for instance in found:
        own = np.zeros(image.shape[:2], np.bool_)
        instance.paint_on(own)
        matches = [
            index
            for index, info in enumerate(infos)
            if label_of.get(info["label_id"]) == instance.label
            and abs(info["score"] - instance.score) < 1e-3
        ]
        assert matches
        assert min(np.mean(own & ~maps[index]) for index in matches) < 1e-3
    united = np.logical_or.reduce(
        [maps[index] for index, info in enumerate(infos) if info["label_id"] in label_of]
    )
    ours = np.zeros(image.shape[:2], np.bool_)
    for instance in found:
        instance.paint_on(ours)
    assert np.mean(ours & ~united) < 1e-3


@pytest.mark.slow
def test_another_size_is_refused(checkpoint, tmp_path, monkeypatch):
    from cleanplate.hub.install import import_model

    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"architecture: it has another shape for .*position"):
        import_model("rfdetr_seg_small.coco", [checkpoint[1]], own_weights=True)
