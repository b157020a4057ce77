"""ADE20K's networks: checkpoints of random weights, imported and compared with transformers."""

import numpy as np
import pytest

from cleanplate.errors import InputError, UnknownNameError, WeightsError
from cleanplate.hub import get_model
from cleanplate.labels import ADE20K_LABELS, ADE20K_STUFF
from cleanplate.segmentation import create_segmenter
from cleanplate.segmentation.components import Divider
from cleanplate.segmentation.models.semantic import SemanticSegmenter
from registered_interface import check_interface

SEGFORMER, UPERNET = "segformer_b0.ade20k", "upernet_convnext_tiny.ade20k"


def test_there_are_150_labels_each_once():
    assert len(set(ADE20K_LABELS)) == len(ADE20K_LABELS) == 150
    assert (ADE20K_LABELS[0], ADE20K_LABELS[12], ADE20K_LABELS[-1]) == ("wall", "person", "flag")


def test_the_scene_is_not_a_thing_in_it():
    assert set(ADE20K_LABELS) > ADE20K_STUFF
    assert {"wall", "sky", "floor", "tree", "road", "grass", "water", "sand"} <= ADE20K_STUFF
    assert not {"person", "car", "signboard", "lamp", "bag", "animal", "ashcan"} & ADE20K_STUFF


class Colours:
    """A network that takes red for a person, blue for a car, and everything else for a wall."""

    max_concurrency = 1

    def __init__(self) -> None:
        self.shapes = []

    def run(self, pixels):
        assert pixels.dtype == np.float32
        self.shapes.append(pixels.shape)
        cells = pixels[0, :, 2::4, 2::4]
        logits = np.zeros((1, 150, *cells.shape[1:]), np.float32)
        red, blue = cells[0] > 1, cells[2] > 1
        logits[0, ADE20K_LABELS.index("person")] = 20 * red
        logits[0, ADE20K_LABELS.index("car")] = 20 * blue
        logits[0, ADE20K_LABELS.index("wall")] = 20 * ~(red | blue)
        return logits


@pytest.fixture
def on_colours():
    segmenter = SemanticSegmenter.__new__(SemanticSegmenter)
    segmenter.divider = Divider(device="cpu")
    segmenter._model = get_model(SEGFORMER)
    segmenter._networks = {"segment": Colours()}
    return segmenter


@pytest.fixture
def two_colours():
    image = np.zeros((240, 400, 3), np.uint8)
    image[40:200, 40:160] = (255, 0, 0)
    image[60:140, 240:360] = (0, 0, 255)
    return image


def test_channels_are_the_labels_in_order(on_colours, two_colours):
    found = on_colours.segment(two_colours, ["car", "person", "dishwasher"])
    assert [(x.id, x.label) for x in found] == [(1, "person"), (2, "car")]
    for instance, box in zip(found, [(40, 40, 160, 200), (240, 60, 360, 140)], strict=True):
        np.testing.assert_allclose(instance.box_xyxy, box, atol=4)
        assert 0.9 < instance.score <= 1


def test_the_first_look_is_the_published_square_and_closer_ones_keep_the_aspect(on_colours):
    photo = np.random.default_rng(0).integers(0, 120, (1200, 2400, 3), np.uint8)
    photo[300:360, 700:760] = (255, 0, 0)
    (person,) = on_colours.segment(photo, ["person"])
    first, *closer = on_colours._networks["segment"].shapes
    assert first == (1, 3, 512, 512)
    assert closer
    assert all(height % 32 == width % 32 == 0 for _, _, height, width in closer)
    np.testing.assert_allclose(person.box_xyxy, (700, 300, 760, 360), atol=10)  # half a first cell


def test_scenery_is_found_when_it_is_asked_for(on_colours, two_colours):
    assert [x.label for x in on_colours.segment(two_colours, ["wall"])] == ["wall"]


@pytest.mark.parametrize("size_hw", [(1, 300), (300, 2), (33, 31), (700, 500)])
def test_one_colour_is_all_of_the_photo_or_nothing(on_colours, size_hw):
    assert on_colours.segment(np.zeros((*size_hw, 3), np.uint8), ["person", "car"]) == []
    (car,) = on_colours.segment(np.full((*size_hw, 3), (0, 0, 255), np.uint8), ["person", "car"])
    assert (car.label, car.box_xyxy) == ("car", (0, 0, size_hw[1], size_hw[0]))
    assert car.mask.all()


def test_other_labels_and_arrays_are_refused(on_colours, two_colours):
    assert on_colours.segment(two_colours, []) == []
    with pytest.raises(UnknownNameError, match=r"unknown label 'dragon'; known: .*airplane"):
        on_colours.segment(two_colours, ["dragon"])
    with pytest.raises(InputError, match="image must be"):
        on_colours.segment(two_colours[..., 0], ["person"])


# --- from a checkpoint of the published format


