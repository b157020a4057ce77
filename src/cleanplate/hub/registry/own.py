"""Networks of the built-in architectures that users train themselves, by training/."""

from cleanplate.hub.registry.builtin import (
    DEEPLAB_OUTPUTS,
    EDGES_INPUTS,
    EDGES_OUTPUTS,
)
from cleanplate.hub.registry.entry import RGB, Licence, Model, ModelFile, Preprocessing, TensorSpec
from cleanplate.labels import VOC_LABELS

_LICENCE = Licence(
    spdx="NOASSERTION",
    commercial="unclear",
    note="yours; the terms depend on your training data",
)
_PAGE = "your own training run (training/README.md)"
_RECIPE = "trained by you with training/, from random weights or on from the built-in ones"
_PHOTOS = "your own training photos"

ENTRIES = (
    Model(
        name="deeplabv3plus.own",
        kind="segmenter",
        family="semantic",
        files=(
            ModelFile(
                role="segment",
                filename="deeplabv3plus.onnx",
                inputs=(RGB,),
                outputs=DEEPLAB_OUTPUTS,
            ),
        ),
        pages=(_PAGE,),
        labels=VOC_LABELS,
        channels=tuple(range(1, len(VOC_LABELS) + 1)),  # channel 0: background
        preprocessing=Preprocessing(multiple_px=32),
        licence=_LICENCE,
        source="DeepLabV3+, Chen et al. 2018, arXiv:1802.02611",
        recipe=_RECIPE,
        training_photos=_PHOTOS,
        choose="after training a segmenter on photos like yours",
    ),
    Model(
        name="edgeconnect.own",
        kind="inpainter",
        family="edgeconnect",
        preprocessing=Preprocessing(working_size_px=256, multiple_px=4, least_side_px=32),
        files=(
            ModelFile(
                role="edges",
                filename="edgeconnect_own_edges.onnx",
                inputs=EDGES_INPUTS,
                outputs=EDGES_OUTPUTS,
            ),
            ModelFile(
                role="fill",
                filename="edgeconnect_own_fill.onnx",
                inputs=(
                    TensorSpec(
                        "float32",
                        ("N", (4, 5), "H", "W"),
                        "RGB in [0, 1], hole 1; edges; mask, hole 1, if the network takes it",
                    ),
                ),
                outputs=(RGB,),
            ),
        ),
        pages=(_PAGE,),
        licence=_LICENCE,
        source="EdgeConnect, Nazeri et al. 2019, arXiv:1901.00212",
        recipe=_RECIPE,
        training_photos=_PHOTOS,
        choose="after training an inpainter on photos like yours",
    ),
)
