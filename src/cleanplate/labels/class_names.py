"""The classes of PASCAL VOC 2012, COCO and ADE20K, as published."""

from collections.abc import Mapping
from types import MappingProxyType

# Everingham et al., The PASCAL Visual Object Classes Challenge, IJCV 2010.
VOC_LABELS = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""In their published order; id = position + 1, 0 is the background."""

# Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, arXiv:1405.0312.
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

# Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017; the benchmark's
# `objectInfo150.txt`, of whose several names for a class the first is the label here.
ADE20K_LABELS = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass",
    "cabinet", "sidewalk", "person", "earth", "door", "table", "mountain", "plant", "curtain",
    "chair", "car", "water", "painting", "sofa", "shelf", "house", "sea", "mirror", "rug", "field",
    "armchair", "seat", "fence", "desk", "rock", "wardrobe", "lamp", "bathtub", "railing",
    "cushion", "base", "box", "column", "signboard", "chest of drawers", "counter", "sand", "sink",
    "skyscraper", "fireplace", "refrigerator", "grandstand", "path", "stairs", "runway", "case",
    "pool table", "pillow", "screen door", "stairway", "river", "bridge", "bookcase", "blind",
    "coffee table", "toilet", "flower", "book", "hill", "bench", "countertop", "stove", "palm",
    "kitchen island", "computer", "swivel chair", "boat", "bar", "arcade machine", "hovel", "bus",
    "towel", "light", "truck", "tower", "chandelier", "awning", "streetlight", "booth",
    "television receiver", "airplane", "dirt track", "apparel", "pole", "land", "bannister",
    "escalator", "ottoman", "bottle", "buffet", "poster", "stage", "van", "ship", "fountain",
    "conveyer belt", "canopy", "washer", "plaything", "swimming pool", "stool", "barrel", "basket",
    "waterfall", "tent", "bag", "minibike", "cradle", "oven", "ball", "food", "step", "tank",
    "trade name", "microwave", "pot", "animal", "bicycle", "lake", "dishwasher", "screen",
    "blanket", "sculpture", "hood", "sconce", "vase", "traffic light", "tray", "ashcan", "fan",
    "pier", "crt screen", "plate", "monitor", "bulletin board", "shower", "radiator", "glass",
    "clock", "flag",
)  # fmt: skip
"""In their published order; id = position + 1, 0 is what was not labelled."""

ADE20K_STUFF = frozenset(
    (
        "wall", "building", "sky", "floor", "tree", "ceiling", "road", "windowpane", "grass",
        "sidewalk", "earth", "door", "mountain", "plant", "curtain", "water", "house", "sea", "rug",
        "field", "fence", "rock", "railing", "base", "column", "counter", "sand", "skyscraper",
        "fireplace", "grandstand", "path", "stairs", "runway", "screen door", "stairway", "river",
        "bridge", "blind", "hill", "countertop", "kitchen island", "hovel", "tower", "awning",
        "dirt track", "land", "bannister", "escalator", "stage", "canopy", "swimming pool",
        "waterfall", "step", "lake", "hood", "pier",
    )
)  # fmt: skip
"""Labels that are the scene rather than objects in it: ground, water, sky, plants that cover, and
what is built or fixed in a building. Removing all of these would leave no photo."""
