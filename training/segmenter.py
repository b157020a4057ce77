r"""Train DeepLabV3+ on masks made by people and on the labels of a teacher.

    python -m training.segmenter --config training/configs/segmenter.toml \
        --labelled VOC --taught TAUGHT --held-out VAL --output RUN
    python -m training.segmenter --config training/configs/segmenter_on.toml \
        --start deeplabv3plus_lite2_voc.onnx --labelled VOC --output RUN

Each folder holds images/NAME.* and masks/NAME.png with class numbers, 255 = ignore. TAUGHT is made
by `python -m training.teach` with any segmenter of the registry.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from cleanplate.segmentation.multiscale import network_size
from training.card import write_card
from training.checkpoints import restore
from training.config import SegmenterConfig, as_dict
from training.deeplab import DeepLab
from training.encoder_decoder import EncoderDecoderTrainer, Rates, add_start
from training.export import export_segmenter
from training.loop import add_arguments, begin, describe_device, train
from training.onnx_network import OnnxNetwork
from training.pairs import IGNORED, LabelledBatch, LabelledBatches, Pair, find_pairs
from training.relative_adam import RelativeAdam

_VALIDATED_SIDE = 513  # px; long side, as the papers measure


class SegmenterTrainer(EncoderDecoderTrainer[SegmenterConfig, LabelledBatch]):
    """Trains DeepLabV3+.

    Args:
        config: of the run.
        device: where it runs.
        pretrained: whether the encoder starts from ImageNet weights.
        start: an exported file of the built-in network to train on from.
    """

    name = "segmenter"
    warm_up_steps = 100

    def __init__(
        self,
        config: SegmenterConfig,
        device: torch.device,
        *,
        pretrained: bool = True,
        start: Path | None = None,
    ) -> None:
        settings = config.segmentation
        if start is None:
            network: nn.Module = DeepLab(
                settings.encoder, settings.classes, settings.decoder_width, pretrained=pretrained
            )
        else:
            network = OnnxNetwork(start)
        network.to(device)
        if device.type == "cuda" or start is not None:
            network.to(memory_format=torch.channels_last)
        super().__init__(network, config, settings, device)

    def make_optimiser(self, rates: Rates) -> torch.optim.Optimizer:
        """Return one whose steps are relative where the batch norms are folded."""
        if isinstance(self.network, OnnxNetwork):
            rate = self.config.segmentation.relative_rate
            return RelativeAdam(self.network.parameters(), rate)
        return super().make_optimiser(rates)

    def input_of(self, batch: LabelledBatch) -> torch.Tensor:
        """Return the crops."""
        return batch.rgb

    def loss(self, logits: torch.Tensor, batch: LabelledBatch) -> torch.Tensor:
        """Return the cross-entropy of the hardest pixels."""
        share = self.config.segmentation.hardest_share
        return hardest_cross_entropy(logits, batch.classes, share)


def hardest_cross_entropy(
    logits: torch.Tensor, classes: torch.Tensor, share: float
) -> torch.Tensor:
    """Return the mean cross-entropy of the hardest pixels of each crop.

    Args:
        logits: (N, C, h, w); brought to the size of `classes`.
        classes: (N, H, W) int64, 255 = ignore.
        share: of the pixels of a crop that count, (0, 1].
    """
    size = classes.shape[1:]
    logits = functional.interpolate(logits, size, mode="bilinear", align_corners=False)
    loss = functional.cross_entropy(logits, classes, ignore_index=IGNORED, reduction="none")
    flat = loss.flatten(1)
    return flat.topk(max(1, int(share * flat.shape[1])), dim=1).values.mean()


@torch.no_grad()
def intersection_over_union(
    network: nn.Module, pairs: Sequence[Pair], classes: int, device: torch.device
) -> npt.NDArray[np.float64]:
    """Return (classes,) intersection over union over all pairs; NaN for a class that none shows."""
    network.eval()
    counts = torch.zeros(classes, classes, dtype=torch.float64)
    for pair in pairs:
        photo, truth = pair.read()
        height, width = photo.shape[:2]
        scale = _VALIDATED_SIDE / max(height, width)
        size_wh = network_size((height, width), scale)[::-1]
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(photo, size_wh, interpolation=method)
        rgb = torch.from_numpy(small).to(device).permute(2, 0, 1)[None].float() / 255
        logits = functional.interpolate(
            network(rgb).float(), (height, width), mode="bilinear", align_corners=False
        )
        found = logits[0].argmax(0).cpu()
        wanted = torch.from_numpy(truth).long()
        counted = wanted < classes
        both = wanted[counted] * classes + found[counted]
        counts += torch.bincount(both, minlength=classes**2).view(classes, classes)
    hit = counts.diag()
    union = counts.sum(0) + counts.sum(1) - hit
    shown = counts.sum(1) > 0
    return torch.where(shown, hit / union, torch.nan).numpy()


def main() -> None:
    """Parse the command line, train, measure, export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labelled", type=Path, nargs="*", default=[], help="made by people")
    parser.add_argument("--taught", type=Path, nargs="*", default=[], help="labelled by a teacher")
    parser.add_argument("--held-out", type=Path, help="pairs to measure on at the end")
    add_start(parser)
    add_arguments(parser)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    config, content = begin(arguments, SegmenterConfig, device)
    trainer = SegmenterTrainer(config, device, pretrained=content is None, start=arguments.start)
    first = restore(content, trainer.parts) if content is not None else 0
    labelled = [pair for folder in arguments.labelled for pair in find_pairs(folder)]
    taught = [pair for folder in arguments.taught for pair in find_pairs(folder)]
    batches = LabelledBatches(labelled, taught, config)
    print(
        f"{len(labelled)} pairs by people, {len(taught)} by a teacher; from step {first}",
        flush=True,
    )
    begun = time.perf_counter()
    last = train(trainer, batches, arguments.output, start=first)
    trained_s = time.perf_counter() - begun
    path = arguments.output / "deeplabv3plus.onnx"
    network, difference = trainer.average, 0.0
    if isinstance(network, OnnxNetwork):
        network.write(path, arguments.share)
        network = OnnxNetwork(path)
    metrics: dict[str, float] = {}
    if arguments.held_out:
        pairs = find_pairs(arguments.held_out)
        each = intersection_over_union(network, pairs, config.segmentation.classes, device)
        metrics[f"miou, {len(pairs)} held-out pairs"] = float(np.nanmean(each))
        metrics |= {f"iou of class {n}": float(v) for n, v in enumerate(each) if not np.isnan(v)}
    if arguments.start is None:
        difference = export_segmenter(network, path)
    write_card(
        arguments.output / "card.md",
        name="DeepLabV3+",
        files=[path],
        config=as_dict(config),
        facts={
            "pairs by people": len(labelled),
            "pairs by a teacher": len(taught),
            "steps": last,
            "seconds of this run": round(trained_s),
            "device": describe_device(device),
            "largest difference of the ONNX file": difference,
        },
        metrics=metrics,
    )


if __name__ == "__main__":
    main()
