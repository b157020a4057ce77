"""torchvision's Mask R-CNN on ResNet-50-FPN, in both versions.

The network is written in three parts, cut where it chooses among boxes: what is chosen jumps with
the last digit of a number, so only the parts between can be compared with the original. The choices
are made in `cleanplate.segmentation.models.maskrcnn_regions`.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torchvision.models import resnet50
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.roi_heads import maskrcnn_inference
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign, roi_align

from cleanplate.hub.convert import Conversion
from cleanplate.hub.convert.checkpoints import fill_network, load_state
from cleanplate.hub.convert.export import Tensors, export_network
from cleanplate.hub.registry import Model

_CLASSES = 91  # the background, and COCO's category ids 1 to 90
_STRIDES = (4, 8, 16, 32)  # of the features that boxes are cut from
_FEATURES = tuple(f"features_{stride}" for stride in _STRIDES)

# Feature pyramid networks, Lin et al. 2017, arXiv:1612.03144, equation 1: a box of 224 px is cut
# from the features of stride 16. The rest is `torchvision.ops.poolers.LevelMapper`.
_CANONICAL_PX, _CANONICAL_LEVEL, _EPSILON = 224, 4, 1e-6
_SAMPLES = 2  # a bin and side, as MaskRCNN's own poolers

# Image size and number of boxes at which the parts are compared with the original.
_TRIALS = (((320, 448), 7), ((800, 608), 40), ((32, 96), 1))


class _Propose(torch.nn.Module):
    """Image -> the features, and objectness and deltas of all anchors, level by level."""

    def __init__(self, network: MaskRCNN) -> None:
        super().__init__()
        self.backbone, self.head = network.backbone, network.rpn.head

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = list(self.backbone(image).values())  # strides 4, 8, 16, 32 and 64
        objectness, deltas = concat_box_prediction_layers(*self.head(features))
        return *features[:-1], objectness.flatten(), deltas


class _Classify(torch.nn.Module):
    """Features and boxes -> logits and deltas of every class."""

    def __init__(self, network: MaskRCNN) -> None:
        super().__init__()
        heads = network.roi_heads
        self.pool, self.head, self.predictor = _Pool(7), heads.box_head, heads.box_predictor
        self.published_pool = heads.box_roi_pool

    def forward(
        self,
        features_4: torch.Tensor,
        features_8: torch.Tensor,
        features_16: torch.Tensor,
        features_32: torch.Tensor,
        boxes: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.of(self.pool(features_4, features_8, features_16, features_32, boxes))

    def of(self, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, deltas = self.predictor(self.head(pooled))
        return logits, deltas.unflatten(1, (_CLASSES, 4))

    def original(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.of(_pool_as_published(self.published_pool, *inputs))


class _Outline(torch.nn.Module):
    """Features, boxes and their classes -> the probability of the object inside each box."""

    def __init__(self, network: MaskRCNN) -> None:
        super().__init__()
        heads = network.roi_heads
        self.pool, self.head, self.predictor = _Pool(14), heads.mask_head, heads.mask_predictor
        self.published_pool = heads.mask_roi_pool

    def forward(  # noqa: PLR0917 (one argument an input of the file)
        self,
        features_4: torch.Tensor,
        features_8: torch.Tensor,
        features_16: torch.Tensor,
        features_32: torch.Tensor,
        boxes: torch.Tensor,
        classes: torch.Tensor,
    ) -> torch.Tensor:
        pooled = self.pool(features_4, features_8, features_16, features_32, boxes)
        logits = self.predictor(self.head(pooled))  # (K, 91, 28, 28)
        index = classes[:, None, None, None].expand(-1, 1, logits.shape[2], logits.shape[3])
        return logits.gather(1, index)[:, 0].sigmoid()

    def original(self, *inputs: torch.Tensor) -> torch.Tensor:
        *cut, classes = inputs
        pooled = _pool_as_published(self.published_pool, *cut)
        (masks,) = maskrcnn_inference(self.predictor(self.head(pooled)), [classes])
        return masks[:, 0]


class _Pool(torch.nn.Module):
    """Features and K boxes -> (K, 256, side, side), cut from the level for each box's size.

    Every box is cut from every level and then chosen: how many a level has depends on the boxes'
    values, which the exporter cannot follow.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        *features, boxes = inputs
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        level = torch.floor(_CANONICAL_LEVEL + torch.log2(area.sqrt() / _CANONICAL_PX) + _EPSILON)
        level = level.clamp(2, 5)[:, None, None, None]
        rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], dim=1)  # (K, 5): image 0
        chosen = torch.zeros(())
        for number, (stride, plane) in enumerate(zip(_STRIDES, features, strict=True), start=2):
            cut = roi_align(plane, rois, (self.side, self.side), 1 / stride, _SAMPLES)
            chosen = torch.where(level == number, cut, chosen)
        return chosen


