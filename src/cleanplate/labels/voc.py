"""The classes of PASCAL VOC 2012.

Source: Everingham et al., The PASCAL Visual Object Classes Challenge, IJCV 2010.
"""

VOC_LABELS = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""In their published order; id = position + 1, 0 is the background."""
