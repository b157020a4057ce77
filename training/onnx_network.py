"""An exported network as a module that can be trained on, and back into its file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

from training.export import unpack_halves


@dataclass(frozen=True, slots=True)
class _Node:
    """An operator of the file."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]


class OnnxNetwork(nn.Module):
    """Computes what an ONNX file computes, with weights that can be trained.

    A sigmoid at its end is left out: losses take logits.

    Args:
        path: a file with one input and one output, of the built-in segmenter's operators or of
            those of the network for effects.

    Raises:
        ValueError: it has others.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        graph = onnx.load(path).graph
        unpack_halves(graph)
        last = graph.node[-1]
        end = last.input[0] if last.op_type == "Sigmoid" else graph.output[0].name
        self._path, self._input, self._output = path, graph.input[0].name, end
        tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._constants: dict[str, Any] = {}
        self._nodes: list[_Node] = []
        needed = {self._output}
        for node in reversed(graph.node):
            facts = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            if node.op_type == "Constant":
                value = numpy_helper.to_array(facts["value"])
                self._constants[node.output[0]] = value.tolist() if value.size else None
            elif needed.intersection(node.output):
                # Sizes are computed from shapes, which PyTorch knows; only pictures are followed.
                pictures = node.input[:1] if node.op_type == "Resize" else node.input
                needed.update(pictures)
                self._nodes.insert(0, _Node(node.op_type, (*node.input,), node.output[0], facts))
        unknown = {node.kind for node in self._nodes}.difference(_OPERATORS)
        if unknown:
            raise ValueError(f"{path}: cannot train on from {', '.join(sorted(unknown))}")
        self._names = [name for name in tensors if name in needed]
        self._weights = nn.ParameterList(
            nn.Parameter(torch.from_numpy(tensors[name].astype(np.float32))) for name in self._names
        )

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        """Return what the file returns for its input."""
        values: dict[str, Any] = {
            **self._constants,
            **dict(zip(self._names, self._weights, strict=True)),
            self._input: rgb,
        }
        pooled = rgb  # what was last averaged to one cell, which is brought to its size again
        for node in self._nodes:
            inputs: list[Any] = [values.get(name) for name in node.inputs]
            if node.kind == "GlobalAveragePool":
                pooled = inputs[0]
            if node.kind == "Resize" and inputs[0].shape[2:] == (1, 1):
                values[node.output] = inputs[0].expand(-1, -1, *pooled.shape[2:])
            else:
                values[node.output] = _OPERATORS[node.kind](node.attributes, *inputs)
        result: torch.Tensor = values[self._output]
        return result

    def write(self, path: Path, share: float = 1.0) -> None:
        """Write the file with the weights that lie so far on the way from its own to these."""
        weights = dict(zip(self._names, self._weights, strict=True))
        model = onnx.load(self._path)
        for tensor in model.graph.initializer:
            weight = weights.get(tensor.name, weights.get(tensor.name.removesuffix("_h")))
            if weight is not None:
                own = numpy_helper.to_array(tensor)
                mixed = own + share * (weight.detach().cpu().numpy() - own.astype(np.float32))
                tensor.CopyFrom(numpy_helper.from_array(mixed.astype(own.dtype), tensor.name))
        onnx.save(model, path)


def _convolve(facts: dict[str, Any], x: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
    """Return a convolution; the file may pad the sides differently."""
    top, left, bottom, right = facts["pads"]
    return functional.conv2d(
        functional.pad(x, (left, right, top, bottom)),
        *weights,
        stride=facts["strides"],
        dilation=facts["dilations"],
        groups=facts["group"],
    )


def _slice(
    _: dict[str, Any], x: torch.Tensor, starts: list[int], ends: list[int], *axes: list[int]
) -> torch.Tensor:
    """Return some of the channels."""
    assert axes[:1] == ([1],)
    assert axes[1:] in ((), ([1],))  # the step
    return x[:, starts[0] : ends[0]]


def _resize(facts: dict[str, Any], x: torch.Tensor, *sizes: Any) -> torch.Tensor:
    """Return a picture enlarged by the factors of the file; nearest pixels always to the double."""
    if facts["mode"] == b"nearest":
        return functional.interpolate(x, scale_factor=2.0, mode="nearest")
    corners = facts["coordinate_transformation_mode"] == b"align_corners"
    factors = sizes[1][2:]
    return functional.interpolate(x, scale_factor=factors, mode="bilinear", align_corners=corners)


_OPERATORS: dict[str, Callable[..., torch.Tensor]] = {
    "Add": lambda _, a, b: a + b,
    "Clip": lambda _, x, low, high: x.clamp(low, high),
    "Concat": lambda facts, *parts: torch.cat(parts, facts["axis"]),
    "Conv": _convolve,
    "Div": lambda _, a, b: a / b,
    "GlobalAveragePool": lambda _, x: x.mean((2, 3), keepdim=True),
    "Mul": lambda _, a, b: a * b,
    "Relu": lambda _, x: functional.relu(x),
    "Resize": _resize,
    "Slice": _slice,
    "Sub": lambda _, a, b: a - b,
}
