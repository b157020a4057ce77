"""torchvision's semantic networks give here what they give in torchvision, from the file on.

The networks are the published ones with random weights, whose last layer is enlarged: their masks
are blots, but the same blots in both.
"""

import numpy as np
import pytest
from PIL import Image
from test_segmenter_contract import check

from cleanplate.errors import ChecksumError, InputError, UnknownNameError, WeightsError
from cleanplate.hub.install import import_model
from cleanplate.hub.registry import get_model
from cleanplate.hub.store import install
from cleanplate.labels.voc import VOC_LABELS
from cleanplate.runtime import resize
from cleanplate.segmentation import create_segmenter
from cleanplate.segmentation.models.semantic import published_size

torch = pytest.importorskip("torch")
segmentation = pytest.importorskip("torchvision.models.segmentation")

SMALL = "lraspp_mobilenet_v3_large.coco_voc"

NETWORKS = {  # name -> of torchvision's weights
    "lraspp_mobilenet_v3_large": "LRASPP_MobileNet_V3_Large_Weights",
    "deeplabv3_mobilenet_v3_large": "DeepLabV3_MobileNet_V3_Large_Weights",
    "fcn_resnet50": "FCN_ResNet50_Weights",
    "deeplabv3_resnet50": "DeepLabV3_ResNet50_Weights",
    "fcn_resnet101": "FCN_ResNet101_Weights",
    "deeplabv3_resnet101": "DeepLabV3_ResNet101_Weights",
}


def published_weights(architecture):
    return getattr(segmentation, NETWORKS[architecture]).COCO_WITH_VOC_LABELS_V1


def random_network(architecture, seed=0):
    """Return a network whose parameters are those of the published file, with other values."""
    torch.manual_seed(seed)
    options = {} if architecture.startswith("lraspp") else {"aux_loss": True}
    network = getattr(segmentation, architecture)(weights=None, weights_backbone=None, **options)
    assert (
        sum(p.numel() for p in network.parameters())
        == (published_weights(architecture).meta["num_params"])
    ), "the published file has other parameters"
    return network


def normalise_as_for(module, inputs):
    """Set a normalisation's statistics before it runs; one deviation for all of its channels."""
    module.running_mean.copy_(inputs[0].mean(dim=(0, 2, 3)))
    module.running_var.fill_(float(inputs[0].var()))


def enliven(network, name, photo):
    """Let the network's classes differ all over a photo: normalise for it, enlarge the end."""
    pixels = published_weights(name.partition(".")[0]).transforms()(Image.fromarray(photo))[None]
    ends = [m for m in network.classifier.modules() if isinstance(m, torch.nn.Conv2d)]
    ends = ends[-2:] if hasattr(network.classifier, "low_classifier") else ends[-1:]
    hooks = [
        module.register_forward_pre_hook(normalise_as_for)
        for module in network.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    with torch.no_grad():
        spread = network.eval()(pixels)["out"][0].flatten(1).std(dim=1)
        for hook in hooks:
            hook.remove()
        for end in ends:
            end.weight *= 3 / spread[:, None, None, None]
            end.bias *= 0
        ends[-1].bias -= network(pixels)["out"].mean(dim=(0, 2, 3))
    return network


def as_published(network, name, photo):
    """Return (20, h, w): what torchvision says of the VOC classes, at the size it is shown."""
    shown = published_weights(name.partition(".")[0]).transforms()(Image.fromarray(photo))
    with torch.no_grad():
        logits = network.eval()(shown[None])["out"][0]
    return logits.softmax(dim=0)[1:]


def save(network, path):
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "home"))
    return tmp_path


# --- what the network is shown


@pytest.mark.parametrize(
    "size_hw", [(300, 451), (451, 300), (512, 512), (520, 601), (1040, 701), (97, 33), (777, 2011)]
)
def test_the_photo_is_resized_as_torchvision_does_it(astronaut, size_hw):
    photo = np.asarray(Image.fromarray(astronaut).resize(size_hw[::-1]))
    transform = published_weights("fcn_resnet50").transforms()
    # From a picture to the last bit; its tensor is smoothed by other arithmetic.
    for given, apart in ((Image.fromarray(photo), 1e-6), (photo.copy(), 1.01 / 255)):
        image = torch.from_numpy(given).permute(2, 0, 1) if apart > 0.001 else given
        theirs = transform(image).numpy()
        ours = resized_as_published(photo).transpose(2, 0, 1) / 255
        mean, std = (np.array(part)[:, None, None] for part in (transform.mean, transform.std))
        assert ours.shape == theirs.shape
        assert np.abs(ours - (theirs * std + mean)).max() < apart


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
def test_narrow_photos_do_not_take_memory_without_bound(size_hw, shown_hw):
    assert resized_as_published(np.zeros((*size_hw, 3), np.uint8)).shape[:2] == shown_hw


