"""`--preset published` is an older tool's result: its steps written anew here, the same weights."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cleanplate.hub.registry import get_model
from cleanplate.inpainting.models.edgeconnect import PublishedEdgeConnectInpainter
from cleanplate.inpainting.models.published import fill_as_published
from cleanplate.labels import VOC_LABELS
from cleanplate.segmentation.models.published import find_as_published
from cleanplate.segmentation.models.semantic import SemanticSegmenter

torch = pytest.importorskip("torch")
transforms = pytest.importorskip("torchvision.transforms")
pytestmark = pytest.mark.slow  # loads PyTorch
from test_hub_convert_edgeconnect import original_pipeline, random_state, run  # noqa: E402

IDS = (3, 7, 15)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def network():
    """Return a random network with torchvision's interface: blots of 21 classes."""
    torch.manual_seed(1)
    layer = torch.nn.Conv2d(3, 21, 31, stride=8, padding=15)

    def logits(pixels):
        with torch.no_grad():
            return torch.nn.functional.interpolate(
                layer(pixels), pixels.shape[2:], mode="bilinear", align_corners=False
            )

    return logits


def without_gaps(rows):
    """Close gaps of 1 and 2 between ones, on each row by itself."""
    texts = ("".join(str(int(value)) for value in row) for row in rows)
    closed = (re.sub("(?<=1)0{1,2}(?=1)", lambda gap: "1" * len(gap[0]), text) for text in texts)
    return np.array([[character == "1" for character in text] for text in closed])


def as_published(photo, network, states, short_side):
    """Return the older tool's hole and picture, (256, 256) and (256, 256, 3)."""
    image = Image.fromarray(photo)
    prepared = transforms.Compose(
        [transforms.Resize(short_side), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    )(image)
    objects = np.isin(network(prepared[None])[0].argmax(dim=0).numpy(), IDS)
    painted = np.array(image.resize(objects.shape[::-1], Image.Resampling.LANCZOS))
    painted[objects] = 255
    mask = Image.fromarray(np.uint8(255) * objects)
    square, small = (
        np.array(it.resize((256, 256), Image.Resampling.LANCZOS))
        for it in (Image.fromarray(painted), mask)
    )
    hole = without_gaps(without_gaps(small > 0).T).T
    return hole, original_pipeline(states, square, hole).astype(np.uint8)


def test_mask_and_picture_are_the_older_tools(network, astronaut):
    photo = astronaut[:300, :451]
    states = {role: random_state(role) for role in ("edges", "fill")}
    segmenter = SemanticSegmenter.__new__(SemanticSegmenter)
    segmenter._model = get_model("deeplabv3_resnet101.coco_voc")
    mean, std = (torch.tensor(it).view(1, 3, 1, 1) for it in (MEAN, STD))
    segmenter._networks = {
        "segment": SimpleNamespace(
            provider="CPUExecutionProvider",
            run=lambda rgb: network((torch.from_numpy(rgb) - mean) / std).numpy(),
        )
    }
    inpainter = PublishedEdgeConnectInpainter.__new__(PublishedEdgeConnectInpainter)
    inpainter._networks = {
        role: SimpleNamespace(
            input_shapes=[(1, 4 if role == "fill" else 3, "H", "W")],
            run=lambda planes, role=role: run(states[role], torch.from_numpy(planes), role).numpy(),
        )
        for role in states
    }

    labels = tuple(VOC_LABELS[number - 1] for number in IDS)
    objects, instances = find_as_published(photo, labels, segmenter)
    square = fill_as_published(photo, objects, inpainter)

    hole, picture = as_published(photo, network, states, 680)
    assert 0.02 < hole.mean() < 0.9
    assert {instance.label for instance in instances} <= set(labels)
    np.testing.assert_array_equal(square.hole, hole)
    assert np.abs(square.result.astype(int) - picture).max() <= 1
    assert picture[hole].std() > 10
