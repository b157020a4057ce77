"""Networks of the transformers package filled from the files that its users publish."""

from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from cleanplate.errors import WeightsError
from cleanplate.hub.convert.checkpoints import State


def load_pretrained(architecture: Any, config: Any, state: State, path: Path) -> torch.nn.Module:
    """Return a network with the parameters of a published file.

    The names in it, which may be those of an earlier version of transformers, are brought up to
    date by `from_pretrained`; transformers itself reads no file.

    Args:
        architecture: a class of transformers with `from_pretrained`.
        config: an object of its configuration.
        state: the parameters, see `load_state`.
        path: where they are from, for messages.

    Raises:
        WeightsError: a parameter is missing, left over or of another shape; the message names the
            first.
    """
    shown = logging.is_progress_bar_enabled()
    level = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        network, found = architecture.from_pretrained(
            None,
            config=config,
            state_dict=dict(state),
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported instead of printed
        )
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
    for names, wrong in (
        (found["mismatched_keys"], "has another shape for"),
        (found["missing_keys"], "lacks"),
        (found["unexpected_keys"], "has unexpected"),
    ):
        first = min((name if isinstance(name, str) else name[0] for name in names), default=None)
        if first is not None:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise WeightsError(f"{path}: is not of this architecture: it {wrong} {first}{more}")
    return network.eval()
