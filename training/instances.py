r"""Train the network that divides touching objects: their centres, and where each pixel's is.

    python -m training.instances --config training/configs/instances.toml \
        --labelled FOLDER... --output RUN

FOLDER holds images/, masks/ and boxes/ as `benchmarks/segmentation/touching.py` takes them.

Reference:
    Cheng et al., Panoptic-DeepLab, CVPR 2020, arXiv:1911.10194; its loss of centres from Zhou et
    al., Objects as Points, 2019, arXiv:1904.07850.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

from training.components import ComponentBatch, ComponentBatches, read_components
from training.config import InstancesConfig
from training.encoder_decoder import EncoderDecoderTrainer, begin_trainer, train_and_export
from training.export import export_instances
from training.loop import add_arguments
from training.unet import UNet

_UNIT = 0.25  # of the window's side: what the network's offsets are in, so that they are about 1
_RARE = -3.0  # logit of a centre at the start
_LEAST_CELLS = 50  # of a window with a component; with fewer, they count less


class InstanceNetwork(UNet):
    """The probability of an object's centre, and how far it is from each cell to its own.

    Args:
        config: of the run.
        pretrained: whether the encoder starts from ImageNet weights.
    """

    def __init__(self, config: InstancesConfig, *, pretrained: bool) -> None:
        given = config.instances
        super().__init__(
            given.encoder,
            given.decoder_widths,
            pretrained=pretrained,
            layers=given.layers,
            outputs=3,
        )
        nn.init.constant_(self.head.bias[:1], _RARE)

    def forward(self, rgb_mask: torch.Tensor) -> torch.Tensor:
        """(N, 4, S, S) in [0, 1] -> (N, 3, S/4, S/4): in [0, 1]; x and y in shares of the side."""
        logits = super().forward(rgb_mask)
        return torch.cat([torch.sigmoid(logits[:, :1]), logits[:, 1:] * _UNIT], 1)


class InstancesTrainer(EncoderDecoderTrainer[InstancesConfig, ComponentBatch]):
    """Trains the network that divides touching objects.

    Args:
        config: of the run.
        device: where it runs.
        pretrained: whether the encoder starts from ImageNet weights.
    """

    name = "instances"
    warm_up_steps = 60

    def __init__(
        self, config: InstancesConfig, device: torch.device, *, pretrained: bool = True
    ) -> None:
        network = InstanceNetwork(config, pretrained=pretrained)
        network.to(device, memory_format=torch.channels_last)
        super().__init__(network, config, config.instances, device)

    def input_of(self, batch: ComponentBatch) -> torch.Tensor:
        """Return the windows and the components' masks."""
        return batch.rgb_mask

    def loss(self, logits: torch.Tensor, batch: ComponentBatch) -> torch.Tensor:
        """Return the loss of the centres and that of the offsets."""
        centres = centre_loss(logits[:, 0], batch.heat)
        offsets = offset_loss(logits[:, 1:], batch.centres, batch.candidates)
        return centres + self.config.instances.offset_weight * offsets


def centre_loss(found: torch.Tensor, heat: torch.Tensor) -> torch.Tensor:
    """Return the focal loss of centres, for each of them.

    Args:
        found: (N, h, w), probability.
        heat: (N, h, w), 1 at a centre, falling around it.
    """
    found = found.clamp(1e-4, 1 - 1e-4)
    centre = heat == 1
    near = (1 - heat) ** 4 * found**2 * torch.log1p(-found)
    losses = -torch.where(centre, (1 - found) ** 2 * found.log(), near)
    return (losses.sum((1, 2)) / centre.sum((1, 2)).clamp(min=1)).mean()


def offset_loss(
    offsets: torch.Tensor, centres: torch.Tensor, candidates: torch.Tensor
) -> torch.Tensor:
    """Return how far cells point beside the nearest centre of the objects they may belong to.

    Args:
        offsets: (N, 2, h, w), x and y as shares of the side.
        centres: (N, K, 2), in the same unit.
        candidates: (N, K, h, w) bool; a cell without any does not count.
    """
    rows, columns = offsets.shape[2:]
    y, x = torch.meshgrid(
        (torch.arange(rows, device=offsets.device) + 0.5) / rows,
        (torch.arange(columns, device=offsets.device) + 0.5) / columns,
        indexing="ij",
    )
    votes = offsets + torch.stack([x, y])
    away = (votes[:, None] - centres[..., None, None]).abs().sum(2)
    nearest = torch.where(candidates, away, torch.inf).min(1).values
    counted = candidates.any(1)
    nearest = torch.where(counted, nearest, 0)
    return (nearest.sum((1, 2)) / counted.sum((1, 2)).clamp(min=_LEAST_CELLS)).mean()


def main() -> None:
    """Parse the command line, train, export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labelled", type=Path, nargs="+", required=True)
    add_arguments(parser)
    arguments = parser.parse_args()
    trainer, first = begin_trainer(arguments, InstancesConfig, InstancesTrainer)
    components = [one for folder in arguments.labelled for one in read_components(folder)]
    print(f"{len(components)} components; from step {first}", flush=True)
    groups = sum(len(one.boxes) > 1 for one in components)
    train_and_export(
        trainer,
        ComponentBatches(components, trainer.config),
        arguments.output,
        start=first,
        counts={"components": len(components), "groups": groups},
        export=export_instances,
    )


if __name__ == "__main__":
    main()
