"""Reading checkpoints without executing code they may contain."""

import pickle
import re
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from cleanplate.errors import WeightsError

State = Mapping[str, torch.Tensor]
"""Parameter name -> tensor."""

# Training scripts store their options in these beside the parameters; they only hold values.
_HARMLESS = [Namespace, SimpleNamespace]


def load_checkpoint(path: Path) -> Any:
    """Return the content of a `.pth`, `.pt`, `.ckpt` or `.safetensors` file, tensors on the CPU.

    Only tensors and plain containers are loaded; a file that would run code is refused.

    Raises:
        WeightsError: it cannot be read, is cut off, or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file; check the name") from None
    except pickle.UnpicklingError as error:
        found = re.search(r"WeightsUnpickler error:\s*(.+?)(?:\. |\n|$)", str(error))
        reason = found[1] if found else "it cannot be unpickled"
        raise WeightsError(
            f"{path}: is not a checkpoint of tensors only ({reason}); code in it is never run"
        ) from None
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{path}: cannot be read as a checkpoint ({reason}); it may be truncated; download it "
            "again"
        ) from None


def load_state(path: Path, *, inside: str | None = None) -> State:
    """Return the parameters in a checkpoint.

    Args:
        path: the checkpoint.
        inside: the key under which they stand, if it holds more than them.

    Raises:
        WeightsError: as for `load_checkpoint`, or there are none.
    """
    content = load_checkpoint(path)
    if inside is not None:
        content = content.get(inside) if isinstance(content, Mapping) else None
    if not isinstance(content, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        where = "" if inside is None else f" under {inside!r}"
        raise WeightsError(f"{path}: contains no parameters{where}; is it a file of this model?")
    return content


def fill_network(
    network: torch.nn.Module, state: State, path: Path, *, assign: bool = False
) -> None:
    """Load parameters into a network; names and shapes must match exactly.

    Args:
        network: is changed.
        state: the parameters.
        path: where they are from, for messages.
        assign: make them the network's own instead of copying them.

    Raises:
        WeightsError: one is missing, left over or of another shape; the message names the first.
    """
    try:
        found = network.load_state_dict(state, strict=False, assign=assign)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise WeightsError(f"{path}: is not of this architecture ({reason})") from None
    for names, wrong in ((found.missing_keys, "lacks"), (found.unexpected_keys, "has unexpected")):
        if names:
            raise WeightsError(
                f"{path}: is not of this architecture: it {wrong} {names[0]}"
                + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            )