# --- from the file to the objects


@pytest.mark.slow
@pytest.mark.parametrize("architecture", NETWORKS)
def test_the_published_file_gives_what_torchvision_gives(home, cat, architecture, monkeypatch):
    name = f"{architecture}.coco_voc"
    network = enliven(random_network(architecture), name, cat)
    manifest = import_model(name, [save(network, home / "any.pth")], own_weights=True)
    assert manifest.origin == "own"
    segmenter = create_segmenter(name, device="cpu")
    said, run = [], segmenter._networks["segment"].run
    monkeypatch.setattr(
        segmenter._networks["segment"],
        "run",
        lambda tensor: said.append(run(tensor)[0].copy()) or run(tensor),
    )

    found = segmenter.segment(cat, VOC_LABELS)

    (logits,) = said  # a small photo is looked at once
    ours, theirs = torch.from_numpy(logits).softmax(dim=0)[1:], as_published(network, name, cat)
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 1e-3
    # At the photo's own size: where torchvision is sure of a class, that class is found.
    upright = torch.nn.functional.interpolate(
        theirs[None], size=cat.shape[:2], mode="bilinear", antialias=True
    )[0].numpy()
    labelled = np.zeros(cat.shape[:2], int)
    for instance in found:
        left, top, right, bottom = instance.box_xyxy
        labelled[top:bottom, left:right][instance.mask] = VOC_LABELS.index(instance.label) + 1
    sure = upright.max(axis=0) > 0.6
    assert sure.mean() > 0.02, "the random network is sure of nothing; the test tests nothing"
    # Random blots: those of a few cells are left out.
    assert (labelled[sure] == upright.argmax(axis=0)[sure] + 1).mean() > 0.9
    assert not (labelled[upright.max(axis=0) < 0.2] > 0).sum() > 0.03 * labelled.size


# --- photos of all sizes, with a network that goes by colour


@pytest.fixture(scope="module")
def by_colour(tmp_path_factory):
    """Return a segmenter that takes red for a cat, blue for a person; grey is the background."""
    onnx = pytest.importorskip("onnx")
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
        install(get_model(SMALL), {"segment": folder / "colours.onnx"}, origin="own")
        return create_segmenter(SMALL, device="cpu")


def resized_as_published(photo):
    given = get_model("fcn_resnet50.coco_voc").preprocessing
    return resize(photo, published_size(given, photo.shape[:2]), antialias=True)


def counted(segmenter, monkeypatch):
    """Return a list that fills with the sizes of what the network is shown."""
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
def test_the_contract_is_kept_at_any_size(by_colour, astronaut, size_hw):
    check(by_colour, np.array(Image.fromarray(astronaut).resize(size_hw[::-1])), VOC_LABELS)
    check(by_colour, np.zeros((*size_hw, 3), np.uint8), VOC_LABELS[3:7])
    found = check(by_colour, np.full((*size_hw, 3), RED, np.uint8), VOC_LABELS)
    if size_hw[0] * size_hw[1] > 32:  # smaller photos have too few cells
        assert [(x.label, x.area_px) for x in found] == [("cat", size_hw[0] * size_hw[1])]


def test_views_read_only_and_fortran_arrays_will_do(by_colour, astronaut):
    check(by_colour, astronaut[3:200, 11:300], ["person", "dog"])
    check(by_colour, np.asfortranarray(astronaut[:90, :120]), VOC_LABELS)
    assert by_colour.segment(astronaut, []) == []


def test_it_says_what_it_is(by_colour):
    assert (by_colour.name, by_colour.labels) == (SMALL, VOC_LABELS)
    assert by_colour.provider == "CPUExecutionProvider"


def test_other_labels_and_arrays_are_refused(by_colour, cat):
    with pytest.raises(UnknownNameError, match=r"unknown label 'dragon'; known: .*person"):
        by_colour.segment(cat, ["person", "dragon"])
    with pytest.raises(InputError, match="image must be"):
        by_colour.segment(cat.astype(np.float32), ["person"])


@pytest.mark.parametrize("size_hw", [(1000, 1000), (600, 800), (750, 1000)])
def test_a_photo_of_up_to_1000_px_is_looked_at_once(by_colour, monkeypatch, size_hw):
    shown = counted(by_colour, monkeypatch)
    check(by_colour, grey_with(size_hw, ((40, 50, 140, 200), RED)), VOC_LABELS)
    assert shown == [resized_as_published(np.zeros((*size_hw, 3), np.uint8)).shape[:2]]