def _pool_as_published(pool: MultiScaleRoIAlign, *inputs: torch.Tensor) -> torch.Tensor:
    *features, boxes = inputs
    size_hw = (features[0].shape[2] * _STRIDES[0], features[0].shape[3] * _STRIDES[0])
    named = {str(number): plane for number, plane in enumerate(features)}
    pooled: torch.Tensor = pool(named, [boxes], [size_hw])
    return pooled


def _build(architecture: str) -> MaskRCNN:
    """Return the network without weights, as torchvision builds it for its published ones."""
    if architecture == "maskrcnn_resnet50_fpn_v2":
        return maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=_CLASSES)
    # `maskrcnn_resnet50_fpn` without weights has other normalisations than with them: those that
    # are frozen, and that divide by the deviation as it is (`overwrite_eps` in torchvision).
    backbone = resnet50(weights=None, norm_layer=FrozenBatchNorm2d)
    network = MaskRCNN(_resnet_fpn_extractor(backbone, trainable_layers=5), num_classes=_CLASSES)
    overwrite_eps(network, 0.0)
    return network


def convert(model: Model, checkpoints: Sequence[Path], folder: Path) -> Conversion:
    """Make the ONNX files of a Mask R-CNN; see `cleanplate.hub.convert.Converter`."""
    (checkpoint,) = checkpoints
    network = _build(model.name.partition(".")[0])
    fill_network(network, load_state(checkpoint), checkpoint)
    network.eval()
    paths = {file.role: folder / file.filename for file in model.files}
    random = torch.Generator().manual_seed(0)
    trials = [_trial(size_hw, boxes, random) for size_hw, boxes in _TRIALS]
    shapes = dict.fromkeys(_FEATURES, (2, 3))
    differences = {
        "propose": export_network(
            _Propose(network),
            paths["propose"],
            inputs={"image": torch.randn(1, 3, 64, 96, generator=random)},
            outputs=[*_FEATURES, "objectness", "deltas"],
            dynamic={"image": (2, 3)},
            trials=[{"image": torch.randn(1, 3, 160, 128, generator=random)}],
        )
    }
    cuts = [{name: trial[name] for name in (*_FEATURES, "boxes")} for trial in trials]
    classify, outline = _Classify(network), _Outline(network)
    differences["classify"] = export_network(
        classify,
        paths["classify"],
        inputs=cuts[0],
        outputs=["logits", "deltas"],
        dynamic={**shapes, "boxes": (0,)},
        trials=cuts[1:],
        original=classify.original,
    )
    differences["outline"] = export_network(
        outline,
        paths["outline"],
        inputs=trials[0],
        outputs=["probabilities"],
        dynamic={**shapes, "boxes": (0,), "classes": (0,)},
        trials=trials[1:],
        original=outline.original,
    )
    return Conversion(files=paths, largest_difference=differences)


def _trial(size_hw: tuple[int, int], count: int, random: torch.Generator) -> Tensors:
    """Return random features of an image of this size, and boxes of all sizes in it."""
    height, width = size_hw
    corners = torch.rand(count, 2, 2, generator=random) ** 2
    corners = corners.sort(dim=1).values * torch.tensor([width, height])
    boxes = corners.flatten(1)  # left, top, right, bottom
    features = {
        name: torch.randn(1, 256, height // stride, width // stride, generator=random)
        for name, stride in zip(_FEATURES, _STRIDES, strict=True)
    }
    classes = torch.randint(1, _CLASSES, (count,), generator=random)
    return {**features, "boxes": boxes, "classes": classes}
