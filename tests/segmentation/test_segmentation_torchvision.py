"""torchvision's semantic networks give here what they give in torchvision, from the file on.

The networks are the published ones with random weights, whose last layer is enlarged: their masks
are blots, but the same blots in both.
"""

import numpy as np
import pytest
from PIL import Image
from semantic_builders import resized_as_published

from cleanplate.errors import ChecksumError, WeightsError
from cleanplate.hub.install import import_model
from cleanplate.hub.registry import get_model
from cleanplate.labels import VOC_LABELS
from cleanplate.segmentation import create_segmenter

torch = pytest.importorskip("torch")
segmentation = pytest.importorskip("torchvision.models.segmentation")
pytestmark = pytest.mark.slow  # loads PyTorch

from cleanplate.hub.convert import torchvision_semantic as converter  # noqa: E402
from registered_interface import check_interface  # noqa: E402

SMALL = "lraspp_mobilenet_v3_large.coco_voc"

NETWORKS = {  # name -> of torchvision's weights
    "lraspp_mobilenet_v3_large": "LRASPP_MobileNet_V3_Large_Weights",
    "deeplabv3_mobilenet_v3_large": "DeepLabV3_MobileNet_V3_Large_Weights",
    "fcn_resnet50": "FCN_ResNet50_Weights",
    "deeplabv3_resnet50": "DeepLabV3_ResNet50_Weights",
    "fcn_resnet101": "FCN_ResNet101_Weights",
    "deeplabv3_resnet101": "DeepLabV3_ResNet101_Weights",
}
# Without and with an auxiliary classifier; a ResNet takes minutes.
IMPORTED = ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large")


def published_weights(architecture):
    return getattr(segmentation, NETWORKS[architecture]).COCO_WITH_VOC_LABELS_V1


def random_network(architecture, seed=0):
    """Return a network like the published one, with other parameters."""
    torch.manual_seed(seed)
    options = {} if architecture.startswith("lraspp") else {"aux_loss": True}
    return getattr(segmentation, architecture)(weights=None, weights_backbone=None, **options)


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


# --- from the file to the objects


@pytest.mark.parametrize("architecture", IMPORTED)
def test_the_published_file_gives_what_torchvision_gives(home, cat, architecture, monkeypatch):
    name = f"{architecture}.coco_voc"
    network = enliven(random_network(architecture), name, cat)
    monkeypatch.setattr(converter, "_TRIALS_HW", [(33, 131)])  # the full size is compared below
    manifest = import_model(name, [save(network, home / "any.pth")], own_weights=True)
    assert manifest.origin == "own"
    check_interface(name)
    segmenter = create_segmenter(name, device="cpu")
    said, run = [], segmenter._networks["segment"].run

    def remember(tensor):
        answer = run(tensor)
        said.append(answer[0].copy())  # softmax overwrites it
        return answer

    monkeypatch.setattr(segmenter._networks["segment"], "run", remember)

    found = segmenter.segment(cat, VOC_LABELS)

    (logits,) = said  # a small photo takes one pass
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


# --- files that are not the right ones


def test_another_file_is_refused_unless_it_is_said_to_be_ones_own(home):
    path = home / "own.pth"
    path.write_bytes(b"of another length")
    with pytest.raises(ChecksumError, match=r"own\.pth: .*expected.*--own-weights"):
        import_model(SMALL, [path])
    path.write_bytes(bytes(get_model(SMALL).size_bytes))
    with pytest.raises(ChecksumError, match=r"own\.pth: .*d234d4ea.*--own-weights"):
        import_model(SMALL, [path])


def test_a_file_that_is_cut_off_is_refused(home):
    whole = save(random_network("lraspp_mobilenet_v3_large"), home / "whole.pth").read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1000):
        path = home / "cut.pth"
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"cut\.pth: .*(truncated|tensors only)"):
            import_model(SMALL, [path], own_weights=True)


def test_another_architecture_is_refused(home):
    path = save(random_network("lraspp_mobilenet_v3_large"), home / "other.pth")
    match = r"other\.pth: .*architecture.*lacks classifier"
    with pytest.raises(WeightsError, match=match):
        import_model("deeplabv3_mobilenet_v3_large.coco_voc", [path], own_weights=True)


def test_other_classes_are_refused(home):
    network = segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=5
    )
    path = save(network, home / "five.pth")
    with pytest.raises(WeightsError, match=r"five\.pth: .*architecture.*classifier"):
        import_model(SMALL, [path], own_weights=True)


def test_a_training_checkpoint_around_the_parameters_is_refused(home):
    path = home / "training.pth"
    torch.save({"model": {"classifier.weight": torch.zeros(2)}}, path)
    with pytest.raises(WeightsError, match=r"training\.pth: contains no parameters"):
        import_model(SMALL, [path], own_weights=True)


# --- the registry's entries


@pytest.mark.parametrize("architecture", NETWORKS)
def test_the_entry_states_what_torchvision_publishes(architecture):
    model, weights = get_model(f"{architecture}.coco_voc"), published_weights(architecture)
    (checkpoint,) = model.checkpoints
    with torch.device("meta"):
        network = random_network(architecture)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters == weights.meta["num_params"], "the converter builds another network"
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
