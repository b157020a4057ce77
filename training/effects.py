r"""Train the network that finds what objects cast: shadows and mirror images.

    python -m training.effects --config training/configs/effects.toml \
        --labelled FOLDER... --photos PHOTOS --output RUN

FOLDER holds photos/, objects/ and effects/ with files of the same name, as
`benchmarks/effects/build.py` writes them; PHOTOS are what objects are put into.
"""

import argparse
import copy
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from training.card import write_card
from training.checkpoints import Parts, restore, update_average
from training.config import EffectsConfig, as_dict
from training.export import export_effects
from training.loop import add_arguments, begin, describe_device, train
from training.pairs import IGNORED
from training.photos import Photos
from training.scenes import EffectsBatch, EffectsBatches, read_labelled
from training.unet import UNet

_SMOOTH_PX = 20.0  # of the dice loss


class EffectsTrainer:
    """A network, its average, its optimiser, and one step of training.

    Args:
        config: of the run.
        device: where it runs.
        pretrained: whether the encoder starts from ImageNet weights.
    """

    def __init__(
        self, config: EffectsConfig, device: torch.device, *, pretrained: bool = True
    ) -> None:
        self.config, self.device = config, device
        settings = config.effects
        self.network = UNet(settings.encoder, settings.decoder_widths, pretrained=pretrained)
        self.network.to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        encoder = list(self.network.encoder.parameters())
        known = {id(parameter) for parameter in encoder}
        others = [p for p in self.network.parameters() if id(p) not in known]
        self._rates = (settings.encoder_rate, settings.decoder_rate)
        self.optimiser = torch.optim.AdamW(
            [{"params": encoder}, {"params": others}],
            lr=settings.encoder_rate,
            weight_decay=settings.weight_decay,
        )

    @property
    def parts(self) -> Parts:
        """What a checkpoint holds."""
        return Parts(
            networks={"effects": self.network},
            averages={"effects": self.average},
            optimisers={"effects": self.optimiser},
        )

    def step(self, batch: EffectsBatch, step: int) -> dict[str, float]:
        """Train on one batch and return the loss."""
        share = step / max(1, self.config.run.steps)
        factor = (1 - share) ** 0.9 * min(1.0, (step + 1) / 60)
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self.network.train()
        with torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.config.run.precision == "bf16"
        ):
            logits = self.network(batch.rgb_mask)[:, 0]
        loss = effects_loss(logits.float(), batch.effects, self.config.effects.dice)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        self.optimiser.step()
        update_average(self.average, self.network, step, self.config.average)
        return {"loss": float(loss.detach())}


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
    add_arguments(parser)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    config, content = begin(arguments, EffectsConfig, device)
    trainer = EffectsTrainer(config, device, pretrained=content is None)
    first = restore(content, trainer.parts) if content is not None else 0
    labelled = [one for folder in arguments.labelled for one in read_labelled(folder)]
    photos = Photos(arguments.photos)
    print(f"{len(labelled)} objects, {len(photos)} photos; from step {first}", flush=True)
    begun = time.perf_counter()
    batches = EffectsBatches(labelled, photos, config)
    last = train(trainer, batches, arguments.output, start=first)
    facts: dict[str, object] = {
        "objects": len(labelled),
        "photos": len(photos),
        "steps": last,
        "seconds of this run": round(time.perf_counter() - begun),
        "device": describe_device(device),
    }
    path = arguments.output / "effects.onnx"
    facts["largest difference of the ONNX file"] = export_effects(trainer.average, path)
    write_card(
        arguments.output / "card.md",
        name="Effects",
        files=[path],
        config=as_dict(config),
        facts=facts,
    )


if __name__ == "__main__":
    main()
