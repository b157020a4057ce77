"""Checkpoints: networks, averages, optimisers, step and random state, written whole."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a run carries from step to step."""

    networks: dict[str, nn.Module]
    averages: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]


def save_checkpoint(path: Path, parts: Parts, step: int, config: dict[str, Any]) -> None:
    """Write a checkpoint; a file that exists is replaced only by a whole one."""
    content = {
        "step": step,
        "config": config,
        "networks": {name: net.state_dict() for name, net in parts.networks.items()},
        "averages": {name: net.state_dict() for name, net in parts.averages.items()},
        "optimisers": {name: one.state_dict() for name, one in parts.optimisers.items()},
        "random": {
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        },
    }
    temporary = path.with_suffix(".tmp")
    torch.save(content, temporary)
    os.replace(temporary, path)  # noqa: PTH105  # atomic, and says so


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Return what `save_checkpoint` wrote."""
    content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return content


def restore(content: dict[str, Any], parts: Parts) -> int:
    """Bring a run into the state of a checkpoint and return the step to go on with."""
    for name, network in parts.networks.items():
        network.load_state_dict(content["networks"][name])
    for name, average in parts.averages.items():
        average.load_state_dict(content["averages"][name])
    for name, optimiser in parts.optimisers.items():
        optimiser.load_state_dict(content["optimisers"][name])
    torch.set_rng_state(content["random"]["cpu"].cpu())
    if content["random"]["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([state.cpu() for state in content["random"]["cuda"]])
    step: int = content["step"]
    return step


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Move an average of weights towards a network's; faster in the first steps."""
    share = 1 - min(decay, (1 + step) / (10 + step))
    ours, theirs = average.state_dict(), network.state_dict()
    for key, value in ours.items():
        if value.dtype.is_floating_point:
            value.lerp_(theirs[key].to(value.dtype), share)
        else:
            value.copy_(theirs[key])
