r"""Train the network that finds what objects cast: shadows and reflections.

    python -m training.effects --config training/configs/effects.toml \
        --labelled FOLDER... --photos PHOTOS --output RUN
    python -m training.effects --config training/configs/effects_on.toml \
        --start effects_lite0.onnx --labelled FOLDER... --photos PHOTOS --output RUN

FOLDER holds photos/, objects/ and effects/ with files of the same name, as
`benchmarks/effects/build.py` writes them; PHOTOS are what objects are put into.
"""

import argparse
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from training.config import EffectsConfig
from training.encoder_decoder import (
    EncoderDecoderTrainer,
    Rates,
    add_start,
    begin_trainer,
    train_and_export,
)
from training.export import export_effects
from training.loop import add_arguments
from training.onnx_network import OnnxNetwork
from training.pairs import IGNORED
from training.photos import Photos
from training.relative_adam import RelativeAdam
from training.scenes import EffectsBatch, EffectsBatches, read_labelled
from training.unet import UNet

_SMOOTH_PX = 20.0  # of the dice loss


class EffectsTrainer(EncoderDecoderTrainer[EffectsConfig, EffectsBatch]):
    """Trains the network that finds what objects cast.

    Args:
        config: of the run.
        device: where it runs.
        pretrained: whether the encoder starts from ImageNet weights.
        start: an exported file of the built-in network to train on from.
    """

    name = "effects"
    warm_up_steps = 60

    def __init__(
        self,
        config: EffectsConfig,
        device: torch.device,
        *,
        pretrained: bool = True,
        start: Path | None = None,
    ) -> None:
        settings = config.effects
        if start is None:
            widths = settings.decoder_widths
            network: nn.Module = UNet(settings.encoder, widths, pretrained=pretrained)
        else:
            network = OnnxNetwork(start)
        network.to(device, memory_format=torch.channels_last)
        super().__init__(network, config, settings, device)

    def make_optimiser(self, rates: Rates) -> torch.optim.Optimizer:
        """Return one whose steps are relative where the batch norms are folded."""
        if isinstance(self.network, OnnxNetwork):
            return RelativeAdam(self.network.parameters(), self.config.effects.relative_rate)
        return super().make_optimiser(rates)

    def input_of(self, batch: EffectsBatch) -> torch.Tensor:
        """Return the windows and the objects' masks."""
        return batch.rgb_mask

    def loss(self, logits: torch.Tensor, batch: EffectsBatch) -> torch.Tensor:
        """Return cross-entropy and dice."""
        return effects_loss(logits[:, 0], batch.effects, self.config.effects.dice)


def effects_loss(logits: torch.Tensor, truth: torch.Tensor, dice: float) -> torch.Tensor:
    """Return cross-entropy, and dice where there is an effect; each window counts alike.

    Args:
        logits: (N, H, W).
        truth: (N, H, W) int64: 0, 1, or 255 = ignore.
        dice: weight of that loss.
    """
    counted = (truth != IGNORED).float()
    wanted = (truth == 1).float()
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    entropy = (entropy * counted).sum((1, 2)) / counted.sum((1, 2)).clamp(min=100)
    found = torch.sigmoid(logits) * counted
    both, each = (found * wanted).sum((1, 2)), (found + wanted).sum((1, 2))
    apart = 1 - (2 * both + _SMOOTH_PX) / (each + _SMOOTH_PX)
    return (entropy + dice * apart * (wanted.sum((1, 2)) > 0)).mean()


def main() -> None:
    """Parse the command line, train, measure, export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labelled", type=Path, nargs="+", required=True)
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    add_start(parser)
    add_arguments(parser)
    arguments = parser.parse_args()
    of_trainer = partial(EffectsTrainer, start=arguments.start)
    trainer, first = begin_trainer(arguments, EffectsConfig, of_trainer)
    labelled = [one for folder in arguments.labelled for one in read_labelled(folder)]
    photos = Photos(arguments.photos)
    print(f"{len(labelled)} objects, {len(photos)} photos; from step {first}", flush=True)
    train_and_export(
        trainer,
        EffectsBatches(labelled, photos, trainer.config),
        arguments.output,
        start=first,
        counts={"objects": len(labelled), "photos": len(photos)},
        export=export_effects,
        share=arguments.share,
    )


if __name__ == "__main__":
    main()
