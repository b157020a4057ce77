"""The way of a run from its configuration to its last checkpoint, whatever it trains."""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch.utils.data import Dataset

from training.checkpoints import Parts, load_checkpoint, save_checkpoint
from training.config import Run, as_dict, from_dict, read_config
from training.photos import batches_from

Config = TypeVar("Config")
BatchT = TypeVar("BatchT", bound=Any)


class Configured(Protocol):
    """A configuration that says how long and how fast."""

    @property
    def run(self) -> Run:
        """Steps, batch and the like."""
        ...


class Trains(Protocol):
    """What a trainer offers to the loop."""

    device: torch.device

    @property
    def config(self) -> Configured:
        """What it was made with."""
        ...

    @property
    def parts(self) -> Parts:
        """What a checkpoint holds."""
        ...

    def step(self, batch: Any, step: int) -> Mapping[str, float]:
        """Train on one batch and return the losses."""
        ...


def train(
    trainer: Trains,
    batches: Dataset[Any],
    output: Path,
    *,
    start: int = 0,
    stop: int | None = None,
    show: Callable[[Path], None] | None = None,
) -> int:
    """Train from step `start` up to `stop` (None: the configuration's) and return the last step.

    Args:
        trainer: what is trained.
        batches: step -> batch.
        output: folder for checkpoint, logs and sheets.
        start: the first step.
        stop: the step before which to stop.
        show: writes a sheet of what the networks make of some photos; None writes none.
    """
    from torch.utils.tensorboard import SummaryWriter

    run = trainer.config.run
    output.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    last = start
    with SummaryWriter(str(output / "logs")) as log:
        for step, batch in enumerate(batches_from(batches, start, run.workers), start):
            if stop is not None and step >= stop:
                break
            values = trainer.step(on_device(batch, trainer.device), step)
            last = step + 1
            if last % run.log_every == 0 or last == run.steps:
                for name, value in values.items():
                    log.add_scalar(name, value, last)
                speed = (last - start) * run.batch / (time.perf_counter() - begun)
                shown = " ".join(f"{name} {value:.4f}" for name, value in values.items())
                print(f"step {last}, {speed:.0f} crops/s: {shown}", flush=True)
            if show is not None and (last % run.sample_every == 0 or last == run.steps):
                show(output / f"sample_{last:06d}.jpg")
            if last % run.checkpoint_every == 0 or last == run.steps:
                path = output / "checkpoint.pt"
                save_checkpoint(path, trainer.parts, last, as_dict(trainer.config))
    return last


def on_device(batch: BatchT, device: torch.device) -> BatchT:
    """Return a dataclass of tensors with all of them on a device."""
    names = [field.name for field in fields(batch)]
    moved = {name: getattr(batch, name).to(device, non_blocking=True) for name in names}
    return replace(batch, **moved)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every training has."""
    parser.add_argument("--config", type=Path, help="TOML; not with --resume")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--resume", type=Path, help="a checkpoint to go on from")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")


def begin(
    arguments: argparse.Namespace, kind: type[Config], device: torch.device
) -> tuple[Config, dict[str, Any] | None]:
    """Return a run's configuration and, if it goes on, the checkpoint; seed the random numbers."""
    content = load_checkpoint(arguments.resume, device) if arguments.resume else None
    if content is not None:
        config = from_dict(kind, content["config"])
    elif arguments.config:
        config = read_config(arguments.config, kind)
    else:
        config = kind()
    torch.manual_seed(config.run.seed)  # type: ignore[attr-defined]
    torch.set_float32_matmul_precision("high")
    return config, content


def describe_device(device: torch.device) -> str:
    """Return what a card says of where a run was done."""
    return torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