def test_a_large_photo_without_suspicion_is_looked_at_once(by_colour, monkeypatch):
    shown = counted(by_colour, monkeypatch)
    assert by_colour.segment(grey_with((1800, 2600)), VOC_LABELS) == []
    assert shown == [(520, 751)]


def test_a_large_photo_is_looked_at_again_where_something_is_suspected(by_colour, monkeypatch):
    shown = counted(by_colour, monkeypatch)
    image = grey_with((1800, 2600), ((2001, 701, 2061, 741), RED))
    (cat,) = check(by_colour, image, ["cat"])
    np.testing.assert_allclose(cat.box_xyxy, (2001, 701, 2061, 741), atol=4)
    assert len(shown) == 3  # at 751, 1502 and 3004 px
    assert sum(height * width for height, width in shown[1:]) < 300_000


def test_however_much_is_suspected_closer_looks_are_bounded(by_colour, monkeypatch):
    shown = counted(by_colour, monkeypatch)
    blots = [
        ((x, y, x + 40, y + 40), RED) for x in range(20, 2500, 120) for y in range(20, 1700, 120)
    ]
    assert len(check(by_colour, grey_with((1800, 2600), *blots), ["cat"])) == len(blots)
    assert 300_000 < sum(height * width for height, width in shown[1:]) <= 1024 * 1024


# --- files that are not the right ones


def test_another_file_is_refused_unless_it_is_said_to_be_ones_own(home):
    path = save(random_network("lraspp_mobilenet_v3_large"), home / "own.pth")
    with pytest.raises(ChecksumError, match=r"own\.pth: .*expected are.*--own-weights"):
        import_model(SMALL, [path])
    path.write_bytes(bytes(get_model(SMALL).size_bytes))
    with pytest.raises(ChecksumError, match=r"own\.pth: .*d234d4ea.*--own-weights"):
        import_model(SMALL, [path])


def test_a_prefix_is_checked_where_no_more_is_known(home):
    path = home / "fcn.pth"
    path.write_bytes(b"x" * get_model("fcn_resnet101.coco_voc").checkpoints[0].size_bytes)
    with pytest.raises(ChecksumError, match=r"7ecb50ca.*--own-weights"):
        import_model("fcn_resnet101.coco_voc", [path])


def test_a_file_that_is_cut_off_is_refused(home):
    whole = save(random_network("lraspp_mobilenet_v3_large"), home / "whole.pth").read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1000):
        path = home / "cut.pth"
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"cut\.pth: .*(truncated|tensors only)"):
            import_model(SMALL, [path], own_weights=True)


@pytest.mark.parametrize(
    ("saved", "name", "match"),
    [
        ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large", "it lacks classifier"),
        ("deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large", "it lacks classifier"),
        pytest.param("fcn_resnet50", "deeplabv3_resnet50", "size mismatch", marks=pytest.mark.slow),
        pytest.param("deeplabv3_resnet50", "fcn_resnet50", "size mismatch", marks=pytest.mark.slow),
    ],
)
def test_another_architecture_is_refused(home, saved, name, match):
    path = save(random_network(saved), home / "other.pth")
    with pytest.raises(WeightsError, match=rf"other\.pth: is not of this architecture.*{match}"):
        import_model(f"{name}.coco_voc", [path], own_weights=True)


def test_other_classes_are_refused(home):
    network = segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=5
    )
    path = save(network, home / "five.pth")
    with pytest.raises(WeightsError, match=r"five\.pth: is not of this architecture .*classifier"):
        import_model(SMALL, [path], own_weights=True)


def test_a_training_checkpoint_around_the_parameters_is_refused(home):
    path = home / "training.pth"
    torch.save({"model": random_network("lraspp_mobilenet_v3_large").state_dict()}, path)
    with pytest.raises(WeightsError, match=r"training\.pth: contains no parameters"):
        import_model(SMALL, [path], own_weights=True)


# --- the registry's entries


@pytest.mark.parametrize("architecture", NETWORKS)
def test_the_entry_states_what_torchvision_publishes(architecture):
    model, weights = get_model(f"{architecture}.coco_voc"), published_weights(architecture)
    (checkpoint,) = model.checkpoints
    assert checkpoint.url == weights.url
    assert round(checkpoint.size_bytes / 2**20, 3) == weights.meta["_file_size"]
    prefix = checkpoint.filename.rpartition("-")[2].removesuffix(".pth")
    assert checkpoint.checksum.partition(":")[2].startswith(prefix)
    (measured,) = weights.meta["_metrics"].values()
    (stated,) = model.metrics.values()
    assert stated["miou"] == pytest.approx(measured["miou"] / 100)
    assert stated["pixel_accuracy"] == pytest.approx(measured["pixel_acc"] / 100)
    assert weights.meta["categories"][0] == "__background__"
    assert model.labels == tuple(weights.meta["categories"][1:])
