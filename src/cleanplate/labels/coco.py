"""The 80 classes of COCO.

Source: Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, arXiv:1405.0312.
"""

from collections.abc import Mapping
from types import MappingProxyType

_UNUSED_IDS = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
"""Category ids below 91 that the published annotations leave out."""

COCO_LABELS = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant",
    "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""In their published order."""

COCO_IDS: Mapping[str, int] = MappingProxyType(
    dict(zip(COCO_LABELS, (id_ for id_ in range(1, 91) if id_ not in _UNUSED_IDS), strict=True))
)
"""Label -> published category id, 1 to 90 with gaps."""
