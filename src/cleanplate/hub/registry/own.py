"""Networks of the built-in architectures that users train themselves, by training/."""

from cleanplate.hub.registry.builtin import DEEPLAB_CONTRACT, EDGECONNECT_CONTRACT
from cleanplate.hub.registry.entry import Licence, Model, ModelFile, Preprocessing
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
                inputs=(("float32", (1, 3, "H", "W")),),
                outputs=(("float32", (1, 1 + len(VOC_LABELS), "H", "W")),),
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
        contract=DEEPLAB_CONTRACT,
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
                inputs=(("float32", (1, 3, "H", "W")),),
                outputs=(("float32", (1, 1, "H", "W")),),
            ),
            ModelFile(
                role="fill",
                filename="edgeconnect_own_fill.onnx",
                inputs=(("float32", (1, (4, 5), "H", "W")),),
                outputs=(("float32", (1, 3, "H", "W")),),
            ),
        ),
        pages=(_PAGE,),
        licence=_LICENCE,
        source="EdgeConnect, Nazeri et al. 2019, arXiv:1901.00212",
        recipe=_RECIPE,
        training_photos=_PHOTOS,
        contract=f"{EDGECONNECT_CONTRACT}; a fifth channel, if there is one, is the mask",
        choose="after training an inpainter on photos like yours",
    ),
)
