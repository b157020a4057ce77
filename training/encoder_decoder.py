"""Training of a network with a pretrained encoder, whatever it finds."""

import argparse
import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import nn
from torch.utils.data import Dataset

from training.card import write_card
from training.checkpoints import Parts, restore, update_average
from training.config import Run, as_dict
from training.loop import begin, describe_device, train
from training.onnx_network import OnnxNetwork

Batch = TypeVar("Batch")
Config = TypeVar("Config", bound="Averaged")
Trainer = TypeVar("Trainer", bound="EncoderDecoderTrainer[Any, Any]")


class Averaged(Protocol):
    """A configuration of such a training."""

    @property
    def run(self) -> Run:
        """Steps, batch and the like."""
        ...

    @property
    def average(self) -> float:
        """Share of the average that stays at a step."""
        ...

    @property
    def clip_norm(self) -> float:
        """Largest norm of the gradients."""
        ...


class Rates(Protocol):
    """How fast the parts of the network learn."""

    @property
    def encoder_rate(self) -> float:
        """Of the encoder."""
        ...

    @property
    def decoder_rate(self) -> float:
        """Of all else."""
        ...

    @property
    def weight_decay(self) -> float:
        """Of both."""
        ...


class EncoderDecoderTrainer(ABC, Generic[Config, Batch]):
    """A network, its average, its optimiser, and one step of training.

    Args:
        network: on the device; its `encoder` is pretrained.
        config: of the run.
        rates: of its parts.
        device: where it runs.
    """

    name: ClassVar[str]  # of the network in a checkpoint
    warm_up_steps: ClassVar[int]

    def __init__(
        self, network: nn.Module, config: Config, rates: Rates, device: torch.device
    ) -> None:
        self.network, self.config, self.device = network, config, device
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.optimiser = self.make_optimiser(rates)
        self._rates = [group["lr"] for group in self.optimiser.param_groups]

    def make_optimiser(self, rates: Rates) -> torch.optim.Optimizer:
        """Return the optimiser, with the rates that hold at the start."""
        encoder = list(self.network.get_submodule("encoder").parameters())
        known = {id(parameter) for parameter in encoder}
        others = [p for p in self.network.parameters() if id(p) not in known]
        return torch.optim.AdamW(
            [
                {"params": encoder, "lr": rates.encoder_rate},
                {"params": others, "lr": rates.decoder_rate},
            ],
            weight_decay=rates.weight_decay,
        )

    @property
    def parts(self) -> Parts:
        """What a checkpoint holds."""
        return Parts(
            networks={self.name: self.network},
            averages={self.name: self.average},
            optimisers={self.name: self.optimiser},
        )

    def step(self, batch: Batch, step: int) -> dict[str, float]:
        """Train on one batch and return the loss."""
        share = step / max(1, self.config.run.steps)
        # Polynomial, as in the paper of DeepLab.
        factor = (1 - share) ** 0.9 * min(1.0, (step + 1) / self.warm_up_steps)
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self.network.train()
        with torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.config.run.precision == "bf16"
        ):
            logits = self.network(self.input_of(batch))
        loss = self.loss(logits.float(), batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        self.optimiser.step()
        update_average(self.average, self.network, step, self.config.average)
        return {"loss": float(loss.detach())}

    @abstractmethod
    def input_of(self, batch: Batch) -> Any:
        """Return the tensor that the network takes."""

    @abstractmethod
    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the loss of the network's output."""


def add_start(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a training that may go on from a network's exported file."""
    parser.add_argument("--start", type=Path, help="ONNX file of the built-in network to train on")
    parser.add_argument(
        "--share",
        type=float,
        default=0.5,
        help="with --start: how far from the old weights to the new the result lies; default: 0.5",
    )


def begin_trainer(
    arguments: argparse.Namespace, of_config: type[Any], of_trainer: Callable[..., Trainer]
) -> tuple[Trainer, int]:
    """Return a run's trainer, restored if the run goes on, and its first step.

    Args:
        arguments: of `training.loop.add_arguments`.
        of_config: the configuration's class.
        of_trainer: takes it, a device, and whether the encoder starts from ImageNet weights.
    """
    device = torch.device(arguments.device)
    config, content = begin(arguments, of_config, device)
    trainer = of_trainer(config, device, pretrained=content is None)
    return trainer, restore(content, trainer.parts) if content is not None else 0


def train_and_export(
    trainer: EncoderDecoderTrainer[Any, Batch],
    batches: Dataset[Batch],
    output: Path,
    *,
    start: int,
    counts: Mapping[str, int],
    export: Callable[[nn.Module, Path], float],
    share: float = 1.0,
) -> None:
    """Train to the end, and write the network as ONNX, with its card.

    Args:
        trainer: of the network; its name is the file's.
        batches: step -> batch.
        output: folder.
        start: the first step.
        counts: how much it is trained on, by name.
        export: writes the network, and returns by how much the file differs.
        share: how far from the weights of the file it started from the result lies.
    """
    begun = time.perf_counter()
    last = train(trainer, batches, output, start=start)
    facts: dict[str, object] = {
        **counts,
        "steps": last,
        "seconds of this run": round(time.perf_counter() - begun),
        "device": describe_device(trainer.device),
    }
    path = output / f"{trainer.name}.onnx"
    if isinstance(trainer.average, OnnxNetwork):
        trainer.average.write(path, share)
    else:
        facts["largest difference of the ONNX file"] = export(trainer.average, path)
    write_card(
        output / "card.md",
        name=trainer.name.capitalize(),
        files=[path],
        config=as_dict(trainer.config),
        facts=facts,
    )
