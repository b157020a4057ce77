"""Mask R-CNN gives here what it gives in torchvision: each choice, and from the file on.

The network is the published one with random parameters, enlarged until it is sure of something.
"""

import numpy as np
import pytest
from PIL import Image
from test_segmenter_contract import check
from test_segmenters_torchvision import normalise_as_for

from cleanplate.errors import ChecksumError, InputError, UnknownNameError, WeightsError
from cleanplate.hub.install import import_model
from cleanplate.hub.registry import get_model
from cleanplate.labels.coco import COCO_IDS, COCO_LABELS
from cleanplate.segmentation import create_segmenter
from cleanplate.segmentation import network_segmenter as networks
from cleanplate.segmentation.instances import separate_instances
from cleanplate.segmentation.models import maskrcnn
from cleanplate.segmentation.models.maskrcnn_regions import propose, without_overlaps

torch = pytest.importorskip("torch")
detection = pytest.importorskip("torchvision.models.detection")

NETWORKS = {
    "maskrcnn_resnet50_fpn": "MaskRCNN_ResNet50_FPN_Weights",
    "maskrcnn_resnet50_fpn_v2": "MaskRCNN_ResNet50_FPN_V2_Weights",
}
NAME = "maskrcnn_resnet50_fpn.coco"


def random_network(architecture, *, seed=0, **options):
    """Return a network that computes what the one of the published file does, once it is filled."""
    torch.manual_seed(seed)
    network = getattr(detection, architecture)(weights=None, weights_backbone=None, **options)
    if architecture == "maskrcnn_resnet50_fpn":
        for module in network.modules():  # of the published one they are frozen, without epsilon
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = 0.0
    return network.eval()