def published(name):
    """Return a network of random weights: SegFormer-B0 as published, UPerNet much narrower."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if name == SEGFORMER:
        from cleanplate.hub.convert.ade20k import _segformer_b0

        network = transformers.SegformerForSemanticSegmentation(_segformer_b0())
    else:
        backbone = transformers.ConvNextConfig(
            depths=[1, 1, 1, 1],
            hidden_sizes=[8, 16, 24, 32],
            layer_scale_init_value=1.0,
            out_features=["stage1", "stage2", "stage3", "stage4"],
        )
        config = transformers.UperNetConfig(
            backbone_config=backbone, hidden_size=24, auxiliary_in_channels=24, num_labels=150
        )
        network = transformers.UperNetForSemanticSegmentation(config)
    network.eval()
    with torch.no_grad():  # so that classes differ, and from place to place
        head = network.decode_head
        pixels = torch.randn(1, 3, 512, 512)
        head.classifier.weight.mul_(3 / network(pixels).logits.std())
    return network


@pytest.fixture(scope="module", params=[SEGFORMER, UPERNET])
def checkpoint(request, tmp_path_factory):
    network = published(request.param)
    folder = tmp_path_factory.mktemp("ade20k")
    network.save_pretrained(folder)  # under the names of the published files
    return request.param, network, folder / "model.safetensors"


@pytest.fixture
def at_home(checkpoint, tmp_path, monkeypatch):
    from cleanplate.hub.convert import ade20k

    name, network, _ = checkpoint
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path))
    architecture, _ = ade20k._PUBLISHED[name]
    monkeypatch.setattr(ade20k, "_PUBLISHED", {name: (architecture, lambda: network.config)})
    return checkpoint


@pytest.mark.slow
def test_the_whole_way_is_what_transformers_computes(at_home, astronaut):
    import torch
    import transformers

    from cleanplate.hub.install import import_model

    name, network, path = at_home
    manifest = import_model(name, [path], own_weights=True)
    assert manifest.origin == "own"
    assert manifest.largest_difference["segment"] < 1e-4
    check_interface(name)
    segmenter = create_segmenter(name, device="cpu")

    image = astronaut[:300, :451].copy()
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    processor = transformers.SegformerImageProcessor(image_mean=mean, image_std=deviation)
    pixels = processor(torch.from_numpy(image).permute(2, 0, 1), return_tensors="pt")
    with torch.no_grad():
        expected = network(**pixels)
    if name == UPERNET:  # ends with an enlargement of its own
        with torch.no_grad():
            maps = network.backbone(pixels["pixel_values"]).feature_maps
            logits = network.decode_head(maps)
    else:
        logits = expected.logits
    found = segmenter.probabilities(image, (512, 512))
    assert found.shape == (150, 128, 128)
    # The processor rounds the scaled photo otherwise; one grey level here and there.
    np.testing.assert_allclose(found, logits.softmax(dim=1)[0].numpy(), atol=0.02)
    assert found.max() > 0.1, "the network answers the same everywhere: nothing was compared"

    (map_,) = processor.post_process_semantic_segmentation(expected, [image.shape[:2]])
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(found)[None], size=image.shape[:2], mode="bilinear"
    )
    assert (enlarged[0].argmax(dim=0) == map_).float().mean() > 0.97


@pytest.mark.slow
def test_names_are_those_of_the_published_files(checkpoint):
    from safetensors import safe_open

    name, _, path = checkpoint
    with safe_open(path, "pt") as file:
        names = set(file.keys())
    if name == SEGFORMER:
        assert path.stat().st_size == 15_036_944  # to the byte that of NVIDIA's file
        assert "segformer.encoder.block.0.0.attention.self.query.weight" in names
        assert "decode_head.linear_c.0.proj.weight" in names
    else:
        assert "decode_head.psp_modules.0.1.conv.weight" in names
        assert "auxiliary_head.classifier.weight" in names


@pytest.mark.slow
def test_pickled_checkpoints_will_do_and_others_are_refused(at_home, tmp_path):
    import torch
    from safetensors.torch import load_file

    from cleanplate.hub.install import import_model

    name, _, path = at_home
    state = load_file(path)
    short = tmp_path / "short.bin"
    torch.save({k: v for k, v in state.items() if k != "decode_head.classifier.bias"}, short)
    with pytest.raises(WeightsError, match=r"it lacks decode_head\.classifier\.bias$"):
        import_model(name, [short], own_weights=True)
    other = tmp_path / "other.bin"
    torch.save(state | {"decode_head.classifier.bias": torch.zeros(19)}, other)
    with pytest.raises(WeightsError, match=r"has another shape for decode_head\.classifier\.bias$"):
        import_model(name, [other], own_weights=True)


@pytest.mark.slow
@pytest.mark.parametrize("size_hw", [(16, 16), (7, 10), (3, 2), (1, 6), (64, 33)])
@pytest.mark.parametrize("cells", [1, 2, 3, 6])
def test_pooling_at_any_size_is_pytorchs(size_hw, cells):
    torch = pytest.importorskip("torch")
    from cleanplate.hub.convert.ade20k import _AnySizePool

    features = torch.randn(1, 4, *size_hw)
    expected = torch.nn.functional.adaptive_avg_pool2d(features, cells)
    torch.testing.assert_close(_AnySizePool(cells)(features), expected)
