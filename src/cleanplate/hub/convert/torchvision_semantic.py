"""torchvision's FCN, DeepLabV3 and LR-ASPP."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torchvision.models import segmentation

from cleanplate.hub.convert import Conversion
from cleanplate.hub.convert.checkpoints import fill_network, load_state
from cleanplate.hub.convert.export import export_network
from cleanplate.hub.registry import IMAGENET_MEAN, IMAGENET_STD, Model

_CLASSES = 21  # the background and VOC's 20
_TRIALS_HW = ((97, 65), (33, 131), (520, 693))  # the last one is the size that is used


class _Normalised(torch.nn.Module):
    """A network that takes RGB in [0, 1] and returns the output of its main classifier."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network((rgb - self.mean) / self.std)["out"]
        return logits  # (N, 3, H, W) -> (N, 21, H, W)


def convert(model: Model, checkpoints: Sequence[Path], folder: Path) -> Conversion:
    """Make the ONNX file of a semantic network; see `cleanplate.hub.convert.Converter`.

    The published files of all but LR-ASPP carry an auxiliary classifier, which served training
    only: it is loaded, so that the complete file is checked, and not written. A file of the
    user's own may lack it.
    """
    (checkpoint,) = checkpoints
    state = load_state(checkpoint)
    build = getattr(segmentation, model.name.partition(".")[0])
    helped = any(name.startswith("aux_classifier.") for name in state)
    network = build(
        weights=None,
        weights_backbone=None,
        num_classes=_CLASSES,
        aux_loss=helped and build is not segmentation.lraspp_mobilenet_v3_large,
    )
    fill_network(network, state, checkpoint)
    (file,) = model.files
    path = folder / file.filename
    difference = export_network(
        _Normalised(network),
        path,
        inputs={"rgb": torch.rand(2, 3, 64, 96)},
        outputs=["logits"],
        dynamic={"rgb": (0, 2, 3)},
        trials=[{"rgb": torch.rand(1, 3, *size_hw)} for size_hw in _TRIALS_HW],
    )
    return Conversion(files={file.role: path}, largest_difference={file.role: difference})