def enliven(network, photo):
    """Normalise as for a photo, and enlarge the ends so that something is found."""
    image = torch.from_numpy(photo.copy()).permute(2, 0, 1) / 255
    hooks = [
        module.register_forward_pre_hook(normalise_as_for)
        for module in network.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    with torch.no_grad():
        network.backbone(network.transform([image])[0].tensors)
        for hook in hooks:
            hook.remove()
        network.rpn.head.cls_logits.weight *= 30
        network.rpn.head.bbox_pred.weight *= 10
        network.roi_heads.box_predictor.cls_score.weight *= 15
        network.roi_heads.mask_predictor.mask_fcn_logits.weight *= 10
    return network


def state_as_published(network, architecture):
    state = network.state_dict()
    if architecture == "maskrcnn_resnet50_fpn_v2":
        return state
    return {name: x for name, x in state.items() if not name.endswith("num_batches_tracked")}


def found_by_torchvision(network, photo):
    """Return up to 100 (label, score, (H, W) bool) of the classes that have a name."""
    image = torch.from_numpy(photo.copy()).permute(2, 0, 1) / 255
    with torch.no_grad():
        (found,) = network([image])
    labels = {number: label for label, number in COCO_IDS.items()}
    named = [i for i, number in enumerate(found["labels"].tolist()) if number in labels][:100]
    return [
        (
            labels[int(found["labels"][i])],
            float(found["scores"][i]),
            (found["masks"][i, 0] >= 0.5).numpy(),
        )
        for i in named
    ]


def whole_mask(candidate, size_hw):
    """Return a candidate's mask, which may reach beyond the photo, in the photo."""
    left, top, right, bottom = candidate.box_xyxy
    mask = np.zeros(size_hw, np.bool_)
    part = candidate.mask[max(-top, 0) : size_hw[0] - top, max(-left, 0) : size_hw[1] - left]
    mask[max(top, 0) : bottom, max(left, 0) : right] = part
    return mask


# --- each step against torchvision's


@pytest.mark.parametrize(
    "size_hw", [(300, 451), (451, 300), (512, 512), (97, 33), (777, 2011), (1600, 1066), (8, 600)]
)
def test_the_photo_is_prepared_as_torchvision_does_it(astronaut, size_hw):
    photo = np.array(Image.fromarray(astronaut).resize(size_hw[::-1]))
    transform = detection.transform.GeneralizedRCNNTransform(
        800, 1333, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    )
    theirs, _ = transform.eval()([torch.from_numpy(photo).permute(2, 0, 1) / 255])
    ours, shown_hw = maskrcnn.prepared(photo)
    assert [shown_hw] == theirs.image_sizes
    assert ours.shape == theirs.tensors.shape
    assert ours.dtype == np.float32
    assert np.abs(ours - theirs.tensors.numpy()).max() < 1e-3  # 1 / 1,000 deviation


@pytest.mark.parametrize(("size_hw", "shown_hw"), [((1, 1333), (1, 1333)), ((3000, 1), (1333, 1))])
def test_the_narrowest_photos_will_do(size_hw, shown_hw):
    tensor, found_hw = maskrcnn.prepared(np.zeros((*size_hw, 3), np.uint8))
    assert found_hw == shown_hw
    assert all(side % 32 == 0 for side in tensor.shape[2:])


@pytest.mark.parametrize(("padded_hw", "size_hw"), [((160, 224), (133, 201)), ((480, 352),) * 2])
def test_proposals_are_torchvisions(padded_hw, size_hw):
    rpn = random_network("maskrcnn_resnet50_fpn").rpn
    grids_hw = [(-(-padded_hw[0] // s), -(-padded_hw[1] // s)) for s in (4, 8, 16, 32, 64)]
    random = torch.Generator().manual_seed(3)
    count = sum(height * width * 3 for height, width in grids_hw)
    objectness = torch.randn(count, generator=random) * 2
    deltas = torch.randn(count, 4, generator=random)
    image = detection.image_list.ImageList(torch.zeros(1, 3, *padded_hw), [size_hw])
    features = [torch.zeros(1, 256, *grid_hw) for grid_hw in grids_hw]
    anchors = rpn.anchor_generator(image, features)
    boxes = rpn.box_coder.decode(deltas, anchors).view(1, -1, 4)
    counts = [height * width * 3 for height, width in grids_hw]
    (theirs,), _ = rpn.filter_proposals(boxes, objectness[:, None], [size_hw], counts)

    ours = propose(objectness.numpy(), deltas.numpy(), grids_hw, padded_hw, size_hw)

    assert len(theirs) > 300
    assert ours.shape == theirs.shape
    apart = np.abs(ours[:, None] - theirs.numpy()).max(
        axis=2
    )  # equally sure ones may change places
    assert max(apart.min(axis=0).max(), apart.min(axis=1).max()) < 1e-3


def test_objects_are_torchvisions():
    heads = random_network("maskrcnn_resnet50_fpn", box_detections_per_img=100_000).roi_heads
    random = torch.Generator().manual_seed(4)
    corners = torch.rand(400, 2, 2, generator=random).sort(dim=1).values * 300
    proposals = corners.flatten(1)
    logits = torch.randn(400, 91, generator=random) * 2
    deltas = torch.randn(400, 91 * 4, generator=random)
    (boxes,), (scores,), (numbers,) = heads.postprocess_detections(
        logits, deltas, [proposals], [(290, 280)]
    )
    named = torch.isin(numbers, torch.tensor([COCO_IDS["person"], COCO_IDS["toothbrush"]]))

    classes = [COCO_IDS["person"], COCO_IDS["toothbrush"]]
    ours, sure, chosen = maskrcnn._detect(
        proposals.numpy(), logits.numpy(), deltas.numpy().reshape(400, 91, 4), classes, (290, 280)
    )

    assert 5 < len(ours) < 100
    np.testing.assert_allclose(ours, boxes[named].numpy(), atol=1e-3)
    np.testing.assert_allclose(sure, scores[named].numpy(), atol=1e-6)
    assert [classes[index] for index in chosen] == numbers[named].tolist()


def test_outlines_are_pasted_as_torchvision_does_it():
    random = np.random.default_rng(6)
    size_hw = (120, 150)
    corners = np.sort(random.random((60, 2, 2)) * (150, 120), axis=1).astype(np.float32)
    boxes = np.concatenate(
        [corners.reshape(-1, 4), [[0, 0, 150, 120], [3.2, 4.1, 3.3, 4.2], [140, 2, 150, 120]]]
    ).astype(np.float32)
    cells = random.random((len(boxes), 28, 28)).astype(np.float32)
    theirs = detection.roi_heads.paste_masks_in_image(
        torch.from_numpy(cells)[:, None], torch.from_numpy(boxes), size_hw
    )
    apart = [
        whole_mask(maskrcnn._pasted("cat", 0.5, box, inside), size_hw) != (mask[0] >= 0.5).numpy()
        for box, inside, mask in zip(boxes, cells, theirs, strict=True)
    ]
    assert np.count_nonzero(apart) <= 3  # of 1,134,000


def test_overlaps_are_left_out_by_hand():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [20, 0, 30, 10], [0, 0, 10, 4]], np.float32)
    scores = np.array([0.5, 0.9, 0.7, 0.6], np.float32)
    assert without_overlaps(boxes, scores, 0.5).tolist() == [1, 2, 3]  # 0.5 is not too much
    assert without_overlaps(boxes, scores, 0.49).tolist() == [1, 2]
    assert without_overlaps(boxes[:0], scores[:0], 0.5).tolist() == []


def test_numbers_and_labels_are_those_of_the_published_files():
    published = detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    assert [published[COCO_IDS[label]] for label in COCO_LABELS] == list(COCO_LABELS)
    left = set(published) - set(COCO_LABELS)
    assert left == {"__background__", "N/A"}


# --- photos of all sizes, with parts that say anything


class AnySession:
    """Stands for a part of the network: random, but the same for the same photo."""

    provider = "NumPy"

    def __init__(self, role, **options):
        self.role = role

    def run(self, *inputs):
        return self.run_all(*inputs)[0]

    def run_all(self, *inputs):
        random = np.random.default_rng(int(abs(inputs[0].sum()) * 1000) % 2**32)
        if self.role == b"propose":
            sides = [(inputs[0].shape[2] // s, inputs[0].shape[3] // s) for s in (4, 8, 16, 32)]
            sides.append(((sides[3][0] + 1) // 2, (sides[3][1] + 1) // 2))
            count = sum(height * width * 3 for height, width in sides)
            features = [random.random((1, 2, *side), np.float32) for side in sides[:4]]
            return [
                *features,
                random.normal(0, 3, count).astype(np.float32),
                random.normal(0, 0.3, (count, 4)).astype(np.float32),
            ]
        boxes = inputs[4]
        if self.role == b"classify":
            logits = random.normal(0, 2, (len(boxes), 91)).astype(np.float32)
            return [logits, random.normal(0, 1, (len(boxes), 91, 4)).astype(np.float32)]
        assert inputs[5].dtype == np.int64
        assert set(inputs[5].tolist()) <= set(COCO_IDS.values())
        ring = np.abs(np.mgrid[:28, :28] - 13.5).max(axis=0)
        return [
            np.stack(
                [1 / (1 + np.exp(ring - side)) for side in random.uniform(2, 16, len(boxes))]
            ).astype(np.float32)
        ]


@pytest.fixture
def anything(monkeypatch):
    monkeypatch.setattr(networks, "Session", AnySession)
    monkeypatch.setattr(networks, "read_file", lambda model, role: role.encode())
    monkeypatch.setattr(maskrcnn, "_SHORT_SIDE", 80)
    monkeypatch.setattr(maskrcnn, "_LONGEST_SIDE", 133)
    return create_segmenter(NAME)


@pytest.mark.parametrize(
    "size_hw", [(1, 1), (1, 2), (3, 1), (8, 600), (600, 8), (1, 700), (33, 31), (301, 97)]
)
def test_the_contract_is_kept_at_any_size(anything, astronaut, size_hw):
    check(anything, np.array(Image.fromarray(astronaut).resize(size_hw[::-1])), COCO_LABELS)
    check(anything, np.zeros((*size_hw, 3), np.uint8), COCO_LABELS[3:7])


def test_only_what_was_asked_is_found(anything, cat):
    assert len({x.label for x in check(anything, cat, COCO_LABELS)}) > 5
    assert {x.label for x in check(anything, cat, ["person", "tv"])} == {"person", "tv"}
    assert anything.segment(cat, []) == []


def test_no_more_than_the_surest_hundred_are_found(anything, cat, monkeypatch):
    monkeypatch.setattr(maskrcnn, "_MOST_OBJECTS", 3)
    few = check(anything, cat, COCO_LABELS)
    assert 1 <= len(few) <= 3


def test_views_read_only_and_fortran_arrays_will_do(anything, cat):
    check(anything, cat[3:200, 11:300], COCO_LABELS)
    check(anything, np.asfortranarray(cat[:90, :120]), COCO_LABELS)


def test_nothing_found_is_no_error(anything, cat, monkeypatch):
    monkeypatch.setattr(maskrcnn, "_LEAST_SCORE", 1.0)
    assert anything.segment(cat, COCO_LABELS) == []


def test_other_labels_and_arrays_are_refused(anything, cat):
    with pytest.raises(UnknownNameError, match=r"unknown label 'dragon'; known: .*person"):
        anything.segment(cat, ["person", "dragon"])
    with pytest.raises(InputError, match="image must be"):
        anything.segment(cat.astype(np.float32), ["person"])
    assert (anything.name, anything.labels) == (NAME, COCO_LABELS)
    assert anything.provider == "NumPy"


# --- from the file to the objects


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("architecture", NETWORKS)
def test_the_published_file_gives_what_torchvision_gives(home, cat, architecture, monkeypatch):
    sizes = {"min_size": 160, "max_size": 320}  # px; 800 and 1333 take minutes
    monkeypatch.setattr(maskrcnn, "_SHORT_SIDE", sizes["min_size"])
    monkeypatch.setattr(maskrcnn, "_LONGEST_SIDE", sizes["max_size"])
    network = enliven(random_network(architecture, box_detections_per_img=1000, **sizes), cat)
    path = home / "any.pth"
    torch.save(state_as_published(network, architecture), path)
    manifest = import_model(f"{architecture}.coco", [path], own_weights=True)
    assert manifest.origin == "own"
    assert set(manifest.files) == {"propose", "classify", "outline"}
    candidates = []

    def keep(found, size_hw):
        candidates.extend(found)
        return separate_instances(found, size_hw)

    monkeypatch.setattr(maskrcnn, "separate_instances", keep)
    segmenter = create_segmenter(f"{architecture}.coco", device="cpu")

    check(segmenter, cat, COCO_LABELS)

    theirs = found_by_torchvision(network, cat)
    assert len(theirs) > 50, "the random network finds too little; the test tests nothing"
    matched = 0
    for candidate in candidates:
        ours = whole_mask(candidate, cat.shape[:2])
        matched += any(
            label == candidate.label
            and abs(score - candidate.score) < 1e-3
            and np.count_nonzero(mask != ours) <= 0.01 * np.count_nonzero(mask) + 3
            for label, score, mask in theirs
        )
    # A box may fall on the other side of a threshold by the last digit of a number.
    assert len(candidates) == pytest.approx(len(theirs), abs=3)
    assert matched >= 0.95 * len(theirs)


@pytest.mark.slow
def test_names_of_the_first_published_files_are_understood(home):
    """The file of 2019 names parameters as torchvision did then; torchvision still reads it."""
    state = state_as_published(random_network("maskrcnn_resnet50_fpn"), "maskrcnn_resnet50_fpn")
    former = {}
    for name, value in state.items():
        for part in ("inner_blocks", "layer_blocks"):
            for number in range(4):
                name = name.replace(f"fpn.{part}.{number}.0.", f"fpn.{part}.{number}.")  # noqa: PLW2901
        name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")  # noqa: PLW2901
        for number in range(4):
            name = name.replace(f"mask_head.{number}.0.", f"mask_head.mask_fcn{number + 1}.")  # noqa: PLW2901
        former[name] = value
    assert len(former.keys() - state.keys()) == 26
    torch.save(former, home / "former.pth")
    manifest = import_model(NAME, [home / "former.pth"], own_weights=True)
    assert max(manifest.largest_difference.values()) < 1e-2


@pytest.mark.slow
def test_the_other_version_is_refused(home):
    for saved, name in (NETWORKS, tuple(NETWORKS)[::-1]):
        torch.save(state_as_published(random_network(saved), saved), home / "other.pth")
        with pytest.raises(WeightsError, match=r"other\.pth: is not of this architecture"):
            import_model(f"{name}.coco", [home / "other.pth"], own_weights=True)


def test_another_file_is_refused_unless_it_is_said_to_be_ones_own(home):
    (home / "own.pth").write_bytes(b"x" * 100)
    with pytest.raises(ChecksumError, match=r"own\.pth: 100 bytes.*--own-weights"):
        import_model(NAME, [home / "own.pth"])
    with pytest.raises(WeightsError, match=r"own\.pth: .*(cut off|tensors alone)"):
        import_model(NAME, [home / "own.pth"], own_weights=True)


# --- the registry's entries


@pytest.mark.parametrize("architecture", NETWORKS)
def test_the_entry_states_what_torchvision_publishes(architecture):
    model, weights = get_model(f"{architecture}.coco"), getattr(detection, NETWORKS[architecture])
    (checkpoint,), meta = model.checkpoints, weights.COCO_V1.meta
    assert checkpoint.url == weights.COCO_V1.url
    assert round(checkpoint.size_bytes / 2**20, 3) == meta["_file_size"]
    prefix = checkpoint.filename.rpartition("-")[2].removesuffix(".pth")
    assert checkpoint.checksum.partition(":")[2].startswith(prefix)
    (measured,), (stated,) = meta["_metrics"].values(), model.metrics.values()
    assert stated == {key: pytest.approx(value / 100) for key, value in measured.items()}
    assert model.labels == COCO_LABELS
