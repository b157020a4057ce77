"""Writing a PyTorch network as an ONNX file and comparing the two."""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch

from cleanplate.errors import WeightsError
from cleanplate.hub.store import describe_file, stored_name
from cleanplate.runtime import Session

OPSET = 18
"""Of the files written; ONNX Runtime runs it since version 1.14."""

TOLERANCE = 1e-3
"""Largest difference that is accepted, as a share of the output's largest value (at least 1)."""

Tensors = Mapping[str, torch.Tensor]
"""Input name -> tensor, in the order of the network's arguments."""


def export_network(
    network: torch.nn.Module,
    path: Path,
    *,
    inputs: Tensors,
    outputs: Sequence[str],
    dynamic: Mapping[str, Sequence[int]],
    trials: Sequence[Tensors] = (),
    original: Callable[..., torch.Tensor | Sequence[torch.Tensor]] | None = None,
    dynamo: bool = False,
    tolerance: float = TOLERANCE,
    weights: Path | None = None,
) -> float:
    """Write `network` to `path` and return its largest difference from the original.

    Args:
        network: takes the inputs in their order and returns the outputs, one tensor or several; is
            switched to evaluation.
        path: the ONNX file to write.
        inputs: an example of every input.
        outputs: names of the outputs.
        dynamic: input name -> dimensions that may have other sizes than in the example.
        trials: further inputs to compare at, mostly of other sizes. The example is one already.
        original: what to compare with, if `network` is itself rewritten; None compares with
            `network`.
        dynamo: use PyTorch's newer exporter, for networks that the older one, which follows one run
            and takes a fifth of the time, cannot write.
        tolerance: see `TOLERANCE`.
        weights: a file to write in the folder of `path` for the parameters, which beyond 2 GB an
            ONNX file cannot have itself. It gets the name under which it is to be installed.

    Raises:
        WeightsError: the ONNX file computes something else.
    """
    network = network.eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters, on what they are going to change
        noisy = logging.getLogger("torch.onnx")
        level = noisy.level
        noisy.setLevel(logging.ERROR)
        try:
            _export(network, path, inputs, outputs, dynamic, dynamo=dynamo)
        finally:
            noisy.setLevel(level)
    if weights is not None:
        _move_weights(path, weights)
    compared = original or network
    return largest_difference(compared, path, [inputs, *trials], tolerance=tolerance)


def largest_difference(
    original: Callable[..., torch.Tensor | Sequence[torch.Tensor]],
    path: Path,
    trials: Sequence[Tensors],
    *,
    tolerance: float = TOLERANCE,
) -> float:
    """Return the largest difference of an ONNX file from its original, over some inputs.

    Raises:
        WeightsError: it is further off than `tolerance`.
    """
    session = Session(path, name=path.name, device="cpu")
    largest = 0.0
    for trial in trials:
        difference, scale = _compare(session, original, trial)
        if not difference <= tolerance * scale:  # also if it is not a number
            sizes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in trial.items())
            raise WeightsError(
                f"{path.name}: the ONNX file differs from the original by {difference:.2g} at "
                f"values up to {scale:.2g} ({sizes}); please report it with the versions of torch "
                f"({torch.__version__}) and of the checkpoint"
            )
        largest = max(largest, difference)
    return largest


def _export(
    network: torch.nn.Module,
    path: Path,
    inputs: Tensors,
    outputs: Sequence[str],
    dynamic: Mapping[str, Sequence[int]],
    *,
    dynamo: bool,
) -> None:
    names = list(inputs)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not dynamo:
        axes = {name: {axis: f"{name}_{axis}" for axis in dynamic.get(name, ())} for name in names}
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            str(path),
            input_names=names,
            output_names=list(outputs),
            dynamic_axes={name: found for name, found in axes.items() if found},
            opset_version=OPSET,
            dynamo=False,
        )
        return
    shapes = tuple(dict.fromkeys(dynamic.get(name, ()), torch.export.Dim.DYNAMIC) for name in names)
    torch.onnx.export(
        network,
        tuple(inputs.values()),
        str(path),
        input_names=names,
        output_names=list(outputs),
        dynamic_shapes=shapes,
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def _move_weights(path: Path, weights: Path) -> None:
    """Move the parameters of an ONNX file to another file; see `export_network`."""
    model = onnx.load(path)
    for part in path.parent.iterdir():  # beyond 2 GB the exporter writes a file each
        part.unlink()
    onnx.save_model(
        model, path, save_as_external_data=True, location=weights.name, size_threshold=1024
    )
    del model
    final = weights.with_name(stored_name(weights, describe_file(weights)))
    weights.rename(final)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = final.name
    onnx.save_model(model, path)


def _compare(
    session: Session,
    original: Callable[..., torch.Tensor | Sequence[torch.Tensor]],
    trial: Tensors,
) -> tuple[float, float]:
    """Return the largest absolute difference and the largest absolute value, at least 1."""
    with torch.no_grad():
        expected = original(*trial.values())
    expected = [expected] if isinstance(expected, torch.Tensor) else list(expected)
    found = session.run_all(*(tensor.numpy() for tensor in trial.values()))
    difference, scale = 0.0, 1.0
    for theirs, actual in zip(expected, found, strict=True):
        values = theirs.numpy()
        if values.shape != actual.shape:
            raise WeightsError(f"the ONNX file returns {actual.shape}, the original {values.shape}")
        if values.size:
            deviation = np.abs(values.astype(np.float64) - actual.astype(np.float64)).max()
            difference = max(difference, float(deviation))
            scale = max(scale, float(np.abs(values).max()))
    return difference, scale
